package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/ananas-edge/ananas/dns"
)

// tree emits a story of two levels and more.
func tree(_ context.Context, r ExplainRequest, emit func(Event) error) (ExplainAnswer, error) {
	for _, e := range []Event{{Seq: 1}, {Seq: 2, Parent: 1}, {Seq: 3, Parent: 2}, {Seq: 4, Parent: 1}, {Seq: 5}, {Seq: 6, Parent: 3}} {
		if err := emit(e); err != nil {
			return ExplainAnswer{}, err
		}
	}
	return ExplainAnswer{Name: r.Name.String()}, nil
}

// lines splits a stream into the seq of its events and its end.
func lines(t *testing.T, body string) (seqs string, end explainEnd) {
	t.Helper()
	all := strings.Split(strings.TrimSuffix(body, "\n"), "\n")
	for _, l := range all[:len(all)-1] {
		var e Event
		if err := json.Unmarshal([]byte(l), &e); err != nil || e.Seq == 0 {
			t.Fatalf("line %q: %+v, %v", l, e, err)
		}
		seqs += fmt.Sprint(e.Seq)
	}
	if err := json.Unmarshal([]byte(all[len(all)-1]), &end); err != nil || (end.Answer == nil) == (end.Problem == nil) {
		t.Fatalf("last line %q: %v", all[len(all)-1], err)
	}
	return seqs, end
}

func TestExplainDepth(t *testing.T) {
	b := newBench(t)
	b.node.explain = tree
	for target, want := range map[string]string{"": "123456", "&depth=1": "15", "&depth=2": "1245", "&depth=3": "12345", "&depth=100": "123456"} {
		w := b.do(b.request("GET", "/api/v1/explain?name=www.example"+target, ""))
		got, end := lines(t, w.Body.String())
		if got != want || end.Answer == nil || end.Answer.Name != "www.example." {
			t.Errorf("%q: events %s, end %+v; want events %s", target, got, end, want)
		}
		if ct := w.Header().Get("Content-Type"); ct != "application/x-ndjson" {
			t.Errorf("content type %q", ct)
		}
	}
}

func TestExplainRequestReachesTheNode(t *testing.T) {
	b := newBench(t)
	var got ExplainRequest
	b.node.explain = func(_ context.Context, r ExplainRequest, _ func(Event) error) (ExplainAnswer, error) {
		got = r
		return ExplainAnswer{}, nil
	}
	for target, want := range map[string]ExplainRequest{
		"name=www.example":                       {Name: dns.MustParseName("www.example"), Type: dns.TypeA, Fresh: false},
		"name=www.example&type=aaaa&fresh=true":  {Name: dns.MustParseName("www.example"), Type: dns.TypeAAAA, Fresh: true},
		"name=.&type=TYPE65280&fresh=false":      {Name: dns.Root, Type: dns.Type(65280), Fresh: false},
		"name=a%5C.b.example.&type=NS&depth=100": {Name: dns.MustParseName(`a\.b.example.`), Type: dns.TypeNS, Fresh: false},
	} {
		if w := b.do(b.request("GET", "/api/v1/explain?"+target, "")); w.Code != http.StatusOK || got != want {
			t.Errorf("%s: HTTP %d, the node was asked %+v, want %+v", target, w.Code, got, want)
		}
	}
}

func TestExplainThatFails(t *testing.T) {
	b := newBench(t)
	b.node.explain = func(context.Context, ExplainRequest, func(Event) error) (ExplainAnswer, error) {
		return ExplainAnswer{}, errBroken
	}
	if p := b.problem(b.request("GET", "/api/v1/explain?name=.", ""), "explain"); p.Hint != "mend line 7" {
		t.Errorf("before the first event: %+v", p)
	}
	b.node.explain = func(_ context.Context, _ ExplainRequest, emit func(Event) error) (ExplainAnswer, error) {
		emit(Event{Seq: 1})
		return ExplainAnswer{}, errBroken
	}
	w := b.do(b.request("GET", "/api/v1/explain?name=.", ""))
	got, end := lines(t, w.Body.String())
	if got != "1" || end.Problem == nil || end.Problem.Type != ProblemPrefix+"explain" || end.Problem.Hint != "mend line 7" {
		t.Errorf("after the first event: %s, %+v", got, end)
	}
}

