//go:build linux

// Package load asks a DNS server questions at times that are fixed beforehand, whatever the server does (an open loop): a server
// that falls behind is not spared, and its queue shows in the latencies.
//
// [Run] carries out a [Plan] in the calling goroutine, on one thread, and returns when all is answered or timed out. It retransmits
// nothing. Latency is from the moment before the question is sent to the kernel's time stamp of the answer's arrival in the socket,
// so that a generator which is scheduled late, on a machine with few processors, does not lengthen what it measures. How late it
// sent is measured apart ([Report.Late]).
//
// What it keeps is allocated before it starts and bounded by the number of questions in the plan.
package load

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Plan is what to ask, whom, and when.
type Plan struct {
	Server  netip.AddrPort
	Sources []netip.Addr // one socket each; question i goes through socket i modulo their number

	// At holds the time of each question since the start, ascending. Their number is the number of questions.
	At []time.Duration

	// Question appends question i to b, with any id; it is called once for each, in order.
	Question func(i int, b []byte) []byte

	// Keep is whether [Report.Answers] is filled. Without it answers are only counted.
	Keep bool

	Timeout  time.Duration // of one question
	Tick     time.Duration // questions are sent together that fall due within so long; 0: each at its time
	Progress func(sent int)
}

// Limits of one run.
const (
	maxQuestions = 4 << 20         // an hour at 1,000 a second; 40 octets each are kept
	maxSockets   = 8192            // a third of the descriptors that a process commonly may have
	maxTime      = 2 * time.Hour   // from the first question to the last
	maxTimeout   = 5 * time.Minute // ids are used again after 65,536 questions of one socket
	maxQuestion  = 512             // octets
	maxReply     = 4096            // octets; larger ones are cut
	batch        = 64              // answers in one system call
	answerRoom   = 160             // octets of answer kept for each question, on average
)

// Answer is what became of a question.
type Answer struct {
	Sent    int64         // nanoseconds, by the wall clock
	Latency time.Duration // 0 or less: none came
	Message []byte        // the whole answer; nil if none came, or if there was no more room
}

// Answered tells whether an answer came in time.
func (a *Answer) Answered() bool { return a.Latency > 0 }

// RCode is the response code in the header, without EDNS's bits.
func (a *Answer) RCode() int {
	if len(a.Message) < 4 {
		return -1
	}
	return int(a.Message[3] & 15)
}

// Report is what a run found.
type Report struct {
	Answers []Answer // by question; nil without Plan.Keep

	Sent     int
	Unsent   int      // the kernel refused them
	Answered int      // in time
	RCodes   [16]int  // of the answers in time
	Strange  int      // packets that answer no question that waits: late, twice or wrong
	Late     Lateness // of the generator itself
	Wall     time.Duration
	CPU      time.Duration // of the generator's thread
}

// Lateness is how much after their time questions were sent.
type Lateness struct{ P50, P99, Max time.Duration }

// client is one socket.
type client struct {
	fd   int
	next uint16            // id of the next question
	asks map[uint16]uint32 // id -> question, of those that wait
}

// Run carries out the plan. It ends by itself: not later than the last question's time-out, or when the context is done.
func Run(ctx context.Context, p Plan) (*Report, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	runtime.LockOSThread() // the thread's timer slack and processor time are ours
	defer runtime.UnlockOSThread()
	g := &generator{Plan: p, poll: -1}
	defer g.close()
	if err := g.open(); err != nil {
		return nil, err
	}
	return g.run(ctx)
}

func (p *Plan) check() error {
	switch n := len(p.At); {
	case n == 0 || n > maxQuestions:
		return fmt.Errorf("planning %d questions: must be 1 to %d", n, maxQuestions)
	case !slices.IsSorted(p.At) || p.At[0] < 0 || p.At[n-1] > maxTime:
		return fmt.Errorf("planning questions up to %v: must ascend from 0 to at most %v", p.At[n-1], maxTime)
	case len(p.Sources) == 0 || len(p.Sources) > maxSockets:
		return fmt.Errorf("planning %d sources: must be 1 to %d", len(p.Sources), maxSockets)
	case p.Timeout <= 0 || p.Timeout > maxTimeout:
		return fmt.Errorf("planning a time-out of %v: must be at most %v", p.Timeout, maxTimeout)
	}
	return nil
}

