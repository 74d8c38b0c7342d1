//go:build linux

// Package flood asks a DNS server more than it can answer, from one processor, so cheaply that the server is the limit: many questions
// leave in one system call (as one UDP_SEGMENT message where they have one size), many answers are taken in one, and nothing is allocated
// on the way. Package load beside it asks at times fixed beforehand and keeps each answer; this one counts.
//
// A [Plan] has streams of questions. A stream either keeps a window of questions in flight (closed loop: as fast as they are answered),
// or has a rate (open loop: whatever the server does, at exponential gaps), or asks each question until it is answered (to warm a cache).
// All run in one thread. [Run] returns counts and a histogram of latencies for each.
//
// Each answer must come from the server to the socket that asked, with the id and the question of one that waits; some are kept
// in a file for closer inspection, which is not done under way.
package flood

import (
	"fmt"
	"net/netip"
	"time"
)

// Plan is what to ask, whom, and for how long. It is JSON so that the generator can be a process of its own.
type Plan struct {
	Server    netip.AddrPort
	Questions string // file of questions (see [WriteQuestions])
	Streams   []Stream
	For       time.Duration // questions leave for so long; a stream with Once ends earlier, when all is answered
	Timeout   time.Duration // of one question; after For, answers are waited for so long
	Spin      bool          // look for answers all the time instead of sleeping until one comes
	Keep      string        // file for answers that are kept (see [ReadKept]); "": none are
}

// Stream is one kind of client.
type Stream struct {
	Name   string
	First  int // the questions First to First+Count-1, in this order, again and again
	Count  int
	Fresh  uint64 // not 0: the first label of each question, of FreshLabel octets or more, begins with other letters each time, drawn from this
	Once   bool   // each question until an answer other than SERVFAIL and REFUSED comes, then no more
	Socks  int    // client sockets
	Window int    // questions in flight, all sockets together
	Rate   float64
	Stale  time.Duration // not 0: with a rate, a question that could not leave for so long, because the generator was held up, never does
	Batch  int           // questions in one system call at most
	Joined bool          // send a batch as one UDP_SEGMENT message; all questions must have one size
	Sample int           // of so many answers one is kept; 0: none
}

// Limits of a plan.
const (
	maxStreams   = 8
	maxSockets   = 1024             // of a stream: a slot table of 4 KiB or more each
	maxWindow    = 1 << 15          // of one socket: ids are 16 bits, and half of them may wait
	maxBatch     = 64               // UDP_MAX_SEGMENTS of older kernels; more saves nothing
	maxQuestion  = 512              // octets
	maxReply     = 2048             // octets; larger ones are cut
	maxFor       = 10 * time.Minute //
	maxTimeout   = 10 * time.Second //
	maxQuestions = 1 << 22          //
	maxRate      = 10e6             // questions a second
	maxKept      = 64 << 20         // octets of answers kept: 100,000 of 600
)

// FreshLabel is how many octets of the first label change in a stream with Fresh: 26^12 names.
const FreshLabel = 12

func (p *Plan) check() error {
	switch {
	case len(p.Streams) == 0 || len(p.Streams) > maxStreams:
		return fmt.Errorf("planning %d streams: must be 1 to %d", len(p.Streams), maxStreams)
	case p.For <= 0 || p.For > maxFor:
		return fmt.Errorf("planning for %v: must be at most %v", p.For, maxFor)
	case p.Timeout <= 0 || p.Timeout > maxTimeout:
		return fmt.Errorf("planning a time-out of %v: must be at most %v", p.Timeout, maxTimeout)
	}
	for i := range p.Streams {
		if err := p.Streams[i].check(); err != nil {
			return fmt.Errorf("planning stream %q: %w", p.Streams[i].Name, err)
		}
	}
	return nil
}

func (s *Stream) check() error {
	switch {
	case s.First < 0 || s.Count <= 0 || s.First+s.Count > maxQuestions:
		return fmt.Errorf("questions %d to %d: must be 0 to %d", s.First, s.First+s.Count-1, maxQuestions)
	case s.Socks <= 0 || s.Socks > maxSockets:
		return fmt.Errorf("%d sockets: must be 1 to %d", s.Socks, maxSockets)
	case s.Window < s.Socks || s.Window/s.Socks > maxWindow:
		return fmt.Errorf("a window of %d from %d sockets: must be 1 to %d each", s.Window, s.Socks, maxWindow)
	case s.Batch <= 0 || s.Batch > maxBatch:
		return fmt.Errorf("a batch of %d: must be 1 to %d", s.Batch, maxBatch)
	case s.Rate < 0 || s.Rate > maxRate:
		return fmt.Errorf("a rate of %v: must be at most %v", s.Rate, maxRate)
	case s.Sample < 0:
		return fmt.Errorf("one of %d answers kept", s.Sample)
	case s.Once && (s.Rate > 0 || s.Fresh != 0):
		return fmt.Errorf("each question once, with a rate or with fresh names")
	}
	return nil
}

// Report is what a run found, stream by stream.
type Report struct {
	Streams []Counts
	Wall    time.Duration // from the first question until the last left
	CPU     time.Duration // of the generator, from the first question until the last answer
}

// Counts is what became of the questions of one stream.
type Counts struct {
	Sent     int
	Answered int // within the time-out
	Lost     int // not answered within it
	Strange  int // packets that answer no question that waits
	Wrong    int // answers with another question than was asked
	Refused  int // questions that the kernel did not take, or for which the window had no room
	Skipped  int // questions that could not leave in time (Stale)
	RCodes   [16]int
	Octets   int // of all answers
	Kept     int
	Elapsed  time.Duration // until the last question left; with Once, until the last answer came
	// Rate is answers a second until the last question left.
	Rate float64
	// Latencies in nanoseconds: to the kernel's time stamp of the answer's arrival in open loops, else to when it was read.
	Mean, P50, P90, P99, P999 float64
	LateP50, LateP99          float64 // how long after their time questions left in open loops, nanoseconds
}
