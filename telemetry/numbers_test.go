package telemetry

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// Numbers are counted in the first bucket that they do not exceed, and a metric has no more series than it may have.
func TestNumbers(t *testing.T) {
	m := NewMetrics()
	v := m.NumberVec("ananas_module_observed", "Numbers.", "module")
	if v != m.NumberVec("ananas_module_observed", "Numbers.", "module") {
		t.Error("a second registration gave another vector")
	}
	h := v.With("a")
	for n, want := range map[uint64]string{0: "0", 1: "1", 2: "2", 3: "5", 5: "5", 6: "10", 10: "10", 11: "20", 4_999_999_999: "5e+09", 10_000_000_000: "1e+10", math.MaxUint64: "+Inf"} {
		one := m.NumberVec("ananas_module_one", "One.", "n").With(fmt.Sprint(n))
		one.Observe(n)
		page := scrape(t, m)
		first := ""
		for line := range strings.Lines(page) {
			if rest, ok := strings.CutPrefix(line, fmt.Sprintf("ananas_module_one_bucket{n=\"%d\",le=\"", n)); ok && strings.HasSuffix(rest, " 1\n") {
				first, _, _ = strings.Cut(rest, `"`)
				break
			}
		}
		if first != want {
			t.Errorf("%d is in bucket %q, want %q", n, first, want)
		}
	}
	for range 3 {
		h.Observe(1 << 63) // together more than 2^64
	}
	for n := range MaxNumberSeries + 5 {
		v.With(fmt.Sprint(n)).Observe(1)
	}
	page := scrape(t, m)
	for _, want := range []string{"ananas_module_observed_sum{module=\"a\"} 2.7670116110564327e+19\n", "ananas_module_observed_count{module=\"other\"} 6\n", "ananas_telemetry_series_over_limit_total 6\n"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no line %q", want)
		}
	}
	if n := strings.Count(page, "ananas_module_observed_count{"); n != MaxNumberSeries+1 {
		t.Errorf("%d series", n)
	}
	for what, f := range map[string]func(){"no labels": func() { m.NumberVec("ananas_module_x", "X.") }, "values": func() { v.With() }, "kind": func() { m.CounterVec("ananas_module_observed", "Numbers.", "module") }} {
		if !panics(f) {
			t.Errorf("%s: no panic", what)
		}
	}
	(*Metrics)(nil).NumberVec("ananas_module_observed", "Numbers.", "module").With("a").Observe(1)
}
