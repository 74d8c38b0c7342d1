package rollout

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MaxWaves is how many waves a plan may have. Ten that double the fleet each time go from one node in a thousand to all.
const MaxWaves = 16

// Share is a part of a whole in hundredths of a percent: 100 is 1 %.
type Share uint16

// whole is all of it.
const whole Share = 10_000

// Float returns the share as a number from 0 to 1.
func (s Share) Float() float64 { return float64(s) / float64(whole) }

// String returns the share as one writes it: 10%, 0.25%.
func (s Share) String() string {
	text := strconv.FormatUint(uint64(s/100), 10)
	if rest := s % 100; rest != 0 {
		text += strings.TrimRight(fmt.Sprintf(".%02d", rest), "0")
	}
	return text + "%"
}

// MarshalText returns the share as one writes it.
func (s Share) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a share such as 10% or 0.25%.
func (s *Share) UnmarshalText(b []byte) error {
	number, ok := strings.CutSuffix(string(b), "%")
	if !ok {
		return fmt.Errorf("%q is no share: write it as 10%% or 0.5%%", b)
	}
	full, rest, dot := strings.Cut(number, ".")
	if dot && (rest == "" || len(rest) > 2) || !digits(full+rest) || full == "" || len(full) > 3 || len(full) > 1 && full[0] == '0' {
		return fmt.Errorf("%q is no share: write it as 10%% or 0.5%%, with two decimals at most", b)
	}
	n, _ := strconv.ParseUint(full+(rest + "00")[:2], 10, 32) // digits alone, five at most
	if n > uint64(whole) {
		return fmt.Errorf("%q is more than all", b)
	}
	*s = Share(n)
	return nil
}

func digits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// Wave says which part of the fleet holds the change.
type Wave Share

const (
	// Canary is the wave of one node for each site.
	Canary Wave = 0
	// All is the wave of the whole fleet.
	All = Wave(whole)
)

// String returns the word or the share: canary, 10%, all.
func (w Wave) String() string {
	switch w {
	case Canary:
		return "canary"
	case All:
		return "all"
	}
	return Share(w).String()
}

// MarshalText returns what String does.
func (w Wave) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// UnmarshalText reads canary, all, or a share.
func (w *Wave) UnmarshalText(b []byte) error {
	switch string(b) {
	case "canary":
		*w = Canary
		return nil
	case "all":
		*w = All
		return nil
	}
	var s Share
	if err := s.UnmarshalText(b); err != nil || s == 0 {
		return fmt.Errorf("%q is no wave: write canary, a share such as 10%%, or all", b)
	}
	*w = Wave(s)
	return nil
}

// ParsePlan returns the default plan with other waves.
func ParsePlan(waves []string) (Plan, error) {
	p := DefaultPlan()
	p.Waves = make([]Wave, len(waves))
	for i, text := range waves {
		if err := p.Waves[i].UnmarshalText([]byte(text)); err != nil {
			return Plan{}, err
		}
	}
	return p, p.Check()
}

// Plan says how a change goes through the fleet. A rollout keeps the one that it was opened with.
type Plan struct {
	// Waves are in order, each wider than the one before; the canaries can only be the first. After the last one the change is live.
	Waves []Wave

	// Bake is how long a wave is watched at least, whatever the figures say.
	Bake time.Duration

	// Patience is how long a wave waits for figures that are enough to judge it, bake time included, before the rollout pauses.
	Patience time.Duration

	// Silence is how long a node that holds the change may be silent until it counts as cut off.
	Silence time.Duration

	// Queries is how many queries those that hold the change must have had to be judged by them, and as many those that it is compared with.
	Queries uint64

	// Margin is how much larger the share of failed queries may be with the change than without.
	Margin Share

	// Blocked is how much larger the share of queries may be that the change has answered, or not answered, by itself, and of names that do not exist.
	Blocked Share
}

// DefaultPlan returns the plan of a file that says nothing. The arithmetic is with [Settings].
func DefaultPlan() Plan {
	return Plan{
		Waves:    []Wave{Canary, 1000, 5000, All},
		Bake:     30 * time.Second,
		Patience: 5 * time.Minute,
		Silence:  20 * time.Second,
		Queries:  200,
		Margin:   100,
		Blocked:  1000,
	}
}

// Check tells what is wrong with a plan.
func (p *Plan) Check() error {
	if p.Bake <= 0 || p.Patience < p.Bake || p.Silence <= 0 || p.Queries == 0 || p.Margin > whole || p.Blocked > whole {
		return errors.New("a plan has a bake time, a patience that is no shorter, a silence, a number of queries, and margins of 100% at most")
	}
	_, err := checkWaves(p.Waves)
	return err
}

// checkWaves returns the index of the wave that is wrong.
func checkWaves(waves []Wave) (int, error) {
	switch {
	case len(waves) == 0:
		return 0, errors.New("there is no wave")
	case len(waves) > MaxWaves:
		return MaxWaves, fmt.Errorf("there are %d waves, more than %d", len(waves), MaxWaves)
	}
	for i, w := range waves {
		switch {
		case w > All:
			return i, fmt.Errorf("a wave is more than all")
		case i > 0 && w == Canary:
			return i, errors.New("canary can only be the first wave")
		case i > 0 && w <= waves[i-1]:
			return i, fmt.Errorf("%v is no wider than %v, the wave before it", w, waves[i-1])
		}
	}
	return 0, nil
}
