package admin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// shelf is a small store to serve: asked is what came last, err fails everything, and what is not nil replaces an answer.
type shelf struct {
	mu    sync.Mutex
	asked any
	err   error
	empty bool // answers have nothing in them

	applied func(context.Context) (Applied, error)
	watch   func(ctx context.Context, after uint64, emit func(Commit) error) error
	save    func(io.Writer) error
	read    func(context.Context, [32]byte) (io.ReadCloser, int64, error)
	put     func(context.Context, [32]byte, io.Reader) error
	root    *Root
	all     []Rollout
}

func text(s string) *string { return &s }

var someChanges = []Difference{{"forward/corp.example", text("{servers: [192.0.2.1]}"), text("{servers: [192.0.2.2]}")}, {"forward/old.example", text("{}"), nil}, {"cache/stale", nil, text("1h")}}

func someCommit(version uint64) Commit {
	return Commit{Version: version, ID: "00112233445566778899aabbccddeeff", Kind: "open", Time: moment, Author: "ana", Reason: "new servers", Changes: someChanges, Hidden: 1}
}

var someRollout = Rollout{
	ID: "42", Subject: "settings", State: "withdrawn", Author: "ana", Reason: "new servers", Opened: moment.Add(-time.Minute), Ended: moment, Wave: 0,
	Waves: []RolloutWave{
		{Name: "canary", State: "failed", Nodes: 2, Holding: new(int), Named: []string{"lis01", "opo01"}, Since: moment.Add(-time.Minute), Bake: 30_000, Elapsed: 12_000},
		{Name: "10%", State: "waiting", Bake: 30_000}, {Name: "all", State: "waiting", Bake: 30_000},
	},
	Why: "the probe of <forward/corp.example> got no answer at lis01", Evidence: []string{"lis01: probe of corp.example: answered before, silent with the change"}, Keys: []string{"forward/corp.example"},
}

var someRoot = Root{
	Lineage: "000102030405060708090a0b0c0d0e0f", Version: 42,
	Members: []RootMember{{Name: "root1", State: "leader", Self: true}},
	Nodes: []Node{
		{Name: "lis01", Labels: map[string]string{"site": "lis"}, Role: "follower", Joined: moment, Seen: moment, Up: true, Version: 42, Sets: []string{"42"}, AgeMS: 400, Via: "192.0.2.1:8054", Release: "v0.1.0"},
		{Name: "lis02", Role: "follower", Joined: moment, Revoked: moment, AgeMS: -1},
		{Name: "root1", Role: "root", Joined: moment, Seen: moment, Up: true, Version: 41, AgeMS: 0, Error: "version 42 does not compile"},
	},
	Tokens: []TokenInfo{{ID: "0011223344556677", Name: "lis03", Until: moment.Add(time.Hour)}},
}

func (s *shelf) note(asked any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = asked
}

func (s *shelf) done() (Applied, error) {
	if s.empty {
		return Applied{}, s.err
	}
	return Applied{Changes: someChanges, Confirm: "c0ffee", Warnings: []string{"forward: both servers are on one network"}, Base: 41, Version: 42, Commit: "00ff", Rollout: "42"}, s.err
}

func (s *shelf) Apply(ctx context.Context, a Apply) (Applied, error) {
	s.note(a)
	if s.applied != nil {
		return s.applied(ctx)
	}
	return s.done()
}

func (s *shelf) Rollback(_ context.Context, r Rollback) (Applied, error) {
	s.note(r)
	return s.done()
}

func (s *shelf) Settings(_ context.Context, q SettingsQuery) (SettingsList, error) {
	s.note(q)
	if s.empty {
		return SettingsList{}, s.err
	}
	return SettingsList{Version: 42, Sets: []string{"42"}, Entries: []SettingsItem{{"forward/corp.example", "{servers: [192.0.2.2]}"}}, More: true}, s.err
}

