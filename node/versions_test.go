package node

import (
	"fmt"
	"testing"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/store"
)

// The history can be asked for commits that changed a live setting, and without a kind; how many are listed counts those that are.
func TestHistoryThatLeavesOut(t *testing.T) {
	v := newVersions(t)
	put := func(keys ...string) (edits []store.Edit) {
		for _, key := range keys {
			edits = append(edits, store.Edit{Key: key, Value: []byte("1")})
		}
		return edits
	}
	v.commit(store.KindInitial, put("cache/stale", "forward/a"))                                   // 1
	v.commit(store.KindOpen, put("~rollout/2", "~set/2/forward/b"))                                // 2
	v.commit(store.KindLive, put("forward/b", "~rollout/3"))                                       // 3
	v.commit(store.KindSweep, []store.Edit{{Key: "~set/2/forward/b", Delete: true}})               // 4
	v.commit(store.KindNode, put("~node/lis01"))                                                   // 5
	v.commit(store.KindNow, []store.Edit{{Key: "forward/a", Delete: true}})                        // 6
	v.commit(store.KindSweep, []store.Edit{{Key: "~rollout/2", Delete: true}, put("~set/x/y")[0]}) // 7
	for _, c := range []struct {
		q    admin.HistoryQuery
		want string
		more bool
	}{
		{admin.HistoryQuery{}, "[7 6 5 4 3 2 1]", false},
		{admin.HistoryQuery{Without: "sweep"}, "[6 5 3 2 1]", false},
		{admin.HistoryQuery{Without: "sweep", Limit: 2}, "[6 5]", true},
		{admin.HistoryQuery{Key: "forward/b"}, "[4 3 2]", false},
		{admin.HistoryQuery{Key: "forward/b", Without: "sweep"}, "[3 2]", false},
		{admin.HistoryQuery{Settings: true}, "[6 3 1]", false},
		{admin.HistoryQuery{Settings: true, Key: "forward", Limit: 1}, "[6]", true},
		{admin.HistoryQuery{Settings: true, Key: "forward/b"}, "[3]", false},
		{admin.HistoryQuery{Settings: true, Key: "~rollout"}, "[]", false},
	} {
		if c.q.Limit == 0 {
			c.q.Limit = 100
		}
		c.q.Bytes = 1 << 20
		l, err := (versions{v.copy}).history(t.Context(), c.q)
		got := []uint64{}
		for _, k := range l.Commits {
			got = append(got, k.Version)
		}
		if err != nil || fmt.Sprint(got) != c.want || l.More != c.more {
			t.Errorf("%+v: versions %v, more %v, %v; want %s, more %v", c.q, got, l.More, err, c.want, c.more)
		}
	}
}

// What a node may not read is no setting that it could tell of: of its own changes a node that reads a part would show one with nothing in it as the last.
func TestHiddenChangesTouchNoSetting(t *testing.T) {
	hidden := &store.Record{Changes: []store.Change{{}}}
	if touches(hidden, "", true) || touches(hidden, "cache", false) || !touches(hidden, "", false) {
		t.Errorf("live %v, of a key %v, at all %v", touches(hidden, "", true), touches(hidden, "cache", false), touches(hidden, "", false))
	}
}
