package rollover

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/dnssec"
)

// These tests sign with github.com/miekg/dns.

// start is when the tests begin.
var start = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

const zone = "example."

var zoneName = dns.MustParseName(zone)

// key is one key of the zone, in one of its forms.
type key struct {
	rr      *miekg.DNSKEY
	private ed25519.PrivateKey
}

// newKey makes the key of a name: "A" is a secure entry point, "A!" the same, revoked, and "a" another one that is no secure entry point.
func newKey(name string) *key {
	flags, letter := uint16(miekg.ZONE), name[:1]
	if letter[0] <= 'Z' {
		flags |= miekg.SEP
	}
	if name[1:] == "!" {
		flags |= miekg.REVOKE
	}
	seed := sha256.Sum256([]byte(letter))
	k := &key{private: ed25519.NewKeyFromSeed(seed[:])}
	k.rr = &miekg.DNSKEY{
		Hdr:   miekg.RR_Header{Name: zone, Rrtype: miekg.TypeDNSKEY, Class: miekg.ClassINET, Ttl: 172800},
		Flags: flags, Protocol: 3, Algorithm: miekg.ED25519,
	}
	k.rr.PublicKey = toBase64(k.private.Public().(ed25519.PublicKey))
	return k
}

func (k *key) data() []byte { return rdata(k.rr) }

// ds is the DS data of the key.
func (k *key) ds(digest uint8) []byte { return rdata(k.rr.ToDS(digest)) }

func (k *key) tag() uint16 { return k.rr.KeyTag() }

// rdata packs a record and returns its data.
func rdata(rr miekg.RR) []byte {
	b := make([]byte, miekg.Len(rr)+100)
	n, err := miekg.PackRR(rr, b, 0, nil, false)
	if err != nil {
		panic(err)
	}
	_, off, err := dns.UnpackName(b, 0)
	if err != nil {
		panic(err)
	}
	return bytes.Clone(b[off+10 : n])
}

// signing says how a set is signed.
type signing struct {
	at   time.Time
	ttl  uint32        // seconds
	life time.Duration // of the signatures, from at on
}

// keySet is the DNSKEY set of the zone with these keys, signed by some keys.
func keySet(t testing.TB, s signing, keys []string, by []string) *dns.RRset {
	t.Helper()
	set := &dns.RRset{Name: zoneName, Type: dns.TypeDNSKEY, Class: dns.ClassINET, TTL: s.ttl}
	var rrs []miekg.RR
	for _, name := range keys {
		k := newKey(name)
		k.rr.Hdr.Ttl = s.ttl
		rrs = append(rrs, k.rr)
		set.Data = set.Data.Append(k.data())
	}
	for _, name := range by {
		k := newKey(name)
		sig := &miekg.RRSIG{
			Hdr:       miekg.RR_Header{Name: zone, Rrtype: miekg.TypeRRSIG, Class: miekg.ClassINET, Ttl: s.ttl},
			Algorithm: k.rr.Algorithm, KeyTag: k.tag(), SignerName: zone,
			Inception: uint32(s.at.Add(-time.Hour).Unix()), Expiration: uint32(s.at.Add(s.life).Unix()),
		}
		if err := sig.Sign(k.private, rrs); err != nil {
			t.Fatal(err)
		}
		set.Sigs = set.Sigs.Append(rdata(sig))
	}
	return set
}

func checks(t testing.TB) Checks {
	t.Helper()
	table, err := dnssec.Compile(dnssec.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	return Checks{Table: table}
}

// anchorsOf reads "ds:A", "sha384:A" and "key:A".
func anchorsOf(t testing.TB, words []string) Anchors {
	t.Helper()
	a := Anchors{Zone: zoneName}
	for _, w := range words {
		var form, name string
		if n, _ := fmt.Sscanf(bySpace(w), "%s %s", &form, &name); n != 2 {
			t.Fatalf("%q is no anchor", w)
		}
		switch form {
		case "ds":
			a.DS = a.DS.Append(newKey(name).ds(miekg.SHA256))
		case "sha384":
			a.DS = a.DS.Append(newKey(name).ds(miekg.SHA384))
		case "key":
			a.DNSKEY = a.DNSKEY.Append(newKey(name).data())
		default:
			t.Fatalf("%q is no anchor", w)
		}
	}
	return a
}
