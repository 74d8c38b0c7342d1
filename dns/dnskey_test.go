package dns

import (
	"bytes"
	"encoding/base64"
	"testing"

	miekg "github.com/miekg/dns"
	"pgregory.net/rapid"
)

func TestKeyTag(t *testing.T) {
	for _, row := range table(t, "key_tags.txt") {
		rrs, err := ParseZone(". IN DNSKEY "+row[0], "", Root, 1)
		if err != nil {
			t.Fatal(err)
		}
		k, err := ParseDNSKEY(rrs[0].Data)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := int(k.KeyTag()), hexNumber(t, row[1]); got != want {
			t.Errorf("%s: tag %04x, want %04x", row[0], got, want)
		}
	}
}

func TestKeyTagAgreesWithMiekg(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := DNSKEY{
			Flags:     rapid.Uint16().Draw(t, "flags"),
			Protocol:  rapid.Uint8().Draw(t, "protocol"),
			Algorithm: rapid.Uint8Min(2).Draw(t, "algorithm"), // it does not know of RSA/MD5's other rule
			PublicKey: rapid.SliceOfN(rapid.Byte(), 1, 600).Draw(t, "key"),
		}
		if rapid.IntRange(0, 9).Draw(t, "large") == 0 { // so that sums have carries
			k.PublicKey = bytes.Repeat([]byte{0xFF}, rapid.IntRange(1000, 4000).Draw(t, "length"))
		}
		m := miekg.DNSKEY{Flags: k.Flags, Protocol: k.Protocol, Algorithm: k.Algorithm, PublicKey: base64.StdEncoding.EncodeToString(k.PublicKey)}
		if got, want := k.KeyTag(), m.KeyTag(); got != want {
			t.Fatalf("%d, miekg/dns has %d", got, want)
		}
	})
}

func FuzzDNSKEY(f *testing.F) {
	for _, rr := range records(f) {
		if rr.Type == TypeDNSKEY || rr.Type == TypeCDNSKEY {
			f.Add(rr.Data)
		}
	}
	f.Add([]byte{0, 0, 3, 1, 1, 2})
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := ParseDNSKEY(data)
		if err != nil {
			return
		}
		k.KeyTag()
		back := append([]byte{byte(k.Flags >> 8), byte(k.Flags), k.Protocol, k.Algorithm}, k.PublicKey...)
		if !bytes.Equal(back, data) {
			t.Fatalf("%x is read as %x", data, back)
		}
	})
}

func FuzzDS(f *testing.F) {
	for _, rr := range records(f) {
		if rr.Type == TypeDS || rr.Type == TypeCDS {
			f.Add(rr.Data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := ParseDS(data)
		if err != nil {
			return
		}
		back := append([]byte{byte(d.KeyTag >> 8), byte(d.KeyTag), d.Algorithm, d.DigestType}, d.Digest...)
		if !bytes.Equal(back, data) {
			t.Fatalf("%x is read as %x", data, back)
		}
	})
}

func FuzzRRSIG(f *testing.F) {
	for _, rr := range records(f) {
		if rr.Type == TypeRRSIG {
			f.Add(rr.Data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseRRSIG(data)
		if err != nil {
			return
		}
		checkName(t, s.SignerName)
		if CoveredType(data) != s.TypeCovered {
			t.Fatalf("%x covers %v and %v", data, s.TypeCovered, CoveredType(data))
		}
		// What is signed is the data up to the signature, the name apart from its case.
		signed := s.AppendSigned(nil)
		n := len(data) - len(s.Signature)
		if len(signed) != n || !bytes.Equal(signed[:rrsigFixedLen], data[:rrsigFixedLen]) || string(signed[rrsigFixedLen:]) != s.SignerName.Lower().Wire() {
			t.Fatalf("%x is signed as %x", data, signed)
		}
		if !bytes.Equal(data[n:], s.Signature) {
			t.Fatalf("%x has the signature %x", data, s.Signature)
		}
	})
}
