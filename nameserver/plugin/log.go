package plugin

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/telemetry"
	"github.com/ananas-edge/ananas/wasm"
)

// Phase log: what was answered is written down by those who answer, on pages, and shown to modules by a goroutine of its own. Nobody who answers waits for a module: where it does not keep up, pages are lost, and counted.

// Limits of what is written down.
const (
	// pageLines is how many lines a page has; with some 420 octets each 105 KiB.
	pageLines = 256

	// maxPages is how many pages wait to be shown: at 100,000 answers a second 0.16 s of them, 7 MiB.
	maxPages = 64

	// pageTime is how long a line waits on a page that does not fill.
	pageTime = 100 * time.Millisecond

	// callLines is how many lines a module is shown in a call: with the 50,000 units of fuel that a call has by default 1,500 for each.
	callLines = 32

	// logTime is how long a module may have for a page, in slices.
	logTime = time.Second
)

// Line is one answered query. It is written in place, so that it takes no memory.
type Line struct {
	Time      int64 // of the answer, wall time in nanoseconds since 1970
	Took      time.Duration
	Client    netip.Addr
	Tenant    string
	Tag       string
	RCode     dns.RCode
	Type      dns.Type
	Flags     dns.Flags // of the query
	DO        bool
	Transport uint8
	Cached    bool // nobody was asked for it
	Stale     bool
	Blocked   bool // a module has ended it
	Path      Path // for who looks on, and not for modules
	NameLen   uint8
	Name      [dns.MaxNameLen]byte // in small letters
}

type page struct {
	chain *Chain
	n     int
	lines [pageLines]Line
}

// Logbook shows what was answered to modules of phase log. Its methods may be called from any goroutine.
type Logbook struct {
	lost  func(lines int)
	read  func(*page) // called by one goroutine
	full  chan *page
	empty chan *page
	once  sync.Once
	end   sync.Once
	quit  chan struct{}
	done  sync.WaitGroup

	mu   sync.Mutex
	pens []*Pen
}

// NewLogbook makes one. Nothing runs until something is written down.
func NewLogbook(m *telemetry.Metrics) *Logbook {
	lost := m.Counter("ananas_plugin_log_lost_total", "Answers that modules of phase log were not shown, since they did not keep up, or failed.")
	return newLogbook(func(lines int) { lost.Add(uint64(lines)) }, func(p *page) {
		for k := range p.chain.log {
			lost.Add(uint64(p.chain.show(&p.chain.log[k], p.lines[:p.n])))
		}
	})
}

func newLogbook(lost func(int), read func(*page)) *Logbook {
	return &Logbook{lost: lost, read: read, full: make(chan *page, maxPages), empty: make(chan *page, maxPages), quit: make(chan struct{})}
}

// Pen is what one loop writes with, so that loops do not wait for each other.
type Pen struct {
	book *Logbook
	mu   sync.Mutex // the loop's, but for the moment in which a page is taken away
	page *page
	seen uint64 // lines that were to be written with it, of a [Tap]
}

// Pen makes one.
func (b *Logbook) Pen() *Pen {
	p := &Pen{book: b}
	b.mu.Lock()
	b.pens = append(b.pens, p)
	b.mu.Unlock()
	return p
}

// Logs tells whether modules run at phase log.
func (c *Chain) Logs() bool { return c != nil && len(c.log) > 0 }

// Begin returns a line to be filled for the modules of a chain; End has to follow. nil: there is no page, and the line is lost.
func (p *Pen) Begin(c *Chain) *Line {
	p.mu.Lock()
	if p.page != nil && (p.page.chain != c || p.page.n == pageLines) {
		p.book.hand(p.page)
		p.page = nil
	}
	if p.page == nil {
		if p.page = p.book.fresh(); p.page == nil {
			p.mu.Unlock()
			p.book.lost(1)
			return nil
		}
		p.page.chain, p.page.n = c, 0
	}
	return &p.page.lines[p.page.n]
}

// End keeps the line that Begin returned.
func (p *Pen) End() {
	p.page.n++
	p.mu.Unlock()
}

// fresh returns an empty page: one that was used before, or a new one if there are not too many.
func (b *Logbook) fresh() *page {
	b.once.Do(func() {
		b.done.Add(2)
		go b.show()
		go b.turn()
	})
	select {
	case p := <-b.empty:
		return p
	default:
	}
	if len(b.full) == maxPages {
		return nil
	}
	return new(page)
}

// hand gives a page to be shown, or loses it.
func (b *Logbook) hand(p *page) {
	select {
	case b.full <- p:
	default:
		b.lost(p.n)
	}
}

