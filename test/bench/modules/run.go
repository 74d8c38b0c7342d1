//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
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
	ctx  context.Context
	rig  *bench.Rig
	set  set
	file string // of the questions
	nsd  *bench.Process

	memories []memory
	runs     []run
	harmed   []harmed
	began    time.Time
}

// contestant is a server that runs.
type contestant struct {
	*server
	proc *bench.Process
	at   netip.AddrPort
}

// memory is what a server takes.
type memory struct {
	Server       string
	Start        float64 // seconds until its first answer
	Loaded, Full int64   // octets of resident set when it had answered first, and with all names in its cache
	Peak         int64
}

// run is one run of one server.
type run struct {
	Server, Way string
	Round       int
	CPU         float64 // nanoseconds of the server for each answer
	Rate        float64
	Lost, Wrong int
	Blocked     float64 // share of the answers that were NXDOMAIN
	Others      float64 // share of a processor that others took of the two
}

// way is a way to ask: closed loops.
type way struct {
	name         string
	blocked      bool // one in ten of the names is listed; else none
	socks, batch int
	joined       bool
}

// ways are all of them. The first two are of ours alone: what a module costs a query that it lets pass.
var ways = []way{
	{"passed, 4 sockets", false, 4, 32, true},
	{"passed, 64 sockets", false, 64, 3, false},
	{"4 sockets", true, 4, 32, true},
	{"64 sockets", true, 64, 3, false},
}

func (b *bout) serveNames() error {
	s := &server{name: "nsd", file: "nsd.conf", args: []string{"nsd", "-d", "-c", "{dir}/nsd.conf"}, beside: map[string]string{
		"root.zone": "$ORIGIN .\n$TTL 86400\n@ SOA ns. hostmaster. 1 7200 3600 1209600 86400\n@ NS ns.\nns. A " + authority + "\n* A 192.0.2.80\n",
	}}
	at := netip.AddrPortFrom(netip.MustParseAddr(authority), 53)
	dir := b.folder(s.name)
	args, err := s.write(b.rig, dir, at)
	if err != nil {
		return err
	}
	if b.nsd, err = b.rig.StartCommand(bench.Command{Name: s.name, CPUs: []int{b.rig.OtherCPU}, Args: args, Nice: b.nice}); err != nil {
		return err
	}
	return b.await(b.nsd, at)
}

// start runs a server and waits until it answers.
func (b *bout) start(s *server, index int) (*contestant, error) {
	c := &contestant{server: s, at: addressOf(index)}
	dir := b.folder(s.name)
	args, err := s.write(b.rig, dir, c.at)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if c.proc, err = b.rig.StartCommand(bench.Command{Name: s.name, CPUs: []int{b.rig.ResolverCPU}, Env: []string{"GOMAXPROCS=1"}, Args: args, Nice: b.nice}); err != nil {
		return nil, err
	}
	if err := b.await(c.proc, c.at); err != nil {
		return c, fmt.Errorf("starting %s: %w", s.name, err)
	}
	b.memories = append(b.memories, memory{Server: s.name, Start: time.Since(began).Seconds()})
	return c, nil
}

const startLimit = 3 * time.Minute // a million names as RPZ in Lua

