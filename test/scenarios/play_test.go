package scenarios

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ananas-edge/ananas/lab"
	"github.com/ananas-edge/ananas/listen"
	"github.com/ananas-edge/ananas/nameserver"
	"github.com/ananas-edge/ananas/nameserver/cache"
	"github.com/ananas-edge/ananas/nameserver/recurse"
	"github.com/ananas-edge/ananas/nameserver/zone"
	"github.com/ananas-edge/ananas/settings"
	"github.com/ananas-edge/ananas/telemetry"
)

// listener is where the node answers, and so where it never asks.
var listener = netip.MustParseAddrPort("203.0.113.53:53")

// booted is what the clock showed when the node started: a machine that was switched on just now, so that no time can be taken for "long ago".
const booted = time.Minute

// play is one run of a scenario: a lab, and a node that resolves in it.
type play struct {
	t        *testing.T
	s        *scenario
	ctx      context.Context
	lab      *lab.Lab
	network  *network
	clock    recurse.Clock
	start    time.Time
	wrong    atomic.Int64 // by how much the wall clock is wrong, in nanoseconds
	metrics  *telemetry.Metrics
	cache    *cache.Cache
	resolver *recurse.Resolver
	local    *zone.LocalRoot
	server   *nameserver.Server
	fast     sync.Mutex // over loop
	loop     listen.Loop
	folder   string // for the files that settings name

	clients sync.WaitGroup
	waiting []func() // what is checked once all clients have their answers

	replaced map[int]replacement // by line, for -update
}

type replacement struct {
	last  int
	lines []string
}

// run plays the scenario in a bubble of fake time.
func (s *scenario) run(t *testing.T, seed uint64) *play {
	p := &play{s: s, folder: t.TempDir(), replaced: map[int]replacement{}}
	synctest.Test(t, func(t *testing.T) {
		p.t = t
		if err := p.open(seed, nil); err != nil {
			t.Fatal(err)
		}
		defer p.close()
		for _, st := range s.steps {
			st.run(p)
		}
		p.wait()
		synctest.Wait()
		p.checkEnd()
		if t.Failed() {
			p.showQuestions()
		}
	})
	return p
}

// open builds the node as package node does, on the lab's network and the bubble's time. change is applied to all replies.
func (p *play) open(seed uint64, change func([]byte) []byte) error {
	var err error
	cfg := lab.Config{Seed: seed, World: p.s.world, Log: maxQuestions}
	if *tell {
		cfg.OnQuestion = func(q lab.Question) { p.t.Log(describe(q)) }
	}
	if p.lab, err = lab.New(cfg); err != nil {
		return fmt.Errorf("%s: %w", p.s.file, err)
	}
	for name, part := range p.s.parts {
		if err := os.WriteFile(filepath.Join(p.folder, filepath.Base(name)), []byte(part.text), 0o600); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(p.folder, "lab.hints"), []byte(p.lab.RootHints()), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(p.folder, "lab.anchors"), []byte(p.lab.TrustAnchors()), 0o600); err != nil {
		return err
	}
	if strings.Contains(p.s.parts["settings"].text, "lab.root") {
		if err := os.WriteFile(filepath.Join(p.folder, "lab.root"), []byte(p.lab.RootZone()), 0o600); err != nil {
			return err
		}
	}
	tables, err := p.compile("settings")
	if err != nil {
		return err
	}
	p.start = time.Now()
	p.clock = recurse.Clock{
		Boot: func() time.Duration { return booted + time.Since(p.start) },
		Wall: func() time.Time { return time.Now().Add(time.Duration(p.wrong.Load())) },
	}
	p.metrics = telemetry.NewMetrics()
	random := newRandom(seed)
	p.cache, err = cache.New(cache.Config{Bytes: 4 << 20, Now: p.clock.Boot, Seed: random(), Table: tables.Cache, Metrics: p.metrics})
	if err != nil {
		return err
	}
	p.ctx = context.Background()
	p.network = newNetwork(p.lab.Network())
	p.network.change = change
	p.local = zone.NewLocalRoot(zone.Config{
		Network: p.network, Clock: p.clock, Random: random, Folder: p.folder, Metrics: p.metrics,
		Table: func() *recurse.Table { return p.server.Table().Recursion },
	})
	p.resolver = recurse.New(recurse.Config{
		LocalRoot: p.local, Earliest: p.start,
		Network: p.network, Clock: p.clock, Random: random, Cache: p.cache, Limits: tables.Nameserver.Recursion.Limits, Metrics: p.metrics,
	})
	p.server = nameserver.New(nameserver.Config{
		Resolver: p.resolver, Cache: p.cache, Clock: p.clock, Random: random, Table: tables.Nameserver, Metrics: p.metrics, Version: "9.9", Name: "node-1", NSID: "node-1",
	})
	p.loop = p.server.Loop()
	p.configureLocalRoot()
	p.local.Start()
	return nil
}

func (p *play) configureLocalRoot() {
	s := p.server.Table().Recursion.LocalRoot
	path := ""
	if s.File != "" {
		path = filepath.Join(p.folder, s.File)
	}
	p.local.Configure(s, path)
}

// maxQuestions bounds the log of questions that asked, questions and ports count.
const maxQuestions = 200_000

