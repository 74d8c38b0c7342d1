package nameserver

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

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
		now := time.Duration(rapid.Int64Range(0, int64(120*24*time.Hour)).Draw(t, "start")) // the time of words begins anew after 52 days
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
				got := a.charge(a.of(c, false), r, now)
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
			c := a.of(netip.MustParseAddr("192.0.2.1"), true)
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

// Loops take their times once for a batch, so one may be behind another. What is used up by one's time is so by the other's.
func TestRateOfLoopsWithOtherTimes(t *testing.T) {
	a, r := newAccounts(), rateOf(500)
	c := a.of(netip.MustParseAddr("192.0.2.1"), false)
	n := 0
	for i := range 10_000 {
		now := time.Hour
		if i%2 == 1 {
			now -= 300 * time.Microsecond
		}
		if a.charge(c, r, now) {
			n++
		}
	}
	if n < 500 || n > 501 {
		t.Errorf("%d of a burst of 500 were allowed", n)
	}
}

// Who comes back has all of its burst, however long it was away, but for one moment in 52 days.
func TestRateAfterLongAbsence(t *testing.T) {
	for _, away := range []time.Duration{time.Hour, 4*time.Hour + 53*time.Minute, 24 * time.Hour, 26 * 24 * time.Hour, 27 * 24 * time.Hour, 51 * 24 * time.Hour, 60 * 24 * time.Hour} {
		a, r := newAccounts(), rateOf(1)
		c := a.of(netip.MustParseAddr("192.0.2.1"), false)
		for a.charge(c, r, time.Hour) {
		}
		n := 0
		for a.charge(c, r, time.Hour+away) {
			n++
		}
		if n != leastBurst {
			t.Errorf("after %v: %d", away, n)
		}
	}
}

func TestBucketsAreCacheLines(t *testing.T) {
	a := newAccounts()
	if at := uintptr(unsafe.Pointer(&a.buckets)); at%64 != 0 || unsafe.Sizeof(a.buckets[0]) != 64 {
		t.Errorf("buckets of %d octets at %d", unsafe.Sizeof(a.buckets[0]), at%64)
	}
}

// A flood from more clients than there are accounts takes none from one that asks all the time, and what is given up is counted.
func TestRateUnderManyClients(t *testing.T) {
	a, r := newAccounts(), rateOf(10)
	spent := netip.MustParseAddr("192.0.2.1")
	for a.charge(a.of(spent, false), r, time.Hour) {
	}
	b := netip.MustParseAddr("10.0.0.0").As4()
	for i := range 4 * rateBuckets * rateWays {
		b[1], b[2], b[3] = byte(i>>16), byte(i>>8), byte(i)
		if !a.charge(a.of(netip.AddrFrom4(b), false), r, time.Hour) {
			t.Fatalf("client %d has nothing left at its first query", i)
		}
	}
	if a.charge(a.of(spent, false), r, time.Hour) {
		t.Error("who had nothing left has something again")
	}
	if a.given.Value() == 0 {
		t.Error("nothing was given up")
	}
}

