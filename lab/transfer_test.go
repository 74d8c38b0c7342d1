package lab

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"

	miekg "github.com/miekg/dns"
)

// transferOf returns the records of a transfer, and how many messages they came in.
func transferOf(t *testing.T, l *Lab, server string) (rrs []miekg.RR, messages int) {
	t.Helper()
	x := exchangeOf(t, l, server, ".", miekg.TypeAXFR, overTCP)
	for _, p := range x.packets() {
		rrs = append(rrs, unpack(t, p.data).Answer...)
		messages++
	}
	return rrs, messages
}

// The whole root of the generated internet in several messages: what it signs is signed, and each top-level domain is there with its glue.
func TestTransferOfGeneratedRoot(t *testing.T) {
	l := newLab(t, "[generate zones=100 hosts=100]")
	rrs, messages := transferOf(t, l, "198.41.0.4")
	if messages < 10 {
		t.Errorf("%d messages", messages)
	}
	if first, last := rrs[0], rrs[len(rrs)-1]; first.String() != last.String() || first.Header().Rrtype != miekg.TypeSOA {
		t.Errorf("it begins with %v and ends with %v", first, last)
	}
	rrs = rrs[:len(rrs)-1]
	w := &walker{t, l, map[string][]*miekg.DNSKEY{}}
	delegations, glue := map[string]bool{}, map[string]bool{}
	w.verify(rrs, func(rr miekg.RR) bool {
		h := rr.Header()
		switch {
		case h.Rrtype == miekg.TypeNS && h.Name != ".":
			delegations[h.Name] = true
			return true
		case h.Rrtype == miekg.TypeA || h.Rrtype == miekg.TypeAAAA:
			glue[h.Name] = true
			return true
		}
		return false
	})
	// 1,508 of the data, and zones that documentation uses.
	if len(delegations) < 1508 || !glue["a.gtld-servers.net."] || !glue["a.root-servers.net."] {
		t.Errorf("%d delegations, glue of %d names", len(delegations), len(glue))
	}
	for _, rr := range rrs {
		if ns, ok := rr.(*miekg.NS); ok && !glue[ns.Ns] {
			t.Fatalf("no glue for %v", ns)
		}
	}
}

// A transfer that is cut ends the connection behind its last message.
func TestTransferIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLab(t, "[generate zones=100 hosts=100]\n[server name=a.root-servers.net]\nfault transfer n=2").Network()
		defer n.Close()
		c, _, err := dial(t, n, "198.41.0.4:53")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(frame(packed(t, ".", miekg.TypeAXFR, 1))); err != nil {
			t.Fatal(err)
		}
		for messages := 0; ; messages++ {
			if _, err = readFrame(c); err != nil {
				if !errors.Is(err, io.EOF) || messages != 2 {
					t.Errorf("%v after %d messages", err, messages)
				}
				break
			}
		}
	})
}
