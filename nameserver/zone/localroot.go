package zone

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/dnssec"
	"github.com/ananas-edge/ananas/nameserver/recurse"
	"github.com/ananas-edge/ananas/telemetry"
)

// CopyFile is the name of the file in the data folder that holds the copy of the root zone.
const CopyFile = "local-root.copy"

// Config is what a local root needs from outside.
type Config struct {
	Network Dialer
	Clock   recurse.Clock
	Random  func() uint64
	Folder  string // for the copy on disk
	Metrics *telemetry.Metrics
	Crashes *telemetry.Crashes // nil: panics are counted nowhere
	Log     *slog.Logger       // nil: silent

	// Table returns the table that queries take now: whose trust anchors hold.
	Table func() *recurse.Table

	// ClockTrusted tells whether the wall clock can be right; nil: it always is. While it can't, times of signatures are not checked, and the age of what
	// lies on the disk is not known.
	ClockTrusted func() bool
}

// LocalRoot is a copy of the root zone that is kept fresh and asked in place of the root servers (RFC 8806). It is a [recurse.LocalRoot].
type LocalRoot struct {
	network Dialer
	clock   recurse.Clock
	random  func() uint64
	file    copyFile
	crashes *telemetry.Crashes
	log     *slog.Logger
	m       metrics
	table   func() *recurse.Table
	trusted func() bool

	held atomic.Pointer[held] // nil: nothing

	mu       sync.Mutex // guards what follows; Ask never takes it
	s        recurse.LocalRootSettings
	path     string        // of the file, if it comes from one
	changes  int           // of the settings, so that what was begun before one is not used
	due      time.Duration // boot time of the next attempt
	tried    bool          // one was made since the settings are these
	failures int           // attempts in a row that came to nothing
	server   int           // index of the one that was good the last time
	trouble  *trouble      // of the last attempt; nil: it went well, or there was none
	alarmed  bool
	saved    time.Duration // boot time of the confirmation that is on disk
	unsaved  error         // why the copy could not be written, the last time

	shown  atomic.Pointer[shown] // what metrics and health read
	wake   chan struct{}
	cancel context.CancelFunc
	done   chan struct{}
}

// held is a copy in use, or one that would be if it were not too old. It is never changed.
type held struct {
	zone      *Zone
	verified  Verified
	about     string // for people: which copy answers
	source    string // for people: the server that gave it or has confirmed it, or the file
	from      [sha256.Size]byte
	sum       [sha256.Size]byte // of the file that it came from
	confirmed time.Duration     // boot time at which it was last known to be current; may be before the boot
	ends      time.Duration     // boot time at which its signatures end
	expires   time.Duration     // boot time from which it is not used
}

// never is a boot time that does not come.
const never = time.Duration(math.MaxInt64)

