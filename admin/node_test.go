package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ananas-edge/ananas/nameserver/plugin/trial"
	"github.com/ananas-edge/ananas/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is a small node to serve: each part is a function that a test may replace.
type node struct {
	reload  func(context.Context) (Reloaded, error)
	list    func(context.Context, CacheQuery) (CacheList, error)
	purge   func(context.Context, Purge) (Purged, error)
	explain func(context.Context, ExplainRequest, func(Event) error) (ExplainAnswer, error)
	samples func(context.Context, SampleQuery) (SampleList, error)
	status  NodeStatus
	store   *shelf
}

func (n *node) Reload(ctx context.Context) (Reloaded, error) { return n.reload(ctx) }
func (n *node) ListCache(ctx context.Context, q CacheQuery) (CacheList, error) {
	return n.list(ctx, q)
}
func (n *node) PurgeCache(ctx context.Context, p Purge) (Purged, error) { return n.purge(ctx, p) }
func (n *node) Explain(ctx context.Context, r ExplainRequest, emit func(Event) error) (ExplainAnswer, error) {
	return n.explain(ctx, r, emit)
}
func (n *node) ListSamples(ctx context.Context, q SampleQuery) (SampleList, error) {
	return n.samples(ctx, q)
}
func (n *node) Status(context.Context) NodeStatus { return n.status }

var moment = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newNode() *node {
	return &node{
		store: new(shelf),
		reload: func(context.Context) (Reloaded, error) {
			return Reloaded{Changed: []string{"settings.recursion.ipv6"}}, nil
		},
		list: func(_ context.Context, q CacheQuery) (CacheList, error) {
			return CacheList{More: true, Entries: []CacheEntry{
				{Kind: "rrset", Name: q.Name.String(), Type: "A", TTL: 300, Rank: "answer", Security: "secure", Source: "192.0.2.1", Bytes: 120, Records: []string{"192.0.2.7"}},
				{Kind: "failure", Name: "broken.example.", TTL: -3},
			}}, nil
		},
		purge: func(_ context.Context, p Purge) (Purged, error) {
			return Purged{Removed: 3, Kinds: map[string]int{"rrset": 2, "denial": 1}}, nil
		},
		samples: func(_ context.Context, q SampleQuery) (SampleList, error) {
			return SampleList{OneIn: 1000, Total: 12, Samples: []Sample{
				{At: moment, Client: netip.MustParsePrefix("192.0.2.0/24"), Transport: "udp", Name: "www.example.", Class: "IN", Type: "A", RCode: "NOERROR", DO: true, AD: true, Bytes: 120, TookUS: 7, From: "image"},
				{At: moment.Add(-time.Second), Client: netip.MustParsePrefix("2001:db8:1::/48"), Transport: "tcp", RCode: "NOTIMP", Bytes: 12, From: "refused"},
			}}, nil
		},
		explain: func(_ context.Context, r ExplainRequest, emit func(Event) error) (ExplainAnswer, error) {
			emit(Event{Seq: 1, Kind: "start", Text: "resolving " + r.Name.String()})
			emit(Event{Seq: 2, Parent: 1, AtUS: 120, Kind: "ask", Text: "asking", Fields: map[string]any{"server": "192.0.2.1:53", "rtt_us": 20000}})
			return ExplainAnswer{Name: r.Name.String(), Type: r.Type.String(), RCode: "NOERROR", Security: "insecure",
				Answer: []string{"www.example. 300 IN A 192.0.2.7"}, Errors: []EDE{{Code: 3, Name: "Stale Answer", Text: "x"}}, UpstreamQuestions: 1, DurationUS: 20500}, nil
		},
		status: NodeStatus{Name: "lis01", Version: "v0.1.0", Started: moment.Add(-26 * time.Hour),
			Settings:  SettingsStatus{Source: "ananas.yaml", Loaded: moment.Add(-time.Hour), Restart: []string{"node.cache"}},
			Listeners: []ListenerStatus{{"udp", "127.0.0.1:5335"}},
			TrustAnchors: []TrustAnchorStatus{{
				Zone: "corp.example.", Updated: true, Seen: moment.Add(-time.Hour), Next: moment.Add(time.Hour), Error: "no <reply>", Keys: []TrustKeyStatus{
					{Tag: 20326, Algorithm: "RSASHA256", State: "valid", From: FromSettings, Since: moment.Add(-time.Hour)}, {Tag: 4711, Algorithm: "ED25519", State: KeyUnseen, From: FromZone},
				},
			}},
			NegativeAnchors: []NegativeAnchorStatus{{Zone: "gone.example.", Until: moment.Add(-time.Hour), Ended: true}},
			LocalRoot: LocalRootStatus{State: "expired", Source: "192.0.2.1:53", Serial: 2026030100, Records: 25000, Signed: true, Confirmed: moment.Add(-100 * time.Hour),
				Next: moment.Add(time.Minute), Error: "no <route>"},
			Queries: QueryStatus{Total: 1234567, Hits: 1000000, Upstream: 300000, Jobs: 2},
			Cache:   CacheStatus{Entries: 1000, Bytes: 220000, Capacity: 256 << 20}},
	}
}

// bench is a server over a node, asked in memory.
type bench struct {
	*Server
	t       *testing.T
	node    *node
	token   string
	metrics *telemetry.Metrics
	health  *telemetry.Health
	crashes *telemetry.Crashes
}

