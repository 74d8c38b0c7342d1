//go:build linux

package main

import (
	"testing"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/lab"
)

// The world of all traps can be built, and each question is for a name in a zone of its trap that no other question of a round is for.
func TestWorld(t *testing.T) {
	algs := []int{8, 13, 15, 14, 16}
	w, err := lab.ParseWorld(world(traps, algs, 2))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lab.New(lab.Config{World: w}); err != nil {
		t.Fatal(err)
	}
	seen := map[dns.Name]bool{}
	for i := range traps {
		for _, alg := range algs {
			for q, label := range []string{"q0r1", "q1r1"} {
				text := traps[i].question(alg, q, label)
				name, err := dns.ParseName(text)
				if err != nil {
					t.Fatalf("%s: %q: %v", traps[i].name, text, err)
				}
				zone := q * max(1, traps[i].zones)
				if traps[i].same {
					zone = 0
				}
				if seen[name] || !name.IsWithin(dns.MustParseName(traps[i].zoneName(alg, zone))) || zone >= traps[i].zonesFor(2) {
					t.Errorf("%s: %q", traps[i].name, text)
				}
				seen[name] = true
			}
		}
	}
	if deepest := dns.MustParseName(deep("q0r1", "z0.a13.trap-nsec3.com")); deepest.Len() < dns.MaxNameLen-2 {
		t.Errorf("%d octets", deepest.Len())
	}
}

// What costs too much, or keeps others from being answered, is named.
func TestJudge(t *testing.T) {
	o := &options{algs: []int{13, 14}, traps: traps[:1]}
	of := func(ms float64, good int) *result {
		return &result{spent: [][]float64{{100, ms}, {1, 1}}, honest: tally{sent: 100, good: good}}
	}
	ours := map[cell]*result{}
	ours[cell{"honest", 13}], ours[cell{"honest", 14}] = of(5, 99), of(20, 100)
	if err := o.judge(ours); err != nil {
		t.Error(err)
	}
	ours[cell{"honest", 13}], ours[cell{"honest", 14}] = of(5.1, 98), of(20.1, 100)
	const want = `3 bounds are not met:
  honest by algorithm 13: a question cost 5.10 ms, the bound is 5 ms
  honest by algorithm 13: of the honest questions meanwhile 98.0 % were answered, and not 99 %
  honest by algorithm 14: a question cost 20.10 ms, the bound is 20 ms`
	if err := o.judge(ours); err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}