// await waits until a server answers.
func (b *bout) await(p *bench.Process, at netip.AddrPort) error {
	last := errors.New("it was not asked")
	for until := time.Now().Add(startLimit); time.Now().Before(until); {
		if p.Ended() {
			return fmt.Errorf("it ended; it said: %s", p.LastWords())
		}
		if last = askOnce(at, "first.example"); last == nil {
			return nil
		}
		if err := b.rig.Sleep(20 * time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("no good answer within %v: %w; it said: %s", startLimit, last, p.LastWords())
}

// ask runs the load generator once.
func (b *bout) ask(at netip.AddrPort, p flood.Plan) (*flood.Report, error) {
	if b.ctx.Err() != nil {
		return nil, context.Cause(b.ctx)
	}
	p.Server, p.Questions = at, b.file
	plan, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	proc, err := b.rig.StartCommand(bench.Command{Name: "asker", CPUs: []int{b.rig.OtherCPU}, Args: []string{filepath.Join(b.rig.Dir, "asker")}, Nice: b.nice, In: bytes.NewReader(plan), Out: &out})
	if err != nil {
		return nil, err
	}
	took, err := proc.Wait()
	if err != nil {
		return nil, err
	}
	var r flood.Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		return nil, fmt.Errorf("reading the load generator's report: %w", err)
	}
	r.CPU = took.All()
	return &r, nil
}

// fill asks a server all names once, and then once more: what it answers then is what it is to answer.
func (b *bout) fill(c *contestant) error {
	m := &b.memories[len(b.memories)-1]
	m.Loaded, _ = c.proc.Memory()
	all := b.set.allowed + b.set.mixed
	for range 2 {
		r, err := b.ask(c.at, flood.Plan{For: 5 * time.Minute, Timeout: 3 * time.Second, Streams: []flood.Stream{{Name: "warm", Count: all, Once: true, Socks: 1, Window: 48, Batch: 16}}})
		if err != nil {
			return fmt.Errorf("filling the cache of %s: %w", c.name, err)
		}
		blocked := 0
		if c.blocks && !c.zero {
			blocked = b.set.blocked
		}
		if codes := r.Streams[0].RCodes; codes[dns.RCodeSuccess] != all-blocked || codes[dns.RCodeNameError] != blocked {
			return fmt.Errorf("filling the cache of %s: it answers %d names with NOERROR and %d with NXDOMAIN, and should %d and %d; all codes: %v",
				c.name, codes[dns.RCodeSuccess], codes[dns.RCodeNameError], all-blocked, blocked, codes)
		}
	}
	if c.zero {
		if err := b.askListed(c); err != nil {
			return err
		}
	}
	if err := b.rig.Sleep(settle); err != nil {
		return err
	}
	m.Full, m.Peak = c.proc.Memory()
	b.rig.Say("%-14s first answer after %.1f s; resident %d MiB, with names in the cache %d MiB, at its peak %d MiB", c.name, m.Start, m.Loaded>>20, m.Full>>20, m.Peak>>20)
	return nil
}

// askedListed is of how many names a server that answers 0.0.0.0 is asked whether it does so for listed names, and for no others.
const askedListed = 200

// askListed holds a server to 0.0.0.0 for some of the listed names and of those below them, and to the address of all others.
func (b *bout) askListed(c *contestant) error {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(c.at))
	if err != nil {
		return err
	}
	defer conn.Close()
	for i := range askedListed {
		k := i * (b.entries / askedListed)
		for name, want := range map[string]string{listed(b.seed, k): "0.0.0.0", "www." + listed(b.seed, k): "0.0.0.0", "www." + registered(drawAllowed, b.seed, i): "192.0.2.80"} {
			data, err := askFor(conn, name)
			if err != nil {
				return fmt.Errorf("asking %s for %s: %w", c.name, name, err)
			}
			if got, _ := netip.AddrFromSlice(data); got.String() != want {
				return fmt.Errorf("%s answers %v for %s, and should %s", c.name, got, name, want)
			}
		}
	}
	return nil
}

const settle = 500 * time.Millisecond // until a server has done what it does after many questions

// measure asks one server in one way.
func (b *bout) measure(c *contestant, w way, round int) error {
	best := run{Others: 2}
	for range b.rig.Repeats + 1 {
		s := flood.Stream{Name: w.name, Count: b.set.allowed, Socks: w.socks, Window: 192, Batch: w.batch, Joined: w.joined}
		if w.blocked {
			s.First, s.Count = b.set.allowed, b.set.mixed
		}
		cpus := []int{b.rig.ResolverCPU, b.rig.OtherCPU}
		at, busy, server, nsd, own := time.Now(), bench.Busy(cpus...), c.proc.CPU(), b.nsd.CPU(), bench.OwnTime()
		r, err := b.ask(c.at, flood.Plan{For: b.long, Timeout: time.Second, Streams: []flood.Stream{s}})
		if err != nil {
			return fmt.Errorf("measuring %s: %w", c.name, err)
		}
		if c.proc.Ended() {
			return fmt.Errorf("measuring %s: it ended under way: %s", c.name, c.proc.LastWords())
		}
		server = c.proc.CPU() - server
		ours := server + b.nsd.CPU() - nsd + bench.OwnTime() - own + r.CPU
		n := r.Streams[0]
		v := run{
			Server: c.name, Way: w.name, Round: round, CPU: float64(server) / float64(max(1, n.Answered)), Rate: n.Rate, Lost: n.Lost + n.Refused,
			Wrong: n.Wrong + n.Answered - n.RCodes[dns.RCodeSuccess] - n.RCodes[dns.RCodeNameError], Blocked: float64(n.RCodes[dns.RCodeNameError]) / float64(max(1, n.Answered)),
			Others: max(0, (bench.Busy(cpus...)-busy-ours).Seconds()/time.Since(at).Seconds()),
		}
		if v.Others < best.Others {
			best = v
		}
		if best.Others <= b.rig.Quiet {
			break
		}
	}
	b.rig.Say("round %d, %-18s %-14s %6.0f ns, %8.0f/s, NXDOMAIN %4.1f %%, lost %d, wrong %d, others %.0f %%", round+1, best.Way, best.Server, best.CPU, best.Rate, 100*best.Blocked, best.Lost, best.Wrong, 100*best.Others)
	b.runs = append(b.runs, best)
	return nil
}

// folder is that of a server.
func (b *bout) folder(name string) string { return filepath.Join(b.rig.Dir, "of-"+name) }
