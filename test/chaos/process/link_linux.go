package main

import (
	"io"
	"net"
	"sync"
	"time"
)

// link carries the connections from one node to one source. It can be cut and be slow.
type link struct {
	name   string
	listen net.Listener
	to     string

	mu    sync.Mutex
	delay time.Duration
	held  bool // nothing goes through, and nobody is told
	cut   bool // connections are closed
	heal  *sync.Cond
	conns map[net.Conn]struct{}
}

// newLink begins to carry connections to an address.
func newLink(name, to string) (*link, error) {
	l, err := net.Listen("tcp", bridge+":0")
	if err != nil {
		return nil, err
	}
	k := &link{name: name, listen: l, to: to, conns: make(map[net.Conn]struct{})}
	k.heal = sync.NewCond(&k.mu)
	go k.accept()
	return k, nil
}

func (k *link) accept() {
	for {
		in, err := k.listen.Accept()
		if err != nil {
			return
		}
		go func() {
			defer in.Close()
			if !k.add(in) {
				return
			}
			defer k.remove(in)
			out, err := net.DialTimeout("tcp", k.to, 5*time.Second)
			if err != nil {
				return
			}
			defer out.Close()
			if !k.add(out) {
				return
			}
			defer k.remove(out)
			ended := make(chan struct{}, 2)
			for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
				go func() {
					k.carry(pair[0], pair[1])
					in.Close()
					out.Close()
					ended <- struct{}{}
				}()
			}
			<-ended
			<-ended
		}()
	}
}

// carry copies one way. What is held up comes later; what is late comes in order.
func (k *link) carry(from io.Reader, to io.Writer) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if n > 0 {
			k.mu.Lock()
			for k.held {
				k.heal.Wait()
			}
			delay := k.delay
			k.mu.Unlock()
			time.Sleep(delay)
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (k *link) add(c net.Conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cut {
		return false
	}
	k.conns[c] = struct{}{}
	return true
}

func (k *link) remove(c net.Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.conns, c)
}

// set says how the link is from now on.
func (k *link) set(delay time.Duration, held, cut bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.delay, k.held, k.cut = delay, held, cut
	if cut {
		for c := range k.conns {
			c.Close()
		}
	}
	k.heal.Broadcast()
}