func (s *shelf) Difference(_ context.Context, from, to uint64, prefix string) (SettingsDifference, error) {
	s.note(fmt.Sprint(from, " ", to, " ", prefix))
	if s.empty {
		return SettingsDifference{}, s.err
	}
	return SettingsDifference{From: from, To: 42, Changes: someChanges}, s.err
}

func (s *shelf) History(_ context.Context, q HistoryQuery) (HistoryList, error) {
	s.note(q)
	if s.empty {
		return HistoryList{}, s.err
	}
	return HistoryList{Commits: []Commit{someCommit(42), {Version: 41, Kind: "load", Time: moment}}, Floor: 7, More: true}, s.err
}

func (s *shelf) Watch(ctx context.Context, after uint64, emit func(Commit) error) error {
	s.note(after)
	if s.watch != nil {
		return s.watch(ctx, after, emit)
	}
	if err := emit(someCommit(after + 1)); err != nil {
		return err
	}
	return s.err
}

func (s *shelf) HasBlob(_ context.Context, sum [32]byte) (int64, error) {
	s.note(sum)
	return 7, s.err
}

func (s *shelf) ReadBlob(ctx context.Context, sum [32]byte) (io.ReadCloser, int64, error) {
	if s.read != nil {
		return s.read(ctx, sum)
	}
	s.note(sum)
	return io.NopCloser(strings.NewReader("content")), 7, s.err
}

func (s *shelf) PutBlob(ctx context.Context, sum [32]byte, content io.Reader) error {
	if s.put != nil {
		return s.put(ctx, sum, content)
	}
	_, err := io.Copy(io.Discard, content)
	return errors.Join(err, s.err)
}

func (s *shelf) SaveSnapshot(_ context.Context, w io.Writer) error {
	if s.save != nil {
		return s.save(w)
	}
	if s.err != nil {
		return s.err
	}
	_, err := io.WriteString(w, "a snapshot")
	return err
}

func (s *shelf) Rollouts(_ context.Context, id string) ([]Rollout, error) {
	switch {
	case s.all != nil:
		return s.all, s.err
	case s.empty || id != "" && id != someRollout.ID:
		return nil, s.err
	}
	return []Rollout{someRollout}, s.err
}

func (s *shelf) Steer(_ context.Context, b Steer) (Rollout, error) {
	s.note(b)
	if s.empty {
		return Rollout{State: "aborted"}, s.err
	}
	return someRollout, s.err
}

func (s *shelf) Root(context.Context) (Root, error) {
	if s.empty {
		return Root{}, s.err
	}
	if s.root != nil {
		return *s.root, s.err
	}
	return someRoot, s.err
}

func (s *shelf) NewToken(_ context.Context, n NewToken) (JoinToken, error) {
	s.note(n)
	if s.empty {
		return JoinToken{}, s.err
	}
	return JoinToken{Token: "ananas-join-1.x", ID: "0011223344556677", Until: moment, Addresses: []string{"192.0.2.1:8054"}}, s.err
}

func (s *shelf) WithdrawToken(_ context.Context, b WithdrawToken) (TokenInfo, error) {
	s.note(b)
	if s.empty {
		return TokenInfo{}, s.err
	}
	return someRoot.Tokens[0], s.err
}

func (s *shelf) RemoveNode(_ context.Context, r RemoveNode) (Node, error) {
	s.note(r)
	if s.empty {
		return Node{Role: "follower"}, s.err
	}
	return someRoot.Nodes[1], s.err
}

func (s *shelf) Access(context.Context) (Access, error) {
	if s.empty {
		return Access{}, s.err
	}
	return Access{Rules: []AccessRule{{Labels: map[string]string{"role": "edge"}, Read: []string{"forward"}}, {}}}, s.err
}

func (s *shelf) SetAccess(_ context.Context, a Access) (Access, error) {
	s.note(a)
	return a, s.err
}

