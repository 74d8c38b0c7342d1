package plugin

import (
	"net/netip"
	"sync"
)

// A call that asks a question of its own holds an instance while others answer that. Whoever owns slow name servers could so have all instances of a module wait, and nobody else asked it: three quarters of them may wait at once, and half of those
// for one client. Of 64 that is 48 and 24; the other 16 serve calls that ask nothing.

// waits counts the calls of a module that wait for answers.
type waits struct {
	mu  sync.Mutex
	all int
	of  map[netip.Addr]int // clients: an IPv4 address, or a /64 of IPv6
}

// enter counts a call in; false if there are too many of so many instances.
func (w *waits) enter(client netip.Addr, instances int) bool {
	most := max(1, instances*3/4)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all >= most || w.of[client] >= max(1, most/2) {
		return false
	}
	if w.of == nil {
		w.of = make(map[netip.Addr]int)
	}
	w.all++
	w.of[client]++
	return true
}

func (w *waits) leave(client netip.Addr) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all--
	if w.of[client]--; w.of[client] <= 0 {
		delete(w.of, client)
	}
}

// oneClient is what counts as one client here.
func oneClient(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if p, err := a.Prefix(64); err == nil && a.Is6() {
		return p.Addr()
	}
	return a
}
