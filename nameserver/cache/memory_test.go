package cache

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// memoryCase is a kind of entry for which the memory is measured.
type memoryCase struct {
	name string
	put  func(c *Cache, i int, now time.Duration) Verdict
	most int64 // bytes in use for each, index included
}

var memoryCases = []memoryCase{
	{"A", func(c *Cache, i int, now time.Duration) Verdict {
		return c.Put(aRecord(hostName(i), i, now, time.Hour), c.Epoch())
	}, 100},
	{"A signed", func(c *Cache, i int, now time.Duration) Verdict { // ECDSA P-256: 18 octets, the signer's name, 64 octets
		e := aRecord(hostName(i), i, now, time.Hour)
		e.Set.Sigs = dns.Records{}.Append(make([]byte, 18+e.Zone.Len()+64))
		return c.Put(e, c.Epoch())
	}, 210},
	{"NXDOMAIN", func(c *Cache, i int, now time.Duration) Verdict {
		return c.PutDenial(nxdomain(hostName(i), now, time.Hour), c.Epoch())
	}, 180},
}

// 100,000 names in a cache of 256 MiB, in which the last segments are hardly used.
const memoryNames = 100_000

// What a cached name takes, of what the cache accounts for.
func TestMemoryPerEntry(t *testing.T) {
	for _, tc := range memoryCases {
		t.Run(tc.name, func(t *testing.T) {
			c, clk := newCache(t, Config{Bytes: 256 << 20})
			for i := range memoryNames {
				if v := tc.put(c, i, clk.now()); v != Stored {
					t.Fatal(v)
				}
			}
			st := c.Stats()
			if st.Evicted > 0 {
				t.Errorf("%+v", st)
			}
			t.Logf("%d bytes of entry, %d of index, %d in use for each name", st.Live/memoryNames, st.Index/memoryNames, st.Used/memoryNames)
			if got := st.Used / memoryNames; got > tc.most {
				t.Errorf("%d bytes for each name, want %d", got, tc.most)
			}
		})
	}
}

// The same as the kernel sees it: what the resident set grows by, the Go heap included.
func BenchmarkMemory(b *testing.B) {
	if resident(b) == 0 {
		b.Skip("no /proc/self/statm here")
	}
	for _, tc := range memoryCases {
		b.Run(strings.ReplaceAll(tc.name, " ", "_"), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				debug.FreeOSMemory()
				before := resident(b)
				c, clk := newCache(b, Config{Bytes: 256 << 20})
				b.StartTimer()
				for i := range memoryNames {
					tc.put(c, i, clk.now())
				}
				b.StopTimer()
				debug.FreeOSMemory()
				st := c.Stats()
				b.ReportMetric(float64(resident(b)-before)/memoryNames, "RSS-B/name")
				b.ReportMetric(float64(st.Used)/memoryNames, "used-B/name")
				b.ReportMetric(float64(st.Live)/memoryNames, "entry-B/name")
				b.ReportMetric(float64(st.Index)/memoryNames, "index-B/name")
				if err := c.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// resident returns the resident set in bytes, 0 where the system does not tell.
func resident(t testing.TB) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// A Get whose buffer is large enough allocates nothing; nor does a miss, or a Put.
func TestNoAllocation(t *testing.T) {
	c, clk := newCache(t, Config{Bytes: 4 << 20})
	now := clk.now()
	signed := aRecord(name("www.example.com"), 1, now, time.Hour)
	signed.Set.Sigs = dns.Records{}.Append(make([]byte, 100))
	mixed := name("wWw.eXample.com")
	mustPut(t, c, signed)
	buf := make([]byte, 0, 512)
	epoch := c.Epoch()
	for what, f := range map[string]func(){
		"hit":               func() { c.Get(keyA(signed.Set.Name), buf) },
		"hit in mixed case": func() { c.Get(keyA(mixed), buf) },
		"miss":              func() { c.Get(Key{Name: mixed, Type: dns.TypeAAAA}, buf) },
		"miss of a denial":  func() { c.GetDenial(mixed, dns.TypeAAAA) },
		"put":               func() { c.Put(signed, epoch) },
	} {
		if what == "put" && poisonFreed {
			continue // it is written by way of other memory, for the race detector
		}
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}

// What Get returns is the caller's: neither later stores nor the end of the cache change it, and two calls share nothing.
func TestGetCopies(t *testing.T) {
	c, clk := newCache(t, Config{Bytes: MinBytes})
	n := name("www.example.com")
	mustPut(t, c, aRecord(n, 1, clk.now(), time.Hour))
	e, _ := c.Get(keyA(n), nil)
	f, _ := c.Get(keyA(n), nil)
	e.Set.Data[5] ^= 0xff
	for i := range 50_000 {
		c.Put(aRecord(hostName(i), i, clk.now(), time.Hour), c.Epoch())
	}
	if string(f.Set.Data) != string(address(1)) {
		t.Errorf("%x", f.Set.Data)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if string(f.Set.Data) != string(address(1)) || f.Zone != name("example.com") || f.Server != server4 {
		t.Errorf("%+v", f)
	}
}

// The collector has nothing to walk: a cache of 100,000 entries adds but a few objects to the heap.
func TestNothingForTheCollector(t *testing.T) {
	if poisonFreed {
		t.Skip("the arenas are on the heap")
	}
	objects := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapObjects
	}
	before := objects()
	c, clk := newCache(t, Config{Bytes: 32 << 20})
	for i := range 100_000 {
		mustPut(t, c, aRecord(hostName(i), i, clk.now(), time.Hour))
	}
	if after := objects(); after > before+1000 {
		t.Errorf("%d objects before, %d after", before, after)
	}
	runtime.KeepAlive(c)
}
