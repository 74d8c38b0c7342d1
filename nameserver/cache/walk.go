package cache

import (
	"github.com/ananas-edge/ananas/dns"
)

// Item is one entry as a walk shows it: a copy.
type Item struct {
	Kind   Kind
	Bytes  int    // in the log
	Entry  Entry  // of KindRRset and KindProof
	Denial Denial // of KindDenial
}

// Name returns whose entry it is.
func (i *Item) Name() dns.Name {
	if i.Kind == KindDenial {
		return i.Denial.Name
	}
	return i.Entry.Set.Name
}

// Walk calls visit with what is cached of a name, or of it and all below it, expired entries in their stale window included,
// until it returns false. Of one name it shows all at once; names come in no order. It holds one lock for one page of the
// index at a time, and none while visit runs; an entry that is there all the time is shown exactly once.
func (c *Cache) Walk(name dns.Name, subtree bool, visit func(Item) bool) {
	if name.IsZero() {
		return
	}
	name = name.Lower()
	wire := octetsOf(name.Wire())
	t := c.moment(c.now())
	if !subtree {
		hash := c.key.name(wire)
		s := c.shardOf(hash)
		s.mu.Lock()
		items := s.items(s.ofName(hash, wire, nil), t)
		s.mu.Unlock()
		for _, item := range items {
			if !visit(item) {
				return
			}
		}
		return
	}
	var locs []uint64
	for i := range c.shards {
		s := &c.shards[i]
		for at := uint64(0); at < 1<<nameBits; {
			s.mu.Lock()
			locs = locs[:0]
			at = s.eachPage(at, func(slots *[pageSlots]uint64) {
				for _, v := range slots {
					if b := s.a.blob(v & locMask); b != nil && within(b.name(), wire) {
						locs = append(locs, v&locMask)
					}
				}
			})
			items := s.items(locs, t)
			s.mu.Unlock()
			for _, item := range items {
				if !visit(item) {
					return
				}
			}
		}
	}
}

// List returns up to limit items of a walk, and whether there are more.
func (c *Cache) List(name dns.Name, subtree bool, limit int) (items []Item, more bool) {
	c.Walk(name, subtree, func(i Item) bool {
		if len(items) >= limit {
			more = true
			return false
		}
		items = append(items, i)
		return true
	})
	return items, more
}

// items copies the entries at locs.
func (s *shard) items(locs []uint64, t moment) (items []Item) {
	for _, loc := range locs {
		b := s.a.blob(loc)
		if b == nil || b.expires() <= t.dead || b.kind() == KindImage { // an image is no knowledge of its own
			continue
		}
		v, ok := b.view()
		if !ok {
			continue
		}
		name, err := dns.NameFromWire(v.name)
		if err != nil {
			continue
		}
		item := Item{Kind: v.kind, Bytes: len(b)}
		hits := b.loadUse() >> hitShift
		if v.kind == KindDenial {
			item.Denial, ok = v.denial(name)
			item.Denial.Hits = hits
		} else {
			item.Entry, ok = v.entry(name, nil)
			item.Entry.Hits = hits
		}
		if ok {
			items = append(items, item)
		}
	}
	return items
}
