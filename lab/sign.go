package lab

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"math/big"
	"slices"
	"sync"
	"time"

	"github.com/cloudflare/circl/sign/ed448"

	"github.com/ananas-edge/ananas/dns"
)

// Algorithms that the lab signs with (IANA registry "DNS Security Algorithm Numbers").
const (
	algRSASHA1      = 5
	algRSASHA1NSEC3 = 7
	algRSASHA256    = 8
	algRSASHA512    = 10
	algGOST         = 12 // without GOST: keys and signatures are random, so that validators meet an algorithm that they do not know (RFC 9906)
	algECDSAP256    = 13
	algECDSAP384    = 14
	algED25519      = 15
	algED448        = 16
)

// algorithms are all that zones may be signed by.
var algorithms = []uint8{algRSASHA1, algRSASHA1NSEC3, algRSASHA256, algRSASHA512, algGOST, algECDSAP256, algECDSAP384, algED25519, algED448}

// signing is how a zone is signed.
type signing struct {
	algorithm  uint8   // 0: not at all
	bits       int     // of RSA keys; 0: 1,024
	also       []uint8 // other algorithms, by which everything is signed besides (RFC 6840 section 5.11)
	split      bool    // a key-signing and a zone-signing key, instead of one for both
	nsec3      bool
	compact    bool // RFC 9824
	optOut     bool // RFC 5155 section 6
	iterations uint16
	salt       []byte
	generation int     // changes the keys
	published  []int   // generations whose key-signing keys stand in the DNSKEY set besides, and sign nothing
	revoked    []int   // generations whose key-signing keys stand there with the REVOKE bit, and sign the set (RFC 5011 section 2.1)
	noDS       bool    // signed, but the parent does not say so
	digests    []uint8 // of the DS records; empty: SHA-384 for algorithm 14, else SHA-256
	flaw       flaw
	flawed     []uint8 // algorithms that have the flaw; empty: all
}

func (s signing) off() bool { return s.algorithm == 0 }

// delegated tells whether the parent holds a DS for the zone.
func (s signing) delegated() bool { return !s.off() && !s.noDS }

// flawedBy tells whether what is made by an algorithm has this flaw.
func (s signing) flawedBy(f flaw, algorithm uint8) bool {
	return s.flaw == f && (len(s.flawed) == 0 || slices.Contains(s.flawed, algorithm))
}

// unsigned tells whether the zone has keys and no signatures at all.
func (s signing) unsigned() bool { return s.flaw == flawMissing && len(s.flawed) == 0 }

// flaw is something wrong with all signatures of a zone, to see validators find it.
type flaw string

const (
	flawNone     flaw = ""
	flawExpired  flaw = "expired"
	flawFuture   flaw = "future"
	flawCorrupt  flaw = "corrupt"  // signatures that do not verify
	flawMissing  flaw = "missing"  // no signatures, though there are keys
	flawWrongDS  flaw = "wrong-ds" // the parent's DS fits no key
	flawNoDNSKEY flaw = "no-dnskey"
)

// key is one DNSKEY with its private half, derived from the lab's seed: it protects nothing.
type key struct {
	algorithm uint8
	flags     uint16
	public    []byte
	tag       uint16
	signer    crypto.Signer
}

const (
	flagsZSK    = 256
	flagsKSK    = 257
	flagsRevoke = 128
)

// rsaPool is how many RSA keys of a size a lab has. Finding one takes 10 ms, of 2,048 bits 100 ms, so zones share them.
const rsaPool = 4

// Sizes of RSA keys. 1,024 bits is what many zones still sign with, and a fifth of the work of 2,048.
const (
	defaultRSABits = 1024
	maxRSABits     = 2048
)

// keyring derives keys and keeps what is dear to make again.
type keyring struct {
	seed  seed
	clock func() time.Time
	rsa   sync.Map // rsaKey -> func() *rsa.PrivateKey

	mu   sync.Mutex
	made *generations[[2]uint64, []byte] // signatures by what was signed

	trapLock sync.Mutex
	traps    map[uint8][][]byte // DNSKEY data by algorithm; see trapKeys
}

