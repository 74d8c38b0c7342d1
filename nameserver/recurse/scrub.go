package recurse

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/ananas-edge/ananas/dns"
)

// kept is what remains of a reply.
type kept struct {
	chain []dns.RRset // answer: the aliases in order, then the records asked for
	// negative: the SOA record of the zone, and the NSEC or NSEC3 records beside it (also those that prove a wildcard)
	soa    dns.RRset
	proofs []dns.RRset
	// referral
	ns, ds dns.RRset
	glue   []dns.RRset

	refused []refusal
}

// refusal tells of a record that is not kept.
type refusal struct {
	section dns.Section
	name    dns.Name
	typ     dns.Type
	why     string
}

func (r refusal) String() string {
	return fmt.Sprintf("%v %v in the %v section: %s", r.name, r.typ, r.section, r.why)
}

// Limits of one reply. What lies beyond them is not kept.
const (
	maxSets    = 64   // RRsets of a section: an answer has a chain of at most 12, a denial by NSEC3 4 and their SOA
	maxProofs  = 32   // RRsets of NSEC and NSEC3 records: four times what is looked at (package dnssec)
	maxRecords = 2000 // records of one RRset; 64 KiB hold 4,000 addresses, and no honest set comes near
	maxSigs    = 128  // signatures of one RRset: more than are looked at (package dnssec), so that who wonders is told that there were too many
)

// scrub decides which records of a reply may be kept (RFC 2181 section 5.4.1, RFC 5452 section 6): those that the question asked for,
// from a server that speaks for the zone in which they lie.
//
//	answer      the chain from the question's name, within the zone
//	authority   of a denial: the SOA record that made it one, NSEC and NSEC3 within its zone
//	            of an answer: NSEC and NSEC3 within the zone (they prove a wildcard); never NS (CVE-2025-11411)
//	            of a referral: the NS records of the cut, its DS, NSEC and NSEC3 that prove there is none
//	additional  of a referral: addresses of the names in its NS records, within the zone asked; nothing else
//
// It is pure.
func scrub(m *dns.Message, a asked, v verdict) kept {
	k := kept{}
	used := newUsed(m)
	switch v.what {
	case isAnswer, isAlias, isNXDomain, isNoData:
		k.keepChain(m, a, v, used)
		k.keepDenial(m, a, v, used)
	case isReferral:
		k.keepReferral(m, a, v, used)
	}
	k.listRefused(m, a, v, used)
	return k
}

// used marks the records of each section that were taken.
type used [3][]bool

func newUsed(m *dns.Message) *used {
	var u used
	for s := range m.Sections {
		u[s] = make([]bool, len(m.Sections[s]))
	}
	return &u
}

// collect gathers the RRset of name and type from a section. Records that differ in TTL get the lowest (RFC 2181
// section 5.2); a record that is there twice is kept once (section 5).
func collect(m *dns.Message, s dns.Section, name dns.Name, t dns.Type, u *used) (set dns.RRset, ok bool) {
	set = dns.RRset{Name: name, Type: t, Class: dns.ClassINET}
	var data gathering
	n := 0
	for i := range m.Sections[s] {
		rr := &m.Sections[s][i]
		if rr.Class != dns.ClassINET || rr.Name != name || rr.Type != t {
			continue
		}
		u[s][i] = true
		if n == 0 || rr.TTL < set.TTL {
			set.TTL = rr.TTL
		}
		if n++; n <= maxRecords {
			data.add(rr.Data)
		}
	}
	set.Data = data.records
	collectSigs(m, s, &set, u)
	for o := range m.Sections {
		if len(set.Sigs) > 0 {
			break
		}
		collectSigs(m, dns.Section(o), &set, u)
	}
	return set, n > 0
}

// collectSigs adds the signatures that a section has for a set. They belong beside it (RFC 4035 section 3.1.1); where none is, those in another section
// are looked at: a signature proves itself, wherever it stands.
func collectSigs(m *dns.Message, s dns.Section, set *dns.RRset, u *used) {
	var sigs gathering // set has none yet
	for i := range m.Sections[s] {
		rr := &m.Sections[s][i]
		if rr.Type == dns.TypeRRSIG && rr.Class == dns.ClassINET && rr.Name == set.Name && dns.CoveredType(rr.Data) == set.Type {
			u[s][i] = true
			if sigs.n < maxSigs {
				sigs.add(rr.Data)
			}
		}
	}
	set.Sigs = sigs.records
}

// gathering is records without repetitions. Most are few, and compared with each other; of many a table is made: a message holds some thousand, and
// to compare each with each took 20 ms.
type gathering struct {
	records dns.Records
	n       int

	// Of more than fewRecords: where in records the one with a hash is. Two with the same hash are kept as they come, repeated or not.
	seed maphash.Seed
	seen map[uint64]int
}

const (
	fewRecords = 16
	manyOctets = 4096 // of the records of a set that is about to have many
)

func (g *gathering) add(rdata []byte) {
	if g.seen == nil {
		if g.records.Contains(rdata) {
			return
		}
		if g.n == fewRecords {
			g.index()
		}
	}
	at := len(g.records)
	if g.seen != nil {
		h := maphash.Bytes(g.seed, rdata)
		if o, ok := g.seen[h]; ok && bytes.Equal(g.records[o:].First(), rdata) {
			return
		}
		g.seen[h] = at
	}
	g.records = g.records.Append(rdata)
	g.n++
}

// index makes the table. Its seed is nobody's to know, so that nobody makes records with one hash.
func (g *gathering) index() {
	g.seed, g.seen = maphash.MakeSeed(), make(map[uint64]int, 8*fewRecords)
	at := 0
	for d := range g.records.All() {
		g.seen[maphash.Bytes(g.seed, d)] = at
		at += 2 + len(d)
	}
	g.records = slices.Grow(g.records, manyOctets)
}

