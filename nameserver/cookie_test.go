package nameserver

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/internal/siphash"
	"github.com/ananas-edge/ananas/listen"
	"github.com/ananas-edge/ananas/nameserver/recurse"
)

// TestProven: a cookie of ours shows that a client's address is its own, for an hour, from that address, and as long as no bit of it changes.
func TestProven(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	s := &Server{secret: siphash.Key{1, 2, 3}, clock: recurse.Clock{Wall: func() time.Time { return now }}}
	from := func(addr string, cookie []byte) *query {
		q := &query{Packet: listen.Packet{Client: netip.AddrPortFrom(netip.MustParseAddr(addr), 1024), Transport: listen.UDP}}
		if cookie != nil {
			q.EDNS.Options = q.EDNS.Options.Append(dns.OptionCookie, cookie)
		}
		return q
	}
	first := from("192.0.2.7", []byte("12345678"))
	given, ok := s.appendCookie(nil, []byte("12345678"), first).Find(dns.OptionCookie)
	if !ok || len(given) != cookieLen {
		t.Fatalf("cookie %x", given)
	}
	check := func(what string, q *query, want bool) {
		t.Helper()
		if got := s.proven(q); got != want {
			t.Errorf("%s: %v", what, got)
		}
	}
	check("no cookie", from("192.0.2.7", nil), false)
	check("its own cookie only", first, false)
	check("our cookie", from("192.0.2.7", given), true)
	check("from elsewhere", from("192.0.2.8", given), false)
	check("this machine", from("127.0.0.1", nil), true)
	for i := range given {
		bad := append([]byte(nil), given...)
		bad[i] ^= 1
		check("a bit changed", from("192.0.2.7", bad), false)
	}
	tcp := from("192.0.2.7", nil)
	tcp.Transport = listen.TCP
	check("over TCP", tcp, true)
	now = now.Add(time.Hour)
	check("an hour later", from("192.0.2.7", given), true)
	now = now.Add(time.Second)
	check("more than an hour later", from("192.0.2.7", given), false)
	now = now.Add(-time.Hour - time.Second - cookieFuture*time.Second)
	check("five minutes before", from("192.0.2.7", given), true)
	now = now.Add(-time.Second)
	check("earlier", from("192.0.2.7", given), false)
}
