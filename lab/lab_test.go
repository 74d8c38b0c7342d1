package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/ananas-edge/ananas/dns"
)

func TestHintsAndAnchorsParse(t *testing.T) {
	l := newLab(t, "[generate zones=10 hosts=10]")
	var hosts, addrs int
	p := miekg.NewZoneParser(strings.NewReader(l.RootHints()), ".", "")
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		switch rr := rr.(type) {
		case *miekg.NS:
			hosts++
		case *miekg.A, *miekg.AAAA:
			addrs++
			if r := ask(t, l, strings.Fields(rr.String())[4], ".", miekg.TypeNS); r == nil || len(r.Answer) == 0 {
				t.Errorf("%v does not serve the root", rr)
			}
		}
	}
	if err := p.Err(); err != nil || hosts != 13 || addrs != 26 {
		t.Errorf("root hints have %d hosts and %d addresses (%v), 13 and 26 wanted", hosts, addrs, err)
	}
	anchor, err := miekg.NewRR(l.TrustAnchors())
	if err != nil || anchor.Header().Rrtype != miekg.TypeDS {
		t.Errorf("trust anchors %q: %v", l.TrustAnchors(), err)
	}
	if got := newLab(t, "[zone . sign=none servers=192.0.2.1]").TrustAnchors(); got != "" {
		t.Errorf("an unsigned root has the trust anchor %q", got)
	}
}

// The issue asks for 1,000 real top-level domains; each has servers that answer for it.
func TestTopLevelDomainsAnswer(t *testing.T) {
	l := newLab(t, "[generate zones=10 hosts=10]")
	tlds := 0
	for apex, z := range l.internet.registries {
		if apex.Labels() == 1 {
			tlds++
		}
		if len(z.addrs) == 0 {
			t.Errorf("%v has no servers", apex)
			continue
		}
		if r := ask(t, l, z.addrs[0].String(), apex.String(), miekg.TypeSOA, noDO); !r.Authoritative || len(r.Answer) != 1 {
			t.Errorf("%v does not answer for %v:\n%v", z.addrs[0], apex, r)
		}
	}
	if tlds != 1508 {
		t.Errorf("%d top-level domains", tlds)
	}
}

// Seeds make different internets; one seed makes the same in each run (the first names are written here).
func TestSeedsDecide(t *testing.T) {
	names := func(seed uint64) string {
		l, err := New(Config{Seed: seed, World: MustParseWorld("[generate zones=1000 hosts=5000]")})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(l.Names(4), l.TrustAnchors())
	}
	const want = "[www.gazale.net. www.zufutu.info. www.bekiro.it. www.gulosa.com.]" +
		". 86400 IN DS 33167 13 2 BC4F381E1D805936E970DD047051CF40266A2B9D865D184CE3B083FF30A0E241\n"
	if got := names(1); got != want {
		t.Errorf("seed 1 gives %s", got)
	}
	if names(1) == names(2) {
		t.Error("seeds 1 and 2 give the same names")
	}
}

