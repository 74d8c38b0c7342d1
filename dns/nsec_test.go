package dns

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"
	"pgregory.net/rapid"
)

func TestTypeBitmap(t *testing.T) {
	for _, row := range table(t, "bitmaps.txt") {
		want := ""
		if len(row) > 1 {
			want = row[1]
		}
		m := TypeBitmap(octets(t, row[0]))
		if wantError(t, m.Check(), want) {
			if _, err := ParseNSEC(append([]byte{0}, m...)); err == nil {
				t.Errorf("%s is no error in NSEC data", row[0])
			}
			if _, err := ParseNSEC3(append(octets(t, "01000000 00 01 ff"), m...)); err == nil {
				t.Errorf("%s is no error in NSEC3 data", row[0])
			}
			continue
		}
		var types []uint16
		for s := range strings.FieldsSeq(want) {
			typ, err := ParseType(s)
			if err != nil {
				t.Fatal(err)
			}
			types = append(types, uint16(typ))
		}
		sameTypes(t, m, types)
	}
}

// sameTypes asserts that the bitmap holds these types, in ascending order, and no other.
func sameTypes(t fataler, m TypeBitmap, want []uint16) {
	t.Helper()
	i := 0
	for typ := range m.All() {
		if i >= len(want) || uint16(typ) != want[i] {
			t.Fatalf("%x: type %d is %v, want %v", m, i, typ, want)
		}
		i++
	}
	if i != len(want) {
		t.Fatalf("%x: %d types, want %v", m, i, want)
	}
	for typ := range 1 << 16 {
		if m.Has(Type(typ)) != slices.Contains(want, uint16(typ)) {
			t.Fatalf("%x: has %v: %v", m, Type(typ), m.Has(Type(typ)))
		}
	}
}

func TestNSEC3WithoutHash(t *testing.T) {
	if n, err := ParseNSEC3(octets(t, "01 00 0000 00 00")); err == nil {
		t.Errorf("%+v", n)
	}
}

func TestTypeBitmapAgreesWithMiekg(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		types := rapid.SliceOfNDistinct(rapid.OneOf(rapid.Uint16Range(1, 300), rapid.Uint16Min(1)), 0, 20, rapid.ID).Draw(t, "types")
		slices.Sort(types)
		rr := &miekg.NSEC{Hdr: miekg.RR_Header{Name: ".", Rrtype: miekg.TypeNSEC, Class: 1}, NextDomain: "a.", TypeBitMap: types}
		n, err := ParseNSEC(ours(t, rr).Data)
		if err != nil {
			t.Fatal(err)
		}
		sameTypes(t, n.Types, types)
	})
}

func FuzzNSEC(f *testing.F) {
	for _, rr := range records(f) {
		if rr.Type == TypeNSEC {
			f.Add(rr.Data)
		}
	}
	for _, row := range table(f, "bitmaps.txt") {
		f.Add(append([]byte{0}, octets(f, row[0])...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := ParseNSEC(data)
		if err != nil {
			return
		}
		checkName(t, n.NextName)
		if back := append([]byte(n.NextName.Wire()), n.Types...); !bytes.Equal(back, data) {
			t.Fatalf("%x is read as %x", data, back)
		}
		checkBitmap(t, n.Types)
	})
}

func FuzzNSEC3(f *testing.F) {
	for _, rr := range records(f) {
		if rr.Type == TypeNSEC3 {
			f.Add(rr.Data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := ParseNSEC3(data)
		if err != nil {
			return
		}
		back := []byte{n.HashAlgorithm, n.Flags, byte(n.Iterations >> 8), byte(n.Iterations), byte(len(n.Salt))}
		back = append(append(back, n.Salt...), byte(len(n.NextHashed)))
		back = append(append(back, n.NextHashed...), n.Types...)
		if !bytes.Equal(back, data) || len(n.NextHashed) == 0 {
			t.Fatalf("%x is read as %x", data, back)
		}
		checkBitmap(t, n.Types)
		if err := CheckRdata(TypeNSEC3, data); err != nil {
			t.Fatal(err)
		}
	})
}

// checkBitmap asserts that All and Has agree, also on a bitmap that is cut.
func checkBitmap(t *testing.T, m TypeBitmap) {
	t.Helper()
	for cut := range len(m) + 1 {
		last := -1
		for typ := range m[:cut].All() {
			if int(typ) <= last || !m[:cut].Has(typ) {
				t.Fatalf("%x: %v is out of order or not there", m[:cut], typ)
			}
			last = int(typ)
		}
	}
}