// storeBodies are bodies of the routes of the store, and whether they are taken.
var storeBodies = []struct {
	path, body string
	taken      bool
}{
	{"/api/v1/apply", `{"files":[{"name":"a.yaml","text":"settings: {}","named":{"ta.txt":"AAEC"},"blobs":{"l":{"sha256":"00","size":7}}}],"reason":"why","author":"ana","now":true,"dry":false,"confirm":"x"}`, true},
	{"/api/v1/apply", `{"files":[{"name":"a.yaml"}]}`, true},
	{"/api/v1/apply", `{"files":[{"text":"settings: {}"}]}`, false},
	{"/api/v1/apply", `{"files":[{"name":"a.yaml","txt":""}]}`, false},
	{"/api/v1/apply", `{"files":[{"name":"a.yaml","named":{"a":1}}]}`, false},
	{"/api/v1/apply", `{}`, false},
	{"/api/v1/apply", `{"files":[],"merge":true,"remove":["modules/family"]}`, true},
	{"/api/v1/apply", `{"files":[],"remove":[1]}`, false},
	{"/api/v1/apply", `{"files":[{"name":"a.yaml"}],"dry":1}`, false},
	{"/api/v1/rollback", `{"version":41,"reason":"why","author":"ana","now":true,"dry":true,"confirm":""}`, true},
	{"/api/v1/rollback", `{"version":0}`, false},
	{"/api/v1/rollback", `{"reason":"why"}`, false},
	{"/api/v1/rollback", `{"version":41,"to":1}`, false},
	{"/api/v1/rollouts", `{"id":"42","action":"pause","reason":"why","author":"ana"}`, true},
	{"/api/v1/rollouts", `{"id":"42","action":"stop"}`, false},
	{"/api/v1/rollouts", `{"id":"42"}`, false},
	{"/api/v1/rollouts", `{"action":"pause"}`, false},
	{"/api/v1/root/token", `{"name":"lis03","labels":{"site":"lis"},"root":true,"ttl_ms":60000,"author":"ana"}`, true},
	{"/api/v1/root/token", `{}`, true},
	{"/api/v1/root/token", `{"ttl_ms":-1}`, false},
	{"/api/v1/root/token", `{"labels":{"site":1}}`, false},
	{"/api/v1/root/token", `{"ttl":"1h"}`, false},
	{"/api/v1/root/remove", `{"name":"lis02","reason":"why","author":"ana"}`, true},
	{"/api/v1/root/remove", `{"reason":"why"}`, false},
	{"/api/v1/root/withdraw", `{"id":"0011","reason":"why","author":"ana"}`, true},
	{"/api/v1/root/withdraw", `{"name":"lis03"}`, false},
	{"/api/v1/root/access", `{"rules":[{"labels":{},"read":["*"]}]}`, true},
	{"/api/v1/root/access", `{"rule":[]}`, false},
}

func TestStoreBodiesAreAsDescribed(t *testing.T) {
	d := readDescription(t)
	for _, c := range storeBodies {
		b := newBench(t)
		w := b.do(b.request("POST", c.path, c.body))
		err := d.conforms(d.at("paths", c.path, "post", "requestBody", "content", "application/json", "schema"), decode(t, "application/json", c.body)[0])
		if (w.Code == http.StatusOK) != c.taken || (err == nil) != c.taken {
			t.Errorf("%s %s: HTTP %d, the description says %v", c.path, c.body, w.Code, err)
		}
	}
}

