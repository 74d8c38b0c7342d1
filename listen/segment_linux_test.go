package listen

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// wanted is a query whose answer is to have so many octets.
func wanted(id uint16, size int) []byte {
	return query(id, string(binary.BigEndian.AppendUint16(nil, uint16(size)))+"to be answered")
}

// sized answers as wanted asks for: id, client and size repeated, so that parts of another answer show.
func sized(p Packet, out []byte, _ Reply) []byte {
	size := int(binary.BigEndian.Uint16(p.Data[12:]))
	out = append(out, p.Data[:12]...)
	out[2] |= 0x80
	for len(out) < size {
		out = append(out, p.Data[0], p.Data[1], byte(p.Client.Port()>>8), byte(p.Client.Port()))
	}
	return out[:size]
}

// batchSized is a BatchHandler that answers those with even ids in the loop, and panics at one id.
type batchSized struct {
	HandlerFunc
	t     *testing.T
	panic uint16

	mu      sync.Mutex
	loops   int
	longest int
}

func (h *batchSized) Loop() Loop {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.loops++
	return loopFunc(func(queries []Query) {
		h.mu.Lock()
		h.longest = max(h.longest, len(queries))
		h.mu.Unlock()
		for i := range queries {
			q := &queries[i]
			if len(q.Out) != 0 || cap(q.Out) < 4096+64 || len(q.Data) < 12 || q.Client.Port() == 0 {
				h.t.Errorf("query %d of %d: room %d of %d, %d octets from %v", i, len(queries), len(q.Out), cap(q.Out), len(q.Data), q.Client)
			}
			id := binary.BigEndian.Uint16(q.Data)
			if h.panic != 0 && id == h.panic {
				panic("as ordered")
			}
			if id%2 == 0 {
				q.Answer = sized(Packet{Data: q.Data, Client: q.Client}, q.Out, Reply{})
			}
		}
	})
}

type loopFunc func([]Query)

func (f loopFunc) ServeBatch(queries []Query) { f(queries) }

// Whatever way queries come and answers go, each client gets each of its answers once and whole, from the address that it asked.
func TestUDPBatches(t *testing.T) {
	sizes := map[string]func(i int) int{
		"one size":      func(int) int { return 100 },
		"all different": func(i int) int { return 100 + 7*i },
		"a few sizes":   func(i int) int { return []int{60, 1200, 60, 300}[i%4] },
		"growing":       func(i int) int { return 30 + 10*(i/8) },
		"large":         func(i int) int { return 3000 + i%2 },
	}
	for _, bound := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"} {
		for name, size := range sizes {
			for _, segments := range []bool{true, false} {
				for _, panics := range []uint16{0, 30} {
					what := bound + ", " + name
					if segments {
						what += ", in rows"
					}
					if panics != 0 {
						what += ", with a panic"
					}
					t.Run(what, func(t *testing.T) { testBatches(t, bound, size, segments, panics) })
				}
			}
		}
	}
}

