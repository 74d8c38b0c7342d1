package wasm

import (
	"os"
	"runtime"
	"syscall"
	"time"
)

// maxTurns is how many guests at once may yield by way of the network's poller: each has 2 open files. There are twice as many as processors at most: who has something to read waits for about as many slices, since all whose turn
// is over are before him in the scheduler's queue. The others that yield wait for one of them.
const maxTurns = 16

var (
	turns  = make(chan *turn, maxTurns) // those that nobody uses
	places = placesFor(min(maxTurns, 2*runtime.GOMAXPROCS(0)))
)

// placesFor returns a channel with one for each turn that may be made.
func placesFor(n int) chan struct{} {
	c := make(chan struct{}, n)
	for range n {
		c <- struct{}{}
	}
	return c
}

// turn has everybody else run before a guest goes on. To go to the end of the scheduler's queue is not enough: while that holds somebody, Go looks every 10 ms only whether something has arrived at sockets, and the loops that
// read them would wait for a guest that yields each half a millisecond. So who yields waits for an event of the same poller, which tells of the sockets in the same breath.
type turn struct {
	r, w  *os.File // a pipe
	conn  syscall.RawConn
	octet [1]byte
	asked bool
	err   error
	step  func(fd uintptr) bool
}

// newTurn makes one; nil: there are no more files.
func newTurn() *turn {
	t := new(turn)
	if t.r, t.w, t.err = os.Pipe(); t.err != nil {
		return nil
	}
	if t.conn, t.err = t.r.SyscallConn(); t.err == nil {
		t.err = t.r.SetReadDeadline(time.Time{}) // fails where no poller looks after it
	}
	if t.err != nil {
		t.close()
		return nil
	}
	t.step = t.wait
	return t
}

func (t *turn) close() {
	t.r.Close()
	t.w.Close()
}

// wait is called until it is true. First it makes the pipe readable, which the poller has to find out.
func (t *turn) wait(uintptr) bool {
	if t.asked {
		return true
	}
	t.asked = true
	_, t.err = t.w.Write(t.octet[:])
	return t.err != nil
}

// take waits until the poller was asked once.
func (t *turn) take() error {
	t.asked = false
	if err := t.conn.Read(t.step); err != nil {
		return err
	}
	if t.err == nil {
		_, t.err = t.r.Read(t.octet[:])
	}
	return t.err
}

// yield lets everybody run first who can, and for whom something has arrived.
func yield() {
	var t *turn
	select {
	case t = <-turns:
	default:
		select {
		case t = <-turns: // of those that yield just now: to let them all go to the end of the scheduler's queue would never leave it empty
		case <-places:
			t = newTurn()
		}
	}
	if t == nil || t.take() != nil {
		runtime.Gosched()
	}
	switch {
	case t != nil && t.err == nil:
		turns <- t // has room for all
	case t != nil:
		t.close()
		fallthrough
	default:
		places <- struct{}{}
	}
}
