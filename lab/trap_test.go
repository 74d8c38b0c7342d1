package lab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/cloudflare/circl/sign/ed448"
	miekg "github.com/miekg/dns"
)

// Traps fill a message with keys of one tag that can be keys, signed well, and with signatures by that tag that nobody can refuse unseen.
func TestTraps(t *testing.T) {
	for algorithm, curve := range map[uint8]elliptic.Curve{
		algRSASHA256: nil, algECDSAP256: elliptic.P256(), algECDSAP384: elliptic.P384(), algED25519: nil, algED448: nil,
	} {
		t.Run(miekg.AlgorithmToString[algorithm], func(t *testing.T) {
			l := newLab(t, fmt.Sprintf(`
[zone example alg=%d bits=2048 servers=192.0.2.1]
www A 192.0.2.80
[server 192.0.2.1]
fault key-trap
fault signature-trap type=A
fault signature-trap as=empty type=TXT
`, algorithm))
			r := ask(t, l, "192.0.2.1", "example", miekg.TypeDNSKEY, overTCP)
			var keys []*miekg.DNSKEY
			var set []miekg.RR
			var sig *miekg.RRSIG
			for _, rr := range r.Answer {
				switch rr := rr.(type) {
				case *miekg.DNSKEY:
					keys, set = append(keys, rr), append(set, rr)
				case *miekg.RRSIG:
					sig = rr
				}
			}
			if r.Len() < trapRoom-2000 {
				t.Errorf("%d octets", r.Len())
			}
			own := keys[len(keys)-1]
			if err := sig.Verify(own, set); algorithm != algED448 && err != nil {
				t.Errorf("the keys are not signed: %v", err)
			}
			seen := map[string]bool{}
			for _, k := range keys[:len(keys)-1] {
				public, err := base64.StdEncoding.DecodeString(k.PublicKey)
				if k.KeyTag() != trapTag || k.Flags&miekg.ZONE == 0 || k.Flags&miekg.REVOKE != 0 || k.Algorithm != algorithm || err != nil || seen[k.PublicKey] {
					t.Fatalf("tag %d: %v", k.KeyTag(), k)
				}
				seen[k.PublicKey] = true
				if curve != nil {
					if _, err := ecdsa.ParseUncompressedPublicKey(curve, append([]byte{4}, public...)); err != nil {
						t.Fatalf("%v: %v", k, err)
					}
				}
			}
			r = ask(t, l, "192.0.2.1", "www.example", miekg.TypeA, overTCP)
			if r.Len() < trapRoom-2000 {
				t.Errorf("%d octets", r.Len())
			}
			sigs := map[string]bool{}
			for _, rr := range r.Answer {
				s, ok := rr.(*miekg.RRSIG)
				if !ok {
					continue
				}
				b, err := base64.StdEncoding.DecodeString(s.Signature)
				if err != nil || s.KeyTag != trapTag || len(b) != signatureLen(algorithm) || sigs[s.Signature] || !inRange(algorithm, b) {
					t.Fatalf("%v", s)
				}
				sigs[s.Signature] = true
				if algorithm != algED448 {
					if err := s.Verify(keys[0], r.Answer[:1]); err == nil || strings.Contains(err.Error(), "key") {
						t.Fatalf("%v", err)
					}
				} else if public, _ := base64.StdEncoding.DecodeString(keys[0].PublicKey); ed448.Verify(public, []byte("x"), b, "") {
					t.Fatal("good")
				}
			}
			if n := len(sigs); n < 150 {
				t.Errorf("%d signatures", n)
			}
			if r := ask(t, l, "192.0.2.1", "www.example", miekg.TypeTXT, overTCP); len(r.Ns) < 1000 {
				t.Errorf("%d records with empty signatures", len(r.Ns))
			}
			t.Logf("%d keys, %d signatures", len(keys)-1, len(sigs))
		})
	}
}

// inRange tells whether the number at the end of a signature is one that a check would go on with (RFC 8032 sections 5.1.7 and 5.2.7).
func inRange(algorithm uint8, signature []byte) bool {
	b := append([]byte(nil), signature[len(signature)/2:]...)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	s := new(big.Int).SetBytes(b) // little-endian
	switch algorithm {
	case algED25519:
		return s.BitLen() <= 252
	case algED448:
		return s.BitLen() <= 445
	case algRSASHA256:
		return signature[0] == 0
	}
	return true
}

// What is ordered is what comes: by number, by whose the signatures say they are, and for DS records whether they fit the keys.
func TestTrapArguments(t *testing.T) {
	l := newLab(t, `
[zone example servers=192.0.2.1]
[zone sub.example servers=192.0.2.2]
www A 192.0.2.80
[server 192.0.2.1]
fault ds-trap as=keys n=3
[server 192.0.2.2]
fault key-trap n=3
fault signature-trap as=own n=5 type=A
fault signature-trap as=empty type=TXT
`)
	r := ask(t, l, "192.0.2.2", "sub.example", miekg.TypeDNSKEY, overTCP)
	digests := map[string]bool{}
	var own uint16
	for _, rr := range r.Answer {
		if k, ok := rr.(*miekg.DNSKEY); ok {
			digests[k.ToDS(miekg.SHA256).Digest] = true
			own = k.KeyTag() // the last
		}
	}
	if len(digests) != 4 || own == trapTag {
		t.Errorf("%d keys, the last %d", len(digests), own)
	}
	n := 0
	for _, rr := range ask(t, l, "192.0.2.1", "sub.example", miekg.TypeDS, overTCP).Answer {
		if ds, ok := rr.(*miekg.DS); ok {
			n++
			if !digests[ds.Digest] || (n < 4) != (ds.KeyTag == trapTag) {
				t.Errorf("%v fits no key", ds)
			}
		}
	}
	if n != 4 {
		t.Errorf("%d DS records", n)
	}
	n = 0
	for _, rr := range ask(t, l, "192.0.2.2", "www.sub.example", miekg.TypeA, overTCP).Answer {
		if s, ok := rr.(*miekg.RRSIG); ok {
			if n++; s.KeyTag != own {
				t.Errorf("key %d", s.KeyTag)
			}
		}
	}
	if n != 5 {
		t.Errorf("%d signatures", n)
	}
	n = 0
	for _, rr := range ask(t, l, "192.0.2.2", "www.sub.example", miekg.TypeTXT, overTCP).Ns {
		if s, ok := rr.(*miekg.RRSIG); ok {
			if n++; s.Signature != "" {
				t.Fatalf("%v", s)
			}
		}
	}
	if n < 1000 {
		t.Errorf("%d empty signatures", n)
	}
}

// Proofs fill a message, of both kinds, and are signed.
func TestProofTrap(t *testing.T) {
	l := newLab(t, `
[zone example sign=nsec3 iterations=5 salt=salt servers=192.0.2.1]
[zone test sign=nsec servers=192.0.2.1]
[server 192.0.2.1]
fault proof-trap
`)
	for _, zone := range []string{"example", "test"} {
		r := ask(t, l, "192.0.2.1", "none."+zone, miekg.TypeA, overTCP)
		w := &walker{t, l, map[string][]*miekg.DNSKEY{}}
		w.verify(r.Ns, never)
		if r.Rcode != miekg.RcodeNameError || r.Len() < trapRoom-6000 || len(r.Ns) < 300 {
			t.Errorf("%s: %s, %d octets, %d records", zone, miekg.RcodeToString[r.Rcode], r.Len(), len(r.Ns))
		}
	}
}
