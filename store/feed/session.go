package feed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/store"
)

// session is one follower, as its source sees it: a goroutine that reads, and one that writes.
type session struct {
	s    *Source
	name string // of the peer
	conn net.Conn
	r    reader

	ctx    context.Context
	cancel context.CancelFunc
	wake   chan struct{} // something below is set

	blobs bool // it is an exchange of blobs, and nothing below is of use

	mu      sync.Mutex
	peer    Peer
	goodbye *Goodbye
	beat    *Beat
	renew   bool      // a snapshot is to be sent: the follower asks for one, or may read other things now
	stale   bool      // the one that is being sent is of what he could read before
	asks    []blobAsk // parts of blobs that are to be sent

	at      store.Version // that the follower has been sent; this and all below are of the goroutine that writes
	checked store.Version // of the copy when the gate was last asked before something was sent
	lineage store.Lineage
	wants   bool // records; without it the connection is for reports alone
	taken   rate // what the follower says
}

// Limits of what a follower says: a report each second, and as many at once as have waited on a line that was cut for as long as it may be. Parts of blobs are
// bounded by maxAsks instead.
const (
	maxSaid   = 120
	saidEvery = 250 * time.Millisecond
)

// minSnapshotRate is how fast a follower has to take a snapshot, in octets a second, since few are sent at one time: a line of 256 kbit/s.
const minSnapshotRate = 32 << 10

// maxAsks is how many parts of blobs a follower may wait for: it asks for one at a time.
const maxAsks = 4

func newSession(s *Source, conn net.Conn, peer Peer) *session {
	ses := &session{s: s, name: peer.Name, conn: conn, peer: peer, wake: make(chan struct{}, 1), r: reader{r: bufio.NewReaderSize(conn, 4<<10), from: up}}
	ses.ctx, ses.cancel = context.WithCancel(s.ctx)
	return ses
}

// part says why a connection ends, and ends it.
func (ses *session) part(g *Goodbye) {
	ses.s.m.goodbyes.With(g.Code).Inc()
	ses.conn.SetWriteDeadline(time.Now().Add(goodbyeTime))
	ses.conn.Write(frame(typeGoodbye, func(b []byte) []byte { return appendGoodbye(b, g) }))
	ses.conn.Close()
}

// refuse ends a session that was not begun, with a word if there is one.
func (ses *session) refuse(err error) *session {
	ses.cancel()
	if g := new(Goodbye); errors.As(err, &g) {
		ses.part(g)
	}
	return nil
}

// hello reads the first frame.
func (ses *session) hello() (hello, error) {
	t, body, err := ses.r.next()
	if err != nil {
		return hello{}, err
	}
	if t != typeHello {
		return hello{}, goodbyeOf(&protocolError{"it does not begin with a hello"}, CodeProtocol)
	}
	h, err := parseHello(body)
	if err != nil {
		return hello{}, goodbyeOf(err, CodeProtocol)
	}
	if h.low > protocolHigh || h.high < protocolLow {
		return hello{}, &Goodbye{Code: CodeUpgrade, Text: fmt.Sprintf("this node speaks the protocols %d to %d, the other %d to %d", protocolLow, protocolHigh, h.low, h.high),
			Mend: "upgrade the older one of the two"}
	}
	return h, nil
}

// welcome answers a hello, and decides how the follower goes on: by records, or by a snapshot.
func (ses *session) welcome(h hello) error {
	view := ses.s.c.Copy.View()
	w := welcome{protocol: min(protocolHigh, h.high), head: view.Head(), floor: view.Floor(), statement: ses.s.c.Statement()}
	if ses.s.c.Path != nil {
		w.path = ses.s.c.Path()
	}
	w.path = append(append([]string(nil), w.path...), ses.s.c.Name)
	if len(w.path) > MaxPath {
		w.path = w.path[len(w.path)-MaxPath:]
	}
	ses.at, ses.lineage, ses.wants = h.version, h.lineage, h.wants&wantsRecords != 0
	if ses.wants && w.head.Lineage == (store.Lineage{}) {
		return &Goodbye{Code: CodeEmpty, Text: "this node has no copy of the store yet", Mend: "it takes followers as soon as it has one; look at it if that does not come"}
	}
	other := ses.otherPast(h)
	ses.mu.Lock()
	ses.renew = ses.renew || h.lineage != w.head.Lineage || h.version > 0 && h.access != ses.peer.Access.Fingerprint() || other
	ses.mu.Unlock()
	return ses.write(frame(typeWelcome, func(b []byte) []byte { return appendWelcome(b, w) }))
}

