//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/test/bench/flood"
)

// digest stands for a response code and the records of an answer section in any order, TTLs aside.
type digest uint64

// digestOf makes a digest. Records are compared as DNSSEC does: names in lower case, nothing compressed (RFC 4034 section 6.2).
func digestOf(code dns.RCode, records []dns.RR) digest {
	lines := make([]string, 0, len(records))
	for _, rr := range records {
		b := append([]byte(nil), rr.Name.Lower().Wire()...)
		b = binary.BigEndian.AppendUint16(b, uint16(rr.Type))
		lines = append(lines, string(dns.AppendCanonical(b, rr.Type, rr.Data)))
	}
	slices.Sort(lines)
	h := fnv.New64a()
	h.Write([]byte{byte(code)})
	for _, l := range lines {
		h.Write(binary.BigEndian.AppendUint16(nil, uint16(len(l))))
		h.Write([]byte(l))
	}
	return digest(h.Sum64())
}

// maxRecords is how many records a zone may have: eight for each of a million names.
const maxRecords = 8 << 20

// expect works out what a zone answers.
func expect(text string, zone dns.Name, asks []dns.Question) ([]digest, error) {
	records, err := dns.ParseZone(text, zone.String(), zone, maxRecords)
	if err != nil {
		return nil, err
	}
	type key struct {
		dns.Name
		dns.Type
	}
	byKey := map[key][]dns.RR{}
	exists := map[dns.Name]bool{}
	for _, rr := range records {
		byKey[key{rr.Name, rr.Type}] = append(byKey[key{rr.Name, rr.Type}], rr)
		for n := rr.Name; n.IsWithin(zone) && !exists[n]; n = n.Parent() { // empty non-terminals, too
			exists[n] = true
		}
	}
	var want []digest
	for _, q := range asks {
		name, code := q.Name, dns.RCodeSuccess
		var answer []dns.RR
		if alias := byKey[key{name, dns.TypeCNAME}]; len(alias) > 0 {
			answer = append(answer, alias...)
			target, ok := dns.RdataName(dns.TypeCNAME, alias[0].Data)
			if !ok {
				return nil, fmt.Errorf("reading the alias %v: no name", name)
			}
			name = target
		}
		answer = append(answer, byKey[key{name, q.Type}]...)
		if !exists[name] {
			code = dns.RCodeNameError
		}
		want = append(want, digestOf(code, answer))
	}
	return want, nil
}

// verdict is what the answers that were looked at closely were like.
type verdict struct {
	Looked   int
	Wrong    int
	Secure   int      // with AD
	Examples []string // of wrong ones, a few
}

const maxExamples = 3

func (v *verdict) wrong(k flood.Kept, why string) {
	v.Wrong++
	if len(v.Examples) < maxExamples {
		v.Examples = append(v.Examples, fmt.Sprintf("question %d: %s", k.Question, why))
	}
}

// judge looks at the answers that were kept. Those to questions beyond the set's are to misses. A resolver has to say that it is one.
func (s *set) judge(kept []flood.Kept, resolver bool) (v verdict) {
	var m dns.Message
	for _, k := range kept {
		v.Looked++
		if err := dns.Parse(k.Message, &m); err != nil {
			v.wrong(k, err.Error())
			continue
		}
		if m.Header.Flags&dns.FlagAD != 0 {
			v.Secure++
		}
		if why := s.check(k.Question, &m, resolver); why != "" {
			v.wrong(k, why)
		}
	}
	return v
}

// check says what is wrong with an answer; "" if nothing is.
func (s *set) check(question int, m *dns.Message, resolver bool) string {
	answer := m.Sections[dns.Answer]
	switch {
	case m.Header.Flags&dns.FlagTC != 0:
		return "cut off"
	case resolver && m.Header.Flags&dns.FlagRA == 0:
		return "without RA"
	}
	for _, rr := range answer {
		if rr.TTL > ttl {
			return fmt.Sprintf("TTL of %d", rr.TTL)
		}
	}
	if question >= len(s.questions) {
		if m.RCode() == dns.RCodeServerFailure {
			return "" // not now: it is counted as no answer
		}
		if m.RCode() != dns.RCodeSuccess || len(answer) != 1 || !answer[0].Name.Equal(m.Question.Name) || answer[0].Type != dns.TypeA || string(answer[0].Data) != "\xc0\x00\x02\x50" {
			return describe(m)
		}
		return ""
	}
	if digestOf(m.RCode(), answer) != s.want[question] {
		return describe(m)
	}
	return ""
}

func describe(m *dns.Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v: %v", m.Question, m.RCode())
	for _, rr := range m.Sections[dns.Answer] {
		fmt.Fprintf(&b, "; %v", rr)
	}
	return b.String()
}
