package recurse

import (
	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// get looks an answer up, and counts.
func (r *Resolver) get(name dns.Name, t dns.Type) (cache.Entry, bool) {
	return r.cache.Get(cache.Key{Name: name, Type: t}, nil)
}

// peek looks a record up for our own use.
func (r *Resolver) peek(name dns.Name, t dns.Type) (cache.Entry, bool) {
	return r.cache.Peek(cache.Key{Name: name, Type: t})
}

func (r *Resolver) put(e cache.Entry, epoch uint64) { r.cache.Put(e, epoch) }

func (r *Resolver) putDenial(d cache.Denial, epoch uint64) { r.cache.PutDenial(d, epoch) }
