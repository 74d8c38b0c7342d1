//go:build linux

package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/test/bench/flood"
)

// Sets repeat from their seed, have the mixture that they are to have, each question once, and the sizes that they are named for.
func TestSets(t *testing.T) {
	const n = 5000
	for _, k := range []kind{oneSize, manySizes, signed} {
		s, err := newSet(k, 1, n)
		if err != nil {
			t.Fatal(err)
		}
		again, err := newSet(k, 1, n)
		if err != nil {
			t.Fatal(err)
		}
		if s.text != again.text || !slices.EqualFunc(s.questions, again.questions, slices.Equal) || !slices.Equal(s.want, again.want) {
			t.Errorf("%s: the same seed gives another set", k)
		}
		if other, err := newSet(k, 2, n); err != nil || slices.EqualFunc(s.questions, other.questions, slices.Equal) {
			t.Errorf("%s: another seed gives the same questions: %v", k, err)
		}
		types := map[dns.Type]int{}
		seen := map[dns.Name]bool{}
		sizes := map[int]int{}
		edns, ad := 0, 0
		for _, b := range s.questions {
			q, err := dns.ParseQuery(b)
			if err != nil {
				t.Fatalf("%s: %v", k, err)
			}
			types[q.Type]++
			if seen[q.Name()] {
				t.Errorf("%s: %v is asked twice", k, q.Name())
			}
			seen[q.Name()] = true
			sizes[len(b)]++
			edns += int(b[11])
			ad += int(b[3]) >> 5 & 1
		}
		aliases := strings.Count(s.text, " CNAME ")
		if aliases != 8*n/100 {
			t.Errorf("%s: %d aliases", k, aliases)
		}
		gone := 0
		none := digestOf(dns.RCodeNameError, nil)
		for _, w := range s.want {
			if w == none {
				gone++
			}
		}
		if gone != 7*n/100 {
			t.Errorf("%s: %d names that are not there", k, gone)
		}
		if k != manySizes {
			if diff := cmp.Diff(map[dns.Type]int{dns.TypeA: 85 * n / 100, dns.TypeAAAA: 15 * n / 100}, types); diff != "" || len(sizes) != 1 || edns != 0 {
				t.Errorf("%s: sizes %v, %d with EDNS, types: %s", k, sizes, edns, diff)
			}
			if want := map[kind]int{signed: n}[k]; ad != want {
				t.Errorf("%s: %d questions with AD, want %d", k, ad, want)
			}
			continue
		}
		if types[dns.TypeTXT] != 4*n/100 || types[dns.TypeMX] != 2*n/100 || types[dns.TypeHTTPS] != n/100 || types[dns.TypeSRV] != n/100 {
			t.Errorf("%s: types %v", k, types)
		}
		if len(sizes) < 40 || edns < n/5 || edns > 3*n/10 {
			t.Errorf("%s: %d sizes, %d of %d with EDNS", k, len(sizes), edns, n)
		}
	}
}

