package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

func TestWhatIsAskedWrongly(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		method, target, body string
		problem, detail      string
	}{
		{"GET", "/nothing", "", "path", `"/nothing"`},
		{"GET", "/api/v1/status/", "", "path", ""},
		{"GET", "/api/v1/reload", "", "method", ""},
		{"POST", "/api/v1/status", "", "method", ""},
		{"DELETE", "/api/v1/cache", "", "method", ""},
		{"GET", "/api/v1/status?verbose=1", "", "parameter", "verbose"},
		{"POST", "/api/v1/reload?dry=true", "", "parameter", "dry"},
		{"GET", "/api/v1/cache?name=a.example&name=b.example", "", "parameter", "twice"},
		{"GET", "/api/v1/cache?name=%zz", "", "parameter", ""},
		{"GET", "/api/v1/cache?name=", "", "parameter", ""},
		{"GET", "/api/v1/cache?name=a..example", "", "parameter", "empty label"},
		{"GET", "/api/v1/cache?name=a.example&subtree=yes", "", "parameter", `subtree is "yes"`},
		{"GET", "/api/v1/cache?name=a.example&subtree=", "", "parameter", "subtree"},
		{"GET", "/api/v1/cache?limit=0", "", "parameter", "limit"},
		{"GET", "/api/v1/cache?limit=10001", "", "parameter", "limit"},
		{"GET", "/api/v1/cache?limit=many", "", "parameter", "limit"},
		{"GET", "/api/v1/queries?subtree=true", "", "parameter", "subtree"},
		{"GET", "/api/v1/queries?limit=2001", "", "parameter", "limit"},
		{"GET", "/api/v1/queries?name=a..example", "", "parameter", "empty label"},
		{"GET", "/api/v1/queries?client=", "", "parameter", `"" is neither`},
		{"GET", "/api/v1/queries?client=192.0.2", "", "parameter", `"192.0.2" is neither`},
		{"GET", "/api/v1/queries?client=fe80::1%25eth0", "", "parameter", "neither"},
		{"GET", "/api/v1/explain", "", "parameter", "name is missing"},
		{"GET", "/api/v1/explain?name=a.example&type=WHAT", "", "parameter", "WHAT"},
		{"GET", "/api/v1/explain?name=a.example&depth=101", "", "parameter", "depth"},
		{"GET", "/api/v1/explain?name=a.example&fresh=1", "", "parameter", "fresh"},
		{"POST", "/api/v1/cache/purge", `{"subtree":true}`, "body", "name is missing"},
		{"POST", "/api/v1/cache/purge", `{"name":"a.example","subtre":true}`, "body", "subtre"},
		{"POST", "/api/v1/cache/purge", `{"name":"a.example"} {}`, "body", "follows"},
		{"POST", "/api/v1/cache/purge", `{"name":"a.example"`, "body", ""},
		{"POST", "/api/v1/cache/purge", `["a.example"]`, "body", ""},
		{"POST", "/api/v1/cache/purge", ` `, "body", "empty"},
		{"POST", "/api/v1/cache/purge", `{"name":"a..example"}`, "parameter", "empty label"},
		{"POST", "/api/v1/cache/purge", `{"name":"` + strings.Repeat("a", MaxBodyBytes) + `"}`, "body-size", "65536"},
	} {
		p := b.problem(b.request(c.method, c.target, c.body), c.problem)
		if !strings.Contains(p.Detail, c.detail) {
			t.Errorf("%s %s: detail %q, want %q in it", c.method, c.target, p.Detail, c.detail)
		}
		if p.Hint == "" && c.problem != "body-size" {
			t.Errorf("%s %s: no hint", c.method, c.target)
		}
	}
	if !b.metric(`ananas_admin_limit_reached_total{limit="body"} 1`) {
		t.Error("the limit of the body is not counted")
	}

	r := b.request("POST", "/api/v1/cache/purge", `{"name":"a.example"}`)
	r.Header.Set("Content-Type", "text/plain") // what a form of another site can send
	b.problem(r, "media-type")
}

func TestWhatTheNodeCannotDo(t *testing.T) {
	b := newBench(t)
	b.node.reload = func(context.Context) (Reloaded, error) { return Reloaded{}, errBroken }
	if p := b.problem(b.request("POST", "/api/v1/reload", ""), "settings"); p.Detail != errBroken.Error() || p.Hint != "mend line 7" {
		t.Errorf("got %+v", p)
	}
	b.node.list = func(context.Context, CacheQuery) (CacheList, error) { return CacheList{}, errors.New("no cache") }
	b.problem(b.request("GET", "/api/v1/cache", ""), "failed")
	b.node.purge = func(context.Context, Purge) (Purged, error) { panic("purging") }
	p := b.problem(b.request("POST", "/api/v1/cache/purge", `{"name":"."}`), "crash")
	crashes := b.crashes.List()
	if len(crashes) != 1 || !strings.Contains(p.Detail, crashes[0].Signature) || crashes[0].What != "answering the admin request POST /api/v1/cache/purge" {
		t.Errorf("got %+v and the crashes %+v", p, crashes)
	}
}

