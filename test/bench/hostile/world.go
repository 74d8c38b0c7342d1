//go:build linux

package main

import (
	"fmt"
	"strings"

	"github.com/ananas-edge/ananas/dns"
)

// trap is one way in which zones are made to cost.
type trap struct {
	name string
	doc  string // what it is, for the table's legend

	signing string                      // arguments of [zone] beside alg=
	body    func(zone, next int) string // lines of the zone; next is that whose names aliases lead to
	server  []string                    // faults of the zones' server
	parent  []string                    // faults of the server of the zone above
	ask     func(label, zone string) string
	qtype   dns.Type
	zones   int  // that one question meets, for which there is no bound; 0: 1
	same    bool // all questions are for one zone
	tcp     bool // asked over TCP
}

// bound is the most processor time that one question may cost, in milliseconds.
func bound(alg int) float64 {
	if alg == 14 || alg == 16 {
		return 20
	}
	return 5
}

// Numbers that fill one message together.
const (
	trapTypes = 60 // RRsets at one name
	chain     = 12 // aliases; more are followed by none
)

func star(int, int) string { return "* A 192.0.2.80" }

// child asks for a name in the zone that nobody asked for before.
func child(label, zone string) string { return label + "." + zone }

// deep asks for one with as many labels as fit into a name.
func deep(label, zone string) string {
	name := label + "." + zone
	if room := dns.MaxNameLen - 2 - len(name); room > 1 {
		name = label + "." + strings.Repeat("a.", room/2) + zone
	}
	return name
}

// longSalt is as long as a salt can be.
var longSalt = strings.Repeat("salt", 63) + "+++"

var traps = []trap{
	{name: "honest", doc: "nothing is wrong: what a name in a zone that nobody asked for before costs", body: star, ask: child, qtype: dns.TypeA},
	{
		name: "keytrap", doc: "as many keys of one tag, and as many wrong signatures by it, as fit into a message each (KeyTrap, CVE-2023-50387)",
		body: star, server: []string{"key-trap", "signature-trap type=A"}, ask: child, qtype: dns.TypeA,
	},
	{
		name: "sigjam", doc: "one key, and as many wrong signatures by it as fit (SigJam)",
		body: star, server: []string{"signature-trap as=own type=A"}, ask: child, qtype: dns.TypeA,
	},
	{
		name: "lockcram", doc: "as many keys of one tag as fit, and one signature (LockCram)",
		body: star, server: []string{"key-trap", "signature-trap n=1 type=A"}, ask: child, qtype: dns.TypeA,
	},
	{
		name: "hashtrap", doc: "as many DS records of one tag, and as many keys of it, as fit, of which none is another's (HashTrap)",
		body: star, server: []string{"key-trap"}, parent: []string{"ds-trap"}, ask: child, qtype: dns.TypeA,
	},
	{
		name: "dstrap", doc: "DS records that fit the keys of one tag, and wrong signatures of the keys by all of them",
		body: star, parent: []string{"ds-trap as=keys n=64"}, ask: child, qtype: dns.TypeA,
		server: []string{"key-trap n=64", "signature-trap type=DNSKEY"},
	},
	{
		name: "empty", doc: "signatures without a signature, which are short: as many as fit",
		body: star, server: []string{"signature-trap as=empty type=A"}, ask: child, qtype: dns.TypeA,
	},
	{
		name: "records", doc: "an RRset that fills a message, signed well", same: true,
		body: func(int, int) string {
			var b strings.Builder
			for i := range 15 {
				fmt.Fprintf(&b, "$GENERATE 0-255 * A 10.0.%d.$\n", i)
			}
			return b.String()
		},
		ask: child, qtype: dns.TypeA,
	},
	{
		name: "sets", doc: fmt.Sprintf("%d RRsets at a wildcard, each signed well, asked for at once over TCP", trapTypes), same: true, tcp: true,
		body: func(int, int) string {
			var b strings.Builder
			for i := range trapTypes {
				fmt.Fprintf(&b, "* TYPE%d \\# 4 0A000001\n", 65300+i)
			}
			return b.String()
		},
		ask: child, qtype: dns.TypeANY,
	},
	{
		name: "proofs", doc: "a denial with as many NSEC records as fit, each signed well",
		body: star, server: []string{"proof-trap type=TXT"}, ask: child, qtype: dns.TypeTXT,
	},
	{
		name: "nsec3", doc: "a denial by NSEC3 with 100 iterations and the longest salt of the longest name", signing: "sign=nsec3 iterations=100 salt=" + longSalt,
		body: func(int, int) string { return "" }, ask: deep, qtype: dns.TypeA,
	},
	{
		name: "salts", doc: "the same without salt, and as many NSEC3 records as fit, each with another", signing: "sign=nsec3 iterations=100",
		body: func(int, int) string { return "" }, server: []string{"proof-trap"}, ask: deep, qtype: dns.TypeA,
	},
	{
		name: "aliases", doc: fmt.Sprintf("nothing is wrong: %d aliases, each from a wildcard into another zone that nobody asked for before", chain),
		body: aliases, ask: child, qtype: dns.TypeA, zones: chain,
	},
	{
		name: "chain", doc: "the same, and the keys of each zone fill a message", body: aliases,
		server: []string{"key-trap"}, ask: child, qtype: dns.TypeA, zones: chain,
	},
}

func aliases(_, next int) string { return fmt.Sprintf("* CNAME x.z%d.@@", next) }

// zoneName is the zone of a trap.
func (t *trap) zoneName(alg, i int) string { return fmt.Sprintf("z%d.a%d.trap-%s.com", i, alg, t.name) }

// zonesFor is how many zones n questions need.
func (t *trap) zonesFor(n int) int {
	if t.same {
		return 1
	}
	return n * max(1, t.zones)
}

// question returns the i-th question for a trap; the label makes it another than all before.
func (t *trap) question(alg, i int, label string) string {
	if t.same {
		i = 0
	}
	return t.ask(label, t.zoneName(alg, i*max(1, t.zones)))
}

// world writes the internet: an honest one, and below it for each trap and algorithm the zones that n questions meet.
func world(traps []trap, algs []int, n int) string {
	var b strings.Builder
	b.WriteString("[generate]\n[defaults]\nlatency 2ms..8ms\n")
	servers := func(address string, faults []string) {
		if len(faults) == 0 {
			return
		}
		fmt.Fprintf(&b, "[server %s]\n", address)
		for _, f := range faults {
			fmt.Fprintf(&b, "fault %s\n", f)
		}
	}
	for k := range traps {
		t := &traps[k]
		above := "203.0.113." + fmt.Sprint(k+1)
		fmt.Fprintf(&b, "[zone trap-%s.com servers=%s]\n", t.name, above)
		var parent []string
		for _, f := range t.parent {
			parent = append(parent, f+" qname=*.trap-"+t.name+".com")
		}
		servers(above, parent)
		for a, alg := range algs {
			address := fmt.Sprintf("198.51.100.%d", k*len(algs)+a+1)
			zones := t.zonesFor(n)
			for i := range zones {
				body := strings.ReplaceAll(t.body(i, (i+1)%zones), "@@", fmt.Sprintf("a%d.trap-%s.com.", alg, t.name))
				fmt.Fprintf(&b, "[zone %s alg=%d bits=2048 %s servers=%s]\n%s\n", t.zoneName(alg, i), alg, t.signing, address, body)
			}
			servers(address, t.server)
		}
	}
	return b.String()
}
