package dnssec

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// A drawn zone is asked drawn questions; what is proved by any part of its NSEC or NSEC3 records must be true of it, and by all of them everything
// that is true must be proved. A record left out stands for all that an attacker can leave out.

// modelZone is a zone as a map. Nothing is below delegations and DNAMEs.
type modelZone struct {
	apex   dns.Name
	types  map[dns.Name][]dns.Type // of names that own records
	exists map[dns.Name]bool       // these and empty non-terminals
	optOut bool
}

var modelTypes = []dns.Type{dns.TypeA, dns.TypeTXT, dns.TypeCNAME, dns.TypeDNAME, dns.TypeNS, dns.TypeDS}

func drawName(t *rapid.T, apex dns.Name, depth int, what string) dns.Name {
	n := apex
	for _, label := range rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "*", "c", "\x00"}), 0, depth).Draw(t, what) {
		n, _ = n.Child(label)
	}
	return n
}

func drawZone(t *rapid.T) *modelZone {
	z := &modelZone{apex: name("example."), types: map[dns.Name][]dns.Type{}, exists: map[dns.Name]bool{}, optOut: rapid.Bool().Draw(t, "opt-out")}
	for range rapid.IntRange(0, 8).Draw(t, "names") {
		n := drawName(t, z.apex, 3, "name")
		var types []dns.Type
		switch kind := rapid.IntRange(0, 7).Draw(t, "kind"); {
		case n == z.apex || kind < 3 || n.Label() == "*" && kind > 3:
			types = []dns.Type{dns.TypeA}
		case kind == 3:
			types = []dns.Type{dns.TypeCNAME}
		case kind == 4:
			types = []dns.Type{dns.TypeDNAME, dns.TypeTXT}
		case kind == 5:
			types = []dns.Type{dns.TypeNS, dns.TypeDS}
		default:
			types = []dns.Type{dns.TypeNS}
		}
		z.types[n] = types
	}
	z.types[z.apex] = append(z.types[z.apex], dns.TypeSOA, dns.TypeNS)
	for n := range z.types {
		if top, _ := z.above(n); !top.IsZero() && top != n {
			delete(z.types, n)
		}
	}
	for n := range z.types {
		for ; n != z.apex; n = n.Parent() {
			z.exists[n] = true
		}
	}
	z.exists[z.apex] = true
	return z
}

// above returns the topmost delegation or DNAME at or above n.
func (z *modelZone) above(n dns.Name) (top dns.Name, types []dns.Type) {
	for i := z.apex.Labels() + 1; i <= n.Labels(); i++ {
		at := n.Ancestor(i)
		if have := z.types[at]; slices.Contains(have, dns.TypeNS) || slices.Contains(have, dns.TypeDNAME) {
			return at, have
		}
	}
	return dns.Name{}, nil
}

// delegation tells whether n is one, and whether it is signed.
func (z *modelZone) delegation(n dns.Name) (is, signed bool) {
	types := z.types[n]
	return n != z.apex && slices.Contains(types, dns.TypeNS), slices.Contains(types, dns.TypeDS)
}

// hidden tells whether n is below a delegation or DNAME, or at a delegation and the question is not for DS.
func (z *modelZone) hidden(n dns.Name, t dns.Type) bool {
	top, types := z.above(n)
	return !top.IsZero() && (top != n || slices.Contains(types, dns.TypeNS) && t != dns.TypeDS)
}

// encloser returns the closest ancestor of n that exists, which is n itself if it does.
func (z *modelZone) encloser(n dns.Name) dns.Name {
	for !z.exists[n] {
		n = n.Parent()
	}
	return n
}

// source returns the name whose records answer a question for n, if any: n, or a wildcard.
func (z *modelZone) source(n dns.Name) (dns.Name, bool) {
	e := z.encloser(n)
	if e == n {
		return n, true
	}
	star, _ := wildcard(e)
	return star, z.exists[star]
}

// lacks tells whether the name that answers for n has neither the type nor a CNAME.
func (z *modelZone) lacks(n dns.Name, t dns.Type) bool {
	s, ok := z.source(n)
	return ok && !slices.Contains(z.types[s], t) && !slices.Contains(z.types[s], dns.TypeCNAME)
}

// chained lists the names of the NSEC3 chain. With opt-out, unsigned delegations are left out, and what exists only because of them.
func (z *modelZone) chained() map[dns.Name]bool {
	in := map[dns.Name]bool{z.apex: true}
	for n := range z.types {
		if is, signed := z.delegation(n); z.optOut && is && !signed {
			continue
		}
		for ; n != z.apex; n = n.Parent() {
			in[n] = true
		}
	}
	return in
}

// open tells whether n lies in a span of an opt-out chain, so that an unsigned delegation could be there: it is not in the chain, nor below
// what is there and says that it hides names.
func (z *modelZone) open(n dns.Name) bool {
	in := z.chained()
	if !z.optOut || in[n] {
		return false
	}
	for !in[n] {
		n = n.Parent()
	}
	is, _ := z.delegation(n)
	return !is && !slices.Contains(z.types[n], dns.TypeDNAME)
}

func (z *modelZone) bitmap(n dns.Name, also ...dns.Type) dns.TypeBitmap {
	var bits [8]byte
	types := append(slices.Clone(z.types[n]), also...)
	if len(types) == 0 {
		return nil
	}
	for _, t := range append(types, dns.TypeRRSIG) {
		bits[t/8] |= 0x80 >> (t % 8)
	}
	return append(dns.TypeBitmap{0, byte(len(bits))}, bits[:]...)
}

