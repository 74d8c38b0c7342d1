package lab

import (
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/cloudflare/circl/sign/ed448"

	"github.com/ananas-edge/ananas/dns"
)

// What a zone can do to make it dear to validate: KeyTrap (CVE-2023-50387), whose parts are many keys of one tag, many signatures that name it,
// and many DS records that do; and many NSEC3 records (CVE-2023-50868). All of it is well-formed, so that it has to be checked.

const (
	// trapTag is the tag of all keys of traps.
	trapTag = 4711

	// trapRoom is how many octets of a message traps fill.
	trapRoom = maxMessage - 1024

	// recordOverhead is what a record takes beside its data, its owner being compressed: pointer, type, class, TTL and length.
	recordOverhead = 2 + 10

	trapRSABits = 2048
)

// fitting is how many records of so many octets of data go into the room that is left in a reply: f.n, or as many as fit.
func (r *reply) fitting(f *fault, data int) int {
	left := trapRoom
	for _, sets := range [][]dns.RRset{r.answer, r.authority, r.additional} {
		for _, s := range sets {
			for _, records := range []dns.Records{s.Data, s.Sigs} {
				for d := range records.All() {
					left -= s.Name.Len() + recordOverhead + len(d)
				}
			}
		}
	}
	fit := max(0, left/(recordOverhead+data))
	if f.n > 0 {
		return min(f.n, fit)
	}
	return fit
}

// trapKeys returns the data of n DNSKEY records of one algorithm whose tag is trapTag. Nobody signs with them.
//
// The tag is a sum of words (RFC 4034 appendix B), of which the flags are one: 13 of its bits mean nothing and are ignored (section 2.1.1). So each
// fourth key or so can be given any tag, where a search would take 65,536.
func (r *keyring) trapKeys(algorithm uint8, n int) [][]byte {
	r.trapLock.Lock()
	defer r.trapLock.Unlock()
	all := r.traps[algorithm]
	from := r.seed.text("trap").with(uint64(algorithm))
	for i := uint64(len(all)) << 8; len(all) < n; i++ {
		k := key{algorithm: algorithm, flags: flagsZSK, public: trapPublic(from.with(i), algorithm)}
		missing := trapTag - keyTag(k.data()) // a carry may make it one less or more
		for _, by := range []uint16{missing, missing - 1, missing + 1} {
			k.flags = flagsZSK + by
			if k.flags&flagsZSK != 0 && k.flags&flagsRevoke == 0 && keyTag(k.data()) == trapTag {
				all = append(all, k.data())
				i = uint64(len(all)) << 8
				break
			}
		}
	}
	r.traps[algorithm] = all
	return all[:n]
}

// trapPublic makes a public key: a point of the curve, or an odd number that may be a product of primes.
func trapPublic(from seed, algorithm uint8) []byte {
	switch algorithm {
	case algRSASHA1, algRSASHA1NSEC3, algRSASHA256, algRSASHA512:
		b := make([]byte, trapRSABits/8)
		from.fill(b)
		b[0] |= 0x80
		b[len(b)-1] |= 1
		return append([]byte{3, 1, 0, 1}, b...)
	case algECDSAP384:
		_, public := newECDSA(from, elliptic.P384(), 48)
		return public
	case algED25519:
		var b [ed25519.SeedSize]byte
		from.fill(b[:])
		return ed25519.NewKeyFromSeed(b[:]).Public().(ed25519.PublicKey)
	case algED448:
		var b [ed448.SeedSize]byte
		from.fill(b[:])
		return ed448.NewKeyFromSeed(b[:]).Public().(ed448.PublicKey)
	}
	_, public := newECDSA(from, elliptic.P256(), 32)
	return public
}

// trapSignature makes a signature that is wrong, and no key finds out without its arithmetic: its numbers are in range.
func trapSignature(from seed, algorithm uint8, size int) []byte {
	b := make([]byte, size)
	from.fill(b)
	if size == 0 {
		return b
	}
	switch algorithm {
	case algRSASHA1, algRSASHA1NSEC3, algRSASHA256, algRSASHA512:
		b[0] = 0 // less than the modulus
	case algED25519:
		b[size-1] &= 0x0F // less than the order, 2^252 and more
	case algED448:
		b[size-1], b[size-2] = 0, b[size-2]&0x1F // less than the order, 2^446 less some
	}
	return b
}

// signatureLen is the length of signatures by the trap's keys.
func signatureLen(algorithm uint8) int {
	switch algorithm {
	case algRSASHA1, algRSASHA1NSEC3, algRSASHA256, algRSASHA512:
		return trapRSABits / 8
	case algECDSAP384:
		return 96
	case algED448:
		return ed448.SignatureSize
	}
	return 64 // P-256, Ed25519
}

// keyTrap adds keys ahead of those that the zone has.
func keyTrap(x *exchange, f *fault, r *reply) {
	z := x.zone()
	if z == nil || z.signing.off() {
		return
	}
	for i := range r.answer {
		s := &r.answer[i]
		if s.Type != dns.TypeDNSKEY {
			continue
		}
		var data dns.Records
		for _, k := range x.carrier.lab.ring.trapKeys(z.signing.algorithm, r.fitting(f, 4+len(trapPublic(0, z.signing.algorithm)))) {
			data = data.Append(k)
		}
		s.Data, s.Sigs = append(data, s.Data...), nil
		*s = x.signed(z, *s)
	}
}

