package dns

import "encoding/binary"

// Builder writes a message: header, question, records, OPT, in that order. Names are compressed where RFC 3597 section 4 allows,
// case for case, so that nothing is lost of a name's spelling. What does not fit into the limit is not written at all: an RRset is
// in whole or not in. The zero Builder is ready for [Builder.Start]; one Builder serves many messages, one after the other.
type Builder struct {
	buf    []byte
	start  int // where the message begins in buf
	limit  int // octets that the message may take
	counts [4]uint16

	// Names written so far that can be pointed at: hash of the suffix and its offset. 64 are enough for all but the largest
	// answers (a referral of 13 names takes 30); what comes after them is written in full, which is only longer.
	suffixes [64]struct {
		hash uint32
		at   uint16
	}
	known int
}

// Start begins a message of at most limit octets that is appended to buf.
func (b *Builder) Start(buf []byte, limit int, id uint16, flags Flags) {
	b.start, b.limit, b.known = len(buf), min(limit, MaxMessageLen), 0
	b.counts = [4]uint16{}
	b.buf = append(buf, byte(id>>8), byte(id), byte(flags>>8), byte(flags), 0, 0, 0, 0, 0, 0, 0, 0)
}

// Reserve takes n octets away from the limit, for an OPT record to come; a negative n gives them back.
func (b *Builder) Reserve(n int) { b.limit -= n }

// Len returns the octets written so far.
func (b *Builder) Len() int { return len(b.buf) - b.start }

// Question writes the question.
func (b *Builder) Question(q Question) {
	b.name(q.Name.wire)
	b.buf = binary.BigEndian.AppendUint16(b.buf, uint16(q.Type))
	b.buf = binary.BigEndian.AppendUint16(b.buf, uint16(q.Class))
	b.counts[0]++
}

// mark is a state to fall back to.
type mark struct {
	len, known int
	counts     [4]uint16
}

func (b *Builder) mark() mark { return mark{len(b.buf), b.known, b.counts} }

func (b *Builder) back(m mark) { b.buf, b.known, b.counts = b.buf[:m.len], m.known, m.counts }

// AddRRset writes the records of set with this owner and TTL (seconds), and its signatures if asked to. It reports whether all of it
// fitted; if not, nothing was written.
func (b *Builder) AddRRset(s Section, owner Name, set *RRset, ttl uint32, sigs bool) bool {
	return b.AddRotated(s, owner, set, ttl, sigs, 0)
}

// AddRotated is [Builder.AddRRset] with the records in the order that starts at record first.
func (b *Builder) AddRotated(s Section, owner Name, set *RRset, ttl uint32, sigs bool, first int) bool {
	m := b.mark()
	ok := b.records(s, owner, set.Type, set.Class, ttl, set.Data, first)
	if ok && sigs {
		ok = b.records(s, owner, TypeRRSIG, set.Class, ttl, set.Sigs, 0)
	}
	if !ok {
		b.back(m)
	}
	return ok
}

func (b *Builder) records(s Section, owner Name, t Type, class Class, ttl uint32, data Records, first int) bool {
	i := 0
	for d := range data.All() {
		if i++; i > first && !b.AddRR(s, RR{owner, t, class, ttl, d}) {
			return false
		}
	}
	i = 0
	for d := range data.All() {
		if i++; i > first {
			break
		}
		if !b.AddRR(s, RR{owner, t, class, ttl, d}) {
			return false
		}
	}
	return true
}

// AddRR writes one record and reports whether it fitted; if not, nothing was written.
func (b *Builder) AddRR(s Section, rr RR) bool {
	m := b.mark()
	b.name(rr.Name.wire)
	b.buf = binary.BigEndian.AppendUint16(b.buf, uint16(rr.Type))
	b.buf = binary.BigEndian.AppendUint16(b.buf, uint16(rr.Class))
	b.buf = binary.BigEndian.AppendUint32(b.buf, rr.TTL)
	at := len(b.buf)
	b.buf = append(b.buf, 0, 0)
	b.rdata(rr.Type, rr.Data)
	if b.Len() > b.limit {
		b.back(m)
		return false
	}
	binary.BigEndian.PutUint16(b.buf[at:], uint16(len(b.buf)-at-2))
	b.counts[1+s]++
	return true
}

