package recurse

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// echoServer answers each question as it came, with QR set, from a real socket.
func echoServer(t *testing.T, addr string) netip.AddrPort {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 4096)
		for {
			n, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			b[2] |= 0x80
			if _, err := c.WriteToUDPAddrPort(b[:n], from); err != nil && !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		}
	}()
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

// realResolver is one on the network of this machine, with as many sockets as asked for.
func realResolver(t *testing.T, sockets, uses int) *Resolver {
	t.Helper()
	boot := time.Now()
	clock := Clock{Boot: func() time.Duration { return time.Since(boot) }, Wall: time.Now}
	c, err := cache.New(cache.Config{Bytes: cache.MinBytes, Now: clock.Boot})
	if err != nil {
		t.Fatal(err)
	}
	l := Defaults().Limits
	l.Sockets, l.SocketUses = sockets, uses
	r := New(Config{Network: SystemNetwork{}, Clock: clock, Random: rand.Uint64, Cache: c, Limits: l})
	t.Cleanup(func() {
		r.Close()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// Real sockets, hundreds of questions at a time, and sockets replaced all the while: each reply comes to the question that it is for.
func TestPoller(t *testing.T) {
	for _, c := range []struct {
		server        string
		sockets, uses int
	}{{"127.0.0.1:0", 64, 3}, {"127.0.0.1:0", 2, 1_000_000}, {"[::1]:0", 64, 1}} {
		t.Run(c.server, func(t *testing.T) {
			server := echoServer(t, c.server)
			server = netip.AddrPortFrom(server.Addr().Unmap(), server.Port())
			r := realResolver(t, c.sockets, c.uses)
			pool := r.udp(server)
			if pool.poll == nil {
				t.Fatal("there is no poller")
			}
			const askers, each = 16, 200
			var wg sync.WaitGroup
			var lost atomic.Int32
			for a := range askers {
				wg.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(a), 1))
					to := make(chan *received, 1)
					for range each {
						id := uint16(rng.Uint32())
						msg := dns.AppendQuestion(nil, id, 0, dns.Question{Name: dns.MustParseName("www.example."), Type: dns.TypeA, Class: dns.ClassINET}, 0, false, nil)
						at := &attempt{}
						p := &pending{attempt: at, server: server, id: id, wire: questionSection(msg), to: to}
						u, err := pool.send(p, msg)
						if err != nil {
							t.Error(err)
							return
						}
						select {
						case got := <-to:
							if got.err != nil || got.wrong || got.attempt != at || uint16(got.msg[0])<<8|uint16(got.msg[1]) != id {
								t.Errorf("question %d: %+v", id, got)
							}
						case <-time.After(5 * time.Second): // loopback drops what does not fit into a buffer
							pool.forget(u, p)
							lost.Add(1)
						}
					}
				})
			}
			wg.Wait()
			if n := lost.Load(); n > askers*each/100 {
				t.Errorf("%d of %d replies were lost", n, askers*each)
			}
		})
	}
}

// A closed resolver takes no more questions, and closing it while questions are under way leaves no descriptor behind.
func TestPollerClose(t *testing.T) {
	server := echoServer(t, "127.0.0.1:0")
	server = netip.AddrPortFrom(server.Addr().Unmap(), server.Port())
	r := realResolver(t, 256, 2)
	pool := r.udp(server)
	var wg sync.WaitGroup
	for a := range 4 {
		wg.Go(func() {
			for i := range 500 {
				id := uint16(a*500 + i)
				msg := dns.AppendQuestion(nil, id, 0, dns.Question{Name: dns.MustParseName("www.example."), Type: dns.TypeA, Class: dns.ClassINET}, 0, false, nil)
				if _, err := pool.send(&pending{attempt: &attempt{}, server: server, id: id, wire: questionSection(msg), to: make(chan *received, 1)}, msg); err != nil {
					return
				}
			}
		})
	}
	r.Close()
	wg.Wait()
	if _, err := pool.send(&pending{server: server}, nil); !errors.Is(err, errClosed) {
		t.Errorf("sending afterwards: %v", err)
	}
	pool.poll.mu.Lock()
	defer pool.poll.mu.Unlock()
	for fd, c := range pool.poll.sockets {
		if c != nil {
			t.Errorf("descriptor %d is open", fd)
		}
	}
}
