package lab

import (
	"encoding/binary"
	"errors"

	"github.com/ananas-edge/ananas/dns"
)

// reply is what a server says, before it is a message.
type reply struct {
	rcode      dns.RCode
	aa         bool
	answer     []dns.RRset
	authority  []dns.RRset
	additional []dns.RRset
	needed     int // leading sets of additional without which the reply is truncated: in-domain glue (RFC 9471 section 3)
}

// image is a reply as octets: question in lower case, id and client's flags zero, no OPT. The question's case is patched in later,
// and since every name below it is compressed against it, the whole message then shows the case that was asked.
type image struct {
	msg  []byte
	cuts []cut // ascending; where additional sets may end; the first is the shortest complete message
}

// cut is a place where the message may end.
type cut struct {
	end   int
	count uint16 // ARCOUNT up to there
}

// errMessageTooLong is for replies that fit into no message.
var errMessageTooLong = errors.New("reply is longer than 65535 octets")

const maxMessage = 65535 - 512 // leaves room for OPT

// pack lays out the reply to a question.
func pack(r *reply, question []byte, name dns.Name) (image, error) {
	p := packer{msg: make([]byte, headerLen, 512), at: make(map[string]int, 16)}
	p.name(name, true)
	p.msg = append(p.msg, question[len(question)-4:]...)
	flags := uint16(flagQR) | uint16(r.rcode&0xF)
	if r.aa {
		flags |= flagAA
	}
	binary.BigEndian.PutUint16(p.msg[2:], flags)
	binary.BigEndian.PutUint16(p.msg[4:], 1)
	for i, sets := range [][]dns.RRset{r.answer, r.authority} {
		n := 0
		for _, set := range sets {
			n += p.set(set)
		}
		binary.BigEndian.PutUint16(p.msg[6+2*i:], uint16(n))
	}
	var cuts []cut
	n := 0
	for i, set := range r.additional {
		if i >= r.needed {
			cuts = append(cuts, cut{len(p.msg), uint16(n)})
		}
		n += p.set(set)
	}
	cuts = append(cuts, cut{len(p.msg), uint16(n)})
	if len(p.msg) > maxMessage {
		return image{}, errMessageTooLong
	}
	return image{p.msg, cuts}, nil
}

type packer struct {
	msg []byte
	at  map[string]int // wire form of a name or of its end -> offset
}

// compressionReach is where pointers end: 14 bits (RFC 1035 section 4.1.4).
const compressionReach = 1 << 14

// name writes n, compressed if it may be.
func (p *packer) name(n dns.Name, compress bool) {
	wire := n.Wire()
	for wire != "\x00" {
		if off, ok := p.at[wire]; ok && compress {
			p.msg = binary.BigEndian.AppendUint16(p.msg, 0xC000|uint16(off))
			return
		} else if !ok && len(p.msg) < compressionReach {
			p.at[wire] = len(p.msg)
		}
		end := 1 + int(wire[0])
		p.msg = append(p.msg, wire[:end]...)
		wire = wire[end:]
	}
	p.msg = append(p.msg, 0)
}

// set writes the records of a set and its signatures, and returns how many they were.
func (p *packer) set(s dns.RRset) int {
	n := 0
	for data := range s.Data.All() {
		p.record(s, s.Type, data)
		n++
	}
	for data := range s.Sigs.All() {
		p.record(s, dns.TypeRRSIG, data)
		n++
	}
	return n
}

func (p *packer) record(s dns.RRset, t dns.Type, data []byte) {
	if len(p.msg) > 2*maxMessage {
		return // too long already; the reply will be refused as a whole
	}
	p.name(s.Name, true)
	p.msg = binary.BigEndian.AppendUint16(p.msg, uint16(t))
	p.msg = binary.BigEndian.AppendUint16(p.msg, uint16(s.Class))
	p.msg = binary.BigEndian.AppendUint32(p.msg, s.TTL)
	p.msg = append(p.msg, 0, 0)
	start := len(p.msg)
	prefix, names := nameLayout(t)
	if names == 0 || prefix > len(data) {
		p.msg = append(p.msg, data...)
	} else {
		p.msg = append(p.msg, data[:prefix]...)
		off := prefix
		for range names {
			n, next, err := dns.UnpackName(data, off)
			if err != nil {
				break // verbatim from a world file; what is left goes out as it is
			}
			p.name(n, true)
			off = next
		}
		p.msg = append(p.msg, data[off:]...)
	}
	binary.BigEndian.PutUint16(p.msg[start-2:], uint16(len(p.msg)-start))
}

// nameLayout tells which record data may be compressed: octets before the first name, and how many names follow. Only the types of
// RFC 1035 may be (RFC 3597 section 4).
func nameLayout(t dns.Type) (prefix, names int) {
	switch t {
	case dns.TypeNS, dns.TypeCNAME, dns.TypePTR, dns.TypeMB, dns.TypeMG, dns.TypeMR, dns.TypeMD, dns.TypeMF:
		return 0, 1
	case dns.TypeSOA, dns.TypeMINFO:
		return 0, 2
	case dns.TypeMX:
		return 2, 1
	}
	return 0, 0
}

// edns is the OPT record of a reply.
type edns struct {
	present bool
	rcode   dns.RCode // its upper bits go here
	options []byte
}

const serverUDPSize = 1232 // octets: what servers of the lab send and announce at most (DNS flag day 2020)

// message turns the image into the reply to q. limit is the most that fits into the transport.
func (im image) message(q *query, opt edns, limit int) []byte {
	var tail []byte
	if opt.present {
		tail = make([]byte, 0, 11+len(opt.options))
		tail = append(tail, 0, 0, byte(dns.TypeOPT))
		tail = binary.BigEndian.AppendUint16(tail, serverUDPSize)
		tail = append(tail, byte(opt.rcode>>4), 0)
		flags := byte(0)
		if q.do {
			flags |= 0x80
		}
		if q.co {
			flags |= 0x40
		}
		tail = append(tail, flags, 0)
		tail = binary.BigEndian.AppendUint16(tail, uint16(len(opt.options)))
		tail = append(tail, opt.options...)
	}
	end, count, truncated := headerLen+len(q.sent), uint16(0), true
	for i := len(im.cuts) - 1; i >= 0; i-- {
		if im.cuts[i].end+len(tail) <= limit {
			end, count, truncated = im.cuts[i].end, im.cuts[i].count, false
			break
		}
	}
	out := make([]byte, end, end+len(tail))
	copy(out, im.msg)
	copy(out[headerLen:], q.sent)
	flags := binary.BigEndian.Uint16(out[2:])
	if truncated {
		// Nothing but the question: what a client may not use is not worth sending.
		flags |= flagTC
		clear(out[6:headerLen])
	}
	if opt.present {
		count++
	}
	binary.BigEndian.PutUint16(out[10:], count)
	binary.BigEndian.PutUint16(out, q.id)
	binary.BigEndian.PutUint16(out[2:], flags|q.flags&(flagRD|flagCD)|uint16(q.opcode&0xF)<<11)
	return append(out, tail...)
}

// bare is a reply without records; without even the question if that could not be read.
func bare(q *query, rcode dns.RCode, opt edns) []byte {
	msg := make([]byte, headerLen, headerLen+len(q.sent)+32)
	binary.BigEndian.PutUint16(msg[2:], flagQR|uint16(rcode&0xF))
	if len(q.sent) > 0 {
		binary.BigEndian.PutUint16(msg[4:], 1)
		msg = append(msg, q.sent...)
	}
	opt.rcode = rcode
	return image{msg, []cut{{len(msg), 0}}}.message(q, opt, maxMessage)
}
