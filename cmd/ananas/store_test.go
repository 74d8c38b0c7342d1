package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ananas-edge/ananas/admin"
)

// These are the store's answers among the files of a folder: plan.json and applied.json (of an apply or a rollback, dry and real), settings.json, diff.json, history.json,
// commits.ndjson, rollouts.ndjson (a RolloutList a line; each look takes the next, and the last one stays), steered.json, root.json, token.json, removed.json, and
// snapshot. An error's first line may begin with a word of refusalWords and a colon.

// refusalWords are the kinds of refusal as a file names them.
var refusalWords = map[string]admin.Why{
	"conflict": admin.Conflict, "owner": admin.Owner, "absent": admin.Absent, "full": admin.Full, "root": admin.Unreachable, "unknown": admin.Unknown,
}

// refused gives an error of a file its kind.
func refused(err error) error {
	var f fileError
	if !errors.As(err, &f) {
		return err
	}
	word, text, ok := strings.Cut(f.text, ": ")
	why, known := refusalWords[word]
	if !ok || !known {
		return err
	}
	return &admin.Refusal{Why: why, Commit: "00ff", Err: fileError{text, f.hint}}
}

func stored[T any](f files, name, asked string) (T, error) {
	v, err := answer[T](f, name, asked)
	return v, refused(err)
}

func (f files) Apply(_ context.Context, a admin.Apply) (admin.Applied, error) {
	asked := fmt.Sprintf("apply dry=%v now=%v confirm=%q author=%q reason=%q", a.Dry, a.Now, a.Confirm, a.Author, a.Reason)
	for _, file := range a.Files {
		asked += fmt.Sprintf(" %s (%d)", file.Name, len(file.Text))
		for name, content := range file.Named {
			asked += fmt.Sprintf(" with %s (%d)", name, len(content))
		}
	}
	return stored[admin.Applied](f, plannedOrApplied(a.Dry), asked)
}

func plannedOrApplied(dry bool) string {
	if dry {
		return "plan.json"
	}
	return "applied.json"
}

func (f files) HasBlob(_ context.Context, sum [32]byte) (int64, error) {
	info, err := os.Stat(filepath.Join(f.dir, fmt.Sprintf("%x", sum)))
	if err != nil {
		return 0, &admin.Refusal{Why: admin.Absent, Err: err}
	}
	return info.Size(), nil
}

func (f files) ReadBlob(_ context.Context, sum [32]byte) (io.ReadCloser, int64, error) {
	file, err := os.Open(filepath.Join(f.dir, fmt.Sprintf("%x", sum)))
	if err != nil {
		return nil, 0, &admin.Refusal{Why: admin.Absent, Err: err}
	}
	info, err := file.Stat()
	return file, info.Size(), err
}

func (f files) PutBlob(_ context.Context, sum [32]byte, content io.Reader) error {
	b, err := io.ReadAll(content)
	if err == nil {
		err = os.WriteFile(filepath.Join(f.dir, fmt.Sprintf("%x", sum)), b, 0o644)
	}
	return err
}

func (f files) Rollback(_ context.Context, r admin.Rollback) (admin.Applied, error) {
	return stored[admin.Applied](f, plannedOrApplied(r.Dry), fmt.Sprintf("rollback %d dry=%v now=%v confirm=%q author=%q reason=%q", r.Version, r.Dry, r.Now, r.Confirm, r.Author, r.Reason))
}

// Settings leaves in what is below the prefix, as a node does.
func (f files) Settings(_ context.Context, q admin.SettingsQuery) (admin.SettingsList, error) {
	l, err := stored[admin.SettingsList](f, "settings.json", fmt.Sprintf("settings %q version=%d system=%v held=%v", q.Prefix, q.Version, q.System, q.Held))
	l.Entries = slices.DeleteFunc(l.Entries, func(e admin.SettingsItem) bool {
		return q.Prefix != "" && e.Key != q.Prefix && !strings.HasPrefix(e.Key, q.Prefix+"/")
	})
	return l, err
}

