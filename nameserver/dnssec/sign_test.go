package dnssec

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/binary"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudflare/circl/sign/ed448"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// The signer of these tests makes keys of all algorithms and signs what it is told to, right or wrong. TestSignerAgreesWithMiekg holds it
// against another one.

// at is when the tests take place.
var at = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

func name(s string) dns.Name { return dns.MustParseName(s) }

// table compiles the defaults, changed.
func table(t testing.TB, change ...func(*Settings)) *Table {
	t.Helper()
	s := Defaults()
	for _, c := range change {
		c(&s)
	}
	compiled, err := Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func withSHA1(s *Settings) { s.SHA1Signatures = true }

// work begins an account under the defaults, changed.
func work(t testing.TB, change ...func(*Settings)) *Work { return table(t, change...).Work(nil) }

// signer is a key with its private half.
type signer struct {
	flags     uint16
	protocol  uint8
	algorithm Algorithm
	public    []byte
	private   func(message []byte) []byte
}

func (s *signer) data() []byte {
	b := binary.BigEndian.AppendUint16(nil, s.flags)
	return append(append(b, s.protocol, byte(s.algorithm)), s.public...)
}

func (s *signer) tag() uint16 {
	k, _ := dns.ParseDNSKEY(s.data())
	return k.KeyTag()
}

// key is the signer's public half, read.
func (s *signer) key(t testing.TB) key {
	t.Helper()
	k, err := dns.ParseDNSKEY(s.data())
	if err != nil {
		t.Fatal(err)
	}
	out, err := readKey(&k, k.KeyTag(), table(t, withSHA1))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// ds is the signer's DS data.
func (s *signer) ds(zone dns.Name, d Digest) []byte {
	b := binary.BigEndian.AppendUint16(nil, s.tag())
	h := d.row().hash.New()
	h.Write([]byte(zone.Lower().Wire()))
	h.Write(s.data())
	return h.Sum(append(b, byte(s.algorithm), byte(d)))
}

// newSigner makes a key of an algorithm from a seed; RSA keys have 1,024 bits.
func newSigner(a Algorithm, seed uint64) *signer {
	s := &signer{flags: dns.DNSKEYFlagZone, protocol: dns.DNSKEYProtocol, algorithm: a}
	rng := rand.New(rand.NewPCG(seed, uint64(a)))
	octets := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	switch a {
	case ECDSAP256SHA256:
		s.ecdsa(elliptic.P256(), octets(32))
	case ECDSAP384SHA384:
		s.ecdsa(elliptic.P384(), octets(48))
	case Ed25519:
		k := ed25519.NewKeyFromSeed(octets(ed25519.SeedSize))
		s.public = k.Public().(ed25519.PublicKey)
		s.private = func(m []byte) []byte { return ed25519.Sign(k, m) }
	case Ed448:
		k := ed448.NewKeyFromSeed(octets(ed448.SeedSize))
		s.public = k.Public().(ed448.PublicKey)
		s.private = func(m []byte) []byte { return ed448.Sign(k, m, "") }
	default:
		return newRSA(a, 1024, 65537)
	}
	return s
}

func (s *signer) ecdsa(curve elliptic.Curve, seed []byte) {
	seed[0] &= 0x7F // below the order
	k, err := ecdsa.ParseRawPrivateKey(curve, seed)
	if err != nil {
		panic(err)
	}
	point, err := k.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	hash, size := s.algorithm.row().hash, len(seed)
	s.public = point[1:]
	s.private = func(m []byte) []byte {
		h := hash.New()
		h.Write(m)
		der, err := k.Sign(nil, h.Sum(nil), hash) // RFC 6979: deterministic
		if err != nil {
			panic(err)
		}
		return fromDER(der, size)
	}
}

// fromDER takes r and s out of SEQUENCE { INTEGER, INTEGER }.
func fromDER(der []byte, size int) []byte {
	at := 2
	if der[1] == 0x81 {
		at = 3
	}
	out := make([]byte, 2*size)
	for i := range 2 {
		n := int(der[at+1])
		new(big.Int).SetBytes(der[at+2 : at+2+n]).FillBytes(out[i*size : (i+1)*size])
		at += 2 + n
	}
	return out
}

// rsaKeys reads testdata/rsa.txt.
var rsaKeys = sync.OnceValue(func() map[string][2]*big.Int {
	text, err := os.ReadFile("testdata/rsa.txt")
	if err != nil {
		panic(err)
	}
	keys := map[string][2]*big.Int{}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 4 || f[0] == "#" {
			continue
		}
		n, _ := new(big.Int).SetString(f[2], 16)
		d, _ := new(big.Int).SetString(f[3], 16)
		keys[f[0]+" "+f[1]] = [2]*big.Int{n, d}
	}
	return keys
})

// newRSA takes the key of that size and exponent out of testdata.
func newRSA(a Algorithm, bits, exponent int) *signer {
	k, ok := rsaKeys()[fmt.Sprint(bits, " ", exponent)]
	if !ok {
		panic(fmt.Sprintf("no RSA key of %d bits with exponent %d in testdata", bits, exponent))
	}
	n, d, e := k[0], k[1], big.NewInt(int64(exponent)).Bytes()
	s := &signer{flags: dns.DNSKEYFlagZone, protocol: dns.DNSKEYProtocol, algorithm: a}
	s.public = append(append([]byte{byte(len(e))}, e...), n.Bytes()...)
	hash, size := a.row().hash, (n.BitLen()+7)/8
	prefix := map[crypto.Hash]string{
		crypto.SHA1: "3021300906052b0e03021a05000414", crypto.SHA256: "3031300d060960864801650304020105000420",
		crypto.SHA512: "3051300d060960864801650304020305000440",
	}[hash]
	info, _ := new(big.Int).SetString(prefix, 16)
	s.private = func(m []byte) []byte {
		h := hash.New()
		h.Write(m)
		em := []byte{0, 1}
		t := h.Sum(info.Bytes())
		for len(em) < size-len(t)-1 {
			em = append(em, 0xFF)
		}
		em = append(append(em, 0), t...)
		return new(big.Int).Exp(new(big.Int).SetBytes(em), d, n).FillBytes(make([]byte, size))
	}
	return s
}

// signature is what an RRSIG says; the zero values are filled in by sign.
type signature struct {
	covered               dns.Type
	labels                int // -1: 0
	ttl                   uint32
	inception, expiration int64
	signer                dns.Name
	owner                 dns.Name // that is signed: the wildcard, for a set expanded from it
	tag                   uint16
	algorithm             Algorithm
}

// sign returns set with one more RRSIG. It builds what is signed by code of its own.
func (s *signer) sign(set dns.RRset, zone dns.Name, change ...func(*signature)) dns.RRset {
	sig := signature{
		covered: set.Type, ttl: set.TTL, inception: at.Unix() - 86400, expiration: at.Unix() + 86400, signer: zone, owner: set.Name,
		tag: s.tag(), algorithm: s.algorithm,
	}
	for _, c := range change {
		c(&sig)
	}
	if sig.labels == 0 {
		sig.labels = sig.owner.Labels()
		if sig.owner.Label() == "*" {
			sig.labels--
		}
	}
	b := binary.BigEndian.AppendUint16(nil, uint16(sig.covered))
	b = append(b, byte(sig.algorithm), byte(max(sig.labels, 0)))
	b = binary.BigEndian.AppendUint32(b, sig.ttl)
	b = binary.BigEndian.AppendUint32(b, uint32(sig.expiration))
	b = binary.BigEndian.AppendUint32(b, uint32(sig.inception))
	b = binary.BigEndian.AppendUint16(b, sig.tag)
	b = append(b, sig.signer.Wire()...)
	message := bytes.ToLower(b[18:]) // names only: lengths are below 64
	message = append(bytes.Clone(b[:18]), message...)
	var all [][]byte
	for d := range set.Data.All() {
		all = append(all, dns.AppendCanonical(nil, set.Type, d))
	}
	slices.SortFunc(all, bytes.Compare)
	for i, d := range all {
		if i > 0 && bytes.Equal(d, all[i-1]) {
			continue
		}
		message = append(message, sig.owner.Lower().Wire()...)
		message = binary.BigEndian.AppendUint16(message, uint16(set.Type))
		message = binary.BigEndian.AppendUint16(message, uint16(set.Class))
		message = binary.BigEndian.AppendUint32(message, sig.ttl)
		message = binary.BigEndian.AppendUint16(message, uint16(len(d)))
		message = append(message, d...)
	}
	set.Sigs = slices.Clip(set.Sigs).Append(append(b, s.private(message)...))
	return set
}

// rrset reads records, in the form of a zone file and all of one set.
func rrset(t testing.TB, text string) dns.RRset {
	t.Helper()
	sets := rrsets(t, text)
	if len(sets) != 1 {
		t.Fatalf("%q are %d sets, not one", text, len(sets))
	}
	return sets[0]
}

// rrsets reads records and puts them into sets, each with its signatures.
func rrsets(t testing.TB, text string) []dns.RRset {
	t.Helper()
	rrs, err := dns.ParseZone(text, "the test", dns.Root, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var sets []dns.RRset
	for _, rr := range rrs {
		typ := rr.Type
		if typ == dns.TypeRRSIG {
			typ = dns.CoveredType(rr.Data)
		}
		i := slices.IndexFunc(sets, func(s dns.RRset) bool { return s.Name.Equal(rr.Name) && s.Type == typ })
		if i < 0 {
			i = len(sets)
			sets = append(sets, dns.RRset{Name: rr.Name, Type: typ, Class: rr.Class, TTL: rr.TTL})
		}
		if rr.Type == dns.TypeRRSIG {
			sets[i].Sigs = sets[i].Sigs.Append(rr.Data)
		} else {
			sets[i].Data = sets[i].Data.Append(rr.Data)
		}
	}
	return sets
}

// records puts data together.
func records(rdata ...[]byte) (r dns.Records) {
	for _, d := range rdata {
		r = r.Append(d)
	}
	return r
}

// keysOf are the keys of a zone as if they had been validated.
func keysOf(t testing.TB, zone string, signers ...*signer) *Keys {
	t.Helper()
	var keys []key
	for _, s := range signers {
		keys = append(keys, s.key(t))
	}
	return newKeys(name(zone), keys)
}

// expect compares a result with "secure", "insecure" or "bogus", an EDE code and a part of its text.
func expect(t testing.TB, r Result, security cache.Security, code dns.EDECode, part string) {
	t.Helper()
	if r.Security != security || r.EDE.Code != code || !strings.Contains(r.EDE.Text, part) {
		t.Errorf("%v (%d %q), want %v (%d %q)", r.Security, r.EDE.Code, r.EDE.Text, security, code, part)
	}
	if r.Secure() != (r.EDE == dns.EDE{}) && r.Security != cache.Insecure {
		t.Errorf("%v with EDE %v", r.Security, r.EDE)
	}
}

// validated lists what the table says can be validated, with 5 and 7.
func validated() []Algorithm {
	var all []Algorithm
	for _, a := range algorithms {
		if a.use != unsupported {
			all = append(all, a.number)
		}
	}
	return all
}
