package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/telemetry"
)

// Times of a follower.
const (
	// Silence is how long a source may be without a beat of the root: ten of them. Then the next one is tried.
	Silence = 10 * time.Second

	// Stall is how long a source may pass on beats of a root that is ahead, and nothing of what that has: three times what makes a silent one be left, since a source may be
	// taking a snapshot itself.
	Stall = 30 * time.Second

	// ReportEvery is how often a report goes up.
	ReportEvery = time.Second

	// Waits between two attempts to connect, doubled after each round over all sources, with as much again by chance: 10,000 followers that lose their root
	// at one time are spread over some seconds.
	firstRetry = 100 * time.Millisecond
	lastRetry  = 5 * time.Second

	// dialTime is for a connection and its handshake.
	dialTime = 5 * time.Second

	// diskRetry is how long a follower waits before it tries again what its disk has refused.
	diskRetry = time.Second
)

// FollowerConfig is what a follower is made of.
type FollowerConfig struct {
	Name    string // of this node
	Copy    Target
	Sources []string // addresses, in the order in which they are preferred: one that is there again is gone back to
	Dial    func(ctx context.Context, address string) (net.Conn, error)

	// Lineage is asked before another lineage than that of the copy is taken, with the statement that came with it.
	Lineage func(l store.Lineage, statement []byte) error

	// Access returns the fingerprint of what the copy was made to show, and Accessed keeps another.
	Access   func() [32]byte
	Accessed func([32]byte) error

	Reports Reports    // nil: nothing goes up
	Blobs   Blobs      // nil: there are none
	Beat    func(Beat) // called for each beat; nil: nobody wants to know

	Boot    func() time.Duration // boot time
	Random  func() uint64
	Log     *slog.Logger
	Metrics *telemetry.Metrics
}

// Follower puts on a copy what a source sends.
type Follower struct {
	c FollowerConfig
	m followerMetrics

	mu    sync.Mutex
	state State
	beat  time.Duration // boot time of the last one
	heard bool          // there was one
}

type followerMetrics struct {
	records, snapshots, blobs, silent, stalled, failed, returned *telemetry.Counter
}

// State is how a follower is.
type State struct {
	Source    string   // address that is followed; "": none right now
	Path      []string // names from the root to the source
	Since     time.Duration
	Beat      Beat // the last one; its Time is zero if there was none
	Err       error
	Snapshots uint64
}

// NewFollower makes one; Run follows.
func NewFollower(c FollowerConfig) *Follower {
	f := &Follower{c: c}
	if f.c.Log == nil {
		f.c.Log = slog.New(slog.DiscardHandler)
	}
	m := c.Metrics
	f.m = followerMetrics{
		records:   m.Counter("ananas_feed_taken_records_total", "Records of the store that came from a source."),
		snapshots: m.Counter("ananas_feed_taken_snapshots_total", "Snapshots that came from a source and replaced the copy."),
		blobs:     m.Counter("ananas_feed_taken_blobs_total", "Blobs that came from a source, for a version that names them."),
		silent:    m.Counter("ananas_feed_silent_total", "Times that a source was left because no beat of the root came."),
		stalled:   m.Counter("ananas_feed_stalled_total", "Times that a source was left because it passed on beats of the root, and nothing of what the root has."),
		failed:    m.Counter("ananas_feed_failed_total", "Times that a source could not be followed, or not any more."),
		returned:  m.Counter("ananas_feed_returned_total", "Times that this node went back to a source that is named before the one that it followed."),
	}
	m.GaugeFunc("ananas_feed_beat_age_seconds", "Time since the last beat of the root; -1 if there was none.", func() float64 {
		if age, ok := f.Age(); ok {
			return age.Seconds()
		}
		return -1
	})
	return f
}

// State returns how the follower is.
func (f *Follower) State() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

// Age is how long ago the last beat came; false if there was none.
func (f *Follower) Age() (time.Duration, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return max(0, f.c.Boot()-f.beat), f.heard
}

// Path returns the names from the root to the source; none where nothing is followed.
func (f *Follower) Path() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state.Path
}

func (f *Follower) set(change func(s *State)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.state)
}

// Run follows, one source after the other, until ctx is done.
func (f *Follower) Run(ctx context.Context) {
	wait, look, i := firstRetry, firstLook, 0
	for ctx.Err() == nil && len(f.c.Sources) > 0 {
		address := f.c.Sources[i]
		began := f.c.Boot()
		err := f.follow(ctx, i, &look)
		if ctx.Err() != nil {
			return
		}
		good := f.c.Boot() - began
		if i == 0 && good > lastLook { // so it does not come and go
			look = firstLook
		}
		var back *backError
		if errors.As(err, &back) {
			f.m.returned.Inc()
			f.c.Log.Info("going back to a source of the store", "source", back.address, "from", address)
			f.set(func(s *State) { s.Source, s.Path = "", nil })
			i = back.index
			continue
		}
		f.m.failed.Inc()
		f.fail(address, err)
		if good > Silence { // it was good for a while
			wait = firstRetry
		}
		if i = (i + 1) % len(f.c.Sources); i != 0 {
			continue // another one may do at once
		}
		if !pause(ctx, wait+time.Duration(f.c.Random()%uint64(wait))) {
			return
		}
		wait = min(2*wait, lastRetry)
	}
}

// fail notes why a source is not followed.
func (f *Follower) fail(address string, err error) {
	f.mu.Lock()
	before := f.state.Err
	f.state.Source, f.state.Path, f.state.Err = "", nil, fmt.Errorf("following %s: %w", address, err)
	now := f.state.Err
	f.mu.Unlock()
	if before == nil || before.Error() != now.Error() {
		args := []any{"error", now}
		var h interface{ Hint() string }
		if errors.As(err, &h) && h.Hint() != "" {
			args = append(args, "hint", h.Hint())
		}
		f.c.Log.Warn("a source of the store is not followed; this node answers from its copy", args...)
	}
}

// follow follows the source at an index until something fails, or one that is named before it is there again; look is how long it waits before it looks for that.
func (f *Follower) follow(ctx context.Context, index int, look *time.Duration) error {
	address := f.c.Sources[index]
	dial, cancel := context.WithTimeout(ctx, dialTime)
	conn, err := f.c.Dial(dial, address)
	cancel()
	if err != nil {
		return err
	}
	ctx, end := context.WithCancelCause(ctx)
	var looks sync.WaitGroup
	defer looks.Wait()
	defer end(nil)
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if index > 0 {
		looks.Go(func() { f.look(ctx, index, look, end) })
	}
	c := newConnection(f, conn, address, end)
	err = c.run(ctx)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// taken notes a beat.
func (f *Follower) taken(b Beat) {
	f.mu.Lock()
	f.beat, f.heard = f.c.Boot(), true
	f.state.Beat, f.state.Path = b, b.Path
	f.mu.Unlock()
	if f.c.Beat != nil {
		f.c.Beat(b)
	}
}

// loop tells whether this node is among those that something came through.
func (f *Follower) loop(path []string) error {
	if slices.Contains(path, f.c.Name) {
		return &LoopError{path}
	}
	return nil
}
