package lab

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"
)

// A zone with several algorithms has a key, a DS record and a signature of each; those that are ordered to be wrong are, and no others. Seen
// with miekg/dns, which knows neither 12 nor 16: test/scenarios checks 16.
func TestSeveralAlgorithms(t *testing.T) {
	var all []string
	for _, a := range algorithms {
		all = append(all, fmt.Sprint(a))
	}
	l := newLab(t, "[zone example alg="+strings.Join(all, ",")+" signatures=corrupt flawed=8,14 servers=192.0.2.1]\nwww A 192.0.2.80\n"+
		"[zone digests.example alg=13 digest=1,2,4,9 servers=192.0.2.1]\n"+
		"[zone wrong.example alg=13,15 ds=wrong flawed=15 servers=192.0.2.1]\n"+
		"[zone missing.example alg=13,15 signatures=missing flawed=15 servers=192.0.2.1]\n"+
		"[zone expired.example alg=13,15 signatures=expired flawed=15 servers=192.0.2.1]\n")
	keys := map[uint8]*miekg.DNSKEY{}
	learn := func(zone string) {
		clear(keys)
		for _, rr := range ask(t, l, "192.0.2.1", zone, miekg.TypeDNSKEY, overTCP).Answer {
			if k, ok := rr.(*miekg.DNSKEY); ok {
				keys[k.Algorithm] = k
			}
		}
	}
	learn("example.")
	if len(keys) != len(algorithms) {
		t.Fatalf("%d keys", len(keys))
	}
	r := ask(t, l, "192.0.2.1", "www.example.", miekg.TypeA, overTCP)
	good := map[uint8]bool{}
	for _, rr := range r.Answer {
		if sig, ok := rr.(*miekg.RRSIG); ok {
			good[sig.Algorithm] = sig.Verify(keys[sig.Algorithm], r.Answer[:1]) == nil
		}
	}
	if len(good) != len(algorithms) {
		t.Errorf("signatures by %v", good)
	}
	for a, ok := range good {
		if want := !slices.Contains([]uint8{algRSASHA256, algECDSAP384, algGOST, algED448}, a); ok != want {
			t.Errorf("the signature by algorithm %d verifies: %v", a, ok)
		}
	}

	dsOf := func(zone string) (fits []string) {
		learn(zone)
		for _, rr := range ask(t, l, "192.0.2.1", zone, miekg.TypeDS, overTCP).Answer {
			if ds, ok := rr.(*miekg.DS); ok {
				made := keys[ds.Algorithm].ToDS(ds.DigestType)
				fits = append(fits, fmt.Sprintf("%d/%d %v", ds.Algorithm, ds.DigestType, made != nil && strings.EqualFold(made.Digest, ds.Digest)))
			}
		}
		slices.Sort(fits)
		return fits
	}
	if got := dsOf("digests.example."); !slices.Equal(got, []string{"13/1 true", "13/2 true", "13/4 true", "13/9 false"}) {
		t.Errorf("DS records of digests.example are %v", got)
	}
	if got := dsOf("wrong.example."); !slices.Equal(got, []string{"13/2 true", "15/2 false"}) {
		t.Errorf("DS records of wrong.example are %v", got)
	}

	now := l.ring.clock()
	for zone, want := range map[string]string{"missing.example.": "13 true", "expired.example.": "13 true 15 false"} {
		var got []string
		for _, rr := range ask(t, l, "192.0.2.1", zone, miekg.TypeSOA, overTCP).Answer {
			if sig, ok := rr.(*miekg.RRSIG); ok {
				got = append(got, fmt.Sprint(sig.Algorithm, sig.ValidityPeriod(now)))
			}
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("signatures of %s are %v, want %s", zone, got, want)
		}
	}
}
