//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/admin/client"
	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/test/bench"
	"github.com/ananas-edge/ananas/test/bench/flood"
	"github.com/ananas-edge/ananas/wasm"
)

// harm is what a module does that means harm.
type harm struct {
	name   string
	label  string // of the queries for which it does it; "": none are asked
	limits string // of the module: YAML
	config string // its settings, YAML
	file   string // "": hostile.wasm
	says   string // its settings are refused, with these words; "": they are taken
}

const sliced = "fuel: 5000000" // 5 ms, in slices of half a millisecond

// allHarms are those that are measured: each in the loop that answers from the cache, and those that spend what they have in slices, too. The first of each kind does none: what new settings twice a second cost.
func allHarms() (all []harm) {
	all = append(all, harm{name: "no harm, new settings alone"})
	for _, h := range []struct{ name, label string }{
		{"an endless loop", "loop"}, {"one without memory", "spin"}, {"memory that grows", "grow"}, {"memory asked for at once", "grab"}, {"memory filled", "fill"}, {"recursion", "recurse"},
		{"a flood of calls of the host", "flood"}, {"a pointer out of bounds", "wild"}, {"such pointers for the host", "wildhost"}, {"a trap", "trap"}, {"a verdict out of bounds", "long"},
	} {
		all = append(all, harm{name: h.name, label: h.label})
	}
	all = append(all,
		harm{name: "a start function that never ends", config: "start: forever", says: "its fuel was spent"},
		harm{name: "a module of 60 MB", file: "large.wasm", says: "octets, at most"},
		harm{name: "in slices: no harm, new settings alone", limits: sliced})
	for _, h := range []struct{ name, label string }{{"an endless loop", "loop"}, {"memory that grows", "grow"}, {"memory filled", "fill"}, {"recursion", "recurse"}, {"a flood of calls of the host", "flood"}} {
		all = append(all, harm{name: "in slices: " + h.name, label: h.label, limits: sliced})
	}
	return append(all, harm{name: "in slices: a start function that never ends", config: "start: forever", limits: sliced, says: "its fuel was spent"})
}

// harmed is what honest clients noticed in one round.
type harmed struct {
	harm     string
	round    int
	p50, p99 [2]float64 // microseconds: quiet, and under harm
	lost     int
	faults   uint64
	ended    []float64 // microseconds until queries that it was done for were answered
	refused  int
}

const (
	honestRate  = 5000                   // questions a second
	hostileRate = 10                     // with two faults each, ten in half a second
	newSettings = 500 * time.Millisecond // before a module is taken out, it has others
	honestNames = 10_000
	ending      = 100 * time.Microsecond // twice what FastFuel is worth
)

// node is the server that is harmed.
type node struct {
	*contestant
	b     *bout
	api   *client.Client
	batch int
}

// harms measures what honest queries notice, quiet and under harm in turns.
func (b *bout) harms() error {
	guest, err := os.ReadFile(filepath.Join(guests, "hostile.wasm"))
	if err != nil {
		return err
	}
	if guest, err = wasm.Attach(guest, []byte("abi: 1\nname: hostile\nversion: '1'\nphases: [query]\n")); err != nil {
		return err
	}
	large := append(append(guest[:len(guest):len(guest)], 0, 0x80, 0x80, 0x80, 0x1c), make([]byte, 7<<23)...) // a custom section of 56 MiB
	for name, module := range map[string][]byte{"hostile.wasm": guest, "large.wasm": large} {
		if err := os.WriteFile(filepath.Join(b.rig.Dir, name), module, 0o644); err != nil {
			return err
		}
	}
	s := &server{name: "ananas-hostile", file: "ananas.yaml", args: []string{"{ananas}", "serve", "--config", "{dir}/ananas.yaml"}}
	n := &node{b: b}
	s.words = map[string]string{"{policy}": n.policy(&harm{})}
	if n.contestant, err = b.start(s, 200); err != nil {
		return err
	}
	defer n.proc.Stop(5 * time.Second)
	if n.api, err = client.New(client.Options{Node: n.at.Addr().String() + ":8053", Data: filepath.Join(b.folder(s.name), "data"), Getenv: func(string) string { return "" }}); err != nil {
		return err
	}
	defer n.api.Close()
	if _, err := b.ask(n.at, flood.Plan{For: time.Minute, Timeout: time.Second, Streams: []flood.Stream{{Name: "warm", Count: honestNames, Once: true, Socks: 1, Window: 48, Batch: 16}}}); err != nil {
		return err
	}
	for round := range b.rounds {
		for _, h := range allHarms() {
			if len(b.options.harms) > 0 && !slices.Contains(b.options.harms, h.name) {
				continue
			}
			v, err := n.harm(&h, round)
			if err != nil {
				return fmt.Errorf("%s: %w", h.name, err)
			}
			b.rig.Say("round %d, %-45s p50 %5.1f -> %5.1f us, p99 %6.1f -> %6.1f us, lost %d, %d faults, %d refused, ended after %5.0f us", round+1, h.name, v.p50[0], v.p50[1], v.p99[0], v.p99[1], v.lost, v.faults, v.refused, bench.Median(v.ended))
			b.harmed = append(b.harmed, v)
		}
	}
	return nil
}

