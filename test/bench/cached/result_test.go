//go:build linux

package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the tables and the chart that are made now into testdata")

// made is a result of three rounds, with figures that are easy to follow.
func made() *result {
	r := &result{When: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC), Names: 100_000, Rounds: 3, Long: 3 * time.Second, Place: allot([]int{0, 1}, func(a, b int) bool { return a == b }),
		Versions: map[string]string{"unbound": "1.17.1-2+deb12u4", "bind9": "1:9.18.49-1~deb12u1", "nsd": "4.6.1-1"}, Dead: map[string]string{"kresd": "no answer"}}
	add := func(server, mode string, v run, cpus ...float64) {
		for i, c := range cpus {
			v.Server, v.Mode, v.Round, v.CPU, v.Looked, v.P99 = server, mode, i, c, 1000, 4*v.P50
			r.Runs = append(r.Runs, v)
		}
	}
	for _, m := range []string{"mixed", "one", "many"} {
		add("ananas", m, run{Rate: 500_000, Busy: 0.95, P50: 350, Client: 1500}, 2100, 1900, 2000)
		add("unbound", m, run{Rate: 200_000, Busy: 0.97, P50: 800, Client: 2000}, 4200, 4000, 4400)
		add("dnsdist", m, run{Rate: 240_000, Busy: 0.96, P50: 850, Client: 2000}, 5000, 4600, 4600)
		add("bind9", m, run{Rate: 120_000, Busy: 0.99, P50: 1500, Client: 2500}, 3000, 8000, 8100)
	}
	add("ananas-two", "many", run{Rate: 700_000, Busy: 1.5, P50: 200}, 2100, 2100, 2100)
	add("ananas", "20k", run{Rate: 20_000, P50: 38}, 20_000, 20_000, 20_000)
	add("ananas-spin", "20k", run{Rate: 20_000, P50: 9.5}, 9000, 9000, 9000)
	add("unbound", "20k", run{Rate: 20_000, P50: 38.2, Authority: 0.004}, 20_000, 20_000, 20_000)
	for server, octets := range map[string]float64{"ananas": 280, "unbound": 650, "dnsdist": 380} {
		r.Fillings = append(r.Fillings, filling{Server: server, Kind: oneSize, Before: 20 << 20, After: 20<<20 + int64(octets*1e5), PerName: octets, RCodes: [16]int{0: 93_000, 3: 7000}})
	}
	for i := range 3 {
		r.Misses = append(r.Misses, missing{Server: "ananas", Round: i, Capacity: 20_000, CPU: 45_000, Quiet: 20, Half: 30 + float64(i), HalfHits: 1, Twice: 900, TwiceHits: 0.9995, TwiceMiss: 0.4})
		r.Misses = append(r.Misses, missing{Server: "unbound", Round: i, Capacity: 30_000, CPU: 30_000, Quiet: 20, Half: 25, HalfHits: 1, Twice: 200_000, TwiceHits: 0.6, TwiceMiss: 0.6})
	}
	return r
}

// find returns the goal that begins so.
func find(t *testing.T, r *result, what string) goal {
	t.Helper()
	for _, g := range r.Goals {
		if strings.HasPrefix(g.What, what) {
			return g
		}
	}
	t.Fatalf("no goal begins with %q", what)
	return goal{}
}

// Ratios are of medians, to the better of Unbound and dnsdist; their spread is that of single rounds.
func TestGoals(t *testing.T) {
	r := made()
	r.judge()
	for what, want := range map[string]struct {
		value, low, high float64
		peer             string
		met              bool
	}{
		"CPU per query, names and answers":                {2.1, 2, 2.2, "unbound", true},
		"CPU per query, one size, 4":                      {2.1, 2, 2.2, "unbound", true},
		"CPU per query, one size, 64":                     {2.1, 2, 2.2, "unbound", true},
		"queries a second":                                {500.0 / 240, 500.0 / 240, 500.0 / 240, "dnsdist", true}, // the peer that answers more
		"median latency at 20,000 a second, spinning":     {38.2 / 9.5, 38.2 / 9.5, 38.2 / 9.5, "unbound", true},
		"median latency at 20,000 a second, not spinning": {38.2 / 38, 38.2 / 38, 38.2 / 38, "unbound", true},
		"memory":                     {280, 0, 0, "dnsdist", true},
		"CPU per query of two loops": {1.05, 1, 2100.0 / 1900, "one loop", true},
		"median of hits":             {31.0 / 20, 30.0 / 20, 32.0 / 20, "unbound", true},
		"hits answered":              {99.95, 99.95, 99.95, "unbound", true},
		"wrong answers":              {0, 0, 0, "", true},
		"the most NSD":               {0.4, 0, 0, "unbound", true},
	} {
		g := find(t, r, what)
		near := func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 }
		if !near(g.Value, want.value) || !near(g.Spread[0], want.low) || !near(g.Spread[1], want.high) || g.Peer != want.peer || g.Met != want.met || g.Unknown {
			t.Errorf("%s: %+v, want %+v", what, g, want)
		}
	}
	if m := r.missed(); len(m) > 0 {
		t.Errorf("missed: %q", m)
	}
}

