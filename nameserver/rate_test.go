package nameserver

import (
	"bytes"
	"net/netip"
	"sync"
	"testing"
	"time"

	miekg "github.com/miekg/dns"
	"pgregory.net/rapid"

	"github.com/ananas-edge/ananas/listen"
	"github.com/ananas-edge/ananas/telemetry"
)

func newAccounts() *accounts {
	return &accounts{given: telemetry.NewMetrics().Counter("ananas_given_total", "Accounts that were given to another.")}
}

// TestRateIsATokenBucket holds the accounts against the plain thing: a number of tokens that grows with time.
func TestRateIsATokenBucket(t *testing.T) {
	clients := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8:0:1::1")}
	rapid.Check(t, func(t *rapid.T) {
		queries := rapid.SampledFrom([]int{1, 7, 100, 1000, 40_000}).Draw(t, "rate")
		r, burst := rateOf(queries), float64(max(queries, leastBurst))
		a := newAccounts()
		tokens := map[netip.Addr]float64{}
		now := time.Duration(rapid.Int64Range(0, int64(50*time.Hour)).Draw(t, "start")) // the time of words begins anew after 4.9 hours
		for _, c := range clients {
			tokens[c] = burst
		}
		for range 300 {
			step := time.Duration(rapid.SampledFrom([]int64{0, 0, 0, 1e3, 1e6, 1e8, 1e9, 1e12}).Draw(t, "step"))
			now += step
			for c := range tokens {
				tokens[c] = min(burst, tokens[c]+step.Seconds()*float64(queries))
			}
			c := rapid.SampledFrom(clients).Draw(t, "client")
			for range rapid.SampledFrom([]int{1, 1, 1, 150}).Draw(t, "queries") {
				got := a.charge(a.of(c), r, now)
				if left := tokens[c]; got != (left >= 1) && (left < 0.99 || left > 1.01) { // a tick is not a token
					t.Fatalf("%v at %v: %v with %f tokens", c, now, got, left)
				}
				if got {
					tokens[c]--
				}
			}
		}
		if a.given.Value() != 0 {
			t.Fatal("an account was given to another")
		}
	})
}

// The rate is that of all loops together, whatever they do at the same time.
func TestRateOfAllLoops(t *testing.T) {
	a, r := newAccounts(), rateOf(10_000)
	var wg sync.WaitGroup
	var got [4]int
	for i := range got {
		wg.Go(func() {
			c := a.of(netip.MustParseAddr("192.0.2.1"))
			for range 10_000 {
				if a.charge(c, r, time.Hour) {
					got[i]++
				}
			}
		})
	}
	wg.Wait()
	if all := got[0] + got[1] + got[2] + got[3]; all != 10_000 {
		t.Errorf("%d of 10,000 were allowed", all)
	}
}

// A flood from more clients than there are accounts takes none from one that asks all the time, and what is given up is counted.
func TestRateUnderManyClients(t *testing.T) {
	a, r := newAccounts(), rateOf(10)
	spent := netip.MustParseAddr("192.0.2.1")
	for a.charge(a.of(spent), r, time.Hour) {
	}
	b := netip.MustParseAddr("10.0.0.0").As4()
	for i := range 4 * rateBuckets * rateWays {
		b[1], b[2], b[3] = byte(i>>16), byte(i>>8), byte(i)
		if !a.charge(a.of(netip.AddrFrom4(b)), r, time.Hour) {
			t.Fatalf("client %d has nothing left at its first query", i)
		}
	}
	if a.charge(a.of(spent), r, time.Hour) {
		t.Error("who had nothing left has something again")
	}
	if a.given.Value() == 0 {
		t.Error("nothing was given up")
	}
}

// TestClientRate asks over the fast and the slow path in turn: both spend the same account, and what is over it is told.
func TestClientRate(t *testing.T) {
	var hand handClock
	s, l, data := warmed(t, &hand)
	limits := s.Table().Limits
	limits.ClientRate = 10
	table := *s.Table()
	table.Limits, table.Rate = limits, rateOf(limits.ClientRate)
	s.Swap(&table)
	ask := func(client netip.AddrPort, tr listen.Transport) *miekg.Msg {
		t.Helper()
		b := s.Ask(t.Context(), listen.Packet{Data: bytes.Clone(data), Client: client, Local: allowedClient, Transport: tr})
		m := new(miekg.Msg)
		if err := m.Unpack(b); err != nil {
			t.Fatal(err)
		}
		return m
	}
	for i := range leastBurst / 2 {
		if fast(l, data, allowedClient) == nil {
			t.Fatalf("query %d is not answered by the loop", 2*i)
		}
		if m := ask(allowedClient, listen.UDP); len(m.Answer) == 0 {
			t.Fatalf("query %d: %v", 2*i+1, m)
		}
	}
	for range 3 {
		if fast(l, data, allowedClient) != nil {
			t.Error("the loop answers who has nothing left")
		}
		if m := ask(allowedClient, listen.UDP); !m.Truncated || m.Rcode != miekg.RcodeSuccess || len(m.Answer) != 0 || m.Len() > len(data) {
			t.Errorf("over UDP: %v", m)
		}
		if m := ask(allowedClient, listen.TCP); m.Rcode != miekg.RcodeRefused || !bytes.Contains([]byte(m.String()), []byte("limits.client_rate")) {
			t.Errorf("over TCP: %v", m)
		}
	}
	if m := ask(allowedSix, listen.UDP); len(m.Answer) == 0 {
		t.Errorf("another client: %v", m)
	}
	if got := s.m.limits.With("client_rate").Value(); got != 6 {
		t.Errorf("%d were counted", got)
	}
	hand.boot.Add(int64(time.Second))
	n := 0
	for fast(l, data, allowedClient) != nil {
		n++
	}
	if n != 10 {
		t.Errorf("a second later %d queries are answered", n)
	}
	if b := s.Ask(t.Context(), listen.Packet{Data: []byte{1, 2, 1, 0, 0, 9, 0, 0, 0, 0, 0, 0}, Client: allowedClient, Local: allowedClient}); b != nil {
		t.Errorf("a malformed query over the rate is answered %x", b)
	}
}

// One host has all of a /64.
func TestRateOfIPv6(t *testing.T) {
	a := newAccounts()
	of := func(s string) uint64 { c := a.of(netip.MustParseAddr(s)); return c.tag }
	if of("2001:db8::1") != of("2001:db8::ffff") {
		t.Error("two addresses of one /64 have two accounts")
	}
	if of("2001:db8::1") == of("2001:db8:0:1::1") || of("192.0.2.1") == of("192.0.2.2") {
		t.Error("two clients have one account")
	}
}
