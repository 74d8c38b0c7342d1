package vitals

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/ananas-edge/ananas/rollout"
)

func drawNode(t *rapid.T) Node {
	text := func(name string, most int) string {
		return rapid.StringN(0, most/4, most).Draw(t, name)
	}
	n := Node{Copy: rapid.Uint64().Draw(t, "copy"), Age: time.Duration(rapid.Int64Range(-1, 1e9).Draw(t, "age")) * time.Millisecond, Via: text("via", 60), Release: text("release", 60), Role: "root"}
	n.Name, n.Site, n.Version, n.Boot = "n"+text("name", 60), text("site", 60), rapid.Uint64().Draw(t, "version"), rapid.Uint64().Draw(t, "boot")
	n.Fault = text("fault", maxFault)
	for i := range rapid.IntRange(0, 3).Draw(t, "sets") {
		n.Sets = append(n.Sets, rollout.ID(fmt.Sprint(i)))
		n.Probes = append(n.Probes, rollout.Probe{Rollout: rollout.ID(fmt.Sprint(i)), Passed: uint64(i), Failing: 2, Error: text("error", 300)})
	}
	return n
}

func TestReportsAreReadAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r Report
		for range rapid.IntRange(0, 5).Draw(t, "nodes") {
			r.Nodes = append(r.Nodes, drawNode(t))
		}
		for i := range rapid.IntRange(0, 5).Draw(t, "sums") {
			s := Sum{Lineage: "00ff", Site: fmt.Sprint("site", i), Sets: []rollout.ID{"7"}, Nodes: i}
			for j, c := range counts(&s.Sum) {
				if j%3 == i%3 {
					*c = rapid.Uint64Range(0, rollout.MaxCount).Draw(t, "count")
				}
			}
			r.Sums = append(r.Sums, s)
		}
		back, err := Parse(r.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(&r, back, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	})
}

