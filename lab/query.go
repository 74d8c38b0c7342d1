package lab

import (
	"encoding/binary"
	"errors"

	"github.com/ananas-edge/ananas/dns"
)

// EDNS option codes that servers of the lab know.
const (
	optionCookie  = 10 // RFC 7873
	optionPadding = 12 // RFC 7830
)

const (
	headerLen   = 12
	plainUDPMax = 512 // octets of a UDP message without EDNS (RFC 1035 section 2.3.4)
)

// Bits of the second word of the header.
const (
	flagQR = 1 << 15
	flagAA = 1 << 10
	flagTC = 1 << 9
	flagRD = 1 << 8
	flagRA = 1 << 7
	flagCD = 1 << 4
)

// query is one question as a server of the lab reads it.
type query struct {
	id     uint16
	flags  uint16
	opcode dns.Opcode
	name   dns.Name // in lower case
	sent   []byte   // the question section as it was sent, with its case
	qtype  dns.Type
	class  dns.Class
	bad    bool // the message is malformed beyond the header: FORMERR

	edns    bool
	version uint8
	size    int // what the client takes over UDP, at least 512
	do, co  bool
	cookie  []byte // data of the COOKIE option
	options []byte // all options as they were sent
	unknown bool   // options other than COOKIE and padding
}

// errNotAsked is for messages that get no reply at all: too short for a header, or replies themselves.
var errNotAsked = errors.New("no question: shorter than a header, or a reply")

// parseQuery reads a message. A malformed one has bad set and what could be read; the error is for what no server answers.
func parseQuery(msg []byte) (query, error) {
	if len(msg) < headerLen {
		return query{}, errNotAsked
	}
	q := query{id: binary.BigEndian.Uint16(msg), flags: binary.BigEndian.Uint16(msg[2:]), size: plainUDPMax}
	if q.flags&flagQR != 0 {
		return query{}, errNotAsked
	}
	q.opcode = dns.Opcode(q.flags >> 11 & 0xF)
	q.bad = !q.parseBody(msg)
	return q, nil
}

func (q *query) parseBody(msg []byte) bool {
	count := func(i int) int { return int(binary.BigEndian.Uint16(msg[4+2*i:])) }
	if count(0) != 1 {
		return false
	}
	name, off, err := dns.UnpackName(msg, headerLen)
	// A pointer in the first name could only point into the header.
	if err != nil || off != headerLen+name.Len() || off+4 > len(msg) {
		return false
	}
	q.name = name.Lower()
	q.qtype = dns.Type(binary.BigEndian.Uint16(msg[off:]))
	q.class = dns.Class(binary.BigEndian.Uint16(msg[off+2:]))
	off += 4
	q.sent = msg[headerLen:off:off]
	for range count(1) + count(2) + count(3) {
		owner, next, err := dns.UnpackName(msg, off)
		if err != nil || next+10 > len(msg) {
			return false
		}
		off = next + 10
		length := int(binary.BigEndian.Uint16(msg[off-2:]))
		if off+length > len(msg) {
			return false
		}
		data := msg[off : off+length : off+length]
		off += length
		if dns.Type(binary.BigEndian.Uint16(msg[next:])) != dns.TypeOPT {
			continue
		}
		if q.edns || !owner.IsRoot() || !q.parseOPT(msg[next:off], data) { // a second OPT is an error (RFC 6891 section 6.1.1)
			return false
		}
	}
	return off == len(msg)
}

// parseOPT reads the fixed part of the OPT record (without its name) and its options.
func (q *query) parseOPT(fixed, data []byte) bool {
	q.edns = true
	q.size = max(plainUDPMax, int(binary.BigEndian.Uint16(fixed[2:])))
	q.version = fixed[5]
	q.do, q.co = fixed[6]&0x80 != 0, fixed[6]&0x40 != 0
	q.options = data
	for len(data) > 0 {
		if len(data) < 4 {
			return false
		}
		code, length := binary.BigEndian.Uint16(data), int(binary.BigEndian.Uint16(data[2:]))
		if 4+length > len(data) {
			return false
		}
		value := data[4 : 4+length]
		data = data[4+length:]
		switch code {
		case optionCookie:
			if length != 8 && (length < 16 || length > 40) { // RFC 7873 section 5.2.2
				return false
			}
			q.cookie = value
		case optionPadding:
		default:
			q.unknown = true
		}
	}
	return true
}
