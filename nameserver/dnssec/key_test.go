package dnssec

import (
	"bytes"
	"encoding/binary"
	"math/big"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/dns"
)

// RSA keys of the sizes and exponents that RFC 5702 section 2 allows verify, whichever arithmetic does it. This needs the godebug line
// of go.mod: the standard library refuses keys below 1,024 bits otherwise.
func TestRSASizes(t *testing.T) {
	for _, tc := range []struct {
		algorithm      Algorithm
		bits, exponent int
		weight         int    // 0: refused
		why            string // of the refusal
	}{
		{RSASHA256, 512, 65537, 1, ""},
		{RSASHA256, 1023, 65537, 1, ""},
		{RSASHA256, 1024, 3, 1, ""},
		{RSASHA256, 1280, 65537, 1, ""},
		{RSASHA256, 2048, 65537, 1, ""},
		{RSASHA256, 2048, 1<<31 - 1, 3, ""},
		{RSASHA256, 2048, 1<<32 + 1, 3, ""},
		{RSASHA256, 3072, 65537, 3, ""},
		{RSASHA256, 4096, 65537, 3, ""},
		{RSASHA256, 4096, 1<<32 + 1, 9, ""},
		{RSASHA256, 4104, 65537, 0, "513 octets, which is not 512 to 4096 bits"},
		{RSASHA256, 504, 65537, 0, "63 octets, which is not 512 to 4096 bits"},
		{RSASHA512, 1024, 65537, 1, ""},
		{RSASHA512, 4096, 1<<32 + 1, 9, ""},
		{RSASHA512, 1023, 65537, 0, "128 octets, which is not 1024 to 4096 bits"},
		{RSASHA512, 512, 65537, 0, "64 octets, which is not 1024 to 4096 bits"},
		{RSASHA1, 512, 65537, 1, ""},
		{RSASHA1NSEC3SHA1, 4096, 65537, 3, ""},
	} {
		s := newRSA(tc.algorithm, tc.bits, tc.exponent)
		k, err := dns.ParseDNSKEY(s.data())
		if err != nil {
			t.Fatal(err)
		}
		public, err := readKey(&k, k.KeyTag(), table(t, withSHA1))
		if tc.weight == 0 {
			if err == nil || !strings.Contains(err.Error(), tc.why) {
				t.Errorf("%v of %d bits: %v", tc.algorithm, tc.bits, err)
			}
			continue
		}
		if err != nil || public.weight != tc.weight {
			t.Errorf("%v of %d bits with %d: weight %d, %v", tc.algorithm, tc.bits, tc.exponent, public.weight, err)
			continue
		}
		set := s.sign(rrset(t, www), name("example."))
		r := CheckSet(&set, newKeys(name("example."), []key{public}), at, work(t, withSHA1))
		if !r.Secure() {
			t.Errorf("%v of %d bits with %d: %+v", tc.algorithm, tc.bits, tc.exponent, r)
		}
		// The other arithmetic agrees, on good and bad.
		pub, message := public.verifier.(*rsaKey), []byte("message")
		good := s.private(message)
		if !pub.verifyBig(digest(pub.hash, message), good) || pub.verifyBig(digest(pub.hash, []byte("other")), good) {
			t.Errorf("%v of %d bits with %d: math/big disagrees", tc.algorithm, tc.bits, tc.exponent)
		}
		n := pub.key.N
		for what, bad := range map[string][]byte{
			"none": nil, "zeros": make([]byte, len(good)), "too short": good[1:], "too long": append([]byte{0}, good...),
			"the modulus more": new(big.Int).Add(new(big.Int).SetBytes(good), n).Bytes(), "one": append(make([]byte, len(good)-1), 1),
			"the modulus": n.Bytes(), "the modulus less one": new(big.Int).Sub(n, big.NewInt(1)).Bytes(),
		} {
			if pub.verify(message, bad) || pub.verifyBig(digest(pub.hash, message), bad) {
				t.Errorf("%v of %d bits with %d: a signature of %s verifies", tc.algorithm, tc.bits, tc.exponent, what)
			}
		}
	}
}

