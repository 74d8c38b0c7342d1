package plugin

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/wasm"
)

// The functions that a module has for its host, by their place in [wasm.Spec].Exports.
const (
	exportBuffer = iota
	exportStart
	exportQuery
	exportAnswer
	exportLog
)

var exports = []wasm.Export{
	exportBuffer: {Name: "ananas_buffer", Params: types(wasm.I32), Results: types(wasm.I32)},
	exportStart:  {Name: "ananas_start", Results: types(wasm.I32), Optional: true},
	exportQuery:  {Name: "ananas_query", Params: types(wasm.I32), Results: types(wasm.I32), Optional: true},
	exportAnswer: {Name: "ananas_answer", Params: types(wasm.I32), Results: types(wasm.I32), Optional: true},
	exportLog:    {Name: "ananas_log", Params: types(wasm.I32), Results: types(wasm.I32), Optional: true},
}

// exportOf returns the function of a phase.
func exportOf(p Phase) int {
	switch p {
	case PhaseAnswer:
		return exportAnswer
	case PhaseLog:
		return exportLog
	}
	return exportQuery
}

// loaded is a module with its settings and grants, ready to be called. Tables in which it is the same share it.
type loaded struct {
	use    Use // phase and mode are of the table that had it first, and not looked at
	key    identity
	module *wasm.Module
	pool   *wasm.Pool
	sees   sees
	asks   bool // questions of its own, for which it waits: it never runs in a loop that others wait for
	data   []opened
	buffer uint32 // octets of the buffer of each instance
	pure   bool
	refs   int // chains that have it; of the loader

	waits  waits
	window faultWindow
	out    atomic.Bool            // it was taken out
	outAs  atomic.Uint64          // which of all that were taken out it is; 0: it was not
	alarm  atomic.Pointer[string] // why it failed the last time before it was taken out
	serial uint64                 // which of all that were loaded it is
	ran    atomic.Bool            // it has answered at least once
	drawn  atomic.Uint32

	started atomic.Int64 // fuel of the start of its last instance

	metrics moduleMetrics
	fuel    [exportLog - exportQuery + 1]fuelUse // of its calls, by what was called
}

// guest is what is known of one instance: the state of its calls.
type guest struct {
	l        *loaded
	at, size uint32 // of its buffer
	stack    [1]uint64
	line     []byte // on its standard output, and not ended yet
	q        *Query // that it is called for; nil between calls
	calls    uint64

	starting bool     // its first functions run, and what it says is kept
	said     []string // by then: the last lines, at most mostSaid
}

// What is kept of what a module says at its start, to be told with the error if it fails: the last five lines, of 200 octets each. Who has a list with a word in it that is none needs one.
const (
	mostSaid = 5
	maxSaid  = 200
)

// say keeps a line of a start.
func (g *guest) say(text []byte) {
	if len(g.said) == mostSaid {
		g.said = append(g.said[:0], g.said[1:]...)
	}
	g.said = append(g.said, printable(text[:min(len(text), maxSaid)]))
}

// failed is an error of the start, with what the module said.
func (g *guest) failed(err error) error {
	if len(g.said) == 0 {
		return err
	}
	return &startFault{err, g.said}
}

// runner is a module at a place of a chain.
type runner struct {
	*loaded
	use    *Use
	place  uint8   // among all plugins of the settings, from 1
	before *loaded // the version before it, for Stale; nil: there is none
}

// errReturned is what becomes of a module that says itself that it failed, or returns what can't be.
var errReturned = errors.New("it returned an error")

