package admin

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Every combination of where a request comes from, its token, its Host, its Origin and its method; what is wrong with each is
// written beside it, and the first thing wrong decides.
func TestAccessRules(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Address = "Admin.Example.:8053" })
	type choice struct {
		what string
		set  func(r *http.Request)
		ok   bool
	}
	header := func(name string, values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header[name] = values }
	}
	host := func(h string) func(*http.Request) { return func(r *http.Request) { r.Host = h } }
	from := func(a string) func(*http.Request) { return func(r *http.Request) { r.RemoteAddr = a } }
	proxied := func(name string) func(*http.Request) {
		return func(r *http.Request) { r.RemoteAddr = "127.0.0.1:40000"; r.Header.Set(name, "192.0.2.9") }
	}
	froms := []choice{ // ok: this machine
		{"loopback", from("127.0.0.1:40000"), true},
		{"other loopback", from("127.8.9.10:40000"), true},
		{"IPv6 loopback", from("[::1]:40000"), true},
		{"mapped loopback", from("[::ffff:127.0.0.1]:40000"), true},
		{"elsewhere", from("192.0.2.9:40000"), false},
		{"IPv6 elsewhere", from("[2001:db8::9]:40000"), false},
		{"no address", from("@"), false},
		{"proxy", proxied("X-Forwarded-For"), false},
		{"proxy of RFC 7239", proxied("Forwarded"), false},
		{"proxy that says Via", proxied("Via"), false},
	}
	tokens := []choice{
		{"no token", func(*http.Request) {}, false},
		{"the token", header("Authorization", "Bearer "+b.token), true},
		{"the token, small letters", header("Authorization", "bearer  "+b.token), true},
		{"another token", header("Authorization", "Bearer "+strings.Repeat("0", 64)), false},
		{"the start of the token", header("Authorization", "Bearer "+b.token[:63]), false},
		{"empty token", header("Authorization", "Bearer "), false},
		{"other scheme", header("Authorization", "Basic "+b.token), false},
		{"two tokens", header("Authorization", "Bearer "+b.token, "Bearer "+b.token), false},
	}
	hosts := []choice{
		{"loopback host", host("127.0.0.1:8053"), true},
		{"forwarded port", host("127.0.0.1:9000"), true},
		{"localhost", host("LocalHost"), true},
		{"IPv6 host", host("[::1]:8053"), true},
		{"configured host", host("admin.example:8053"), true},
		{"address that was connected to", host("192.0.2.53:8053"), true},
		{"rebound name", host("evil.example:8053"), false},
		{"name that begins well", host("localhost.evil.example"), false},
		{"name that looks like an address", host("127.0.0.1.evil.example"), false},
		{"other address", host("192.0.2.54:8053"), false},
		{"any address", host("0.0.0.0:8053"), false},
		{"no host", host(""), false},
	}
	origins := []choice{
		{"no origin", func(*http.Request) {}, true},
		{"same origin", func(r *http.Request) { r.Header.Set("Origin", "http://"+r.Host) }, true},
		{"other site", header("Origin", "http://evil.example"), false},
		{"null", header("Origin", "null"), false},
		{"other port", header("Origin", "http://127.0.0.1:1"), false},
		{"same and other", func(r *http.Request) { r.Header["Origin"] = []string{"http://" + r.Host, "http://evil.example"} }, false},
		{"cross-site fetch", header("Sec-Fetch-Site", "cross-site"), false},
		{"another port of this machine", header("Sec-Fetch-Site", "same-site"), false},
		{"own fetch", header("Sec-Fetch-Site", "same-origin"), true},
		{"typed address", header("Sec-Fetch-Site", "none"), true},
	}
	methods := map[string]bool{ // reads
		"GET": true, "HEAD": true, "POST": false, "PUT": false, "DELETE": false, "PATCH": false, "OPTIONS": false, "TRACE": false,
	}

	local := context.WithValue(t.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 53), Port: 8053}))
	for _, f := range froms {
		for _, tk := range tokens {
			for _, h := range hosts {
				for _, o := range origins {
					for method, read := range methods {
						r := httptest.NewRequestWithContext(local, method, "/api/v1/status", nil)
						for _, c := range []choice{f, tk, h, o} {
							c.set(r)
						}
						want := ""
						switch {
						case !h.ok:
							want = "host"
						case !o.ok:
							want = "origin"
						case (!read || !f.ok) && !tk.ok:
							want = "token"
						}
						got := ""
						if p := b.access.check(r); p != nil {
							got = strings.TrimPrefix(p.Type, ProblemPrefix)
							if p.Hint == "" {
								t.Errorf("the refusal %q has no hint", got)
							}
						}
						if got != want {
							t.Errorf("%s, %s, %s, %s, %s: refused for %q, want %q", method, f.what, tk.what, h.what, o.what, got, want)
						}
					}
				}
			}
		}
	}
}