func TestExplainEventsAreBounded(t *testing.T) {
	b := newBench(t)
	b.node.explain = flat(MaxExplainEvents + 7)
	w := b.do(b.request("GET", "/api/v1/explain?name=.", ""))
	if got := strings.Count(w.Body.String(), "\n"); got != MaxExplainEvents+1 {
		t.Errorf("%d lines", got)
	}
	if _, end := lines(t, w.Body.String()); end.Dropped != 7 {
		t.Errorf("%d dropped, want 7", end.Dropped)
	}
	if !b.metric(`ananas_admin_limit_reached_total{limit="explain_events"} 1`) {
		t.Error("the limit is not counted")
	}
}

// flat emits n events of which every second one is part of the one before.
func flat(n int) func(context.Context, ExplainRequest, func(Event) error) (ExplainAnswer, error) {
	return func(_ context.Context, _ ExplainRequest, emit func(Event) error) (ExplainAnswer, error) {
		for i := range n {
			emit(Event{Seq: i + 1, Parent: i * (i % 2)})
		}
		return ExplainAnswer{}, nil
	}
}

// Branches of a resolution run side by side; their lines must come out whole, and none after the end.
func TestExplainFromManyGoroutines(t *testing.T) {
	b := newBench(t)
	late := make(chan func(Event) error, 1)
	b.node.explain = func(_ context.Context, _ ExplainRequest, emit func(Event) error) (ExplainAnswer, error) {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for j := range 50 {
					emit(Event{Seq: i*50 + j + 1, Text: strings.Repeat("x", 100)})
				}
			})
		}
		wg.Wait()
		late <- emit
		return ExplainAnswer{}, nil
	}
	w := b.do(b.request("GET", "/api/v1/explain?name=.", ""))
	before := w.Body.String()
	lines(t, before)
	if got := strings.Count(before, "\n"); got != 401 {
		t.Errorf("%d lines", got)
	}
	if err := (<-late)(Event{Seq: 999}); !errors.Is(err, errStoryOver) || w.Body.String() != before {
		t.Errorf("an event after the end: %v", err)
	}
}

func TestExplainsAtOneTimeAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		release := make(chan struct{})
		b.node.explain = func(context.Context, ExplainRequest, func(Event) error) (ExplainAnswer, error) {
			<-release
			return ExplainAnswer{}, nil
		}
		for range MaxExplains {
			go b.do(b.request("GET", "/api/v1/explain?name=.", ""))
		}
		synctest.Wait()
		b.problem(b.request("GET", "/api/v1/explain?name=.", ""), "busy")
		close(release)
		synctest.Wait()
		if w := b.do(b.request("GET", "/api/v1/explain?name=.", "")); w.Code != http.StatusOK {
			t.Errorf("afterwards: HTTP %d", w.Code)
		}
		if !b.metric(`ananas_admin_limit_reached_total{limit="explains"} 1`) {
			t.Error("the limit is not counted")
		}
	})
}

