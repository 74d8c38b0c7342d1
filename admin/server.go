package admin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ananas-edge/ananas/telemetry"
)

// DefaultAddress is where the admin API listens if nothing else is set.
const DefaultAddress = "127.0.0.1:8053"

// Config is what a Server is made of. Only Data is required; what is nil is answered with a problem that says so.
type Config struct {
	Address string // host:port to listen on; "": DefaultAddress. A host that is a name is resolved by the system
	Data    string // the data folder, where the token lies or is made
	Pprof   bool   // serve /debug/pprof/; its profiles cost processor time while they run

	Reloader Reloader
	Cache    CacheControl
	Explain  Explainer
	Samples  SampleSource
	Status   StatusSource
	Settings SettingsStore
	Modules  ModuleSource

	Health  *telemetry.Health
	Crashes *telemetry.Crashes
	Metrics *telemetry.Metrics
	Log     *slog.Logger     // nil: none
	Now     func() time.Time // the node's wall clock, for what is shown; nil: time.Now
}

// Server is the admin API. Listen, then Serve, then Shutdown.
type Server struct {
	config  Config
	log     *slog.Logger
	now     func() time.Time
	access  access
	routes  map[string]route
	metrics instruments
	http    *http.Server

	requests  chan struct{} // one for each request in work
	explains  chan struct{}
	applies   chan struct{}
	uploads   chan struct{}
	downloads chan struct{}
	watches   chan struct{}
	trials    chan struct{}
	dumps     chan struct{}   // snapshots that are read
	closing   context.Context // done when Shutdown begins: streams end
	close     context.CancelFunc

	mu       sync.Mutex
	listener net.Listener
	conns    atomic.Int64
}

// instruments are the metrics of the admin address.
type instruments struct {
	requests *telemetry.CounterVec // route, status
	refused  *telemetry.CounterVec // reason
	limits   *telemetry.CounterVec // limit
	seconds  *telemetry.Histogram
}

// New makes a server; it reads or makes the token, and listens nowhere yet.
func New(c Config) (*Server, error) {
	c.Address = cmp.Or(c.Address, DefaultAddress)
	host, _, err := net.SplitHostPort(c.Address)
	if err != nil {
		return nil, fmt.Errorf("reading the admin address %q: %w", c.Address, err)
	}
	token, err := LoadToken(c.Data, nil)
	if err != nil {
		return nil, err
	}
	host = canonicalHost(host)
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		host = "" // then the address that a connection came to counts
	}
	m := c.Metrics
	s := &Server{
		config: c,
		log:    c.Log,
		now:    c.Now,
		access: access{token: sha256.Sum256([]byte(token)), host: host},
		metrics: instruments{
			requests: m.CounterVec("ananas_admin_requests_total", "Requests to the admin address that were let in, by route and HTTP status.", "route", "status"),
			refused:  m.CounterVec("ananas_admin_refused_total", "Requests to the admin address that were refused, by the rule: host, origin or token.", "rule"),
			limits:   m.CounterVec("ananas_admin_limit_reached_total", "Times that a limit of the admin address was reached, by limit.", "limit"),
			seconds:  m.Histogram("ananas_admin_request_seconds", "Time to answer a request to the admin address, streams included."),
		},
		requests:  make(chan struct{}, MaxRequests),
		explains:  make(chan struct{}, MaxExplains),
		applies:   make(chan struct{}, MaxApplies),
		uploads:   make(chan struct{}, MaxUploads),
		downloads: make(chan struct{}, MaxDownloads),
		watches:   make(chan struct{}, MaxWatches),
		trials:    make(chan struct{}, MaxTrials),
		dumps:     make(chan struct{}, MaxSnapshots),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.closing, s.close = context.WithCancel(context.Background())
	s.routes = s.routing()
	s.http = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    MaxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // broken connections of clients
		ConnState:         s.countConn,
	}
	return s, nil
}

// ListenError is an admin address that cannot be listened on.
type ListenError struct {
	Address string
	Err     error
}

func (e *ListenError) Error() string {
	return fmt.Sprintf("listening on the admin address %q: %v", e.Address, e.Err)
}
func (e *ListenError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *ListenError) Hint() string {
	switch {
	case errors.Is(e.Err, syscall.EADDRINUSE):
		return "is another node running? stop it, or give this one another address in node.listen.admin"
	case errors.Is(e.Err, syscall.EADDRNOTAVAIL):
		return "this machine has no such address; 127.0.0.1:8053 always works"
	case errors.Is(e.Err, syscall.EACCES):
		return "ports below 1024 need a privilege; take a higher one in node.listen.admin"
	}
	return ""
}

// Listen opens the socket and returns the address, with the port that the system chose if it was 0.
func (s *Server) Listen() (netip.AddrPort, error) {
	l, err := net.Listen("tcp", s.config.Address)
	if err != nil {
		return netip.AddrPort{}, &ListenError{s.config.Address, errors.Unwrap(err)}
	}
	address, err := netip.ParseAddrPort(l.Addr().String())
	if err != nil {
		l.Close()
		return netip.AddrPort{}, &ListenError{s.config.Address, err}
	}
	s.mu.Lock()
	s.listener = l
	s.mu.Unlock()
	if !address.Addr().IsLoopback() {
		s.log.Warn("the admin address can be reached from other machines: they need the token, and nothing on the way is encrypted", "address", address)
	}
	return address, nil
}

// Serve answers until Shutdown and then returns nil. Listen comes first.
func (s *Server) Serve() error {
	s.mu.Lock()
	l := s.listener
	s.mu.Unlock()
	if l == nil {
		return errors.New("serving the admin address: it is not listened on")
	}
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the admin address %q: %w", s.config.Address, err)
	}
	return nil
}

// Shutdown stops listening, ends the streams, and waits for the other requests until ctx is done; then it cuts them off.
func (s *Server) Shutdown(ctx context.Context) error {
	s.close()
	s.mu.Lock()
	l := s.listener
	s.mu.Unlock()
	if l != nil {
		defer l.Close() // which Serve owns, if it ran
	}
	if err := s.http.Shutdown(ctx); err != nil {
		s.http.Close()
		return fmt.Errorf("waiting for requests on the admin address: %w", err)
	}
	return nil
}

// countConn closes a connection that is one too many before anything is read from it.
func (s *Server) countConn(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if s.conns.Add(1) > MaxConnections {
			s.metrics.limits.With("connections").Inc()
			c.Close()
		}
	case http.StateClosed, http.StateHijacked:
		s.conns.Add(-1)
	}
}
