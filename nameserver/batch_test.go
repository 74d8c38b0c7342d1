package nameserver

import (
	"bytes"
	"context"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/listen"
	"github.com/ananas-edge/ananas/nameserver/recurse"
)

// handClock is time that a test moves by hand.
type handClock struct{ boot atomic.Int64 }

func (c *handClock) clock() recurse.Clock {
	began := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	boot := func() time.Duration { return time.Duration(c.boot.Load()) }
	return recurse.Clock{Boot: boot, Wall: func() time.Time { return began.Add(boot()) }}
}

// fast asks the batch path for one packet.
func fast(l listen.Loop, data []byte, client netip.AddrPort) []byte {
	q := []listen.Query{{Data: bytes.Clone(data), Client: client, Local: allowedClient, Out: make([]byte, 0, 4096+64)}}
	l.ServeBatch(q)
	return q[0].Answer
}

// FuzzBatch holds the promise of the fast path: for any packet from any client at any time, it says what the slow path says, octet for octet, or nothing. Only
// what was stored of another name that the answer needs, since the image was made, is not in it until that expires.
func FuzzBatch(f *testing.F) {
	for _, seed := range packets(f) {
		for how := range byte(4) {
			f.Add(seed, how, uint8(0))
			f.Add(seed, how, uint8(100))
		}
	}
	var hand handClock
	hand.boot.Store(int64(time.Minute))
	s, crashes := newServedAt(f, hand.clock())
	l := s.Loop()
	f.Fuzz(func(t *testing.T, data []byte, how, passes uint8) {
		client := [...]netip.AddrPort{allowedClient, allowedSix, cacheClient, otherClient}[how&3]
		p := func() listen.Packet {
			return listen.Packet{Data: bytes.Clone(data), Client: client, Local: allowedClient}
		}
		for range 2 { // the second answer is from the cache, and leaves an image
			s.Ask(t.Context(), p())
		}
		hand.boot.Add(int64(passes) * int64(300*time.Millisecond))
		var quick, slow []byte
		for range 10 {
			quick = fast(l, data, client)
			if slow = s.Ask(t.Context(), p()); quick == nil || bytes.Equal(quick, slow) {
				break
			}
			// What an alias leads to may have been refreshed a moment ago, behind an earlier query. That answer has left a new image, which says so.
		}
		if quick != nil && !bytes.Equal(quick, slow) {
			var a, b miekg.Msg
			_, _ = a.Unpack(quick), b.Unpack(slow)
			t.Fatalf("query %x\nfast %x\nslow %x\n%v\n%v", data, quick, slow, &a, &b)
		}
		if list := crashes.List(); len(list) > 0 {
			t.Fatalf("a crash: %+v", list)
		}
	})
}

// The packets of the fuzz target make the fast path say all that it can say.
func TestPacketsCoverTheBatch(t *testing.T) {
	var hand handClock
	hand.boot.Store(int64(time.Minute))
	s, _ := newServedAt(t, hand.clock())
	l := s.Loop()
	got := map[string]bool{}
	for _, data := range packets(t) {
		for range 2 {
			s.Ask(t.Context(), listen.Packet{Data: bytes.Clone(data), Client: allowedClient, Local: allowedClient})
		}
		b := fast(l, data, allowedClient)
		if b == nil {
			got["none"] = true
			continue
		}
		var m miekg.Msg
		if err := m.Unpack(b); err != nil {
			t.Fatal(err)
		}
		got[miekg.RcodeToString[m.Rcode]] = true
		got["several"] = got["several"] || len(m.Answer) > 1
		got["truncated"] = got["truncated"] || m.Truncated
		got["denial"] = got["denial"] || len(m.Ns) > 0
		if opt := m.IsEdns0(); opt != nil {
			got["edns"] = true
			got["do"] = got["do"] || opt.Do()
			got["cookie"] = got["cookie"] || len(opt.Option) > 0
		}
	}
	for _, want := range []string{"none", "NOERROR", "NXDOMAIN", "several", "truncated", "denial", "edns", "do", "cookie"} {
		if !got[want] {
			t.Errorf("no packet makes the fast path say %s: %v", want, got)
		}
	}
}

