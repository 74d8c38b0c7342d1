package dns

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"
	"pgregory.net/rapid"
)

func TestAppendCanonical(t *testing.T) {
	for _, row := range table(t, "canonical_rdata.txt") {
		typ, err := ParseType(row[0])
		if err != nil {
			t.Fatal(err)
		}
		data := octets(t, row[1])
		before := bytes.Clone(data)
		got := AppendCanonical([]byte("BEFORE"), typ, data)
		if want := append([]byte("BEFORE"), octets(t, row[2])...); !bytes.Equal(got, want) {
			t.Errorf("%s %s: %x, want %x", row[0], row[1], got, want)
		}
		if !bytes.Equal(data, before) {
			t.Errorf("%s %s: the data itself was changed", row[0], row[1])
		}
	}
}

// What miekg/dns signs is what AppendSigned and AppendCanonical make: the signature verifies.
func TestSignedData(t *testing.T) {
	all := miekgRecords(t)
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	public := private.Public().(ed25519.PublicKey)
	rapid.Check(t, func(t *rapid.T) {
		rr := miekg.Copy(rapid.SampledFrom(all).Draw(t, "record"))
		switch rr.(type) {
		case *miekg.RRSIG, *miekg.SIG, *miekg.NXT: // never signed, or its names are left as they are by miekg/dns
			return
		}
		rename(t, rr)
		if strings.HasPrefix(rr.Header().Name, "*") { // signed in another form
			return
		}
		signer := MustParseName(rr.Header().Name).Ancestor(1)
		sig := &miekg.RRSIG{
			Hdr:       miekg.RR_Header{Name: rr.Header().Name, Rrtype: miekg.TypeRRSIG, Class: rr.Header().Class, Ttl: 300},
			Algorithm: miekg.ED25519, KeyTag: rapid.Uint16Min(1).Draw(t, "tag"), SignerName: miekgName(t, signer),
			Inception: rapid.Uint32Min(1).Draw(t, "inception"), Expiration: rapid.Uint32Min(1).Draw(t, "expiration"),
		}
		o := ours(t, rr) // before Sign, which may lower names
		if err := sig.Sign(private, []miekg.RR{rr}); err != nil {
			t.Fatal(err)
		}
		s, err := ParseRRSIG(ours(t, sig).Data)
		if err != nil {
			t.Fatal(err)
		}
		signed := s.AppendSigned(nil)
		signed = append(signed, o.Name.Lower().Wire()...)
		signed = binary.BigEndian.AppendUint16(signed, uint16(o.Type))
		signed = binary.BigEndian.AppendUint16(signed, uint16(o.Class))
		signed = binary.BigEndian.AppendUint32(signed, s.OriginalTTL)
		data := AppendCanonical(nil, o.Type, o.Data)
		signed = binary.BigEndian.AppendUint16(signed, uint16(len(data)))
		if !ed25519.Verify(public, append(signed, data...), s.Signature) {
			t.Fatalf("signature of %v does not verify; it covers\n%x", rr, append(signed, data...))
		}
	})
}

func TestRdataName(t *testing.T) {
	for typ, prefix := range map[Type]int{
		TypeNS: 0, TypeCNAME: 0, TypeDNAME: 0, TypePTR: 0, TypeMB: 0, TypeMD: 0, TypeMF: 0, TypeMG: 0, TypeMR: 0,
		TypeMX: 2, TypeKX: 2, TypeAFSDB: 2, TypeRT: 2, TypeSVCB: 2, TypeHTTPS: 2, TypeSRV: 6,
	} {
		data := append(make([]byte, prefix), "\x01a\x00"...)
		if n, ok := RdataName(typ, data); !ok || n != MustParseName("a.") {
			t.Errorf("%v: %v, %v", typ, n, ok)
		}
		for cut := range data {
			if n, ok := RdataName(typ, data[:cut]); ok {
				t.Errorf("%v, %d of %d octets: %v", typ, cut, len(data), n)
			}
		}
		if n, ok := RdataName(typ, append(data, 0)); ok != (typ == TypeSVCB || typ == TypeHTTPS) {
			t.Errorf("%v and an octet more: %v, %v", typ, n, ok)
		}
	}
	for _, typ := range []Type{TypeA, TypeSOA, TypeRRSIG, Type(65280)} {
		if n, ok := RdataName(typ, []byte("\x01a\x00")); ok {
			t.Errorf("%v: %v", typ, n)
		}
	}
}

