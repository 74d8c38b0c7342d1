//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/test/bench"
)

// result is all that was found, as it is saved.
type result struct {
	When     time.Time
	Names    int
	Rounds   int
	Long     time.Duration
	Plain    bool `json:",omitempty"`
	Set      []string
	Spin     []string
	Two      []string
	Place    place
	Versions map[string]string // of Debian's packages
	Dead     map[string]string // servers that did not start, and why
	Fillings []filling
	Runs     []run
	Misses   []missing
	Goals    []goal
}

func newResult(o *options, p place) *result {
	r := &result{When: time.Now().UTC().Truncate(time.Second), Names: o.names, Rounds: o.rounds, Long: o.long, Plain: o.plain, Set: o.more, Spin: o.spin, Two: o.two,
		Place: p, Versions: map[string]string{}, Dead: map[string]string{}}
	out, err := exec.Command("dpkg-query", "-W", "-f", "${Package} ${Version}\n", "unbound", "dnsdist", "pdns-recursor", "knot-resolver", "bind9", "nsd").Output()
	if err != nil {
		return r // not Debian: the servers may be there all the same
	}
	for line := range strings.Lines(string(out)) {
		if name, version, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			r.Versions[name] = version
		}
	}
	return r
}

func (r *result) save(path string) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// values are one figure of all runs of a server in a mode, by round.
func (r *result) values(server, mode string, of func(*run) float64) (values []float64) {
	for i := range r.Runs {
		if v := &r.Runs[i]; v.Server == server && v.Mode == mode {
			values = append(values, of(v))
		}
	}
	return values
}