func TestWhatTheNodeDoesNotOffer(t *testing.T) {
	b := newBench(t, func(c *Config) {
		c.Reloader, c.Cache, c.Explain, c.Samples, c.Status, c.Health, c.Modules, c.Pprof = nil, nil, nil, nil, nil, nil, nil, false
	})
	b.problem(b.request("GET", "/", ""), "missing")
	b.problem(b.request("GET", "/api/v1/status", ""), "missing")
	b.problem(b.request("POST", "/api/v1/reload", ""), "missing")
	b.problem(b.request("GET", "/api/v1/cache", ""), "missing")
	b.problem(b.request("POST", "/api/v1/cache/purge", `{"name":"."}`), "missing")
	b.problem(b.request("GET", "/api/v1/explain?name=.", ""), "missing")
	b.problem(b.request("GET", "/api/v1/queries", ""), "missing")
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline"} {
		b.problem(b.request("GET", path, ""), "path")
	}
	if w := b.do(b.request("GET", "/readyz", "")); w.Code != http.StatusServiceUnavailable {
		t.Errorf("a node without checks is ready: HTTP %d", w.Code)
	}
}

func TestReadiness(t *testing.T) {
	b := newBench(t)
	b.health.Warn("testing clock", func() string { return "the clock is fixed" })
	w := b.do(b.request("GET", "/readyz", ""))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "the clock is fixed") {
		t.Errorf("HTTP %d %s", w.Code, w.Body)
	}
	b.health.Check("dns", func() error { return errors.New("draining") })
	w = b.do(b.request("GET", "/readyz", ""))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "draining") {
		t.Errorf("HTTP %d %s", w.Code, w.Body)
	}
	if w := b.do(b.request("GET", "/healthz", "")); w.Code != http.StatusOK {
		t.Errorf("a node that is not ready is not alive: HTTP %d", w.Code)
	}
}

func TestCacheQueriesReachTheNode(t *testing.T) {
	b := newBench(t)
	var got CacheQuery
	b.node.list = func(_ context.Context, q CacheQuery) (CacheList, error) { got = q; return CacheList{}, nil }
	for target, want := range map[string]CacheQuery{
		"/api/v1/cache":                                        {dns.Root, true, DefaultCacheLimit},
		"/api/v1/cache?name=www.Example.com":                   {dns.MustParseName("www.Example.com"), false, DefaultCacheLimit},
		"/api/v1/cache?name=example.com&subtree=true&limit=7":  {dns.MustParseName("example.com"), true, 7},
		"/api/v1/cache?name=.&subtree=false&limit=10000":       {dns.Root, false, MaxCacheLimit},
		"/api/v1/cache?name=a%5C.b.example.com&subtree=false":  {dns.MustParseName(`a\.b.example.com`), false, DefaultCacheLimit},
		"/api/v1/cache?name=%5C000.example.com.&subtree=false": {dns.MustParseName(`\000.example.com`), false, DefaultCacheLimit},
	} {
		if w := b.do(b.request("GET", target, "")); w.Code != http.StatusOK || got != want {
			t.Errorf("%s: HTTP %d, the node was asked %+v, want %+v", target, w.Code, got, want)
		}
	}
	var purged Purge
	b.node.purge = func(_ context.Context, p Purge) (Purged, error) { purged = p; return Purged{}, nil }
	w := b.do(b.request("POST", "/api/v1/cache/purge", `{"name":"example.com","subtree":true}`))
	if want := (Purge{dns.MustParseName("example.com"), true}); w.Code != http.StatusOK || purged != want {
		t.Errorf("HTTP %d %s, the node was asked %+v", w.Code, w.Body, purged)
	}
}

func TestSampleQueriesReachTheNode(t *testing.T) {
	b := newBench(t)
	var got SampleQuery
	b.node.samples = func(_ context.Context, q SampleQuery) (SampleList, error) { got = q; return SampleList{}, nil }
	for target, want := range map[string]SampleQuery{
		"/api/v1/queries": {Name: dns.Root, Limit: DefaultSampleLimit},
		"/api/v1/queries?name=Example.com&limit=2000":      {Name: dns.MustParseName("Example.com"), Limit: MaxSampleLimit},
		"/api/v1/queries?client=192.0.2.7":                 {Name: dns.Root, Client: netip.MustParsePrefix("192.0.2.7/32"), Limit: DefaultSampleLimit},
		"/api/v1/queries?client=::ffff:192.0.2.7":          {Name: dns.Root, Client: netip.MustParsePrefix("192.0.2.7/32"), Limit: DefaultSampleLimit},
		"/api/v1/queries?client=2001:db8::/48&name=&limit": {},
		"/api/v1/queries?client=2001:db8::7/48":            {},
		"/api/v1/queries?from=cache,refused&limit=1":       {Name: dns.Root, From: "cache,refused", Limit: 1},
		"/api/v1/queries?from=":                            {},
		"/api/v1/queries?from=cache,nowhere":               {},
		"/api/v1/queries?client=2001:db8::/48&limit=1":     {Name: dns.Root, Client: netip.MustParsePrefix("2001:db8::/48"), Limit: 1},
	} {
		got = SampleQuery{}
		if w := b.do(b.request("GET", target, "")); got != want || (w.Code == http.StatusOK) != (want.Limit > 0) {
			t.Errorf("%s: HTTP %d, the node was asked %+v, want %+v", target, w.Code, got, want)
		}
	}
}

