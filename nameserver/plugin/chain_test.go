package plugin_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/internal/namedfile"
	"github.com/ananas-edge/ananas/internal/testchild"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/telemetry"
	"github.com/ananas-edge/ananas/wasm"
)

func TestMain(m *testing.M) {
	testchild.Be("compiler", wasm.RunCompiler)
	folder, err := os.MkdirTemp("", "ananas-plugin")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	compiledFolder = folder
	code := m.Run()
	os.RemoveAll(folder)
	os.Exit(code)
}

// compiledFolder has what was compiled, for all tests.
var compiledFolder string

// bench is a loader on a clock of its own.
type bench struct {
	testing.TB
	*plugin.Loader
	now     time.Duration
	metrics *telemetry.Metrics
	alarms  []string
	logs    []string
	changed chan struct{}
}

func newBench(t testing.TB) *bench {
	t.Helper()
	return newBenchOf(t, telemetry.NewMetrics())
}

func newBenchOf(t testing.TB, metrics *telemetry.Metrics) *bench {
	t.Helper()
	e, err := wasm.Open(wasm.Config{Folder: compiledFolder, Command: testchild.Command("compiler")})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{TB: t, metrics: metrics, changed: make(chan struct{}, 1)}
	b.Loader = plugin.NewLoader(plugin.Config{
		Engine: e, Cores: 1, Boot: func() time.Duration { return b.now }, Metrics: b.metrics,
		Logs: func(module string, level int, text string) {
			b.logs = append(b.logs, fmt.Sprint(module, " ", level, " ", text))
		},
		Alarm:   func(module, text string) { b.alarms = append(b.alarms, module+": "+text) },
		Changed: func() { b.changed <- struct{}{} },
	})
	t.Cleanup(b.Wait)
	return b
}

