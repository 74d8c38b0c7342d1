package node

import (
	"fmt"
	"testing"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/rollout"
	"github.com/ananas-edge/ananas/rollout/vitals"
)

// A node says which module has failed as long as the table is in use with which it did, and not of the next one.
func TestFaultNote(t *testing.T) {
	var f faultNote
	for i, c := range []struct {
		version uint64
		sets    []rollout.ID
		faults  uint64
		last    string
		want    string
	}{
		{1, nil, 0, "", ""},
		{2, []rollout.ID{"7"}, 3, "guard at phase query: fuel", "guard at phase query: fuel"},
		{2, []rollout.ID{"7"}, 0, "guard at phase query: fuel", "guard at phase query: fuel"},
		{2, []rollout.ID{"7"}, 1, "other at phase log: trap", "other at phase log: trap"},
		{2, nil, 0, "other at phase log: trap", ""},
		{3, []rollout.ID{"7"}, 0, "other at phase log: trap", ""},
	} {
		n := vitals.Node{NodeState: rollout.NodeState{Version: c.version, Sets: c.sets}}
		if f.put(&n, c.faults, c.last); n.Fault != c.want {
			t.Errorf("%d: %q, want %q", i, n.Fault, c.want)
		}
	}
}

// What a module does goes up with what a node says of itself.
func TestFaultsAreTold(t *testing.T) {
	root := newBench(t, storeNode("root1", fmt.Sprintf(`root: "%v"`, freeAddress(t)))).start()
	apply(t, root, `settings: { recursion: { root_hints: "", trust_anchors: none } }`) // and the root is there
	done, err := root.settings().Apply(t.Context(), admin.Apply{Author: "ana", Reason: "a test", Now: true, Files: []admin.SettingsFile{{
		Name: "s.yaml", Text: "settings: { modules: [{ name: acts, file: acts.wasm }], plugins: [{ module: acts, phase: query }] }", Named: map[string][]byte{"acts.wasm": []byte(acts(t, "phases: [query]\n"))},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	inUseAt(t, root, done.Version)
	shownTo(t, root, "trap.test", 1)
	until(t, "the fault in what is told", func() bool {
		nodes := root.shared.registry.Nodes()
		return len(nodes) == 1 && nodes[0].Fault == "acts at phase query: trap"
	})
}
