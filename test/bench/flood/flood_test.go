//go:build linux

package flood

import (
	"math"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// server answers what it is told to, on loopback: Run is about real sockets. It is stopped, and its work over, when the function returned
// is called.
func server(t *testing.T, answer func(query []byte) []byte) (netip.AddrPort, func()) {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadBuffer(1 << 20)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 4096)
		for {
			n, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			if m := answer(slices.Clone(b[:n])); m != nil {
				_, _ = c.WriteToUDPAddrPort(m, from) // the client may have gone
			}
		}
	}()
	stop := func() {
		c.Close()
		<-done
	}
	t.Cleanup(stop)
	return c.LocalAddr().(*net.UDPAddr).AddrPort(), stop
}

// reply makes an answer out of a question.
func reply(q []byte, rcode byte) []byte {
	q[2] |= 0x80
	q[3] = rcode
	return q
}

func name(q []byte) string {
	n, _, err := dns.UnpackName(q, 12)
	if err != nil {
		return err.Error()
	}
	return n.String()
}

// patience is how long an answer may take: the machine may have other work. It is waited for where no answer comes.
const patience = 3 * time.Second

// questions writes a file of questions for these names.
func questions(t *testing.T, names ...string) string {
	t.Helper()
	var all [][]byte
	for _, n := range names {
		q := dns.Question{Name: dns.MustParseName(n), Type: dns.TypeA, Class: dns.ClassINET}
		all = append(all, dns.AppendQuestion(nil, 0, dns.FlagRD, q, 0, false, nil))
	}
	path := filepath.Join(t.TempDir(), "questions")
	if err := WriteQuestions(path, all); err != nil {
		t.Fatal(err)
	}
	return path
}

// A window is kept full, all questions are asked in turn, and each is accounted for, whether sent one by one or as one message.
func TestClosedLoop(t *testing.T) {
	for _, joined := range []bool{false, true} {
		seen := map[string]int{}
		addr, stop := server(t, func(q []byte) []byte {
			seen[name(q)]++
			return reply(q, q[13]-'a')
		})
		keep := filepath.Join(t.TempDir(), "kept")
		r, err := Run(Plan{Server: addr, Questions: questions(t, "a.example", "d.example", "b.example", "c.example"), For: 100 * time.Millisecond, Timeout: patience,
			Streams: []Stream{{Name: "all", First: 1, Count: 3, Socks: 2, Window: 16, Batch: 8, Joined: joined, Sample: 3}}, Keep: keep})
		if err != nil {
			t.Fatal(err)
		}
		stop()
		c := r.Streams[0]
		if c.Sent == 0 || c.Answered != c.Sent || c.Lost+c.Strange+c.Wrong+c.Refused > 0 {
			t.Errorf("joined %v: %+v; want all answered", joined, c)
		}
		if c.RCodes[0] != 0 || c.RCodes[1]+c.RCodes[2]+c.RCodes[3] != c.Answered || seen["a.example."] != 0 {
			t.Errorf("joined %v: rcodes %v of %d, names %v", joined, c.RCodes, c.Answered, seen)
		}
		if d := seen["b.example."] - seen["c.example."]; d < -1 || d > 1 {
			t.Errorf("joined %v: names are not asked in turn: %v", joined, seen)
		}
		kept, err := ReadKept(keep)
		if err != nil || len(kept) != c.Answered/3 || c.Kept != len(kept) {
			t.Errorf("joined %v: kept %d of %d answers, counted %d: %v", joined, len(kept), c.Answered, c.Kept, err)
		}
		for _, k := range kept {
			if want := []string{"a.example.", "d.example.", "b.example.", "c.example."}[k.Question]; name(k.Message) != want {
				t.Fatalf("the answer to question %d is kept as one to %s", k.Question, name(k.Message))
			}
		}
	}
}

