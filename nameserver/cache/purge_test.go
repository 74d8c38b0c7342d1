package cache

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ananas-edge/ananas/dns"
)

// fill puts an address and the denial of another type at each name, and a delegation in partition 1.
func fill(t testing.TB, c *Cache, now time.Duration, names ...string) {
	t.Helper()
	for _, s := range names {
		n := name(s)
		mustPut(t, c, aRecord(n, 1, now, time.Hour))
		mustPutDenial(t, c, nodata(n, dns.TypeAAAA, now, time.Hour))
		e := aRecord(n, 1, now, time.Hour)
		e.Partition = 1
		mustPut(t, c, e)
	}
}

func TestPurgeReports(t *testing.T) {
	for _, tc := range []struct {
		name    string
		subtree bool
		want    []string
	}{
		{"example.", false, []string{"example."}},
		{"EXAMPLE.", true, []string{"example.", "a.example.", "b.a.example.", "www.example."}},
		{"a.example.", true, []string{"a.example.", "b.a.example."}},
		{"none.example.", true, nil},
		{"ample.", true, nil}, // labels, not text
		{".", true, []string{".", "example.", "a.example.", "b.a.example.", "www.example.", "test."}},
		{".", false, []string{"."}},
	} {
		t.Run(fmt.Sprint(tc.name, tc.subtree), func(t *testing.T) {
			c, clk := newCache(t, Config{Bytes: 4 << 20, Shards: 4})
			fill(t, c, clk.now(), ".", "example.", "www.example.", "a.example.", "b.a.example.", "test.")
			r, err := c.Purge(name(tc.name), tc.subtree)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, n := range r.Names {
				names = append(names, n.String())
			}
			if d := cmp.Diff(tc.want, names); d != "" {
				t.Error(d)
			}
			n := len(tc.want)
			if r.RRsets != 2*n || r.Denials != n || r.Proofs != 0 || r.MoreNames || r.Epoch != c.Epoch() {
				t.Errorf("%+v", r)
			}
			st := c.Stats()
			if st.RRsets != int64(12-2*n) || st.Denials != int64(6-n) {
				t.Errorf("%+v", st)
			}
			if got := c.m.purged.Value(); got != uint64(3*n) || c.m.purges.Value() != 1 {
				t.Errorf("%d purged", got)
			}
			checkIndex(t, c)
		})
	}
	c, _ := newCache(t, Config{})
	if _, err := c.Purge(dns.Name{}, true); err == nil {
		t.Error("no name is purged")
	}
}

func TestPurgeListsSomeOfManyNames(t *testing.T) {
	c, clk := newCache(t, Config{Bytes: 8 << 20})
	for i := range 5000 {
		mustPut(t, c, aRecord(hostName(i), i, clk.now(), time.Hour))
	}
	r, err := c.Purge(name("com."), true)
	if err != nil || r.RRsets != 5000 || len(r.Names) != MaxPurgeNames || !r.MoreNames {
		t.Errorf("%d removed, %d names, more %v, %v", r.RRsets, len(r.Names), r.MoreNames, err)
	}
	checkIndex(t, c)
}