// otherPast tells whether the follower's version has another hash than the same version here. Where it is ahead nobody knows yet: it waits, and [Head.Next] finds out.
func (ses *session) otherPast(h hello) bool {
	head := ses.s.c.Copy.View().Head()
	switch {
	case h.version > head.Version || h.version == 0:
		return false
	case h.version == head.Version:
		return h.hash != head.Hash
	}
	records, err := ses.s.c.Copy.Records(h.version-1, 1)
	return err == nil && len(records) > 0 && records[0].Hash != h.hash
}

func (ses *session) write(b []byte) error {
	ses.mu.Lock()
	if ses.goodbye == nil {
		ses.conn.SetWriteDeadline(time.Now().Add(writeTime))
	} // else it is short, and stays so
	ses.mu.Unlock()
	_, err := ses.conn.Write(b)
	return err
}

// rate counts what comes against what may.
type rate struct {
	used float64
	at   time.Time
}

func (r *rate) allow(now time.Time) bool {
	r.used = max(0, r.used-float64(now.Sub(r.at))/float64(saidEvery)) + 1
	r.at = now
	return r.used <= maxSaid
}

func (ses *session) nudge() {
	select {
	case ses.wake <- struct{}{}:
	default:
	}
}

// end has the session say goodbye and end. A follower that takes nothing keeps nobody waiting for it.
func (ses *session) end(g *Goodbye) {
	ses.mu.Lock()
	if ses.goodbye == nil {
		ses.goodbye = g
		ses.conn.SetWriteDeadline(time.Now().Add(goodbyeTime))
	}
	ses.mu.Unlock()
	ses.nudge()
}

func (ses *session) setBeat(b *Beat) {
	ses.mu.Lock()
	ses.beat = b
	ses.mu.Unlock()
	ses.nudge()
}

// recheck asks the gate about the peer once more.
func (ses *session) recheck() {
	ses.mu.Lock()
	before := ses.peer
	ses.mu.Unlock()
	now, err := ses.s.c.Gate.Recheck(before)
	if err != nil {
		ses.end(goodbyeOf(err, CodeRefused))
		return
	}
	ses.mu.Lock()
	ses.peer = now
	if now.Access.Fingerprint() != before.Access.Fingerprint() {
		ses.renew, ses.stale = true, true
	}
	ses.mu.Unlock()
	ses.nudge()
}

// serve sends what there is to send until one of both sides ends.
func (ses *session) serve() {
	defer ses.s.leave(ses)
	defer ses.cancel()
	read := make(chan struct{})
	go func() {
		defer close(read)
		err := ses.read()
		var p *protocolError
		switch {
		case errors.As(err, &p):
			ses.end(goodbyeOf(err, CodeProtocol))
		case errors.Is(err, os.ErrDeadlineExceeded):
			ses.s.m.limits.With("read_time").Inc()
			ses.end(&Goodbye{Code: CodeStalled, Text: fmt.Sprintf("this node has said nothing for %v", readTime)})
		default:
			ses.cancel()
		}
	}()
	err := ses.send()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		ses.s.m.limits.With("write_time").Inc()
	}
	var g *Goodbye
	if errors.As(err, &g) {
		ses.part(g)
	}
	ses.conn.Close()
	<-read
}

// read takes what the follower says.
func (ses *session) read() error {
	for {
		ses.conn.SetReadDeadline(time.Now().Add(readTime))
		t, body, err := ses.r.next()
		if err != nil {
			return err
		}
		if t != typeBlobAsk && !ses.taken.allow(time.Now()) {
			ses.s.m.limits.With("said").Inc()
			return &protocolError{"it says too much"}
		}
		switch t {
		case typeReport:
			if ses.s.c.Reports != nil {
				ses.s.c.Reports.Merge(ses.name, body)
			}
		case typeResync:
			why, err := parseResync(body)
			if err != nil {
				return &protocolError{err.Error()}
			}
			ses.s.c.Log.Warn("a follower asks for a snapshot", "name", ses.name, "why", why)
			ses.mu.Lock()
			ses.renew = true
			ses.mu.Unlock()
			ses.nudge()
		case typeBlobAsk:
			a, err := parseBlobAsk(body)
			if err != nil {
				return &protocolError{err.Error()}
			}
			ses.mu.Lock()
			full := len(ses.asks) >= maxAsks
			if !full {
				ses.asks = append(ses.asks, a)
			}
			ses.mu.Unlock()
			if full {
				return &protocolError{"it asks for too much at one time"}
			}
			ses.nudge()
		case typeAck:
			if _, err := parseAck(body); err != nil {
				return &protocolError{err.Error()}
			}
		default:
			return &protocolError{fmt.Sprintf("a frame of type %d has no business here", t)}
		}
	}
}