// rsaKey names a key of the pool.
type rsaKey struct{ bits, number int }

func newKeyring(s seed, clock func() time.Time, signatures int) *keyring {
	return &keyring{seed: s, clock: clock, made: newGenerations[[2]uint64, []byte](signatures), traps: map[uint8][][]byte{}}
}

// privateRSA returns a key of the pool, which is found when it is first needed.
func (r *keyring) privateRSA(from seed, bits int) *rsa.PrivateKey {
	k := rsaKey{cmp.Or(bits, defaultRSABits), from.below(rsaPool)}
	find, ok := r.rsa.Load(k)
	if !ok {
		s := r.seed.text("rsa").with(uint64(k.number))
		if k.bits != defaultRSABits {
			s = s.with(uint64(k.bits))
		}
		find, _ = r.rsa.LoadOrStore(k, sync.OnceValue(func() *rsa.PrivateKey { return newRSA(s, k.bits) }))
	}
	return find.(func() *rsa.PrivateKey)()
}

// newRSA searches two primes upwards from where the seed points.
func newRSA(s seed, bits int) *rsa.PrivateKey {
	e := big.NewInt(65537)
	one := big.NewInt(1)
	var primes []*big.Int
	for i := range uint64(2) {
		b := make([]byte, bits/16)
		s.with(i).fill(b)
		b[0] |= 0xC0 // so that the product has all its bits
		b[len(b)-1] |= 1
		p := new(big.Int).SetBytes(b)
		for !p.ProbablyPrime(20) || new(big.Int).Mod(new(big.Int).Sub(p, one), e).Sign() == 0 {
			p.Add(p, big.NewInt(2))
		}
		primes = append(primes, p)
	}
	phi := new(big.Int).Mul(new(big.Int).Sub(primes[0], one), new(big.Int).Sub(primes[1], one))
	k := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(primes[0], primes[1]), E: 65537},
		D:         new(big.Int).ModInverse(e, phi),
		Primes:    primes,
	}
	k.Precompute()
	return k
}

func (r *keyring) newKey(zone dns.Name, s signing, flags uint16) *key {
	from := r.seed.text("key").text(zone.Wire()).with(uint64(s.algorithm)<<32 | uint64(flags)<<16 | uint64(s.generation))
	k := &key{algorithm: s.algorithm, flags: flags}
	switch s.algorithm {
	case algRSASHA1, algRSASHA1NSEC3, algRSASHA256, algRSASHA512:
		private := r.privateRSA(from, s.bits)
		k.public = append([]byte{3, 1, 0, 1}, private.N.Bytes()...) // RFC 3110: length of the exponent, exponent, modulus
		k.signer = private
	case algGOST:
		k.public = make([]byte, 64)
		from.fill(k.public)
	case algECDSAP384:
		k.signer, k.public = newECDSA(from, elliptic.P384(), 48)
	case algED448:
		var b [ed448.SeedSize]byte
		from.fill(b[:])
		private := ed448.NewKeyFromSeed(b[:])
		k.signer, k.public = private, private.Public().(ed448.PublicKey)
	case algED25519:
		var b [ed25519.SeedSize]byte
		from.fill(b[:])
		private := ed25519.NewKeyFromSeed(b[:])
		k.signer, k.public = private, private.Public().(ed25519.PublicKey)
	default:
		k.signer, k.public = newECDSA(from, elliptic.P256(), 32)
	}
	k.tag = keyTag(k.data())
	return k
}

func newECDSA(from seed, curve elliptic.Curve, size int) (crypto.Signer, []byte) {
	for i := uint64(0); ; i++ { // a number is out of range once in 2^32 times or more
		b := make([]byte, size)
		from.with(i).fill(b)
		private, err := ecdsa.ParseRawPrivateKey(curve, b)
		if err != nil {
			continue
		}
		point, err := private.PublicKey.Bytes()
		if err != nil {
			continue
		}
		return private, point[1:] // RFC 6605: without the octet that says uncompressed
	}
}

