package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/admin"
)

// observed is what was seen of a node while it was running.
type observed struct {
	mu      sync.Mutex
	highest uint64         // version in use
	epoch   int            // counts the losses of its copy: what it had before does not bind it
	lines   int            // of its log that were looked at
	pairs   map[uint64]int // version to the number of the pair that the node had then
	commits map[uint64]admin.Commit
}

// forget is called before a copy is lost.
func (o *observed) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.highest = 0
	o.epoch++
}

// watch looks at a node until ctx is done: its versions never go down, and the two keys of a pair belong together.
func (r *run) watch(ctx context.Context, m *member) {
	for ctx.Err() == nil {
		m.seen.mu.Lock()
		epoch := m.seen.epoch
		m.seen.mu.Unlock()
		one, cancel := context.WithTimeout(ctx, 2*time.Second)
		l, err := m.api.Settings(one, admin.SettingsQuery{Limit: 100})
		s, err2 := m.api.Status(one)
		cancel()
		m.seen.mu.Lock()
		lines := m.Lines()
		for _, line := range lines[m.seen.lines:] {
			if line.Msg == "" || strings.HasPrefix(line.Msg, "panic:") || strings.Contains(line.Msg, "fatal error:") || line.Msg == "a crash was kept from ending the node" {
				r.bad("%s crashed: %s", m.Name, line.Msg)
			}
		}
		m.seen.lines = len(lines)
		if err2 == nil && epoch == m.seen.epoch {
			if s.Store.Applied < m.seen.highest {
				r.bad("%s went back from version %d to %d", m.Name, m.seen.highest, s.Store.Applied)
			}
			m.seen.highest = max(m.seen.highest, s.Store.Applied)
		}
		if err == nil && l.Version > 0 && len(l.Entries) > 0 {
			number, err := numberOf(l.Entries)
			if err != nil {
				r.bad("%s at version %d: %w", m.Name, l.Version, err)
			}
			if before, ok := m.seen.pairs[l.Version]; ok && before != number {
				r.bad("%s had write %d at version %d, and then write %d", m.Name, before, l.Version, number)
			}
			m.seen.pairs[l.Version] = number
		}
		m.seen.mu.Unlock()
		r.pause(ctx, 60*time.Millisecond)
	}
}

// collect reads the commits that a node has, as they come: its copy may be lost before the end, and its history with it.
func (r *run) collect(ctx context.Context, m *member) {
	after := new(uint64)
	for ctx.Err() == nil {
		_, err := m.api.Watch(ctx, after, func(c admin.Commit) error {
			m.seen.mu.Lock()
			defer m.seen.mu.Unlock()
			if before, ok := m.seen.commits[c.Version]; ok && before.ID != c.ID {
				r.bad("%s had %s as version %d, and then %s", m.Name, before.ID, c.Version, c.ID)
			}
			m.seen.commits[c.Version] = c
			*after = c.Version
			return nil
		})
		var p *admin.Problem
		if errors.As(err, &p) && ctx.Err() == nil { // its copy begins later, or, after it was lost, has not come as far again
			if s, err := m.api.Status(ctx); err == nil && (s.Store.Floor > *after || s.Store.Version < *after) {
				*after = s.Store.Floor
			}
		}
		r.pause(ctx, 100*time.Millisecond)
	}
}

// numberOf returns the number of a pair, whose two keys must have the same.
func numberOf(entries []admin.SettingsItem) (int, error) {
	one, two := -1, -1
	for _, e := range entries {
		text := strings.TrimSpace(e.Value)
		switch e.Key {
		case "sampling/one_in":
			one, _ = strconv.Atoi(text)
		case "cache/max_ttl":
			d, err := time.ParseDuration(text)
			if err != nil {
				return 0, err
			}
			two = int(d.Seconds()) - 1000
		}
	}
	if one != two {
		return 0, fmt.Errorf("it has one key of write %d and the other of write %d", one, two)
	}
	return one, nil
}

// converge starts what does not run, makes a last write, and waits until all nodes have it.
func (r *run) converge(ctx context.Context) (last uint64, err error) {
	for _, m := range r.members {
		if m.PID() == 0 {
			r.bad("%s has ended by itself:\n%s", m.Name, m.Tail(10))
			r.restart(m)
		}
	}
	r.note("the faults are over")
	if err := r.settles(ctx, func() error {
		r.written++
		one, cancel := context.WithTimeout(ctx, 40*time.Second)
		defer cancel()
		w := commitPair(one, r.root.api, r.written)
		r.writes = append(r.writes, w)
		return w.err
	}); err != nil {
		return 0, fmt.Errorf("writes do not resume: %w", err)
	}
	if err := r.endRollouts(ctx); err != nil {
		return 0, fmt.Errorf("a rollout hangs: %w", err)
	}
	s, err := r.root.api.Status(ctx)
	if err != nil {
		return 0, err
	}
	last = s.Store.Version
	for _, m := range r.members {
		if err := r.settles(ctx, func() error { return r.reached(ctx, m, last) }); err != nil {
			return 0, fmt.Errorf("the nodes do not converge: %w", err)
		}
	}
	return last, nil
}

// history reads all commits of a node, by version.
func (r *run) history(ctx context.Context, m *member) (map[uint64]admin.Commit, uint64, error) {
	all := make(map[uint64]admin.Commit)
	q := admin.HistoryQuery{Limit: 200}
	for {
		l, err := m.api.History(ctx, q)
		if err != nil {
			return nil, 0, fmt.Errorf("the history of %s: %w", m.Name, err)
		}
		for _, c := range l.Commits {
			all[c.Version] = c
			q.Before = c.Version
		}
		if !l.More {
			return all, l.Floor, nil
		}
	}
}