// What is too long is cut where it is written, so that no node's words keep a relay's report from being read.
func TestReportsFit(t *testing.T) {
	n := Node{Via: strings.Repeat("é", 200)}
	n.Name, n.Error = strings.Repeat("a", 100), strings.Repeat("€", 1000)+"\xff"
	for i := range 200 {
		n.Sets = append(n.Sets, rollout.ID(fmt.Sprintf("%03d", i)))
	}
	r := Report{Nodes: []Node{n}}
	back, err := Parse(r.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	if got := back.Nodes[0]; len(got.Name) != rollout.MaxName || len(got.Sets) != maxSets || len(got.Error) > maxText || !strings.HasPrefix(n.Error, got.Error) {
		t.Errorf("%+v", got)
	}
}

// The fault of a module goes where a release that does not know it reads the probe of a rollout that can't be, and hands it on; it is as long as it may be, and takes the place of no probe.
func TestFaultsFitOldReports(t *testing.T) {
	n := Node{}
	n.Name, n.Fault = "a", strings.Repeat("é", 200)
	n.Probes = []rollout.Probe{{Rollout: "7", Passed: 1}}
	asOld := n
	asOld.Fault, asOld.Probes = "", append(n.Probes[:1:1], rollout.Probe{Rollout: faultProbe, Error: strings.Repeat("é", maxFault/2)})
	written := (&Report{Nodes: []Node{n}}).Append(nil)
	if d := cmp.Diff((&Report{Nodes: []Node{asOld}}).Append(nil), written); d != "" {
		t.Error(d)
	}
	back, err := Parse(written)
	if err != nil || back.Nodes[0].Fault != strings.Repeat("é", maxFault/2) || len(back.Nodes[0].Probes) != 1 {
		t.Errorf("%+v, %v", back, err)
	}
	for range maxProbes {
		n.Probes = append(n.Probes, rollout.Probe{Rollout: "8"})
	}
	if back, err = Parse((&Report{Nodes: []Node{n}}).Append(nil)); err != nil || back.Nodes[0].Fault != "" || len(back.Nodes[0].Probes) != maxProbes {
		t.Errorf("%+v, %v", back, err)
	}
}

func TestParseRefuses(t *testing.T) {
	good := (&Report{Nodes: []Node{{NodeState: rollout.NodeState{Name: "a"}}}, Sums: []Sum{{}}}).Append(nil)
	for name, b := range map[string][]byte{
		"nothing":       {},
		"another form":  {9},
		"cut":           good[:len(good)-3],
		"more":          append(append([]byte{}, good...), 0),
		"many nodes":    {1, 0xff, 0xff, 0x7f},
		"too long":      make([]byte, MaxReport+1),
		"without names": (&Report{Nodes: []Node{{}}}).Append(nil),
	} {
		if _, err := Parse(b); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	n := Node{NodeState: rollout.NodeState{Name: "lis01", Site: "lis", Version: 7, Sets: []rollout.ID{"5"}, Probes: []rollout.Probe{{Rollout: "5", Passed: 3}}}}
	s := Sum{Site: "lis", Nodes: 1}
	s.Results[0], s.Latency[4] = 100, 100
	f.Add((&Report{Nodes: []Node{n}, Sums: []Sum{s}}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Parse(b)
		if err != nil {
			return
		}
		again, err := Parse(r.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(r, again, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	})
}

// Two tiers of relays: the root hears of all nodes, and the sums at the top are those of all below, each counted once.
func TestSumsGoUp(t *testing.T) {
	var now time.Duration
	clock := func() time.Duration { return now }
	root := NewRegistry(clock)
	relays := []*Registry{NewRegistry(clock), NewRegistry(clock)}
	for _, relay := range relays {
		relay.Report("up") // from here on sums are counted for it
	}
	var all uint64
	for second := range 5 {
		now = time.Duration(second) * time.Second
		for i, relay := range relays {
			for j := range 10 {
				var sum rollout.Sum
				sum.Results[rollout.Answered] = uint64(10*i + j)
				all += sum.Results[rollout.Answered]
				node := NewRegistry(clock)
				node.Report("up")
				n := Node{NodeState: rollout.NodeState{Name: fmt.Sprintf("n%d-%d", i, j), Site: fmt.Sprint("s", i)}}
				if j == 0 {
					n.Sets = []rollout.ID{"9"}
				}
				node.Tell(n, sum)
				r, err := Parse(node.Report("up"))
				if err != nil {
					t.Fatal(err)
				}
				relay.Take(r, fmt.Sprint("relay", i), true)
			}
			r, err := Parse(relay.Report("up"))
			if err != nil {
				t.Fatal(err)
			}
			root.Take(r, "root", true)
		}
	}
	if n := len(root.Nodes()); n != 20 {
		t.Errorf("the root knows %d nodes", n)
	}
	var got uint64
	groups := root.Totals()
	for _, s := range groups {
		got += s.Results[rollout.Answered]
	}
	if got != all || len(groups) != 4 { // two sites, with and without the change
		t.Errorf("%d queries in %d groups, want %d in 4", got, len(groups), all)
	}
}

// A row that is not renewed goes up no more, and is known as silent; nobody is told by others how he is.
func TestSilence(t *testing.T) {
	var now time.Duration
	g := NewRegistry(func() time.Duration { return now })
	g.Take(&Report{Nodes: []Node{{NodeState: rollout.NodeState{Name: "a"}}, {NodeState: rollout.NodeState{Name: "me"}}}}, "me", true)
	if r, _ := Parse(g.Report("up")); len(r.Nodes) != 1 {
		t.Fatalf("%+v", r.Nodes)
	}
	now = 10 * time.Second
	if r, _ := Parse(g.Report("up")); len(r.Nodes) != 0 {
		t.Errorf("told after 10 s: %+v", r.Nodes)
	}
	if rows := g.Nodes(); len(rows) != 1 || rows[0].Silent != 10*time.Second {
		t.Errorf("%+v", rows)
	}
	g.Forget("a")
	if len(g.Nodes()) != 0 {
		t.Error("it is still there")
	}
}

// What a node told is as old as it said then, and the time since, wherever that is passed.
func TestAgeGrows(t *testing.T) {
	now := time.Duration(0)
	relay, root := NewRegistry(func() time.Duration { return now }), NewRegistry(func() time.Duration { return now })
	for name, age := range map[string]time.Duration{"fresh": 400 * time.Millisecond, "never": -time.Millisecond} {
		n := Node{Age: age}
		n.Name = name
		relay.Tell(n, rollout.Sum{})
	}
	now += 2 * time.Second
	r, err := Parse(relay.Report("root"))
	if err != nil {
		t.Fatal(err)
	}
	root.Take(r, "root", false)
	now += time.Hour
	rows := root.Nodes()
	if len(rows) != 2 || rows[0].AgeNow() != time.Hour+2400*time.Millisecond || rows[1].AgeNow() != -time.Millisecond {
		t.Errorf("%+v", rows)
	}
}

// More nodes than fit into one report are told in turn, and what is beyond the limits is dropped oldest first.
func TestLimits(t *testing.T) {
	var now time.Duration
	g := NewRegistry(func() time.Duration { return now })
	text := strings.Repeat("x", maxText)
	for i := range MaxNodes + 5 {
		n := Node{NodeState: rollout.NodeState{Name: fmt.Sprintf("n%05d", i)}}
		if i < 2000 {
			n.Error = text
		}
		now = time.Duration(i)
		g.see(n, true)
	}
	if len(g.Nodes()) != MaxNodes || g.Limited() != 5 {
		t.Errorf("%d nodes, a limit was hit %d times", len(g.Nodes()), g.Limited())
	}
	seen := make(map[string]bool)
	for range 20 {
		b := g.Report("up")
		if len(b) > MaxReport {
			t.Fatalf("a report of %d octets", len(b))
		}
		r, err := Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range r.Nodes {
			seen[n.Name] = true
		}
	}
	if len(seen) != MaxNodes {
		t.Errorf("%d of %d nodes were told", len(seen), MaxNodes)
	}
	for i := range MaxGroups + 10 {
		s := Sum{Site: fmt.Sprint(i)}
		s.Results[0] = 1
		g.add(&s, true)
	}
	var all uint64
	for _, s := range g.Totals() {
		all += s.Queries()
	}
	if all != MaxGroups+10 {
		t.Errorf("%d counted", all)
	}
}

// What is told can't have a registry grow without an end, whatever lineages, sites and change sets are told of.
func TestGroupsAreBounded(t *testing.T) {
	var now time.Duration
	g := NewRegistry(func() time.Duration { return now })
	g.Report("up")
	for i := range 3 * MaxGroups {
		g.add(&Sum{Lineage: fmt.Sprint(i), Site: fmt.Sprint(i), Sets: []rollout.ID{rollout.ID(fmt.Sprint(i))}}, true)
	}
	if n := len(g.Totals()); n != MaxGroups+maxLumps {
		t.Errorf("%d groups", n)
	}
	if n := len(g.to["up"].pending); n != MaxGroups+maxLumps {
		t.Errorf("%d groups are to be told", n)
	}
	if g.Limited() == 0 {
		t.Error("no limit was counted")
	}
}

// Change sets end: after thousands of them sites are summed apart still.
func TestEndedChangeSetsAreForgotten(t *testing.T) {
	var now time.Duration
	g := NewRegistry(func() time.Duration { return now })
	const sites = 50
	for r := range 3 * MaxGroups / sites {
		for range 2 {
			now += 10 * time.Minute
			for site := range sites {
				s := Sum{Lineage: "l", Site: fmt.Sprint(site), Sets: []rollout.ID{rollout.ID(fmt.Sprint(r))}}
				g.add(&s, true)
				s.Sets, s.Results[0] = nil, 1
				g.add(&s, true)
			}
		}
	}
	if g.Limited() != 0 {
		t.Errorf("a limit was hit %d times", g.Limited())
	}
	found := 0
	for _, s := range g.Totals() {
		if s.Site == "" {
			t.Errorf("%v is summed without its site", s.Sets)
		}
		if len(s.Sets) == 0 {
			if found++; s.Queries() != uint64(2*(3*MaxGroups/sites)) {
				t.Errorf("%d queries at site %s", s.Queries(), s.Site)
			}
		}
	}
	if found != sites {
		t.Errorf("%d sites", found)
	}
}
