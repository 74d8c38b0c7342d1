package cluster_test

import (
	"os"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/test/cluster"
)

// TestFile is a node whose file is the truth: its versions are those that were loaded, and to change something is to edit it.
func TestFile(t *testing.T) {
	t.Parallel()
	r := start(t)
	one, two := r.serve(2), r.serve(3)
	n, err := r.Add(cluster.Config{Name: "alone"})
	r.must(err)
	text, err := os.ReadFile(n.File())
	r.must(err)
	own := strings.Replace(string(text), "  store:\n", "", 1) + "settings:\n  recursion: { trust_anchors: none }\n"
	write := func(servers string) { r.must(os.WriteFile(n.File(), []byte(own+servers), 0o600)) }
	write(forwards(one.address, ""))
	r.must(n.Start(""))
	r.answers("corp.example.", one.own, n)
	api := r.api(n)

	_, err = r.apply(n, forwards(two.address, ""), true, "in vain")
	r.says(err, "is the truth", "edit it", "ananas reload")
	_, err = api.Rollback(r.ctx, admin.Rollback{Version: 1})
	r.says(err, "is the truth", "edit it")

	write(forwards(two.address, ""))
	_, err = api.Reload(r.ctx)
	r.must(err)
	r.answers("corp.example.", two.own, n)
	write("  forward: [\n")
	if _, err = api.Reload(r.ctx); err == nil {
		r.Error("a file that can't be read was loaded")
	}
	write(forwards(two.address, ""))
	_, err = api.Reload(r.ctx) // what it has already is no new version
	r.must(err)

	h, err := api.History(r.ctx, admin.HistoryQuery{Limit: 10})
	r.must(err)
	if len(h.Commits) != 2 || h.Commits[0].Kind != "load" || len(h.Commits[0].Changes) != 1 {
		r.Errorf("the history is %+v; want two files that were loaded", h.Commits)
	}
	d, err := api.Difference(r.ctx, 1, 2, "")
	r.must(err)
	if len(d.Changes) != 1 || d.Changes[0].Key != "forward/." || !strings.Contains(*d.Changes[0].Old, one.address) || !strings.Contains(*d.Changes[0].New, two.address) {
		r.Errorf("the difference is %+v", d.Changes)
	}

	n.Kill()
	r.must(n.Start(""))
	r.answers("corp.example.", two.own, n)
	h, err = r.api(n).History(r.ctx, admin.HistoryQuery{Limit: 10})
	r.must(err)
	if len(h.Commits) != 2 {
		r.Errorf("after a kill the history has %d versions, want 2", len(h.Commits))
	}
}