// headerRRSIG is how long an RRSIG is without the signer's name and the signature (RFC 4034 section 3.1).
const headerRRSIG = 18

// signatureTrap puts wrong signatures in the place of those in the answer section, or, in a denial, in the authority section.
func signatureTrap(x *exchange, f *fault, r *reply) {
	z := x.zone()
	if z == nil || z.signing.off() {
		return
	}
	for _, sets := range [][]dns.RRset{r.answer, r.authority} {
		var trapped []*dns.RRset
		size := signatureLen(z.signing.algorithm)
		for i := range sets {
			if s := &sets[i]; s.Sigs.Len() > 0 {
				if f.as != "keys" {
					size = len(s.Sigs.First()) - headerRRSIG - z.apex.Len()
				}
				s.Sigs = dns.Records{}.Append(s.Sigs.First())
				trapped = append(trapped, s)
			}
		}
		if len(trapped) == 0 {
			continue
		}
		if f.as == "empty" {
			size = 0
		}
		n := r.fitting(f, headerRRSIG+z.apex.Len()+size) / len(trapped)
		for _, s := range trapped {
			header := s.Sigs.First()[:headerRRSIG+z.apex.Len()]
			s.Sigs = nil
			for i := range max(1, n) {
				h := slices.Clone(header)
				if f.as == "keys" {
					binary.BigEndian.PutUint16(h[16:], trapTag)
				}
				// One second less for each, so that they differ.
				binary.BigEndian.PutUint32(h[8:], binary.BigEndian.Uint32(h[8:])-uint32(i))
				s.Sigs = s.Sigs.Append(append(h, trapSignature(x.draw.with(uint64(i)<<8|6), z.signing.algorithm, size)...))
			}
		}
		return
	}
}

// dsTrap adds DS records ahead of those of a delegation. Half of them have SHA-384, so that each key has two digests.
func dsTrap(x *exchange, f *fault, r *reply) {
	z := x.zone()
	if z == nil || z.signing.off() {
		return
	}
	for _, sets := range [][]dns.RRset{r.answer, r.authority} {
		for i := range sets {
			s := &sets[i]
			if s.Type != dns.TypeDS || len(s.Data.First()) < 4 {
				continue
			}
			algorithm := s.Data.First()[2]
			n := r.fitting(f, 4+48)
			var data dns.Records
			if f.as == "keys" {
				for _, k := range x.carrier.lab.ring.trapKeys(algorithm, n) {
					digest := sha256.Sum256(append([]byte(s.Name.Lower().Wire()), k...))
					data = data.Append(append(dsHeader(trapTag, algorithm, 2), digest[:]...))
				}
			} else {
				for i := range n {
					kind, size := byte(2), 32
					if i&1 == 1 {
						kind, size = 4, 48
					}
					digest := make([]byte, size)
					x.server.draw.with(uint64(i)<<8 | 7).fill(digest)
					data = data.Append(append(dsHeader(trapTag, algorithm, kind), digest...))
				}
			}
			s.Data, s.Sigs = append(data, s.Data...), nil
			*s = x.signed(z, *s)
		}
	}
}

func dsHeader(tag uint16, algorithm, digest byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, tag), algorithm, digest)
}

// proofTrap adds proofs to a denial ahead of those that it needs. They are signed, and no use: each NSEC3 has a salt of its own, so that to find
// that out each ancestor of the name has to be hashed anew.
func proofTrap(x *exchange, f *fault, r *reply) {
	z := x.zone()
	if z == nil || z.signing.off() || !x.q.do {
		return
	}
	at := slices.IndexFunc(r.authority, func(s dns.RRset) bool { return s.Type == dns.TypeNSEC || s.Type == dns.TypeNSEC3 })
	if at < 0 {
		return
	}
	salt := make([]byte, max(minTrapSalt, len(z.signing.salt)))
	trap := func(i int) dns.RRset {
		from := x.server.draw.with(uint64(i)<<8 | 9)
		var hash nsec3Hash
		from.fill(hash[:])
		if z.signing.nsec3 {
			from.with(1).fill(salt)
			return x.signed(z, z.nsec3Salted(hash, hash.step(1), salt, nil))
		}
		owner := child("trap-"+strings.ToLower(base32Hex.EncodeToString(hash[:])), z.apex)
		return x.signed(z, z.nsec(owner, child("\x00", owner), node{}))
	}
	first := trap(0) // all are as long; behind 16 KiB the owner is written out each time
	n := r.fitting(f, 2*first.Name.Len()+len(first.Data)+recordOverhead+len(first.Sigs))
	traps := make([]dns.RRset, 0, n)
	for i := range n {
		traps = append(traps, trap(i))
	}
	r.authority = slices.Insert(r.authority, at, traps...)
}

// minTrapSalt is how many octets of salt tell traps apart in a zone without salt.
const minTrapSalt = 4
