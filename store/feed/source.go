package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/telemetry"
)

// Limits of a source.
const (
	// MaxFollowers is how many follow one source. Each takes two goroutines, their buffers and those of TLS, some 100 KiB: 400 MiB. Who has more puts relays between.
	MaxFollowers = 4096

	// maxHandshakes is how many connections may be on their way to become followers: a handshake is two signatures, some 200 us; at 256 nobody waits for a tenth of a second. Of more, the one that came first is closed, once it has been there for handshakeRoom.
	maxHandshakes = 256

	// maxSnapshots is how many snapshots are sent at one time. Each is as fast as the line or the follower's disk; others wait, and get beats meanwhile.
	maxSnapshots = 8

	// maxExchanges is how many connections may be there for blobs alone: those of four other members of a root, some for each, and of followers whose blobs were lost.
	maxExchanges = 64

	// handshakeTime is for TLS and the hello.
	handshakeTime = 10 * time.Second

	// writeTime is how long a follower may take nothing.
	writeTime = 30 * time.Second

	// readTime is how long a follower may say nothing: it reports each second.
	readTime = 30 * time.Second

	// goodbyeTime is how long a follower may take to hear why its connection ends.
	goodbyeTime = 2 * time.Second

	// freshBeat is how old the last beat may be that a new follower gets at once: with a beat each second an older one is no sign that the root lives.
	freshBeat = 2 * time.Second

	// maxLook is how many commits are looked through for one that touches a peer: at more of them all peers are looked at.
	maxLook = 1000

	// recheckEvery is how often peers are looked at though nothing was committed: certificates expire.
	recheckEvery = time.Minute
)

// SourceConfig is what a source is made of.
type SourceConfig struct {
	Name      string // of this node
	Copy      Copy
	Gate      Gate
	Reports   Reports         // nil: reports are dropped
	Blobs     Blobs           // nil: there are none
	MayPut    func(Peer) bool // tells who may put blobs here; nil: nobody
	Statement func() []byte   // that the lineage has begun, signed
	Path      func() []string // names from the root to this node, without it; nil: it is a root
	Log       *slog.Logger
	Metrics   *telemetry.Metrics
}

// Source sends a copy to those who follow. Its methods may be called from any goroutine.
type Source struct {
	c      SourceConfig
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
	m      sourceMetrics

	doorway   *doorway
	snapshots chan struct{}
	exchanges chan struct{}
	frames    frames

	mu        sync.Mutex
	followers map[string]*session // by name
	beat      *Beat               // the last one
	beaten    time.Time           // when it came
	listeners []net.Listener
	closed    bool
}

type sourceMetrics struct {
	records, octets, snapshots, blobs, encodings *telemetry.Counter
	limits, goodbyes                             *telemetry.CounterVec
}

// NewSource makes a source; Serve takes connections.
func NewSource(c SourceConfig) *Source {
	s := &Source{c: c, doorway: newDoorway(maxHandshakes), snapshots: make(chan struct{}, maxSnapshots), exchanges: make(chan struct{}, maxExchanges), followers: make(map[string]*session)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if s.c.Log == nil {
		s.c.Log = slog.New(slog.DiscardHandler)
	}
	m := c.Metrics
	s.m = sourceMetrics{
		records:   m.Counter("ananas_feed_sent_records_total", "Records of the store that were sent to followers."),
		octets:    m.Counter("ananas_feed_sent_bytes_total", "Octets of records and snapshots that were sent to followers."),
		snapshots: m.Counter("ananas_feed_sent_snapshots_total", "Snapshots that were sent to followers."),
		blobs:     m.Counter("ananas_feed_sent_blob_bytes_total", "Octets of blobs that were sent to other nodes."),
		encodings: m.Counter("ananas_feed_encodings_total", "Times that records were put into the form that they are sent in; followers that read the same share it."),
		limits:    m.CounterVec("ananas_feed_limit_reached_total", "Times that a limit of the feed was reached, by limit.", "limit"),
		goodbyes:  m.CounterVec("ananas_feed_goodbyes_total", "Connections of followers that this node ended, by reason.", "code"),
	}
	m.GaugeFunc("ananas_feed_followers", "Nodes that follow this one.", func() float64 {
		s.mu.Lock()
		defer s.mu.Unlock()
		return float64(len(s.followers))
	})
	s.frames.m = &s.m
	s.work.Add(1)
	go s.recheck()
	return s
}

// Serve takes connections until the source is closed.
func (s *Source) Serve(l net.Listener) error {
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.listeners = append(s.listeners, l)
	}
	s.mu.Unlock()
	if closed {
		return l.Close()
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			if s.isClosed() {
				return nil
			}
			var t interface{ Temporary() bool }
			if errors.As(err, &t) && t.Temporary() { // out of descriptors
				if !pause(s.ctx, 100*time.Millisecond) {
					return nil
				}
				continue
			}
			return fmt.Errorf("accepting followers: %w", err)
		}
		s.Take(conn)
	}
}

// Take serves one connection, in goroutines of its own.
func (s *Source) Take(conn net.Conn) {
	in, made := s.doorway.enter(conn, time.Now())
	if in == nil || made {
		s.m.limits.With("handshakes").Inc()
	}
	if in == nil {
		conn.Close()
		return
	}
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.work.Add(1) // not while Close waits
	}
	s.mu.Unlock()
	if closed {
		s.doorway.leave(in)
		conn.Close()
		return
	}
	go func() {
		defer s.work.Done()
		defer conn.Close()
		ses := s.greet(conn)
		s.doorway.leave(in)
		switch {
		case ses == nil:
		case ses.blobs:
			ses.exchange()
		default:
			ses.serve()
		}
	}()
}

