package lab

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const manual = "../docs/lab.md"

// The manual's table of faults is that of the code, its worlds parse and build, and it names every condition and command there is.
func TestManual(t *testing.T) {
	b, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	var table strings.Builder
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		k := kinds[name]
		fmt.Fprintf(&table, "| `%s` | %s", name, k.doc)
		if k.n > 0 {
			fmt.Fprintf(&table, "; n=%d if not said", k.n)
		}
		if k.by > 0 {
			fmt.Fprintf(&table, "; by=%v if not said", k.by)
		}
		table.WriteString(" |\n")
	}
	const begin, end = "<!-- faults -->\n", "<!-- end -->"
	head, rest, ok := strings.Cut(text, begin)
	if !ok {
		t.Fatalf("%s has no %q", manual, begin)
	}
	have, tail, _ := strings.Cut(rest, end)
	if have != table.String() {
		if !*update {
			t.Errorf("the table of faults in %s is stale: run go test ./lab -run TestManual -update", manual)
		} else if err := os.WriteFile(manual, []byte(head+begin+table.String()+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	worlds := regexp.MustCompile("(?s)```world\n(.*?)```").FindAllStringSubmatch(text, -1)
	if len(worlds) < 4 {
		t.Errorf("%d worlds in the manual", len(worlds))
	}
	for _, m := range worlds {
		w, err := ParseWorld(m[1])
		if err == nil {
			_, err = New(Config{World: w})
		}
		if err != nil {
			t.Errorf("%v in the world\n%s", err, m[1])
		}
	}
	for c := range conditionNames {
		if !strings.Contains(text, "`"+c+"`") {
			t.Errorf("condition %q is not in the manual", c)
		}
	}
	for _, c := range NamespaceCommands() {
		if !strings.Contains(text, "\n"+strings.Join(c, " ")+"\n") {
			t.Errorf("command %q is not in the manual", strings.Join(c, " "))
		}
	}
}
