package recurse

import "sync/atomic"

// crew runs jobs in goroutines that stay: a new one has a stack of 8 KiB, and checking a signature takes more, so that each job in a goroutine of its own
// has its stack copied twice or three times, a twelfth of the processor time of a cold validated query.
type crew struct {
	idle  chan func()
	spare atomic.Int32 // waiting
	ended <-chan struct{}
}

// maxSpare is how many wait for the next job: as many as run at a time at 1,000 cold queries a second of 60 ms each. With 16 KiB of stack, 1 MiB.
const maxSpare = 64

func newCrew(ended <-chan struct{}) *crew { return &crew{idle: make(chan func()), ended: ended} }

// run has f run by who waits, or by a new one. done is called when a new one has gone home.
func (c *crew) run(f func(), done func()) (hired bool) {
	select {
	case c.idle <- f:
		return false
	default:
	}
	go func() {
		defer done()
		for {
			f()
			if c.spare.Add(1) > maxSpare {
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
