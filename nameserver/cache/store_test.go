package cache

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// What may take the place of what, the old one expiring after ten seconds (RFC 2181 section 5.4.1).
func TestReplace(t *testing.T) {
	const life = 10 * time.Second
	for _, tc := range []struct {
		what    string
		oldRank Rank
		old     Security
		after   time.Duration
		newRank Rank
		new     Security
		want    Verdict
	}{
		{what: "equal rank", oldRank: RankAnswer, newRank: RankAnswer},
		{what: "higher rank", oldRank: RankAnswer, newRank: RankAuthority},
		{what: "lower rank", oldRank: RankAuthAnswer, newRank: RankAuthority, want: RefusedRank},
		{what: "glue over an answer", oldRank: RankAnswer, newRank: RankGlue, want: RefusedRank},
		{what: "lower rank, a moment too early", oldRank: RankAuthAnswer, after: life - 1, newRank: RankGlue, want: RefusedRank},
		{what: "lower rank, expired", oldRank: RankAuthAnswer, after: life, newRank: RankGlue},
		{what: "anything over secure and expired", oldRank: RankZone, old: Secure, after: life, newRank: RankAdditional, new: Bogus},
		{what: "unchecked over secure", oldRank: RankAnswer, old: Secure, newRank: RankAuthAnswer, want: RefusedSecurity},
		{what: "insecure over secure", oldRank: RankAnswer, old: Secure, newRank: RankAuthAnswer, new: Insecure, want: RefusedSecurity},
		{what: "bogus over secure", oldRank: RankAnswer, old: Secure, newRank: RankAnswer, new: Bogus, want: RefusedSecurity},
		{what: "secure over secure", oldRank: RankAnswer, old: Secure, newRank: RankAnswer, new: Secure},
		{what: "secure over secure of higher rank", oldRank: RankAuthAnswer, old: Secure, newRank: RankAnswer, new: Secure, want: RefusedRank},
		{what: "secure over unchecked of higher rank", oldRank: RankAuthAnswer, newRank: RankAuthority, new: Secure},
		{what: "secure over bogus of higher rank", oldRank: RankAuthAnswer, old: Bogus, newRank: RankAuthority, new: Secure},
		{what: "insecure over bogus of higher rank", oldRank: RankAuthAnswer, old: Bogus, newRank: RankAuthority, new: Insecure},
		{what: "unchecked over bogus of higher rank", oldRank: RankAuthAnswer, old: Bogus, newRank: RankAuthority, want: RefusedRank},
		{what: "unchecked over bogus", oldRank: RankAuthAnswer, old: Bogus, newRank: RankAuthAnswer},
		{what: "bogus over unchecked", oldRank: RankAuthAnswer, newRank: RankAuthAnswer, new: Bogus},
	} {
		t.Run(tc.what, func(t *testing.T) {
			n := name("www.example.com")
			put := map[string]func(*Cache, time.Duration, Rank, Security, int) Verdict{
				"RRset": func(c *Cache, now time.Duration, r Rank, s Security, i int) Verdict {
					e := aRecord(n, i, now, life)
					e.Rank, e.Security = r, s
					return c.Put(e, c.Epoch())
				},
				"denial": func(c *Cache, now time.Duration, r Rank, s Security, _ int) Verdict {
					d := nodata(n, dns.TypeA, now, life)
					d.Rank, d.Security = r, s
					return c.PutDenial(d, c.Epoch())
				},
			}
			for kind, put := range put {
				c, clk := newCache(t, Config{Bytes: MinBytes})
				if v := put(c, clk.now(), tc.oldRank, tc.old, 1); v != Stored {
					t.Fatalf("%s: the old one: %v", kind, v)
				}
				clk.advance(tc.after)
				if v := put(c, clk.now(), tc.newRank, tc.new, 2); v != tc.want {
					t.Errorf("%s: %v, want %v", kind, v, tc.want)
				}
				if e, ok := c.Get(keyA(n), nil); ok && (string(e.Set.Data) == string(address(2))) != (tc.want == Stored) {
					t.Errorf("%s: the cache holds the wrong one", kind)
				}
				if got := c.m.refused[RefusedRank].Value() + c.m.refused[RefusedSecurity].Value(); (got == 1) != (tc.want != Stored) {
					t.Errorf("%s: %d refusals counted", kind, got)
				}
			}
		})
	}
}

