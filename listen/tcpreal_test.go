package listen

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ananas-edge/ananas/telemetry"
)

// The tests of this file use real TCP connections.

func TestTCPAnswersOutOfOrder(t *testing.T) {
	var mu sync.Mutex
	var kept []func()
	s := start(t, func(p Packet, out []byte, reply Reply) []byte {
		q := bytes.Clone(p.Data)
		mu.Lock()
		kept = append(kept, func() { reply.Write(q) })
		if len(kept) == 20 {
			for _, f := range slices.Backward(kept) {
				f()
			}
		}
		mu.Unlock()
		return nil
	}, loopback("127.0.0.1:0"))
	c := dial(t, "tcp", s.Addrs()[0])
	var all []byte
	for id := range uint16(20) {
		all = appendFrame(all, query(id, ""))
	}
	c.Write(all)
	for id := range 20 {
		if got := binary.BigEndian.Uint16(readFrame(t, c)); int(got) != 19-id {
			t.Errorf("answer %d has the id %d, want %d", id, got, 19-id)
		}
	}
}

func TestTCPPipelinedQueriesAreAllAnswered(t *testing.T) {
	s := start(t, func(p Packet, out []byte, reply Reply) []byte {
		if p.Data[1]%5 == 0 {
			q := bytes.Clone(p.Data)
			go reply.Write(q)
			return nil
		}
		return echo(p, out, reply)
	}, loopback("[::]:0"))
	const each = 3000
	var wg sync.WaitGroup
	for _, host := range []string{"127.0.0.1", "::1", "::1"} {
		server := netip.AddrPortFrom(netip.MustParseAddr(host), s.Addrs()[0].Port())
		c := dial(t, "tcp", server)
		wg.Go(func() {
			var all []byte
			for id := range uint16(each) {
				all = appendFrame(all, query(id, strings.Repeat("x", int(id)%500)))
			}
			c.Write(all)
		})
		wg.Go(func() {
			seen := map[uint16]bool{}
			for range each {
				var length [2]byte
				if _, err := io.ReadFull(c, length[:]); err != nil {
					t.Errorf("%s: after %d answers: %v", host, len(seen), err)
					return
				}
				m := make([]byte, binary.BigEndian.Uint16(length[:]))
				io.ReadFull(c, m)
				id := binary.BigEndian.Uint16(m)
				if len(m) != 12+int(id)%500 {
					t.Errorf("answer %d has %d octets", id, len(m))
				}
				seen[id] = true
			}
			if len(seen) != each {
				t.Errorf("%s: %d different answers, want %d", host, len(seen), each)
			}
		})
	}
	wg.Wait()
	if got := s.metrics.tcp.sent.Value(); got != 3*each {
		t.Errorf("counted %d sent, want %d", got, 3*each)
	}
}

func TestTCPHalfClosedConnectionGetsItsAnswers(t *testing.T) {
	replies := make(chan Reply, 1)
	s := start(t, func(p Packet, out []byte, reply Reply) []byte {
		if p.Data[1] == 2 {
			replies <- reply
			return nil
		}
		return echo(p, out, reply)
	}, loopback("127.0.0.1:0"))
	c := dial(t, "tcp", s.Addrs()[0])
	c.Write(appendFrame(appendFrame(appendFrame(nil, query(1, "")), query(2, "")), query(3, "")))
	c.(*net.TCPConn).CloseWrite()
	for _, id := range []uint16{1, 3} {
		if got := binary.BigEndian.Uint16(readFrame(t, c)); got != id {
			t.Errorf("got the answer to %d, want %d", got, id)
		}
	}
	(<-replies).Write(query(2, ""))
	rest, err := io.ReadAll(c)
	if err != nil || len(rest) != 14 || rest[3] != 2 {
		t.Errorf("got %x and %v, want the answer to 2 and the end", rest, err)
	}
}

func TestTCPResetByTheClientIsHarmless(t *testing.T) {
	replies := make(chan Reply, 1)
	s := start(t, func(p Packet, out []byte, reply Reply) []byte {
		replies <- reply
		return nil
	}, loopback("127.0.0.1:0"))
	c := dial(t, "tcp", s.Addrs()[0])
	c.Write(appendFrame(nil, query(1, "")))
	reply := <-replies
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	reply.Write(query(1, ""))
}

func TestMetricsAreExported(t *testing.T) {
	cfg := loopback("127.0.0.1:0")
	cfg.Metrics = telemetry.NewMetrics()
	s := start(t, echo, cfg)
	ask(t, dial(t, "udp", s.Addrs()[0]), query(1, ""))
	ask(t, dial(t, "tcp", s.Addrs()[0]), appendFrame(nil, query(1, "")))
	text := exposition(t, cfg.Metrics)
	for _, want := range []string{
		`ananas_listen_received_total{transport="udp"} 1`,
		`ananas_listen_received_bytes_total{transport="tcp"} 12`,
		"ananas_listen_tcp_connections 1",
		"ananas_listen_udp_overflow_packets 0",
		"ananas_listen_in_flight_queries ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the metrics lack %q:\n%s", want, text)
		}
	}
}

// BenchmarkTCP serves pipelined queries, 50 in a segment, over loopback.
func BenchmarkTCP(b *testing.B) {
	s := start(b, echo, loopback("127.0.0.1:0"))
	c := dial(b, "tcp", s.Addrs()[0])
	var all []byte
	for id := range uint16(50) {
		all = appendFrame(all, query(id, "question"))
	}
	in := make([]byte, len(all))
	b.ReportAllocs()
	for b.Loop() {
		c.Write(all)
		if _, err := io.ReadFull(c, in); err != nil {
			b.Fatal(err)
		}
	}
}

func TestTCPAnswersBeforeGarbageArrive(t *testing.T) {
	// Closing a connection with octets unread resets it, which may take back what was sent before.
	s := start(t, func(p Packet, out []byte, reply Reply) []byte {
		return append(append(out, p.Data...), make([]byte, 60_000)...)
	}, loopback("127.0.0.1:0"))
	c := dial(t, "tcp", s.Addrs()[0])
	var all []byte
	for id := range uint16(5) {
		all = appendFrame(all, query(id, ""))
	}
	c.Write(append(append(all, 0, 0), make([]byte, 100_000)...))
	got, err := io.ReadAll(c)
	if err != nil || len(got) != 5*60_014 {
		t.Errorf("got %d octets and %v, want %d and the end", len(got), err, 5*60_014)
	}
}
