package node

import (
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/nameserver/plugin"
)

// trend is how many verdicts the modules of a node have given, span by span: what the page draws. It is taken from the counters that there are, so that a query pays nothing for it; with the most plugins that there may be, each at three
// phases, it is some 100 KiB.
type trend struct {
	uses  map[string]*[admin.ModuleSpans]uint64 // by module and phase: the newest last
	total map[string]uint64                     // at the last look
	timer *time.Timer
}

// useKey names a module at a phase.
func useKey(module, phase string) string { return module + " " + phase }

// watchModules begins to look at what modules do, once there are any. Node.mu is held.
func (n *Node) watchModules() {
	if m := n.modules; m.trend.timer == nil && m.chain != nil && !m.closed {
		m.trend.timer = time.AfterFunc(admin.ModuleSpan, n.lookAtModules)
	}
}

// lookAtModules ends a span.
func (n *Node) lookAtModules() {
	n.mu.Lock()
	m := n.modules
	chain := m.chain
	if m.trend.timer = nil; chain == nil || m.closed {
		n.mu.Unlock()
		return
	}
	n.watchModules()
	n.mu.Unlock()
	n.tellLeftOut()
	status := chain.Status()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.trend.add(status)
}

// add ends a span: modules that run no more are forgotten.
func (t *trend) add(status []plugin.UseStatus) {
	uses, total := make(map[string]*[admin.ModuleSpans]uint64), make(map[string]uint64)
	for _, s := range status {
		key := useKey(s.Module, string(s.Phase))
		if uses[key] != nil {
			continue // it runs twice there, and its verdicts are counted together
		}
		for _, count := range s.Verdicts {
			total[key] += count
		}
		spans := t.uses[key]
		if spans == nil {
			spans = new([admin.ModuleSpans]uint64)
		}
		copy(spans[:], spans[1:])
		spans[admin.ModuleSpans-1] = total[key] - min(t.total[key], total[key])
		uses[key] = spans
	}
	t.uses, t.total = uses, total
}
