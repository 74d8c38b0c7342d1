package dns

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	miekg "github.com/miekg/dns"
	"pgregory.net/rapid"
)

// sections unpacks a message by miekg/dns, records converted; OPT is taken out of the additional section.
func sections(t fataler, b []byte) (m *miekg.Msg, out [3][]RR) {
	t.Helper()
	m = new(miekg.Msg)
	if err := m.Unpack(b); err != nil {
		t.Fatalf("miekg/dns: %v\n%x", err, b)
	}
	for i, s := range [][]miekg.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range s {
			if rr.Header().Rrtype != miekg.TypeOPT {
				out[i] = append(out[i], ours(t, rr))
			}
		}
	}
	return m, out
}

func TestMiekgReadsWhatBuilderWrites(t *testing.T) {
	all := miekgRecords(t)
	var b Builder // one for all messages, as in use
	var parsed Message
	rapid.Check(t, func(t *rapid.T) {
		prefix := make([]byte, rapid.SampledFrom([]int{0, 2, 20000}).Draw(t, "prefix"))
		limit := rapid.OneOf(rapid.IntRange(300, 1500), rapid.Just(MaxMessageLen)).Draw(t, "limit")
		flags := FlagQR | Flags(rapid.Uint16().Draw(t, "flags"))&^(15<<11)
		b.Start(prefix, limit, rapid.Uint16().Draw(t, "id"), flags)
		q := Question{drawName(t, "qname"), Type(rapid.Uint16().Draw(t, "qtype")), ClassINET}
		b.Question(q)
		e := EDNS{UDPSize: 1232, DO: rapid.Bool().Draw(t, "DO"), CO: rapid.Bool().Draw(t, "CO"), Options: EDE{EDEOther, "why"}.Append(nil)}
		edns := rapid.Bool().Draw(t, "EDNS")
		if edns {
			b.Reserve(OPTLen(e.Options))
		}
		var want [3][]RR
		for s := range want {
			for range rapid.IntRange(0, 12).Draw(t, "records") {
				rr := miekg.Copy(rapid.SampledFrom(all).Draw(t, "record"))
				rename(t, rr)
				o := ours(t, rr)
				before, known := b.Len(), b.known
				if b.AddRR(Section(s), o) {
					want[s] = append(want[s], o)
				} else if b.Len() != before || b.known != known {
					t.Fatalf("what does not fit has left %d octets and %d suffixes", b.Len()-before, b.known-known)
				}
			}
		}
		if edns {
			b.Reserve(-OPTLen(e.Options))
			b.OPT(e)
		}
		w := b.Finish()[len(prefix):]
		if len(w) > limit || len(w) != b.Len() {
			t.Fatalf("%d octets, Len %d, limit %d", len(w), b.Len(), limit)
		}
		m, got := sections(t, w)
		if m.Question[0].Name != miekgName(t, q.Name) {
			t.Fatalf("question %v, want %v", m.Question[0], q)
		}
		if err := Parse(w, &parsed); err != nil || parsed.HasEDNS != edns || parsed.Question != q {
			t.Fatalf("%v, EDNS %v, %v", err, parsed.HasEDNS, parsed.Question)
		}
		for s := range want {
			sameBehind(t, Section(s).String(), q.Name, got[s], want[s])
			for i := range want[s] {
				want[s][i].Name = want[s][i].Name.Lower()
			}
			sameBehind(t, Section(s).String(), q.Name, parsed.Sections[s], want[s])
		}
		if !bytes.Equal(b.Finish()[:len(prefix)], make([]byte, len(prefix))) {
			t.Fatalf("what was in the buffer is changed")
		}
	})
}

// set makes an RRset of n TXT records of a size each, with one signature.
func set(t testing.TB, owner string, n, size int) *RRset {
	s := &RRset{Name: MustParseName(owner), Type: TypeTXT, Class: ClassINET, TTL: 60}
	for i := range n {
		s.Data = s.Data.Append(append([]byte{byte(size - 1), byte(i)}, make([]byte, size-2)...))
	}
	s.Sigs = s.Sigs.Append(append(octets(t, `0010 08 02 0000003c 00000000 00000000 0001 "example."`), make([]byte, 64)...))
	return s
}

