package dnstap

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// MaxFrame is the size of a frame in octets, as fstrm's own reader has it: two DNS messages of 64 KiB each, and seven times that for what else a server adds.
const MaxFrame = 1 << 20

// maxControl is the size of a control frame in octets, likewise.
const maxControl = 512

// contentType is what streams of dnstap say that they hold.
const contentType = "protobuf:dnstap.Dnstap"

// Types of control frames.
const (
	controlAccept = 1 + iota
	controlStart
	controlStop
	controlReady
	controlFinish
)

// fieldContentType is the only field that control frames have.
const fieldContentType = 1

// Error is why a stream was read no further.
type Error struct {
	At  int64 // octets before the frame that could not be read: all of them were good
	Err error // io.ErrUnexpectedEOF if the stream ends in the middle of that frame
}

func (e *Error) Error() string {
	if errors.Is(e.Err, io.ErrUnexpectedEOF) {
		return fmt.Sprintf("the stream ends in the middle of the frame that begins at octet %d", e.At)
	}
	return fmt.Sprintf("reading the frame that begins at octet %d: %v", e.At, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Hint says what to do; it may be empty.
func (e *Error) Hint() string {
	switch {
	case errors.Is(e.Err, errCompressed):
		return "decompress it on its way: gunzip -c FILE | ananas ... --dnstap -"
	case errors.Is(e.Err, errForeign):
		return "it has to be what a name server writes as dnstap, or fstrm_capture -t protobuf:dnstap.Dnstap"
	}
	return ""
}

var (
	errForeign    = errors.New("this is no stream of dnstap messages")
	errCompressed = fmt.Errorf("%w: it looks compressed", errForeign)
)

// Reader reads a stream. Its methods are called by one goroutine.
type Reader struct {
	r       *bufio.Reader
	at      int64 // octets read
	began   int64 // of the last frame
	started bool  // a START frame was seen
	stopped bool  // and the STOP frame after it
	frame   []byte
}

// NewReader reads from r. Streams that follow each other, as cat makes of files, are read as one.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReaderSize(r, 64<<10)} }

// At is how many octets were read, the last frame included.
func (r *Reader) At() int64 { return r.at }

// Whole tells whether the stream has ended as its writer ends one. One that has not, and is good up to its end, is still being written, or its writer was ended.
func (r *Reader) Whole() bool { return r.stopped }

// data returns the next data frame, which is valid until the next call. io.EOF is the end; another error is an [*Error].
func (r *Reader) data() ([]byte, error) {
	for {
		r.began = r.at
		n, err := r.length()
		if err == io.EOF {
			if r.at == 0 {
				return nil, &Error{0, fmt.Errorf("%w: it is empty", errForeign)}
			}
			return nil, io.EOF
		}
		switch {
		case err != nil:
			return nil, &Error{r.began, err}
		case n == 0:
			if err := r.control(); err != nil {
				return nil, &Error{r.began, err}
			}
		case !r.started:
			return nil, &Error{r.began, r.foreign(n)}
		case n > MaxFrame:
			return nil, &Error{r.began, fmt.Errorf("it has %d octets, at most %d", n, MaxFrame)}
		default:
			if err := r.fill(int(n)); err != nil {
				return nil, &Error{r.began, err}
			}
			return r.frame, nil
		}
	}
}

// foreign says what a stream is that does not begin with a control frame, by its first four octets.
func (r *Reader) foreign(first uint32) error {
	switch {
	case first>>16 == 0x1f8b, first == 0x28b52ffd, first == 0xfd377a58: // gzip (RFC 1952), Zstandard (RFC 8878), xz
		return errCompressed
	}
	return fmt.Errorf("%w: it does not begin with a START frame", errForeign)
}

// length reads the four octets before each frame.
func (r *Reader) length() (uint32, error) {
	var b [4]byte
	n, err := io.ReadFull(r.r, b[:])
	r.at += int64(n)
	return binary.BigEndian.Uint32(b[:]), err
}

// fill reads the rest of a frame.
func (r *Reader) fill(n int) error {
	if cap(r.frame) < n {
		r.frame = make([]byte, n)
	}
	r.frame = r.frame[:n]
	got, err := io.ReadFull(r.r, r.frame)
	r.at += int64(got)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// control reads a control frame, behind the four octets of zero that announce it.
func (r *Reader) control() error {
	n, err := r.length()
	switch {
	case err == io.EOF:
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	case n < 4 || n > maxControl:
		return fmt.Errorf("a control frame of %d octets; it has 4 to %d", n, maxControl)
	}
	if err := r.fill(int(n)); err != nil {
		return err
	}
	be := binary.BigEndian
	kind, rest := be.Uint32(r.frame), r.frame[4:]
	if kind < controlAccept || kind > controlFinish {
		return fmt.Errorf("a control frame of the unknown type %d", kind)
	}
	if kind == controlStop {
		r.stopped = true
		return nil
	}
	named, fits := false, false
	for len(rest) > 0 {
		if len(rest) < 8 || uint64(be.Uint32(rest[4:])) > uint64(len(rest)-8) {
			return errors.New("a control frame with a field that is longer than it")
		}
		field, value := be.Uint32(rest), rest[8:8+be.Uint32(rest[4:])]
		rest = rest[8+len(value):]
		if field == fieldContentType {
			named, fits = true, fits || string(value) == contentType
			if kind == controlStart && !fits {
				return fmt.Errorf("%w: it holds %.40q", errForeign, value)
			}
		}
	}
	if kind == controlStart {
		if named && !fits {
			return errForeign
		}
		r.started, r.stopped = true, false
	}
	return nil
}
