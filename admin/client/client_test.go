package client

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/dns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is a small node to ask.
type node struct {
	asked   []any
	err     error
	blobs   map[[32]byte]string
	explain func(ctx context.Context, emit func(admin.Event) error) error
	pages   []admin.SettingsList
	watch   func(ctx context.Context, emit func(admin.Commit) error) error
}

func (n *node) Reload(context.Context) (admin.Reloaded, error) {
	return admin.Reloaded{Changed: []string{"settings.access"}, Restart: []string{}, Warnings: []string{}}, n.err
}

func (n *node) ListCache(_ context.Context, q admin.CacheQuery) (admin.CacheList, error) {
	n.asked = append(n.asked, q)
	return admin.CacheList{Entries: []admin.CacheEntry{{Kind: "rrset", Name: "www.example.", Type: "A", TTL: 30}}, More: true}, n.err
}

func (n *node) PurgeCache(_ context.Context, p admin.Purge) (admin.Purged, error) {
	n.asked = append(n.asked, p)
	return admin.Purged{Removed: 2, Kinds: map[string]int{"rrset": 2}}, n.err
}

func (n *node) ListSamples(_ context.Context, q admin.SampleQuery) (admin.SampleList, error) {
	n.asked = append(n.asked, q)
	return admin.SampleList{OneIn: 1000, Total: 9, Samples: []admin.Sample{{Name: "www.example.", Client: netip.MustParsePrefix("192.0.2.0/24")}}}, n.err
}

func (n *node) Explain(ctx context.Context, r admin.ExplainRequest, emit func(admin.Event) error) (admin.ExplainAnswer, error) {
	n.asked = append(n.asked, r)
	return admin.ExplainAnswer{Name: r.Name.String(), Type: r.Type.String(), RCode: "NOERROR", Answer: []string{}, Authority: []string{}, Errors: []admin.EDE{}}, n.explain(ctx, emit)
}

func (n *node) Status(context.Context) admin.NodeStatus {
	return admin.NodeStatus{Name: "lis01", Version: "v0.1.0"}
}

// start runs a node's admin server on a socket and returns its address and data folder.
func start(t *testing.T, n *node) (address, data string) {
	t.Helper()
	data = t.TempDir()
	s, err := admin.New(admin.Config{Address: "127.0.0.1:0", Data: data, Reloader: n, Cache: n, Explain: n, Samples: n, Status: n, Settings: n})
	if err != nil {
		t.Fatal(err)
	}
	at, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(s.Shutdown(ctx), <-served); err != nil {
			t.Error(err)
		}
	})
	return at.String(), data
}