// Every style of name servers and every sort of record of the issue occurs in the generated zones.
func TestGeneratedZonesAreMixed(t *testing.T) {
	l := newLab(t, "[generate]")
	in := l.internet
	seen := map[string]int{}
	for z := range 3000 {
		p := in.profile(z)
		apex := in.zoneName(z, p)
		zone := in.site(apex)
		s := zone.content.(*site)
		seen[fmt.Sprint("servers ", len(s.ns))]++
		inside := 0
		for _, host := range s.ns {
			if host.IsWithin(apex) {
				inside++
			}
			if len(in.addresses(host)) == 0 {
				t.Errorf("server %v of %v has no address", host, apex)
			}
		}
		switch {
		case inside == len(s.ns):
			seen["in-domain"]++
		case inside > 0:
			seen["mixed"]++
		case !s.ns[0].IsWithin(apex.Parent()):
			seen["other suffix"]++
		}
		if p.style == foreign {
			seen["foreign"]++
		}
		if len(zone.addrs) == 0 {
			t.Errorf("zone %v has no servers", apex)
		}
		switch {
		case zone.signing.off():
			seen["unsigned"]++
		case zone.signing.nsec3:
			seen["nsec3"]++
		default:
			seen["nsec"]++
		}
		seen[fmt.Sprint("algorithm ", zone.signing.algorithm)]++
		for _, n := range []string{"", "www", "mail", "*", "_sip._tcp", "_dns", "old", "corp", "edge"} {
			at := apex
			if n != "" {
				at = name(n + "." + apex.String())
			}
			nd := zone.node(at)
			if nd.empty {
				seen["empty non-terminal"]++
			}
			for _, set := range nd.sets {
				what := set.Type.String()
				if n == "*" {
					what = "wildcard " + what
				}
				seen[what]++
			}
		}
	}
	for _, what := range []string{"servers 2", "servers 3", "servers 4", "in-domain", "mixed", "other suffix", "foreign", "unsigned", "nsec", "nsec3",
		"algorithm 8", "algorithm 10", "algorithm 13", "algorithm 14", "algorithm 15", "A", "AAAA", "CNAME", "MX", "TXT", "HTTPS", "SVCB", "SRV",
		"CAA", "DNAME", "DS", "wildcard A", "empty non-terminal"} {
		if seen[what] == 0 {
			t.Errorf("no %s in 3,000 zones", what)
		}
	}
	t.Log(seen)
}

func TestAddressesAreDecoded(t *testing.T) {
	in := newLab(t, "[generate]").internet
	v6 := 0
	for n := range uint64(20000) {
		for _, a := range in.serverAddr(n) {
			if back, ok := in.serverNumber(a); !ok || back != n {
				t.Fatalf("server %d has address %v, which decodes to %d, %v", n, a, back, ok)
			}
			if a.Is6() {
				v6++
			}
			if len(in.serving[a]) > 0 {
				t.Errorf("generated server %v has the address of a real one", a)
			}
		}
	}
	if v6 < 11000 || v6 > 13000 {
		t.Errorf("%d of 20,000 servers have an IPv6 address, 60 %% wanted", v6)
	}
	for _, a := range []string{"192.0.2.1", "34.0.0.1", "2a0e:b100::1", "2a0e:b100:0:1::53"} {
		if s := newLab(t, "[generate zones=8 hosts=8]").server(netip.MustParseAddr(a)); s != nil {
			t.Errorf("there is a server at %v", a)
		}
	}
}

func TestSharesOfFaults(t *testing.T) {
	l := newLab(t, "[generate]\n[defaults]\nlame 5%\nipv6 dead\nfault formerr when=edns of=10%\nfault servfail rate=20% type=TXT\nfault drop type=MX qname=*.com")
	lame, formerr, servfail, all := 0, 0, 0, 0
	for z := range 4000 {
		apex := l.internet.zoneName(z, l.internet.profile(z))
		zone := l.internet.site(apex)
		for _, a := range zone.addrs {
			r := ask(t, l, a.String(), apex.String(), miekg.TypeSOA, plain)
			if a.Is6() {
				if r != nil {
					t.Fatalf("%v answers, and IPv6 is dead", a)
				}
				continue
			}
			all++
			if r.Rcode == miekg.RcodeRefused {
				lame++
				continue
			}
			if ask(t, l, a.String(), apex.String(), miekg.TypeSOA).Rcode == miekg.RcodeFormatError {
				formerr++
			}
			if ask(t, l, a.String(), apex.String(), miekg.TypeTXT, plain).Rcode == miekg.RcodeServerFailure {
				servfail++
			}
			if again := ask(t, l, a.String(), apex.String(), miekg.TypeSOA, plain); again.Rcode == miekg.RcodeRefused {
				t.Fatalf("%v is lame for %v only sometimes", a, apex)
			}
		}
	}
	for what, n := range map[string][3]int{"lame": {lame, 4, 6}, "formerr": {formerr, 8, 12}, "servfail": {servfail, 17, 21}} {
		if n[0]*100 < all*n[1] || n[0]*100 > all*n[2] {
			t.Errorf("%s: %d of %d", what, n[0], all)
		}
	}
	if r := ask(t, l, "198.41.0.4", "com", miekg.TypeMX); r == nil {
		t.Error("the root has the faults of [defaults]")
	}
	if r := ask(t, l, "2001:503:ba3e::2:30", "com", miekg.TypeMX); r != nil {
		t.Error("IPv6 is dead, and a root server answers over it")
	}
}