// generator is a run under way.
type generator struct {
	Plan
	poll    int // epoll descriptor
	clients []client
	byFD    map[int32]*client
	ready   []unix.PollFd
	in      *receiver
	out     []byte

	report  Report
	sent    []int64 // by question, nanoseconds; 0: no longer waited for
	by      []uint16
	first   int // the oldest question that may still wait
	waiting int
	late    []time.Duration
	room    []byte // for answers that are kept
}

func (g *generator) open() (err error) {
	n := len(g.At)
	g.sent, g.by, g.late = make([]int64, n), make([]uint16, n), make([]time.Duration, 0, n)
	if g.Keep {
		g.report.Answers = make([]Answer, n)
		g.room = make([]byte, 0, n*answerRoom)
	}
	g.out = make([]byte, 0, maxQuestion)
	g.in = newReceiver()
	if g.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	g.ready = []unix.PollFd{{Fd: int32(g.poll), Events: unix.POLLIN}}
	g.byFD = make(map[int32]*client, len(g.Sources))
	g.clients = make([]client, len(g.Sources))
	each := min(n/len(g.Sources)+1, 1<<16)
	for i, source := range g.Sources {
		c := &g.clients[i]
		c.asks = make(map[uint16]uint32, min(each, 1<<12))
		c.next = uint16(i) * 7919 // so that clients do not all begin with the same id
		if c.fd, err = dial(source, g.Server); err != nil {
			c.fd = -1
			g.clients = g.clients[:i]
			return fmt.Errorf("opening a socket from %v to %v: %w", source, g.Server, err)
		}
		g.byFD[int32(c.fd)] = c
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(c.fd)}
		if err := unix.EpollCtl(g.poll, unix.EPOLL_CTL_ADD, c.fd, &event); err != nil {
			return os.NewSyscallError("epoll_ctl", err)
		}
	}
	// Sleeps end up to 50 us late by default: an eighth of the latency of a cached answer too much.
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1000, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	return nil
}

func (g *generator) close() {
	for _, c := range g.clients {
		unix.Close(c.fd)
	}
	if g.poll >= 0 {
		unix.Close(g.poll)
	}
}

func (g *generator) run(ctx context.Context) (*Report, error) {
	start, began := wall(), threadTime()
	end := start + int64(g.At[len(g.At)-1]+g.Timeout) + int64(time.Second)
	due := 0
	for ctx.Err() == nil {
		now := wall()
		if now > end {
			break
		}
		g.expire(now)
		for due < len(g.At) && start+int64(g.At[due]) <= now {
			g.ask(due, start)
			due++
		}
		if due == len(g.At) && g.waiting == 0 {
			break
		}
		until := now + int64(100*time.Millisecond) // the oldest question may time out
		if due < len(g.At) {
			until = min(until, max(start+int64(g.At[due]), now+int64(g.Tick)))
		}
		if err := g.receive(until); err != nil {
			return nil, err
		}
	}
	g.expire(1<<63 - 1)
	r := &g.report
	r.Wall, r.CPU = time.Duration(wall()-start), threadTime()-began
	slices.Sort(g.late)
	r.Late = Lateness{Quantile(g.late, 0.5), Quantile(g.late, 0.99), Quantile(g.late, 1)}
	return r, context.Cause(ctx)
}

