package cache

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ananas-edge/ananas/dns"
)

// model is the cache as one would write it without limits: maps, and the rules in their plainest form.
type model struct {
	clock   *clock
	table   *Table
	sets    map[Key]Entry            // names in lower case
	denials map[dns.Question]*Denial // by lower-case name and type
	purges  []purging
}

// worse tells why new may not take the place of old, by the rule of Put; Stored if it may.
func (m *model) mayReplace(oldRank, newRank Rank, old, new Security, oldExpires time.Duration) Verdict {
	live := m.clock.now() < oldExpires
	switch {
	case !live:
		return Stored
	case old == Secure && new != Secure:
		return RefusedSecurity
	case new == Secure && old != Secure:
		return Stored
	case old == Bogus && (new == Insecure || new == Indeterminate):
		return Stored
	case newRank < oldRank:
		return RefusedRank
	}
	return Stored
}

func (m *model) purgedSince(epoch uint64, hit func(purging) bool) Verdict {
	if uint64(len(m.purges))+1 > epoch+maxRecentPurges {
		return RefusedForgotten
	}
	if slices.ContainsFunc(m.purges[min(len(m.purges), int(epoch-1)):], hit) {
		return RefusedPurged
	}
	return Stored
}

func (m *model) put(e Entry, epoch uint64) Verdict {
	now, key := m.clock.now(), Key{e.Set.Name.Lower(), e.Set.Type, e.Partition}
	e.Expires = min(e.Expires, e.Stored+m.table.MaxTTL)
	if e.Expires <= now || e.Expires <= e.Stored {
		return RefusedExpired
	}
	if v := m.purgedSince(epoch, func(p purging) bool { return p.covers(key.Name) }); v != Stored {
		return v
	}
	if old, ok := m.sets[key]; ok {
		if v := m.mayReplace(old.Rank, e.Rank, old.Security, e.Security, old.Expires); v != Stored {
			return v
		}
	}
	m.sets[key] = e
	if key.Partition != 0 {
		return Stored
	}
	for _, typ := range []dns.Type{dns.TypeNone, key.Type} {
		q := dns.Question{Name: key.Name, Type: typ}
		if d := m.denials[q]; d != nil && m.mayReplace(d.Rank, e.Rank, d.Security, e.Security, d.Expires) == Stored {
			delete(m.denials, q)
		}
	}
	for k, old := range m.sets {
		if k.Name == key.Name && k.Partition == 0 && k.Type != key.Type && (k.Type == dns.TypeCNAME || key.Type == dns.TypeCNAME) && old.Expires <= now {
			delete(m.sets, k)
		}
	}
	return Stored
}

func (m *model) putDenial(d Denial, epoch uint64) Verdict {
	now, q := m.clock.now(), dns.Question{Name: d.Name.Lower(), Type: d.Type}
	d.Expires = min(d.Expires, d.Stored+m.table.NegativeMaxTTL)
	if d.Expires <= now || d.Expires <= d.Stored {
		return RefusedExpired
	}
	v := m.purgedSince(epoch, func(p purging) bool {
		return p.covers(q.Name) || d.Kind == NXDomain && p.name.IsWithin(q.Name)
	})
	if v != Stored {
		return v
	}
	if old := m.denials[q]; old != nil {
		if v := m.mayReplace(old.Rank, d.Rank, old.Security, d.Security, old.Expires); v != Stored {
			return v
		}
	}
	m.denials[q] = &d
	for k, old := range m.sets {
		if k.Name == q.Name && k.Partition == 0 && (k.Type == d.Type || d.Kind == NXDomain && old.Expires <= now) &&
			m.mayReplace(old.Rank, d.Rank, old.Security, d.Security, old.Expires) == Stored {
			delete(m.sets, k)
		}
	}
	if d.Kind == NoData {
		whole := dns.Question{Name: q.Name}
		if old := m.denials[whole]; old != nil && m.mayReplace(old.Rank, d.Rank, old.Security, d.Security, old.Expires) == Stored {
			delete(m.denials, whole)
		}
	}
	return Stored
}

