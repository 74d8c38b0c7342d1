package dns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Sizes of messages, in octets.
const (
	HeaderLen     = 12
	MinUDPPayload = 512   // what every peer can take without EDNS (RFC 1035 section 4.2.1)
	MaxMessageLen = 65535 // what the two octets of length over TCP can say
)

// Flags are the third and fourth octet of a header (RFC 1035 section 4.1.1, RFC 4035 for AD and CD).
type Flags uint16

// The bits of Flags.
const (
	FlagQR Flags = 1 << 15
	FlagAA Flags = 1 << 10
	FlagTC Flags = 1 << 9
	FlagRD Flags = 1 << 8
	FlagRA Flags = 1 << 7
	FlagZ  Flags = 1 << 6
	FlagAD Flags = 1 << 5
	FlagCD Flags = 1 << 4
)

// Opcode returns bits 11 to 14.
func (f Flags) Opcode() Opcode { return Opcode(f >> 11 & 15) }

// RCode returns the lower four bits; EDNS may add more.
func (f Flags) RCode() RCode { return RCode(f & 15) }

// Header is the first twelve octets of a message.
type Header struct {
	ID                                 uint16
	Flags                              Flags
	QDCount, ANCount, NSCount, ARCount uint16
}

// ErrShortHeader says that a packet is too short to be answered at all.
var ErrShortHeader = errors.New("message is shorter than a header of 12 octets")

// ParseHeader reads the header of b.
func ParseHeader(b []byte) (Header, error) {
	if len(b) < HeaderLen {
		return Header{}, ErrShortHeader
	}
	u := func(i int) uint16 { return binary.BigEndian.Uint16(b[i:]) }
	return Header{u(0), Flags(u(2)), u(4), u(6), u(8), u(10)}, nil
}

// Question is what a message asks.
type Question struct {
	Name  Name
	Type  Type
	Class Class
}

// String returns "www.example. A" with the class only where it is not IN.
func (q Question) String() string {
	if q.Class == ClassINET {
		return q.Name.String() + " " + q.Type.String()
	}
	return q.Name.String() + " " + q.Class.String() + " " + q.Type.String()
}

// Section names a part of a message that holds records.
type Section uint8

// The sections of RFC 1035 section 4.1.
const (
	Answer Section = iota
	Authority
	Additional
)

var sectionNames = [...]string{"answer", "authority", "additional"}

// String returns the name in lower case.
func (s Section) String() string { return sectionNames[s] }

// Message is a message taken apart. Owner names are in canonical case, names in record data as they came. Record data may
// alias the octets that were parsed. The next Parse into the same Message overwrites Sections, but not names and data: a record that
// was copied out of Sections stays good for as long as those octets do.
type Message struct {
	Header   Header
	Question Question // the first; zero where QDCount is 0. Its name is as it came, case included
	Sections [3][]RR  // without OPT
	EDNS     EDNS
	HasEDNS  bool
	Misfits  int // A and AAAA records whose data is no address: they are left out, and do not make the others worthless

	arena []byte // where expanded record data is kept
	rdata []byte // data being expanded
}

// owners are the owners of a message read so far, by offset: most are a pointer to one of few. 64 hold all names of a referral of 13
// servers, or of a chain of aliases with its signatures; a reply with more makes some of them anew. They are of use only while a message is
// read, and so are no part of it: that would be 1.5 KiB of each one that is kept.
type owners struct {
	names [64]seenName
	seen  int
}

type seenName struct {
	at   int
	name Name
}

// RCode returns the response code, EDNS's bits included.
func (m *Message) RCode() RCode {
	r := m.Header.Flags.RCode()
	if m.HasEDNS {
		r |= RCode(m.EDNS.ExtRCode) << 4
	}
	return r
}

var (
	errManyOPT = errors.New("more than one OPT record")
	errOPTName = errors.New("OPT record not at the root")
	errOPTSect = errors.New("OPT record outside the additional section")
)

// Parse reads a whole message into m, whose memory it reuses. What is malformed anywhere is an error that says where; octets after
// the last record are ignored, as resolvers have always done. On an error m holds what was read so far: the header if there was one.
func Parse(b []byte, m *Message) error {
	h, err := ParseHeader(b)
	m.Header, m.Question, m.EDNS, m.HasEDNS, m.Misfits = h, Question{}, EDNS{}, false, 0
	m.arena = nil // records handed out earlier may still be in use
	for i := range m.Sections {
		m.Sections[i] = m.Sections[i][:0]
	}
	if err != nil {
		return err
	}
	var o owners
	off := HeaderLen
	for i := range int(h.QDCount) {
		var q Question
		if q.Name, off, err = UnpackName(b, off); err != nil {
			return fmt.Errorf("reading question: %w", err)
		}
		if off+4 > len(b) {
			return fmt.Errorf("reading question: %w", ErrShort)
		}
		q.Type = Type(binary.BigEndian.Uint16(b[off:]))
		q.Class = Class(binary.BigEndian.Uint16(b[off+2:]))
		off += 4
		if i == 0 {
			m.Question = q
			if q.Name.upperAt() < 0 { // then it can serve as the owner that most answers point to
				o.remember(HeaderLen, q.Name)
			}
		}
	}
	for s, n := range [...]uint16{h.ANCount, h.NSCount, h.ARCount} {
		m.Sections[s] = slices.Grow(m.Sections[s], min(int(n), (len(b)-off)/minRecord))
		for i := range int(n) {
			if off, err = m.record(b, off, Section(s), &o); err != nil {
				return fmt.Errorf("reading record %d of the %v section: %w", i+1, Section(s), err)
			}
		}
	}
	return nil
}