// For every limit: each RRset is in whole, signatures included, or not at all, and is said to be so; a later, smaller one may fit.
func TestTruncation(t *testing.T) {
	sets := []*RRset{set(t, "a.example.", 3, 40), set(t, "b.example.", 5, 100), set(t, "c.example.", 1, 20)}
	q := Question{MustParseName("a.example."), TypeTXT, ClassINET}
	options := EDE{EDEOther, "because"}.Append(nil)
	full := 0
	var b Builder
	var m Message
	for _, sigs := range []bool{false, true} {
		for limit := 0; limit <= MinUDPPayload*3; limit++ {
			b.Start(nil, limit, 1, FlagQR)
			b.Question(q)
			b.Reserve(OPTLen(options))
			var fits [3]bool
			for i, s := range sets {
				fits[i] = b.AddRRset(Section(i), s.Name, s, 42, sigs)
			}
			b.Reserve(-OPTLen(options))
			b.OPT(EDNS{UDPSize: 1232, Options: options})
			w := b.Finish()
			if smallest := HeaderLen + q.Name.Len() + 4 + OPTLen(options); len(w) > max(limit, smallest) {
				t.Fatalf("limit %d: %d octets", limit, len(w))
			}
			if err := Parse(w, &m); err != nil || !m.HasEDNS {
				t.Fatalf("limit %d: %v", limit, err)
			}
			for i, s := range sets {
				want := 0
				if fits[i] {
					want = s.Data.Len()
					if sigs {
						want += s.Sigs.Len()
					}
				}
				if len(m.Sections[i]) != want {
					t.Fatalf("limit %d: %d records of RRset %d, want %d", limit, len(m.Sections[i]), i, want)
				}
			}
			if fits == [3]bool{true, true, true} {
				full++
			}
		}
	}
	if full == 0 {
		t.Fatal("no limit held all")
	}
}

// A message may be as long as the limit, to the octet.
func TestLimitIsReached(t *testing.T) {
	s := set(t, "a.example.", 2, 50)
	build := func(limit int) (int, bool) {
		var b Builder
		b.Start(nil, limit, 1, FlagQR)
		ok := b.AddRRset(Answer, s.Name, s, 60, true)
		return len(b.Finish()), ok
	}
	size, _ := build(MaxMessageLen)
	if got, ok := build(size); got != size || !ok {
		t.Errorf("limit %d: %d octets, %v", size, got, ok)
	}
	if got, ok := build(size - 1); got != HeaderLen || ok {
		t.Errorf("limit %d: %d octets, %v", size-1, got, ok)
	}
}

func TestMessageNeverOver65535(t *testing.T) {
	var b Builder
	b.Start(nil, 1<<20, 1, FlagQR)
	n := 0
	for b.AddRR(Answer, RR{Root, Type(65280), ClassINET, 0, make([]byte, 1000)}) {
		n++
	}
	if want := (MaxMessageLen - HeaderLen) / 1011; n != want {
		t.Errorf("%d records of 1,011 octets, want %d", n, want)
	}
	for _, size := range []int{MaxMessageLen, MaxMessageLen + 1, 1 << 20} {
		if b.Start(nil, 1<<20, 1, 0); b.AddRR(Answer, RR{Root, Type(65280), ClassINET, 0, make([]byte, size)}) {
			t.Errorf("data of %d octets was written", size)
		}
	}
}

func TestRotation(t *testing.T) {
	s := set(t, "a.example.", 4, 10)
	for first, want := range map[int]string{-1: "0123", 0: "0123", 1: "1230", 3: "3012", 4: "0123", 5: "0123"} {
		var b Builder
		b.Start(nil, 512, 1, FlagQR)
		if !b.AddRotated(Answer, s.Name, s, 60, false, first) {
			t.Fatal("does not fit")
		}
		_, got := sections(t, b.Finish())
		order := ""
		for _, rr := range got[0] {
			order += fmt.Sprint(rr.Data[1])
		}
		if order != want {
			t.Errorf("from %d: %s, want %s", first, order, want)
		}
	}
}

