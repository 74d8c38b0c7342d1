package recurse

import (
	"encoding/binary"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// An answer that was made from a wildcard comes with NSEC or NSEC3 records which prove that nothing closer exists (RFC 4035 section 3.1.3.3,
// RFC 5155 section 7.2.6). Who validates behind us needs them, so they are kept beside the answer: the proofs in a partition of their own, and in another one,
// under the name and type of the answer, the list of their owners.
const (
	proofLists = 3 // name and type of an answer; each record is the type and owner of one proof
	proofSets  = 4 // owner and type of a proof
)

// PartitionName says for people what the entries of a partition of the cache are.
func PartitionName(p uint32) string {
	switch p {
	case delegations:
		return "delegation"
	case synthesised:
		return "alias by DNAME"
	case proofLists:
		return "list of proofs"
	case proofSets:
		return "proof"
	case denialSOAs:
		return "SOA of denials"
	}
	return "unknown"
}

// expanded tells whether a set was made from a wildcard: its signatures count fewer labels than its name has (RFC 4035 section 5.3.4).
func expanded(set *dns.RRset) bool {
	labels := ownLabels(set.Name)
	for d := range set.Sigs.All() {
		if sig, err := dns.ParseRRSIG(d); err == nil && int(sig.Labels) < labels {
			return true
		}
	}
	return false
}

// ownLabels is how many labels a signature of a name counts: all but that of a wildcard (RFC 4034 section 3.1.3).
func ownLabels(name dns.Name) int {
	n := name.Labels()
	if name.Label() == "*" {
		n--
	}
	return n
}

// onlyOf returns the signatures that count as many labels as the one that was found good, so that a wrong one beside it does not make a wildcard of what is
// none.
func onlyOf(sigs dns.Records, labels int) dns.Records {
	same := func(d []byte) bool {
		sig, err := dns.ParseRRSIG(d)
		return err == nil && int(sig.Labels) == labels
	}
	for d := range sigs.All() {
		if !same(d) {
			var out dns.Records
			for d := range sigs.All() {
				if same(d) {
					out = out.Append(d)
				}
			}
			return out
		}
	}
	return sigs
}

// keepProofs stores the proofs of an answer made from a wildcard.
func (j *job) keepProofs(e cache.Entry, proofs []dns.RRset) {
	var list dns.Records
	for _, p := range proofs {
		list = list.Append(append(binary.BigEndian.AppendUint16(nil, uint16(p.Type)), p.Name.Wire()...))
		j.r.put(cache.Entry{
			Set: p, Rank: e.Rank, Security: e.Security, Server: e.Server, Zone: e.Zone, Partition: proofSets, Stored: e.Stored, Expires: e.Expires,
		}, j.epoch)
	}
	e.Set.Data, e.Set.Sigs, e.Partition = list, nil, proofLists
	j.r.put(e, j.epoch)
}

// proofsOf returns the proofs that are kept beside an answer made from a wildcard; ok is false if one of them is gone, and the answer
// with it: without its proof it is worth nothing to who validates.
func (r *Resolver) proofsOf(e *cache.Entry, now time.Duration) (proofs []dns.RRset, ok bool) {
	if !expanded(&e.Set) {
		return nil, true
	}
	list, ok := r.cache.Peek(cache.Key{Name: e.Set.Name, Type: e.Set.Type, Partition: proofLists})
	if !ok {
		return nil, e.Security != cache.Secure // the server sent none; what is secure had them
	}
	for d := range list.Set.Data.All() {
		owner, err := dns.NameFromWire(d[2:])
		if err != nil {
			return nil, false
		}
		p, ok := r.cache.Peek(cache.Key{Name: owner, Type: dns.Type(binary.BigEndian.Uint16(d)), Partition: proofSets})
		if !ok || now >= p.Expires && now < e.Expires {
			return nil, false
		}
		proofs = append(proofs, p.Set)
	}
	return proofs, true
}
