package listen

import (
	"math/bits"
	"net/netip"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batchLen is how many messages one system call takes or sends, and how many queries are served together. The cost is per packet more than per call, but
// the more answers there are to one client, the more of them have one size and leave as one message: with answers of many sizes 128 take 6 % less
// than 64 (medians of 11 rounds each). A longer one would gain little, and delay the first answer of a batch.
const batchLen = 128

const (
	// The numbers of peers and queries are kept in octets.
	_ = uint8(2*batchLen - 1)

	// inMost is the room for one message: the kernel puts packets of one client together up to 64 KiB (UDP_GRO), whatever their number.
	inMost = 1 << 16
	// inStride is the distance of two such rooms, for the reason of udpStride. 128 of them are 8.4 MB of addresses for each loop, but only what was ever
	// written to is memory: as long as messages are shorter than a page, 128 to 256 pages, 1 MiB at most.
	inStride = inMost + 64
)

// mmsghdr is the kernel's struct of that name.
type mmsghdr struct {
	header unix.Msghdr
	n      uint32
}

// name is room for the address of a client as the kernel writes it, unix.RawSockaddrInet4 or unix.RawSockaddrInet6, in words so that it is compared quickly.
// What the kernel does not write stays 0.
type name [4]uint64

// peer is one client, asking at one of our addresses, in what was received last.
type peer struct {
	name   *name
	client netip.AddrPort
	local  netip.AddrPort
}

// taken is what was received.
type taken struct {
	packets, octets int
	joined          int // of the packets, those that came with others
}

// batch is the memory of one loop: what recvmmsg fills, what of it is served together, and what sendmmsg sends. It points into itself, so it must not be
// copied.
type batch struct {
	u   *udpSocket
	raw syscall.RawConn
	m   loopMetrics

	memory    []byte // rooms of inStride, then of udpStride
	inLen     int    // octets of a room that are used
	used      int    // messages that the kernel wrote to last
	in        [batchLen]mmsghdr
	inVec     [batchLen]unix.Iovec
	names     [batchLen]name
	inControl [batchLen]control

	// The clients of these messages, and an open-addressing table from names to them: number plus one, 0 for none. Twice as long as need be.
	peers  [batchLen]peer
	nPeers int
	slots  [2 * batchLen]uint8

	queries [batchLen]Query
	from    [batchLen]uint8 // the peer of each
	taken   taken           // and not counted yet

	sending
}

func newBatch(u *udpSocket, raw syscall.RawConn) *batch {
	b := &batch{u: u, raw: raw, m: u.s.metrics.forLoop(), inLen: udpMost + 1}
	b.gso = !u.s.plainly && u.segments()
	if u.rows {
		b.inLen = inMost
	}
	b.memory = rooms(batchLen * (inStride + udpStride))
	for i := range batchLen {
		b.inVec[i].Base = &b.memory[i*inStride]
		b.inVec[i].SetLen(b.inLen)
		h := &b.in[i].header
		h.Iov = &b.inVec[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&b.names[i]))
		if u.wildcard || u.rows {
			h.Control = (*byte)(unsafe.Pointer(&b.inControl[i]))
		}
	}
	b.used = batchLen
	return b
}

// rooms returns n octets of memory that take none until they are written to, and that the collector does not count as heap.
func rooms(n int) []byte {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return make([]byte, n)
	}
	unix.Madvise(b, unix.MADV_NOHUGEPAGE) // one octet must not take 2 MiB
	return b
}

// close gives the memory back. Nothing may use what the handler was given any more.
func (b *batch) close() { unix.Munmap(b.memory) }

// receive takes up to batchLen messages without waiting.
//
// The two calls are made without telling the scheduler (RawSyscall6), which saves a fifth of the CPU that a query costs. They
// never wait, so the price is that this thread cannot be stopped for the time of one batch, 0.3 ms at most.
func (b *batch) receive(fd uintptr) (int, syscall.Errno) {
	for i := range b.used { // the kernel has overwritten these
		h := &b.in[i].header
		h.Namelen = unix.SizeofSockaddrInet6
		if h.Control != nil {
			h.SetControllen(controlLen)
		}
	}
	b.used = 0
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.in)), batchLen, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	b.used = int(n)
	return b.used, 0
}