// servers are those with runs in a mode, the best by a figure first.
func (r *result) servers(mode string, of func(*run) float64) (names []string) {
	for i := range r.Runs {
		if v := &r.Runs[i]; v.Mode == mode && !slices.Contains(names, v.Server) {
			names = append(names, v.Server)
		}
	}
	slices.SortStableFunc(names, func(a, b string) int {
		x, y := bench.Median(r.values(a, mode, of)), bench.Median(r.values(b, mode, of))
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	return names
}

func cpu(v *run) float64  { return v.CPU }
func rate(v *run) float64 { return v.Rate }
func p50(v *run) float64  { return v.P50 }

func (r *result) filling(server string, k kind) *filling {
	for i := range r.Fillings {
		if f := &r.Fillings[i]; f.Server == server && f.Kind == k {
			return f
		}
	}
	return nil
}

// goal is one line of what is needed.
type goal struct {
	What    string
	Unit    string // of Ours and Theirs
	Needed  float64
	Aimed   float64 // 0: no more than needed
	AtMost  bool    // Value must not be more than Needed; else not less
	Ours    float64
	Theirs  float64
	Peer    string
	Value   float64    // what is compared with Needed: how many times better than the peer, or the figure itself
	Spread  [2]float64 // smallest and largest Value of single rounds
	Ratio   bool       // Value is a ratio
	Met     bool
	Unknown bool // not measured
}

// judge works out the goals.
func (r *result) judge() {
	const us = 1e-3
	scaled := func(of func(*run) float64, by float64) func(*run) float64 {
		return func(v *run) float64 { return of(v) * by }
	}
	spin := r.against("median latency at 20,000 a second, spinning", "us", "ananas-spin", "20k", peers, p50, false, 4, 5)
	r.Goals = []goal{
		r.against("CPU per query, names and answers of many sizes, 4 client sockets", "us", "ananas", "mixed", peers, scaled(cpu, us), false, 1.6, 2),
		r.against("CPU per query, one size, 4 client sockets", "us", "ananas", "one", peers, scaled(cpu, us), false, 2, 2.5),
		r.against("CPU per query, one size, 64 client sockets", "us", "ananas", "many", peers, scaled(cpu, us), false, 1.45, 1.6),
		r.against("queries a second on one processor, one size, 4 client sockets", "k", "ananas", "one", peers, scaled(rate, 1e-3), true, 2, 2.5),
		spin,
		r.against("median latency at 20,000 a second, not spinning (1.0, less 5 % of noise)", "us", "ananas", "20k", peers, p50, false, 0.95, 1),
		r.memory(),
		r.twoLoops(),
		r.overMisses("median of hits beside half as many misses as it can do, by that of hits alone", "times", true, 2, 0, func(v *missing) float64 { return v.Half / v.Quiet }),
		r.overMisses("hits answered beside twice as many misses as it can do", "%", false, 99.9, 0, func(v *missing) float64 { return 100 * v.TwiceHits }),
		r.wrong(),
		r.hits(),
	}
}

func (g *goal) decide() {
	switch {
	case g.Unknown || math.IsNaN(g.Value):
		g.Unknown, g.Ours, g.Theirs, g.Value, g.Spread = true, 0, 0, 0, [2]float64{}
	case g.AtMost:
		g.Met = g.Value <= g.Needed
	default:
		g.Met = g.Value >= g.Needed
	}
}

// against compares a server of ours with the better of some peers, by medians; more tells that more is better.
func (r *result) against(what, unit, ours, mode string, peers []string, of func(*run) float64, more bool, needed, aimed float64) goal {
	g := goal{What: what, Unit: unit, Needed: needed, Aimed: aimed, Ratio: true, Theirs: math.NaN()}
	mine := r.values(ours, mode, of)
	g.Ours = bench.Median(mine)
	var theirs []float64
	for _, p := range peers {
		v := r.values(p, mode, of)
		if m := bench.Median(v); len(v) > 0 && (g.Peer == "" || more && m > g.Theirs || !more && m < g.Theirs) {
			g.Peer, g.Theirs, theirs = p, m, v
		}
	}
	better := func(mine, theirs float64) float64 {
		if more {
			return mine / theirs
		}
		return theirs / mine
	}
	g.Value = better(g.Ours, g.Theirs)
	g.spread(min(len(mine), len(theirs)), func(i int) float64 { return better(mine[i], theirs[i]) })
	g.decide()
	return g
}

func (g *goal) spread(n int, value func(i int) float64) {
	for i := range n {
		v := value(i)
		if i == 0 {
			g.Spread = [2]float64{v, v}
		}
		g.Spread = [2]float64{min(g.Spread[0], v), max(g.Spread[1], v)}
	}
}

func (r *result) memory() goal {
	g := goal{What: "memory per cached name, one size", Unit: "octets", Needed: 300, Aimed: 220, AtMost: true, Theirs: math.NaN()}
	for _, p := range peers {
		if f := r.filling(p, oneSize); f != nil && !(f.PerName >= g.Theirs) {
			g.Peer, g.Theirs = p, f.PerName
		}
	}
	if f := r.filling("ananas", oneSize); f != nil {
		g.Ours, g.Value = f.PerName, f.PerName
	} else {
		g.Unknown = true
	}
	if g.Peer == "" {
		g.Theirs = 0
	}
	g.decide()
	return g
}

// twoLoops compares two loops with one: what they share costs.
func (r *result) twoLoops() goal {
	g := goal{What: "CPU per query of two loops by that of one, 64 client sockets", Unit: "us", Needed: 1.1, AtMost: true, Ratio: true, Peer: "one loop"}
	two, one := r.values("ananas-two", "many", cpu), r.values("ananas", "many", cpu)
	g.Ours, g.Theirs = bench.Median(two)/1e3, bench.Median(one)/1e3
	g.Value = g.Ours / g.Theirs
	g.spread(min(len(two), len(one)), func(i int) float64 { return two[i] / one[i] })
	g.decide()
	return g
}

func (r *result) overMisses(what, unit string, atMost bool, needed, aimed float64, of func(*missing) float64) goal {
	g := goal{What: what, Unit: unit, Needed: needed, Aimed: aimed, AtMost: atMost}
	values := map[string][]float64{}
	for i := range r.Misses {
		values[r.Misses[i].Server] = append(values[r.Misses[i].Server], of(&r.Misses[i]))
	}
	mine := values["ananas"]
	g.Ours = bench.Median(mine)
	if v := values["unbound"]; len(v) > 0 {
		g.Peer, g.Theirs = "unbound", bench.Median(v)
	}
	g.Value = g.Ours
	g.spread(len(mine), func(i int) float64 { return mine[i] })
	g.decide()
	return g
}

// wrong counts wrong answers of ours: none is allowed.
func (r *result) wrong() goal {
	g := goal{What: "wrong answers among those looked at closely", Unit: "answers", AtMost: true}
	looked := 0
	for i := range r.Runs {
		if v := &r.Runs[i]; strings.HasPrefix(v.Server, "ananas") {
			g.Value += float64(v.Wrong)
			looked += v.Looked
		}
	}
	for i := range r.Fillings {
		if f := &r.Fillings[i]; strings.HasPrefix(f.Server, "ananas") {
			g.Value += float64(f.Wrong)
			looked += r.Names
		}
	}
	for i := range r.Misses {
		if v := &r.Misses[i]; v.Server == "ananas" {
			g.Value += float64(v.Wrong)
		}
	}
	g.Ours, g.Unknown = g.Value, looked == 0
	g.decide()
	return g
}

// hits is whether what was measured were hits, for all servers: the most that NSD took of a processor.
func (r *result) hits() goal {
	g := goal{What: "the most NSD worked while cached answers were measured, of a processor", Unit: "%", Needed: 2, AtMost: true, Unknown: len(r.Runs) == 0}
	for i := range r.Runs {
		if v := &r.Runs[i]; 100*v.Authority >= g.Value {
			g.Value, g.Peer = 100*v.Authority, v.Server
		}
	}
	g.Ours = g.Value
	g.decide()
	return g
}

// missed are the goals that are not met, or were not measured.
func (r *result) missed() (what []string) {
	for _, g := range r.Goals {
		switch {
		case g.Unknown:
			what = append(what, g.What+": not measured")
		case !g.Met:
			what = append(what, fmt.Sprintf("%s: %s, needed %s", g.What, g.number(g.Value), g.number(g.Needed)))
		}
	}
	return what
}

func (g *goal) number(v float64) string {
	if g.Ratio || g.Unit == "times" {
		return fmt.Sprintf("%.2f", v)
	}
	return figure(v)
}

// figure prints three or four digits of a number.
func figure(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return "-"
	case v == math.Trunc(v) || a >= 99.5 && v == math.Round(v):
		return fmt.Sprintf("%.0f", v)
	case a >= 99 && a < 100: // a share that is nearly all
		return fmt.Sprintf("%.3f", v)
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
