package listen

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ananas-edge/ananas/telemetry"
)

// Server holds the sockets of one node. Its life is Open, Serve once, Shutdown.
type Server struct {
	handler Handler
	crashes *telemetry.Crashes
	limits  Limits
	log     *slog.Logger
	metrics *metrics

	addrs []netip.AddrPort
	udp   []*udpSocket
	tcp   []net.Listener

	smallBuffer bool // a receive buffer is smaller than asked for, and that was said

	tickets tickets
	conns   conns
	queued  atomic.Int64 // octets of answers that wait for TCP clients
	buffers sync.Pool    // of *[outBuffer]byte

	singly   bool          // read UDP packet by packet, as systems without recvmmsg do; set by tests
	plainly  bool          // neither receive nor send several packets as one message, as old kernels do; set by tests
	spin     time.Duration // [Config.Spin]
	spinners spinners
	stopped  atomic.Bool
	stop     chan struct{}  // closed when stopped is set
	loops    sync.WaitGroup // readers, acceptors, connections and their writers
}

func newServer(cfg Config) (*Server, error) {
	limits, err := cfg.Limits.filled()
	if err != nil {
		return nil, err
	}
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	m := newMetrics(cfg.Metrics)
	s := &Server{
		crashes: cfg.Crashes,
		limits:  limits,
		log:     log,
		metrics: m,
		tickets: tickets{metrics: m, limit: limits.InFlight},
		conns:   conns{limits: limits, metrics: m, all: map[*conn]struct{}{}, byClient: map[netip.Prefix]map[*conn]struct{}{}},
		buffers: sync.Pool{New: func() any { return new([outBuffer]byte) }},
		spin:    cfg.Spin,
		stop:    make(chan struct{}),
	}
	if s.spinners.most = int32(runtime.GOMAXPROCS(0) - 1); s.spinners.most == 0 && cfg.Spin > 0 {
		log.Warn("node.listen.spin has no effect: with one processor no loop spins", "hint", "give the node more processors, or leave the setting out")
	}
	cfg.Metrics.GaugeFunc("ananas_listen_tcp_connections", "TCP connections that are open.",
		func() float64 { return float64(s.conns.open.Load()) })
	cfg.Metrics.GaugeFunc("ananas_listen_in_flight_queries", "Queries that wait for a late answer, and one for each reader.",
		func() float64 { return float64(s.tickets.inFlight()) })
	cfg.Metrics.GaugeFunc("ananas_listen_tcp_queue_bytes", "Octets of answers that wait for TCP clients to take them.",
		func() float64 { return float64(s.queued.Load()) })
	cfg.Metrics.GaugeFunc("ananas_listen_udp_overflow_packets",
		"Packets that the kernel has dropped since the start because a UDP receive buffer was full (Linux).",
		func() float64 {
			n := 0.0
			for _, u := range s.udp {
				n += float64(u.overflowed())
			}
			return n
		})
	return s, nil
}

// Addrs returns the addresses that are served, in the order of [Config.DNS], with the ports that were taken for 0.
func (s *Server) Addrs() []netip.AddrPort { return append([]netip.AddrPort(nil), s.addrs...) }

// Serve starts to answer with h and returns. What has arrived since Open is answered too. It must be called at most once.
func (s *Server) Serve(h Handler) {
	s.handler = h
	batches, _ := h.(BatchHandler)
	for _, u := range s.udp {
		if batches != nil {
			u.loop = batches.Loop()
		}
		// Before the first packet is read: the kernel does it for those that come from now on.
		u.rows = !s.singly && !s.plainly && u.coalesce(true)
		s.loops.Add(1)
		go u.read()
	}
	for _, l := range s.tcp {
		s.loops.Add(1)
		go s.accept(l)
	}
}

// Shutdown stops reading, lets what is in flight be answered until ctx ends, and closes everything. The error tells how many
// queries and connections were left without an answer. After the first call it does nothing.
func (s *Server) Shutdown(ctx context.Context) error {
	if s.stopped.Swap(true) {
		return nil
	}
	close(s.stop)
	for _, u := range s.udp {
		u.pc.SetReadDeadline(longAgo) // wakes the reader; answers still go out
	}
	for _, l := range s.tcp {
		l.Close()
	}
	for _, c := range s.conns.end() {
		c.drain()
	}

	quiet := make(chan struct{})
	go func() {
		s.loops.Wait()
		close(quiet)
	}()
	select {
	case <-quiet:
		select { // only now: as long as there are readers, tickets are taken
		case <-s.tickets.drained():
		case <-ctx.Done():
		}
	case <-ctx.Done():
	}
	var err error
	if queries, open := s.tickets.inFlight(), s.conns.open.Load(); queries > 0 || open > 0 {
		err = fmt.Errorf("shutting down with %d queries and %d connections left: %w", queries, open, context.Cause(ctx))
	}
	for _, c := range s.conns.end() {
		c.close(byShutdown)
	}
	s.closeSockets()
	return err
}

func (s *Server) closeSockets() {
	for _, u := range s.udp {
		u.pc.Close()
	}
	for _, l := range s.tcp {
		l.Close()
	}
}

func (s *Server) stopping() bool { return s.stopped.Load() }

// call hands a query to the handler. ok is false if that panicked, which costs this query and nothing else.
func (s *Server) call(p Packet, out []byte, reply Reply) (answer []byte, ok bool) {
	defer func() {
		if v := recover(); v != nil {
			s.panicked(fmt.Sprintf("serving a query of %v over %v", p.Client, p.Transport), v, debug.Stack())
			answer, ok = nil, false
		}
	}()
	return s.handler.Serve(p, out, reply), true
}

// callBatch lets the handler's loop answer what it can of a batch. A panic costs no query: all go the other way, one by one, since what was answered last may be
// half done.
func (s *Server) callBatch(l Loop, queries []Query) {
	defer func() {
		if v := recover(); v != nil {
			s.panicked(fmt.Sprintf("serving a batch of %d queries over udp", len(queries)), v, debug.Stack())
			for i := range queries {
				queries[i].Answer, queries[i].Note = nil, nil
			}
		}
	}()
	l.ServeBatch(queries)
}

// panicked counts and reports what recover returned.
func (s *Server) panicked(what string, v any, stack []byte) {
	s.metrics.panics.Inc()
	s.log.Error(what, "panic", v, "report", s.crashes.Report(what, v, stack))
}
