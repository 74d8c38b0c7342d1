package crew

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// All work is done, members stay for the next, no more than may, and all go home at the end.
func TestCrew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most, together = 3, 10
		ended := make(chan struct{})
		c := New(most, ended)
		var home sync.WaitGroup
		var did atomic.Int32
		hire := func(n int) (hired int) {
			gate := make(chan struct{})
			for range n {
				home.Add(1)
				if c.Run(func() { <-gate; did.Add(1) }, home.Done) {
					hired++
				} else {
					home.Done()
				}
			}
			synctest.Wait()
			close(gate)
			synctest.Wait()
			return hired
		}
		if hired := hire(together); hired != together {
			t.Errorf("%d were hired when nobody waited, want %d", hired, together)
		}
		if hired := hire(together); hired != together-most {
			t.Errorf("%d were hired when %d waited, want %d", hired, most, together-most)
		}
		if did.Load() != 2*together {
			t.Errorf("%d of %d were done", did.Load(), 2*together)
		}
		close(ended)
		home.Wait()
	})
}
