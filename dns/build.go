package dns

import "encoding/binary"

// Builder writes a message: header, question, records, OPT, in that order. Names are compressed where RFC 3597 section 4 allows,
// case for case, so that nothing is lost of a record's spelling; only the question's own labels match in any case (RFC 4343 section 4.1
// allows it for all), so that the layout of an answer does not depend on the case in which it was asked for. What does not fit into the limit is not written at all: an RRset is
// in whole or not in. The zero Builder is ready for [Builder.Start]; one Builder serves many messages, one after the other.
type Builder struct {
	buf    []byte
	start  int // where the message begins in buf
	asked  int // where its question ends, counted from start
	limit  int // octets that the message may take
	counts [4]uint16

	// Names written so far that can be pointed at: hash of the suffix and its offset. 64 are enough for all but the largest
	// answers (a referral of 13 names takes 30); what comes after them is written in full, which is only longer.
	suffixes [64]struct {
		hash uint32
		at   uint16
	}
	known int

	// Scratch of name, here so that it need not be zeroed for each.
	owner  [MaxNameLen]byte
	starts [maxLabels]uint8
	hashes [maxLabels]uint32
}

// Start begins a message of at most limit octets, 65,535 at most, that is appended to buf. The header is written whatever the limit.
func (b *Builder) Start(buf []byte, limit int, id uint16, flags Flags) {
	b.start, b.limit, b.known, b.asked = len(buf), min(limit, MaxMessageLen), 0, 0
	b.counts = [4]uint16{}
	b.buf = append(buf, byte(id>>8), byte(id), byte(flags>>8), byte(flags), 0, 0, 0, 0, 0, 0, 0, 0)
}

// Reserve takes n octets away from the limit, for an OPT record to come; a negative n gives them back.
func (b *Builder) Reserve(n int) { b.limit -= n }

// Len returns the octets written so far.
func (b *Builder) Len() int { return len(b.buf) - b.start }

// Question writes the question, whatever the limit: a limit of 512 octets or more holds any.
func (b *Builder) Question(q Question) {
	b.ownerName(q.Name)
	b.buf = binary.BigEndian.AppendUint16(b.buf, uint16(q.Type))
	b.buf = binary.BigEndian.AppendUint16(b.buf, uint16(q.Class))
	b.counts[0]++
	b.asked = b.Len()
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
	b.ownerName(rr.Name)
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
		if f != 'h' && f != 'n' {
			break // what follows the names of an SOA
		}
		if f == 'h' {
			end := min(off+2, len(d))
			b.buf = append(b.buf, d[off:end]...)
			off = end
			continue
		}
		end, err := skipName(d, off)
		if err != nil {
			break // data that Parse would not have let in, or none (updates): octets are kept as they are
		}
		b.name(d[off:end])
		off = end
	}
	b.buf = append(b.buf, d[off:]...)
}

// ownerName writes n, which is copied first because name takes octets, as record data has them.
func (b *Builder) ownerName(n Name) { b.name(b.owner[:copy(b.owner[:], n.wire)]) }

// name writes a name, as a pointer from the first suffix that is in the message already.
func (b *Builder) name(w []byte) {
	n := 0
	for i := 0; i < len(w) && w[i] != 0; i += 1 + int(w[i]) {
		b.starts[n] = uint8(i)
		n++
	}
	h := uint32(2166136261) // FNV-1a over the suffix, label by label from the right
	for i := n - 1; i >= 0; i-- {
		at := int(b.starts[i])
		for _, c := range w[at : at+1+int(w[at])] { // lengths are below 'A'
			h = (h ^ uint32(lower(c))) * 16777619
		}
		b.hashes[i] = h
	}
	for i := range n {
		suffix := w[b.starts[i]:]
		if at, ok := b.find(b.hashes[i], suffix); ok {
			b.buf = append(b.buf, 0xC0|byte(at>>8), byte(at))
			return
		}
		if at := b.Len(); at < 0x4000 && b.known < len(b.suffixes) {
			b.suffixes[b.known].hash, b.suffixes[b.known].at = b.hashes[i], uint16(at)
			b.known++
		}
		b.buf = append(b.buf, suffix[:1+suffix[0]]...)
	}
	b.buf = append(b.buf, 0)
}

func (b *Builder) find(hash uint32, w []byte) (uint16, bool) {
	for _, s := range b.suffixes[:b.known] {
		if s.hash == hash && b.spells(int(s.at), w) {
			return s.at, true
		}
	}
	return 0, false
}

// spells tells whether the name at this offset of the message is w. All pointers there were written by name and point backwards.
func (b *Builder) spells(at int, w []byte) bool {
	msg := b.buf[b.start:]
	for i := 0; ; {
		for at+1 < len(msg) && msg[at] >= 0xC0 {
			at = int(msg[at]&0x3F)<<8 | int(msg[at+1])
		}
		if at >= len(msg) { // the name that is being written has no end yet
			return false
		}
		n := 1 + int(msg[at])
		if at+n > len(msg) || i+n > len(w) {
			return false
		}
		if string(msg[at:at+n]) != string(w[i:i+n]) && (at >= b.asked || !sameLabel(msg[at:at+n], w[i:i+n])) {
			return false
		}
		if n == 1 {
			return true
		}
		at, i = at+n, i+n
	}
}

// sameLabel compares two labels of one length without regard to case.
func sameLabel(a, b []byte) bool {
	for i, c := range a {
		if lower(c) != lower(b[i]) {
			return false
		}
	}
	return true
}

// OPT writes the OPT record of e. It is written whatever the limit, because room for it was reserved.
func (b *Builder) OPT(e EDNS) {
	b.buf = append(b.buf, 0, 0, byte(TypeOPT), byte(e.UDPSize>>8), byte(e.UDPSize), e.ExtRCode, e.Version)
	z := e.Z
	if e.DO {
		z |= flagDO
	}
	if e.CO {
		z |= flagCO
	}
	b.buf = binary.BigEndian.AppendUint16(b.buf, z)
	b.buf = binary.BigEndian.AppendUint16(b.buf, uint16(len(e.Options)))
	b.buf = append(b.buf, e.Options...)
	b.counts[3]++
}

// SetFlags ors flags into the header: TC or a response code that was not known at Start.
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
