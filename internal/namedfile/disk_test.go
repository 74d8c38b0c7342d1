package namedfile

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shelf is a disk on a clock that the test moves, and a file.
type shelf struct {
	t    *testing.T
	now  time.Duration
	disk *Disk
	path string
}

func newShelf(t *testing.T) *shelf {
	s := &shelf{t: t, path: filepath.Join(t.TempDir(), "list")}
	s.disk = NewDisk(func() time.Duration { return s.now })
	return s
}

func (s *shelf) write(content string) {
	s.t.Helper()
	if err := os.WriteFile(s.path, []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shelf) read() *File {
	s.t.Helper()
	f, err := s.disk.Read(s.path, 1<<20)
	if err != nil {
		s.t.Fatal(err)
	}
	return f
}

// falsify makes what is remembered of the file another: where it is returned, the file was not read again.
func (s *shelf) falsify(f *File) {
	f.sum = [32]byte{1}
}

// What was read is believed only once the file has looked the same for some time: a content may change twice in one tick of a file system's clock.
func TestDiskBelieves(t *testing.T) {
	s := newShelf(t)
	s.write("one\n")
	f := s.read()
	s.falsify(f)
	s.now += settled - 1
	if g := s.read(); g == f {
		t.Error("a file that may have been written in the tick in which it was read is believed")
	} else if g.sum != sha256.Sum256([]byte("one\n")) {
		t.Error("it is another")
	} else {
		f = g
	}
	s.now++
	if g := s.read(); g != f { // read again, and from now on believed
		t.Error("the same content is another file")
	}
	s.falsify(f)
	if g := s.read(); g != f {
		t.Error("a file that did not change was read again")
	}
	// Nothing is believed of what nobody uses.
	f = nil
	runtime.GC()
	runtime.GC()
	if g := s.read(); g.sum != sha256.Sum256([]byte("one\n")) {
		t.Error("it is kept although nobody uses it")
	}
}

// Of a large file the content is not kept, and one that has changed can't be read any more.
func TestDiskKeepsNothingLarge(t *testing.T) {
	s := newShelf(t)
	s.write(strings.Repeat("x", small+1))
	f := s.read()
	if f.InMemory() {
		t.Error("it is in memory")
	}
	s.write(strings.Repeat("y", small+1))
	var changed *ChangedError
	if _, err := f.Read(); !errors.As(err, &changed) || changed.Hint() == "" {
		t.Errorf("%v", err)
	}
}

// Each way to change a file is seen, times that are set back included.
func TestDiskSeesChanges(t *testing.T) {
	for what, change := range map[string]func(s *shelf) error{
		"written in its place": func(s *shelf) error { return os.WriteFile(s.path, []byte("two\n"), 0o600) },
		"replaced, with the old time": func(s *shelf) error {
			info, err := os.Stat(s.path)
			if err != nil {
				return err
			}
			return errors.Join(os.WriteFile(s.path+"-", []byte("two\n"), 0o600), os.Chtimes(s.path+"-", info.ModTime(), info.ModTime()), os.Rename(s.path+"-", s.path))
		},
		"written, with the old time": func(s *shelf) error {
			info, err := os.Stat(s.path)
			if err != nil {
				return err
			}
			return errors.Join(os.WriteFile(s.path, []byte("two\n"), 0o600), os.Chtimes(s.path, info.ModTime(), info.ModTime()))
		},
		"longer": func(s *shelf) error { return os.WriteFile(s.path, []byte("two \n"), 0o600) },
	} {
		s := newShelf(t)
		s.write("one\n")
		old := time.Now().Add(-time.Hour) // the change is of another tick
		if err := os.Chtimes(s.path, old, old); err != nil {
			t.Fatal(err)
		}
		s.read()
		s.now += settled
		f := s.read()
		for until := time.Now().Add(20 * time.Millisecond); time.Now().Before(until); { // of another tick than the inode's time
		}
		if err := change(s); err != nil {
			t.Fatal(err)
		}
		g := s.read()
		content, err := g.Read()
		if g == f || err != nil || !strings.HasPrefix(string(content), "two") {
			t.Errorf("%s: %q, %v", what, content, err)
		}
		if was, err := f.Read(); err != nil || string(was) != "one\n" {
			t.Errorf("%s: what was read before is %q, %v", what, was, err)
		}
	}
}

// What is too large is refused before it is read; what grows is refused then, and so is a pipe.
func TestDiskLimits(t *testing.T) {
	s := newShelf(t)
	s.write("")
	if err := os.Truncate(s.path, 1<<40); err != nil { // reading it would take minutes
		t.Skip(err)
	}
	for _, d := range []*Disk{s.disk, nil} {
		_, err := d.Read(s.path, 8<<20)
		var large *TooLargeError
		if !errors.As(err, &large) || large.Size != 1<<40 || !strings.HasSuffix(err.Error(), "has 1099511627776 octets, at most 8388608") {
			t.Errorf("%v", err)
		}
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skip(err)
	}
	for size, fits := range map[int]bool{10: true, 11: false} {
		go func() { _ = os.WriteFile(pipe, make([]byte, size), 0) }()
		f, err := s.disk.Read(pipe, 10)
		if (err == nil) != fits || fits && (f.Size() != 10 || !f.InMemory()) {
			t.Errorf("a pipe of %d octets: %v", size, err)
		}
	}
	if _, err := s.disk.Read(filepath.Join(s.path, "none"), 1); err == nil {
		t.Error("there is none")
	}
}

// A content that is not what it was is an error at the end of it, whichever way it is read.
func TestChanged(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789\n"), 20_000)
	sum := sha256.Sum256(content)
	for what, c := range map[string]struct {
		now  []byte
		fits bool
	}{
		"the same": {content, true}, "shorter": {content[1:], false}, "longer": {append(content[:len(content):len(content)], 'x'), false},
		"another": {bytes.Replace(content, []byte("9"), []byte("8"), 1), false}, "gone": {nil, false},
	} {
		f := At(sum, int64(len(content)), func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(c.now)), nil })
		got, err := f.Read()
		var changed *ChangedError
		if (err == nil) != c.fits || c.fits && !bytes.Equal(got, content) || !c.fits && !errors.As(err, &changed) {
			t.Errorf("%s, at once: %d octets, %v", what, len(got), err)
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); (err == nil) != c.fits {
			t.Errorf("%s, as a stream: %v", what, err)
		}
		reads := 0
		for range 2 {
			_, err = Made(f, func(b []byte) (int, error) { reads++; return len(b), nil })
		}
		if (err == nil) != c.fits || c.fits != (reads == 1) {
			t.Errorf("%s: read %d times, %v", what, reads, err)
		}
	}
}

// trusted is a reader that says that it checks what it reads.
type trusted struct{ io.Reader }

func (trusted) Verified()    {}
func (trusted) Close() error { return nil }

// A content that is longer than it was is another one, also where it is not this package that checks it, and is never none without an error.
func TestLonger(t *testing.T) {
	for content, fits := range map[string]bool{"one": true, "one ": false, "on": false} {
		f := At(sha256.Sum256([]byte("one")), 3, func() (io.ReadCloser, error) { return trusted{strings.NewReader(content)}, nil })
		got, err := f.Read()
		var changed *ChangedError
		if fits != (err == nil) || fits && string(got) != "one" || !fits && !errors.As(err, &changed) {
			t.Errorf("%q: %q, %v", content, got, err)
		}
	}
}
