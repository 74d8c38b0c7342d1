package blobs

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/telemetry"
)

// Limits.
const (
	// MaxBlob is the length of a blob in octets: a module, a data set, the image of a zone.
	MaxBlob = 256 << 20

	// MaxTotal is what all blobs of a node may have, in octets: 32 of the largest, or a root zone of 2 MiB that is applied three times a day for three years.
	MaxTotal = 8 << 30

	// MaxCount is how many blobs there may be: each is some 100 octets of memory, 6 MiB.
	MaxCount = 1 << 16

	// Grace is for how long a blob stays that was put, or found to be there, and that nobody names yet: the commit that names it is on its way, or the snapshot that it came
	// for is. After a start it counts from there.
	Grace = 24 * time.Hour
)

// Options are what a folder depends on. They are read once, by Open.
type Options struct {
	Boot     func() time.Duration // boot time
	Log      *slog.Logger         // nil: nothing is logged
	Metrics  *telemetry.Metrics   // nil: they count and are not shown
	MaxTotal int64                // 0: the constant of that name

	// Disk is asked before each step on the disk, by its name (create, write, sync, rename, folder, read, remove); its error stands for the disk's. It is for tests.
	Disk func(step string) error
}

// Folder is the blobs of a node. Any number of goroutines may use it; one process at a time may.
type Folder struct {
	dir string
	opt Options
	m   metrics

	mu    sync.Mutex
	all   map[[32]byte]*blob
	total int64 // octets of all, and of what is being written
}

// blob is one that is there.
type blob struct {
	size int64
	used time.Duration // boot time at which it was last put, or found by who will name it
}

// temporary begins the names of files that are being written.
const temporary = ".new-"

// Open opens the blobs in a folder, which is made if it is not there, and removes what was being written when a process was killed.
func Open(dir string, opt Options) (*Folder, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.MaxTotal == 0 {
		opt.MaxTotal = MaxTotal
	}
	if opt.Disk == nil {
		opt.Disk = func(string) error { return nil }
	}
	f := &Folder{dir: dir, opt: opt, all: make(map[[32]byte]*blob)}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, &DiskError{"making the folder of blobs", dir, err}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, &DiskError{"reading the folder of blobs", dir, err}
	}
	now := opt.Boot()
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), temporary) {
			_ = os.Remove(filepath.Join(dir, e.Name())) // what can't be removed is left to the next start
			continue
		}
		sum, ok := parseName(e.Name())
		if info, err := e.Info(); ok && err == nil && info.Mode().IsRegular() {
			f.all[sum] = &blob{info.Size(), now}
			f.total += info.Size()
		}
	}
	f.m = newMetrics(opt.Metrics, f)
	return f, nil
}

// parseName reads the name of a blob's file.
func parseName(name string) (sum [32]byte, ok bool) {
	if len(name) != hex.EncodedLen(len(sum)) || strings.ToLower(name) != name {
		return sum, false
	}
	_, err := hex.Decode(sum[:], []byte(name))
	return sum, err == nil
}

func (f *Folder) path(sum [32]byte) string { return filepath.Join(f.dir, hex.EncodeToString(sum[:])) }

// Len returns how many blobs are there.
func (f *Folder) Len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.all)
}

// Has tells whether a blob is there, whole. If it is, it stays for [Grace] at least: whoever asks may name it.
func (f *Folder) Has(sum [32]byte) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.all[sum]
	if b == nil {
		return false
	}
	if info, err := os.Lstat(f.path(sum)); err != nil || info.Size() != b.size {
		f.forget(sum)
		return false
	}
	b.used = f.opt.Boot()
	return true
}

// forget takes a blob out; f.mu is held.
func (f *Folder) forget(sum [32]byte) {
	if b := f.all[sum]; b != nil {
		f.total -= b.size
		delete(f.all, sum)
	}
}

// open opens the file of a blob. One that somebody has removed is not there any more.
func (f *Folder) open(sum [32]byte) (*os.File, int64, error) {
	f.mu.Lock()
	b := f.all[sum]
	f.mu.Unlock()
	if b == nil {
		return nil, 0, &MissingError{sum}
	}
	err := f.opt.Disk("read")
	var file *os.File
	if err == nil {
		file, err = os.Open(f.path(sum))
	}
	if errors.Is(err, fs.ErrNotExist) {
		f.mu.Lock()
		if f.all[sum] == b {
			f.forget(sum)
		}
		f.mu.Unlock()
		return nil, 0, &MissingError{sum}
	}
	if err != nil {
		return nil, 0, f.diskError("reading a blob", f.path(sum), err)
	}
	return file, b.size, nil
}

