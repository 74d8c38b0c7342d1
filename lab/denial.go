package lab

import (
	"bytes"
	"cmp"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"slices"

	"github.com/ananas-edge/ananas/dns"
)

// A denial is made in one of two ways. A written zone has a chain: its NSEC or NSEC3 records are those of its real names. A generated
// zone has no list of names, so its records are made to measure around the name that was asked and deny no more than that
// (RFC 4470 for NSEC; RFC 7129 appendix B calls it white lies for NSEC3).

//
// A zone that denies compactly (RFC 9824) has one record for everything: that of the name that was asked, which ends right behind it.

// purpose is what a proof is for, in the words of the fault no-proof.
type purpose string

const (
	forMatch    purpose = "match"    // of a name that exists: which types it has
	forEncloser purpose = "encloser" // the closest ancestor that exists (NSEC3)
	forCover    purpose = "cover"    // nothing is at the name, or at its ancestor below the closest encloser
	forWildcard purpose = "wildcard" // whether the wildcard exists, and what it has
)

// proof is a record of a denial, and what it proves there.
type proof struct {
	why purpose
	set dns.RRset
}

// denyName proves that nothing is at or below next, the name one label below the closest encloser, and that no wildcard covers it
// (RFC 4035 section 3.1.3.2, RFC 5155 section 7.2.2).
func (z *zone) denyName(encloser, next, name dns.Name) []proof {
	star := child("*", encloser)
	switch {
	case z.signing.compact:
		return []proof{{forMatch, z.compactMatch(name, node{sets: []dns.RRset{{Type: dns.TypeNXNAME}}, cut: true})}}
	case z.signing.nsec3:
		return []proof{{forEncloser, z.nsec3Match(encloser)}, {forCover, z.nsec3Cover(next)}, {forWildcard, z.nsec3Cover(star)}}
	}
	return []proof{{forCover, z.nsecCover(next, name)}, {forWildcard, z.nsecCover(star, star)}}
}

// denyType proves that name exists without the type that was asked (RFC 4035 section 3.1.3.1, RFC 5155 sections 7.2.3 and 7.2.4).
func (z *zone) denyType(name dns.Name, nd node) []proof {
	switch {
	case z.signing.compact:
		return []proof{{forMatch, z.compactMatch(name, nd)}}
	case !z.signing.nsec3:
		if nd.empty && z.linked() != nil {
			return []proof{{forCover, z.nsecCover(name, name)}} // an empty non-terminal owns no NSEC
		}
		return []proof{{forMatch, z.nsecMatch(name, nd)}}
	case z.signing.optOut && nd.cut && !z.hasDS(nd): // may not be in the chain: prove that it may have been left out
		encloser, next := z.provableEncloser(name)
		return []proof{{forEncloser, z.nsec3Match(encloser)}, {forCover, z.nsec3Cover(next)}}
	}
	return []proof{{forMatch, z.nsec3Match(name)}}
}

// denyExpansion proves that a wildcard was the closest match: nothing is at next (RFC 4035 section 3.1.3.3, RFC 5155 section 7.2.6).
func (z *zone) denyExpansion(next, name dns.Name) []proof {
	if z.signing.nsec3 {
		return []proof{{forCover, z.nsec3Cover(next)}}
	}
	return []proof{{forCover, z.nsecCover(next, name)}}
}

// denyWildcardType proves that the wildcard matches and lacks the type (RFC 4035 section 3.1.3.4, RFC 5155 section 7.2.5).
func (z *zone) denyWildcardType(encloser, next, name dns.Name, nd node) []proof {
	star := child("*", encloser)
	if z.signing.nsec3 {
		return []proof{{forEncloser, z.nsec3Match(encloser)}, {forCover, z.nsec3Cover(next)}, {forWildcard, z.nsec3Match(star)}}
	}
	return []proof{{forCover, z.nsecCover(next, name)}, {forWildcard, z.nsecMatch(star, nd)}}
}

// distinct leaves out repetitions, because one record often proves two things, and whatever proves what is to be missing.
func distinct(proofs []proof, missing purpose) []dns.RRset {
	var out []dns.RRset
	for _, p := range proofs {
		gone := slices.ContainsFunc(proofs, func(o proof) bool { return o.why == missing && o.set.Name == p.set.Name })
		if !gone && !slices.ContainsFunc(out, func(o dns.RRset) bool { return o.Name == p.set.Name }) {
			out = append(out, p.set)
		}
	}
	return out
}

