package node

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/wasm"
)

// acts is a guest of package plugin, with a manifest.
func acts(t *testing.T, manifest string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "nameserver", "plugin", "testdata", "guests", "acts.wasm"))
	if err == nil {
		b, err = wasm.Attach(b, []byte("abi: 1\nname: acts\nversion: '1'\n"+manifest))
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const withActs = plain + "  modules: [{ name: acts, file: acts.wasm }]\n  plugins: [{ module: acts, phase: query }]\n"

// shownTo shows a question to the modules that a node runs.
func shownTo(t *testing.T, n *Node, name string, times int) {
	t.Helper()
	owner := dns.MustParseName(name)
	for range times {
		n.server.Table().Plugins.Query(t.Context(), 0, &plugin.Query{Name: []byte(owner.Wire()), Type: dns.TypeA}, owner, nil)
	}
}

// What people are told of a module stands for as long as it is so, whatever else is changed, and goes with the version that it is about.
func TestModuleAlarmsStay(t *testing.T) {
	b := newBench(t, withActs)
	b.write("acts.wasm", acts(t, "phases: [query]\npure: true\n"))
	n := b.start()
	alarm := func(want string) {
		t.Helper()
		all, err := n.Modules(t.Context())
		if err != nil || len(all.Modules) != 1 || (want == "") != (all.Modules[0].Alarm == "") || !strings.Contains(all.Modules[0].Alarm, want) {
			t.Errorf("%+v, %v, want %q", all, err, want)
		}
		if got := n.modules.warning(); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("the warning is %q, want %q", got, want)
		}
	}
	alarm("")
	shownTo(t, n, "calls.test", 3000)
	until(t, "the module is taken for impure", func() bool {
		impure, _ := n.server.Table().Plugins.Impure()
		return impure
	})
	alarm("it is declared pure")
	shownTo(t, n, "trap.test", 10)
	alarm("was taken out")
	b.write("node.yaml", withActs+"  sampling: { one_in: 7 }\n")
	if _, err := n.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	alarm("was taken out")
	b.write("acts.wasm", acts(t, "phases: [query]\n"))
	if _, err := n.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	alarm("")
}

// A module that comes back, turned on or put back, runs anew: that it fails, and is taken out again, is counted, logged and told like the first time. What is known of its kind without a fault stands at once.
func TestModuleAlarmsComeAgain(t *testing.T) {
	for name, without := range map[string]string{
		"turned off": strings.Replace(withActs, "phase: query", "phase: query, off: true", 1),
		"removed":    plain,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, withActs)
			b.write("acts.wasm", acts(t, "phases: [query]\npure: true\n"))
			n := b.start()
			settle := func(file string) {
				t.Helper()
				b.write("node.yaml", file)
				if _, err := n.Reload(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			for round := range 3 {
				if got := n.modules.warning(); round > 0 && !strings.Contains(got, "it is declared pure") || strings.Contains(got, "was taken out") {
					t.Errorf("round %d begins with the warning %q", round, got)
				}
				if round == 0 {
					shownTo(t, n, "calls.test", 3000)
					until(t, "the module is taken for impure", func() bool {
						impure, _ := n.server.Table().Plugins.Impure()
						return impure
					})
				}
				before := n.modules.faulted()
				shownTo(t, n, "trap.test", 20)
				if faults := n.modules.faulted() - before; faults != 10 {
					t.Errorf("round %d: %d faults, want 10", round, faults)
				}
				all, err := n.Modules(t.Context())
				if err != nil || len(all.Modules) != 1 || !all.Modules[0].Uses[0].Out || !strings.Contains(all.Modules[0].Alarm, "was taken out") || !strings.Contains(n.modules.warning(), "was taken out") {
					t.Errorf("round %d: %+v, %v, the warning %q", round, all, err, n.modules.warning())
				}
				settle(without)
				if got := n.modules.warning(); got != "" {
					t.Errorf("round %d: a module that does not run is warned of: %q", round, got)
				}
				settle(withActs)
			}
		})
	}
}

