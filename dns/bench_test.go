package dns

import (
	"os"
	"testing"
)

// reply builds a message with the records of a file in testdata: NS in the authority section, the others in answer or, after NS, in
// additional.
func reply(t testing.TB, b *Builder, buf []byte, q Question, rrs []RR) []byte {
	b.Start(buf, MaxMessageLen, 1, FlagQR)
	b.Question(q)
	b.Reserve(OPTLen(nil))
	s := Answer
	for i := range rrs {
		switch {
		case rrs[i].Type == TypeNS:
			s = Authority
		case s == Authority:
			s = Additional
		}
		if !b.AddRR(s, rrs[i]) {
			t.Fatal("does not fit")
		}
	}
	b.Reserve(-OPTLen(nil))
	b.OPT(EDNS{UDPSize: 1232, DO: true})
	return b.Finish()
}

func zone(t testing.TB, file string) []RR {
	text, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	rrs, err := ParseZone(string(text), file, Root, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return rrs
}

// typical are the messages that the time goes into. allocs is what reading one into a Message in use may allocate: the name of the
// question, each name that owns records unless it is the question's, and one run of memory for expanded data.
var typical = []struct {
	file   string
	q      Question
	allocs float64
}{
	{"referral.zone", Question{MustParseName("www.example.com."), TypeA, ClassINET}, 1 + 1 + 13 + 1},
	{"signed.zone", Question{MustParseName("www.example.com."), TypeA, ClassINET}, 1 + 1 + 1},
}

func TestAllocations(t *testing.T) {
	query := AppendQuestion(nil, 1, FlagRD, typical[0].q, 1232, true, Options{}.Append(OptionCookie, make([]byte, 8)))
	check := func(what string, want float64, f func()) {
		t.Helper()
		if got := testing.AllocsPerRun(100, f); got > want {
			t.Errorf("%s allocates %v times, want at most %v", what, got, want)
		}
	}
	check("ParseQuery", 0, func() {
		if q, err := ParseQuery(query); err != nil || !q.HasEDNS {
			t.Fatal(err)
		}
	})
	for _, c := range typical {
		rrs := zone(t, c.file)
		var b Builder
		w := reply(t, &b, nil, c.q, rrs)
		buf := make([]byte, 0, len(w))
		check("building "+c.file, 0, func() { reply(t, &b, buf, c.q, rrs) })
		var m Message
		check("parsing "+c.file, c.allocs, func() {
			if err := Parse(w, &m); err != nil {
				t.Fatal(err)
			}
		})
	}
	s := set(t, "example.", 4, 100)
	var b Builder
	buf := make([]byte, 0, 4096)
	check("AddRotated", 0, func() {
		b.Start(buf, 4096, 1, FlagQR)
		if !b.AddRotated(Answer, s.Name, s, 5, true, 2) {
			t.Fatal("does not fit")
		}
	})
	n, m := MustParseName("www.Example.com."), MustParseName("mail.example.com.")
	lower := n.Lower()
	check("comparing names", 0, func() {
		if n.Compare(m) == 0 || n.Equal(m) || n.IsWithin(m) || n.CommonLabels(m) != 2 || lower.Lower() != lower || n.Parent().Label() == "" {
			t.Fatal("names")
		}
	})
	check("Lower", 1, func() { _ = n.Lower() })
	check("Lower of 255 octets", 1, func() { _ = longest.Lower() })
}

var longest = func() Name {
	w := []byte(nameOfLen(MaxNameLen).Wire())
	w[1] = 'X'
	return Name{string(w)}
}()

func BenchmarkParseQuery(b *testing.B) {
	for _, c := range []struct {
		what string
		w    []byte
	}{
		{"plain", AppendQuestion(nil, 1, FlagRD, typical[0].q, 0, false, nil)},
		{"EDNS and cookie", AppendQuestion(nil, 1, FlagRD, typical[0].q, 1232, true, Options{}.Append(OptionCookie, make([]byte, 8)))},
	} {
		b.Run(c.what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseQuery(c.w); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	for _, c := range typical {
		b.Run(c.file, func(b *testing.B) {
			var build Builder
			w := reply(b, &build, nil, c.q, zone(b, c.file))
			var m Message
			b.SetBytes(int64(len(w)))
			b.ReportAllocs()
			for b.Loop() {
				if err := Parse(w, &m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkBuild(b *testing.B) {
	for _, c := range typical {
		b.Run(c.file, func(b *testing.B) {
			rrs := zone(b, c.file)
			var build Builder
			buf := make([]byte, 0, 4096)
			b.ReportAllocs()
			for b.Loop() {
				reply(b, &build, buf, c.q, rrs)
			}
		})
	}
}

// The worst message there is to parse: each of its records has two names, each of 127 labels with a pointer before every one. It is
// 64 KiB long and so comes over TCP.
func BenchmarkParsePointerChains(b *testing.B) {
	w := octets(b, "0000 8180 0000 0000 0000 0000")
	add := func(typ Type, data ...byte) {
		w = append(w, 0, 0, byte(typ), 0, 1, 0, 0, 0, 0, byte(len(data)>>8), byte(len(data)))
		w = append(w, data...)
		w[6], w[7] = byte((int(w[6])<<8+int(w[7])+1)>>8), w[7]+1
	}
	chain := []byte{1, 'a', 0}
	at := HeaderLen + 11
	for range maxLabels - 1 {
		next := HeaderLen + 11 + len(chain)
		chain = append(chain, 1, 'a', 0xC0|byte(at>>8), byte(at))
		at = next
	}
	add(TypeNULL, chain...)
	for len(w) < MaxMessageLen-15 {
		add(TypeMINFO, 0xC0|byte(at>>8), byte(at), 0xC0|byte(at>>8), byte(at))
	}
	var m Message
	b.SetBytes(int64(len(w)))
	b.ReportAllocs()
	for b.Loop() {
		if err := Parse(w, &m); err != nil {
			b.Fatal(err)
		}
	}
	if n := len(m.Sections[Answer]); n < 4000 || len(m.Sections[Answer][n-1].Data) != 2*MaxNameLen {
		b.Fatalf("%d records", n)
	}
}

func BenchmarkName(b *testing.B) {
	n, m := MustParseName("www.department.example.com."), MustParseName("mail.department.example.com.")
	mixed := MustParseName("wWw.dEpArTmEnT.eXaMpLe.CoM.")
	bench := func(what string, f func() int) {
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			sum := 0
			for b.Loop() {
				sum += f()
			}
			_ = sum
		})
	}
	is := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	bench("Compare", func() int { return n.Compare(m) })
	bench("Equal", func() int { return is(n.Equal(mixed)) })
	bench("IsWithin", func() int { return is(n.IsWithin(m)) })
	bench("Lower lower", func() int { return n.Lower().Len() })
	bench("Lower mixed", func() int { return mixed.Lower().Len() })
	bench("String", func() int { return len(n.String()) })
}
