package listen

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Answers of a batch that go to one client leave as one message that the kernel cuts apart (UDP_SEGMENT; udp(7)): one way through its layers for all of them, which costs as
// much as one answer by itself. All must be of one size but the last, which may be shorter. So the answers to each client are ordered by size; a run of one size is a message, and takes the first of
// the next size with it.
const (
	// segmentsMost is how many answers one message may be cut into (UDP_MAX_SEGMENTS of kernels before 6.9).
	segmentsMost = 64
	// segmentedMost is how many octets: the longest UDP datagram over IPv4, less some for options.
	segmentedMost = 65000
)

// sending is what sendmmsg is told. The first msgs messages are to be sent; message i holds answers start[i] to start[i+1]-1 in the order of outVec.
type sending struct {
	out        [batchLen]mmsghdr
	outVec     [batchLen]unix.Iovec
	outControl [batchLen]control
	start      [batchLen + 1]uint8
	order      [batchLen]uint8 // of the query whose answer is in outVec at that place
	msgs       int
	segments   bool // the kernel cuts messages apart

	peers [batchLen]peer
	seen  int                 // the peer that was looked up last
	table [2 * batchLen]uint8 // one more than the number of a peer, by hash of its address; 0: free
}

// peer is a client of a batch, and the answers to it, chained.
type peer struct {
	first, last uint8 // queries
	n           uint8
	mixed       bool // of several sizes
}

// send sends the answers of a batch. What the system refuses is counted; the rest goes out.
func (b *batch) send(fd uintptr) {
	b.msgs = 0
	if b.n == 1 {
		if len(b.queries[0].Answer) > 0 {
			b.place(0, 0)
			b.message(0, 1)
		}
	} else {
		b.group()
	}
	if b.msgs == 0 {
		return
	}
	m := b.u.s.metrics
	answers, octets, cut := 0, 0, 0
	for at := 0; at < b.msgs; {
		n, errno := b.sendFrom(at, fd)
		if errno == unix.EAGAIN {
			n, errno = b.sendLater(at)
		}
		switch errno {
		case 0:
			for i := at; i < at+n; i++ {
				k := int(b.start[i+1]) - int(b.start[i])
				answers += k
				if k > 1 {
					cut++
				}
				octets += int(b.out[i].n)
			}
			at += n
			continue
		case unix.EINTR:
			continue
		}
		sent, size := b.sendSingly(at, errno)
		answers, octets = answers+sent, octets+size
		at++
	}
	m.udp.sent.Add(uint64(answers))
	m.udp.sentBytes.Add(uint64(octets))
	if cut > 0 {
		m.segmented.Add(uint64(cut))
	}
}

// group lines the answers up in messages, each client's together.
func (b *batch) group() {
	var next [batchLen]uint8
	peers := 0
	last := -1 // message of the answer before, whose peer is known
	clear(b.table[:])
	for i := range b.n {
		if len(b.queries[i].Answer) == 0 {
			continue
		}
		var p *peer
		if msg := int(b.from[i]); msg == last && peers > 0 {
			p = &b.peers[b.seen]
		} else {
			last = msg
			p = b.peerOf(i, &peers)
		}
		if p.n == 0 {
			p.first = uint8(i)
		} else {
			next[p.last] = uint8(i)
			p.mixed = p.mixed || len(b.queries[p.last].Answer) != len(b.queries[i].Answer)
		}
		p.last = uint8(i)
		p.n++
	}
	placed := 0
	for k := range peers {
		p := &b.peers[k]
		from := placed
		for i := p.first; ; i = next[i] {
			b.order[placed] = i
			placed++
			if i == p.last {
				break
			}
		}
		if p.mixed {
			b.sortBySize(b.order[from:placed])
		}
		b.messages(from, placed)
	}
}

