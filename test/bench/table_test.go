//go:build linux

package bench

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ananas-edge/ananas/lab"
	"github.com/ananas-edge/ananas/settings"
)

func TestTable(t *testing.T) {
	got := Table("2 rounds", []Measure{
		{Name: "latency, ms", Format: "%.1f", Ours: []float64{10, 30, 20}, Theirs: []float64{20, 20, 40}},
		{Name: "failures", Format: "%.0f", Ours: []float64{0, 1}, Theirs: []float64{0, 0}},
		{Name: "nothing", Format: "%.0f", Ours: []float64{0}, Theirs: []float64{0}},
		{Name: "alone", Format: "%.0f", Ours: []float64{1}},
	})
	want := `| 2 rounds | ananas | min..max | unbound | min..max | ratio | min..max |
|---|---:|---:|---:|---:|---:|---:|
| latency, ms | 20.0 | 10.0..30.0 | 20.0 | 20.0..40.0 | 1.00 | 0.50..1.50 |
| failures | 0 | 0..1 | 0 | 0..0 | inf | - |
| nothing | 0 | 0..0 | 0 | 0..0 | - | - |
| alone | 1 | 1..1 | - | - | - | - |
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The committed worlds are of the lab's language, and what they name is there.
func TestWorlds(t *testing.T) {
	for name, text := range map[string]string{"cold": ColdWorld, "attack": AttackWorld} {
		w, err := lab.ParseWorld(text)
		if err != nil {
			t.Errorf("%s.world: %v", name, err)
			continue
		}
		if _, err := lab.New(lab.Config{World: w}); err != nil {
			t.Errorf("%s.world: %v", name, err)
		}
	}
}

func TestOrder(t *testing.T) {
	if diff := cmp.Diff([][]int{{0, 1}, {1, 0}, {0, 1}}, Order(3)); diff != "" {
		t.Error(diff)
	}
}

// The committed configuration compiles.
func TestAnanasYAML(t *testing.T) {
	dir := t.TempDir()
	r := &Rig{Dir: dir}
	if err := os.WriteFile(r.hintsFile(), []byte(". 1 NS a.root.\na.root. 1 A 192.0.2.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "ananas.yaml")
	if err := os.WriteFile(file, []byte(r.expand(ananasYAML, dir, "{anchors}", "none")), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := settings.Check(file); err != nil {
		t.Error(err)
	}
}
