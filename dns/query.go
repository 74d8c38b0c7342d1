package dns

import (
	"encoding/binary"
	"errors"
)

// Query is what a client sent, as far as a resolver needs it. It aliases the packet.
type Query struct {
	ID     uint16
	Flags  Flags
	Opcode Opcode

	// QName is in uncompressed wire form, case as it came; nil if there is no question (a query for a cookie alone, RFC 7873
	// section 5.4).
	QName []byte
	Type  Type
	Class Class
	// QEnd is the offset after the question; packet[HeaderLen:QEnd] can be copied into the answer as it is.
	QEnd int

	EDNS    EDNS
	HasEDNS bool
	TSIG    bool // a TSIG record was there; no key is known here
}

// What a query can be refused for.
var (
	ErrNotQuery  = errors.New("message is a response") // never answered, or two servers would answer each other for ever
	ErrQuestions = errors.New("a query has exactly one question")
	ErrSections  = errors.New("a query has no answer or authority records")
	ErrQName     = errors.New("question name is malformed or compressed")
	ErrTrailing  = errors.New("octets follow the last record")
)

// ParseQuery reads a query. With [ErrShortHeader] or [ErrNotQuery] the packet must be dropped; with any other error q holds the
// header, so that FORMERR can be sent. An opcode other than QUERY is not parsed past the header.
func ParseQuery(b []byte) (q Query, err error) {
	h, err := ParseHeader(b)
	if err != nil {
		return q, err
	}
	q = Query{ID: h.ID, Flags: h.Flags, Opcode: h.Flags.Opcode(), QEnd: HeaderLen}
	if h.Flags&FlagQR != 0 {
		return q, ErrNotQuery
	}
	if q.Opcode != OpcodeQuery {
		return q, nil
	}
	if h.QDCount > 1 {
		return q, ErrQuestions
	}
	if h.ANCount != 0 || h.NSCount != 0 {
		return q, ErrSections
	}
	off := HeaderLen
	if h.QDCount == 1 {
		end, err := skipName(b, off)
		if err != nil {
			return q, ErrQName
		}
		if end+4 > len(b) {
			return q, ErrShort
		}
		q.QName = b[off:end:end]
		q.Type = Type(binary.BigEndian.Uint16(b[end:]))
		q.Class = Class(binary.BigEndian.Uint16(b[end+2:]))
		off = end + 4
		q.QEnd = off
	}
	for range h.ARCount {
		if off, err = q.additional(b, off); err != nil {
			return q, err
		}
	}
	if off != len(b) {
		return q, ErrTrailing
	}
	if q.QName == nil && !q.mayLackQuestion() {
		return q, ErrQuestions
	}
	return q, nil
}

// mayLackQuestion tells whether the OPT record is why the query was sent: for a cookie, or to hear which versions of EDNS are known.
func (q *Query) mayLackQuestion() bool {
	if q.EDNS.Version != 0 {
		return true
	}
	_, ok := q.EDNS.Options.Find(OptionCookie)
	return ok
}

// additional reads one record of the additional section and returns the offset after it.
func (q *Query) additional(b []byte, off int) (int, error) {
	root := off < len(b) && b[off] == 0
	if root {
		off++
	} else {
		var buf [MaxNameLen]byte
		_, next, err := appendName(buf[:0], b, off)
		if err != nil {
			return 0, err
		}
		off = next
	}
	if off+10 > len(b) {
		return 0, ErrShort
	}
	t := Type(binary.BigEndian.Uint16(b[off:]))
	end := off + 10 + int(binary.BigEndian.Uint16(b[off+8:]))
	if end > len(b) {
		return 0, ErrShort
	}
	switch t {
	case TypeOPT:
		if q.HasEDNS {
			return 0, errManyOPT
		}
		if !root {
			return 0, errOPTName
		}
		q.HasEDNS = true
		q.EDNS = ednsOf(binary.BigEndian.Uint16(b[off+2:]), binary.BigEndian.Uint32(b[off+4:]), b[off+10:end:end])
		return end, q.EDNS.check()
	case TypeTSIG:
		q.TSIG = true
	}
	return end, nil
}

// Name returns the question's name, case as it came; no name if there is no question. It allocates.
func (q *Query) Name() Name { return Name{string(q.QName)} }

// AppendQuestion writes a whole query with one question to b: the name with its case as given, RD and CD as in flags, and an OPT
// record unless udpSize is 0.
func AppendQuestion(b []byte, id uint16, flags Flags, q Question, udpSize uint16, do bool, o Options) []byte {
	ar := byte(0)
	if udpSize > 0 {
		ar = 1
	}
	b = append(b, byte(id>>8), byte(id), byte(flags>>8), byte(flags), 0, 1, 0, 0, 0, 0, 0, ar)
	b = append(b, q.Name.wire...)
	b = binary.BigEndian.AppendUint16(b, uint16(q.Type))
	b = binary.BigEndian.AppendUint16(b, uint16(q.Class))
	if udpSize > 0 {
		var z byte
		if do {
			z = 0x80
		}
		b = append(b, 0, 0, byte(TypeOPT), byte(udpSize>>8), byte(udpSize), 0, 0, z, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(len(o)))
		b = append(b, o...)
	}
	return b
}
