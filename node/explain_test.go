package node

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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

// As a client it is explained what that client gets: whether it may ask, what modules say to it, and whose servers its view has asked.
func TestExplainAsAClient(t *testing.T) {
	b := newBench(t, strings.Replace(withActs, "phase: query", "phase: query, grant: [client]", 1)+`
  access: { allow: [127.0.0.0/8, 192.0.2.0/24, 198.51.100.0/24, 10.0.0.0/8] }
  tenants: [{ tag: office, clients: [10.1.0.0/16] }, { tag: lobby, clients: [10.2.0.0/16] }]
  groups: [{ name: office, kind: stub, zone: nowhere.example, servers: [192.0.2.99] }, { name: lobby, kind: stub, zone: nowhere.example, servers: [192.0.2.99] }, { name: inside, kind: stub, zone: nowhere.example, servers: [192.0.2.99] }]
  views: [{ tenants: [office], group: inside }]
`)
	b.write("acts.wasm", acts(t, "phases: [query]\nneeds: [client]\n"))
	n := b.start()
	for _, c := range []struct {
		client, name string
		rcode        string
		steps        []string // in this order; each is the beginning of one
	}{
		{"", "client.example.com", "NXDOMAIN", []string{"module acts at phase query: go on", "resolve resolve client.example.com. A"}},
		{"192.0.2.2", "client.example.com", "NXDOMAIN", []string{"client 192.0.2.2 asks, of no tenant", "module acts at phase query: NXDOMAIN"}},
		{"192.0.2.3", "client.example.com", "NXDOMAIN", []string{"client 192.0.2.3 asks, of no tenant", "module acts at phase query: go on", "resolve resolve client.example.com. A"}},
		{"10.1.0.1", "www.example.com", "NOERROR", []string{"client 10.1.0.1 asks, of tenant office", "module acts at phase query: go on", "module the query goes to the servers of group inside: a view says so", "resolve "}},
		{"10.2.0.1", "www.example.com", "NOERROR", []string{"client 10.2.0.1 asks, of tenant lobby", "module acts at phase query: go on", "resolve "}},
		{"10.2.0.1", "tenant.example.com", "NXDOMAIN", []string{"client 10.2.0.1 asks, of tenant lobby", "module acts at phase query: go on, to group lobby", "module the query goes to the servers of group lobby: the module acts says so"}},
		{"203.0.113.1", "www.example.com", "REFUSED", []string{"client 203.0.113.1 asks, of no tenant", "resolve resolve www.example.com. A", "answer REFUSED at once, and no server is asked: 203.0.113.1 is in no prefix of access.allow"}},
	} {
		req := admin.ExplainRequest{Name: dns.MustParseName(c.name), Type: dns.TypeA}
		if c.client != "" {
			req.Client = netip.MustParseAddr(c.client)
		}
		var steps []string
		a, err := n.Explain(t.Context(), req, func(e admin.Event) error {
			steps = append(steps, e.Kind+" "+e.Text)
			return nil
		})
		at := 0
		for _, s := range steps {
			if at < len(c.steps) && strings.HasPrefix(s, c.steps[at]) {
				at++
			}
		}
		if err != nil || a.RCode != c.rcode || a.Client != req.Client || at < len(c.steps) || c.client != "" && !strings.HasPrefix(steps[0], "client ") {
			t.Errorf("%q asks for %s: %v, %+v\n%s", c.client, c.name, err, a, strings.Join(steps, "\n"))
		}
	}
	// Who may not ask is told that whatever he asks for.
	a, err := n.Explain(t.Context(), admin.ExplainRequest{Name: wwwExample, Type: dns.TypeAXFR, Client: netip.MustParseAddr("203.0.113.1")}, func(admin.Event) error { return nil })
	if err != nil || len(a.Errors) != 1 || a.Errors[0].Code != 18 {
		t.Errorf("%+v, %v", a, err)
	}
}

// What a negative trust anchor leaves without validation is told apart from what is proved to be unsigned, also of a part of the answer; cached or not.
func TestExplainBelowANegativeAnchor(t *testing.T) {
	b := newBenchIn(t, `
[defaults]
latency 1ms
[zone good.example servers=192.0.2.1]
www A 192.0.2.80
alias CNAME www.shop.example.
gone CNAME nobody.shop.example.
[zone shop.example servers=192.0.2.2 signatures=expired]
www A 192.0.2.81
[zone club.example servers=192.0.2.3 ds=wrong]
www A 192.0.2.82
[zone past.example servers=192.0.2.4]
www A 192.0.2.83
[zone plain.example servers=192.0.2.5 sign=none]
www A 192.0.2.84
`, strings.Replace(plain, "trust_anchors: none", `trust_anchors: lab.anchors, trust_anchor_updates: false, negative_trust_anchors: [shop.example, { zone: club.example, until: 2199-01-01T00:00:00Z }, { zone: past.example, until: 2020-01-01T00:00:00Z }]`, 1))
	b.write("lab.anchors", b.lab.TrustAnchors())
	n := b.start()
	shop, club := admin.NegativeAnchor{Zone: "shop.example."}, admin.NegativeAnchor{Zone: "club.example.", Until: time.Date(2199, 1, 1, 0, 0, 0, 0, time.UTC)}
	for _, c := range []struct {
		name, rcode, security string
		want                  *admin.NegativeAnchor
	}{
		{"www.good.example", "NOERROR", "secure", nil},
		{"www.shop.example", "NOERROR", "insecure", &shop},
		{"nobody.shop.example", "NXDOMAIN", "insecure", &shop},
		{"www.club.example", "NOERROR", "insecure", &club},
		{"alias.good.example", "NOERROR", "insecure", &shop},
		{"gone.good.example", "NXDOMAIN", "insecure", &shop},
		{"www.past.example", "NOERROR", "secure", nil},
		{"www.plain.example", "NOERROR", "insecure", nil},
		{"nobody.plain.example", "NXDOMAIN", "insecure", nil},
	} {
		for _, how := range []string{"resolved", "from the cache"} {
			if _, a := explain(t, n, c.name, false); a.RCode != c.rcode || a.Security != c.security || !reflect.DeepEqual(a.NegativeAnchor, c.want) {
				t.Errorf("%s, %s: %s, %s, %+v, want %s, %s, %+v", c.name, how, a.RCode, a.Security, a.NegativeAnchor, c.rcode, c.security, c.want)
			}
		}
	}
	// The DS record of the zone is its parent's, which is validated.
	a, err := n.Explain(t.Context(), admin.ExplainRequest{Name: dns.MustParseName("shop.example"), Type: dns.TypeDS}, func(admin.Event) error { return nil })
	if err != nil || a.Security != "secure" || a.NegativeAnchor != nil {
		t.Errorf("%+v, %v", a, err)
	}
}
