package replica

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/telemetry"
)

// Defaults of Options.
const (
	// LogAge is how far the log reaches back: a node that comes back after a week catches up by records, and a month of history can be looked at.
	LogAge = 30 * 24 * time.Hour
	// LogBytes is how long the log may be, in octets: 100,000 commits of 100 keys of 100 octets.
	LogBytes = 1 << 30
	// MaxBytes is what all keys and documents may have, in octets: 20 million of 400. It is there so that what goes wrong elsewhere does not take all memory here.
	MaxBytes = 8 << 30
)

// Options are what a copy depends on. They are read once, by Open.
type Options struct {
	Now    func() time.Time // wall clock: time.Now if nil
	Random io.Reader        // crypto/rand if nil: lineages, ids and salts of Load; nonces

	// Key is the node's own, of 32 octets: what is secret is encrypted with it on disk. nil: secrets are refused.
	Key []byte

	Log     *slog.Logger       // nil: nothing is logged
	Metrics *telemetry.Metrics // nil: they count and are not shown

	LogAge   time.Duration // 0: the constant of that name
	LogBytes int64         // 0: the constant of that name
	MaxBytes int64         // 0: the constant of that name

	// Disk is asked before each step on the disk, by its name (begin, commit, committed, reopen, create, fill, sync, rename, renamed, folder); its error stands for the
	// disk's. It is for tests.
	Disk func(step string) error
}

// Replica is the copy. Any number of goroutines may use it.
type Replica struct {
	dir, path string
	opt       Options
	key       *sealer
	metrics   metrics
	lock      *os.File
	found     *BrokenError // by Open

	view atomic.Pointer[View]

	changing sync.Mutex    // of changed, and of the view while it is replaced
	changed  chan struct{} // closed when the view is replaced, or the copy closed

	// writer is held by who changes the copy; it has a place for one.
	writer chan struct{}
	edits  uint64 // that were begun
	unsure bool   // a write failed: what the file has must be looked at
	closed bool

	// file is read-locked by who reads from db, and locked by who replaces it.
	file   sync.RWMutex
	db     *bbolt.DB // nil: it could not be opened again, or the copy is closed
	broken atomic.Pointer[BrokenError]
}

// Open opens the copy in a folder, or makes an empty one. A spoilt one is moved aside, and an empty one begins: Found tells. It reads the whole file and checks
// all of it, which takes some 2 s for a million entries.
func Open(dir string, opt Options) (*Replica, error) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Random == nil {
		opt.Random = rand.Reader
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.LogAge == 0 {
		opt.LogAge = LogAge
	}
	if opt.LogBytes == 0 {
		opt.LogBytes = LogBytes
	}
	if opt.MaxBytes == 0 {
		opt.MaxBytes = MaxBytes
	}
	if opt.Disk == nil {
		opt.Disk = func(string) error { return nil }
	}
	key, err := newSealer(opt.Key, opt.Random)
	if err != nil {
		return nil, err
	}
	r := &Replica{dir: dir, path: filepath.Join(dir, fileName), opt: opt, key: key, changed: make(chan struct{}), writer: make(chan struct{}, 1), edits: 1}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, r.diskError("making the folder of the local copy of the store", err)
	}
	if r.lock, err = lockFolder(filepath.Join(dir, lockName)); err != nil {
		return nil, err
	}
	if err := r.open(); err != nil {
		r.lock.Close()
		return nil, err
	}
	r.metrics = newMetrics(opt.Metrics, r)
	return r, nil
}

func lockFolder(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, &DiskError{"locking the local copy of the store", path, err}
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, &InUseError{path}
		}
		return nil, &DiskError{"locking the local copy of the store", path, err}
	}
	return f, nil
}

