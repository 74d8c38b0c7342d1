package node

import (
	"fmt"
	"testing"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/rollout"
	"github.com/ananas-edge/ananas/rollout/vitals"
)

// A relay that may not read all settings any more hands none on: those behind it would take what it lacks for settings that are gone.
func TestPartialRelayIsNoSource(t *testing.T) {
	at, relayed := freeAddress(t), freeAddress(t)
	root := newBench(t, storeNode("root1", fmt.Sprintf(`root: "%v"`, at))).start()
	apply(t, root, "settings: { sampling: { one_in: 7 }, cache: { stale: 1h } }")
	relay, err := newBench(t, storeNode("relay1", fmt.Sprintf(`join: ["%v"], relay: "%v"`, at, relayed))).startWith(joinToken(t, root, map[string]string{"role": "edge"}))
	if err != nil {
		t.Fatal(err)
	}
	defer relay.Close()
	leaf, err := newBench(t, storeNode("leaf1", fmt.Sprintf(`join: ["%v", "%v"]`, relayed, at))).startWith(joinToken(t, root, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer leaf.Close()
	until(t, "the leaf behind the relay", func() bool { return leaf.shared.via() == "relay1" })
	if _, err := root.settings().SetAccess(t.Context(), admin.Access{Rules: []admin.AccessRule{{Labels: map[string]string{"role": "edge"}, Read: []string{"sampling"}}}}); err != nil {
		t.Fatal(err)
	}
	until(t, "the leaf behind the root", func() bool { return leaf.shared.via() == "root1" })
	until(t, "the end of what the relay may not read", func() bool { _, ok := relay.shared.copy.View().Get("cache/stale"); return !ok })
	done := apply(t, root, "settings: { sampling: { one_in: 8 } }")
	inUseAt(t, leaf, done.Version)
	if _, ok := leaf.shared.copy.View().Get("cache/stale"); !ok {
		t.Error("the leaf has lost a setting that it may read")
	}
	if leaf.shared.via() != "root1" {
		t.Errorf("it follows %s", leaf.shared.via())
	}
}

// What is told of nodes that the store does not know, and in another lineage, does not count: it would push out what is known.
func TestReportsOfStrangers(t *testing.T) {
	root := newBench(t, storeNode("root1", fmt.Sprintf(`root: "%v"`, freeAddress(t)))).start()
	apply(t, root, "settings: { sampling: { one_in: 7 } }")
	until(t, "the root's own document", func() bool { _, ok := root.shared.copy.View().Get("~node/root1"); return ok })
	lineage := root.shared.copy.View().Head().Lineage.String()
	row := func(name string) vitals.Node { return vitals.Node{NodeState: rollout.NodeState{Name: name}} }
	sum := func(lineage string) vitals.Sum {
		s := vitals.Sum{Lineage: lineage, Site: "x"}
		s.Results[rollout.Answered] = 5
		return s
	}
	r := vitals.Report{Nodes: []vitals.Node{row("ghost"), row("root1")}, Sums: []vitals.Sum{sum("ffff"), sum(lineage)}}
	reports{root.shared}.Merge("ghost", r.Append(nil)) // who is not known itself is not heard
	reports{root.shared}.Merge("root1", r.Append(nil))
	for _, n := range root.shared.registry.Nodes() {
		if n.Name != "root1" {
			t.Errorf("%s is known", n.Name)
		}
	}
	found := 0
	for _, s := range root.shared.registry.Totals() {
		if s.Lineage == "ffff" {
			t.Error("another lineage is counted")
		}
		if s.Site == "x" {
			found++
		}
	}
	if found != 1 {
		t.Errorf("%d sums are counted", found)
	}
}
