package namedfile

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"runtime"
	"sync"
)

// File is the content of a file. It does not change: where what lies there is another by now, reading it is an error.
type File struct {
	sum  [sha256.Size]byte
	size int64
	kept bool
	open func() (io.ReadCloser, error)

	mu   sync.Mutex
	made any // see Made
}

// Of is the file of a content that is in memory, and stays there as long as the file does. It must not be changed.
func Of(content []byte) *File {
	return &File{sum: sha256.Sum256(content), size: int64(len(content)), kept: true, open: func() (io.ReadCloser, error) { return inMemory{bytes.NewReader(content), content}, nil }}
}

// verified is a reader that is known to end with an error where the content has another digest.
type verified interface{ Verified() }

// All are the files of contents by their names, as Of makes each.
func All(contents map[string][]byte) map[string]*File {
	all := make(map[string]*File, len(contents))
	for name, content := range contents {
		all[name] = Of(content)
	}
	return all
}

// At is a file that lies elsewhere: open reads it from its beginning. What is read is held against the digest, if what open returns does not do it, and says so by a method Verified.
func At(sum [sha256.Size]byte, size int64, open func() (io.ReadCloser, error)) *File {
	return &File{sum: sum, size: size, open: open}
}

// Sum is the SHA-256 of the content.
func (f *File) Sum() [sha256.Size]byte { return f.sum }

// Size is the length of the content in octets.
func (f *File) Size() int64 { return f.size }

// InMemory tells whether the content is kept in memory.
func (f *File) InMemory() bool { return f.kept }

// Open reads the content as a stream, from its beginning. Where it is not what it was, the end of the stream is an error, most often a [*ChangedError].
func (f *File) Open() (io.ReadCloser, error) {
	r, err := f.open()
	if err != nil {
		return nil, err
	}
	if _, ok := r.(verified); ok {
		return r, nil
	}
	return &checked{r: r, f: f, sum: sha256.New()}, nil
}

// Read returns the whole content, which the caller must not change.
func (f *File) Read() ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if m, ok := r.(inMemory); ok {
		return m.content, nil
	}
	b := make([]byte, f.size)
	if _, err := io.ReadFull(r, b); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = &ChangedError{f.sum}
		}
		return nil, err
	}
	switch _, err := io.ReadFull(r, make([]byte, 1)); err {
	case io.EOF:
		return b, nil
	case nil: // it is longer
		return nil, &ChangedError{f.sum}
	default:
		return nil, err
	}
}

// AtMost is f, or a [*TooLargeError] with its name if it has more octets than that.
func (f *File) AtMost(name string, most int64) (*File, error) {
	if f.size > most {
		return nil, &TooLargeError{name, f.size, most}
	}
	return f, nil
}

// Made returns what read makes of the content. It is made once, and kept with the file: who reads the same settings again has it already. An error is not kept.
func Made[T any](f *File, read func(content []byte) (T, error)) (T, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if made, ok := f.made.(T); ok {
		return made, nil
	}
	content, err := f.Read()
	if err != nil {
		var none T
		return none, err
	}
	made, err := read(content)
	if err == nil {
		f.made = made
	}
	return made, err
}

// ChangedError says that what lies there is another content than it was.
type ChangedError struct{ Sum [sha256.Size]byte }

func (e *ChangedError) Error() string {
	return fmt.Sprintf("its content has changed since it was looked at, or while it was read: it had the SHA-256 %x", e.Sum[:8])
}

// Hint says what to do.
func (*ChangedError) Hint() string { return "reload again when it is written" }

// inMemory reads a content that is kept.
type inMemory struct {
	*bytes.Reader
	content []byte
}

// Verified says that nobody changes it.
func (inMemory) Verified() {}

// Close does nothing.
func (inMemory) Close() error { return nil }

// checked holds what is read against the digest: the end comes as such only if it is right.
type checked struct {
	r   io.ReadCloser
	f   *File
	sum hash.Hash
	n   int64
	end error
}

// piece is how much is hashed in one step, in octets: 40 us, in which nobody else has the processor.
const piece = 64 << 10

// Read is that of io.Reader.
func (c *checked) Read(b []byte) (int, error) {
	if c.end != nil {
		return 0, c.end
	}
	runtime.Gosched() // the loops that answer queries may wait for this processor
	n, err := c.r.Read(b[:min(len(b), piece)])
	c.sum.Write(b[:n])
	c.n += int64(n)
	switch {
	case c.n > c.f.size:
		c.end = &ChangedError{c.f.sum}
		return 0, c.end
	case errors.Is(err, io.EOF):
		if c.end = io.EOF; [sha256.Size]byte(c.sum.Sum(nil)) != c.f.sum {
			c.end = &ChangedError{c.f.sum}
		}
		return n, c.end
	}
	return n, err
}

// Close is that of io.Closer.
func (c *checked) Close() error { return c.r.Close() }