// newRandom returns numbers that repeat from the seed, for many goroutines.
func newRandom(seed uint64) func() uint64 {
	var mu sync.Mutex
	g := rand.New(rand.NewPCG(seed, 0xa9a9a5))
	return func() uint64 {
		mu.Lock()
		defer mu.Unlock()
		return g.Uint64()
	}
}

// compile makes the tables of a part of the file, which holds what a node's file has below `settings`. Root hints are the lab's unless the
// settings name others.
func (p *play) compile(name string) (*settings.Tables, error) {
	part := p.s.parts[name]
	var b strings.Builder
	b.WriteString(strings.Repeat("\n", max(0, part.line-1)))
	b.WriteString("settings:\n") // on the line of the marker, so that line numbers are those of the file
	for _, line := range strings.Split(part.text, "\n") {
		if strings.TrimSpace(line) != "" {
			b.WriteString("  " + line)
		}
		b.WriteString("\n")
	}
	if strings.TrimSpace(part.text) == "" {
		b.Reset()
	}
	f, err := settings.Parse(p.s.file, []byte(b.String()))
	if err != nil {
		return nil, err
	}
	r := &f.Settings.Recursion
	if r.RootHints == "" {
		r.RootHints = "lab.hints"
	}
	r.RootHints = filepath.Join(p.folder, r.RootHints)
	switch r.TrustAnchors {
	case "", "none":
		r.TrustAnchors = "none"
	default:
		r.TrustAnchors = filepath.Join(p.folder, r.TrustAnchors)
	}
	return f.Compile([]netip.AddrPort{listener})
}

func (p *play) close() {
	p.clients.Wait()
	p.server.Close()
	p.local.Close()
	p.resolver.Close()
	if err := p.cache.Close(); err != nil {
		p.t.Error(err)
	}
	if err := p.network.Close(); err != nil {
		p.t.Error(err)
	}
}

func (p *play) fatal(err error) {
	p.t.Helper()
	p.t.Fatal(err)
}

// fail notes what went wrong, with its place in the scenario.
func (p *play) fail(line int, format string, args ...any) {
	p.t.Helper()
	p.t.Errorf("%v", placed(p.s.file, line, format, args...))
}

// ask lets the clients of a step ask, all at the same instant.
func (p *play) ask(s *step, a *ask) {
	results := make([]result, a.times)
	for i := range results {
		p.clients.Add(1)
		go func() {
			defer p.clients.Done()
			results[i] = p.client(a, i+1)
		}()
	}
	p.waiting = append(p.waiting, func() { p.judge(s, a, results) })
	if !a.behind {
		p.wait()
		return
	}
	synctest.Wait() // whoever asks next comes after these, at the same instant
}

// wait lets all clients that were begun end, and checks what they got.
func (p *play) wait() {
	p.clients.Wait()
	for _, f := range p.waiting {
		f()
	}
	p.waiting = nil
}

func (p *play) judge(s *step, a *ask, results []result) {
	for i := range results {
		r := &results[i]
		wrong := a.expect.check(r, i+1)
		if *tell {
			p.t.Logf("%10v %s:%d client %d: %s", time.Since(p.start), p.s.file, s.line, i+1, strings.Join(a.expect.render(r), "; "))
		}
		if len(wrong) == 0 {
			continue
		}
		if *update && len(r.odd) == 0 {
			p.replaced[s.line] = replacement{max(s.line, a.expect.last), a.expect.render(r)}
			return
		}
		text := "no answer"
		if r.msg != nil {
			text = strings.ReplaceAll(strings.TrimSpace(r.msg.String()), "\n", "\n\t")
			for _, e := range edes(r.msg) {
				text += fmt.Sprintf("\n\tede %d %q", e.InfoCode, e.ExtraText)
			}
		}
		p.fail(a.expect.line, "client %d: %s\n\t%s", i+1, strings.Join(wrong, "; "), text)
		return // one is enough to read
	}
}

// checkEnd is what holds after each scenario.
func (p *play) checkEnd() {
	for _, name := range []string{"ananas_recurse_panics_total", "ananas_nameserver_panics_total"} {
		if v, ok := p.metric(name); !ok || v != 0 {
			p.t.Errorf("%s: %s is %v", p.s.file, name, v)
		}
	}
}

// metric reads one series, by its name and labels as /metrics writes them.
func (p *play) metric(name string) (float64, bool) {
	w := httptest.NewRecorder()
	p.metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	found := false
	for _, line := range strings.Split(w.Body.String(), "\n") {
		if strings.HasPrefix(line, "# TYPE "+name+" ") {
			found = true
		}
		value, ok := strings.CutPrefix(line, name+" ")
		if !ok {
			continue
		}
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			return v, true
		}
	}
	return 0, found
}

// showQuestions logs what the lab was asked, for people who look for what went wrong.
func (p *play) showQuestions() {
	var b strings.Builder
	all := p.lab.Questions()
	for i, q := range all {
		if i >= 40 {
			fmt.Fprintf(&b, "\tand %d more\n", len(all)-i)
			break
		}
		b.WriteString("\t" + describe(q) + "\n")
	}
	p.t.Logf("questions since the last forget:\n%s", b.String())
}

func describe(q lab.Question) string {
	how := "UDP"
	if q.TCP {
		how = "TCP"
	}
	if !q.EDNS {
		how += " no EDNS"
	}
	return fmt.Sprintf("%10v %s %-16v %v %v", q.At, how, q.Server, q.Name, q.Type)
}
