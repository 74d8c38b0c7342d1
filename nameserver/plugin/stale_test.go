package plugin_test

import (
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/plugin"
)

// A query that is asked at once, and then the long way since somebody is busy, has each module and each version before it fail once: who has failed is not asked again, nor counted.
func TestFaultsAtOnceAreCountedOnce(t *testing.T) {
	for _, c := range []struct {
		what, name   string
		busy         int  // the module of which all instances are in use
		before       bool // those of the version before it
		faults, late int64
		want         string
	}{
		{"the version before is busy", "nxdomain.test.", 0, true, 1, 1, "NXDOMAIN ttl=60"},
		{"the version before is busy, and fails", "trap.test.", 0, true, 1, 2, "address ttl=60 192.0.2.1"},
		{"both have failed, and the next is busy", "trap.test.", 1, false, 2, 2, "address ttl=60 192.0.2.1"},
		{"the version before has answered, and the next is busy", "group.test.", 1, false, 1, 1, "address ttl=60 192.0.2.1 inside"},
	} {
		t.Run(c.what, func(t *testing.T) {
			b := newBench(t)
			use, next := plugin.Plugin{Module: "acts", Phase: plugin.PhaseQuery, Mode: plugin.Stale}, plugin.Plugin{Module: "told", Phase: plugin.PhaseQuery}
			files := map[string][]byte{"acts": guest(t, "acts", onQuery), "told": guest(t, "told", onQuery)}
			first := b.chain(files, nil, use, next)
			ok := name(t, "x.test.")
			first.Query(t.Context(), 0, queryOf(ok, dns.TypeA), ok, nil) // it has run: else nobody falls back on it
			files["acts"] = guest(t, "acts", onQuery+"version: '2'\n")
			table, err := plugin.Compile([]plugin.Module{{Name: "acts", File: "acts", Limits: plugin.Limits{Fuel: 150}}, {Name: "told", File: "told"}}, nil, []plugin.Plugin{use, next}, filesOf(func(name string) []byte { return files[name] }))
			if err != nil {
				t.Fatal(err)
			}
			second, err := b.Load(t.Context(), table, first) // with too little fuel for any call
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(second.Release)
			owner := name(t, c.name)
			q := queryOf(owner, dns.TypeA)
			giveBack := second.TakeAll(c.busy, c.before)
			if v, fail, ok := second.AtOnce(0, q, owner); ok {
				t.Fatalf("at once: %s", told(v, fail))
			}
			if n := b.Faults(); int64(n) != c.faults {
				t.Errorf("%d faults at once, want %d", n, c.faults)
			}
			giveBack()
			v, fail := second.Query(t.Context(), 0, q, owner, nil)
			if got := strings.TrimSpace(told(v, fail) + " " + v.Group); got != c.want {
				t.Errorf("the long way: %s, want %s", got, c.want)
			}
			if n := b.Faults(); int64(n) != c.late {
				t.Errorf("%d faults in the end, want %d", n, c.late)
			}
		})
	}
}
