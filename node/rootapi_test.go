package node

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/rollout"
	"github.com/ananas-edge/ananas/rollout/vitals"
	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/etcd"
	"github.com/ananas-edge/ananas/store/identity"
)

// How old what a node has is grows while nothing is heard of it, and is not known of one that has told nothing. What is known of this node is as of now.
func TestAgesOfTheFleet(t *testing.T) {
	w := newSweeper(t)
	w.s.registry, w.s.name = vitals.NewRegistry(w.s.n.clock.Boot), "root1"
	for _, name := range []string{"fresh", "lost", "new", "root1"} {
		doc := identity.Node{Role: identity.Follower, Key: identity.Fingerprint{1}}
		w.commit(store.NodePrefix+name, string(doc.Encode()))
	}
	tell := func(name string, age time.Duration) {
		n := vitals.Node{Age: age}
		n.Name = name
		w.s.registry.Tell(n, rollout.Sum{})
	}
	tell("fresh", 400*time.Millisecond)
	tell("lost", -time.Millisecond)
	tell("root1", 0)
	for silent, want := range map[time.Duration]string{0: "fresh=400/0 lost=-1/0 new=-1/- root1=7/0 ", time.Hour: "fresh=3600400/3600000 lost=-1/3600000 new=-1/- root1=7/3600000 "} {
		w.now = silent
		w.s.confirmed.Store(int64(w.now-7*time.Millisecond) + 1)
		got := ""
		for _, n := range w.s.fleet() {
			seen := "-"
			if !n.Seen.IsZero() {
				seen = fmt.Sprint(w.s.n.clock.Wall().Sub(n.Seen).Milliseconds())
			}
			got += fmt.Sprintf("%s=%d/%s ", n.Name, n.AgeMS, seen)
		}
		if got != want {
			t.Errorf("after %v: %s, want %s", silent, got, want)
		}
	}
}

// A member of the root is told as one that can't be reached if it takes no connection, or if its node has fallen silent.
func TestRootMembers(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	here, away := "https://"+listener.Addr().String(), "https://"+gone.Addr().String()
	seen := time.Unix(1e9, 0)
	got := rootMembers(t.Context(), []etcd.Member{
		{Name: "self", URL: "http://nowhere"}, {Name: "leads", URL: here, Leads: true}, {Name: "new", URL: here, Learner: true}, {Name: "unheard", URL: here},
		{Name: "silent", URL: here}, {Name: "gone", URL: away, Leads: true}, {Name: "", URL: away, Learner: true},
	}, "self", []admin.Node{{Name: "self", Seen: seen}, {Name: "leads", Seen: seen, Up: true}, {Name: "silent", Seen: seen}, {Name: "gone", Seen: seen, Up: true}, {Name: "unheard"}})
	text := ""
	for _, m := range got {
		text += fmt.Sprintf("%s=%s ", m.Name, m.State)
		if m.Self != (m.Name == "self") || (m.Address == "") != m.Self {
			t.Errorf("%+v", m)
		}
	}
	if want := "self=follower leads=leader new=learner unheard=follower silent=unreachable gone=unreachable =unreachable "; text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}