// ask sends question i.
func (g *generator) ask(i int, start int64) {
	s := i % len(g.clients)
	c := &g.clients[s]
	for range 1 << 16 {
		if _, taken := c.asks[c.next]; !taken {
			break
		}
		c.next++
	}
	if _, taken := c.asks[c.next]; taken {
		g.report.Unsent++
		return
	}
	g.out = g.Question(i, g.out[:0])
	binary.BigEndian.PutUint16(g.out, c.next)
	now := wall()
	g.late = append(g.late, time.Duration(now-start)-g.At[i])
	if _, err := unix.Write(c.fd, g.out); err != nil {
		g.report.Unsent++ // the socket's buffer is full, or nobody listens
		return
	}
	c.asks[c.next] = uint32(i)
	g.sent[i], g.by[i] = now, c.next
	c.next++
	g.waiting++
	g.report.Sent++
	if g.Keep {
		g.report.Answers[i].Sent = now
	}
	if g.Progress != nil && g.report.Sent%1024 == 0 {
		g.Progress(g.report.Sent)
	}
}

// expire gives up the questions that waited too long.
func (g *generator) expire(now int64) {
	for ; g.first < len(g.At); g.first++ {
		sent := g.sent[g.first]
		if sent == 0 {
			if g.first >= g.report.Sent+g.report.Unsent {
				return // not asked yet
			}
			continue
		}
		if now-sent < int64(g.Timeout) {
			return
		}
		delete(g.clients[g.first%len(g.clients)].asks, g.by[g.first])
		g.sent[g.first] = 0
		g.waiting--
	}
}

// receive takes answers until there are none and the time has come.
func (g *generator) receive(until int64) error {
	for {
		left := until - wall()
		if left <= 0 {
			return nil
		}
		wait := unix.NsecToTimespec(left)
		n, err := unix.Ppoll(g.ready, &wait, nil) // epoll_wait itself counts in milliseconds
		if err != nil && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("ppoll", err)
		}
		if n == 0 {
			continue
		}
		var events [batch]unix.EpollEvent
		n, err = unix.EpollWait(g.poll, events[:], 0)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("epoll_wait", err)
		}
		for _, e := range events[:max(0, n)] {
			c := g.byFD[e.Fd]
			g.in.drain(c.fd, func(msg []byte, at int64) { g.take(c, msg, at) })
		}
	}
}

// take notes an answer.
func (g *generator) take(c *client, msg []byte, at int64) {
	if len(msg) < 12 || msg[2]&0x80 == 0 {
		g.report.Strange++
		return
	}
	id := binary.BigEndian.Uint16(msg)
	i, ok := c.asks[id]
	if !ok || g.sent[i] == 0 {
		g.report.Strange++
		return
	}
	latency := time.Duration(at - g.sent[i])
	if latency >= g.Timeout {
		g.report.Strange++ // came after its time; expire counts it
		return
	}
	delete(c.asks, id)
	g.sent[i] = 0
	g.waiting--
	g.report.Answered++
	g.report.RCodes[msg[3]&15]++
	if !g.Keep {
		return
	}
	a := &g.report.Answers[i]
	a.Latency = max(1, latency)
	if room := len(g.room); room+len(msg) <= cap(g.room) {
		g.room = append(g.room, msg...)
		a.Message = g.room[room:len(g.room):len(g.room)]
	} else {
		a.Message = slices.Clone(msg)
	}
}

// Quantile returns the value below which a share q of the sorted values lies (nearest rank); 0 if there are none.
func Quantile[T cmp.Ordered](sorted []T, q float64) T {
	var none T
	if len(sorted) == 0 {
		return none
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// Draw turns a seed and facts into a number, evenly over 64 bits: the same in every run (splitmix64).
func Draw(seed uint64, facts ...uint64) uint64 {
	x := mix(seed + golden)
	for _, f := range facts {
		x = mix(x + golden*(f+1))
	}
	return x
}

const golden = 0x9e3779b97f4a7c15 // 2^64 by the golden ratio

func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// Share turns a drawn number into one in [0, 1).
func Share(drawn uint64) float64 { return float64(drawn>>11) / (1 << 53) }

// Below turns a drawn number into one in [0, n).
func Below(drawn uint64, n int) int {
	hi, _ := bits.Mul64(drawn, uint64(n))
	return int(hi)
}