// peerOf returns the peer of query i, new or known.
func (b *batch) peerOf(i int, peers *int) *peer {
	q := &b.queries[i]
	name := (*[3]uint64)(unsafe.Pointer(&b.names[b.from[i]])) // family, port and address; of IPv6 the half that tells clients apart least is left out
	h := name[0]
	if q.Client.Addr().Is6() {
		h ^= name[1] ^ name[2]
	}
	for slot := h * 0x9e3779b97f4a7c15 >> 57; ; slot = (slot + 1) % uint64(len(b.table)) { // never full: it is twice as long as a batch
		k := b.table[slot]
		if k == 0 {
			b.seen = *peers
			b.peers[b.seen] = peer{}
			*peers++
			b.table[slot] = uint8(*peers)
			b.peers[b.seen].first = uint8(i)
			return &b.peers[b.seen]
		}
		p := &b.peers[k-1]
		if other := &b.queries[p.first]; other.Client == q.Client && other.Local == q.Local {
			b.seen = int(k - 1)
			return p
		}
	}
}

// sortBySize puts the largest answers first. A batch is so short that this is the quickest way, and mostly in order.
func (b *batch) sortBySize(order []uint8) {
	for i := 1; i < len(order); i++ {
		q := order[i]
		size := len(b.queries[q].Answer)
		k := i
		for ; k > 0 && len(b.queries[order[k-1]].Answer) < size; k-- {
			order[k] = order[k-1]
		}
		order[k] = q
	}
}

// messages makes messages of the answers from..to in order, which are for one client.
func (b *batch) messages(from, to int) {
	for i := from; i < to; {
		size := b.place(i, b.order[i])
		total, end := size, i+1
		for b.segments && end < to && end-i < segmentsMost {
			next := len(b.queries[b.order[end]].Answer)
			if total+next > segmentedMost || next > size {
				break
			}
			b.place(end, b.order[end])
			total += next
			end++
			if next < size {
				break
			}
		}
		b.message(i, end)
		i = end
	}
}

// place puts the answer to a query into outVec and returns its size.
func (b *batch) place(at int, query uint8) int {
	answer := b.queries[query].Answer
	b.order[at] = query
	b.outVec[at].Base = &answer[0]
	b.outVec[at].SetLen(len(answer))
	return len(answer)
}

// message makes a message of the answers from..to in outVec.
func (b *batch) message(from, to int) {
	m := b.msgs
	b.start[m], b.start[m+1] = uint8(from), uint8(to)
	query := b.order[from]
	in := &b.in[b.from[query]].header
	h := &b.out[m].header
	h.Name, h.Namelen = in.Name, in.Namelen // back to where it came from
	h.Iov = &b.outVec[from]
	h.SetIovlen(to - from)
	n := 0
	if b.u.wildcard {
		n = b.outControl[m].set(b.queries[query].Local.Addr(), b.u.v6)
	}
	if to-from > 1 {
		n += b.outControl[m].setSegment(n, len(b.queries[query].Answer))
	}
	h.Control = nil
	if n > 0 {
		h.Control = (*byte)(unsafe.Pointer(&b.outControl[m]))
	}
	h.SetControllen(n)
	b.msgs++
}

// sendFrom sends the messages from at on, as many as the kernel takes at once.
func (b *batch) sendFrom(at int, fd uintptr) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&b.out[at])), uintptr(b.msgs-at), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// sendLater is sendFrom once the send buffer has room. Nothing is read meanwhile, which slows down the right ones.
func (b *batch) sendLater(at int) (n int, errno syscall.Errno) {
	err := b.raw.Write(func(fd uintptr) bool {
		// Tried again before waiting, because room that came before the poller was asked would not be told.
		n, errno = b.sendFrom(at, fd)
		return errno != unix.EAGAIN
	})
	if err != nil {
		return 0, unix.EBADF // closed
	}
	return n, errno
}

// sendSingly sends the answers of a message one by one, for which the system has refused it as a whole.
func (b *batch) sendSingly(at int, errno syscall.Errno) (answers, octets int) {
	m := b.u.s.metrics
	from, to := int(b.start[at]), int(b.start[at+1])
	if to-from > 1 {
		m.segmentsRefused.Inc()
		if errno == unix.EIO { // the interface, or something on the way to it, can't do it; others say why for this message alone
			b.segments = false
		}
	} else if errno != unix.EMSGSIZE {
		b.u.sendFailed(errno)
		return 0, 0
	}
	for _, query := range b.order[from:to] {
		q := &b.queries[query]
		if n := b.u.sendOne(q.Answer, q.Client, q.Local.Addr()); n > 0 {
			answers, octets = answers+1, octets+n
		}
	}
	return answers, octets
}