// greet lets a connection in, or says why not: then it returns nil.
func (s *Source) greet(conn net.Conn) *session {
	conn.SetDeadline(time.Now().Add(handshakeTime))
	ctx, cancel := context.WithTimeout(s.ctx, handshakeTime)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	peer, err := s.c.Gate.Admit(ctx, conn)
	if errors.Is(err, ErrTaken) {
		return nil
	}
	ses := newSession(s, conn, peer)
	if err != nil {
		return ses.refuse(goodbyeOf(err, CodeRefused))
	}
	h, err := ses.hello()
	if !stop() || err != nil {
		return ses.refuse(err)
	}
	conn.SetDeadline(time.Time{})
	enter := s.enter
	if ses.blobs = h.wants == wantsBlobs; ses.blobs {
		enter = s.enterExchange
	}
	if g := enter(ses); g != nil {
		return ses.refuse(g)
	}
	ses.recheck() // what the store has of the peer may have changed since Admit looked, before there was a session to look at
	if err := ses.welcome(h); err != nil {
		s.leave(ses)
		return ses.refuse(err)
	}
	return ses
}

// ErrTaken is what a gate returns for a connection that it has dealt with itself.
var ErrTaken = errors.New("the connection was dealt with")

// enter makes a session one of the followers. One of the same name that is there is told to go: its node has begun anew.
func (s *Source) enter(ses *session) *Goodbye {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return stopping()
	}
	if old := s.followers[ses.name]; old != nil {
		old.end(&Goodbye{Code: CodeReplaced, Text: "another connection was made with the name of this node", Mend: "give each node a name of its own"})
	} else if len(s.followers) >= MaxFollowers {
		s.m.limits.With("followers").Inc()
		return &Goodbye{Code: CodeBusy, Text: fmt.Sprintf("%d nodes follow this one, which is the most", MaxFollowers), Mend: "name a relay in node.store.join"}
	}
	s.followers[ses.name] = ses
	if s.beat != nil && time.Since(s.beaten) < freshBeat {
		ses.setBeat(s.beat)
	}
	return nil
}

func (s *Source) leave(ses *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.followers[ses.name] == ses {
		delete(s.followers, ses.name)
	}
}

// Beat passes a beat on: one that this node has made, as the root, or one that it got.
func (s *Source) Beat(b Beat) {
	b.Source = s.c.Copy.View().Head().Version
	b.Path = append(slices.Clone(b.Path), s.c.Name)
	if len(b.Path) > MaxPath {
		s.m.limits.With("path").Inc()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beat, s.beaten = &b, time.Now()
	for _, ses := range s.followers {
		ses.setBeat(&b)
	}
}

// Followers returns the names of the nodes that follow this one, in order.
func (s *Source) Followers() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make([]string, 0, len(s.followers))
	for name := range s.followers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// recheck looks at the peers whenever what the store has of them was changed.
func (s *Source) recheck() {
	defer s.work.Done()
	at := s.c.Copy.View().Head()
	timer := time.NewTicker(recheckEvery)
	defer timer.Stop()
	for {
		changed := s.c.Copy.Changed(at.Version)
		if now := s.c.Copy.View().Head(); now.Lineage == at.Lineage && now.Version <= at.Version {
			select {
			case <-s.ctx.Done():
				return
			case <-timer.C:
			case <-changed:
				if s.c.Copy.View().Head() != at {
					continue
				}
				if !pause(s.ctx, idle) { // the copy was closed, or a snapshot mended it
					return
				}
				continue
			}
		} else {
			touched := s.touched(at, now)
			if at = now; !touched {
				continue
			}
		}
		s.mu.Lock()
		all := make([]*session, 0, len(s.followers))
		for _, ses := range s.followers {
			all = append(all, ses)
		}
		s.mu.Unlock()
		for _, ses := range all {
			ses.recheck()
		}
	}
}

// touched tells whether something between two heads may change who is let in, or what he reads.
func (s *Source) touched(from, to store.Head) bool {
	if from.Lineage != to.Lineage {
		return true
	}
	if to.Version-from.Version > maxLook {
		return true
	}
	for from.Version < to.Version {
		records, err := s.c.Copy.Records(from.Version, 1<<20)
		if err != nil || len(records) == 0 {
			return true
		}
		for _, r := range records {
			if touches(r) {
				return true
			}
			from.Version = r.Version
		}
	}
	return false
}

// touches tells whether a record may change who is let in, or what he reads.
func touches(r *store.Record) bool {
	return slices.ContainsFunc(r.Changes, func(c store.Change) bool {
		return c.Key == store.AccessKey || strings.HasPrefix(c.Key, store.NodePrefix)
	})
}

func (s *Source) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func stopping() *Goodbye {
	return &Goodbye{Code: CodeStopping, Text: "the source is being shut down"}
}

// Close ends all connections, and waits for them.
func (s *Source) Close() {
	s.mu.Lock()
	s.closed = true
	for _, l := range s.listeners {
		l.Close()
	}
	all := make([]*session, 0, len(s.followers))
	for _, ses := range s.followers {
		all = append(all, ses)
	}
	s.mu.Unlock()
	for _, ses := range all {
		ses.end(stopping())
	}
	s.cancel()
	s.work.Wait()
}

// idle is how long a copy is left alone that says it has changed and has not.
const idle = 100 * time.Millisecond

// pause waits, and tells whether ctx was not done before.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
