package node

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/internal/namedfile"
	"github.com/ananas-edge/ananas/internal/strictyaml"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/rollout"
	"github.com/ananas-edge/ananas/settings"
	"github.com/ananas-edge/ananas/store"
)

// subject is what rollouts of settings call what they move.
const subject = "settings"

// maxOpen is how many change sets may be open: each is compiled alone and with all others before it is committed, and is in memory on every node.
const maxOpen = 32

// knownTime is how long a change waits for the store to know the member that takes it.
const knownTime = 3 * time.Second

// change is something that somebody wants done to the settings.
type change struct {
	wanted  func(live map[string][]byte, v store.View) (map[string][]byte, error) // the changes to live, nil for keys that go
	author  string
	reason  string
	now     bool
	confirm string
	shrink  []string                     // data sets that may lose more than half of their entries
	blobs   map[[32]byte]*namedfile.File // contents that it names and that may not be here: of a change that is only tried
	files   []*settings.Entries          // that somebody wrote, for the places of errors
}

// drafted is a change made for one version.
type drafted struct {
	base    store.Version
	changes map[string][]byte
	live    map[string][]byte
	kind    store.Kind
	edits   []store.Edit
	id      string   // of the rollout; "" if it goes to all nodes at once
	waits   string   // id of the rollout that it waits for
	ended   []string // rollouts that it ends

	lists    []admin.ListChange // data sets that are new, or another text
	warnings []string           // of lists
}

// draft makes a change for a version: what it changes, and the edits that commit it.
func draft(v store.View, c change, plan rollout.Plan, now time.Time) (*drafted, error) {
	d := &drafted{base: v.Head().Version, live: liveSettings(v)}
	var err error
	if d.changes, err = c.wanted(d.live, v); err != nil {
		return nil, err
	}
	if c.confirm != "" && c.confirm != d.fingerprint() {
		return nil, &store.ConflictError{Head: v.Head(), Key: anyKey(d.changes)}
	}
	if len(d.changes) == 0 {
		d.kind = store.KindNow // of no commit, but it has to have one
		return d, nil
	}
	open := openRollouts(v)
	switch {
	case len(d.live) == 0 && len(open) == 0:
		// Nobody has settings that could be broken.
		d.kind, d.edits = store.KindInitial, editsOf(d.changes)
	case c.now:
		d.kind, d.edits = store.KindNow, editsOf(d.changes)
		for _, r := range open {
			if sharedKey(v, string(r.ID), d.changes) == "" {
				continue
			}
			edits, err := endRollout(r, fmt.Sprintf("a change to all nodes at once, by %s, has changed %s: %s", c.author, sharedKey(v, string(r.ID), d.changes), c.reason), c.author, now)
			if err != nil {
				return nil, err
			}
			d.edits, d.ended = append(d.edits, edits...), append(d.ended, string(r.ID))
		}
	default:
		if len(open) >= maxOpen {
			return nil, hinted{fmt.Errorf("%d rollouts are open, which is the most", len(open)), "ananas rollout ls shows them: wait for one to end, or abort one"}
		}
		d.kind, d.id = store.KindOpen, strconv.FormatUint(uint64(v.Head().Version+1), 10)
		for _, r := range open {
			if sharedKey(v, string(r.ID), d.changes) != "" {
				d.waits = string(r.ID)
			}
		}
		doc, err := rollout.New(rollout.ID(d.id), subject, c.author, c.reason, plan, now).Encode()
		if err != nil {
			return nil, fmt.Errorf("writing the rollout: %w", err)
		}
		if err := d.fits(); err != nil {
			return nil, err
		}
		d.edits = append(setEdits(d.id, d.changes), store.Edit{Key: store.RolloutPrefix + d.id, Value: doc})
	}
	return d, nil
}

// fingerprint names the changes, and what they change: who has seen one document replaced by another has not seen what somebody else has made of it since.
func (d *drafted) fingerprint() string {
	all := maps.Clone(d.changes)
	for key := range d.changes {
		all[key+"\x00was"] = d.live[key] // no key has that octet
	}
	return fingerprintOf(all)
}

// fits refuses a change set that could be opened and never be made live: the commit that does has the rollout's document as it is by then, and replaces what is live now.
func (d *drafted) fits() error {
	const room = store.MaxCommit - rollout.MaxDocument
	const mend = "apply it in several changes"
	octets, replaced := 0, 0
	for key, value := range d.changes {
		octets += len(key) + len(value)
		replaced += len(d.live[key])
	}
	switch {
	case len(d.changes) >= store.MaxChanges:
		return hinted{fmt.Errorf("the change has %d keys; one that goes in waves has at most %d", len(d.changes), store.MaxChanges-1), mend}
	case octets > room:
		return hinted{fmt.Errorf("the keys and documents of the change have %d octets; those of one that goes in waves have at most %d", octets, room), mend}
	case replaced > room:
		return hinted{fmt.Errorf("the documents that the change replaces have %d octets; those of one that goes in waves have at most %d", replaced, room), mend}
	}
	return nil
}

