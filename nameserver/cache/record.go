package cache

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/ananas-edge/ananas/dns"
)

// An entry in the arena. Offsets in octets; numbers in little endian; the whole is a multiple of 8 octets and aligned to 8:
//
//	 0  2  size of the whole in units of 8 octets
//	 2  1  kind (3 bits), form of the server's address (2 bits: none, IPv4, IPv6), has partition, has stored time, 1 bit free
//	 3  1  the purge epoch under which it was stored, its low 8 bits
//	 4  4  use: eviction count (2 bits), dead (1 bit), hits (24 bits from bit 8). The only octets that change after the entry is written
//	 8  8  expires: nanoseconds of boot time
//	16  4  TTL as received, in seconds
//	20  2  type
//	22  1  rank (high 4 bits), security (low 4 bits)
//	23  1  length of the name
//	24  2  length of the data
//	26  2  length of the signatures
//	28  1  zone: how many labels of the name it has; zoneNone; zoneApart
//	29     name, in lower case
//	       server: 4 or 16 octets
//	       partition: 4 octets, if it is not 0
//	       stored: 8 octets, if it is not expires - TTL
//	       zone: 1 octet of length and the name, if it is apart
//	       data, signatures: dns.Records; of a denial the data is its SOA and proofs (denial.go)
//
// So an A record for a name of 20 octets takes 64 octets: 29, 22 for the name on the wire, 4 for the server, 2 + 4 for the
// data.
const (
	atUnits   = 0
	atFlags   = 2
	atEpoch   = 3
	atUse     = 4
	atExpires = 8
	atTTL     = 16
	atType    = 20
	atRank    = 22
	atNameLen = 23
	atDataLen = 24
	atSigsLen = 26
	atZone    = 28
	headLen   = 29

	unit = 8

	kindMask      = 0x07
	serverIPv4    = 0x08
	serverIPv6    = 0x10
	hasPartition  = 0x20
	hasStored     = 0x40
	serverMask    = serverIPv4 | serverIPv6
	zoneNone      = 0x80
	zoneApart     = 0xff
	maxPartLen    = 1<<16 - 1 // of the data and of the signatures
	maxEntryUnits = 1<<16 - 1
)

// The use word.
const (
	useCount = 0x3 // S3-FIFO's count of accesses, 0 to 3
	useDead  = 0x4 // no slot of the index points here any more
	hitShift = 8
	maxHits  = 1<<24 - 1
)

// record is an entry on its way into the arena.
type record struct {
	kind      Kind
	name      []byte // wire, any case
	typ       dns.Type
	partition uint32
	rank      Rank
	security  Security
	ttl       uint32
	stored    time.Duration
	expires   time.Duration
	server    netip.Addr
	zone      dns.Name
	zoneCode  uint8
	data      []byte
	sigs      []byte
	mark      uint32 // of an image: see Cache.Mark; it is not stored
}

// setZone notes the zone in the shortest form.
func (r *record) setZone(name, zone dns.Name) {
	r.zone = zone
	switch {
	case zone.IsZero():
		r.zoneCode = zoneNone
	case name.IsWithin(zone):
		r.zoneCode = uint8(zone.Labels()) // at most 127
	default:
		r.zoneCode = zoneApart
	}
}

func (r *record) explicitStored() bool {
	return r.expires-r.stored != time.Duration(r.ttl)*time.Second
}

// size returns the octets that r takes in the arena.
func (r *record) size() int {
	n := headLen + len(r.name) + len(r.data) + len(r.sigs)
	switch {
	case r.server.Is4():
		n += 4
	case r.server.IsValid():
		n += 16
	}
	if r.partition != 0 {
		n += 4
	}
	if r.explicitStored() {
		n += 8
	}
	if r.zoneCode == zoneApart {
		n += 1 + r.zone.Len()
	}
	return (n + unit - 1) &^ (unit - 1)
}

