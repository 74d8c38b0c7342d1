package cache

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// Variant is what a client can say that changes the records of an answer. The last bits of an image's key.
type Variant uint8

// The bits of a Variant.
const (
	VariantDO Variant = 1 << iota // signatures and proofs are wanted (RFC 3225)
	VariantCD                     // unchecked data will do (RFC 4035 section 3.2.2)
	variants
)

// partition is that of the images of a variant for a class of clients.
func (v Variant) partition(class Space) uint32 { return class.of(uint32(v) + 1) }

// Image is a finished answer: the sections of a message, as they follow the question, with all that does not depend on the client but for Variant.
// A name that ends as the question's does points into that (offset 12 on), whatever its case there.
type Image struct {
	RCode  dns.RCode // below 16
	Secure bool      // all of it is secure: AD may be set
	Ended  bool      // a module has ended the query, or changed what was found
	By     uint16    // which module, and how, in a number of who keeps the image; 0: none
	Counts [3]uint16 // records by section
	// Built is the time at which Wire has the right TTLs: the whole seconds of boot time. One second later all TTLs are one less, and never less
	// than one.
	Built uint32
	// TTLs are the places of all TTLs in Wire, two octets each.
	TTLs []byte
	// Turns are sets of addresses, whose order is free, ImageTurn octets each: where the data of the first lies, two octets, how many there are, and how long the data is.
	// The data of the next begins 12 octets after the end of the one before.
	Turns []byte
	Wire  []byte
	// Options are EDNS options that the answer has, whoever asks, in wire form (RFC 6891 section 6.1.2): an extended error that says why a name is blocked.
	Options []byte
	// Note is what who keeps the image wants to know again of the answer: no part of it, and at most MaxImageNote octets.
	Note []byte
}

// ImageTurn is how many octets a set in [Image.Turns] takes.
const ImageTurn = 4

// MaxImageNote is how many octets a note may have: what modules have said in two words (63 octets each).
const MaxImageNote = 160

// MaxImage is how many octets an image may have: the largest answer over UDP. Larger ones go over TCP, where they cost more anyway.
const MaxImage = 4096

// An image in the arena is an entry whose partition is its variant plus one, whose space is the class of the clients that it is for, whose TTL is Built plus one, and whose data is
//
//	 0  4  generation
//	 4  1  response code (low 4 bits), secure (0x80), ended by a module (0x20), with a note (0x10)
//	 5  1  how many Turns there are
//	 6  6  Counts
//	12  2  By
//	14     Wire
//	       Options, and their length in two octets, if there are any (0x40 beside the response code)
//	       Note, and its length in one octet, if there is one
//
// with Turns and TTLs where others have their signatures.
const (
	imageHead    = 14
	imageSecure  = 0x80
	imageOptions = 0x40
	imageEnded   = 0x20
	imageNoted   = 0x10
)

// maxImageOptions is how many octets of options an image may have: an extended error with the longest text that a module may give.
const maxImageOptions = 1100

// changeStripes is how many counters tell of changes to names: with 50,000 stores a second each counts one in 5 ms, which is a hundred times as long as an
// answer takes from the cache, so that few images are refused for what happened to another name.
const changeStripes = 256

// Mark returns what goes up whenever something is stored of a name: to be taken before an answer is looked for, and given to [Cache.PutImage].
func (c *Cache) Mark(name dns.Name) uint32 {
	return c.changes[c.key.name(octetsOf(name.Wire()))%changeStripes].Load()
}

// PutImage stores a finished answer to a question in lower case, or says why not. It is found by a [Reader] that asks for the same class of clients and the same generation until it expires. What is stored of that name
// later takes it out, and what was stored since mark (from Mark) keeps it out. If what is there says the same, it stays: who is not answered from images must not wear out the
// memory by having the same one made again and again.
func (c *Cache) PutImage(name dns.Name, typ dns.Type, v Variant, class Space, generation uint32, m *Image, expires time.Duration, epoch uint64, mark uint32) Verdict {
	turns := len(m.Turns) / ImageTurn
	if name.IsZero() || v >= variants || class > MaxSpace || m.RCode > 15 || turns > 255 || len(m.TTLs)%2 != 0 || len(m.Turns)%ImageTurn != 0 {
		return c.refuse(RefusedForm)
	}
	if len(m.Wire) > MaxImage || len(m.Options) > maxImageOptions || len(m.Note) > MaxImageNote {
		return c.refuse(RefusedSize)
	}
	var scratch [imageHead + MaxImage + maxImageOptions + 2 + MaxImageNote + 1]byte
	data := binary.LittleEndian.AppendUint32(scratch[:0], generation)
	first := byte(m.RCode)
	if m.Secure {
		first |= imageSecure
	}
	if m.Ended {
		first |= imageEnded
	}
	if len(m.Options) > 0 {
		first |= imageOptions
	}
	if len(m.Note) > 0 {
		first |= imageNoted
	}
	data = append(data, first, byte(turns))
	for _, n := range m.Counts {
		data = binary.LittleEndian.AppendUint16(data, n)
	}
	data = append(binary.LittleEndian.AppendUint16(data, m.By), m.Wire...)
	if len(m.Options) > 0 {
		data = binary.LittleEndian.AppendUint16(append(data, m.Options...), uint16(len(m.Options)))
	}
	if len(m.Note) > 0 {
		data = append(append(data, m.Note...), byte(len(m.Note)))
	}
	tail := append(append(make([]byte, 0, 64), m.Turns...), m.TTLs...)
	r := record{
		kind: KindImage, name: octetsOf(name.Wire()), typ: typ, partition: v.partition(class), rank: RankAnswer, zoneCode: zoneNone,
		ttl: m.Built + 1, stored: expires - time.Duration(m.Built+1)*time.Second, expires: expires, data: data, sigs: tail, mark: mark,
	}
	return c.store(&r, name, epoch, c.now())
}

