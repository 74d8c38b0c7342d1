//go:build linux

package main

import (
	"fmt"
	"strings"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/test/bench"
	"github.com/ananas-edge/ananas/test/bench/load"
)

// kinds are the zones that are written into the world beside the generated ones: what is special about each, in the words of a world file.
var kinds = []struct{ name, args string }{
	{"good8", "alg=8"}, {"good10", "alg=10"}, {"good13", ""}, {"good14", "alg=14"}, {"good15", "alg=15"},
	{"nsec3", "sign=nsec3"}, {"salted", "sign=nsec3 iterations=10 salt=abcd"}, {"optout", "sign=nsec3 optout=true"},
	{"iterations", "sign=nsec3 iterations=200"}, {"split", "keys=split"},
	{"unsigned", "sign=none"}, {"nods", "ds=none"},
	{"expired", "signatures=expired"}, {"future", "signatures=future"}, {"corrupt", "signatures=corrupt"}, {"missing", "signatures=missing"},
	{"nokey", "signatures=no-dnskey"}, {"wrongds", "ds=wrong"},
	{"expired3", "signatures=expired sign=nsec3"}, {"missing3", "signatures=missing sign=nsec3"},
}

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
sub   NS    ns.sub
ns.sub A    %s
`, k.name, n, k.args, a, n, n, a)
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
)

// questions draws n of them.
func questions(seed uint64, n int, net *bench.Internet) ([]question, error) {
	var out []question
	special := []string{"www", "alias", "far", "mx", "x.w", "x.c", "b", "none", "www.d", "none.d", "sub", "", "a.b", "none.www"}
	for i := range n {
		draw := func(what uint64) uint64 { return load.Draw(seed, what, uint64(i)) }
		q := question{Question: dns.Question{Type: dns.TypeA, Class: dns.ClassINET}}
		name := net.Names[load.Below(draw(drawName), len(net.Names))].String()
		q.kind = "generated"
		what := load.Share(draw(drawWhat))
		switch {
		case i%4 == 0: // a quarter is about the written zones
			k := kinds[load.Below(draw(drawKind), len(kinds))]
			q.kind = k.name
			name = fmt.Sprintf("%s%d.com.", k.name, load.Below(draw(drawName)>>8, zonesOfAKind))
			if s := special[load.Below(draw(drawName)>>16, len(special))]; s != "" {
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
			name, q.kind = "no-such-name."+name, "generated, no such name"
		default:
			_, name, _ = strings.Cut(name, ".")
			q.kind = "generated, the zone"
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
