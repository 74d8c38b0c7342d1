package cluster_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/admin/client"
	"github.com/ananas-edge/ananas/test/cluster"
)

// run adds a node and starts it; it joins by a token of from, if that is set.
func run(t *testing.T, c *cluster.Cluster, o cluster.Config, from *cluster.Node) *cluster.Node {
	t.Helper()
	n, err := c.Add(o)
	if err != nil {
		t.Fatal(err)
	}
	token := ""
	if from != nil {
		err := eventually(t, func(ctx context.Context) error {
			j, err := api(t, from).NewToken(ctx, admin.NewToken{Name: o.Name, Root: o.Root, Author: "test"})
			token = j.Token
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	begin(t, n, token)
	return n
}

func begin(t *testing.T, n *cluster.Node, token string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := n.Start(token)
	if err == nil {
		err = n.Serving(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func api(t *testing.T, n *cluster.Node) *client.Client {
	t.Helper()
	a, err := n.API()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// eventually tries until it goes well, and returns the last error if it does not.
func eventually(t *testing.T, try func(ctx context.Context) error) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		one, done := context.WithTimeout(ctx, 10*time.Second)
		err := try(one)
		done()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// rootZone is a root zone of more than a MiB, which nobody has signed.
func rootZone(serial int) string {
	var b strings.Builder
	fmt.Fprintf(&b, ". 3600 SOA ns1. hostmaster. %d 1800 900 604800 3600\n. 3600 NS ns1.\nns1. 3600 A 127.0.0.9\n", serial)
	for i := range 25_000 {
		fmt.Fprintf(&b, "t%05d. 3600 NS ns1.t%05d.\nns1.t%05d. 3600 A 127.0.0.9\n", i, i, i)
	}
	return b.String()
}

const zoneSettings = `
settings:
  recursion:
    trust_anchors: none
    local_root: { file: root.zone }
`

func applyZone(t *testing.T, n *cluster.Node, zone string, change func(*admin.Apply)) (admin.Applied, error) {
	t.Helper()
	a := admin.Apply{Author: "test", Reason: "a root zone", Files: []admin.SettingsFile{{Name: "settings.yaml", Text: zoneSettings, Named: map[string][]byte{"root.zone": []byte(zone)}}}}
	if change != nil {
		change(&a)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return api(t, n).Apply(ctx, a)
}

func now(a *admin.Apply) { a.Now = true }

// holdsZone waits until a node answers from the root zone of a serial, and asks it.
func holdsZone(t *testing.T, n *cluster.Node, serial uint32) {
	t.Helper()
	err := eventually(t, func(ctx context.Context) error {
		s, err := api(t, n).Status(ctx)
		if err == nil && (s.LocalRoot.State != "serving" || s.LocalRoot.Serial != serial) {
			err = fmt.Errorf("its local root is %+v", s.LocalRoot)
		}
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v\n%s", n.Name, err, n.Tail(20))
	}
	q := new(miekg.Msg)
	q.SetQuestion("www.nosuch.", miekg.TypeA)
	r, err := miekg.Exchange(q, n.Address+":5335")
	if err != nil || r.Rcode != miekg.RcodeNameError {
		t.Fatalf("%s: %v, %v\n%s", n.Name, r, err, n.Tail(20))
	}
}

func blobFile(n *cluster.Node, content string) string {
	sum := sha256.Sum256([]byte(content))
	return filepath.Join(n.Data, "store", "blobs", hex.EncodeToString(sum[:]))
}

func hasBlob(n *cluster.Node, content string) bool {
	b, err := os.ReadFile(blobFile(n, content))
	return err == nil && string(b) == content
}

// A file that is too large for a document reaches a follower through a relay before the version that names it, is used there, goes back with a rollback, and is got anew where it was lost.
func TestLargeFile(t *testing.T) {
	c := start(t).Cluster
	root := run(t, c, cluster.Config{Name: "root", Root: true}, nil)
	relay := run(t, c, cluster.Config{Name: "relay", Relay: true, Join: []*cluster.Node{root}}, root)
	leaf := run(t, c, cluster.Config{Name: "leaf", Join: []*cluster.Node{relay, root}}, root)

	first, second := rootZone(1), rootZone(2)
	if len(first) < 1<<20 {
		t.Fatalf("the zone has %d octets", len(first))
	}
	if d, err := applyZone(t, root, first, func(a *admin.Apply) { a.Dry = true }); err != nil || len(d.Changes) != 2 || hasBlob(root, first) {
		t.Fatalf("a dry run: %+v, %v", d, err)
	}
	one, err := applyZone(t, root, first, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []*cluster.Node{root, relay, leaf} {
		holdsZone(t, n, 1)
		if !hasBlob(n, first) {
			t.Errorf("%s does not have the blob", n.Name)
		}
	}
	if _, err := applyZone(t, root, second, now); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*cluster.Node{root, relay, leaf} {
		holdsZone(t, n, 2)
	}

	// Lost on the disk of a follower, and of the root: got anew from the others, or from who applies it once more.
	leaf.Kill()
	if err := errors.Join(os.RemoveAll(filepath.Join(leaf.Data, "store", "blobs")), os.RemoveAll(filepath.Join(leaf.Data, "store", "named"))); err != nil {
		t.Fatal(err)
	}
	if err := leaf.Start(""); err != nil {
		t.Fatal(err)
	}
	holdsZone(t, leaf, 2)

	// Spoilt.
	leaf.Kill()
	if err := os.WriteFile(blobFile(leaf, second), []byte(strings.Replace(second, "t00001", "t00002", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := leaf.Start(""); err != nil {
		t.Fatal(err)
	}
	holdsZone(t, leaf, 2)

	// Back to the first.
	if _, err := api(t, root).Rollback(t.Context(), admin.Rollback{Version: one.Version, Author: "test", Reason: "back", Now: true}); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*cluster.Node{root, relay, leaf} {
		holdsZone(t, n, 1)
	}

	// With nobody there.
	for _, n := range []*cluster.Node{root, relay, leaf} {
		n.Kill()
	}
	begin(t, leaf, "")
	holdsZone(t, leaf, 1)

	// A root that has lost its blobs waits until they are put there again, and answers nothing made up.
	if err := os.RemoveAll(filepath.Join(root.Data, "store", "blobs")); err != nil {
		t.Fatal(err)
	}
	if err := root.Start(""); err != nil {
		t.Fatal(err)
	}
	err = eventually(t, func(context.Context) error {
		d, err := applyZone(t, root, first, func(a *admin.Apply) { a.Dry = true })
		if err == nil && len(d.Changes) > 0 {
			t.Errorf("it changes %+v", d.Changes)
		}
		return err
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, root.Tail(20))
	}
	holdsZone(t, root, 1)
	if d, err := applyZone(t, root, first, nil); err != nil || d.Version != 0 {
		t.Errorf("what changes nothing: %+v, %v", d, err)
	}

	// A snapshot has the blobs that it needs, and what is on its way when it is made.
	open, err := api(t, root).Apply(t.Context(), admin.Apply{Author: "test", Reason: "on its way", Files: []admin.SettingsFile{{Name: "settings.yaml", Text: "settings: { sampling: { one_in: 9 } }\n"}}})
	if err != nil || open.Rollout == "" {
		t.Fatalf("%+v, %v", open, err)
	}
	file := filepath.Join(c.Dir, "store.snapshot")
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api(t, root).SaveSnapshot(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(out.Close(), root.Stop(), os.RemoveAll(filepath.Join(root.Data, "store", "blobs")), os.Remove(filepath.Join(root.Data, "store", "replica.db"))); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(c.Binary, "snapshot", "restore", file, "--data", root.Data).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := root.Start(""); err != nil {
		t.Fatal(err)
	}
	holdsZone(t, root, 1)
	err = eventually(t, func(ctx context.Context) error {
		l, err := api(t, root).Rollouts(ctx, open.Rollout)
		if err == nil && (len(l.Rollouts) != 1 || l.Rollouts[0].State != "aborted" || !strings.Contains(l.Rollouts[0].Why, "restored from a snapshot")) {
			err = fmt.Errorf("what was on its way is %+v", l.Rollouts)
		}
		return err
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, root.Tail(20))
	}
}

// On a root of three a blob is on two members when an apply returns; a member that was away gets it before it takes over the version that names it, and where no majority has it nothing is committed.
func TestLargeFileOnThreeMembers(t *testing.T) {
	c := start(t).Cluster
	one := run(t, c, cluster.Config{Name: "one", Root: true, Peer: true}, nil)
	two := run(t, c, cluster.Config{Name: "two", Root: true, Peer: true, Join: []*cluster.Node{one}}, one)
	members := func(voters int) {
		t.Helper()
		err := eventually(t, func(ctx context.Context) error {
			r, err := api(t, one).Root(ctx)
			n := 0
			for _, m := range r.Members {
				if m.State != "learner" {
					n++
				}
			}
			if err == nil && n != voters {
				err = fmt.Errorf("the members are %+v", r.Members)
			}
			return err
		})
		if err != nil {
			t.Fatalf("%v\n%s", err, one.Tail(20))
		}
	}
	members(2)
	three := run(t, c, cluster.Config{Name: "three", Root: true, Peer: true, Join: []*cluster.Node{one, two}}, one)
	members(3)
	all := []*cluster.Node{one, two, three}
	leaf := run(t, c, cluster.Config{Name: "leaf", Join: []*cluster.Node{two, three}}, one)

	first, second, third := rootZone(1), rootZone(2), rootZone(3)
	if _, err := applyZone(t, one, first, nil); err != nil {
		t.Fatalf("%v\n%s", err, one.Tail(20))
	}
	has := 0
	for _, n := range all {
		if hasBlob(n, first) {
			has++
		}
	}
	if has < 2 {
		t.Errorf("%d of three have the blob", has)
	}
	for _, n := range append(all, leaf) {
		holdsZone(t, n, 1)
	}

	three.Kill()
	if _, err := applyZone(t, two, second, now); err != nil {
		t.Fatalf("%v\n%s", err, two.Tail(20))
	}
	if !hasBlob(one, second) || !hasBlob(two, second) {
		t.Error("it is not on both that run")
	}
	holdsZone(t, leaf, 2)
	begin(t, three, "")
	holdsZone(t, three, 2)

	// Nobody but one is there.
	two.Kill()
	three.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	a := admin.Apply{Author: "test", Reason: "r", Now: true, Files: []admin.SettingsFile{{Name: "settings.yaml", Text: zoneSettings, Named: map[string][]byte{"root.zone": []byte(third)}}}}
	if _, err := api(t, one).Apply(ctx, a); err == nil {
		t.Error("a commit without a quorum")
	}
	plain := admin.Apply{Author: "test", Reason: "r", Now: true, Files: []admin.SettingsFile{{Name: "settings.yaml", Text: "settings: { sampling: { one_in: 9 } }\n"}}}
	if _, err := api(t, one).Apply(t.Context(), plain); err == nil || !strings.Contains(err.Error(), "nothing was changed: the root has not answered for 10s") {
		t.Errorf("without a quorum a change is told: %v", err)
	}
	begin(t, two, "")
	err := eventually(t, func(context.Context) error {
		_, err := applyZone(t, one, third, now)
		return err
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, one.Tail(20))
	}
	holdsZone(t, two, 3)
}