// A fault at some names is at these whenever and for whatever type they are asked, and at other names of another server.
func TestFaultAtNames(t *testing.T) {
	l := newLab(t, `[zone example servers=192.0.2.1,192.0.2.2]
*    A 192.0.2.80
[server 192.0.2.1 192.0.2.2]
fault servfail names=20%`)
	const all = 1000
	bad, both := 0, 0
	for i := range all {
		name := fmt.Sprintf("R%d.example", i)
		fails := func(server, name string, typ uint16) bool {
			return ask(t, l, server, name, typ, plain).Rcode == miekg.RcodeServerFailure
		}
		first := fails("192.0.2.1", name, miekg.TypeA)
		if again, other, lower := fails("192.0.2.1", name, miekg.TypeA), fails("192.0.2.1", name, miekg.TypeMX), fails("192.0.2.1", strings.ToLower(name), miekg.TypeA); again != first || other != first || lower != first {
			t.Fatalf("%s fails: %v, then %v, for MX %v, in lower case %v", name, first, again, other, lower)
		}
		if first {
			bad++
			if fails("192.0.2.2", name, miekg.TypeA) {
				both++
			}
		}
	}
	if bad < all*17/100 || bad > all*23/100 || both > all*8/100 {
		t.Errorf("of %d names %d fail at one server and %d at both, with 20 %% ordered", all, bad, both)
	}
}

func TestServersAreSelected(t *testing.T) {
	l := newLab(t, `[generate]
[zone attack.com servers=192.0.2.1,192.0.2.2]
[server zone=attack.com]
fault drop rate=90%
[server zone=com]
latency 5s
[server name=a.iana-servers.net]
latency 7s`)
	dropped := 0
	for i := range 1000 {
		if exchangeOf(t, l, "192.0.2.2", fmt.Sprintf("r%d.attack.com", i), miekg.TypeA) == nil {
			dropped++
		}
	}
	if dropped < 870 || dropped > 930 {
		t.Errorf("%d of 1,000 questions were dropped, 90 %% are ordered", dropped)
	}
	for server, want := range map[string]time.Duration{"192.5.6.30": 5 * time.Second, "2001:500:8f::53": 7 * time.Second, "198.41.0.4": 0} {
		if x := exchangeOf(t, l, server, "com", miekg.TypeA); x.wait != want {
			t.Errorf("%s takes %v, %v ordered", server, x.wait, want)
		}
	}
}

// A written zone may lie below a generated one, and takes the place of a generated one of its name.
func TestWrittenLiesOnGenerated(t *testing.T) {
	names := newLab(t, "[generate]").Names(2)
	zone := func(n dns.Name) string { return n.Parent().String() } // the first names are www.ZONE
	l := newLab(t, fmt.Sprintf("[generate]\n[zone sub.%s servers=192.0.2.1]\nwww A 192.0.2.80\n[zone %s servers=192.0.2.2]\nwww A 192.0.2.81", zone(names[0]), zone(names[1])))
	w := &walker{t, l, map[string][]*miekg.DNSKEY{}}
	for n, want := range map[string]string{"www.sub." + zone(names[0]): "192.0.2.80", names[1].String(): "192.0.2.81"} {
		r, at := w.resolve(n, miekg.TypeA)
		w.verify(r.Answer, never)
		if a, ok := r.Answer[0].(*miekg.A); !ok || a.A.String() != want {
			t.Errorf("%s in %s:\n%v", n, at, r)
		}
	}
	if r, _ := w.resolve("mail."+zone(names[1]), miekg.TypeA); r.Rcode != miekg.RcodeNameError {
		t.Errorf("what was generated shows through what was written:\n%v", r)
	}
}

