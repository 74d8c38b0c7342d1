package listen

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestUDPAnswerAtOnceDoesNotAllocate(t *testing.T) {
	for _, bound := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::]:0"} {
		s := start(t, echo, loopback(bound))
		c := dial(t, "udp", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), s.Addrs()[0].Port()))
		q, in := query(7, "question"), make([]byte, 512)
		if n := testing.AllocsPerRun(1000, func() {
			c.Write(q)
			c.Read(in)
		}); n != 0 {
			t.Errorf("listening on %s: %v allocations a query, want 0", bound, n)
		}
	}
}

func TestControlMessagesRoundTrip(t *testing.T) {
	for _, c := range []struct {
		local string
		v6    bool
	}{
		{"192.0.2.1", false}, {"192.0.2.1", true}, {"2001:db8::1", true}, {"fe80::1%7", true}, {"::1", true},
	} {
		local := netip.MustParseAddr(c.local)
		if got := localOf(controlFor(local, c.v6)); got != local {
			t.Errorf("%s over IPv6 %v: came back as %v", c.local, c.v6, got)
		}
	}
	for _, none := range []netip.Addr{{}, netip.MustParseAddr("ff02::1"), netip.MustParseAddr("224.0.0.1")} {
		if got := controlFor(none, none.Is6()); len(got) != 0 {
			t.Errorf("%v as source: %x, want the kernel's choice", none, got)
		}
	}
}

// newNetwork puts the calling goroutine into a network of its own, with a loopback interface that takes mtu octets and has the
// addresses given besides its own. Sockets made by this goroutine belong to it. It needs root.
func newNetwork(t *testing.T, mtu int, addrs ...string) {
	t.Helper()
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("making a network namespace: %v", err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for _, set := range []struct {
		request uint
		value   uint32
	}{{unix.SIOCSIFFLAGS, unix.IFF_UP}, {unix.SIOCSIFMTU, uint32(mtu)}} {
		lo, err := unix.NewIfreq("lo")
		if err != nil {
			t.Fatal(err)
		}
		if set.request == unix.SIOCSIFFLAGS {
			lo.SetUint16(uint16(set.value))
		} else {
			lo.SetUint32(set.value)
		}
		if err := unix.IoctlIfreq(fd, set.request, lo); err != nil {
			t.Fatal(err)
		}
	}
	fd6, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd6)
	for _, a := range addrs {
		request := struct { // struct in6_ifreq
			addr   [16]byte
			prefix uint32
			index  int32
		}{netip.MustParseAddr(a).As16(), 128, 1}
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd6), unix.SIOCSIFADDR, uintptr(unsafe.Pointer(&request))); errno != 0 {
			t.Fatalf("adding %s: %v", a, errno)
		}
		// The kernel makes it usable a little later.
		for deadline := time.Now().Add(patience); ; runtime.Gosched() {
			probe, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM, 0)
			if err != nil {
				t.Fatal(err)
			}
			err = unix.Bind(probe, &unix.SockaddrInet6{Addr: request.addr, ZoneId: 1})
			unix.Close(probe)
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("waiting for %s: %v", a, err)
			}
		}
	}
}

func TestUDPNeverSendsFragments(t *testing.T) {
	newNetwork(t, 1500)
	for _, c := range []struct {
		addr  string
		whole int // octets that fit: 1,500 less the headers
	}{{"127.0.0.1:0", 1500 - 20 - 8}, {"[::1]:0", 1500 - 40 - 8}, {"[::]:0", 1500 - 20 - 8}} {
		s := start(t, func(p Packet, out []byte, reply Reply) []byte {
			size := int(p.Data[12])<<8 | int(p.Data[13])
			answer := append(make([]byte, 0, size), query(1, "")...)[:size]
			if p.Data[1] == 1 {
				return answer
			}
			reply.Write(answer)
			return nil
		}, loopback(c.addr))
		server := s.Addrs()[0]
		if server.Addr().IsUnspecified() { // IPv4 over the IPv6 socket
			server = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), server.Port())
		}
		client := dial(t, "udp", server)
		for id := uint16(1); id <= 2; id++ {
			for size, want := range map[int]int{c.whole: c.whole, c.whole + 1: 12} {
				got := ask(t, client, query(id, string([]byte{byte(size >> 8), byte(size)})))
				if len(got) != want || (want == 12) != (got[2]&2 != 0) {
					t.Errorf("%s: an answer of %d octets came as %d, want %d: %x", c.addr, size, len(got), want, got[:4])
				}
			}
		}
	}
}