// That a module is not what it was declared is acted upon with the files as they are in use: what lies there by now, of which the node was not told, waits for a reload, and is no reason to leave it.
func TestImpureWithFilesAsTheyWere(t *testing.T) {
	for name, now := range map[string]string{"another version": acts(t, "phases: [query]\n"), "what is being written": "half"} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, withActs)
			b.write("acts.wasm", acts(t, "phases: [query]\npure: true\n"))
			n := b.start()
			before, err := n.Modules(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			b.write("acts.wasm", now)
			shownTo(t, n, "calls.test", 3000)
			until(t, "the module is taken for impure", func() bool {
				impure, _ := n.server.Table().Plugins.Impure()
				return impure
			})
			after, err := n.Modules(t.Context())
			if err != nil || after.Modules[0].SHA256 != before.Modules[0].SHA256 {
				t.Errorf("the module is %+v, was %+v, %v", after.Modules[0], before.Modules[0], err)
			}
		})
	}
}

// What modules do is told by span, with what they want and were not given, what their calls take, and the lists that they may ask.
func TestModulesAreTold(t *testing.T) {
	const file = plain + "  data: [{ name: mine, file: mine.txt }, { name: unused, file: mine.txt }]\n  modules: [{ name: acts, file: acts.wasm, limits: { fuel: 60000 } }]\n  plugins: [{ module: acts, phase: query, grant: [data/mine] }]\n"
	b := newBench(t, file)
	b.write("acts.wasm", acts(t, "phases: [query]\nneeds: [data/mine]\nwants: [data/other]\n"))
	b.write("mine.txt", "a.example\nb.example\n")
	n := b.start()
	look := func() admin.ModuleList {
		t.Helper()
		list, err := n.Modules(t.Context())
		if err != nil || len(list.Modules) != 1 || len(list.Modules[0].Uses) != 1 {
			t.Fatalf("%+v, %v", list, err)
		}
		return list
	}
	if n.modules.trend.timer == nil {
		t.Error("nobody looks at what modules do")
	}
	list := look()
	m, u := list.Modules[0], list.Modules[0].Uses[0]
	if u.Recent != nil || u.Fuel != 0 || m.Fuel != 60000 || !slices.Equal(m.Wants, []string{"data/other"}) || !slices.Equal(u.Missing, m.Wants) {
		t.Errorf("%+v", m)
	}
	if d := list.Data; len(d) != 1 || d[0].Name != "mine" || d[0].Entries != 2 || d[0].Names != 2 || d[0].Taken != 2 || len(d[0].Warnings) != 0 || d[0].Octets != 20 || d[0].Format != "domains" || len(d[0].SHA256) != 64 || !slices.Equal(d[0].Modules, []string{"acts"}) {
		t.Errorf("%+v", d)
	}
	shownTo(t, n, "nxdomain.test", 3)
	n.lookAtModules()
	n.lookAtModules()
	shownTo(t, n, "refuse.test", 1)
	shownTo(t, n, "other.test", 5)
	n.lookAtModules()
	u = look().Modules[0].Uses[0]
	if want := []uint64{3, 0, 1}; len(u.Recent) != admin.ModuleSpans || !slices.Equal(u.Recent[admin.ModuleSpans-3:], want) || u.Recent[0] != 0 {
		t.Errorf("by span %v, want %v at the end", u.Recent, want)
	}
	if u.Fuel < 50 || u.Fuel > 10_000 {
		t.Errorf("half of the calls take %d", u.Fuel)
	}
	b.write("node.yaml", strings.Replace(file, "phase: query,", "phase: query, off: true,", 1))
	if _, err := n.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.lookAtModules()
	if u := look().Modules[0].Uses[0]; !u.Off || u.Recent != nil {
		t.Errorf("one that is off: %+v", u)
	}
}