func newBench(t *testing.T, change ...func(*Config)) *bench {
	t.Helper()
	n, m, h := newNode(), telemetry.NewMetrics(), telemetry.NewHealth()
	h.Check("dns", func() error { return nil })
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	c := Config{
		Address: "127.0.0.1:0", Data: t.TempDir(), Pprof: true,
		Reloader: n, Cache: n, Explain: n, Samples: n, Status: n, Settings: n.store, Modules: n,
		Health: h, Metrics: m, Log: log, Now: func() time.Time { return moment },
	}
	c.Crashes = telemetry.NewCrashes("", m, log, c.Now)
	for _, f := range change {
		f(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	token, err := ReadToken(c.Data)
	if err != nil {
		t.Fatal(err)
	}
	return &bench{Server: s, t: t, node: n, token: token, metrics: m, health: h, crashes: c.Crashes}
}

// request is one from this machine, with the token.
func (b *bench) request(method, target, body string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:40000"
	r.Host = "127.0.0.1:8053"
	r.Header.Set("Authorization", "Bearer "+b.token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

func (b *bench) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w
}

// problem asks and wants a problem of that kind.
func (b *bench) problem(r *http.Request, want string) Problem {
	b.t.Helper()
	w := b.do(r)
	var p Problem
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		b.t.Errorf("%s %s: content type %q, body %s; want problem %q", r.Method, r.URL, got, w.Body, want)
		return p
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		b.t.Fatal(err)
	}
	if p.Type != ProblemPrefix+want || p.Status != w.Code {
		b.t.Errorf("%s %s: got HTTP %d %+v, want problem %q", r.Method, r.URL, w.Code, p, want)
	}
	return p
}

// metric returns whether the page of metrics has that line.
func (b *bench) metric(line string) bool {
	w := httptest.NewRecorder()
	b.metrics.Handler().ServeHTTP(w, nil)
	return strings.Contains(w.Body.String(), "\n"+line+"\n")
}

// hintedError is an error as the node returns them.
type hintedError struct{ error }

func (hintedError) Hint() string { return "mend line 7" }

var errBroken = hintedError{errors.New("reading settings: line 7: no such key")}

func mustWrite(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
}

// Modules is that of a ModuleSource.
func (n *node) Modules(context.Context) (ModuleList, error) {
	recent := make([]uint64, ModuleSpans)
	recent[ModuleSpans-2], recent[ModuleSpans-1] = 3, 4
	return ModuleList{
		Modules: []Module{
			{
				Name: "family", Version: "1.4.0", SHA256: "00", Octets: 761, Phases: []string{"query"}, Needs: []string{"data/malware"}, Wants: []string{"data/adult", "data/mine"}, Pure: true, Fuel: 50_000, Alarm: "it has failed <often>",
				Uses: []Use{
					{Phase: "query", Place: 1, Mode: "open", Grant: []string{"data/malware", "data/mine"}, Missing: []string{"data/adult"}, Faults: 1, Verdicts: map[string]uint64{"NXDOMAIN": 1234, "address": 7}, Recent: recent, Fuel: 400},
					{Phase: "answer", Place: 2, Mode: "stale", Out: true}, {Phase: "log", Place: 3, Mode: "closed", Off: true},
				},
			},
			{Name: "idle"},
		},
		Data: []ModuleData{{Name: "malware", Format: "hosts", Entries: 1_000_001, Octets: 20 << 20, SHA256: "1234567890abcdef", Modules: []string{"family"}, Warnings: []string{"data set <malware> has no entries"}}},
	}, nil
}

// ModuleLogs is that of a ModuleSource.
func (n *node) ModuleLogs(_ context.Context, name string) ([]ModuleLine, error) {
	if name == "idle" {
		return nil, nil
	}
	return []ModuleLine{{Seq: 7, Time: moment, Module: "family", Level: "warn", Text: "no list"}}, nil
}

// TryModule is that of a ModuleSource: it tells of one query each second, or of those that are sent.
func (n *node) TryModule(ctx context.Context, t Trial, next func() ([]trial.Message, error), tell func(TrialLine) error) (end TrialReport, err error) {
	if t.Module == "slow" {
		time.Sleep(2 * time.Minute) // while others are compiled
	}
	if t.Module == "unknown" || t.Module == "slow" {
		return end, errBroken
	}
	end.Uses = []trial.Use{{Phase: "query", Groups: []trial.Group{{Old: "go on", New: "drop", Count: 1, Examples: []trial.Difference{{Phase: "query", Name: "www.example.", Type: "A", Old: "go on", New: "drop"}}}},
		Old: trial.Version{Reasons: map[string]uint64{}}, New: trial.Version{Reasons: map[string]uint64{"trap": 1}}}}
	if err := tell(TrialLine{Report: &end}); err != nil {
		return end, err
	}
	if t.Module == "faulty" {
		return end, errBroken
	}
	for t.Messages {
		all, err := next()
		if err == io.EOF {
			return end, nil
		}
		if err != nil {
			return end, err
		}
		end.Queries += uint64(len(all))
	}
	for range int(t.Seconds) {
		select {
		case <-ctx.Done():
			return end, ctx.Err()
		case <-time.After(time.Second):
		}
		end.Queries++
		if t.Differences {
			tell(TrialLine{Difference: &trial.Difference{Phase: "query", Name: "www.example.", Type: "A", Old: "go on", New: "drop"}})
		}
		tell(TrialLine{Report: &end})
	}
	return end, nil
}
