//go:build linux

package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/lab"
	"github.com/ananas-edge/ananas/test/bench"
	"github.com/ananas-edge/ananas/test/bench/load"
)

// result is what one run of one contender found.
type result struct {
	name  string
	seed  uint64
	names []dns.Name
	types []dns.Type

	cold     []float64 // latencies in nanoseconds, sorted, of the first question for each name and type; time-outs at the time-out
	again    []float64 // of all others: mostly hits
	all      []float64 // of all
	sent     int
	timeouts int
	rcodes   [16]int
	cut      int // answers with TC
	digests  []string
	lab      lab.Stats
	cpu      time.Duration
	labCPU   time.Duration
	memory   int64 // peak, octets
	startUp  time.Duration
	load     *load.Report
	noise    bench.Noise

	resolver   *bench.Resolver // ended
	signatures bench.Signatures
	secure     int // answers with AD
}

func (v *result) perQuery(x float64) float64 { return x / float64(max(1, v.sent)) }

// failed counts questions without a usable answer: hosts of the lab exist, so anything but NOERROR is one.
func (v *result) failed() int { return v.sent - v.rcodes[dns.RCodeSuccess] + v.cut }

func (v *result) asked(q int) string { return fmt.Sprintf("%v %v", v.names[q], v.types[q]) }

func (v *result) String() string {
	var rcodes []string
	for c, n := range v.rcodes {
		if n > 0 {
			rcodes = append(rcodes, fmt.Sprintf("%v %d", dns.RCode(c), n))
		}
	}
	return fmt.Sprintf("%-11s cold p50 %6.1f p99 %7.1f ms (%d names), all p50 %6.2f p99 %7.1f ms, %.3f questions, CPU %4.0f us; %s, time-outs %d, cut %d; "+
		"lab CPU %.0f %%, load CPU %.0f %%, others %v, sent late p50 %v p99 %v", v.name, bench.Milliseconds(v.cold, 0.5), bench.Milliseconds(v.cold, 0.99), len(v.cold),
		bench.Milliseconds(v.all, 0.5), bench.Milliseconds(v.all, 0.99), v.perQuery(float64(v.lab.Questions)), v.perQuery(float64(v.cpu.Microseconds())),
		strings.Join(rcodes, ", "), v.timeouts, v.cut, 100*v.labCPU.Seconds()/v.load.Wall.Seconds(), 100*v.load.CPU.Seconds()/v.load.Wall.Seconds(),
		v.noise, v.load.Late.P50.Round(time.Microsecond), v.load.Late.P99.Round(time.Microsecond))
}

// Facts that a round draws from its seed.
const (
	drawTimes = iota
	drawNames
	drawTypes
)

// What is asked for: mostly addresses, as users do.
func drawType(x float64) dns.Type {
	switch {
	case x < 0.70:
		return dns.TypeA
	case x < 0.95:
		return dns.TypeAAAA
	}
	return dns.TypeHTTPS
}

// udpSize is what clients say they take (RFC 9715).
const udpSize = 1232

// settle is how long questions that nobody waits for any more may still come to the lab.
const settle = time.Second

