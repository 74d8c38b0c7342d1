package listen

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ananas-edge/ananas/telemetry"
)

// The tests of this file run in bubbles with fake time, over pipes that have addresses.

// pipe is the server's end of a net.Pipe.
type pipe struct {
	net.Conn
	client netip.AddrPort
}

func (p pipe) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(p.client) }
func (p pipe) LocalAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.53:53"))
}

// world is a server without sockets.
type world struct {
	*Server
	t       *testing.T
	clients int
}

func newWorld(t *testing.T, l Limits, h HandlerFunc) *world {
	t.Helper()
	s, err := newServer(Config{Limits: l})
	if err != nil {
		t.Fatal(err)
	}
	s.Serve(h)
	return &world{Server: s, t: t}
}

// end ends the server, so that the bubble has no goroutine left.
func (w *world) end() {
	w.t.Helper()
	if err := w.Shutdown(context.Background()); err != nil {
		w.t.Error(err)
	}
}

// client connects, from an address of its own unless one is given.
func (w *world) client(from ...string) net.Conn {
	w.clients++
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(w.clients)}), 1024)
	if len(from) > 0 {
		addr = netip.AddrPortFrom(netip.MustParseAddr(from[0]), uint16(1024+w.clients))
	}
	c, server := net.Pipe()
	w.serveConn(pipe{server, addr})
	return c
}

// closes returns how long it takes from now until the server closes c, and what it sends before.
func closes(t *testing.T, c net.Conn) (time.Duration, []byte) {
	t.Helper()
	at := time.Now()
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("the connection did not end but failed: %v", err)
	}
	return time.Since(at), b
}

func wantClosed(t *testing.T, w *world, why reason, n uint64) {
	t.Helper()
	synctest.Wait()
	if got := w.metrics.closed[why].Value(); got != n {
		t.Errorf("%d connections closed for the reason %q, want %d", got, reasonNames[why], n)
	}
}

func TestTCPIdleConnectionIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Limits{Idle: 7 * time.Second}, func(p Packet, out []byte, reply Reply) []byte {
			if p.Idle != 7*time.Second || p.Transport != TCP || p.Local.String() != "192.0.2.53:53" {
				t.Errorf("packet: %+v", p)
			}
			return echo(p, out, reply)
		})
		defer w.end()
		c := w.client()
		if took, _ := closes(t, c); took != 7*time.Second {
			t.Errorf("without any query closed after %v, want 7s", took)
		}
		c = w.client()
		time.Sleep(6 * time.Second)
		c.Write(appendFrame(nil, query(1, "")))
		readFrame(t, c)
		if took, _ := closes(t, c); took != 7*time.Second {
			t.Errorf("after a query closed after %v, want 7s", took)
		}
		wantClosed(t, w, byIdle, 2)
	})
}

func TestTCPConnectionThatWaitsForAnAnswerIsNotIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Limits{}, func(p Packet, out []byte, reply Reply) []byte {
			q := bytes.Clone(p.Data)
			time.AfterFunc(25*time.Second, func() { reply.Write(q) })
			return nil
		})
		defer w.end()
		c := w.client()
		c.Write(appendFrame(nil, query(1, "")))
		at := time.Now()
		readFrame(t, c)
		if took := time.Since(at); took != 25*time.Second {
			t.Errorf("answered after %v, want 25s", took)
		}
		if took, _ := closes(t, c); took != 10*time.Second {
			t.Errorf("closed %v after the answer, want 10s", took)
		}
	})
}

func TestTCPShortMessageEndsTheConnectionAfterTheAnswersOwed(t *testing.T) {
	for _, bad := range []string{"\x00\x00", "\x00\x0bshort...abc", "\x00\x01"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Limits{}, func(p Packet, out []byte, reply Reply) []byte {
				q := bytes.Clone(p.Data)
				time.AfterFunc(time.Second, func() { reply.Write(q) })
				return nil
			})
			defer w.end()
			c := w.client()
			go c.Write(append(appendFrame(nil, query(1, "")), bad...))
			if took, got := closes(t, c); took != time.Second || len(got) != 14 {
				t.Errorf("closed after %v with %d octets, want 1s and 14", took, len(got))
			}
			wantClosed(t, w, byShort, 1)
		})
	}
}

func TestTCPAnswerThatCannotBeFramedCostsOnlyItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Limits{}, func(p Packet, out []byte, reply Reply) []byte {
			switch p.Data[1] {
			case 1:
				return make([]byte, 65_536)
			case 2:
				reply.Write(make([]byte, 65_536))
				return nil
			}
			return make([]byte, 65_535)
		})
		defer w.end()
		c := w.client()
		for id := uint16(1); id <= 3; id++ {
			c.Write(appendFrame(nil, query(id, "")))
		}
		if got := readFrame(t, c); len(got) != 65_535 {
			t.Errorf("got %d octets, want 65535", len(got))
		}
		if got := w.metrics.dropTCPLong.Value(); got != 2 {
			t.Errorf("counted %d, want 2", got)
		}
		c.Close()
	})
}

func TestTCPReplyAfterTheClientHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		replies := make(chan Reply, 2)
		w := newWorld(t, Limits{}, func(p Packet, out []byte, reply Reply) []byte {
			replies <- reply
			return nil
		})
		defer w.end()
		c := w.client()
		c.Write(appendFrame(nil, query(1, "")))
		c.Write(appendFrame(nil, query(2, "")))
		synctest.Wait()
		c.Close() // a pipe ends in both directions: the first answer cannot be written
		(<-replies).Write(query(1, ""))
		wantClosed(t, w, byReset, 1)
		(<-replies).Write(query(2, ""))
		if got := w.metrics.dropTCPGone.Value(); got != 1 {
			t.Errorf("counted %d, want 1", got)
		}
		if n := w.tickets.inFlight(); n != 0 {
			t.Errorf("%d tickets are out", n)
		}
	})
}

func TestTCPBothReturnedAndWrittenSendsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Limits{}, func(p Packet, out []byte, reply Reply) []byte {
			if p.Data[1] == 1 {
				reply.Write(query(1, "written"))
			}
			return append(out, query(1, "returned")...)
		})
		defer w.end()
		c := w.client()
		for id := uint16(1); id <= 2; id++ {
			c.Write(appendFrame(nil, query(id, "")))
			want := []string{"", "written", "returned"}[id]
			if got := readFrame(t, c); string(got[12:]) != want {
				t.Errorf("got %q, want %q", got[12:], want)
			}
		}
		c.Close()
	})
}

// failing is a listener that fails for a while, then gives one connection, then blocks until it is closed.
type failing struct {
	errs   []error
	conn   net.Conn
	closed chan struct{}
}

func (f *failing) Accept() (net.Conn, error) {
	if len(f.errs) > 0 {
		err := f.errs[0]
		f.errs = f.errs[1:]
		return nil, err
	}
	if c := f.conn; c != nil {
		f.conn = nil
		return c, nil
	}
	<-f.closed
	return nil, net.ErrClosed
}
func (f *failing) Close() error   { close(f.closed); return nil }
func (f *failing) Addr() net.Addr { return &net.TCPAddr{} }

func TestAcceptBacksOffAndMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Limits{Idle: time.Hour}, echo)
		old := w.client()
		client, server := net.Pipe()
		noFile := &net.OpError{Op: "accept", Err: syscall.EMFILE}
		l := &failing{errs: slices.Repeat([]error{noFile}, 10), conn: pipe{server, netip.MustParseAddrPort("192.0.2.1:1")}, closed: make(chan struct{})}
		at := time.Now()
		w.loops.Add(1)
		go w.accept(l)
		if took, _ := closes(t, old); took != 0 {
			t.Errorf("the idle connection made room after %v", took)
		}
		client.Write(appendFrame(nil, query(1, "")))
		readFrame(t, client)
		// 5 + 10 + 20 + 40 + 80 + 160 + 320 + 640 + 1000 + 1000 ms
		if took := time.Since(at); took != 3275*time.Millisecond {
			t.Errorf("accepted after %v, want 3.275s", took)
		}
		if got := w.metrics.acceptErrors.Value(); got != 10 {
			t.Errorf("counted %d errors, want 10", got)
		}
		l.Close()
		w.end()
	})
}

func TestAcceptEndsWhileItBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Limits{}, echo)
		l := &failing{errs: slices.Repeat([]error{syscall.ENOBUFS}, 100), closed: make(chan struct{})}
		w.loops.Add(1)
		go w.accept(l)
		time.Sleep(5 * time.Second)
		w.end()
	})
}

func TestReasonsAreMetrics(t *testing.T) {
	m := telemetry.NewMetrics()
	newMetrics(m)
	table := telemetry.Document(m)
	for _, name := range []string{"ananas_listen_received_total", "ananas_listen_dropped_total", "ananas_listen_limit_hits_total", "ananas_listen_tcp_closed_total"} {
		if !strings.Contains(table, name) {
			t.Errorf("%s is not registered", name)
		}
	}
	for r, name := range reasonNames {
		if name == "" {
			t.Errorf("reason %d has no name", r)
		}
	}
}

func TestTCPAnswersAtOnceJoinTheQueueOfAWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		replies := make(chan Reply, 1)
		w := newWorld(t, Limits{}, func(p Packet, out []byte, reply Reply) []byte {
			if p.Data[1] == 1 {
				replies <- reply
				return nil
			}
			return echo(p, out, reply)
		})
		defer w.end()
		c := w.client()
		c.Write(appendFrame(nil, query(1, "")))
		(<-replies).Write(query(1, "")) // the writer waits for the client
		synctest.Wait()
		for id := uint16(2); id <= 3; id++ {
			c.Write(appendFrame(nil, query(id, "")))
			synctest.Wait()
		}
		for id := byte(1); id <= 3; id++ {
			if got := readFrame(t, c); got[1] != id {
				t.Errorf("got the answer to %d, want %d", got[1], id)
			}
		}
		c.Close()
		synctest.Wait()
		if n := w.queued.Load(); n != 0 {
			t.Errorf("%d octets are still counted as queued", n)
		}
	})
}

func TestUDPReceiveErrorsAreSpaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		w := newWorld(t, Limits{}, echo)
		w.log = slog.New(slog.NewTextHandler(&log, nil))
		u := &udpSocket{s: w.Server}
		var pause backoff
		at := time.Now()
		for range 3 {
			if !u.receiveFailed(syscall.ENOMEM, &pause) {
				t.Error("ended")
			}
		}
		if took := time.Since(at); took != 35*time.Millisecond {
			t.Errorf("waited %v, want 5 + 10 + 20 ms", took)
		}
		if got := w.metrics.receiveErrors.Value(); got != 3 || strings.Count(log.String(), "\n") != 1 {
			t.Errorf("counted %d errors, want 3; log:\n%s", got, log.String())
		}
		w.end()
		if u.receiveFailed(syscall.ENOMEM, &pause) {
			t.Error("did not end with the server")
		}
	})
}
