package plugin_test

import (
	"crypto/sha256"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/internal/namedfile"
	"github.com/ananas-edge/ananas/internal/testchild"
	"github.com/ananas-edge/ananas/internal/wholefile"
	"github.com/ananas-edge/ananas/nameserver/dataset"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/telemetry"
	"github.com/ananas-edge/ananas/wasm"
)

// The text of a data set is read where it has to be compiled, and only there; one that has changed in between is no list of these settings.
func TestDataIsReadAgain(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	shelf, err := dataset.NewShelf(dir, wholefile.OS{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := wasm.Open(wasm.Config{Folder: compiledFolder, Command: testchild.Command("compiler")})
	if err != nil {
		t.Fatal(err)
	}
	l := plugin.NewLoader(plugin.Config{Engine: e, Shelf: shelf, Cores: 1, Boot: func() time.Duration { return b.now }, Metrics: telemetry.NewMetrics()})
	t.Cleanup(l.Wait)
	module := guest(t, "listed", onQuery+"needs: [data/bad]\n")
	list, reads := "bad.test\n", 0
	compile := func() *plugin.Table {
		table, err := plugin.Compile([]plugin.Module{{Name: "listed", File: "module"}}, []plugin.Data{{Name: "bad", File: "list"}},
			[]plugin.Plugin{{Module: "listed", Phase: plugin.PhaseQuery, Grant: []string{"data/bad"}}}, func(name string, _ int64) (*namedfile.File, error) {
				if name == "list" {
					return namedfile.At(sha256.Sum256([]byte(list)), int64(len(list)), func() (io.ReadCloser, error) {
						reads++
						return io.NopCloser(strings.NewReader(list)), nil
					}), nil
				}
				return namedfile.Of(module), nil
			})
		if err != nil {
			t.Fatal(err)
		}
		return table
	}
	table := compile()
	list = "other.test\n"
	if _, err := l.Load(t.Context(), table, nil); err == nil || !strings.Contains(err.Error(), `reading data set "bad": its file "list" has changed meanwhile`) {
		t.Errorf("a list that has changed: %v", err)
	}
	sweep := func(t2 *plugin.Table, want int) {
		t.Helper()
		if err := l.Sweep(t2); err != nil {
			t.Fatal(err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != want {
			t.Errorf("%d lists are left, want %d: %v", len(left), want, err)
		}
	}
	for want := range 2 { // the second time it lies on the shelf
		reads = 0
		c, err := l.Load(t.Context(), compile(), nil)
		if err != nil {
			t.Fatal(err)
		}
		owner := name(t, "www.other.test.")
		if v, _ := c.Query(t.Context(), 0, queryOf(owner, dns.TypeA), owner, nil); v.Action != plugin.NXDomain {
			t.Errorf("a listed name: %v", v)
		}
		c.Release()
		l.Wait()
		if reads != 1-want {
			t.Errorf("it was read %d times", reads)
		}
		sweep(compile(), 1)
	}
	sweep(nil, 0) // what no settings have does not stay on the disk

	// A list of settings that are on their way: it is on the disk, and those that are swept by do not have it yet. Without it the next start would compile it again.
	c, err := l.Load(t.Context(), compile(), nil)
	if err != nil {
		t.Fatal(err)
	}
	sweep(nil, 1)
	c.Release()
	l.Wait()
	sweep(nil, 0)
}