// endRollout are the edits that end a rollout without its change.
func endRollout(r *rollout.Rollout, why, by string, now time.Time) ([]store.Edit, error) {
	doc, err := rollout.Abort(r, why, by, now).Encode()
	if err != nil {
		return nil, fmt.Errorf("writing rollout %s: %w", r.ID, err)
	}
	return []store.Edit{{Key: store.RolloutPrefix + string(r.ID), Value: doc}}, nil
}

// rollouts returns what a version says of rollouts, those that were opened first first. One that can't be read is of a later release, and of nobody's concern here.
func rollouts(m store.Map) []*rollout.Rollout {
	var all []*rollout.Rollout
	for _, doc := range m.Under(store.RolloutPrefix) {
		if r, err := rollout.Decode(doc); err == nil {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b *rollout.Rollout) int {
		return compareIDs(string(a.ID), string(b.ID))
	})
	return all
}

// compareIDs orders versions written as text.
func compareIDs(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return bytes.Compare([]byte(a), []byte(b))
}

func openRollouts(m store.Map) []*rollout.Rollout {
	return slices.DeleteFunc(rollouts(m), func(r *rollout.Rollout) bool { return !r.State.Open() })
}

// sharedKey returns a key that both a change set and changes are about; "" if there is none.
func sharedKey(m store.Map, id string, changes map[string][]byte) string {
	for key := range changeSet(m, id) {
		if _, both := changes[key]; both {
			return key
		}
	}
	return ""
}

func anyKey(changes map[string][]byte) string {
	for _, key := range sortedKeys(changes) {
		return key
	}
	return ""
}

func sortedKeys(m map[string][]byte) []string { return slices.Sorted(maps.Keys(m)) }

// checkResult compiles what a commit would lead to: what is live, each open change set over it, and all of them together. A commit that changes no setting and no change
// set is not looked at.
func checkResult(next store.Map, p store.Proposal, compile func(map[string][]byte) error) error {
	if !slices.ContainsFunc(p.Edits, func(e store.Edit) bool {
		_, _, set := store.SplitSet(e.Key)
		return store.IsSetting(e.Key) || set && !e.Delete
	}) {
		return nil
	}
	live := liveSettings(next)
	if err := compile(live); err != nil {
		return err
	}
	all, open := maps.Clone(live), openRollouts(next)
	for _, r := range open {
		set := changeSet(next, string(r.ID))
		one := maps.Clone(live)
		lay(one, set)
		lay(all, set)
		if err := compile(one); err != nil {
			return err
		}
	}
	if len(open) < 2 {
		return nil
	}
	if err := compile(all); err != nil {
		return fmt.Errorf("with all rollouts that are open (ananas rollout ls shows them): %w", err)
	}
	return nil
}

// wantFiles makes the sections that files name equal to them.
func wantFiles(files []*settings.Entries, merge bool, remove []string) func(map[string][]byte, store.View) (map[string][]byte, error) {
	return func(live map[string][]byte, _ store.View) (map[string][]byte, error) {
		all := make(map[string][]byte)
		for _, f := range files {
			if merge {
				maps.Copy(all, f.Over(live))
			} else {
				maps.Copy(all, f.Against(live))
			}
		}
		for _, key := range remove {
			if _, ok := live[key]; !ok {
				return nil, hinted{fmt.Errorf("there is no setting %q, which is to be removed", key), "ananas ls shows those that there are"}
			}
			all[key] = nil
		}
		return all, nil
	}
}

// written are the files that a person has, and so can mend a line of.
func written(files []admin.SettingsFile, entries []*settings.Entries) (out []*settings.Entries) {
	for i, f := range files {
		if !f.Made {
			out = append(out, entries[i])
		}
	}
	return out
}

// contents returns the contents that documents of files name.
func contents(files []*settings.Entries) map[[32]byte]*namedfile.File {
	all := make(map[[32]byte]*namedfile.File)
	for _, f := range files {
		maps.Copy(all, f.Blobs)
	}
	return all
}

// wantVersion makes all settings what they were at a version, or those at and below a key.
func wantVersion(past map[string][]byte, prefix string) func(map[string][]byte, store.View) (map[string][]byte, error) {
	return func(live map[string][]byte, _ store.View) (map[string][]byte, error) {
		all := make(map[string][]byte)
		for key, value := range past {
			if !below(key, prefix) {
				continue
			}
			if now, ok := live[key]; !ok || !bytes.Equal(now, value) {
				all[key] = value
			}
		}
		for key := range live {
			if _, ok := past[key]; !ok && below(key, prefix) {
				all[key] = nil
			}
		}
		return all, nil
	}
}