// TestClientRate asks over the fast and the slow path in turn: both spend the same account. Who proves to be where he says he is has another one, which a flood in his
// name does not spend, and is told.
func TestClientRate(t *testing.T) {
	var hand handClock
	s, l, data := warmed(t, &hand)
	table := *s.Table()
	table.Limits.ClientRate = 10
	table.Rate = rateOf(table.Limits.ClientRate)
	s.Swap(&table)
	ask := func(data []byte, client netip.AddrPort, tr listen.Transport) *miekg.Msg {
		t.Helper()
		b := s.Ask(t.Context(), listen.Packet{Data: bytes.Clone(data), Client: client, Local: allowedClient, Transport: tr})
		m := new(miekg.Msg)
		if err := m.Unpack(b); err != nil {
			t.Fatal(err)
		}
		return m
	}
	cookie := func(c []byte) []byte {
		m := new(miekg.Msg)
		m.SetQuestion("www.example.", miekg.TypeA)
		m.SetEdns0(1232, false)
		m.IsEdns0().Option = []miekg.EDNS0{&miekg.EDNS0_COOKIE{Code: miekg.EDNS0COOKIE, Cookie: hex.EncodeToString(c)}}
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for i := range leastBurst / 2 {
		if fast(l, data, allowedClient) == nil {
			t.Fatalf("query %d is not answered by the loop", 2*i)
		}
		if m := ask(data, allowedClient, listen.UDP); len(m.Answer) == 0 {
			t.Fatalf("query %d: %v", 2*i+1, m)
		}
	}
	for range 3 {
		if fast(l, data, allowedClient) != nil {
			t.Error("the loop answers who has nothing left")
		}
		if m := ask(data, allowedClient, listen.UDP); !m.Truncated || m.Rcode != miekg.RcodeSuccess || len(m.Answer) != 0 || m.Len() > len(data) {
			t.Errorf("over UDP: %v", m)
		}
	}
	good := s.cookie([]byte("12345678"), allowedClient.Addr())
	other := s.cookie([]byte("12345678"), allowedSix.Addr())
	if m := ask(cookie(other[:]), allowedClient, listen.UDP); !m.Truncated {
		t.Errorf("with another's cookie: %v", m)
	}
	half := cookie(good[:8])
	if m := ask(half, allowedClient, listen.UDP); !m.Truncated || m.Len() > len(half)+16 {
		t.Errorf("with half a cookie: %v", m)
	}
	for i := 0; i < leastBurst; i += 4 {
		if fast(l, cookie(good[:]), allowedClient) == nil || len(ask(cookie(good[:]), allowedClient, listen.UDP).Answer) == 0 ||
			len(ask(data, allowedClient, listen.TCP).Answer) == 0 || len(ask(cookie(good[:]), allowedClient, listen.TCP).Answer) == 0 {
			t.Fatalf("query %d of who is where he says he is gets no answer", i)
		}
	}
	if fast(l, cookie(good[:]), allowedClient) != nil {
		t.Error("the loop answers who has nothing left, with a cookie")
	}
	for _, m := range []*miekg.Msg{ask(data, allowedClient, listen.TCP), ask(cookie(good[:]), allowedClient, listen.UDP)} {
		if m.Rcode != miekg.RcodeRefused || !strings.Contains(m.String(), "limits.client_rate") {
			t.Errorf("who is where he says he is hears %v", m)
		}
	}
	if m := ask(data, allowedSix, listen.UDP); len(m.Answer) == 0 {
		t.Errorf("another client: %v", m)
	}
	if got := s.m.limits.With("client_rate").Value(); got != 7 {
		t.Errorf("%d were counted", got)
	}
	if n := s.m.truncated.Value(); n != 0 {
		t.Errorf("%d answers are said not to have fitted", n)
	}
	hand.boot.Add(int64(time.Second))
	n := 0
	for fast(l, data, allowedClient) != nil {
		n++
	}
	if n != 10 {
		t.Errorf("a second later %d queries are answered", n)
	}
	malformed := []byte{1, 2, 1, 0, 0, 9, 0, 0, 0, 0, 0, 0}
	if b := s.Ask(t.Context(), listen.Packet{Data: malformed, Client: allowedClient, Local: allowedClient}); b != nil {
		t.Errorf("a malformed query over the rate is answered %x", b)
	}
}

// A server cookie proves an address for an hour (RFC 9018 section 4.3).
func TestCookiesProve(t *testing.T) {
	var hand handClock
	s, _, _ := warmed(t, &hand)
	a := allowedClient.Addr()
	now := uint32(s.clock.Wall().Unix())
	cookie := func(seconds uint32) []byte { c := s.cookieAt([]byte("12345678"), a, seconds); return c[:] }
	change := func(at int) []byte { c := cookie(now); c[at]++; return c }
	for _, c := range []struct {
		name   string
		option []byte
		proves bool
	}{
		{"new", cookie(now), true}, {"an hour old", cookie(now - 3600), true}, {"older", cookie(now - 3601), false},
		{"of a clock ahead", cookie(now + 300), true}, {"too far", cookie(now + 301), false},
		{"none", nil, false}, {"the client's part", cookie(now)[:8], false}, {"longer", append(cookie(now), 0), false},
		{"another client part", change(0), false}, {"another version", change(8), false}, {"another time", change(15), false}, {"another hash", change(23), false},
	} {
		if got := s.proves(c.option, a); got != c.proves {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if s.proves(cookie(now), allowedSix.Addr()) {
		t.Error("it proves another address")
	}
}

// One host has all of a /64.
func TestRateOfIPv6(t *testing.T) {
	a := newAccounts()
	of := func(s string) uint64 { c := a.of(netip.MustParseAddr(s), false); return c.tag }
	if of("2001:db8::1") != of("2001:db8::ffff") {
		t.Error("two addresses of one /64 have two accounts")
	}
	if of("2001:db8::1") == of("2001:db8:0:1::1") || of("192.0.2.1") == of("192.0.2.2") {
		t.Error("two clients have one account")
	}
	six := netip.MustParseAddr("2001:db8::1")
	if a.of(six, true).tag == a.of(six, false).tag {
		t.Error("what is proved has no account of its own")
	}
}