func TestUDPOnLinkLocalAndSecondAddresses(t *testing.T) {
	newNetwork(t, 65536, "fe80::1", "fe80::2", "2001:db8::1", "2001:db8::2")
	for _, c := range []struct{ listen, ask string }{
		{"[fe80::1%lo]:0", "fe80::1%lo"}, {"[::]:0", "fe80::1%lo"}, {"[::]:0", "fe80::2%lo"}, {"[::]:0", "2001:db8::1"}, {"[::]:0", "2001:db8::2"},
	} {
		for _, singly := range []bool{false, true} { // not as subtests, whose goroutines are in the other network
			locals := make(chan netip.Addr, 2)
			s := startWith(t, func(p Packet, out []byte, reply Reply) []byte {
				locals <- p.Local.Addr()
				if p.Data[1] == 1 {
					return append(out, p.Data...)
				}
				q := bytes.Clone(p.Data)
				go reply.Write(q)
				return nil
			}, loopback(c.listen), func(s *Server) { s.singly = singly })
			client := dial(t, "udp", netip.AddrPortFrom(netip.MustParseAddr(c.ask), s.Addrs()[0].Port()))
			for id := uint16(1); id <= 2; id++ {
				ask(t, client, query(id, ""))
				if got := <-locals; got.WithZone("") != netip.MustParseAddr(c.ask).WithZone("") {
					t.Errorf("listening on %s, asked at %s, singly %v: the handler was told %v", c.listen, c.ask, singly, got)
				}
			}
		}
	}
}

// fullBatch returns a full batch of messages that goes to the other end of a socket pair, whose queue is shorter.
func fullBatch(t *testing.T) (b *batch, s *Server, near, far *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1) // the least that the kernel allows
		f := os.NewFile(uintptr(fd), "pair")
		c, err := net.FileConn(f)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		t.Cleanup(func() { c.Close() })
		ends[i] = c.(*net.UnixConn)
	}
	s = newWorld(t, Limits{}, echo).Server
	raw, err := ends[0].SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	s.plainly = true
	b = newBatch(&udpSocket{s: s, reported: map[syscall.Errno]bool{}}, raw)
	b.nPeers = 1
	for i := range b.queries {
		b.queries[i].Answer = query(uint16(i), strings.Repeat("x", 300))
	}
	b.lineUp(b.queries[:])
	for i := range b.out {
		b.out[i].header.Name, b.out[i].header.Namelen = nil, 0 // there is only one that it can go to
	}
	t.Cleanup(b.close)
	return b, s, ends[0], ends[1]
}

func TestUDPFullSendBufferIsWaitedFor(t *testing.T) {
	b, s, _, far := fullBatch(t)
	var sending sync.WaitGroup
	sending.Go(func() { b.raw.Control(b.send) })
	in := make([]byte, 512)
	for i := range batchLen {
		if n, err := far.Read(in); err != nil || n != 312 || in[1] != byte(i) {
			t.Fatalf("message %d: %d octets, %x, %v", i, n, in[:2], err)
		}
	}
	sending.Wait()
	if got := s.metrics.udp.sent.Value(); got != batchLen {
		t.Errorf("counted %d sent, want %d", got, batchLen)
	}
}

func TestUDPCloseEndsTheWaitForASendBuffer(t *testing.T) {
	b, s, near, far := fullBatch(t)
	var sending sync.WaitGroup
	sending.Go(func() { b.raw.Control(b.send) })
	if _, err := far.Read(make([]byte, 512)); err != nil { // so it has begun
		t.Fatal(err)
	}
	near.Close()
	sending.Wait()
	if sent, lost := s.metrics.udp.sent.Value(), s.metrics.dropUDPSend.Value(); sent+lost != batchLen || lost == 0 {
		t.Errorf("%d sent and %d lost, want %d in all and some lost", sent, lost, batchLen)
	}
}