// What is no key is refused, with a reason.
func TestMalformedKeys(t *testing.T) {
	rsa1024 := newRSA(RSASHA256, 1024, 65537).public
	modulus := rsa1024[4:]
	even := bytes.Clone(modulus)
	even[len(even)-1] &^= 1
	rsaKey := func(e []byte, n []byte) []byte { return append(append([]byte{byte(len(e))}, e...), n...) }
	long := func(e []byte, n []byte) []byte {
		return append(append(binary.BigEndian.AppendUint16([]byte{0}, uint16(len(e))), e...), n...)
	}
	p256, p384 := newSigner(ECDSAP256SHA256, 1).public, newSigner(ECDSAP384SHA384, 1).public
	offCurve := bytes.Clone(p256)
	offCurve[63] ^= 1
	for _, tc := range []struct {
		what      string
		algorithm Algorithm
		flags     uint16
		protocol  uint8
		public    []byte
		why       string // "": none
	}{
		{what: "RSA", algorithm: RSASHA256, public: rsa1024},
		{what: "RSA with a long exponent length", algorithm: RSASHA256, public: long([]byte{1, 0, 1}, modulus)},
		{what: "RSA with zeros before both numbers", algorithm: RSASHA256, public: long([]byte{0, 0, 1, 0, 1}, append([]byte{0, 0}, modulus...))},
		{what: "RSA with exponent 1", algorithm: RSASHA256, public: rsaKey([]byte{1}, modulus), why: "exponent"},
		{what: "RSA with exponent 0", algorithm: RSASHA256, public: rsaKey([]byte{0}, modulus), why: "exponent"},
		{what: "RSA with an even exponent", algorithm: RSASHA256, public: rsaKey([]byte{1, 0, 0}, modulus), why: "exponent"},
		{what: "RSA with exponent 2^32+3", algorithm: RSASHA256, public: rsaKey([]byte{1, 0, 0, 0, 3}, modulus), why: "exponent"},
		{what: "RSA with exponent 2^64+1", algorithm: RSASHA256, public: rsaKey([]byte{1, 0, 0, 0, 0, 0, 0, 0, 1}, modulus), why: "exponent"},
		{what: "RSA with an exponent like the modulus", algorithm: RSASHA256, public: rsaKey(modulus, modulus), why: "exponent"},
		{what: "RSA with an even modulus", algorithm: RSASHA256, public: rsaKey([]byte{3}, even), why: "malformed"},
		{what: "RSA of nothing", algorithm: RSASHA256, why: "malformed"},
		{what: "RSA without modulus", algorithm: RSASHA256, public: []byte{3, 1, 0, 1}, why: "malformed"},
		{what: "RSA with an exponent that runs over", algorithm: RSASHA256, public: []byte{200, 1, 0, 1}, why: "malformed"},
		{what: "RSA with a long length cut off", algorithm: RSASHA256, public: []byte{0, 1}, why: "malformed"},
		{what: "RSA with a long length of zero", algorithm: RSASHA256, public: []byte{0, 0, 0, 1}, why: "malformed"},
		{what: "RSA of 64 KiB", algorithm: RSASHA256, public: rsaKey([]byte{3}, bytes.Repeat([]byte{0xFF}, 65000)), why: "65000 octets, which is not"},
		{what: "P-256", algorithm: ECDSAP256SHA256, public: p256},
		{what: "P-256 too short", algorithm: ECDSAP256SHA256, public: p256[1:], why: "has 63 octets and not 64"},
		{what: "P-256 with a form octet", algorithm: ECDSAP256SHA256, public: append([]byte{4}, p256...), why: "has 65 octets and not 64"},
		{what: "P-256 off the curve", algorithm: ECDSAP256SHA256, public: offCurve, why: "not a point"},
		{what: "P-256 of zeros", algorithm: ECDSAP256SHA256, public: make([]byte, 64), why: "not a point"},
		{what: "P-384", algorithm: ECDSAP384SHA384, public: p384},
		{what: "P-384 of P-256", algorithm: ECDSAP384SHA384, public: p256, why: "has 64 octets and not 96"},
		{what: "Ed25519 too long", algorithm: Ed25519, public: make([]byte, 33), why: "has 33 octets and not 32"},
		{what: "Ed448 too short", algorithm: Ed448, public: make([]byte, 56), why: "has 56 octets and not 57"},
		{what: "no zone key", algorithm: RSASHA256, flags: 1, public: rsa1024, why: "not a zone key"},
		{what: "revoked", algorithm: RSASHA256, flags: 0x181, public: rsa1024, why: "revoked"},
		{what: "a key-signing key", algorithm: RSASHA256, flags: 0x101, public: rsa1024},
		{what: "flags that nobody knows", algorithm: RSASHA256, flags: 0xFF7F, public: rsa1024},
		{what: "another protocol", algorithm: RSASHA256, protocol: 4, public: rsa1024, why: "protocol other than 3"},
		{what: "an algorithm that is off", algorithm: RSASHA1, public: rsa1024, why: "not supported"},
		{what: "an algorithm that must not be", algorithm: 12, public: rsa1024, why: "not supported"},
		{what: "an algorithm that nobody knows", algorithm: 200, public: rsa1024, why: "not supported"},
	} {
		k := dns.DNSKEY{Flags: tc.flags, Protocol: tc.protocol, Algorithm: uint8(tc.algorithm), PublicKey: tc.public}
		if k.Flags == 0 {
			k.Flags = dns.DNSKEYFlagZone
		}
		if k.Protocol == 0 {
			k.Protocol = dns.DNSKEYProtocol
		}
		_, err := readKey(&k, k.KeyTag(), table(t))
		if tc.why == "" && err != nil || tc.why != "" && (err == nil || !strings.Contains(err.Error(), tc.why)) {
			t.Errorf("%s: %v, want %q", tc.what, err, tc.why)
		}
	}
}