func TestWhatIsAskedOfTheStore(t *testing.T) {
	list := func(q SettingsQuery) SettingsQuery { q.Bytes = MaxSettingsBytes; return q }
	for _, c := range []struct {
		method, target, body string
		want                 any
	}{
		{"GET", "/api/v1/settings", "", list(SettingsQuery{Limit: DefaultSettingsLimit})},
		{"GET", "/api/v1/settings?prefix=forward&version=41&limit=7&after=forward/a&system=true", "", list(SettingsQuery{Prefix: "forward", Version: 41, Limit: 7, After: "forward/a", System: true})},
		{"GET", "/api/v1/settings?held=true&version=0", "", list(SettingsQuery{Limit: DefaultSettingsLimit, Held: true})},
		{"GET", "/api/v1/settings/diff?from=40&to=41&prefix=forward", "", "40 41 forward"},
		{"GET", "/api/v1/settings/diff?from=0", "", "0 0 "},
		{"GET", "/api/v1/settings/history", "", HistoryQuery{Limit: DefaultHistoryLimit, Bytes: MaxSettingsBytes}},
		{"GET", "/api/v1/settings/history?before=41&key=forward&limit=1000", "", HistoryQuery{Before: 41, Key: "forward", Limit: MaxHistoryLimit, Bytes: MaxSettingsBytes}},
		{"GET", "/api/v1/settings/history?settings=true&without=sweep", "", HistoryQuery{Limit: DefaultHistoryLimit, Bytes: MaxSettingsBytes, Settings: true, Without: "sweep"}},
		{"GET", "/api/v1/settings/watch?after=7", "", uint64(7)},
		{"GET", "/api/v1/settings/watch?after=0", "", uint64(0)},
		{"GET", "/api/v1/settings/watch", "", uint64(42)},
		{"POST", "/api/v1/apply", `{"files":[{"name":"a.yaml","text":"settings: {}","named":{"ta.txt":"AAEC"},"blobs":{"l":{"sha256":"00","size":7}}}],"author":"ana","reason":"r","now":true,"confirm":"x"}`,
			Apply{Files: []SettingsFile{{Name: "a.yaml", Text: "settings: {}", Named: map[string][]byte{"ta.txt": {0, 1, 2}}, Blobs: map[string]Blob{"l": {"00", 7}}}}, Author: "ana", Reason: "r", Now: true, Confirm: "x"}},
		{"POST", "/api/v1/rollback", `{"version":41,"dry":true}`, Rollback{Version: 41, Author: "somebody", Dry: true}},
		{"POST", "/api/v1/rollouts", `{"id":"42","action":"abort","reason":"r","author":"ana"}`, Steer{"42", "abort", "r", "ana"}},
		{"POST", "/api/v1/root/token", `{"name":"x","labels":{"site":"lis"},"root":true,"ttl_ms":1000}`, NewToken{"x", map[string]string{"site": "lis"}, true, 1000, "somebody"}},
		{"POST", "/api/v1/root/remove", `{"name":"x","author":"ana"}`, RemoveNode{"x", "", "ana"}},
		{"POST", "/api/v1/root/withdraw", `{"id":"0011","author":"ana"}`, WithdrawToken{"0011", "", "ana"}},
	} {
		b := newBench(t)
		if w := b.do(b.request(c.method, c.target, c.body)); w.Code != http.StatusOK || !reflect.DeepEqual(b.node.store.asked, c.want) {
			t.Errorf("%s %s: HTTP %d, the store was asked %+v, want %+v", c.method, c.target, w.Code, b.node.store.asked, c.want)
		}
	}
}

// Who asks from another machine can't be taken for somebody on this one.
func TestAuthorsFromElsewhere(t *testing.T) {
	b := newBench(t)
	r := b.request("POST", "/api/v1/rollback", `{"version":41,"author":"ana"}`)
	r.RemoteAddr = "192.0.2.9:40000"
	b.do(r)
	if got := b.node.store.asked.(Rollback).Author; got != "ana at 192.0.2.9" {
		t.Errorf("author %q", got)
	}
}

