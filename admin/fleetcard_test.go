package admin

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestPageOfARoot(t *testing.T) {
	b := newBench(t)
	b.node.status.Store = StoreStatus{Role: "root", Lineage: "00", Version: 42, Applied: 41, Sets: []string{"42", "44"}, Refused: "no <address>", Error: "the disk is full", Keys: 1234}
	page := b.do(b.request("GET", "/", "")).Body.String()
	for _, want := range []string{
		"the store, of which this is a root", `<span class="warn">41</span>`, "42, 44", "1,234", "no &lt;address&gt;", "the disk is full",
		"2 of 2 up", "version 42 with change set 42: 1", "refused version 42: 1", "site=lis", "version 42 does not compile", `aria-label="2 of 2 nodes are up"`,
		"withdrawn", "new servers", "canary <span class=\"soft\">failed, 2 nodes: lis01, opo01", "the probe of &lt;forward/corp.example&gt;", "answered before, silent with the change",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, not := range []string{"lis02", "style=", "<script", "ZgotmplZ"} {
		if strings.Contains(page, not) {
			t.Errorf("the page has %q", not)
		}
	}
	if t.Failed() {
		t.Log(page)
	}

	b.node.store.err = errors.New("the root is gone")
	if page := b.do(b.request("GET", "/", "")).Body.String(); !strings.Contains(page, "the root is gone") || strings.Contains(page, "root token") {
		t.Errorf("a root that does not answer:\n%s", page)
	}
	b.node.store.err, b.node.store.empty = nil, true
	if page := b.do(b.request("GET", "/", "")).Body.String(); !strings.Contains(page, "None has joined") {
		t.Errorf("a root without nodes:\n%s", page)
	}
}

func TestPageOfAFollower(t *testing.T) {
	b := newBench(t)
	s := &b.node.status.Store
	*s = StoreStatus{Role: "follower", Lineage: "00", Version: 42, Applied: 42, Source: "192.0.2.1:8054", AgeMS: 61_000}
	page := b.do(b.request("GET", "/", "")).Body.String()
	for _, want := range []string{"the store, at 192.0.2.1:8054", "1 min 1 s ago"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if strings.Contains(page, "<h2>Nodes") {
		t.Error("a follower shows the fleet")
	}
	s.Source, s.AgeMS = "", -1
	if page := b.do(b.request("GET", "/", "")).Body.String(); !strings.Contains(page, "no source right now") || !strings.Contains(page, "not since the start") {
		t.Errorf("a follower without a source:\n%s", page)
	}
}

// The bar has all nodes, and no more parts than can be told apart; nodes in trouble come first in the table.
func TestFleet(t *testing.T) {
	b := newBench(t)
	b.node.status.Store.Role = "root"
	r := Root{Version: 42}
	for i := range 30 {
		r.Nodes = append(r.Nodes, Node{Name: fmt.Sprintf("n%02d", i), Up: true, Version: 42})
	}
	for i := range 8 {
		r.Nodes[i+10].Version = uint64(20 + i)
	}
	r.Nodes[28].Up = false
	r.Nodes[29].Error = "x"
	b.node.store.root = &r
	ended := Rollout{State: "live", Ended: moment}
	b.node.store.all = []Rollout{ended, {State: "baking"}, ended, ended, ended, ended, ended, {State: "queued"}}
	status, p := b.readStatus(t.Context())
	if p != nil {
		t.Fatal(p)
	}
	shown := page{Status: status}
	b.fleet(t.Context(), &shown)
	f := shown.Fleet
	if f.Up != 29 || f.Of != 30 || len(f.Nodes) != shownNodes || f.MoreOf != 10 || f.Nodes[0].Name != "n29" || f.Nodes[1].Name != "n28" || f.Nodes[2].Name != "n10" || f.Nodes[10].Name != "n00" {
		t.Errorf("got %+v", f)
	}
	var classes []string
	total, x := 0, 0.0
	for _, part := range f.Parts {
		classes = append(classes, part.Class)
		total += part.Nodes
		if part.X != x {
			t.Errorf("%q begins at %v, not %v", part.What, part.X, x)
		}
		x += part.Width
	}
	if total != 30 || len(f.Parts) != shownParts || classes[0] != "live" || x < 99.9 || x > 100.1 {
		t.Errorf("%d nodes in %v, width %v", total, f.Parts, x)
	}
	if len(f.Rollouts) != 2+shownRollouts || f.Ended != 1 {
		t.Errorf("%d rollouts, %d are not shown", len(f.Rollouts), f.Ended)
	}
}

func TestHowMuchOfAWaveIsOver(t *testing.T) {
	got := []float64{}
	for _, w := range []RolloutWave{
		{State: "waiting", Bake: 10}, {State: "baking", Bake: 30_000, Elapsed: 12_000}, {State: "baking", Bake: 10, Elapsed: 20}, {State: "baking"}, {State: "paused", Bake: 10, Elapsed: 5}, {State: "passed"}, {State: "failed", Bake: 10, Elapsed: 1},
	} {
		got = append(got, w.Done())
	}
	if want := []float64{0, 40, 100, 0, 50, 100, 100}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for ms, want := range map[int64]string{-1: "unknown", 0: "less than 1 s", 999: "less than 1 s", 61_000: "1 min 1 s", int64(26 * time.Hour / time.Millisecond): "1 d 2 h"} {
		if got := age(ms); got != want {
			t.Errorf("age of %d ms: %q, want %q", ms, got, want)
		}
	}
	if got := span(400); got != "0 s" {
		t.Errorf("400 ms last %q", got)
	}
}
