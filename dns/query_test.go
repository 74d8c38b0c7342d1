package dns

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"
	"pgregory.net/rapid"
)

// describe writes what was read of a query as the table does.
func describe(q Query) string {
	var s strings.Builder
	fmt.Fprintf(&s, "id %04x flags %04x ", q.ID, uint16(q.Flags))
	if q.Opcode != OpcodeQuery {
		fmt.Fprintf(&s, "%v ", q.Opcode)
	}
	if q.QName == nil {
		s.WriteString("no question")
	} else {
		fmt.Fprintf(&s, `"%v"`, Question{q.Name(), q.Type, q.Class})
	}
	fmt.Fprintf(&s, " end %d", q.QEnd)
	if e := q.EDNS; q.HasEDNS {
		fmt.Fprintf(&s, " EDNS %d size %d", e.Version, e.UDPSize)
		if e.ExtRCode != 0 {
			fmt.Fprintf(&s, " ext %d", e.ExtRCode)
		}
		if e.DO {
			s.WriteString(" DO")
		}
		if e.CO {
			s.WriteString(" CO")
		}
		if e.Z != 0 {
			fmt.Fprintf(&s, " Z %04x", e.Z)
		}
		if len(e.Options) > 0 && e.Version == 0 {
			s.WriteString(" options")
			for code, data := range e.Options.All() {
				fmt.Fprintf(&s, " %d=%x", code, data)
			}
		}
	}
	if q.TSIG {
		s.WriteString(" TSIG")
	}
	return s.String()
}

func TestParseQuery(t *testing.T) {
	for _, row := range table(t, "queries.txt") {
		t.Run(row[0], func(t *testing.T) {
			packet := octets(t, row[1])
			q, err := ParseQuery(packet)
			if !wantError(t, err, row[2]) {
				if got := describe(q); got != row[2] {
					t.Errorf("got  %s\nwant %s", got, row[2])
				}
				return
			}
			// Whatever is wrong after the header, FORMERR can be sent.
			if errors.Is(err, ErrShortHeader) {
				return
			}
			h, _ := ParseHeader(packet)
			if q.ID != h.ID || q.Flags != h.Flags || q.QEnd < HeaderLen || q.QEnd > len(packet) {
				t.Errorf("with the error %v came %+v", err, q)
			}
			if (q.QEnd == HeaderLen) != (q.QName == nil) {
				t.Errorf("question %q ends at %d", q.QName, q.QEnd)
			}
		})
	}
}

// Every packet that starts as a good one and ends early is an error, and none has more read of it than is there.
func TestParseQueryCutAnywhere(t *testing.T) {
	for _, row := range table(t, "queries.txt") {
		packet := octets(t, row[1])
		if q, err := ParseQuery(packet); err != nil || q.Opcode != OpcodeQuery {
			continue
		}
		for n := range packet {
			if q, err := ParseQuery(packet[:n:n]); err == nil {
				t.Errorf("%s, %d of %d octets: %s", row[0], n, len(packet), describe(q))
			}
		}
	}
}

func TestAppendQuestion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := Question{drawName(t, "name"), Type(rapid.Uint16().Draw(t, "type")), Class(rapid.Uint16().Draw(t, "class"))}
		id := rapid.Uint16().Draw(t, "id")
		flags := Flags(rapid.Uint16().Draw(t, "flags")) & (FlagRD | FlagCD | FlagAD)
		size := rapid.SampledFrom([]uint16{0, 512, 1232, 65535}).Draw(t, "size")
		do := rapid.Bool().Draw(t, "DO") && size > 0
		var o Options
		if size > 0 && rapid.Bool().Draw(t, "options") {
			o = o.Append(OptionCookie, rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "cookie")).Append(OptionPadding)
		}
		before := []byte("\x00\x00")
		w := AppendQuestion(before, id, flags, q, size, do, o)[len(before):]

		got, err := ParseQuery(w)
		if err != nil {
			t.Fatal(err)
		}
		want := Query{ID: id, Flags: flags, QName: []byte(q.Name.Wire()), Type: q.Type, Class: q.Class, QEnd: HeaderLen + q.Name.Len() + 4}
		if size > 0 {
			want.HasEDNS, want.EDNS = true, EDNS{UDPSize: size, DO: do, Options: o}
		}
		if describe(got) != describe(want) || !bytes.Equal(got.QName, want.QName) {
			t.Fatalf("got  %s\nwant %s", describe(got), describe(want))
		}
		var m miekg.Msg
		if err := m.Unpack(w); err != nil {
			t.Fatalf("miekg/dns: %v", err)
		}
		opt := m.IsEdns0()
		if m.Question[0].Name != miekgName(t, q.Name) || (opt != nil) != (size > 0) || opt != nil && (opt.UDPSize() != size || opt.Do() != do) {
			t.Fatalf("miekg/dns reads %v", &m)
		}
	})
}

func FuzzParseQuery(f *testing.F) {
	for _, row := range table(f, "queries.txt") {
		f.Add(octets(f, row[1]))
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		q, err := ParseQuery(packet)
		if q.QEnd > len(packet) {
			t.Fatalf("question ends at %d of %d", q.QEnd, len(packet))
		}
		if q.QName != nil {
			if _, err := NameFromWire(q.QName); err != nil {
				t.Fatal(err)
			}
		}
		if err != nil || q.Opcode != OpcodeQuery {
			return
		}
		if q.HasEDNS && q.EDNS.Version == 0 {
			if err := q.EDNS.Options.Check(); err != nil {
				t.Fatal(err)
			}
		}
		// The full parser must agree on what was let in, or refuse it for a record that a query is not read for.
		var m Message
		if err := Parse(packet, &m); err != nil {
			return
		}
		if q.QName != nil && (m.Question != Question{q.Name(), q.Type, q.Class}) || m.HasEDNS != q.HasEDNS {
			t.Fatalf("%s, but Parse says %v, EDNS %v", describe(q), m.Question, m.HasEDNS)
		}
	})
}
