package node

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/lab"
	"github.com/ananas-edge/ananas/nameserver/recurse"
	"github.com/ananas-edge/ananas/nameserver/rollover"
	"github.com/ananas-edge/ananas/settings"
)

// These tests run whole nodes over months, on fake time: only sockets for clients they have none. The root is theirs, and rolls its keys. Names below are
// those of keys in docs/lab.md: key 0 is the one that the settings' DS record names.

const day = 24 * time.Hour

// months is a node on an internet of its own, for months. It may be stopped and started again.
type months struct {
	t       *testing.T
	start   time.Time
	ahead   atomic.Int64 // of the wall clock, in nanoseconds
	network *lab.Network
	folder  string
	change  func(*settings.File) // of the settings; nil: nothing
	log     *record
	node    *Node
	tags    map[uint16]string // of keys, by tag
}

// rootOf writes a root zone for each line, "FROM KEYS": the day from which it holds, and the keys in the words of a world file.
func rootOf(lines ...string) string {
	text := "[defaults]\nlatency 20ms\n"
	for _, l := range lines {
		from, keys, _ := strings.Cut(l, " ")
		var days int
		fmt.Sscan(from, &days)
		text += fmt.Sprintf("[zone . keys=split from=%dh servers=198.41.0.4 %s]\n", days*24, keys)
	}
	return text + "[zone example servers=192.0.2.1]\nwww A 192.0.2.80\n"
}