// A written zone may be a top-level domain that is not among the generated ones, or lie below such a name, which then exists and is empty.
func TestWrittenLiesBesideGenerated(t *testing.T) {
	for _, sign := range []string{"nsec", "none"} {
		l := newLab(t, fmt.Sprintf(`[generate]
[zone mine sign=%[1]s servers=192.0.2.1]
www A 192.0.2.80
[zone one.example sign=%[1]s servers=192.0.2.2]
www A 192.0.2.81
[zone two.deep.example sign=%[1]s servers=192.0.2.3]
www A 192.0.2.82`, sign))
		w := &walker{t, l, map[string][]*miekg.DNSKEY{}}
		for n, want := range map[string]string{"www.mine": "192.0.2.80", "www.one.example": "192.0.2.81", "www.two.deep.example": "192.0.2.82"} {
			r, at := w.resolve(n, miekg.TypeA)
			if len(r.Answer) == 0 {
				t.Errorf("%s, sign=%s, in %s:\n%v", n, sign, at, r)
				continue
			}
			if a, ok := r.Answer[0].(*miekg.A); !ok || a.A.String() != want {
				t.Errorf("%s, sign=%s, in %s:\n%v", n, sign, at, r)
			}
		}
		for n, rcode := range map[string]int{"example": miekg.RcodeSuccess, "deep.example": miekg.RcodeSuccess, "other.example": miekg.RcodeNameError} {
			if r := ask(t, l, "198.41.0.4", n, miekg.TypeA); r == nil || r.Rcode != rcode {
				t.Errorf("the root about %s, sign=%s:\n%v", n, sign, r)
			}
		}
	}
}

func TestCookiesAreKept(t *testing.T) {
	l := newLab(t, "[zone example servers=192.0.2.1]\n[server 192.0.2.1]\nfault cookies as=enforce")
	const client = "0123456789abcdef"
	cookie := func(value string) how { return option(&miekg.EDNS0_COOKIE{Code: miekg.EDNS0COOKIE, Cookie: value}) }
	given := func(r *miekg.Msg) string { return r.IsEdns0().Option[0].(*miekg.EDNS0_COOKIE).Cookie }
	first := ask(t, l, "192.0.2.1", "example", miekg.TypeSOA, cookie(client))
	if first.Rcode != miekg.RcodeBadCookie || !strings.HasPrefix(given(first), client) || len(given(first)) != 48 {
		t.Fatalf("no cookie was demanded and given:\n%v", first)
	}
	if r := ask(t, l, "192.0.2.1", "example", miekg.TypeSOA, cookie(given(first))); r.Rcode != miekg.RcodeSuccess {
		t.Errorf("the server does not know its cookie again:\n%v", r)
	}
	stranger := func(_ *miekg.Msg, a *asking) { a.client = netip.MustParseAddrPort("203.0.113.99:1000") }
	if r := ask(t, l, "192.0.2.1", "example", miekg.TypeSOA, cookie(given(first)), stranger); r.Rcode != miekg.RcodeBadCookie {
		t.Errorf("another client's cookie was taken:\n%v", r)
	}
	if r := ask(t, l, "192.0.2.1", "example", miekg.TypeSOA, cookie(client+strings.Repeat("ff", 16))); r.Rcode != miekg.RcodeBadCookie {
		t.Errorf("a made-up cookie was taken:\n%v", r)
	}
	if r := ask(t, l, "192.0.2.1", "example", miekg.TypeSOA, cookie("0123")); r.Rcode != miekg.RcodeFormatError { // RFC 7873 section 5.2.2
		t.Errorf("a cookie of two octets:\n%v", r)
	}
}

