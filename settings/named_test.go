package settings

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/internal/namedfile"
	"github.com/ananas-edge/ananas/nameserver/plugin"
)

// What a file may have depends on what it is named for; what has more is refused before it is read, in a node's own file and where it is to be applied.
func TestNamedFilesAreLimited(t *testing.T) {
	dir := t.TempDir()
	large := func(octets int64) string {
		path := filepath.Join(dir, fmt.Sprint(octets))
		err := os.WriteFile(path, nil, 0o600)
		if err == nil {
			err = os.Truncate(path, octets) // what lies there takes no room, and would take long to be read
		}
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	for what, c := range map[string]struct {
		text string
		most int64
		says string
	}{
		"module":       {"modules: [{ name: m, file: %q }]", plugin.MaxModule, "modules[0].file: "},
		"large module": {"modules: [{ name: m, limits: { size: 64MiB }, file: %q }]", plugin.LargestModule, "modules[0].file: "},
		"list":         {"data: [{ name: d, file: %q }]", plugin.MaxData, "data[0].file: "},
		"hints":        {"recursion: { root_hints: %q }", 4 << 20, "recursion.root_hints: "},
		"anchors":      {"recursion: { trust_anchors: %q }", 4 << 20, "recursion.trust_anchors: "},
		"local root":   {"recursion: { local_root: { file: %q } }", 24 << 20, "recursion.local_root.file: "},
	} {
		path := large(c.most + 1<<36)
		f, err := Parse(filepath.Join(dir, "f.yaml"), fmt.Appendf(nil, "settings:\n  "+c.text+"\n", path))
		if err != nil {
			t.Fatal(err)
		}
		if most := f.MostOf(path); most != c.most {
			t.Errorf("%s: %d octets, at most %d", what, c.most, most)
		}
		f.ReadBy(namedfile.NewDisk(namedfile.MachineTime))
		says := fmt.Sprintf("has %d octets, at most %d", c.most+1<<36, c.most)
		_, inFile := f.Compile(nil)
		_, applied := f.Entries()
		for _, err := range []error{inFile, applied} {
			if what == "local root" && err == nil { // which is read from its file, and limited there
				continue
			}
			if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if applied == nil {
			t.Errorf("%s: it would be applied", what)
		}
	}
	if plugin.MaxData != MaxNamedFile {
		t.Errorf("a list has at most %d octets, and a file %d", plugin.MaxData, MaxNamedFile)
	}
}

// A list that is a blob is not read when settings are put together: what was compiled of it may be there. All else is, so that what was lost is seen at once. What comes again is not asked for again.
func TestListsAreNotRead(t *testing.T) {
	list, hints := strings.Repeat("bad.example.net\n", 10_000), strings.Repeat("; no root\n", 10_000)
	_, e := entriesOf(t, "settings:\n  data: [{ name: bad, file: bad.txt }]\n  recursion: { root_hints: hints }\n", map[string][]byte{"bad.txt": []byte(list), "hints": []byte(hints)})
	if len(e.Blobs) != 2 {
		t.Fatal(e.Blobs)
	}
	asked, opened := map[[32]byte]int{}, map[[32]byte]int{}
	blob := func(sum [32]byte) (*namedfile.File, error) {
		asked[sum]++
		return namedfile.At(sum, e.Blobs[sum].Size(), func() (io.ReadCloser, error) {
			opened[sum]++
			return e.Blobs[sum].Open()
		}), nil
	}
	f, err := Assemble(Default().Node, e.Docs, blob)
	if err != nil {
		t.Fatal(err)
	}
	if f, err = f.Reassemble(e.Docs, blob); err != nil {
		t.Fatal(err)
	}
	one, other := sha256.Sum256([]byte(list)), sha256.Sum256([]byte(hints))
	if asked[one] != 1 || asked[other] != 1 || opened[one] != 0 || opened[other] != 1 {
		t.Errorf("the list was asked for %d times and read %d times, the hints %d and %d", asked[one], opened[one], asked[other], opened[other])
	}
	if c, _ := f.Carried("bad.txt"); c.InMemory() || contentOf(t, c) != list {
		t.Error("the list is in memory, or another")
	}
	gone := errors.New("gone")
	_, err = Assemble(Default().Node, e.Docs, func(sum [32]byte) (*namedfile.File, error) {
		return namedfile.At(sum, e.Blobs[sum].Size(), func() (io.ReadCloser, error) { return nil, gone }), nil
	})
	if !errors.Is(err, gone) || strings.Contains(err.Error(), "bad.txt") {
		t.Errorf("%v", err)
	}
}