func TestWhatIsAskedWronglyOfTheStore(t *testing.T) {
	b := newBench(t)
	files := func(text string) string { return `{"files":[{"name":"a.yaml","text":"` + text + `"}]}` }
	for _, c := range []struct {
		method, target, body string
		problem, detail      string
	}{
		{"GET", "/api/v1/settings?limit=10001", "", "parameter", "limit"},
		{"GET", "/api/v1/settings?version=-1", "", "parameter", `version is "-1"`},
		{"GET", "/api/v1/settings?version=41&held=true", "", "parameter", "both"},
		{"GET", "/api/v1/settings?prefix=%00", "", "parameter", "prefix has characters"},
		{"GET", "/api/v1/settings?after=" + strings.Repeat("a", MaxKey+1), "", "parameter", "after is too long: 513"},
		{"GET", "/api/v1/settings?system=1", "", "parameter", "system"},
		{"GET", "/api/v1/settings?held=x", "", "parameter", "held"},
		{"GET", "/api/v1/settings/diff", "", "parameter", "from is missing"},
		{"GET", "/api/v1/settings/diff?from=x", "", "parameter", "from"},
		{"GET", "/api/v1/settings/diff?from=1&to=x", "", "parameter", "to"},
		{"GET", "/api/v1/settings/diff?from=1&prefix=%ff", "", "parameter", "prefix"},
		{"GET", "/api/v1/settings/history?before=x", "", "parameter", "before"},
		{"GET", "/api/v1/settings/history?limit=0", "", "parameter", "limit"},
		{"GET", "/api/v1/settings/history?key=%1b", "", "parameter", "key"},
		{"GET", "/api/v1/settings/history?settings=1", "", "parameter", "settings"},
		{"GET", "/api/v1/settings/history?without=%1b", "", "parameter", "without"},
		{"GET", "/api/v1/settings/watch?after=last", "", "parameter", "after"},
		{"GET", "/api/v1/rollouts?id=%07", "", "parameter", "id"},
		{"GET", "/api/v1/rollouts?id=7", "", "absent", `rollout "7"`},
		{"POST", "/api/v1/rollouts?id=7", `{"id":"7","action":"pause"}`, "parameter", "id"},
		{"POST", "/api/v1/apply", files(strings.Repeat("a", MaxApplyText+1)), "body-size", "4194305"},
		{"POST", "/api/v1/apply", files(strings.Repeat("a", MaxApplyBytes)), "body-size", "16777216"},
		{"POST", "/api/v1/apply", `{"files":[]}`, "body", "files is missing"},
		{"POST", "/api/v1/apply", `{"files":[],"remove":["~rollout/7"]}`, "body", "which is no key of settings"},
		{"POST", "/api/v1/apply", `{"files":[],"remove":[` + strings.Repeat(`"a",`, MaxApplyRemove) + `"a"]}`, "body", "65 keys"},
		{"POST", "/api/v1/apply", `{"files":[` + strings.Repeat(`{"name":"a"},`, MaxApplyFiles) + `{"name":"a"}]}`, "body", "65 files"},
		{"POST", "/api/v1/apply", `{"files":[{"name":"a"}],"now":true,"reason":" "}`, "body", "reason is missing"},
		{"POST", "/api/v1/apply", `{"files":[{"name":"a"}],"author":"a\u001b[31m"}`, "body", "author has characters"},
		{"POST", "/api/v1/apply", `{"files":[{"name":"a"}],"reason":"` + strings.Repeat("a", MaxReason+1) + `"}`, "body", "reason is too long"},
		{"POST", "/api/v1/rollback", `{"version":1,"now":true}`, "body", "reason is missing"},
		{"POST", "/api/v1/rollback", `{"version":1,"author":"` + strings.Repeat("a", MaxAuthor+1) + `"}`, "body", "author is too long"},
		{"POST", "/api/v1/rollback", `{"version":1,"reason":"` + strings.Repeat("a", MaxBodyBytes) + `"}`, "body", "reason is too long"},
		{"POST", "/api/v1/rollouts", `{"id":"7","action":"pause","author":"\u0007"}`, "body", "author"},
		{"POST", "/api/v1/rollouts", `{"id":"7","action":"` + strings.Repeat("a", MaxBodyBytes) + `"}`, "body-size", "65536"},
		{"POST", "/api/v1/root/token", `{"labels":{` + strings.Repeat(`"a":"b",`, 3) + `"a":"b"},"author":"\u0007"}`, "body", "author"},
		{"POST", "/api/v1/root/remove", `{"name":"x","reason":"\u0000"}`, "body", "reason"},
	} {
		p := b.problem(b.request(c.method, c.target, c.body), c.problem)
		if !strings.Contains(p.Detail, c.detail) {
			t.Errorf("%s %s: detail %q, want %q in it", c.method, c.target, p.Detail, c.detail)
		}
	}
	if !b.metric(`ananas_admin_limit_reached_total{limit="body"} 2`) {
		t.Error("the limit of the body is not counted")
	}
	labels := map[string]string{}
	for i := range MaxLabels + 1 {
		labels[fmt.Sprint(i)] = "x"
	}
	body, err := json.Marshal(NewToken{Labels: labels})
	if err != nil {
		t.Fatal(err)
	}
	if p := b.problem(b.request("POST", "/api/v1/root/token", string(body)), "body"); !strings.Contains(p.Detail, "17 labels") {
		t.Errorf("got %+v", p)
	}
	// A dry run needs no reason.
	if w := b.do(b.request("POST", "/api/v1/apply", `{"files":[{"name":"a"}],"now":true,"dry":true}`)); w.Code != http.StatusOK {
		t.Errorf("a dry run without a reason: HTTP %d %s", w.Code, w.Body)
	}
}