// check looks at what is there when all has settled.
func (r *run) check(ctx context.Context, last uint64) error {
	// A copy that was spoilt begins anew and has no history of before. The truth is what the root has, and before that what any node has or had; where two have a version, they have the same.
	truth := make(map[uint64]admin.Commit)
	floors := make(map[*member]uint64)
	for _, m := range r.members { // the root is the first
		mine, floor, err := r.history(ctx, m)
		if err != nil {
			return err
		}
		floors[m] = floor
		for v := floor + 1; v <= last; v++ {
			if _, ok := mine[v]; !ok {
				r.bad("%s lacks version %d; its history begins after %d", m.Name, v, floor)
			}
		}
		both := maps.Clone(m.seen.commits)
		for v, c := range mine {
			if before, ok := both[v]; ok && before.ID != c.ID {
				r.bad("%s had %s as version %d, and has %s now", m.Name, before.ID, v, c.ID)
			}
			both[v] = c
		}
		for v, c := range both {
			want, known := truth[v]
			if known && (c.ID != want.ID || c.Reason != want.Reason || c.Hidden == 0 && want.Hidden == 0 && !reflect.DeepEqual(c.Changes, want.Changes)) {
				r.bad("%s has another version %d: %+v, and a node before it %+v", m.Name, v, c, want)
			}
			if !known || want.Hidden > 0 {
				truth[v] = c
			}
		}
	}
	floor := last
	for floor > 0 && truth[floor].Version == floor {
		floor--
	}
	r.forgotten = floor
	at := r.checkWrites(truth, floor, last)
	if err := r.checkRollouts(ctx, truth, floor, last); err != nil {
		return err
	}
	for _, m := range r.members {
		for v, number := range m.seen.pairs {
			if want, ok := at[v]; ok && number != want {
				r.bad("%s had write %d at version %d, and the history write %d", m.Name, number, v, want)
			}
		}
		if err := r.sameSettings(ctx, m, max(floors[m], floors[r.root], last-min(last, 20))+1, last); err != nil {
			return err
		}
		var before uint64
		for _, line := range m.Lines() {
			switch {
			case strings.Contains(line.Msg, "was spoilt"):
				before = 0
			case line.Msg == "settings in use":
				if uint64(line.Version) < before {
					r.bad("%s used version %d after %d", m.Name, line.Version, before)
				}
				before = uint64(line.Version)
			}
		}
	}
	return nil
}

// sameSettings compares the settings of a node with the root's at some versions.
func (r *run) sameSettings(ctx context.Context, m *member, from, to uint64) error {
	for v := from; v <= to; v++ {
		want, err := r.root.api.AllSettings(ctx, admin.SettingsQuery{Version: v, Limit: 1000})
		if err != nil {
			return fmt.Errorf("the settings of the root at version %d: %w", v, err)
		}
		got, err := m.api.AllSettings(ctx, admin.SettingsQuery{Version: v, Limit: 1000})
		if err != nil {
			return fmt.Errorf("the settings of %s at version %d: %w", m.Name, v, err)
		}
		if !reflect.DeepEqual(got.Entries, want.Entries) {
			r.bad("at version %d %s has %+v, and the root %+v", v, m.Name, got.Entries, want.Entries)
		}
	}
	return nil
}

// checkWrites compares what the writer was told with what is in the history, and returns the number of the pair at each version.
func (r *run) checkWrites(truth map[uint64]admin.Commit, floor, last uint64) map[uint64]int {
	at := make(map[uint64]int)
	made := make(map[string]admin.Commit)
	number, acknowledged := -1, 0
	for v := floor + 1; v <= last; v++ {
		c, ok := truth[v]
		if !ok {
			r.bad("no node has version %d; the histories begin after %d, and the last is %d", v, floor, last)
			continue
		}
		if text, ok := strings.CutPrefix(c.Reason, "write "); ok {
			if twice, ok := made[c.Reason]; ok {
				r.bad("%s was made twice, as version %d and %d", c.Reason, twice.Version, v)
			}
			made[c.Reason] = c
			number, _ = strconv.Atoi(text)
			if len(c.Changes) != 2 {
				r.bad("version %d has %d changes of the two of a pair", v, len(c.Changes))
			}
		}
		if number >= 0 {
			at[v] = number
		}
	}
	for i := range r.writes {
		w := &r.writes[i]
		c, was := made[w.reason()]
		switch {
		case w.outcome == done && w.version <= floor:
		case w.outcome == done && (!was || c.Version != w.version || c.ID != w.commit):
			r.bad("%s was acknowledged as version %d, %s, and is LOST: the history has %+v", w.reason(), w.version, w.commit, c)
		case w.outcome == notDone && was:
			r.bad("%s was told as not done (%w), and is version %d", w.reason(), w.err, c.Version)
		case w.outcome == unknown && was && w.commit != "" && c.ID != w.commit:
			r.bad("%s was told as unknown with the id %s, and has %s", w.reason(), w.commit, c.ID)
		case w.outcome == done:
			if acknowledged > int(c.Version) {
				r.bad("%s is version %d, before a write that was acknowledged earlier, version %d", w.reason(), c.Version, acknowledged)
			}
			acknowledged = int(c.Version)
		}
	}
	return at
}
