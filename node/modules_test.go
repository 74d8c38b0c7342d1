package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

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
		if err != nil || len(all) != 1 || (want == "") != (all[0].Alarm == "") || !strings.Contains(all[0].Alarm, want) {
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