// storeRoutes are all that the store answers.
var storeRoutes = []struct{ method, target, body string }{
	{"GET", "/api/v1/settings", ""}, {"GET", "/api/v1/settings/diff?from=1", ""}, {"GET", "/api/v1/settings/history", ""}, {"GET", "/api/v1/settings/watch", ""},
	{"GET", "/api/v1/snapshot", ""}, {"GET", "/api/v1/rollouts", ""}, {"GET", "/api/v1/root", ""},
	{"POST", "/api/v1/apply", `{"files":[{"name":"a.yaml"}]}`}, {"POST", "/api/v1/rollback", `{"version":1}`}, {"POST", "/api/v1/rollouts", `{"id":"42","action":"pause"}`},
	{"POST", "/api/v1/root/token", `{}`}, {"POST", "/api/v1/root/remove", `{"name":"x"}`}, {"POST", "/api/v1/root/withdraw", `{"id":"0011"}`}, {"GET", "/api/v1/root/access", ``}, {"POST", "/api/v1/root/access", `{"rules":[]}`},
}

// Each kind of refusal is its own problem, everywhere.
func TestRefusals(t *testing.T) {
	for why, kind := range map[Why]string{Conflict: "conflict", Owner: "owner", Absent: "absent", Full: "full", Unreachable: "root", Unknown: "unknown", Shrinks: "shrink"} {
		for _, c := range storeRoutes {
			b := newBench(t)
			b.node.store.err = fmt.Errorf("committing: %w", &Refusal{Why: why, Commit: "00ff", Err: errBroken})
			if strings.HasSuffix(c.target, "/watch") {
				b.node.store.watch = func(context.Context, uint64, func(Commit) error) error { return b.node.store.err }
			}
			p := b.problem(b.request(c.method, c.target, c.body), kind)
			if p.Detail != "committing: "+errBroken.Error() || p.Hint != "mend line 7" || (p.Commit == "00ff") != (why == Unknown) {
				t.Errorf("%s %s: %+v", c.method, c.target, p)
			}
		}
	}
	b := newBench(t)
	b.node.store.err = &Refusal{Why: Unknown, Commit: "00ff", Err: errors.New("the root is gone")}
	if p := b.problem(b.request("POST", "/api/v1/rollback", `{"version":1}`), "unknown"); !strings.Contains(p.Hint, "commit 00ff") {
		t.Errorf("the hint of an unknown outcome is %q", p.Hint)
	}
}

