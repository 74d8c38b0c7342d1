//go:build linux

package main

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/test/bench"
	"github.com/ananas-edge/ananas/test/bench/load"
)

// result is what is known of one trap and algorithm, of one contender.
type result struct {
	spent  [][]float64 // milliseconds of processor time, by question and round
	words  map[string]int
	honest tally
	busy   float64 // share of its processor that the resolver took under the flood
}

// tally is what became of the honest questions during a flood.
type tally struct {
	sent, good int
	latencies  []float64 // nanoseconds, sorted; time-outs at the time-out
}

func (t *tally) share() float64 { return float64(t.good) / float64(max(1, t.sent)) }

// least returns what each question cost: the least of its rounds. It is asked the same way in each, and what others on the machine take of its
// caches and its clock, and the garbage of the questions before, only adds.
func (v *result) least() []float64 {
	all := make([]float64, len(v.spent))
	for i := range v.spent {
		all[i] = slices.Min(v.spent[i])
	}
	return all
}

func (v *result) worst() float64 { return slices.Max(v.least()) }

// mean is that of all questions in all rounds, whatever added to them.
func (v *result) mean() float64 {
	sum, n := 0.0, 0
	for _, rounds := range v.spent {
		for _, x := range rounds {
			sum += x
			n++
		}
	}
	return sum / float64(n)
}

func (v *result) costs() string {
	if v == nil {
		return "- | -"
	}
	return fmt.Sprintf("%.2f | %.2f", v.mean(), v.worst())
}

func (v *result) served() string {
	if v == nil || v.honest.sent == 0 {
		return "- | - | -"
	}
	return fmt.Sprintf("%.2f | %.1f | %.0f", 100*v.honest.share(), bench.Milliseconds(v.honest.latencies, 0.5), bench.Milliseconds(v.honest.latencies, 0.99))
}

// said lists what the answers were, the most frequent first.
func (v *result) said() string {
	if v == nil {
		return "-"
	}
	words := slices.SortedFunc(maps.Keys(v.words), func(a, b string) int { return cmp.Or(v.words[b]-v.words[a], strings.Compare(a, b)) })
	for i, w := range words {
		words[i] = fmt.Sprintf("%s %d", w, v.words[w])
	}
	return strings.Join(words, ", ")
}

// client is who asks.
var client = netip.MustParseAddr("127.0.0.1")

const (
	udpSize  = 1232 // octets that clients say they take (RFC 9715)
	popular  = 100  // names in the cache while a flood goes on
	warmup   = 1000 // honest names that are asked for first: a process that has just started pays for its memory and for each path through its code
	warmRate = 500  // questions a second
)

// Facts that a round draws from its seed.
const (
	drawWarm = iota
	drawFlood
	drawHonest
	drawHits
)

// run is one contender's run for one algorithm.
type run struct {
	*options
	rig     *bench.Rig
	net     *bench.Internet
	ctx     context.Context
	number  int
	alg     int
	results map[cell]*result

	resolver *bench.Resolver
	asked    int // honest names so far
}

func (m *run) all(ctx context.Context, c bench.Contender) error {
	name := fmt.Sprintf("%s-%d-a%d", c.Name, m.number+1, m.alg)
	m.rig.Progress("%s: starting", name)
	var err error
	if m.resolver, err = m.rig.Start(c, name); err != nil {
		return err
	}
	defer m.resolver.Stop(10 * time.Second)
	if err := m.warm(ctx); err != nil {
		return err
	}
	for i := range m.traps {
		t := &m.traps[i]
		k := cell{t.name, m.alg}
		v := m.results[k]
		if v == nil {
			v = &result{spent: make([][]float64, m.questions), words: map[string]int{}}
			m.results[k] = v
		}
		if err := m.single(t, v); err != nil {
			return fmt.Errorf("measuring %s: %s: %w", name, t.name, err)
		}
		line := fmt.Sprintf("%-16s %-9s ms, mean and worst: %s", name, t.name, v.costs())
		if m.number == 0 && m.flood > 0 {
			if err := m.flooded(ctx, t, v); err != nil {
				return fmt.Errorf("measuring %s: %s: %w", name, t.name, err)
			}
			line += fmt.Sprintf(" | under the flood: CPU %.0f %%, honest %%, p50, p99: %s", 100*v.busy, v.served())
		}
		m.rig.Say("%s | %s", line, v.said())
		if m.resolver.Ended() {
			return fmt.Errorf("measuring %s: it ended under way", name)
		}
	}
	if err := m.resolver.Metrics(ctx); err != nil {
		m.rig.Say("%v", err)
	}
	return nil
}