// Pointers have 14 bits: names that begin beyond 16,383 can't be pointed at, but can point.
func TestCompressionBeyond14Bits(t *testing.T) {
	var b Builder
	b.Start(nil, MaxMessageLen, 1, FlagQR)
	b.Question(Question{MustParseName("example."), TypeNS, ClassINET})
	var want []RR
	add := func(rr RR) {
		if !b.AddRR(Answer, rr) {
			t.Fatal("does not fit")
		}
		want = append(want, rr)
	}
	ns := func(s string) RR {
		return RR{MustParseName("example."), TypeNS, ClassINET, 60, []byte(MustParseName(s).Wire())}
	}
	filler := RR{Root, Type(65280), ClassINET, 0, make([]byte, 1000)}
	for b.Len() < 0x4000-1500 {
		add(filler)
	}
	// One name on each side of the line, and one across it.
	for i := range 200 {
		add(ns(fmt.Sprintf("first%d.server%d.example.", i, i)))
	}
	add(filler)
	size := b.Len()
	add(ns("late.example."))
	first := b.Len() - size
	size = b.Len()
	add(ns("late.example."))
	if second := b.Len() - size; second != first {
		t.Errorf("a name beyond 16,383 takes %d octets the first time and %d the second", first, second)
	}
	_, got := sections(t, b.Finish())
	sameRecords(t, "answer", got[0], want)

	// The last offset that a pointer can hold, and the first that it can't.
	for at, pointed := range map[int]bool{0x3FFF: true, 0x4000: false} {
		b.Start(nil, MaxMessageLen, 1, FlagQR)
		b.AddRR(Answer, RR{Root, Type(65280), ClassINET, 0, make([]byte, at-HeaderLen-11)})
		if b.Len() != at {
			t.Fatalf("at %d, want %d", b.Len(), at)
		}
		rr := RR{MustParseName("a.b."), TypeA, ClassINET, 60, []byte{192, 0, 2, 1}}
		b.AddRR(Answer, rr)
		size := b.Len()
		b.AddRR(Answer, rr)
		if got := b.Len() - size; (got == 16) != pointed {
			t.Errorf("name at %#x: the second record takes %d octets", at, got)
		}
		_, got := sections(t, b.Finish())
		sameRecords(t, "answer", got[0][1:], []RR{rr, rr})
	}
}

// More suffixes than the table holds: later names are longer, never wrong.
func TestMoreSuffixesThanTheTable(t *testing.T) {
	var b Builder
	b.Start(nil, MaxMessageLen, 1, FlagQR)
	var want []RR
	for range 2 {
		for i := range 100 {
			rr := RR{MustParseName(fmt.Sprintf("h%d.z%d.example.", i, i%7)), TypeA, ClassINET, 60, []byte{192, 0, 2, byte(i)}}
			if !b.AddRR(Answer, rr) {
				t.Fatal("does not fit")
			}
			want = append(want, rr)
		}
	}
	_, got := sections(t, b.Finish())
	sameRecords(t, "answer", got[0], want)
	if b.known != len(b.suffixes) {
		t.Errorf("%d suffixes are known, want the table full", b.known)
	}
}

// A name whose ending is a pointer can itself be pointed at.
func TestPointersToPointers(t *testing.T) {
	var b Builder
	b.Start(nil, 512, 1, FlagQR)
	for _, c := range []struct {
		name   string
		octets int // of the owner
	}{{"example.", 9}, {"b.example.", 4}, {"c.b.example.", 4}, {"b.example.", 2}, {"d.c.b.example.", 4}, {"d.c.b.example.", 2}, {"c.b.", 5}} {
		before := b.Len()
		b.AddRR(Answer, RR{MustParseName(c.name), TypeA, ClassINET, 60, []byte{192, 0, 2, 1}})
		if got := b.Len() - before - 14; got != c.octets {
			t.Errorf("%s takes %d octets, want %d", c.name, got, c.octets)
		}
	}
}