// What is no refusal is a fault of the settings where settings were given, and of the node elsewhere.
func TestFailuresOfTheStore(t *testing.T) {
	for _, c := range storeRoutes {
		b := newBench(t)
		b.node.store.err = errBroken
		want := "failed"
		switch c.target {
		case "/api/v1/apply", "/api/v1/rollback":
			want = "settings"
		case "/api/v1/settings/watch":
			b.node.store.watch = func(context.Context, uint64, func(Commit) error) error { return errBroken }
		}
		if p := b.problem(b.request(c.method, c.target, c.body), want); p.Hint != "mend line 7" {
			t.Errorf("%s %s: %+v", c.method, c.target, p)
		}
		b = newBench(t, func(c *Config) { c.Settings = nil })
		b.problem(b.request(c.method, c.target, c.body), "missing")
	}
}

// Secrets do not go to whoever has a shell on the machine.
func TestSnapshotNeedsTheToken(t *testing.T) {
	b := newBench(t)
	r := b.request("GET", "/api/v1/snapshot", "")
	if w := b.do(r); w.Code != http.StatusOK || w.Body.String() != "a snapshot" {
		t.Errorf("HTTP %d %s", w.Code, w.Body)
	}
	r.Header.Del("Authorization")
	if p := b.problem(r, "token"); !strings.Contains(p.Detail, "secrets") {
		t.Errorf("got %+v", p)
	}
}

// Half a snapshot must not look like a whole one.
func TestSnapshotThatFails(t *testing.T) {
	b := newBench(t)
	base := b.serve()
	b.node.store.save = func(w io.Writer) error {
		if _, err := w.Write(make([]byte, 100_000)); err != nil {
			return err
		}
		return errBroken
	}
	r, err := http.NewRequest("GET", base+"/api/v1/snapshot", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+b.token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if got, err := io.ReadAll(response.Body); err == nil {
		t.Errorf("%d bytes were read, and the end looks good", len(got))
	}
	if got := b.crashes.List(); len(got) != 0 {
		t.Errorf("crashes: %+v", got)
	}
}

// A difference is cut where it gets too large, and says so.
func TestDifferencesAreBounded(t *testing.T) {
	b := newBench(t)
	large := text(strings.Repeat("x", MaxSettingsBytes/2))
	someChangesBefore := someChanges
	t.Cleanup(func() { someChanges = someChangesBefore })
	someChanges = []Difference{{"a", large, large}, {"b", nil, large}, {"c", nil, nil}}
	var got SettingsDifference
	if err := json.Unmarshal(b.do(b.request("GET", "/api/v1/settings/diff?from=1", "")).Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Changes) != 1 || !got.More || !b.metric(`ananas_admin_limit_reached_total{limit="settings_bytes"} 1`) {
		t.Errorf("%d changes, more %v", len(got.Changes), got.More)
	}
}

// A body of an apply is larger than others and has its own time, and only a few are taken at one time.
func TestAppliesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		release := make(chan struct{})
		b.node.store.applied = func(ctx context.Context) (Applied, error) {
			select {
			case <-release:
				return Applied{}, nil
			case <-ctx.Done():
				return Applied{}, ctx.Err()
			}
		}
		body := `{"files":[{"name":"a","named":{"b":"` + base64.StdEncoding.EncodeToString(make([]byte, 8<<20)) + `"}}]}`
		for range MaxApplies {
			go b.do(b.request("POST", "/api/v1/apply", body))
		}
		synctest.Wait()
		b.problem(b.request("POST", "/api/v1/apply", body), "busy")
		b.problem(b.request("POST", "/api/v1/rollback", `{"version":1}`), "busy")
		if !b.metric(`ananas_admin_limit_reached_total{limit="applies"} 2`) {
			t.Error("the limit is not counted")
		}
		close(release)
		synctest.Wait()
		release = make(chan struct{})
		begun := time.Now()
		b.problem(b.request("POST", "/api/v1/apply", body), "timeout")
		if got := time.Since(begun); got != applyTimeout {
			t.Errorf("an apply ended after %v", got)
		}
	})
}
