//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/test/bench"
	"github.com/ananas-edge/ananas/test/bench/load"
)

// attacked is the zone in attack.world.
var attacked = dns.MustParseName("attacked.com")

// result is what one run of one contender found.
type result struct {
	name         string
	calm, attack phase
	attackers    *load.Report
	before, peak int64 // memory, octets
}

// phase is a time in which the normal client was measured.
type phase struct {
	hits, misses tally
	busy         float64 // share of its processor that the resolver took
	upstream     float64 // questions a second to name servers
	labBusy      float64
	loadBusy     float64
	late         load.Lateness
	noise        bench.Noise
}

// tally is what became of some questions.
type tally struct {
	sent, good int
	timeouts   int
	rcodes     [16]int
	latencies  []float64 // nanoseconds, sorted; time-outs at the time-out
}

func (t *tally) success() float64 { return float64(t.good) / float64(max(1, t.sent)) }

func (t *tally) String() string {
	return fmt.Sprintf("%.3f %% of %d, p50 %.3f p99 %.2f max %.0f ms, time-outs %d, rcodes %s", 100*t.success(), t.sent, bench.Milliseconds(t.latencies, 0.5),
		bench.Milliseconds(t.latencies, 0.99), bench.Milliseconds(t.latencies, 1), t.timeouts, rcodes(t.rcodes))
}

func rcodes(counts [16]int) string {
	var words []string
	for c, n := range counts {
		if n > 0 {
			words = append(words, fmt.Sprintf("%v %d", dns.RCode(c), n))
		}
	}
	return strings.Join(words, ", ")
}

// Facts that a round draws from its seed.
const (
	drawCalm = iota
	drawNormal
	drawHits
	drawMisses
	drawAttack
	drawLabels
)

const udpSize = 1232 // octets that clients say they take (RFC 9715)

// client is who asks in peace.
var client = netip.MustParseAddr("127.0.0.1")

// round is one run under way.
type round struct {
	*options
	rig      *bench.Rig
	net      *bench.Internet
	seed     uint64
	resolver *bench.Resolver
	hits     []dns.Name
	misses   []dns.Name // each is asked once
	asked    int        // misses so far
}

// once runs one contender for one seed.
func (o *options) once(ctx context.Context, r *bench.Rig, net *bench.Internet, c bench.Contender, seed uint64, name string) (*result, error) {
	v := &result{name: name}
	r.Progress("%s: starting", name)
	p, err := r.Start(c, name)
	if err != nil {
		return nil, err
	}
	defer p.Stop(10 * time.Second)
	t := &round{options: o, rig: r, net: net, seed: seed, resolver: p}
	if err := t.warm(ctx); err != nil {
		return nil, err
	}
	if v.calm, err = t.measure(ctx, o.calm, drawCalm); err != nil {
		return nil, err
	}
	r.Say("%-11s calm:   hits %v\n%-11s         misses %v", name, &v.calm.hits, "", &v.calm.misses)
	v.before, _ = p.Memory()
	if r.Profile {
		go func() { // it ends with the run, or with the resolver
			if err := p.Profile(ctx, o.time); err != nil {
				r.Say("%v", err)
			}
		}()
	}
	attack := make(chan error, 1)
	go func() {
		var err error
		v.attackers, err = t.attack(ctx)
		attack <- err
	}()
	v.attack, err = t.measure(ctx, o.time, drawNormal)
	if err = errors.Join(err, <-attack); err != nil {
		return nil, err
	}
	if p.Ended() {
		return nil, fmt.Errorf("measuring %s: it ended under way", name)
	}
	_, v.peak = p.Memory()
	r.Say("%-11s attack: hits %v\n%-11s         misses %v", name, &v.attack.hits, "", &v.attack.misses)
	r.Say("%-11s attackers: sent %d, answered %d, %s; CPU %.0f %%, lab %.0f %%, load %.0f %% and %.0f %%; %.0f questions/s; memory %d -> %d MiB; others %v, sent late p50 %v p99 %v",
		"", v.attackers.Sent, v.attackers.Answered, rcodes(v.attackers.RCodes), 100*v.attack.busy, 100*v.attack.labBusy, 100*v.attack.loadBusy,
		100*v.attackers.CPU.Seconds()/v.attackers.Wall.Seconds(), v.attack.upstream, v.before>>20, v.peak>>20,
		v.attack.noise, v.attack.late.P50.Round(time.Microsecond), v.attack.late.P99.Round(time.Microsecond))
	if err := p.Metrics(ctx); err != nil {
		r.Say("%v", err)
	}
	return v, nil
}