// Suffixes of the same hash are not taken for each other. Who asks can choose the names.
func TestHashCollision(t *testing.T) {
	var b Builder
	b.Start(nil, 512, 1, FlagQR)
	var want []RR
	for _, s := range []string{"host1816628.", "host2354066.", "www.host2354066.", "www.host1816628."} {
		rr := RR{MustParseName(s), TypeA, ClassINET, 60, []byte{192, 0, 2, 1}}
		b.AddRR(Answer, rr)
		want = append(want, rr)
	}
	if b.suffixes[0].hash != b.suffixes[1].hash {
		t.Fatal("the first two names no longer have the same hash: find others")
	}
	_, got := sections(t, b.Finish())
	sameRecords(t, "answer", got[0], want)
}

func TestWhatIsCompressed(t *testing.T) {
	owner := MustParseName("www.example.")
	w := owner.Wire()
	for _, c := range []struct {
		what string
		rr   RR
		data int // octets of data in the message
	}{
		{"CNAME", RR{owner, TypeCNAME, 1, 0, []byte(w)}, 2},
		{"CNAME in another case", RR{owner, TypeCNAME, 1, 0, []byte(MustParseName("www.Example.").Wire())}, 4 + 9},
		{"MX", RR{owner, TypeMX, 1, 0, []byte("\x00\x0a" + w)}, 4},
		{"SOA", RR{owner, TypeSOA, 1, 0, []byte(w + w + "12345678901234567890")}, 24},
		{"MINFO", RR{owner, TypeMINFO, 1, 0, []byte(w + w)}, 4},
		{"SRV (RFC 2782)", RR{owner, TypeSRV, 1, 0, []byte("123456" + w)}, 6 + len(w)},
		{"DNAME (RFC 6672 section 2.5)", RR{owner, TypeDNAME, 1, 0, []byte(w)}, len(w)},
		{"RP (RFC 3597 section 4)", RR{owner, TypeRP, 1, 0, []byte(w + w)}, 2 * len(w)},
		{"SVCB (RFC 9460 section 2.2)", RR{owner, TypeSVCB, 1, 0, []byte("\x00\x01" + w)}, 2 + len(w)},
		{"NSEC (RFC 4034 section 4.1.1)", RR{owner, TypeNSEC, 1, 0, []byte(w + "\x00\x01\x40")}, len(w) + 3},
		{"unknown", RR{owner, Type(65280), 1, 0, []byte(w)}, len(w)},
	} {
		var b Builder
		b.Start(nil, 512, 1, FlagQR)
		if !b.AddRR(Answer, c.rr) {
			t.Fatal("does not fit")
		}
		if got := b.Len() - HeaderLen - len(w) - 10; got != c.data {
			t.Errorf("%s: data takes %d octets, want %d", c.what, got, c.data)
		}
		_, got := sections(t, b.Finish())
		sameRecords(t, c.what, got[0], []RR{c.rr})
	}
}

// What Parse would not let in can't be read back, but is written octet for octet and breaks nothing around it.
func TestBuilderTakesMalformedData(t *testing.T) {
	for _, typ := range []Type{TypeNS, TypeMX, TypeSOA, TypeMINFO, TypeSRV, TypeA} {
		for _, data := range []string{"", "\x00", "\x00\x0a", "\x03ab", "\x40", "\xc0\x0c", "\x00\x0a\x03ab", "\x01a\x00\xff", "\x01a\x00\x01"} {
			var b Builder
			b.Start(nil, 512, 1, FlagQR)
			b.AddRR(Answer, RR{Root, typ, ClassINET, 0, []byte(data)})
			w := b.Finish()
			if n := int(binary.BigEndian.Uint16(w[HeaderLen+9:])); string(w[HeaderLen+11:]) != data || n != len(data) {
				t.Errorf("%v data %x: written as %x, length %d", typ, data, w[HeaderLen+11:], n)
			}
		}
	}
}