// scrape returns all metrics.
func (b *bench) scrape() string {
	w := httptest.NewRecorder()
	b.metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

// guest returns one of testdata/guests, with a manifest.
func guest(t testing.TB, name, manifest string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "guests", name+".wasm"))
	if !strings.Contains(manifest, "version:") {
		manifest += "version: '1'\n"
	}
	if err == nil {
		b, err = wasm.Attach(b, []byte("abi: 1\nname: "+name+"\n"+manifest))
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const (
	onQuery  = "phases: [query]\n"
	onAnswer = "phases: [answer]\n"
	isPure   = "pure: true\n"
)

// chain makes one of plugins whose modules are files.
func (b *bench) chain(files map[string][]byte, before *plugin.Chain, plugins ...plugin.Plugin) *plugin.Chain {
	b.Helper()
	c, err := b.load(files, before, plugins...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Release)
	return c
}

func (b *bench) load(files map[string][]byte, before *plugin.Chain, plugins ...plugin.Plugin) (*plugin.Chain, error) {
	var modules []plugin.Module
	for name := range files {
		modules = append(modules, plugin.Module{Name: name, File: name})
	}
	t, err := plugin.Compile(modules, nil, plugins, filesOf(func(name string) []byte { return files[name] }))
	if err != nil {
		return nil, err
	}
	return b.Load(context.Background(), t, before)
}

func name(t testing.TB, s string) dns.Name {
	t.Helper()
	n, err := dns.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func queryOf(n dns.Name, typ dns.Type) *plugin.Query {
	return &plugin.Query{Name: []byte(n.Lower().Wire()), Type: typ, Client: netip.MustParseAddr("127.0.0.2"), Now: 1, Seed: 1}
}

// told is a verdict in one line.
func told(v plugin.Verdict, fail *dns.EDE) string {
	if fail != nil {
		return "fail: " + fail.Text
	}
	out := v.Action.String()
	if v.TTL > 0 {
		out += fmt.Sprintf(" ttl=%d", v.TTL)
	}
	for _, a := range v.Addrs {
		out += " " + a.String()
	}
	if !v.Name.IsZero() {
		out += " " + v.Name.String()
	}
	for _, r := range v.Records {
		out += fmt.Sprintf(" [%v]", r)
	}
	if v.EDE != nil {
		out += fmt.Sprintf(" ede=%d %q", v.EDE.Code, v.EDE.Text)
	}
	if v.Bypass {
		out += " bypass"
	}
	return out
}

// What a module returns becomes a verdict; what is none is a fault, and by its mode the query goes on or fails.
func TestVerdicts(t *testing.T) {
	b := newBench(t)
	files := map[string][]byte{"acts": guest(t, "acts", onQuery)}
	use := func(mode plugin.Mode) *plugin.Chain {
		return b.chain(files, nil, plugin.Plugin{Module: "acts", Phase: plugin.PhaseQuery, Mode: mode, Grant: []string{"client"}, Settings: map[string]string{"color": "red"}})
	}
	open, closed := use(plugin.Open), use(plugin.Closed)
	const failed = "fail: the module acts failed, and this node does not answer without it"
	for _, c := range []struct {
		name         string
		open, closed string
	}{
		{"other.test.", "go on", "go on"},
		{"nxdomain.test.", "NXDOMAIN ttl=60", "NXDOMAIN ttl=60"},
		{"NODATA.test.", "NODATA ttl=60", "NODATA ttl=60"},
		{"why.test.", `NXDOMAIN ttl=60 ede=15 "it is said so"`, `NXDOMAIN ttl=60 ede=15 "it is said so"`},
		{"address.test.", "address ttl=30 192.0.2.1 2001:db8::1", "address ttl=30 192.0.2.1 2001:db8::1"},
		{"refuse.test.", "REFUSED", "REFUSED"},
		{"drop.test.", "drop", "drop"},
		{"rewrite.test.", "rewrite ttl=300 www.example.", "rewrite ttl=300 www.example."},
		{"bypass.test.", "go on bypass", "go on bypass"},
		{"client.test.", "NXDOMAIN ttl=60", "NXDOMAIN ttl=60"},
		{"prefix.test.", "go on", "go on"},
		{"setting.test.", "NXDOMAIN ttl=60", "NXDOMAIN ttl=60"},
		{"record.test.", "answer [record.test.\t60\tIN\tA\t192.0.2.7] [record.test.\t60\tIN\tA\t192.0.2.8]", "answer [record.test.\t60\tIN\tA\t192.0.2.7] [record.test.\t60\tIN\tA\t192.0.2.8]"},
		{"self.test.", "go on", failed},
		{"trap.test.", "go on", failed},
		{"loop.test.", "go on", failed},
		{"action.test.", "go on", failed},
		{"long.test.", "go on", failed},
		{"badrecord.test.", "go on", failed},
	} {
		n := name(t, c.name)
		for chain, want := range map[*plugin.Chain]string{open: c.open, closed: c.closed} {
			b.now += time.Hour // faults of this test are far apart
			v, fail := chain.Query(t.Context(), 0, queryOf(n, dns.TypeA), n, nil)
			if got := told(v, fail); got != want {
				t.Errorf("%s: %s, want %s", c.name, got, want)
			}
		}
	}
	if got := b.Faults(); got != 12 {
		t.Errorf("%d faults are counted", got)
	}
	if len(b.alarms) > 0 {
		t.Error(b.alarms)
	}
}

// The first verdict that ends a query wins, and who explains hears of each module that was asked.
func TestOrder(t *testing.T) {
	b := newBench(t)
	files := map[string][]byte{"first": guest(t, "acts", onQuery), "second": guest(t, "acts", onQuery)}
	use := func(module, color string) plugin.Plugin {
		return plugin.Plugin{Module: module, Phase: plugin.PhaseQuery, Settings: map[string]string{"color": color}}
	}
	c := b.chain(files, nil, use("first", "blue"), use("second", "red"))
	for n, want := range map[string]string{"nxdomain.test.": "first NXDOMAIN", "setting.test.": "first go on, second NXDOMAIN", "x.test.": "first go on, second go on"} {
		var steps []string
		n := name(t, n)
		v, _ := c.Query(t.Context(), 0, queryOf(n, dns.TypeA), n, func(s plugin.Step) {
			steps = append(steps, s.Module+" "+s.Verdict.Action.String())
			if s.Err != nil || s.Fuel <= 0 {
				t.Errorf("%+v", s)
			}
		})
		if got := strings.Join(steps, ", "); got != want || v.Action.String() != strings.Fields(want[strings.LastIndex(want, ", ")+1:])[len(strings.Fields(want[strings.LastIndex(want, ", ")+1:]))-1] && v.Action != plugin.GoOn {
			t.Errorf("%v: %s, and %v in the end", n, got, v.Action)
		}
	}
}

// Ten faults in a minute take a module out: it is not called any more, people are told once, and its mode says what becomes of queries.
func TestTakenOut(t *testing.T) {
	b := newBench(t)
	c := b.chain(map[string][]byte{"acts": guest(t, "acts", onQuery)}, nil, plugin.Plugin{Module: "acts", Phase: plugin.PhaseQuery})
	ask := func(n string) string {
		owner := name(t, n)
		v, fail := c.Query(t.Context(), 0, queryOf(owner, dns.TypeA), owner, nil)
		return told(v, fail)
	}
	for range 30 { // one in ten seconds is none too many
		ask("trap.test.")
		b.now += 10 * time.Second
	}
	if got := ask("nxdomain.test."); got != "NXDOMAIN ttl=60" || len(b.alarms) > 0 {
		t.Errorf("after slow faults: %s, %q", got, b.alarms)
	}
	b.now += time.Hour
	for k := range 12 {
		ask("trap.test.")
		b.now += time.Second
		if out := ask("nxdomain.test.") == "go on"; out != (k >= 9) {
			t.Errorf("after %d faults: taken out %v", k+1, out)
		}
	}
	if n := b.Faults(); n != 40 {
		t.Errorf("%d faults are counted: who is not called does not fail", n)
	}
	if len(b.alarms) != 1 || !strings.Contains(b.alarms[0], "acts: it has failed 10 times in 1m0s, and was taken out: queries go on without it; the last time: ") {
		t.Errorf("%q", b.alarms)
	}
	if got := b.LastFault(); got != "acts at phase query: trap" {
		t.Errorf("the last fault is %q", got)
	}
	// Another version begins anew.
	next := b.chain(map[string][]byte{"acts": guest(t, "acts", onQuery+"version: '2'\n")}, c, plugin.Plugin{Module: "acts", Phase: plugin.PhaseQuery})
	owner := name(t, "nxdomain.test.")
	if v, _ := next.Query(t.Context(), 0, queryOf(owner, dns.TypeA), owner, nil); v.Action != plugin.NXDomain {
		t.Errorf("the next version: %v", v.Action)
	}
	// So does the same one where the chain before has it no more, although it is loaded still; it stays out where that has it.
	files, use := map[string][]byte{"acts": guest(t, "acts", onQuery)}, plugin.Plugin{Module: "acts", Phase: plugin.PhaseQuery}
	if s := b.chain(files, c, use).Status()[0]; !s.Out || !strings.Contains(s.Alarm, "was taken out") {
		t.Errorf("the same in the next chain: %+v", s)
	}
	c = b.chain(files, next, use)
	if s := c.Status()[0]; s.Out || s.Alarm != "" {
		t.Errorf("one that comes back: %+v", s)
	}
	for range 12 {
		ask("trap.test.")
	}
	if n := b.Faults(); n != 50 || len(b.alarms) != 2 || !c.Status()[0].Out {
		t.Errorf("taken out a second time: %d faults, %q", n, b.alarms)
	}
}

// A stale module is asked in the version before it, where it fails.
func TestStale(t *testing.T) {
	b := newBench(t)
	use := plugin.Plugin{Module: "acts", Phase: plugin.PhaseQuery, Mode: plugin.Stale}
	first := b.chain(map[string][]byte{"acts": guest(t, "acts", onQuery)}, nil, use)
	ask := func(c *plugin.Chain, n string) string {
		owner := name(t, n)
		v, fail := c.Query(t.Context(), 0, queryOf(owner, dns.TypeA), owner, nil)
		return told(v, fail)
	}
	if got := ask(first, "nxdomain.test."); got != "NXDOMAIN ttl=60" {
		t.Fatal(got)
	}
	// The next version is one of phase answer that is to be asked at phase query as well: it has no such function, and is refused. One with too little fuel fails at each call.
	files := map[string][]byte{"acts": guest(t, "acts", onQuery+"version: '2'\n")}
	table, err := plugin.Compile([]plugin.Module{{Name: "acts", File: "acts", Limits: plugin.Limits{Fuel: 150}}}, nil, []plugin.Plugin{use}, filesOf(func(name string) []byte { return files[name] }))
	if err != nil {
		t.Fatal(err)
	}
	second, err := b.Load(t.Context(), table, first)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(second.Release)
	for range 20 { // and also when it was taken out
		if got := ask(second, "nxdomain.test."); got != "NXDOMAIN ttl=60" {
			t.Fatalf("%s; %q", got, b.alarms)
		}
	}
	if len(b.alarms) != 1 {
		t.Errorf("%q", b.alarms)
	}
}

// A module that says that it is pure and is not is found out: its verdicts are not kept any more, and chains are made anew.
func TestImpure(t *testing.T) {
	b := newBench(t)
	files := map[string][]byte{"acts": guest(t, "acts", onQuery+isPure)}
	use := plugin.Plugin{Module: "acts", Phase: plugin.PhaseQuery}
	c := b.chain(files, nil, use)
	if impure, _ := c.Impure(); impure || !c.Keeps() || !c.Decides("acts") {
		t.Error("it is taken for impure before it was asked")
	}
	honest, owner := name(t, "x.test."), name(t, "calls.test.")
	for range 5000 {
		c.Query(t.Context(), 0, queryOf(honest, dns.TypeA), honest, nil)
	}
	if len(b.alarms) > 0 {
		t.Fatalf("%q", b.alarms)
	}
	for range 3000 {
		c.Query(t.Context(), 0, queryOf(owner, dns.TypeA), owner, nil)
	}
	if len(b.alarms) != 1 || !strings.Contains(b.alarms[0], "declared pure") {
		t.Fatalf("%q", b.alarms)
	}
	<-b.changed
	next := b.chain(files, c, use)
	if impure, inLoop := next.Impure(); !impure || !inLoop || next.Epoch() == c.Epoch() {
		t.Errorf("the next chain: impure %v, in the loop %v, epoch %s and %s", impure, inLoop, next.Epoch(), c.Epoch())
	}
}

// What one use of a module is found out by holds for all others of it, whatever their settings, and whichever chain they came with.
func TestImpureWithOtherSettings(t *testing.T) {
	b := newBench(t)
	files := map[string][]byte{"acts": guest(t, "acts", onQuery+isPure)}
	use := func(color string) plugin.Plugin {
		return plugin.Plugin{Module: "acts", Phase: plugin.PhaseQuery, Settings: map[string]string{"color": color}}
	}
	c := b.chain(files, nil, use("blue"), use("green"))
	late := b.chain(files, c, use("blue"), use("green")) // made before, and in use after
	owner := name(t, "calls.test.")
	find := func(c *plugin.Chain) {
		t.Helper()
		for range 3000 {
			c.Query(t.Context(), 0, queryOf(owner, dns.TypeA), owner, nil)
		}
		select {
		case <-b.changed:
		case <-time.After(time.Minute):
			t.Fatal("nobody is told")
		}
	}
	find(c)
	next := b.chain(files, c, use("blue"), use("green"))
	for _, s := range next.Status() {
		if s.Pure {
			t.Error("one use of it is taken for pure still")
		}
	}
	find(late)
	if len(b.alarms) != 1 {
		t.Errorf("%q", b.alarms)
	}
}

// Where a module runs twice at a phase, what a stale one falls back on is what ran with its settings.
func TestStaleWithOtherSettings(t *testing.T) {
	b := newBench(t)
	use := func(color string) plugin.Plugin {
		return plugin.Plugin{Module: "acts", Phase: plugin.PhaseQuery, Mode: plugin.Stale, Settings: map[string]string{"color": color}}
	}
	files := map[string][]byte{"acts": guest(t, "acts", onQuery)}
	ask := func(c *plugin.Chain, n string) (steps []string) {
		owner := name(t, n)
		c.Query(t.Context(), 0, queryOf(owner, dns.TypeA), owner, func(s plugin.Step) {
			steps = append(steps, fmt.Sprint(s.Verdict.Action, " ", s.Err != nil))
		})
		return steps
	}
	first := b.chain(files, nil, use("red"), use("blue"))
	ask(first, "x.test.")
	again := b.chain(files, first, use("red"), use("blue"))
	if got := fmt.Sprint(ask(again, "trap.test.")); got != "[go on true go on true]" {
		t.Errorf("of the same settings, made anew: %s", got) // there is no version before
	}
}

// A chain that was let go of while the next one was made lends it nothing, and is closed once.
func TestStaleOfReleased(t *testing.T) {
	b := newBench(t)
	use := plugin.Plugin{Module: "acts", Phase: plugin.PhaseQuery, Mode: plugin.Stale}
	first, err := b.load(map[string][]byte{"acts": guest(t, "acts", onQuery)}, nil, use)
	if err != nil {
		t.Fatal(err)
	}
	owner := name(t, "x.test.")
	first.Query(t.Context(), 0, queryOf(owner, dns.TypeA), owner, nil)
	first.Release()
	b.Wait()
	second, err := b.load(map[string][]byte{"acts": guest(t, "acts", onQuery+"version: '2'\n")}, first, use)
	if err != nil {
		t.Fatal(err)
	}
	second.Release()
	b.Wait()
}

// A module that runs nowhere is compiled once, to tell whether it can be, and not with each change of something else.
func TestUnusedIsCheckedOnce(t *testing.T) {
	folder, compiled := t.TempDir(), 0
	e, err := wasm.Open(wasm.Config{Folder: folder, Command: func() *exec.Cmd {
		compiled++
		return testchild.Command("compiler")()
	}})
	if err != nil {
		t.Fatal(err)
	}
	l := plugin.NewLoader(plugin.Config{Engine: e, Cores: 1, Boot: func() time.Duration { return 0 }, Metrics: telemetry.NewMetrics()})
	load := func(source []byte, want int) {
		t.Helper()
		table, err := plugin.Compile([]plugin.Module{{Name: "acts", File: "acts"}}, nil, nil, filesOf(func(string) []byte { return source }))
		if err != nil {
			t.Fatal(err)
		}
		if c, err := l.Load(t.Context(), table, nil); c != nil || err != nil {
			t.Fatal(c, err)
		}
		if compiled != want {
			t.Errorf("compiled %d times, want %d", compiled, want)
		}
		if err := os.RemoveAll(folder); err != nil { // what is on disk is not asked for
			t.Fatal(err)
		}
	}
	load(guest(t, "acts", onQuery), 1)
	load(guest(t, "acts", onQuery), 1)
	load(guest(t, "acts", onQuery+"version: '2'\n"), 2)
}

// Records of an answer are rewritten, in order; where a module fails, the answer is as it was.
func TestAnswers(t *testing.T) {
	b := newBench(t)
	c := b.chain(map[string][]byte{"clamp": guest(t, "clamp", onAnswer+isPure)}, nil, plugin.Plugin{Module: "clamp", Phase: plugin.PhaseAnswer})
	owner := name(t, "www.test.")
	a := func(ttl uint32, last ...byte) dns.RR {
		return dns.RR{Name: owner, Type: dns.TypeA, Class: dns.ClassINET, TTL: ttl, Data: last}
	}
	for _, tc := range []struct {
		name    string
		records []dns.RR
		want    string
	}{
		{"www.test.", []dns.RR{a(5, 192, 0, 2, 1)}, "go on"},
		{"www.test.", []dns.RR{a(60, 192, 0, 2, 1), a(5, 10, 0, 0, 1), a(7, 192, 0, 2, 2)}, "answer ttl=10 [www.test.\t10\tIN\tA\t192.0.2.1] [www.test.\t7\tIN\tA\t192.0.2.2]"},
		{"www.test.", []dns.RR{a(5, 10, 0, 0, 1)}, "answer ttl=10"},
		{"trap.test.", []dns.RR{a(60, 10, 0, 0, 1)}, "go on"},
	} {
		n := name(t, tc.name)
		rep := plugin.Reply{Sections: [3][]dns.RR{tc.records}}
		v, fail := c.Answer(t.Context(), 0, queryOf(n, dns.TypeA), n, &rep, nil)
		if got := told(v, fail); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

// Who owns a zone can have answers asked for that fit into no buffer. They are the module's to see by its mode, and do not take it out for all others.
func TestLargeAnswersTakeNobodyOut(t *testing.T) {
	b := newBench(t)
	c := b.chain(map[string][]byte{"clamp": guest(t, "clamp", onAnswer)}, nil, plugin.Plugin{Module: "clamp", Phase: plugin.PhaseAnswer, Mode: plugin.Closed})
	long := name(t, strings.Repeat(strings.Repeat("a", 49)+".", 5))
	large := make([]dns.RR, 300) // some 5 KB in a message, where names point at each other
	for i := range large {
		large[i] = dns.RR{Name: long, Type: dns.TypeA, Class: dns.ClassINET, TTL: 60, Data: []byte{192, 0, byte(i >> 8), byte(i)}}
	}
	for range 20 {
		if _, fail := c.Answer(t.Context(), 0, queryOf(long, dns.TypeA), long, &plugin.Reply{Sections: [3][]dns.RR{large}}, nil); fail == nil {
			t.Fatal("a closed module lets an answer pass that it has not seen")
		}
	}
	if len(b.alarms) > 0 {
		t.Errorf("%q", b.alarms)
	}
	if text := b.scrape(); !strings.Contains(text, `ananas_plugin_large_total{module="clamp"} 20`) {
		t.Error(text)
	}
	if v, fail := c.Answer(t.Context(), 0, queryOf(long, dns.TypeA), long, &plugin.Reply{Sections: [3][]dns.RR{large[:3]}}, nil); fail != nil || v.Action != plugin.Answer {
		t.Errorf("of others: %v, %v", v, fail)
	}
}

// A page of the log that waited for longer than its modules were kept is no fault of theirs.
func TestReleasedIsNoFault(t *testing.T) {
	b := newBench(t)
	use := plugin.Plugin{Module: "acts", Phase: plugin.PhaseQuery}
	c, err := b.load(map[string][]byte{"acts": guest(t, "acts", onQuery)}, nil, use)
	if err != nil {
		t.Fatal(err)
	}
	c.Release()
	b.Wait()
	owner := name(t, "x.test.")
	for range 20 {
		c.Query(t.Context(), 0, queryOf(owner, dns.TypeA), owner, nil)
	}
	if b.Faults() > 0 || len(b.alarms) > 0 {
		t.Errorf("%d faults, %q", b.Faults(), b.alarms)
	}
}

// What is wrong with modules is told with its place, and what to do.
func TestRefusedModules(t *testing.T) {
	b := newBench(t)
	use := plugin.Plugin{Module: "acts", Phase: plugin.PhaseQuery}
	bare, err := os.ReadFile(filepath.Join("testdata", "guests", "acts.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	good := guest(t, "acts", onQuery)
	for _, c := range []struct {
		what   string
		module []byte
		use    plugin.Plugin
		want   string
	}{
		{"no module", []byte("#!/bin/sh\n"), use, `modules[0].file: reading module "acts": `},
		{"no manifest", bare, use, `modules[0].file: reading module "acts": the module has 0 custom sections "ananas.manifest", and must have one`},
		{"cut short", good[:len(good)-3], use, `modules[0].file: reading module "acts": `},
		{"too large", append(good[:len(good):len(good)], make([]byte, plugin.MaxModule)...), use, fmt.Sprintf(`modules[0].file: module "acts" has %d octets, at most 8388608`, len(good)+plugin.MaxModule)},
		{"another phase", good, plugin.Plugin{Module: "acts", Phase: plugin.PhaseAnswer}, `plugins[0].phase: module "acts" does not run at phase answer`},
		{"no such module", good, plugin.Plugin{Module: "act", Phase: plugin.PhaseQuery}, "plugins[0].module: there is no module \"act\"\n\thint: did you mean acts?"},
		{"no such capability", good, plugin.Plugin{Module: "acts", Phase: plugin.PhaseQuery, Grant: []string{"files"}}, `plugins[0].grant[0]: there is no capability "files"`},
		{"not granted", guest(t, "acts", onQuery+"needs: [client]\n"), use, `plugins[0].grant: module "acts" needs client, which is not granted`},
		{"needs what there is not", guest(t, "acts", onQuery+"needs: [bogus]\n"), use, "plugins[0].module: module \"acts\" needs bogus, and there is no such capability\n\thint: there are data/NAME, client, log, metrics, random, resolve, time"},
		{"granted what a pure one may not have", guest(t, "acts", onQuery+isPure), plugin.Plugin{Module: "acts", Phase: plugin.PhaseQuery, Grant: []string{"client"}}, "plugins[0].grant[0]: module \"acts\" is pure, and is granted client\n\thint: remove it; a pure module may have data/NAME only"},
		{"no function", guest(t, "acts", onAnswer), plugin.Plugin{Module: "acts", Phase: plugin.PhaseAnswer}, `plugins[0].module: starting module "acts": it says that it runs at phase answer, and has no function "ananas_answer"`},
		{"does not take its settings", good, plugin.Plugin{Module: "acts", Phase: plugin.PhaseQuery, Settings: map[string]string{"refuse": "yes"}}, `plugins[0].module: starting module "acts": ananas_start: it returned an error: 1`},
	} {
		_, err := b.load(map[string][]byte{"acts": c.module}, nil, c.use)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", c.what, err, c.want)
		}
	}
	later := guest(t, "acts", onQuery)
	later = []byte(strings.Replace(string(later), "abi: 1", "abi: 2", 1))
	if _, err := b.load(map[string][]byte{"acts": later}, nil, use); err == nil || !strings.Contains(err.Error(), "speaks version 2 of the interface, and this release 1") {
		t.Error(err)
	}
}

// filesOf are files of these contents.
func filesOf(content func(name string) []byte) plugin.Files {
	return func(name string, most int64) (*namedfile.File, error) {
		return namedfile.Of(content(name)).AtMost(name, most)
	}
}

// Who asks is shown to a module as far as it may know: not at all to one whose verdict is kept for all, by the network to others.
func TestSees(t *testing.T) {
	b := newBench(t)
	for who, c := range map[string]struct {
		manifest string
		grant    []string
	}{"nobody.test.": {isPure, nil}, "prefix.test.": {"", nil}, "client.test.": {"", []string{"client"}}} {
		chain := b.chain(map[string][]byte{"acts": guest(t, "acts", onQuery+c.manifest)}, nil, plugin.Plugin{Module: "acts", Phase: plugin.PhaseQuery, Grant: c.grant})
		for _, label := range []string{"nobody.test.", "prefix.test.", "client.test."} {
			n := name(t, label)
			v, _ := chain.Query(t.Context(), 0, queryOf(n, dns.TypeA), n, nil)
			if seen := v.Action == plugin.NXDomain; seen != (label == who) {
				t.Errorf("where %s is to be seen, %s is: %v", who, label, v.Action)
			}
		}
	}
}
