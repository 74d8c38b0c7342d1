package listen

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// maxSegments is how many packets one message may be sent as: what kernels before 6.9 take.
	maxSegments = 64
	// maxSegmented is how many octets they may have in all: 64 KiB less the headers of IPv6 and UDP.
	maxSegmented = 1<<16 - 1 - 40 - 8
)

// sending is the part of a batch that is on its way out. A message is one packet, or several to one client that all have one size, the last may be
// shorter: the kernel takes them through its stack as one and cuts them at the end (UDP_SEGMENT), which is the larger part of what an answer costs.
type sending struct {
	gso bool // the kernel does that

	n          int // messages
	out        [batchLen]mmsghdr
	outControl [batchLen]control
	plain      [batchLen]int // octets of the control that do not tell of segments
	outVec     [batchLen]unix.Iovec
	single     mmsghdr // where a message has to be sent in its parts

	order  [batchLen]uint8 // of the queries: by peer, then by size, the largest first
	groups [batchLen]group
}

// group is a message as it is put together.
type group struct {
	first, n int // in order: of one size
	closer   int // a shorter one to end with; -1: there is none
	open     bool
}

// lineUp makes messages of the answers to queries, as few as it can.
func (b *batch) lineUp(queries []Query) {
	b.n = 0
	// Sort by peer: count, then place.
	var at [batchLen + 1]uint8
	for i := range queries {
		if len(queries[i].Answer) > 0 {
			at[b.from[i]+1]++
		}
	}
	for p := range b.nPeers {
		at[p+1] += at[p]
	}
	if at[b.nPeers] == 0 {
		return
	}
	for i := range queries {
		if len(queries[i].Answer) > 0 {
			p := b.from[i]
			b.order[at[p]] = uint8(i)
			at[p]++
		}
	}
	vec, first := 0, 0
	for p := range b.nPeers { // at[p] is where the next begins now
		if next := int(at[p]); next > first {
			vec = b.lineUpPeer(queries, &b.peers[p], b.order[first:next], vec)
			first = next
		}
	}
}

// lineUpPeer makes the messages to one peer of the answers to the queries in order, with outVec from vec on. It returns what of that comes next.
func (b *batch) lineUpPeer(queries []Query, p *peer, order []uint8, vec int) int {
	size := func(i int) int { return len(queries[order[i]].Answer) }
	if b.gso {
		for i := 1; i < len(order); i++ { // mostly sorted already, and short
			for k := i; k > 0 && size(k) > size(k-1); k-- {
				order[k], order[k-1] = order[k-1], order[k]
			}
		}
	}
	// A size that there is only once can end a message of larger ones. One message takes one of these.
	groups, open := b.groups[:0], 0
	for i := 0; i < len(order); {
		one := size(i)
		end := i + 1
		for end < len(order) && size(end) == one {
			end++
		}
		most := 1
		if b.gso {
			most = max(1, min(maxSegments, maxSegmented/one))
			if end == i+1 {
				for open < len(groups) && !groups[open].open {
					open++
				}
				if open < len(groups) {
					groups[open].closer = i
					open++
					i = end
					continue
				}
			}
		}
		for i < end {
			n := min(most, end-i)
			groups = append(groups, group{first: i, n: n, closer: -1, open: n < most})
			i += n
		}
	}
	for g := range groups {
		begin := vec
		for i := range groups[g].n {
			b.point(vec, queries[order[groups[g].first+i]].Answer)
			vec++
		}
		if groups[g].closer >= 0 {
			b.point(vec, queries[order[groups[g].closer]].Answer)
			vec++
		}
		b.message(p, begin, vec)
	}
	return vec
}

func (b *batch) point(i int, answer []byte) {
	b.outVec[i].Base = &answer[0]
	b.outVec[i].SetLen(len(answer))
}

// message adds a message to p, of the answers that outVec[begin:end] points to.
func (b *batch) message(p *peer, begin, end int) {
	h := &b.out[b.n].header
	h.Name, h.Namelen = (*byte)(unsafe.Pointer(p.name)), unix.SizeofSockaddrInet4 // back to where it came from
	if b.u.v6 {
		h.Namelen = unix.SizeofSockaddrInet6
	}
	h.Iov = &b.outVec[begin]
	h.SetIovlen(end - begin)
	c, n := &b.outControl[b.n], 0
	if b.u.wildcard {
		n = c.set(p.local.Addr(), b.u.v6)
	}
	b.plain[b.n] = n
	if end-begin > 1 {
		n = c.segments(n, int(b.outVec[begin].Len))
	}
	h.Control = nil
	if n > 0 {
		h.Control = (*byte)(unsafe.Pointer(c))
	}
	h.SetControllen(n)
	b.n++
}

