package feed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/replica"
)

// connection is one source, as its follower sees it. One goroutine reads and does what comes, another sends reports; a timer ends both where no beat comes.
type connection struct {
	f       *Follower
	conn    net.Conn
	address string
	r       reader
	end     context.CancelCauseFunc
	silence *time.Timer

	mu sync.Mutex // over a write

	in      *replica.Incoming // a snapshot that is coming
	begun   begin
	entries uint64
	named   map[[32]byte]bool // blobs that its entries name and that are not here yet
	asked   bool              // a snapshot was asked for, and has not come
	mended  bool              // it was asked for before: once is all that a connection is worth

	busy  atomic.Bool   // something is being put on the copy
	taken atomic.Uint64 // octets of records and entries that were dealt with
	came  atomic.Uint64 // octets of parts of records that have come

	waits waits // of the goroutine that reads
	parts chan blobPart
}

func newConnection(f *Follower, conn net.Conn, address string, end context.CancelCauseFunc) *connection {
	return &connection{f: f, conn: conn, address: address, end: end, r: reader{r: bufio.NewReaderSize(conn, 64<<10), from: down}, parts: make(chan blobPart, maxAsks)}
}

func (c *connection) write(b []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn.SetWriteDeadline(time.Now().Add(writeTime))
	_, err := c.conn.Write(b)
	return err
}

