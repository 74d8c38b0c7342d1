package node

import (
	"bytes"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/rollout"
	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/identity"
)

// rolloutAt commits a rollout and its change set as they are in the store.
func (v versionsOf) rolloutAt(id string, state rollout.State, set map[string][]byte) store.View {
	v.t.Helper()
	r := rollout.New(rollout.ID(id), subject, "ana", "", rollout.DefaultPlan(), time.Unix(1e9, 0))
	r.State = state
	doc, err := r.Encode()
	if err != nil {
		v.t.Fatal(err)
	}
	return v.commit(store.KindOpen, append(setEdits(id, set), store.Edit{Key: store.RolloutPrefix + id, Value: doc}))
}

// large is a change set of n documents of the largest size.
func large(n int) map[string][]byte {
	set := make(map[string][]byte)
	for i := range n {
		set[fmt.Sprintf("k%02d", i)] = bytes.Repeat([]byte{'v'}, store.MaxValue)
	}
	return set
}

// What rollouts that have ended left goes in commits that a root takes, however much it is: rollouts would stand still for ever otherwise. What is open stays, and what can't be read.
func TestLeftovers(t *testing.T) {
	v := newVersions(t)
	v.rolloutAt("1", rollout.Aborted, large(40))
	v.rolloutAt("2", rollout.Failed, large(40))
	v.rolloutAt("3", rollout.Baking, map[string][]byte{"a": []byte("1")})
	v.rolloutAt("4", rollout.Passed, map[string][]byte{"b": []byte("1")})
	later := store.Edit{Key: store.RolloutPrefix + "5", Value: []byte(`{"format":2}`)}
	view := v.commit(store.KindOpen, append(setEdits("5", map[string][]byte{"c": []byte("1")}), later))
	commits := 0
	for {
		edits := leftovers(view)
		if len(edits) == 0 {
			break
		}
		if commits++; commits > 3 {
			t.Fatal("it does not end")
		}
		view = v.commit(store.KindSweep, edits)
	}
	if commits != 2 {
		t.Errorf("it took %d commits", commits)
	}
	var left []string
	for key := range view.Under(store.SetPrefix) {
		left = append(left, key)
	}
	if got := strings.Join(left, " "); got != "~set/3/a ~set/5/c" {
		t.Errorf("left are %s", got)
	}
}

// Of rollouts that have ended the last ones stay.
func TestEndedRolloutsAreBounded(t *testing.T) {
	v := newVersions(t)
	var view store.View
	for i := range endedKept + 2 {
		view = v.rolloutAt(fmt.Sprint(i+1), rollout.Passed, nil)
	}
	view = v.commit(store.KindSweep, leftovers(view))
	if all := rollouts(view); len(all) != endedKept || all[0].ID != "3" {
		t.Errorf("%d are left, from %s on", len(all), all[0].ID)
	}
}

// Nodes that were revoked are gone from the fleet, since when they were; a node that joins again under the same name is not.
func TestGoneNodes(t *testing.T) {
	v := newVersions(t)
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	doc := func(revoked bool) []byte {
		n := identity.Node{Role: identity.Follower, Key: identity.Fingerprint{1}}
		if revoked {
			n.Revoked = &identity.Revocation{Time: at, By: "ana", Why: "stolen"}
		}
		return n.Encode()
	}
	var gone goneNodes
	var view store.View
	for i, step := range []struct {
		revoked bool
		want    map[string]time.Time
	}{{false, map[string]time.Time{}}, {true, map[string]time.Time{"lis01": at}}, {false, map[string]time.Time{}}} {
		view = v.commit(store.KindNode, []store.Edit{{Key: store.NodePrefix + "lis01", Value: doc(step.revoked)}})
		if got := gone.at(view); !maps.EqualFunc(got, step.want, time.Time.Equal) {
			t.Errorf("step %d: gone are %v, not %v", i, got, step.want)
		}
	}
	if strings.Contains(string(doc(false)), "revoked") {
		t.Errorf("each document would be parsed: %s", doc(false))
	}
}