// readFiles parses the files of a request. A section may be in one of them alone.
func readFiles(files []admin.SettingsFile, blob func([32]byte) (*namedfile.File, error)) ([]*settings.Entries, error) {
	if len(files) == 0 {
		return nil, hinted{errors.New("there is no file to apply"), "name one or several"}
	}
	var all []*settings.Entries
	var err error
	by := make(map[string]string)
	for _, f := range files {
		named := namedfile.All(f.Named)
		for name, b := range f.Blobs {
			if named[name], err = uploaded(name, b, blob); err != nil {
				return nil, err
			}
		}
		file, err := settings.ParseApply(f.Name, []byte(f.Text), named)
		if err != nil {
			return nil, err
		}
		if !file.HasSettings() {
			return nil, hinted{fmt.Errorf("%q has no part settings, so that there is nothing to apply", f.Name), "write settings: above the sections"}
		}
		entries, err := file.Entries()
		if err != nil {
			return nil, err
		}
		for _, section := range entries.Sections {
			if other, twice := by[section]; twice {
				return nil, hinted{fmt.Errorf("the section %q is in %q and in %q", section, other, f.Name), "put each section into one file"}
			}
			by[section] = f.Name
		}
		all = append(all, entries)
	}
	return all, nil
}

// uploaded returns a content that was put here before.
func uploaded(name string, b admin.Blob, blob func([32]byte) (*namedfile.File, error)) (*namedfile.File, error) {
	var sum [32]byte
	text := []byte(b.SHA256)
	if len(text) != hex.EncodedLen(len(sum)) {
		return nil, fmt.Errorf("%.80q is no SHA-256 of %q: it has %d digits, not 64", b.SHA256, name, len(text))
	}
	if _, err := hex.Decode(sum[:], text); err != nil {
		return nil, fmt.Errorf("%q is no SHA-256 of %q", b.SHA256, name)
	}
	f, err := blob(sum)
	if err != nil {
		return nil, &admin.Refusal{Why: admin.Absent, Err: hinted{fmt.Errorf("the content of %q: %w", name, err), "put it there first: PUT /api/v1/blobs/" + b.SHA256}}
	}
	if f.Size() != b.Size {
		return nil, fmt.Errorf("the content of %q has %d octets, not %d", name, f.Size(), b.Size)
	}
	return f, nil
}

// checkReason refuses what goes to all nodes at once without a word why.
func checkReason(now bool, reason string) error {
	if now && reason == "" {
		return hinted{errors.New("a change to all nodes at once needs a reason"), `write --reason "..."; the history keeps it`}
	}
	return nil
}

// applied tells what a drafted change does.
func (d *drafted) applied() admin.Applied {
	a := admin.Applied{Changes: []admin.Difference{}, Confirm: d.fingerprint(), Warnings: append([]string{}, d.warnings...), Base: uint64(d.base), Rollout: d.id, Waits: d.waits, Aborted: d.ended, Lists: d.lists}
	for _, key := range sortedKeys(d.changes) {
		a.Changes = append(a.Changes, differenceOf(key, d.live[key], d.changes[key]))
	}
	return a
}

// commit has a change decided by a root, or only tells what it would do.
func (s *shared) commit(ctx context.Context, c change, dry bool) (admin.Applied, error) {
	if err := checkReason(c.now, c.reason); err != nil && !dry {
		return admin.Applied{}, err
	}
	blob := s.blob
	if dry {
		blob = func(sum [32]byte) (*namedfile.File, error) {
			if content, ok := c.blobs[sum]; ok {
				return content, nil
			}
			return s.blob(sum)
		}
	}
	var last *drafted
	p := store.Proposal{Author: c.author, Reason: c.reason, Make: func(v store.View, p *store.Proposal) error {
		d, err := draft(v, c, s.plan(v), s.n.clock.Wall())
		if err != nil {
			return err
		}
		d.noteLists(func(entries map[string][]byte) ([]plugin.ListStatus, error) { return s.lists(entries, blob) })
		if err := d.checkLists(c.shrink, dry); err != nil {
			return err
		}
		last, p.Kind, p.Edits = d, d.kind, d.edits
		return nil
	}}
	if dry {
		view := s.copy.View()
		if err := p.Make(view, &p); err != nil {
			return admin.Applied{}, err
		}
		return last.applied(), s.checkWith(store.Overlay(view, p.Edits), p, c.files, blob)
	}
	// The first commit of a store is about who its first node is: what somebody applies in the same moment waits for it, but not for long.
	select {
	case <-s.known:
	case <-time.After(knownTime):
	case <-ctx.Done():
	}
	r, err := s.writer.Commit(ctx, p)
	if err != nil {
		if r != nil && errors.Is(err, store.ErrUnknown) {
			err = &admin.Refusal{Why: admin.Unknown, Commit: r.ID.String(), Err: err}
		}
		var wrong *strictyaml.Errors
		if errors.As(err, &wrong) && len(c.files) > 0 { // the writer knows of no files: tried again, it is told where they say it
			if _, again := s.commit(ctx, c, true); again != nil {
				err = again
			}
		}
		return admin.Applied{}, err
	}
	s.driver.Wake()
	a := last.applied()
	if r != nil {
		// Who asks this node next what became of it is told of it: its own copy may take a moment, and is waited for, but not for long.
		wait, cancel := context.WithTimeout(ctx, confirmEvery)
		_ = s.copy.WaitFor(wait, r.Version)
		cancel()
		a.Version, a.Commit = uint64(r.Version), r.ID.String()
	}
	return a, nil
}