// data is the DNSKEY record's data (RFC 4034 section 2.1).
func (k *key) data() []byte {
	b := binary.BigEndian.AppendUint16(nil, k.flags)
	return append(append(b, 3, k.algorithm), k.public...)
}

// keyTag is RFC 4034 appendix B.
func keyTag(data []byte) uint16 {
	sum := uint32(0)
	for i, c := range data {
		if i&1 == 0 {
			sum += uint32(c) << 8
		} else {
			sum += uint32(c)
		}
	}
	return uint16(sum + sum>>16)
}

const (
	keyTTL = 3600  // seconds
	dsTTL  = 86400 // seconds
)

// keys derives the zone's keys when they are first needed; they are one and the same if the zone has one key.
func (z *zone) keys() (ksk, zsk *key) {
	z.keysOnce.Do(func() {
		z.ksk = z.ring.newKey(z.apex, z.signing, flagsKSK)
		z.zsk = z.ksk
		if z.signing.split {
			z.zsk = z.ring.newKey(z.apex, z.signing, flagsZSK)
		}
		for _, a := range z.signing.also {
			s := z.signing
			s.algorithm = a
			z.others = append(z.others, z.ring.newKey(z.apex, s, flagsKSK))
		}
		for _, n := range z.signing.published {
			z.published = append(z.published, z.generation(n))
		}
		for _, n := range z.signing.revoked {
			k := z.generation(n)
			k.flags |= flagsRevoke
			k.tag = keyTag(k.data())
			z.revoked = append(z.revoked, k)
		}
	})
	return z.ksk, z.zsk
}

// generation derives the key-signing key that the zone has with key=n.
func (z *zone) generation(n int) *key {
	s := z.signing
	s.generation = n
	return z.ring.newKey(z.apex, s, flagsKSK)
}

func (z *zone) dnskeys() dns.RRset {
	ksk, zsk := z.keys()
	s := newSet(z.apex, dns.TypeDNSKEY, keyTTL, ksk.data())
	if zsk != ksk {
		s.Data = s.Data.Append(zsk.data())
	}
	for _, k := range slices.Concat(z.others, z.published, z.revoked) {
		s.Data = s.Data.Append(k.data())
	}
	return s
}

// delegationSigner is the DS set of the zone, for its parent (RFC 4034 section 5, RFC 6605 section 3). It has the keys of all variants, so
// that keys may roll.
func (z *zone) delegationSigner() dns.RRset {
	s := newSet(z.apex, dns.TypeDS, dsTTL, z.dsData()...)
	for _, v := range z.variants {
		if !v.signing.delegated() {
			continue
		}
		for _, d := range v.dsData() {
			if !s.Data.Contains(d) {
				s.Data = s.Data.Append(d)
			}
		}
	}
	return s
}

// DS digest types (IANA registry "DNSSEC Delegation Signer (DS) Resource Record (RR) Type Digest Algorithms").
const (
	digestSHA1   = 1
	digestSHA256 = 2
	digestSHA384 = 4
)

// dsData returns the DS records of the zone's own keys, one of each algorithm and digest.
func (z *zone) dsData() (all [][]byte) {
	ksk, _ := z.keys()
	for _, k := range append([]*key{ksk}, z.others...) {
		digests := z.signing.digests
		if len(digests) == 0 {
			digests = []uint8{digestSHA256}
			if k.algorithm == algECDSAP384 {
				digests = []uint8{digestSHA384}
			}
		}
		for _, d := range digests {
			b := append(binary.BigEndian.AppendUint16(nil, k.tag), k.algorithm, d)
			b = append(b, k.digest(z.apex, d)...)
			if z.signing.flawedBy(flawWrongDS, k.algorithm) {
				b[len(b)-1] ^= 0xFF
			}
			all = append(all, b)
		}
	}
	return all
}

