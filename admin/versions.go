package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// versionParam reads a parameter that is a version of the store.
func versionParam(q url.Values, name string) (uint64, *Problem) {
	if !q.Has(name) {
		return 0, nil
	}
	n, err := strconv.ParseUint(q.Get(name), 10, 64)
	if err != nil {
		return 0, problemParameter.with(name+" is "+quote(q.Get(name)), "it is the number of a version; /api/v1/settings/history has them")
	}
	return n, nil
}

// keyParam reads a parameter that is a key of the store, or the beginning of one.
func keyParam(q url.Values, name string) (string, *Problem) {
	key := q.Get(name)
	if err := checkText(key, MaxKey); err != nil {
		return "", problemParameter.with(name+" "+err.Error(), "a key is written as forward/corp.example")
	}
	return key, nil
}

func (s *Server) settingsList(w http.ResponseWriter, r *http.Request) *Problem {
	if s.config.Settings == nil {
		return problemMissing.with("settings", "")
	}
	q, query := r.URL.Query(), SettingsQuery{Bytes: MaxSettingsBytes}
	var p *Problem
	if query.Prefix, p = keyParam(q, "prefix"); p != nil {
		return p
	}
	if query.After, p = keyParam(q, "after"); p != nil {
		return p
	}
	if query.Version, p = versionParam(q, "version"); p != nil {
		return p
	}
	if query.Limit, p = intParam(q, "limit", DefaultSettingsLimit, 1, MaxSettingsLimit); p != nil {
		return p
	}
	if query.System, p = boolParam(q, "system"); p != nil {
		return p
	}
	if query.Held, p = boolParam(q, "held"); p != nil {
		return p
	}
	if query.Held && query.Version != 0 {
		return problemParameter.with("both held and version are given", "what this node holds is known of the last version alone")
	}
	list, err := s.config.Settings.Settings(r.Context(), query)
	if err != nil {
		return refusal(problemFailed, r.Context(), err)
	}
	listed(&list.Sets)
	listed(&list.Entries)
	writeJSON(w, http.StatusOK, list)
	return nil
}

func (s *Server) settingsDiff(w http.ResponseWriter, r *http.Request) *Problem {
	if s.config.Settings == nil {
		return problemMissing.with("settings", "")
	}
	q := r.URL.Query()
	from, p := versionParam(q, "from")
	if p != nil {
		return p
	}
	if !q.Has("from") {
		return problemParameter.with("from is missing", "give the earlier version, as in ?from=41&to=42; without to it is the last one")
	}
	to, p := versionParam(q, "to")
	if p != nil {
		return p
	}
	prefix, p := keyParam(q, "prefix")
	if p != nil {
		return p
	}
	d, err := s.config.Settings.Difference(r.Context(), from, to, prefix)
	if err != nil {
		return refusal(problemFailed, r.Context(), err)
	}
	listed(&d.Changes)
	left := MaxSettingsBytes
	for i, c := range d.Changes {
		if left -= c.size(); left < 0 && i > 0 {
			s.metrics.limits.With("settings_bytes").Inc()
			d.Changes, d.More = d.Changes[:i], true
			break
		}
	}
	writeJSON(w, http.StatusOK, d)
	return nil
}

// size is how many octets a difference has of keys and documents.
func (d *Difference) size() int {
	n := len(d.Key)
	for _, doc := range []*string{d.Old, d.New} {
		if doc != nil {
			n += len(*doc)
		}
	}
	return n
}

func (s *Server) settingsHistory(w http.ResponseWriter, r *http.Request) *Problem {
	if s.config.Settings == nil {
		return problemMissing.with("history", "")
	}
	q, query := r.URL.Query(), HistoryQuery{Bytes: MaxSettingsBytes}
	var p *Problem
	if query.Before, p = versionParam(q, "before"); p != nil {
		return p
	}
	if query.Key, p = keyParam(q, "key"); p != nil {
		return p
	}
	if query.Limit, p = intParam(q, "limit", DefaultHistoryLimit, 1, MaxHistoryLimit); p != nil {
		return p
	}
	if query.Settings, p = boolParam(q, "settings"); p != nil {
		return p
	}
	if query.Without, p = keyParam(q, "without"); p != nil {
		return p
	}
	list, err := s.config.Settings.History(r.Context(), query)
	if err != nil {
		return refusal(problemFailed, r.Context(), err)
	}
	listed(&list.Commits)
	for i := range list.Commits {
		listed(&list.Commits[i].Changes)
	}
	writeJSON(w, http.StatusOK, list)
	return nil
}

// settingsWatch streams commits as they come. Until the first line an error is a plain problem; after it, it is the last line.
func (s *Server) settingsWatch(w http.ResponseWriter, r *http.Request) *Problem {
	if s.config.Settings == nil {
		return problemMissing.with("watch", "")
	}
	q := r.URL.Query()
	after, p := versionParam(q, "after")
	if p != nil {
		return p
	}
	leave, p := s.enter(s.watches, "watches")
	if p != nil {
		return p
	}
	defer leave()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.closing, cancel)()
	if !q.Has("after") {
		now, err := s.config.Settings.Settings(ctx, SettingsQuery{Limit: 1, Bytes: MaxSettingsBytes})
		if err != nil {
			return refusal(problemFailed, ctx, err)
		}
		after = now.Version
	}
	stream := &watching{lines: newLineWriter(w), version: after, now: s.now}
	var beats sync.WaitGroup
	beats.Go(func() { stream.beat(ctx, cancel) })
	err := s.config.Settings.Watch(ctx, after, stream.commit)
	cancel()
	beats.Wait()
	switch {
	case s.closing.Err() != nil:
		p = problemFailed.with("the node is stopping", "")
	case err != nil:
		p = refusal(problemFailed, ctx, err)
	default:
		p = problemFailed.with("the node has ended the stream", "")
	}
	if !stream.lines.begun {
		return p
	}
	stream.lines.write(WatchLine{Problem: p})
	return nil
}

// watching is a stream of commits, with a beat between them.
type watching struct {
	now func() time.Time

	mu      sync.Mutex
	lines   lineWriter
	version uint64
}

func (t *watching) commit(c Commit) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	listed(&c.Changes)
	t.version = c.Version
	if err := t.lines.write(WatchLine{Commit: &c}); err != nil {
		return fmt.Errorf("telling version %d: %w", c.Version, err)
	}
	return nil
}

// beat writes a line every WatchBeat until ctx is done. A client that is gone ends the stream.
func (t *watching) beat(ctx context.Context, end func()) {
	ticks := time.NewTicker(WatchBeat)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		t.mu.Lock()
		err := t.lines.write(WatchLine{Beat: &Beat{t.version, t.now()}})
		t.mu.Unlock()
		if err != nil {
			end()
			return
		}
	}
}
