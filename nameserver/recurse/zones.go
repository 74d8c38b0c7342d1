package recurse

import (
	"sync"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// spaceName is a zone as it is known in a space.
type spaceName struct {
	space cache.Space
	zone  dns.Name
}

// zoneCounts counts the rounds under way in each zone, so that one zone whose servers do not answer can't take all jobs.
type zoneCounts struct {
	mu sync.Mutex
	m  map[spaceName]int
}

func (z *zoneCounts) enter(zone spaceName, limit int) bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.m[zone] >= limit {
		return false
	}
	z.m[zone]++
	return true
}

func (z *zoneCounts) leave(zone spaceName) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.m[zone]--; z.m[zone] <= 0 {
		delete(z.m, zone)
	}
}
