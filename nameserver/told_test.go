package nameserver

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/listen"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/nameserver/recurse"
)

// A query that a module drops at once gives its place among those that wait back: else each takes one away for good, and when all are gone nothing is resolved any more.
func TestWhatIsDroppedWaitsNoMore(t *testing.T) {
	s, _ := newServed(t)
	s.Swap(s.Table().WithPlugins(newPrograms(t).chain("acts", "phases: [query]\n", "", plugin.Plugin{Phase: plugin.PhaseQuery})))
	sockets, err := listen.Open(listen.Config{DNS: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}, Limits: listen.Limits{InFlight: 2}})
	if err != nil {
		t.Fatal(err)
	}
	sockets.Serve(s)
	defer func() {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := sockets.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	}()
	c, err := net.Dial("udp", sockets.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 5 {
		if _, err := c.Write(asks(t, "drop.example.", true)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Write(asks(t, "www.example.", true)); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	b := make([]byte, 4096)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := text(t, b[:n]); !strings.HasPrefix(got, "NOERROR A ") {
		t.Errorf("after what was dropped, another query is answered %s", got)
	}
}

const mayLog = "phases: [query]\nneeds: [log]\n"

// says has the guest run that says what names ask for.
func (p *programs) says(mode plugin.Mode) plugin.Plugin {
	return plugin.Plugin{Module: "says", Phase: plugin.PhaseQuery, Mode: mode, Grant: []string{"log"}}
}

// heard takes away what modules have logged, and counts it.
func (p *programs) heard() (n int) {
	for ; len(p.lines) > 0; n++ {
		<-p.lines
	}
	return n
}

// anything has the guest "says" say anything.
func anything(r *rand.Rand) string {
	label := make([]byte, 1+r.IntN(4))
	for i := range label {
		label[i] = "nezabsrcmfdnezabsrcmfdwvxyutqgGWNXY"[r.IntN(35)]
	}
	return string(label)
}

// strange is any query that a client may send, for a name that begins with a label.
func strange(r *rand.Rand, label string) listen.Packet {
	pick := func(all ...uint16) uint16 { return all[r.IntN(len(all))] }
	m := new(miekg.Msg)
	m.SetQuestion(label+[...]string{".example.", ".Example.", ".localhost.", ".wild.example."}[r.IntN(4)], pick(miekg.TypeA, miekg.TypeA, miekg.TypeAAAA, miekg.TypeTXT, miekg.TypeCNAME, miekg.TypeANY, miekg.TypeHTTPS,
		miekg.TypeDS, miekg.TypeRRSIG, miekg.TypeSOA, miekg.TypeAXFR, 65280))
	m.Id, m.RecursionDesired, m.CheckingDisabled, m.AuthenticatedData = uint16(r.Uint32()), r.IntN(4) > 0, r.IntN(2) > 0, r.IntN(2) > 0
	m.Question[0].Qclass = pick(1, 1, 1, 1, 1, 1, 1, 1, 3, 255)
	if r.IntN(3) > 0 {
		m.SetEdns0(pick(0, 512, 1232, 4096), r.IntN(2) > 0)
		opt := m.IsEdns0()
		for range r.IntN(3) {
			opt.Option = append(opt.Option, [...]miekg.EDNS0{&miekg.EDNS0_COOKIE{Code: miekg.EDNS0COOKIE, Cookie: "0102030405060708"}, &miekg.EDNS0_COOKIE{Code: miekg.EDNS0COOKIE, Cookie: "01"},
				&miekg.EDNS0_NSID{Code: miekg.EDNS0NSID}, &miekg.EDNS0_LOCAL{Code: 65001, Data: []byte{1}}}[r.IntN(4)])
		}
	}
	data, err := m.Pack()
	if err != nil {
		panic(err)
	}
	p := listen.Packet{Data: data, Client: [...]netip.AddrPort{allowedClient, allowedSix, cacheClient, otherClient}[r.IntN(4)], Local: allowedClient}
	if r.IntN(4) == 0 {
		p.Transport, p.Idle = listen.TCP, 10*time.Second
	}
	return p
}

// outcome is what a query leaves beside its answer: counts, its sample, and what is written down of it.
func (s *Server) outcome(before *counted) (now counted, left string) {
	now = counted{s.Stats(), s.m.dropped.Value(), s.m.truncated.Value(), s.m.octets[0].Value() + s.m.octets[1].Value(), s.m.limits.With("client_time").Value(), s.Outcomes(func(time.Duration, uint64) {})}
	if before == nil {
		return now, ""
	}
	for i := range now.RCodes {
		if n := now.RCodes[i] - before.RCodes[i]; n > 0 {
			left += fmt.Sprintf("rcode %d x %d, ", i, n)
		}
	}
	left += fmt.Sprintf("answers %d, hits %d, failures %d, refused %d, dropped %d, truncated %d, octets %d, late %d, decided %d, silenced %d", now.Answers-before.Answers, now.Hits-before.Hits, now.Failures-before.Failures, now.Refused-before.Refused,
		now.dropped-before.dropped, now.truncated-before.truncated, now.octets-before.octets, now.late-before.late, now.Decided-before.Decided, now.Dropped-before.Dropped)
	if list, _, _ := s.Samples(SampleFilter{Limit: 1}); len(list) > 0 && now.Answers > before.Answers {
		left += fmt.Sprintf(", sample %+v", list[0])
	}
	return now, left
}

type counted struct {
	Stats
	dropped, truncated, octets, late uint64
	Outcomes
}

// Whatever is asked, and whatever a module says of it: what is answered at once is what is answered the long way, octet for octet, and leaves the same behind.
func TestAtOnceIsTheLongWay(t *testing.T) {
	var hand handClock
	hand.boot.Store(int64(time.Minute))
	s, crashes := newServedAt(t, hand.clock())
	r := rand.New(rand.NewPCG(3, 4))
	ended, dropped := 0, 0
	for k := range 60 {
		p := newPrograms(t)
		mode := plugin.Mode([...]string{"open", "closed", "stale"}[k%3])
		table := *s.Table().WithPlugins(p.load(map[string][]byte{"says": guest(t, "says", mayLog)}, nil, p.says(mode)))
		table.Sampling.OneIn = 1
		s.Swap(&table)
		for range 100 {
			packet := strange(r, anything(r))
			fresh := func() listen.Packet { f := packet; f.Data = bytes.Clone(packet.Data); return f }
			q := query{Packet: fresh(), table: s.Table(), start: s.clock.Boot()}
			_, next := s.admit(&q)
			if next != resolve {
				continue
			}
			_, ends, drops := s.tell(&q)
			if !ends {
				continue
			}
			var before counted
			var quick []byte
			for busy := s.m.limits.With("queries"); ; runtime.Gosched() { // an instance that has faulted is being replaced
				was := busy.Value()
				before, _ = s.outcome(nil)
				if quick = s.Serve(fresh(), nil, listen.Reply{}); busy.Value() == was {
					break
				}
			}
			between, left := s.outcome(&before)
			slow := s.Ask(t.Context(), fresh())
			_, right := s.outcome(&between)
			if !bytes.Equal(quick, slow) || left != right || drops != (quick == nil) {
				t.Fatalf("mode %s, query %x over %v from %v\nat once  %s %x\n%s\nlong way %s %x\n%s", mode, packet.Data, packet.Transport, packet.Client, text(t, quick), quick, left, text(t, slow), slow, right)
			}
			long := query{Packet: fresh(), table: s.Table(), start: s.clock.Boot()}
			s.admit(&long)
			s.resolve(t.Context(), &long)
			if !drops && (q.looked != long.looked || q.ended != long.ended || q.tag != long.tag) {
				t.Fatalf("mode %s, query %x: at once looked %v, ended %v, tag %q; the long way %v, %v, %q", mode, packet.Data, q.looked, q.ended, q.tag, long.looked, long.ended, long.tag)
			}
			if drops {
				dropped++
			}
			ended++
			p.heard()
		}
	}
	if list := crashes.List(); len(list) > 0 || ended < 400 || dropped < 20 {
		t.Errorf("%d were answered at once, %d of them not at all; crashes: %+v", ended, dropped, list)
	}
}

// What is answered from an image that a pure module has had a hand in, or past an impure one, is what is answered the long way, octet for octet.
func TestImagesOfVerdictsAreTheLongWay(t *testing.T) {
	labels := strings.Fields("nxdomain nodata why address zone refuse drop rewrite self bypass trap record client prefix nobody www WWW big alias")
	r := rand.New(rand.NewPCG(5, 6))
	for _, manifest := range []string{"phases: [query]\npure: true\n", "phases: [query]\n"} {
		var hand handClock
		hand.boot.Store(int64(time.Minute))
		s, _ := newServedAt(t, hand.clock())
		answered := 0
		for range 20 { // a new one is in again
			s.Swap(s.Table().WithPlugins(newPrograms(t).chain("acts", manifest, "", plugin.Plugin{Phase: plugin.PhaseQuery})))
			l := s.Loop()
			for range 200 {
				p := strange(r, labels[r.IntN(len(labels))])
				p.Transport = listen.UDP
				ask := func() []byte { f := p; f.Data = bytes.Clone(p.Data); return s.Ask(t.Context(), f) }
				ask()
				ask()
				if quick := fast(l, p.Data, p.Client); quick != nil {
					if answered++; !bytes.Equal(quick, ask()) {
						t.Fatalf("query %x from %v\nloop     %s %x\nlong way %s", p.Data, p.Client, text(t, quick), quick, text(t, ask()))
					}
				}
			}
		}
		if answered < 100 {
			t.Errorf("%q: the loop has answered %d", manifest, answered)
		}
	}
}

// Each impure module sees a query once, whichever way that goes; and none sees what is over its client's rate, or is charged for twice.
func TestModulesAreAskedOnce(t *testing.T) {
	for _, c := range []struct {
		name  string
		rate  int
		asked int // of 300 queries at once
		want  string
	}{
		{"go.large.example.", 0, 300, "NXDOMAIN"}, // the image does not fit, and the world has no such name
		{"go.example.", 0, 300, "NOERROR A 192.0.2.80"},
		{"n.example.", 0, 300, "NXDOMAIN"},
		{"t.example.", 0, 10, "NXDOMAIN"}, // then it is taken out
		{"go.example.", 1, leastBurst, "NOERROR A 192.0.2.80"},
		{"n.example.", 1, leastBurst, "NXDOMAIN"},
	} {
		var hand handClock
		hand.boot.Store(int64(time.Minute))
		s, _ := newServedAt(t, hand.clock())
		p := newPrograms(t)
		data := asks(t, c.name, false)
		s.Swap(s.Table().WithPlugins(p.load(map[string][]byte{"says": guest(t, "says", mayLog)}, nil, plugin.Plugin{Module: "says", Phase: plugin.PhaseQuery, Grant: []string{"log"}})))
		table := *s.Table()
		if len(data) > 0 { // an image that anything may be said of
			generation := s.generations.of(&table, s.cache.Epoch())
			q := query{table: &table, name: dns.MustParseName(c.name)}
			q.Query, _ = dns.ParseQuery(data)
			a := recurse.Answer{Until: hour, Answer: []dns.RRset{{Name: q.name, Type: dns.TypeA, Class: dns.ClassINET, TTL: 3600, Data: dns.Records(nil).Append([]byte{192, 0, 2, 80})}}}
			if strings.Contains(c.name, "large") {
				set := dns.RRset{Name: dns.MustParseName("more.example."), Type: dns.TypeA, Class: dns.ClassINET, TTL: 3600}
				for i := range byte(100) {
					set.Data = set.Data.Append([]byte{192, 0, 2, i})
				}
				a.Additional = append(a.Additional, set)
			}
			q.start = s.clock.Boot()
			s.keep(&q, &a, generation, s.cache.Epoch(), s.cache.Mark(q.name))
		}
		table.Rate = rateOf(c.rate)
		s.Swap(&table)
		l := s.Loop()
		got := map[string]int{}
		for range 300 {
			queries := batchOf(data)[:1]
			l.ServeBatch(queries)
			answer := queries[0].Answer
			if answer == nil {
				answer = s.Ask(t.Context(), listen.Packet{Data: bytes.Clone(data), Client: allowedClient, Local: allowedClient, Note: queries[0].Note})
			}
			got[text(t, answer)]++
		}
		limited := 0
		if c.rate > 0 {
			limited = 300 - leastBurst
		}
		if n := p.heard(); n != c.asked || got[c.want] != 300-limited {
			t.Errorf("%s at a rate of %d: the module was asked %d times, want %d; answered %v, want %d times %s", c.name, c.rate, n, c.asked, got, 300-limited, c.want)
		}
	}
}

const hour = time.Hour

// A name that a module rewrites is an alias: who asks for the alias gets that alone. One that leads back to the name is no answer, and costs a bounded time.
func TestRewrittenIsAnAlias(t *testing.T) {
	s, _ := newServed(t)
	s.Swap(s.Table().WithPlugins(newPrograms(t).load(map[string][]byte{"says": guest(t, "says", mayLog)}, nil, plugin.Plugin{Module: "says", Phase: plugin.PhaseQuery, Grant: []string{"log"}})))
	for _, c := range []struct {
		name string
		typ  uint16
		want string
	}{
		{"w.example.", miekg.TypeA, "NOERROR CNAME www.example. A 192.0.2.80"},
		{"w.example.", miekg.TypeCNAME, "NOERROR CNAME www.example."},
		{"w.example.", miekg.TypeANY, "NOERROR CNAME www.example."},
		{"w.example.", miekg.TypeDNAME, "NOERROR CNAME www.example."}, // which has none
		{"v.example.", miekg.TypeCNAME, "NOERROR CNAME back.example."},
		{"v.example.", miekg.TypeA, "SERVFAIL (0 the module says has back.example. asked in its place, which is an alias that leads back to it)"},
		{"v.other.example.", miekg.TypeA, "NOERROR CNAME back.example. CNAME v.example. A 192.0.2.81"}, // the module does not see v.example
	} {
		m := new(miekg.Msg)
		m.SetQuestion(c.name, c.typ)
		m.SetEdns0(1232, false)
		data, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		if got := text(t, s.Ask(t.Context(), listen.Packet{Data: data, Client: allowedClient, Local: allowedClient, Transport: listen.TCP})); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.name, miekg.TypeToString[c.typ], got, c.want)
		}
	}
}