// Each question is asked until it has an answer, and no longer.
func TestOnce(t *testing.T) {
	t.Parallel()
	times := map[string]int{}
	addr, stop := server(t, func(q []byte) []byte {
		n := name(q)
		switch times[n]++; {
		case times[n] == 1 && n[0] == 'a':
			return reply(q, 2)
		case times[n] == 1 && n[0] == 'b':
			return nil
		case n[0] == 'c':
			return reply(q, 3)
		}
		return reply(q, 0)
	})
	r, err := Run(Plan{Server: addr, Questions: questions(t, "a.example", "b.example", "c.example", "d.example"), For: time.Minute, Timeout: patience,
		Streams: []Stream{{Name: "warm", Count: 4, Once: true, Socks: 1, Window: 4, Batch: 4}}})
	if err != nil {
		t.Fatal(err)
	}
	stop()
	c := r.Streams[0]
	if c.Sent != 6 || c.Lost != 1 || c.RCodes != [16]int{0: 3, 2: 1, 3: 1} || c.Elapsed > 30*time.Second {
		t.Errorf("%+v; want 6 questions, one lost, one SERVFAIL, one NXDOMAIN", c)
	}
	for n, want := range map[string]int{"a.example.": 2, "b.example.": 2, "c.example.": 1, "d.example.": 1} {
		if times[n] != want {
			t.Errorf("%s was asked %d times, want %d", n, times[n], want)
		}
	}
}

// Two streams at rates of their own, one of them with names that are never the same; what is answered wrongly, twice or not at all is told.
func TestOpenLoop(t *testing.T) {
	t.Parallel()
	fresh := map[string]bool{}
	twice := false
	addr, stop := server(t, func(q []byte) []byte {
		switch n := name(q); {
		case strings.HasSuffix(n, "fresh.example."):
			twice = twice || fresh[n]
			fresh[n] = true
			return reply(q, 0)
		case n == "silent.example.":
			return nil
		case n == "wrong.example.":
			q[13] = 'W'
			return reply(q, 0)
		default:
			q[0]++ // another id
			return reply(q, 0)
		}
	})
	r, err := Run(Plan{Server: addr, Questions: questions(t, "silent.example", "wrong.example", "stranger.example", "xxxxxxxxxxxx.fresh.example"),
		For: time.Second, Timeout: patience, Streams: []Stream{
			{Name: "known", Count: 3, Socks: 3, Window: 3000, Rate: 90, Batch: 1},
			{Name: "fresh", First: 3, Count: 1, Fresh: 1, Socks: 1, Window: 1000, Rate: 300, Batch: 1},
		}})
	if err != nil {
		t.Fatal(err)
	}
	stop()
	known, misses := r.Streams[0], r.Streams[1]
	third := float64(known.Sent) / 3
	near := func(n int) bool { return math.Abs(float64(n)-third) < 1 }
	// 90 and 300 are meant; what is late is sent all the same, but for what is late at the end.
	if known.Sent < 10 || known.Sent > 130 || !near(known.Wrong) || !near(known.Answered) || !near(known.Strange) || known.Lost != known.Sent-known.Answered {
		t.Errorf("known: %+v", known)
	}
	if misses.Sent < 30 || misses.Sent > 400 || misses.Answered != misses.Sent || misses.Wrong > 0 || twice || len(fresh) != misses.Sent {
		t.Errorf("fresh: %+v; %d names, one asked twice: %v", misses, len(fresh), twice)
	}
	if misses.P50 <= 0 || misses.P50 > misses.P99 || misses.P99 > float64(patience) {
		t.Errorf("latencies: p50 %v, p99 %v ns", misses.P50, misses.P99)
	}
}

