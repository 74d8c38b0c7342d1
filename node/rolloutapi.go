package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/rollout"
	"github.com/ananas-edge/ananas/store"
)

// Rollouts is that of admin.SettingsStore.
func (a settingsAPI) Rollouts(_ context.Context, id string) ([]admin.Rollout, error) {
	if a.shared == nil {
		return nil, a.errOwner()
	}
	view := a.shared.copy.View()
	all := rollouts(view)
	slices.Reverse(all)
	out := []admin.Rollout{}
	for _, r := range all {
		if id == "" || string(r.ID) == id {
			out = append(out, a.shared.shownRollout(view, r, all))
		}
	}
	if id != "" && len(out) == 0 {
		return nil, noRollout(id)
	}
	return out, nil
}

func noRollout(id string) error {
	return &admin.Refusal{Why: admin.Absent, Err: hinted{fmt.Errorf("there is no rollout %q", id), "ananas rollout ls shows those that are known: all that are open, and the last that have ended"}}
}

// shownRollout is a rollout for people; all are all that there are, the newest first.
func (s *shared) shownRollout(view store.View, r *rollout.Rollout, all []*rollout.Rollout) admin.Rollout {
	var progress rollout.Progress
	if s.driver != nil && r.State.Open() { // the driver forgets one that has ended only when it looks next
		progress, _ = s.driver.Progress(r.ID)
	}
	out := admin.Rollout{
		ID: string(r.ID), Subject: r.Subject, State: r.State.String(), Author: r.Author, Reason: r.Reason, Opened: r.Opened, Wave: r.Wave,
		Why: r.Why, Evidence: []string{}, Keys: sortedKeys(changeSet(view, string(r.ID))), Waves: []admin.RolloutWave{},
	}
	if len(out.Keys) == 0 {
		out.Keys = s.openedKeys(r.ID)
	}
	switch r.State {
	case rollout.Passed:
		out.State, out.Ended = "live", r.Since
	case rollout.Failed:
		out.State, out.Ended = "withdrawn", r.Since
	case rollout.Aborted:
		out.Ended = r.Since
	case rollout.Queued:
		set := changeSet(view, string(r.ID))
		for _, other := range all {
			if other.State.Open() && compareIDs(string(other.ID), string(r.ID)) < 0 && sharedKey(view, string(other.ID), set) != "" {
				out.Waits = string(other.ID)
			}
		}
	}
	if progress.Waiting != "" {
		out.Why = progress.Waiting
	}
	for _, f := range r.Evidence.Figures {
		out.Evidence = append(out.Evidence, figure(f))
	}
	for i, w := range r.Waves(progress) {
		one := admin.RolloutWave{Name: w.Wave.String(), State: w.State, Nodes: w.Nodes, Named: w.Named, Bake: w.Bake.Milliseconds(), Elapsed: w.Elapsed.Milliseconds()}
		if one.Named == nil {
			one.Named = []string{}
		}
		if i == r.Wave && progress.Elapsed > 0 { // it is watched, and here
			one.Holding = &progress.Holders.Holding
		}
		out.Waves = append(out.Waves, one)
	}
	return out
}

// openedKeys are the keys that a rollout was opened with, whose change set is gone: as far back as the log goes.
func (s *shared) openedKeys(id rollout.ID) []string {
	keys := []string{}
	v, err := strconv.ParseUint(string(id), 10, 64)
	if err != nil || v == 0 {
		return keys
	}
	records, err := s.copy.Records(store.Version(v-1), 1)
	if err != nil || len(records) == 0 {
		return keys
	}
	for _, c := range records[0].Changes {
		if set, key, ok := store.SplitSet(c.Key); ok && set == string(id) {
			keys = append(keys, key)
		}
	}
	return keys
}

// figure is a line of evidence.
func figure(f rollout.Figure) string {
	text := f.What
	switch {
	case f.Node != "":
		text += " on " + f.Node
	case f.Site != "":
		text += " at " + f.Site
	}
	text += ": " + f.With
	if f.Without != "" {
		text += "; without the change: " + f.Without
		if f.Against != "" {
			text += " (" + f.Against + ")"
		}
	}
	return text
}

// notDriving says who can steer rollouts, which this member can't.
func (s *shared) notDriving(ctx context.Context, action string) error {
	name, err := s.etcd.Elected(ctx)
	if err != nil || name == "" || name == s.name {
		return hinted{errors.New("no member of the root drives rollouts in this moment, as after one was lost"), "try again in ten seconds; ananas root ls shows the members"}
	}
	return hinted{fmt.Errorf("this member of the root does not drive rollouts: %s does", name), fmt.Sprintf("ananas rollout %s --node ADDRESS, with the admin address of %s", action, name)}
}

// Steer is that of admin.SettingsStore.
func (a settingsAPI) Steer(ctx context.Context, r admin.Steer) (admin.Rollout, error) {
	s, err := a.root()
	if err != nil {
		return admin.Rollout{}, err
	}
	do := map[string]func(context.Context, rollout.ID, string, string) (*rollout.Rollout, error){
		"pause": s.driver.Pause, "resume": s.driver.Resume, "abort": s.driver.Abort, "promote": s.driver.Promote,
	}[r.Action]
	if do == nil {
		return admin.Rollout{}, fmt.Errorf("there is nothing that is called %q", r.Action)
	}
	done, err := do(ctx, rollout.ID(r.ID), r.Author, r.Reason)
	var unknown *rollout.UnknownError
	var state *rollout.StateError
	switch {
	case errors.As(err, &unknown):
		return admin.Rollout{}, noRollout(r.ID)
	case errors.As(err, &state), errors.Is(err, rollout.ErrConflict):
		return admin.Rollout{}, &admin.Refusal{Why: admin.Conflict, Err: err}
	case errors.Is(err, rollout.ErrNotDriving):
		return admin.Rollout{}, &admin.Refusal{Why: admin.Owner, Err: s.notDriving(ctx, r.Action)}
	case err != nil:
		return admin.Rollout{}, refusal(err)
	}
	// Who asks this node next sees what was done: its own copy may take a moment, and is waited for, but not for long.
	wait, cancel := context.WithTimeout(ctx, confirmEvery)
	defer cancel()
	view, err := s.current(wait)
	if err != nil {
		view = s.copy.View()
	}
	return s.shownRollout(view, done, rollouts(view)), nil
}