// Whatever else would deny the name goes too: NXDOMAIN above it, and proofs that cover it.
func TestPurgeTakesWhatDenies(t *testing.T) {
	for what, tc := range map[string]struct {
		denial  Denial
		purge   string
		subtree bool
		removed bool // the proof, or the denial if it has none
	}{
		"NXDOMAIN above":             {nxdomain(name("example."), start, time.Hour), "a.b.example.", false, true},
		"NXDOMAIN of the root":       {nxdomain(name("."), start, time.Hour), "a.b.example.", true, true},
		"NXDOMAIN beside":            {nxdomain(name("b.example."), start, time.Hour), "a.example.", true, false},
		"NXDOMAIN below":             {nxdomain(name("b.example."), start, time.Hour), "example.", false, false},
		"NODATA above":               {nodata(name("example."), dns.TypeA, start, time.Hour), "a.example.", false, false},
		"NSEC that covers":           {secureDenial("example.", "other.", start, time.Hour, nsec("a.example.", "z.example.")), "m.example.", false, true},
		"NSEC that covers a subtree": {secureDenial("example.", "other.", start, time.Hour, nsec("a.example.", "z.example.")), "m.example.", true, true},
		"NSEC that ends before":      {secureDenial("example.", "other.", start, time.Hour, nsec("a.example.", "b.example.")), "m.example.", true, false},
		"NSEC behind another":        {secureDenial("example.", "other.", start, time.Hour, nsec("a.example.", "z.example."), nsec("b.example.", "c.example.")), "m.example.", false, true},
		"NSEC within the subtree":    {secureDenial("example.", "other.", start, time.Hour, nsec("x.m.example.", "y.m.example.")), "m.example.", true, true},
		"NSEC of the parent":         {secureDenial(".", "other.", start, time.Hour, nsec("aaa.", "zzz.")), "m.example.", false, true},
		"NSEC3 of the zone":          {secureDenial("example.", "other.", start, time.Hour, nsec3("example.", 1, 2)), "m.example.", false, true},
		"NSEC3 of the parent":        {secureDenial(".", "other.", start, time.Hour, nsec3(".", 1, 2)), "m.example.", true, true},
		"NSEC3 of another zone":      {secureDenial("test.", "other.", start, time.Hour, nsec3("test.", 1, 2)), "m.example.", true, false},
		"NSEC3 of a zone below":      {secureDenial("sub.m.example.", "other.", start, time.Hour, nsec3("sub.m.example.", 1, 2)), "m.example.", true, true},
	} {
		t.Run(what, func(t *testing.T) {
			c, _ := newCache(t, Config{Bytes: MinBytes})
			mustPutDenial(t, c, tc.denial)
			r, err := c.Purge(name(tc.purge), tc.subtree)
			if err != nil {
				t.Fatal(err)
			}
			got := r.Denials
			if len(tc.denial.Proof) > 0 {
				got = r.Proofs
				if left := c.Stats().ProofOwners; (left < int64(len(tc.denial.Proof))) != tc.removed {
					t.Errorf("%d owners left", left)
				}
			}
			if (got == 1) != tc.removed {
				t.Errorf("%+v", r)
			}
			// And work that began before does not bring it back.
			before := c.Epoch() - 1
			v := c.PutDenial(tc.denial, before)
			if len(tc.denial.Proof) == 0 {
				if (v == RefusedPurged) != tc.removed {
					t.Errorf("put again by old work: %v", v)
				}
			} else if tc.removed && c.Stats().ProofOwners == int64(len(tc.denial.Proof)) {
				t.Error("the proof is back by old work")
			}
			if v := c.PutDenial(tc.denial, c.Epoch()); v != Stored {
				t.Errorf("put again by new work: %v", v)
			}
			checkIndex(t, c)
		})
	}
}

// More NSEC3 than one look at the index takes.
func TestPurgeTakesAllNSEC3(t *testing.T) {
	c, clk := newCache(t, Config{Bytes: 8 << 20})
	for i := range 1000 {
		set := nsec3("example.", 1, 2)
		n, err := name("example.").Child(fmt.Sprintf("%032d", i))
		if err != nil {
			t.Fatal(err)
		}
		set.Name = n
		mustPutDenial(t, c, secureDenial("example.", "other.", clk.now(), time.Hour, set))
	}
	r, err := c.Purge(name("www.example."), false)
	if err != nil || r.Proofs != 1000 || c.Stats().ProofOwners != 0 {
		t.Errorf("%+v, %v, %d owners", r, err, c.Stats().ProofOwners)
	}
}