func TestLimits(t *testing.T) {
	good := Plan{Server: netip.MustParseAddrPort("127.0.0.1:9"), For: time.Second, Timeout: time.Second, Streams: []Stream{{Count: 1, Socks: 1, Window: 1, Batch: 1}}}
	if err := good.check(); err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func(*Plan){
		"no streams":         func(p *Plan) { p.Streams = nil },
		"too many streams":   func(p *Plan) { p.Streams = make([]Stream, maxStreams+1) },
		"too long":           func(p *Plan) { p.For = maxFor + 1 },
		"no time-out":        func(p *Plan) { p.Timeout = 0 },
		"no questions":       func(p *Plan) { p.Streams[0].Count = 0 },
		"no sockets":         func(p *Plan) { p.Streams[0].Socks = 0 },
		"window too small":   func(p *Plan) { p.Streams[0].Socks = 2 },
		"window too large":   func(p *Plan) { p.Streams[0].Window = maxWindow + 1 },
		"no batch":           func(p *Plan) { p.Streams[0].Batch = 0 },
		"batch too large":    func(p *Plan) { p.Streams[0].Batch = maxBatch + 1 },
		"rate too high":      func(p *Plan) { p.Streams[0].Rate = maxRate + 1 },
		"once, with a rate":  func(p *Plan) { p.Streams[0].Once, p.Streams[0].Rate = true, 1 },
		"once, fresh names":  func(p *Plan) { p.Streams[0].Once, p.Streams[0].Fresh = true, 1 },
		"less than one kept": func(p *Plan) { p.Streams[0].Sample = -1 },
	} {
		p := good
		p.Streams = slices.Clone(good.Streams)
		spoil(&p)
		if p.check() == nil {
			t.Errorf("%s: no error", what)
		}
	}
	for what, p := range map[string]Plan{
		"several sizes joined": {Questions: questions(t, "a.example", "aa.example"), Streams: []Stream{{Count: 2, Socks: 1, Window: 1, Batch: 1, Joined: true}}},
		"no room for a label":  {Questions: questions(t, "a.example"), Streams: []Stream{{Count: 1, Socks: 1, Window: 1, Batch: 1, Fresh: 1}}},
		"too few questions":    {Questions: questions(t, "a.example"), Streams: []Stream{{Count: 2, Socks: 1, Window: 1, Batch: 1}}},
	} {
		p.Server, p.For, p.Timeout = good.Server, time.Second, time.Second
		if _, err := Run(p); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

func TestHistogram(t *testing.T) {
	for _, ns := range []int64{0, 1, 63, 64, 65, 127, 128, 1000, 37_123, 1_000_000, 999_999_999, 1<<39 + 12345} {
		if got := middle(bucket(ns)); math.Abs(got-float64(ns)) > float64(ns)/64 {
			t.Errorf("%d ns is counted as %.0f", ns, got)
		}
	}
	if bucket(-5) != 0 || bucket(1<<62) != histogramSize-1 {
		t.Errorf("below 0: %d, above all: %d", bucket(-5), bucket(1<<62))
	}
	for i := 1; i < histogramSize; i++ {
		if middle(i) <= middle(i-1) {
			t.Fatalf("buckets %d and %d are not in order", i-1, i)
		}
	}
	var h histogram
	if h.quantile(0.5) != 0 || h.mean() != 0 {
		t.Error("quantile or mean of nothing is not 0")
	}
	for ns := range 1000 {
		h.add(int64(ns) * 1000)
	}
	for q, want := range map[float64]float64{0: 0, 0.5: 500_000, 0.99: 990_000, 1: 999_000} {
		if got := h.quantile(q); math.Abs(got-want) > want/64+1 {
			t.Errorf("quantile %v = %.0f, want %.0f", q, got, want)
		}
	}
	if h.mean() != 499_500 {
		t.Errorf("mean %v, want 499500", h.mean())
	}
}

// A generator that was held up leaves out what should have left long ago, and sends what is due; without Stale it sends all.
func TestStale(t *testing.T) {
	addr, stop := server(t, func([]byte) []byte { return nil })
	defer stop()
	for _, long := range []time.Duration{0, 10 * time.Millisecond} {
		g := &generator{Plan: Plan{Server: addr, Timeout: time.Second, Streams: []Stream{{Count: 1, Socks: 1, Window: 1000, Rate: 1000, Batch: 1, Stale: long}}},
			questions: [][]byte{dns.AppendQuestion(nil, 0, 0, dns.Question{Name: dns.MustParseName("a.example"), Type: dns.TypeA, Class: dns.ClassINET}, 0, false, nil)},
			out:       newSender()}
		if err := g.open(0); err != nil {
			t.Fatal(err)
		}
		s := g.streams[0]
		s.gap()
		// It wakes up after 200 ms: about 200 questions were due, 10 of them in the last 10 ms.
		for s.send(g, int64(200*time.Millisecond)) {
		}
		g.close()
		sent, skipped := s.counts.Sent, s.counts.Skipped
		if sent+skipped < 150 || sent+skipped > 250 || s.counts.Refused != 0 {
			t.Errorf("stale after %v: %d sent, %d left out, %d refused; want about 200", long, sent, skipped, s.counts.Refused)
		}
		if long == 0 && skipped != 0 || long > 0 && (sent < 2 || sent > 25) {
			t.Errorf("stale after %v: %d sent, %d left out", long, sent, skipped)
		}
	}
}
