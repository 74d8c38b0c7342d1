package recurse

import (
	"sync"

	"github.com/ananas-edge/ananas/dns"
)

// zoneCounts counts the rounds under way in each zone, so that one zone whose servers do not answer can't take all jobs.
type zoneCounts struct {
	mu sync.Mutex
	m  map[dns.Name]int
}

func (z *zoneCounts) enter(zone dns.Name, limit int) bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.m[zone] >= limit {
		return false
	}
	z.m[zone]++
	return true
}

func (z *zoneCounts) leave(zone dns.Name) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.m[zone]--; z.m[zone] <= 0 {
		delete(z.m, zone)
	}
}
