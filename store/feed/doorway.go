package feed

import (
	"container/list"
	"net"
	"sync"
	"time"
)

// doorway holds the connections that are on their way to become followers: nobody knows yet who they are. It is bounded, and who only stands in it makes room for others. Its methods
// may be called from any goroutine.
type doorway struct {
	most int

	mu   sync.Mutex
	list *list.List // of *inDoorway, those that came first in front
}

type inDoorway struct {
	conn net.Conn
	came time.Time
	at   *list.Element
}

// handshakeRoom is how long a connection has before it may be closed to make room for another: some round trips over the longest line, and two signatures. 256 connections of somebody
// who says nothing keep others out for as long as that, and not for handshakeTime.
const handshakeRoom = time.Second

func newDoorway(most int) *doorway { return &doorway{most: most, list: list.New()} }

// enter takes a connection in, and tells whether the one that has been there for longest was closed for it. It returns nil where there is no room: all the others came just now.
func (d *doorway) enter(conn net.Conn, now time.Time) (in *inDoorway, closed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.list.Len() >= d.most {
		first := d.list.Front().Value.(*inDoorway)
		if now.Sub(first.came) < handshakeRoom {
			return nil, false
		}
		first.conn.Close()
		d.remove(first)
		closed = true
	}
	in = &inDoorway{conn: conn, came: now}
	in.at = d.list.PushBack(in)
	return in, closed
}

// leave is called by each that was taken in, when it is known who it is, or when it is gone.
func (d *doorway) leave(in *inDoorway) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.remove(in)
}

func (d *doorway) remove(in *inDoorway) {
	if in.at != nil {
		d.list.Remove(in.at)
		in.at = nil
	}
}