func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, "[zone example servers=192.0.2.1]\n[server 192.0.2.1]\nfault limit n=10")
		a := l.Network()
		defer a.Close()
		ask := func(n *Network, times int) (replies int) {
			c := listen(t, n, false)
			defer c.Close()
			for i := range times {
				send(t, c, "192.0.2.1:53", packed(t, fmt.Sprintf("h%d.example", i), miekg.TypeA, 1))
			}
			_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
			for {
				if _, _, err := c.ReadFromUDPAddrPort(make([]byte, 512)); err != nil {
					return replies
				}
				replies++
			}
		}
		if got := ask(a, 30); got != 10 {
			t.Errorf("%d of 30 questions at once were answered, 10 a second are", got)
		}
		time.Sleep(500 * time.Millisecond)
		if got := ask(a, 30); got != 5 {
			t.Errorf("%d of 30 were answered half a second later, 5 wanted", got)
		}
		time.Sleep(time.Hour)
		if got := ask(a, 30); got != 10 {
			t.Errorf("%d of 30 were answered an hour later, 10 wanted", got)
		}
	})
}

// Each flaw of signatures is what its name says, seen with miekg/dns.
func TestSignatureFlaws(t *testing.T) {
	for _, flaw := range []string{"", "signatures=expired", "signatures=future", "signatures=corrupt", "signatures=missing", "signatures=no-dnskey", "ds=none", "ds=wrong"} {
		l := newLab(t, "[zone example servers=192.0.2.1 "+flaw+"]\nwww A 192.0.2.80")
		var key *miekg.DNSKEY
		for _, rr := range ask(t, l, "192.0.2.1", "example", miekg.TypeDNSKEY).Answer {
			if k, ok := rr.(*miekg.DNSKEY); ok {
				key = k
			}
		}
		var ds *miekg.DS
		for _, rr := range ask(t, l, "198.41.0.4", "example", miekg.TypeDS).Answer {
			if d, ok := rr.(*miekg.DS); ok {
				ds = d
			}
		}
		r := ask(t, l, "192.0.2.1", "www.example", miekg.TypeA)
		var sig *miekg.RRSIG
		if len(r.Answer) > 1 {
			sig = r.Answer[1].(*miekg.RRSIG)
		}
		got := ""
		switch {
		case ds == nil:
			got = "ds=none"
		case key == nil:
			got = "signatures=no-dnskey"
		case !strings.EqualFold(key.ToDS(ds.DigestType).Digest, ds.Digest):
			got = "ds=wrong"
		case sig == nil:
			got = "signatures=missing"
		case sig.Verify(key, r.Answer[:1]) != nil:
			got = "signatures=corrupt"
		case !sig.ValidityPeriod(time.Now()) && sig.Expiration < uint32(time.Now().Unix()):
			got = "signatures=expired"
		case !sig.ValidityPeriod(time.Now()):
			got = "signatures=future"
		}
		if got != flaw {
			t.Errorf("ordered %q, got %q", flaw, got)
		}
	}
}

