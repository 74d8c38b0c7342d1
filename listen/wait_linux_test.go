package listen

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestWaitingPlays plays what happens to a loop against what it decides. Words: "12" is time that passes in us; "got" is one packet, "burst" two, "handed" one that went to the
// handler; "empty" looks into the empty socket, and shows as "spin" or "park", with the time to the deadline if one was set; "expired" is the deadline.
func TestWaitingPlays(t *testing.T) {
	for _, c := range []struct {
		name       string
		spin       time.Duration
		others     int32 // loops that spin already, where one may
		play, want string
	}{
		{"one by one, the poller is relied on", 0, 0, "empty got empty got empty", "park park park"},
		{"a burst after a park shows others", 0, 0, "empty burst empty", "park park+100"},
		{"a burst that came while serving does not", 0, 0, "got burst empty", "park"},
		{"what was handed over is others", 0, 0, "handed empty", "park+100"},
		{"a deadline is kept", 0, 0, "handed empty 60 got empty", "park+100 park"},
		{"looks that find nothing become rare and end", 0, 0,
			"handed empty " + strings.Repeat("expired empty ", 8), "park+100 park+200 park+400 park+800 park+1600 park+3200 park+6400 park park"},
		{"one that finds something begins anew", 0, 0, "handed empty expired empty expired got empty", "park+100 park+200 park+100"},
		{"a sooner deadline replaces a later one", 0, 0, "handed empty expired empty expired empty 50 handed empty", "park+100 park+200 park+400 park+100"},
		{"a packet by the poller leaves the time as it is", 0, 0, "handed empty expired empty 200 got expired empty", "park+100 park+200 park+400"},

		{"spinning begins when it would have paid", 50 * time.Microsecond, 0, "empty 40 got empty", "park spin"},
		{"and not when it would not", 50 * time.Microsecond, 0, "empty 50 got empty", "park park"},
		{"it ends with its time", 50 * time.Microsecond, 0, "empty 40 got empty 49 empty 1 empty", "park spin spin park"},
		{"in vain, it is for half as long the next time", 48 * time.Microsecond, 0,
			"empty 40 got empty 48 empty 100 got empty 23 empty 1 empty 100 got empty 12 empty 100 got empty 6 empty 100 got empty",
			"park spin park spin spin park spin park spin park park"},
		{"while it pays it goes on", 48 * time.Microsecond, 0, "empty 40 got empty 48 empty 100 got empty 20 got empty 47 empty 1 empty", "park spin park spin spin spin park"},
		{"it begins again", 48 * time.Microsecond, 0, "empty 40 got empty 48 empty 100 got empty 24 empty 47 got empty 47 empty", "park spin park spin park spin spin"},
		{"what was handed over goes first", 50 * time.Microsecond, 0, "empty 40 got empty 10 handed empty", "park spin park+100"},
		{"too many spin", 50 * time.Microsecond, 1, "empty 40 got empty", "park park"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &spinners{most: 1}
				s.n.Store(c.others)
				w := waiting{spin: c.spin, spinners: s}
				var got []string
				parked := false
				deadline := ""
				set := func(at time.Time) error {
					deadline = ""
					if !at.IsZero() {
						deadline = fmt.Sprintf("+%d", time.Until(at).Microseconds())
					}
					return nil
				}
				for _, word := range strings.Fields(c.play) {
					switch word {
					case "got":
						w.received(1, 0, parked)
						parked = false
					case "burst":
						w.received(2, 0, parked)
						parked = false
					case "handed":
						w.received(1, 1, parked)
						parked = false
					case "expired":
						time.Sleep(time.Until(w.due))
						w.expired(set)
					case "empty":
						if w.again() {
							got = append(got, "spin")
							break
						}
						deadline = ""
						w.park(set)
						parked = true
						got = append(got, "park"+deadline)
					default:
						var us time.Duration
						fmt.Sscan(word, (*int64)(&us))
						time.Sleep(us * time.Microsecond)
					}
				}
				if strings.Join(got, " ") != c.want {
					t.Errorf("got  %s\nwant %s", strings.Join(got, " "), c.want)
				}
				w.stopSpinning()
				if n := s.n.Load(); n != c.others {
					t.Errorf("%d spin, want %d", n, c.others)
				}
			})
		})
	}
}

// With one processor nothing spins, whatever is set.
func TestSpinningLeavesAProcessor(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, processors := range []int{1, 2, 5} {
		runtime.GOMAXPROCS(processors)
		cfg := loopback("127.0.0.1:0")
		cfg.Spin = time.Millisecond
		s, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		s.Shutdown(context.Background())
		n := 0
		for s.spinners.enter() {
			n++
		}
		if n != processors-1 {
			t.Errorf("with %d processors %d loops may spin", processors, n)
		}
	}
}

// TestUDPQueriesBetweenPauses asks one query after the other, with work handed over between them, so that loops spin, park with a deadline and without, and are
// woken in each state.
func TestUDPQueriesBetweenPauses(t *testing.T) {
	for _, spin := range []time.Duration{0, 50 * time.Microsecond, time.Millisecond} {
		t.Run(spin.String(), func(t *testing.T) {
			cfg := loopback("127.0.0.1:0")
			cfg.Spin = spin
			s := startBatch(t, new(batchEcho), cfg, func(*Server) {})
			var conns []net.Conn
			for range 8 {
				conns = append(conns, dial(t, "udp", s.Addrs()[0]))
			}
			for i := range 1000 {
				body := []string{"now", "now", "now", "later"}[i%4]
				if got := ask(t, conns[i%8], query(uint16(i), body)); !bytes.HasPrefix(got[12:], []byte(body)) {
					t.Fatalf("asked %q, got %q", body, got)
				}
			}
			if err := s.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
			if n := s.spinners.n.Load(); n != 0 {
				t.Errorf("%d loops still count as spinning", n)
			}
		})
	}
}
