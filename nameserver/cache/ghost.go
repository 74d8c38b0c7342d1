package cache

import "github.com/ananas-edge/ananas/dns"

// ghost remembers what lately left the small queue, as fingerprints of 16 bits: a table of buckets of one cache line, each a
// FIFO of 31; the first number of a bucket is where the next one goes. A stranger is taken for a known one about once in 2,100
// times, and then starts in the main queue, which does no harm.
type ghost []uint16

const (
	ghostBucket = cacheLine / 2
	ghostRoom   = ghostBucket - 1
)

// ghost hashes what names an entry, from the name's hash on.
func (k *hashKey) ghost(name uint64, kind Kind, typ dns.Type, partition uint32) uint64 {
	return fold(name^uint64(kind)<<48^uint64(typ)<<32^uint64(partition), k[2])
}

// bucket returns the bucket of hash and its fingerprint, which is not 0.
func (g ghost) bucket(hash uint64) ([]uint16, uint16) {
	n := uint64(len(g) / ghostBucket)
	at := (hash >> 32) * n >> 32 * ghostBucket
	return g[at : at+ghostBucket], max(1, uint16(hash))
}

func (g ghost) add(hash uint64) {
	if len(g) == 0 {
		return
	}
	b, print := g.bucket(hash)
	next := b[0] % ghostRoom
	b[1+next] = print
	b[0] = next + 1
}

// take tells whether hash was added lately, and forgets it.
func (g ghost) take(hash uint64) bool {
	if len(g) == 0 {
		return false
	}
	b, print := g.bucket(hash)
	for i := 1; i < ghostBucket; i++ {
		if b[i] == print {
			b[i] = 0
			return true
		}
	}
	return false
}
