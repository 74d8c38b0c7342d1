package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ananas-edge/ananas/admin"
)

func (n *node) Apply(_ context.Context, a admin.Apply) (admin.Applied, error) {
	n.asked = append(n.asked, a)
	return admin.Applied{Version: 42, Rollout: "42"}, n.err
}

func (n *node) Rollback(_ context.Context, r admin.Rollback) (admin.Applied, error) {
	n.asked = append(n.asked, r)
	return admin.Applied{Version: 43}, n.err
}

func (n *node) Settings(_ context.Context, q admin.SettingsQuery) (admin.SettingsList, error) {
	n.asked = append(n.asked, q)
	page := admin.SettingsList{Version: 42, Entries: []admin.SettingsItem{{Key: "a", Value: "1"}}}
	if len(n.pages) > 0 {
		page, n.pages = n.pages[0], n.pages[1:]
	}
	return page, n.err
}

func (n *node) Difference(_ context.Context, from, to uint64, prefix string) (admin.SettingsDifference, error) {
	n.asked = append(n.asked, fmt.Sprint(from, to, prefix))
	return admin.SettingsDifference{From: from, To: 42}, n.err
}

func (n *node) History(_ context.Context, q admin.HistoryQuery) (admin.HistoryList, error) {
	n.asked = append(n.asked, q)
	return admin.HistoryList{Floor: 7}, n.err
}

func (n *node) Watch(ctx context.Context, after uint64, emit func(admin.Commit) error) error {
	n.asked = append(n.asked, after)
	return n.watch(ctx, emit)
}

func (n *node) HasBlob(_ context.Context, sum [32]byte) (int64, error) {
	if n.blobs[sum] == "" {
		return 0, &admin.Refusal{Why: admin.Absent, Err: errors.New("no")}
	}
	return int64(len(n.blobs[sum])), n.err
}

func (n *node) ReadBlob(_ context.Context, sum [32]byte) (io.ReadCloser, int64, error) {
	content, ok := n.blobs[sum]
	if !ok {
		return nil, 0, &admin.Refusal{Why: admin.Absent, Err: errors.New("no")}
	}
	return io.NopCloser(io.MultiReader(strings.NewReader(content), failing{n.err})), int64(len(content)), nil
}

// failing is a reader that ends with an error, or at once.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return 0, io.EOF
}

func (n *node) PutBlob(_ context.Context, sum [32]byte, content io.Reader) error {
	b, err := io.ReadAll(content)
	if n.err == nil && err == nil {
		n.blobs[sum] = string(b)
	}
	return errors.Join(err, n.err)
}

func (n *node) SaveSnapshot(_ context.Context, w io.Writer) error {
	_, err := io.WriteString(w, strings.Repeat("snapshot", 10_000))
	return errors.Join(err, n.err)
}

func (n *node) Rollouts(_ context.Context, id string) ([]admin.Rollout, error) {
	n.asked = append(n.asked, id)
	return []admin.Rollout{{ID: "42", State: "baking"}}, n.err
}

func (n *node) Steer(_ context.Context, s admin.Steer) (admin.Rollout, error) {
	n.asked = append(n.asked, s)
	return admin.Rollout{ID: s.ID, State: "paused"}, n.err
}

func (n *node) Root(context.Context) (admin.Root, error) {
	return admin.Root{Version: 42}, n.err
}

func (n *node) NewToken(_ context.Context, t admin.NewToken) (admin.JoinToken, error) {
	n.asked = append(n.asked, t)
	return admin.JoinToken{Token: "ananas-join-1.x"}, n.err
}

func (n *node) WithdrawToken(_ context.Context, w admin.WithdrawToken) (admin.TokenInfo, error) {
	n.asked = append(n.asked, w)
	return admin.TokenInfo{ID: w.ID}, n.err
}

func (n *node) RemoveNode(_ context.Context, r admin.RemoveNode) (admin.Node, error) {
	n.asked = append(n.asked, r)
	return admin.Node{Name: r.Name}, n.err
}

func (n *node) Access(context.Context) (admin.Access, error) {
	return admin.Access{Rules: []admin.AccessRule{{Read: []string{"*"}}}}, n.err
}

