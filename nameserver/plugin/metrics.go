package plugin

import (
	"sync"
	"sync/atomic"

	"github.com/ananas-edge/ananas/telemetry"
	"github.com/ananas-edge/ananas/wasm"
)

// Limits of the metrics of a module's own. Each is a series of the node's page, a histogram is 35 lines of it: 64 modules with all of them are 6,400 lines and, since [telemetry.MaxNumberSeries] bounds them all together, 7,000 more.
const (
	maxCounters   = 100
	maxHistograms = 20
	maxMetricName = 64 // octets
)

// moduleMetrics are the metrics of a module's own. Handles of histograms lie behind those of counters, so that one that is taken for the other is none.
type moduleMetrics struct {
	mu         sync.Mutex
	counters   named[telemetry.Counter]
	histograms named[telemetry.NumberHistogram]
}

// name returns the name of the metric at a place, as people may see it.
func (m *moduleMetrics) name(of *[]string, place uint32) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return printable([]byte((*of)[place]))
}

// named are metrics by the names that a module gave, which are not told apart by anything else: who asks for a name again, as each of its instances does, gets the same.
type named[T any] struct {
	names []string
	all   [max(maxCounters, maxHistograms)]atomic.Pointer[T] // by their handles; read without the lock
}

// open returns the place of a metric, and makes it if there is none; resultLimit if there are most of them.
func (n *named[T]) open(name []byte, most int, make func() *T) int {
	for i, known := range n.names {
		if known == string(name) {
			return i
		}
	}
	at := len(n.names)
	if at == most {
		return resultLimit
	}
	n.names = append(n.names, string(name))
	n.all[at].Store(make())
	return at
}

// at returns the metric of a place; nil if there is none.
func (n *named[T]) at(place uint32) *T {
	if place >= uint32(len(n.all)) {
		return nil
	}
	return n.all[place].Load()
}

// counter (name, name_len) -> a handle.
func (h *host) counter(c *wasm.Call, stack []uint64) {
	h.metric(c, stack, func(m *moduleMetrics, module string, name []byte) int {
		return m.counters.open(name, maxCounters, func() *telemetry.Counter { return h.counters.With(module, printable(name)) })
	})
}

// histogram (name, name_len) -> a handle.
func (h *host) histogram(c *wasm.Call, stack []uint64) {
	h.metric(c, stack, func(m *moduleMetrics, module string, name []byte) int {
		n := m.histograms.open(name, maxHistograms, func() *telemetry.NumberHistogram { return h.histograms.With(module, printable(name)) })
		if n < 0 {
			return n
		}
		return maxCounters + n
	})
}

// metric has open find or make the metric that a module names.
func (h *host) metric(c *wasm.Call, stack []uint64, open func(m *moduleMetrics, module string, name []byte) int) {
	name, ok := view(c, stack[0], stack[1])
	c.Charge(priceMetric + int64(len(name))/perOctet)
	g, known := c.State.(*guest)
	switch {
	case !ok:
		result(stack, resultBounds)
	case len(name) == 0 || len(name) > maxMetricName || !known:
		result(stack, resultMalformed)
	default:
		g.l.metrics.mu.Lock()
		n := open(&g.l.metrics, g.l.use.Module, name)
		g.l.metrics.mu.Unlock()
		result(stack, n)
	}
}

// count (handle, n) -> 0.
func (h *host) count(c *wasm.Call, stack []uint64) {
	c.Charge(priceMetric)
	if g, known := c.State.(*guest); known && int64(stack[1]) >= 0 {
		if one := g.l.metrics.counters.at(uint32(stack[0])); one != nil {
			one.Add(stack[1])
			if h.counts != nil {
				h.counts(g.l.use.Module, g.l.metrics.name(&g.l.metrics.counters.names, uint32(stack[0])), false, stack[1])
			}
			result(stack, 0)
			return
		}
	}
	result(stack, resultMalformed)
}

// observe (handle, value) -> 0.
func (h *host) observe(c *wasm.Call, stack []uint64) {
	c.Charge(priceMetric)
	if g, known := c.State.(*guest); known && int64(stack[1]) >= 0 {
		if one := g.l.metrics.histograms.at(uint32(stack[0]) - maxCounters); one != nil { // below it wraps around, to none
			one.Observe(stack[1])
			if h.counts != nil {
				h.counts(g.l.use.Module, g.l.metrics.name(&g.l.metrics.histograms.names, uint32(stack[0])-maxCounters), true, stack[1])
			}
			result(stack, 0)
			return
		}
	}
	result(stack, resultMalformed)
}
