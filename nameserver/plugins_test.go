package nameserver

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/internal/namedfile"
	"github.com/ananas-edge/ananas/internal/testchild"
	"github.com/ananas-edge/ananas/internal/wholefile"
	"github.com/ananas-edge/ananas/listen"
	"github.com/ananas-edge/ananas/nameserver/dataset"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/nameserver/recurse"
	"github.com/ananas-edge/ananas/telemetry"
	"github.com/ananas-edge/ananas/wasm"
)

func TestMain(m *testing.M) {
	testchild.Be("compiler", wasm.RunCompiler)
	os.Exit(m.Run())
}

// programs loads modules from package plugin's guests.
type programs struct {
	t testing.TB
	*plugin.Loader
	lines chan string // that modules log
}

func newPrograms(t testing.TB) *programs {
	t.Helper()
	e, err := wasm.Open(wasm.Config{Folder: t.TempDir(), Command: testchild.Command("compiler")})
	if err != nil {
		t.Fatal(err)
	}
	p := &programs{t: t, lines: make(chan string, 10_000)}
	shelf, err := dataset.NewShelf(t.TempDir(), wholefile.OS{})
	if err != nil {
		t.Fatal(err)
	}
	p.Loader = plugin.NewLoader(plugin.Config{
		Engine: e, Shelf: shelf, Cores: 1, Boot: func() time.Duration { return 0 }, Metrics: telemetry.NewMetrics(), AllLines: true, Logs: func(_ string, _ int, text string) { p.lines <- text },
	})
	t.Cleanup(p.Wait)
	return p
}

// chain has one guest run at a phase. list is the text of the data set bad.
func (p *programs) chain(name, manifest, list string, use plugin.Plugin) *plugin.Chain {
	p.t.Helper()
	use.Module = name
	files := map[string][]byte{name: guest(p.t, name, manifest)}
	var data []plugin.Data
	if list != "" {
		data = []plugin.Data{{Name: "bad", File: "list"}}
		files["list"] = []byte(list)
		use.Grant = append(use.Grant, "data/bad")
	}
	return p.load(files, data, use)
}

