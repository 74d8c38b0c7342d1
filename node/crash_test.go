package node

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	miekg "github.com/miekg/dns"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/recurse"
)

// mine is a network in which some calls panic: the parts of a node that stand behind an interface are the clean place to be at
// fault, and the panic unwinds through all of the query's own code.
type mine struct {
	recurse.Network
	listen, write, read, dial, receive atomic.Bool
	panics                             atomic.Int64
}

func (m *mine) step(armed *atomic.Bool, what string) {
	if armed.Load() {
		m.panics.Add(1)
		panic(what + " went wrong")
	}
}

func (m *mine) ListenUDP(v6 bool, port uint16) (recurse.PacketConn, error) {
	m.step(&m.listen, "opening a socket")
	c, err := m.Network.ListenUDP(v6, port)
	if err != nil {
		return nil, err
	}
	return mined{c, m}, nil
}

type mined struct {
	recurse.PacketConn
	mine *mine
}

func (c mined) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	c.mine.step(&c.mine.write, "sending")
	return c.PacketConn.WriteToUDPAddrPort(b, to)
}

func (c mined) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	n, from, err := c.PacketConn.ReadFromUDPAddrPort(b)
	if err == nil {
		c.mine.step(&c.mine.read, "reading")
	}
	return n, from, err
}

func (m *mine) DialTCP(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	m.step(&m.dial, "connecting")
	c, err := m.Network.DialTCP(ctx, to)
	if err != nil {
		return nil, err
	}
	return minedConn{c, m}, nil
}

type minedConn struct {
	net.Conn
	mine *mine
}

func (c minedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == nil {
		c.mine.step(&c.mine.receive, "receiving")
	}
	return n, err
}

// A panic in a query costs that query: it is answered SERVFAIL with an extended error that names the report, which lies in the data
// folder, grouped by the place in the program; it is counted; and everything else goes on, on the same sockets and locks.
func TestCrash(t *testing.T) {
	for _, c := range []struct {
		name string
		arm  func(*mine, bool)
	}{
		{"opening a socket", func(m *mine, on bool) { m.listen.Store(on) }},
		{"sending", func(m *mine, on bool) { m.write.Store(on) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, strings.Replace(plain, "trust_anchors: none", "trust_anchors: none, limits: { server_fetches: 2, zone_fetches: 2 }", 1))
			m := &mine{Network: b.network}
			b.network = m
			n := b.start()
			at := n.Addrs()[0]
			askA(t, n, "www.example.com", "192.0.2.80")

			c.arm(m, true)
			var signature string
			for i := range 3 {
				r := ask(t, "udp", at, query(fmt.Sprintf("host-%d.example.com", i), miekg.TypeA))
				e := extended(r)
				if r.Rcode != miekg.RcodeServerFailure || len(e) == 0 || !strings.Contains(e[0].ExtraText, "crash report ") {
					t.Fatalf("a query that meets a fault of the program:\n%v", r)
				}
				_, signature, _ = strings.Cut(e[0].ExtraText, "crash report ")
			}
			askA(t, n, "www.example.com", "192.0.2.80") // from the cache, as ever

			// One report for all three: they came from one place.
			n.crashes.Flush()
			reports, err := filepath.Glob(b.path("data/crashes/*"))
			if err != nil {
				t.Fatal(err)
			}
			report := b.path("data/crashes/" + signature + ".txt")
			if len(reports) == 0 || len(reports) > 2 { // priming has a way of its own to the same place
				t.Fatalf("reports: %q", reports)
			}
			text, err := os.ReadFile(report)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{c.name + " went wrong", "the resolution of host-", "recurse.(*job).ask", "ananas/node"} {
				if !strings.Contains(string(text), want) {
					t.Errorf("the report lacks %q:\n%s", want, text)
				}
			}
			var s admin.Status
			if _, body := get(t, n, "/api/v1/status"); json.Unmarshal([]byte(body), &s) != nil {
				t.Fatal(body)
			}
			found := false
			for _, crash := range s.Crashes {
				found = found || crash.Signature == signature && crash.Count == 3
			}
			if !found {
				t.Errorf("the status does not show %s three times: %+v", signature, s.Crashes)
			}
			if got := metric(t, n, "ananas_telemetry_crashes_total"); got != fmt.Sprint(m.panics.Load()) {
				t.Errorf("%s crashes are counted, not %d", got, m.panics.Load())
			}

			// Once the fault is gone, nothing is left of it: no lock that is held, no limit that is used up.
			c.arm(m, false)
			for i := range 5 {
				askA(t, n, fmt.Sprintf("other-%d.example.com", i), "")
			}
		})
	}
}

// A panic in what serves many questions costs those that wait on it: they are asked again, or answered SERVFAIL, and the next ones
// are answered as if nothing had been.
func TestCrashBesideQueries(t *testing.T) {
	for _, c := range []struct {
		name, qname string // of the fault, and of a question that meets it
		arm         func(*mine, bool)
	}{
		{"reading", "www.example.com", func(m *mine, on bool) { m.read.Store(on) }},
		{"connecting", "www.truncated.example", func(m *mine, on bool) { m.dial.Store(on) }},
		{"receiving", "www.truncated.example", func(m *mine, on bool) { m.receive.Store(on) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, strings.Replace(plain, "trust_anchors: none", "trust_anchors: none, limits: { tcp_connections: 1 }", 1))
			m := &mine{Network: b.network}
			b.network = m
			n := b.start()
			c.arm(m, true)
			if r := ask(t, "udp", n.Addrs()[0], query(c.qname, miekg.TypeA)); r.Rcode != miekg.RcodeServerFailure || len(extended(r)) == 0 {
				t.Errorf("while it goes wrong:\n%v", r)
			}
			if m.panics.Load() == 0 {
				t.Fatal("nothing went wrong")
			}
			if got := metric(t, n, "ananas_telemetry_crashes_total"); got == "0" {
				t.Error("no crash is counted")
			}
			c.arm(m, false)
			if _, err := n.PurgeCache(t.Context(), admin.Purge{Name: dns.Root, Subtree: true}); err != nil {
				t.Fatal(err)
			}
			askA(t, n, c.qname, "192.0.2.80")
		})
	}
}

// A panic where the API asks ends in a problem with the report's name, and in no other harm.
func TestCrashInExplain(t *testing.T) {
	b := newBench(t, plain)
	m := &mine{Network: b.network}
	m.write.Store(true)
	b.network = m
	n := b.start()
	status, body := get(t, n, "/api/v1/explain?name=www.example.com&type=A")
	if status != 200 || !strings.Contains(body, "crash report ") {
		t.Errorf("%d %s", status, body)
	}
	m.write.Store(false)
	if status, body = get(t, n, "/api/v1/explain?name=www.example.com&type=A&fresh=true"); status != 200 || !strings.Contains(body, "192.0.2.80") {
		t.Errorf("%d %s", status, body)
	}
}
