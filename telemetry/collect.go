package telemetry

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"
)

// Handler serves all metrics in the Prometheus text format 0.0.4, by name and label, so that two scrapes can be compared line
// by line.
func (m *Metrics) Handler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{m})
	page := promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		// One series that cannot be shown must not hide all others: they are read when something is wrong.
		ErrorHandling:      promhttp.ContinueOnError,
		AcceptedFormats:    []expfmt.Format{expfmt.NewFormat(expfmt.TypeTextPlain)},
		DisableCompression: true,
	})
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		// The API promises one whole page in one format: nothing that a request may ask of the library changes it.
		page.ServeHTTP(w, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/metrics"}, Header: http.Header{}})
	})
}

// collector shows our instruments to the library. They stay ours, because counting on one is a single atomic addition on a cache
// line of its own.
type collector struct{ m *Metrics }

// Describe describes nothing, since instruments may be registered at any time; the names were checked then.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect reads every instrument.
func (c collector) Collect(out chan<- prometheus.Metric) {
	for _, f := range c.m.sorted() {
		desc := prometheus.NewDesc(f.name, f.help, f.labels, nil)
		switch {
		case f.vec != nil:
			for _, s := range f.vec.all() {
				out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(s.Value()), s.values...)
			}
		case f.gauges != nil:
			for _, g := range f.readGauges(c.m.overflow) {
				out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, g.value, g.values...)
			}
		case f.counter != nil:
			out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(f.counter.Value()))
		case f.histogram != nil:
			out <- f.histogram.read(desc)
		case f.several != nil:
			for _, v := range slices.Sorted(maps.Keys(f.several)) {
				if h := f.several[v]; h.any() {
					out <- h.read(desc, v)
				}
			}
		case f.numbers != nil:
			for _, s := range f.numbers.all() {
				out <- s.read(desc, s.values)
			}
		case f.kind == kindCounter:
			out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, sum(f.funcs))
		default:
			out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, sum(f.funcs))
		}
	}
}

// read returns the counts of this moment. The total is that of the buckets, so that they fit together while others observe.
func (h *Histogram) read(desc *prometheus.Desc, values ...string) prometheus.Metric {
	var total uint64
	parts := h.parts()
	cumulative := make(map[float64]uint64, bounds) // the library adds +Inf, which is the total
	for i := range h.buckets {
		for _, p := range parts {
			total += p.buckets[i].Load()
		}
		if i < bounds {
			cumulative[float64(bound(i))/1e9] = total
		}
	}
	var ns uint64
	for _, p := range parts {
		ns += p.sum.Load()
	}
	return prometheus.MustNewConstHistogram(desc, total, float64(ns)/1e9, cumulative, values...)
}

// parts are the histogram itself and its stripes.
func (h *Histogram) parts() []*Histogram {
	all := []*Histogram{h}
	if stripes := h.stripes.Load(); stripes != nil {
		all = append(all, *stripes...)
	}
	return all
}

// any tells whether anything was counted.
func (h *Histogram) any() bool {
	for _, p := range h.parts() {
		for i := range p.buckets {
			if p.buckets[i].Load() > 0 {
				return true
			}
		}
	}
	return false
}

// gauge is one series of a gauge with labels.
type gauge struct {
	value  float64
	values []string
}

// readGauges returns the series of a gauge with labels. What a function shows before it panics is shown.
func (f *family) readGauges(overflow *Counter) map[string]*gauge {
	all := map[string]*gauge{}
	show := func(value float64, values ...string) {
		if len(values) != len(f.labels) {
			panic(fmt.Sprintf("telemetry: metric %q: %d values for the labels %q", f.name, len(values), f.labels))
		}
		values, key := seriesOf(values)
		if all[key] == nil && len(all) >= MaxSeries {
			overflow.Inc()
			values, key = seriesOf(slices.Repeat([]string{"other"}, len(f.labels)))
		}
		if all[key] == nil {
			all[key] = &gauge{values: values}
		}
		all[key].value += value
	}
	for _, g := range f.gauges {
		func() {
			defer func() { _ = recover() }()
			g(show)
		}()
	}
	return all
}

// sum adds the functions up. One that panics makes the sum NaN: a broken gauge must not take the page with it.
func sum(fs []func() float64) (total float64) {
	defer func() {
		if recover() != nil {
			total = math.NaN()
		}
	}()
	for _, f := range fs {
		total += f()
	}
	return total
}
