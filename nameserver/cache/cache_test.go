package cache

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/telemetry"
)

var sameEntry = cmp.Options{
	cmp.Comparer(func(a, b dns.Name) bool { return a == b }),
	cmpopts.EquateComparable(server4),
	cmpopts.EquateEmpty(),
}

func TestGetReturnsWhatWasPut(t *testing.T) {
	c, clk := newCache(t, Config{})
	now := clk.now()
	e := aRecord(name("www.example.com"), 1, now, time.Hour)
	mustPut(t, c, e)
	got, ok := c.Get(keyA(e.Set.Name), nil)
	if !ok {
		t.Fatal("not found")
	}
	if d := cmp.Diff(e, got, sameEntry); d != "" {
		t.Error(d)
	}
	checkIndex(t, c)
}

func TestLife(t *testing.T) {
	const s = time.Second
	for _, tc := range []struct {
		now, stored, expires time.Duration
		hits                 uint32
		live, due            bool
		remaining            uint32
	}{
		{0, 0, 100 * s, 5, true, false, 100},
		{90 * s, 0, 100 * s, 5, true, false, 10},
		{90*s + 1, 0, 100 * s, 5, true, true, 10},
		{90*s + 1, 0, 100 * s, 0, true, false, 10}, // nobody asked
		{99*s + 1, 0, 100 * s, 1, true, true, 1},
		{100*s - 1, 0, 100 * s, 1, true, true, 1},
		{100 * s, 0, 100 * s, 1, false, false, 0},
		{200 * s, 0, 100 * s, 1, false, false, 0},
		{0, 0, 1 << 62, 1, true, false, 1<<32 - 1},
	} {
		e := Entry{Stored: tc.stored, Expires: tc.expires, Hits: tc.hits}
		d := Denial{Stored: tc.stored, Expires: tc.expires, Hits: tc.hits}
		if e.Live(tc.now) != tc.live || e.Due(tc.now) != tc.due || e.Remaining(tc.now) != tc.remaining {
			t.Errorf("%+v: live %v, due %v, remaining %d", tc, e.Live(tc.now), e.Due(tc.now), e.Remaining(tc.now))
		}
		if d.Live(tc.now) != tc.live || d.Due(tc.now) != tc.due || d.Remaining(tc.now) != tc.remaining {
			t.Errorf("denial %+v: live %v, due %v, remaining %d", tc, d.Live(tc.now), d.Due(tc.now), d.Remaining(tc.now))
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, tc := range []struct {
		c    Config
		want string
	}{
		{Config{Bytes: MinBytes}, "it has no clock"},
		{Config{Bytes: MinBytes - 1, Now: newClock().now}, "write node.cache: 1MiB, or more"},
		{Config{Bytes: maxBytes + 1, Now: newClock().now}, "write node.cache: 128GiB, or less"},
	} {
		if _, err := New(tc.c); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%d bytes: %v, want %q", tc.c.Bytes, err, tc.want)
		}
	}
}

// All memory is within Bytes, however it is cut.
func TestLayout(t *testing.T) {
	for _, tc := range []struct {
		bytes                 int64
		shards, want, largest int
	}{
		{1 << 20, 0, 1, 16<<10 - 8},
		{1 << 20, 16, 1, 16<<10 - 8}, // a shard has at least 1 MiB
		{3 << 20, 3, 2, 32<<10 - 8},
		{8 << 20, 1, 1, MaxEntry},
		{64 << 20, 0, 2, MaxEntry},
		{100 << 20, 5, 8, MaxEntry},
		{256 << 20, 0, 8, MaxEntry},
		{1 << 30, 0, 32, MaxEntry},
	} {
		if poisonFreed && tc.bytes > 8<<20 {
			continue // the arenas are on the heap
		}
		c, _ := newCache(t, Config{Bytes: tc.bytes, Shards: tc.shards})
		var tables carver
		c2 := &Cache{shards: make([]shard, len(c.shards)), capacity: tc.bytes}
		c2.carve(&tables, int64(c.shards[0].quota), int64(c.arena.segUnits)*unit)
		all := tables.used + int64(len(c.arena.bytes)) + int64(len(c.shards))*int64(unsafe.Sizeof(shard{}))
		if all > tc.bytes || all < tc.bytes*98/100 || len(c.shards) != tc.want || c.maxEntry != tc.largest {
			t.Errorf("%+v: %d shards, entries to %d, %d octets", tc, len(c.shards), c.maxEntry, all)
		}
		if most := len(c.arena.segments) - 1; uint64(most)*uint64(c.arena.segUnits) > locMask {
			t.Errorf("%+v: locations need more than %d bits", tc, locBits)
		}
	}
}

// Each metric counts what its help says.
func TestMetrics(t *testing.T) {
	m := telemetry.NewMetrics()
	c, clk := newCache(t, Config{Bytes: MinBytes, Metrics: m, Table: &Table{MaxTTL: time.Hour, NegativeMaxTTL: time.Hour, Stale: time.Hour}})
	n, now := name("www.example.com"), clk.now()
	low := aRecord(n, 1, now, time.Minute)
	low.Rank = RankGlue
	mustPut(t, c, aRecord(n, 1, now, time.Minute))
	c.Put(low, c.Epoch())
	mustPut(t, c, aRecord(name("other.example.com"), 1, now, 2*time.Hour))
	mustPutDenial(t, c, secureDenial("example.com.", "m.example.com.", now, time.Minute, nsec("k.example.com.", "p.example.com.")))
	for _, typ := range []dns.Type{dns.TypeA, dns.TypeA, dns.TypeAAAA} {
		c.Get(Key{Name: n, Type: typ}, nil)
		c.GetDenial(name("m.example.com."), typ)
	}
	c.GetDenial(n, dns.TypeAAAA)
	clk.advance(time.Minute)
	c.Get(keyA(n), nil)
	c.GetDenial(name("m.example.com."), dns.TypeA)
	if _, err := c.Purge(name("other.example.com"), false); err != nil {
		t.Fatal(err)
	}

	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		"ananas_cache_hits_total 2", "ananas_cache_misses_total 1", "ananas_cache_stale_hits_total 1",
		"ananas_cache_denial_hits_total 3", "ananas_cache_denial_misses_total 1", "ananas_cache_denial_stale_hits_total 1",
		`ananas_cache_refused_total{reason="rank"} 1`, `ananas_cache_evictions_total{cause="cold"} 0`,
		"ananas_cache_ttls_cut_total 1", "ananas_cache_purges_total 1", "ananas_cache_purged_entries_total 2",
		"ananas_cache_entries 2", "ananas_cache_proof_owners 0", "ananas_cache_capacity_bytes 1.048576e+06",
		"ananas_cache_damaged_total 0", "ananas_cache_proofs_given_up_total 0", "ananas_cache_ghost_hits_total 0",
	} {
		if !strings.Contains(w.Body.String(), want+"\n") {
			t.Errorf("no %q", want)
		}
	}
	if t.Failed() {
		t.Log(w.Body.String())
	}
}
