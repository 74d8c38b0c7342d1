package listen

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestTCPSlowMessageEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Limits{}, echo)
		defer w.end()
		c := w.client()
		var dripping sync.WaitGroup
		defer dripping.Wait()
		dripping.Go(func() {
			// Whole queries may come as they like; the last one drips, an octet a second.
			for range 3 {
				time.Sleep(4 * time.Second)
				for _, b := range appendFrame(nil, query(1, "")) {
					c.Write([]byte{b})
				}
			}
			for _, b := range appendFrame(nil, query(1, "")) {
				time.Sleep(time.Second)
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
			}
		})
		took, got := closes(t, c)
		if took != (12+1+5)*time.Second || len(got) != 3*14 {
			t.Errorf("closed after %v with %d octets, want 18s (the first octet at 13s) and 42", took, len(got))
		}
		wantClosed(t, w, bySlowness, 1)
		if got := w.metrics.limitMessage.Value(); got != 1 {
			t.Errorf("limit counted %d times, want 1", got)
		}
	})
}

func TestTCPClientThatDoesNotReadIsClosed(t *testing.T) {
	t.Run("answers at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Limits{}, echo)
			defer w.end()
			c := w.client()
			at := time.Now()
			var err error
			for err == nil {
				_, err = c.Write(appendFrame(nil, query(1, "")))
			}
			if took := time.Since(at); took != 10*time.Second {
				t.Errorf("closed after %v, want 10s", took)
			}
			wantClosed(t, w, bySlowness, 1)
		})
	})
	t.Run("answers late", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			replies := make(chan Reply, 3)
			w := newWorld(t, Limits{}, func(p Packet, out []byte, reply Reply) []byte {
				replies <- reply
				return nil
			})
			defer w.end()
			c := w.client()
			for range 3 {
				c.Write(appendFrame(nil, query(1, "")))
			}
			at := time.Now()
			for range 3 {
				(<-replies).Write(query(1, ""))
			}
			if took := time.Since(at); took != 0 {
				t.Errorf("Write held the handler up for %v", took)
			}
			time.Sleep(w.limits.WriteTime)
			wantClosed(t, w, bySlowness, 1)
			if n := w.queued.Load(); n != 0 {
				t.Errorf("%d octets are still counted as queued", n)
			}
		})
	})
}

func TestTCPQueueIsBounded(t *testing.T) {
	for _, c := range []struct {
		name   string
		limits Limits
	}{
		{"per connection", Limits{Queue: 100_000}},
		{"in all", Limits{QueueAll: 100_000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				replies := make(chan Reply, 3)
				w := newWorld(t, c.limits, func(p Packet, out []byte, reply Reply) []byte {
					replies <- reply
					return nil
				})
				defer w.end()
				client := w.client()
				for range 3 {
					client.Write(appendFrame(nil, query(1, "")))
				}
				synctest.Wait() // all are with the handler
				for range 2 {   // the client takes none
					(<-replies).Write(make([]byte, 40_000))
				}
				wantClosed(t, w, byQueue, 0)
				(<-replies).Write(make([]byte, 40_000))
				wantClosed(t, w, byQueue, 1)
				if n := w.queued.Load(); n != 0 {
					t.Errorf("%d octets are still counted as queued", n)
				}
				if n := w.metrics.limitQueue.Value() + w.metrics.limitQueueAll.Value(); n != 1 {
					t.Errorf("limit counted %d times, want 1", n)
				}
			})
		})
	}
}

func TestTCPAnswersAtOnceCountInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Limits{Queue: maxFrame}, func(p Packet, out []byte, reply Reply) []byte {
			if p.Data[1] == 1 {
				reply.Write(query(1, ""))
				return nil
			}
			return make([]byte, 65_535)
		})
		defer w.end()
		c := w.client()
		c.Write(append(appendFrame(nil, query(1, "")), appendFrame(nil, query(2, ""))...))
		wantClosed(t, w, byQueue, 1)
		if n := w.queued.Load(); n != 0 {
			t.Errorf("%d octets are still counted as queued", n)
		}
	})
}

func TestTCPPipelineIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		replies := make(chan Reply, 10)
		w := newWorld(t, Limits{Pipeline: 2}, func(p Packet, out []byte, reply Reply) []byte {
			if p.Data[1] == 0 {
				return echo(p, out, reply)
			}
			replies <- reply
			return nil
		})
		defer w.end()
		c := w.client()
		var all []byte
		for id := range uint16(5) {
			all = appendFrame(all, query(id, ""))
		}
		c.Write(all)
		readFrame(t, c) // the first is answered at once, not held back by the others
		synctest.Wait()
		if len(replies) != 2 || w.metrics.limitPipeline.Value() != 1 {
			t.Errorf("%d queries are in flight, want 2; limit counted %d times, want 1", len(replies), w.metrics.limitPipeline.Value())
		}
		(<-replies).Write(query(1, ""))
		readFrame(t, c)
		synctest.Wait()
		if len(replies) != 2 {
			t.Errorf("after one answer %d queries are in flight, want 2", len(replies))
		}
		for range 3 {
			(<-replies).Drop()
			synctest.Wait()
		}
		if got := w.metrics.dropTCPHandler.Value(); got != 3 {
			t.Errorf("%d dropped, want 3", got)
		}
		c.Close()
	})
}

func TestTCPOneClientTooManyClosesItsLongestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Limits{PerClient: 3}, echo)
		defer w.end()
		// One /64 is one client.
		var cs []net.Conn
		for i := range 3 {
			cs = append(cs, w.client(fmt.Sprintf("2001:db8::%d", i)))
			time.Sleep(time.Second)
		}
		cs[0].Write(appendFrame(nil, query(1, ""))) // so the second is idle longest
		readFrame(t, cs[0])
		time.Sleep(time.Second)
		other := w.client("2001:db8:0:1::1")
		cs = append(cs, w.client("2001:db8::9"))
		if took, _ := closes(t, cs[1]); took != 0 {
			t.Errorf("closed after %v", took)
		}
		wantClosed(t, w, byPressure, 1)
		for i, c := range []net.Conn{cs[0], cs[2], cs[3], other} {
			c.Write(appendFrame(nil, query(1, "")))
			if got := readFrame(t, c); len(got) != 12 {
				t.Errorf("connection %d got %x", i, got)
			}
		}
		if got := w.metrics.limitPerClient.Value(); got != 1 {
			t.Errorf("limit counted %d times, want 1", got)
		}
	})
}

func TestTCPFullServerClosesTheLongestIdleButNoneThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		replies := make(chan Reply, 3)
		w := newWorld(t, Limits{Connections: 3}, func(p Packet, out []byte, reply Reply) []byte {
			replies <- reply
			return nil
		})
		defer w.end()
		busy := []net.Conn{w.client(), w.client()}
		for _, c := range busy {
			c.Write(appendFrame(nil, query(1, "")))
		}
		synctest.Wait()
		idle := w.client()
		last := w.client()
		closes(t, idle)
		wantClosed(t, w, byPressure, 1)
		last.Write(appendFrame(nil, query(1, "")))
		synctest.Wait()
		refused := w.client()
		closes(t, refused)
		wantClosed(t, w, byRefusal, 1)
		for range 3 {
			(<-replies).Write(query(1, ""))
		}
		for _, c := range append(busy, last) {
			readFrame(t, c)
		}
		if n := w.conns.open.Load(); n != 3 {
			t.Errorf("%d connections are open, want 3", n)
		}
	})
}

func TestTCPIdleTimeShrinksAsConnectionsRunShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Limits{Connections: 20}, echo)
		defer w.end()
		var got []time.Duration
		for range 20 {
			w.client()
			got = append(got, w.conns.idle())
		}
		want := slices.Repeat([]time.Duration{10 * time.Second}, 10)
		for _, s := range []int{9, 8, 7, 6, 5, 4, 3, 2, 1, 1} {
			want = append(want, time.Duration(s)*time.Second)
		}
		if !slices.Equal(got, want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	})
}

func TestTCPOverTheInFlightLimitOnlyAnswersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		replies := make(chan Reply, 3)
		w := newWorld(t, Limits{InFlight: 1}, func(p Packet, out []byte, reply Reply) []byte {
			if p.Data[1] == 0 {
				return echo(p, out, reply)
			}
			replies <- reply
			return nil
		})
		defer w.end()
		c := w.client()
		for _, id := range []uint16{1, 2, 0} {
			c.Write(appendFrame(nil, query(id, "")))
		}
		readFrame(t, c)
		(<-replies).Write(query(1, "first"))
		if got := readFrame(t, c); string(got[12:]) != "first" {
			t.Errorf("got %q", got)
		}
		if second := <-replies; second.Wanted() {
			t.Error("the second reply is wanted beyond the limit")
		} else {
			second.Write(query(2, "second"))
		}
		c.Close()
		synctest.Wait()
		if n := w.conns.open.Load(); n != 0 {
			t.Errorf("%d connections are open: the second query still counts as pending", n)
		}
	})
}
