package nameserver

import (
	"testing"
	"time"

	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/telemetry"
)

// What a module has decided counts each time that it is said to a client, be it for the first time or kept, and so does what it has there be no answer to.
func TestVerdictsAreCountedEachTime(t *testing.T) {
	for _, c := range []struct {
		phase         plugin.Phase
		guest, name   string
		action        string // of the verdict; "": it has none
		decided, none bool   // by the module in place of the world; with no answer
	}{
		{plugin.PhaseQuery, "acts", "why.example.", "NXDOMAIN", true, false},
		{plugin.PhaseQuery, "acts", "address.example.", "address", true, false},
		{plugin.PhaseQuery, "acts", "record.example.", "answer", true, false},
		{plugin.PhaseQuery, "acts", "rewrite.example.", "rewrite", true, false},
		{plugin.PhaseQuery, "acts", "drop.example.", "drop", true, true},
		{plugin.PhaseQuery, "acts", "www.example.", "", false, false},
		{plugin.PhaseAnswer, "clamp", "www.example.", "answer", false, false}, // it bounds TTLs
	} {
		p := newPrograms(t)
		var hand handClock
		hand.boot.Store(int64(time.Minute))
		s, _ := newServedAt(t, hand.clock())
		s.Swap(s.Table().WithPlugins(p.chain(c.guest, "phases: ["+string(c.phase)+"]\npure: true\n", "", plugin.Plugin{Phase: c.phase})))
		l := s.Loop()
		data := asks(t, c.name, false)
		const times = 5
		kept := 0
		for range times {
			if looped(l, data) != nil {
				kept++
			} else {
				long(s, data)
			}
		}
		if kept == 0 && !c.none {
			t.Errorf("%s: none was kept", c.name)
		}
		var said uint64
		for _, m := range s.Table().Plugins.Status() {
			for action, n := range m.Verdicts {
				if said += n; action != c.action {
					t.Errorf("%s: %d verdicts are %s", c.name, n, action)
				}
			}
		}
		o := s.Outcomes(func(time.Duration, uint64) {})
		count := func(is bool) uint64 {
			if is {
				return times
			}
			return 0
		}
		if said != count(c.action != "") || o.Decided != count(c.decided) || o.Dropped != count(c.none) {
			t.Errorf("%s: of %d queries, %d kept: %d verdicts, %d decided, %d dropped", c.name, times, kept, said, o.Decided, o.Dropped)
		}
	}
}

// A mark that is none of the chain's, as of an image in memory that is damaged, counts for nothing.
func TestMarkOfNobody(t *testing.T) {
	p := newPrograms(t)
	c := p.chain("acts", "phases: [query]\npure: true\n", "", plugin.Plugin{Phase: plugin.PhaseQuery})
	var k keptVerdicts
	for _, chain := range []*plugin.Chain{nil, c} {
		k.of(chain)
		for m := range 1 << 16 {
			k.add(plugin.Mark(m))
			if chain.Decided(plugin.Mark(m)) && m >= chain.Marks() {
				t.Fatalf("mark %d has decided", m)
			}
		}
		if want := max(chain.Marks()-1, 0); len(k.touched) != want {
			t.Errorf("%d marks were counted, want %d", len(k.touched), want)
		}
		k.count(newMetrics(telemetry.NewMetrics()).decided)
	}
}
