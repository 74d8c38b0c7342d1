//go:build linux

package main

import (
	"fmt"
	"strings"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/test/bench"
	"github.com/ananas-edge/ananas/test/bench/load"
)

// kinds are the zones that are written into the world beside the generated ones: what is special about each, in the words of a world file, and what a
// validator should make of it.
var kinds = []struct{ name, args, is string }{
	{"good8", "alg=8", signed}, {"good10", "alg=10", signed}, {"good13", "", signed}, {"good14", "alg=14", signed}, {"good15", "alg=15", signed},
	{"split", "keys=split", signed}, {"nsec3", "sign=nsec3", signed}, {"salted", "sign=nsec3 iterations=10 salt=abcd", signed},
	{"optout", "sign=nsec3 optout=true", "opt-out"}, {"iterations", "sign=nsec3 iterations=200", "iterations"},
	{"unsigned", "sign=none", unsigned}, {"nods", "ds=none", unsigned},
	{"expired", "signatures=expired", broken}, {"future", "signatures=future", broken}, {"corrupt", "signatures=corrupt", broken},
	{"missing", "signatures=missing", broken}, {"nokey", "signatures=no-dnskey", broken}, {"wrongds", "ds=wrong", broken},
	{"expired3", "signatures=expired sign=nsec3", broken}, {"missing3", "signatures=missing sign=nsec3", broken},
}

// What zones are.
const (
	signed    = "signed"
	unsigned  = "unsigned"
	broken    = "broken"
	generated = "generated"
)

const zonesOfAKind = 4

// world is the world of a run.
func world(base string) string {
	var b strings.Builder
	b.WriteString(base)
	for i, k := range kinds {
		for n := range zonesOfAKind {
			a := fmt.Sprintf("198.51.%d.%d", 100+i, n+1)
			fmt.Fprintf(&b, `
[zone %s%d.com %s servers=%s]
www   A     192.0.2.80
www   AAAA  2001:db8::80
alias CNAME www
far   CNAME www.good13%d.com.
mx    MX    10 www
*.w   A     192.0.2.81
*.c   CNAME www
a.b   TXT   "below an empty non-terminal"
d     DNAME good13%d.com.
`, k.name, n, k.args, a, n, n)
		}
	}
	return b.String()
}

// question is one question, and what kind of name it is about.
type question struct {
	dns.Question
	kind       string
	do, ad, cd bool
}

func (q *question) String() string {
	flags := ""
	for _, f := range []struct {
		on   bool
		name string
	}{{q.do, "do"}, {q.ad, "ad"}, {q.cd, "cd"}} {
		if f.on {
			flags += " +" + f.name
		}
	}
	return q.Question.String() + flags
}

// Facts that a question is drawn from.
const (
	drawName = iota
	drawWhat
	drawFlags
	drawKind
	drawZone
	drawSpecial
)

// questions draws n of them.
func questions(seed uint64, n int, net *bench.Internet) ([]question, error) {
	var out []question
	special := []string{"www", "alias", "far", "mx", "x.w", "x.c", "b", "none", "www.d", "none.d", "", "a.b", "none.www"}
	for i := range n {
		draw := func(what uint64) uint64 { return load.Draw(seed, what, uint64(i)) }
		q := question{Question: dns.Question{Type: dns.TypeA, Class: dns.ClassINET}}
		name := net.Names[load.Below(draw(drawName), len(net.Names))].String()
		q.kind = generated
		what := load.Share(draw(drawWhat))
		switch {
		case i%4 == 0: // a quarter is about the written zones
			k := kinds[load.Below(draw(drawKind), len(kinds))]
			q.kind = k.is
			name = fmt.Sprintf("%s%d.com.", k.name, load.Below(draw(drawZone), zonesOfAKind))
			if s := special[load.Below(draw(drawSpecial), len(special))]; s != "" {
				name = s + "." + name
			}
			q.Type = []dns.Type{dns.TypeA, dns.TypeA, dns.TypeA, dns.TypeAAAA, dns.TypeMX, dns.TypeDS, dns.TypeDNSKEY, dns.TypeTXT, dns.TypeNS, dns.TypeSOA}[int(what*10)]
		case what < 0.5:
		case what < 0.65:
			q.Type = dns.TypeAAAA
		case what < 0.72:
			q.Type = dns.TypeMX
		case what < 0.77:
			q.Type = dns.TypeHTTPS
		case what < 0.87:
			name = "no-such-name." + name
		default:
			_, name, _ = strings.Cut(name, ".")
			q.Type = []dns.Type{dns.TypeDS, dns.TypeDNSKEY, dns.TypeSOA, dns.TypeNS}[load.Below(draw(drawKind), 4)]
		}
		switch f := load.Share(draw(drawFlags)); {
		case f < 0.5:
			q.do = true
		case f < 0.7:
			q.ad = true
		case f < 0.8:
			q.do, q.cd = true, true
		}
		var err error
		if q.Name, err = dns.ParseName(name); err != nil {
			return nil, fmt.Errorf("making question %d: %w", i, err)
		}
		out = append(out, q)
	}
	return out, nil
}
