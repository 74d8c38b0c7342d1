package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/wasm"
)

// What is kept of a module tells why its calls failed and that it was taken out, and how many of its lines are not there.
func TestModuleLines(t *testing.T) {
	says, err := os.ReadFile(filepath.Join("..", "nameserver", "plugin", "testdata", "guests", "says.wasm"))
	if err == nil {
		says, err = wasm.Attach(says, []byte("abi: 1\nname: says\nversion: '1'\nphases: [query]\nneeds: [log]\n"))
	}
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, plain+"  modules: [{ name: acts, file: acts.wasm }, { name: says, file: says.wasm, limits: { log_lines: 1 } }]\n  plugins: [{ module: acts, phase: query }, { module: says, phase: query, grant: [log] }]\n")
	b.write("acts.wasm", acts(t, "phases: [query]\n"))
	b.write("says.wasm", string(says))
	n := b.start()
	lines := func(module string) (all []string) {
		t.Helper()
		got, err := n.ModuleLogs(t.Context(), module)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range got {
			all = append(all, fmt.Sprintf("%s %s: %s", l.Level, l.Module, l.Text))
		}
		return all
	}
	shownTo(t, n, "loop.test", 20)
	failed := lines("acts")
	if len(failed) != 11 || !strings.HasPrefix(failed[0], `error acts: a call at phase query failed: calling "ananas_query" of module "acts": its fuel was spent`) || strings.Contains(failed[0], "\n") ||
		!strings.Contains(failed[10], "was taken out") {
		t.Errorf("of one that failed: %q", failed)
	}
	const calls = 40
	shownTo(t, n, "go.test", calls-20) // beside those that the other one failed for
	n.lookAtModules()
	said := lines("says")
	var left, logged int
	for _, l := range said {
		if _, err := fmt.Sscanf(l, "warn says: %d lines of it were left out here, since there were more than 1 in a second", &left); err != nil {
			logged++
		}
	}
	if left == 0 || left+logged != calls {
		t.Errorf("%d lines, and %d left out, of %d: %q", logged, left, calls, said)
	}
	if text := fmt.Sprint(b.log); !strings.Contains(text, "lines of a module were left out of the log") {
		t.Error("the log does not say that lines were left out of it")
	}
	all, err := n.ModuleLogs(t.Context(), "")
	if err != nil || len(all) != len(failed)+len(said) {
		t.Fatalf("%d lines, %v", len(all), err)
	}
	for i, l := range all {
		if l.Seq != uint64(i+1) {
			t.Errorf("line %d has the number %d", i+1, l.Seq)
		}
	}
}

// What people are told of a module that was taken out says what becomes of queries and what they can do; one without which none is answered is told of first.
func TestModuleAlarmsSayWhatToDo(t *testing.T) {
	b := newBench(t, plain+"  modules: [{ name: acts, file: acts.wasm }, { name: zacts, file: acts.wasm }]\n  plugins: [{ module: acts, phase: query }, { module: zacts, phase: query, mode: closed }]\n")
	b.write("acts.wasm", acts(t, "phases: [query]\n"))
	n := b.start()
	shownTo(t, n, "trap.test", 20)
	warned := fmt.Sprint(n.health.Report().Warnings)
	for _, want := range []string{
		"module zacts: it has failed 10 times", "this node answers SERVFAIL to each query", "set off: true where plugins run zacts, in " + b.file + ", and ananas reload", "something about 1 more",
	} {
		if !strings.Contains(warned, want) {
			t.Errorf("the warnings are %s, without %q", warned, want)
		}
	}
	all, err := n.Modules(t.Context())
	if err != nil || !strings.Contains(all.Modules[0].Alarm, "queries go on without it") || !strings.Contains(all.Modules[1].Alarm, "answers SERVFAIL") || strings.Contains(fmt.Sprint(all), "\n") {
		t.Errorf("%+v, %v", all, err)
	}
	if text := fmt.Sprint(b.log); !strings.Contains(text, "this node answers SERVFAIL to each query") {
		t.Error("the log does not say so")
	}
}
