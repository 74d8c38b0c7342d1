package lab

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	miekg "github.com/miekg/dns"
)

// What the resolver asks of a network; it is declared there, and again here, so that neither imports the other.
var _ interface {
	ListenUDP(v6 bool, port uint16) (PacketConn, error)
	DialTCP(ctx context.Context, server netip.AddrPort) (net.Conn, error)
} = (*Network)(nil)

const memoryWorld = `
[defaults]
latency 20ms..80ms
jitter 10%
loss 20%

[zone example servers=192.0.2.1,2001:db8::1]
www A 192.0.2.80
big TXT "0123456789012345678901234567890123456789"

[server 192.0.2.1]
latency 40ms
jitter 0
loss 0

[zone refuse.example servers=192.0.2.2]
[server 192.0.2.2]
fault tcp-refuse
[zone silent.example servers=192.0.2.3]
[server 192.0.2.3]
fault tcp-silent
[zone drip.example servers=192.0.2.4]
www A 192.0.2.81
[server 192.0.2.4]
latency 10ms
jitter 0
fault tcp-drip
[zone hang.example servers=192.0.2.5]
[server 192.0.2.5]
fault tcp-close
[zone gone.example servers=192.0.2.6]
[server 192.0.2.6]
latency 10ms
loss 0
fault drop from=1m until=11m
`

func packed(t testing.TB, name string, qtype uint16, id uint16) []byte {
	t.Helper()
	m := newQuestion(name, qtype)
	m.Id = id
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return wire
}

func listen(t testing.TB, n *Network, v6 bool) PacketConn {
	t.Helper()
	c, err := n.ListenUDP(v6, 0)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func send(t testing.TB, c PacketConn, to string, msg []byte) {
	t.Helper()
	if _, err := c.WriteToUDPAddrPort(msg, netip.MustParseAddrPort(to)); err != nil {
		t.Fatal(err)
	}
}

func TestUDPTakesARoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLab(t, memoryWorld).Network()
		c := listen(t, n, false)
		start := time.Now()
		send(t, c, "192.0.2.1:53", packed(t, "www.example", miekg.TypeA, 7))
		b := make([]byte, 4096)
		got, from, err := c.ReadFromUDPAddrPort(b)
		if err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 40*time.Millisecond {
			t.Errorf("the reply took %v, 40ms are ordered", d)
		}
		if r := unpack(t, b[:got]); from.String() != "192.0.2.1:53" || r.Id != 7 || len(r.Answer) != 2 {
			t.Errorf("from %v:\n%v", from, r)
		}
		// Nobody is there, nobody listens there, and what is sent there is no question.
		for _, to := range []string{"192.0.2.99:53", "192.0.2.1:54"} {
			send(t, c, to, packed(t, "www.example", miekg.TypeA, 8))
		}
		send(t, c, "192.0.2.1:53", []byte("garbage"))
		if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.ReadFromUDPAddrPort(b); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("reading where nothing comes: %v, a deadline error wanted", err)
		}
		if _, err := c.WriteToUDPAddrPort(b[:12], netip.MustParseAddrPort("[2001:db8::1]:53")); err == nil {
			t.Error("an IPv4 socket sent to an IPv6 address")
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.ReadFromUDPAddrPort(b); !errors.Is(err, net.ErrClosed) {
			t.Errorf("reading from a closed socket: %v", err)
		}
	})
}

func TestPortsAreTakenOnce(t *testing.T) {
	n := newLab(t, memoryWorld).Network()
	defer n.Close()
	c, err := n.ListenUDP(false, 5000)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.ListenUDP(false, 5000); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("listening twice: %v", err)
	}
	if _, err := n.ListenUDP(true, 5000); err != nil {
		t.Errorf("the other family has ports of its own: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := n.ListenUDP(false, 5000); err != nil {
		t.Errorf("listening again: %v", err)
	}
}

