package plugin

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// What is written into a guest's memory and read from it, octet for octet as docs/module-abi.md has it, version 1. All numbers are little-endian, as WebAssembly's are.

// Lengths of the fixed parts, which each record begins with.
const (
	queryHead   = 40
	answerHead  = 24
	verdictHead = 24

	// queryBuffer is the size of the buffer that a module is asked for: the query record with the longest name, or a verdict with text and some records.
	queryBuffer = 4096
	// answerBuffer is that for phase answer: an answer of the largest size, and the heads.
	answerBuffer = 73_728

	maxText = 1024 // octets of the text of an extended error
	maxTag  = 63   // octets of a tag, or of a group's name
)

// Bits of a query's flags.
const (
	askRD = 1 << iota
	askCD
	askAD
	askDO
)

// Query is what a module is asked about.
type Query struct {
	Name      []byte // wire form (RFC 1035 section 3.1), in small letters
	Type      dns.Type
	Flags     dns.Flags
	DO        bool
	Transport uint8 // 0 UDP, 1 TCP
	Client    netip.Addr
	Tenant    string // the client's; "" is none

	Now  int64  // wall time, in nanoseconds since 1970
	Seed uint64 // of random numbers

	// Said is what modules have said of it before: they are not asked again. nil: nothing.
	Said *Said

	// Groups tells which groups there are that a verdict may send the query to. nil: any.
	Groups interface{ HasGroup(name string) bool }

	// Shown notes what modules of phase answer are shown. nil: nobody wants to know.
	Shown *Shown

	// Resolve asks for something else within the budget of the client's query, and waits. nil: nothing may be asked now.
	Resolve func(dns.Name, dns.Type) (*Reply, error)
}

// sees is how much of a client's address a module sees.
type sees uint8

const (
	seesNobody sees = iota // of modules that are pure
	seesPrefix             // the /24 of an IPv4 address, the /56 of an IPv6 address: an office, a home
	seesClient             // all of it, by the grant client
)

// appendQuery writes a query record.
func (q *Query) appendQuery(b []byte, to sees) []byte {
	var h [queryHead]byte
	binary.LittleEndian.PutUint16(h[0:], queryHead)
	if to != seesNobody { // what is kept is given to whoever asks, in whatever way
		h[2] = q.Transport
		h[3] = bit(q.Flags&dns.FlagRD != 0, askRD) | bit(q.Flags&dns.FlagCD != 0, askCD) | bit(q.Flags&dns.FlagAD != 0, askAD) | bit(q.DO, askDO)
	}
	binary.LittleEndian.PutUint16(h[4:], uint16(q.Type))
	binary.LittleEndian.PutUint16(h[6:], uint16(dns.ClassINET))
	binary.LittleEndian.PutUint16(h[10:], uint16(len(q.Name)))
	if to != seesNobody && q.Client.IsValid() {
		if a := q.Client.Unmap(); a.Is4() {
			four := a.As4()
			h[8], h[9] = 4, 32
			if to == seesPrefix {
				h[9], four[3] = 24, 0
			}
			copy(h[16:], four[:])
		} else {
			sixteen := a.As16()
			h[8], h[9] = 6, 128
			if to == seesPrefix {
				h[9] = 56
				clear(sixteen[7:])
			}
			copy(h[16:], sixteen[:])
		}
	}
	if to == seesNobody {
		return append(append(b, h[:]...), q.Name...)
	}
	binary.LittleEndian.PutUint16(h[12:], uint16(len(q.Tenant)))
	return append(append(append(b, h[:]...), q.Name...), q.Tenant...)
}

func bit(set bool, bit byte) byte {
	if set {
		return bit
	}
	return 0
}

// Action is what a module wants done.
type Action uint8

// The actions.
const (
	GoOn     Action = iota // as if it were not there
	Answer                 // these records; at phase answer in place of those that there are
	NXDomain               // the name does not exist
	NoData                 // it has no such records
	Address                // these addresses; no records of other types
	Refuse                 // REFUSED
	Drop                   // no answer at all
	Rewrite                // what another name has, behind an alias to it
	actions
)

func (a Action) String() string {
	return [...]string{"go on", "answer", "NXDOMAIN", "NODATA", "address", "REFUSED", "drop", "rewrite"}[a]
}

// sayBypass is the bit of a verdict's flags by which the cache is passed by.
const sayBypass = 1

