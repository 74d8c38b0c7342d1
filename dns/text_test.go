package dns

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"
)

func TestRdataString(t *testing.T) {
	for _, row := range table(t, "rdata.txt") {
		typ, err := ParseType(row[0])
		if err != nil {
			t.Fatal(err)
		}
		data := octets(t, row[1])
		got := RdataString(typ, data)
		if got != row[2] {
			t.Errorf("%s %s: %s, want %s", row[0], row[1], got, row[2])
		}
	}
}

// Whatever data is shown as, it is read back as: the generic form of known types too, if the data is well formed.
func TestRecordsComeBackFromText(t *testing.T) {
	generic := 0
	for _, rr := range records(t) {
		if !strings.HasPrefix(RdataString(rr.Type, rr.Data), `\#`) {
			back, err := ParseZone(rr.String(), "", Root, 1)
			if err != nil {
				t.Fatalf("%v: %v", rr, err)
			}
			sameRecords(t, rr.String(), back, []RR{rr})
			generic++
		}
		line := fmt.Sprintf("%v %d CLASS%d TYPE%d %s", rr.Name, rr.TTL, rr.Class, rr.Type, genericRdata(rr.Data))
		back, err := ParseZone(line, "", Root, 1)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		sameRecords(t, line, back, []RR{rr})
	}
	if generic < 90 {
		t.Errorf("only %d records are shown in a form of their own", generic)
	}
}

// The file of records is a sample of every type that miekg/dns can read from text.
func TestRecordsOfEveryType(t *testing.T) {
	have := map[Type]bool{}
	for _, rr := range records(t) {
		have[rr.Type] = true
	}
	for typ := range miekg.TypeToRR {
		switch typ {
		case miekg.TypeOPT, miekg.TypeANY, miekg.TypeTSIG, miekg.TypeTKEY, miekg.TypeNXNAME: // no records of a zone
		default:
			if !have[Type(typ)] {
				t.Errorf("no record of type %v in testdata/records.zone", Type(typ))
			}
		}
	}
}

func TestParseZone(t *testing.T) {
	const zone = "$ORIGIN example.\n@ 60 A 192.0.2.1\nwww A 192.0.2.2\nn.other. CLASS1 TYPE1 \\# 4 C0000203\n"
	for _, c := range []struct {
		what, text string
		limit      int
		want       string
	}{
		{"relative, absolute and generic", zone, 3, "example. 60 A; www.example. 60 A; n.other. 60 A; "},
		{"no records", "; nothing\n", 0, ""},
		{"no TTL", "a. A 192.0.2.1", 1, "a. 3600 A; "},
		{"$TTL", "$TTL 5\na. A 192.0.2.1", 1, "a. 5 A; "},
		{"relative to the origin given", "a A 192.0.2.1", 1, "a.sub. 3600 A; "},
		{"one more than the limit", zone, 2, `error: reading records of "f.zone": more than 2`},
		{"$GENERATE is bounded by the limit", "$GENERATE 1-60000 h$ A 192.0.2.1", 10, "error: more than 10"},
		{"syntax", "a. A\nb. A 192.0.2.1", 9, `error: reading records of "f.zone": line 1, at its end: unexpected newline`},
		{"line", "\n\na. A bad", 9, `error: reading records of "f.zone": line 3, at "bad": not the data of a record of type A`},
		{"rubbish", "\nrubbish here " + strings.Repeat("x", 999), 9, `error: reading records of "f.zone": line 2, at "here": neither a TTL nor a class nor a type`},
		{"long rubbish", "rubbish " + strings.Repeat("\xfe", 999), 9, `error: \xfe\xfe..."`},
		{"$INCLUDE", "$INCLUDE /etc/passwd", 9, "error: $INCLUDE directive not allowed"},
		{"label of 64", strings.Repeat("x", 64) + ". A 192.0.2.1", 9, "error: "},
		{"data that does not fit its type", `a. MX \# 1 00`, 9, "error: "},
		{"no data for a type that has some", `a. TXT \# 0`, 9, `error: packing TXT record of "a.": TXT data of 0 octets`},
		{"data that miekg/dns would lose", "a. AMTRELAY 10 1 3 relay.example.", 9, `error: packing AMTRELAY record of "a.": this form`},
		{"bitmap out of order", "a. NSEC b. DNSKEY A", 9, `error: packing NSEC record of "a."`},
	} {
		rrs, err := ParseZone(c.text, "f.zone", MustParseName("sub."), c.limit)
		if wantError(t, err, c.want) {
			continue
		}
		var got strings.Builder
		for _, rr := range rrs {
			fmt.Fprintf(&got, "%v %d %v; ", rr.Name, rr.TTL, rr.Type)
		}
		if got.String() != c.want {
			t.Errorf("%s: %s, want %s", c.what, got.String(), c.want)
		}
	}
}

func FuzzParseZone(f *testing.F) {
	for _, rr := range records(f) {
		f.Add(rr.String())
	}
	f.Add("$ORIGIN example.\n$TTL 1h\n@ IN SOA ns host (\n1 2 3 4 5 )\n www 5 CLASS1 TYPE1 \\# 4 C0000201 ; comment\n")
	f.Add("$GENERATE 1-3 h$ A 192.0.2.$\n$INCLUDE x\n")
	f.Fuzz(func(t *testing.T, text string) {
		rrs, err := ParseZone(text, "fuzz", Root, 20)
		if err != nil {
			return
		}
		var b Builder
		b.Start(nil, MaxMessageLen, 1, FlagQR)
		var want []RR
		for _, rr := range rrs {
			checkName(t, rr.Name)
			if err := CheckRdata(rr.Type, rr.Data); err != nil {
				t.Fatal(err)
			}
			if s := RdataString(rr.Type, rr.Data); strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Fatalf("%v data %x is shown as %q", rr.Type, rr.Data, s)
			}
			if rr.Type == TypeOPT || !b.AddRR(Answer, rr) {
				continue
			}
			if rr.Name = rr.Name.Lower(); rr.TTL > 1<<31-1 {
				rr.TTL = 0
			}
			want = append(want, rr)
		}
		var m Message
		if err := Parse(b.Finish(), &m); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		sameRecords(t, text, m.Sections[0], want)
	})
}

// FuzzRdata shows any data of any type and reads it back.
func FuzzRdata(f *testing.F) {
	for _, row := range table(f, "rdata.txt") {
		typ, _ := ParseType(row[0])
		f.Add(uint16(typ), octets(f, row[1]))
	}
	for _, rr := range records(f) {
		f.Add(uint16(rr.Type), rr.Data)
	}
	f.Fuzz(func(t *testing.T, typ uint16, data []byte) {
		if len(data) > MaxMessageLen {
			return
		}
		s := RdataString(Type(typ), data)
		if strings.ContainsAny(s, "\n\r\x00") {
			t.Fatalf("%v data %x is shown as %q", Type(typ), data, s)
		}
		if strings.HasPrefix(s, `\#`) {
			if s != genericRdata(data) {
				t.Fatalf("%v data %x is shown as %s", Type(typ), data, s)
			}
		} else if back, err := ParseZone(". 0 IN "+Type(typ).String()+" "+s, "", Root, 1); err != nil || !bytes.Equal(back[0].Data, data) {
			t.Fatalf("%v data %x is shown as %s, which is read as %v, %v", Type(typ), data, s, back, err)
		}
		if CheckRdata(Type(typ), data) == nil {
			checkRdata(t, RR{Root, Type(typ), ClassINET, 0, data})
		}
	})
}