func newMonths(t *testing.T, world string) *months {
	t.Helper()
	m := &months{t: t, start: time.Now(), folder: t.TempDir(), log: new(record), tags: map[uint16]string{}}
	w, err := lab.ParseWorld(world)
	if err != nil {
		t.Fatal(err)
	}
	l, err := lab.New(lab.Config{Seed: 1, World: w, Clock: m.wall})
	if err != nil {
		t.Fatal(err)
	}
	m.network = l.Network()
	for name, text := range map[string]string{"hints": l.RootHints(), "anchors": l.TrustAnchors()} {
		if err := os.WriteFile(filepath.Join(m.folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 4 { // the root's keys, from a root that has them alone
		w := lab.MustParseWorld(fmt.Sprintf("[zone . keys=split servers=198.41.0.4 key=%d]", i))
		l, err := lab.New(lab.Config{Seed: 1, World: w})
		if err != nil {
			t.Fatal(err)
		}
		var tag uint16
		fmt.Sscanf(l.TrustAnchors(), ". 86400 IN DS %d", &tag)
		m.tags[tag] = fmt.Sprint(i)
	}
	return m
}

// wall is a clock that can be right: it is after the build of this program.
func (m *months) wall() time.Time {
	return released.Add(60*day + time.Since(m.start) + time.Duration(m.ahead.Load()))
}

func (m *months) open() {
	m.t.Helper()
	f, err := settings.Parse(filepath.Join(m.folder, "node.yaml"), []byte("node: { data: data, cache: 4MiB, listen: { admin: \"\" } }\nsettings:\n  recursion: { root_hints: hints, trust_anchors: anchors }\n"))
	if err != nil {
		m.t.Fatal(err)
	}
	f.Node.Data, f.Node.Listen.DNS = filepath.Join(m.folder, "data"), nil
	if m.change != nil {
		m.change(f)
	}
	m.node, err = Start(m.t.Context(), Options{
		File: f, Reread: func() (*settings.File, error) { return f, nil }, Network: m.network, Version: "9.9", Log: slog.New(slog.NewTextHandler(m.log, nil)),
		Clock: recurse.Clock{Boot: func() time.Duration { return time.Minute + time.Since(m.start) }, Wall: m.wall},
	})
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *months) close() {
	m.t.Helper()
	if err := m.node.Close(); err != nil {
		m.t.Error(err)
	}
}

// end stops the node and its internet.
func (m *months) end() {
	m.t.Helper()
	m.close()
	if err := m.network.Close(); err != nil {
		m.t.Error(err)
	}
}

// until waits for an hour after the beginning of a day, and asks once in a while, as clients do: an answer must be what it is said to be on each day.
func (m *months) until(d int, security string) {
	m.t.Helper()
	for end := time.Duration(d)*day + time.Hour; time.Since(m.start) < end; {
		time.Sleep(min(day, end-time.Since(m.start)))
		synctest.Wait()
		m.asks(security)
	}
}

// asks fails unless a name below the root has this security.
func (m *months) asks(security string) {
	m.t.Helper()
	q := dns.Question{Name: dns.MustParseName("www.example."), Type: dns.TypeA, Class: dns.ClassINET}
	a, err := m.node.resolver.Resolve(m.t.Context(), q, recurse.Opts{Table: m.node.server.Table().Recursion, Fresh: recurse.FreshAll})
	if got := a.Security.String(); got != security && security != "" {
		m.t.Errorf("day %.1f: www.example. is %s, not %s: %v", time.Since(m.start).Hours()/24, got, security, err)
	}
}

// shows fails unless the status has these keys of the root: "0 valid, 1 addpend".
func (m *months) shows(want string) {
	m.t.Helper()
	var all []string
	for _, z := range m.node.Status(m.t.Context()).TrustAnchors {
		for _, k := range z.Keys {
			all = append(all, m.tags[k.Tag]+" "+k.State)
		}
	}
	if got := strings.Join(all, ", "); got != want {
		m.t.Errorf("day %.1f: the keys are %q, not %q", time.Since(m.start).Hours()/24, got, want)
	}
}

// warns fails unless /readyz has this warning of trust anchors; "" is none. The node is ready all the same.
func (m *months) warns(want string) {
	m.t.Helper()
	h := m.node.health.Report()
	got := ""
	for _, w := range h.Warnings {
		if w.Name == "trust-anchors" {
			got = w.Text
		}
	}
	if !h.Ready || !strings.Contains(got, want) || (got == "") != (want == "") {
		m.t.Errorf("day %.1f: ready is %v, the warning %q and not %q", time.Since(m.start).Hours()/24, h.Ready, got, want)
	}
}

// logged fails unless a line of the log has all of these words.
func (m *months) logged(words ...string) {
	m.t.Helper()
	for line := range strings.Lines(m.log.String()) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			return
		}
	}
	m.t.Errorf("no line of the log has all of %q:\n%s", words, m.log)
}

// metric reads a series of /metrics.
func (m *months) metric(series string) string {
	w := httptest.NewRecorder()
	m.node.metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if v, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// The root rolls over in 40 days, and the node is started anew in the middle: each day its names validate, though the settings name the first key all the
// time, and afterwards nobody trusts that one.
func TestRootRollsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMonths(t, rootOf("0 key=0", "1 key=0 publish=1", "35 key=1 publish=0", "37 key=1 revoke=0", "70 key=1", "110 key=1"))
		m.open()
		m.shows("0 unseen")
		m.asks("secure")
		m.until(1, "secure")
		m.shows("0 valid, 1 addpend")
		m.logged("WARN", "trust anchor announced", "from=start to=addpend")
		m.until(20, "secure")
		m.shows("0 valid, 1 addpend")
		m.close()
		m.open()
		m.shows("0 valid, 1 addpend") // at once, from the file
		left := m.node.Status(t.Context()).TrustAnchors[0].Keys[1].Left
		if got := time.Duration(left) * time.Second; got < 10*day || got > 12*day {
			t.Errorf("after 19 of 30 days there are %v left", got)
		}
		m.until(30, "secure")
		m.shows("0 valid, 1 addpend")
		m.until(32, "secure")
		m.shows("0 valid, 1 valid")
		m.logged("INFO", "trust anchor trusted", "from=addpend to=valid")
		m.until(36, "secure")
		m.close()
		m.open()
		m.until(40, "secure")
		m.shows("1 valid, 0 revoked")
		m.logged("WARN", "trust anchor revoked", "from=valid to=revoked", "it has revoked itself")
		m.warns("")
		if got := m.metric(`ananas_trust_anchor_keys{state="revoked",zone="."}`); got != "1" {
			t.Errorf("%q keys are revoked", got)
		}
		if a, ok := m.node.server.Table().Recursion.Anchor(dns.Root); !ok || a.DS.Len() != 0 || a.DNSKEY.Len() != 1 {
			t.Errorf("what holds is %+v", a)
		}
		m.until(105, "secure")
		m.shows("1 valid, 0 removed")
		m.close()
		m.open() // with the old settings, for ever
		m.asks("secure")
		m.shows("1 valid, 0 removed")
		m.end()
	})
}

