package client

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/ananas-edge/ananas/admin"
)

const (
	applyTimeout = 150 * time.Second // more than the node gives itself, the upload and the answer included

	// maxSilence is how long a stream of commits may be without a line: three beats. The node is gone then, whatever the connection says.
	maxSilence = 3 * admin.WatchBeat
	// maxWatchLine bounds a line of that stream: a commit of 4 MiB and what it replaces, each octet escaped as JSON does at worst, six for one.
	maxWatchLine = 48<<20 + 64<<10

	// maxPages bounds the pages of one list: 1,000,000 settings of 200 bytes are some 100 pages of MaxSettingsLimit.
	maxPages = 1000
	// maxListings is how often a list is begun again because the store went on meanwhile.
	maxListings = 3
)

// Apply makes settings equal to files, or tells what that would change.
func (c *Client) Apply(ctx context.Context, a admin.Apply) (done admin.Applied, err error) {
	return done, c.askWithin(ctx, applyTimeout, http.MethodPost, "/api/v1/apply", nil, a, &done)
}

// Rollback makes all settings what they were, or tells what that would change.
func (c *Client) Rollback(ctx context.Context, r admin.Rollback) (done admin.Applied, err error) {
	return done, c.askWithin(ctx, applyTimeout, http.MethodPost, "/api/v1/rollback", nil, r, &done)
}

// Settings returns one page of settings. Limit 0 takes the node's default; Bytes is the node's own.
func (c *Client) Settings(ctx context.Context, q admin.SettingsQuery) (l admin.SettingsList, err error) {
	params := url.Values{}
	for name, value := range map[string]string{"prefix": q.Prefix, "after": q.After} {
		if value != "" {
			params.Set(name, value)
		}
	}
	for name, value := range map[string]bool{"system": q.System, "held": q.Held} {
		if value {
			params.Set(name, "true")
		}
	}
	if q.Version != 0 {
		params.Set("version", strconv.FormatUint(q.Version, 10))
	}
	if q.Limit != 0 {
		params.Set("limit", strconv.Itoa(q.Limit))
	}
	return l, c.ask(ctx, http.MethodGet, "/api/v1/settings", params, nil, &l)
}

// AllSettings returns all pages, of one version.
func (c *Client) AllSettings(ctx context.Context, q admin.SettingsQuery) (admin.SettingsList, error) {
	q.Limit = admin.MaxSettingsLimit
	var version uint64
	for range maxListings {
		all, whole, err := c.pages(ctx, q)
		if err != nil || whole {
			return all, err
		}
		version = all.Version
	}
	return admin.SettingsList{}, c.wrap(fmt.Errorf("the settings changed %d times while they were read, the last time after version %d", maxListings, version), "try again")
}

// pages returns all pages, and whether they are of one version.
func (c *Client) pages(ctx context.Context, q admin.SettingsQuery) (all admin.SettingsList, whole bool, err error) {
	for n := range maxPages {
		page, err := c.Settings(ctx, q)
		if err != nil {
			return all, false, err
		}
		if n == 0 {
			all = page
			if !q.Held {
				q.Version = page.Version // of all pages that come, whatever is committed meanwhile
			}
		} else {
			if page.Version != all.Version || fmt.Sprint(page.Sets) != fmt.Sprint(all.Sets) {
				return all, false, nil
			}
			all.Entries = append(all.Entries, page.Entries...)
		}
		if !page.More || len(page.Entries) == 0 {
			all.More = false
			return all, true, nil
		}
		q.After = page.Entries[len(page.Entries)-1].Key
	}
	return all, false, c.wrap(fmt.Errorf("there are more than %d pages of settings", maxPages), "name a prefix")
}

// Difference returns what is different between two versions; to 0 is the last.
func (c *Client) Difference(ctx context.Context, from, to uint64, prefix string) (d admin.SettingsDifference, err error) {
	params := url.Values{"from": {strconv.FormatUint(from, 10)}}
	if to != 0 {
		params.Set("to", strconv.FormatUint(to, 10))
	}
	if prefix != "" {
		params.Set("prefix", prefix)
	}
	return d, c.ask(ctx, http.MethodGet, "/api/v1/settings/diff", params, nil, &d)
}

// History returns commits, the newest first. Limit 0 takes the node's default; Bytes is the node's own.
func (c *Client) History(ctx context.Context, q admin.HistoryQuery) (l admin.HistoryList, err error) {
	params := url.Values{}
	if q.Before != 0 {
		params.Set("before", strconv.FormatUint(q.Before, 10))
	}
	if q.Key != "" {
		params.Set("key", q.Key)
	}
	if q.Limit != 0 {
		params.Set("limit", strconv.Itoa(q.Limit))
	}
	if q.Settings {
		params.Set("settings", "true")
	}
	if q.Without != "" {
		params.Set("without", q.Without)
	}
	return l, c.ask(ctx, http.MethodGet, "/api/v1/settings/history", params, nil, &l)
}

// errSilent says that a stream of commits has no beat any more.
var errSilent = errors.New("it has said nothing for " + maxSilence.String())