// What a module has changed of an answer that has expired is stale, too, and not kept.
func TestChangedIsStillStale(t *testing.T) {
	p := newPrograms(t)
	c := p.chain("clamp", "phases: [answer]\npure: true\n", "", plugin.Plugin{Phase: plugin.PhaseAnswer})
	q := dns.Question{Name: dns.MustParseName("www.example."), Type: dns.TypeA, Class: dns.ClassINET}
	for _, stale := range []bool{true, false} {
		set := dns.RRset{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 30, Data: dns.Records(nil).Append([]byte{192, 0, 2, 80})}
		out := Outcome{Keeps: true, Answer: recurse.Answer{Stale: stale, Answer: []dns.RRset{set}}}
		asked := plugin.Query{Name: []byte(q.Name.Wire()), Type: q.Type}
		if !answered(t.Context(), c, 0, &asked, q, &out, false, time.Minute, nil) || out.Answer.Stale != stale || out.Keeps == stale {
			t.Errorf("of one whose being stale is %v it makes one of which it is %v, and may be kept: %v", stale, out.Answer.Stale, out.Keeps)
		}
	}
}

// A denial that a module makes of an answer is good for as long as that, whatever it says itself.
func TestDeniedIsGoodForAsLong(t *testing.T) {
	c := newPrograms(t).chain("clamp", "phases: [answer]\npure: true\n", "", plugin.Plugin{Phase: plugin.PhaseAnswer})
	q := dns.Question{Name: dns.MustParseName("deny.example."), Type: dns.TypeA, Class: dns.ClassINET}
	set := dns.RRset{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 5, Data: dns.Records(nil).Append([]byte{192, 0, 2, 80})}
	out := Outcome{Keeps: true, Answer: recurse.Answer{Answer: []dns.RRset{set}, Until: time.Minute + 5*time.Second}}
	asked := plugin.Query{Name: []byte(q.Name.Wire()), Type: q.Type}
	if !answered(t.Context(), c, 0, &asked, q, &out, false, time.Minute, nil) || len(out.Answer.Answer) != 0 || out.Answer.Until != time.Minute+5*time.Second {
		t.Errorf("it has %d records, until %v", len(out.Answer.Answer), out.Answer.Until)
	}
}

// What a query was told at once goes with it, also if a loop has left a note of what was said before that: of which it has all.
func TestWhatWasSaidLastIsKept(t *testing.T) {
	var hand handClock
	s, _ := newServedAt(t, hand.clock())
	earlier, later := new(plugin.Said), new(plugin.Said)
	for what, c := range map[string]struct {
		said *plugin.Said
		note any
		want *plugin.Said
	}{"nothing": {nil, nil, nil}, "a note": {nil, &note{earlier}, earlier}, "at once": {later, nil, later}, "both": {later, &note{earlier}, later}} {
		q := query{Packet: listen.Packet{Data: asks(t, "www.example.", false), Client: allowedClient, Local: allowedClient, Note: c.note}, table: s.Table(), said: c.said}
		s.admit(&q)
		if got := s.asked(&q).Said; got != c.want {
			t.Errorf("%s: %p, want %p", what, got, c.want)
		}
	}
}