// warm fills the cache: names that many ask for, and what lies above the traps.
func (m *run) warm(ctx context.Context) error {
	var names []string
	for i := range m.traps {
		names = append(names, fmt.Sprintf("warm.trap-%s.com", m.traps[i].name))
	}
	for _, n := range m.net.Names[:warmup] {
		names = append(names, n.String())
	}
	report, err := load.Run(ctx, load.Plan{
		Server: bench.Address, Sources: []netip.Addr{client}, Timeout: m.timeout,
		At:       load.Poisson(load.Draw(uint64(m.number), drawWarm), len(names), warmRate),
		Question: func(i int, b []byte) []byte { return question(b, names[i], dns.TypeA) },
	})
	if err != nil {
		return err
	}
	if report.Answered == 0 {
		return errors.New("warming the cache: no name was answered")
	}
	m.asked = 0
	return nil
}

func question(b []byte, name string, t dns.Type) []byte {
	return dns.AppendQuestion(b, 0, dns.FlagRD|dns.FlagAD, dns.Question{Name: dns.MustParseName(name), Type: t, Class: dns.ClassINET}, udpSize, true, nil)
}

// profiled is for how long a profile is taken, for each question: two looks until it is settled, and its round trips.
const profiled = 70 * time.Millisecond

// single asks one question after the other, and notes what each takes of the processor.
func (m *run) single(t *trap, v *result) error {
	if err := m.settle(); err != nil {
		return err
	}
	if m.rig.Profile {
		profile := make(chan error, 1)
		go func() { profile <- m.resolver.Profile(m.ctx, time.Duration(m.questions)*profiled) }()
		defer func() {
			if err := <-profile; err != nil {
				m.rig.Say("%v", err)
			}
		}()
	}
	buf := make([]byte, 1<<16)
	for n := range m.questions {
		// In another order in each round: else a collection of garbage would fall on the same question in all of them.
		i := (n + m.number*m.questions/m.rounds) % m.questions
		m.rig.Progress("%s: %s, question %d", m.resolver.Process.Name, t.name, n+1)
		q := question(nil, t.question(m.alg, i, fmt.Sprintf("q%dr%d", i, m.number)), t.qtype)
		q[0], q[1] = byte(i>>8), byte(i)
		before := m.resolver.CPU()
		word := "no answer"
		if answer, err := exchange(t, q, buf, time.Now().Add(m.timeout)); err == nil {
			word = describe(answer)
		} else if !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, io.EOF) {
			return err
		}
		if err := m.settle(); err != nil {
			return err
		}
		v.words[word]++
		v.spent[i] = append(v.spent[i], float64(m.resolver.CPU()-before)/1e6)
	}
	return nil
}

// dial opens a way to the resolver.
func dial(t *trap) (net.Conn, error) {
	if t.tcp {
		return net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(bench.Address))
	}
	return net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(bench.Address))
}

// exchange sends a question from a socket of its own and waits for its answer, which is put into buf.
func exchange(t *trap, q, buf []byte, until time.Time) ([]byte, error) {
	c, err := dial(t)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(until); err != nil {
		return nil, err
	}
	out := q
	if t.tcp {
		out = append(binary.BigEndian.AppendUint16(nil, uint16(len(q))), q...)
	}
	if _, err := c.Write(out); err != nil {
		return nil, err
	}
	for {
		var n int
		var err error
		if t.tcp {
			var length [2]byte
			if _, err = io.ReadFull(c, length[:]); err == nil {
				n, err = io.ReadFull(c, buf[:binary.BigEndian.Uint16(length[:])])
			}
		} else {
			n, err = c.Read(buf)
		}
		if err != nil {
			return nil, err
		}
		if n > 2 && buf[0] == q[0] && buf[1] == q[1] {
			return buf[:n], nil
		}
	}
}

