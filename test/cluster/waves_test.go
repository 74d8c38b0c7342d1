package cluster_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/test/cluster"
)

// forwards is the section with the servers of two zones; an address that is "" leaves a zone out.
func forwards(all, corp string) string {
	text := "  forward:\n    - { zone: \".\", servers: [\"" + all + "\"] }\n"
	if corp != "" {
		text += "    - { zone: corp.example, servers: [\"" + corp + "\"] }\n"
	}
	return text
}

// TestWaves is the life of the settings of a root and three followers: each part begins with what the one before has left.
func TestWaves(t *testing.T) {
	t.Parallel()
	r := start(t)
	all, one, two, three := r.serve(1), r.serve(2), r.serve(3), r.serve(4)
	dead := fmt.Sprintf("127.%d.200.9:9", r.Net) // nobody listens there
	root := r.add(cluster.Config{Name: "root1", Root: true, Labels: "{ site: lis }"}, "")
	var followers []*cluster.Node
	for i, site := range []string{"lis", "lis", "opo"} {
		name := fmt.Sprintf("f%d", i+1)
		followers = append(followers, r.add(cluster.Config{Name: name, Join: []*cluster.Node{root}}, r.token(root, admin.NewToken{Labels: map[string]string{"site": site}})))
	}
	nodes := append([]*cluster.Node{root}, followers...)
	var first uint64 // the version of the first settings
	step := r.steps()

	step("first settings are live at once", func(r *rig) {
		done := r.applied(root, "  recursion: { trust_anchors: none }\n  rollout: { waves: [canary, all], bake: 1s, patience: 20s }\n"+forwards(all.address, one.address), false, "")
		if done.Rollout != "" || done.Version == 0 {
			r.Fatalf("got %+v; want a version and no rollout", done)
		}
		first = done.Version
		r.reaches(first, nodes...)
		r.answers("corp.example.", one.own, nodes...)
		r.answers("other.example.", all.own, nodes...)
	})

	step("a change goes through its waves", func(r *rig) {
		done := r.applied(root, forwards(all.address, two.address), false, "new servers")
		if done.Rollout == "" || done.Waits != "" {
			r.Fatalf("got %+v; want a rollout", done)
		}
		live := r.becomes(root, done.Rollout, "live")
		r.answers("corp.example.", two.own, nodes...)
		kinds, at := r.life(root, done.Rollout)
		if want := []string{"open", "wave", "wave", "live"}; !slices.Equal(kinds, want) {
			r.Fatalf("its commits are %q, want %q", kinds, want)
		}
		// The canaries are one node of lis, and f3, the only one of opo.
		early := 0
		for _, n := range nodes {
			switch use := firstUse(n, done.Rollout); {
			case use == 0:
				r.Errorf("%s never had the change before it was live", n.Name)
			case use < at[2].Version:
				early++
			}
		}
		if use := firstUse(followers[2], done.Rollout); early != 2 || use >= at[2].Version {
			r.Errorf("%d nodes had the change before the last wave, f3 with version %d; want 2, f3 among them", early, use)
		}
		for _, n := range nodes {
			for _, l := range n.Lines() {
				if l.Msg == "settings in use" && uint64(l.Version) >= at[2].Version && strings.Contains(l.Sets, done.Rollout) {
					r.Logf("%s answers with it %v after the last wave began", n.Name, l.Time.Sub(at[2].Time).Round(time.Millisecond))
				}
			}
		}
		if len(live.Waves) != 2 || live.Waves[1].State != "passed" {
			r.Errorf("its waves are %+v", live.Waves)
		}
	})

	step("a dead server is stopped at the canary by the probe alone", func(r *rig) {
		done := r.applied(root, forwards(all.address, dead), false, "servers that are not there")
		bad := r.becomes(root, done.Rollout, "withdrawn")
		if !strings.Contains(bad.Why, "probe") {
			r.Errorf("it says why: %q; want the probe", bad.Why)
		}
		if text := strings.Join(bad.Evidence, "\n"); !strings.Contains(text, "corp.example") || !strings.Contains(text, "probe") {
			r.Errorf("its evidence is %q; want the probe and corp.example", text)
		}
		if kinds, _ := r.life(root, done.Rollout); !slices.Equal(kinds, []string{"open", "wave", "withdraw"}) {
			r.Errorf("its commits are %q", kinds)
		}
		held := 0
		for _, n := range nodes {
			if firstUse(n, done.Rollout) > 0 {
				held++
			}
		}
		if held == 0 || held > 2 {
			r.Errorf("%d nodes had it in use; want the canaries alone, which are 2", held)
		}
		r.answers("corp.example.", two.own, nodes...)
	})

	step("change sets that share a key wait for each other", func(r *rig) {
		api := r.api(root)
		slow := r.applied(root, forwards(all.address, three.address), false, "slow")
		_, err := api.Steer(r.ctx, admin.Steer{ID: slow.Rollout, Action: "pause", Author: "ana", Reason: "to look at it"})
		r.must(err)
		other := r.applied(root, "  sampling: { one_in: 7 }\n", false, "something else")
		next := r.applied(root, forwards(all.address, one.address), false, "the same key")
		if other.Waits != "" || next.Waits != slow.Rollout {
			r.Fatalf("they wait for %q and %q; want none, and %q", other.Waits, next.Waits, slow.Rollout)
		}
		r.becomes(root, other.Rollout, "live")
		if queued := r.becomes(root, next.Rollout, "queued"); queued.Waits != slow.Rollout {
			r.Errorf("it waits for %q, want %q", queued.Waits, slow.Rollout)
		}
		r.becomes(root, slow.Rollout, "paused")
		_, err = api.Steer(r.ctx, admin.Steer{ID: slow.Rollout, Action: "resume", Author: "ana"})
		r.must(err)
		r.becomes(root, slow.Rollout, "live")
		r.becomes(root, next.Rollout, "live")
		r.answers("corp.example.", one.own, nodes...)
	})

	step("a change at once aborts what shares a key", func(r *rig) {
		slow := r.applied(root, forwards(all.address, three.address), false, "slow")
		_, err := r.api(root).Steer(r.ctx, admin.Steer{ID: slow.Rollout, Action: "pause", Author: "ana"})
		r.must(err)
		_, err = r.apply(root, forwards(all.address, two.address), true, "")
		r.says(err, "reason is missing", "past the waves")
		done := r.applied(root, forwards(all.address, two.address), true, "the building burns")
		if done.Rollout != "" || !slices.Equal(done.Aborted, []string{slow.Rollout}) {
			r.Errorf("got %+v; want rollout %s aborted", done, slow.Rollout)
		}
		if aborted := r.becomes(root, slow.Rollout, "aborted"); !strings.Contains(aborted.Why, "the building burns") {
			r.Errorf("it was aborted because %q", aborted.Why)
		}
		r.reaches(done.Version, nodes...)
		r.answers("corp.example.", two.own, nodes...)
		h, err := r.api(followers[0]).History(r.ctx, admin.HistoryQuery{Before: done.Version + 1, Limit: 1})
		r.must(err)
		if c := h.Commits[0]; c.Kind != "now" || c.Reason != "the building burns" || c.Author != "ana" || c.Version != done.Version {
			r.Errorf("the history has %+v", c)
		}
	})

	step("rollback, history and difference", func(r *rig) {
		api := r.api(root)
		d, err := api.Difference(r.ctx, first, 0, "")
		r.must(err)
		var keys []string
		for _, c := range d.Changes {
			keys = append(keys, c.Key)
		}
		if want := []string{"forward/corp.example", "sampling/one_in"}; !slices.Equal(keys, want) {
			r.Errorf("different from version %d are %q, want %q", first, keys, want)
		}
		back, err := api.Rollback(r.ctx, admin.Rollback{Version: first, Author: "ana"})
		r.must(err)
		r.becomes(root, back.Rollout, "live")
		r.answers("corp.example.", one.own, nodes...)
		if d, err = api.Difference(r.ctx, first, 0, ""); err != nil || len(d.Changes) > 0 {
			r.Errorf("after the rollback these are different: %+v, %v", d.Changes, err)
		}
		h, err := api.History(r.ctx, admin.HistoryQuery{Limit: 1000})
		r.must(err)
		for i, c := range h.Commits {
			if i > 0 && c.Version+1 != h.Commits[i-1].Version {
				r.Errorf("version %d comes before %d", c.Version, h.Commits[i-1].Version)
			}
		}
		if last := h.Commits[len(h.Commits)-1].Version; last != h.Floor+1 {
			r.Errorf("the history begins with %d, and its floor is %d", last, h.Floor)
		}
	})
}

// life returns the commits of a rollout, the oldest first. Those that swept what it left are not among them.
func (r *rig) life(n *cluster.Node, id string) (kinds []string, commits []admin.Commit) {
	r.Helper()
	h, err := r.api(n).History(r.ctx, admin.HistoryQuery{Key: "~rollout/" + id, Limit: 100})
	r.must(err)
	for _, c := range slices.Backward(h.Commits) {
		kinds, commits = append(kinds, c.Kind), append(commits, c)
	}
	return kinds, commits
}