// Verdict is what a module says of a query. The zero value lets it go on.
type Verdict struct {
	Action  Action
	Bypass  bool     // neither what is cached nor what is kept may be used
	EDE     *dns.EDE // nil: none
	TTL     uint32   // seconds, of what the host makes
	Addrs   []netip.Addr
	Name    dns.Name // of Rewrite
	Records []dns.RR // of Answer; of NXDomain and NoData none, or the SOA record of the zone
	Group   string   // whose servers are to be asked; "" is none
	GroupBy string   // the module that has said so
	Tag     string   // for logs and views; "" is none
	TagBy   string   // the module that has said so
	Module  string   // whose it is
	Place   uint8    // where that runs, among all plugins of the settings, from 1; 0: that is not known
	Failed  bool     // a module failed and was passed over this time: what comes of the query may not be kept
}

// String is the verdict in words.
func (v Verdict) String() string {
	out := v.Action.String()
	switch v.Action {
	case Rewrite:
		out += " " + v.Name.String()
	case Address:
		for _, a := range v.Addrs {
			out += " " + a.String()
		}
	case Answer:
		out += fmt.Sprintf(" with %d records", len(v.Records))
	}
	if v.EDE != nil {
		out += ", " + v.EDE.Code.String()
		if v.EDE.Text != "" {
			out += ": " + v.EDE.Text
		}
	}
	if v.Bypass {
		out += ", past the cache"
	}
	if v.Group != "" {
		out += ", to group " + v.Group
	}
	if v.Tag != "" {
		out += ", tagged " + v.Tag
	}
	return out
}

// maxTTL is the longest time that a verdict may be kept, in seconds: a day, as answers of the world are.
const maxTTL = 86400

var errVerdict = errors.New("what it returned is no verdict")

// parseVerdict reads what a module returned for a question of that name.
func parseVerdict(b []byte, owner dns.Name) (v Verdict, err error) {
	if len(b) == 0 {
		return v, nil
	}
	le := binary.LittleEndian
	if len(b) < verdictHead {
		return v, errVerdict
	}
	head := int(le.Uint16(b))
	if head < verdictHead || head > len(b) || Action(b[2]) >= actions {
		return v, errVerdict
	}
	v.Action, v.Bypass = Action(b[2]), b[3]&sayBypass != 0
	v.TTL = min(le.Uint32(b[8:]), maxTTL)
	text, group, tag, data := int(le.Uint16(b[6:])), int(le.Uint16(b[12:])), int(le.Uint16(b[14:])), int(le.Uint32(b[16:]))
	rest := b[head:]
	if text > maxText || group > maxTag || tag > maxTag || data > len(rest) || text+group+tag+data != len(rest) {
		return v, errVerdict
	}
	if code := le.Uint16(b[4:]); code > 0 {
		v.EDE = &dns.EDE{Code: dns.EDECode(code - 1), Text: printable(rest[:text])}
	}
	rest = rest[text:]
	v.Group, v.Tag = printable(rest[:group]), printable(rest[group:group+tag])
	rest = rest[group+tag:]
	switch v.Action {
	case Address:
		v.Addrs, err = parseAddrs(rest)
	case Rewrite:
		if v.Name, err = parseName(rest); err == nil && v.Name.Equal(owner) {
			err = errors.New("an alias to the name itself")
		}
	case Answer:
		v.Records, err = parseRecords(rest)
	case NXDomain, NoData:
		v.Records, err = parseDenial(rest, owner)
	default:
		if len(rest) > 0 {
			err = errVerdict
		}
	}
	if err != nil {
		return Verdict{}, fmt.Errorf("%w: %v: %w", errVerdict, v.Action, err)
	}
	return v, nil
}

// goesOn tells whether what a module returned is a verdict by which a query goes on as if it were not there, and the tag that it gave.
func goesOn(b []byte) (tag []byte, ok bool) {
	if len(b) == 0 {
		return nil, true
	}
	le := binary.LittleEndian
	if len(b) < verdictHead || Action(b[2]) != GoOn || b[3]&sayBypass != 0 {
		return nil, false
	}
	head, text, group, size, data := int(le.Uint16(b)), int(le.Uint16(b[6:])), le.Uint16(b[12:]), int(le.Uint16(b[14:])), le.Uint32(b[16:])
	if head < verdictHead || head > len(b) || text > maxText || group != 0 || size > maxTag || data != 0 || text+size != len(b)-head {
		return nil, false
	}
	return b[len(b)-size:], true
}

// printable is a text of a guest as people may see it.
func printable(b []byte) string {
	out := make([]byte, 0, len(b))
	for _, c := range b {
		if c < ' ' || c > '~' {
			c = '?'
		}
		out = append(out, c)
	}
	return string(out)
}

// maxAddrs is how many addresses of one kind a verdict may have: more fit into no answer over UDP.
const maxAddrs = 32

