package node

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/dns"
)

// explain has a node explain and returns the kinds of its steps.
func explain(t *testing.T, n *Node, name string, fresh bool) (kinds []string, a admin.ExplainAnswer) {
	t.Helper()
	seen := map[int]bool{0: true}
	a, err := n.Explain(t.Context(), admin.ExplainRequest{Name: dns.MustParseName(name), Type: dns.TypeA, Fresh: fresh}, func(e admin.Event) error {
		if !seen[e.Parent] || seen[e.Seq] {
			t.Errorf("step %d below %d comes before it, or twice", e.Seq, e.Parent)
		}
		seen[e.Seq] = true
		kinds = append(kinds, e.Kind)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return kinds, a
}

// An explain tells what a client would get, and how; and leaves what it found for the clients.
func TestExplain(t *testing.T) {
	b := newBench(t, plain)
	n := b.start()
	kinds, a := explain(t, n, "www.example.com", false)
	if a.RCode != "NOERROR" || len(a.Answer) != 1 || !strings.Contains(a.Answer[0], "192.0.2.80") || a.UpstreamQuestions < 2 {
		t.Errorf("cold: %+v", a)
	}
	for _, want := range []string{"resolve", "job", "delegation", "ask", "reply", "kept", "answer"} {
		if !slices.Contains(kinds, want) {
			t.Errorf("cold: no step %q in %q", want, kinds)
		}
	}
	asked := b.lab.Stats().Questions
	askA(t, n, "www.example.com", "192.0.2.80")
	kinds, a = explain(t, n, "www.example.com", false)
	if !slices.Contains(kinds, "cache") || slices.Contains(kinds, "ask") || a.UpstreamQuestions != 0 || b.lab.Stats().Questions != asked {
		t.Errorf("cached: %q, %+v", kinds, a)
	}
	if kinds, a = explain(t, n, "www.example.com", true); !slices.Contains(kinds, "ask") || a.UpstreamQuestions < 2 {
		t.Errorf("fresh: %q, %+v", kinds, a)
	}
	if kinds, a = explain(t, n, "localhost", false); !slices.Contains(kinds, "local") || a.RCode != "NOERROR" {
		t.Errorf("local: %q, %+v", kinds, a)
	}
	if _, a = explain(t, n, "nobody.example.com", false); a.RCode != "NXDOMAIN" || len(a.Authority) == 0 {
		t.Errorf("denied: %+v", a)
	}
}

// A failure is explained, too, with the extended error that clients get.
func TestExplainFailure(t *testing.T) {
	b := newBench(t, plain)
	g := &gate{Network: b.network}
	g.shut.Store(true)
	b.network = g
	n := b.start()
	_, a := explain(t, n, "www.example.com", false)
	if a.RCode != "SERVFAIL" || len(a.Errors) == 0 || a.Errors[0].Name == "" || !strings.Contains(a.Errors[0].Text, errShut.Error()) {
		t.Errorf("%+v", a)
	}
}

// Who does not listen any more ends it.
func TestExplainToNobody(t *testing.T) {
	n := newBench(t, plain).start()
	gone := errors.New("gone")
	_, err := n.Explain(context.Background(), admin.ExplainRequest{Name: dns.MustParseName("www.silent.example"), Type: dns.TypeA}, func(e admin.Event) error {
		if e.Kind == "ask" {
			return gone
		}
		return nil
	})
	if err != nil { // a resolution that was cut short has failed, which is an answer
		t.Errorf("%v", err)
	}
}

// Random numbers are drawn by many at once, and none comes twice.
func TestRandom(t *testing.T) {
	random := newRandom()
	const drawers, each = 8, 10_000
	got := make([][]uint64, drawers)
	var all sync.WaitGroup
	for i := range got {
		all.Go(func() {
			for range each {
				got[i] = append(got[i], random())
			}
		})
	}
	all.Wait()
	seen := make(map[uint64]bool, drawers*each)
	for _, v := range slices.Concat(got...) {
		if seen[v] { // chance: once in 5 billion runs
			t.Fatalf("%d came twice", v)
		}
		seen[v] = true
	}
}

// What a client is refused whatever its name is told as it is told the client, and nobody is asked.
func TestExplainOfWhatIsRefused(t *testing.T) {
	b := newBench(t, plain)
	n := b.start()
	for typ, want := range map[dns.Type]struct {
		rcode string
		ede   uint16
		text  string
	}{
		dns.TypeOPT: {"FORMERR", 30, "OPT can't be asked for"}, dns.TypeAXFR: {"REFUSED", 21, "zones are not transferred here"},
		dns.TypeIXFR: {"REFUSED", 21, "zones are not transferred here"}, dns.TypeMAILB: {"NOTIMP", 21, "MAILB is obsolete"},
	} {
		var steps []string
		a, err := n.Explain(t.Context(), admin.ExplainRequest{Name: wwwExample, Type: typ}, func(e admin.Event) error {
			steps = append(steps, e.Kind+" "+e.Text)
			return nil
		})
		if err != nil || a.RCode != want.rcode || len(a.Errors) != 1 || a.Errors[0].Code != want.ede || a.Errors[0].Text != want.text || len(steps) != 2 || !strings.HasSuffix(steps[1], want.text) {
			t.Errorf("%v: %+v, %q, %v", typ, a, steps, err)
		}
	}
	if asked := b.lab.Stats().Questions; asked != 0 {
		t.Errorf("%d questions were asked", asked)
	}
	// The client that does not listen any more ends it.
	if _, err := n.Explain(t.Context(), admin.ExplainRequest{Name: wwwExample, Type: dns.TypeAXFR}, func(admin.Event) error { return context.Canceled }); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
