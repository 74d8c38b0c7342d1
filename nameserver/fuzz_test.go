package nameserver

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/lab"
	"github.com/ananas-edge/ananas/listen"
	"github.com/ananas-edge/ananas/nameserver/cache"
	"github.com/ananas-edge/ananas/nameserver/recurse"
	"github.com/ananas-edge/ananas/telemetry"
)

// served is the world of FuzzServe: answers that are small, large, aliases, made from wildcards, denied, and none at all. Nothing takes time in it.
const served = `
[zone example servers=192.0.2.1]
www      A     192.0.2.80
alias    CNAME www
far      CNAME alias
loop     CNAME loop
back     CNAME v
v        A     192.0.2.81
old      DNAME example.
*.wild   TXT   "any name"
a.b.ent  AAAA  2001:db8::1
bytes    TYPE65280 \# 4 01020304
$GENERATE 1-100 big A 192.0.2.$
$GENERATE 1-5 few TXT $
big      HTTPS 1 . alpn="h2"
group    A     192.0.2.80
some     A     192.0.2.80
tagged   A     192.0.2.80
tenant   A     192.0.2.80
[zone example at=10.0.0.53 servers=10.0.0.53 delegate=off]
group    A     10.0.0.80
some     A     10.0.0.80
tagged   A     10.0.0.80
tenant   A     10.0.0.80
[zone refused.example servers=192.0.2.2]
[zone compact.example compact=true servers=192.0.2.3]
[server 192.0.2.2]
fault refused
`

// Clients of FuzzServe.
var (
	allowedClient = netip.MustParseAddrPort("127.0.0.1:40000")
	allowedSix    = netip.MustParseAddrPort("[::1]:40000")
	cacheClient   = netip.MustParseAddrPort("10.0.0.1:40000")
	otherClient   = netip.MustParseAddrPort("192.0.2.200:40000")
)

// newServed builds a server over the lab, on real time.
func newServed(t testing.TB) (*Server, *telemetry.Crashes) {
	t.Helper()
	start := time.Now()
	return newServedAt(t, recurse.Clock{Boot: func() time.Duration { return time.Minute + time.Since(start) }, Wall: time.Now})
}