// A blocked read must see a deadline that is set, put off or passed meanwhile, and a close.
func TestReadDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLab(t, memoryWorld).Network()
		defer n.Close()
		c := listen(t, n, false)
		done := make(chan time.Duration)
		start := time.Now()
		read := func() {
			_, _, err := c.ReadFromUDPAddrPort(make([]byte, 512))
			if err == nil {
				t.Error("read something")
			}
			done <- time.Since(start)
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Hour))
		go read()
		synctest.Wait()
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		if d := <-done; d != time.Second {
			t.Errorf("a deadline brought forward to 1s ended the read after %v", d)
		}
		_ = c.SetReadDeadline(time.Time{})
		go read()
		synctest.Wait()
		time.Sleep(time.Second)
		_ = c.Close()
		if d := <-done; d != 2*time.Second {
			t.Errorf("a close after 2s ended the read after %v", d)
		}
	})
}

// trace asks the same questions at the same times and writes down what comes back, when and from where.
func trace(t *testing.T, seed uint64) (out string, replies int) {
	synctest.Test(t, func(t *testing.T) {
		w, err := ParseWorld(memoryWorld)
		if err != nil {
			t.Fatal(err)
		}
		l, err := New(Config{Seed: seed, World: w})
		if err != nil {
			t.Fatal(err)
		}
		n := l.Network()
		defer n.Close()
		start := time.Now()
		var b bytes.Buffer
		v4, v6 := listen(t, n, false), listen(t, n, true)
		for i := range 100 {
			c, to := v4, "192.0.2.6:53"
			if i%2 == 0 {
				c, to = v6, "[2001:db8::1]:53"
			}
			send(t, c, to, packed(t, fmt.Sprintf("host%d.gone.example", i/4), miekg.TypeA, uint16(i)))
		}
		for _, c := range []PacketConn{v4, v6} {
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			for {
				msg := make([]byte, 4096)
				got, from, err := c.ReadFromUDPAddrPort(msg)
				if err != nil {
					break
				}
				replies++
				fmt.Fprintln(&b, time.Since(start), from, unpack(t, msg[:got]).Id)
			}
		}
		out = b.String()
	})
	return out, replies
}

// The same seed gives the same losses and delays in each run; another seed gives others.
func TestTracesRepeat(t *testing.T) {
	first, replies := trace(t, 1)
	again, _ := trace(t, 1)
	other, _ := trace(t, 2)
	if first != again {
		t.Errorf("two runs of one seed differ:\n%s\n%s", first, again)
	}
	if first == other {
		t.Error("runs of two seeds are alike")
	}
	if replies < 80 || replies > 98 { // half of the questions meet 20 % loss
		t.Errorf("%d replies to 100 questions at 10 %% loss in the mean", replies)
	}
}

func TestOutageEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLab(t, memoryWorld).Network()
		defer n.Close()
		c := listen(t, n, false)
		var up []string
		for minute := range 13 {
			send(t, c, "192.0.2.6:53", packed(t, "www.gone.example", miekg.TypeA, 1))
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			if _, _, err := c.ReadFromUDPAddrPort(make([]byte, 4096)); err == nil {
				up = append(up, fmt.Sprint(minute))
			}
			time.Sleep(time.Until(time.Now().Truncate(time.Minute).Add(time.Minute)))
		}
		if got := strings.Join(up, " "); got != "0 11 12" {
			t.Errorf("up in minutes %s; 0, 11 and 12 are ordered", got)
		}
	})
}

func dial(t *testing.T, n *Network, to string) (net.Conn, time.Duration, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	start := time.Now()
	c, err := n.DialTCP(ctx, netip.MustParseAddrPort(to))
	return c, time.Since(start), err
}

func TestTCPConnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLab(t, memoryWorld).Network()
		defer n.Close()
		if _, d, err := dial(t, n, "192.0.2.2:53"); !errors.Is(err, syscall.ECONNREFUSED) || d > 80*time.Millisecond {
			t.Errorf("a server that refuses: %v after %v", err, d)
		}
		if _, d, err := dial(t, n, "192.0.2.3:53"); !errors.Is(err, os.ErrDeadlineExceeded) || d != 5*time.Second {
			t.Errorf("a server that is silent: %v after %v", err, d)
		}
		if _, _, err := dial(t, n, "192.0.2.99:53"); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("an address without a server: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := n.DialTCP(ctx, netip.MustParseAddrPort("192.0.2.1:53")); !errors.Is(err, context.Canceled) {
			t.Errorf("a cancelled dial: %v", err)
		}
	})
}

func frame(msg []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...)
}

func readFrame(c net.Conn) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		return nil, err
	}
	msg := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(c, msg)
	return msg, err
}

// Several questions on one connection, the second half of one written apart; then the server closes the idle connection (RFC 7766).
func TestTCPPipelines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLab(t, memoryWorld).Network()
		defer n.Close()
		c, d, err := dial(t, n, "192.0.2.1:53")
		if err != nil || d != 40*time.Millisecond {
			t.Fatalf("connecting: %v after %v", err, d)
		}
		start := time.Now()
		wire := bytes.Join([][]byte{frame(packed(t, "www.example", miekg.TypeA, 1)), frame(packed(t, "big.example", miekg.TypeTXT, 2))}, nil)
		for _, part := range [][]byte{wire[:1], wire[1:50], wire[50:]} {
			if _, err := c.Write(part); err != nil {
				t.Fatal(err)
			}
		}
		seen := map[uint16]bool{}
		for range 2 {
			msg, err := readFrame(c)
			if err != nil {
				t.Fatal(err)
			}
			seen[unpack(t, msg).Id] = true
		}
		if d := time.Since(start); d != 40*time.Millisecond || !seen[1] || !seen[2] {
			t.Errorf("replies %v after %v: both in one round trip wanted", seen, d)
		}
		if _, err := readFrame(c); err != io.EOF || time.Since(start) != 40*time.Millisecond+tcpIdle {
			t.Errorf("an idle connection ended with %v after %v", err, time.Since(start))
		}
		if _, err := c.Write(wire); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("writing to a connection that the server closed: %v", err)
		}
	})
}

func TestTCPDripsAndHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLab(t, memoryWorld).Network()
		defer n.Close()
		c, _, err := dial(t, n, "192.0.2.4:53")
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, _ = c.Write(frame(packed(t, "www.drip.example", miekg.TypeA, 1)))
		msg, err := readFrame(c)
		if err != nil {
			t.Fatal(err)
		}
		if want := 10*time.Millisecond + time.Duration(2+len(msg))*time.Second; time.Since(start) != want {
			t.Errorf("%d octets dripped in %v, %v wanted", 2+len(msg), time.Since(start), want)
		}
		c, _, err = dial(t, n, "192.0.2.5:53")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write(frame(packed(t, "www.hang.example", miekg.TypeA, 1)))
		if _, err := readFrame(c); err != io.EOF {
			t.Errorf("a server that closes instead of answering: %v", err)
		}
	})
}

// A closed network leaves nothing behind, with packets, connections and timers under way: synctest.Test fails if a goroutine stays.
func TestNothingStaysBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLab(t, memoryWorld).Network()
		c := listen(t, n, false)
		_ = c.SetReadDeadline(time.Now().Add(time.Hour))
		go func() { _, _, _ = c.ReadFromUDPAddrPort(make([]byte, 512)) }()
		for range 100 {
			send(t, c, "192.0.2.1:53", packed(t, "www.example", miekg.TypeA, 1))
		}
		tcp, _, err := dial(t, n, "192.0.2.4:53")
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.Copy(io.Discard, tcp) }()
		_, _ = tcp.Write(frame(packed(t, "www.drip.example", miekg.TypeA, 1)))
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := n.ListenUDP(false, 0); !errors.Is(err, net.ErrClosed) {
			t.Errorf("listening on a closed network: %v", err)
		}
	})
}