func environment(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func open(t *testing.T, o Options) *Client {
	t.Helper()
	if o.Getenv == nil {
		o.Getenv = environment(nil)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestEveryQuestion(t *testing.T) {
	n := &node{explain: func(_ context.Context, emit func(admin.Event) error) error {
		emit(admin.Event{Seq: 1, Kind: "start", Text: "one"})
		return emit(admin.Event{Seq: 2, Parent: 1, AtUS: 7, Kind: "ask", Text: "two", Fields: map[string]any{"server": "192.0.2.1:53"}})
	}}
	address, data := start(t, n)
	c := open(t, Options{Node: address, Data: data})
	ctx := t.Context()

	if s, err := c.Status(ctx); err != nil || s.Name != "lis01" {
		t.Errorf("status: %+v, %v", s, err)
	}
	if r, err := c.Reload(ctx); err != nil || !cmp.Equal(r.Changed, []string{"settings.access"}) {
		t.Errorf("reload: %+v, %v", r, err)
	}
	name := dns.MustParseName(`a\.b.example.`)
	if l, err := c.ListCache(ctx, admin.CacheQuery{Name: name, Subtree: true, Limit: 7}); err != nil || !l.More || len(l.Entries) != 1 || l.Entries[0].TTL != 30 {
		t.Errorf("cache: %+v, %v", l, err)
	}
	if _, err := c.ListCache(ctx, admin.CacheQuery{Name: dns.Root}); err != nil {
		t.Error(err)
	}
	office := netip.MustParsePrefix("192.0.2.0/24")
	if l, err := c.ListSamples(ctx, admin.SampleQuery{Name: name, Client: office, From: "stale,refused", Limit: 7}); err != nil || l.Total != 9 || len(l.Samples) != 1 || l.Samples[0].Client != office {
		t.Errorf("samples: %+v, %v", l, err)
	}
	if _, err := c.ListSamples(ctx, admin.SampleQuery{Name: dns.Root}); err != nil {
		t.Error(err)
	}
	if p, err := c.Purge(ctx, admin.Purge{Name: name, Subtree: true}); err != nil || p.Removed != 2 || p.Kinds["rrset"] != 2 {
		t.Errorf("purge: %+v, %v", p, err)
	}
	var events []admin.Event
	answer, err := c.Explain(ctx, admin.ExplainRequest{Name: name, Type: dns.TypeAAAA, Fresh: true}, 5, func(e admin.Event) error {
		events = append(events, e)
		return nil
	})
	if err != nil || answer.Name != name.String() || answer.Type != "AAAA" {
		t.Errorf("explain: %+v, %v", answer, err)
	}
	if diff := cmp.Diff([]admin.Event{
		{Seq: 1, Kind: "start", Text: "one"},
		{Seq: 2, Parent: 1, AtUS: 7, Kind: "ask", Text: "two", Fields: map[string]any{"server": "192.0.2.1:53"}},
	}, events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}

	want := []any{
		admin.CacheQuery{Name: name, Subtree: true, Limit: 7},
		admin.CacheQuery{Name: dns.Root, Limit: admin.DefaultCacheLimit},
		admin.SampleQuery{Name: name, Client: office, From: "stale,refused", Limit: 7},
		admin.SampleQuery{Name: dns.Root, Limit: admin.DefaultSampleLimit},
		admin.Purge{Name: name, Subtree: true},
		admin.ExplainRequest{Name: name, Type: dns.TypeAAAA, Fresh: true},
	}
	if len(n.asked) != len(want) {
		t.Fatalf("the node was asked %+v", n.asked)
	}
	for i := range want {
		if n.asked[i] != want[i] {
			t.Errorf("the node was asked %+v, want %+v", n.asked[i], want[i])
		}
	}
}

// fails wants an error with these parts, and a hint.
func fails(t *testing.T, err error, want, hint string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(err.Error(), want) || !strings.Contains(e.Hint(), hint) {
		t.Errorf("got %v; want %q with the hint %q", err, want, hint)
	}
	if e != nil && e.Hint() != "" && hint == "" {
		t.Errorf("the hint is %q", e.Hint())
	}
}

func TestNodeThatIsNotThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	c := open(t, Options{Node: address, Data: t.TempDir()})
	_, err = c.Status(t.Context())
	fails(t, err, "asking the node at http://"+address+": ", "is it running?")
	if !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v", err)
	}
	_, err = c.Explain(t.Context(), admin.ExplainRequest{Name: dns.Root}, 0, nil)
	fails(t, err, "connection refused", "is it running?")
}

func TestNamesOfNodes(t *testing.T) {
	for _, c := range []struct{ option, env, want string }{
		{"", "", "http://127.0.0.1:8053"},
		{"", "192.0.2.1:8053", "http://192.0.2.1:8053"},
		{"[::1]:8053", "192.0.2.1:8053", "http://[::1]:8053"},
		{"https://node.example/ananas/", "", "https://node.example/ananas"},
		{"localhost", "", "http://localhost"},
	} {
		client := open(t, Options{Node: c.option, Token: "x", Getenv: environment(map[string]string{"ANANAS_NODE": c.env})})
		if got := client.Node(); got != c.want {
			t.Errorf("--node %q, $ANANAS_NODE %q: %q, want %q", c.option, c.env, got, c.want)
		}
	}
	for _, node := range []string{"ftp://localhost", "http://", "http://user:secret@localhost", "http://localhost/?x=1", "http://[::1", ":8053", "a b"} {
		_, err := New(Options{Node: node, Getenv: environment(nil)})
		fails(t, err, "asking the node at ", "http://127.0.0.1:8053")
	}
}

func TestTokens(t *testing.T) {
	address, data := start(t, &node{})
	text, err := os.ReadFile(filepath.Join(data, admin.TokenFile))
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(string(text))
	wide := t.TempDir()
	if err := os.WriteFile(filepath.Join(wide, admin.TokenFile), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(wide, admin.TokenFile), 0o644); err != nil {
		t.Fatal(err)
	}
	other := strings.Repeat("0", 64)
	for _, c := range []struct {
		name string
		o    Options
		env  string
		hint string // of the error; "": it works
	}{
		{"from the data folder", Options{Data: data}, "", ""},
		{"from the environment", Options{Data: t.TempDir()}, token, ""},
		{"as an option", Options{Data: t.TempDir(), Token: token}, other, ""},
		{"another", Options{Data: data}, other, "the token is that of another node"},
		{"none", Options{Data: t.TempDir()}, "", "no such file"},
		{"one that others may read", Options{Data: wide}, "", "chmod 600"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.o.Node, c.o.Getenv = address, environment(map[string]string{"ANANAS_TOKEN": c.env})
			client := open(t, c.o)
			if _, err := client.Status(t.Context()); err != nil {
				t.Errorf("a read on loopback needs no token: %v", err)
			}
			_, err := client.Reload(t.Context())
			if c.hint == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			fails(t, err, "a token is needed", c.hint)
			if strings.Contains(err.Error(), token) {
				t.Error("the error prints the token")
			}
		})
	}
}

