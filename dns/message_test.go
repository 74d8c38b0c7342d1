package dns

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"
	"pgregory.net/rapid"
)

// describeMessage writes what was read as the table does.
func describeMessage(m *Message) string {
	var s strings.Builder
	if m.Question != (Question{}) {
		s.WriteString(m.Question.String())
	}
	for _, rrs := range m.Sections {
		s.WriteString("; ")
		for i, rr := range rrs {
			if i > 0 {
				s.WriteString(", ")
			}
			s.WriteString(strings.ReplaceAll(rr.String(), "\t", " "))
		}
	}
	s.WriteString(";")
	if m.Misfits > 0 {
		fmt.Fprintf(&s, " misfits %d", m.Misfits)
	}
	if m.HasEDNS {
		e := describe(Query{HasEDNS: true, EDNS: EDNS{UDPSize: m.EDNS.UDPSize, Version: m.EDNS.Version, DO: m.EDNS.DO, Options: m.EDNS.Options}})
		_, e, _ = strings.Cut(e, " EDNS")
		fmt.Fprintf(&s, " EDNS%s rcode %v", e, m.RCode())
	}
	return s.String()
}

func TestParse(t *testing.T) {
	var m Message // one for all: what the message before has left must not show
	for _, row := range table(t, "messages.txt") {
		t.Run(row[0], func(t *testing.T) {
			err := Parse(octets(t, row[1]), &m)
			if !wantError(t, err, row[2]) && describeMessage(&m) != row[2] {
				t.Errorf("got  %s\nwant %s", describeMessage(&m), row[2])
			}
		})
	}
}

// A message that ends early anywhere is an error.
func TestParseCutAnywhere(t *testing.T) {
	var m, whole Message
	for _, row := range table(t, "messages.txt") {
		b := octets(t, row[1])
		if Parse(b, &whole) != nil || strings.Contains(row[0], "ignored") {
			continue
		}
		for n := range b {
			if Parse(b[:n:n], &m) == nil {
				t.Errorf("%s: %d of %d octets are no error", row[0], n, len(b))
			}
		}
	}
}

// Records that were copied out of a Message outlive the next Parse into it.
func TestMessageReuse(t *testing.T) {
	var m Message
	rows := table(t, "messages.txt")
	want := map[string]string{}
	kept := map[string][]RR{}
	for range 2 {
		for _, row := range rows {
			if Parse(octets(t, row[1]), &m) != nil {
				continue
			}
			for _, s := range m.Sections {
				kept[row[0]] = append(kept[row[0]], s...)
			}
			want[row[0]] += fmt.Sprint(m.Sections)
		}
	}
	for what, rrs := range kept {
		var got strings.Builder
		for _, rr := range rrs {
			got.WriteString(rr.String())
		}
		w := strings.NewReplacer("[", "", "]", "", " ", "").Replace(want[what])
		if g := strings.ReplaceAll(got.String(), " ", ""); g != w {
			t.Errorf("%s: records became\n%s\nwere\n%s", what, g, w)
		}
	}
}

// drawMessage makes a message of miekg/dns of all its types, with names that compress well.
func drawMessage(t *rapid.T, all []miekg.RR) *miekg.Msg {
	m := new(miekg.Msg)
	m.Id, m.Response, m.RecursionAvailable = rapid.Uint16().Draw(t, "id"), true, true
	m.Rcode = rapid.IntRange(0, 15).Draw(t, "rcode")
	m.Compress = rapid.IntRange(0, 3).Draw(t, "compress") > 0
	if rapid.IntRange(0, 7).Draw(t, "question") > 0 {
		m.Question = []miekg.Question{{Name: miekgName(t, drawName(t, "qname")), Qtype: rapid.Uint16().Draw(t, "qtype"), Qclass: 1}}
	}
	for _, s := range []*[]miekg.RR{&m.Answer, &m.Ns, &m.Extra} {
		for range rapid.IntRange(0, 8).Draw(t, "records") {
			rr := miekg.Copy(rapid.SampledFrom(all).Draw(t, "record"))
			rename(t, rr)
			rr.Header().Ttl = rapid.OneOf(rapid.Just(uint32(300)), rapid.Uint32()).Draw(t, "ttl")
			*s = append(*s, rr)
		}
	}
	if rapid.Bool().Draw(t, "EDNS") {
		m.SetEdns0(rapid.Uint16Min(512).Draw(t, "size"), rapid.Bool().Draw(t, "DO"))
		m.IsEdns0().SetCo(rapid.Bool().Draw(t, "CO"))
		if rapid.Bool().Draw(t, "option") {
			o := m.IsEdns0()
			o.Option = append(o.Option, &miekg.EDNS0_EDE{InfoCode: rapid.Uint16().Draw(t, "code"), ExtraText: "text"},
				&miekg.EDNS0_LOCAL{Code: 65001, Data: []byte{1, 2}})
			o.SetExtendedRcode(rapid.Uint16Range(0, 4095).Draw(t, "rcode"))
			m.Rcode = m.Rcode&15 | o.ExtendedRcode()
		}
	}
	return m
}