// nsec returns the NSEC records.
func (z *modelZone) nsec() (sets []dns.RRset) {
	names := slices.SortedFunc(maps.Keys(z.types), dns.Name.Compare)
	for i, n := range names {
		data := append([]byte(names[(i+1)%len(names)].Wire()), z.bitmap(n, dns.TypeNSEC)...)
		sets = append(sets, dns.RRset{Name: n, Type: dns.TypeNSEC, Class: dns.ClassINET, TTL: 300, Data: records(data)})
	}
	return sets
}

// nsec3 returns the NSEC3 records.
func (z *modelZone) nsec3(p params) (sets []dns.RRset) {
	if z.optOut {
		p.flags = dns.NSEC3FlagOptOut
	}
	names := map[hashed]dns.Name{}
	for n := range z.chained() {
		names[p.hash(n)] = n
	}
	order := slices.SortedFunc(maps.Keys(names), func(a, b hashed) int { return bytes.Compare(a[:], b[:]) })
	for i, h := range order {
		sets = append(sets, p.record(z.apex, h, order[(i+1)%len(order)], z.bitmap(names[h])))
	}
	return sets
}

func TestProofsAreTrueAndComplete(t *testing.T) {
	seen := map[string]int{}
	tab := table(t, func(s *Settings) { s.Limits.Proofs, s.Limits.NSEC3Work = 1000, 1_000_000 })
	rapid.Check(t, func(t *rapid.T) {
		z := drawZone(t)
		hashing := rapid.Bool().Draw(t, "NSEC3")
		var chain []dns.RRset
		if hashing {
			chain = z.nsec3(params{algorithm: 1, iterations: uint16(rapid.IntRange(0, 3).Draw(t, "iterations")), salt: []byte("salt")[:rapid.IntRange(0, 4).Draw(t, "salt")]})
		} else {
			z.optOut = false
			chain = z.nsec()
		}
		whole := rapid.Bool().Draw(t, "whole")
		w := tab.Work(nil)
		d := NewDenial(z.apex)
		for i := range chain {
			if !whole && rapid.Bool().Draw(t, "leave out") {
				continue
			}
			if err := d.Add(&chain[i], Result{Security: cache.Secure, Zone: z.apex, TTL: 300}, w); err != nil {
				t.Fatal(err)
			}
		}
		names := slices.SortedFunc(maps.Keys(z.types), dns.Name.Compare)
		for range 30 {
			q := drawName(t, z.apex, 4, "question")
			if rapid.Bool().Draw(t, "one that is there") {
				q = rapid.SampledFrom(names).Draw(t, "of")
			}
			typ := rapid.SampledFrom(modelTypes).Draw(t, "type")
			z.ask(t, d, w, q, typ, whole, seen)
		}
	})
	for _, kind := range []string{
		"nxdomain secure", "nxdomain insecure", "nxdomain bogus", "nodata secure", "nodata insecure", "nodata bogus", "expanded secure", "expanded insecure", "expanded bogus",
		"unsigned secure", "unsigned insecure", "unsigned bogus", "nocut secure", "nocut bogus",
	} {
		if seen[kind] < 5 {
			t.Errorf("%s: seen %d times only", kind, seen[kind])
		}
	}
}

// ask asks all five questions about q, and holds the answers against the zone.
func (z *modelZone) ask(t *rapid.T, d *Denial, w *Work, q dns.Name, typ dns.Type, whole bool, seen map[string]int) {
	is, signed := z.delegation(q)
	_, found := z.source(q)
	encloser := z.encloser(q)
	check := func(what string, r Result, secureIf, insecureIf, must bool) {
		seen[what+" "+r.Security.String()]++
		switch {
		case r.Secure() && !secureIf, r.Security == cache.Insecure && !insecureIf, r.Security == cache.Bogus && must && whole, r.Limit != NoLimit:
			t.Fatalf("%s %v %v: %+v in %v", what, q, typ, r, z.types)
		case r.Secure() == (r.EDE.Text != "") && r.Security != cache.Insecure:
			t.Fatalf("%s %v %v: %+v", what, q, typ, r)
		}
	}
	// What exists only because of delegations that were left out can't be told from what does not exist; a wildcard above seems to stand for it.
	provable := z.chained()[encloser]

	absent := !found && !z.hidden(q, dns.TypeDS)
	check("nxdomain", d.NXDomain(q, w), absent, z.open(q), absent && provable)

	lacks := z.lacks(q, typ) && !z.hidden(q, typ) && !(q == z.apex && typ == dns.TypeDS) // which is the parent's to deny
	check("nodata", d.NoData(q, typ, w), lacks, z.open(q), lacks && provable)

	check("unsigned", d.Unsigned(q, w), is && !signed, z.open(q), is && !signed)

	below, _ := z.above(q)
	cut := is || !below.IsZero() && below != q
	check("nocut", d.NoCut(q, w), !cut, false, !cut && !z.optOut)

	if q != z.apex {
		from := q.Ancestor(rapid.IntRange(z.apex.Labels(), q.Labels()-1).Draw(t, "encloser"))
		star, _ := wildcard(from)
		if !z.exists[star] {
			return // its signature was verified before the question arises, so it exists
		}
		next := q.Ancestor(from.Labels() + 1)
		check("expanded", d.Expanded(q, from, w), !z.exists[next], z.open(next), !z.exists[next] && from == encloser)
	}
}