// guest returns one of package plugin's, with a manifest.
func guest(t testing.TB, name, manifest string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("plugin", "testdata", "guests", name+".wasm"))
	if err == nil {
		b, err = wasm.Attach(b, []byte("abi: 1\nname: "+name+"\nversion: '1'\n"+manifest))
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// load has modules, which are files of their names, run in this order.
func (p *programs) load(files map[string][]byte, data []plugin.Data, uses ...plugin.Plugin) *plugin.Chain {
	p.t.Helper()
	var modules []plugin.Module
	for _, u := range uses {
		modules = append(modules, plugin.Module{Name: u.Module, File: u.Module})
	}
	table, err := plugin.Compile(modules, data, uses, func(name string, most int64) (*namedfile.File, error) {
		return namedfile.Of(files[name]).AtMost(name, most)
	})
	if err != nil {
		p.t.Fatal(err)
	}
	c, err := p.Load(context.Background(), table, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(c.Release)
	return c
}

// asks returns a question in wire form.
func asks(t testing.TB, name string, edns bool) []byte {
	t.Helper()
	m := new(miekg.Msg)
	m.SetQuestion(name, miekg.TypeA)
	m.Id = 7
	if edns {
		m.SetEdns0(1232, false)
	}
	data, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// long is the answer of the way through the server, looped that of a loop; nil if that has none.
func long(s *Server, data []byte) []byte {
	return s.Ask(context.Background(), listen.Packet{Data: bytes.Clone(data), Client: allowedClient, Local: allowedClient})
}

func looped(l listen.Loop, data []byte) []byte {
	queries := batchOf(data)[:1]
	l.ServeBatch(queries)
	return queries[0].Answer
}

func text(t testing.TB, b []byte) string {
	t.Helper()
	if b == nil {
		return "nothing"
	}
	m := new(miekg.Msg)
	if err := m.Unpack(b); err != nil {
		t.Fatal(err)
	}
	out := miekg.RcodeToString[m.Rcode]
	for _, rr := range m.Answer {
		out += " " + strings.Join(strings.Fields(rr.String())[3:], " ")
	}
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if e, ok := o.(*miekg.EDNS0_EDE); ok {
				out += fmt.Sprintf(" (%d %s)", e.InfoCode, e.ExtraText)
			}
		}
	}
	return out
}

// A verdict of a pure module is kept with the answer, and given from the image as it was given the long way, extended error included; a module that is not is asked each time.
func TestVerdictsAreKept(t *testing.T) {
	p := newPrograms(t)
	for _, c := range []struct {
		manifest string
		name     string
		want     string
		fast     bool // the loop may answer
	}{
		{"phases: [query]\npure: true\n", "why.example.", "NXDOMAIN (15 it is said so)", true},
		{"phases: [query]\npure: true\n", "address.example.", "NOERROR A 192.0.2.1", true},
		{"phases: [query]\npure: true\n", "record.example.", "NOERROR A 192.0.2.8 A 192.0.2.7", true},
		{"phases: [query]\npure: true\n", "rewrite.example.", "NOERROR CNAME www.example. A 192.0.2.80", true},
		{"phases: [query]\npure: true\n", "refuse.example.", "REFUSED", false},
		{"phases: [query]\npure: true\n", "bypass.example.", "NXDOMAIN", false},
		{"phases: [query]\npure: true\n", "drop.example.", "nothing", false},
		{"phases: [query]\npure: true\n", "trap.example.", "NXDOMAIN", false}, // the next time it may not fail
		{"phases: [query]\npure: true\n", "www.example.", "NOERROR A 192.0.2.80", true},
		{"phases: [query]\n", "why.example.", "NXDOMAIN (15 it is said so)", false},
		{"phases: [query]\n", "www.example.", "NOERROR A 192.0.2.80", true},
	} {
		var hand handClock
		hand.boot.Store(int64(time.Minute))
		s, _ := newServedAt(t, hand.clock())
		s.Swap(s.Table().WithPlugins(p.chain("acts", c.manifest, "", plugin.Plugin{Phase: plugin.PhaseQuery})))
		l := s.Loop()
		for _, edns := range []bool{true, false} {
			data := asks(t, c.name, edns)
			want := c.want
			if i := strings.Index(want, " ("); !edns && i > 0 {
				want = want[:i]
			}
			var first []byte
			for range 2 {
				first = long(s, data)
				if got := text(t, first); got != want {
					t.Errorf("%s (%q): %s, want %s", c.name, c.manifest, got, want)
				}
			}
			got := looped(l, data)
			if (got != nil) != c.fast {
				t.Errorf("%s (%q): the loop answers %s", c.name, c.manifest, text(t, got))
			}
			if got != nil && text(t, got) != text(t, first) {
				t.Errorf("%s: the loop answers %s, and the long way %s", c.name, text(t, got), text(t, first))
			}
		}
		// Without the module, and with another one, what was kept is not given.
		s.Swap(s.Table().WithPlugins(nil))
		if got := looped(l, asks(t, "why.example.", true)); got != nil {
			t.Errorf("without the module the loop answers %s", text(t, got))
		}
	}
}

// A module that was taken out, and is to be passed over then, costs cached queries nothing more; one without which there are no answers still stands in their way.
func TestTakenOutOfTheLoop(t *testing.T) {
	for mode, answered := range map[plugin.Mode]bool{plugin.Open: true, plugin.Closed: false} {
		var hand handClock
		s, l, data := warmedWith(t, &hand, newPrograms(t).chain("acts", "phases: [query]\n", "", plugin.Plugin{Phase: plugin.PhaseQuery, Mode: mode}))
		for range 12 {
			long(s, asks(t, "trap.example.", true))
		}
		if impure, _ := s.Table().Plugins.Impure(); impure == answered {
			t.Errorf("%s: it has to see each query: %v", mode, impure)
		}
		for range 2 { // what was kept is of the time before
			long(s, data)
		}
		if got := looped(l, data); (got != nil) != answered {
			t.Errorf("%s: the loop answers %s", mode, text(t, got))
		}
	}
}

// What was answered while a module was out is not given when it is back, though the settings are the same; nor is what was answered before given while it is out.
func TestImagesOfAModuleThatWasOut(t *testing.T) {
	for _, mode := range []plugin.Mode{plugin.Open, plugin.Stale} {
		var hand handClock
		hand.boot.Store(int64(time.Minute))
		s, _ := newServedAt(t, hand.clock())
		p := newPrograms(t)
		plain := s.Table()
		table, err := plugin.Compile([]plugin.Module{{Name: "acts", File: "acts"}}, nil, []plugin.Plugin{{Module: "acts", Phase: plugin.PhaseQuery, Mode: mode}}, func(string, int64) (*namedfile.File, error) {
			return namedfile.Of(guest(t, "acts", "phases: [query]\npure: true\n")), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		load := func() *plugin.Chain {
			c, err := p.Load(t.Context(), table, nil)
			if err != nil {
				t.Fatal(err)
			}
			s.Swap(plain.WithPlugins(c))
			return c
		}
		l, blocked, free := s.Loop(), asks(t, "address.example.", true), asks(t, "www.example.", true)
		const in, out = "NOERROR A 192.0.2.1", "NXDOMAIN"
		c := load()
		image := func(when string, want string) {
			t.Helper()
			if got := looped(l, blocked); got != nil {
				t.Errorf("%s: the loop answers %s of another time", when, text(t, got))
			}
			for range 2 {
				long(s, blocked)
				long(s, free)
			}
			if got := text(t, looped(l, blocked)); got != want {
				t.Errorf("%s: the loop answers %s, want %s", when, got, want)
			}
			if got := text(t, looped(l, free)); got != "NOERROR A 192.0.2.80" {
				t.Errorf("%s: the loop answers %s", when, got)
			}
		}
		image("at first", in)
		for range 12 {
			long(s, asks(t, "trap.example.", true))
		}
		image("while it is out", out)
		s.Swap(plain)
		c.Release()
		p.Wait()
		c = load()
		if got := looped(l, blocked); got != nil && text(t, got) != in { // those of before are good again
			t.Errorf("when it is back the loop answers %s", text(t, got))
		}
		long(s, blocked)
		if got := text(t, looped(l, blocked)); got != in {
			t.Errorf("when it is back the loop answers %s", got)
		}
		s.Swap(plain)
		c.Release()
	}
}

// A verdict that is not kept with answers is given at once, as it is given the long way; what has to be resolved waits, and so does what is to be kept.
func TestVerdictsAtOnce(t *testing.T) {
	for _, c := range []struct {
		manifest string
		mode     plugin.Mode
		name     string
		atOnce   bool
	}{
		{"", plugin.Open, "why.example.", true},
		{"", plugin.Open, "nodata.example.", true},
		{"", plugin.Open, "address.example.", true},
		{"", plugin.Open, "record.example.", true},
		{"", plugin.Open, "refuse.example.", true},
		{"", plugin.Open, "drop.example.", true},
		{"", plugin.Open, "client.example.", false}, // of who is shown a prefix alone
		{"", plugin.Open, "prefix.example.", true},
		{"", plugin.Closed, "trap.example.", true},
		{"", plugin.Open, "trap.example.", false},
		{"", plugin.Open, "rewrite.example.", false},
		{"", plugin.Open, "www.example.", false},
		{"pure: true\n", plugin.Open, "why.example.", false},
	} {
		var hand handClock
		hand.boot.Store(int64(time.Minute))
		s, _ := newServedAt(t, hand.clock())
		s.Swap(s.Table().WithPlugins(newPrograms(t).chain("acts", "phases: [query]\n"+c.manifest, "", plugin.Plugin{Phase: plugin.PhaseQuery, Mode: c.mode})))
		data := asks(t, c.name, true)
		got := text(t, s.Serve(listen.Packet{Data: bytes.Clone(data), Client: allowedClient, Local: allowedClient}, nil, listen.Reply{}))
		want := text(t, long(s, data))
		waits := "SERVFAIL (0 too many queries wait already: limits.queries)" // nobody waits for the reply
		if !c.atOnce {
			want = waits
		}
		if got != want || c.atOnce && want == waits {
			t.Errorf("%s (%q, %s) is answered at once with %s, want %s", c.name, c.manifest, c.mode, got, want)
		}
	}
}

// Who has no place to wait gets nothing from the cache where a module has to see the query.
func TestNobodyPassesAModuleBy(t *testing.T) {
	var hand handClock
	s, _, data := warmed(t, &hand)
	s.Swap(s.Table().WithPlugins(newPrograms(t).chain("acts", "phases: [query]\n", "", plugin.Plugin{Phase: plugin.PhaseQuery})))
	table := *s.Table()
	table.Limits.Queries = 0
	s.Swap(&table)
	if got := text(t, long(s, data)); !strings.HasPrefix(got, "SERVFAIL") {
		t.Errorf("it is answered %s", got)
	}
}

// A module of phase answer sees what was found, and a pure one's work is kept.
func TestAnswersAreRewritten(t *testing.T) {
	var hand handClock
	hand.boot.Store(int64(time.Minute))
	s, _ := newServedAt(t, hand.clock())
	s.Swap(s.Table().WithPlugins(newPrograms(t).chain("clamp", "phases: [answer]\npure: true\n", "", plugin.Plugin{Phase: plugin.PhaseAnswer})))
	data := asks(t, "www.example.", true)
	l := s.Loop()
	for range 2 {
		m := new(miekg.Msg)
		if err := m.Unpack(long(s, data)); err != nil {
			t.Fatal(err)
		}
		if len(m.Answer) == 0 || m.Answer[0].Header().Ttl != 10 {
			t.Errorf("%v", m)
		}
	}
	if got := text(t, looped(l, data)); !strings.HasPrefix(got, "NOERROR A ") {
		t.Errorf("the loop answers %s", got)
	}
	hand.boot.Add(int64(11 * time.Second)) // what was clamped is good for as long as it says
	if got := looped(l, data); got != nil {
		t.Errorf("after its time the loop answers %s", text(t, got))
	}
}

// A module may ask a question of its own: within its limits, within the client's budget, and never in a loop that others wait for.
func TestModulesAsk(t *testing.T) {
	var hand handClock
	hand.boot.Store(int64(time.Minute))
	s, _ := newServedAt(t, hand.clock())
	s.Swap(s.Table().WithPlugins(newPrograms(t).chain("asks", "phases: [query]\nneeds: [resolve]\n", "", plugin.Plugin{Phase: plugin.PhaseQuery, Mode: plugin.Closed, Grant: []string{"resolve"}})))
	for name, want := range map[string]string{
		"ask.example.":  "NOERROR A 192.0.2.80",
		"www.example.":  "NOERROR A 192.0.2.80",
		"many.example.": "SERVFAIL (0 the module asks failed, and this node does not answer without it)",
	} {
		for range 2 {
			if got := text(t, long(s, asks(t, name, true))); got != want {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		}
		if got := looped(s.Loop(), asks(t, name, true)); got != nil {
			t.Errorf("%s: the loop answers %s", name, text(t, got))
		}
	}
}

// A module of phase log sees what was answered, the long way and from images, beside the path.
func TestModulesLog(t *testing.T) {
	var hand handClock
	s, l, data := warmed(t, &hand)
	p := newPrograms(t)
	s.Swap(s.Table().WithPlugins(p.chain("tally", "phases: [log]\nneeds: [log, metrics]\n", "", plugin.Plugin{Phase: plugin.PhaseLog, Grant: []string{"log", "metrics"}})))
	long(s, asks(t, "none.example.", true))
	long(s, data)
	long(s, data) // an image is made anew: the settings are others
	if looped(l, data) == nil {
		t.Fatal("the loop has no answer")
	}
	for _, want := range []string{"none 3--4", "www 0-c4", "www 0-c4", "www 0-c4"} {
		select {
		case got := <-p.lines:
			if got != want {
				t.Errorf("a line says %q, want %q", got, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("no line comes that says %q", want)
		}
	}
}

// What a pure module has ended is marked so each time, whether it has said why or not, the long way and from images.
func TestModulesLogWhatIsBlocked(t *testing.T) {
	for _, name := range []string{"why", "nxdomain", "address", "rewrite"} {
		var hand handClock
		hand.boot.Store(int64(time.Minute))
		s, _ := newServedAt(t, hand.clock())
		p := newPrograms(t)
		files := map[string][]byte{"acts": guest(t, "acts", "phases: [query]\npure: true\n"), "tally": guest(t, "tally", "phases: [log]\nneeds: [log, metrics]\n")}
		s.Swap(s.Table().WithPlugins(p.load(files, nil, plugin.Plugin{Module: "acts", Phase: plugin.PhaseQuery}, plugin.Plugin{Module: "tally", Phase: plugin.PhaseLog, Grant: []string{"log", "metrics"}})))
		data := asks(t, name+".example.", true)
		for range 2 {
			long(s, data)
		}
		if looped(s.Loop(), data) == nil {
			t.Fatalf("%s: the loop has no answer", name)
		}
		for range 3 {
			select {
			case got := <-p.lines:
				if got[len(got)-3] != 'b' {
					t.Errorf("a line says %q, and not that a module has ended the query", got)
				}
			case <-time.After(time.Minute):
				t.Fatal("no line comes")
			}
		}
	}
}

// What a module of phase query has answered, and what is a special name's, is shown to those of phase answer as made here; what is behind an alias that a module has set is of the world. A denial with the SOA record of a zone is
// kept for as long as that says.
func TestMadeHere(t *testing.T) {
	var hand handClock
	hand.boot.Store(int64(time.Minute))
	s, _ := newServedAt(t, hand.clock())
	modules := map[string][]byte{"acts": guest(t, "acts", "phases: [query]\npure: true\n"), "clamp": guest(t, "clamp", "phases: [answer]\npure: true\n")}
	s.Swap(s.Table().WithPlugins(newPrograms(t).load(modules, nil, plugin.Plugin{Module: "acts", Phase: plugin.PhaseQuery}, plugin.Plugin{Module: "clamp", Phase: plugin.PhaseAnswer})))
	for _, c := range []struct {
		name string
		ttl  uint32
	}{{"address.example.", 30}, {"localhost.", 600}, {"rewrite.example.", 10}, {"www.example.", 10}} {
		m := new(miekg.Msg)
		if err := m.Unpack(long(s, asks(t, c.name, true))); err != nil {
			t.Fatal(err)
		}
		if len(m.Answer) == 0 || m.Answer[0].Header().Ttl != c.ttl {
			t.Errorf("%s, to have a TTL of %d: %v", c.name, c.ttl, m)
		}
	}
	l, data := s.Loop(), asks(t, "zone.example.", true)
	const want = "example.\t30\tIN\tSOA\t. . 0 0 0 0 30"
	for _, b := range [][]byte{long(s, data), looped(l, data)} {
		m := new(miekg.Msg)
		if err := m.Unpack(b); err != nil {
			t.Fatal(err)
		}
		if m.Rcode != miekg.RcodeNameError || len(m.Ns) != 1 || m.Ns[0].String() != want {
			t.Errorf("%v, want %s", m, want)
		}
	}
	hand.boot.Add(int64(31 * time.Second))
	if got := looped(l, data); got != nil {
		t.Errorf("after its time the loop answers %s", text(t, got))
	}
}

// The fast path takes no memory with modules either.
func TestPassesDoesNotAllocate(t *testing.T) {
	if underRace {
		t.Skip("the race detector allocates")
	}
	var hand handClock
	s, l, data := warmedWith(t, &hand, newPrograms(t).chain("listed", "phases: [query]\nneeds: [data/bad]\n", "bad.example\n", plugin.Plugin{Phase: plugin.PhaseQuery}))
	_ = s
	queries := batchOf(data)
	l.ServeBatch(queries)
	if queries[0].Answer == nil {
		t.Fatal("the loop has no answer")
	}
	if n := leastAllocs(100, func() { l.ServeBatch(queries) }); n != 0 {
		t.Errorf("%v allocations for a batch", n)
	}
}

// Records of a module become sets: what is there twice is once, whatever its case, and the set lives as long as the shortest. Thousands take no more time each than a few.
func TestSetRecords(t *testing.T) {
	rr := func(name string, ttl uint32, data ...byte) dns.RR {
		return dns.RR{Name: dns.MustParseName(name), Type: dns.TypeA, Class: dns.ClassINET, TTL: ttl, Data: data}
	}
	var a recurse.Answer
	setRecords(&a, []dns.RR{rr("x.test", 60, 192, 0, 2, 1), rr("y.test", 60, 192, 0, 2, 1), rr("X.test", 30, 192, 0, 2, 2), rr("x.TEST", 10, 192, 0, 2, 1)})
	if len(a.Answer) != 2 || a.Answer[0].Data.Len() != 2 || a.Answer[0].TTL != 30 || a.Answer[1].Data.Len() != 1 || a.Answer[0].Name.String() != "x.test." {
		t.Errorf("%+v", a.Answer)
	}
}

func BenchmarkSetRecords(b *testing.B) {
	for _, n := range []int{4, 4096} {
		records := make([]dns.RR, n)
		for i := range records {
			records[i] = dns.RR{Name: dns.MustParseName("x.test"), Type: dns.TypeA, Class: dns.ClassINET, Data: []byte{10, 0, byte(i >> 8), byte(i)}}
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				var a recurse.Answer
				setRecords(&a, records)
			}
		})
	}
}

// warmedWith is warmed with modules.
func warmedWith(t testing.TB, hand *handClock, c *plugin.Chain) (*Server, listen.Loop, []byte) {
	t.Helper()
	s, l, data := warmed(t, hand)
	s.Swap(s.Table().WithPlugins(c))
	for range 2 {
		long(s, data)
	}
	return s, l, data
}

// What a cached query costs: without a module, with one whose verdict is kept, and with one that looks a name up in a list of so many. ns/op is of one query.
func BenchmarkPlugins(b *testing.B) {
	var list strings.Builder
	for i := range 1_000_000 {
		fmt.Fprintf(&list, "n%x.block%d.example\n", i*2654435761%(1<<32), i%977)
	}
	const query = "phases: [query]\n"
	for _, c := range []struct {
		name, guest, manifest, list string
	}{
		{"none", "", "", ""},
		{"pure", "listed", query + "pure: true\nneeds: [data/bad]\n", list.String()},
		{"impure, a list of a million", "listed", query + "needs: [data/bad]\n", list.String()},
		{"impure, of labels", "acts", query, ""},
		{"log", "tally", "phases: [log]\nneeds: [log, metrics]\n", ""},
	} {
		b.Run(c.name, func(b *testing.B) {
			var chain *plugin.Chain
			if c.guest != "" {
				use := plugin.Plugin{Phase: plugin.PhaseQuery}
				if c.name == "log" {
					use = plugin.Plugin{Phase: plugin.PhaseLog, Grant: []string{"log", "metrics"}}
				}
				p := newPrograms(b)
				go func() { // what is logged goes nowhere
					for range p.lines {
					}
				}()
				chain = p.chain(c.guest, c.manifest, c.list, use)
			}
			var hand handClock
			_, l, data := warmedWith(b, &hand, chain)
			queries := batchOf(data)
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += maxBatch {
				hand.boot.Add(int64(maxBatch * time.Microsecond))
				l.ServeBatch(queries)
				for k := range queries {
					if queries[k].Answer == nil {
						b.Fatal("no answer")
					}
				}
			}
		})
	}
}
