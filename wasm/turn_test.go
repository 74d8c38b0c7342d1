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

// So is he where many do that at once, more than there are turns. Without one of their own the others went to the end of the scheduler's queue, which never was empty then: he was served after 10 ms, some ten thousand turns.
func TestYieldOfManyServesSockets(t *testing.T) {
	const messages, most, guests = 100, 100_000, 64 // turns of all together
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
	var made, waited atomic.Int64 // turns: all, and those that messages waited for
	var over atomic.Bool
	var wg sync.WaitGroup
	for range guests {
		wg.Go(func() {
			for !over.Load() {
				made.Add(1)
				yield()
			}
		})
	}
	var buf [8]byte
	written := make(chan int64, 1)
	wg.Go(func() {
		for range messages {
			yield() // and the other one waits for what comes
			written <- made.Load()
			if _, err := b.Write([]byte("x")); err != nil {
				t.Error(err)
			}
			for len(written) > 0 {
				yield()
			}
		}
	})
	for range messages {
		if _, err := a.Read(buf[:]); err != nil {
			t.Fatal(err)
		}
		waited.Add(made.Load() - <-written)
	}
	over.Store(true)
	wg.Wait()
	if n := waited.Load(); n > most {
		t.Errorf("%d messages have waited for %d turns, at most %d", messages, n, most)
	}
	t.Logf("%d messages, %d turns", messages, waited.Load())
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
	if made, may := len(turns), len(places); made == 0 || made+may != cap(places) {
		t.Errorf("%d turns, and %d more may be made, of %d", made, may, cap(places))
	}
}

func BenchmarkYield(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		yield()
	}
}