func (f files) Difference(_ context.Context, from, to uint64, prefix string) (admin.SettingsDifference, error) {
	return stored[admin.SettingsDifference](f, "diff.json", fmt.Sprintf("diff %d %d %q", from, to, prefix))
}

// History leaves out what is not asked for, as a node does.
func (f files) History(_ context.Context, q admin.HistoryQuery) (admin.HistoryList, error) {
	l, err := stored[admin.HistoryList](f, "history.json", fmt.Sprintf("history %q before=%d limit=%d settings=%v without=%q", q.Key, q.Before, q.Limit, q.Settings, q.Without))
	l.Commits = slices.DeleteFunc(l.Commits, func(c admin.Commit) bool {
		return c.Kind == q.Without || q.Before > 0 && c.Version >= q.Before || q.Settings && !slices.ContainsFunc(c.Changes, func(d admin.Difference) bool { return !strings.HasPrefix(d.Key, "~") })
	})
	return l, err
}

func (f files) Watch(_ context.Context, after uint64, emit func(admin.Commit) error) error {
	text, err := f.read("commits.ndjson", fmt.Sprintf("watch %d", after))
	if err != nil {
		return refused(err)
	}
	for l := range bytes.Lines(text) {
		var c admin.Commit
		if err := json.Unmarshal(l, &c); err != nil {
			return err
		}
		if err := emit(c); err != nil {
			return err
		}
	}
	return fileError{"the commits end here", ""}
}

func (f files) SaveSnapshot(_ context.Context, w io.Writer) error {
	text, err := f.read("snapshot", "snapshot")
	if err != nil {
		return refused(err)
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	if strings.HasPrefix(string(text), "half") {
		return errors.New("the disk is gone")
	}
	return nil
}

func (f files) Rollouts(_ context.Context, id string) ([]admin.Rollout, error) {
	text, err := f.read("rollouts.ndjson", fmt.Sprintf("rollouts %q", id))
	if err != nil {
		return nil, refused(err)
	}
	first, rest, more := bytes.Cut(bytes.TrimSpace(text), []byte("\n"))
	if more {
		if err := os.WriteFile(filepath.Join(f.dir, "rollouts.ndjson"), rest, 0o600); err != nil {
			return nil, err
		}
	}
	var l admin.RolloutList
	err = json.Unmarshal(first, &l)
	if id != "" {
		l.Rollouts = slices.DeleteFunc(l.Rollouts, func(r admin.Rollout) bool { return r.ID != id })
	}
	return l.Rollouts, err
}

func (f files) Steer(_ context.Context, s admin.Steer) (admin.Rollout, error) {
	return stored[admin.Rollout](f, "steered.json", fmt.Sprintf("%s %s author=%q reason=%q", s.Action, s.ID, s.Author, s.Reason))
}

func (f files) Root(context.Context) (admin.Root, error) {
	return stored[admin.Root](f, "root.json", "root")
}

func (f files) NewToken(_ context.Context, t admin.NewToken) (admin.JoinToken, error) {
	return stored[admin.JoinToken](f, "token.json", fmt.Sprintf("token name=%q labels=%v root=%v ttl=%d author=%q", t.Name, t.Labels, t.Root, t.TTLMS, t.Author))
}

func (f files) WithdrawToken(_ context.Context, w admin.WithdrawToken) (admin.TokenInfo, error) {
	return stored[admin.TokenInfo](f, "withdrawn.json", fmt.Sprintf("withdraw %s author=%q reason=%q", w.ID, w.Author, w.Reason))
}

func (f files) Access(context.Context) (admin.Access, error) { return admin.Access{}, nil }

func (f files) SetAccess(_ context.Context, a admin.Access) (admin.Access, error) { return a, nil }

func (f files) RemoveNode(_ context.Context, r admin.RemoveNode) (admin.Node, error) {
	return stored[admin.Node](f, "removed.json", fmt.Sprintf("remove %s author=%q reason=%q", r.Name, r.Author, r.Reason))
}