// serve has the packets of the first n messages answered, batchLen at a time. It returns how many packets they were, and how many of them went to the
// handler one by one.
func (b *batch) serve(n int, fd uintptr) (packets, singly int) {
	u := b.u
	b.nPeers = 0
	clear(b.slots[:])
	k := 0
	var t told
	for i := range n {
		in := &b.in[i]
		if in.header.Control != nil {
			t = b.inControl[i].read(&in.header)
		}
		data := b.memory[i*inStride:][:in.n]
		number := b.peerOf(i, t.local)
		p := &b.peers[number]
		segment := len(data)
		if 0 < t.segment && t.segment < segment {
			segment = t.segment
			b.taken.joined += (len(data) + segment - 1) / segment
		}
		for first := true; first || len(data) > 0; first = false {
			packet := data[:min(segment, len(data))]
			data = data[len(packet):]
			packets++
			b.taken.packets++
			b.taken.octets += len(packet)
			if len(data) == 0 && in.header.Flags&unix.MSG_TRUNC != 0 { // its rest is lost
				u.s.metrics.dropUDPLong.Inc()
				continue
			}
			if !u.servable(len(packet), p.client.Port()) {
				continue
			}
			b.queries[k] = Query{
				Data: packet[:len(packet):len(packet)], Client: p.client, Local: p.local,
				Out: b.memory[batchLen*inStride+k*udpStride:][:0:udpStride],
			}
			b.from[k] = number
			if k++; k == batchLen {
				singly += b.answer(k, fd)
				k = 0
			}
		}
	}
	if k > 0 {
		singly += b.answer(k, fd)
	}
	b.count()
	return packets, singly
}

// count adds what was taken to the metrics, and begins anew. What is answered has been counted as received before.
func (b *batch) count() {
	if b.taken.packets == 0 {
		return
	}
	b.m.received.Add(uint64(b.taken.packets))
	b.m.receivedBytes.Add(uint64(b.taken.octets))
	if b.taken.joined > 0 {
		b.m.joined.Add(uint64(b.taken.joined))
	}
	b.taken = taken{}
}

// answer has the first k queries answered, sends what is to be sent now, and returns how many went to the handler one by one.
func (b *batch) answer(k int, fd uintptr) (singly int) {
	b.count()
	queries := b.queries[:k]
	b.m.batches.Inc()
	singly = b.u.serve(queries)
	b.lineUp(queries)
	b.send(fd)
	clear(b.outVec[:len(queries)]) // what they point to may be large
	for i := range queries {
		queries[i].Answer, queries[i].Note = nil, nil
	}
	return singly
}

// peerOf returns the number of the peer that message i comes from. local is what the kernel told of it.
func (b *batch) peerOf(i int, local netip.Addr) uint8 {
	u := b.u
	if !u.wildcard {
		local = u.addr.Addr()
	}
	name := &b.names[i]
	for slot := name.hash(); ; slot = (slot + 1) % len(b.slots) {
		if b.slots[slot] == 0 {
			b.slots[slot] = uint8(b.nPeers + 1)
			b.peers[b.nPeers] = peer{name, clientAddr((*unix.RawSockaddrInet6)(unsafe.Pointer(name))), netip.AddrPortFrom(local, u.addr.Port())}
			b.nPeers++
			return uint8(b.nPeers - 1)
		}
		if p := &b.peers[b.slots[slot]-1]; *p.name == *name && (!u.wildcard || p.local.Addr() == local) {
			return b.slots[slot] - 1
		}
	}
}

// hash returns a number below 2*batchLen. One who can choose 128 addresses to collide makes 8,128 comparisons of a batch, some 120 ns a packet.
func (n *name) hash() int {
	h := n[0] ^ bits.RotateLeft64(n[1], 17) ^ bits.RotateLeft64(n[2], 31) ^ n[3]
	return int(h * 0x9e3779b97f4a7c15 >> (64 - 8)) // 2*batchLen is 1<<8
}

// clientAddr returns the address that the kernel wrote, IPv4 never as IPv6. A link-local one keeps its interface by number.
func clientAddr(sa *unix.RawSockaddrInet6) netip.AddrPort {
	if sa.Family == unix.AF_INET {
		sa4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(sa4.Addr), bigEndian(&sa4.Port))
	}
	a := netip.AddrFrom16(sa.Addr).Unmap()
	if sa.Scope_id != 0 && a.IsLinkLocalUnicast() && a.Is6() {
		a = a.WithZone(strconv.FormatUint(uint64(sa.Scope_id), 10))
	}
	return netip.AddrPortFrom(a, bigEndian(&sa.Port))
}

// bigEndian reads a port as the kernel keeps it.
func bigEndian(port *uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(port))
	return uint16(b[0])<<8 | uint16(b[1])
}