// Work that began before a purge of its name does not store; other work does, until it is older than what is remembered.
func TestPurgeEpoch(t *testing.T) {
	c, clk := newCache(t, Config{})
	put := func(n string, epoch uint64) Verdict { return c.Put(aRecord(name(n), 1, clk.now(), time.Hour), epoch) }
	begun := c.Epoch()
	purge := func(n string, subtree bool) {
		if _, err := c.Purge(name(n), subtree); err != nil {
			t.Fatal(err)
		}
	}
	purge("a.example.", true)
	purge("b.example.", false)
	between := c.Epoch()
	purge("c.example.", false)
	for _, tc := range []struct {
		name  string
		epoch uint64
		want  Verdict
	}{
		{"a.example.", begun, RefusedPurged},
		{"X.A.example.", begun, RefusedPurged},
		{"example.", begun, Stored},
		{"b.example.", begun, RefusedPurged},
		{"x.b.example.", begun, Stored},
		{"c.example.", begun, RefusedPurged},
		{"a.example.", between, Stored},
		{"c.example.", between, RefusedPurged},
		{"c.example.", c.Epoch(), Stored},
	} {
		if got := put(tc.name, tc.epoch); got != tc.want {
			t.Errorf("%s by work of epoch %d: %v, want %v", tc.name, tc.epoch, got, tc.want)
		}
	}
	for c.Epoch() < begun+maxRecentPurges {
		purge("d.example.", false)
	}
	if v := put("b.example.", begun); v != RefusedPurged {
		t.Errorf("%d purges ago: %v", maxRecentPurges, v)
	}
	if v := put("e.example.", begun); v != Stored {
		t.Errorf("%d purges ago: %v", maxRecentPurges, v)
	}
	purge("d.example.", false)
	if v := put("f.example.", begun); v != RefusedForgotten {
		t.Errorf("%d purges ago: %v", maxRecentPurges+1, v)
	}
}

// The second look of a purge finds what is left, and says so; what new work stored is not left.
func TestPurgeLooksAgain(t *testing.T) {
	c, clk := newCache(t, Config{Bytes: MinBytes})
	fill(t, c, clk.now(), "a.example.", "b.example.")
	p := purge{c: c, what: purging{name("example."), true}, names: map[dns.Name]struct{}{}}
	p.report.Epoch = c.purges.raise(p.what)
	mustPut(t, c, aRecord(name("c.example."), 1, clk.now(), time.Hour))
	p.sweep(p.count)
	if p.report.Left != 6 {
		t.Errorf("%d found, want 6", p.report.Left)
	}
	p.sweep(p.remove)
	if p.report.Left = 0; p.report.RRsets != 5 {
		t.Errorf("%d removed, want 5", p.report.RRsets)
	}
	mustPut(t, c, aRecord(name("c.example."), 1, clk.now(), time.Hour))
	p.sweep(p.count)
	if p.report.Left != 0 {
		t.Errorf("%d found, want none", p.report.Left)
	}
}

func TestWalkAndList(t *testing.T) {
	c, clk := newCache(t, Config{Bytes: 8 << 20, Shards: 4})
	fill(t, c, clk.now(), "example.", "a.example.", "test.")
	for i := range 3000 {
		mustPut(t, c, aRecord(hostName(i), i, clk.now(), time.Hour))
	}
	count := func(n string, subtree bool) map[string]int {
		got := map[string]int{}
		c.Walk(name(n), subtree, func(i Item) bool {
			got[i.Kind.String()+" "+i.Name().Parent().String()]++
			if i.Bytes == 0 || i.Bytes%8 != 0 {
				t.Errorf("%v has %d bytes", i.Name(), i.Bytes)
			}
			return true
		})
		return got
	}
	for _, tc := range []struct {
		name    string
		subtree bool
		want    map[string]int
	}{
		{"Example.", false, map[string]int{"rrset .": 2, "denial .": 1}},
		{"example.", true, map[string]int{"rrset .": 2, "denial .": 1, "rrset example.": 2, "denial example.": 1}},
		{"com.", true, map[string]int{"rrset example.com.": 3000}},
		{"none.", true, map[string]int{}},
	} {
		if d := cmp.Diff(tc.want, count(tc.name, tc.subtree)); d != "" {
			t.Errorf("%s %v: %s", tc.name, tc.subtree, d)
		}
	}
	for _, tc := range []struct {
		limit, want int
		more        bool
	}{{10, 10, true}, {3000, 3000, false}, {2999, 2999, true}, {5000, 3000, false}, {0, 0, true}} {
		if items, more := c.List(name("com."), true, tc.limit); len(items) != tc.want || more != tc.more {
			t.Errorf("limit %d: %d items, more %v", tc.limit, len(items), more)
		}
	}
	c.Get(keyA(name("example.")), nil)
	items, _ := c.List(name("example."), false, 10)
	hits := uint32(0)
	for _, i := range items {
		hits += i.Entry.Hits
	}
	if hits != 1 {
		t.Errorf("%d hits shown, want 1", hits)
	}
}