func servedLab(t testing.TB) *lab.Lab {
	t.Helper()
	l, err := lab.New(lab.Config{Seed: 1, World: lab.MustParseWorld(served)})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// inside is the group that queries of tests are sent to.
var inside = []recurse.Group{{Name: "inside", Kind: recurse.GroupStub, Zone: dns.MustParseName("example"), Servers: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.53:53")}}}

// compiled is the settings of recursion for the world of a lab, but for what change changes.
func compiled(t testing.TB, l *lab.Lab, change func(*recurse.Settings)) *recurse.Table {
	t.Helper()
	ct, err := cache.Compile(cache.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	rs := recurse.Defaults()
	rs.RootHints, rs.TrustAnchors = "hints", "none"
	rs.Limits.Sockets = 64
	change(&rs)
	rt, err := recurse.Compile(rs, ct, nil, nil, inside, func(string) ([]byte, error) { return []byte(l.RootHints()), nil })
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

func newServedAt(t testing.TB, clock recurse.Clock) (*Server, *telemetry.Crashes) {
	t.Helper()
	l := servedLab(t)
	ct, err := cache.Compile(cache.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	var limits recurse.Limits
	rt := compiled(t, l, func(s *recurse.Settings) { limits = s.Limits })
	table, err := Compile(AccessSettings{
		Allow: prefixes("127.0.0.0/8", "::1/128", "10.0.0.0/8"), CacheOnly: prefixes("10.0.0.0/8"),
	}, LimitDefaults(), SamplingDefaults(), nil, nil, rt)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	g := rand.New(rand.NewPCG(1, 2))
	random := func() uint64 {
		mu.Lock()
		defer mu.Unlock()
		return g.Uint64()
	}
	metrics := telemetry.NewMetrics()
	log := slog.New(slog.DiscardHandler)
	crashes := telemetry.NewCrashes("", metrics, log, time.Now)
	c, err := cache.New(cache.Config{Bytes: 8 << 20, Now: clock.Boot, Seed: random(), Table: ct, Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	network := l.Network()
	r := recurse.New(recurse.Config{
		Network: network, Clock: clock, Random: random, Cache: c, Limits: limits, Metrics: metrics, Crashes: crashes,
	})
	s := New(Config{Resolver: r, Cache: c, Clock: clock, Random: random, Table: table, Metrics: metrics, Crashes: crashes, Log: log, Version: "9.9", Name: "node-1", NSID: "node-1"})
	t.Cleanup(func() {
		s.Close()
		r.Close()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := network.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, crashes
}

// FuzzServe gives the server any packet. It answers, or drops it for a reason; no answer says what was not asked, or is larger than the client
// can take; and nothing panics. A second opinion (github.com/miekg/dns) reads both the query and the answer.
func FuzzServe(f *testing.F) {
	for _, seed := range packets(f) {
		for how := range byte(8) {
			f.Add(seed, how)
		}
	}
	s, crashes := newServed(f)
	f.Fuzz(func(t *testing.T, data []byte, how byte) {
		p := listen.Packet{Client: [...]netip.AddrPort{allowedClient, allowedSix, cacheClient, otherClient}[how&3], Local: allowedClient}
		if how&4 != 0 {
			p.Transport, p.Idle = listen.TCP, 10*time.Second
		}
		// Both ways in: the one that waits, and the one that hands over what it would have to wait for.
		p.Data = append([]byte(nil), data...)
		check(t, s, p, data, s.Ask(t.Context(), p), true)
		p.Data = append(p.Data[:0], data...)
		check(t, s, p, data, s.Serve(p, make([]byte, 0, 1232), listen.Reply{}), false)
		if list := crashes.List(); len(list) > 0 {
			t.Fatalf("a crash: %+v", list)
		}
	})
}

// check looks at an answer; must tells that there is one unless the packet is none to answer.
func check(t *testing.T, s *Server, p listen.Packet, query, answer []byte, must bool) {
	t.Helper()
	if len(query) < 12 || query[2]&0x80 != 0 {
		if answer != nil {
			t.Fatalf("an answer to what is no query: %x", answer)
		}
		return
	}
	if answer == nil {
		if must {
			t.Fatal("no answer to a query")
		}
		return
	}
	var a miekg.Msg
	if err := a.Unpack(answer); err != nil {
		t.Fatalf("the answer can't be read: %v\n%x", err, answer)
	}
	flags, asked := binary.BigEndian.Uint16(answer[2:]), binary.BigEndian.Uint16(query[2:])
	const qr, opcode, rd, cd = 0x8000, 0x7800, 0x0100, 0x0010
	if string(answer[:2]) != string(query[:2]) || flags&qr == 0 || (flags^asked)&(opcode|rd|cd) != 0 {
		t.Fatalf("id and flags % x are answered with % x", query[:4], answer[:4])
	}
	var q miekg.Msg
	readable := q.Unpack(query) == nil
	limit := miekg.MinMsgSize
	if o := q.IsEdns0(); readable && o != nil {
		limit = max(limit, min(int(o.UDPSize()), s.Table().Limits.UDPAnswer))
	}
	if !readable {
		limit = s.Table().Limits.UDPAnswer
	}
	if p.Transport == listen.TCP {
		limit = miekg.MaxMsgSize
	}
	if len(answer) > limit {
		t.Fatalf("%d octets over %v, where %d are allowed:\n%v", len(answer), p.Transport, limit, &a)
	}
	if a.Truncated && p.Transport == listen.TCP {
		t.Fatalf("truncated over TCP:\n%v", &a)
	}
	if a.Truncated && len(a.Answer)+len(a.Ns) > 0 {
		t.Fatalf("truncated, and records all the same:\n%v", &a)
	}
	if len(a.Question) > 1 || len(a.Question) == 1 && !echoed(query, answer) {
		t.Fatalf("the question is not the one that was asked:\n%x\n%x", query, answer)
	}
	if readable && q.Opcode == miekg.OpcodeQuery && a.Rcode != miekg.RcodeFormatError && p.Client != otherClient { // who may not ask learns no more
		if len(q.Question) == 1 && len(a.Question) != 1 {
			t.Fatalf("no question in the answer:\n%v", &a)
		}
		if (q.IsEdns0() != nil) != (a.IsEdns0() != nil) {
			t.Fatalf("EDNS in one of query and answer:\n%v\n%v", &q, &a)
		}
	}
	beside := slices.DeleteFunc(slices.Clone(a.Extra), func(rr miekg.RR) bool { return rr.Header().Rrtype == miekg.TypeOPT })
	if len(beside) > 0 && (a.Truncated || len(a.Answer) == 0) {
		t.Fatalf("additional records beside nothing:\n%v", &a)
	}
	for _, rr := range slices.Concat(a.Answer, a.Ns, beside) {
		if rr.Header().Class != a.Question[0].Qclass {
			t.Fatalf("a record of another class than was asked for:\n%v", &a)
		}
	}
}

// echoed tells whether the answer's question is that of the query, octet for octet.
func echoed(query, answer []byte) bool {
	end := 12
	for end < len(answer) && answer[end] != 0 {
		end += 1 + int(answer[end])
	}
	end += 5
	return end <= len(query) && end <= len(answer) && string(query[12:end]) == string(answer[12:end])
}

// packets are queries of all kinds, right and wrong.
func packets(t testing.TB) [][]byte {
	t.Helper()
	var all [][]byte
	pack := func(name string, typ uint16, edit func(*miekg.Msg)) {
		m := new(miekg.Msg)
		m.SetQuestion(name, typ)
		m.Id = 0x1234
		if edit != nil {
			edit(m)
		}
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	edns := func(size uint16, do bool, options ...miekg.EDNS0) func(*miekg.Msg) {
		return func(m *miekg.Msg) {
			m.SetEdns0(size, do)
			m.IsEdns0().Option = options
		}
	}
	cookie := func(hex string) miekg.EDNS0 { return &miekg.EDNS0_COOKIE{Code: miekg.EDNS0COOKIE, Cookie: hex} }
	for _, name := range []string{
		"www.example.", "WWW.eXample.", "far.example.", "loop.example.", "www.old.example.", "x.wild.example.", "b.ent.example.", "big.example.",
		"none.example.", "www.refused.example.", ".", "localhost.", "1.0.0.127.in-addr.arpa.", `a\.b\000.example.`,
	} {
		pack(name, miekg.TypeA, nil)
		pack(name, miekg.TypeA, edns(1232, true))
	}
	for _, do := range []bool{true, false} {
		pack("none.compact.example.", miekg.TypeA, edns(1232, do))
		pack("none.compact.example.", miekg.TypeA, func(m *miekg.Msg) {
			m.SetEdns0(1232, do)
			m.IsEdns0().SetCo()
		})
	}
	for _, typ := range []uint16{
		miekg.TypeANY, miekg.TypeAXFR, miekg.TypeIXFR, miekg.TypeMAILA, miekg.TypeOPT, miekg.TypeTKEY, miekg.TypeRRSIG, miekg.TypeDS, miekg.TypeNS, miekg.TypeSOA, 65280, 0,
	} {
		pack("bytes.example.", typ, edns(4096, false))
	}
	pack("big.example.", miekg.TypeA, edns(0, false))
	pack("big.example.", miekg.TypeHTTPS, edns(1232, true, &miekg.EDNS0_NSID{Code: miekg.EDNS0NSID}))
	pack("big.example.", miekg.TypeA, edns(65535, true, cookie("0123456789abcdef"), &miekg.EDNS0_TCP_KEEPALIVE{Code: miekg.EDNS0TCPKEEPALIVE}))
	pack("www.example.", miekg.TypeA, edns(1232, false, cookie("0123456789abcdef01000000000000000123456789abcdef")))
	pack("www.example.", miekg.TypeA, edns(1232, false, cookie("01234567")))
	pack("www.example.", miekg.TypeA, edns(1232, false, &miekg.EDNS0_SUBNET{Code: miekg.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: []byte{192, 0, 2, 0}}))
	pack("www.example.", miekg.TypeA, edns(1232, false, &miekg.EDNS0_LOCAL{Code: 65001, Data: []byte("anything")}))
	pack("www.example.", miekg.TypeA, func(m *miekg.Msg) {
		m.SetEdns0(1232, false)
		m.IsEdns0().SetVersion(1)
	})
	pack("www.example.", miekg.TypeA, func(m *miekg.Msg) { m.RecursionDesired = false })
	pack("www.example.", miekg.TypeA, func(m *miekg.Msg) { m.CheckingDisabled, m.AuthenticatedData = true, true })
	pack("www.example.", miekg.TypeA, func(m *miekg.Msg) { m.Response = true })
	pack("www.example.", miekg.TypeA, func(m *miekg.Msg) { m.Opcode = miekg.OpcodeNotify })
	pack("www.example.", miekg.TypeA, func(m *miekg.Msg) { m.Opcode = miekg.OpcodeUpdate })
	pack("www.example.", miekg.TypeA, func(m *miekg.Msg) { m.Question = append(m.Question, m.Question[0]) })
	pack("www.example.", miekg.TypeA, func(m *miekg.Msg) { m.Question = nil })
	pack(".", miekg.TypeA, func(m *miekg.Msg) {
		edns(1232, false, cookie("0123456789abcdef"))(m)
		m.Question = nil
	})
	for _, class := range []uint16{miekg.ClassCHAOS, miekg.ClassHESIOD, miekg.ClassANY, miekg.ClassNONE, 0} {
		pack("version.bind.", miekg.TypeTXT, func(m *miekg.Msg) { m.Question[0].Qclass = class })
	}
	pack("www.example.", miekg.TypeA, func(m *miekg.Msg) { m.SetTsig("key.", miekg.HmacSHA256, 300, 1) })
	usual := all[0]
	all = append(all, nil, usual[:11], usual[:12], usual[:len(usual)-1], append(usual[:len(usual):len(usual)], 0))
	return append(all, append(usual[:12:12], 0xc0, 0x0c, 0, 1, 0, 1)) // a name that is a pointer to itself
}

// The packets of the fuzz target cover what a server may say: no kind of answer is left out by mistake.
func TestPacketsCoverTheAnswers(t *testing.T) {
	s, _ := newServed(t)
	got := map[string]bool{}
	for _, data := range packets(t) {
		for _, transport := range []listen.Transport{listen.UDP, listen.TCP} {
			answer := s.Ask(t.Context(), listen.Packet{Data: append([]byte(nil), data...), Client: allowedClient, Transport: transport})
			if answer == nil {
				got["none"] = true
				continue
			}
			var m miekg.Msg
			if err := m.Unpack(answer); err != nil {
				t.Fatal(err)
			}
			got[miekg.RcodeToString[m.Rcode]] = true
			got[fmt.Sprintf("tc=%v", m.Truncated)] = true
		}
	}
	for _, want := range []string{"none", "NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED", "FORMERR", "NOTIMP", "BADVERS", "tc=true"} {
		if !got[want] && !(want == "BADVERS" && got["BADSIG"]) { // one number, two names
			t.Errorf("no packet is answered with %s: %v", want, got)
		}
	}
}
