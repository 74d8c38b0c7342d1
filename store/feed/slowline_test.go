package feed

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/replica"
)

// slowLine is a connection that takes time for what is read from it.
type slowLine struct {
	net.Conn
	rate int // octets a second
}

func (l slowLine) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b[:min(len(b), 4<<10)])
	time.Sleep(time.Duration(n) * time.Second / time.Duration(l.rate))
	return n, err
}

// openGate lets everybody read everything.
type openGate struct{}

func (openGate) Admit(context.Context, net.Conn) (Peer, error) {
	return Peer{Name: "follower", Access: all{}}, nil
}

func (openGate) Recheck(p Peer) (Peer, error) { return p, nil }

type all struct{}

func (all) Readable(string) bool  { return true }
func (all) Fingerprint() [32]byte { return [32]byte{1} }

// A commit of the largest size gets through a line on which it takes longer than a source may be silent, or a follower take nothing; beats go on meanwhile, and the
// connection stays the same. Else nothing would ever get past such a version.
func TestLargestCommitOnASlowLine(t *testing.T) {
	for _, c := range []struct {
		rate    int // octets a second
		atLeast time.Duration
	}{
		{250_000, Silence},
		{100_000, writeTime},
	} {
		t.Run(fmt.Sprint(c.rate), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				open := func(name byte) *replica.Replica {
					r, err := replica.Open(t.TempDir(), replica.Options{Now: time.Now, Random: rand.NewChaCha8([32]byte{name})})
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { r.Close() })
					return r
				}
				root, follower := open(1), open(2)
				commit := func(edits ...store.Edit) {
					if _, err := root.Load(store.Proposal{Kind: store.KindLoad, Author: "ada", Edits: edits}); err != nil {
						t.Fatal(err)
					}
				}
				commit(store.Edit{Key: "first", Value: []byte("1")})

				source := NewSource(SourceConfig{Name: "root", Copy: root, Gate: openGate{}, Statement: func() []byte { return nil }})
				defer source.Close()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go func() {
					for pause(ctx, time.Second) {
						head := root.View().Head()
						source.Beat(Beat{Time: time.Now(), Lineage: head.Lineage, Version: head.Version})
					}
				}()
				dials, began, beat, gap := 0, time.Now(), time.Now(), time.Duration(0)
				f := NewFollower(FollowerConfig{
					Name: "follower", Copy: follower, Sources: []string{"root"},
					Dial: func(context.Context, string) (net.Conn, error) {
						dials++
						near, far := net.Pipe()
						source.Take(far)
						return slowLine{near, c.rate}, nil
					},
					Lineage: func(store.Lineage, []byte) error { return nil }, Access: all{}.Fingerprint, Accessed: func([32]byte) error { return nil },
					Beat:   func(Beat) { gap = max(gap, time.Since(beat)); beat = time.Now() },
					Boot:   func() time.Duration { return time.Since(began) },
					Random: func() uint64 { return 0 },
				})
				done := make(chan struct{})
				go func() { defer close(done); f.Run(ctx) }()
				if err := follower.WaitFor(ctx, 1); err != nil {
					t.Fatal(err)
				}
				rng := rand.NewChaCha8([32]byte{3})
				var edits []store.Edit
				for i := range store.MaxCommit/store.MaxValue - 1 {
					value := make([]byte, store.MaxValue)
					rng.Read(value)
					edits = append(edits, store.Edit{Key: fmt.Sprintf("large/%03d", i), Value: value})
				}
				commit(edits...)
				sent := time.Now()
				within, stop := context.WithTimeout(ctx, 10*time.Minute)
				defer stop()
				if err := follower.WaitFor(within, 2); err != nil {
					t.Errorf("after %d connections: %v; %v", dials, err, f.State().Err)
				}
				if took := time.Since(sent); took < c.atLeast {
					t.Errorf("it took %v: the line is not slow enough to show anything", took)
				}
				if dials != 1 || gap > 5*time.Second {
					t.Errorf("%d connections, and %v without a beat", dials, gap)
				}
				if own, theirs := follower.View().Head(), root.View().Head(); own != theirs && !errors.Is(within.Err(), context.DeadlineExceeded) {
					t.Errorf("the copy is at %v, the root at %v", own, theirs)
				}
				cancel()
				<-done
				time.Sleep(time.Minute) // what was on the line has gone
			})
		})
	}
}
