//go:build linux

package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/test/bench/flood"
	"github.com/ananas-edge/ananas/test/bench/load"
)

// kind is a set of questions, and the zone that has their answers.
type kind string

const (
	oneSize   kind = "one"    // all questions have one size, and all A and all AAAA answers, too
	manySizes kind = "mixed"  // names of many lengths, several records, texts: what a resolver is really asked
	signed    kind = "signed" // as oneSize, and the zone is signed
)

// ttl is that of all records: longer than a benchmark, so that nothing expires.
const ttl = 86400

// set is what is asked, what is to be answered, and the zone that says so.
type set struct {
	kind
	zone      dns.Name
	text      string   // zone file
	questions [][]byte // in random order, each once
	want      []digest // of the answer to each
}

// Facts that a set draws from its seed.
const (
	drawLabel = iota
	drawLength
	drawCount
	drawTarget
	drawOrder
	drawEDNS
	drawText
)

// names is a zone under way.
type names struct {
	kind
	seed uint64
	text strings.Builder
	asks []dns.Question
	as   []string // labels with A records, for aliases
}

// newSet makes n questions. Of 100 names 70 have A and 15 AAAA records, 8 are aliases of names with A records, and 7 are not there; where
// sizes are many, 7 of the 70 and 1 of the 15 have TXT, MX, HTTPS or SRV records instead.
func newSet(k kind, seed uint64, n int) (*set, error) {
	s := &set{kind: k, zone: dns.MustParseName(string(k) + ".example")}
	z := &names{kind: k, seed: load.Draw(seed, uint64(len(k)))}
	fmt.Fprintf(&z.text, "$ORIGIN %v\n$TTL %d\n@ SOA ns hostmaster 1 7200 3600 1209600 %d\n@ NS ns\nns A 192.0.2.1\n", s.zone, ttl, ttl)
	for i := range n {
		t, label := z.name(i)
		name, err := dns.ParseName(label + "." + s.zone.String())
		if err != nil {
			return nil, err
		}
		z.asks = append(z.asks, dns.Question{Name: name, Type: t, Class: dns.ClassINET})
	}
	s.text = z.text.String()
	// In random order: neither the order of the zone nor that of the cache's memory.
	for i := n - 1; i > 0; i-- {
		j := load.Below(load.Draw(z.seed, drawOrder, uint64(i)), i+1)
		z.asks[i], z.asks[j] = z.asks[j], z.asks[i]
	}
	for i, q := range z.asks {
		flags, size := dns.FlagRD, uint16(0)
		if k == signed {
			flags |= dns.FlagAD // it wants to hear of validation (RFC 6840 section 5.7)
		}
		if k == manySizes && z.draw(drawEDNS, i)%4 == 0 {
			size = 1232
		}
		s.questions = append(s.questions, dns.AppendQuestion(nil, 0, flags, q, size, false, nil))
	}
	var err error
	s.want, err = expect(s.text, s.zone, z.asks)
	return s, err
}

func (z *names) draw(what uint64, i int, more ...uint64) uint64 {
	return load.Draw(z.seed, append([]uint64{what, uint64(i)}, more...)...)
}

// name makes up name i, writes its records, and returns its first labels and the type that is asked.
func (z *names) name(i int) (dns.Type, string) {
	label := z.label(i)
	line := func(format string, args ...any) {
		fmt.Fprintf(&z.text, "%s "+format+"\n", append([]any{label}, args...)...)
	}
	m := i % 100
	switch mixed := z.kind == manySizes; {
	case mixed && m < 4:
		line("TXT %s", z.words(i, 20+load.Below(z.draw(drawText, i), 380)))
		return dns.TypeTXT, label
	case mixed && m < 6:
		for k := range 1 + load.Below(z.draw(drawCount, i), 3) {
			line("MX %d mx%d.%s", 10*(k+1), k, label)
		}
		return dns.TypeMX, label
	case mixed && m < 7:
		line("HTTPS 1 . alpn=h2,h3 ipv4hint=10.%d.%d.%d", i>>16&255, i>>8&255, i&255)
		return dns.TypeHTTPS, label
	case m < 70:
		for k := range z.count(i) {
			line("A 10.%d.%d.%d", i>>16&15|k<<4, i>>8&255, i&255)
		}
		z.as = append(z.as, label)
		return dns.TypeA, label
	case mixed && m < 71:
		line("SRV 0 5 5060 sip.%s", label)
		return dns.TypeSRV, label
	case m < 85:
		for k := range z.count(i) {
			line("AAAA 2001:db8:%x::%x:%x", k, i>>16, i&0xffff)
		}
		return dns.TypeAAAA, label
	case m < 93:
		line("CNAME %s", z.as[load.Below(z.draw(drawTarget, i), len(z.as))])
	}
	return dns.TypeA, label // if it has no records, it is not there
}

// count is how many addresses a name has: one, or two thirds one and up to eight.
func (z *names) count(i int) int {
	if z.kind != manySizes {
		return 1
	}
	return []int{1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 4, 4, 6, 8}[z.draw(drawCount, i)%16]
}

const letters = "abcdefghijklmnopqrstuvwxyz"

// label makes up what stands before the zone: 10 octets, or 5 to 40 in one or two labels, 11 on average, as host names have.
func (z *names) label(i int) string {
	id := fmt.Sprintf("%05x", i) // tells names apart
	if z.kind != manySizes {
		return z.letters(i, 5) + id
	}
	long := min(35, int(-math.Log(1-load.Share(z.draw(drawLength, i)))*6))
	if long > 6 && z.draw(drawLength, i, 1)%2 == 0 {
		return z.letters(i, long/2) + id + "." + z.letters(i+1, long-long/2-1)
	}
	return z.letters(i, long) + id
}

func (z *names) letters(i, n int) string {
	b := make([]byte, n)
	for k := range b {
		b[k] = letters[load.Below(z.draw(drawLabel, i, uint64(k)), len(letters))]
	}
	return string(b)
}

// words is a text of n octets, in strings of up to 200, as keys of DKIM and permissions of SPF have.
func (z *names) words(i, n int) string {
	text := z.letters(i, n)
	var b strings.Builder
	for len(text) > 0 {
		k := min(200, len(text))
		fmt.Fprintf(&b, "%q ", text[:k])
		text = text[k:]
	}
	return b.String()
}

// The zone whose names are in no cache: each name that is asked is new.
var (
	missZone = dns.MustParseName("miss.example")
	missText = fmt.Sprintf("$ORIGIN %v\n$TTL %d\n@ SOA ns hostmaster 1 7200 3600 1209600 %d\n@ NS ns\nns A 192.0.2.1\n* A 192.0.2.80\n", missZone, ttl, ttl)
)

// missQuestion is a question whose first label package flood makes anew each time.
func missQuestion() []byte {
	name, err := missZone.Child(strings.Repeat("x", flood.FreshLabel))
	if err != nil {
		panic(err) // both are constants
	}
	return dns.AppendQuestion(nil, 0, dns.FlagRD, dns.Question{Name: name, Type: dns.TypeA, Class: dns.ClassINET}, 0, false, nil)
}
