package settings

import (
	"os"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/internal/strictyaml"
	"github.com/google/go-cmp/cmp"
)

// Whoever adds a key, or changes a default, changes docs/settings.md with it.
func TestDocsListEveryKey(t *testing.T) {
	var want []string
	for _, k := range strictyaml.Describe(Default()) {
		if k.Type == "section" {
			continue
		}
		live, def, bounds := "no", "", ""
		if Live(k) {
			live = "yes"
		}
		if k.Default != "" {
			def = "`" + k.Default + "`"
		}
		if k.Max != "" {
			bounds = strings.TrimSpace(k.Min + " to " + k.Max)
		}
		want = append(want, strings.Join([]string{"`" + k.Path + "`", k.Type, def, bounds, live}, " | "))
	}
	var got []string
	for line := range strings.Lines(document(t)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) < 6 || !strings.HasPrefix(strings.TrimSpace(cells[0]), "`") {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if cells[5] == "" {
			t.Errorf("%s has no meaning", cells[0])
		}
		got = append(got, strings.Join(cells[:5], " | "))
	}
	sorted := cmp.Transformer("set", func(in []string) map[string]bool {
		out := make(map[string]bool)
		for _, s := range in {
			out[s] = true
		}
		return out
	})
	if d := cmp.Diff(want, got, sorted); d != "" || len(got) != len(want) {
		t.Errorf("docs/settings.md (+) is not what the types say (-), %d rows for %d keys:\n%s", len(got), len(want), d)
	}
}

func TestDocsExamplesCompile(t *testing.T) {
	parts := strings.Split(document(t), "```yaml\n")
	if len(parts) < 4 {
		t.Fatal("no examples")
	}
	for _, part := range parts[1:] {
		text, _, _ := strings.Cut(part, "```")
		f, err := Parse("example.yaml", []byte(text))
		if err == nil {
			_, err = f.Compile(f.Node.Listen.DNS)
		}
		if err != nil {
			t.Errorf("%s\n%v", text, err)
		}
	}
}

// The table of keys says what becomes of a file.
func TestDocsKeys(t *testing.T) {
	_, table, ok := strings.Cut(document(t), "| in a file | key | document |\n")
	if !ok {
		t.Fatal("no table")
	}
	rows := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 3 {
			break
		}
		for i := range cells {
			cells[i] = strings.Trim(cells[i], " `")
		}
		if strings.HasPrefix(cells[0], "---") {
			continue
		}
		rows++
		_, e := entriesOf(t, "settings: { "+cells[0]+" }", nil)
		if got, want := written(e.Docs), cells[1]+": "+cells[2]+"\n"; got != want {
			t.Errorf("%s\nis   %swant %s", cells[0], got, want)
		}
	}
	if rows < 5 {
		t.Errorf("%d rows", rows)
	}
}

func document(t *testing.T) string {
	b, err := os.ReadFile("../docs/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