// warmed is a server that has an image of www.example A, and the query for it.
func warmed(t testing.TB, hand *handClock) (*Server, listen.Loop, []byte) {
	t.Helper()
	hand.boot.Store(int64(time.Minute))
	s, _ := newServedAt(t, hand.clock())
	m := new(miekg.Msg)
	m.SetQuestion("www.example.", miekg.TypeA)
	m.SetEdns0(1232, false)
	data, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s.Ask(context.Background(), listen.Packet{Data: bytes.Clone(data), Client: allowedClient, Local: allowedClient})
	}
	return s, s.Loop(), data
}

// What an image depends on takes it out of use: time, purges, and settings, but only those that change answers.
func TestImagesAreForgotten(t *testing.T) {
	purge := func(name string) func(*testing.T, *Server) {
		return func(t *testing.T, s *Server) {
			if _, err := s.cache.Purge(dns.MustParseName(name), false); err != nil {
				t.Fatal(err)
			}
		}
	}
	swap := func(change func(*Table) *Table) func(*testing.T, *Server) {
		return func(_ *testing.T, s *Server) { s.Swap(change(s.Table())) }
	}
	recompiled := func(change func(*recurse.Settings)) func(*testing.T, *Server) {
		return swap(func(old *Table) *Table { return old.WithRecursion(compiled(t, servedLab(t), change)) })
	}
	for name, c := range map[string]struct {
		act  func(*testing.T, *Server)
		wait time.Duration
		kept bool
	}{
		"nothing":              {kept: true},
		"time":                 {wait: 2 * time.Hour},
		"a purge of the name":  {act: purge("www.example.")},
		"a purge of another":   {act: purge("other.example.")}, // it may be the target of an alias
		"the same settings":    {act: recompiled(func(*recurse.Settings) {}), kept: true},
		"settings for answers": {act: recompiled(func(s *recurse.Settings) { s.Limits.CNAMEDepth-- })},
		"settings for samples": {act: swap(func(t *Table) *Table { other := *t; other.Sampling.OneIn++; return &other }), kept: true},
		"settings for clients": {act: swap(func(t *Table) *Table { other := *t; other.Limits.QueriesPerClient--; return &other }), kept: true},
	} {
		t.Run(name, func(t *testing.T) {
			var hand handClock
			s, l, data := warmed(t, &hand)
			if fast(l, data, allowedClient) == nil {
				t.Fatal("there is no image")
			}
			if c.act != nil {
				c.act(t, s)
			}
			hand.boot.Add(int64(c.wait))
			if kept := fast(l, data, allowedClient) != nil; kept != c.kept {
				t.Errorf("there is an image: %v, want %v", kept, c.kept)
			}
		})
	}
}

// Settings that come back find their images again.
func TestImagesComeBack(t *testing.T) {
	var hand handClock
	s, l, data := warmed(t, &hand)
	first := s.Table()
	s.Swap(first.WithRecursion(compiled(t, servedLab(t), func(s *recurse.Settings) { s.Limits.CNAMEDepth-- })))
	if fast(l, data, allowedClient) != nil {
		t.Fatal("an image of other settings is given")
	}
	s.Swap(first)
	if fast(l, data, allowedClient) == nil {
		t.Error("the image is lost")
	}
}

// Who may not ask is not answered from images.
func TestImagesAreForThoseWhoMayAsk(t *testing.T) {
	var hand handClock
	_, l, data := warmed(t, &hand)
	if b := fast(l, data, otherClient); b != nil {
		t.Errorf("%v is answered %x", otherClient, b)
	}
}

