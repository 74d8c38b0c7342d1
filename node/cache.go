package node

import (
	"context"
	"slices"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
	"github.com/ananas-edge/ananas/nameserver/recurse"
)

// ListCache shows what is cached, in canonical order of the names as far as the limit lets it see them.
func (n *Node) ListCache(_ context.Context, q admin.CacheQuery) (admin.CacheList, error) {
	items, more := n.cache.List(q.Name.Lower(), q.Subtree, q.Limit)
	slices.SortStableFunc(items, func(a, b cache.Item) int { return a.Name().Compare(b.Name()) })
	now := n.clock.Boot()
	out := admin.CacheList{Entries: []admin.CacheEntry{}, More: more}
	for i := range items {
		out.Entries = append(out.Entries, n.cacheEntry(&items[i], now))
	}
	return out, nil
}

func (n *Node) cacheEntry(i *cache.Item, now time.Duration) admin.CacheEntry {
	e := cacheEntry(i, now)
	if space := max(i.Entry.Space, i.Denial.Space); space != 0 {
		group := n.resolver.GroupIn(space)
		if group == "" {
			group = "that is gone"
		}
		e.Source += ", group " + group
	}
	return e
}

func cacheEntry(i *cache.Item, now time.Duration) admin.CacheEntry {
	e := admin.CacheEntry{Kind: i.Kind.String(), Name: i.Name().String(), Bytes: i.Bytes}
	if i.Kind == cache.KindDenial {
		d := &i.Denial
		e.Type, e.TTL = d.Kind.String(), seconds(d.Expires-now)
		if d.Kind == cache.NoData {
			e.Type = d.Type.String() + " " + e.Type
		}
		e.Rank, e.Security, e.Source = d.Rank.String(), d.Security.String(), source(d.Server.IsValid(), d.Server.String(), d.Zone)
		e.Records = texts([]dns.RRset{d.SOA})
		return e
	}
	r := &i.Entry
	if i.Kind == cache.KindRRset && r.Partition != 0 {
		e.Kind = recurse.PartitionName(r.Partition)
	}
	e.Type, e.TTL = r.Set.Type.String(), seconds(r.Expires-now)
	e.Rank, e.Security, e.Source = r.Rank.String(), r.Security.String(), source(r.Server.IsValid(), r.Server.String(), r.Zone)
	for d := range r.Set.Data.All() {
		e.Records = append(e.Records, dns.RdataString(r.Set.Type, d))
	}
	return e
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

func source(known bool, server string, zone dns.Name) string {
	switch {
	case known && !zone.IsZero():
		return server + " for " + zone.String()
	case known:
		return server
	case zone.IsRoot():
		return "local root"
	}
	return zone.String()
}

// PurgeCache takes a name out of everything that remembers it.
func (n *Node) PurgeCache(_ context.Context, p admin.Purge) (admin.Purged, error) {
	r, failures, err := n.resolver.Purge(p.Name, p.Subtree)
	out := admin.Purged{Kinds: map[string]int{}, Left: r.Left}
	for kind, count := range map[string]int{"rrset": r.RRsets, "denial": r.Denials, "proof": r.Proofs, "failure": failures} {
		if count > 0 {
			out.Kinds[kind] = count
			out.Removed += count
		}
	}
	n.log.Info("cache purged", "name", p.Name.String(), "subtree", p.Subtree, "removed", out.Removed)
	return out, err
}