// digest is the digest of the key that a DS record has; of a type that the lab does not know, some octets.
func (k *key) digest(zone dns.Name, digest uint8) []byte {
	signed := append([]byte(zone.Wire()), k.data()...)
	switch digest {
	case digestSHA1:
		sum := sha1.Sum(signed)
		return sum[:]
	case digestSHA384:
		sum := sha512.Sum384(signed)
		return sum[:]
	}
	sum := sha256.Sum256(signed)
	return sum[:]
}

// Signatures hold from a day before the period in which they are made to two periods after it. Made per period, not per second,
// they can be kept and are the same in each run.
const (
	signaturePeriod = 7 * 24 * time.Hour
	signatureBefore = 24 * time.Hour
	signatureAfter  = 2 * signaturePeriod
)

// sign returns s with its RRSIG (RFC 4034 section 3); s as it is if the zone is not signed or the RRSIG was written out. owner is the name that is signed: s.Name, or the wildcard that s was
// expanded from (RFC 4035 section 2.2).
func (z *zone) sign(s dns.RRset, owner dns.Name) dns.RRset {
	if z.signing.off() || z.signing.unsigned() || len(s.Data) == 0 || len(s.Sigs) > 0 {
		return s
	}
	ksk, zsk := z.keys()
	by := append([]*key{zsk}, z.others...)
	if s.Type == dns.TypeDNSKEY {
		by = slices.Concat([]*key{ksk}, z.others, z.revoked)
	}
	var sigs dns.Records
	for _, k := range by {
		if !z.signing.flawedBy(flawMissing, k.algorithm) {
			sigs = sigs.Append(z.signature(s, owner, k))
		}
	}
	s.Sigs = sigs
	return s
}

// signature makes the RRSIG of s by one key.
func (z *zone) signature(s dns.RRset, owner dns.Name, k *key) []byte {
	start := z.ring.clock().Truncate(signaturePeriod)
	inception, expiration := start.Add(-signatureBefore), start.Add(signaturePeriod+signatureAfter)
	switch {
	case z.signing.flawedBy(flawExpired, k.algorithm):
		inception, expiration = start.AddDate(0, 0, -60), start.AddDate(0, 0, -30)
	case z.signing.flawedBy(flawFuture, k.algorithm):
		inception, expiration = start.AddDate(0, 0, 30), start.AddDate(0, 0, 60)
	}
	labels := owner.Labels()
	if owner.Label() == "*" {
		labels--
	}
	rrsig := binary.BigEndian.AppendUint16(make([]byte, 0, 160), uint16(s.Type))
	rrsig = append(rrsig, k.algorithm, byte(labels))
	rrsig = binary.BigEndian.AppendUint32(rrsig, s.TTL)
	rrsig = binary.BigEndian.AppendUint32(rrsig, uint32(expiration.Unix()))
	rrsig = binary.BigEndian.AppendUint32(rrsig, uint32(inception.Unix()))
	rrsig = binary.BigEndian.AppendUint16(rrsig, k.tag)
	rrsig = append(rrsig, z.apex.Wire()...)

	signed := append(make([]byte, 0, 512), rrsig...)
	var previous []byte
	for i, data := range canonicalData(s) {
		if i > 0 && bytes.Equal(data, previous) {
			continue
		}
		previous = data
		signed = append(signed, owner.Wire()...)
		signed = binary.BigEndian.AppendUint16(signed, uint16(s.Type))
		signed = binary.BigEndian.AppendUint16(signed, uint16(s.Class))
		signed = binary.BigEndian.AppendUint32(signed, s.TTL)
		signed = binary.BigEndian.AppendUint16(signed, uint16(len(data)))
		signed = append(signed, data...)
	}
	signature := z.ring.signature(k, signed)
	if z.signing.flawedBy(flawCorrupt, k.algorithm) {
		signature = bytes.Clone(signature)
		signature[len(signature)-1] ^= 0xFF
	}
	return append(rrsig, signature...)
}

