package blobs

import (
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"os"

	"github.com/ananas-edge/ananas/internal/wholefile"
)

// Writer takes a blob in, beside those that are there. It belongs to one goroutine, which has to call Commit or Abort; Abort does nothing after Commit.
type Writer struct {
	f    *Folder
	file *os.File
	sum  hash.Hash
	want *[32]byte // nil: whatever it will be
	n    int64     // octets so far, which count among all of the folder
	err  error
	done bool
}

// Begin begins to take in the blob of a digest. That it may be there already does not matter: the file is replaced by the same.
func (f *Folder) Begin(sum [32]byte) (*Writer, error) { return f.begin(&sum) }

func (f *Folder) begin(want *[32]byte) (*Writer, error) {
	f.mu.Lock()
	n := len(f.all)
	f.mu.Unlock()
	if n >= MaxCount {
		return nil, f.limit("max_count", MaxCount)
	}
	err := f.opt.Disk("create")
	var file *os.File
	if err == nil {
		file, err = os.CreateTemp(f.dir, temporary+"*")
	}
	if err != nil {
		return nil, f.diskError("writing a blob into", f.dir, err)
	}
	return &Writer{f: f, file: file, sum: sha256.New(), want: want}, nil
}

func (f *Folder) limit(name string, limit int64) error {
	f.m.limits.With(name).Inc()
	return &LimitError{name, limit}
}

// Put takes a content in, and returns its digest.
func (f *Folder) Put(r io.Reader) (sum [32]byte, err error) {
	w, err := f.begin(nil)
	if err != nil {
		return sum, err
	}
	defer w.Abort()
	if _, err := io.Copy(struct{ io.Writer }{w}, r); err != nil {
		return sum, err
	}
	if err := w.Commit(); err != nil {
		return sum, err
	}
	w.sum.Sum(sum[:0])
	return sum, nil
}

// Write takes the next octets. After an error nothing more is taken.
func (w *Writer) Write(b []byte) (int, error) {
	if w.done {
		return 0, errDone
	}
	if w.err != nil {
		return 0, w.err
	}
	f := w.f
	if w.err = w.reserve(int64(len(b))); w.err != nil {
		return 0, w.err
	}
	err := f.opt.Disk("write")
	n := 0
	if err == nil {
		n, err = w.file.Write(b)
	}
	if err != nil {
		w.err = f.diskError("writing a blob into", f.dir, err)
	}
	w.sum.Write(b[:n])
	return n, w.err
}

// reserve counts octets that are to come.
func (w *Writer) reserve(n int64) error {
	f := w.f
	if n > MaxBlob-w.n {
		return f.limit("max_blob", MaxBlob)
	}
	f.mu.Lock()
	full := n > f.opt.MaxTotal-f.total
	if !full {
		f.total += n
		w.n += n
	}
	f.mu.Unlock()
	if full {
		return f.limit("max_total", f.opt.MaxTotal)
	}
	return nil
}

// Commit checks the digest, and has the blob there: on the disk, whole. A *DigestError says that it is another. After an error it is not there, unless it was before.
func (w *Writer) Commit() error {
	if w.done {
		return errDone
	}
	defer w.Abort()
	if w.err != nil {
		return w.err
	}
	f := w.f
	var sum [32]byte
	w.sum.Sum(sum[:0])
	if w.want != nil && sum != *w.want {
		return &DigestError{*w.want, sum, w.n}
	}
	err := f.opt.Disk("sync")
	if err == nil {
		err = errors.Join(w.file.Sync(), w.file.Close())
	}
	if err == nil {
		err = f.install(sum, w.file.Name())
	}
	if err == nil {
		err = f.opt.Disk("folder")
	}
	if err == nil {
		err = wholefile.OS{}.SyncDir(f.dir)
	}
	if err != nil {
		return f.diskError("writing a blob into", f.dir, err)
	}
	f.mu.Lock()
	f.forget(sum)
	f.all[sum] = &blob{w.n, f.opt.Boot()}
	w.n = 0 // they are the blob's now
	f.mu.Unlock()
	w.done = true
	f.m.kept.Inc()
	return nil
}

// install puts a file in its place. One that is there already is not swept from here on.
func (f *Folder) install(sum [32]byte, file string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b := f.all[sum]; b != nil {
		b.used = f.opt.Boot()
	}
	if err := f.opt.Disk("rename"); err != nil {
		return err
	}
	return os.Rename(file, f.path(sum))
}

// Abort forgets what has come.
func (w *Writer) Abort() {
	if w.done {
		return
	}
	w.done = true
	w.file.Close()
	_ = os.Remove(w.file.Name()) // if it stays, the next start removes it
	w.f.mu.Lock()
	w.f.total -= w.n
	w.f.mu.Unlock()
}

var errDone = errors.New("the blob was committed or aborted already")