// policy is the part of the settings with the module.
func (n *node) policy(h *harm) string {
	file := h.file
	if file == "" {
		file = "hostile.wasm"
	}
	n.batch++
	config := fmt.Sprintf("batch: \"%d\"", n.batch)
	if h.config != "" {
		config += ", " + h.config
	}
	return fmt.Sprintf("  modules: [{ name: hostile, file: %q, limits: { %s } }]\n  plugins: [{ module: hostile, phase: query, settings: { %s } }]\n", filepath.Join(n.b.rig.Dir, file), h.limits, config)
}

// apply has the node take other settings. They are refused where a harm is.
func (n *node) apply(ctx context.Context, h *harm) (refused bool, err error) {
	n.words["{policy}"] = n.policy(h)
	if _, err := n.write(n.b.rig, n.b.folder(n.name), n.at); err != nil {
		return false, err
	}
	_, err = n.api.Reload(ctx)
	if h.says == "" || err != nil && strings.Contains(err.Error(), h.says) {
		return h.says != "", errIf(h.says == "", err)
	}
	return false, fmt.Errorf("settings that must be refused with %q: %w", h.says, errors.Join(errors.New("they were not"), err))
}

func errIf(is bool, err error) error {
	if is {
		return err
	}
	return nil
}

// faults is how often the module has failed so far.
func (n *node) faults(ctx context.Context) (sum uint64, err error) {
	l, err := n.api.Modules(ctx)
	for _, m := range l.Modules {
		for _, u := range m.Uses {
			sum += u.Faults
		}
	}
	return sum, err
}

// harm measures one harm once, and before it the quiet: with the same new settings, and no harm.
func (n *node) harm(h *harm, round int) (v harmed, err error) {
	v = harmed{harm: h.name, round: round}
	calm := &harm{limits: h.limits}
	if _, err := n.apply(n.b.ctx, calm); err != nil {
		return v, err
	}
	before, err := n.faults(n.b.ctx)
	if err != nil {
		return v, err
	}
	for k := range 2 {
		ctx, stop := context.WithCancel(n.b.ctx)
		var wg sync.WaitGroup
		var failed error
		switch {
		case k == 1:
			wg.Go(func() { failed = n.doHarm(ctx, h, &v) })
		case h.label != "" || h.says != "": // else it is what new settings cost that is looked at
			wg.Go(func() { failed = n.doHarm(ctx, calm, &v) })
		}
		honest := flood.Stream{Name: "honest", Count: honestNames, Socks: 4, Window: 1 << 14, Batch: 1, Rate: honestRate, Stale: 2 * time.Millisecond}
		r, err := n.b.ask(n.at, flood.Plan{For: n.b.long, Timeout: time.Second, Streams: []flood.Stream{honest}})
		stop()
		wg.Wait()
		switch {
		case err != nil:
			return v, err
		case failed != nil:
			return v, failed
		case n.proc.Ended():
			return v, fmt.Errorf("the node has ended: %s", n.proc.LastWords())
		}
		s := r.Streams[0]
		v.p50[k], v.p99[k] = s.P50/1e3, s.P99/1e3
		v.lost += s.Lost + s.Wrong + s.Answered - s.RCodes[dns.RCodeSuccess]
	}
	after, err := n.faults(n.b.ctx)
	v.faults = after - before
	return v, err
}

// doHarm has harm done until ctx is done: with new settings now and then, so that the module is not taken out for good.
func (n *node) doHarm(ctx context.Context, h *harm, v *harmed) error {
	settings, questions := time.NewTicker(newSettings), time.NewTicker(time.Second/hostileRate)
	defer settings.Stop()
	defer questions.Stop()
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(n.at))
	if err != nil {
		return err
	}
	defer c.Close()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-settings.C:
			refused, err := n.apply(n.b.ctx, h) // not cut off in the middle
			if err != nil {
				return err
			}
			if refused {
				v.refused++
			}
		case <-questions.C:
			if h.label == "" {
				continue
			}
			name := fmt.Sprintf("%s.n%d.example", h.label, i%4)
			sent := time.Now()
			if err := ask(c, name); err != nil {
				return fmt.Errorf("asking for %s: %w", name, err)
			}
			v.ended = append(v.ended, float64(time.Since(sent))/1e3)
		}
	}
}