// Part returns a part of a blob, from offset on and at most of max octets, and the size of the whole; ok is false if it is not there. It is not held against the digest: who
// gets the last part does that.
func (f *Folder) Part(sum [32]byte, offset int64, max int) (part []byte, size int64, ok bool, err error) {
	file, size, err := f.open(sum)
	var missing *MissingError
	if errors.As(err, &missing) {
		return nil, 0, false, nil
	}
	if err != nil {
		return nil, 0, false, err
	}
	defer file.Close()
	if offset < 0 || offset > size {
		return nil, 0, false, nil
	}
	part = make([]byte, min(int64(max), size-offset))
	if _, err := file.ReadAt(part, offset); err == io.EOF && len(part) > 0 {
		return nil, 0, false, f.spoilt(sum, file) // it is shorter than it was
	} else if err != nil && err != io.EOF {
		return nil, 0, false, f.diskError("reading a blob", file.Name(), err)
	}
	return part, size, true, nil
}

// Read returns a blob of at most max octets, which has its digest. Errors are *MissingError (of a *SpoiltError too), *LimitError and *DiskError.
func (f *Folder) Read(sum [32]byte, max int) ([]byte, error) {
	file, size, err := f.open(sum)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if size > int64(max) {
		return nil, &LimitError{"max_blob", int64(max)}
	}
	content := make([]byte, size)
	if _, err := io.ReadFull(file, content); err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, f.diskError("reading a blob", file.Name(), err)
	}
	if sha256.Sum256(content) != sum {
		return nil, f.spoilt(sum, file)
	}
	return content, nil
}

// Size returns the length of a blob in octets. If it is there, it stays for [Grace] at least.
func (f *Folder) Size(sum [32]byte) (int64, error) {
	if !f.Has(sum) {
		return 0, &MissingError{sum}
	}
	file, size, err := f.open(sum)
	if err != nil {
		return 0, err
	}
	return size, file.Close()
}

// Stream opens a blob for reading; the end of it is held against the digest. Where it is another, the file is removed, and the end is a *SpoiltError.
func (f *Folder) Stream(sum [32]byte) (io.ReadCloser, error) {
	file, _, err := f.open(sum)
	if err != nil {
		return nil, err
	}
	return &stream{file: file, f: f, want: sum, sum: sha256.New()}, nil
}

// stream is a blob that is read.
type stream struct {
	file *os.File // not embedded: it would be copied past Read
	f    *Folder
	want [32]byte
	sum  hash.Hash
	end  error
}

// Read is that of io.Reader.
func (s *stream) Read(b []byte) (int, error) {
	if s.end != nil {
		return 0, s.end
	}
	n, err := s.file.Read(b)
	s.sum.Write(b[:n])
	switch {
	case err == io.EOF:
		if s.end = io.EOF; [32]byte(s.sum.Sum(nil)) != s.want {
			s.end = s.f.spoilt(s.want, s.file)
		}
		return n, s.end
	case err != nil:
		s.end = s.f.diskError("reading a blob", s.file.Name(), err)
		return n, s.end
	}
	return n, nil
}

// Verified tells who holds contents against digests that this does.
func (s *stream) Verified() {}

// Close is that of io.Closer.
func (s *stream) Close() error { return s.file.Close() }

// Open opens a blob for reading. What is read is not held against the digest.
func (f *Folder) Open(sum [32]byte) (io.ReadCloser, error) {
	file, _, err := f.open(sum)
	if err != nil {
		return nil, err
	}
	return file, nil
}

// spoilt removes a file that was found not to be what it was, unless another has taken its place.
func (f *Folder) spoilt(sum [32]byte, file *os.File) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	path := f.path(sum)
	read, err := file.Stat()
	now, gone := os.Lstat(path)
	if err == nil && gone == nil && os.SameFile(read, now) {
		f.forget(sum)
		_ = os.Remove(path)
		f.m.spoilt.Inc()
		f.opt.Log.Error("the file of a blob is spoilt; it was removed, and is asked for anew", "file", path)
	}
	return &SpoiltError{sum, path}
}

func (f *Folder) diskError(op, path string, err error) error {
	f.m.diskErrors.Inc()
	return &DiskError{op, path, err}
}

// Sweep removes the blobs that keep does not want, but for those that were put or asked for in the last [Grace]. It returns how many.
func (f *Folder) Sweep(keep func(sum [32]byte) bool) (removed int, err error) {
	f.mu.Lock()
	var old [][32]byte
	for sum, b := range f.all {
		if f.opt.Boot()-b.used >= Grace {
			old = append(old, sum)
		}
	}
	f.mu.Unlock()
	for _, sum := range old {
		if keep(sum) {
			continue
		}
		if done, err := f.remove(sum); err != nil {
			return removed, err
		} else if done {
			removed++
		}
	}
	return removed, nil
}

// remove removes a blob, if nobody has asked for it meanwhile.
func (f *Folder) remove(sum [32]byte) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.all[sum]
	if b == nil || f.opt.Boot()-b.used < Grace {
		return false, nil
	}
	err := f.opt.Disk("remove")
	if err == nil {
		err = os.Remove(f.path(sum))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, f.diskError("removing a blob that nobody names any more", f.path(sum), err)
	}
	f.forget(sum)
	f.m.swept.Inc()
	return true, nil
}