func (n *node) SetAccess(_ context.Context, a admin.Access) (admin.Access, error) {
	n.asked = append(n.asked, a)
	return a, n.err
}

func TestEveryQuestionOfTheStore(t *testing.T) {
	n := &node{}
	address, data := start(t, n)
	c := open(t, Options{Node: address, Data: data})
	ctx := t.Context()
	check := func(what string, err error, good bool) {
		t.Helper()
		if err != nil || !good {
			t.Errorf("%s: %v", what, err)
		}
	}
	apply := admin.Apply{Files: []admin.SettingsFile{{Name: "a", Text: "settings: {}", Named: map[string][]byte{"b": {0, 1}}}}, Reason: "r", Author: "ana", Now: true, Dry: true, Confirm: "x"}
	done, err := c.Apply(ctx, apply)
	check("apply", err, done.Version == 42 && done.Rollout == "42")
	back := admin.Rollback{Version: 41, Reason: "r", Author: "ana", Now: true, Dry: true, Confirm: "x"}
	done, err = c.Rollback(ctx, back)
	check("rollback", err, done.Version == 43)
	full := admin.SettingsQuery{Prefix: "forward", Version: 41, Limit: 7, System: true, After: "forward/a"}
	list, err := c.Settings(ctx, full)
	check("settings", err, len(list.Entries) == 1)
	list, err = c.Settings(ctx, admin.SettingsQuery{Held: true})
	check("settings", err, list.Version == 42)
	d, err := c.Difference(ctx, 40, 41, "forward")
	check("difference", err, d.To == 42)
	_, err = c.Difference(ctx, 0, 0, "")
	check("difference", err, true)
	h, err := c.History(ctx, admin.HistoryQuery{Before: 41, Key: "forward", Limit: 7, Settings: true, Without: "sweep"})
	check("history", err, h.Floor == 7)
	_, err = c.History(ctx, admin.HistoryQuery{})
	check("history", err, true)
	rollouts, err := c.Rollouts(ctx, "42")
	check("rollouts", err, len(rollouts.Rollouts) == 1)
	steer := admin.Steer{ID: "42", Action: "pause", Reason: "r", Author: "ana"}
	r, err := c.Steer(ctx, steer)
	check("steer", err, r.State == "paused")
	root, err := c.Root(ctx)
	check("root", err, root.Version == 42)
	ask := admin.NewToken{Name: "x", Labels: map[string]string{"site": "lis"}, Root: true, TTLMS: 1000, Author: "ana"}
	token, err := c.NewToken(ctx, ask)
	check("token", err, token.Token == "ananas-join-1.x")
	withdraw := admin.WithdrawToken{ID: "00ff", Reason: "r", Author: "ana"}
	withdrawn, err := c.WithdrawToken(ctx, withdraw)
	check("withdraw", err, withdrawn.ID == "00ff")
	remove := admin.RemoveNode{Name: "x", Reason: "r", Author: "ana"}
	gone, err := c.RemoveNode(ctx, remove)
	check("remove", err, gone.Name == "x")

	full.Bytes = admin.MaxSettingsBytes
	want := []any{
		apply, back, full, admin.SettingsQuery{Held: true, Limit: admin.DefaultSettingsLimit, Bytes: admin.MaxSettingsBytes}, "4041forward", "00",
		admin.HistoryQuery{Before: 41, Key: "forward", Limit: 7, Bytes: admin.MaxSettingsBytes, Settings: true, Without: "sweep"}, admin.HistoryQuery{Limit: admin.DefaultHistoryLimit, Bytes: admin.MaxSettingsBytes},
		"42", steer, ask, withdraw, remove,
	}
	want[4], want[5] = fmt.Sprint(40, 41, "forward"), fmt.Sprint(0, 0, "")
	if !reflect.DeepEqual(n.asked, want) {
		t.Errorf("the node was asked\n%+v, want\n%+v", n.asked, want)
	}
}