func (k *kept) keepChain(m *dns.Message, a asked, v verdict, u *used) {
	name := a.q.Name
	seen := make(map[dns.Name]bool)
	for range maxChain + 1 {
		if !a.speaks(name) || seen[name] {
			return
		}
		seen[name] = true
		rr, next, step := alias(m.Sections[dns.Answer], name, a.zone)
		if name == v.end && v.what == isAnswer && (!step || rr.Type != dns.TypeDNAME) {
			if a.q.Type == dns.TypeANY {
				k.keepAll(m, name, u)
				return
			}
			if set, ok := collect(m, dns.Answer, name, a.q.Type, u); ok {
				k.chain = append(k.chain, set)
				return
			}
		}
		if !step {
			return
		}
		set, _ := collect(m, dns.Answer, rr.Name, rr.Type, u)
		if set.Data.Len() > 1 { // RFC 2181 section 10.1: an alias has one target; the first is it, as walkChain took it
			set.Data = dns.Records{}.Append(set.Data.First())
		}
		k.chain = append(k.chain, set)
		if rr.Type == dns.TypeDNAME {
			k.dropSynthesised(m, name, u)
		}
		if name == v.end && v.what == isAnswer { // the alias itself is what was asked for
			return
		}
		name = next
	}
}

// dropSynthesised marks the CNAME record that the server made from a DNAME (RFC 6672 section 3.1): it is made anew from the DNAME.
func (k *kept) dropSynthesised(m *dns.Message, name dns.Name, u *used) {
	for i, rr := range m.Sections[dns.Answer] {
		if rr.Name == name && rr.Type == dns.TypeCNAME {
			u[dns.Answer][i] = true
		}
	}
}

// keepAll keeps the RRsets of a name, whatever their type: the answer to ANY.
func (k *kept) keepAll(m *dns.Message, name dns.Name, u *used) {
	for i, rr := range m.Sections[dns.Answer] {
		if rr.Name == name && rr.Type != dns.TypeRRSIG && !u[dns.Answer][i] && len(k.chain) < maxSets {
			set, _ := collect(m, dns.Answer, name, rr.Type, u)
			k.chain = append(k.chain, set)
		}
	}
}

// keepDenial keeps the SOA record and the proofs of the authority section.
func (k *kept) keepDenial(m *dns.Message, a asked, v verdict, u *used) {
	zone := a.zone
	if !v.soa.IsZero() {
		k.soa, _ = collect(m, dns.Authority, v.soa, dns.TypeSOA, u)
		if len(k.chain) == 0 { // an alias from a wildcard has its proof in a zone of its own (RFC 4035 section 3.1.3.3)
			zone = v.soa
		}
	}
	k.keepProofs(m, zone, u)
}

func (k *kept) keepProofs(m *dns.Message, zone dns.Name, u *used) {
	for i, rr := range m.Sections[dns.Authority] {
		if (rr.Type == dns.TypeNSEC || rr.Type == dns.TypeNSEC3) && rr.Class == dns.ClassINET && !u[dns.Authority][i] &&
			rr.Name.IsWithin(zone) {
			if len(k.proofs) >= maxProofs {
				return
			}
			set, _ := collect(m, dns.Authority, rr.Name, rr.Type, u)
			k.proofs = append(k.proofs, set)
		}
	}
}

func (k *kept) keepReferral(m *dns.Message, a asked, v verdict, u *used) {
	k.ns, _ = collect(m, dns.Authority, v.cut, dns.TypeNS, u)
	k.ds, _ = collect(m, dns.Authority, v.cut, dns.TypeDS, u)
	k.keepProofs(m, a.zone, u)
	for d := range k.ns.Data.All() {
		ns, ok := dns.RdataName(dns.TypeNS, d)
		if !ok || len(k.glue) >= maxSets {
			continue
		}
		// A server may give addresses for what lies in its own zone, also for a sibling of the delegated one: it could change
		// that delegation too. For a name elsewhere it has no say.
		if ns = ns.Lower(); !a.speaks(ns) {
			continue
		}
		for _, t := range [...]dns.Type{dns.TypeA, dns.TypeAAAA} {
			if set, ok := collect(m, dns.Additional, ns, t, u); ok {
				k.glue = append(k.glue, set)
			}
		}
	}
}

// listRefused says of each record that was not taken, why. At most maxSets are listed.
func (k *kept) listRefused(m *dns.Message, a asked, v verdict, u *used) {
	for s := range m.Sections {
		for i := range m.Sections[s] {
			rr := &m.Sections[s][i]
			if u[s][i] || rr.Type == dns.TypeRRSIG || rr.Type == dns.TypeTSIG || len(k.refused) >= maxSets {
				continue
			}
			k.refused = append(k.refused, refusal{dns.Section(s), rr.Name, rr.Type, whyRefused(rr, dns.Section(s), a, v)})
		}
	}
}

func whyRefused(rr *dns.RR, s dns.Section, a asked, v verdict) string {
	switch {
	case rr.Class != dns.ClassINET:
		return "its class is " + rr.Class.String()
	case !rr.Name.IsWithin(a.zone):
		return fmt.Sprintf("the server speaks for %v only", a.zone)
	case !a.speaks(rr.Name):
		return "the settings name other servers for it"
	case s == dns.Answer:
		return "not part of the chain from the question"
	case s == dns.Authority && rr.Type == dns.TypeNS:
		return "name servers are learned from the parent's referral only"
	case s == dns.Authority:
		return "not needed by this " + v.what.String()
	}
	return "not an address of a name server that is referred to"
}