// A key that is announced for twenty days is not trusted, neither then nor when it signs.
func TestRogueKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMonths(t, rootOf("0 key=0", "1 key=0 publish=3", "21 key=0", "60 key=3", "70 key=0 publish=3"))
		m.open()
		m.until(20, "secure")
		m.shows("0 valid, 3 addpend")
		m.until(22, "secure")
		m.shows("0 valid")
		m.logged("trust anchor dropped", "from=addpend to=start")
		m.until(60, "")
		m.until(69, "bogus")
		m.shows("0 valid")
		m.warns("the keys of . were not seen for") // by a set that is to be believed
		m.until(71, "secure")
		m.shows("0 valid, 3 addpend") // its month begins anew
		m.warns("")
		m.end()
	})
}

// An anchor of another world fails everything from the first hour on, and the node says why.
func TestAnchorThatFitsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMonths(t, rootOf("0 key=0"))
		other, err := lab.New(lab.Config{Seed: 2, World: lab.MustParseWorld("[zone . keys=split servers=198.41.0.4 key=7]")})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(m.folder, "anchors"), []byte(other.TrustAnchors()), 0o600); err != nil {
			t.Fatal(err)
		}
		m.open()
		m.until(0, "bogus")
		m.warns("no keys of . were found that its trust anchors fit: ")
		m.end()
	})
}

// All keys are revoked: the root counts as one that never had an anchor, the node says so wherever somebody looks, and it ends with other settings.
func TestAllKeysRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMonths(t, rootOf("0 key=0", "10 key=1 revoke=0"))
		m.open()
		m.until(9, "secure")
		m.until(10, "")
		m.until(12, "indeterminate")
		m.shows("0 revoked")
		m.warns("all trust anchors of . were revoked")
		m.logged("ERROR", "a zone has no trust anchor any more", "recursion.trust_anchors")
		m.close()
		m.open()
		m.asks("indeterminate")
		m.warns("all trust anchors of . were revoked")
		w := lab.MustParseWorld("[zone . keys=split servers=198.41.0.4 key=1]")
		l, err := lab.New(lab.Config{Seed: 1, World: w})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(m.folder, "anchors"), []byte(l.TrustAnchors()), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := m.node.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		m.asks("secure")
		m.warns("")
		m.until(13, "secure")
		m.shows("1 valid, 0 revoked")
		m.end()
	})
}

// The root can't be reached for months, while it announces a key. That is said after a week, nothing is counted meanwhile, and it goes on when the root is
// back. Nobody is asked more often than once an hour.
func TestRootOutOfReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMonths(t, rootOf("0 key=0", "1 key=0 publish=1")+"[server 198.41.0.4]\nfault drop from=240h until=2400h\n")
		m.open()
		m.until(9, "secure")
		m.shows("0 valid, 1 addpend")
		m.until(15, "")
		m.warns("")
		m.until(18, "")
		m.warns("the keys of . were not seen for 8 days: ")
		m.logged("WARN", "the keys of a trust anchor could not be seen")
		m.close()
		m.open() // the file remembers when that was
		m.warns("the keys of . were not seen for 8 days")
		m.until(99, "")
		m.warns("the keys of . were not seen for 8")
		m.shows("0 valid, 1 addpend")
		if s := m.node.Status(t.Context()).TrustAnchors[0]; s.Error == "" || s.Next.Sub(m.wall()) > time.Hour {
			t.Errorf("%+v", s)
		}
		m.until(101, "")
		m.warns("")
		m.shows("0 valid, 1 addpend")
		m.logged("INFO", "the keys of a trust anchor were seen again")
		m.until(118, "secure")
		m.shows("0 valid, 1 addpend")
		m.until(123, "secure")
		m.shows("0 valid, 1 valid")
		m.end()
	})
}

