// Package crew runs short work in goroutines that stay. A new goroutine has a stack of 8 KiB at most, and work that needs more has it copied twice or three times: a twelfth
// of the processor time of a cold validated query, and the more the smaller the heap is, because the collector walks stacks that are just being grown.
package crew

import "sync/atomic"

// Crew runs functions in goroutines that wait for the next one.
type Crew struct {
	idle  chan func()
	most  int32
	spare atomic.Int32 // waiting
	ended <-chan struct{}
}

// New makes a crew of which at most most members wait for work; more run while there is more to do. They go home when ended is closed.
func New(most int, ended <-chan struct{}) *Crew {
	return &Crew{idle: make(chan func()), most: int32(most), ended: ended}
}

// Run has f run by who waits, or by a new one; hired tells which. done is called when a new one has gone home.
func (c *Crew) Run(f func(), done func()) (hired bool) {
	select {
	case c.idle <- f:
		return false
	default:
	}
	go func() {
		defer done()
		for {
			f()
			f = nil // what it held is not kept while this one waits
			if c.spare.Add(1) > c.most {
				c.spare.Add(-1)
				return
			}
			select {
			case f = <-c.idle:
				c.spare.Add(-1)
			case <-c.ended:
				c.spare.Add(-1)
				return
			}
		}
	}()
	return true
}