// What works too long is cut off and told apart from what failed.
func TestRequestsHaveADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		begun := time.Now()
		b.node.reload = func(ctx context.Context) (Reloaded, error) { <-ctx.Done(); return Reloaded{}, ctx.Err() }
		b.problem(b.request("POST", "/api/v1/reload", ""), "timeout")
		if got := time.Since(begun); got != requestTimeout {
			t.Errorf("a reload ended after %v", got)
		}
		begun = time.Now()
		b.node.explain = func(ctx context.Context, _ ExplainRequest, _ func(Event) error) (ExplainAnswer, error) {
			<-ctx.Done()
			return ExplainAnswer{}, ctx.Err()
		}
		b.problem(b.request("GET", "/api/v1/explain?name=.", ""), "timeout")
		if got := time.Since(begun); got != explainTimeout {
			t.Errorf("an explain ended after %v", got)
		}
	})
}

func TestRequestsAtOneTimeAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		release := make(chan struct{})
		b.node.list = func(context.Context, CacheQuery) (CacheList, error) { <-release; return CacheList{}, nil }
		for range MaxRequests {
			go b.do(b.request("GET", "/api/v1/cache", ""))
		}
		synctest.Wait()
		if w := b.do(b.request("GET", "/healthz", "")); w.Code != http.StatusOK {
			t.Errorf("a busy node seems dead: HTTP %d", w.Code)
		}
		r := b.request("GET", "/readyz", "")
		b.problem(r, "busy")
		if got := b.do(r).Header().Get("Retry-After"); got != "1" {
			t.Errorf("Retry-After is %q", got)
		}
		close(release)
		synctest.Wait()
		if w := b.do(r); w.Code != http.StatusOK {
			t.Errorf("afterwards: HTTP %d", w.Code)
		}
		if !b.metric(`ananas_admin_limit_reached_total{limit="requests"} 2`) {
			t.Error("the limit is not counted")
		}
	})
}

func TestEveryAnswerForbidsSniffingAndStoring(t *testing.T) {
	b := newBench(t)
	for _, target := range []string{"/", "/healthz", "/metrics", "/nothing"} {
		h := b.do(b.request("GET", target, "")).Header()
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Cross-Origin-Resource-Policy": "same-origin"} {
			if h.Get(name) != want {
				t.Errorf("%s: %s is %q", target, name, h.Get(name))
			}
		}
	}
}

func TestPprofWhereSwitchedOn(t *testing.T) {
	b := newBench(t)
	for target, want := range map[string]string{
		"/debug/pprof/":                  "goroutine",
		"/debug/pprof/goroutine?debug=1": "goroutine profile:",
		"/debug/pprof/cmdline":           "admin",
	} {
		if w := b.do(b.request("GET", target, "")); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: HTTP %d %.80s", target, w.Code, w.Body)
		}
	}
	if !b.metric(`ananas_admin_requests_total{route="/debug/pprof/",status="200"} 3`) {
		t.Error("profiles are not counted under one route")
	}
}

// The metric of requests must not grow with what strangers ask for.
func TestUnknownPathsAreCountedTogether(t *testing.T) {
	b := newBench(t)
	for _, path := range []string{"/a", "/b", "/c"} {
		b.problem(b.request("GET", path, ""), "path")
	}
	if !b.metric(`ananas_admin_requests_total{route="unknown",status="404"} 3`) {
		t.Error("three unknown paths are not one series")
	}
}

func TestStatusIsComplete(t *testing.T) {
	b := newBench(t)
	b.crashes.Report("answering x", "oops", nil)
	var s Status
	if err := json.Unmarshal(b.do(b.request("GET", "/api/v1/status", "")).Body.Bytes(), &s); err != nil {
		t.Fatal(err)
	}
	if s.Name != "lis01" || !s.Health.Ready || len(s.Crashes) != 1 || !s.Now.Equal(moment) || s.Queries.Total != 1234567 {
		t.Errorf("got %+v", s)
	}
}
