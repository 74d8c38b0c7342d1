package node

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/rollout"
	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/replica"
)

// versionsOf is a copy that takes edits as commits.
type versionsOf struct {
	t    *testing.T
	copy *replica.Replica
}

func newVersions(t *testing.T) versionsOf {
	t.Helper()
	r, err := replica.Open(t.TempDir(), replica.Options{Now: func() time.Time { return time.Unix(1e9, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return versionsOf{t, r}
}

func (v versionsOf) commit(kind store.Kind, edits []store.Edit) store.View {
	v.t.Helper()
	if _, err := v.copy.Load(store.Proposal{Kind: kind, Edits: edits}); err != nil {
		v.t.Fatal(err)
	}
	return v.copy.View()
}

// want is a change of the settings, as somebody has it: "key=value" sets, "-key" removes.
func want(texts ...string) func(map[string][]byte, store.View) (map[string][]byte, error) {
	return func(map[string][]byte, store.View) (map[string][]byte, error) {
		changes := make(map[string][]byte)
		for _, text := range texts {
			if key, ok := strings.CutPrefix(text, "-"); ok {
				changes[key] = nil
				continue
			}
			key, value, _ := strings.Cut(text, "=")
			changes[key] = []byte(value)
		}
		return changes, nil
	}
}

func (v versionsOf) draft(c change) *drafted {
	v.t.Helper()
	d, err := draft(v.copy.View(), c, rollout.DefaultPlan(), time.Unix(1e9, 0))
	if err != nil {
		v.t.Fatal(err)
	}
	return d
}

func texts2(m map[string][]byte) string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		out = append(out, key+"="+string(m[key]))
	}
	return strings.Join(out, " ")
}

// The first settings of a store are live at once; from then on a change goes in waves, and what another one on its way changes too waits for it.
func TestDraft(t *testing.T) {
	v := newVersions(t)
	first := v.draft(change{wanted: want("a=1", "b=1")})
	if first.kind != store.KindInitial || first.id != "" {
		t.Fatalf("%+v", first)
	}
	v.commit(first.kind, first.edits)

	one := v.draft(change{wanted: want("a=2", "-b")})
	if one.kind != store.KindOpen || one.id != "2" || one.waits != "" {
		t.Fatalf("%+v", one)
	}
	v.commit(one.kind, one.edits)
	two := v.draft(change{wanted: want("c=3")})
	if two.id != "3" || two.waits != "" {
		t.Fatalf("%+v", two)
	}
	v.commit(two.kind, two.edits)
	three := v.draft(change{wanted: want("b=9")})
	if three.waits != "2" {
		t.Fatalf("%+v", three)
	}
	view := v.commit(three.kind, three.edits)

	if got := texts2(liveSettings(view)); got != "a=1 b=1" {
		t.Errorf("live is %s", got)
	}
	if got := texts2(changeSet(view, "2")); got != "a=2 b=" {
		t.Errorf("change set 2 is %q", got)
	}
	// A rollback says which of them it leaves as they are.
	if got := stillOpen(view, []string{"", "3"}); len(got) != 1 || !strings.Contains(got[0], "still: 2 (queued: a, b); 4 (queued: b). ananas rollout abort ID") {
		t.Errorf("a rollback warns of %q", got)
	}
	if got := stillOpen(view, []string{"2", "3", "4"}); got != nil {
		t.Errorf("a rollback warns of %q", got)
	}
	// Nobody holds what is queued; who holds it has it over what is live.
	member := rollout.Member{Name: "lis01"}
	if got, sets := held(view, member, false); texts2(got) != "a=1 b=1" || len(sets) != 0 {
		t.Errorf("held %s, by %v", texts2(got), sets)
	}
	open := openRollouts(view)
	if len(open) != 3 || open[0].ID != "2" || open[2].ID != "4" {
		t.Fatalf("open are %+v", open)
	}
	baking := *open[0]
	baking.State, baking.Canaries = rollout.Baking, []string{"lis01"}
	doc, err := baking.Encode()
	if err != nil {
		t.Fatal(err)
	}
	view = v.commit(store.KindWave, []store.Edit{{Key: store.RolloutPrefix + "2", Value: doc}})
	if got, sets := held(view, member, false); texts2(got) != "a=2" || !slices.Equal(sets, []string{"2"}) {
		t.Errorf("held %s, by %v", texts2(got), sets)
	}
	if got, _ := held(view, rollout.Member{Name: "fra01"}, false); texts2(got) != "a=1 b=1" {
		t.Errorf("another node holds %s", texts2(got))
	}
	// A node without a feed drops it.
	if got, sets := held(view, member, true); texts2(got) != "a=1 b=1" || len(sets) != 0 {
		t.Errorf("held %s, by %v, without a feed", texts2(got), sets)
	}

	// What goes to all nodes at once ends the rollouts that share a key with it, and no others.
	now := v.draft(change{wanted: want("a=7"), now: true, author: "ada", reason: "it burns"})
	if now.kind != store.KindNow || !slices.Equal(now.ended, []string{"2"}) {
		t.Fatalf("%+v", now)
	}
	view = v.commit(now.kind, now.edits)
	if got, _ := held(view, member, false); texts2(got) != "a=7 b=1" {
		t.Errorf("held %s", texts2(got))
	}
	for _, r := range rollouts(view) {
		if want := r.ID != "2"; r.State.Open() != want {
			t.Errorf("%s is %v: %s", r.ID, r.State, r.Why)
		}
	}
}

// Who confirms a difference confirms that one.
func TestDraftIsWhatWasConfirmed(t *testing.T) {
	v := newVersions(t)
	seen := v.draft(change{wanted: want("a=1")})
	if d := v.draft(change{wanted: want("a=1"), confirm: seen.applied().Confirm}); len(d.edits) != 1 {
		t.Errorf("%+v", d)
	}
	_, err := draft(v.copy.View(), change{wanted: want("a=2"), confirm: seen.applied().Confirm}, rollout.DefaultPlan(), time.Now())
	var conflict *store.ConflictError
	if !errors.As(err, &conflict) {
		t.Errorf("another change than the one that was confirmed: %v", err)
	}
	// Two have made a list anew of the one that both have read: the second must not undo what the first has done, though it still wants the same.
	v.commit(store.KindInitial, []store.Edit{{Key: "plugins", Value: []byte("x")}})
	first, second := v.draft(change{wanted: want("plugins=x a"), now: true}), v.draft(change{wanted: want("plugins=x b"), now: true})
	v.commit(store.KindNow, v.draft(change{wanted: want("plugins=x a"), now: true, confirm: first.applied().Confirm}).edits)
	if _, err := draft(v.copy.View(), change{wanted: want("plugins=x b"), now: true, confirm: second.applied().Confirm}, rollout.DefaultPlan(), time.Now()); !errors.As(err, &conflict) || conflict.Key != "plugins" {
		t.Errorf("the second of two: %v", err)
	}
	if d := v.draft(change{wanted: want()}); len(d.edits) != 0 {
		t.Errorf("nothing is wanted, and it is %+v", d)
	}
}

// No more rollouts are open than each node can compile.
func TestDraftsAreBounded(t *testing.T) {
	v := newVersions(t)
	v.commit(store.KindInitial, []store.Edit{{Key: "a", Value: []byte("1")}})
	for i := range maxOpen {
		d := v.draft(change{wanted: want(fmt.Sprintf("k%d=1", i))})
		v.commit(d.kind, d.edits)
	}
	if _, err := draft(v.copy.View(), change{wanted: want("z=1")}, rollout.DefaultPlan(), time.Now()); err == nil || !strings.Contains(err.Error(), "32 rollouts are open") {
		t.Error(err)
	}
}

// A commit is compiled as it would be live, with each change set alone, and with all of them; what does not compile is refused.
func TestCheckResult(t *testing.T) {
	v := newVersions(t)
	v.commit(store.KindInitial, []store.Edit{{Key: "a", Value: []byte("1")}})
	d := v.draft(change{wanted: want("b=1")})
	v.commit(d.kind, d.edits)
	d = v.draft(change{wanted: want("c=1")})
	p := store.Proposal{Edits: d.edits}
	var seen []string
	see := func(m map[string][]byte) error { seen = append(seen, texts2(m)); return nil }
	if err := checkResult(store.Overlay(v.copy.View(), d.edits), p, see); err != nil {
		t.Fatal(err)
	}
	if want := []string{"a=1", "a=1 b=1", "a=1 c=1", "a=1 b=1 c=1"}; !slices.Equal(seen, want) {
		t.Errorf("compiled were %q, want %q", seen, want)
	}
	together := func(m map[string][]byte) error {
		if len(m) == 3 {
			return errors.New("b and c contradict")
		}
		return nil
	}
	if err := checkResult(store.Overlay(v.copy.View(), d.edits), p, together); err == nil {
		t.Error("change sets that do not go together were taken")
	}
	seen = nil
	node := []store.Edit{{Key: store.NodePrefix + "x", Value: []byte("{}")}}
	if err := checkResult(store.Overlay(v.copy.View(), node), store.Proposal{Edits: node}, see); err != nil || seen != nil {
		t.Errorf("a node that joins has %q compiled", seen)
	}
}

// A rollback gives the values and absences of a version.
func TestWantVersion(t *testing.T) {
	live := map[string][]byte{"a": []byte("2"), "b": []byte("1"), "c": []byte("1")}
	past := map[string][]byte{"a": []byte("1"), "b": []byte("1"), "d": []byte("1")}
	changes, err := wantVersion(past, "")(live, nil)
	if err != nil {
		t.Fatal(err)
	}
	lay(live, changes)
	if texts2(live) != texts2(past) || len(changes) != 3 {
		t.Errorf("%s by %v", texts2(live), changes)
	}
}

// What can be opened can be made live: the commit that does is held to the same limits, and replaces what is live.
func TestDraftsCanGoLive(t *testing.T) {
	v := newVersions(t)
	set := func(n, size int) func(map[string][]byte, store.View) (map[string][]byte, error) {
		return func(map[string][]byte, store.View) (map[string][]byte, error) {
			changes := make(map[string][]byte)
			for i := range n {
				changes[fmt.Sprintf("k%04d", i)] = []byte(strings.Repeat("v", size))
			}
			return changes, nil
		}
	}
	v.commit(store.KindInitial, []store.Edit{{Key: "a", Value: []byte("1")}})
	for from := range 2 { // 5 MiB are live
		edits := editsOf(large(80))[40*from : 40*from+40]
		v.commit(store.KindNow, edits)
	}
	for _, c := range []struct {
		name   string
		wanted func(map[string][]byte, store.View) (map[string][]byte, error)
		wrong  string
	}{
		{"most keys", set(store.MaxChanges-1, 1), ""},
		{"a key too many", set(store.MaxChanges, 1), "has 4096 keys"},
		{"most octets", set(63, store.MaxValue), ""},
		{"too many octets", set(64, store.MaxValue-10), "documents of the change have"},
		{"replaces too much", func(live map[string][]byte, _ store.View) (map[string][]byte, error) {
			changes := make(map[string][]byte)
			for key := range live {
				changes[key] = nil
			}
			return changes, nil
		}, "that the change replaces have"},
	} {
		d, err := draft(v.copy.View(), change{wanted: c.wanted}, rollout.DefaultPlan(), time.Unix(1e9, 0))
		if c.wrong != "" {
			var h interface{ Hint() string }
			if err == nil || !strings.Contains(err.Error(), c.wrong) || !errors.As(err, &h) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		// It goes live with the largest document that a rollout may have.
		view := v.copy.View()
		live := append(editsOf(d.changes), store.Edit{Key: store.RolloutPrefix + d.id, Value: make([]byte, rollout.MaxDocument)})
		if _, err := store.Prepare(view.Head(), store.Proposal{Kind: store.KindLive, Edits: live}, view.Entry, time.Unix(1e9, 0), func() store.Salt { return store.Salt{} }); err != nil {
			t.Errorf("%s: it can't be made live: %v", c.name, err)
		}
	}
}

// What does not compile is told where the file says it, with a dry run before and without; of a text that a program has made, by the path of the setting.
func TestErrorsHaveTheirPlace(t *testing.T) {
	root := newBench(t, storeNode("root1", fmt.Sprintf(`root: "%v"`, freeAddress(t)))).start()
	apply(t, root, `settings: { recursion: { root_hints: "", trust_anchors: none } }`)
	for _, dry := range []bool{true, false} {
		for made, want := range map[bool]string{false: "mine.yaml:3:15: settings.plugins[0].module: there is no module", true: "plugins[0].module: there is no module"} {
			_, err := root.settings().Apply(t.Context(), admin.Apply{Author: "ana", Reason: "a test", Dry: dry, Files: []admin.SettingsFile{{
				Name: "mine.yaml", Text: "settings:\n  plugins:\n    - module: nowhere\n      phase: query\n", Made: made,
			}}})
			if err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("dry %v, made %v: %v", dry, made, err)
			}
		}
	}
}