// NewLocalRoot returns a local root that holds nothing until [LocalRoot.Configure]. Close it if it was started.
func NewLocalRoot(c Config) *LocalRoot {
	l := &LocalRoot{
		network: c.Network, clock: c.Clock, random: c.Random, file: copyFile{filepath.Join(c.Folder, CopyFile)}, crashes: c.Crashes, log: c.Log,
		table: c.Table, trusted: c.ClockTrusted, due: never, wake: make(chan struct{}, 1),
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	l.shown.Store(new(shown))
	l.m = newMetrics(c.Metrics, l)
	return l
}

// Usable tells whether there is a copy that may be asked now.
func (l *LocalRoot) Usable() bool {
	h := l.held.Load()
	return h != nil && l.clock.Boot() < h.expires
}

// Ask answers a question as a server of the root does, with signatures and proofs. about says for people which copy answers. ok is false while
// there is none that may be used: then the root servers are to be asked.
func (l *LocalRoot) Ask(q dns.Question) (reply []byte, about string, ok bool) {
	h := l.held.Load()
	if h == nil || l.clock.Boot() >= h.expires {
		return nil, "", false
	}
	l.m.answers.Inc()
	return h.zone.Answer(q, true), h.about, true
}

// Configure takes over the settings, with the path of the file that they name. What can be had without the network is there when it returns: the
// file, or the copy on disk. It is to be called at each reload: the same settings as before read the file anew, or have the servers asked now.
func (l *LocalRoot) Configure(s recurse.LocalRootSettings, path string) {
	l.mu.Lock()
	defer l.unlock()
	before, same := l.s, l.s.Equal(&s) && l.path == path
	if l.s, l.path = s, path; !same {
		l.changes++
		l.failures, l.server, l.trouble, l.tried, l.alarmed = 0, 0, nil, false, false
	}
	switch {
	case !s.On():
		l.held.Store(nil)
		l.due = never
	case s.File != "":
		if !same {
			l.held.Store(nil)
		}
		l.contain(l.readFile)
	default:
		l.due = l.clock.Boot()
		if !same {
			l.contain(func() { l.takeOver(before) })
		}
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// takeOver keeps the copy that came from other servers, if it is signed, for then it does not matter who gave it; else that on disk is read.
func (l *LocalRoot) takeOver(before recurse.LocalRootSettings) {
	h := l.held.Load()
	l.held.Store(nil)
	if h != nil && before.File == "" {
		if v, err := h.zone.Verify(l.policy()); err == nil && v.Signed {
			l.hold(h.zone, v, h.confirmed, h)
			return
		}
	}
	l.readCopy()
}

// policy is what has to be proved of a copy now.
func (l *LocalRoot) policy() Policy {
	return Policy{Table: l.table(), ZONEMD: l.s.ZONEMD, At: l.wall(), Checks: l.m.checks}
}

// wall is the time for signatures; the zero time while the clock can't be right.
func (l *LocalRoot) wall() time.Time {
	if l.trusted != nil && !l.trusted() {
		return time.Time{}
	}
	return l.clock.Wall()
}

// hold takes a copy that was verified in use, or the same again. confirmed is the boot time at which it was known to be current.
func (l *LocalRoot) hold(z *Zone, v Verified, confirmed time.Duration, like *held) *held {
	now := l.clock.Boot()
	h := &held{zone: z, verified: v, confirmed: confirmed, ends: never, source: like.source, from: like.from, sum: like.sum,
		about: fmt.Sprintf("the local root, serial %d", z.soa.Serial)}
	if wall := l.wall(); !v.Until.IsZero() && !wall.IsZero() {
		h.ends = now + v.Until.Sub(wall)
	}
	h.expires = min(confirmed+l.life(z), h.ends)
	before := l.held.Swap(h)
	if now >= h.expires {
		return h
	}
	again := l.alarmed
	if l.alarmed = false; again || before == nil || before.zone != z {
		l.log.Info("the root zone is held here and asked in place of the root servers", "serial", z.soa.Serial, "records", z.records, "octets", z.Size(),
			"signed", v.Signed, "digest", v.Digest == DigestRight)
		if v.Warning != "" {
			l.log.Warn("what the local root is worth: " + v.Warning)
		}
	}
	return h
}

// life is how long a copy may be used after it was known to be current.
func (l *LocalRoot) life(z *Zone) time.Duration {
	life := between(minExpire, z.soa.Expire, maxExpire)
	if l.s.MaxAge > 0 {
		life = min(life, l.s.MaxAge)
	}
	return life
}

// refresh is how long after it was known to be current a copy is looked at again. It is so often that a copy does not end for want of a look.
func (l *LocalRoot) refresh(z *Zone) time.Duration {
	d := min(between(minRefresh, z.soa.Refresh, maxRefresh), l.life(z)/2)
	return d - time.Duration(l.random()%uint64(d/jitterPart+1))
}

// retry is how long after a failure the next attempt comes. Without a copy nobody has said so: then each wait is twice the one before.
func (l *LocalRoot) retry() time.Duration {
	if h := l.held.Load(); h != nil {
		return between(minRetry, h.zone.soa.Retry, maxRetry)
	}
	return min(minRetry<<min(l.failures-1, 10), maxRetry)
}

// between makes seconds of an SOA record a time within bounds.
func between(low time.Duration, seconds uint32, high time.Duration) time.Duration {
	return min(max(time.Duration(seconds)*time.Second, low), high)
}

// sourceOf names servers, so that a copy that nobody has signed is not taken for that of others.
func sourceOf(s recurse.LocalRootSettings) [sha256.Size]byte {
	return sha256.Sum256(fmt.Append(nil, s.AXFR))
}

// metrics are the instruments of a local root.
type metrics struct {
	answers   *telemetry.Counter
	refreshes *telemetry.CounterVec
	limits    *telemetry.CounterVec
	checks    *dnssec.Metrics
}

// The states of a local root, as metrics have them.
var states = [...]string{"off", "empty", "serving", "expired"}

func (l *LocalRoot) state() string {
	h := l.held.Load()
	switch {
	case h != nil && l.clock.Boot() < h.expires:
		return "serving"
	case h != nil:
		return "expired"
	case l.shown.Load().on:
		return "empty"
	}
	return "off"
}

func newMetrics(t *telemetry.Metrics, l *LocalRoot) metrics {
	m := metrics{
		answers:   t.Counter("ananas_local_root_answers_total", "Questions answered by the copy of the root zone, in place of a root server."),
		refreshes: t.CounterVec("ananas_local_root_refreshes_total", "Attempts to refresh the copy of the root zone, by result.", "result"),
		limits:    t.CounterVec("ananas_local_root_limits_total", "Copies of the root zone refused because of a limit, by its name.", "limit"),
		checks:    dnssec.NewMetrics(t),
	}
	of := func(f func(*held) float64) func() float64 {
		return func() float64 {
			if h := l.held.Load(); h != nil {
				return f(h)
			}
			return 0
		}
	}
	t.GaugeFunc("ananas_local_root_serial", "Serial of the copy of the root zone; 0 if there is none.", of(func(h *held) float64 { return float64(h.zone.soa.Serial) }))
	t.GaugeFunc("ananas_local_root_age_seconds", "Time since the copy of the root zone was last known to be current; 0 if there is none.",
		of(func(h *held) float64 { return (l.clock.Boot() - h.confirmed).Seconds() }))
	t.GaugeFunc("ananas_local_root_expires_seconds", "Time until the copy of the root zone is not used any more; negative when it is not, 0 if there is none.",
		of(func(h *held) float64 { return (h.expires - l.clock.Boot()).Seconds() }))
	t.GaugeFunc("ananas_local_root_records", "Records of the copy of the root zone.", of(func(h *held) float64 { return float64(h.zone.records) }))
	t.GaugeFunc("ananas_local_root_size_bytes", "Memory that the copy of the root zone takes.", of(func(h *held) float64 { return float64(h.zone.Size()) }))
	t.GaugeVecFunc("ananas_local_root_state", "1 for the state that the local root is in.", []string{"state"}, func(show telemetry.Show) {
		now := l.state()
		for _, s := range states {
			v := 0.0
			if s == now {
				v = 1
			}
			show(v, s)
		}
	})
	return m
}
