package node

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/settings"
	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/replica"
)

// versions reads the versions of the settings that a copy has, for the API. It is the same on a node that follows a store and on one whose file is the truth.
type versions struct {
	copy *replica.Replica
}

// at returns the map at a version, and which version that is; 0 is the last.
func (v versions) at(version uint64) (store.Map, store.Version, error) {
	view := v.copy.View()
	last := view.Head().Version
	switch {
	case version == 0 || store.Version(version) == last:
		return view, last, nil
	case store.Version(version) > last:
		return nil, 0, &admin.Refusal{Why: admin.Absent, Err: hinted{fmt.Errorf("there is no version %d; the last is %d", version, last), "ananas history lists them"}}
	}
	m, err := v.copy.At(store.Version(version))
	return m, store.Version(version), v.explain(err)
}

// explain gives an error of a copy a mend.
func (v versions) explain(err error) error {
	var floor *store.FloorError
	if errors.As(err, &floor) {
		return &admin.Refusal{Why: admin.Absent, Err: hinted{err, "ananas history lists the versions that this node has: those of 30 days, or of the last GiB, since it joined or the store was restored"}}
	}
	return err
}

// list returns the documents at and below a prefix.
func (v versions) list(q admin.SettingsQuery, held func(store.Map) (map[string][]byte, []string)) (admin.SettingsList, error) {
	m, version, err := v.at(q.Version)
	if err != nil {
		return admin.SettingsList{}, err
	}
	out := admin.SettingsList{Version: uint64(version), Sets: []string{}, Entries: []admin.SettingsItem{}}
	all, size := m.Under(q.Prefix), 0
	if q.Held && held != nil {
		docs, sets := held(m)
		out.Sets = append(out.Sets, sets...)
		all = under(docs, q.Prefix)
	}
	for key, value := range all {
		if !below(key, q.Prefix) || key <= q.After || !q.System && !store.IsSetting(key) {
			continue
		}
		size += len(key) + len(value)
		if len(out.Entries) == q.Limit || len(out.Entries) > 0 && size > q.Bytes {
			out.More = true
			break
		}
		out.Entries = append(out.Entries, admin.SettingsItem{Key: key, Value: shown(key, value)})
	}
	return out, nil
}

// below tells whether a key is prefix or in the folder of that name.
func below(key, prefix string) bool {
	prefix = strings.TrimSuffix(prefix, "/")
	rest, ok := strings.CutPrefix(key, prefix)
	return ok && (prefix == "" || rest == "" || rest[0] == '/')
}

// under returns the keys of m that begin with prefix, in their order.
func under(m map[string][]byte, prefix string) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for _, key := range sortedKeys(m) {
			if strings.HasPrefix(key, prefix) && !yield(key, m[key]) {
				return
			}
		}
	}
}

// shown is a document as it is shown to people: nothing of what is secret.
func shown(key string, value []byte) string {
	if strings.HasPrefix(key, store.SecretPrefix) || strings.HasPrefix(key, store.TokenPrefix) {
		return "(secret)\n"
	}
	return string(value)
}

// maxDifference is how much of a difference is told, in octets: more than anybody reads.
const maxDifference = 16 << 20

// difference returns what is different between two versions.
func (v versions) difference(from, to uint64, prefix string) (admin.SettingsDifference, error) {
	if to == 0 {
		to = uint64(v.copy.View().Head().Version)
	}
	a, _, err := v.past(from)
	if err != nil {
		return admin.SettingsDifference{}, err
	}
	b, _, err := v.past(to)
	if err != nil {
		return admin.SettingsDifference{}, err
	}
	out, size := admin.SettingsDifference{From: from, To: to, Changes: []admin.Difference{}}, 0
	for _, d := range settings.Compare(a, b) {
		if !below(d.Key, prefix) {
			continue
		}
		if size += len(d.Key) + len(d.Old) + len(d.New); len(out.Changes) > 0 && size > maxDifference {
			out.More = true
			break
		}
		out.Changes = append(out.Changes, differenceOf(d.Key, d.Old, d.New))
	}
	return out, nil
}

