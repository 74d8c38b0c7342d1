//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/test/bench"
	"github.com/ananas-edge/ananas/test/bench/flood"
)

// bout is the benchmark under way.
type bout struct {
	*options
	ctx         context.Context
	rig         *bench.Rig
	place       place
	nsd         *bench.Process
	nsds        []int // its processes
	done, steps int   // for the progress line
	began       time.Time
	result      *result
}

// contestant is a server that runs.
type contestant struct {
	*server
	proc *bench.Process
	at   netip.AddrPort
	dead string // why it can't be measured
}

func (c *contestant) name() string { return c.server.name }

// say and step tell how far it is.
func (b *bout) step(format string, args ...any) {
	left := "?"
	if b.done > 0 {
		left = (time.Since(b.began) / time.Duration(b.done) * time.Duration(b.steps-b.done)).Round(time.Second).String()
	}
	b.rig.Progress("[%d of %d, %s left] %s", b.done, b.steps, left, fmt.Sprintf(format, args...))
	b.done++
}

// start runs a server with an empty cache and waits until it answers from the zone. What does not start is left out, and that is said.
func (b *bout) start(s *server, zone *set, index int) (*contestant, error) {
	c := &contestant{server: s, at: addressOf(index)}
	dir := filepath.Join(b.rig.Dir, s.name+"-"+string(zone.kind))
	args, err := s.write(b.rig, dir, c.at, []dns.Name{zone.zone, missZone}, b.anchors())
	if err != nil {
		return nil, err
	}
	if err := b.addAddress(c.at.Addr()); err != nil {
		return nil, err
	}
	cpus, env := []int{b.place.Server}, []string(nil)
	if s.ours {
		threads := max(1, s.loops)
		if s.name == "ananas-spin" { // a loop spins only where that leaves others a thread; both are on one processor here
			threads = 2
		}
		env = []string{fmt.Sprintf("GOMAXPROCS=%d", threads)}
		if s.loops > 1 {
			cpus = append(cpus, b.place.Second)
		}
	}
	if c.proc, err = b.rig.StartCommand(bench.Command{Name: filepath.Base(dir), CPUs: cpus, Env: env, Args: args, Nice: b.nice}); err != nil {
		return nil, err
	}
	if err := b.awaitAnswer(c.proc, c.at, zone.zone); err != nil {
		c.dead = err.Error()
		b.rig.Say("%s is left out: %v", s.name, err)
	}
	return c, b.ctx.Err()
}

// ask runs the load generator once. What it took of processors is in the report.
func (b *bout) ask(p flood.Plan, c *contestant, zone *set) (*flood.Report, verdict, error) {
	p.Server = c.at
	p.Keep = filepath.Join(b.rig.Dir, "kept")
	plan, err := json.Marshal(p)
	if err != nil {
		return nil, verdict{}, err
	}
	var out bytes.Buffer
	proc, err := b.rig.StartCommand(bench.Command{Name: "asker", CPUs: []int{b.place.Load}, Args: []string{filepath.Join(b.rig.Dir, "asker")},
		Nice: b.nice, In: bytes.NewReader(plan), Out: &out})
	if err != nil {
		return nil, verdict{}, err
	}
	took, err := proc.Wait()
	if err != nil {
		return nil, verdict{}, err
	}
	var r flood.Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		return nil, verdict{}, fmt.Errorf("reading the load generator's report: %w", err)
	}
	r.CPU = took.All() // with what it takes to begin and to end: it must not look like others' work
	kept, err := flood.ReadKept(p.Keep)
	if err != nil {
		return nil, verdict{}, err
	}
	return &r, zone.judge(kept, c.server.name != "dnsdist"), nil
}

// run is what one run of one server found.
type run struct {
	Server string
	Mode   string
	Round  int

	CPU       float64 // nanoseconds of the server for each answer
	Rate      float64 // answers a second
	Busy      float64 // share of a processor that the server took
	Mean      float64 // microseconds, as the others
	P50       float64
	P99       float64
	Answered  int
	Lost      int
	Skipped   int // questions of open loops that could not leave in time, and so did not
	Wrong     int // answers with another question, rcode or records; of those that were looked at
	Looked    int
	Secure    int
	Client    float64 // nanoseconds of the load generator for each answer
	Authority float64 // share of a processor that NSD took: above 0, not all were in the cache
	Others    float64 // share of a processor that others took, stolen time included
	Late      float64 // p99 of how late questions left, microseconds
	Examples  []string
}

// quiet returns the quietest of some runs: it is repeated while others took too much.
func quiet[T any](b *bout, measure func() (T, float64, error)) (best T, err error) {
	least := 0.0
	for try := range b.rig.Repeats + 1 {
		if err := b.awaitQuiet(); err != nil {
			return best, err
		}
		v, others, err := measure()
		if err != nil {
			return best, err
		}
		if try == 0 || others < least {
			best, least = v, others
		}
		if least <= b.rig.Quiet {
			break
		}
	}
	return best, nil
}

