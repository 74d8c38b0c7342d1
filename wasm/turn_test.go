package wasm

import (
	"net"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// On one processor, who has something to read is served between two turns of a goroutine that never ends by itself. Without the poller it was after 10 ms, some hundred thousand turns. The sockets are of the unix kind: what is written
// to them is there at once, while a packet on the loopback interface waits for the kernel's own queue on a busy machine.
func TestYieldServesSockets(t *testing.T) {
	const messages, most = 100, 1_000_000 // turns: two each, and room for a thread of Go's own that the system holds up with the event in its hands (some 7,000 were seen, with six busy processes beside)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	addr := &net.UnixAddr{Net: "unixgram", Name: filepath.Join(t.TempDir(), "a")}
	a, err := net.ListenUnixgram("unixgram", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := net.DialUnix("unixgram", nil, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var got atomic.Int32
	var wg sync.WaitGroup
	wg.Go(func() {
		var buf [8]byte
		for range messages {
			if _, err := a.Read(buf[:]); err != nil {
				return // the test is over
			}
			got.Add(1)
		}
	})
	yield() // it waits for the first one now
	made := 0
	for i := range messages {
		if _, err := b.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		for int(got.Load()) <= i {
			if made++; made > most {
				t.Fatalf("after %d messages and %d turns %d were read", i+1, made, got.Load())
			}
			yield()
		}
	}
	wg.Wait()
	t.Logf("%d messages, %d turns", messages, made)
}

// Many at once yield, more than there are turns, and none is lost.
func TestYieldOfMany(t *testing.T) {
	var wg sync.WaitGroup
	for range 4 * maxTurns {
		wg.Go(func() {
			for range 100 {
				yield()
			}
		})
	}
	wg.Wait()
	if n := int(turnsMade.Load()); n > maxTurns || len(turns) != n {
		t.Errorf("%d turns, %d of them free, at most %d", n, len(turns), maxTurns)
	}
}

func BenchmarkYield(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		yield()
	}
}
