package telemetry

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// MaxSeries is how many label combinations one [CounterVec] keeps. A label whose values come from outside (a zone, a
// server) would otherwise grow with what strangers ask for. 1,000 series of 128 bytes and a map entry are some 200 KiB a
// metric, and a page that Prometheus still scrapes in milliseconds. Further combinations count on one series with every label "other", and in
// ananas_telemetry_series_over_limit_total.
const MaxSeries = 1000

// Metrics is a registry of instruments. Its methods may be called at any time from any goroutine. A nil *Metrics is valid:
// its instruments count but are not exported.
//
// Registering a name twice gives the same instrument, so that several components of one kind (a listener per address) add
// up; registering it as another kind, with another help text or other labels panics.
type Metrics struct {
	mu       sync.Mutex
	families map[string]*family
	overflow *Counter // ananas_telemetry_series_over_limit_total
}

// kind is a family's type in the words of the exposition format, but for histograms of numbers, which it does not tell from others.
type kind string

const (
	kindCounter   kind = "counter"
	kindGauge     kind = "gauge"
	kindHistogram kind = "histogram"
	kindNumbers   kind = "histogram of numbers"
)

// family is all that is registered under one name. Which of the last fields is set follows from kind and labels.
type family struct {
	name, help string
	kind       kind
	labels     []string

	counter   *Counter
	vec       *CounterVec
	funcs     []func() float64 // of a gauge or a counter that is kept elsewhere; added up
	gauges    []func(Show)     // of a gauge with labels
	histogram *Histogram
	several   map[string]*Histogram // by the value of its one label
	numbers   *NumberVec
}

// NewMetrics returns an empty registry.
func NewMetrics() *Metrics {
	m := &Metrics{families: map[string]*family{}}
	m.overflow = m.Counter("ananas_telemetry_series_over_limit_total",
		"Label combinations counted under \"other\", because their metric has as many as it may have (MaxSeries).")
	return m
}

// Counter registers a counter without labels. The name ends in _total.
func (m *Metrics) Counter(name, help string) *Counter {
	f, unlock := m.register(name, help, kindCounter, nil)
	defer unlock()
	if f.funcs != nil {
		panic(fmt.Sprintf("telemetry: registering metric %q: it is registered already as a function", name))
	}
	if f.counter == nil {
		f.counter = new(Counter)
	}
	return f.counter
}

// CounterVec registers a counter with labels. The name ends in _total.
func (m *Metrics) CounterVec(name, help string, labels ...string) *CounterVec {
	if len(labels) == 0 {
		panic(fmt.Sprintf("telemetry: registering metric %q: a vector without labels is a counter", name))
	}
	f, unlock := m.register(name, help, kindCounter, labels)
	defer unlock()
	if f.vec == nil {
		f.vec = &CounterVec{name: name, labels: f.labels, series: map[string]*series{}}
		if m != nil {
			f.vec.overflow = m.overflow
		}
	}
	return f.vec
}

// GaugeFunc registers a gauge that is read by calling f at every scrape. Registered again under the same name, the sum of
// all functions is shown. f must be quick and may be called from any goroutine.
func (m *Metrics) GaugeFunc(name, help string, f func() float64) {
	fam, unlock := m.register(name, help, kindGauge, nil)
	defer unlock()
	fam.funcs = append(fam.funcs, f)
}

// Show tells the value of a gauge for values of its labels, one for each in the order of registration.
type Show func(value float64, values ...string)

// GaugeVecFunc registers a gauge with labels that is read by calling f at every scrape. f calls show for each series; what is shown twice, or
// by several functions under the same name, is added up. f must be quick and may be called from any goroutine. Beyond [MaxSeries] series
// the rest is added up under the labels "other".
func (m *Metrics) GaugeVecFunc(name, help string, labels []string, f func(show Show)) {
	if len(labels) == 0 {
		panic(fmt.Sprintf("telemetry: registering metric %q: a vector without labels is a gauge", name))
	}
	fam, unlock := m.register(name, help, kindGauge, labels)
	defer unlock()
	fam.gauges = append(fam.gauges, f)
}

// CounterFunc is [Metrics.GaugeFunc] for a number that only grows and is kept by its owner, such as one that is striped over
// the cores. The name ends in _total.
func (m *Metrics) CounterFunc(name, help string, f func() float64) {
	fam, unlock := m.register(name, help, kindCounter, nil)
	defer unlock()
	if fam.counter != nil {
		panic(fmt.Sprintf("telemetry: registering metric %q: it is registered already as a plain counter", name))
	}
	fam.funcs = append(fam.funcs, f)
}