// parseAddrs reads how many addresses of 4 octets there are, how many of 16, and those.
func parseAddrs(b []byte) (all []netip.Addr, err error) {
	if len(b) < 2 || b[0] > maxAddrs || b[1] > maxAddrs || len(b) != 2+4*int(b[0])+16*int(b[1]) {
		return nil, errVerdict
	}
	rest := b[2:]
	for range b[0] {
		all, rest = append(all, netip.AddrFrom4([4]byte(rest))), rest[4:]
	}
	for range b[1] {
		all, rest = append(all, netip.AddrFrom16([16]byte(rest))), rest[16:]
	}
	return all, nil
}

// parseName reads a name that fills b, without pointers.
func parseName(b []byte) (dns.Name, error) {
	name, _, err := dns.UnpackName(b, 0)
	if err == nil && name.Len() != len(b) {
		err = errVerdict
	}
	return name, err
}

// maxRecords is how many records an answer of a module may have.
const maxRecords = 4096

// parseRecords reads records in wire form (RFC 1035 section 3.2.1), names uncompressed.
func parseRecords(b []byte) (all []dns.RR, err error) {
	for len(b) > 0 {
		if len(all) == maxRecords {
			return nil, errVerdict
		}
		name, head, err := dns.UnpackName(b, 0)
		if err != nil || head != name.Len() || head+10 > len(b) {
			return nil, errVerdict
		}
		be := binary.BigEndian
		rr := dns.RR{Name: name, Type: dns.Type(be.Uint16(b[head:])), Class: dns.Class(be.Uint16(b[head+2:])), TTL: min(be.Uint32(b[head+4:]), maxTTL)}
		end := head + 10 + int(be.Uint16(b[head+8:]))
		if end > len(b) || rr.Class != dns.ClassINET || rr.Type.IsMeta() || rr.Type == dns.TypeRRSIG {
			return nil, fmt.Errorf("a record of class %v and type %v", rr.Class, rr.Type)
		}
		rr.Data = append([]byte(nil), b[head+10:end]...)
		if err := dns.CheckRdata(rr.Type, rr.Data); err != nil {
			return nil, err
		}
		all = append(all, rr)
		b = b[end:]
	}
	return all, nil
}

// parseDenial reads the SOA record of a zone that the name is in, or nothing.
func parseDenial(b []byte, owner dns.Name) ([]dns.RR, error) {
	all, err := parseRecords(b)
	if err == nil && (len(all) > 1 || len(all) == 1 && (all[0].Type != dns.TypeSOA || !owner.IsWithin(all[0].Name))) {
		err = errors.New("a denial may have one SOA record, of a zone that the name is in")
	}
	return all, err
}

// appendRecord writes one.
func appendRecord(b []byte, rr dns.RR) []byte {
	be := binary.BigEndian
	b = append(b, rr.Name.Wire()...)
	b = be.AppendUint16(be.AppendUint16(b, uint16(rr.Type)), uint16(rr.Class))
	b = be.AppendUint16(be.AppendUint32(b, rr.TTL), uint16(len(rr.Data)))
	return append(b, rr.Data...)
}

// Reply is an answer as modules of phase answer see it.
type Reply struct {
	RCode    dns.RCode
	Security cache.Security
	Cached   bool // nobody was asked for it
	Stale    bool
	Made     bool        // here: by a module of phase query, or since the name is a special one
	Sections [3][]dns.RR // answer, authority, additional
}

// Bits of an answer's flags.
const (
	fromCache = 1 << iota
	fromStale
	fromHere
)

// appendReply writes an answer record.
func (rep *Reply) appendReply(b []byte, q *Query, to sees) []byte {
	at := len(b)
	b = append(b, make([]byte, answerHead)...)
	le := binary.LittleEndian
	le.PutUint16(b[at:], answerHead)
	le.PutUint16(b[at+2:], uint16(rep.RCode))
	switch rep.Security {
	case cache.Insecure:
		b[at+4] = 1
	case cache.Secure:
		b[at+4] = 2
	}
	b[at+5] = bit(rep.Cached, fromCache) | bit(rep.Stale, fromStale) | bit(rep.Made, fromHere)
	b = q.appendQuery(b, to)
	le.PutUint16(b[at+6:], uint16(len(b)-at-answerHead))
	from := len(b)
	for i, section := range rep.Sections {
		le.PutUint16(b[at+8+2*i:], uint16(len(section)))
		for _, rr := range section {
			b = appendRecord(b, rr)
		}
	}
	le.PutUint32(b[at+16:], uint32(len(b)-from))
	return b
}