// All pages of a list are of one version, whatever is committed meanwhile.
func TestAllSettings(t *testing.T) {
	n := &node{}
	address, data := start(t, n)
	c := open(t, Options{Node: address, Data: data})
	page := func(version uint64, more bool, keys ...string) admin.SettingsList {
		l := admin.SettingsList{Version: version, More: more}
		for _, k := range keys {
			l.Entries = append(l.Entries, admin.SettingsItem{Key: k})
		}
		return l
	}
	n.pages = []admin.SettingsList{page(41, true, "a", "b"), page(41, true, "c"), page(41, false)}
	l, err := c.AllSettings(t.Context(), admin.SettingsQuery{Prefix: "x"})
	if err != nil || len(l.Entries) != 3 || l.More {
		t.Errorf("got %+v, %v", l, err)
	}
	if q := n.asked[2].(admin.SettingsQuery); q.Version != 41 || q.After != "c" || q.Prefix != "x" {
		t.Errorf("the last page was asked as %+v", q)
	}
	// What a node holds can't be asked of an older version: the list is begun again.
	n.pages = []admin.SettingsList{page(41, true, "a"), page(42, false, "b"), page(42, true, "a"), page(42, false, "b")}
	if l, err := c.AllSettings(t.Context(), admin.SettingsQuery{Held: true}); err != nil || l.Version != 42 || len(l.Entries) != 2 {
		t.Errorf("got %+v, %v", l, err)
	}
	n.pages = nil
	for v := range uint64(2 * maxListings) {
		n.pages = append(n.pages, page(v, true, "a"))
	}
	_, err = c.AllSettings(t.Context(), admin.SettingsQuery{Held: true})
	fails(t, err, "the settings changed 3 times", "try again")
}

func TestWatch(t *testing.T) {
	n := &node{}
	address, data := start(t, n)
	c := open(t, Options{Node: address, Data: data})
	n.watch = func(_ context.Context, emit func(admin.Commit) error) error {
		return errors.Join(emit(admin.Commit{Version: 8}), emit(admin.Commit{Version: 9}), errors.New("the disk is gone"))
	}
	var got []uint64
	after := uint64(7)
	last, err := c.Watch(t.Context(), &after, func(k admin.Commit) error { got = append(got, k.Version); return nil })
	if fails(t, err, "the disk is gone", ""); last != 9 || !reflect.DeepEqual(got, []uint64{8, 9}) || n.asked[0] != uint64(7) {
		t.Errorf("told %v, last %d, asked %v", got, last, n.asked)
	}
	stop := errors.New("the terminal is gone")
	if last, err := c.Watch(t.Context(), nil, func(admin.Commit) error { return stop }); err != stop || last != 8 {
		t.Errorf("got %v, last %d", err, last)
	}
	if n.asked[len(n.asked)-1] != uint64(42) {
		t.Errorf("from now on is after %v", n.asked)
	}
	n.watch = func(context.Context, func(admin.Commit) error) error {
		return &admin.Refusal{Why: admin.Absent, Err: errors.New("the history begins after version 9")}
	}
	_, err = c.Watch(t.Context(), &after, nil)
	fails(t, err, "the history begins after version 9", "")
}

// A stream without a beat has lost its node, though the connection stands.
func TestWatchThatFallsSilent(t *testing.T) {
	for _, first := range []string{"", "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n{\"beat\":{\"version\":7,\"now\":\"2026-03-01T12:00:00Z\"}}\n"} {
		synctest.Test(t, func(t *testing.T) {
			c := open(t, Options{Token: "x"})
			c.http.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) {
				here, there := net.Pipe()
				go func() {
					there.Read(make([]byte, 4096)) // the request: what answers before it came is no answer
					go io.Copy(io.Discard, there)
					io.WriteString(there, first)
				}()
				return here, nil
			}
			begun := time.Now()
			last, err := c.Watch(t.Context(), nil, nil)
			fails(t, err, "said nothing for 15s", "ananas status")
			if got := time.Since(begun); got != maxSilence || (last == 7) != (first != "") {
				t.Errorf("after %v, last %d", got, last)
			}
			c.Close()
		})
	}
}

func TestWatchThatBreaks(t *testing.T) {
	for _, c := range []struct{ name, text, want, hint string }{
		{"an end", `{"beat":{"version":7}}` + "\n", "unexpected EOF", "was the node stopped"},
		{"a page", "<html>", "reading its answer", "same version"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, c.text) }))
			defer s.Close()
			_, err := open(t, Options{Node: s.URL, Token: "x"}).Watch(t.Context(), nil, nil)
			fails(t, err, c.want, c.hint)
		})
	}
}