// An RRset and its denial do not stand next to each other, unless the one that is there is worth more.
func TestContradiction(t *testing.T) {
	n := name("www.example.com")
	has := func(c *Cache, typ dns.Type) (set, denial bool) {
		_, set = c.Peek(Key{Name: n, Type: typ})
		_, denial = c.GetDenial(n, typ)
		return
	}
	type step struct {
		put         string        // A, AAAA, CNAME, glue (A), NODATA (of A), NXDOMAIN
		after       time.Duration // before it
		set, denial bool          // of A, afterwards
	}
	for what, steps := range map[string][]step{
		"a record ends NODATA":              {{"NODATA", 0, false, true}, {"A", 0, true, false}},
		"a record ends NXDOMAIN":            {{"NXDOMAIN", 0, false, true}, {"A", 0, true, false}},
		"any record ends NXDOMAIN":          {{"NXDOMAIN", 0, false, true}, {"AAAA", 0, false, false}},
		"another type does not end NODATA":  {{"NODATA", 0, false, true}, {"AAAA", 0, false, true}},
		"glue ends nothing":                 {{"NXDOMAIN", 0, false, true}, {"glue", 0, true, true}},
		"NODATA ends a record":              {{"A", 0, true, false}, {"NODATA", 0, false, true}},
		"NXDOMAIN leaves what is live":      {{"A", 0, true, false}, {"NXDOMAIN", 0, true, true}},
		"NXDOMAIN ends what has expired":    {{"A", 0, true, false}, {"NXDOMAIN", time.Minute, false, true}},
		"NODATA ends NXDOMAIN":              {{"NXDOMAIN", 0, false, true}, {"NODATA", 0, false, true}, {"AAAA", 0, false, true}},
		"an alias ends what has expired":    {{"A", 0, true, false}, {"CNAME", time.Minute, false, false}},
		"an alias leaves what is live":      {{"A", 0, true, false}, {"CNAME", 0, true, false}},
		"a live NODATA before old NXDOMAIN": {{"NODATA", 0, false, true}, {"NXDOMAIN", 0, false, true}, {"NODATA", time.Minute, false, true}},
	} {
		t.Run(what, func(t *testing.T) {
			c, clk := newCache(t, Config{Bytes: MinBytes})
			for i, s := range steps {
				clk.advance(s.after)
				e := aRecord(n, 1, clk.now(), time.Minute)
				var v Verdict
				switch s.put {
				case "NODATA":
					v = c.PutDenial(nodata(n, dns.TypeA, clk.now(), time.Minute), c.Epoch())
				case "NXDOMAIN":
					v = c.PutDenial(nxdomain(n, clk.now(), time.Minute), c.Epoch())
				case "glue":
					e.Rank = RankGlue
					v = c.Put(e, c.Epoch())
				default:
					e.Set.Type, _ = dns.ParseType(s.put)
					v = c.Put(e, c.Epoch())
				}
				if v != Stored {
					t.Fatalf("step %d: %v", i, v)
				}
				if set, denial := has(c, dns.TypeA); set != s.set || denial != s.denial {
					t.Errorf("step %d: record %v, denial %v; want %v, %v", i, set, denial, s.set, s.denial)
				}
			}
			checkIndex(t, c)
		})
	}
}

// Of two denials that may both answer, the live one does; of two expired ones, the one that lived longer.
func TestWhichDenial(t *testing.T) {
	n := name("www.example.com")
	for _, tc := range []struct {
		nxdomain, nodata, after time.Duration
		want                    DenialKind
	}{
		{time.Minute, time.Hour, time.Second, NXDomain},
		{time.Minute, time.Hour, time.Minute - 1, NXDomain},
		{time.Minute, time.Hour, time.Minute, NoData},
		{time.Minute, 2 * time.Minute, time.Hour, NoData},
		{2 * time.Minute, time.Minute, time.Hour, NXDomain},
	} {
		c, clk := newCache(t, Config{Bytes: MinBytes})
		mustPutDenial(t, c, nodata(n, dns.TypeA, clk.now(), tc.nodata))
		mustPutDenial(t, c, nxdomain(n, clk.now(), tc.nxdomain))
		clk.advance(tc.after)
		if d, ok := c.GetDenial(n, dns.TypeA); !ok || d.Kind != tc.want {
			t.Errorf("%+v: %v %v", tc, ok, d.Kind)
		}
	}
}

