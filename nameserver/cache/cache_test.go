package cache

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ananas-edge/ananas/dns"
)

var sameEntry = cmp.Options{
	cmp.Comparer(func(a, b dns.Name) bool { return a == b }),
	cmpopts.EquateComparable(server4),
	cmpopts.EquateEmpty(),
}

func TestGetReturnsWhatWasPut(t *testing.T) {
	c, clk := newCache(t, Config{Metrics: newMetricsFor(t)})
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

func TestMany(t *testing.T) {
	c, clk := newCache(t, Config{Bytes: 64 << 20})
	now := clk.now()
	const n = 100_000
	for i := range n {
		mustPut(t, c, aRecord(hostName(i), i, now, time.Hour))
	}
	checkIndex(t, c)
	for i := range n {
		if _, ok := c.Get(keyA(hostName(i)), nil); !ok {
			t.Fatal(i)
		}
	}
	st := c.Stats()
	t.Logf("%+v", st)
	t.Logf("live %d index %d used %d", st.Live/n, st.Index/n, st.Used/n)
}