// compactMatch is the record of a name in a zone that denies compactly: right behind the name comes the next one (RFC 9824 sections 3.1 to 3.3
// and 4). Behind a delegation without DS it is the next one that is not below it.
func (z *zone) compactMatch(name dns.Name, nd node) dns.RRset {
	if z.signing.nsec3 {
		h := z.hash(name)
		return z.nsec3(h, h.step(1), z.nsec3Bitmap(nd))
	}
	next := child("\x00", name)
	if _, ns := nd.set(dns.TypeNS); ns && nd.cut {
		_, next = around(name)
	}
	return z.nsec(name, next, nd)
}

func (z *zone) hasDS(nd node) bool {
	_, ok := nd.set(dns.TypeDS)
	return ok
}

// linked returns the names of a written zone in canonical order; nil for a generated one.
func (z *zone) linked() []dns.Name {
	z.chainOnce.Do(func() {
		z.names = slices.Clone(z.content.chain())
		slices.SortFunc(z.names, dns.Name.Compare)
		if !z.signing.nsec3 { // empty non-terminals own no NSEC
			z.names = slices.DeleteFunc(z.names, func(n dns.Name) bool { return z.content.node(n).empty })
			return
		}
		for _, n := range z.names {
			if nd := z.node(n); z.signing.optOut && nd.cut && !z.hasDS(nd) {
				continue
			}
			z.hashes = append(z.hashes, hashedName{z.hash(n), n})
		}
		slices.SortFunc(z.hashes, func(a, b hashedName) int { return bytes.Compare(a.hash[:], b.hash[:]) })
	})
	return z.names
}

// typeBitmap writes the types of a node as RFC 4034 section 4.1.2 has it, with the types that come with being signed.
func (z *zone) typeBitmap(nd node) []byte {
	types := make([]dns.Type, 0, 12)
	signed := false
	for _, s := range nd.sets {
		types = append(types, s.Type)
		signed = signed || !nd.cut || s.Type == dns.TypeDS
	}
	if !z.signing.nsec3 {
		types = append(types, dns.TypeNSEC)
		signed = true
	}
	if signed {
		types = append(types, dns.TypeRRSIG)
	}
	slices.Sort(types)
	var b []byte
	for i := 0; i < len(types); {
		window := types[i] >> 8
		var bits [32]byte
		length := 0
		for ; i < len(types) && types[i]>>8 == window; i++ {
			low := byte(types[i])
			bits[low/8] |= 0x80 >> (low % 8)
			length = int(low/8) + 1
		}
		b = append(append(b, byte(window), byte(length)), bits[:length]...)
	}
	return b
}

func (z *zone) nsec(owner, next dns.Name, nd node) dns.RRset {
	return newSet(owner, dns.TypeNSEC, z.minimum, append([]byte(next.Wire()), z.typeBitmap(nd)...))
}

// nsecMatch is the NSEC record that name owns.
func (z *zone) nsecMatch(name dns.Name, nd node) dns.RRset {
	if names := z.linked(); names != nil {
		if i, ok := slices.BinarySearchFunc(names, name, dns.Name.Compare); ok {
			return z.nsec(name, names[(i+1)%len(names)], nd)
		}
	}
	return z.nsec(name, child("\x00", name), nd)
}

// nsecCover is the NSEC record that covers name. In a generated zone it covers all of next, its ancestor that does not exist.
func (z *zone) nsecCover(next, name dns.Name) dns.RRset {
	if names := z.linked(); names != nil {
		i, _ := slices.BinarySearchFunc(names, name, dns.Name.Compare) // never exact: name owns no NSEC
		from := names[(i+len(names)-1)%len(names)]
		return z.nsec(from, names[i%len(names)], z.node(from))
	}
	before, after := around(next)
	return z.nsec(before, after, z.node(before)) // before may exist, if a name ending in \000 was asked
}

// around returns names shortly before n and shortly after all that is below n.
func around(n dns.Name) (before, after dns.Name) {
	label, parent := []byte(n.Label()), n.Parent()
	last := len(label) - 1
	room := len(label) < dns.MaxLabelLen && n.Len() < dns.MaxNameLen // for one octet more
	switch c := label[last]; {
	case c == 0 && last == 0:
		before = parent // nothing else sorts before a label of one zero
	case c == 0:
		before = child(string(label[:last]), parent)
	default:
		c--
		if 'A' <= c && c <= 'Z' {
			c = 'A' - 1 // capitals sort as small letters
		}
		end := []byte{c, 0xFF}
		if !room {
			end = end[:1]
		}
		before = child(string(label[:last])+string(end), parent)
	}
	if room {
		return before, child(string(label)+"\x00", parent)
	}
	for last > 0 && label[last] == 0xFF {
		last--
	}
	label = label[:last+1]
	label[last]++
	if 'A' <= label[last] && label[last] <= 'Z' {
		label[last] = 'Z' + 1
	}
	return before, child(string(label), parent)
}

