package dns

import (
	"testing"

	miekg "github.com/miekg/dns"
)

func TestTypeNames(t *testing.T) {
	names := map[string]Type{}
	for v := range 1 << 16 {
		typ := Type(v)
		s := typ.String()
		if other, twice := names[s]; twice {
			t.Errorf("%s is %d and %d", s, other, typ)
		}
		names[s] = typ
		if v < 300 || v >= 32700 && v < 32800 {
			if back, err := ParseType(s); err != nil || back != typ {
				t.Errorf("%d is %s, which is %d, %v", typ, s, back, err)
			}
		}
		if other, ok := miekg.TypeToString[uint16(v)]; ok && s != other && typ != TypeNone && v < 65535 {
			t.Errorf("%d is %s, for miekg/dns %s", v, s, other)
		}
	}
	for s, want := range map[string]Type{"a": TypeA, "aaaa": TypeAAAA, "nsap-ptr": 23, "TYPE0": 0, "type65535": 65535, "TYPE1": TypeA, "TYPE00001": TypeA} {
		if got, err := ParseType(s); err != nil || got != want {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "TYPE", "TYPE65536", "TYPE-1", "TYPE+1", "TYPE1x", "AX", " A", "CLASS1"} {
		if got, err := ParseType(s); err == nil {
			t.Errorf("%q is %v", s, got)
		}
	}
	var typ Type
	if typ.UnmarshalText([]byte("mx")) != nil || typ != TypeMX || typ.UnmarshalText([]byte("?")) == nil || typ != TypeMX {
		t.Errorf("text form is read as %v", typ)
	}
	if b, _ := TypeHTTPS.MarshalText(); string(b) != "HTTPS" {
		t.Errorf("text form %s", b)
	}
}

// RFC 6895 section 3.1: types 128 to 255, OPT and 0 name no records of a zone.
func TestMetaTypes(t *testing.T) {
	for v := range 1 << 16 {
		if want := v == 0 || v == 41 || v >= 128 && v <= 255; Type(v).IsMeta() != want {
			t.Errorf("%v: %v", Type(v), !want)
		}
	}
}

func TestCodeNames(t *testing.T) {
	for v, want := range miekg.RcodeToString {
		if want == "BADSIG" { // 16 has two names; the one that matters without TSIG is BADVERS
			want = "BADVERS"
		}
		if got := RCode(v).String(); got != want {
			t.Errorf("response code %d is %s, want %s", v, got, want)
		}
	}
	for _, c := range []struct{ got, want string }{
		{RCode(12).String(), "RCODE12"}, {RCode(4095).String(), "RCODE4095"},
		{ClassINET.String(), "IN"}, {ClassCHAOS.String(), "CH"}, {ClassHS.String(), "HS"}, {ClassNONE.String(), "NONE"},
		{ClassANY.String(), "ANY"}, {Class(0).String(), "CLASS0"}, {Class(32).String(), "CLASS32"},
		{OpcodeQuery.String(), "QUERY"}, {OpcodeStatus.String(), "STATUS"}, {OpcodeNotify.String(), "NOTIFY"},
		{OpcodeUpdate.String(), "UPDATE"}, {Opcode(6).String(), "OPCODE6"},
		{Answer.String(), "answer"}, {Additional.String(), "additional"},
		{Question{Root, TypeNS, ClassINET}.String(), ". NS"}, {Question{Root, TypeTXT, ClassCHAOS}.String(), ". CH TXT"},
	} {
		if c.got != c.want {
			t.Errorf("%s, want %s", c.got, c.want)
		}
	}
}
