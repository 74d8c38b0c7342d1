package recurse

import (
	"testing"

	"github.com/ananas-edge/ananas/dns"
)

// Each partition has a name of its own, and what is none says so.
func TestPartitionName(t *testing.T) {
	seen := map[string]uint32{}
	for _, p := range []uint32{0, delegations, synthesised, proofLists, proofSets, denialSOAs} {
		name := PartitionName(p)
		if other, twice := seen[name]; twice || (name == "unknown") != (p == 0) {
			t.Errorf("%d and %d are %q", p, other, name)
		}
		seen[name] = p
	}
}

// A signature counts the labels of its name, but for the one of a wildcard; others are no signatures of the set.
func TestSignatureLabels(t *testing.T) {
	sig := func(labels byte) []byte {
		d := make([]byte, 18, 20)
		d[3] = labels
		return append(d, 0, 1) // of the root, one octet of signature
	}
	var both dns.Records
	both = both.Append(sig(2)).Append(sig(1))
	for _, c := range []struct {
		name     string
		sigs     dns.Records
		expanded bool
		kept     int // of those that count what the name has
	}{
		{"www.com", dns.Records{}.Append(sig(2)), false, 1},
		{"www.com", dns.Records{}.Append(sig(1)), true, 0},
		{"www.com", both, true, 1},
		{"*.w.com", dns.Records{}.Append(sig(2)), false, 1},
		{"a.w.com", dns.Records{}.Append(sig(2)), true, 0},
		{"www.com", nil, false, 0},
	} {
		set := dns.RRset{Name: dns.MustParseName(c.name), Type: dns.TypeA, Sigs: c.sigs}
		if got := expanded(&set); got != c.expanded {
			t.Errorf("%s is expanded: %v", c.name, got)
		}
		if got := onlyOf(c.sigs, ownLabels(set.Name)); got.Len() != c.kept {
			t.Errorf("%s keeps %d signatures, not %d", c.name, got.Len(), c.kept)
		}
	}
}
