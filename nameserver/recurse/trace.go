package recurse

import (
	"sync"
	"time"
)

// Kind names what an event of a trace tells.
type Kind string

// Kinds of events, in the order in which a resolution meets them.
const (
	KindClient     Kind = "client"     // as whom a question is asked
	KindResolve    Kind = "resolve"    // a question enters; its children tell how it was answered
	KindLocal      Kind = "local"      // answered here, by a rule of RFC 6303 or 6761
	KindCache      Kind = "cache"      // found, or not, in the cache
	KindJoin       Kind = "join"       // waits for a job that runs already
	KindJob        Kind = "job"        // a job starts
	KindDelegation Kind = "delegation" // whose servers are asked, and how they are known
	KindChoose     Kind = "choose"     // which server, and why that one
	KindAsk        Kind = "ask"        // a question goes out
	KindReply      Kind = "reply"      // a reply came, and what it is
	KindTimeout    Kind = "timeout"    // no reply in time
	KindRefused    Kind = "refused"    // a record that is not kept, and why
	KindKept       Kind = "kept"       // a record that is kept, and at which rank
	KindValidate   Kind = "validate"   // what validation asked for, or found
	KindReport     Kind = "report"     // a failure is reported to the zone's agent
	KindLimit      Kind = "limit"      // a limit was hit
	KindAnswer     Kind = "answer"     // the end
	KindModule     Kind = "module"     // what a module said, before the resolution or after it
)

// Event is one line of the story of a resolution. Parent is the Seq of the event that it belongs under, 0 for the first.
type Event struct {
	Seq    int               `json:"seq"`
	Parent int               `json:"parent"`
	At     time.Duration     `json:"-"` // since the trace began
	AtUS   int64             `json:"at_us"`
	Kind   Kind              `json:"kind"`
	Text   string            `json:"text"`
	Fields map[string]string `json:"fields,omitempty"`
}

// Trace records the events of one resolution, at most maxEvents; a nil Trace records nothing and costs a comparison.
type Trace struct {
	mu      sync.Mutex
	now     func() time.Duration
	start   time.Duration
	next    int
	dropped int
	emit    func(Event)
}

// maxEvents bounds a trace: 100 upstream questions at some ten events each, twice over.
const maxEvents = 2000

// NewTrace returns a trace that gives each event to emit, one at a time.
func NewTrace(now func() time.Duration, emit func(Event)) *Trace {
	return &Trace{now: now, start: now(), emit: emit}
}

// span is a place in a trace under which events are recorded.
type span struct {
	t      *Trace
	parent int
}

func (s span) on() bool { return s.t != nil }

// event records an event and returns the span below it. Fields are pairs of key and value.
func (s span) event(k Kind, text string, fields ...string) span {
	if s.t == nil {
		return s
	}
	t := s.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.next >= maxEvents {
		t.dropped++
		return s
	}
	t.next++
	at := t.now() - t.start
	e := Event{Seq: t.next, Parent: s.parent, At: at, AtUS: at.Microseconds(), Kind: k, Text: text}
	if len(fields) > 0 {
		e.Fields = make(map[string]string, len(fields)/2)
		for i := 0; i+1 < len(fields); i += 2 {
			e.Fields[fields[i]] = fields[i+1]
		}
	}
	t.emit(e)
	return span{t, e.Seq}
}

// Event records an event that is of no resolution, and beside those that are. Fields are pairs of key and value.
func (t *Trace) Event(k Kind, text string, fields ...string) { span{t: t}.event(k, text, fields...) }

// Dropped counts the events that did not fit any more.
func (t *Trace) Dropped() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.dropped
}

// Close ends the recording: jobs that go on after their query has its answer add no more events.
func (t *Trace) Close() {
	t.mu.Lock()
	t.next = maxEvents
	t.mu.Unlock()
}
