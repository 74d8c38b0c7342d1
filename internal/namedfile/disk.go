package namedfile

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"time"
	"weak"

	"golang.org/x/sys/unix"
)

// Disk reads files of this machine, and remembers what it has read as long as somebody uses it, so that a file that did not change is not read again. That is told by its place (device and inode), its size,
// and its times of change, to the nanosecond: that of the content, and that of the inode, which no program can set.
//
// A content can change without these where it does so twice within one tick of the file system's clock (4 ms with Linux, 2 s with FAT). So what was read is believed only if the file had looked the same for
// some time ([settled]) when it was begun to be read, by this machine's clock: then any later change is of a later tick. git does the same with what it calls racily clean, but goes by the time of the file,
// which on a file server may be that of another clock. What is written through a mapping and never synchronised is not seen, by git neither.
//
// Its methods may be called from any goroutine. Without a Disk (nil) nothing is remembered.
type Disk struct {
	boot func() time.Duration

	mu    sync.Mutex
	known map[string]*known
}

// settled is for how long a file has to look the same before what is read of it is believed: the tick of the slowest clock that a file system has.
const settled = 2 * time.Second

// MaxKnown bounds how many files are remembered: those that settings may name, 256 modules, 64 lists and some more, twice. Beyond it what nobody uses is forgotten, and then all.
const MaxKnown = 1024

// known is what is known of a file.
type known struct {
	looks
	since   time.Duration // for how long it has looked so, or longer
	settled bool          // what was read can be believed
	file    weak.Pointer[File]
}

// looks is what of a file changes with its content.
type looks struct {
	device, inode, size uint64
	content, change     unix.Timespec
	regular             bool
}

func looksOf(f *os.File) (l looks, err error) {
	var st unix.Stat_t
	for {
		if err = unix.Fstat(int(f.Fd()), &st); err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return l, &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return looks{uint64(st.Dev), uint64(st.Ino), uint64(st.Size), st.Mtim, st.Ctim, uint32(st.Mode)&unix.S_IFMT == unix.S_IFREG}, nil
}

// NewDisk makes one; boot is a time of the machine that is never set, as [MachineTime].
func NewDisk(boot func() time.Duration) *Disk {
	return &Disk{boot: boot, known: make(map[string]*known)}
}

// MachineTime is the time since some moment by the clock that the machine's file systems go with. It is not that of a node, which a test may move: files are not moved along.
func MachineTime() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0 // then nothing is ever believed
	}
	return time.Duration(ts.Nano())
}

// Read returns the file of that name, if it has at most so many octets; of one that is larger nothing is read, and the error is a [*TooLargeError]. What is no regular file, a pipe, is read whole and kept.
func (d *Disk) Read(path string, most int64) (*File, error) {
	var now time.Duration
	if d != nil {
		now = d.boot()
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	seen, err := looksOf(f)
	switch {
	case err != nil:
		return nil, err
	case !seen.regular:
		return readWhole(f, most)
	case seen.size > uint64(most):
		return nil, &TooLargeError{path, int64(seen.size), most}
	case d == nil:
		return read(path, f, int64(seen.size), most)
	}
	before, file := d.recall(path, seen)
	if file != nil && before.settled {
		return file, nil
	}
	one := &known{looks: seen, since: now}
	if before != nil {
		one.since = before.since
	}
	again, err := read(path, f, int64(seen.size), most)
	if err != nil {
		return nil, err
	}
	if file == nil || again.sum != file.sum { // else with what was made of it
		file = again
	}
	if after, err := looksOf(f); err != nil || after != seen {
		return file, nil // it is being written: next time it is another
	}
	one.settled, one.file = now-one.since >= settled, weak.Make(file)
	d.remember(path, one)
	return file, nil
}

// recall returns what is known of a file that looks like that, and the file if somebody uses it.
func (d *Disk) recall(path string, l looks) (*known, *File) {
	d.mu.Lock()
	defer d.mu.Unlock()
	one := d.known[path]
	if one == nil || one.looks != l {
		return nil, nil
	}
	return one, one.file.Value()
}

func (d *Disk) remember(path string, one *known) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.known) >= MaxKnown && d.known[path] == nil {
		for name, k := range d.known {
			if k.file.Value() == nil {
				delete(d.known, name)
			}
		}
		if len(d.known) >= MaxKnown {
			clear(d.known)
		}
	}
	d.known[path] = one
}

// small is the size in octets up to which the content of a file is kept in memory when it was read: most modules, which are looked at more than once.
const small = piece

// read reads a file to its digest.
func read(path string, f *os.File, size, most int64) (*File, error) {
	if size <= small {
		return readWhole(f, min(small, most))
	}
	sum := sha256.New()
	n, err := io.CopyBuffer(yielding{sum}, struct{ io.Reader }{io.LimitReader(f, most+1)}, make([]byte, piece))
	switch {
	case err != nil:
		return nil, err
	case n > most:
		return nil, &TooLargeError{path, n, most}
	}
	return At([sha256.Size]byte(sum.Sum(nil)), n, func() (io.ReadCloser, error) { return os.Open(path) }), nil
}

// yielding lets others have the processor after each piece: the loops that answer queries may wait for it.
type yielding struct{ w io.Writer }

// Write is that of io.Writer.
func (y yielding) Write(b []byte) (int, error) {
	n, err := y.w.Write(b)
	runtime.Gosched()
	return n, err
}

// readWhole reads a file into memory.
func readWhole(f *os.File, most int64) (*File, error) {
	var b bytes.Buffer
	if _, err := b.ReadFrom(io.LimitReader(f, most+1)); err != nil {
		return nil, err
	}
	if n := int64(b.Len()); n > most {
		return nil, &TooLargeError{f.Name(), n, most}
	}
	return Of(b.Bytes()), nil
}

// TooLargeError says that a file is larger than what it is named for may be.
type TooLargeError struct {
	Path       string
	Size, Most int64 // octets; of what grows while it is read, or is a pipe, the size is how much was seen
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%q has %d octets, at most %d", e.Path, e.Size, e.Most)
}

// Hint says what to do.
func (*TooLargeError) Hint() string { return "is it the right file?" }