// parts returns what a message consists of.
func (b *batch) parts(i int) []unix.Iovec {
	h := &b.out[i].header
	return unsafe.Slice(h.Iov, h.Iovlen)
}

// send sends what was lined up. What the system refuses is counted; the rest goes out.
func (b *batch) send(fd uintptr) {
	packets, octets, cut := 0, 0, 0
	for at := 0; at < b.n; {
		if !b.gso && len(b.parts(at)) > 1 { // that ended with a message before
			n, o := b.sendParts(at, fd, 0)
			packets, octets, at = packets+n, octets+o, at+1
			continue
		}
		n, errno := b.sendSome(b.out[at:b.n], fd)
		if errno != 0 {
			n, o := b.sendParts(at, fd, errno)
			packets, octets, at = packets+n, octets+o, at+1
			continue
		}
		for i := at; i < at+n; i++ {
			parts := b.parts(i)
			packets += len(parts)
			if len(parts) > 1 {
				cut += len(parts)
			}
			octets += int(parts[0].Len)*(len(parts)-1) + int(parts[len(parts)-1].Len)
		}
		at += n
	}
	b.m.sent.Add(uint64(packets))
	b.m.sentBytes.Add(uint64(octets))
	if cut > 0 {
		b.m.cut.Add(uint64(cut))
	}
}

// sendParts sends the parts of a message one by one, since the whole was refused with errno, or need not be tried (0). It returns how many packets and
// octets were sent.
//
// EMSGSIZE, and EINVAL of older kernels, may mean that a part is longer than the interface takes: that is the answer's fault. EIO (no checksums by this way) and EINVAL
// otherwise mean that it does not work here: then it is not tried again on this socket.
func (b *batch) sendParts(i int, fd uintptr, errno syscall.Errno) (packets, octets int) {
	parts, whole := b.parts(i), errno
	if len(parts) > 1 {
		errno = 0
	}
	b.single.header = b.out[i].header
	h := &b.single.header
	h.SetIovlen(1)
	h.SetControllen(b.plain[i])
	if b.plain[i] == 0 {
		h.Control = nil
	}
	for k := range parts {
		h.Iov = &parts[k]
		if errno == 0 {
			_, errno = b.sendSome(unsafe.Slice(&b.single, 1), fd)
		}
		if k == 0 && len(parts) > 1 && b.gso && (whole == unix.EIO || whole == unix.EINVAL && errno == 0) {
			b.gso = false
			b.u.s.metrics.gsoFallbacks.Inc()
			b.u.s.log.Info("answers are sent one by one from here: the system refuses several at once", "address", b.u.addr, "error", whole)
		}
		if errno == unix.EMSGSIZE {
			if cut := truncated(unsafe.Slice(parts[k].Base, parts[k].Len)); cut != nil {
				b.u.s.metrics.truncated.Inc()
				parts[k].Base = &cut[0]
				parts[k].SetLen(len(cut))
				_, errno = b.sendSome(unsafe.Slice(&b.single, 1), fd)
			}
		}
		if errno != 0 {
			b.u.sendFailed(errno)
			errno = 0
			continue
		}
		packets++
		octets += int(parts[k].Len)
	}
	return packets, octets
}

// sendSome sends messages, from the first on and as many as the kernel takes at once, at least one unless it fails.
func (b *batch) sendSome(messages []mmsghdr, fd uintptr) (int, syscall.Errno) {
	n, errno := sendmmsg(messages, fd)
	if errno == unix.EAGAIN {
		return b.sendLater(messages)
	}
	return n, errno
}

// sendLater is sendSome once the send buffer has room. Nothing is read meanwhile, which slows down the right ones.
func (b *batch) sendLater(messages []mmsghdr) (n int, errno syscall.Errno) {
	err := b.raw.Write(func(fd uintptr) bool {
		// Tried again before waiting, because room that came before the poller was asked would not be told.
		n, errno = sendmmsg(messages, fd)
		return errno != unix.EAGAIN
	})
	if err != nil {
		return 0, unix.EBADF // closed
	}
	return n, errno
}

func sendmmsg(messages []mmsghdr, fd uintptr) (int, syscall.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&messages[0])), uintptr(len(messages)), unix.MSG_DONTWAIT, 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}