// Time: what is cut, what is too old to begin with, and how long what has expired stays.
func TestTimes(t *testing.T) {
	c, clk := newCache(t, Config{Bytes: MinBytes, Table: &Table{MaxTTL: time.Hour, NegativeMaxTTL: time.Minute, Stale: 2 * time.Hour}})
	now, n := clk.now(), name("www.example.com")
	mustPut(t, c, aRecord(n, 1, now, 48*time.Hour))
	mustPutDenial(t, c, nodata(n, dns.TypeAAAA, now, time.Hour))
	e, _ := c.Get(keyA(n), nil)
	d, _ := c.GetDenial(n, dns.TypeAAAA)
	if e.Expires != now+time.Hour || e.Set.TTL != 48*3600 || d.Expires != now+time.Minute || c.m.ttlsCut.Value() != 2 {
		t.Errorf("expires after %v and %v, TTL %d, %d cut", e.Expires-now, d.Expires-now, e.Set.TTL, c.m.ttlsCut.Value())
	}
	for _, ttl := range []time.Duration{0, -time.Second} {
		if v := c.Put(aRecord(name("other.example"), 1, now, ttl), c.Epoch()); v != RefusedExpired {
			t.Errorf("TTL %v: %v", ttl, v)
		}
	}
	late := aRecord(name("other.example"), 1, now-time.Minute, time.Minute)
	if v := c.Put(late, c.Epoch()); v != RefusedExpired {
		t.Errorf("expired when it was put: %v", v)
	}
	clk.advance(3*time.Hour - 1)
	if e, ok := c.Get(keyA(n), nil); !ok || e.Live(clk.now()) {
		t.Errorf("in the stale window: found %v, live %v", ok, ok && e.Live(clk.now()))
	}
	c.SetTable(&Table{MaxTTL: time.Hour, Stale: time.Hour})
	if _, ok := c.Get(keyA(n), nil); ok {
		t.Error("found past the stale window that was set")
	}
	if st := c.Stats(); st.Stale != 1 || st.RRsets != 0 || c.m.evicted[evictedExpired].Value() != 1 {
		t.Errorf("%+v", st)
	}
}

// Entries are taken up to the largest size and not beyond, wherever the octets are.
func TestSizes(t *testing.T) {
	c, clk := newCache(t, Config{Bytes: 8 << 20, Shards: 1})
	if c.maxEntry != MaxEntry {
		t.Fatalf("the largest entry is %d", c.maxEntry)
	}
	now := clk.now()
	record := func(n int) dns.Records { return dns.Records{}.Append(make([]byte, n)) }
	for _, tc := range []struct {
		data, sigs int
		want       Verdict
	}{
		{65533, 0, Stored}, {65533, 65000, Stored}, {60000, 60000, Stored}, {65533, 65533, RefusedSize}, {65534, 1, RefusedSize}, {1, 65534, RefusedSize},
	} {
		e := aRecord(name("www.example.com"), 1, now, time.Hour)
		e.Set.Type, e.Set.Data, e.Set.Sigs = dns.TypeTXT, record(tc.data), record(tc.sigs)
		if v := c.Put(e, c.Epoch()); v != tc.want {
			t.Errorf("%d and %d octets: %v, want %v", tc.data, tc.sigs, v, tc.want)
		}
		if got, ok := c.Get(Key{Name: e.Set.Name, Type: dns.TypeTXT}, nil); tc.want == Stored && (!ok || len(got.Set.Data) != tc.data+2 || len(got.Set.Sigs) != tc.sigs+2) {
			t.Errorf("%d and %d octets: came back as %d and %d", tc.data, tc.sigs, len(got.Set.Data), len(got.Set.Sigs))
		}
	}
	d := nxdomain(name("www.example.com"), now, time.Hour)
	d.SOA.Sigs = record(40000)
	d.Proof = []dns.RRset{{Name: d.Zone, Type: dns.TypeNSEC, Data: record(20000)}}
	mustPutDenial(t, c, d)
	d.Proof[0].Data = record(30000)
	if v := c.PutDenial(d, c.Epoch()); v != RefusedSize {
		t.Errorf("a denial of 70,000 octets: %v", v)
	}
	checkIndex(t, c)
}

// A metric for each reason, and none that is nameless.
func TestVerdictsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for v := range verdictEnd {
		if s := v.String(); s == "" || s == "unknown" || seen[s] || strings.ToLower(s) != s {
			t.Errorf("verdict %d is called %q", v, s)
		}
		seen[v.String()] = true
	}
	for _, s := range []fmt.Stringer{rankEnd, securityEnd, verdictEnd, kindEnd} {
		if !strings.Contains(s.String(), "unknown") {
			t.Errorf("%T past the end is called %q", s, s)
		}
	}
	for r := range rankEnd {
		if r.String() == "" {
			t.Errorf("rank %d has no name", r)
		}
	}
}