// describe says what an answer is: the response code and the extended errors.
func describe(msg []byte) string {
	var m dns.Message
	if err := dns.Parse(msg, &m); err != nil {
		return "unreadable"
	}
	word := m.RCode().String()
	if m.Header.Flags&dns.FlagTC != 0 {
		word += " TC"
	}
	if m.Header.Flags&dns.FlagAD != 0 {
		word += " AD"
	}
	for code, data := range m.EDNS.Options.All() {
		if code == dns.OptionEDE && len(data) >= 2 {
			word += fmt.Sprintf(" EDE %d", uint16(data[0])<<8|uint16(data[1]))
		}
	}
	return word
}

// How long a resolver may go on with a question that it has answered, and when it is taken to be done.
const (
	settleLook  = 10 * time.Millisecond
	settleQuiet = 100 * time.Microsecond // of the processor, in one look: a resolver without work takes less
	settleLimit = 5 * time.Second
)

// settle waits until the resolver does nothing.
func (m *run) settle() error {
	last, quiet := m.resolver.CPU(), 0
	for until := time.Now().Add(settleLimit); quiet < 2 && time.Now().Before(until); {
		if err := m.rig.Sleep(settleLook); err != nil {
			return err
		}
		now := m.resolver.CPU()
		if quiet++; now-last > settleQuiet {
			quiet = 0
		}
		last = now
	}
	return nil
}

// flooded asks for names in the traps at a steady rate, each for the first time, and honest questions meanwhile.
func (m *run) flooded(ctx context.Context, t *trap, v *result) error {
	traps := int(m.flood.Seconds() * m.rate)
	honest := int(m.flood.Seconds() * m.options.honest)
	seed := load.Draw(uint64(m.alg), uint64(m.number))
	names := make([]string, honest)
	for i := range names {
		if draw := load.Draw(seed, drawHits, uint64(i)); draw&1 == 0 {
			names[i] = m.net.Names[load.Below(draw, popular)].String()
			continue
		}
		names[i] = m.net.Names[warmup+m.asked%(len(m.net.Names)-warmup)].String()
		m.asked++
	}
	send := func(n int, rate float64, fact uint64, of func(i int, b []byte) []byte, keep bool) (*load.Report, error) {
		return load.Run(ctx, load.Plan{
			Server: bench.Address, Sources: []netip.Addr{client}, Timeout: m.timeout, Keep: keep,
			At: load.Poisson(load.Draw(seed, fact), n, rate), Question: of,
		})
	}
	m.rig.Progress("%s: %s, flood", m.resolver.Process.Name, t.name)
	cpu, began := m.resolver.CPU(), time.Now()
	flood := make(chan error, 1)
	hostile := func(i int, b []byte) []byte {
		return question(b, t.question(m.alg, i%m.questions, fmt.Sprintf("f%d", i)), t.qtype)
	}
	go func() {
		if t.tcp {
			flood <- pour(t, load.Poisson(load.Draw(seed, drawFlood), traps, m.rate), hostile)
			return
		}
		_, err := send(traps, m.rate, drawFlood, hostile, false)
		flood <- err
	}()
	report, err := send(honest, m.options.honest, drawHonest, func(i int, b []byte) []byte { return question(b, names[i], dns.TypeA) }, true)
	v.busy = (m.resolver.CPU() - cpu).Seconds() / time.Since(began).Seconds()
	if err = errors.Join(err, <-flood); err != nil {
		return err
	}
	for i := range report.Answers {
		a := &report.Answers[i]
		v.honest.sent++
		switch {
		case !a.Answered():
			v.honest.latencies = append(v.honest.latencies, float64(m.timeout))
			continue
		case a.RCode() == int(dns.RCodeSuccess):
			v.honest.good++
		}
		v.honest.latencies = append(v.honest.latencies, float64(a.Latency))
	}
	slices.Sort(v.honest.latencies)
	return m.settle()
}

// pour asks over one TCP connection, at these times, and reads nothing of the answers.
func pour(t *trap, at []time.Duration, of func(i int, b []byte) []byte) error {
	c, err := dial(t)
	if err != nil {
		return err
	}
	defer c.Close()
	go func() { _, _ = io.Copy(io.Discard, c) }() // it ends with the connection
	began := time.Now()
	for i := range at {
		time.Sleep(at[i] - time.Since(began))
		q := of(i, make([]byte, 2, 512))
		binary.BigEndian.PutUint16(q, uint16(len(q)-2))
		q[2], q[3] = byte(i>>8), byte(i)
		if _, err := c.Write(q); err != nil {
			return nil // the resolver closed it: it need not bear with us
		}
	}
	return nil
}