// The wall clock leaps by months, to and fro, and the root's signatures with it, so that nothing looks wrong: no month is over before it is.
func TestLeapsEndNoMonth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMonths(t, rootOf("0 key=0", "1 key=0 publish=1"))
		m.open()
		m.until(5, "secure")
		m.ahead.Store(int64(400 * day))
		m.until(10, "")
		m.shows("0 valid, 1 addpend")
		m.ahead.Store(int64(100 * day))
		m.until(12, "")
		m.close()
		m.ahead.Store(int64(600 * day))
		m.open()
		m.until(20, "")
		m.shows("0 valid, 1 addpend")
		m.until(25, "secure")
		m.shows("0 valid, 1 addpend")
		m.until(38, "secure")
		m.shows("0 valid, 1 valid")
		m.end()
	})
}

// A state that can't be read is put aside and told; the settings' anchors serve.
func TestDamagedState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMonths(t, rootOf("0 key=0", "1 key=0 publish=1"))
		m.open()
		m.until(3, "secure")
		m.close()
		path := filepath.Join(m.folder, "data", AnchorFile)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text[:len(text)/2], 0o600); err != nil {
			t.Fatal(err)
		}
		m.open()
		m.shows("0 unseen")
		m.asks("secure")
		m.warns("its checksum does not fit")
		m.logged("WARN", "what was known of trust anchors can't be used", "is damaged", "the anchors of the settings hold")
		m.until(4, "secure")
		m.shows("0 valid, 1 addpend")
		if aside, err := os.ReadFile(path + ".aside-1"); err != nil || string(aside) != string(text[:len(text)/2]) {
			t.Errorf("it was not kept: %v", err)
		}
		m.close()
		m.open()
		m.warns("")
		m.shows("0 valid, 1 addpend")
		m.end()
	})
}

// Where nothing can be written, what is learned holds until the node ends, and it says so.
func TestStateThatCantBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMonths(t, rootOf("0 key=0", "1 key=0 publish=1"))
		m.open()
		m.until(2, "secure")
		m.node.anchors.mu.Lock()
		m.node.anchors.store = storeNowhere(t)
		m.node.anchors.mu.Unlock()
		m.until(4, "secure")
		m.warns("writing state of trust anchors")
		m.logged("WARN", "what is known of trust anchors can't be written down", "disk full")
		m.until(33, "secure")
		m.shows("0 valid, 1 valid")
		m.end()
	})
}

// With updates off the settings' anchors are used as they stand, and nothing is asked; what was known is kept for when they are on again.
func TestUpdatesOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMonths(t, rootOf("0 key=0", "1 key=0 publish=1"))
		m.open()
		m.until(5, "secure")
		m.close()
		m.change = func(f *settings.File) { f.Settings.Recursion.TrustAnchorUpdates = false }
		m.open()
		m.shows("0 fixed")
		m.until(20, "secure")
		m.shows("0 fixed")
		m.warns("")
		m.close()
		m.change = nil
		m.open()
		m.shows("0 valid, 1 addpend")
		m.until(48, "secure")
		m.shows("0 valid, 1 valid")
		m.end()
	})
}

// storeNowhere is a state file in a folder that is gone.
func storeNowhere(t *testing.T) *rollover.Store {
	t.Helper()
	return rollover.NewStore(filepath.Join(t.TempDir(), "gone", AnchorFile))
}
