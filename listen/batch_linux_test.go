package listen

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestAnswersAreLinedUpInFewMessages puts answers, written as peer and size, into messages. Sizes in one message are joined by "+".
func TestAnswersAreLinedUpInFewMessages(t *testing.T) {
	s := newWorld(t, Limits{}, echo).Server
	s.plainly = true // the socket pair below is none of UDP
	for _, c := range []struct {
		name, answers, want string
		plainly             bool
	}{
		{"none", "", "", false},
		{"one", "a100", "a100", false},
		{"not answered in the loop", "a0 a0", "", false},
		{"one size", "a100 a100 a100", "a100+100+100", false},
		{"one size, no segments", "a100 b90 a100", "a100 a100 b90", true},
		{"two peers in turn", "a100 b100 a100 b100 a0", "a100+100 b100+100", false},
		{"a shorter one ends a message", "a90 a100 a100", "a100+100+90", false},
		{"a longer one begins another", "a100 a120 a100", "a120 a100+100", false},
		{"singles pair off", "a80 a100 a70 a90", "a100+90 a80+70", false},
		{"a single ends the first that is open", "a70 a100 a100 a90 a90 a80", "a100+100+80 a90+90+70", false},
		{"a peer's single ends no other peer's", "a100 a100 b90", "a100+100 b90", false},
		{"64 KiB at most", strings.Repeat("a4000 ", 20) + "a30", "a" + strings.Repeat("4000+", 15) + "4000 a4000+4000+4000+4000+30", false},
		{"65,487 octets at most", "a21829 a21829 a21829 b21830 b21830 b21830 b9", "a21829+21829+21829 b21830+21830 b21830+9", false},
		{"64 packets at most", strings.Repeat("a50 ", 64), "a" + strings.Repeat("50+", 63) + "50", false},
		{"too long for two", "a65000 a65000 a9", "a65000 a65000 a9", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBatch(&udpSocket{s: s}, nil)
			defer b.close()
			b.gso = !c.plainly
			var queries []Query
			for _, word := range strings.Fields(c.answers) {
				peer := int(word[0] - 'a')
				b.nPeers = max(b.nPeers, peer+1)
				b.peers[peer].name = &b.names[peer]
				var size int
				fmt.Sscan(word[1:], &size)
				b.from[len(queries)] = uint8(peer)
				queries = append(queries, Query{Answer: make([]byte, size)})
			}
			b.lineUp(queries)
			var got []string
			pointed := map[*byte]bool{}
			for i := range b.n {
				h := &b.out[i].header
				peer := (uintptr(unsafe.Pointer(h.Name)) - uintptr(unsafe.Pointer(&b.names))) / unsafe.Sizeof(name{})
				var sizes []string
				for _, part := range b.parts(i) {
					sizes = append(sizes, fmt.Sprint(part.Len))
					pointed[part.Base] = true
				}
				got = append(got, string(rune('a'+peer))+strings.Join(sizes, "+"))
				total := 0
				for _, part := range b.parts(i) {
					total += int(part.Len)
				}
				if total > maxSegmented && len(sizes) > 1 {
					t.Errorf("%d octets in one message", total)
				}
				if want := segmentControl(len(sizes), int(b.parts(i)[0].Len)); !bytes.Equal(controlBytes(h), want) {
					t.Errorf("control %x, want %x", controlBytes(h), want)
				}
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got  %s\nwant %s", strings.Join(got, " "), c.want)
			}
			for i, q := range queries {
				if len(q.Answer) > 0 && !pointed[&q.Answer[0]] {
					t.Errorf("answer %d is not sent", i)
				}
			}
		})
	}
}

func segmentControl(parts, size int) []byte {
	if parts == 1 {
		return nil
	}
	b := make([]byte, unix.CmsgSpace(2))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	binary.NativeEndian.PutUint16(b[unix.CmsgLen(0):], uint16(size))
	return b
}

func controlBytes(h *unix.Msghdr) []byte {
	if h.Controllen == 0 {
		return nil
	}
	return unsafe.Slice(h.Control, h.Controllen)
}

// oneLoop is loopback with one socket for each address.
func oneLoop(addrs ...string) Config {
	cfg := loopback(addrs...)
	cfg.Loops = 1
	return cfg
}

