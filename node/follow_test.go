package node

import (
	"reflect"
	"testing"

	"github.com/ananas-edge/ananas/rollout"
	"github.com/ananas-edge/ananas/rollout/vitals"
)

// Who is no relay speaks for itself alone.
func TestOnlyOwn(t *testing.T) {
	row := func(name string) vitals.Node {
		return vitals.Node{NodeState: rollout.NodeState{Name: name, Site: "lis"}}
	}
	r := &vitals.Report{
		Nodes: []vitals.Node{row("a"), row("b")},
		Sums:  []vitals.Sum{{Site: "lis", Nodes: 1}, {Site: "lis", Nodes: 2}, {Site: "opo", Nodes: 1}, {Site: "lis", Sets: []rollout.ID{"42"}}},
	}
	r.Nodes[1].Site = "made-up" // each site has a canary: it would be one of every change
	onlyOwn(r, "b", "lis")
	want := &vitals.Report{Nodes: []vitals.Node{row("b")}, Sums: []vitals.Sum{{Site: "lis", Nodes: 1}, {Site: "lis", Sets: []rollout.ID{"42"}}}}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("left are %+v", r)
	}
}
