package listen

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/telemetry"
)

// eachReader runs a test with the reader of this system and with the one of systems without recvmmsg.
func eachReader(t *testing.T, f func(t *testing.T, start func(h HandlerFunc, cfg Config) *Server)) {
	for _, singly := range []bool{false, true} {
		t.Run(fmt.Sprintf("singly=%v", singly), func(t *testing.T) {
			f(t, func(h HandlerFunc, cfg Config) *Server {
				t.Helper()
				return startWith(t, h, cfg, func(s *Server) { s.singly = singly })
			})
		})
	}
}

// ask sends q and returns the answer.
func ask(t testing.TB, c net.Conn, q []byte) []byte {
	t.Helper()
	if _, err := c.Write(q); err != nil {
		t.Fatalf("asking: %v", err)
	}
	return receive(t, c)
}

func receive(t testing.TB, c net.Conn) []byte {
	t.Helper()
	b := make([]byte, 65536)
	n, err := c.Read(b)
	if err != nil {
		t.Fatalf("waiting for an answer: %v", err)
	}
	return b[:n]
}

func TestUDPAnswersFromTheAddressAsked(t *testing.T) {
	// The client's sockets are connected, so they take answers from the address that they asked only.
	for _, c := range []struct{ listen, ask string }{
		{"127.0.0.1:0", "127.0.0.1"},
		{"[::1]:0", "::1"},
		{"0.0.0.0:0", "127.0.0.1"},
		{"0.0.0.0:0", "127.0.0.2"},
		{"[::]:0", "::1"},
		{"[::]:0", "127.0.0.1"},
		{"[::]:0", "127.0.0.3"},
	} {
		if runtime.GOOS != "linux" && c.ask != "::1" && c.ask != "127.0.0.1" {
			continue // the whole of 127.0.0.0/8 is local on Linux alone
		}
		t.Run(c.listen+" asked at "+c.ask, func(t *testing.T) {
			eachReader(t, func(t *testing.T, start func(HandlerFunc, Config) *Server) {
				packets := make(chan Packet, 2)
				s := start(func(p Packet, out []byte, reply Reply) []byte {
					q := bytes.Clone(p.Data)
					p.Data = nil
					packets <- p
					if q[1] == 1 {
						return append(out, q...)
					}
					go reply.Write(q)
					return nil
				}, loopback(c.listen))
				server := netip.AddrPortFrom(netip.MustParseAddr(c.ask), s.Addrs()[0].Port())
				client := dial(t, "udp", server)
				for id := uint16(1); id <= 2; id++ { // 1: at once, 2: later
					q := query(id, "question")
					if got := ask(t, client, q); !bytes.Equal(got, q) {
						t.Errorf("answer %x, want %x", got, q)
					}
					want := Packet{nil, client.LocalAddr().(*net.UDPAddr).AddrPort(), server, UDP, 0, nil}
					if got := <-packets; fmt.Sprint(got) != fmt.Sprint(want) {
						t.Errorf("the handler got %v, want %v", got, want)
					}
				}
			})
		})
	}
}

