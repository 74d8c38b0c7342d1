//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

const (
	clients  = 4               // of each node, each with one question under way
	patience = 2 * time.Second // a question that is not answered within it is lost; none is asked twice
	popular  = 50              // names that are asked again and again; each other question is for a new one
)

// watch is what the clients of one node have seen.
type watch struct {
	mu       sync.Mutex
	expected int       // the newest version that may answer
	newest   int       // the newest that has
	since    time.Time // when it first had
	oldest   time.Time // when the version before it last had

	asked, lost, neither, back int
	slowest                    time.Duration
	example                    string // of what should not be
}

// ask has all nodes asked until ctx is done. The function that it returns waits for the end.
func (f *fleet) ask(ctx context.Context, rate int) (all []*watch, wait func() error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for _, n := range f.nodes {
		w := &watch{expected: 1, newest: 1}
		all = append(all, w)
		for k := range clients {
			wg.Go(func() {
				if err := w.client(ctx, n.Address+":5335", k, time.Second*clients/time.Duration(rate)); err != nil {
					mu.Lock()
					failed = errors.Join(failed, err)
					mu.Unlock()
				}
			})
		}
	}
	return all, func() error { wg.Wait(); return failed }
}

// client asks a question each gap, or as soon as the one before is answered.
func (w *watch) client(ctx context.Context, address string, k int, gap time.Duration) error {
	c, err := net.Dial("udp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	tick := time.NewTicker(gap)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			w.ask(c, k, i)
		}
	}
}

// ask asks question i of client k, notes what came, and returns by which version it was answered; 0: none.
func (w *watch) ask(c net.Conn, k, i int) int {
	name := fmt.Sprintf("n%d.swap.example.", i/2%popular)
	if i%2 == 1 {
		name = fmt.Sprintf("n%d-%d.swap.example.", k, i)
	}
	id := uint16(i)
	q := dns.AppendQuestion(nil, id, dns.FlagRD, dns.Question{Name: dns.MustParseName(name), Type: dns.TypeA, Class: dns.ClassINET}, 1232, false, nil)
	sent := time.Now()
	_ = c.SetDeadline(sent.Add(patience)) // a connection that is closed says so at the next line
	var buf [1500]byte
	n := 0
	_, err := c.Write(q)
	for err == nil {
		if n, err = c.Read(buf[:]); err == nil && n >= dns.HeaderLen && binary.BigEndian.Uint16(buf[:]) == id {
			break
		}
	}
	if err != nil {
		w.note(name, sent, time.Now(), nil, err)
		return 0
	}
	return w.note(name, sent, time.Now(), buf[:n], nil)
}

func (w *watch) note(name string, sent, came time.Time, answer []byte, err error) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	if err != nil {
		w.lost++
		w.example = fmt.Sprintf("%s was lost at %s: %v", name, sent.Format("15:04:05.000"), err)
		return 0
	}
	w.slowest = max(w.slowest, came.Sub(sent))
	v, what := versionIn(answer)
	switch {
	case v == 0 || v > w.expected || v < w.newest-1:
		w.neither++
		w.example = fmt.Sprintf("%s was answered by neither of %d and %d at %s: %s", name, w.newest, w.expected, came.Format("15:04:05.000"), what)
		return 0
	case v > w.newest:
		w.newest, w.since = v, came
	case v < w.newest && sent.After(w.since):
		w.back++
		w.example = fmt.Sprintf("%s was sent %v after the first answer of version %d, and answered by %d", name, sent.Sub(w.since), w.newest, v)
	case v < w.newest:
		w.oldest = came
	}
	return v
}

// versionIn tells by which version of the module an answer was made; 0: by none, and what it is.
func versionIn(b []byte) (v int, what string) {
	var m dns.Message
	if err := dns.Parse(b, &m); err != nil {
		return 0, err.Error()
	}
	a := m.Sections[dns.Answer]
	if m.RCode() != dns.RCodeSuccess || len(a) != 1 || a[0].Type != dns.TypeA || len(a[0].Data) != 4 || !slices.Equal([]byte(a[0].Data[:3]), addressOf(0)[:3]) {
		return 0, fmt.Sprint(m.RCode(), a)
	}
	return int(a[0].Data[3]), ""
}

// expect has version v be one that may answer from now on.
func (w *watch) expect(v int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.expected = v
}

// await waits until version v has answered.
func (w *watch) await(ctx context.Context, v int, most time.Duration) error {
	for until := time.Now().Add(most); time.Now().Before(until); {
		w.mu.Lock()
		newest := w.newest
		w.mu.Unlock()
		if newest == v {
			return nil
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("it does not answer by it after %v", most)
}

// swapped is when version v answered first, or the one before it last, if that was later.
func (w *watch) swapped(v int) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.newest == v && w.oldest.After(w.since) {
		return w.oldest
	}
	return w.since
}

// times are durations, of which order statistics are wanted.
type times []time.Duration

// at returns the smallest of them that a share q is not above; 0 of none.
func (t times) at(q float64) time.Duration {
	if len(t) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(t))
	return sorted[min(max(int(math.Ceil(q*float64(len(t))))-1, 0), len(t)-1)]
}

// spread writes median and worst.
func (t times) spread() string {
	return fmt.Sprintf("%v / %v", t.at(0.5).Round(time.Millisecond), t.at(1).Round(time.Millisecond))
}