// Each event is on the wire before the next one happens.
func TestExplainStreams(t *testing.T) {
	b := newBench(t)
	base := b.serve()
	next := make(chan struct{})
	b.node.explain = func(_ context.Context, _ ExplainRequest, emit func(Event) error) (ExplainAnswer, error) {
		for i := range 3 {
			emit(Event{Seq: i + 1})
			<-next
		}
		return ExplainAnswer{}, nil
	}
	response := b.get(base + "/api/v1/explain?name=.")
	defer response.Body.Close()
	in := bufio.NewScanner(response.Body)
	for i := range 3 {
		if !in.Scan() || !strings.HasPrefix(in.Text(), fmt.Sprintf(`{"seq":%d,`, i+1)) {
			t.Fatalf("line %d is %q, %v", i, in.Text(), in.Err())
		}
		next <- struct{}{}
	}
	if !in.Scan() || !strings.HasPrefix(in.Text(), `{"answer":`) || in.Scan() {
		t.Errorf("at the end: %q, %v", in.Text(), in.Err())
	}
}

// A resolution that nobody listens to any more is given up.
func TestExplainEndsWithItsClient(t *testing.T) {
	b := newBench(t)
	base := b.serve()
	ended := make(chan error)
	b.node.explain = func(ctx context.Context, _ ExplainRequest, emit func(Event) error) (ExplainAnswer, error) {
		emit(Event{Seq: 1})
		<-ctx.Done()
		ended <- ctx.Err()
		return ExplainAnswer{}, ctx.Err()
	}
	b.get(base + "/api/v1/explain?name=.").Body.Close()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

// Half a story must not look like a whole one.
func TestExplainThatPanicsIsCutOff(t *testing.T) {
	b := newBench(t)
	base := b.serve()
	b.node.explain = func(_ context.Context, _ ExplainRequest, emit func(Event) error) (ExplainAnswer, error) {
		emit(Event{Seq: 1})
		panic("in the middle")
	}
	response := b.get(base + "/api/v1/explain?name=.")
	defer response.Body.Close()
	in := bufio.NewScanner(response.Body)
	for in.Scan() {
		if !strings.HasPrefix(in.Text(), `{"seq":1,`) {
			t.Errorf("line %q", in.Text())
		}
	}
	if in.Err() == nil {
		t.Error("the stream ended well")
	}
	if got := b.crashes.List(); len(got) != 1 {
		t.Errorf("crashes: %+v", got)
	}
}

// As another client asks who has the token, also from this machine; the node is told the address.
func TestExplainAsAClient(t *testing.T) {
	b := newBench(t)
	var asked []netip.Addr
	b.node.explain = func(_ context.Context, r ExplainRequest, _ func(Event) error) (ExplainAnswer, error) {
		asked = append(asked, r.Client)
		return ExplainAnswer{Client: r.Client}, nil
	}
	for _, c := range []struct {
		query   string
		token   bool
		problem string // "": none
		want    netip.Addr
	}{
		{"", false, "", netip.Addr{}},
		{"&client=192.0.2.7", false, "token", netip.Addr{}},
		{"&client=192.0.2.7", true, "", netip.MustParseAddr("192.0.2.7")},
		{"&client=::ffff:192.0.2.7", true, "", netip.MustParseAddr("192.0.2.7")},
		{"&client=2001:db8::7", true, "", netip.MustParseAddr("2001:db8::7")},
		{"&client=127.0.0.1", false, "token", netip.Addr{}},
		{"&client=", true, "parameter", netip.Addr{}},
		{"&client=192.0.2.0/24", true, "parameter", netip.Addr{}},
		{"&client=fe80::1%25eth0", true, "parameter", netip.Addr{}},
	} {
		asked = nil
		r := b.request("GET", "/api/v1/explain?name=."+c.query, "")
		if r.Header.Del("Authorization"); c.token {
			r.Header.Set("Authorization", "Bearer "+b.token)
		}
		if c.problem != "" {
			if p := b.problem(r, c.problem); p.Hint == "" || asked != nil {
				t.Errorf("%s: %+v, %v", c.query, p, asked)
			}
			continue
		}
		_, end := lines(t, b.do(r).Body.String())
		if len(asked) != 1 || asked[0] != c.want || end.Answer == nil || end.Answer.Client != c.want {
			t.Errorf("%s: %v, %+v", c.query, asked, end)
		}
	}
}
