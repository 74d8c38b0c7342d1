package telemetry

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// numberBounds are the inclusive upper bounds of a [NumberHistogram]'s buckets: 0, and 1, 2 and 5 of each decade up to 10^10. They hold counts, octets and nanoseconds up to ten seconds alike; who observes numbers of a unit
// that nobody here knows can't be given finer ones.
var numberBounds = func() []uint64 {
	all := []uint64{0}
	for decade := uint64(1); decade < 1e10; decade *= 10 {
		all = append(all, decade, 2*decade, 5*decade)
	}
	return append(all, 1e10)
}()

// maxNumberBuckets is len(numberBounds), and one for what is larger.
const maxNumberBuckets = 33

// MaxNumberSeries is how many label combinations one [NumberVec] keeps: each is 35 lines of the page, so that 200 of them are 7,000 lines, some 700 KiB. Further ones are observed by one series with every label "other", and
// counted in ananas_telemetry_series_over_limit_total.
const MaxNumberSeries = 200

// NumberHistogram counts whole numbers that are no durations, in buckets of 0 and of 1, 2 and 5 of each decade up to 10^10. Observe costs two atomic operations. The zero value is ready; a NumberHistogram must not be copied.
type NumberHistogram struct {
	buckets [maxNumberBuckets]atomic.Uint64 // not cumulative; the last one is +Inf
	sum     atomic.Uint64                   // bits of a float64: a sum of foreign numbers must not begin anew at 2^64
}

// Observe counts one number.
func (h *NumberHistogram) Observe(n uint64) {
	h.buckets[sort.Search(len(numberBounds), func(i int) bool { return n <= numberBounds[i] })].Add(1)
	for {
		old := h.sum.Load()
		if h.sum.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+float64(n))) {
			return
		}
	}
}

func (h *NumberHistogram) read(desc *prometheus.Desc, values []string) prometheus.Metric {
	var total uint64
	cumulative := make(map[float64]uint64, len(numberBounds))
	for i := range h.buckets {
		total += h.buckets[i].Load()
		if i < len(numberBounds) {
			cumulative[float64(numberBounds[i])] = total
		}
	}
	return prometheus.MustNewConstHistogram(desc, total, math.Float64frombits(h.sum.Load()), cumulative, values...)
}

// NumberVec is a family of histograms of numbers, told apart by the values of their labels.
type NumberVec struct {
	name     string
	labels   []string
	overflow *Counter // nil outside a registry

	mu     sync.RWMutex
	series map[string]*numberSeries // as those of a [CounterVec]
}

type numberSeries struct {
	values []string
	NumberHistogram
}

// NumberVec registers a histogram of numbers with labels.
func (m *Metrics) NumberVec(name, help string, labels ...string) *NumberVec {
	if len(labels) == 0 {
		panic(fmt.Sprintf("telemetry: registering metric %q: a histogram of numbers has labels", name))
	}
	f, unlock := m.register(name, help, kindNumbers, labels)
	defer unlock()
	if f.numbers == nil {
		f.numbers = &NumberVec{name: name, labels: f.labels, series: map[string]*numberSeries{}}
		if m != nil {
			f.numbers.overflow = m.overflow
		}
	}
	return f.numbers
}

// With returns the histogram of these label values, as [CounterVec.With] does, up to [MaxNumberSeries] of them.
func (v *NumberVec) With(values ...string) *NumberHistogram {
	if len(values) != len(v.labels) {
		panic(fmt.Sprintf("telemetry: metric %q: %d values for the labels %q", v.name, len(values), v.labels))
	}
	values, key := seriesOf(values)
	v.mu.Lock()
	defer v.mu.Unlock()
	if s := v.series[key]; s != nil {
		return &s.NumberHistogram
	}
	if len(v.series) >= MaxNumberSeries {
		if v.overflow != nil {
			v.overflow.Inc()
		}
		values, key = seriesOf(slices.Repeat([]string{"other"}, len(v.labels)))
		if s := v.series[key]; s != nil {
			return &s.NumberHistogram
		}
	}
	s := &numberSeries{values: values}
	v.series[key] = s
	return &s.NumberHistogram
}

// all returns the series, in no order.
func (v *NumberVec) all() []*numberSeries {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return slices.Collect(maps.Values(v.series))
}
