package listen

import (
	"net/netip"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A message that the kernel hands over may hold many packets of one client, of one size but for the last (UDP_GRO; udp(7)): where they came in one row, it
// has taken them through its own layers as one.
const (
	// messageMost is the longest such message: what a length of 16 bits can say.
	messageMost = 65535
	// messageStride is the distance of two of them, an odd number of cache lines. 64 of them are 4 MiB of address space for each loop, of which only what was filled
	// once takes memory: 256 KiB, where clients do not send in rows.
	messageStride = messageMost + 1 + 64
)

// receive takes up to batchLen messages without waiting.
//
// The system calls are made without telling the scheduler (RawSyscall6), which saves a fifth of the CPU that a query costs. They
// never wait, so the price is that this thread cannot be stopped for the time of one batch, about 0.1 ms.
func (b *batch) receive(fd uintptr) (int, syscall.Errno) {
	for i := range b.used { // the kernel has overwritten these
		h := &b.in[i].header
		h.Namelen = unix.SizeofSockaddrInet6
		h.SetControllen(controlLen)
	}
	b.used = 0
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.in)), batchLen, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	b.used = int(n)
	return int(n), 0
}

// cut hands the packets of the first n messages on, at most batchLen at a time.
func (b *batch) cut(n int, fd uintptr) {
	u, m := b.u, b.u.s.metrics
	var sizes [batchLen]int
	packets, octets := 0, 0
	for i := range n {
		in := &b.in[i]
		if in.header.Controllen > 0 {
			b.asked[i], sizes[i] = b.inControl[i].read(in.header)
		}
		packets++
		if size := sizes[i]; 0 < size && size < int(in.n) {
			packets += (int(in.n) - 1) / size
			m.coalesced.Inc()
		} else {
			sizes[i] = int(in.n)
		}
		octets += int(in.n)
	}
	m.udp.received.Add(uint64(packets))
	m.udp.receivedBytes.Add(uint64(octets))
	for i := range n {
		in := &b.in[i]
		data := b.inBuf[i*messageStride:][:in.n:messageStride]
		client, local := clientAddr(&b.names[i]), u.addr.Addr()
		if u.wildcard {
			local = b.asked[i]
		}
		for {
			size := min(sizes[i], len(data))
			if packet := data[:size:size]; u.admit(packet, client) {
				b.add(packet, client, local, i, fd)
			}
			if data = data[size:]; len(data) == 0 {
				break
			}
		}
	}
	b.flush(fd)
}

// add lines a packet of message i up, and serves what is lined up when that is a batch.
func (b *batch) add(packet []byte, client netip.AddrPort, local netip.Addr, i int, fd uintptr) {
	b.queries[b.n] = Query{
		Data: packet, Client: client, Local: netip.AddrPortFrom(local, b.u.addr.Port()), Out: b.outBuf[b.n*udpStride:][:0:udpStride],
	}
	b.from[b.n] = uint8(i)
	if b.n++; b.n == batchLen {
		b.flush(fd)
	}
}

// flush serves what is lined up and sends the answers.
func (b *batch) flush(fd uintptr) {
	if b.n == 0 {
		return
	}
	u := b.u
	queries := b.queries[:b.n]
	u.serveBatch(queries)
	for i := range queries {
		if q := &queries[i]; q.Answer == nil {
			q.Answer = u.serve(q.Data, q.Client, q.Local.Addr(), q.Out)
		}
	}
	b.send(fd)
	clear(queries)
	b.n = 0
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
