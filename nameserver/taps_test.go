package nameserver

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/listen"
	"github.com/ananas-edge/ananas/nameserver/plugin"
)

// Who taps sees what modules are shown, or would be: answers of the long way and from images, and queries that a module drops. What is refused, and what is no question for records, it does not see.
func TestTaps(t *testing.T) {
	var hand handClock
	s, l, data := warmed(t, &hand)
	seen := make(chan string, 100)
	stop, lost := s.Tap(1, false, func(lines []plugin.Line) {
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
	stopOther, _ := s.Tap(2, false, func(lines []plugin.Line) {
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
	stop, _ := s.Tap(1000, false, func([]plugin.Line) {})
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

// Who taps is told what modules have made of a query on its way: which has ended it, which was the first to change the answer, the tag, the group, and what modules of phase answer were shown. A loop tells the same of what it has images for, but
// for what was shown.
func TestTapsKnowThePath(t *testing.T) {
	p := newPrograms(t)
	files := map[string][]byte{"acts": guest(t, "acts", "phases: [query]\npure: true\n"), "clamp": guest(t, "clamp", "phases: [answer]\npure: true\n")}
	both := p.load(files, nil, plugin.Plugin{Module: "acts", Phase: plugin.PhaseQuery}, plugin.Plugin{Module: "clamp", Phase: plugin.PhaseAnswer})
	alone := p.load(files, nil, plugin.Plugin{Module: "acts", Phase: plugin.PhaseQuery})
	inTell := p.chain("acts", "phases: [query]\n", "", plugin.Plugin{Phase: plugin.PhaseQuery})
	closed := p.chain("acts", "phases: [query]\n", "", plugin.Plugin{Phase: plugin.PhaseQuery, Mode: plugin.Closed})
	for _, c := range []struct {
		what, name string
		chain      *plugin.Chain
		long, fast string // "": it is not answered so
	}{
		{"nothing is said", "www.example.", alone, `ended 0 changed 0 tag "" group "" shown 192.0.2.80`, `ended 0 changed 0 tag "" group "" shown unknown`},
		{"it is ended", "nxdomain.example.", alone, `ended 1 changed 0 tag "" group "" shown made NXDOMAIN`, `ended 1 changed 0 tag "" group "" shown unknown`},
		{"it is ended at once", "nxdomain.example.", inTell, `ended 1 changed 0 tag "" group "" shown made NXDOMAIN`, ""},
		{"it is dropped", "drop.example.", alone, `ended 1 changed 0 tag "" group "" shown nothing`, ""},
		{"it is dropped at once", "drop.example.", inTell, `ended 1 changed 0 tag "" group "" shown nothing`, ""},
		{"it fails, and has to be asked", "trap.example.", closed, `ended 1 changed 0 tag "" group "" shown nothing`, ""},
		{"another name is asked", "rewrite.example.", alone, `ended 1 changed 0 tag "" group "" shown www.example. 192.0.2.80`, `ended 1 changed 0 tag "" group "" shown unknown`},
		{"the answer is changed", "www.example.", both, `ended 0 changed 2 tag "" group "" shown 192.0.2.80, then 192.0.2.80`, `ended 0 changed 2 tag "" group "" shown unknown`},
		{"the answer is ended", "deny.example.", both, `ended 0 changed 2 tag "" group "" shown NXDOMAIN`, `ended 0 changed 2 tag "" group "" shown unknown`},
		{"a group", "group.example.", alone, `ended 0 changed 0 tag "" group "inside" shown 10.0.0.80`, `ended 0 changed 0 tag "" group "inside" shown unknown`},
		{"a tag", "tagged.example.", alone, `ended 0 changed 0 tag "guest" group "" shown 192.0.2.80`, `ended 0 changed 0 tag "guest" group "" shown unknown`},
		{"no modules", "www.example.", nil, `ended 0 changed 0 tag "" group "" shown unknown`, `ended 0 changed 0 tag "" group "" shown unknown`},
	} {
		t.Run(c.what, func(t *testing.T) {
			var hand handClock
			s, l, _ := warmed(t, &hand)
			s.Swap(s.Table().WithPlugins(c.chain))
			data := asks(t, c.name, true)
			seen := make(chan string, 10)
			stop, _ := s.Tap(1, true, func(lines []plugin.Line) {
				for k := range lines {
					if got := lines[k].Path.Order; got != c.chain.Order() {
						t.Errorf("its order is %q", got)
					}
					seen <- pathOf(&lines[k])
				}
			})
			defer stop()
			next := func() string {
				select {
				case one := <-seen:
					return one
				case <-time.After(30 * time.Second):
					return "no line"
				}
			}
			if c.chain.InLoop() {
				s.Serve(listen.Packet{Data: bytes.Clone(data), Client: allowedClient, Local: allowedClient}, nil, listen.Reply{}) // which asks modules at once
			} else {
				long(s, data)
			}
			if got := next(); got != c.long {
				t.Errorf("the long way: %s, want %s", got, c.long)
			}
			for range 2 { // an image is made of what was not asked for
				long(s, data)
				next()
			}
			if b := looped(l, data); b == nil != (c.fast == "") {
				t.Fatalf("the loop answers %s", text(t, b))
			}
			if c.fast == "" {
				return
			}
			if got := next(); got != c.fast {
				t.Errorf("the loop: %s, want %s", got, c.fast)
			}
		})
	}
}

// pathOf is what a line tells of the way of its query.
func pathOf(l *plugin.Line) string {
	p := &l.Path
	out := fmt.Sprintf("ended %d changed %d tag %q group %q shown ", p.Ended, p.Changed, l.Tag, p.Group)
	if p.Shown == nil {
		return out + "unknown"
	}
	first, last := p.Shown.At(1), p.Shown.At(0)
	switch {
	case first == nil:
		return out + "nothing"
	case last == nil || last.RCode == first.RCode && len(last.Sections[0]) == len(first.Sections[0]) && l.Path.Changed == 0:
		return out + shownAs(first)
	}
	return out + shownAs(first) + ", then " + shownAs(last)
}

func shownAs(rep *plugin.Reply) (out string) {
	if rep.Made {
		out = "made "
	}
	if len(rep.Sections[0]) == 0 {
		return out + rep.RCode.String()
	}
	for _, rr := range rep.Sections[0] {
		fields := strings.Fields(rr.String())
		out += fields[len(fields)-1] + " "
	}
	return strings.TrimSpace(out)
}

// A query to which a module that sees each gives a tag goes the long way while somebody looks on: a loop has no room for it.
func TestTapsAreToldTags(t *testing.T) {
	p := newPrograms(t)
	s := grouped(t, p, "phases: [query]\nneeds: [client]\n", nil, nil)
	l := s.Loop()
	data := asks(t, "tagged.example.", true)
	for range 3 {
		askedBy(s, guestClient, data)
	}
	if fast(l, data, guestClient) == nil {
		t.Fatal("the loop has no answer")
	}
	stop, _ := s.Tap(1, false, func([]plugin.Line) {})
	if fast(l, data, guestClient) != nil {
		t.Error("the loop answers a query with a tag while somebody looks on")
	}
	if fast(l, data, staffClient) == nil {
		t.Error("the loop does not answer a query without a tag")
	}
	stop()
	if fast(l, data, guestClient) == nil {
		t.Error("when he is gone the loop does not answer")
	}
}