// due is what is to be sent beside records.
type due struct {
	goodbye *Goodbye
	beat    *Beat
	renew   bool
	asks    []blobAsk
	peer    Peer
}

func (ses *session) take() due {
	ses.mu.Lock()
	defer ses.mu.Unlock()
	d := due{ses.goodbye, ses.beat, ses.renew, ses.asks, ses.peer}
	ses.beat, ses.asks = nil, nil
	return d
}

// send is the goroutine that writes. It buffers nothing for a follower that is slow: that one is behind, and gets what there is when it has taken what it has.
func (ses *session) send() error {
	for {
		changed := ses.s.c.Copy.Changed(ses.at)
		sent, err := ses.sendBeside()
		if err != nil {
			return err
		}
		d := ses.take()
		view := ses.s.c.Copy.View()
		head := view.Head()
		switch {
		case d.goodbye != nil:
			return d.goodbye
		case d.beat != nil || len(d.asks) > 0: // came in between
			ses.put(d)
			continue
		case !ses.wants:
			changed = nil // only beats and a goodbye are for it
		case ses.lineage == head.Lineage && head.Version < ses.at:
			changed = ses.s.c.Copy.Changed(head.Version) // the follower is ahead of this node, which has to catch up first
			if ses.s.c.Copy.View().Head() != head {
				continue
			}
		case d.renew || ses.lineage != head.Lineage:
			if err := ses.snapshot(); err != nil {
				return err
			}
			continue
		case head.Version > ses.at:
			if err := ses.records(d.peer); err != nil {
				return err
			}
			continue
		case sent:
			continue
		}
		select {
		case <-changed:
			if ses.s.c.Copy.View().Head() == head && !pause(ses.ctx, idle) { // the copy was closed, or a snapshot mended it
				continue
			}
		case <-ses.wake:
		case <-ses.ctx.Done():
			if d := ses.take(); d.goodbye != nil {
				return d.goodbye
			}
			return ses.ctx.Err()
		}
	}
}

// put gives back what was taken too early.
func (ses *session) put(d due) {
	ses.mu.Lock()
	defer ses.mu.Unlock()
	if ses.beat == nil {
		ses.beat = d.beat
	}
	ses.asks = append(d.asks, ses.asks...)
}

