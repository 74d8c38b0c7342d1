package plugin_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/plugin"
)

// groupsOf is asked for a group while the module that has named it is being called.
type groupsOf func()

func (g groupsOf) HasGroup(name string) bool { g(); return name != "nowhere" }

// What was said of a query before a module was busy goes with it: nobody is asked again, whoever had to be asked first.
func TestHeardBeforeOneWasBusy(t *testing.T) {
	b := newBench(t)
	acts := guest(t, "acts", onQuery)
	use := func(name, all string) plugin.Plugin {
		return plugin.Plugin{Module: name, Phase: plugin.PhaseQuery, Settings: map[string]string{"all": all}}
	}
	ask := func(c *plugin.Chain, s string, groups groupsOf) *plugin.Query {
		q := queryOf(name(t, s), dns.TypeA)
		if groups != nil {
			q.Groups = groups
		}
		if _, _, ok := c.AtOnce(0, q, name(t, s)); !ok && groups != nil {
			t.Errorf("%s: busy", s)
		}
		return q
	}
	verdict := func(c *plugin.Chain, q *plugin.Query, s string) string {
		v, fail := c.Query(t.Context(), 0, q, name(t, s), nil)
		return told(v, fail)
	}

	// The first has let it pass with its third call, and would deny it with the fourth; the second is busy.
	c := b.chain(map[string][]byte{"one": acts, "two": acts}, nil, use("one", ""), use("two", ""))
	ask(c, "www.test.", nil)
	var late *plugin.Query
	calls := 0
	ask(c, "group.test.", groupsOf(func() {
		if calls++; calls == 2 {
			late = ask(c, "calls.test.", nil)
		}
	}))
	if late == nil || late.Said == nil {
		t.Fatal("the second one was not busy")
	}
	if got := verdict(c, late, "calls.test."); !strings.HasPrefix(got, "go on") {
		t.Errorf("the first one was asked again, and says %s", got)
	}

	// The second has denied it for the loop, and is not asked again if the first one, which has only given it a tag then, is busy now.
	c = b.chain(map[string][]byte{"one": acts, "two": acts}, nil, use("one", ""), use("two", "yes"))
	late = queryOf(name(t, "tagged.test."), dns.TypeA)
	var passes bool
	late.Client = netip.MustParseAddr("192.0.2.1") // who is tagged
	if passes, late.Said = c.Passes(0, late, false); passes {
		t.Fatal("it passes")
	}
	calls = 0
	ask(c, "group.test.", groupsOf(func() {
		if calls++; calls > 1 {
			return
		}
		if _, _, ok := c.AtOnce(0, late, name(t, "tagged.test.")); ok {
			t.Error("the first one was not busy")
		}
	}))
	before := c.Status()[1].Verdicts["NXDOMAIN"]
	if got := verdict(c, late, "tagged.test."); !strings.HasPrefix(got, "NXDOMAIN") || c.Status()[1].Verdicts["NXDOMAIN"] != before {
		t.Errorf("it is %s, and the second one was asked %d times more", got, c.Status()[1].Verdicts["NXDOMAIN"]-before)
	}
}

// So does the fault of a module go with it whose version before it was busy: it counts once.
func TestFaultBeforeTheOneBeforeWasBusy(t *testing.T) {
	b := newBench(t)
	acts, use := guest(t, "acts", onQuery), plugin.Plugin{Module: "acts", Phase: plugin.PhaseQuery, Mode: plugin.Stale}
	before := b.chain(map[string][]byte{"acts": acts}, nil, use)
	www, trap, unknown := name(t, "www.test."), name(t, "trap.test."), name(t, "unknown.test.")
	before.Query(t.Context(), 0, queryOf(www, dns.TypeA), www, nil)
	c := b.chain(map[string][]byte{"acts": guest(t, "acts", onQuery+"version: '2'\n")}, before, use)
	late, calls := queryOf(trap, dns.TypeA), 0
	q := queryOf(unknown, dns.TypeA)
	q.Groups = groupsOf(func() { // first by the module, which fails, and then by the version before it
		if calls++; calls != 2 {
			return
		}
		if _, _, ok := c.AtOnce(0, late, trap); ok {
			t.Error("the version before was not busy")
		}
	})
	if c.Query(t.Context(), 0, q, unknown, nil); calls != 2 || late.Said == nil {
		t.Fatalf("%d calls, %v", calls, late.Said)
	}
	faults := b.Faults()
	if c.Query(t.Context(), 0, late, trap, nil); b.Faults()-faults != 1 {
		t.Errorf("%d faults more, want that of the version before", b.Faults()-faults)
	}
}

// What two modules say in the loop is not allocated for, where neither is busy.
func TestAtOnceDoesNotAllocate(t *testing.T) {
	acts := guest(t, "acts", onQuery)
	c := newBench(t).chain(map[string][]byte{"one": acts, "two": acts}, nil, plugin.Plugin{Module: "one", Phase: plugin.PhaseQuery}, plugin.Plugin{Module: "two", Phase: plugin.PhaseQuery})
	owner := name(t, "www.test.")
	q := queryOf(owner, dns.TypeA)
	least := 1.0
	for range 10 { // what earlier tests have left allocates, now and then
		least = min(least, testing.AllocsPerRun(100, func() { c.AtOnce(0, q, owner) }))
	}
	if least > 0 {
		t.Errorf("a query allocates %v times", least)
	}
}
