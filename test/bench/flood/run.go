//go:build linux

package flood

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ananas-edge/ananas/test/bench/load"
)

// generator is a run under way.
type generator struct {
	Plan
	questions [][]byte
	streams   []*stream
	out       *sender
	in        *receiver
	kept      []byte
	poll      []unix.PollFd
	end       int64 // when the last question leaves
}

// stream is a [Stream] under way.
type stream struct {
	Stream
	index  int
	socks  []*sock
	window int // of one socket
	joined int // size of all questions, if they are sent as one message; else 0

	next    int      // question
	fresh   uint64   // names made so far
	again   []uint32 // questions that were not answered (Once)
	done    int      // questions answered for good (Once)
	due     float64  // when the next question leaves, nanoseconds since the start (Rate)
	begun   int64
	turn    int // socket that sends next (Rate)
	gaps    uint64
	until   int64 // when the last question left, or the last answer came
	inTime  int   // answers before the end
	batched [maxBatch]*slot

	latencies, late histogram
	counts          Counts
}

// sock is one client.
type sock struct {
	fd      int
	next    uint16
	waiting int
	slots   []slot // by the low bits of the id
}

// slot is a question that waits for its answer.
type slot struct {
	sent     int64 // nanoseconds; 0: none waits here
	fresh    uint64
	question uint32
	id       uint16
}

// Run carries out a plan, on one thread. It is meant to have its process for itself: it sleeps without telling Go's scheduler.
func Run(p Plan) (*Report, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	questions, err := readQuestions(p.Questions)
	if err != nil {
		return nil, err
	}
	runtime.LockOSThread() // its processor time and timer slack are ours
	defer runtime.UnlockOSThread()
	g := &generator{Plan: p, questions: questions, out: newSender(), in: newReceiver()}
	if p.Keep != "" {
		g.kept = make([]byte, 0, maxKept)
	}
	defer g.close()
	for i := range p.Streams {
		if err := g.open(i); err != nil {
			return nil, fmt.Errorf("opening stream %q: %w", p.Streams[i].Name, err)
		}
	}
	// Sleeps end up to 50 us late by default.
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1000, 0, 0, 0); err != nil {
		return nil, os.NewSyscallError("prctl", err)
	}
	r := g.run()
	if p.Keep != "" {
		err = os.WriteFile(p.Keep, g.kept, 0o644)
	}
	return r, err
}

