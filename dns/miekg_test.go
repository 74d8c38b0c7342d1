package dns

import (
	"os"
	"reflect"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"
	"pgregory.net/rapid"
)

// miekgName writes n as miekg/dns does, whose choice of escapes differs.
func miekgName(t *rapid.T, n Name) string {
	s, _, err := miekg.UnpackDomainName([]byte(n.Wire()), 0)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// records returns what testdata/records.zone holds.
func records(t testing.TB) []RR {
	t.Helper()
	b, err := os.ReadFile("testdata/records.zone")
	if err != nil {
		t.Fatal(err)
	}
	rrs, err := ParseZone(string(b), "records.zone", Root, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return rrs
}

// miekgRecords returns the same as miekg/dns reads it.
func miekgRecords(t testing.TB) []miekg.RR {
	t.Helper()
	f, err := os.Open("testdata/records.zone")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []miekg.RR
	p := miekg.NewZoneParser(f, ".", "")
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		out = append(out, rr)
	}
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// fataler is what testing.TB and rapid.T have in common.
type fataler interface {
	Helper()
	Fatalf(string, ...any)
}

// ours converts a record of miekg/dns by packing it without compression.
func ours(t fataler, rr miekg.RR) RR {
	t.Helper()
	buf := make([]byte, 2*MaxMessageLen)
	end, err := miekg.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		t.Fatalf("%v: %v", rr, err)
	}
	name, off, err := UnpackName(buf[:end], 0)
	if err != nil {
		t.Fatalf("%v: %v", rr, err)
	}
	h := rr.Header()
	return RR{name, Type(h.Rrtype), Class(h.Class), h.Ttl, buf[off+10 : end]}
}

// rename draws new names for the owner and the data of rr, which it changes.
func rename(t *rapid.T, rr miekg.RR) {
	rr.Header().Name = miekgName(t, drawName(t, "owner"))
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		for i := range v.NumField() {
			f := v.Type().Field(i)
			tag := f.Tag.Get("dns")
			switch {
			case f.Type == reflect.TypeFor[miekg.RR_Header]():
			case v.Field(i).Kind() == reflect.Struct: // types made of another, as CDS of DS
				walk(v.Field(i))
			case !strings.HasSuffix(tag, "domain-name"):
			case v.Field(i).Kind() == reflect.String:
				v.Field(i).SetString(miekgName(t, drawName(t, f.Name)))
			case v.Field(i).Kind() == reflect.Slice:
				for k := range v.Field(i).Len() {
					v.Field(i).Index(k).SetString(miekgName(t, drawName(t, f.Name)))
				}
			}
		}
	}
	walk(reflect.ValueOf(rr).Elem())
}