func TestParseReadsWhatMiekgPacks(t *testing.T) {
	all := miekgRecords(t)
	var got Message
	rapid.Check(t, func(t *rapid.T) {
		m := drawMessage(t, all)
		b, err := m.Pack()
		if err != nil {
			t.Fatalf("%v\n%v", err, m)
		}
		if err := Parse(b, &got); err != nil {
			t.Fatalf("%v\n%v", err, m)
		}
		if int(got.RCode()) != m.Rcode || got.Header.ID != m.Id || got.Header.Flags&FlagQR == 0 {
			t.Fatalf("header %+v, response code %v of\n%v", got.Header, got.RCode(), m)
		}
		if len(m.Question) > 0 {
			q := m.Question[0]
			if got.Question != (Question{MustParseName(q.Name), Type(q.Qtype), Class(q.Qclass)}) {
				t.Fatalf("question %v, want %v", got.Question, q)
			}
		}
		var opt *miekg.OPT
		for i, section := range [][]miekg.RR{m.Answer, m.Ns, m.Extra} {
			var want []RR
			for _, rr := range section {
				if o, ok := rr.(*miekg.OPT); ok {
					opt = o
					continue
				}
				w := ours(t, rr)
				w.Name = w.Name.Lower()
				if w.TTL > 1<<31-1 {
					w.TTL = 0
				}
				want = append(want, w)
			}
			sameRecords(t, Section(i).String(), got.Sections[i], want)
		}
		if got.HasEDNS != (opt != nil) {
			t.Fatalf("EDNS %v, OPT %v", got.HasEDNS, opt)
		}
		if opt != nil {
			if got.EDNS.UDPSize != opt.UDPSize() || got.EDNS.DO != opt.Do() || got.EDNS.CO != opt.Co() {
				t.Fatalf("EDNS %+v, want %v", got.EDNS, opt)
			}
			n := 0
			for code, data := range got.EDNS.Options.All() {
				if o, ok := opt.Option[n].(*miekg.EDNS0_LOCAL); ok && (uint16(code) != o.Code || !bytes.Equal(data, o.Data)) {
					t.Fatalf("option %d %x, want %v", code, data, o)
				}
				if o, ok := opt.Option[n].(*miekg.EDNS0_EDE); ok {
					if e, ok := ParseEDE(data); !ok || code != OptionEDE || e != (EDE{EDECode(o.InfoCode), o.ExtraText}) {
						t.Fatalf("option %d %x, want %v", code, data, o)
					}
				}
				n++
			}
			if n != len(opt.Option) {
				t.Fatalf("%d options, want %d", n, len(opt.Option))
			}
		}
	})
}

// sameBehind compares records that were written behind a question, by whose spelling their names may have been written.
func sameBehind(t fataler, what string, asked Name, got, want []RR) {
	t.Helper()
	form := func(in []RR) (out []RR) {
		for _, rr := range in {
			if asked.Labels() > 0 {
				rr.Name, rr.Data = rr.Name.Lower(), AppendCanonical(nil, rr.Type, rr.Data)
			}
			out = append(out, rr)
		}
		return out
	}
	sameRecords(t, what, form(got), form(want))
}