// Answers over TCP leave no images, which nobody would look for.
func TestTCPLeavesNoImage(t *testing.T) {
	var hand handClock
	hand.boot.Store(int64(time.Minute))
	s, _ := newServedAt(t, hand.clock())
	m := new(miekg.Msg)
	m.SetQuestion("www.example.", miekg.TypeA)
	data, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		over   listen.Transport
		images int64
	}{{listen.TCP, 0}, {listen.UDP, 1}} {
		for range 2 {
			s.Ask(t.Context(), listen.Packet{Data: bytes.Clone(data), Client: allowedClient, Local: allowedClient, Transport: c.over})
		}
		if n := s.cache.Stats().Images; n != c.images {
			t.Errorf("%d images after questions over %v, want %d", n, c.over, c.images)
		}
	}
}

// The fast path takes no memory.
func TestBatchDoesNotAllocate(t *testing.T) {
	var hand handClock
	_, l, data := warmed(t, &hand)
	queries := batchOf(data)
	if underRace {
		t.Skip("the race detector allocates")
	}
	if n := leastAllocs(100, func() { l.ServeBatch(queries) }); n != 0 {
		t.Errorf("%v allocations for a batch", n)
	}
}

// Who can't wait, because the listener holds as many as it may, is told what is cached, and else why there is no answer.
func TestWhoCantWaitIsAnsweredFromTheCache(t *testing.T) {
	var hand handClock
	s, _, data := warmed(t, &hand)
	ask := func(data []byte) (m miekg.Msg) {
		t.Helper()
		b := s.Serve(listen.Packet{Data: bytes.Clone(data), Client: allowedClient, Local: allowedClient}, nil, listen.Reply{})
		if err := m.Unpack(b); err != nil {
			t.Fatal(err)
		}
		return m
	}
	if m := ask(data); m.Rcode != miekg.RcodeSuccess || len(m.Answer) == 0 {
		t.Errorf("what is cached is answered\n%v", &m)
	}
	q := new(miekg.Msg)
	q.SetQuestion("far.example.", miekg.TypeA)
	data, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if m := ask(data); m.Rcode != miekg.RcodeServerFailure {
		t.Errorf("what is not cached is answered\n%v", &m)
	}
}

func batchOf(data []byte) []listen.Query {
	queries := make([]listen.Query, maxBatch)
	for i := range queries {
		queries[i] = listen.Query{Data: bytes.Clone(data), Client: allowedClient, Local: allowedClient, Out: make([]byte, 0, 4096+64)}
	}
	return queries
}

func BenchmarkBatch(b *testing.B) {
	for _, c := range []struct {
		name          string
		rate, clients int
	}{{"any rate", 0, 1}, {"any rate of many", 0, maxBatch}, {"rate of a client", 1_000_000, 1}, {"rates of many", 1_000_000, maxBatch}} {
		b.Run(c.name, func(b *testing.B) {
			var hand handClock
			s, l, data := warmed(b, &hand)
			table := *s.Table()
			table.Rate = rateOf(c.rate)
			s.Swap(&table)
			queries := batchOf(data)
			for i := range queries {
				ip := allowedClient.Addr().As4()
				ip[2], ip[3] = byte(i%c.clients), 1
				queries[i].Client = netip.AddrPortFrom(netip.AddrFrom4(ip), allowedClient.Port())
			}
			b.ReportAllocs()
			for i := 0; i < b.N; i += maxBatch {
				hand.boot.Add(int64(maxBatch * time.Microsecond))
				l.ServeBatch(queries)
				for k := range queries {
					if queries[k].Answer == nil {
						b.Fatal("no answer")
					}
				}
			}
		})
	}
}

// leastAllocs is testing.AllocsPerRun, the least of some: it counts what all goroutines of the process allocate, and those that earlier tests have left do, now and then.
func leastAllocs(runs int, f func()) float64 {
	least := testing.AllocsPerRun(runs, f)
	for i := 0; least > 0 && i < 9; i++ {
		least = min(least, testing.AllocsPerRun(runs, f))
	}
	return least
}