// Signatures are good whenever they are asked for, by the lab's clock, and keys roll when the world says so.
func TestSignaturesFollowTheClock(t *testing.T) {
	now := time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)
	l, err := New(Config{World: MustParseWorld("[zone example servers=192.0.2.1]\n[zone example from=240h key=1 servers=192.0.2.1]"), Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	keys := map[uint16]bool{}
	for day := range 30 {
		r := ask(t, l, "192.0.2.1", "example", miekg.TypeDNSKEY, after(time.Duration(day)*24*time.Hour))
		sig := r.Answer[len(r.Answer)-1].(*miekg.RRSIG)
		key := r.Answer[0].(*miekg.DNSKEY)
		if !sig.ValidityPeriod(now) || sig.Verify(key, r.Answer[:1]) != nil {
			t.Errorf("day %d: the signature is not good", day)
		}
		keys[key.KeyTag()] = true
		now = now.Add(24 * time.Hour)
	}
	if len(keys) != 2 {
		t.Errorf("%d keys were seen, 2 wanted", len(keys))
	}
	for _, rr := range ask(t, l, "198.41.0.4", "example", miekg.TypeDS).Answer {
		if ds, ok := rr.(*miekg.DS); ok {
			delete(keys, ds.KeyTag)
		}
	}
	if len(keys) != 0 {
		t.Errorf("the parent has no DS for the keys %v", keys)
	}
}

// Many clients at once get what one gets, and what is kept stays within its bounds. Run with -race.
func TestConcurrentUse(t *testing.T) {
	lab := func() *Lab {
		l, err := New(Config{Seed: 1, World: MustParseWorld("[generate]\n[defaults]\nfault verbose of=40%"), Signatures: 100, Images: 100})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	alone, shared := lab(), lab()
	names := alone.Names(300)
	reply := func(l *Lab, n dns.Name) string {
		zones := l.enclosing(n, netip.Addr{}, 0)
		return ask(t, l, zones[len(zones)-1].addrs[0].String(), n.String(), miekg.TypeA, overTCP).String()
	}
	want := map[dns.Name]string{}
	for _, n := range names {
		want[n] = reply(alone, n)
	}
	var work sync.WaitGroup
	for g := range 4 {
		work.Go(func() {
			for i := range names {
				n := names[(i+g*7)%len(names)]
				if got := reply(shared, n); got != want[n] {
					t.Errorf("%v:\n%s\nand alone\n%s", n, got, want[n])
				}
			}
		})
	}
	work.Wait()
	if have := len(shared.images.kept.young) + len(shared.images.kept.old); have > 100 {
		t.Errorf("%d images are kept, 100 allowed", have)
	}
	if have := len(shared.ring.made.young) + len(shared.ring.made.old); have > 100 {
		t.Errorf("%d signatures are kept, 100 allowed", have)
	}
}

func TestCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []Question
		l, err := New(Config{World: MustParseWorld("[zone example servers=192.0.2.1]\n[server 192.0.2.1]\nloss 100%"), Log: 2, OnQuestion: func(q Question) { seen = append(seen, q) }})
		if err != nil {
			t.Fatal(err)
		}
		n := l.Network()
		defer n.Close()
		c := listen(t, n, false)
		time.Sleep(time.Second)
		for range 3 {
			send(t, c, "192.0.2.1:53", packed(t, "wWw.example", miekg.TypeA, 1))
		}
		send(t, c, "198.41.0.4:53", packed(t, "www.example", miekg.TypeAAAA, 1))
		if a, aaaa := l.Asked(name("www.EXAMPLE"), dns.TypeA), l.Asked(name("www.example"), dns.TypeAAAA); a != 3 || aaaa != 1 {
			t.Errorf("asked A %d and AAAA %d times, 3 and 1 wanted", a, aaaa)
		}
		if got := l.AskedOf(netip.MustParseAddr("192.0.2.1")); got != 3 {
			t.Errorf("the server counts %d questions, 3 wanted", got)
		}
		s := l.Stats()
		if s.Questions != 4 || s.Lost != 3 || s.TCP != 0 || s.Types[dns.TypeA] != 3 {
			t.Errorf("%+v", s)
		}
		want := Question{At: time.Second, Client: netip.MustParseAddrPort("203.0.113.53:49152"), Server: netip.MustParseAddr("192.0.2.1"),
			Name: name("wWw.example"), Type: dns.TypeA, EDNS: true, DO: true, Attempt: 2}
		if log := l.Questions(); len(log) != 2 || log[1] != want {
			t.Errorf("the log of two is %+v", log)
		}
		if len(seen) != 4 || !slices.Equal(seen[:2], l.Questions()) {
			t.Errorf("the hook saw %+v", seen)
		}
		l.Forget()
		if s := l.Stats(); s.Questions != 0 || l.Asked(name("www.example"), dns.TypeA) != 0 || len(l.Questions()) != 0 {
			t.Errorf("after Forget: %+v", s)
		}
	})
}