// once runs one contender for one seed.
func (o *options) once(ctx context.Context, r *bench.Rig, net *bench.Internet, c bench.Contender, seed uint64, name string) (*result, error) {
	v := &result{name: name, seed: seed}
	z := load.NewZipf(load.Draw(seed, drawNames), len(net.Names), o.zipf)
	for i := range o.queries {
		v.names = append(v.names, net.Names[z.Index(i)])
		v.types = append(v.types, drawType(load.Share(load.Draw(seed, drawTypes, uint64(i)))))
	}
	if err := net.Forget(); err != nil {
		return nil, err
	}
	r.Progress("%s: starting", name)
	p, err := r.Start(c, name)
	if err != nil {
		return nil, err
	}
	defer p.Stop(10 * time.Second)
	v.startUp = p.StartUp
	if r.Profile {
		go func() { // it ends with the run, or with the resolver
			if err := p.Profile(ctx, time.Duration(float64(o.queries)/o.rate*float64(time.Second))); err != nil {
				r.Say("%v", err)
			}
		}()
	}
	watch := r.Watch(p, net)
	cpu, labCPU := p.CPU(), net.CPU()
	v.load, err = load.Run(ctx, load.Plan{
		Server:  bench.Address,
		Sources: []netip.Addr{netip.MustParseAddr("127.0.0.1")},
		At:      load.Poisson(load.Draw(seed, drawTimes), o.queries, o.rate),
		Question: func(i int, b []byte) []byte {
			q := dns.Question{Name: v.names[i], Type: v.types[i], Class: dns.ClassINET}
			flags := dns.FlagRD
			if r.Validate {
				flags |= dns.FlagAD // who asks for it is told what is secure (RFC 6840 section 5.7)
			}
			return dns.AppendQuestion(b, 0, flags, q, udpSize, false, nil)
		},
		Keep:    true,
		Timeout: o.timeout,
		Progress: func(sent int) {
			r.Progress("%s: %d of %d questions", name, sent, o.queries)
		},
	})
	if err != nil {
		return nil, err
	}
	if p.Ended() {
		return nil, fmt.Errorf("measuring %s: it ended under way", name)
	}
	v.noise = watch()
	v.cpu, v.labCPU = p.CPU()-cpu, net.CPU()-labCPU
	_, v.memory = p.Memory()
	if err := r.Sleep(settle); err != nil {
		return nil, err
	}
	if v.lab, err = net.Stats(); err != nil {
		return nil, err
	}
	if err := p.Metrics(ctx); err != nil {
		r.Say("%v", err)
	}
	if v.resolver = p; r.Validate {
		p.Stop(10 * time.Second) // Unbound's count is written at its end
		if v.signatures, err = p.Signatures(); err != nil {
			return nil, err
		}
	}
	return v, v.read(r, o.timeout)
}

// read takes the answers apart.
func (v *result) read(r *bench.Rig, timeout time.Duration) error {
	type question struct {
		name  dns.Name
		qtype dns.Type
	}
	seen := map[question]bool{}
	var lines, failures strings.Builder
	v.sent = len(v.load.Answers)
	v.digests = make([]string, v.sent)
	for i := range v.load.Answers {
		a := &v.load.Answers[i]
		latency := float64(timeout)
		if a.Answered() {
			latency = float64(a.Latency)
			v.rcodes[a.RCode()]++
			v.digests[i] = digest(a.Message)
			if a.Message[2]&2 != 0 {
				v.cut++
			}
			if a.Message[3]&0x20 != 0 {
				v.secure++
			}
		} else {
			v.timeouts++
		}
		v.all = append(v.all, latency)
		if why := failure(a); why != "" {
			fmt.Fprintf(&failures, "%.3f %d %s: %s\n", latency/1e6, i, v.asked(i), why)
		}
		q := question{v.names[i], v.types[i]}
		if !seen[q] {
			seen[q] = true
			v.cold = append(v.cold, latency)
			fmt.Fprintf(&lines, "%.3f %d %d %v %v\n", latency/1e6, i, a.RCode(), q.name, q.qtype)
		} else {
			v.again = append(v.again, latency)
		}
	}
	slices.Sort(v.cold)
	slices.Sort(v.again)
	slices.Sort(v.all)
	if _, err := r.Write(v.name+".failures.txt", failures.String()); err != nil {
		return err
	}
	_, err := r.Write(v.name+".cold.txt", lines.String())
	return err
}

// failure says what went wrong with a question; nothing if all is well.
func failure(a *load.Answer) string {
	if !a.Answered() {
		return "no answer"
	}
	var m dns.Message
	if err := dns.Parse(a.Message, &m); err != nil {
		return "malformed answer: " + err.Error()
	}
	if m.RCode() == dns.RCodeSuccess && m.Header.Flags&dns.FlagTC == 0 {
		return ""
	}
	why := m.RCode().String()
	for code, data := range m.EDNS.Options.All() {
		if code != dns.OptionEDE {
			continue
		}
		if e, ok := dns.ParseEDE(data); ok {
			why += fmt.Sprintf(" (%v: %s)", e.Code, e.Text)
		}
	}
	return why
}

// digest says in one line what was answered, without what may differ: TTLs and the order of records. It is empty for failures.
func digest(msg []byte) string {
	var m dns.Message
	if err := dns.Parse(msg, &m); err != nil {
		return "malformed: " + err.Error()
	}
	if rcode := m.RCode(); rcode != dns.RCodeSuccess && rcode != dns.RCodeNameError {
		return ""
	}
	var records []string
	for _, rr := range m.Sections[0] {
		rr.TTL = 0
		records = append(records, strings.ReplaceAll(rr.String(), "\t", " "))
	}
	slices.Sort(records)
	return m.RCode().String() + " " + strings.Join(records, "; ")
}
