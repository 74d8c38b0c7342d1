package settings

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ananas-edge/ananas/internal/strictyaml"
)

// What has changed between two files is what a description of all their keys tells.
func TestChangedIsWhatDiffers(t *testing.T) {
	names, _ := filepath.Glob("testdata/*.good.yaml")
	all := []*File{Default()}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Parse(name, data)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	differ := 0
	for _, a := range all {
		for _, b := range all {
			for live, got := range map[bool][]string{false: Restart(a, b), true: Changed(a, b)} {
				var want []string
				da, db := strictyaml.Describe(a), strictyaml.Describe(b)
				for i := range da {
					if da[i].Path == db[i].Path && da[i].Default != db[i].Default && Live(da[i]) == live {
						want = append(want, da[i].Path)
					}
				}
				differ += len(want)
				if !slices.Equal(got, want) {
					t.Errorf("from %s to %s: %q, want %q", a.Name(), b.Name(), got, want)
				}
			}
		}
	}
	if differ < 100 {
		t.Errorf("%d differences in all", differ)
	}
}