func TestOriginIsComparedWithTheHost(t *testing.T) {
	for _, c := range []struct {
		origin, host string
		same         bool
	}{
		{"http://127.0.0.1:8053", "127.0.0.1:8053", true},
		{"http://LOCALHOST:8053", "localhost:8053", true},
		{"http://localhost", "localhost:80", true},
		{"https://localhost", "localhost:443", true},
		{"https://localhost:443", "localhost", true},
		{"http://[::1]:8053", "[0:0::1]:8053", true},
		{"http://localhost:8053", "127.0.0.1:8053", false},
		{"http://localhost", "localhost:8053", false},
		{"http://localhost:8053.evil.example", "localhost:8053", false},
		{"http://user@localhost:8053", "localhost:8053", false},
		{"http://localhost:8053/", "localhost:8053", false},
		{"file://localhost:8053", "localhost:8053", false},
		{"localhost:8053", "localhost:8053", false},
		{"", "localhost:8053", false},
		{"http://", "", false},
		{"%zz", "localhost:8053", false},
	} {
		if got := sameOrigin(c.origin, c.host); got != c.same {
			t.Errorf("origin %q, host %q: %v", c.origin, c.host, got)
		}
	}
}

// A link from another site may open the console, and nothing else.
func TestLinksFromElsewhereOpenOnlyThePage(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		method, path, mode string
		ok                 bool
	}{
		{"GET", "/", "navigate", true},
		{"GET", "/", "no-cors", false},
		{"POST", "/", "navigate", false},
		{"GET", "/api/v1/explain", "navigate", false},
		{"GET", "/api/v1/status", "cors", false},
	} {
		r := b.request(c.method, c.path, "")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Sec-Fetch-Mode", c.mode)
		if got := b.access.check(r) == nil; got != c.ok {
			t.Errorf("%s %s %s: let in is %v", c.method, c.path, c.mode, got)
		}
	}
}

func TestHostWhenListeningEverywhere(t *testing.T) {
	for _, address := range []string{"0.0.0.0:8053", "[::]:8053", ":8053"} {
		b := newBench(t, func(c *Config) { c.Address = address })
		for host, ok := range map[string]bool{"127.0.0.1:8053": true, "0.0.0.0:8053": false, "[::]:8053": false, "": false, "192.0.2.53": false} {
			r := b.request("GET", "/healthz", "")
			r.Host = host
			if got := b.access.check(r) == nil; got != ok {
				t.Errorf("listening on %s, asked as %q: let in is %v", address, host, got)
			}
		}
	}
}

func TestRefusalsAreCountedAndExplained(t *testing.T) {
	b := newBench(t)
	r := b.request("POST", "/api/v1/reload", "")
	r.Header.Del("Authorization")
	b.problem(r, "token")
	if got := b.do(r).Header().Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer ") {
		t.Errorf("WWW-Authenticate is %q", got)
	}
	r.Host = "evil.example"
	b.problem(r, "host")
	for _, line := range []string{`ananas_admin_refused_total{rule="token"} 2`, `ananas_admin_refused_total{rule="host"} 1`} {
		if !b.metric(line) {
			t.Errorf("missing %s", line)
		}
	}
}

func FuzzAccess(f *testing.F) {
	f.Add("127.0.0.1:8053", "http://127.0.0.1:8053", "Bearer x", "127.0.0.1:1")
	f.Add("[::1", "null", "Bearer", "")
	f.Add("evil.example", "http://evil.example", "", "192.0.2.1:1")
	a := access{host: "admin.example"}
	f.Fuzz(func(t *testing.T, host, origin, authorization, remote string) {
		r := &http.Request{Method: "POST", Host: host, RemoteAddr: remote, URL: mustURL, Header: http.Header{"Origin": {origin}, "Authorization": {authorization}}}
		if a.check(r) == nil {
			t.Errorf("host %q, origin %q, authorization %q from %q may write without the token", host, origin, authorization, remote)
		}
	})
}

var mustURL = httptest.NewRequest("POST", "/api/v1/reload", nil).URL
