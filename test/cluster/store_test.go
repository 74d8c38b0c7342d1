package cluster_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/test/cluster"
)

// TestStore is the life of the nodes of a store: a root, a relay, a follower of that, and two of the root.
func TestStore(t *testing.T) {
	t.Parallel()
	r := start(t)
	all, one, two, three := r.serve(1), r.serve(2), r.serve(3), r.serve(4)
	root := r.add(cluster.Config{Name: "root1", Root: true, Labels: "{ site: lis }"}, "")
	token := func() string { return r.token(root, admin.NewToken{Labels: map[string]string{"site": "opo"}}) }
	f1 := r.add(cluster.Config{Name: "f1", Join: []*cluster.Node{root}}, token())
	f3 := r.add(cluster.Config{Name: "f3", Join: []*cluster.Node{root}}, token())
	relay := r.add(cluster.Config{Name: "relay1", Join: []*cluster.Node{root}, Relay: true}, token())
	// f2 joins at the root, since a relay lets nobody join, and follows the relay, which is first in its list, and has to know it by then.
	joined := token()
	r.reaches(1, relay)
	f2 := r.add(cluster.Config{Name: "f2", Join: []*cluster.Node{relay, root}}, joined)
	nodes := []*cluster.Node{root, relay, f1, f2, f3}
	step := r.steps()

	step("first settings are live at once", func(r *rig) {
		done := r.applied(root, "  recursion: { trust_anchors: none }\n  rollout: { waves: [canary, all], bake: 1s, patience: 20s }\n"+forwards(all.address, one.address), false, "")
		if done.Rollout != "" || done.Version == 0 {
			r.Fatalf("got %+v; want a version and no rollout", done)
		}
		r.reaches(done.Version, nodes...)
		r.answers("corp.example.", one.own, nodes...)
		r.answers("other.example.", all.own, nodes...)
	})

	step("a relay feeds and reports", func(r *rig) {
		r.eventually("the root hears of f2 through the relay", func() error {
			root, err := r.api(root).Root(r.ctx)
			if err != nil {
				return err
			}
			via := make(map[string]string)
			for _, n := range root.Nodes {
				if n.Up {
					via[n.Name] = n.Via
				}
			}
			if via["f2"] != "relay1" || via["relay1"] != "root1" || via["f1"] != "root1" {
				return fmt.Errorf("they follow %v", via)
			}
			return nil
		})
	})

	step("a node reads what its labels allow", func(r *rig) {
		guest := r.add(cluster.Config{Name: "guest", Join: []*cluster.Node{root}}, r.token(root, admin.NewToken{Labels: map[string]string{"role": "guest"}}))
		list := func(n *cluster.Node, key string) []admin.SettingsItem {
			l, err := r.api(n).AllSettings(r.ctx, admin.SettingsQuery{Prefix: key, Limit: 100})
			r.must(err)
			return l.Entries
		}
		r.eventually("the guest has all settings", func() error {
			if len(list(guest, "forward")) != 2 {
				return fmt.Errorf("it has %+v", list(guest, ""))
			}
			return nil
		})
		_, err := r.api(root).SetAccess(r.ctx, admin.Access{Rules: []admin.AccessRule{{Labels: map[string]string{"role": "guest"}, Read: []string{"recursion", "rollout"}}}})
		r.must(err)
		r.eventually("the guest has no forwards any more", func() error {
			if got := list(guest, "forward"); len(got) > 0 {
				return fmt.Errorf("it has %+v", got)
			}
			return nil
		})
		done := r.applied(root, forwards(all.address, three.address), true, "hidden from the guest")
		r.reaches(done.Version, guest, f1)
		if got := list(guest, "forward"); len(got) > 0 || len(list(guest, "recursion")) != 1 || len(list(f1, "forward")) != 2 {
			r.Errorf("the guest has %+v and %+v, and f1 %+v", got, list(guest, "recursion"), list(f1, "forward"))
		}
		h, err := r.api(guest).History(r.ctx, admin.HistoryQuery{Limit: 1})
		r.must(err)
		if c := h.Commits[0]; c.Version != done.Version || c.Hidden != 1 || len(c.Changes) != 0 {
			r.Errorf("the guest's history has %+v; want one hidden change", c)
		}
		r.must(guest.Stop())
	})

	step("what a stopped node has is told as old as it is", func(r *rig) {
		r.must(f3.Stop())
		r.eventually("f3 is silent", func() error {
			root, err := r.api(root).Root(r.ctx)
			if err != nil {
				return err
			}
			i := slices.IndexFunc(root.Nodes, func(n admin.Node) bool { return n.Name == "f3" })
			if n := root.Nodes[i]; n.Up || n.AgeMS < root.Now.Sub(n.Seen).Milliseconds()-1000 { // the answer is of a moment after the row is
				return fmt.Errorf("at %v it is told as %+v", root.Now, n)
			}
			return nil
		})
		r.must(f3.Start(""))
	})

	step("a relay is killed", func(r *rig) {
		relay.Kill()
		done := r.applied(root, forwards(all.address, two.address), true, "without the relay")
		r.reaches(done.Version, f1, f2, f3)
		r.answers("corp.example.", two.own, f1, f2, f3)
		r.must(relay.Start(""))
		r.reaches(done.Version, relay)
	})

	step("a follower needs no root", func(r *rig) {
		root.Kill()
		r.must(f1.Stop())
		f2.Kill()
		relay.Kill()
		r.must(f1.Start(""))
		r.must(f2.Start(""))
		r.must(relay.Start(""))
		r.answers("corp.example.", two.own, f1, f2, relay, f3)
		s, err := r.api(f1).Status(r.ctx)
		r.must(err)
		if s.Store.AgeMS < 0 || s.Store.Error == "" {
			r.Errorf("it says that its copy is %d ms old, error %q; want how old it is, by what was written down when it ended, and why", s.Store.AgeMS, s.Store.Error)
		}
		_, err = r.apply(f1, "  sampling: { one_in: 9 }\n", false, "")
		r.says(err, "follow", "member of the root")
	})

	step("all come back", func(r *rig) {
		f3.Kill()
		r.must(root.Start(""))
		r.must(f3.Start(""))
		done := r.applied(root, forwards(all.address, three.address), true, "after the failure")
		r.reaches(done.Version, nodes...)
		r.answers("corp.example.", three.own, nodes...)
		change := r.applied(root, forwards(all.address, one.address), false, "waves as before")
		r.becomes(root, change.Rollout, "live")
		r.answers("corp.example.", one.own, nodes...)
	})

	step("a revoked node is refused and answers on", func(r *rig) {
		seen := len(f3.Lines())
		_, err := r.api(root).RemoveNode(r.ctx, admin.RemoveNode{Name: "f3", Reason: "stolen", Author: "ana"})
		r.must(err)
		ctx, cancel := context.WithTimeout(r.ctx, patience)
		defer cancel()
		l, err := f3.Await(ctx, seen, func(l cluster.Line) bool { return strings.Contains(l.Error, "revoked") })
		r.must(err)
		r.Logf("its log says %q, %q", l.Msg, l.Error)
		done := r.applied(root, forwards(all.address, two.address), true, "without f3")
		r.reaches(done.Version, root, relay, f1, f2)
		r.must(f3.Stop())
		r.must(f3.Start(""))
		r.answers("corp.example.", one.own, f3)
		r.eventually("f3 says why it does not follow", func() error {
			s, err := r.api(f3).Status(r.ctx)
			if err == nil && !strings.Contains(s.Store.Error, "revoked") {
				err = fmt.Errorf("it says %q", s.Store.Error)
			}
			if err == nil && !strings.Contains(fmt.Sprint(s.Health), "revoked") {
				err = fmt.Errorf("its health says nothing of it: %+v", s.Health)
			}
			if s.Store.Applied >= done.Version {
				r.Fatalf("f3 has version %d", s.Store.Applied)
			}
			return err
		})
	})
}