// Keys are found by algorithm and tag, all that share both and no others.
func TestKeysAreFound(t *testing.T) {
	var keys []key
	for _, k := range []struct {
		a   Algorithm
		tag uint16
	}{{13, 7}, {8, 7}, {13, 7}, {15, 0}, {13, 65535}, {8, 9}, {13, 6}, {13, 7}} {
		keys = append(keys, key{algorithm: k.a, tag: k.tag})
	}
	all := newKeys(name("Example."), keys)
	if all.Zone() != name("example.") || all.String() != "8/7 8/9 13/6 13/7 13/7 13/7 13/65535 15/0" {
		t.Errorf("%v: %v", all.Zone(), all)
	}
	for a := range Algorithm(17) {
		for _, tag := range []uint16{0, 6, 7, 8, 9, 65535} {
			want := 0
			for _, k := range keys {
				if k.algorithm == a && k.tag == tag {
					want++
				}
			}
			got := all.find(a, tag)
			for _, k := range got {
				if k.algorithm != a || k.tag != tag {
					t.Errorf("%d/%d finds %d/%d", a, tag, k.algorithm, k.tag)
				}
			}
			if len(got) != want {
				t.Errorf("%d/%d finds %d keys, want %d", a, tag, len(got), want)
			}
		}
	}
}

// The table names each row once, and every row that is supported has all that it needs.
func TestTableOfAlgorithms(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range algorithms {
		if seen[a.name] || seen[string(rune(a.number))] || a.number.String() != a.name {
			t.Errorf("%d %s is there twice", a.number, a.name)
		}
		seen[a.name], seen[string(rune(a.number))] = true, true
		if (a.use == unsupported) != (a.weight == 0 && a.minBits == 0) || a.weight > 0 && a.minBits > 0 || a.minBits > 0 && a.hash == 0 {
			t.Errorf("%+v", a)
		}
	}
	for _, tc := range []struct {
		settings   Settings
		algorithms string
		digests    string
	}{
		{Defaults(), "RSASHA256 RSASHA512 ECDSAP256SHA256 ECDSAP384SHA384 ED25519 ED448", "SHA-1 SHA-256 SHA-384"},
		{
			Settings{SHA1Signatures: true, Limits: Defaults().Limits},
			"RSASHA1 RSASHA1-NSEC3-SHA1 RSASHA256 RSASHA512 ECDSAP256SHA256 ECDSAP384SHA384 ED25519 ED448", "SHA-256 SHA-384",
		},
	} {
		c, err := Compile(tc.settings)
		if err != nil {
			t.Fatal(err)
		}
		var as, ds []string
		for i := range 256 {
			if a := Algorithm(i); c.SupportsAlgorithm(a) {
				as = append(as, a.String())
			}
			if d := Digest(i); c.SupportsDigest(d) {
				ds = append(ds, d.String())
			}
		}
		if got := strings.Join(as, " "); got != tc.algorithms {
			t.Errorf("algorithms %s", got)
		}
		if got := strings.Join(ds, " "); got != tc.digests {
			t.Errorf("digests %s", got)
		}
	}
	if s := Algorithm(99).String() + Digest(99).String(); s != "ALGORITHM99DIGEST99" {
		t.Error(s)
	}
}
