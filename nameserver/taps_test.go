package nameserver

import (
	"slices"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/plugin"
)

// Who taps sees what modules are shown, or would be: answers of the long way and from images, and queries that a module drops. What is refused, and what is no question for records, it does not see.
func TestTaps(t *testing.T) {
	var hand handClock
	s, l, data := warmed(t, &hand)
	seen := make(chan string, 100)
	stop, lost := s.Tap(1, func(lines []plugin.Line) {
		for k := range lines {
			name, _, err := dns.UnpackName(lines[k].Name[:lines[k].NameLen], 0)
			if err != nil {
				t.Error(err)
			}
			how := " looked for"
			if lines[k].Cached {
				how = " cached"
			}
			seen <- name.String() + " " + lines[k].Type.String() + how
		}
	})
	stopOther, _ := s.Tap(2, func(lines []plugin.Line) {
		for range lines {
			seen <- "every other" // of a loop: the fast one has one query, the long way three
		}
	})
	chaos := new(miekg.Msg)
	chaos.SetQuestion("version.bind.", miekg.TypeTXT)
	chaos.Question[0].Qclass = miekg.ClassCHAOS
	transfer := new(miekg.Msg)
	transfer.SetQuestion("www.example.", miekg.TypeAXFR)
	for _, m := range []*miekg.Msg{chaos, transfer} {
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		long(s, b)
	}
	long(s, asks(t, "None.example.", true))
	long(s, data)
	if looped(l, data) == nil {
		t.Fatal("the loop has no answer")
	}
	s.Swap(s.Table().WithPlugins(newPrograms(t).chain("acts", "phases: [query]\n", "", plugin.Plugin{Phase: plugin.PhaseQuery})))
	if got := long(s, asks(t, "drop.example.", true)); got != nil {
		t.Errorf("the query that is dropped is answered: %s", text(t, got))
	}
	want := []string{"drop.example. A looked for", "every other", "none.example. A looked for", "www.example. A cached", "www.example. A cached"}
	var got []string
	for range want {
		select {
		case line := <-seen:
			got = append(got, line)
		case <-time.After(time.Minute):
			t.Fatalf("only %q was seen", got)
		}
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	stop()
	stopOther()
	if s.taps.Load() != nil || lost() != 0 {
		t.Errorf("when all are gone there is %v, and %d were lost", s.taps.Load(), lost())
	}
	long(s, data)
	if len(seen) != 0 {
		t.Errorf("%q was seen by nobody", <-seen)
	}
}

// A tap costs the fast path no memory but its pages, which it has once.
func TestTapsDoNotAllocate(t *testing.T) {
	if underRace {
		t.Skip("the race detector allocates")
	}
	var hand handClock
	s, l, data := warmed(t, &hand)
	stop, _ := s.Tap(1000, func([]plugin.Line) {})
	defer stop()
	queries := batchOf(data)
	l.ServeBatch(queries)
	if queries[0].Answer == nil {
		t.Fatal("the loop has no answer")
	}
	if n := leastAllocs(100, func() { l.ServeBatch(queries) }); n != 0 {
		t.Errorf("%v allocations for a batch", n)
	}
}