// open reads the file, and sees to it that there is one.
func (r *Replica) open() error {
	if err := os.Remove(filepath.Join(r.dir, newName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r.diskError("removing what is left of a snapshot", err)
	}
	c, err := load(r.path, r.key)
	if err == nil {
		if r.db, err = openBolt(r.path); err == nil {
			r.view.Store(&View{state: c.state, index: c.index})
			return nil
		}
	}
	var broken *BrokenError
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case errors.As(err, &broken):
		moved, err := moveAside(r.dir)
		if err != nil {
			return r.diskError("moving a spoilt copy of the store aside", err)
		}
		r.found = &BrokenError{Path: r.path, Moved: moved, Err: broken.Err}
		r.opt.Log.Warn("the local copy of the store is spoilt; an empty one begins", "err", r.found, "hint", r.found.Hint())
	default:
		var format *FormatError
		var key *KeyError
		if errors.As(err, &format) || errors.As(err, &key) {
			return err
		}
		return r.diskError("opening the local copy of the store", err)
	}
	view := &View{index: newIndex()}
	if r.db, err = r.create(view); err != nil {
		return err
	}
	if _, err = r.install(); err != nil {
		_ = closeBolt(r.db, false)
		return r.diskError("making the local copy of the store", err)
	}
	r.view.Store(view)
	return nil
}

// Found returns what was wrong with the file when it was opened; nil if nothing was. An empty copy began then.
func (r *Replica) Found() *BrokenError { return r.found }

// View returns the copy as it is now.
func (r *Replica) View() *View { return r.view.Load() }

// Head returns what the copy has come to.
func (r *Replica) Head() store.Head { return r.View().Head() }

// Copy returns r as a writer needs it.
func (r *Replica) Copy() store.Copy { return copyOf{r} }

type copyOf struct{ *Replica }

func (c copyOf) View() store.View { return c.Replica.View() }

// Floor returns the lowest version after which the log goes on.
func (r *Replica) Floor() store.Version { return r.View().Floor() }

// WaitFor returns when the copy has reached a version, with ctx's error if that is done before, or ErrClosed.
func (r *Replica) WaitFor(ctx context.Context, v store.Version) error {
	for r.View().Head().Version < v {
		changed, closed := r.wake(v - 1)
		if closed {
			return ErrClosed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Changed returns a channel that is closed as soon as the copy has a version after one, or began another lineage, or was closed: look at the view, and ask again.
func (r *Replica) Changed(after store.Version) <-chan struct{} {
	changed, _ := r.wake(after)
	return changed
}

func (r *Replica) wake(after store.Version) (changed <-chan struct{}, closed bool) {
	r.changing.Lock()
	defer r.changing.Unlock()
	if r.view.Load().Head().Version > after {
		now := make(chan struct{})
		close(now)
		return now, r.closed
	}
	return r.changed, r.closed
}

// show replaces the view, and wakes who waits.
func (r *Replica) show(v *View) {
	r.changing.Lock()
	defer r.changing.Unlock()
	r.view.Store(v)
	close(r.changed)
	r.changed = make(chan struct{})
}

// begin takes the place of the writer. end gives it back.
func (r *Replica) begin(ctx context.Context) error {
	select {
	case r.writer <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if r.isClosed() {
		r.end()
		return ErrClosed
	}
	return nil
}

func (r *Replica) end() { <-r.writer }

func (r *Replica) isClosed() bool {
	r.changing.Lock()
	defer r.changing.Unlock()
	return r.closed
}

// Close waits for a change that is being written, and closes the file. Views stay good.
func (r *Replica) Close() error {
	if err := r.begin(context.Background()); err != nil {
		return nil // it is closed
	}
	defer r.end()
	r.changing.Lock()
	r.closed = true
	close(r.changed)
	r.changing.Unlock()
	r.file.Lock()
	defer r.file.Unlock()
	err := closeBolt(r.db, r.broken.Load() != nil)
	r.db = nil
	return errors.Join(err, r.lock.Close())
}

// diskError is an error of the disk, counted.
func (r *Replica) diskError(op string, err error) error {
	if r.metrics.diskErrors != nil {
		r.metrics.diskErrors.Inc()
	}
	var disk *DiskError
	if errors.As(err, &disk) {
		return err
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err // the file may have been opened under another name
	}
	return &DiskError{op, r.path, err}
}

// spoilt remembers that the file is, if that is what err says, and returns err.
func (r *Replica) spoilt(err error) error {
	var broken *BrokenError
	if errors.As(err, &broken) && r.broken.CompareAndSwap(nil, broken) {
		r.metrics.broken.Inc()
		r.opt.Log.Error("the local copy of the store was found spoilt; it is read from memory until a snapshot takes its place", "err", err)
	}
	return err
}