// sendSegments sends one message that the kernel cuts into packets of the size given.
func sendSegments(t testing.TB, c net.Conn, message []byte, size int) {
	t.Helper()
	if _, _, err := c.(*net.UDPConn).WriteMsgUDP(message, segmentControl(2, size), nil); err != nil {
		t.Fatal(err)
	}
}

// TestUDPEachQueryGetsItsAnswer asks over real sockets in all ways that packets can be put together, from many clients, with answers of many sizes.
func TestUDPEachQueryGetsItsAnswer(t *testing.T) {
	for _, c := range []struct {
		listen, ask string
		loops       int
	}{
		{"127.0.0.1:0", "127.0.0.1", 1}, {"[::1]:0", "::1", 2}, {"0.0.0.0:0", "127.0.0.2", 7}, {"[::]:0", "127.0.0.3", 3}, {"[::]:0", "::1", 1},
	} {
		for _, plainly := range []bool{false, true} {
			for _, together := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s at %s, server plainly %v, client together %v", c.listen, c.ask, plainly, together), func(t *testing.T) {
					h := new(batchEcho)
					cfg := loopback(c.listen)
					cfg.Loops = c.loops
					s := startBatch(t, h, cfg, func(s *Server) { s.plainly = plainly })
					server := netip.AddrPortFrom(netip.MustParseAddr(c.ask), s.Addrs()[0].Port())
					var clients sync.WaitGroup
					for i := range 10 {
						conn := dial(t, "udp", server)
						clients.Go(func() { askAll(t, conn, i, together) })
					}
					clients.Wait()
					s.Shutdown(context.Background())
					m := s.metrics
					if r, o := m.udp.received.Value(), m.udp.sent.Value(); r != 10*8*50 || o != r {
						t.Errorf("counted %d received and %d sent, want %d", r, o, 10*8*50)
					}
					joined, cut := m.joined.Value(), m.cut.Value()
					if (joined > 0) != (together && !plainly) {
						t.Errorf("%d packets came joined", joined)
					}
					if plainly && cut > 0 || together && !plainly && cut == 0 {
						t.Errorf("%d answers went out together", cut)
					}
					if n := h.loops.Load(); n != int64(c.loops) {
						t.Errorf("%d loops, want %d", n, c.loops)
					}
					if n := h.most.Load(); n > batchLen {
						t.Errorf("a batch of %d queries", n)
					}
					if m.gsoFallbacks.Value() != 0 || m.dropUDPSend.Value() != 0 {
						t.Errorf("%d fallbacks, %d not sent", m.gsoFallbacks.Value(), m.dropUDPSend.Value())
					}
				})
			}
		}
	}
}

// askAll sends 8 times 50 queries of one length each, and expects its own answers.
func askAll(t *testing.T, conn net.Conn, client int, together bool) {
	bodies := []string{"now", "else", "later", "own", "in place"}
	for round := range 8 {
		want := map[string]bool{}
		var all []byte
		size := 0
		for id := range 50 {
			q := query(uint16(id), fmt.Sprintf("%-10s%d:%0*d", bodies[(id+client)%len(bodies)], client, 3+round, id))
			if size == 0 {
				size = len(q)
			}
			all = append(all, q...)
			a := answered(nil, q)
			if b := bodies[(id+client)%len(bodies)]; b == "else" || b == "later" {
				a = append(a, ", singly"...)
			}
			want[string(a)] = true
		}
		if together {
			sendSegments(t, conn, all, size)
		} else {
			for q := range slices.Chunk(all, size) {
				conn.Write(q)
			}
		}
		in := make([]byte, 4096)
		for range 50 {
			n, err := conn.Read(in)
			if err != nil {
				t.Errorf("client %d still waits for %d: %v", client, len(want), err)
				return
			}
			if !want[string(in[:n])] {
				t.Errorf("client %d got %q", client, in[:n])
			}
			delete(want, string(in[:n]))
		}
	}
}

