package listen

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ananas-edge/ananas/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what a test on real sockets waits for; it is reached only if something is broken.
const patience = time.Minute

// query returns a message with this id and body, long enough to hold a header.
func query(id uint16, body string) []byte {
	b := make([]byte, 12, 12+len(body))
	binary.BigEndian.PutUint16(b, id)
	return append(b, body...)
}

// echo answers at once with the query, QR set.
func echo(p Packet, out []byte, _ Reply) []byte {
	out = append(out, p.Data...)
	out[2] |= 0x80
	return out
}

// start opens and serves on addrs, and shuts down after the test.
func start(t testing.TB, h HandlerFunc, cfg Config) *Server {
	t.Helper()
	return startWith(t, h, cfg, func(*Server) {})
}

func startWith(t testing.TB, h HandlerFunc, cfg Config, change func(*Server)) *Server {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	change(s)
	serve(t, s, h)
	return s
}

// serve starts s, and shuts it down after the test.
func serve(t testing.TB, s *Server, h HandlerFunc) {
	s.Serve(h)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
}

func loopback(addrs ...string) Config {
	var cfg Config
	for _, a := range addrs {
		cfg.DNS = append(cfg.DNS, netip.MustParseAddrPort(a))
	}
	return cfg
}

// dial connects to a server's address, UDP or TCP.
func dial(t testing.TB, network string, addr netip.AddrPort) net.Conn {
	t.Helper()
	c, err := net.Dial(network, addr.String())
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return c
}

// readFrame reads one message from a stream.
func readFrame(t testing.TB, r io.Reader) []byte {
	t.Helper()
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		t.Fatalf("reading the length of an answer: %v", err)
	}
	b := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(r, b); err != nil {
		t.Fatalf("reading an answer: %v", err)
	}
	return b
}

// exposition returns the page of metrics.
func exposition(t *testing.T, m *telemetry.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}