// sendBeside sends the last beat and the parts of blobs that were asked for.
func (ses *session) sendBeside() (sent bool, err error) {
	ses.mu.Lock()
	beat, asks := ses.beat, ses.asks
	ses.beat, ses.asks = nil, nil
	ses.mu.Unlock()
	if beat != nil {
		sent = true
		if err := ses.write(frame(typeBeat, func(b []byte) []byte { return appendBeat(b, *beat) })); err != nil {
			return sent, err
		}
	}
	for _, a := range asks {
		sent = true
		part := ses.s.blobPart(a)
		if err := ses.write(frame(typeBlobPart, func(b []byte) []byte { return appendBlobPart(b, part) })); err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// records sends what comes after the follower's version.
func (ses *session) records(peer Peer) error {
	f, err := ses.s.frames.after(ses.s.c.Copy, ses.lineage, ses.at, peer.Access)
	var floor *store.FloorError
	switch {
	case errors.As(err, &floor):
		return ses.snapshot()
	case err != nil:
		return &Goodbye{Code: CodeFailed, Text: "reading the log of the source: " + err.Error(), Mend: "look at the disk of the source"}
	case f == nil:
		return nil
	case f.touches && ses.checked < f.last:
		// It may change what the follower reads, of this commit and of those behind it. Whoever looks after all peers may not have come to this one yet.
		ses.check()
		return nil
	}
	if err := ses.writeFrames(f.octets); err != nil {
		return err
	}
	ses.s.m.records.Add(uint64(f.last - ses.at))
	ses.s.m.octets.Add(uint64(len(f.octets)))
	ses.at = f.last
	return nil
}

// writeFrames writes the frames of records, and beats that come meanwhile between them.
func (ses *session) writeFrames(octets []byte) error {
	const most = frameHeader + batchBytes
	for len(octets) > most {
		if err := ses.write(octets[:most]); err != nil {
			return err
		}
		octets = octets[most:]
		if _, err := ses.sendBeside(); err != nil {
			return err
		}
		ses.mu.Lock()
		g := ses.goodbye
		ses.mu.Unlock()
		if g != nil {
			return g
		}
	}
	return ses.write(octets)
}

// check asks the gate about the peer, as the copy is now or later.
func (ses *session) check() {
	ses.checked = ses.s.c.Copy.View().Head().Version
	ses.recheck()
}

// errStale ends a snapshot that shows what the follower may not read any more, or not all that it may.
var errStale = errors.New("the follower may read other things now")

// snapshot sends all that the follower may read of one version. Beats go on meanwhile.
func (ses *session) snapshot() error {
	for {
		select {
		case ses.s.snapshots <- struct{}{}:
			defer func() { <-ses.s.snapshots }()
		case <-ses.wake:
			if _, err := ses.sendBeside(); err != nil {
				return err
			}
			ses.mu.Lock()
			g := ses.goodbye
			ses.mu.Unlock()
			if g != nil {
				return g
			}
			continue
		case <-ses.ctx.Done():
			if d := ses.take(); d.goodbye != nil {
				return d.goodbye
			}
			return ses.ctx.Err()
		}
		break
	}
	view := ses.s.c.Copy.View()
	head := view.Head()
	if ses.lineage == head.Lineage && head.Version < ses.at {
		return nil // send waits until this node has caught up
	}
	ses.check() // after the view was taken: what the gate goes by is not older
	ses.mu.Lock()
	g, access := ses.goodbye, ses.peer.Access
	ses.renew, ses.stale = false, false
	ses.mu.Unlock()
	if g != nil {
		return g
	}
	began, octets := time.Now(), 0
	err := ses.write(frame(typeBegin, func(b []byte) []byte {
		return appendBegin(b, begin{head: head, access: access.Fingerprint(), statement: ses.s.c.Statement()})
	}))
	if err != nil {
		return err
	}
	var last end
	last.hidden, last.hiddenSum = view.Hidden()
	body := make([]byte, frameHeader, frameHeader+batchBytes+store.MaxKey+store.MaxValue+64)
	flush := func() error {
		if len(body) == frameHeader {
			return nil
		}
		h := header(typeEntries, len(body)-frameHeader)
		copy(body, h[:])
		if err := ses.write(body); err != nil {
			return err
		}
		ses.s.m.octets.Add(uint64(len(body)))
		octets += len(body)
		body = body[:frameHeader]
		if _, err := ses.sendBeside(); err != nil {
			return err
		}
		ses.mu.Lock()
		g, stale := ses.goodbye, ses.stale
		ses.mu.Unlock()
		switch d := time.Since(began); {
		case g != nil:
			return g
		case stale:
			return errStale
		case d > writeTime && float64(octets) < d.Seconds()*minSnapshotRate:
			ses.s.m.limits.With("snapshot_rate").Inc()
			return &Goodbye{Code: CodeStalled, Text: fmt.Sprintf("a snapshot of %d octets in %v was taken too slowly", octets, d.Round(time.Second)), Mend: "look at the line and at the disk of the node"}
		}
		return nil
	}
	for key, e := range view.All() {
		if !access.Readable(key) {
			last.hidden++
			last.hiddenSum.Add(store.DigestOf(key, e))
			continue
		}
		last.entries++
		body = appendEntry(body, key, e)
		if len(body) >= batchBytes {
			if err = flush(); err != nil {
				break
			}
		}
	}
	if err == nil {
		err = flush()
	}
	if err == errStale {
		return nil // another begins, which takes the place of this one
	}
	if err != nil {
		return err
	}
	ses.at, ses.lineage = head.Version, head.Lineage
	ses.s.m.snapshots.Inc()
	return ses.write(frame(typeEnd, func(b []byte) []byte { return appendEnd(b, last) }))
}