func (g *generator) open(i int) error {
	s := &stream{Stream: g.Plan.Streams[i], index: i, gaps: uint64(i)}
	if s.First+s.Count > len(g.questions) {
		return fmt.Errorf("questions %d to %d: there are %d", s.First, s.First+s.Count-1, len(g.questions))
	}
	s.window = s.Window / s.Socks
	if s.Joined {
		s.joined = len(g.questions[s.First])
	}
	for _, q := range g.questions[s.First : s.First+s.Count] {
		if s.Joined && len(q) != s.joined {
			return errors.New("questions of several sizes can't be sent as one message")
		}
		if s.Fresh != 0 && q[12] < FreshLabel {
			return fmt.Errorf("a first label of %d octets has no room for fresh names: must have %d", q[12], FreshLabel)
		}
	}
	size := 64
	for size < 4*s.window && size < 1<<16 {
		size *= 2
	}
	g.streams = append(g.streams, s)
	for range s.Socks {
		fd, err := dial(g.Server, s.Rate > 0)
		if err != nil {
			return err
		}
		s.socks = append(s.socks, &sock{fd: fd, slots: make([]slot, size), next: uint16(len(s.socks)) * 7919}) // not all begin with one id
		g.poll = append(g.poll, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	return nil
}

func (g *generator) close() {
	for _, s := range g.streams {
		for _, c := range s.socks {
			unix.Close(c.fd)
		}
	}
}

// now reads the clock that packets are stamped with.
func now() int64 { return clock(unix.CLOCK_REALTIME) }

func (g *generator) run() *Report {
	cpu := clock(unix.CLOCK_THREAD_CPUTIME_ID)
	start := now()
	g.end = start + int64(g.For)
	for _, s := range g.streams {
		s.begun = start
		s.gap()
	}
	looked := start
	for {
		t := now()
		sending := t < g.end && !g.finished()
		did := false
		for _, s := range g.streams {
			if sending && s.send(g, t) {
				did = true
			}
			for _, c := range s.socks {
				if c.waiting > 0 && g.receive(s, c) {
					did = true
				}
			}
		}
		if !sending && g.waiting() == 0 {
			break
		}
		if t-looked > int64(g.Timeout)/8 {
			looked = t
			g.expire(t)
		}
		if !did && !g.Spin {
			g.sleep(t, sending)
		}
	}
	r := &Report{CPU: time.Duration(clock(unix.CLOCK_THREAD_CPUTIME_ID) - cpu)}
	for _, s := range g.streams {
		s.settle(g.end)
		r.Streams = append(r.Streams, s.counts)
		r.Wall = max(r.Wall, s.counts.Elapsed)
	}
	return r
}

// finished tells that all streams ask each question once, and have all answers.
func (g *generator) finished() bool {
	for _, s := range g.streams {
		if !s.Once || s.done < s.Count {
			return false
		}
	}
	return true
}

func (g *generator) waiting() (n int) {
	for _, s := range g.streams {
		for _, c := range s.socks {
			n += c.waiting
		}
	}
	return n
}

// gap draws when the next question is due.
func (s *stream) gap() {
	if s.Rate > 0 {
		s.due += -math.Log(1-load.Share(load.Draw(s.gaps, uint64(s.counts.Sent+s.counts.Refused+s.counts.Skipped)))) / s.Rate * 1e9
	}
}

// send sends what may leave now: a batch from each socket in a closed loop, one batch in an open one.
func (s *stream) send(g *generator, t int64) (did bool) {
	if s.Rate == 0 {
		for _, c := range s.socks {
			if n := min(s.Batch, s.window-c.waiting); n > 0 && s.batch(g, c, n, t) {
				did = true
			}
		}
		return did
	}
	since := float64(t - s.begun)
	if s.due > since {
		return false
	}
	c := s.socks[s.turn]
	s.turn = (s.turn + 1) % len(s.socks)
	n := 0
	for ; n < s.Batch && s.due <= since; n++ {
		if s.Stale > 0 && since-s.due > float64(s.Stale) {
			s.counts.Skipped++
			s.gap()
			n--
			continue
		}
		if c.waiting >= s.window { // what was due is not sent later: the loop is open
			s.counts.Refused++
			s.gap()
			break
		}
		s.late.add(int64(since - s.due))
		s.batchOne(g, c, n, t)
		s.gap()
	}
	s.flush(g, c, n, t)
	return true
}

// batch sends n questions from one socket.
func (s *stream) batch(g *generator, c *sock, n int, t int64) bool {
	k := 0
	for k < n && s.batchOne(g, c, k, t) {
		k++
	}
	s.flush(g, c, k, t)
	return k > 0
}

// batchOne puts the next question into a batch, if there is one.
func (s *stream) batchOne(g *generator, c *sock, k int, t int64) bool {
	var i int
	switch {
	case len(s.again) > 0:
		i = int(s.again[len(s.again)-1])
		s.again = s.again[:len(s.again)-1]
	case s.next < s.Count:
		i = s.First + s.next
		s.next++
	case s.Once:
		return false
	default:
		i = s.First
		s.next = 1
	}
	w := &c.slots[int(c.next)&(len(c.slots)-1)]
	for w.sent != 0 { // at most a quarter of the slots is taken, or half of all ids
		c.next++
		w = &c.slots[int(c.next)&(len(c.slots)-1)]
	}
	*w = slot{sent: t, question: uint32(i), id: c.next}
	q := g.questions[i]
	room := g.out.room(k, s.joined)
	copy(room, q)
	binary.BigEndian.PutUint16(room, c.next)
	if s.Fresh != 0 {
		s.fresh++
		w.fresh = s.fresh
		freshen(room[13:13+FreshLabel], s.Fresh, s.fresh)
	}
	if s.joined == 0 {
		g.out.vectors[k].SetLen(len(q))
	}
	c.next++
	c.waiting++
	s.counts.Sent++
	s.batched[k] = w
	return true
}

// flush sends a batch. What the kernel does not take was not sent.
func (s *stream) flush(g *generator, c *sock, n int, t int64) {
	if n == 0 {
		return
	}
	s.until = t
	for k := g.out.send(c.fd, n, s.joined); k < n; k++ {
		w := s.batched[k]
		if s.Once {
			s.again = append(s.again, w.question)
		}
		w.sent = 0
		c.waiting--
		s.counts.Sent--
		s.counts.Refused++
	}
}

// freshen writes name number n of a seed.
func freshen(label []byte, seed, n uint64) {
	x := load.Draw(seed, n)
	for i := range label {
		label[i] = 'a' + byte(x%26)
		x /= 26
	}
}

// receive takes a batch of answers.
func (g *generator) receive(s *stream, c *sock) bool {
	stamps := s.Rate > 0
	n := g.in.receive(c.fd, stamps)
	if n == 0 {
		return false
	}
	t := now()
	for i := range n {
		at := t
		if stamps {
			if stamped := g.in.stamp(i); stamped != 0 {
				at = stamped
			}
		}
		g.take(s, c, g.in.message(i), at)
	}
	return true
}

// take notes an answer.
func (g *generator) take(s *stream, c *sock, m []byte, at int64) {
	if len(m) < minQuestion || m[2]&0x80 == 0 {
		s.counts.Strange++
		return
	}
	id := binary.BigEndian.Uint16(m)
	w := &c.slots[int(id)&(len(c.slots)-1)]
	if w.sent == 0 || w.id != id || at-w.sent >= int64(g.Timeout) {
		s.counts.Strange++ // late ones are counted by expire
		return
	}
	q := g.questions[w.question]
	if !s.echoes(m, q, w.fresh) {
		s.counts.Wrong++
	}
	s.latencies.add(at - w.sent)
	i := w.question
	w.sent = 0
	c.waiting--
	s.counts.Answered++
	if at <= g.end {
		s.inTime++
	}
	s.counts.Octets += len(m)
	rcode := m[3] & 15
	s.counts.RCodes[rcode]++
	if s.Once {
		if rcode == 2 || rcode == 5 {
			s.again = append(s.again, i)
			return
		}
		s.until = at
		s.done++
	}
	if s.Sample > 0 && s.counts.Answered%s.Sample == 0 && len(g.kept)+keptHead+len(m) <= cap(g.kept) {
		g.kept = appendKept(g.kept, s.index, int(i), m)
		s.counts.Kept++
	}
}

// echoes tells whether an answer has the question that was asked, octet for octet.
func (s *stream) echoes(m, q []byte, fresh uint64) bool {
	end := questionEnd(q)
	if len(m) < end || m[4] != 0 || m[5] != 1 {
		return false
	}
	if fresh == 0 {
		return string(m[12:end]) == string(q[12:end])
	}
	var label [FreshLabel]byte
	freshen(label[:], s.Fresh, fresh)
	return m[12] == q[12] && string(m[13:13+FreshLabel]) == string(label[:]) && string(m[13+FreshLabel:end]) == string(q[13+FreshLabel:end])
}

// questionEnd is where the question of a message of ours ends: all of it, but for an OPT record of 11 octets.
func questionEnd(q []byte) int {
	if q[11] == 1 {
		return len(q) - 11
	}
	return len(q)
}

// expire gives up the questions that waited too long.
func (g *generator) expire(t int64) {
	for _, s := range g.streams {
		for _, c := range s.socks {
			for i := range c.slots {
				w := &c.slots[i]
				if w.sent == 0 || t-w.sent < int64(g.Timeout) {
					continue
				}
				if s.Once {
					s.again = append(s.again, w.question)
				}
				w.sent = 0
				c.waiting--
				s.counts.Lost++
			}
		}
	}
}

// sleep waits for an answer, or for the time of the next question.
func (g *generator) sleep(t int64, sending bool) {
	long := int64(10e6) // so that time-outs are seen
	for _, s := range g.streams {
		if sending && s.Rate > 0 {
			long = min(long, s.begun+int64(s.due)-t)
		}
	}
	if long <= 0 {
		return
	}
	wait := unix.NsecToTimespec(long)
	// Interrupted or failed: the loop looks again.
	_, _, _ = unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&g.poll[0])), uintptr(len(g.poll)), uintptr(unsafe.Pointer(&wait)), 0, 0, 0)
}

// settle turns what was gathered into counts.
func (s *stream) settle(end int64) {
	until := end
	if s.Once {
		until = s.until
	}
	s.counts.Elapsed = time.Duration(until - s.begun)
	if s.counts.Elapsed > 0 {
		s.counts.Rate = float64(s.inTime) / s.counts.Elapsed.Seconds()
	}
	h := &s.latencies
	s.counts.Mean, s.counts.P50, s.counts.P90, s.counts.P99, s.counts.P999 = h.mean(), h.quantile(0.5), h.quantile(0.9), h.quantile(0.99), h.quantile(0.999)
	s.counts.LateP50, s.counts.LateP99 = s.late.quantile(0.5), s.late.quantile(0.99)
}
