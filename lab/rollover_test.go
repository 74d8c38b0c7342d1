package lab

import (
	"fmt"
	"strings"
	"testing"
	"time"

	miekg "github.com/miekg/dns"
)

// The keys of RFC 5011: one is announced, takes over, and the old one is revoked and signs that it is.
func TestKeysRoll(t *testing.T) {
	l := newLab(t, `
[zone test keys=split servers=192.0.2.1]
[zone test keys=split publish=1,7 from=1h servers=192.0.2.1]
[zone test keys=split key=1 revoke=0 from=2h servers=192.0.2.1]
[zone test keys=split key=1 from=3h servers=192.0.2.1]
`)
	const first, second, revoked = "257 first", "257 second", "385 first"
	names := map[string]string{}
	for i, want := range []struct{ keys, signers []string }{
		{keys: []string{first}, signers: []string{first}},
		{keys: []string{first, second, "257 third"}, signers: []string{first}},
		{keys: []string{second, revoked}, signers: []string{second, revoked}},
		{keys: []string{second}, signers: []string{second}},
	} {
		r := ask(t, l, "192.0.2.1", "test", miekg.TypeDNSKEY, overTCP, after(time.Duration(i)*time.Hour))
		var keys []miekg.RR
		var got, signers []string
		for _, rr := range r.Answer {
			k, ok := rr.(*miekg.DNSKEY)
			if !ok {
				continue
			}
			keys = append(keys, k)
			if k.Flags&miekg.SEP == 0 {
				continue
			}
			if names[k.PublicKey] == "" {
				names[k.PublicKey] = []string{"first", "second", "third"}[len(names)]
			}
			got = append(got, fmt.Sprint(k.Flags, " ", names[k.PublicKey]))
		}
		for _, rr := range r.Answer {
			sig, ok := rr.(*miekg.RRSIG)
			if !ok {
				continue
			}
			by := "nobody"
			for _, k := range keys {
				if k := k.(*miekg.DNSKEY); k.KeyTag() == sig.KeyTag && sig.Verify(k, keys) == nil {
					by = fmt.Sprint(k.Flags, " ", names[k.PublicKey])
				}
			}
			signers = append(signers, by)
		}
		if g, w := strings.Join(got, ", "), strings.Join(want.keys, ", "); g != w {
			t.Errorf("after %d h the keys are %s, not %s", i, g, w)
		}
		if g, w := strings.Join(signers, ", "), strings.Join(want.signers, ", "); g != w {
			t.Errorf("after %d h they are signed by %s, not by %s", i, g, w)
		}
	}
}