// repeats tells whether an image says what old says, which is one that was made earlier: the same but for the time that has passed.
func (r *record) repeats(old blob, now time.Duration) bool {
	generation := binary.LittleEndian.Uint32(r.data)
	m, ok := imageOf(old, generation)
	built := r.ttl - 1
	data := r.data[:imageHead]
	wire, options, note := splitImage(r.data)
	if !ok || old.expires() <= now || built < m.Built || len(wire) != len(m.Wire) || len(r.sigs) != len(m.Turns)+len(m.TTLs) ||
		!bytes.Equal(data, old[headLen+len(r.name)+4:][:imageHead]) || !bytes.Equal(r.sigs[:len(m.Turns)], m.Turns) || !bytes.Equal(r.sigs[len(m.Turns):], m.TTLs) || !bytes.Equal(options, m.Options) || !bytes.Equal(note, m.Note) {
		return false
	}
	at := 0
	for i := 0; i+1 < len(m.TTLs); i += 2 {
		ttl := int(binary.LittleEndian.Uint16(m.TTLs[i:]))
		if ttl < at || ttl+4 > len(wire) || !bytes.Equal(wire[at:ttl], m.Wire[at:ttl]) {
			return false
		}
		was := binary.BigEndian.Uint32(m.Wire[ttl:])
		if binary.BigEndian.Uint32(wire[ttl:]) != max(1, was-min(built-m.Built, was)) {
			return false
		}
		at = ttl + 4
	}
	return bytes.Equal(wire[at:], m.Wire[at:])
}

// imageOf takes apart an entry of kind image; ok is false if it is of another generation, or damaged.
func imageOf(b blob, generation uint32) (m Image, ok bool) {
	at := headLen + int(b[atNameLen]) + 4
	d, s := int(binary.LittleEndian.Uint16(b[atDataLen:])), int(binary.LittleEndian.Uint16(b[atSigsLen:]))
	if d < imageHead || at+d+s > len(b) {
		return m, false
	}
	data, tail := b[at:at+d], b[at+d:at+d+s]
	turns := int(data[5]) * ImageTurn
	if binary.LittleEndian.Uint32(data) != generation || turns > s {
		return m, false
	}
	m.RCode, m.Secure, m.Ended = dns.RCode(data[4]&15), data[4]&imageSecure != 0, data[4]&imageEnded != 0
	m.Counts = [3]uint16{binary.LittleEndian.Uint16(data[6:]), binary.LittleEndian.Uint16(data[8:]), binary.LittleEndian.Uint16(data[10:])}
	m.By = binary.LittleEndian.Uint16(data[12:])
	m.Built = binary.LittleEndian.Uint32(b[atTTL:]) - 1
	m.Turns, m.TTLs = tail[:turns], tail[turns:]
	m.Wire, m.Options, m.Note = splitImage(data)
	return m, true
}

// splitImage returns what follows the head. Of data that is damaged it may be anything, and nothing beyond it.
func splitImage(data []byte) (wire, options, note []byte) {
	wire = data[imageHead:]
	if data[4]&(imageOptions|imageNoted) == 0 {
		return wire, nil, nil
	}
	if n := len(wire) - 1; data[4]&imageNoted != 0 && n >= 0 {
		size := min(int(wire[n]), n)
		wire, note = wire[:n-size], wire[n-size:n]
	}
	if n := len(wire) - 2; data[4]&imageOptions != 0 && n >= 0 {
		size := min(int(binary.LittleEndian.Uint16(wire[n:])), n)
		wire, options = wire[:n-size], wire[n-size:n]
	}
	return wire, options, note
}
