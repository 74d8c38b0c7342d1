//go:build linux

package main

import (
	"cmp"
	_ "embed"
	"fmt"
	"html"
	"slices"
	"strings"
	"text/template"

	"github.com/ananas-edge/ananas/test/bench"
)

//go:embed chart.svg.tmpl
var chartTemplate string

// Measures of the chart, in pixels.
const (
	chartWidth   = 960
	chartLeft    = 32
	chartTop     = 100
	panelColumns = 2
	panelGap     = 44
	panelWidth   = (chartWidth - 2*chartLeft - (panelColumns-1)*panelGap) / panelColumns
	panelHead    = 28 // title and unit
	rowHeight    = 25
	barHeight    = 15
	nameWidth    = 104
	valueWidth   = 62
	trackWidth   = panelWidth - nameWidth - valueWidth - 8
	panelFoot    = 42
)

type chartData struct {
	Title, Subtitle, Foot string
	Width, Height, Left   int
	FootY                 int
	Panels                []panel
}

// panel is one figure of all servers.
type panel struct {
	Title, Unit string
	X, Y        int
	Bars        []bar
}

type bar struct {
	Name, Ours, Value               string
	X, Y, Height, Width             int
	NameX, ValueX, TextY            int
	TrackWidth                      int
	Spread                          bool
	Low, High, MidY, CapTop, CapEnd int
}

// point is what a bar shows.
type point struct {
	name            string
	value, min, max float64
}

func (p *point) ours() bool { return strings.HasPrefix(p.name, "ananas") }

// chart draws the figures that matter most: the median of each as a bar, the smallest and largest of single runs as a line in it.
func (r *result) chart() string {
	d := chartData{
		Title:    "What a cached answer costs",
		Subtitle: fmt.Sprintf("One worker on one processor, %s names in the cache, medians of %s; lines: smallest and largest.", thousands(r.Names), r.rounds()),
		Width:    chartWidth, Left: chartLeft, Foot: r.foot(),
	}
	us := func(v *run) float64 { return v.CPU / 1e3 }
	y := chartTop
	below := 0
	for _, p := range []struct {
		title, unit string
		points      []point
		more        bool
	}{
		{"Processor time a query: answers of many sizes", "microseconds, 192 in flight from 4 sockets; less is better", r.points("mixed", us), false},
		{"Processor time a query: one size", "microseconds, 192 in flight from 4 sockets; less is better", r.points("one", us), false},
		{"Processor time a query: many clients", "microseconds, 64 sockets with 3 in flight each; less is better", r.points("many", us), false},
		{"Queries a second on one processor", "thousands, one size, 192 in flight from 4 sockets; more is better", r.points("one", func(v *run) float64 { return v.Rate / 1e3 }), true},
		{"Median latency at 20,000 queries a second", "microseconds; less is better", r.points("20k", p50), false},
		{"Memory of a cached name", "octets of resident set; less is better; kresd's is a mapped file", r.memoryPoints(), false},
	} {
		if len(p.points) == 0 {
			continue
		}
		column := len(d.Panels) % panelColumns
		if column == 0 {
			y, below = y+below, 0
		}
		panel := panel{Title: p.title, Unit: p.unit, X: chartLeft + column*(panelWidth+panelGap), Y: y, Bars: bars(p.points, p.more)}
		below = max(below, panelHead+len(panel.Bars)*rowHeight+panelFoot)
		d.Panels = append(d.Panels, panel)
	}
	d.FootY = y + below - 8
	d.Height = d.FootY + 24
	var b strings.Builder
	// The template is a constant, and a builder takes everything.
	if err := template.Must(template.New("chart").Parse(chartTemplate)).Execute(&b, d); err != nil {
		panic(err)
	}
	return b.String()
}

// bars lays out a panel: the best on top.
func bars(points []point, more bool) (all []bar) {
	slices.SortStableFunc(points, func(a, b point) int {
		if (a.value < b.value) != more && a.value != b.value {
			return -1
		}
		if a.value == b.value {
			return 0
		}
		return 1
	})
	most := 0.0
	for _, p := range points {
		most = max(most, p.value, p.max)
	}
	scale := func(v float64) int { return int(v / most * trackWidth) }
	for i, p := range points {
		y := panelHead + i*rowHeight
		class := ""
		if p.ours() {
			class = " ours"
		}
		low, high := nameWidth+scale(p.min), nameWidth+scale(p.max)
		all = append(all, bar{
			Name: html.EscapeString(p.name), Ours: class, Value: digits(p.value), X: nameWidth, Y: y, Height: barHeight, Width: max(2, scale(p.value)),
			NameX: nameWidth - 10, ValueX: panelWidth, TextY: y + barHeight - 3, TrackWidth: trackWidth,
			Spread: high-low > 3, Low: low, High: high, MidY: y + barHeight/2, CapTop: y + barHeight/2 - 3, CapEnd: y + barHeight/2 + 3,
		})
	}
	return all
}

// points are one figure of all servers in a mode. Servers with two loops are no single worker.
func (r *result) points(mode string, of func(*run) float64) (all []point) {
	for _, name := range r.servers(mode, of) {
		if name == "ananas-two" {
			continue
		}
		v := r.values(name, mode, of)
		all = append(all, point{name, bench.Median(v), slices.Min(v), slices.Max(v)})
	}
	return all
}

func (r *result) memoryPoints() (all []point) {
	for _, f := range r.Fillings {
		if f.Kind == oneSize && f.Server != "ananas-two" && f.Server != "ananas-spin" && f.PerName > 0 {
			all = append(all, point{f.Server, f.PerName, f.PerName, f.PerName})
		}
	}
	return all
}

// foot says what was compared.
func (r *result) foot() string {
	var parts []string
	for _, name := range sortedKeys(r.Versions) {
		server := cmp.Or(map[string]string{"pdns-recursor": "recursor", "knot-resolver": "kresd"}[name], name)
		if !slices.ContainsFunc(r.Runs, func(v run) bool { return v.Server == server }) {
			continue
		}
		version, _, _ := strings.Cut(r.Versions[name], "-")
		_, version, found := strings.Cut(":"+version, ":") // without the epoch
		if _, after, again := strings.Cut(version, ":"); found && again {
			version = after
		}
		parts = append(parts, name+" "+version)
	}
	return html.EscapeString(fmt.Sprintf("make bench-cached, %s. Debian's %s.", r.When.Format("2006-01-02"), strings.Join(parts, ", ")))
}

// digits prints three digits of a number, or all before the point.
func digits(v float64) string {
	switch {
	case v >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case v >= 9.995:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// thousands prints a number with commas.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
