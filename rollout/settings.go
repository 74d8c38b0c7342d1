package rollout

import (
	"fmt"
	"slices"
	"time"

	"github.com/ananas-edge/ananas/internal/strictyaml"
)

// Settings is the section `rollout`: how changes of settings reach the fleet. A change of it holds for what is opened from then on.
type Settings struct {
	// Waves are the parts of the fleet that a change reaches one after the other. One bad change costs one node of each site; the next wave, a tenth, is what can
	// fail without the rest being short of room; half is where what comes with load shows while there are still as many to compare with.
	Waves []Wave `yaml:"waves" items:"1"`

	// Bake is how long each wave is watched. Health comes once a second and a node is silent after 20 s, so 30 s sees a cut; four waves take two minutes. What shows after
	// hours (a leak) needs hours here.
	Bake time.Duration `yaml:"bake" min:"1s" max:"24h"`

	// Patience is how long a wave waits, bake included, until there is enough to judge it by; then the rollout pauses, which a person has to end. A node with a query a second has its 200 in 200 s.
	Patience time.Duration `yaml:"patience" min:"1s" max:"168h"`

	// Silence is how long a node that holds the change may be silent until it counts as cut off. A follower leaves a silent source after 10 s and has another
	// after some more; below that each restart of a relay would withdraw a change.
	Silence time.Duration `yaml:"silence" min:"11s" max:"1h"`

	// Queries is how many queries those that hold the change must have had, and those they are compared with, to be judged by traffic. With 200, where one in a hundred fails
	// anyway, a change that fails every third is certainly found; what is smaller is found with more (bound.go has the arithmetic).
	Queries int `yaml:"queries" min:"1" max:"1000000000"`

	// FailureMargin is how much larger the share of failed queries may be with the change than without. Below 1 % the difference between two sites, or two hours, would
	// be taken for the change's fault.
	FailureMargin Share `yaml:"failure_margin"`

	// BlockedMargin is how much larger the share of queries may be, with the change than without, that modules answer themselves (blocked, rewritten, with records of their own) or drop, and of names that do not
	// exist. A list of blocked names makes some on purpose: of malware one query in a hundred, of advertisements one in four, so that the first one of those needs 40%; a list with "com" in it has
	// every third query.
	BlockedMargin Share `yaml:"blocked_margin"`
}

// Defaults returns the settings of a file that says nothing.
func Defaults() Settings {
	p := DefaultPlan()
	return Settings{Waves: p.Waves, Bake: p.Bake, Patience: p.Patience, Silence: p.Silence, Queries: int(p.Queries), FailureMargin: p.Margin, BlockedMargin: p.Blocked}
}

// Table is the compiled form of Settings; nobody changes it.
type Table struct {
	Plan Plan // what is opened from now on goes by it
}

// Compile checks s. The error is a [*strictyaml.Errors] whose paths are the keys of the section.
func Compile(s Settings) (*Table, error) {
	var errs strictyaml.Errors
	if i, err := checkWaves(s.Waves); err != nil {
		path := "waves"
		if i < len(s.Waves) && len(s.Waves) <= MaxWaves {
			path = fmt.Sprintf("waves[%d]", i)
		}
		errs.Addf(path, "write waves: [canary, 10%, 50%, all]", "%w", err)
	}
	if s.Bake <= 0 {
		errs.Addf("bake", "write bake: 30s", "is %v", s.Bake)
	}
	if s.Patience < s.Bake {
		errs.Addf("patience", "raise patience, or lower bake", "%v is below bake, which is %v", strictyaml.FormatDuration(s.Patience), strictyaml.FormatDuration(s.Bake))
	}
	if s.Silence <= 0 {
		errs.Addf("silence", "write silence: 20s", "is %v", s.Silence)
	}
	if s.Queries <= 0 {
		errs.Addf("queries", "write queries: 200", "is %d", s.Queries)
	}
	if s.FailureMargin > whole/2 {
		errs.Addf("failure_margin", "write failure_margin: 1%", "%v is more than 50%%: nearly nothing would be a failure", s.FailureMargin)
	}
	if s.BlockedMargin > whole {
		errs.Addf("blocked_margin", "write blocked_margin: 10%", "%v is more than all", s.BlockedMargin)
	}
	if err := errs.OrNil(); err != nil {
		return nil, err
	}
	return &Table{Plan{slices.Clone(s.Waves), s.Bake, s.Patience, s.Silence, uint64(s.Queries), s.FailureMargin, s.BlockedMargin}}, nil
}