// TestUDPJoinedPacketsAreCut sends what the kernel may put together, as long as it can be, and what is wrong with it.
func TestUDPJoinedPacketsAreCut(t *testing.T) {
	for _, c := range []struct {
		name                 string
		packets, size, last  int // octets
		answers, short, long int
	}{
		{"the most packets", 64, 12, 12, 64, 0, 0},
		{"the last is shorter", 10, 40, 20, 10, 0, 0},
		{"the last is too short", 10, 40, 11, 9, 1, 0},
		{"all too short", 64, 1, 1, 0, 64, 0},
		{"the longest message", 46, 1400, 1400, 46, 0, 0},
		{"too long, with one that is not", 9, 7000, 100, 1, 0, 8},
		{"longest packets", 15, udpMost, udpMost, 15, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := new(batchEcho)
			s := startBatch(t, h, oneLoop("127.0.0.1:0"), func(*Server) {})
			conn := dial(t, "udp", s.Addrs()[0])
			var all []byte
			for i := range c.packets {
				n := c.size
				if i == c.packets-1 {
					n = c.last
				}
				all = append(all, make([]byte, max(n, 2))[:n]...)
				if n >= 12 {
					binary.BigEndian.PutUint16(all[len(all)-n:], uint16(i))
				}
			}
			sendSegments(t, conn, all, c.size)
			conn.Write(query(999, "")) // answered after all others
			seen := map[uint16]int{}
			for seen[999] == 0 {
				a := receive(t, conn)
				seen[binary.BigEndian.Uint16(a)] = len(a)
			}
			if len(seen) != c.answers+1 {
				t.Errorf("%d answers, want %d", len(seen)-1, c.answers)
			}
			s.Shutdown(context.Background())
			m := s.metrics
			if got := m.udp.received.Value(); got != uint64(c.packets)+1 {
				t.Errorf("%d received, want %d", got, c.packets+1)
			}
			if short, long := m.dropUDPShort.Value(), m.dropUDPLong.Value(); short != uint64(c.short) || long != uint64(c.long) {
				t.Errorf("%d short and %d long, want %d and %d", short, long, c.short, c.long)
			}
			if got := m.joined.Value(); got != uint64(c.packets) {
				t.Errorf("%d joined, want %d", got, c.packets)
			}
		})
	}
}

func TestUDPMessageLongerThanItsRoomLosesItsEnd(t *testing.T) {
	s, err := Open(oneLoop("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown(context.Background())
	s.handler = HandlerFunc(echo)
	s.udp[0].rows = s.udp[0].coalesce(true)
	conn := dial(t, "udp", s.Addrs()[0])
	raw, _ := s.udp[0].pc.SyscallConn()
	b := newBatch(s.udp[0], raw)
	defer b.close()
	for i := range b.inVec {
		b.inVec[i].SetLen(100)
	}
	sendSegments(t, conn, make([]byte, 5*30), 30) // 3 whole ones, and 10 octets
	conn.Write(make([]byte, 101))
	raw.Control(func(fd uintptr) {
		n, errno := b.receive(fd)
		if packets, singly := b.serve(n, fd); errno != 0 || n != 2 || packets != 5 || singly != 3 {
			t.Errorf("%d messages, %d packets, %d served one by one, %v; want 2, 5 and 3", n, packets, singly, errno)
		}
	})
	if got := s.metrics.dropUDPLong.Value(); got != 2 {
		t.Errorf("%d too long, want 2", got)
	}
	s.tickets.put(s.udp[0].ticket)
}

// TestUDPMixedSizesBeyondTheInterface answers a batch with sizes around what the interface takes: those that do not fit come truncated, the others whole.
func TestUDPMixedSizesBeyondTheInterface(t *testing.T) {
	newNetwork(t, 1500)
	for _, bound := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"} {
		s, err := Open(oneLoop(bound))
		if err != nil {
			t.Fatal(err)
		}
		server := s.Addrs()[0]
		whole := 1500 - 20 - 8
		if server.Addr().Is6() && !server.Addr().IsUnspecified() {
			whole = 1500 - 40 - 8
		}
		if server.Addr().IsUnspecified() {
			server = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), server.Port())
		}
		conn := dial(t, "udp", server)
		sizes := []int{100, whole + 1, whole, 100, whole + 1, 4000, whole, 50, 4000, whole - 1}
		for id, size := range sizes {
			conn.Write(query(uint16(id), string([]byte{byte(size >> 8), byte(size)})))
		}
		s.Serve(HandlerFunc(func(p Packet, out []byte, reply Reply) []byte {
			size := int(p.Data[12])<<8 | int(p.Data[13])
			return append(make([]byte, 0, size), query(uint16(p.Data[1]), "")...)[:size]
		}))
		for range sizes {
			a := receive(t, conn)
			want := sizes[a[1]]
			if want > whole {
				want = 12
			}
			if len(a) != want || (want == 12) != (a[2]&2 != 0) {
				t.Errorf("%s: an answer of %d octets came as %d: %x", bound, sizes[a[1]], len(a), a[:4])
			}
		}
		s.Shutdown(context.Background())
		if got := s.metrics.truncated.Value(); got != 4 {
			t.Errorf("%s: %d truncated, want 4", bound, got)
		}
		if s.metrics.gsoFallbacks.Value() != 0 || s.metrics.cut.Value() == 0 {
			t.Errorf("%s: %d fallbacks, %d sent together", bound, s.metrics.gsoFallbacks.Value(), s.metrics.cut.Value())
		}
	}
}