// signature signs, or finds the signature that was made of the same octets before.
func (r *keyring) signature(k *key, signed []byte) []byte {
	text := string(signed) // hashed twice, as a key of 128 bits
	id := [2]uint64{uint64(r.seed.with(1).text(text)), uint64(r.seed.with(2).text(text))}
	r.mu.Lock()
	made, ok := r.made.get(id)
	r.mu.Unlock()
	if ok {
		return made
	}
	made = k.sign(signed)
	r.mu.Lock()
	r.made.put(id, made)
	r.mu.Unlock()
	return made
}

// sign makes the signature field of an RRSIG. All algorithms sign deterministically here (ECDSA by RFC 6979: no random source is
// passed), so none can fail for want of anything.
func (k *key) sign(message []byte) []byte {
	switch k.algorithm {
	case algGOST:
		digest := sha512.Sum512(message)
		return digest[:]
	case algRSASHA1, algRSASHA1NSEC3:
		digest := sha1.Sum(message)
		return k.signDigest(digest[:], crypto.SHA1)
	case algRSASHA256, algECDSAP256:
		digest := sha256.Sum256(message)
		return k.signDigest(digest[:], crypto.SHA256)
	case algECDSAP384:
		digest := sha512.Sum384(message)
		return k.signDigest(digest[:], crypto.SHA384)
	case algRSASHA512:
		digest := sha512.Sum512(message)
		return k.signDigest(digest[:], crypto.SHA512)
	}
	return k.signDigest(message, crypto.Hash(0))
}

func (k *key) signDigest(digest []byte, hash crypto.Hash) []byte {
	b, err := k.signer.Sign(nil, digest, hash)
	if err != nil {
		panic("lab: signing with a key of the lab: " + err.Error()) // the keys and digests are ours: a bug, not input
	}
	switch k.algorithm {
	case algECDSAP256:
		return rawECDSA(b, 32)
	case algECDSAP384:
		return rawECDSA(b, 48)
	}
	return b
}

// rawECDSA takes r and s out of their DER form and writes them at their full length (RFC 6605 section 4). The form is short enough
// that each length is one octet, but for the outer one of P-384, which may be 0x81 and another.
func rawECDSA(der []byte, size int) []byte {
	out := make([]byte, 2*size)
	at := 2
	if der[1] == 0x81 {
		at = 3
	}
	for i := range 2 {
		length := int(der[at+1])
		v := bytes.TrimLeft(der[at+2:at+2+length], "\x00")
		copy(out[(i+1)*size-len(v):], v)
		at += 2 + length
	}
	return out
}

// canonicalData returns the records' data in canonical form and order (RFC 4034 sections 6.2 and 6.3).
func canonicalData(s dns.RRset) [][]byte {
	var all [][]byte
	for data := range s.Data.All() {
		all = append(all, canonical(s.Type, data))
	}
	slices.SortFunc(all, bytes.Compare)
	return all
}

// canonical lowers the names in the data of the types of RFC 4034 section 6.2 that the lab serves.
func canonical(t dns.Type, data []byte) []byte {
	prefix, names := nameLayout(t)
	switch t {
	case dns.TypeDNAME:
		names = 1
	case dns.TypeRP:
		names = 2
	case dns.TypeAFSDB, dns.TypeRT, dns.TypeKX:
		prefix, names = 2, 1
	case dns.TypePX:
		prefix, names = 2, 2
	case dns.TypeSRV:
		prefix, names = 6, 1
	case dns.TypeNAPTR: // order, preference, three strings, a name
		prefix, names = 4, 1
		for range 3 {
			if prefix < len(data) {
				prefix += 1 + int(data[prefix])
			}
		}
	}
	end := prefix
	for range names {
		n, next, err := dns.UnpackName(data, end)
		if err != nil {
			return data
		}
		if n != n.Lower() {
			data = bytes.Clone(data)
			copy(data[end:], n.Lower().Wire())
		}
		end = next
	}
	return data
}
