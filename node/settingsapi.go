package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/settings"
	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/blobs"
	"github.com/ananas-edge/ananas/store/etcd"
	"github.com/ananas-edge/ananas/store/replica"
)

// settingsAPI is what the API asks of the settings and their versions. On a node whose file is the truth shared is nil.
type settingsAPI struct {
	n      *Node
	copy   *replica.Replica // nil: there is none
	shared *shared
}

// errOwner says who owns the settings.
func (a settingsAPI) errOwner() error {
	name := a.n.began.Name()
	if name == "" {
		return &admin.Refusal{Why: admin.Owner, Err: hinted{errors.New("this node was started without a file, and its settings are the defaults: there is no store to change"),
			"write a file; with node.store.root in it the node opens a store"}}
	}
	return &admin.Refusal{Why: admin.Owner, Err: hinted{fmt.Errorf("the file %q is the truth for this node's settings", name), "edit it, then ananas reload"}}
}

// refusal gives an error the word that the API has for it.
func refusal(err error) error {
	var conflict *store.ConflictError
	var full *store.FullError
	var floor *store.FloorError
	var down *etcd.DownError
	var quorum *store.QuorumError
	var behind *store.BehindError
	var known *admin.Refusal
	var room *blobs.LimitError
	var another *blobs.DigestError
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.As(err, &conflict):
		return &admin.Refusal{Why: admin.Conflict, Err: err}
	case errors.As(err, &another):
		return &admin.Refusal{Why: admin.Another, Err: hinted{err, "send what has the SHA-256 in the path; nothing was kept"}}
	case errors.As(err, &full), errors.As(err, &room), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &admin.Refusal{Why: admin.Full, Err: err}
	case errors.As(err, &floor):
		return &admin.Refusal{Why: admin.Absent, Err: err}
	case errors.As(err, &down), errors.As(err, &quorum), errors.As(err, &behind):
		return &admin.Refusal{Why: admin.Unreachable, Err: err}
	}
	return err
}

// root returns this node's part in a store's root, or says who has one.
func (a settingsAPI) root() (*shared, error) {
	switch {
	case a.shared == nil:
		return nil, a.errOwner()
	case a.shared.writer == nil:
		return nil, &admin.Refusal{Why: admin.Owner, Err: hinted{errors.New("this node follows a store: it takes changes from the root and makes none"), a.shared.whereRoot()}}
	}
	return a.shared, nil
}

func (a settingsAPI) versions() (versions, error) {
	if a.copy == nil {
		return versions{}, hinted{errors.New("this node keeps no versions of its settings"), "its log says why: another process may use its data folder"}
	}
	return versions{a.copy}, nil
}

// Apply is that of admin.SettingsStore.
func (a settingsAPI) Apply(ctx context.Context, r admin.Apply) (admin.Applied, error) {
	s, err := a.root()
	if err != nil {
		return admin.Applied{}, err
	}
	var entries []*settings.Entries
	if len(r.Files) > 0 || len(r.Remove) == 0 {
		if entries, err = readFiles(r.Files, s.blob); err != nil {
			return admin.Applied{}, err
		}
	}
	s.mendBlobs(entries)
	if !r.Dry {
		if err := s.putBlobs(ctx, entries); err != nil {
			return admin.Applied{}, err
		}
	}
	done, err := s.commit(ctx, change{wanted: wantFiles(entries, r.Merge, r.Remove), blobs: contents(entries), files: written(r.Files, entries), author: r.Author, reason: r.Reason, now: r.Now, confirm: r.Confirm, shrink: r.Shrink}, r.Dry)
	return done, refusal(err)
}

// HasBlob is that of admin.SettingsStore.
func (a settingsAPI) HasBlob(_ context.Context, sum [32]byte) (int64, error) {
	s, err := a.root()
	if err != nil {
		return 0, err
	}
	size, err := s.blobs.Size(sum)
	var missing *blobs.MissingError
	if errors.As(err, &missing) {
		return 0, &admin.Refusal{Why: admin.Absent, Err: hinted{err, "put it there: PUT /api/v1/blobs/SHA256"}}
	}
	return size, err
}

// PutBlob is that of admin.SettingsStore.
func (a settingsAPI) PutBlob(ctx context.Context, sum [32]byte, content io.Reader) error {
	s, err := a.root()
	if err != nil {
		return err
	}
	return refusal(s.takeBlob(ctx, sum, content))
}

// ReadBlob is that of admin.SettingsStore. Every node has the contents that its documents name; which those are is told by the same API.
func (a settingsAPI) ReadBlob(_ context.Context, sum [32]byte) (io.ReadCloser, int64, error) {
	if a.shared == nil {
		return nil, 0, &admin.Refusal{Why: admin.Owner, Err: hinted{a.errOwner(), "its settings name files of that machine, and it has no others: copy them from there"}}
	}
	f, err := a.shared.blob(sum)
	var content io.ReadCloser
	if err == nil {
		content, err = f.Open()
	}
	var missing *blobs.MissingError
	if errors.As(err, &missing) {
		return nil, 0, &admin.Refusal{Why: admin.Absent, Err: hinted{err, "the node fetches what its settings name from the others: ask again in a minute, or ask another node; what no version has named for a day is gone"}}
	}
	if err != nil {
		return nil, 0, err
	}
	return content, f.Size(), nil
}