// TestUDPRefusedSegmentsAreSentOneByOne sends on a socket without checksums, where the kernel refuses UDP_SEGMENT (EINVAL; on some interfaces and routes it is
// EIO).
func TestUDPRefusedSegmentsAreSentOneByOne(t *testing.T) {
	s, err := Open(oneLoop("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.udp[0].control(func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_NO_CHECK, 1) }); err != nil {
		t.Fatal(err)
	}
	first, second := dial(t, "udp", s.Addrs()[0]), dial(t, "udp", s.Addrs()[0])
	for id := range uint16(20) { // all wait before the loop begins, so they are one batch
		first.Write(query(id, "now"))
		second.Write(query(id, "now, of another size"))
	}
	s.Serve(new(batchEcho))
	for _, c := range []net.Conn{first, second} {
		seen := map[byte]bool{}
		for range 20 {
			seen[receive(t, c)[1]] = true
		}
		if len(seen) != 20 {
			t.Errorf("%d different answers, want 20", len(seen))
		}
	}
	for id := range uint16(20) {
		first.Write(query(id, "now"))
	}
	for range 20 {
		receive(t, first)
	}
	s.Shutdown(context.Background())
	m := s.metrics
	if m.gsoFallbacks.Value() != 1 || m.cut.Value() != 0 || m.udp.sent.Value() != 60 || m.dropUDPSend.Value() != 0 {
		t.Errorf("%d fallbacks, %d sent together, %d sent, %d not; want 1, 0, 60, 0", m.gsoFallbacks.Value(), m.cut.Value(), m.udp.sent.Value(), m.dropUDPSend.Value())
	}
}

func TestPeersAreToldApart(t *testing.T) {
	s := newWorld(t, Limits{}, echo).Server
	s.plainly = true
	b := newBatch(&udpSocket{s: s, wildcard: true, addr: netip.MustParseAddrPort("[::]:53"), v6: true}, nil)
	defer b.close()
	locals := []netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("fe80::1%2"), netip.MustParseAddr("fe80::1%3")}
	seen := map[string]uint8{}
	for i := range batchLen {
		sa := (*unix.RawSockaddrInet6)(unsafe.Pointer(&b.names[i]))
		sa.Family = unix.AF_INET6
		sa.Port = uint16(i % 4)
		sa.Addr[15] = byte(i % 8 / 4)
		sa.Scope_id = uint32(i % 16 / 8)
		local := locals[i%len(locals)]
		key := fmt.Sprint(sa.Port, sa.Addr, sa.Scope_id, local)
		number := b.peerOf(i, local)
		if want, known := seen[key]; known && want != number || !known && int(number) != len(seen) {
			t.Errorf("peer %s is number %d, was %d; %d are known", key, number, want, len(seen))
		}
		seen[key] = number
	}
	if len(seen) != b.nPeers || len(seen) != 48 {
		t.Errorf("%d peers, %d told apart", len(seen), b.nPeers)
	}
}

func TestUDPClientsAreSpreadOverTheSockets(t *testing.T) {
	cfg := loopback("127.0.0.1:0")
	cfg.Loops = 8
	h := new(batchEcho)
	s := startBatch(t, h, cfg, func(*Server) {})
	for range 64 { // that all go to one of 8 happens once in 8 to the power of 63
		ask(t, dial(t, "udp", s.Addrs()[0]), query(1, "now"))
	}
	if n := h.askedLoops.Load(); n < 2 || len(s.udp) != 8 || len(s.tcp) != 1 || len(s.Addrs()) != 1 {
		t.Errorf("%d of %d UDP sockets were asked (%d TCP, %d addresses)", n, len(s.udp), len(s.tcp), len(s.Addrs()))
	}
}
