package trial_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/internal/dnstap"
	"github.com/ananas-edge/ananas/internal/namedfile"
	"github.com/ananas-edge/ananas/internal/testchild"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/nameserver/plugin/trial"
	"github.com/ananas-edge/ananas/wasm"
)

func TestMain(m *testing.M) {
	testchild.Be("compiler", wasm.RunCompiler)
	os.Exit(m.Run())
}

// guest returns a guest of package plugin's tests, as the version of a manifest.
func guest(t testing.TB, file, manifest string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "testdata", "guests", file+".wasm"))
	if err == nil {
		b, err = wasm.Attach(b, []byte("abi: 1\n"+manifest))
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// settings are such as run: the modules are named by their files.
func settings(t testing.TB, files map[string][]byte, data []plugin.Data, plugins ...plugin.Plugin) trial.Settings {
	t.Helper()
	s := trial.Settings{Data: data, Files: func(name string, most int64) (*namedfile.File, error) {
		if b, ok := files[name]; ok {
			return namedfile.Of(b).AtMost(name, most)
		}
		return nil, fmt.Errorf("opening %q: %w", name, fs.ErrNotExist)
	}}
	var modules []plugin.Module
	for name := range files {
		if !strings.Contains(name, ".") {
			modules = append(modules, plugin.Module{Name: name, File: name})
		}
	}
	var err error
	if s.Running, err = plugin.Compile(modules, data, plugins, s.Files); err != nil {
		t.Fatal(err)
	}
	return s
}

// open opens a trial on a clock that goes on by a microsecond with each look at it.
func open(t testing.TB, c trial.Config) (*trial.Trial, error) {
	t.Helper()
	var now time.Duration
	c.Clock = func() time.Duration { now += time.Microsecond; return now }
	c.Folder, c.Compile = filepath.Join(t.TempDir(), "trial"), testchild.Command("compiler")
	tr, err := trial.Open(t.Context(), c)
	if err == nil {
		t.Cleanup(func() {
			if err := tr.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	if _, left := os.Stat(c.Folder); err != nil && !errors.Is(left, fs.ErrNotExist) {
		t.Errorf("a trial that was not opened leaves %s", c.Folder)
	}
	return tr, err
}

func record(t testing.TB, name string, typ dns.Type, reply *plugin.Reply) *trial.Record {
	t.Helper()
	n, err := dns.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	r := &trial.Record{Reply: reply, Line: plugin.Line{Type: typ, Flags: dns.FlagRD, Client: netip.MustParseAddr("192.0.2.77"), Time: 1e9}}
	r.Line.NameLen = uint8(copy(r.Line.Name[:], n.Lower().Wire()))
	return r
}

// describe writes a report in short.
func describe(r *trial.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "queries %d lost %d unreadable %d asked %d unknown %d\n", r.Queries, r.Lost, r.Unreadable, r.Asked, r.Unknown)
	for _, u := range r.Uses {
		fmt.Fprintf(&b, "%s at %d: alike %d differ %d unanswered %d others %d\n", u.Phase, u.Place, u.Alike, u.Differ, u.Unanswered, u.Others)
		for _, v := range []trial.Version{u.Old, u.New} {
			fmt.Fprintf(&b, "  version %q pure %v fast %v calls %d faults %v fuel %v ns %v\n", v.Version, v.Pure, v.Fast, v.Calls, v.Reasons, v.Fuel.Median > 0 && v.Fuel.Worst >= v.Fuel.Median, v.Nanos)
		}
		for _, g := range u.Groups {
			fmt.Fprintf(&b, "  %d: %s => %s:", g.Count, g.Old, g.New)
			for _, e := range g.Examples {
				fmt.Fprintf(&b, " %s %s %s", e.Name, e.Type, e.Client)
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

func TestTrials(t *testing.T) {
	acts := guest(t, "acts", "name: acts\nversion: '1'\nphases: [query]\n")
	acts2 := guest(t, "acts", "name: acts\nversion: '2'\nphases: [query]\n")
	use := func(module string, phase plugin.Phase, set map[string]string, grant ...string) plugin.Plugin {
		return plugin.Plugin{Module: module, Phase: phase, Settings: set, Grant: grant}
	}
	address := &plugin.Reply{Sections: [3][]dns.RR{{{Name: dns.Root, Type: dns.TypeA, Class: dns.ClassINET, TTL: 300, Data: []byte{192, 0, 2, 1}}}}}
	for _, c := range []struct {
		name     string
		settings trial.Settings
		request  trial.Request
		resolve  func(dns.Name, dns.Type) (*plugin.Reply, error)
		recall   func(*plugin.Query, dns.Name, *plugin.Path) *plugin.Reply
		asked    string
		reply    *plugin.Reply
		want     string
	}{
		{
			name: "the same", settings: settings(t, map[string][]byte{"acts": acts}, nil, use("acts", plugin.PhaseQuery, nil)), request: trial.Request{Module: "acts", Source: acts2},
			asked: "www nxdomain rewrite trap",
			want: `queries 4 lost 0 unreadable 0 asked 0 unknown 0
query at 1: alike 4 differ 0 unanswered 0 others 0
  version "1" pure false fast true calls 4 faults map[trap:1] fuel true ns {1000 1000}
  version "2" pure false fast true calls 4 faults map[trap:1] fuel true ns {1000 1000}
`,
		}, {
			name: "other settings of the version that runs", settings: settings(t, map[string][]byte{"acts": acts}, nil, use("acts", plugin.PhaseQuery, nil)),
			request: trial.Request{Module: "acts", Settings: map[string]string{"all": "yes"}},
			asked:   "www mail www why why nxdomain drop refuse", // the last two with a TTL, of which nothing is made
			want: `queries 8 lost 0 unreadable 0 asked 0 unknown 0
query at 1: alike 5 differ 3 unanswered 0 others 0
  version "1" pure false fast true calls 8 faults map[] fuel true ns {1000 1000}
  version "1" pure false fast true calls 8 faults map[] fuel true ns {1000 1000}
  3: go on => NXDOMAIN ttl=60: www.example. A 192.0.2.0/24 mail.example. A 192.0.2.0/24
`,
		}, {
			name: "a module that is new", settings: settings(t, nil, nil), request: trial.Request{Module: "acts", Source: acts},
			asked: "www address bypass loop refuse drop",
			want: `queries 6 lost 0 unreadable 0 asked 0 unknown 0
query at 0: alike 1 differ 5 unanswered 0 others 0
  version "" pure false fast false calls 0 faults map[] fuel false ns {0 0}
  version "1" pure false fast true calls 6 faults map[fuel:1] fuel true ns {1000 1000}
  1: go on => REFUSED: refuse.example. A 192.0.2.0/24
  1: go on => address 192.0.2.1 2001:db8::1 ttl=30: address.example. A 192.0.2.0/24
  1: go on => drop: drop.example. A 192.0.2.0/24
  1: go on => fault fuel: loop.example. A 192.0.2.0/24
  1: go on => go on bypass: bypass.example. A 192.0.2.0/24
`,
		}, {
			name: "one that is off, with a grant", settings: settings(t, map[string][]byte{"acts": acts, "other": acts}, nil, use("other", plugin.PhaseQuery, nil), plugin.Plugin{Module: "acts", Phase: plugin.PhaseQuery, Off: true}),
			request: trial.Request{Module: "acts", Grant: []string{"client"}, Fuel: 1_000_000},
			asked:   "client nxdomain",
			want: `queries 2 lost 0 unreadable 0 asked 0 unknown 0
query at 2: alike 1 differ 1 unanswered 0 others 0
  version "" pure false fast false calls 0 faults map[] fuel false ns {0 0}
  version "1" pure false fast false calls 2 faults map[] fuel true ns {1000 1000}
  1: go on => NXDOMAIN ttl=60: nxdomain.example. A 192.0.2.0/24
`,
		}, {
			name:     "phase answer, of which some answers are known",
			settings: settings(t, map[string][]byte{"clamp": guest(t, "clamp", "name: clamp\nversion: '1'\nphases: [answer]\npure: true\n")}, nil),
			request:  trial.Request{Module: "clamp"},
			recall: func(q *plugin.Query, owner dns.Name, _ *plugin.Path) *plugin.Reply {
				if strings.HasPrefix(owner.String(), "gone") {
					return nil
				}
				return address
			},
			asked: "www gone trap",
			want: `queries 3 lost 0 unreadable 0 asked 0 unknown 0
answer at 0: alike 0 differ 2 unanswered 1 others 0
  version "" pure false fast false calls 0 faults map[] fuel false ns {0 0}
  version "1" pure true fast true calls 2 faults map[trap:1] fuel true ns {1000 1000}
  1: go on => fault trap: trap.example. A 192.0.2.0/24
  1: go on => records: www.example. A 192.0.2.0/24
`,
		}, {
			name:     "phase log",
			settings: settings(t, map[string][]byte{"tally": guest(t, "tally", "name: tally\nversion: '1'\nphases: [log]\nneeds: [metrics, log]\n")}, nil, use("tally", plugin.PhaseLog, nil, "metrics", "log")),
			request:  trial.Request{Module: "tally"},
			asked:    "www mail",
			want: `queries 2 lost 0 unreadable 0 asked 0 unknown 0
log at 1: alike 2 differ 0 unanswered 0 others 0
  version "1" pure false fast true calls 0 faults map[] fuel false ns {0 0}
  version "1" pure false fast true calls 2 faults map[] fuel true ns {1000 1000}
`,
		}, {
			name:     "questions of its own",
			settings: settings(t, nil, nil), request: trial.Request{Module: "asks", Source: guest(t, "asks", "name: asks\nversion: '1'\nphases: [query]\nneeds: [resolve]\n")},
			asked: "ask www",
			want: `queries 2 lost 0 unreadable 0 asked 1 unknown 1
query at 0: alike 1 differ 1 unanswered 0 others 0
  version "" pure false fast false calls 0 faults map[] fuel false ns {0 0}
  version "1" pure false fast false calls 2 faults map[] fuel true ns {1000 1000}
  1: go on => REFUSED: ask.example. A 192.0.2.0/24
`,
		}, {
			name:     "questions of its own, which a cache answers",
			settings: settings(t, nil, nil), request: trial.Request{Module: "asks", Source: guest(t, "asks", "name: asks\nversion: '1'\nphases: [query]\nneeds: [resolve]\n")},
			resolve: func(dns.Name, dns.Type) (*plugin.Reply, error) { return address, nil },
			asked:   "ask",
			want: `queries 1 lost 0 unreadable 0 asked 1 unknown 0
query at 0: alike 0 differ 1 unanswered 0 others 0
  version "" pure false fast false calls 0 faults map[] fuel false ns {0 0}
  version "1" pure false fast false calls 1 faults map[] fuel true ns {1000 1000}
  1: go on => records: ask.example. A 192.0.2.0/24
`,
		}, {
			name: "a list",
			settings: settings(t, map[string][]byte{"listed": guest(t, "listed", "name: listed\nversion: '1'\nphases: [query]\nneeds: [data/bad]\n"), "bad.txt": []byte("mail.example\n"), "other.txt": []byte("!!!")},
				[]plugin.Data{{Name: "bad", File: "bad.txt"}, {Name: "other", File: "other.txt"}}),
			request: trial.Request{Module: "listed"},
			asked:   "www mail",
			want: `queries 2 lost 0 unreadable 0 asked 0 unknown 0
query at 0: alike 1 differ 1 unanswered 0 others 0
  version "" pure false fast false calls 0 faults map[] fuel false ns {0 0}
  version "1" pure false fast true calls 2 faults map[] fuel true ns {1000 1000}
  1: go on => NXDOMAIN ttl=60: mail.example. A 192.0.2.0/24
`,
		},
	} {
		var told []trial.Difference
		tr, err := open(t, trial.Config{Settings: c.settings, Request: c.request, Resolve: c.resolve, Recall: c.recall, Seed: 1, Differ: func(d trial.Difference) { told = append(told, d) }})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for label := range strings.FieldsSeq(c.asked) {
			if err := tr.Look(t.Context(), record(t, label+".example", dns.TypeA, c.reply)); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		r := tr.Report()
		if got := describe(&r); got != c.want {
			t.Errorf("%s: got\n%s, want\n%s", c.name, got, c.want)
		}
		if uint64(len(told)) != r.Differing() {
			t.Errorf("%s: %d differences were told: %v", c.name, len(told), told)
		}
	}
}

// What is compared is what runs, not what lies at the names of its files by now: a module's program, and the lists that it asks.
func TestWhatRuns(t *testing.T) {
	first := guest(t, "listed", "name: listed\nversion: '1'\nphases: [query]\nneeds: [data/bad]\n")
	files := map[string][]byte{"listed": first, "bad.txt": []byte("mail.example\n"), "more.txt": []byte("mail.example\n")}
	have := settings(t, files, []plugin.Data{{Name: "bad", File: "bad.txt"}, {Name: "more", File: "more.txt"}}, plugin.Plugin{Module: "listed", Phase: plugin.PhaseQuery, Grant: []string{"data/bad"}})
	files["listed"], files["bad.txt"], files["more.txt"] = guest(t, "acts", "name: listed\nversion: '2'\nphases: [query]\n"), []byte("www.example\n"), []byte("www.example\n")
	for name, r := range map[string]trial.Request{"the version that runs": {Module: "listed"}, "a new one": {Module: "listed", Source: first}, "a list that no module was granted": {Module: "listed", Grant: []string{"data/bad", "data/more"}}} {
		tr, err := open(t, trial.Config{Settings: have, Request: r})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, asked := range []string{"mail.example", "www.example"} {
			if err := tr.Look(t.Context(), record(t, asked, dns.TypeA, nil)); err != nil {
				t.Fatal(err)
			}
		}
		sum := fmt.Sprintf("%x", sha256.Sum256(first))
		got := tr.Report()
		if u := got.Uses[0]; u.Alike != 2 || u.Old.SHA256 != sum || u.New.SHA256 != sum {
			t.Errorf("%s: got\n%s", name, describe(&got))
		}
	}
}

// What is wrong with a trial is said before any query is looked at, with a mend.
func TestRefused(t *testing.T) {
	acts := guest(t, "acts", "name: acts\nversion: '1'\nphases: [query]\n")
	have := settings(t, map[string][]byte{"acts": acts}, nil, plugin.Plugin{Module: "acts", Phase: plugin.PhaseQuery})
	for _, c := range []struct {
		name    string
		request trial.Request
		want    string
	}{
		{"no module", trial.Request{Module: "other"}, `the settings have no module "other"`},
		{"no WebAssembly", trial.Request{Module: "acts", Source: []byte("x")}, "reading the version to try: "},
		{"a phase that it does not run at", trial.Request{Module: "acts", Source: guest(t, "clamp", "name: acts\nversion: '2'\nphases: [answer]\n")}, `plugins[0].phase: module "acts" does not run at phase query`},
		{"a need that is not granted", trial.Request{Module: "acts", Source: guest(t, "acts", "name: acts\nversion: '2'\nphases: [query]\nneeds: [time]\n")}, `module "acts" needs time, which is not granted`},
		{"a list that is not there", trial.Request{Module: "acts", Grant: []string{"data/bad"}}, `there is no data set "bad"`},
		{"more fuel than the settings give", trial.Request{Module: "acts", Source: guest(t, "acts", "name: acts\nversion: '2'\nphases: [query]\nfuel: 5000000\n")}, "fuel"},
		{"settings that it refuses", trial.Request{Module: "acts", Settings: map[string]string{"refuse": "yes"}}, "ananas_start: it returned an error: 1"},
		{"imports that were not granted", trial.Request{Module: "new", Source: guest(t, "tally", "name: new\nversion: '2'\nphases: [log]\n")}, `import ananas.counter: it needs the capability "metrics"`},
	} {
		_, err := open(t, trial.Config{Settings: have, Request: c.request})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
}

// A version that fails again and again ends its trial, and nothing else.
func TestFaulty(t *testing.T) {
	acts := guest(t, "acts", "name: acts\nversion: '1'\nphases: [query]\n")
	tr, err := open(t, trial.Config{Settings: settings(t, nil, nil), Request: trial.Request{Module: "acts", Source: acts}})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for err = nil; err == nil && n < 2*trial.MaxFaults; n++ {
		err = tr.Look(t.Context(), record(t, "trap.example", dns.TypeA, nil))
	}
	var faulty *trial.FaultyError
	if !errors.As(err, &faulty) || faulty.Last != "trap" || n != trial.MaxFaults {
		t.Errorf("after %d: %v", n, err)
	}
	if again := tr.Look(t.Context(), record(t, "www.example", dns.TypeA, nil)); again != err {
		t.Errorf("it goes on: %v", again)
	}
	if r := tr.Report(); r.Faults() != trial.MaxFaults || r.Queries != trial.MaxFaults {
		t.Errorf("got\n%s", describe(&r))
	}
}

// A module that says something else of each name does not fill the memory.
func TestGroupsAreBounded(t *testing.T) {
	asks := guest(t, "acts", "name: acts\nversion: '1'\nphases: [query]\n")
	old := settings(t, map[string][]byte{"acts": asks}, nil, plugin.Plugin{Module: "acts", Phase: plugin.PhaseQuery})
	tr, err := open(t, trial.Config{Settings: old, Request: trial.Request{Module: "acts", Source: guest(t, "told", "name: acts\nversion: '2'\nphases: [query]\n")}})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 10_000 {
		if err := tr.Look(t.Context(), record(t, fmt.Sprintf("n%d.example", n), dns.TypeA, nil)); err != nil {
			t.Fatal(err)
		}
	}
	r := tr.Report()
	if u := r.Uses[0]; u.Differ != 10_000 || len(u.Groups) != 1 || u.Groups[0].Count != 10_000 || len(u.Groups[0].Examples) != 5 || u.Groups[0].Old != "go on" {
		t.Errorf("got\n%s", describe(&r))
	}
}

// Of an answer with many records the report, which is told again each second, has the first; who is told of each difference has them all, and what differs behind the cut differs.
func TestTextsAreBounded(t *testing.T) {
	many := &plugin.Reply{}
	for n := range 1000 {
		many.Sections[0] = append(many.Sections[0], dns.RR{Name: dns.MustParseName("www.example"), Type: dns.TypeA, Class: dns.ClassINET, TTL: 300, Data: []byte{192, 0, byte(n >> 8), byte(n)}})
	}
	var told trial.Difference
	tr, err := open(t, trial.Config{Settings: settings(t, map[string][]byte{"clamp": guest(t, "clamp", "name: clamp\nversion: '1'\nphases: [answer]\n")}, nil), Request: trial.Request{Module: "clamp", Fuel: 10_000_000}, Differ: func(d trial.Difference) { told = d }})
	if err == nil {
		err = tr.Look(t.Context(), record(t, "www.example", dns.TypeA, many))
	}
	if err != nil {
		t.Fatal(err)
	}
	r := tr.Report()
	if lines := strings.Count(told.New, "\n"); lines != 1000 {
		t.Errorf("%d records are told", lines)
	}
	e := r.Uses[0].Groups[0].Examples[0]
	if len(e.New) > 1100 || !strings.HasPrefix(told.New, strings.TrimSuffix(e.New, " ...")) || e.Old != "go on" || r.Uses[0].Groups[0].New != "records" {
		t.Errorf("%+v", r.Uses[0].Groups)
	}
}

// What three servers have written of the same questions gives the same trial, with the queries' flags where the server tells them.
func TestDnstap(t *testing.T) {
	for _, server := range []string{"unbound", "bind", "dnsdist"} {
		content, err := os.ReadFile(filepath.Join("..", "..", "..", "internal", "dnstap", "testdata", server+".fstrm"))
		if err != nil {
			t.Fatal(err)
		}
		files := map[string][]byte{"listed": guest(t, "listed", "name: listed\nversion: '1'\nphases: [query]\nneeds: [data/bad]\n"), "clamp": guest(t, "clamp", "name: clamp\nversion: '1'\nphases: [answer]\n"), "bad.txt": []byte("ads.example.net\n")}
		for module, want := range map[string]string{
			"listed": "queries 5 lost 0 unreadable 0 asked 0 unknown 0, alike 4 differ 1 unanswered 0: ads.example.net. A 127.0.0.0/24 go on => NXDOMAIN ttl=60",
			"clamp":  "queries 5 lost 0 unreadable 0 asked 0 unknown 0, alike 2 differ 3 unanswered 0: www.example.com. A 127.0.0.0/24 go on => records|    www.example.com. 10 IN A 192.0.2.1",
		} {
			var first string
			tr, err := open(t, trial.Config{Settings: settings(t, files, []plugin.Data{{Name: "bad", File: "bad.txt"}}), Request: trial.Request{Module: module}, Differ: func(d trial.Difference) {
				if first == "" {
					first = strings.ReplaceAll(fmt.Sprintf("%s %s %s %s => %s", d.Name, d.Type, d.Client, d.Old, d.New), "\n", "|")
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			f := trial.NewMessages(bytes.NewReader(content))
			n, err := f.Read(func(m *trial.Message) error {
				r, err := m.Record()
				if err != nil {
					return err
				}
				if want := uint8(0); r.Line.Transport != want && !bytes.HasPrefix(r.Line.Name[:], []byte("\x07nowhere")) || r.Line.Client != netip.MustParseAddr("127.0.0.1") || r.Line.Time == 0 {
					t.Errorf("%s: %+v", server, r.Line)
				}
				return tr.Look(t.Context(), r)
			})
			r := tr.Report()
			u := r.Uses[0]
			got := fmt.Sprintf("queries %d lost %d unreadable %d asked %d unknown %d, alike %d differ %d unanswered %d: %s", r.Queries, r.Lost, r.Unreadable, r.Asked, r.Unknown, u.Alike, u.Differ, u.Unanswered, first)
			if err != nil || n != 5 || got != want || !f.Whole() || len(f.Skipped) > 0 || f.Clients != 10 {
				t.Errorf("%s, %s: %d, %v, whole %v, skipped %v\ngot  %s\nwant %s", server, module, n, err, f.Whole(), f.Skipped, got, want)
			}
		}
	}
}

// wire makes a message.
func wire(id uint16, flags dns.Flags, name string, typ dns.Type, do bool) []byte {
	n, err := dns.ParseName(name)
	if err != nil {
		panic(err)
	}
	return dns.AppendQuestion(nil, id, flags, dns.Question{Name: n, Type: typ, Class: dns.ClassINET}, 1232, do, nil)
}

func TestRecords(t *testing.T) {
	query, answer := wire(1, dns.FlagRD|dns.FlagAD, "WWW.example", dns.TypeA, true), wire(1, dns.FlagQR|dns.FlagRD|dns.FlagCD|dns.FlagAD, "www.example", dns.TypeA, true)
	for _, c := range []struct {
		name string
		m    trial.Message
		want string
	}{
		{"query", trial.Message{Query: query, Transport: 1}, `"\x03www\aexample\x00" A transport 1 flags 120 do true reply false`},
		{"both", trial.Message{Query: query, Response: answer}, `"\x03www\aexample\x00" A transport 0 flags 120 do true reply true`},
		{"answer alone", trial.Message{Response: answer}, `"\x03www\aexample\x00" A transport 0 flags 110 do true reply true`},
		{"cut off", trial.Message{Response: wire(1, dns.FlagQR|dns.FlagTC, "www.example", dns.TypeA, false)}, `"\x03www\aexample\x00" A transport 0 flags 0 do false reply false`},
		{"nothing", trial.Message{}, "it is no query that modules are shown"},
		{"NOTIFY", trial.Message{Query: wire(1, 4<<11, "www.example", dns.TypeSOA, false)}, "it is no query that modules are shown"},
		{"transfer", trial.Message{Query: wire(1, 0, "www.example", dns.TypeAXFR, false)}, "it is no query that modules are shown"},
		{"answer without question", trial.Message{Response: []byte("\x00\x01\x80\x05\x00\x00\x00\x00\x00\x00\x00\x00")}, "it is no query that modules are shown"},
		{"garbage", trial.Message{Query: []byte("garbage")}, "reading a query: "},
		{"too large", trial.Message{Query: query, Response: make([]byte, 65_536)}, "reading a message: it has 65536 octets, at most 65535"},
		{"garbage as an answer", trial.Message{Query: query, Response: []byte("garbage")}, "reading an answer: "},
	} {
		r, err := c.m.Record()
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = fmt.Sprintf("%q %v transport %d flags %x do %v reply %v", r.Line.Name[:r.Line.NameLen], r.Line.Type, r.Line.Transport, uint16(r.Line.Flags), r.Line.DO, r.Reply != nil)
		}
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

// stream writes messages of dnstap.
func stream(all ...[]byte) []byte {
	frame := func(b []byte) []byte {
		return append([]byte{byte(len(b) >> 24), byte(len(b) >> 16), byte(len(b) >> 8), byte(len(b))}, b...)
	}
	out := append([]byte{0, 0, 0, 0}, frame([]byte{0, 0, 0, 2})...)
	for _, b := range all {
		out = append(out, frame(b)...)
	}
	return out
}

// tap makes one, of a client's port.
func tap(kind dnstap.Type, port byte, message []byte) []byte {
	field := byte(10<<3 | 2)
	if kind%2 == 0 {
		field = 14<<3 | 2
	}
	head := []byte{1 << 3, byte(kind), 4<<3 | 2, 4, 192, 0, 2, 1, 6 << 3, port, field}
	m := append(binary.AppendUvarint(head, uint64(len(message))), message...)
	return append(binary.AppendUvarint([]byte{14<<3 | 2}, uint64(len(m))), m...)
}

// A query and its answer are one, whatever comes between; a query without an answer, or the other way round, is one too, and what is of no client is left out.
func TestPairs(t *testing.T) {
	a, b := wire(1, dns.FlagRD, "a.example", dns.TypeA, false), wire(2, dns.FlagRD, "b.example", dns.TypeA, false)
	answers := func(q []byte) []byte {
		r := append([]byte(nil), q...)
		r[2] |= 0x80
		return r
	}
	for _, c := range []struct {
		name string
		all  [][]byte
		want string
	}{
		{"in order", [][]byte{tap(dnstap.ClientQuery, 1, a), tap(dnstap.ClientResponse, 1, answers(a))}, "a:1 both"},
		{"mixed", [][]byte{tap(dnstap.ClientQuery, 1, a), tap(dnstap.ClientQuery, 2, b), tap(dnstap.ClientResponse, 2, answers(b)), tap(dnstap.ClientResponse, 1, answers(a))}, "b:2 both, a:1 both"},
		{"other ports", [][]byte{tap(dnstap.ClientQuery, 1, a), tap(dnstap.ClientResponse, 2, answers(a))}, "a:2 answer, a:1 query"},
		{"asked again", [][]byte{tap(dnstap.ClientQuery, 1, a), tap(dnstap.ClientQuery, 1, a), tap(dnstap.ClientResponse, 1, answers(a))}, "a:1 query, a:1 both"},
		{"of a resolver", [][]byte{tap(dnstap.ResolverQuery, 1, a), tap(dnstap.ResolverResponse, 1, answers(a)), tap(dnstap.ClientQuery, 2, b)}, "b:2 query; RESOLVER_QUERY 1, RESOLVER_RESPONSE 1"},
		{"too large for a message", [][]byte{tap(dnstap.ClientQuery, 1, padded(a, 65_536)), tap(dnstap.ClientQuery, 2, b)}, "unreadable, b:2 query"},
		{"too large an answer", [][]byte{tap(dnstap.ClientQuery, 1, a), tap(dnstap.ClientResponse, 1, padded(answers(a), 65_536)), tap(dnstap.ClientQuery, 2, b)}, "unreadable, b:2 query"},
		{"authoritative", [][]byte{tap(dnstap.AuthQuery, 1, a), tap(dnstap.AuthResponse, 1, answers(a))}, "a:1 both"},
	} {
		f := trial.NewMessages(bytes.NewReader(stream(c.all...)))
		var got []string
		for {
			m, err := f.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			what := "both"
			switch {
			case m.Response == nil && m.Query == nil:
				if _, err := m.Record(); err == nil || m.Client.Port() != 1 {
					t.Errorf("%s: %+v, %v", c.name, m, err)
				}
				got = append(got, "unreadable")
				continue
			case m.Response == nil:
				what = "query"
			case len(m.Query) == 0:
				what = "answer"
			}
			r, err := m.Record()
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%c:%d %s", r.Line.Name[1], m.Client.Port(), what))
		}
		out := strings.Join(got, ", ")
		if len(f.Skipped) > 0 {
			out += fmt.Sprintf("; RESOLVER_QUERY %d, RESOLVER_RESPONSE %d", f.Skipped["RESOLVER_QUERY"], f.Skipped["RESOLVER_RESPONSE"])
		}
		if out != c.want {
			t.Errorf("%s: got %s, want %s", c.name, out, c.want)
		}
	}
}

// padded is a message with zeros behind it.
func padded(m []byte, octets int) []byte { return append(m, make([]byte, octets-len(m))...) }

// Of queries that no answer comes to, so many wait as there is room for.
func TestWaitingIsBounded(t *testing.T) {
	for _, c := range []struct{ queries, octets, most int }{{700, 60_000, 33 << 20}, {60_000, 40, 5 << 19}} { // the one by their octets, the other by their number, of some 60 octets in the file
		all := make([][]byte, c.queries)
		for k := range all {
			all[k] = tap(dnstap.ClientQuery, byte(k>>16), padded(wire(uint16(k), 0, "a.example", dns.TypeA, false), c.octets))
		}
		f := trial.NewMessages(bytes.NewReader(stream(all...)))
		if m, err := f.Next(); err != nil || m.Query[0] != 0 || m.Query[1] != 0 || f.At() > int64(c.most) {
			t.Errorf("%d queries of %d octets: the first comes after %d octets, %v", c.queries, c.octets, f.At(), err)
		}
		if n, err := f.Read(func(*trial.Message) error { return nil }); n != c.queries-1 || err != nil {
			t.Errorf("%d queries of %d octets: %d others, %v", c.queries, c.octets, n, err)
		}
	}
}

// FuzzMessages holds that whatever is in a file becomes a record, or is refused.
func FuzzMessages(f *testing.F) {
	for _, server := range []string{"unbound", "bind", "dnsdist"} {
		content, err := os.ReadFile(filepath.Join("..", "..", "..", "internal", "dnstap", "testdata", server+".fstrm"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := trial.NewMessages(bytes.NewReader(b))
		n, err := m.Read(func(m *trial.Message) error {
			r, err := m.Record()
			if err == nil && (r.Line.NameLen == 0 || bytes.ContainsAny(r.Line.Name[:r.Line.NameLen], "ABCDEFGHIJKLMNOPQRSTUVWXYZ")) {
				t.Fatalf("%q", r.Line.Name[:r.Line.NameLen])
			}
			return nil
		})
		if uint64(n) > m.Clients {
			t.Fatalf("%d queries of %d messages: %v", n, m.Clients, err)
		}
	})
}