// Rollback is that of admin.SettingsStore.
func (a settingsAPI) Rollback(ctx context.Context, r admin.Rollback) (admin.Applied, error) {
	s, err := a.root()
	if err != nil {
		return admin.Applied{}, err
	}
	past, _, err := (versions{a.copy}).past(r.Version)
	if err != nil {
		return admin.Applied{}, err
	}
	if !r.Dry {
		if err := s.bringBack(ctx, past); err != nil {
			return admin.Applied{}, refusal(err)
		}
	}
	reason := r.Reason
	if reason == "" && !r.Now {
		reason = fmt.Sprintf("back to version %d", r.Version)
		if r.Prefix != "" {
			reason = fmt.Sprintf("%s back to version %d", r.Prefix, r.Version)
		}
	}
	done, err := s.commit(ctx, change{wanted: wantVersion(past, r.Prefix), author: r.Author, reason: reason, now: r.Now, confirm: r.Confirm, shrink: r.Shrink}, r.Dry)
	if err == nil {
		done.Back = r.Version
		done.Warnings = append(done.Warnings, stillOpen(s.copy.View(), append(done.Aborted, done.Rollout))...)
	}
	return done, refusal(err)
}

// warnedKeys is how many keys of a rollout a warning names.
const warnedKeys = 3

// stillOpen warns of rollouts that are open, but for some: who goes back to a version may think that nothing is on its way any more.
func stillOpen(view store.View, but []string) []string {
	var open []string
	for _, r := range openRollouts(view) {
		if slices.Contains(but, string(r.ID)) {
			continue
		}
		keys, more := sortedKeys(changeSet(view, string(r.ID))), ""
		if n := len(keys) - warnedKeys; n > 0 {
			keys, more = keys[:warnedKeys], fmt.Sprintf(" and %d more", n)
		}
		open = append(open, fmt.Sprintf("%s (%s: %s%s)", r.ID, r.State, strings.Join(keys, ", "), more))
	}
	if len(open) == 0 {
		return nil
	}
	return []string{"a rollback is of what is live, and these rollouts are on their way still: " + strings.Join(open, "; ") + ". ananas rollout abort ID takes one back"}
}

// Settings is that of admin.SettingsStore.
func (a settingsAPI) Settings(_ context.Context, q admin.SettingsQuery) (admin.SettingsList, error) {
	v, err := a.versions()
	if err != nil {
		return admin.SettingsList{}, err
	}
	var holds func(store.Map) (map[string][]byte, []string)
	if a.shared != nil {
		holds = func(m store.Map) (map[string][]byte, []string) {
			return held(m, a.shared.member(m), a.shared.use.dropped.Load())
		}
	}
	return v.list(q, holds)
}

// Difference is that of admin.SettingsStore.
func (a settingsAPI) Difference(_ context.Context, from, to uint64, prefix string) (admin.SettingsDifference, error) {
	v, err := a.versions()
	if err != nil {
		return admin.SettingsDifference{}, err
	}
	return v.difference(from, to, prefix)
}

// History is that of admin.SettingsStore.
func (a settingsAPI) History(ctx context.Context, q admin.HistoryQuery) (admin.HistoryList, error) {
	v, err := a.versions()
	if err != nil {
		return admin.HistoryList{}, err
	}
	return v.history(ctx, q)
}

// Watch is that of admin.SettingsStore.
func (a settingsAPI) Watch(ctx context.Context, after uint64, emit func(admin.Commit) error) error {
	v, err := a.versions()
	if err != nil {
		return err
	}
	return v.watch(ctx, after, emit)
}

// loadFile puts what a file says into the versions of a node whose file is the truth. A file that says what the last version has is no new one.
func loadFile(copy *replica.Replica, f *settings.File) error {
	entries, err := f.Entries()
	if err != nil {
		return err
	}
	wanted, _ := wantVersion(entries.Docs, "")(liveSettings(copy.View()), copy.View())
	_, err = copy.Load(store.Proposal{Kind: store.KindLoad, Author: "the file", Reason: f.Name(), Edits: editsOf(wanted)})
	return err
}

// SaveSnapshot is that of admin.SettingsStore.
func (a settingsAPI) SaveSnapshot(_ context.Context, w io.Writer) error {
	s, err := a.root()
	if err != nil {
		return err
	}
	return s.saveSnapshot(w)
}

// settings is what the API asks.
func (n *Node) settings() settingsAPI {
	a := settingsAPI{n: n, copy: n.history, shared: n.shared}
	if n.shared != nil {
		a.copy = n.shared.copy
	}
	return a
}

// keepVersions opens the versions of a node whose file is the truth, and puts in what was loaded. A node does without them where it has to.
func (n *Node) keepVersions(own settings.Node) {
	folder := filepath.Join(own.Data, StoreFolder)
	err := MakeFolder(folder)
	if err == nil {
		n.history, err = replica.Open(folder, replica.Options{Now: n.clock.Wall, Log: n.log, Metrics: n.metrics})
	}
	if err == nil {
		err = loadFile(n.history, n.began)
	}
	if err != nil {
		n.log.Warn("the versions of the settings are not kept", "error", err)
	}
}
