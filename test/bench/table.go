//go:build linux

package bench

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/ananas-edge/ananas/test/bench/load"
)

// Measure is one figure, of both contenders, by run: run i of the one and run i of the other were given the same.
type Measure struct {
	Name   string
	Format string // of one value, such as "%.1f ms"
	Ours   []float64
	Theirs []float64
}

// Table prints medians over the runs with the smallest and largest, and the ratio of ours to theirs: of the medians, and the smallest
// and largest of single runs.
func Table(title string, measures []Measure) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s | ananas | min..max | unbound | min..max | ratio | min..max |\n|---|---:|---:|---:|---:|---:|---:|\n", title)
	for _, m := range measures {
		fmt.Fprintf(&b, "| %s | %s | %s | %s\n", m.Name, m.cells(m.Ours), m.cells(m.Theirs), m.ratio())
	}
	return b.String()
}

func (m *Measure) cells(values []float64) string {
	if len(values) == 0 {
		return "- | -"
	}
	return fmt.Sprintf(m.Format+" | "+m.Format+".."+m.Format, Median(values), slices.Min(values), slices.Max(values))
}

func (m *Measure) ratio() string {
	var runs []float64
	for i := range min(len(m.Ours), len(m.Theirs)) {
		if r := m.Ours[i] / m.Theirs[i]; !math.IsNaN(r) && !math.IsInf(r, 0) {
			runs = append(runs, r)
		}
	}
	middle := Median(m.Ours) / Median(m.Theirs)
	switch {
	case math.IsNaN(middle): // nothing by nothing
		return "- | - |"
	case math.IsInf(middle, 0):
		return "inf | - |"
	case len(runs) == 0:
		return fmt.Sprintf("%.2f | - |", middle)
	}
	return fmt.Sprintf("%.2f | %.2f..%.2f |", middle, slices.Min(runs), slices.Max(runs))
}

// Median returns the middle value, or the mean of the two in the middle; NaN of none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Milliseconds turns sorted latencies in nanoseconds into the one below which a share q lies.
func Milliseconds(sorted []float64, q float64) float64 { return load.Quantile(sorted, q) / 1e6 }