// The token of the node here must not be shown to a node elsewhere, nor to where that one redirects.
func TestTokenStaysHere(t *testing.T) {
	data := t.TempDir()
	token, err := admin.LoadToken(data, nil)
	if err != nil {
		t.Fatal(err)
	}
	for node, sent := range map[string]bool{
		"127.0.0.1:8053": true, "[::1]:8053": true, "localhost:8053": true,
		"192.0.2.53:8053": false, "node.example:8053": false, "localhost.example": false, "https://[2001:db8::1]": false,
	} {
		c := open(t, Options{Node: node, Data: data})
		if got := c.token == token; got != sent {
			t.Errorf("%s: the token of the data folder is sent: %v", node, got)
		}
		if !sent {
			if hint := c.tokenHint(); !strings.Contains(hint, "$ANANAS_TOKEN") {
				t.Errorf("%s: the hint is %q", node, hint)
			}
		}
	}

	asked := false
	there := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer there.Close()
	here := httptest.NewServer(http.RedirectHandler(there.URL, http.StatusTemporaryRedirect))
	defer here.Close()
	_, err = open(t, Options{Node: here.URL, Data: data}).Status(t.Context())
	fails(t, err, "HTTP 307", "admin address of an Ananas node")
	if asked {
		t.Error("the redirect was followed")
	}
}

func TestWhatTheNodeRefuses(t *testing.T) {
	n := &node{err: errors.New("line 7: no such key")}
	address, data := start(t, n)
	c := open(t, Options{Node: address, Data: data})
	_, err := c.Reload(t.Context())
	fails(t, err, "line 7: no such key", "")
	var p *admin.Problem
	if !errors.As(err, &p) || p.Type != admin.ProblemPrefix+"settings" {
		t.Errorf("got %+v", p)
	}
	_, err = c.ListCache(t.Context(), admin.CacheQuery{Name: dns.Root, Limit: admin.MaxCacheLimit + 1})
	fails(t, err, "limit is", "from 1 to 10000")
}

func TestExplainThatBreaks(t *testing.T) {
	n := &node{}
	address, data := start(t, n)
	c := open(t, Options{Node: address, Data: data})
	ask := func(event func(admin.Event) error) error {
		_, err := c.Explain(t.Context(), admin.ExplainRequest{Name: dns.Root}, 0, event)
		return err
	}
	nothing := func(admin.Event) error { return nil }
	n.explain = func(_ context.Context, emit func(admin.Event) error) error {
		emit(admin.Event{Seq: 1})
		return errors.New("the network is gone")
	}
	fails(t, ask(nothing), "the network is gone", "")

	stop := errors.New("the terminal is gone")
	n.explain = func(_ context.Context, emit func(admin.Event) error) error { return emit(admin.Event{Seq: 1}) }
	if err := ask(func(admin.Event) error { return stop }); err != stop {
		t.Errorf("got %v", err)
	}
}

// What answers may be something else than a node, or one that breaks off.
func TestAnswersThatAreNone(t *testing.T) {
	for _, c := range []struct {
		name       string
		answer     http.HandlerFunc
		want, hint string
	}{
		{"another server", func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }, "HTTP 404", "admin address of an Ananas node"},
		{"a page", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") }, "reading ", "same version"},
		{"an end in the middle", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, `{"seq":1}`+"\n")
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, "unexpected EOF", "was the node stopped"},
		{"an endless line", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"seq":1,"text":"`+strings.Repeat("x", 2*maxLineBytes))
		}, "token too long", "same version"},
		{"no connection", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF", "was the node stopped"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := httptest.NewServer(c.answer)
			defer s.Close()
			client := open(t, Options{Node: s.URL, Token: "x"})
			_, err := client.Explain(t.Context(), admin.ExplainRequest{Name: dns.Root}, 0, func(admin.Event) error { return nil })
			fails(t, err, c.want, c.hint)
			if _, err = client.Status(t.Context()); err == nil {
				t.Error("the status was taken")
			}
		})
	}

	// A stream that ends well, but without its last line.
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"seq":1}`+"\n") }))
	defer s.Close()
	_, err := open(t, Options{Node: s.URL, Token: "x"}).Explain(t.Context(), admin.ExplainRequest{Name: dns.Root}, 0, func(admin.Event) error { return nil })
	fails(t, err, "unexpected EOF", "was the node stopped")
}

// A node that takes the connection and says nothing costs the limit, on fake time.
func TestNodeThatSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, Options{Token: "x"})
		c.http.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			go io.Copy(io.Discard, there)
			return here, nil
		}
		begun := time.Now()
		_, err := c.Status(t.Context())
		fails(t, err, "deadline exceeded", "does not answer in time")
		if got := time.Since(begun); got != requestTimeout {
			t.Errorf("it took %v", got)
		}
		c.Close()
	})
}

// A node that is named as https answers in plain HTTP: what to do is said.
func TestHTTPSToANode(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	c, err := New(Options{Node: strings.Replace(s.URL, "http://", "https://", 1), Token: strings.Repeat("x", 64)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var hint interface{ Hint() string }
	if _, err := c.Status(t.Context()); !errors.As(err, &hint) || !strings.Contains(hint.Hint(), "a node speaks plain HTTP") {
		t.Errorf("%v", err)
	}
}