// prepare asks a new instance for its buffer, and has it start: before anybody waits for it, and with the fuel of a start.
func (l *loaded) prepare(i *wasm.Instance) error {
	if err := l.checkPhases(i); err != nil {
		return err
	}
	g := &guest{l: l, size: l.buffer, starting: true}
	defer func() { g.starting, g.said = false, nil }()
	i.Host().State = g
	g.stack[0] = uint64(g.size)
	if err := i.Prepare(exportBuffer, g.stack[:]); err != nil {
		return g.failed(err)
	}
	g.at = uint32(g.stack[0])
	if _, ok := i.Memory().Read(g.at, g.size); !ok || g.at == 0 {
		return fmt.Errorf("it has no buffer of %d octets: %w", g.size, errReturned)
	}
	if !i.Has(exportStart) {
		return nil
	}
	if err := i.Prepare(exportStart, g.stack[:]); err != nil {
		return g.failed(err)
	}
	l.started.Store(i.Spent())
	if n := int32(g.stack[0]); n != 0 {
		return &StartError{n, g.said}
	}
	return nil
}

// guestOf returns what is known of an instance: prepare has put it there.
func guestOf(i *wasm.Instance) *guest { return i.Host().State.(*guest) }

// call has the guest look at what write puts into its buffer, and returns what it returned: valid until the instance is called again, or put back.
func (g *guest) call(ctx context.Context, i *wasm.Instance, export int, in []byte, q *Query) ([]byte, error) {
	c := i.Host()
	c.Now, c.Seed = q.Now, q.Seed
	g.q = q
	g.stack[0] = uint64(len(in))
	err := i.Call(ctx, export, g.stack[:])
	g.q = nil
	g.observeFuel(export, i)
	if err != nil {
		return nil, err
	}
	n := int32(g.stack[0])
	if n < 0 || uint32(n) > g.size {
		return nil, fmt.Errorf("%w: %d", errReturned, n)
	}
	out, ok := i.Memory().Read(g.at, uint32(n))
	if !ok {
		return nil, fmt.Errorf("%w: its buffer has gone", errReturned)
	}
	return out, nil
}

// room returns the guest's buffer, to be appended to; nil if it has gone.
func (g *guest) room(i *wasm.Instance) []byte {
	b, _ := i.Memory().Read(g.at, g.size)
	return b[:0:len(b)]
}

// query asks about a query. It does not allocate where the verdict is to go on.
func (l *loaded) query(ctx context.Context, i *wasm.Instance, q *Query) ([]byte, error) {
	g := guestOf(i)
	b := g.room(i)
	if cap(b) < queryHead+len(q.Name) {
		return nil, errReturned
	}
	return g.call(ctx, i, exportQuery, q.appendQuery(b, l.sees), q)
}

// answer asks about an answer, as appendReply has written it.
func (l *loaded) answer(ctx context.Context, i *wasm.Instance, in []byte, q *Query) ([]byte, error) {
	g := guestOf(i)
	room := g.room(i)
	if len(in) > cap(room) {
		return nil, fmt.Errorf("%w: it has %d octets, and the buffer %d", errLarge, len(in), cap(room))
	}
	return g.call(ctx, i, exportAnswer, append(room, in...), q)
}

// fault notes that a call has failed, and takes the module out at too many.
func (l *loaded) fault(now time.Duration, outs *atomic.Uint64) (takenOut bool) {
	if !l.window.add(now) || l.out.Load() {
		return false
	}
	l.outAs.Store(outs.Add(1)) // before anybody sees that it is out
	return !l.out.Swap(true)
}

// maxFaults in faultTime take a module out: ten in a minute are no bad luck. What it was to do is not done then, by its mode, and a person is told.
const (
	maxFaults = 10
	faultTime = time.Minute
)

// faultWindow remembers when the last faults were.
type faultWindow struct {
	mu   sync.Mutex
	at   [maxFaults]time.Duration
	next int
	n    int
}

// add tells whether this is one too many.
func (w *faultWindow) add(now time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at[w.next] = now
	w.next = (w.next + 1) % maxFaults
	w.n = min(w.n+1, maxFaults)
	return w.n == maxFaults && now-w.at[w.next] < faultTime // the next to be overwritten is the oldest
}

// edeText says what happened to who asks.
func edeText(module string) *dns.EDE {
	return &dns.EDE{Code: dns.EDEOther, Text: "the module " + module + " failed, and this node does not answer without it"}
}
