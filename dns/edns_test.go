package dns

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestOptions(t *testing.T) {
	for _, row := range table(t, "options.txt") {
		o := Options(octets(t, row[0]))
		var got []string
		for code, data := range o.All() {
			got = append(got, fmt.Sprintf("%d=%x", code, data))
			if d, ok := o.Find(code); !ok || (code != OptionNSID && !bytes.Equal(d, data)) {
				t.Errorf("%s: option %d is found as %x, %v", row[0], code, d, ok)
			}
		}
		if o.Check() != nil {
			got = append(got, "malformed")
		}
		if s := strings.Join(got, " "); s != row[1] {
			t.Errorf("%s: %s, want %s", row[0], s, row[1])
		}
	}
	o := Options{}.Append(OptionNSID, []byte("first")).Append(OptionPadding, []byte("ab"), nil, []byte("c")).Append(OptionNSID)
	if want := octets(t, "0003 0005 'first' 000c 0003 'abc' 0003 0000"); !bytes.Equal(o, want) || o.Check() != nil {
		t.Errorf("%x, want %x", o, want)
	}
	if d, ok := o.Find(OptionNSID); string(d) != "first" || !ok {
		t.Errorf("of two, %q is found", d)
	}
	if d, ok := o.Find(OptionCookie); ok {
		t.Errorf("%q is found, which is not there", d)
	}
	if OPTLen(o) != 11+len(o) {
		t.Error("OPTLen")
	}
}

func TestEDE(t *testing.T) {
	for _, row := range table(t, "ede.txt") {
		got := "none"
		if e, ok := ParseEDE(octets(t, row[0])); ok {
			got = fmt.Sprintf("%d %q", uint16(e.Code), e.Text)
		}
		// %q shows U+FFFD as it is.
		if got != row[1] {
			t.Errorf("%s: %s, want %s", row[0], got, row[1])
		}
	}
	e := EDE{EDENoReachable, "ns1.example.: timeout"}
	for code, data := range e.Append(nil).All() {
		if back, ok := ParseEDE(data); code != OptionEDE || !ok || back != e {
			t.Errorf("%v comes back as %v", e, back)
		}
	}
	for code, want := range map[EDECode]string{0: "Other Error", 9: "DNSKEY Missing", 22: "No Reachable Authority", 30: "Invalid Query Type", 31: "EDE31", 65535: "EDE65535"} {
		if code.String() != want {
			t.Errorf("%d is %q, want %q", uint16(code), code, want)
		}
	}
}

func FuzzOptions(f *testing.F) {
	for _, row := range table(f, "options.txt") {
		f.Add(octets(f, row[0]))
	}
	for _, row := range table(f, "ede.txt") {
		f.Add([]byte(Options{}.Append(OptionEDE, octets(f, row[0]))))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o := Options(data)
		var back Options
		for code, d := range o.All() {
			back = back.Append(code, d)
			if e, ok := ParseEDE(d); ok && !utf8.ValidString(e.Text) {
				t.Fatalf("%x has the text %q", d, e.Text)
			}
		}
		if !bytes.HasPrefix(o, back) || (len(back) == len(o)) != (o.Check() == nil) {
			t.Fatalf("%x has the options %x, check: %v", o, back, o.Check())
		}
	})
}