// encode writes r to b, which is r.size() long.
func (r *record) encode(b []byte, epoch uint64, use uint32) {
	flags := byte(r.kind)
	at := headLen
	putLower(b[at:at+len(r.name)], r.name)
	at += len(r.name)
	switch {
	case r.server.Is4():
		flags |= serverIPv4
		a := r.server.As4()
		at += copy(b[at:], a[:])
	case r.server.IsValid():
		flags |= serverIPv6
		a := r.server.As16()
		at += copy(b[at:], a[:])
	}
	if r.partition != 0 {
		flags |= hasPartition
		binary.LittleEndian.PutUint32(b[at:], r.partition)
		at += 4
	}
	if r.explicitStored() {
		flags |= hasStored
		binary.LittleEndian.PutUint64(b[at:], uint64(r.stored))
		at += 8
	}
	if r.zoneCode == zoneApart {
		b[at] = byte(r.zone.Len())
		at++
		at += copy(b[at:], r.zone.Wire())
	}
	at += copy(b[at:], r.data)
	at += copy(b[at:], r.sigs)
	clear(b[at:])

	binary.LittleEndian.PutUint16(b[atUnits:], uint16(len(b)/unit))
	b[atFlags] = flags
	b[atEpoch] = byte(epoch)
	binary.LittleEndian.PutUint32(b[atUse:], use)
	binary.LittleEndian.PutUint64(b[atExpires:], uint64(r.expires))
	binary.LittleEndian.PutUint32(b[atTTL:], r.ttl)
	binary.LittleEndian.PutUint16(b[atType:], uint16(r.typ))
	b[atRank] = byte(r.rank)<<4 | byte(r.security)
	b[atNameLen] = byte(len(r.name))
	binary.LittleEndian.PutUint16(b[atDataLen:], uint16(len(r.data)))
	binary.LittleEndian.PutUint16(b[atSigsLen:], uint16(len(r.sigs)))
	b[atZone] = r.zoneCode
}

// blob is one entry in the arena, whole; it is only good under the lock of its shard.
type blob []byte

func (b blob) kind() Kind  { return Kind(b[atFlags] & kindMask) }
func (b blob) epoch() byte { return b[atEpoch] }
func (b blob) expires() time.Duration {
	return time.Duration(binary.LittleEndian.Uint64(b[atExpires:]))
}
func (b blob) typ() dns.Type      { return dns.Type(binary.LittleEndian.Uint16(b[atType:])) }
func (b blob) rank() Rank         { return Rank(b[atRank] >> 4) }
func (b blob) security() Security { return Security(b[atRank] & 15) }

// use is the word that changes. It is read and written atomically already now, under the lock, because readers without the lock
// are to come.
func (b blob) use() *uint32      { return (*uint32)(unsafe.Pointer(&b[atUse])) }
func (b blob) loadUse() uint32   { return atomic.LoadUint32(b.use()) }
func (b blob) storeUse(v uint32) { atomic.StoreUint32(b.use(), v) }

// name returns the wire name in lower case; nil if the entry is damaged.
func (b blob) name() []byte {
	end := headLen + int(b[atNameLen])
	if end > len(b) {
		return nil
	}
	return b[headLen:end]
}

// partition returns the partition of a well-formed entry, and 0 for others.
func (b blob) partition() uint32 {
	if b[atFlags]&hasPartition == 0 {
		return 0
	}
	at := headLen + int(b[atNameLen]) + serverLen(b[atFlags])
	if at+4 > len(b) {
		return 0
	}
	return binary.LittleEndian.Uint32(b[at:])
}

func serverLen(flags byte) int {
	switch flags & serverMask {
	case serverIPv4:
		return 4
	case serverIPv6:
		return 16
	}
	return 0
}

// is tells whether b is what id names.
func (b blob) is(id *ident) bool {
	return b.kind() == id.kind && b.typ() == id.typ && sameName(b.name(), id.name) && b.partition() == id.partition
}

// touch counts an access for eviction and, if asked for, as a hit; it returns the hits before.
func (b blob) touch(hit bool) uint32 {
	u := b.loadUse()
	hits := u >> hitShift
	n := u
	if n&useCount < useCount {
		n++
	}
	if hit && hits < maxHits {
		n += 1 << hitShift
	}
	if n != u {
		b.storeUse(n)
	}
	return hits
}