// ask asks over a socket that has no other question under way.
func ask(c *net.UDPConn, name string) error {
	_, err := askFor(c, name)
	return err
}

// askFor is ask, and returns the data of the first record.
func askFor(c *net.UDPConn, name string) ([]byte, error) {
	if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := c.Write(dns.AppendQuestion(nil, 1, dns.FlagRD, dns.Question{Name: dns.MustParseName(name), Type: dns.TypeA, Class: dns.ClassINET}, 0, false, nil)); err != nil {
		return nil, err
	}
	var buf [2048]byte
	n, err := c.Read(buf[:])
	if err != nil {
		return nil, err
	}
	var m dns.Message
	if err := dns.Parse(buf[:n], &m); err != nil {
		return nil, err
	}
	if m.RCode() != dns.RCodeSuccess || len(m.Sections[dns.Answer]) == 0 {
		return nil, fmt.Errorf("it answers %v", m.RCode())
	}
	return bytes.Clone(m.Sections[dns.Answer][0].Data), nil
}

// askOnce asks for an address, from a socket of its own.
func askOnce(server netip.AddrPort, name string) error {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(server))
	if err != nil {
		return err
	}
	defer c.Close()
	return ask(c, name)
}

// tellHarms writes the table of harms, and notes what is needed.
func (b *bout) tellHarms(n *bench.Needs) string {
	var t strings.Builder
	fmt.Fprintf(&t, "\n| %d honest queries a second beside a module that does harm | p50 quiet, us | p50 under harm | ratio | p99 quiet, us, the least | p99 under harm, the least | ratio | lost or wrong | faults | until its own query is answered, us |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n", honestRate)
	trap := math0(b.endings("a trap"))
	for _, h := range allHarms() {
		var p50, p99 [3][]float64 // quiet, under harm, the ratio
		lost, faults, refused := 0, uint64(0), 0
		for _, v := range b.harmed {
			if v.harm != h.name {
				continue
			}
			for k, of := range [][2]float64{v.p50, v.p99} {
				to := &p50
				if k == 1 {
					to = &p99
				}
				to[0], to[1], to[2] = append(to[0], of[0]), append(to[1], of[1]), append(to[2], of[1]/of[0])
			}
			lost, faults, refused = lost+v.lost, faults+v.faults, refused+v.refused
		}
		if len(p50[0]) == 0 {
			continue
		}
		ended := bench.Median(b.endings(h.name))
		// Other work of the machine only adds to a 99th percentile, and a lot: the least of the rounds has least of it.
		quiet, under := slices.Min(p99[0]), slices.Min(p99[1])
		r50, r99 := bench.Median(p50[2]), under/quiet
		fmt.Fprintf(&t, "| %s | %.1f | %.1f | %.2f | %.0f | %.0f | %.2f | %d | %d | %.0f |\n", h.name, bench.Median(p50[0]), bench.Median(p50[1]), r50, quiet, under, r99, lost, faults, ended)
		n.Need(h.name+": median and 99th percentile of honest queries by those of quiet", "1.10; 2.00", fmt.Sprintf("%.2f; %.2f", r50, r99), r50 <= 1.10 && r99 <= 2)
		switch {
		case h.label != "":
			n.Need(h.name+": honest queries lost or wrong; it was ended", "0; always", fmt.Sprintf("%d; %d times", lost, faults), lost == 0 && faults > 0)
		case h.says != "":
			n.Need(h.name+": honest queries lost or wrong; it was refused", "0; always", fmt.Sprintf("%d; %d times", lost, refused), lost == 0 && refused > 0)
		}
		if h.label != "" && h.limits == "" && trap > 0 {
			more := time.Duration((ended - trap) * 1e3)
			n.Need(h.name+": its query is answered later than one that traps at once", fmt.Sprint(ending), more.Round(time.Microsecond).String(), more <= ending)
		}
	}
	t.WriteString("\n")
	return t.String()
}

// endings are how long the queries of a harm took.
func (b *bout) endings(name string) (all []float64) {
	for _, v := range b.harmed {
		if v.harm == name {
			all = append(all, v.ended...)
		}
	}
	return all
}

// math0 is the median, 0 of none.
func math0(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return bench.Median(values)
}