// rdata writes record data, compressing the names of the types of RFC 1035.
func (b *Builder) rdata(t Type, d []byte) {
	switch t {
	case TypeNS, TypeCNAME, TypePTR, TypeMD, TypeMF, TypeMB, TypeMG, TypeMR, TypeSOA, TypeMX, TypeMINFO:
	default:
		b.buf = append(b.buf, d...)
		return
	}
	off := 0
	for _, f := range layoutOf(t) {
		switch f {
		case 'h':
			b.buf = append(b.buf, d[off:off+2]...)
			off += 2
		case 'n':
			end, err := skipName(d, off)
			if err != nil { // cannot be: Parse checked it. Octets are kept as they are
				b.buf = append(b.buf, d[off:]...)
				return
			}
			b.name(string(d[off:end]))
			off = end
		default:
			b.buf = append(b.buf, d[off:]...)
			return
		}
	}
}

// name writes a name, as a pointer from the first suffix that is in the message already.
func (b *Builder) name(w string) {
	var starts [maxLabels]uint8
	var hashes [maxLabels]uint32
	n := labelStarts(w, &starts)
	h := uint32(2166136261) // FNV-1a over the suffix, from the right
	for i := n - 1; i >= 0; i-- {
		for k := int(starts[i]); k <= int(starts[i])+int(w[starts[i]]); k++ {
			h = (h ^ uint32(w[k])) * 16777619
		}
		hashes[i] = h
	}
	for i := range n {
		if at, ok := b.find(hashes[i], w[starts[i]:]); ok {
			b.buf = append(b.buf, 0xC0|byte(at>>8), byte(at))
			return
		}
		if at := b.Len(); at < 0x4000 && b.known < len(b.suffixes) {
			b.suffixes[b.known].hash, b.suffixes[b.known].at = hashes[i], uint16(at)
			b.known++
		}
		b.buf = append(b.buf, w[starts[i]:int(starts[i])+1+int(w[starts[i]])]...)
	}
	b.buf = append(b.buf, 0)
}

func (b *Builder) find(hash uint32, w string) (uint16, bool) {
	for _, s := range b.suffixes[:b.known] {
		if s.hash == hash && b.spells(int(s.at), w) {
			return s.at, true
		}
	}
	return 0, false
}

// spells tells whether the name at this offset of the message is w. All pointers there were written by name and point backwards.
func (b *Builder) spells(at int, w string) bool {
	msg := b.buf[b.start:]
	for i := 0; ; {
		for at+1 < len(msg) && msg[at] >= 0xC0 {
			at = int(msg[at]&0x3F)<<8 | int(msg[at+1])
		}
		if at >= len(msg) { // the name that is being written has no end yet
			return false
		}
		n := 1 + int(msg[at])
		if at+n > len(msg) || i+n > len(w) || string(msg[at:at+n]) != w[i:i+n] {
			return false
		}
		if n == 1 {
			return true
		}
		at, i = at+n, i+n
	}
}

// OPT writes the OPT record of e. It is written whatever the limit, because room for it was reserved.
func (b *Builder) OPT(e EDNS) {
	b.buf = append(b.buf, 0, 0, byte(TypeOPT), byte(e.UDPSize>>8), byte(e.UDPSize), e.ExtRCode, e.Version)
	z := e.Z
	if e.DO {
		z |= 1 << 15
	}
	b.buf = binary.BigEndian.AppendUint16(b.buf, z)
	b.buf = binary.BigEndian.AppendUint16(b.buf, uint16(len(e.Options)))
	b.buf = append(b.buf, e.Options...)
	b.counts[3]++
}

// SetFlags ors flags into the header.
func (b *Builder) SetFlags(f Flags) {
	h := b.buf[b.start:]
	binary.BigEndian.PutUint16(h[2:], binary.BigEndian.Uint16(h[2:])|uint16(f))
}

// Finish writes the counts and returns buf with the message appended.
func (b *Builder) Finish() []byte {
	for i, c := range b.counts {
		binary.BigEndian.PutUint16(b.buf[b.start+4+2*i:], c)
	}
	return b.buf
}

// OPTLen returns the octets of an OPT record with these options.
func OPTLen(o Options) int { return 11 + len(o) }