// Histogram registers a histogram of durations. The name ends in _seconds; the buckets are those of [Histogram].
func (m *Metrics) Histogram(name, help string) *Histogram {
	f, unlock := m.register(name, help, kindHistogram, nil)
	defer unlock()
	if f.histogram == nil {
		f.histogram = new(Histogram)
	}
	return f.histogram
}

// HistogramOf registers a histogram for each of the values of one label, which are all that there will ever be, and returns them in that order. Those that have
// counted nothing yet are not shown.
func (m *Metrics) HistogramOf(name, help, label string, values ...string) []*Histogram {
	f, unlock := m.register(name, help, kindHistogram, []string{label})
	defer unlock()
	if f.several == nil {
		f.several = make(map[string]*Histogram)
	}
	all := make([]*Histogram, len(values))
	for i, v := range values {
		if f.several[v] == nil {
			f.several[v] = new(Histogram)
		}
		all[i] = f.several[v]
	}
	return all
}

// register returns the family of that name, new or known, with the registry locked until the caller unlocks it.
func (m *Metrics) register(name, help string, k kind, labels []string) (*family, func()) {
	if err := checkFamily(name, help, k, labels); err != nil {
		panic("telemetry: " + err.Error())
	}
	f := &family{name: name, help: help, kind: k, labels: slices.Clone(labels)}
	if m == nil {
		return f, func() {}
	}
	m.mu.Lock()
	known, ok := m.families[name]
	if !ok {
		m.families[name] = f
		return f, m.mu.Unlock
	}
	if known.kind != k || known.help != help || !slices.Equal(known.labels, labels) {
		m.mu.Unlock()
		panic(fmt.Sprintf("telemetry: registering metric %q: it is registered already as another kind, with another help text or other labels", name))
	}
	return known, m.mu.Unlock
}

// sorted returns the families by name. The functions are copied, so that they are called without the lock: one of
// them may well register something.
func (m *Metrics) sorted() []family {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	all := make([]family, 0, len(m.families))
	for _, f := range m.families {
		c := *f
		c.funcs, c.gauges, c.several = slices.Clone(f.funcs), slices.Clone(f.gauges), maps.Clone(f.several)
		all = append(all, c)
	}
	m.mu.Unlock()
	slices.SortFunc(all, func(a, b family) int { return strings.Compare(a.name, b.name) })
	return all
}

var (
	namePattern  = regexp.MustCompile(`^ananas(_[a-z][a-z0-9]*){2,}$`)
	labelPattern = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
)

// scaledUnits are endings that tell of a unit other than the base unit (seconds, bytes, ratio), which is what makes two
// metrics impossible to divide by each other.
var scaledUnits = []string{
	"_ms", "_us", "_ns", "_msec", "_usec", "_nsec", "_milliseconds", "_microseconds", "_nanoseconds", "_minutes", "_hours",
	"_kb", "_mb", "_gb", "_kib", "_mib", "_gib", "_kilobytes", "_megabytes", "_percent", "_sec", "_second", "_byte",
}

// checkFamily holds a metric against the convention: `ananas_<package>_<what>_<unit|total>`, counters and only counters end
// in _total, durations are seconds, sizes are bytes, and the help is a sentence.
func checkFamily(name, help string, k kind, labels []string) error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("registering metric %q: "+format, append([]any{name}, args...)...)
	}
	if !namePattern.MatchString(name) {
		return wrong("the name is not of the form ananas_<package>_<what>_<unit or total>")
	}
	if strings.HasSuffix(name, "_total") != (k == kindCounter) {
		return wrong("counters and only counters end in _total, this is a %s", k)
	}
	if k == kindHistogram && !strings.HasSuffix(name, "_seconds") {
		return wrong("a histogram holds durations and ends in _seconds")
	}
	for _, ending := range []string{"_bucket", "_sum", "_count", "_info"} {
		if strings.HasSuffix(name, ending) {
			return wrong("the ending %q has a meaning of its own in the exposition format", ending)
		}
	}
	base := strings.TrimSuffix(name, "_total")
	for _, unit := range scaledUnits {
		if strings.HasSuffix(base, unit) {
			return wrong("%q is not a base unit: use seconds, bytes or ratio", unit[1:])
		}
	}
	if help == "" || !strings.HasSuffix(help, ".") || strings.ContainsAny(help, "\n|") {
		return wrong("the help %q is not one line that ends in a full stop, without %q", help, "|")
	}
	for i, l := range labels {
		if !labelPattern.MatchString(l) || l == "le" || l == "quantile" {
			return wrong("%q is no label name", l)
		}
		if slices.Contains(labels[:i], l) {
			return wrong("the label %q is given twice", l)
		}
	}
	return nil
}