// past returns the live settings of a version; version 0 had none.
func (v versions) past(version uint64) (map[string][]byte, store.Version, error) {
	if version == 0 {
		return nil, 0, nil
	}
	m, at, err := v.at(version)
	if err != nil {
		return nil, 0, err
	}
	return liveSettings(m), at, nil
}

func differenceOf(key string, before, after []byte) admin.Difference {
	d := admin.Difference{Key: key}
	if before != nil {
		s := shown(key, before)
		d.Old = &s
	}
	if after != nil {
		s := shown(key, after)
		d.New = &s
	}
	return d
}

// historyPage is how many records are read at a time while one looks for those of a key.
const historyPage = 256

// history lists commits, the newest first.
func (v versions) history(ctx context.Context, q admin.HistoryQuery) (admin.HistoryList, error) {
	out := admin.HistoryList{Commits: []admin.Commit{}, Floor: uint64(v.copy.Floor())}
	before, size := store.Version(q.Before), 0
	if last := v.copy.View().Head().Version; before == 0 || before > last {
		before = last + 1
	}
	for before > v.copy.Floor()+1 {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		records, err := v.copy.History(before, historyPage)
		if err != nil {
			return out, v.explain(err)
		}
		if len(records) == 0 {
			break
		}
		for _, r := range records {
			before = r.Version
			if q.Without != "" && string(r.Kind) == q.Without || !touches(r, q.Key, q.Settings) {
				continue
			}
			c := commitOf(r)
			for _, d := range c.Changes {
				size += len(d.Key) + lengthOf(d.Old) + lengthOf(d.New)
			}
			if len(out.Commits) == q.Limit || len(out.Commits) > 0 && size > q.Bytes {
				out.More = true
				return out, nil
			}
			out.Commits = append(out.Commits, c)
		}
	}
	return out, nil
}

func lengthOf(text *string) int {
	if text == nil {
		return 0
	}
	return len(*text)
}

// touches tells whether a record changes a key, or one below it: only a live setting, or one of a change set and the store's own as well. Without a key every record does that is
// not to have a live setting.
func touches(r *store.Record, key string, live bool) bool {
	if key == "" && !live {
		return true
	}
	for _, c := range r.Changes {
		if live {
			if !c.Hidden() && store.IsSetting(c.Key) && below(c.Key, key) {
				return true
			}
			continue
		}
		if _, setting, ok := store.SplitSet(c.Key); ok && below(setting, key) || below(c.Key, key) {
			return true
		}
	}
	return false
}

// commitOf is a record for people.
func commitOf(r *store.Record) admin.Commit {
	c := admin.Commit{Version: uint64(r.Version), ID: r.ID.String(), Kind: string(r.Kind), Time: r.Time, Author: r.Author, Reason: r.Reason, Changes: []admin.Difference{}}
	for i := range r.Changes {
		change := &r.Changes[i]
		if change.Hidden() {
			c.Hidden++
			continue
		}
		c.Changes = append(c.Changes, differenceOf(change.Key, change.Was.Value, change.Entry.Value))
	}
	return c
}

// watchBytes is how much of the log is read at a time for who watches, in octets.
const watchBytes = 1 << 20

// watch hands every commit after a version to emit, as they come.
func (v versions) watch(ctx context.Context, after uint64, emit func(admin.Commit) error) error {
	at := store.Version(after)
	if last := v.copy.View().Head().Version; at > last {
		return hinted{fmt.Errorf("there is no version %d yet; the last is %d", after, last), "watch after that"}
	}
	for {
		records, err := v.copy.Records(at, watchBytes)
		if err != nil {
			return v.explain(err)
		}
		for _, r := range records {
			if err := emit(commitOf(r)); err != nil {
				return err
			}
			at = r.Version
		}
		if len(records) == 0 {
			if err := v.copy.WaitFor(ctx, at+1); err != nil {
				return err
			}
		}
	}
}