func testBatches(t *testing.T, bound string, size func(int) int, segments bool, panics uint16) {
	const clients, each = 5, 150
	h := &batchSized{HandlerFunc: sized, t: t, panic: panics}
	s, err := Open(loopback(bound))
	if err != nil {
		t.Fatal(err)
	}
	s.Serve(h)
	hosts := []string{"127.0.0.1", "127.0.0.2"}
	if strings.HasPrefix(bound, "[::1]") {
		hosts = []string{"::1"}
	} else if strings.HasPrefix(bound, "127") {
		hosts = hosts[:1]
	}
	var all sync.WaitGroup
	for k := range clients {
		all.Go(func() {
			server := netip.AddrPortFrom(netip.MustParseAddr(hosts[k%len(hosts)]), s.Addrs()[0].Port())
			c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(server))
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			c.SetReadBuffer(4 << 20)
			c.SetDeadline(time.Now().Add(patience))
			var queries [][]byte
			for i := range each {
				queries = append(queries, wanted(uint16(i+1), size(i)))
			}
			for row := range slices.Chunk(queries, 50) {
				if !segments {
					for _, q := range row {
						if _, err := c.Write(q); err != nil {
							t.Error(err)
						}
					}
				} else {
					sendSegments(t, c, bytes.Join(row, nil), len(row[0]))
				}
			}
			port := uint16(c.LocalAddr().(*net.UDPAddr).Port)
			seen := map[uint16]bool{}
			in := make([]byte, 65536)
			for range each {
				n, err := c.Read(in)
				if err != nil {
					t.Errorf("client %d has %d of %d answers: %v", k, len(seen), each, err)
					return
				}
				id := binary.BigEndian.Uint16(in)
				want := sized(Packet{Data: wanted(id, size(int(id)-1)), Client: netip.AddrPortFrom(netip.Addr{}, port)}, nil, Reply{})
				if seen[id] || string(in[:n]) != string(want) {
					t.Errorf("client %d, answer %d, seen before: %v, of %d octets, want %d\n%x", k, id, seen[id], n, len(want), in[:min(n, 40)])
				}
				seen[id] = true
			}
		})
	}
	all.Wait()
	if err := s.Shutdown(t.Context()); err != nil { // the loops count after they have sent
		t.Error(err)
	}
	m := s.metrics
	if segments && m.joined.Value() == 0 {
		t.Error("no packets came joined")
	}
	if h.loops == 0 || h.longest > batchLen {
		t.Errorf("%d loops, the longest batch %d", h.loops, h.longest)
	}
	if got := m.udp.received.Value(); got != clients*each {
		t.Errorf("counted %d received, want %d", got, clients*each)
	}
	if got := m.udp.sent.Value(); got != clients*each {
		t.Errorf("counted %d sent, want %d", got, clients*each)
	}
	if (m.panics.Value() > 0) != (panics != 0) {
		t.Errorf("%d panics", m.panics.Value())
	}
}

// A kernel or interface that can't cut messages apart is not asked again; the answers go out all the same.
func TestUDPSegmentsRefused(t *testing.T) {
	s := start(t, sized, loopback("127.0.0.1:0"))
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(s.Addrs()[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	raw, err := s.udp[0].pc.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	b := newBatch(s.udp[0], raw)
	defer b.close()
	from := netip.MustParseAddrPort(c.LocalAddr().String())
	sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(&b.names[0]))
	sa.Family, sa.Addr = unix.AF_INET, from.Addr().As4()
	binary.BigEndian.PutUint16(unsafeBytes(&sa.Port), from.Port())
	b.peerOf(0, netip.Addr{})
	var queries []Query
	for i := range 3 {
		queries = append(queries, Query{Answer: query(uint16(i), "answer")})
	}
	b.lineUp(queries)
	if b.n != 1 {
		t.Fatalf("%d messages", b.n)
	}
	raw.Control(func(fd uintptr) {
		if packets, octets := b.sendParts(0, fd, unix.EMSGSIZE); packets != 3 || octets != 3*18 || !b.gso {
			t.Errorf("%d answers of %d octets, more to come: %v", packets, octets, b.gso)
		}
		if packets, _ := b.sendParts(0, fd, unix.EIO); packets != 3 || b.gso {
			t.Errorf("%d answers, more to come: %v", packets, b.gso)
		}
	})
	if got := s.metrics.gsoFallbacks.Value(); got != 1 {
		t.Errorf("counted %d", got)
	}
	in := make([]byte, 100)
	for range 6 {
		if n, err := c.Read(in); err != nil || n != 18 {
			t.Fatalf("%d octets, %v", n, err)
		}
	}
	c.SetReadDeadline(time.Now())
	if _, err := c.Read(in); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("more than was sent: %v", err)
	}
}

func unsafeBytes(p *uint16) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(p)), 2) }