// What a zone answers, by its text: records, aliases, names that are there without records, names that are not, order and case aside.
func TestExpect(t *testing.T) {
	zone := dns.MustParseName("zone.example")
	const text = `$ORIGIN zone.example.
@ 60 SOA ns hostmaster 1 2 3 4 5
www 60 A 192.0.2.1
www 60 A 192.0.2.2
alias 60 CNAME www
mail 60 MX 10 www
a.b 60 TXT "x"
`
	record := func(text string) []dns.RR {
		rrs, err := dns.ParseZone(text, "test", dns.Root, 10)
		if err != nil {
			t.Fatal(err)
		}
		return rrs
	}
	ask := func(name string, typ dns.Type) dns.Question {
		return dns.Question{Name: dns.MustParseName(name), Type: typ, Class: dns.ClassINET}
	}
	got, err := expect(text, zone, []dns.Question{
		ask("www.zone.example", dns.TypeA), ask("alias.zone.example", dns.TypeA), ask("mail.zone.example", dns.TypeMX),
		ask("www.zone.example", dns.TypeAAAA), ask("b.zone.example", dns.TypeA), ask("c.zone.example", dns.TypeA),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []digest{
		digestOf(dns.RCodeSuccess, record("www.zone.example. 5 A 192.0.2.2\nWWW.zone.example. 9 A 192.0.2.1\n")),
		digestOf(dns.RCodeSuccess, record("alias.zone.example. 5 CNAME www.ZONE.example.\nwww.zone.example. 5 A 192.0.2.1\nwww.zone.example. 5 A 192.0.2.2\n")),
		digestOf(dns.RCodeSuccess, record("mail.zone.example. 5 MX 10 WWW.zone.example.\n")),
		digestOf(dns.RCodeSuccess, nil), digestOf(dns.RCodeSuccess, nil), digestOf(dns.RCodeNameError, nil),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if digestOf(dns.RCodeSuccess, record("a. 1 A 192.0.2.1\n")) == digestOf(dns.RCodeSuccess, record("a. 1 A 192.0.2.1\na. 1 A 192.0.2.2\n")) {
		t.Error("a record less makes no difference")
	}
}

// Answers are judged by rcode, records, TTL, TC and RA; those to fresh names by the wildcard.
func TestJudge(t *testing.T) {
	s, err := newSet(oneSize, 1, 1000)
	if err != nil {
		t.Fatal(err)
	}
	records, err := dns.ParseZone(s.text, "test", s.zone, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	// answer is what a resolver would say to question i, then spoiled.
	answer := func(i int, question []byte, spoil func(f *dns.Flags, rr *dns.RR)) flood.Kept {
		q, err := dns.ParseQuery(question)
		if err != nil {
			t.Fatal(err)
		}
		var b dns.Builder
		flags := dns.FlagQR | dns.FlagRA
		rr := dns.RR{Name: q.Name(), Type: dns.TypeA, Class: dns.ClassINET, TTL: 100, Data: []byte{192, 0, 2, 80}}
		for _, r := range records {
			if r.Name.Equal(rr.Name) && r.Type == q.Type {
				rr.Data, rr.Type = r.Data, r.Type
			}
		}
		spoil(&flags, &rr)
		b.Start(nil, 1232, 7, flags)
		b.Question(dns.Question{Name: q.Name(), Type: q.Type, Class: q.Class})
		if rr.Data != nil && !b.AddRR(dns.Answer, rr) {
			t.Fatal("the answer does not fit")
		}
		return flood.Kept{Question: i, Message: b.Finish()}
	}
	first := slices.IndexFunc(s.questions, func(b []byte) bool { // one with an AAAA record
		q, err := dns.ParseQuery(b)
		return err == nil && q.Type == dns.TypeAAAA
	})
	good := func(*dns.Flags, *dns.RR) {}
	for name, c := range map[string]struct {
		spoil func(f *dns.Flags, rr *dns.RR)
		hit   bool // whether it is right for a cached name
		miss  bool // and for a fresh one
		proxy bool // right for a server that is no resolver
	}{
		"good":            {good, true, true, true},
		"another address": {func(_ *dns.Flags, rr *dns.RR) { rr.Data = append([]byte{9}, rr.Data[1:]...) }, false, false, false},
		"no records":      {func(_ *dns.Flags, rr *dns.RR) { rr.Data = nil }, false, false, false},
		"another owner":   {func(_ *dns.Flags, rr *dns.RR) { rr.Name = s.zone }, false, false, false},
		"NXDOMAIN":        {func(f *dns.Flags, _ *dns.RR) { *f |= dns.Flags(dns.RCodeNameError) }, false, false, false},
		"SERVFAIL": {func(f *dns.Flags, rr *dns.RR) { *f |= dns.Flags(dns.RCodeServerFailure); rr.Data = nil }, false, true, // it is counted as no answer
			false},
		"cut off":        {func(f *dns.Flags, _ *dns.RR) { *f |= dns.FlagTC }, false, false, false},
		"no recursion":   {func(f *dns.Flags, _ *dns.RR) { *f &^= dns.FlagRA }, false, false, true},
		"a TTL too long": {func(_ *dns.Flags, rr *dns.RR) { rr.TTL = ttl + 1 }, false, false, false},
		"in other case":  {func(_ *dns.Flags, rr *dns.RR) { rr.Name = dns.MustParseName(strings.ToUpper(rr.Name.String())) }, true, true, true},
	} {
		hit, miss := answer(first, s.questions[first], c.spoil), answer(len(s.questions), missQuestion(), c.spoil)
		if v := s.judge([]flood.Kept{hit}, true); (v.Wrong == 0) != c.hit || v.Looked != 1 || (len(v.Examples) == 0) != c.hit {
			t.Errorf("%s: a hit is judged %+v", name, v)
		}
		if v := s.judge([]flood.Kept{miss}, true); (v.Wrong == 0) != c.miss {
			t.Errorf("%s: a miss is judged %+v", name, v)
		}
		if v := s.judge([]flood.Kept{hit}, false); (v.Wrong == 0) != c.proxy {
			t.Errorf("%s: of a proxy, a hit is judged %+v", name, v)
		}
	}
	half := answer(first, s.questions[first], good)
	half.Message = half.Message[:len(half.Message)-1]
	if v := s.judge([]flood.Kept{half}, true); v.Wrong != 1 {
		t.Errorf("half a message is judged %+v", v)
	}
	secure := answer(first, s.questions[first], func(f *dns.Flags, _ *dns.RR) { *f |= dns.FlagAD })
	if v := s.judge([]flood.Kept{secure, answer(first, s.questions[first], good)}, true); v.Secure != 1 || v.Looked != 2 || v.Wrong != 0 {
		t.Errorf("one answer of two with AD is judged %+v", v)
	}
}
