package plugin

import (
	"sync/atomic"

	"github.com/ananas-edge/ananas/telemetry"
)

// Tap has somebody beside the path look at what is answered, for a while: on pages, as modules of phase log do, and with the same limits. Nobody who answers waits for it: what it does not keep up with is lost, and counted.
type Tap struct {
	book  *Logbook
	pens  []*Pen
	oneIn uint64
	shown bool
	lost  atomic.Uint64
}

// NewTap makes one, for so many loops that write. Of oneIn lines one is written. shown says that what modules of phase answer are shown is to be noted. all counts what is lost of all taps. read is called by one goroutine, and does not keep the lines.
func NewTap(loops int, oneIn uint64, shown bool, all *telemetry.Counter, read func([]Line)) *Tap {
	t := &Tap{oneIn: max(oneIn, 1), shown: shown}
	t.book = newLogbook(func(lines int) {
		t.lost.Add(uint64(lines))
		all.Add(uint64(lines))
	}, func(p *page) { read(p.lines[:p.n]) })
	for range max(loops, 1) {
		t.pens = append(t.pens, t.book.Pen())
	}
	return t
}

// Begin returns a line to be filled by the loop of that number, and the pen whose End has to follow. nil: this one is not written, or there is no page and it is lost.
func (t *Tap) Begin(loop int) (*Line, *Pen) {
	p := t.pens[loop%len(t.pens)]
	if t.oneIn > 1 {
		p.mu.Lock()
		p.seen++
		skip := p.seen%t.oneIn != 0
		p.mu.Unlock()
		if skip {
			return nil, nil
		}
	}
	return p.Begin(nil), p
}

// Shown tells whether what modules of phase answer are shown is wanted.
func (t *Tap) Shown() bool { return t.shown }

// Lost is how many lines were lost.
func (t *Tap) Lost() uint64 { return t.lost.Load() }

// Close ends it, and returns when read was called for the last time. What it was not shown yet is gone. Who still writes writes for nobody.
func (t *Tap) Close() { t.book.Close() }