func TestSaveSnapshot(t *testing.T) {
	n := &node{}
	address, data := start(t, n)
	c := open(t, Options{Node: address, Data: data})
	var b bytes.Buffer
	if size, err := c.SaveSnapshot(t.Context(), &b); err != nil || size != 80_000 || b.Len() != 80_000 {
		t.Errorf("%d bytes, %v", size, err)
	}
	full := errors.New("no space left")
	if _, err := c.SaveSnapshot(t.Context(), brokenWriter{full}); err != full {
		t.Errorf("a full disk: %v", err)
	}
	brokenAddress, brokenData := start(t, &node{err: errors.New("the disk is gone")})
	_, err := open(t, Options{Node: brokenAddress, Data: brokenData}).SaveSnapshot(t.Context(), io.Discard)
	fails(t, err, "EOF", "was the node stopped")
	_, err = open(t, Options{Node: address, Data: t.TempDir()}).SaveSnapshot(t.Context(), io.Discard)
	fails(t, err, "a token is needed", "no such file")
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

// A snapshot that stands still costs the limit, on fake time.
func TestSnapshotThatStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, Options{Token: "x"})
		c.http.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			go io.Copy(io.Discard, there)
			go func() {
				time.Sleep(requestTimeout / 2)
				io.WriteString(there, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
			}()
			return here, nil
		}
		begun := time.Now()
		_, err := c.SaveSnapshot(t.Context(), io.Discard)
		fails(t, err, "deadline exceeded", "does not answer in time")
		if got := time.Since(begun); got != requestTimeout*3/2 {
			t.Errorf("it took %v", got)
		}
		c.Close()
	})
}

// A content is taken if it is the one, whole.
func TestGetBlob(t *testing.T) {
	content := strings.Repeat("bad.example.net\n", 100_000)
	sum, other := sha256.Sum256([]byte(content)), sha256.Sum256(nil)
	n := &node{blobs: map[[32]byte]string{sum: content, other: content}}
	address, data := start(t, n)
	c := open(t, Options{Node: address, Data: data})
	var b bytes.Buffer
	last := int64(0)
	if err := c.GetBlob(t.Context(), sum, int64(len(content)), &b, func(n int64) { last = n }); err != nil || b.String() != content || last != int64(len(content)) {
		t.Errorf("%d octets, told %d, %v", b.Len(), last, err)
	}
	for size, err := range map[int64]error{
		0: c.GetBlob(t.Context(), sum, 0, io.Discard, nil), 1: c.GetBlob(t.Context(), sum, int64(len(content))-1, io.Discard, nil),
		2: c.GetBlob(t.Context(), sum, int64(len(content))+1, io.Discard, nil), 3: c.GetBlob(t.Context(), other, int64(len(content)), io.Discard, nil),
	} {
		if err == nil {
			t.Errorf("case %d is taken", size)
		}
		fails(t, err, "another content", "ask another node")
	}
	err := c.GetBlob(t.Context(), [32]byte{1}, 7, io.Discard, nil)
	fails(t, err, "there is no such thing in the store: no", "")
	full := errors.New("no space left")
	if err := c.GetBlob(t.Context(), sum, int64(len(content)), brokenWriter{full}, nil); err != full {
		t.Errorf("a full disk: %v", err)
	}
	n.err = errors.New("the disk is gone")
	err = c.GetBlob(t.Context(), sum, int64(len(content))+1, io.Discard, nil)
	if err == nil {
		t.Error("a stream that is cut off is taken")
	}
}

// A content that stands still costs the limit, on fake time.
func TestBlobThatStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, Options{Token: "x"})
		c.http.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			go io.Copy(io.Discard, there)
			go func() {
				time.Sleep(requestTimeout / 2)
				io.WriteString(there, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
			}()
			return here, nil
		}
		begun := time.Now()
		err := c.GetBlob(t.Context(), [32]byte{1}, 10, io.Discard, nil)
		fails(t, err, "deadline exceeded", "does not answer in time")
		if got := time.Since(begun); got != requestTimeout*3/2 {
			t.Errorf("it took %v", got)
		}
		c.Close()
	})
}