func TestSOA(t *testing.T) {
	data := octets(t, `"Ns.example." "host.example." 00000001 00000002 00000003 00000004 ffffffff`)
	s, err := ParseSOA(data)
	want := SOA{MustParseName("Ns.example."), MustParseName("host.example."), 1, 2, 3, 4, 1<<32 - 1}
	if err != nil || s != want || !bytes.Equal(s.Append(nil), data) {
		t.Errorf("%+v, %v", s, err)
	}
	for cut := range data {
		if _, err := ParseSOA(data[:cut]); err == nil {
			t.Errorf("%d of %d octets are no error", cut, len(data))
		}
	}
	if _, err := ParseSOA(append(data, 0)); err == nil {
		t.Error("an octet more is no error")
	}
}

// The typed readers against those of miekg/dns, and cut anywhere.
func TestTypedReaders(t *testing.T) {
	b64 := base64.StdEncoding.EncodeToString
	seen := map[string]bool{}
	for _, rr := range miekgRecords(t) {
		data := ours(t, rr).Data
		var fixed int // octets without which there is an error
		var read func([]byte) error
		switch w := rr.(type) {
		case *miekg.RRSIG:
			s, err := ParseRRSIG(data)
			if err != nil || s.TypeCovered != Type(w.TypeCovered) || s.Algorithm != w.Algorithm || s.Labels != w.Labels ||
				s.OriginalTTL != w.OrigTtl || s.Expiration != w.Expiration || s.Inception != w.Inception || s.KeyTag != w.KeyTag ||
				s.SignerName.String() != w.SignerName || b64(s.Signature) != w.Signature {
				t.Errorf("%v is read as %+v, %v", w, s, err)
			}
			fixed, read = rrsigFixedLen+s.SignerName.Len(), func(b []byte) error { _, err := ParseRRSIG(b); return err }
			if CoveredType(data) != s.TypeCovered || CoveredType(data[:1]) != TypeNone {
				t.Error("CoveredType")
			}
		case *miekg.DNSKEY:
			k, err := ParseDNSKEY(data)
			if err != nil || k.Flags != w.Flags || k.Protocol != w.Protocol || k.Algorithm != w.Algorithm || b64(k.PublicKey) != w.PublicKey {
				t.Errorf("%v is read as %+v, %v", w, k, err)
			}
			fixed, read = dnskeyFixedLen, func(b []byte) error { _, err := ParseDNSKEY(b); return err }
		case *miekg.DS:
			d, err := ParseDS(data)
			if err != nil || d.KeyTag != w.KeyTag || d.Algorithm != w.Algorithm || d.DigestType != w.DigestType || !bytes.Equal(d.Digest, octets(t, w.Digest)) {
				t.Errorf("%v is read as %+v, %v", w, d, err)
			}
			fixed, read = dsFixedLen, func(b []byte) error { _, err := ParseDS(b); return err }
		case *miekg.NSEC:
			n, err := ParseNSEC(data)
			if err != nil || n.NextName.String() != MustParseName(w.NextDomain).String() {
				t.Errorf("%v is read as %+v, %v", w, n, err)
			}
			sameTypes(t, n.Types, w.TypeBitMap)
			fixed, read = n.NextName.Len(), func(b []byte) error { _, err := ParseNSEC(b); return err }
		case *miekg.NSEC3:
			n, err := ParseNSEC3(data)
			if err != nil || n.HashAlgorithm != w.Hash || n.Flags != w.Flags || n.Iterations != w.Iterations ||
				!bytes.Equal(n.Salt, octets(t, w.Salt)) || len(n.NextHashed) != int(w.HashLength) {
				t.Errorf("%v is read as %+v, %v", w, n, err)
			}
			sameTypes(t, n.Types, w.TypeBitMap)
			fixed, read = nsec3FixedLen+1+len(n.Salt)+1+len(n.NextHashed), func(b []byte) error { _, err := ParseNSEC3(b); return err }
		default:
			continue
		}
		seen[miekg.TypeToString[rr.Header().Rrtype]] = true
		for cut := range fixed {
			if read(data[:cut:cut]) == nil {
				t.Errorf("%v: %d of %d octets are no error", rr, cut, len(data))
			}
		}
	}
	if len(seen) != 5 {
		t.Errorf("read only %v", seen)
	}
}