// view is an entry taken apart. Its slices point into the arena.
type view struct {
	kind      Kind
	epoch     byte
	ttl       uint32
	typ       dns.Type
	rank      Rank
	security  Security
	zoneCode  uint8
	partition uint32
	stored    time.Duration
	expires   time.Duration
	server    netip.Addr
	name      []byte
	zone      []byte // only if apart
	data      []byte
	sigs      []byte
}

// view takes b apart; ok is false if its lengths contradict each other or a value is none that is ever written. It reads
// nothing outside b, whatever b holds.
func (b blob) view() (v view, ok bool) {
	if len(b) < headLen {
		return v, false
	}
	flags := b[atFlags]
	v = view{
		kind: b.kind(), epoch: b[atEpoch], expires: b.expires(), ttl: binary.LittleEndian.Uint32(b[atTTL:]),
		typ: b.typ(), rank: b.rank(), security: b.security(), zoneCode: b[atZone],
	}
	if v.kind == kindFree || v.kind >= kindEnd || v.rank >= rankEnd || v.security >= securityEnd || flags&serverMask == serverMask {
		return v, false
	}
	rest := []byte(b[headLen:])
	take := func(n int) []byte {
		if n > len(rest) {
			ok = false
			return nil
		}
		part := rest[:n:n]
		rest = rest[n:]
		return part
	}
	ok = true
	v.name = take(int(b[atNameLen]))
	if a := take(serverLen(flags)); len(a) > 0 {
		v.server, _ = netip.AddrFromSlice(a)
	}
	if flags&hasPartition != 0 {
		if p := take(4); ok {
			v.partition = binary.LittleEndian.Uint32(p)
		}
	}
	v.stored = v.expires - time.Duration(v.ttl)*time.Second
	if flags&hasStored != 0 {
		if p := take(8); ok {
			v.stored = time.Duration(binary.LittleEndian.Uint64(p))
		}
	}
	switch {
	case v.zoneCode == zoneApart:
		if p := take(1); ok {
			v.zone = take(int(p[0]))
		}
	case v.zoneCode > zoneNone:
		ok = false
	}
	v.data = take(int(binary.LittleEndian.Uint16(b[atDataLen:])))
	v.sigs = take(int(binary.LittleEndian.Uint16(b[atSigsLen:])))
	return v, ok && isName(v.name)
}

// isName tells whether b is exactly one wire name, so that nothing which walks its labels can leave it.
func isName(b []byte) bool {
	i := 0
	for i < len(b) && b[i] != 0 {
		i += 1 + int(b[i])
	}
	return i == len(b)-1
}

// zoneOf returns the zone of v, cut from name, which is the name of v in any case, if it can be.
func (v *view) zoneOf(name dns.Name) (dns.Name, bool) {
	switch v.zoneCode {
	case zoneNone:
		return dns.Name{}, true
	case zoneApart:
		z, err := dns.NameFromWire(v.zone)
		return z, err == nil
	}
	return name.Ancestor(int(v.zoneCode)), true
}

// entry makes an Entry whose data lies in buf if that is large enough.
func (v *view) entry(name dns.Name, buf []byte) (Entry, bool) {
	zone, ok := v.zoneOf(name)
	if !ok {
		return Entry{}, false
	}
	d := len(v.data)
	if n := d + len(v.sigs); cap(buf) < n {
		buf = make([]byte, 0, n)
	}
	buf = append(append(buf[:0], v.data...), v.sigs...)
	e := Entry{
		Set:  dns.RRset{Name: name, Type: v.typ, Class: dns.ClassINET, TTL: v.ttl, Data: buf[:d:d]},
		Rank: v.rank, Security: v.security, Partition: v.partition & partitionMask, Space: spaceOf(v.partition), Server: v.server, Zone: zone, Stored: v.stored, Expires: v.expires,
	}
	if len(v.sigs) > 0 {
		e.Set.Sigs = buf[d:]
	}
	return e, true
}

// wellFormed tells whether the lengths in r add up to r.
func wellFormed(r dns.Records) bool {
	for len(r) > 0 {
		if len(r) < 2 {
			return false
		}
		n := 2 + int(binary.BigEndian.Uint16(r))
		if n > len(r) {
			return false
		}
		r = r[n:]
	}
	return true
}
