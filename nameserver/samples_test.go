package nameserver

import (
	"bytes"
	"math"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	miekg "github.com/miekg/dns"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/listen"
	"github.com/ananas-edge/ananas/nameserver/recurse"
)

// samplingOf lets a server write down one in n of its queries.
func samplingOf(s *Server, n int) {
	t := *s.Table()
	t.Sampling.OneIn = n
	s.Swap(&t)
}

// everySample are all that the ring has.
func everySample(s *Server) []Sample {
	list, _, _ := s.Samples(SampleFilter{Limit: MaxSamples})
	return list
}

func packed(t testing.TB, name string, typ uint16, change ...func(*miekg.Msg)) []byte {
	t.Helper()
	m := new(miekg.Msg)
	m.SetQuestion(name, typ)
	for _, f := range change {
		f(m)
	}
	data, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// near tells whether n picks of one in oneIn of all are within five standard deviations. The distances are uniform, of variance N*N/3.
func near(n uint64, all, oneIn int) bool {
	want := float64(all) / float64(oneIn)
	return math.Abs(float64(n)-want) <= 1+5*math.Sqrt(want/3)
}

// The fast path writes down its share, whatever the size of batches and whatever else is in them, and every place in a batch has its turn.
func TestShareOfTheFastPath(t *testing.T) {
	for _, oneIn := range []int{1, 2, 10, 1000} {
		var hand handClock
		s, l, data := warmed(t, &hand)
		samplingOf(s, oneIn)
		began := s.m.samples.Value()
		miss := packed(t, "far.example.", miekg.TypeA)
		g := rand.New(rand.NewPCG(3, 4))
		hits, all := 0, 60_000
		for hits < all {
			queries := batchOf(data)[:1+g.IntN(maxBatch)]
			for i := range queries {
				if g.IntN(4) == 0 {
					queries[i].Data = bytes.Clone(miss)
				}
			}
			l.ServeBatch(queries)
			for i := range queries {
				if queries[i].Answer != nil {
					hits++
				}
			}
		}
		if n := s.m.samples.Value() - began; !near(n, hits, oneIn) {
			t.Errorf("%d samples of %d answers, one in %d", n, hits, oneIn)
		}
		for _, k := range everySample(s) {
			if k.Name.String() != "www.example." || k.From != FromImage {
				t.Fatalf("a sample of what was not answered: %+v", k)
			}
		}
	}
}

// So does the slow path, also where many ask at once.
func TestShareOfTheSlowPath(t *testing.T) {
	s, _ := newServed(t)
	samplingOf(s, 10)
	began := s.m.samples.Value()
	data := packed(t, "www.example.", miekg.TypeA)
	const all = 3000
	for range all {
		s.Ask(t.Context(), listen.Packet{Data: bytes.Clone(data), Client: allowedClient, Local: allowedClient, Transport: listen.TCP})
	}
	if n := s.m.samples.Value() - began; !near(n, all, 10) {
		t.Errorf("%d samples of %d answers, one in 10", n, all)
	}

	const each = 50_000
	for _, oneIn := range []int{1, 7} {
		var due atomic.Uint64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range each {
					if s.samples.due(oneIn) {
						due.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if n := due.Load(); !near(n, 4*each, oneIn) {
			t.Errorf("%d of %d are due, one in %d", n, 4*each, oneIn)
		}
	}
}

// A sample tells what was asked and what became of it.
func TestSamplesTell(t *testing.T) {
	var hand handClock
	s, l, data := warmed(t, &hand)
	samplingOf(s, 1)
	six := netip.MustParseAddrPort("[2001:db8:1:2::3]:1000")
	ask := func(client netip.AddrPort, over listen.Transport, data []byte) {
		hand.boot.Add(int64(time.Second))
		s.Ask(t.Context(), listen.Packet{Data: data, Client: client, Local: allowedClient, Transport: over})
	}
	hand.boot.Add(int64(time.Second))
	if fast(l, data, netip.MustParseAddrPort("10.1.2.3:4000")) == nil {
		t.Fatal("there is no image")
	}
	ask(netip.MustParseAddrPort("[::ffff:10.1.2.3]:4000"), listen.TCP, packed(t, "WWW.example.", miekg.TypeA, func(m *miekg.Msg) { m.SetEdns0(1232, true); m.CheckingDisabled = true }))
	ask(allowedClient, listen.TCP, packed(t, "nobody.example.", miekg.TypeAAAA))
	ask(allowedClient, listen.UDP, packed(t, "localhost.", miekg.TypeA))
	ask(allowedClient, listen.UDP, packed(t, "version.bind.", miekg.TypeTXT, func(m *miekg.Msg) { m.Question[0].Qclass = miekg.ClassCHAOS }))
	ask(allowedClient, listen.UDP, packed(t, "www.example.", miekg.TypeANY))
	ask(six, listen.UDP, packed(t, "www.example.", miekg.TypeA))
	ask(allowedClient, listen.UDP, packed(t, "example.", miekg.TypeSOA, func(m *miekg.Msg) { m.Opcode = miekg.OpcodeNotify }))
	ask(allowedClient, listen.UDP, packed(t, "www.example.", miekg.TypeA, func(m *miekg.Msg) { m.SetEdns0(1232, false); m.IsEdns0().SetVersion(1) }))
	ask(allowedClient, listen.UDP, packed(t, "absent.example.", miekg.TypeA, func(m *miekg.Msg) { m.RecursionDesired = false }))
	ask(cacheClient, listen.UDP, packed(t, "absent.example.", miekg.TypeA, func(m *miekg.Msg) { m.RecursionDesired = false }))

	loopback, ten := netip.MustParsePrefix("127.0.0.0/24"), netip.MustParsePrefix("10.1.2.0/24")
	in := func(name string, typ dns.Type, k Sample) Sample {
		k.Name, k.Type, k.Class = dns.MustParseName(name), typ, dns.ClassINET
		return k
	}
	chaos := in("version.bind.", dns.TypeTXT, Sample{Client: loopback, From: FromLocal})
	chaos.Class = dns.ClassCHAOS
	want := []Sample{
		in("www.example.", dns.TypeA, Sample{Client: ten}),
		in("www.example.", dns.TypeA, Sample{Client: ten, Transport: listen.TCP, DO: true, CD: true, From: FromCache}),
		in("nobody.example.", dns.TypeAAAA, Sample{Client: loopback, Transport: listen.TCP, RCode: dns.RCodeNameError, From: FromResolved}),
		in("localhost.", dns.TypeA, Sample{Client: loopback, From: FromLocal}),
		chaos,
		in("www.example.", dns.TypeANY, Sample{Client: loopback, TC: true, From: FromRefused}),
		in("www.example.", dns.TypeA, Sample{Client: netip.MustParsePrefix("2001:db8:1::/48"), RCode: dns.RCodeRefused, From: FromRefused}),
		{Client: loopback, RCode: dns.RCodeNotImplemented, From: FromRefused},
		in("www.example.", dns.TypeA, Sample{Client: loopback, RCode: dns.RCodeBadVersion, From: FromRefused}),
		in("absent.example.", dns.TypeA, Sample{Client: loopback, RCode: dns.RCodeRefused, From: FromRefused}),
		in("absent.example.", dns.TypeA, Sample{Client: netip.MustParsePrefix("10.0.0.0/24"), RCode: dns.RCodeRefused, From: FromRefused}),
	}
	got := everySample(s)
	if len(got) != len(want) {
		t.Fatalf("%d samples, want %d", len(got), len(want))
	}
	at := s.clock.Wall()
	for i, w := range want {
		k := got[len(got)-1-i]
		w.At, w.Octets, w.Took = at.Add(-time.Duration(len(want)-1-i)*time.Second), k.Octets, k.Took
		if k != w || k.Octets < dns.HeaderLen || k.Took != 0 {
			t.Errorf("sample %d\n got %+v\nwant %+v", i, k, w)
		}
	}
}

// What the path knows of an answer tells where it came from.
func TestOrigins(t *testing.T) {
	for want, c := range map[Origin]struct {
		looked bool
		a      recurse.Answer
	}{
		FromStale:    {true, recurse.Answer{Stale: true, Asked: true}},
		FromResolved: {true, recurse.Answer{Asked: true}},
		FromLocal:    {true, recurse.Answer{Local: true}},
		FromCache:    {true, recurse.Answer{RCode: dns.RCodeServerFailure}},
		FromRefused:  {false, recurse.Answer{RCode: dns.RCodeServerFailure}},
	} {
		if got := (&query{looked: c.looked}).origin(&c.a); got != want {
			t.Errorf("%+v comes from %v, want %v", c, got, want)
		}
	}
}

// The ring keeps the newest, and gives those that are asked for.
func TestSamplesAreChosen(t *testing.T) {
	var hand handClock
	hand.boot.Store(int64(time.Minute))
	s, _ := newServedAt(t, hand.clock())
	samplingOf(s, 1)
	clients := []netip.AddrPort{allowedClient, otherClient, allowedSix}
	names := [][]byte{packed(t, "www.example.", miekg.TypeA), packed(t, "a.b.ent.example.", miekg.TypeAAAA), packed(t, "localhost.", miekg.TypeA)}
	const all = MaxSamples + 500
	for i := range all {
		hand.boot.Add(int64(time.Millisecond))
		s.Ask(t.Context(), listen.Packet{Data: bytes.Clone(names[i/2%3]), Client: clients[i%3], Local: allowedClient, Transport: listen.TCP})
	}
	list, passing, oneIn := s.Samples(SampleFilter{Limit: all})
	if len(list) != MaxSamples || passing != MaxSamples || oneIn != 1 {
		t.Fatalf("%d samples, %d pass, one in %d", len(list), passing, oneIn)
	}
	for i := range list {
		if want := s.clock.Wall().Add(-time.Duration(i) * time.Millisecond); !list[i].At.Equal(want) {
			t.Fatalf("sample %d is of %v, not %v", i, list[i].At, want)
		}
	}
	name := func(s string) dns.Name { return dns.MustParseName(s) }
	for _, c := range []struct {
		what string
		f    SampleFilter
		is   func(*Sample) bool
	}{
		{"a name", SampleFilter{Name: name("www.example.")}, func(k *Sample) bool { return k.Name == name("www.example.") }},
		{"names below", SampleFilter{Name: name("EXAMPLE.")}, func(k *Sample) bool { return k.Name != name("localhost.") }},
		{"all names", SampleFilter{Name: dns.Root}, func(*Sample) bool { return true }},
		{"a client", SampleFilter{Client: netip.MustParsePrefix("192.0.2.7/32")}, func(k *Sample) bool { return k.RCode == dns.RCodeRefused }},
		{"a network", SampleFilter{Client: netip.MustParsePrefix("::/0")}, func(k *Sample) bool { return k.Client.Addr().Is6() }},
		{"both", SampleFilter{Name: name("localhost."), Client: netip.MustParsePrefix("127.0.0.1/32")}, func(k *Sample) bool {
			return k.Name == name("localhost.") && k.Client.Contains(allowedClient.Addr())
		}},
		{"where from", SampleFilter{From: []Origin{FromRefused, FromStale}}, func(k *Sample) bool { return k.From == FromRefused }},
		{"nothing", SampleFilter{Name: name("elsewhere.")}, func(*Sample) bool { return false }},
	} {
		var want []Sample
		for i := range list {
			if c.is(&list[i]) {
				want = append(want, list[i])
			}
		}
		c.f.Limit = 20
		got, passing, _ := s.Samples(c.f)
		if passing != len(want) || len(got) != min(20, len(want)) {
			t.Errorf("%s: %d of %d, want of %d", c.what, len(got), passing, len(want))
			continue
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%s: %+v, want %+v", c.what, got[i], want[i])
			}
		}
	}
}

// A change of the setting forgets, and what was decided by the old one is not kept; so nothing is where sampling is off.
func TestSamplesAreForgotten(t *testing.T) {
	var hand handClock
	s, l, data := warmed(t, &hand)
	samplingOf(s, 1)
	fast(l, data, allowedClient)
	if n := len(everySample(s)); n != 1 {
		t.Fatalf("%d samples", n)
	}
	s.Swap(s.Table().WithRecursion(s.Table().Recursion))
	if n := len(everySample(s)); n != 1 {
		t.Errorf("a change of other settings leaves %d samples", n)
	}
	samplingOf(s, 2)
	if n := len(everySample(s)); n != 0 {
		t.Errorf("%d samples of another setting", n)
	}
	s.samples.add(new(keptSample), 1)
	samplingOf(s, 0)
	s.samples.add(new(keptSample), 2)
	for range 10 {
		fast(l, data, allowedClient)
		s.Ask(t.Context(), listen.Packet{Data: bytes.Clone(data), Client: allowedClient, Local: allowedClient})
	}
	if list, _, oneIn := s.Samples(SampleFilter{Limit: 1}); len(list) != 0 || oneIn != 0 {
		t.Errorf("one in %d: %+v", oneIn, list)
	}
}

// Nobody waits for the ring: a sample that finds it taken is counted and gone.
func TestSamplesAreLostRatherThanWaitedFor(t *testing.T) {
	var hand handClock
	s, l, data := warmed(t, &hand)
	samplingOf(s, 1)
	taken := s.m.samples.Value()
	s.samples.mu.Lock()
	if fast(l, data, allowedClient) == nil {
		t.Error("no answer")
	}
	s.samples.mu.Unlock()
	if lost, n := s.m.samplesLost.Value(), s.m.samples.Value()-taken; lost != 1 || n != 0 {
		t.Errorf("%d lost, %d taken", lost, n)
	}
}

// Not even a sample takes memory, and all of them as much as MaxSamples says.
func TestSamplesTakeNoMemory(t *testing.T) {
	if size := unsafe.Sizeof(keptSample{}); size != 296 {
		t.Errorf("a sample takes %d octets", size)
	}
	var hand handClock
	s, l, data := warmed(t, &hand)
	samplingOf(s, 1)
	queries := batchOf(data)
	if underRace {
		t.Skip("the race detector allocates")
	}
	if n := leastAllocs(100, func() { l.ServeBatch(queries) }); n != 0 {
		t.Errorf("%v allocations for a batch", n)
	}
}
