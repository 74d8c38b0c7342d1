package node

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/store"
)

// A node that has dropped change sets for want of a feed takes them up again when it has what the root has, and not with the first beat: what withdraws the change comes behind that.
func TestDroppedUntilCaughtUp(t *testing.T) {
	var silent time.Duration
	behind := false
	u := &user{silent: func() time.Duration { return silent }, behind: func() bool { return behind }}
	for _, step := range []struct {
		name   string
		silent time.Duration
		behind bool
		lost   bool
	}{
		{"with a feed", 0, false, false},
		{"a version comes", 0, true, false},
		{"a source is changed", 29 * time.Second, true, false},
		{"without a feed", feedPatience, false, true},
		{"the first beat", 0, true, true},
		{"the records behind it", 0, false, false},
		{"the next version comes", 0, true, false},
	} {
		silent, behind = step.silent, step.behind
		if got := u.lost(); got != step.lost {
			t.Errorf("%s: lost is %v", step.name, got)
		}
		u.dropped.Store(u.lost())
	}
}

// A node whose copy has no version that compiles here, as after a step back to an older release, begins all the same: what mends it can't come to one that does not run. It answers nothing until it has.
func TestStartWithoutWhatCompiles(t *testing.T) {
	b := newBench(t, storeNode("root1", fmt.Sprintf(`root: "%v"`, freeAddress(t))))
	root, err := b.tryStart()
	if err != nil {
		t.Fatal(err)
	}
	good := apply(t, root, "settings: { sampling: { one_in: 7 } }")
	w := *root.shared.writer
	w.Check = nil
	var last uint64
	for i := range triedBack + 1 {
		r, err := w.Commit(t.Context(), store.Proposal{Kind: store.KindNow, Edits: []store.Edit{{Key: "of-a-later-release/x", Value: fmt.Appendf(nil, "%d\n", i)}}})
		if err != nil {
			t.Fatal(err)
		}
		last = uint64(r.Version)
	}
	until(t, "the refusal of the last version", func() bool {
		use := root.shared.use.now.Load()
		return use.refused != nil && uint64(use.refusedAt) == last
	})
	if uint64(root.shared.use.now.Load().version) >= last || root.shared.ready() != nil {
		t.Error("it does not serve on with what it had")
	}
	memory := root.shared.use.memory
	if err := root.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(memory); err != nil {
		t.Fatal(err)
	}
	if root, err = b.tryStart(); err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := root.shared.ready(); err == nil || !strings.Contains(err.Error(), "does not compile here") {
		t.Errorf("it is ready: %v", err)
	}
	until(t, "a root that takes changes", func() bool {
		_, err = root.settings().Rollback(t.Context(), admin.Rollback{Version: good.Version, Author: "ana", Reason: "it is mended", Now: true})
		return err == nil
	})
	until(t, "settings in use", func() bool { use := root.shared.use.now.Load(); return use.refused == nil && use.version > 0 })
	if err := root.shared.ready(); err != nil {
		t.Error(err)
	}
}