// turn takes pages that do not fill away from their pens.
func (b *Logbook) turn() {
	defer b.done.Done()
	tick := time.NewTicker(pageTime)
	defer tick.Stop()
	for {
		select {
		case <-b.quit:
			return
		case <-tick.C:
		}
		b.mu.Lock()
		pens := b.pens
		b.mu.Unlock()
		for _, p := range pens {
			p.mu.Lock()
			if p.page != nil && p.page.n > 0 {
				b.hand(p.page)
				p.page = nil
			}
			p.mu.Unlock()
		}
	}
}

// show has pages looked at.
func (b *Logbook) show() {
	defer b.done.Done()
	for {
		select {
		case <-b.quit:
			return
		case p := <-b.full:
			b.read(p)
			p.chain = nil
			select {
			case b.empty <- p:
			default:
			}
		}
	}
}

// Close ends it. What was not shown yet is lost. Nobody may write any more. It may be called again.
func (b *Logbook) Close() {
	b.once.Do(func() {}) // nothing is started any more
	b.end.Do(func() { close(b.quit) })
	b.done.Wait()
}

// show shows lines to one module, as many at a time as its buffer has room for, and returns how many it was not shown.
func (c *Chain) show(r *runner, lines []Line) (lost int) {
	for len(lines) > 0 && !r.out.Load() {
		ctx, cancel := context.WithTimeout(context.Background(), logTime)
		n, err := c.showSome(ctx, r, lines)
		cancel()
		if err != nil {
			c.loader.faulted(r, err)
			break
		}
		lines = lines[n:]
	}
	return len(lines)
}

func (c *Chain) showSome(ctx context.Context, r *runner, lines []Line) (n int, err error) {
	i, err := r.pool.TakeOrMake(ctx, 0)
	if err != nil {
		return 0, err
	}
	defer r.pool.Put(0, i)
	return r.loaded.show(ctx, i, lines)
}

// show shows as many lines to an instance as its buffer has room for.
func (l *loaded) show(ctx context.Context, i *wasm.Instance, lines []Line) (n int, err error) {
	g := guestOf(i)
	b := g.room(i)
	if cap(b) < 4 {
		return 0, errReturned
	}
	b = append(b, 0, 0, 0, 0)
	for n < min(len(lines), callLines) {
		next := lines[n].appendLine(b, l.sees)
		if len(next) > cap(b) {
			break // it has grown out of the buffer
		}
		b, n = next, n+1
	}
	if n == 0 {
		return 0, fmt.Errorf("%w: its buffer has no room for a line", errReturned)
	}
	binary.LittleEndian.PutUint32(b, uint32(n))
	last := &lines[n-1]
	if _, err := g.call(ctx, i, exportLog, b, &Query{Now: last.Time}); err != nil {
		return 0, err
	}
	return n, nil
}

// Log shows lines to the modules of phase log, here and at once, as many in a call as a node would, and tells see what came of each call. A module that fails is not shown the rest. Who answers a client writes them down for it
// instead: see [Logbook].
func (c *Chain) Log(ctx context.Context, core int, lines []Line, see func(Step)) {
	if c == nil {
		return
	}
	for k := range c.log {
		r := &c.log[k]
		for rest := lines; len(rest) > 0; {
			shown := 0
			_, err := c.once(ctx, core, r.loaded, r, see, true, func(ctx context.Context, l *loaded, i *wasm.Instance) (_ Verdict, err error) {
				shown, err = l.show(ctx, i, rest)
				return Verdict{}, err
			})
			if err != nil {
				break
			}
			rest = rest[shown:]
		}
	}
}

// Query returns the query that a line is of. It aliases the line.
func (l *Line) Query() Query {
	return Query{Name: l.Name[:l.NameLen], Type: l.Type, Flags: l.Flags, DO: l.DO, Transport: l.Transport, Client: l.Client, Tenant: l.Tenant, Now: l.Time}
}

// logHead is the length of the fixed part of a line.
const logHead = 32

// Bits of a line's flags.
const logBlocked = 4

// appendLine writes a line, its length before it.
func (l *Line) appendLine(b []byte, to sees) []byte {
	at := len(b)
	b = append(b, make([]byte, 4+logHead)...)
	q := l.Query()
	from := len(b)
	b = q.appendQuery(b, to)
	size := len(b) - from
	b = append(b, l.Tag...)
	le, h := binary.LittleEndian, b[at+4:]
	le.PutUint32(b[at:], uint32(len(b)-at-4))
	le.PutUint16(h[0:], logHead)
	le.PutUint16(h[2:], uint16(l.RCode))
	h[4] = bit(l.Cached, fromCache) | bit(l.Stale, fromStale) | bit(l.Blocked, logBlocked)
	le.PutUint64(h[8:], uint64(l.Time))
	le.PutUint32(h[16:], uint32(min(l.Took.Microseconds(), 1<<32-1)))
	le.PutUint16(h[20:], uint16(size))
	le.PutUint16(h[22:], uint16(len(l.Tag)))
	return b
}