// Limits of the warming.
const (
	warmPasses = 5
	warmRate   = 500 // questions a second
	warmTTL    = 120 // seconds that an answer must live to be a hit until the end
)

// warm fills the cache with popular names that stay long enough, and sets the fresh ones apart.
func (t *round) warm(ctx context.Context) error {
	wanted := slices.Clone(t.net.Names[:min(len(t.net.Names), 2*t.options.warm)]) // half of them live shorter, or fail
	waiting := wanted
	for pass := range warmPasses {
		if len(waiting) == 0 {
			break
		}
		t.rig.Progress("%s: warming, pass %d", t.resolver.Process.Name, pass+1)
		report, err := load.Run(ctx, load.Plan{
			Server: bench.Address, Sources: []netip.Addr{client}, Keep: true, Timeout: t.timeout,
			At:       load.Poisson(load.Draw(t.seed, 100+uint64(pass)), len(waiting), warmRate),
			Question: func(i int, b []byte) []byte { return question(b, waiting[i]) },
		})
		if err != nil {
			return err
		}
		var again []dns.Name
		for i := range report.Answers {
			switch ttl, ok := shortest(report.Answers[i].Message); {
			case !ok:
				again = append(again, waiting[i])
			case ttl >= warmTTL && len(t.hits) < t.options.warm:
				t.hits = append(t.hits, waiting[i])
			}
		}
		waiting = again
	}
	if len(t.hits) == 0 {
		return fmt.Errorf("warming the cache of %s: no name was answered", t.resolver.Process.Name)
	}
	t.misses = slices.Clone(t.net.Names[len(wanted):])
	draw := rand.New(rand.NewPCG(t.seed, drawMisses))
	draw.Shuffle(len(t.misses), func(i, j int) { t.misses[i], t.misses[j] = t.misses[j], t.misses[i] })
	return nil
}

func question(b []byte, n dns.Name) []byte {
	return dns.AppendQuestion(b, 0, dns.FlagRD, dns.Question{Name: n, Type: dns.TypeA, Class: dns.ClassINET}, udpSize, false, nil)
}

// shortest returns the shortest TTL in the answer section; false if there is no answer.
func shortest(msg []byte) (ttl uint32, ok bool) {
	var m dns.Message
	if msg == nil || dns.Parse(msg, &m) != nil || m.RCode() != dns.RCodeSuccess || len(m.Sections[0]) == 0 {
		return 0, false
	}
	ttl = m.Sections[0][0].TTL
	for _, rr := range m.Sections[0] {
		ttl = min(ttl, rr.TTL)
	}
	return ttl, true
}

