package listen

import (
	"encoding/binary"
	"errors"

	"github.com/ananas-edge/ananas/dns"
)

const (
	lengthLen = 2                             // octets of length before a message on a stream (RFC 1035 section 4.2.2)
	maxFrame  = lengthLen + dns.MaxMessageLen // the longest frame
	// frameBuffer is the room of a connection that sends nothing unusual: some sixty queries.
	frameBuffer = 4096
)

var errShortMessage = errors.New("message is shorter than a header")

// frames splits a stream into messages. Octets are read into space, then next gives the messages that are whole. It
// allocates by what has arrived, never by what a length promises.
type frames struct {
	buf  []byte
	r, w int // buf[r:w] is unread
}

// next returns the next whole message, without its length; ok is false if there is none yet. The message is valid until
// space is called. A length of less than a header, zero included, is an error: nobody means anything by it, and after it
// nothing is believed.
func (f *frames) next() (message []byte, ok bool, err error) {
	unread := f.buf[f.r:f.w]
	if len(unread) < lengthLen {
		return nil, false, nil
	}
	n := int(binary.BigEndian.Uint16(unread))
	if n < dns.HeaderLen {
		return nil, false, errShortMessage
	}
	if len(unread) < lengthLen+n {
		return nil, false, nil
	}
	f.r += lengthLen + n
	return unread[lengthLen : lengthLen+n : lengthLen+n], true, nil
}

// space returns where to read to, at least one octet. It must be called only when next has nothing to give.
func (f *frames) space() []byte {
	if f.r > 0 { // once a message, however small the pieces are that it comes in
		f.w = copy(f.buf, f.buf[f.r:f.w])
		f.r = 0
	}
	switch {
	case f.buf == nil, f.w == 0 && len(f.buf) > frameBuffer:
		f.buf = make([]byte, frameBuffer)
	case f.w == len(f.buf):
		grown := make([]byte, min(2*f.w, maxFrame)) // full without a whole message, so less than maxFrame
		copy(grown, f.buf)
		f.buf = grown
	}
	return f.buf[f.w:]
}

// wrote tells that n octets have been read into space.
func (f *frames) wrote(n int) { f.w += n }

// partial tells whether there are octets of a message that is not whole.
func (f *frames) partial() bool { return f.w > f.r }

// appendFrame appends a message with its length, of at most 65,535 octets.
func appendFrame(b, message []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(message)))
	return append(b, message...)
}
