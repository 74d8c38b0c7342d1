package node

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/store"
)

// freeAddress returns an address of loopback that nobody listens at right now. It is below the ports that kernels give out by themselves (from 32768 on Linux, 49152 on macOS): of those each connection that
// another test makes may take one before a node of this test does.
func freeAddress(t *testing.T) netip.AddrPort {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000)))
		if err == nil {
			defer l.Close()
			return netip.MustParseAddrPort(l.Addr().String())
		}
	}
	t.Fatal("of 100 ports of loopback none is free")
	return netip.AddrPort{}
}

// storeNode is the file of a node of a store.
func storeNode(name, store string) string {
	return fmt.Sprintf(`
node:
  name: %s
  data: data
  cache: 4MiB
  listen: { dns: ["127.0.0.1:0"], admin: "127.0.0.1:0" }
  store: { %s }
`, name, store)
}

// until waits for something that comes by itself.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: it does not come", what)
		}
	}
}

// apply makes the settings equal to a text, at all nodes at once.
func apply(t *testing.T, root *Node, text string) admin.Applied {
	t.Helper()
	done, err := root.settings().Apply(t.Context(), admin.Apply{
		Files: []admin.SettingsFile{{Name: "s.yaml", Text: text}}, Author: "ana", Reason: "a test", Now: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// inUse waits until a node's tables are of a version.
func inUseAt(t *testing.T, n *Node, version uint64) {
	t.Helper()
	until(t, fmt.Sprintf("version %d at %s", version, n.shared.name), func() bool {
		use := n.shared.use.now.Load()
		return use != nil && uint64(use.version) >= version
	})
}

func joinToken(t *testing.T, root *Node, labels map[string]string) string {
	t.Helper()
	token, err := root.settings().NewToken(t.Context(), admin.NewToken{Labels: labels, Author: "ana"})
	if err != nil {
		t.Fatal(err)
	}
	return token.Token
}

// startWith starts a node that joins with a token.
func (b *bench) startWith(token string) (*Node, error) {
	b.t.Helper()
	o, err := b.options()
	if err != nil {
		b.t.Fatal(err)
	}
	o.Token = token
	return Start(b.t.Context(), o)
}

// A root, a relay behind it, and a follower behind that: what is applied at the root is in use at all of them. Without the root they go on, and start again; a node that was revoked
// is refused, and a token is good for one node.
func TestFleet(t *testing.T) {
	at, relayed := freeAddress(t), freeAddress(t)
	root := newBench(t, storeNode("root1", fmt.Sprintf(`root: "%v"`, at))).start()
	apply(t, root, `settings: { recursion: { root_hints: "", trust_anchors: none }, sampling: { one_in: 7 } }`)

	relayBench := newBench(t, storeNode("relay1", fmt.Sprintf(`join: ["%v"], relay: "%v"`, at, relayed)))
	token := joinToken(t, root, map[string]string{"site": "lis"})
	relay, err := relayBench.startWith(token)
	if err != nil {
		t.Fatal(err)
	}
	defer relay.Close()
	leafBench := newBench(t, storeNode("leaf1", fmt.Sprintf(`join: ["%v", "%v"]`, relayed, at)))
	if n, err := leafBench.startWith(token); err == nil {
		n.Close()
		t.Fatal("a token was used twice")
	} else if !strings.Contains(err.Error(), "used") {
		t.Errorf("a token that was used: %v", err)
	}
	leaf, err := leafBench.startWith(joinToken(t, root, nil))
	if err != nil {
		t.Fatal(err)
	}
	done := apply(t, root, "settings: { sampling: { one_in: 9 } }")
	for _, n := range []*Node{root, relay, leaf} {
		inUseAt(t, n, done.Version)
		if got, err := n.settings().Settings(t.Context(), admin.SettingsQuery{Prefix: "sampling/one_in", Limit: 9, Bytes: 1 << 20}); err != nil || len(got.Entries) != 1 || got.Entries[0].Value != "9\n" {
			t.Errorf("%s has %+v, %v", n.shared.name, got, err)
		}
	}
	until(t, "the leaf behind the relay", func() bool { return leaf.shared.via() == "relay1" })
	until(t, "all nodes in the root's list", func() bool {
		up := 0
		for _, n := range root.shared.fleet() {
			if n.Up && n.Version == done.Version {
				up++
			}
		}
		return up == 3
	})
	if s := root.Status(t.Context()).Store; s.Role != "root" || s.Nodes != 3 || s.Of != 3 || s.Behind != 0 {
		t.Errorf("status of the root: %+v", s)
	}

	// Only a member of the root takes changes.
	var refused *admin.Refusal
	if _, err := leaf.settings().Apply(t.Context(), admin.Apply{Files: []admin.SettingsFile{{Name: "s", Text: "settings: {}"}}}); !errors.As(err, &refused) || refused.Why != admin.Owner {
		t.Errorf("a follower took a change: %v", err)
	}

	// Without the root: the leaf starts, and has what it had.
	if err := leaf.Close(); err != nil {
		t.Fatal(err)
	}
	if err := root.Close(); err != nil {
		t.Error(err)
	}
	if leaf, err = leafBench.startWith(""); err != nil {
		t.Fatal(err)
	}
	defer func() { leaf.Close() }()
	inUseAt(t, leaf, done.Version)
	if leaf.server.Table().Fingerprint() == "" || leaf.ready() != nil {
		t.Error("it does not serve without its root")
	}
}

func (n *Node) ready() error { return n.shared.ready() }

// A node that was revoked is told so, by the root and by relays alike, and does not come back.
func TestRevoked(t *testing.T) {
	at := freeAddress(t)
	root := newBench(t, storeNode("root1", fmt.Sprintf(`root: "%v"`, at))).start()
	b := newBench(t, storeNode("leaf1", fmt.Sprintf(`join: ["%v"]`, at)))
	leaf, err := b.startWith(joinToken(t, root, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { leaf.Close() }()
	until(t, "the follower", func() bool { return len(root.shared.feed.Followers()) == 1 })
	if _, err := root.settings().RemoveNode(t.Context(), admin.RemoveNode{Name: "leaf1", Reason: "it was stolen", Author: "ana"}); err != nil {
		t.Fatal(err)
	}
	until(t, "the end of the follower", func() bool {
		err := leaf.shared.wrong()
		return err != nil && strings.Contains(err.Error(), "was revoked") && strings.Contains(err.Error(), "it was stolen")
	})
	if len(root.shared.feed.Followers()) != 0 {
		t.Error("it follows still")
	}
	// With another token it may come back, with what it has; the one that it has used does nothing.
	if err := leaf.Close(); err != nil {
		t.Fatal(err)
	}
	if leaf, err = b.startWith(joinToken(t, root, nil)); err != nil {
		t.Fatal(err)
	}
	until(t, "the follower that has joined again", func() bool { return len(root.shared.feed.Followers()) == 1 })
	if _, err := root.settings().RemoveNode(t.Context(), admin.RemoveNode{Name: "root1", Author: "ana"}); err == nil || !strings.Contains(err.Error(), "last member") {
		t.Errorf("the last member of a root was revoked: %v", err)
	}
}

// What a node may not read reaches it as digests alone, from the moment on at which that is decided, and the versions of what it has stay whole.
func TestWhoReadsWhat(t *testing.T) {
	at := freeAddress(t)
	root := newBench(t, storeNode("root1", fmt.Sprintf(`root: "%v"`, at))).start()
	apply(t, root, "settings: { sampling: { one_in: 7 }, cache: { stale: 1h } }")
	b := newBench(t, storeNode("edge1", fmt.Sprintf(`join: ["%v"]`, at)))
	edge, err := b.startWith(joinToken(t, root, map[string]string{"role": "edge"}))
	if err != nil {
		t.Fatal(err)
	}
	defer edge.Close()
	inUseAt(t, edge, 1)
	until(t, "all settings", func() bool { _, ok := edge.shared.copy.View().Get("cache/stale"); return ok })
	if _, err := root.settings().SetAccess(t.Context(), admin.Access{Rules: []admin.AccessRule{{Labels: map[string]string{"role": "edge"}, Read: []string{"sampling"}}}}); err != nil {
		t.Fatal(err)
	}
	var refused *admin.Refusal
	if _, err := root.settings().SetAccess(t.Context(), admin.Access{Confirm: accessName(nil)}); !errors.As(err, &refused) || refused.Why != admin.Conflict {
		t.Errorf("who has seen no rules replaces those that there are: %v", err)
	}
	if now, err := root.settings().Access(t.Context()); err != nil || len(now.Rules) != 1 || now.Confirm == accessName(nil) {
		t.Errorf("the rules are %+v, %v", now, err)
	}
	until(t, "the end of what it may not read", func() bool { _, ok := edge.shared.copy.View().Get("cache/stale"); return !ok })
	done := apply(t, root, "settings: { sampling: { one_in: 8 }, cache: { stale: 2h } }")
	inUseAt(t, edge, done.Version)
	view := edge.shared.copy.View()
	if v, ok := view.Get("sampling/one_in"); !ok || string(v) != "8\n" {
		t.Errorf("what it may read is %q", v)
	}
	if hidden, _ := view.Hidden(); hidden == 0 || view.Head() != root.shared.copy.View().Head() {
		t.Errorf("%d entries are hidden; it is at %v", hidden, view.Head())
	}
	for key := range view.Under("") {
		if strings.HasPrefix(key, "cache/") || strings.HasPrefix(key, store.TokenPrefix) {
			t.Errorf("it has %q", key)
		}
	}
}

// A change that nobody can answer by is withdrawn at the canary, by the probe alone.
func TestBadChangeIsWithdrawn(t *testing.T) {
	if testing.Short() {
		t.Skip("the driver waits 10 s for nodes before it begins, and a probe has to fail three times")
	}
	at := freeAddress(t)
	root := newBench(t, storeNode("root1", fmt.Sprintf(`root: "%v"`, at))).start()
	apply(t, root, "settings: { rollout: { waves: [canary, all], bake: 1s } }")
	dead := freeAddress(t)
	done, err := root.settings().Apply(t.Context(), admin.Apply{Author: "ana", Reason: "new servers", Files: []admin.SettingsFile{{
		Name: "s.yaml", Text: fmt.Sprintf("settings: { forward: [{ zone: corp.example, servers: [%q] }] }", dead),
	}}})
	if err != nil || done.Rollout == "" {
		t.Fatalf("%+v, %v", done, err)
	}
	var r admin.Rollout
	until(t, "the end of the rollout", func() bool {
		all, err := root.settings().Rollouts(t.Context(), done.Rollout)
		if err != nil {
			t.Fatal(err)
		}
		r = all[0]
		return !r.Ended.IsZero()
	})
	if r.State != "withdrawn" || !strings.Contains(r.Why, "corp.example") || !strings.Contains(r.Why, "root1") || len(r.Evidence) == 0 || len(r.Keys) != 1 {
		t.Errorf("%+v", r)
	}
	until(t, "the settings from before", func() bool {
		use := root.shared.use.now.Load()
		_, there := use.entries["forward/corp.example"]
		return !there
	})
	if _, ok := root.shared.copy.View().Get("forward/corp.example"); ok {
		t.Error("it is live")
	}
	if _, err := root.settings().Steer(t.Context(), admin.Steer{ID: done.Rollout, Action: "resume"}); err == nil {
		t.Error("a rollout that has ended was resumed")
	}
}
