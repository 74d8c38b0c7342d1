// Package scenarios plays resolutions that are written down: a world, settings, what clients ask and what they must be answered, on
// fake time. README.md tells the language; each *.scn file is one scenario.
package scenarios

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	update = flag.Bool("update", false, "write the answers that came into the scenarios, in place of those that were expected")
	tell   = flag.Bool("tell", false, "log each question that reaches a server, and each answer")
	seed   = flag.Uint64("seed", 1, "seed of the lab and of the node")
	seeds  = flag.Uint64("seeds", 1, "how many seeds to play each scenario with, from -seed on")
)

// TestScenarios plays each *.scn file. One alone: go test ./test/scenarios -run 'Scenarios/^kaminsky$'
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("*.scn")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d scenarios, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(file, ".scn"), func(t *testing.T) {
			t.Parallel()
			s, err := load(file)
			if err != nil {
				t.Fatal(err)
			}
			for n := range *seeds {
				p := s.run(t, *seed+n)
				if t.Failed() {
					t.Fatalf("the seed was %d", *seed+n)
				}
				if len(p.replaced) > 0 {
					rewrite(t, file, p.replaced)
				}
			}
		})
	}
}

// rewrite puts the lines that came in place of those that were expected.
func rewrite(t *testing.T, file string, replaced map[int]replacement) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	lines := strings.Split(string(text), "\n")
	for i := 0; i < len(lines); i++ {
		out = append(out, lines[i])
		if r, ok := replaced[i+1]; ok {
			for _, l := range r.lines {
				out = append(out, "\t"+l)
			}
			i = r.last - 1
		}
	}
	if err := os.WriteFile(file, []byte(strings.Join(out, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
}

// rules are the documents whose rules the scenarios hold.
var rules = []string{"../../nameserver/recurse/DESIGN.md", "../../nameserver/dnssec/DESIGN.md"}

// TestRulesHaveScenarios holds the resolver's rules and the scenarios together: each scenario that a rule names is there, and each scenario
// that is there is named by a rule.
func TestRulesHaveScenarios(t *testing.T) {
	files, err := filepath.Glob("*.scn")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, document := range rules {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\b([a-z0-9-]+\.scn)\b`).FindAllStringSubmatch(string(text), -1) {
			named[m[1]] = true
			if !slices.Contains(files, m[1]) {
				t.Errorf("%s names %s, which is not there", document, m[1])
			}
		}
	}
	for _, name := range files {
		if !named[name] {
			t.Errorf("no rule of %q names %s", rules, name)
		}
	}
}