// minRecord is the length of the shortest record: the root, type, class, TTL, and no data. A header can't promise more of them than there is room for.
const minRecord = 1 + 10

// record reads the record at b[off:] into its section and returns the offset after it.
func (m *Message) record(b []byte, off int, s Section, o *owners) (int, error) {
	name, off, err := o.owner(b, off)
	if err != nil {
		return 0, err
	}
	if off+10 > len(b) {
		return 0, ErrShort
	}
	rr := RR{Name: name, Type: Type(binary.BigEndian.Uint16(b[off:])), Class: Class(binary.BigEndian.Uint16(b[off+2:]))}
	ttl := binary.BigEndian.Uint32(b[off+4:])
	n := int(binary.BigEndian.Uint16(b[off+8:]))
	off += 10
	end := off + n
	if end > len(b) {
		return 0, ErrShort
	}
	if rr.Type == TypeOPT {
		return end, m.opt(b[off:end:end], rr, ttl, s)
	}
	// RFC 2181 section 8: a TTL with the top bit set counts as zero.
	if rr.TTL = ttl; ttl>>31 != 0 {
		rr.TTL = 0
	}
	switch {
	case n == 0 && (rr.Class == ClassANY || rr.Class == ClassNONE): // updates only (RFC 2136 section 2.4); harmless
	case layoutOf(rr.Type).hasNames():
		if m.rdata, err = appendRdata(m.rdata[:0], b, off, n, rr.Type); err != nil {
			return 0, fmt.Errorf("%v %v: %w", name, rr.Type, err)
		}
		rr.Data = m.keep(m.rdata, len(b)-off)
	default:
		rr.Data = b[off:end:end]
		if fits := layoutOf(rr.Type).fits(rr.Data); !fits && (rr.Type == TypeA || rr.Type == TypeAAAA) {
			m.Misfits++
			return end, nil
		} else if !fits {
			return 0, fmt.Errorf("%v %v: %w", name, rr.Type, ErrRDLength)
		}
	}
	m.Sections[s] = append(m.Sections[s], rr)
	return end, nil
}

// moreArena is the octets of the second and further runs of memory of the arena. All data that 64 KiB can expand to, two names of 255
// octets for each 15, takes 34 of them.
const moreArena = 64 << 10

// keep copies data into the arena. Twice the octets that are left to read hold what nearly all messages expand to.
func (m *Message) keep(data []byte, left int) []byte {
	if len(data) > cap(m.arena)-len(m.arena) {
		size := 2 * left
		if m.arena != nil {
			size = moreArena
		}
		m.arena = make([]byte, 0, max(len(data), size))
	}
	start := len(m.arena)
	m.arena = append(m.arena, data...)
	return m.arena[start:len(m.arena):len(m.arena)]
}

func (m *Message) opt(data []byte, rr RR, ttl uint32, s Section) error {
	switch {
	case m.HasEDNS:
		return errManyOPT
	case s != Additional:
		return errOPTSect
	case !rr.Name.IsRoot():
		return errOPTName
	}
	m.HasEDNS = true
	m.EDNS = ednsOf(uint16(rr.Class), ttl, data)
	return m.EDNS.check()
}

// owner reads an owner name in canonical case; names that were read at the same place before are not made anew.
func (o *owners) owner(b []byte, off int) (Name, int, error) {
	at, next := off, 0
	if off+1 < len(b) && b[off] >= 0xC0 {
		at, next = int(b[off]&0x3F)<<8|int(b[off+1]), off+2
		for i := range min(o.seen, len(o.names)) {
			if o.names[i].at == at {
				return o.names[i].name, next, nil
			}
		}
	}
	var buf [MaxNameLen]byte
	w, end, err := appendName(buf[:0], b, off)
	if err != nil {
		return Name{}, 0, err
	}
	lowerInPlace(w)
	n := Name{}
	for i := range min(o.seen, len(o.names)) {
		if o.names[i].name.wire == string(w) {
			n = o.names[i].name
			break
		}
	}
	if n.IsZero() {
		n = Name{string(w)}
	}
	o.remember(at, n)
	return n, end, nil
}

func (o *owners) remember(at int, n Name) {
	o.names[o.seen%len(o.names)] = seenName{at, n}
	o.seen++
}
