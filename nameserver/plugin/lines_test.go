package plugin_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/plugin"
)

// A module that says a line for each query has ten of them a second in the log, or as many as its limits say; the others are counted, and told of once.
func TestLogLines(t *testing.T) {
	b := newBench(t)
	n := name(t, "go.test.")
	chain := b.chain(map[string][]byte{"says": guest(t, "says", onQuery+"needs: [log]\n")}, nil, plugin.Plugin{Module: "says", Phase: plugin.PhaseQuery, Grant: []string{"log"}})
	ask := func(times int) {
		for range times {
			chain.Query(t.Context(), 0, queryOf(n, dns.TypeA), n, nil)
		}
	}
	left := func(want ...plugin.LeftOut) {
		t.Helper()
		if got := b.LeftOut(); !slices.Equal(got, want) {
			t.Errorf("left out: %+v, want %+v", got, want)
		}
	}
	b.now = 5*time.Second + 300*time.Millisecond
	ask(25)
	if len(b.logs) != 10 {
		t.Errorf("%d lines in a second", len(b.logs))
	}
	b.now += time.Second
	ask(4)
	if len(b.logs) != 14 {
		t.Errorf("%d lines, 4 of them in another second", len(b.logs))
	}
	left(plugin.LeftOut{Module: "says", Lines: 15, Limit: 10})
	left()
	ask(7) // the account of a second is not begun anew by who asks
	left(plugin.LeftOut{Module: "says", Lines: 1, Limit: 10})
	b.now += time.Minute
	left()
	if !strings.Contains(b.scrape(), `ananas_module_log_lines_left_out_total{module="says"} 16`+"\n") {
		t.Error("they are not counted")
	}
}

// How many lines there may be is one of the limits of a module.
func TestLogLinesLimit(t *testing.T) {
	b := newBench(t)
	n := name(t, "go.test.")
	table, err := plugin.Compile([]plugin.Module{{Name: "says", File: "says", Limits: plugin.Limits{LogLines: 3}}}, nil, []plugin.Plugin{{Module: "says", Phase: plugin.PhaseQuery, Grant: []string{"log"}}}, filesOf(func(string) []byte {
		return guest(t, "says", onQuery+"needs: [log]\n")
	}))
	if err != nil {
		t.Fatal(err)
	}
	chain, err := b.Load(t.Context(), table, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(chain.Release)
	for range 5 {
		chain.Query(t.Context(), 0, queryOf(n, dns.TypeA), n, nil)
	}
	if len(b.logs) != 3 {
		t.Errorf("%d lines, want 3", len(b.logs))
	}
	if got, want := b.LeftOut(), []plugin.LeftOut{{Module: "says", Lines: 2, Limit: 3}}; !slices.Equal(got, want) {
		t.Errorf("left out: %+v, want %+v", got, want)
	}
}
