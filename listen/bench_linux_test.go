package listen

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkBatch receives a batch of queries, has them answered in the loop and sends the answers, with sockets on loopback. "server-ns/query" leaves the clients' part out.
func BenchmarkBatch(b *testing.B) {
	for _, c := range []struct {
		clients int
		mixed   bool // sizes
		plainly bool
	}{{1, false, false}, {4, false, false}, {4, true, false}, {4, false, true}, {64, false, false}, {64, false, true}} {
		b.Run(fmt.Sprintf("clients=%d,mixed=%v,plainly=%v", c.clients, c.mixed, c.plainly), func(b *testing.B) {
			s, server := endOf(b, "127.0.0.1:0", c.plainly)
			var clients []end
			for range c.clients {
				clients = append(clients, clientEnd(b, s.Addrs()[0], batchLen/c.clients, c.mixed))
			}
			var took time.Duration
			b.ReportAllocs()
			for b.Loop() {
				took += serveClients(server, clients)
			}
			b.ReportMetric(float64(took.Nanoseconds())/float64(b.N)/batchLen, "server-ns/query")
		})
	}
}

func TestBatchDoesNotAllocate(t *testing.T) {
	for _, bound := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::]:0"} {
		for _, plainly := range []bool{false, true} {
			s, server := endOf(t, bound, plainly)
			var clients []end
			for range 4 {
				clients = append(clients, clientEnd(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), s.Addrs()[0].Port()), 16, true))
			}
			if n := testing.AllocsPerRun(100, func() { serveClients(server, clients) }); n != 0 {
				t.Errorf("listening on %s, plainly %v: %v allocations a batch, want 0", bound, plainly, n)
			}
			if cut := server.m.cut.Value(); (cut == 0) != plainly {
				t.Errorf("listening on %s, plainly %v: %d answers sent together", bound, plainly, cut)
			}
		}
	}
}

// end is a socket with a batch that the test drives itself.
type end struct {
	*batch
	fd uintptr
}

func endOf(t testing.TB, bound string, plainly bool) (*Server, end) {
	t.Helper()
	s, err := Open(oneLoop(bound))
	if err != nil {
		t.Fatal(err)
	}
	s.plainly = plainly
	h := new(batchEcho)
	s.handler, s.udp[0].loop = h, h.Loop()
	raw, err := s.udp[0].pc.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	e := end{batch: newBatch(s.udp[0], raw)}
	raw.Control(func(fd uintptr) { e.fd = fd })
	t.Cleanup(func() {
		s.Shutdown(context.Background())
		e.close()
	})
	return s, e
}

// clientEnd returns a client with so many queries lined up for the server.
func clientEnd(t testing.TB, server netip.AddrPort, queries int, mixed bool) end {
	t.Helper()
	_, c := endOf(t, "127.0.0.1:0", true)
	if err := unix.Connect(int(c.fd), &unix.SockaddrInet4{Addr: server.Addr().As4(), Port: int(server.Port())}); err != nil {
		t.Fatal(err)
	}
	c.nPeers = 1
	c.peers[0].name = &c.names[0]
	for i := range queries {
		body := "now"
		if mixed {
			body = fmt.Sprintf("now%0*d", i%7+1, 0)
		}
		c.queries[i].Answer = query(uint16(i), body)
	}
	c.lineUp(c.queries[:queries])
	for i := range c.n {
		c.out[i].header.Name, c.out[i].header.Namelen = nil, 0
	}
	return c
}

// serveClients sends all that clients have lined up, takes the answers, and returns how long the server took over them.
func serveClients(server end, clients []end) time.Duration {
	want := 0
	for _, c := range clients {
		want += c.n
		c.send(c.fd)
	}
	at := time.Now()
	for got := 0; got < want; {
		n, _ := server.receive(server.fd)
		packets, _ := server.serve(n, server.fd)
		got += packets
	}
	took := time.Since(at)
	for _, c := range clients {
		for got := 0; got < c.n; {
			n, _ := c.receive(c.fd)
			got += n
		}
	}
	return took
}