// measure lets the normal client ask for some time.
func (t *round) measure(ctx context.Context, long time.Duration, times uint64) (phase, error) {
	n := int(long.Seconds() * t.normal)
	hit := func(i int) bool { return load.Draw(t.seed, times, drawHits, uint64(i))&1 == 0 }
	names := make([]dns.Name, n)
	for i := range names {
		if hit(i) {
			names[i] = t.hits[load.Below(load.Draw(t.seed, times, drawHits, uint64(i), 1), len(t.hits))]
			continue
		}
		if t.asked == len(t.misses) {
			return phase{}, fmt.Errorf("measuring for %v: the lab has only %d fresh names", long, len(t.misses))
		}
		names[i] = t.misses[t.asked]
		t.asked++
	}
	if err := t.net.Forget(); err != nil {
		return phase{}, err
	}
	watch := t.rig.Watch(t.resolver, t.net)
	cpu, labCPU := t.resolver.CPU(), t.net.CPU()
	// What the resolver took is counted until the last question was sent: the wait for time-outs would water it down.
	var p phase
	counted := false
	count := func() error {
		stats, err := t.net.Stats()
		p.busy = (t.resolver.CPU() - cpu).Seconds() / long.Seconds()
		p.labBusy = (t.net.CPU() - labCPU).Seconds() / long.Seconds()
		p.upstream = float64(stats.Questions) / long.Seconds()
		p.noise = watch()
		counted = true
		return err
	}
	at := load.Poisson(load.Draw(t.seed, times), n, t.normal)
	timer := time.NewTimer(at[n-1])
	defer timer.Stop()
	type outcome struct {
		report *load.Report
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		report, err := load.Run(ctx, load.Plan{
			Server: bench.Address, Sources: []netip.Addr{client}, At: at, Keep: true, Timeout: t.timeout,
			Question: func(i int, b []byte) []byte { return question(b, names[i]) },
			Progress: func(sent int) { t.rig.Progress("%s: %d of %d questions", t.resolver.Process.Name, sent, n) },
		})
		done <- outcome{report, err}
	}()
	var out outcome
	select {
	case <-timer.C:
		if err := count(); err != nil {
			return p, err
		}
		out = <-done
	case out = <-done:
	}
	if out.err != nil {
		return p, out.err
	}
	if !counted {
		if err := count(); err != nil {
			return p, err
		}
	}
	p.loadBusy = out.report.CPU.Seconds() / out.report.Wall.Seconds()
	p.late = out.report.Late
	var lines strings.Builder
	for i := range out.report.Answers {
		a := &out.report.Answers[i]
		fmt.Fprintf(&lines, "%.6f %.3f %d %v %v\n", at[i].Seconds(), float64(a.Latency)/1e6, a.RCode(), hit(i), names[i])
		if hit(i) {
			p.hits.add(&out.report.Answers[i], t.timeout)
		} else {
			p.misses.add(&out.report.Answers[i], t.timeout)
		}
	}
	// When, how long, what, whether a hit, which name: the calm is overwritten by the attack.
	if _, err := t.rig.Write(t.resolver.Process.Name+".normal.txt", lines.String()); err != nil {
		return p, err
	}
	slices.Sort(p.hits.latencies)
	slices.Sort(p.misses.latencies)
	return p, nil
}

// add counts one question. The lab's hosts exist: an answer without error is a success.
func (t *tally) add(a *load.Answer, timeout time.Duration) {
	t.sent++
	if !a.Answered() {
		t.timeouts++
		t.latencies = append(t.latencies, float64(timeout))
		return
	}
	t.latencies = append(t.latencies, float64(a.Latency))
	t.rcodes[a.RCode()]++
	if a.RCode() == int(dns.RCodeSuccess) && a.Message[2]&2 == 0 {
		t.good++
	}
}

// attackTick is how far apart the attackers' questions may be sent together: a few packets at a time, as from many hosts.
const attackTick = 500 * time.Microsecond

// attack asks for random names.
func (t *round) attack(ctx context.Context) (*load.Report, error) {
	var sources []netip.Addr
	for i := range t.sources {
		sources = append(sources, netip.AddrFrom4([4]byte{127, 1, byte(i / 250), byte(1 + i%250)}))
	}
	const label = 12
	name := make([]byte, 0, 1+label)
	zone := attacked.Wire()
	return load.Run(ctx, load.Plan{
		Server: bench.Address, Sources: sources, Timeout: t.timeout, Tick: attackTick,
		At: load.Poisson(load.Draw(t.seed, drawAttack), int(t.time.Seconds()*t.rate), t.rate),
		Question: func(i int, b []byte) []byte {
			x := load.Draw(t.seed, drawLabels, uint64(i))
			name = append(name[:0], label)
			for range label {
				name = append(name, 'a'+byte(x%26))
				x /= 26
			}
			b = append(b, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1)
			b = append(append(b, name...), zone...)
			b = append(b, 0, byte(dns.TypeA), 0, byte(dns.ClassINET))
			return append(b, 0, 0, byte(dns.TypeOPT), udpSize>>8, udpSize&255, 0, 0, 0, 0, 0, 0)
		},
	})
}