// startOnPort serves several addresses on one port, which another program may take between the choice and the use.
func startOnPort(t *testing.T, h HandlerFunc, hosts ...string) (*Server, uint16) {
	t.Helper()
	for attempt := 1; ; attempt++ {
		probe, err := net.ListenUDP("udp", nil)
		if err != nil {
			t.Fatal(err)
		}
		port := probe.LocalAddr().(*net.UDPAddr).AddrPort().Port()
		probe.Close()
		var cfg Config
		for _, h := range hosts {
			cfg.DNS = append(cfg.DNS, netip.AddrPortFrom(netip.MustParseAddr(h), port))
		}
		s, err := Open(cfg)
		if errors.Is(err, syscall.EADDRINUSE) && attempt < 50 {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		serve(t, s, h)
		return s, port
	}
}

func TestBothFamiliesOnOnePort(t *testing.T) {
	s, port := startOnPort(t, echo, "0.0.0.0", "::")
	serveBothFamilies(t, s, port)
	s, port = startOnPort(t, echo, "::", "127.0.0.1") // leaves IPv4 to the other
	serveBothFamilies(t, s, port)
}

func serveBothFamilies(t *testing.T, s *Server, port uint16) {
	t.Helper()
	for _, host := range []string{"127.0.0.1", "::1"} {
		for _, network := range []string{"udp", "tcp"} {
			c := dial(t, network, netip.AddrPortFrom(netip.MustParseAddr(host), port))
			c.Write(appendFrame(nil, query(1, "")))
			receive(t, c)
		}
	}
	if got := s.Addrs(); len(got) != 2 || got[0].Port() != port || got[1].Port() != port {
		t.Errorf("Addrs() = %v", got)
	}
}

func TestUDPManyInBatchesGetTheirOwnAnswer(t *testing.T) {
	eachReader(t, func(t *testing.T, start func(HandlerFunc, Config) *Server) {
		s := start(func(p Packet, out []byte, reply Reply) []byte {
			switch p.Data[1] % 3 {
			case 0:
				q := bytes.Clone(p.Data)
				go reply.Write(q)
				return nil
			case 1: // longer than the room given
				return bytes.Clone(p.Data)
			}
			return append(out, p.Data...)
		}, loopback("127.0.0.1:0"))
		const clients, each = 5, 100
		var wg sync.WaitGroup
		for i := range clients {
			c := dial(t, "udp", s.Addrs()[0])
			wg.Go(func() {
				body := fmt.Sprint("client ", i)
				for id := range each {
					c.Write(query(uint16(id), body))
				}
				seen := map[uint16]bool{}
				for range each {
					b := make([]byte, 100)
					n, err := c.Read(b)
					if err != nil {
						t.Errorf("client %d has %d answers of %d: %v", i, len(seen), each, err)
						return
					}
					if string(b[12:n]) != body {
						t.Errorf("client %d got the answer %q", i, b[12:n])
					}
					seen[binary.BigEndian.Uint16(b)] = true
				}
				if len(seen) != each {
					t.Errorf("client %d got %d different answers, want %d", i, len(seen), each)
				}
			})
		}
		wg.Wait()
		s.Shutdown(context.Background()) // what is sent is counted after it has been
		m := s.metrics.udp
		if r, o := m.received.Value(), m.sent.Value(); r != clients*each || o != clients*each {
			t.Errorf("counted %d received and %d sent, want %d each", r, o, clients*each)
		}
		if r, o := m.receivedBytes.Value(), m.sentBytes.Value(); r != clients*each*20 || o != r {
			t.Errorf("counted %d octets received and %d sent, want %d each", r, o, clients*each*20)
		}
	})
}

func TestUDPDropsWhatCannotBeServed(t *testing.T) {
	eachReader(t, func(t *testing.T, start func(HandlerFunc, Config) *Server) {
		s := start(func(p Packet, out []byte, reply Reply) []byte {
			switch string(p.Data[12:]) {
			case "drop":
				reply.Drop()
				return nil
			case "empty":
				return out
			case "panic":
				panic("of a handler")
			}
			return echo(p, out, reply)
		}, loopback("127.0.0.1:0"))
		c := dial(t, "udp", s.Addrs()[0])
		c.Write(nil)
		c.Write(query(1, "")[:11])
		c.Write(make([]byte, udpMost+1))
		c.Write(make([]byte, 60000))
		c.Write(query(1, "drop"))
		c.Write(query(1, "empty"))
		c.Write(query(1, "panic"))
		long := make([]byte, udpMost)
		if got := ask(t, c, long); len(got) != udpMost {
			t.Errorf("the longest query was answered with %d octets, want %d", len(got), udpMost)
		}
		s.Shutdown(context.Background()) // what is sent is counted after it has been
		m := s.metrics
		for _, x := range []struct {
			what      string
			got, want uint64
		}{
			{"received", m.udp.received.Value(), 8},
			{"short", m.dropUDPShort.Value(), 2},
			{"long", m.dropUDPLong.Value(), 2},
			{"by handler", m.dropUDPHandler.Value(), 2},
			{"by panic", m.dropUDPPanic.Value(), 1},
			{"panics", m.panics.Value(), 1},
			{"sent", m.udp.sent.Value(), 1},
		} {
			if x.got != x.want {
				t.Errorf("%s: counted %d, want %d", x.what, x.got, x.want)
			}
		}
		if got := s.tickets.inFlight(); got != 0 {
			t.Errorf("%d tickets are out", got)
		}
	})
}

func TestUDPSourcePortZeroIsNotServed(t *testing.T) {
	s := start(t, func(Packet, []byte, Reply) []byte { t.Error("served"); return nil }, loopback("127.0.0.1:0"))
	if s.udp[0].servable(12, 0) {
		t.Error("servable")
	}
	if got := s.metrics.dropUDPSource.Value(); got != 1 {
		t.Errorf("counted %d, want 1", got)
	}
}

func TestUDPAnswerLongerThanTheInterfaceTakesIsTruncated(t *testing.T) {
	const question = "\x03www\x07example\x00\x00\x01\x00\x01"
	eachReader(t, func(t *testing.T, start func(HandlerFunc, Config) *Server) {
		s := start(func(p Packet, out []byte, reply Reply) []byte {
			a := append(out, p.Data...)
			a[2] |= 0x80
			a[7] = 9
			a = append(a, make([]byte, 65_500)...)
			if p.Data[1] == 1 {
				return a
			}
			reply.Write(a)
			return nil
		}, loopback("127.0.0.1:0"))
		c := dial(t, "udp", s.Addrs()[0])
		for id := uint16(1); id <= 2; id++ {
			q := query(id, question)
			q[5] = 1
			want := bytes.Clone(q)
			want[2] |= 0x82 // QR, TC
			if got := ask(t, c, q); !bytes.Equal(got, want) {
				t.Errorf("query %d: got %x, want %x", id, got, want)
			}
		}
		if got := s.metrics.truncated.Value(); got != 2 {
			t.Errorf("counted %d truncated, want 2", got)
		}
	})
}

func TestTruncated(t *testing.T) {
	var b dns.Builder
	b.Start(nil, 512, 7, dns.FlagQR)
	b.Question(dns.Question{Name: dns.MustParseName("www.example"), Type: dns.TypeA, Class: dns.ClassINET})
	whole := b.Finish()
	b.Start(nil, 512, 7, dns.FlagQR|dns.FlagTC)
	b.Question(dns.Question{Name: dns.MustParseName("www.example"), Type: dns.TypeA, Class: dns.ClassINET})
	cut := b.Finish()
	counts := func(m []byte, an, ns, ar byte) []byte {
		m = bytes.Clone(m)
		m[7], m[9], m[11] = an, ns, ar
		return m
	}
	for _, c := range []struct {
		name     string
		in, want []byte
	}{
		{"answer", append(counts(whole, 1, 2, 3), make([]byte, 9000)...), cut},
		{"no question", query(7, strings.Repeat("x", 9000)), []byte{0, 7, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
		{"truncated already", cut, nil},
		{"question cut short", whole[:len(whole)-1], nil},
		{"no header", whole[:11], nil},
	} {
		if got := truncated(c.in); !bytes.Equal(got, c.want) || (got == nil) != (c.want == nil) {
			t.Errorf("%s: got %x, want %x", c.name, got, c.want)
		}
	}
}

func TestReplyCountsOnce(t *testing.T) {
	s := start(t, func(p Packet, out []byte, reply Reply) []byte {
		a := bytes.Clone(p.Data)
		switch string(a[12:]) {
		case "twice":
			reply.Write(a)
			if reply.Wanted() {
				t.Error("an answered query is still wanted")
			}
			reply.Write(append(a, "again"...))
			reply.Drop()
			return nil
		case "both":
			reply.Write(a)
			return append(out, "both ways"...)
		case "late":
			go func() {
				reply.Write(a)
				reply.Drop()
			}()
			return nil
		}
		return a
	}, loopback("127.0.0.1:0"))
	c := dial(t, "udp", s.Addrs()[0])
	for _, body := range []string{"twice", "both", "late", "plain"} {
		if got := ask(t, c, query(3, body)); string(got[12:]) != body {
			t.Errorf("asked %q, got %q", body, got[12:])
		}
	}
	if got := s.metrics.replyMisused.Value(); got != 2 {
		t.Errorf("counted %d misuses, want 2 (a deferred Drop is none)", got)
	}
}

func TestOldReplyDoesNotAnswerAnotherQuery(t *testing.T) {
	var old Reply
	s := start(t, func(p Packet, out []byte, reply Reply) []byte {
		if old != (Reply{}) {
			old.Write([]byte("an answer to something else"))
		}
		old = reply
		return echo(p, out, reply)
	}, loopback("127.0.0.1:0"))
	c := dial(t, "udp", s.Addrs()[0])
	for range 3 {
		if got := ask(t, c, query(3, "body")); string(got[12:]) != "body" {
			t.Errorf("got %q", got)
		}
	}
}

func TestInFlightLimitLeavesTheFastPath(t *testing.T) {
	eachReader(t, func(t *testing.T, start func(HandlerFunc, Config) *Server) {
		kept := make(chan Reply, 10)
		cfg := loopback("127.0.0.1:0")
		cfg.Limits.InFlight = 2
		s := start(func(p Packet, out []byte, reply Reply) []byte {
			if string(p.Data[12:]) == "later" {
				kept <- reply
				return nil
			}
			return echo(p, out, reply)
		}, cfg)
		c := dial(t, "udp", s.Addrs()[0])
		for range 4 {
			c.Write(query(1, "later"))
		}
		if got := ask(t, c, query(2, "now")); string(got[12:]) != "now" {
			t.Errorf("got %q", got)
		}
		wanted := 0
		for range 4 {
			r := <-kept
			if r.Wanted() {
				wanted++
			}
			r.Write(query(1, "late answer"))
		}
		if wanted != 2 {
			t.Errorf("%d replies were wanted, want 2", wanted)
		}
		for range 2 {
			if got := receive(t, c); string(got[12:]) != "late answer" {
				t.Errorf("got %q", got)
			}
		}
		if got := ask(t, c, query(3, "later, with room again")); len(got) == 0 {
			t.Error("no answer")
		}
		if s.metrics.limitInFlight.Value() == 0 {
			t.Error("the limit was not counted")
		}
	})
}

func TestSendErrorIsCountedAndLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	cfg := loopback("127.0.0.1:0")
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	s := start(t, echo, cfg)
	log.Reset() // the receive buffer may be an entry
	for range 3 {
		s.udp[0].send(query(1, ""), netip.MustParseAddrPort("127.0.0.1:0"), s.udp[0].addr.Addr())
	}
	if got := s.metrics.dropUDPSend.Value(); got != 3 {
		t.Errorf("counted %d, want 3", got)
	}
	if got := strings.Count(log.String(), "\n"); got != 1 {
		t.Errorf("%d lines in the log, want 1:\n%s", got, log.String())
	}
}

func TestPanicIsReported(t *testing.T) {
	dir := t.TempDir()
	crashes := telemetry.NewCrashes(dir, nil, slog.New(slog.DiscardHandler), time.Now)
	cfg := loopback("127.0.0.1:0")
	cfg.Crashes = crashes
	s := start(t, func(p Packet, out []byte, r Reply) []byte {
		if string(p.Data[12:]) == "panic" {
			panic("of a handler")
		}
		return echo(p, out, r)
	}, cfg)
	for _, network := range []string{"udp", "tcp"} {
		c := dial(t, network, s.Addrs()[0])
		frame := func(body string) []byte {
			q := query(1, body)
			if network == "tcp" {
				return appendFrame(nil, q)
			}
			return q
		}
		c.Write(frame("panic"))
		ask(t, c, frame("fine"))
	}
	crashes.Flush()
	list := crashes.List() // one for each way that led to the panic
	if len(list) != 2 || !strings.Contains(list[0].What, "serving a query of 127.0.0.1:") {
		t.Errorf("reports: %+v", list)
	}
}

// BenchmarkUDP serves one query after the other over loopback; the client takes part in the time.
func BenchmarkUDP(b *testing.B) {
	for _, bound := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::]:0"} {
		b.Run(bound, func(b *testing.B) {
			s := start(b, echo, loopback(bound))
			c := dial(b, "udp", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), s.Addrs()[0].Port()))
			q, in := query(7, "question"), make([]byte, 512)
			b.ReportAllocs()
			for b.Loop() {
				c.Write(q)
				if _, err := c.Read(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