// measure runs one mode once.
func (b *bout) measure(c *contestant, m *mode, zone *set, file string, round int) (run, float64, error) {
	watch := b.watch(c.proc)
	p := m.plan(zone, file, b.long)
	p.Spin = p.Spin && b.place.Load != b.place.Server // it would spin in the server's time
	r, v, err := b.ask(p, c, zone)
	if err != nil {
		return run{}, 0, fmt.Errorf("measuring %s: %w", c.name(), err)
	}
	w := watch(r.CPU)
	if c.proc.Ended() {
		return run{}, 0, fmt.Errorf("measuring %s: it ended under way", c.name())
	}
	n := r.Streams[0]
	return run{
		Server: c.name(), Mode: m.name, Round: round,
		CPU: float64(w.server) / float64(max(1, n.Answered)), Rate: n.Rate, Busy: w.server.Seconds() / r.Wall.Seconds(),
		Mean: n.Mean / 1e3, P50: n.P50 / 1e3, P99: n.P99 / 1e3, Late: n.LateP99 / 1e3,
		Answered: n.Answered, Lost: n.Lost + n.Refused, Skipped: n.Skipped, Wrong: n.Wrong + v.Wrong, Looked: v.Looked, Secure: v.Secure, Examples: v.Examples,
		Client: float64(r.CPU) / float64(max(1, n.Answered)), Authority: w.authority.Seconds() / r.Wall.Seconds(), Others: w.others,
	}, w.others, nil
}

func (r *run) String() string {
	return fmt.Sprintf("%-7s round %d %-14s %6.0f ns, %8.0f/s, busy %3.0f %%, p50 %6.1f p99 %7.1f us, client %5.0f ns, lost %d, wrong %d of %d, NSD %.1f %%, others %.0f %%",
		r.Mode, r.Round+1, r.Server, r.CPU, r.Rate, 100*r.Busy, r.P50, r.P99, r.Client, r.Lost, r.Wrong, r.Looked, 100*r.Authority, 100*r.Others)
}

// filling is what a server took to fill its cache, and what the names take in it.
type filling struct {
	Server  string
	Kind    kind
	Before  int64   // resident octets when it had answered once
	After   int64   // and when it had all names
	PerName float64 // octets
	Took    float64 // seconds of the second pass
	RCodes  [16]int // of it
	Wrong   int
	Secure  int
	Idle    float64 // share of a processor that it takes when it is asked nothing
}

// fill warms the cache of a server by two passes over all questions, and looks at all answers of the second.
func (b *bout) fill(c *contestant, zone *set, file string) error {
	if err := b.rig.Sleep(settle); err != nil {
		return err
	}
	f := filling{Server: c.name(), Kind: zone.kind}
	f.Before, _ = c.proc.Memory()
	var v verdict
	for pass := range 2 {
		b.step("%s: filling the cache with %d names, pass %d", c.name(), len(zone.questions), pass+1)
		var r *flood.Report
		var err error
		if r, v, err = b.ask(warm(zone, file, pass == 1), c, zone); err != nil {
			return fmt.Errorf("filling the cache of %s: %w", c.name(), err)
		}
		f.RCodes, f.Took = r.Streams[0].RCodes, r.Wall.Seconds()
		if n := r.Streams[0].Answered - r.Streams[0].RCodes[dns.RCodeServerFailure] - r.Streams[0].RCodes[dns.RCodeRefused]; n < len(zone.questions) {
			return fmt.Errorf("filling the cache of %s: %d of %d names within %v; rcodes %v", c.name(), n, len(zone.questions), warmLimit, f.RCodes)
		}
	}
	if err := b.rig.Sleep(settle); err != nil {
		return err
	}
	f.After, _ = c.proc.Memory()
	f.PerName = float64(f.After-f.Before) / float64(len(zone.questions))
	f.Wrong, f.Secure = v.Wrong, v.Secure
	b.rig.Say("%-7s %-14s %d NOERROR, %d NXDOMAIN, %d wrong, %d secure; %.0f octets a name (%.1f -> %.1f MiB), second pass %.1f s", zone.kind, c.name(),
		f.RCodes[dns.RCodeSuccess], f.RCodes[dns.RCodeNameError], f.Wrong, f.Secure, f.PerName, float64(f.Before)/(1<<20), float64(f.After)/(1<<20), f.Took)
	for _, e := range v.Examples {
		b.rig.Say("%-7s %-14s wrong: %s", "", c.name(), e)
	}
	b.result.Fillings = append(b.result.Fillings, f)
	return nil
}

const settle = 500 * time.Millisecond // until a server has done what it does after it began, or after many questions

// idle measures what the servers take when they are asked nothing.
func (b *bout) idle(all []*contestant, k kind) error {
	b.step("looking at idle servers")
	if err := b.rig.Sleep(settle); err != nil {
		return err
	}
	var before []time.Duration
	for _, c := range all {
		before = append(before, c.proc.CPU())
	}
	began := time.Now()
	if err := b.rig.Sleep(idleTime); err != nil {
		return err
	}
	wall := time.Since(began)
	for i, c := range all {
		for j := range b.result.Fillings {
			if f := &b.result.Fillings[j]; f.Server == c.name() && f.Kind == k {
				f.Idle = (c.proc.CPU() - before[i]).Seconds() / wall.Seconds()
			}
		}
	}
	return nil
}

const idleTime = 3 * time.Second
