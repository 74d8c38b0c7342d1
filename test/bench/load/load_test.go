//go:build linux

package load

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// server answers what it is told to, on loopback: Run is about real sockets.
func server(t *testing.T, answer func(query []byte, from netip.AddrPort) [][]byte) netip.AddrPort {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	go func() {
		defer close(done)
		b := make([]byte, 4096)
		for {
			n, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			for _, m := range answer(slices.Clone(b[:n]), from) {
				if _, err := c.WriteToUDPAddrPort(m, from); err != nil {
					return
				}
			}
		}
	}()
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

// patience is how long an answer may take in tests in which it is none that fails to come in time: the machine may have other work. It is waited for where no answer comes.
const patience = 3 * time.Second

func question(i int, b []byte) []byte {
	names := []string{"a.example", "b.example", "c.example"}
	q := dns.Question{Name: dns.MustParseName(names[i%3]), Type: dns.TypeA, Class: dns.ClassINET}
	return dns.AppendQuestion(b, 0, dns.FlagRD, q, 0, false, nil)
}

// reply makes an answer out of a question.
func reply(q []byte, rcode byte) []byte {
	q = slices.Clone(q)
	q[2] |= 0x80
	q[3] = rcode
	return q
}

// Each question is asked once, from all sources in turn; answers, time-outs and strangers are told apart.
func TestRun(t *testing.T) {
	t.Parallel()
	seen := make(chan netip.Addr, 100)
	addr := server(t, func(q []byte, from netip.AddrPort) [][]byte {
		seen <- from.Addr()
		switch q[13] {
		case 'a':
			return [][]byte{reply(q, 0), reply(q, 0)} // the second is a stranger
		case 'b':
			return [][]byte{reply(q, 2)}
		}
		return nil
	})
	at := make([]time.Duration, 30)
	for i := range at {
		at[i] = time.Duration(i) * time.Millisecond
	}
	sources := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")}
	r, err := Run(context.Background(), Plan{Server: addr, Sources: sources, At: at, Question: question, Keep: true, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	if r.Sent != 30 || r.Unsent != 0 || r.Answered != 20 || r.RCodes[0] != 10 || r.RCodes[2] != 10 || r.Strange != 10 {
		t.Errorf("sent %d, unsent %d, answered %d, rcodes %v, strange %d", r.Sent, r.Unsent, r.Answered, r.RCodes, r.Strange)
	}
	from := map[netip.Addr]int{}
	for range 30 {
		from[<-seen]++
	}
	if from[sources[0]] != 15 || from[sources[1]] != 15 {
		t.Errorf("sources %v, want 15 of each", from)
	}
	for i, a := range r.Answers {
		want := []int{0, 2, -1}[i%3]
		if a.RCode() != want || a.Answered() != (want >= 0) || a.Latency > patience {
			t.Errorf("question %d: rcode %d, latency %v; want rcode %d", i, a.RCode(), a.Latency, want)
		}
	}
}

// An answer that comes after its time is a time-out, however late the generator looks.
func TestRunCountsLateAnswersAsTimeouts(t *testing.T) {
	t.Parallel()
	var held [][]byte
	addr := server(t, func(q []byte, _ netip.AddrPort) [][]byte {
		held = append(held, reply(q, 0))
		if len(held) == 1 {
			return nil
		}
		return held // the first one's answer comes with the second's
	})
	at := []time.Duration{0, 2 * patience} // the first may be asked late, too
	sources := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	r, err := Run(context.Background(), Plan{Server: addr, Sources: sources, At: at, Question: question, Keep: true, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	if r.Answered != 1 || r.Strange != 1 || r.Answers[0].Answered() || !r.Answers[1].Answered() {
		t.Errorf("answered %d, strange %d, answers %v", r.Answered, r.Strange, r.Answers)
	}
}

// A run ends when its context does, though its questions are for later.
func TestRunEnds(t *testing.T) {
	addr := server(t, func(q []byte, _ netip.AddrPort) [][]byte { return nil })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := Run(ctx, Plan{Server: addr, Sources: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, At: []time.Duration{0, time.Hour},
		Question: question, Timeout: time.Minute})
	if err == nil {
		t.Error("a cancelled run reports success")
	}
}

func TestPlanLimits(t *testing.T) {
	good := Plan{At: []time.Duration{0}, Sources: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Timeout: time.Second}
	if err := good.check(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Plan){
		"no questions":       func(p *Plan) { p.At = nil },
		"too many questions": func(p *Plan) { p.At = make([]time.Duration, maxQuestions+1) },
		"not ascending":      func(p *Plan) { p.At = []time.Duration{1, 0} },
		"before the start":   func(p *Plan) { p.At = []time.Duration{-1, 0} },
		"too long":           func(p *Plan) { p.At = []time.Duration{0, maxTime + 1} },
		"no sources":         func(p *Plan) { p.Sources = nil },
		"too many sources":   func(p *Plan) { p.Sources = make([]netip.Addr, maxSockets+1) },
		"no time-out":        func(p *Plan) { p.Timeout = 0 },
		"a long time-out":    func(p *Plan) { p.Timeout = maxTimeout + 1 },
	} {
		p := good
		spoil(&p)
		if p.check() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Plans repeat, and have the rate and the popularity that they are meant to have.
func TestDraws(t *testing.T) {
	a, b := Poisson(1, 10_000, 500), Poisson(1, 10_000, 500)
	if !slices.Equal(a, b) || !slices.IsSorted(a) {
		t.Error("the same seed gives other times")
	}
	if end := a[len(a)-1].Seconds(); end < 19 || end > 21 {
		t.Errorf("10,000 questions at 500 a second take %.1f s, want about 20", end)
	}
	z := NewZipf(1, 1000, 1)
	counts := make([]int, 1000)
	for i := range 100_000 {
		counts[z.Index(i)]++
	}
	// 1/(k+1) over the sum of 1,000 terms, 7.485: 13,359 and 1,336.
	if counts[0] < 12_900 || counts[0] > 13_800 || counts[9] < 1200 || counts[9] > 1480 || counts[999] > 40 {
		t.Errorf("index 0, 9 and 999 drawn %d, %d and %d times, want about 13,359, 1,336 and 13", counts[0], counts[9], counts[999])
	}
	for range 1000 {
		if x := Below(Draw(7, 7), 10); x < 0 || x > 9 {
			t.Fatalf("drew %d out of 10", x)
		}
	}
}

func TestQuantile(t *testing.T) {
	values := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	for q, want := range map[float64]int{0: 1, 0.5: 6, 0.9: 10, 0.99: 10, 1: 10} {
		if got := Quantile(values, q); got != want {
			t.Errorf("quantile %v = %d, want %d", q, got, want)
		}
	}
	if Quantile([]int(nil), 0.5) != 0 {
		t.Error("quantile of nothing is not 0")
	}
}
