package cases_test

import (
	"fmt"
	"net/http/httptest"
	"path/filepath"
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

// showLines has a module that knows testdata/acts look at what was answered, in batches, and at one query that it counts and observes: cases have no word for either.
func showLines(t *testing.T, module, list []byte) {
	t.Helper()
	metrics := telemetry.NewMetrics()
	engine, err := wasm.Open(wasm.Config{Folder: t.TempDir(), Command: testchild.Command("compiler"), Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	shelf, err := dataset.NewShelf(t.TempDir(), wholefile.OS{})
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 1000)
	loader := plugin.NewLoader(plugin.Config{
		Engine: engine, Shelf: shelf, Cores: 1, Boot: func() time.Duration { return time.Hour }, Metrics: metrics, AllLines: true,
		Logs: func(_ string, level int, text string) { said <- fmt.Sprint(level, " ", text) },
	})
	t.Cleanup(loader.Wait)
	manifest, err := wasm.ReadManifest(module)
	if err != nil {
		t.Fatal(err)
	}
	var plugins []plugin.Plugin
	for _, phase := range []plugin.Phase{plugin.PhaseQuery, plugin.PhaseLog} {
		plugins = append(plugins, plugin.Plugin{Module: "acts", Phase: phase, Grant: manifest.Needs})
	}
	table, err := plugin.Compile([]plugin.Module{{Name: "acts", File: "acts.wasm", Limits: plugin.Limits{Fuel: manifest.Fuel}}}, []plugin.Data{{Name: "list", File: filepath.Join("data", "list")}}, plugins, func(name string, _ int64) (*namedfile.File, error) {
		if name == "acts.wasm" {
			return namedfile.Of(module), nil
		}
		return namedfile.Of(list), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	chain, err := loader.Load(t.Context(), table, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(chain.Release)

	book := plugin.NewLogbook(metrics)
	t.Cleanup(book.Close)
	pen := book.Pen()
	name := dns.MustParseName("logged.test.").Wire()
	const lines = 70 // three batches
	for n := range lines {
		l := pen.Begin(chain)
		*l = plugin.Line{
			Time: 1767225600000000001, Took: 1500 * time.Microsecond, Tag: fmt.Sprintf("seen-%d", n), RCode: dns.RCodeNameError, Type: dns.TypeTXT, Cached: true, Stale: true, Blocked: true,
			NameLen: uint8(len(name)),
		}
		copy(l.Name[:], name)
		pen.End()
	}
	for n := range lines {
		select {
		case got := <-said:
			if want := fmt.Sprintf("1 seen-%d", n); got != want {
				t.Fatalf("line %d is said to be %q, want %q", n, got, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("line %d is not shown", n)
		}
	}

	host := dns.MustParseName("host.test.")
	v, fail := chain.Query(t.Context(), 0, &plugin.Query{Name: []byte(host.Wire()), Type: dns.TypeA, Now: 1767225600e9, Seed: 1}, host, nil)
	if fail != nil || v.Action != plugin.NoData {
		t.Fatalf("%v, %v", v, fail)
	}
	w := httptest.NewRecorder()
	metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, line := range []string{
		`ananas_module_count_total{module="acts",name="asked"} 1`,
		`ananas_module_observed_bucket{module="acts",name="took",le="2e+09"} 0`,
		`ananas_module_observed_bucket{module="acts",name="took",le="5e+09"} 1`,
	} {
		if !strings.Contains(w.Body.String(), line+"\n") {
			t.Errorf("the page has no line %s", line)
		}
	}
}