// run follows until something fails.
func (c *connection) run(ctx context.Context) error {
	f := c.f
	if err := c.write(f.hello(f.c.Copy.Head(), wantsRecords)); err != nil {
		return err
	}
	c.conn.SetReadDeadline(time.Now().Add(handshakeTime))
	if err := c.welcomed(); err != nil {
		return err
	}
	c.conn.SetReadDeadline(time.Time{})
	c.silence = time.AfterFunc(Silence, func() {
		f.m.silent.Inc()
		c.end(&SilentError{Silence})
	})
	defer c.silence.Stop()
	var reports sync.WaitGroup
	frames := make(chan received, 4)
	reports.Go(func() { c.report(ctx) })
	reports.Go(func() { c.read(ctx, frames) })
	defer reports.Wait() // a beat of this source must not come behind one of the next
	defer c.end(nil)     // closes the connection
	defer c.abort()
	for {
		select {
		case r := <-frames:
			if r.err != nil {
				return r.err
			}
			c.busy.Store(true)
			err := c.do(ctx, r.t, r.body)
			c.busy.Store(false)
			if err != nil {
				return err
			}
			if r.t == typeRecords || r.t == typeEntries {
				c.taken.Add(uint64(len(r.body)))
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// received is a frame that was read.
type received struct {
	t    frameType
	body []byte
	err  error
}

// read reads frames ahead of what is done with them. Beats and parts of blobs are taken at once: the disk may keep the rest waiting for longer than the root may be silent.
func (c *connection) read(ctx context.Context, frames chan<- received) {
	var begun parts
	for {
		t, body, err := c.r.next()
		if err == nil && t == typeBeat {
			err = c.beat(body)
			if err == nil {
				continue
			}
		}
		if err == nil && t == typeBlobPart {
			var p blobPart
			if p, err = parseBlobPart(append([]byte(nil), body...)); err == nil {
				select {
				case c.parts <- p:
				case <-ctx.Done():
				}
				continue
			}
		}
		if err == nil {
			if t == typePart {
				c.came.Add(uint64(len(body)))
			}
			var whole bool
			if body, whole, err = begun.take(t, body); err == nil && !whole {
				continue
			}
		}
		if err == nil && t != typeRecords && t != typeEntries {
			body = append([]byte(nil), body...)
		}
		select {
		case frames <- received{t, body, err}:
		default:
			// It is this node that keeps the source waiting, and with it the beats behind this frame: that is no silence of the source.
			c.silence.Stop()
			select {
			case frames <- received{t, body, err}:
				c.silence.Reset(Silence)
			case <-ctx.Done():
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// waits is how long a follower has waited for what the root has and its source does not send.
type waits struct {
	began time.Duration // boot time
	taken uint64
	at    store.Version // of the source
}

// stalled tells whether a source that passes on beats passes on nothing else, though there is something.
func (c *connection) stalled(b Beat) error {
	now, own := c.f.c.Boot(), c.f.c.Copy.Head()
	w := waits{now, c.taken.Load() + c.came.Load(), b.Source}
	same := c.waits.taken == w.taken && c.waits.at == w.at
	if c.busy.Load() || own.Lineage == b.Lineage && own.Version >= b.Version || c.waits.began == 0 || !same {
		c.waits = w
		return nil
	}
	if now-c.waits.began < Stall {
		return nil
	}
	c.f.m.stalled.Inc()
	return &StalledError{b.Source, b.Version}
}

// hello returns the frame that begins a connection to a source.
func (f *Follower) hello(own store.Head, wants byte) []byte {
	h := hello{low: protocolLow, high: protocolHigh, wants: wants, lineage: own.Lineage, version: own.Version, hash: own.Hash, access: f.c.Access()}
	return frame(typeHello, func(b []byte) []byte { return appendHello(b, h) })
}

// readWelcome reads the first frame of a source.
func (f *Follower) readWelcome(r *reader) (welcome, error) {
	t, body, err := r.next()
	if err != nil {
		return welcome{}, err
	}
	if t == typeGoodbye {
		return welcome{}, goodbyeIn(body)
	}
	if t != typeWelcome {
		return welcome{}, &protocolError{"it does not begin with a welcome"}
	}
	w, err := parseWelcome(body)
	if err != nil {
		return welcome{}, &protocolError{err.Error()}
	}
	if w.protocol < protocolLow || w.protocol > protocolHigh {
		return welcome{}, &protocolError{fmt.Sprintf("it speaks protocol %d", w.protocol)}
	}
	return w, f.loop(w.path)
}

// welcomed takes the first frame of the source.
func (c *connection) welcomed() error {
	w, err := c.f.readWelcome(&c.r)
	if err != nil {
		return err
	}
	if own := c.f.c.Copy.Head(); own.Lineage != w.head.Lineage {
		if err := c.f.c.Lineage(w.head.Lineage, w.statement); err != nil {
			return &LineageError{w.head.Lineage, err}
		}
	}
	c.f.set(func(s *State) { s.Source, s.Path, s.Since, s.Err = c.address, w.path, c.f.c.Boot(), nil })
	c.f.c.Log.Info("following the store", "source", c.address, "path", w.path, "version", uint64(w.head.Version))
	return nil
}

// goodbyeIn returns the last word of a source.
func goodbyeIn(body []byte) error {
	g, err := parseGoodbye(body)
	if err != nil {
		return &protocolError{err.Error()}
	}
	return g
}

func (c *connection) beat(body []byte) error {
	b, err := parseBeat(body)
	if err != nil {
		return &protocolError{err.Error()}
	}
	if err := c.f.loop(b.Path); err != nil {
		return err
	}
	if err := c.stalled(b); err != nil {
		return err
	}
	c.silence.Reset(Silence)
	c.f.taken(b)
	return nil
}

// do does what a frame says.
func (c *connection) do(ctx context.Context, t frameType, body []byte) error {
	switch t {
	case typeRecords:
		return c.records(ctx, body)
	case typeBegin:
		return c.begin(body)
	case typeEntries:
		return c.add(body)
	case typeEnd:
		return c.commit(ctx, body)
	case typeGoodbye:
		return goodbyeIn(body)
	}
	return &protocolError{fmt.Sprintf("a frame of type %d has no business here", t)}
}

// records puts records on the copy. What the disk refuses is tried again, for the same records; what does not follow is mended by a snapshot, once.
func (c *connection) records(ctx context.Context, body []byte) error {
	if c.asked || c.in != nil {
		return nil // sent before the snapshot that was asked for
	}
	records, err := parseRecords(body)
	if err != nil {
		return &protocolError{err.Error()}
	}
	at := c.f.c.Copy.Head()
	for len(records) > 0 && records[0].Version <= at.Version {
		records = records[1:]
	}
	if len(records) == 0 {
		return nil
	}
	if err := c.fetch(ctx, records); err != nil {
		return err
	}
	if err := c.persist(ctx, func() error { return c.f.c.Copy.Apply(ctx, records) }); err != nil {
		if !strayed(err) {
			return err
		}
		if c.mended {
			return fmt.Errorf("what the source sends does not fit its own snapshot: %w", err)
		}
		return c.resync(err)
	}
	c.f.m.records.Add(uint64(len(records)))
	return nil
}

// persist does something with the disk, and again where that has no room or fails, until ctx is done.
func (c *connection) persist(ctx context.Context, do func() error) error {
	return c.again(ctx, do, func(err error) bool {
		var disk *replica.DiskError
		return errors.As(err, &disk)
	})
}

// again does something, and once more as long as it has an error for which that may help.
func (c *connection) again(ctx context.Context, do func() error, helps func(error) bool) error {
	told := false
	for {
		err := do()
		if err == nil || !helps(err) {
			if told {
				c.f.set(func(s *State) { s.Err = nil })
			}
			return err
		}
		if !told {
			args := []any{"error", err}
			var h interface{ Hint() string }
			if errors.As(err, &h) {
				args = append(args, "hint", h.Hint())
			}
			c.f.c.Log.Error("the copy of the store can't be written; it is tried again", args...)
			told = true
		}
		c.f.set(func(s *State) { s.Err = err })
		if !pause(ctx, diskRetry) {
			return context.Cause(ctx)
		}
	}
}

// resync asks for a snapshot.
func (c *connection) resync(why error) error {
	c.f.c.Log.Warn("the copy of the store can't go on from where it is; a snapshot is asked for", "why", why)
	c.asked, c.mended = true, true
	return c.write(frame(typeResync, func(b []byte) []byte { return appendText(b, why.Error(), maxText) }))
}

func (c *connection) begin(body []byte) error {
	v, err := parseBegin(body)
	if err != nil {
		return &protocolError{err.Error()}
	}
	c.abort()
	if own := c.f.c.Copy.Head(); own.Lineage != v.head.Lineage {
		if err := c.f.c.Lineage(v.head.Lineage, v.statement); err != nil {
			return &LineageError{v.head.Lineage, err}
		}
	}
	if c.in, err = c.f.c.Copy.BeginSnapshot(v.head); err != nil {
		return err
	}
	c.begun, c.entries, c.named, c.asked = v, 0, nil, false
	return nil
}

func (c *connection) abort() {
	if c.in != nil {
		c.in.Abort()
		c.in = nil
	}
}

func (c *connection) add(body []byte) error {
	if c.in == nil {
		return &protocolError{"entries come without the beginning of a snapshot"}
	}
	return parseEntries(body, func(key string, e store.Entry) error {
		c.entries++
		c.name(key, e.Value)
		return c.in.Add(key, e)
	})
}

// commit takes a snapshot over, whole.
func (c *connection) commit(ctx context.Context, body []byte) error {
	v, err := parseEnd(body)
	if err != nil {
		return &protocolError{err.Error()}
	}
	if c.in == nil || v.entries != c.entries {
		return &protocolError{fmt.Sprintf("a snapshot ends after %d entries in place of %d", c.entries, v.entries)}
	}
	c.in.Hidden(v.hidden, v.hiddenSum)
	if err := c.fetchAll(ctx); err != nil {
		return err
	}
	in := c.in
	c.in = nil
	defer in.Abort()
	always := func(error) bool { return true }
	if c.f.c.Access() != c.begun.access {
		// Should this node be killed between the two, its copy shows something else than it says, and takes another snapshot.
		if err := c.again(ctx, func() error { return c.f.c.Accessed([32]byte{}) }, always); err != nil {
			return err
		}
	}
	if err := c.persist(ctx, in.Commit); err != nil {
		return err
	}
	c.f.m.snapshots.Inc()
	c.f.set(func(s *State) { s.Snapshots++ })
	c.f.c.Log.Info("a snapshot of the store was taken", "version", uint64(c.begun.head.Version), "entries", c.entries)
	return c.again(ctx, func() error { return c.f.c.Accessed(c.begun.access) }, always)
}

// report sends reports up.
func (c *connection) report(ctx context.Context) {
	for {
		var body []byte
		if c.f.c.Reports != nil {
			body = c.f.c.Reports.Own()
		}
		if err := c.write(reportFrame(body, ack{c.f.c.Copy.Head().Version, c.taken.Load()})); err != nil {
			c.end(err)
			return
		}
		if !pause(ctx, ReportEvery) {
			return
		}
	}
}