func (m *model) usable(expires time.Duration) bool { return m.clock.now() < expires+m.table.Stale }

func (m *model) getDenial(n dns.Name, typ dns.Type) *Denial {
	usable := func(typ dns.Type) *Denial {
		if d := m.denials[dns.Question{Name: n, Type: typ}]; d != nil && m.usable(d.Expires) {
			return d
		}
		return nil
	}
	whole, one := usable(dns.TypeNone), usable(typ)
	switch {
	case whole == nil || whole != nil && !whole.Live(m.clock.now()) && one != nil && one.Expires > whole.Expires:
		return one
	}
	return whole
}

func (m *model) purge(n dns.Name, subtree bool) (sets, denials int) {
	p := purging{n, subtree}
	m.purges = append(m.purges, p)
	for k := range m.sets {
		if p.covers(k.Name) {
			delete(m.sets, k)
			sets++
		}
	}
	for q, d := range m.denials {
		if p.covers(q.Name) || d.Kind == NXDomain && n.IsWithin(q.Name) {
			delete(m.denials, q)
			denials++
		}
	}
	return sets, denials
}

// The cache, with room enough, does what the model does: rank, security, expiry, stale window, contradiction, purge and epoch.
func TestCacheIsTheModel(t *testing.T) {
	names := []dns.Name{dns.Root, name("example."), name("a.example.")} // few, so that they meet
	types := []dns.Type{dns.TypeA, dns.TypeAAAA, dns.TypeCNAME}
	rapid.Check(t, func(t *rapid.T) {
		m := &model{clock: newClock(), sets: map[Key]Entry{}, denials: map[dns.Question]*Denial{}}
		m.table = &Table{MaxTTL: 12 * time.Second, NegativeMaxTTL: 10 * time.Second, Stale: rapid.SampledFrom([]time.Duration{0, 10 * time.Second}).Draw(t, "stale")}
		c, err := New(Config{Bytes: 2 << 20, Now: m.clock.now, Table: m.table, Seed: rapid.Uint64().Draw(t, "seed"), Shards: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var epochs []uint64
		epoch := func() uint64 {
			epochs = append(epochs, c.Epoch())
			return rapid.SampledFrom(epochs).Draw(t, "epoch")
		}
		anyName := func() dns.Name {
			n := rapid.SampledFrom(names).Draw(t, "name")
			if rapid.Bool().Draw(t, "upper") {
				n = name(strings.ToUpper(n.String()))
			}
			return n
		}
		state := func() (Rank, Security) {
			return rapid.SampledFrom([]Rank{RankGlue, RankAnswer, RankAuthAnswer}).Draw(t, "rank"), rapid.SampledFrom([]Security{Unchecked, Unchecked, Unchecked, Indeterminate, Insecure, Secure, Bogus}).Draw(t, "security")
		}
		life := func() (stored, expires time.Duration, ttl uint32) {
			now := m.clock.now()
			stored = now - time.Duration(rapid.IntRange(0, 2).Draw(t, "age"))*time.Second
			ttl = uint32(rapid.IntRange(0, 15).Draw(t, "ttl"))
			return stored, stored + time.Duration(ttl)*time.Second, ttl
		}
		serial := 0
		put := func(t *rapid.T) {
			serial++
			e := aRecord(anyName(), serial, 0, 0)
			e.Set.Type, e.Partition = rapid.SampledFrom(types).Draw(t, "type"), uint32(rapid.IntRange(0, 1).Draw(t, "partition"))
			e.Rank, e.Security = state()
			e.Stored, e.Expires, e.Set.TTL = life()
			at := epoch()
			if got, want := c.Put(e, at), m.put(e, at); got != want {
				t.Fatalf("put %v %v: %v, want %v", e.Set.Name, e.Set.Type, got, want)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": put, "put again": put, "put once more": put,
			"deny": func(t *rapid.T) {
				d := nxdomain(anyName(), 0, 0)
				if rapid.Bool().Draw(t, "nodata") {
					d.Kind, d.Type = NoData, rapid.SampledFrom(types).Draw(t, "type")
				}
				d.Rank, d.Security = state()
				d.Stored, d.Expires, d.SOA.TTL = life()
				at := epoch()
				if got, want := c.PutDenial(d, at), m.putDenial(d, at); got != want {
					t.Fatalf("deny %v %v: %v, want %v", d.Name, d.Type, got, want)
				}
			},
			"wait": func(t *rapid.T) {
				m.clock.advance(time.Duration(rapid.IntRange(0, 9).Draw(t, "time")) * time.Second) // whole ones, to meet each boundary
			},
			"purge": func(t *rapid.T) {
				n, subtree := anyName(), rapid.Bool().Draw(t, "subtree")
				// What is past its stale window may have been dropped, or not: look at all of it, which drops it.
				for k, e := range m.sets {
					if !m.usable(e.Expires) {
						delete(m.sets, k)
						c.Peek(k)
					}
				}
				for q, d := range m.denials {
					if !m.usable(d.Expires) {
						delete(m.denials, q)
						c.GetDenial(q.Name, q.Type)
						c.actOn(KindDenial, q.Name, q.Type, 0, func(s *shard, page uint32, slot int, _ blob) { s.drop(page, slot, notEvicted) })
					}
				}
				r, err := c.Purge(n, subtree)
				sets, denials := m.purge(n.Lower(), subtree)
				if err != nil || r.RRsets != sets || r.Denials != denials || r.Epoch != c.Epoch() {
					t.Fatalf("purge %v %v: %+v, %v; want %d and %d", n, subtree, r, err, sets, denials)
				}
			},
			"": func(t *rapid.T) {
				now := m.clock.now()
				for _, n := range names {
					for _, typ := range types {
						for part := range uint32(2) {
							k := Key{n, typ, part}
							got, ok := c.Peek(k)
							want, known := m.sets[k]
							known = known && m.usable(want.Expires)
							if ok != known {
								t.Fatalf("%v: found %v, want %v", k, ok, known)
							}
							if ok {
								want.Set.Name, want.Zone, want.Expires = n, got.Zone, min(want.Expires, want.Stored+m.table.MaxTTL)
								if d := cmp.Diff(want, got, sameEntry); d != "" {
									t.Fatal(d)
								}
							}
						}
						got, ok := c.GetDenial(n, typ)
						want := m.getDenial(n, typ)
						if ok != (want != nil) {
							t.Fatalf("denial of %v %v: found %v, want %v", n, typ, ok, want)
						}
						if ok && (got.Type != want.Type || got.Kind != want.Kind || got.Rank != want.Rank || got.Stored != want.Stored ||
							got.Expires != want.Expires || got.Live(now) != want.Live(now)) {
							t.Fatalf("denial of %v %v: %+v, want %+v", n, typ, got, want)
						}
					}
				}
				shown := map[Key]bool{}
				c.Walk(dns.Root, true, func(i Item) bool {
					if i.Kind == KindRRset {
						k := Key{i.Name(), i.Entry.Set.Type, i.Entry.Partition}
						if _, ok := m.sets[k]; !ok || shown[k] {
							t.Fatalf("the walk shows %v, shown before: %v", k, shown[k])
						}
						shown[k] = true
					}
					return true
				})
				for k, e := range m.sets {
					if m.usable(e.Expires) && !shown[k] {
						t.Fatalf("the walk leaves out %v", k)
					}
				}
			},
		})
		if st := c.Stats(); st.Evicted != c.m.evicted[evictedExpired].Value() {
			t.Fatalf("there was not room enough: %+v", st)
		}
	})
}