// Watch hands every commit after a version to emit as it comes; after nil is the version of now. It returns the error of emit, or why the stream ended, which it
// only does then. last is the version that was told last, to go on from.
func (c *Client) Watch(ctx context.Context, after *uint64, emit func(admin.Commit) error) (last uint64, err error) {
	params := url.Values{}
	if after != nil {
		last = *after
		params.Set("after", strconv.FormatUint(last, 10))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(maxSilence, func() { cancel(errSilent) })
	defer silence.Stop()
	response, err := c.send(ctx, http.MethodGet, "/api/v1/settings/watch", params, nil)
	if err != nil {
		if context.Cause(ctx) == errSilent {
			err = c.silent()
		}
		return last, err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxWatchLine)
	for lines.Scan() {
		silence.Reset(maxSilence)
		var l admin.WatchLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			if cut := cmp.Or(ctx.Err(), lines.Err()); cut != nil { // then the last line is what there was of it
				return last, c.broken(cut)
			}
			return last, c.strange(err)
		}
		switch {
		case l.Problem != nil:
			return last, c.wrap(l.Problem, l.Problem.Hint)
		case l.Beat != nil:
			last = l.Beat.Version
		case l.Commit != nil:
			last = l.Commit.Version
			silence.Stop() // emit may take its time
			if err := emit(*l.Commit); err != nil {
				return last, err
			}
			silence.Reset(maxSilence)
		}
	}
	switch err := cmp.Or(ctx.Err(), lines.Err(), io.ErrUnexpectedEOF); {
	case context.Cause(ctx) == errSilent:
		return last, c.silent()
	case errors.Is(err, bufio.ErrTooLong):
		return last, c.strange(err)
	default:
		return last, c.broken(err)
	}
}

func (c *Client) silent() error {
	return c.wrap(errSilent, "is the node still there? ananas status asks it")
}

// SaveSnapshot writes the whole store to w, and returns how many octets it has. An error may come after some were written.
func (c *Client) SaveSnapshot(ctx context.Context, w io.Writer) (int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stuck := time.AfterFunc(requestTimeout, func() { cancel(context.DeadlineExceeded) })
	defer stuck.Stop()
	response, err := c.send(ctx, http.MethodGet, "/api/v1/snapshot", nil, nil)
	if err == nil {
		defer response.Body.Close()
		into := &writing{w: w, moved: func() { stuck.Reset(requestTimeout) }}
		var n int64
		if n, err = io.Copy(into, response.Body); err == nil || into.err != nil {
			return n, into.err
		}
		err = c.broken(err)
	}
	if context.Cause(ctx) == context.DeadlineExceeded {
		err = c.broken(context.DeadlineExceeded)
	}
	return 0, err
}

// writing remembers the error of a writer, to tell it from one of the connection.
type writing struct {
	w     io.Writer
	moved func() // called with each write
	err   error
}

func (w *writing) Write(b []byte) (int, error) {
	w.moved()
	n, err := w.w.Write(b)
	if err != nil {
		w.err = err
	}
	return n, err
}

// Rollouts returns the changes on their way and the last that ended, the newest first; with an id that one alone.
func (c *Client) Rollouts(ctx context.Context, id string) (l admin.RolloutList, err error) {
	params := url.Values{}
	if id != "" {
		params.Set("id", id)
	}
	return l, c.ask(ctx, http.MethodGet, "/api/v1/rollouts", params, nil, &l)
}

// Steer pauses, resumes, aborts or promotes a rollout.
func (c *Client) Steer(ctx context.Context, s admin.Steer) (r admin.Rollout, err error) {
	return r, c.ask(ctx, http.MethodPost, "/api/v1/rollouts", nil, s, &r)
}

// Root tells of the store's root and of all nodes.
func (c *Client) Root(ctx context.Context) (r admin.Root, err error) {
	return r, c.ask(ctx, http.MethodGet, "/api/v1/root", nil, nil, &r)
}

// NewToken makes a join token.
func (c *Client) NewToken(ctx context.Context, t admin.NewToken) (j admin.JoinToken, err error) {
	return j, c.ask(ctx, http.MethodPost, "/api/v1/root/token", nil, t, &j)
}

// WithdrawToken withdraws a join token that was not used.
func (c *Client) WithdrawToken(ctx context.Context, w admin.WithdrawToken) (t admin.TokenInfo, err error) {
	return t, c.ask(ctx, http.MethodPost, "/api/v1/root/withdraw", nil, w, &t)
}

// RemoveNode revokes a node.
func (c *Client) RemoveNode(ctx context.Context, r admin.RemoveNode) (n admin.Node, err error) {
	return n, c.ask(ctx, http.MethodPost, "/api/v1/root/remove", nil, r, &n)
}

// Access tells which nodes read what.
func (c *Client) Access(ctx context.Context) (a admin.Access, err error) {
	return a, c.ask(ctx, http.MethodGet, "/api/v1/root/access", nil, nil, &a)
}

// SetAccess replaces the rules.
func (c *Client) SetAccess(ctx context.Context, a admin.Access) (now admin.Access, err error) {
	return now, c.ask(ctx, http.MethodPost, "/api/v1/root/access", nil, a, &now)
}