func sameRecords(t fataler, what string, got, want []RR) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d records, want %d\n%v\n%v", what, len(got), len(want), got, want)
	}
	for i, g := range got {
		w := want[i]
		if g.Name != w.Name || g.Type != w.Type || g.Class != w.Class || g.TTL != w.TTL || !bytes.Equal(g.Data, w.Data) {
			t.Fatalf("%s: record %d is\n%v (%x), want\n%v (%x)", what, i, g, g.Data, w, w.Data)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, row := range table(f, "messages.txt") {
		f.Add(octets(f, row[1]))
	}
	// One record a message: seeds of kilobytes take the fuzzer minutes to minimise.
	for i, rr := range miekgRecords(f) {
		m := new(miekg.Msg)
		m.SetQuestion("www.example.", miekg.TypeA)
		m.Compress, m.Response, m.Answer = i%2 == 0, true, []miekg.RR{rr}
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m, again Message
		if Parse(b, &m) != nil {
			return
		}
		var w Builder
		w.Start(nil, MaxMessageLen, m.Header.ID, m.Header.Flags)
		if m.HasEDNS {
			w.Reserve(OPTLen(m.EDNS.Options))
		}
		if !m.Question.Name.IsZero() {
			w.Question(m.Question)
		}
		for i, s := range m.Sections {
			for k, rr := range s {
				if !w.AddRR(Section(i), rr) { // expanded, it is longer than a message can be
					m.Sections[i] = s[:k]
					for j := i + 1; j < len(m.Sections); j++ {
						m.Sections[j] = nil
					}
					break
				}
				if len(rr.Data) > MaxMessageLen {
					t.Fatalf("%v of %d octets was written", rr.Type, len(rr.Data))
				}
			}
			if len(m.Sections[i]) < len(s) {
				break
			}
		}
		if m.HasEDNS {
			w.Reserve(-OPTLen(m.EDNS.Options))
			w.OPT(m.EDNS)
		}
		rebuilt := w.Finish()
		if len(rebuilt) > MaxMessageLen {
			t.Fatalf("message of %d octets", len(rebuilt))
		}
		if err := Parse(rebuilt, &again); err != nil {
			t.Fatalf("rebuilt: %v\n%x", err, rebuilt)
		}
		if again.Question != m.Question || again.Header.ID != m.Header.ID || again.Header.Flags != m.Header.Flags || again.HasEDNS != m.HasEDNS {
			t.Fatalf("rebuilt: %+v, want %+v", again.Header, m.Header)
		}
		for i := range m.Sections {
			sameBehind(t, Section(i).String(), m.Question.Name, again.Sections[i], m.Sections[i])
		}
		if e, w := again.EDNS, m.EDNS; e.UDPSize != w.UDPSize || e.ExtRCode != w.ExtRCode || e.Version != w.Version || e.DO != w.DO || e.CO != w.CO || e.Z != w.Z || !bytes.Equal(e.Options, w.Options) {
			t.Fatalf("rebuilt: %+v, want %+v", e, w)
		}
		for i, s := range m.Sections {
			for _, rr := range s {
				checkRdata(t, rr)
				if rr.Name != rr.Name.Lower() {
					t.Fatalf("%v: owner %v is not in canonical case", Section(i), rr.Name)
				}
			}
		}
	})
}

// checkRdata reads the data of rr by all that can read it; each must agree with the layout, which Parse has checked.
func checkRdata(t *testing.T, rr RR) {
	t.Helper()
	empty := len(rr.Data) == 0 && (rr.Class == ClassANY || rr.Class == ClassNONE)
	if err := CheckRdata(rr.Type, rr.Data); err != nil && !empty {
		t.Fatal(err)
	}
	if n, ok := RdataName(rr.Type, rr.Data); ok {
		if _, err := NameFromWire([]byte(n.Wire())); err != nil {
			t.Fatal(err)
		}
	}
	once := AppendCanonical(nil, rr.Type, rr.Data)
	if twice := AppendCanonical(nil, rr.Type, once); len(once) != len(rr.Data) || !bytes.Equal(once, twice) {
		t.Fatalf("%v data %x has the canonical forms %x and %x", rr.Type, rr.Data, once, twice)
	}
	if empty {
		return
	}
	var err error
	switch rr.Type {
	case TypeSOA:
		var s SOA
		if s, err = ParseSOA(rr.Data); err == nil && !bytes.Equal(s.Append(nil), rr.Data) {
			t.Fatalf("SOA %x comes back as %x", rr.Data, s.Append(nil))
		}
	case TypeRRSIG:
		_, err = ParseRRSIG(rr.Data)
	case TypeDNSKEY, TypeCDNSKEY:
		_, err = ParseDNSKEY(rr.Data)
	case TypeDS, TypeCDS:
		_, err = ParseDS(rr.Data)
	}
	if err != nil {
		t.Fatalf("%v of %x, which fits its layout: %v", rr.Type, rr.Data, err)
	}
}