// nsec3Hash is the hashed owner name of RFC 5155 section 5.
type nsec3Hash [sha1.Size]byte

type hashedName struct {
	hash nsec3Hash
	name dns.Name
}

func (z *zone) hash(n dns.Name) nsec3Hash {
	h := nsec3Hash(sha1.Sum(append([]byte(n.Wire()), z.signing.salt...)))
	var buf [sha1.Size + 255]byte
	for range z.signing.iterations {
		h = nsec3Hash(sha1.Sum(append(append(buf[:0], h[:]...), z.signing.salt...)))
	}
	return h
}

// step returns the hash that is by away, around the end.
func (h nsec3Hash) step(by int) nsec3Hash {
	for i := len(h) - 1; i >= 0; i-- {
		v := int(h[i]) + by
		h[i] = byte(v)
		if v >= 0 && v <= 255 {
			break
		}
	}
	return h
}

var base32Hex = base32.HexEncoding.WithPadding(base32.NoPadding)

func (z *zone) nsec3Parameters(flags byte, salt []byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{1, flags}, z.signing.iterations)
	return append(append(b, byte(len(salt))), salt...)
}

func (z *zone) nsec3(owner, next nsec3Hash, bitmap []byte) dns.RRset {
	return z.nsec3Salted(owner, next, z.signing.salt, bitmap)
}

func (z *zone) nsec3Salted(owner, next nsec3Hash, salt, bitmap []byte) dns.RRset {
	flags := byte(0)
	if z.signing.optOut {
		flags = 1
	}
	data := append(z.nsec3Parameters(flags, salt), sha1.Size)
	data = append(append(data, next[:]...), bitmap...)
	label := string(bytes.ToLower([]byte(base32Hex.EncodeToString(owner[:]))))
	return newSet(child(label, z.apex), dns.TypeNSEC3, z.minimum, data)
}

func (z *zone) findHash(h nsec3Hash) (int, bool) {
	return slices.BinarySearchFunc(z.hashes, h, func(e hashedName, h nsec3Hash) int { return bytes.Compare(e.hash[:], h[:]) })
}

// nsec3Match is the NSEC3 record of a name that exists.
func (z *zone) nsec3Match(name dns.Name) dns.RRset {
	h := z.hash(name)
	if z.linked() != nil {
		if i, ok := z.findHash(h); ok {
			return z.nsec3(h, z.hashes[(i+1)%len(z.hashes)].hash, z.nsec3Bitmap(z.node(name)))
		}
	}
	return z.nsec3(h, h.step(1), z.nsec3Bitmap(z.node(name)))
}

// nsec3Cover is the NSEC3 record that covers the hash of a name that does not exist or was left out.
func (z *zone) nsec3Cover(name dns.Name) dns.RRset {
	h := z.hash(name)
	if z.linked() != nil && len(z.hashes) > 0 {
		i, _ := z.findHash(h)
		from, to := (i+len(z.hashes)-1)%len(z.hashes), i%len(z.hashes)
		return z.nsec3(z.hashes[from].hash, z.hashes[to].hash, z.nsec3Bitmap(z.node(z.hashes[from].name)))
	}
	return z.nsec3(h.step(-1), h.step(1), z.typeBitmap(node{}))
}

// nsec3Bitmap is typeBitmap; an empty non-terminal has none (RFC 5155 section 7.1).
func (z *zone) nsec3Bitmap(nd node) []byte {
	if len(nd.sets) == 0 {
		return nil
	}
	return z.typeBitmap(nd)
}

// provableEncloser returns the closest ancestor of name that is in the chain, and the name one label below it (RFC 5155 section 7.2.1).
func (z *zone) provableEncloser(name dns.Name) (encloser, next dns.Name) {
	next, encloser = name, name.Parent()
	for encloser != z.apex {
		if _, ok := z.findHash(z.hash(encloser)); ok || z.linked() == nil {
			break
		}
		next, encloser = encloser, encloser.Parent()
	}
	return encloser, next
}

// negativeTTL is the TTL of a denial: the lesser of the SOA's own and its last field (RFC 2308 section 5).
func negativeTTL(soa dns.RRset) uint32 {
	data := soa.Data.First()
	if len(data) < 4 {
		return soa.TTL
	}
	return cmp.Or(min(soa.TTL, binary.BigEndian.Uint32(data[len(data)-4:])), 1)
}
