package nameserver

import (
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/ananas-edge/ananas/listen"
)

// askServed asks a server over TCP, where all fits.
func askServed(t *testing.T, s *Server, name string, typ uint16) *miekg.Msg {
	t.Helper()
	q := new(miekg.Msg)
	q.SetQuestion(name, typ)
	wire, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	b := s.Ask(t.Context(), listen.Packet{Data: wire, Client: allowedClient, Local: allowedClient, Transport: listen.TCP, Idle: 10 * time.Second})
	m := new(miekg.Msg)
	if err := m.Unpack(b); err != nil {
		t.Fatal(err)
	}
	return m
}

// rotation returns by how many records a set is turned against another one, and fails if it is not the same set turned.
func rotation(t *testing.T, from, to []miekg.RR) int {
	t.Helper()
	at := func(i int) string { rr := miekg.Copy(from[i%len(from)]); rr.Header().Ttl = 0; return rr.String() }
	by := -1
	for i, rr := range to {
		rr = miekg.Copy(rr)
		rr.Header().Ttl = 0
		if i == 0 {
			for by = len(from) - 1; by >= 0 && at(by) != rr.String(); by-- {
			}
		}
		if by < 0 || at(by+i) != rr.String() {
			t.Fatalf("record %d is %v, %v", i, rr, to)
		}
	}
	return by
}

// Addresses begin with any of them, so that clients which take the first spread over all; in the additional section too. Other types stay as they
// came.
func TestAddressesTurn(t *testing.T) {
	s, _ := newServed(t)
	const asks = 300
	first := askServed(t, s, "big.example.", miekg.TypeA).Answer
	if len(first) != 100 {
		t.Fatalf("%d addresses", len(first))
	}
	text := askServed(t, s, "few.example.", miekg.TypeTXT).Answer
	begins, beside := map[int]int{}, map[int]int{}
	for range asks {
		begins[rotation(t, first, askServed(t, s, "big.example.", miekg.TypeA).Answer)]++
		https := askServed(t, s, "big.example.", miekg.TypeHTTPS)
		if len(https.Extra) != len(first) {
			t.Fatalf("%d additional records", len(https.Extra))
		}
		beside[rotation(t, first, https.Extra)]++
		if by := rotation(t, text, askServed(t, s, "few.example.", miekg.TypeTXT).Answer); by != 0 {
			t.Fatalf("TXT records are turned by %d", by)
		}
	}
	// Of 100 begins 95 come up in 300 draws, and none much more often than 3 times.
	for what, n := range map[string]map[int]int{"answer": begins, "additional": beside} {
		most := 0
		for _, c := range n {
			most = max(most, c)
		}
		if len(n) < 80 || most > 20 {
			t.Errorf("%s: %d begins in %d answers, one of them %d times", what, len(n), asks, most)
		}
	}
}
