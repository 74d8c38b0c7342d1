//go:build linux

package interop

import (
	"slices"
	"testing"

	"github.com/miekg/dns"
)

// TestAdditional: beside HTTPS, SVCB, MX and SRV records stand the addresses of their targets once they were asked for (RFC 9460 section 4.2),
// and all tools read it.
func TestAdditional(t *testing.T) {
	r := startAnanas(t, settings{})
	for _, c := range []struct {
		name, qtype string
		tools       []tool
		first       []string // names whose addresses are asked for before
		want        []string
	}{
		{"www.example.com", "HTTPS", allTools[:4], nil, nil}, // drill of Debian 12 can't ask for it by name
		{"www.example.com", "HTTPS", allTools[:4], []string{"www.example.com"},
			[]string{"www.example.com. 3600 A 93.184.215.14", "www.example.com. 3600 AAAA 2606:2800:21f:cb07:6820:80da:af6b:8b2c"}},
		{"_dns.example.com", "SVCB", allTools[:4], []string{"ns1.example.com"},
			[]string{"ns1.example.com. 3600 A 45.76.12.53", "ns1.example.com. 3600 AAAA 2a05:f480:1400:53::1"}},
		{"example.com", "MX", allTools, []string{"mail.example.com"}, []string{"mail.example.com. 3600 A 93.184.215.25"}},
		{"_sip._tcp.example.com", "SRV", allTools, []string{"sip.example.com"}, []string{"sip.example.com. 3600 A 93.184.215.50"}},
		{"example.com", "NS", allTools, nil, nil},
	} {
		for _, n := range c.first {
			for _, qtype := range []string{"A", "AAAA"} {
				if _, err := ask(oneTool[0].command(r, n, qtype, false)); err != nil {
					t.Fatal(err)
				}
			}
		}
		var want []dns.RR
		for _, line := range c.want {
			if err := appendRecord(&want, line); err != nil {
				t.Fatal(err)
			}
		}
		for _, how := range c.tools {
			got, err := ask(how.command(r, c.name, c.qtype, false))
			if err != nil {
				t.Errorf("%s %s, %v: %v", c.name, c.qtype, how, err)
				continue
			}
			if wrong := compare(got.additional, want, exact); wrong != "" || len(got.answer) == 0 || slices.Contains(got.flags, "tc") {
				t.Errorf("%s %s, %v:\n%s%s", c.name, c.qtype, how, wrong, got.text)
			}
		}
	}
}

// TestAddressesTurn: who takes the first address of many gets each of them now and then.
func TestAddressesTurn(t *testing.T) {
	r := startAnanas(t, settings{})
	seen := map[string]bool{}
	for range 100 { // that one of five never comes first has a probability of 1 in a billion
		got, err := ask(oneTool[0].command(r, "many.example.com", "A", false))
		if err != nil {
			t.Fatal(err)
		}
		a, ok := got.answer[0].(*dns.A)
		if !ok {
			t.Fatalf("the first record is %v", got.answer[0])
		}
		seen[a.A.String()] = true
	}
	if len(seen) != 5 {
		t.Errorf("of five addresses %d came first: %v", len(seen), seen)
	}
}