// What is short of a goal is missed, and so is what was not measured.
func TestMissed(t *testing.T) {
	for what, spoil := range map[string]func(*result){
		"CPU per query, one size, 4": func(r *result) {
			for i := range r.Runs {
				if v := &r.Runs[i]; v.Mode == "one" && v.Server == "ananas" {
					v.CPU = 2101
				}
			}
		},
		"memory": func(r *result) {
			for i := range r.Fillings {
				r.Fillings[i].PerName = 301
			}
		},
		"median of hits": func(r *result) {
			for i := range r.Misses {
				r.Misses[i].Half = 41
			}
		},
		"hits answered": func(r *result) {
			for i := range r.Misses {
				r.Misses[i].TwiceHits = 0.9989
			}
		},
		"wrong answers": func(r *result) { r.Runs[0].Wrong = 1 },
		"the most NSD":  func(r *result) { r.Runs[3].Authority = 0.021 },
		"median latency at 20,000 a second, spinning": func(r *result) {
			for i := range r.Runs {
				if r.Runs[i].Server == "ananas-spin" {
					r.Runs[i].Mode = "none"
				}
			}
		},
	} {
		r := made()
		spoil(r)
		r.judge()
		if m := r.missed(); len(m) != 1 || !strings.HasPrefix(m[0], what) {
			t.Errorf("%s: missed %q", what, m)
		}
		if _, err := json.Marshal(r); err != nil { // no infinity, nothing that is no number
			t.Errorf("%s: %v", what, err)
		}
	}
	empty := &result{}
	empty.judge()
	for _, g := range empty.Goals {
		if !g.Unknown {
			t.Errorf("of nothing: %+v", g)
		}
	}
	if _, err := json.Marshal(empty); err != nil {
		t.Error(err)
	}
}

// The tables and the chart of a result that was made up; -update writes them.
func TestOutput(t *testing.T) {
	r := made()
	r.judge()
	svg := r.chart()
	for file, got := range map[string]string{"tables.md": r.text(), "chart.svg": svg} {
		path := filepath.Join("testdata", file)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s: %s", file, diff)
		}
	}
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the chart is no XML: %v", err)
		}
	}
}

// The best bar is on top, lengths are in proportion, and the longest fits.
func TestBars(t *testing.T) {
	points := []point{{"a", 200, 100, 400}, {"ananas", 100, 90, 110}, {"b", 300, 300, 300}}
	less := bars(points, false)
	if less[0].Name != "ananas" || less[0].Ours == "" || less[1].Name != "a" || less[1].Ours != "" || less[2].Name != "b" {
		t.Errorf("less is better: %+v", less)
	}
	if less[0].Width*2 != less[1].Width || less[1].High != nameWidth+trackWidth || less[2].Spread || !less[1].Spread {
		t.Errorf("lengths: %+v", less)
	}
	if more := bars(points, true); more[0].Name != "b" || more[2].Name != "ananas" {
		t.Errorf("more is better: %+v", more)
	}
}

func TestFigure(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.123: "0.12", 2: "2", 2.345: "2.35", 23.45: "23.4", 99.95: "99.950", 100: "100", 234.5: "234", 220000: "220000"} {
		if got := figure(v); got != want {
			t.Errorf("%v is printed %q, want %q", v, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d is printed %q, want %q", n, got, want)
		}
	}
}