func TestHeaderOfAnswer(t *testing.T) {
	var b Builder
	b.Start([]byte("12"), 512, 0xABCD, FlagQR|FlagRD)
	b.SetFlags(FlagTC | Flags(RCodeServerFailure))
	w := b.Finish()
	if want := octets(t, "'12' abcd 8302 0000 0000 0000 0000"); !bytes.Equal(w, want) {
		t.Errorf("%x, want %x", w, want)
	}
	h, err := ParseHeader(w[2:])
	if err != nil || h.Flags.RCode() != RCodeServerFailure || h.Flags.Opcode() != OpcodeQuery || h.ID != 0xABCD {
		t.Errorf("%+v, %v", h, err)
	}
}

func TestRecords(t *testing.T) {
	var r Records
	data := [][]byte{{1, 2, 3}, {}, []byte("x"), make([]byte, MaxMessageLen)}
	for _, d := range data {
		r = r.Append(d)
	}
	got := slices.Collect(r.All())
	if r.Len() != len(data) || !slices.EqualFunc(got, data, bytes.Equal) || !bytes.Equal(r.First(), data[0]) {
		t.Errorf("%d records", r.Len())
	}
	if !r.Contains([]byte("x")) || !r.Contains(nil) || r.Contains([]byte{1, 2}) {
		t.Error("Contains")
	}
	if got[0] = append(got[0], 9); !r.Contains([]byte("x")) {
		t.Error("appending to what All yields writes over the next record")
	}
	if (Records)(nil).First() != nil || (Records)(nil).Len() != 0 {
		t.Error("no records are some")
	}
	// Cut anywhere, it holds what is whole.
	for n := range r[:20] {
		if c := r[:n]; c.Len() != len(slices.Collect(c.All())) || c.Len() > 3 {
			t.Errorf("%d octets hold %d records", n, c.Len())
		}
	}
	s := RRset{Name: Root, Type: TypeTXT, Class: ClassINET, TTL: 5, Data: Records{}.Append([]byte("\x01a")).Append([]byte("\x01b"))}
	if got, want := s.String(), ".\t5\tIN\tTXT\t\"a\"\n.\t5\tIN\tTXT\t\"b\""; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Where the labels of an answer lie does not depend on the case of the question; records keep theirs among each other.
func TestCaseOfTheQuestion(t *testing.T) {
	build := func(asked string) []byte {
		var b Builder
		b.Start(nil, MaxMessageLen, 1, FlagQR)
		q := Question{MustParseName(asked), TypeCNAME, ClassINET}
		b.Question(q)
		b.AddRR(Answer, RR{q.Name, TypeCNAME, ClassINET, 60, octets(t, `"A.b.Example."`)})
		b.AddRR(Answer, RR{MustParseName("A.b.Example."), TypeCNAME, ClassINET, 60, octets(t, `"a.b.example."`)})
		b.AddRR(Authority, RR{MustParseName("B.EXAMPLE."), TypeNS, ClassINET, 60, octets(t, `"b.Example."`)})
		return b.Finish()
	}
	lower, mixed := build("www.example."), build("wWw.eXaMpLe.")
	end := HeaderLen + len("www.example.") + 1 + 4
	if len(lower) != len(mixed) || !bytes.Equal(lower[end:], mixed[end:]) {
		t.Fatalf("after the question:\n%x\n%x", lower[end:], mixed[end:])
	}
	var m Message
	if err := Parse(mixed, &m); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"A.b.eXaMpLe.", "a.b.eXaMpLe."} {
		if got, _ := RdataName(TypeCNAME, m.Sections[Answer][i].Data); got.String() != want {
			t.Errorf("target %d is %v, want %s", i, got, want)
		}
	}
}
