package wasm

import (
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// On one processor, who has something to read is served between two turns of a goroutine that never ends by itself. Without the poller it was after 10 ms, some hundred turns of a slice.
func TestYieldServesSockets(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	a, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := net.DialUDP("udp", nil, a.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var got atomic.Int32
	var wg sync.WaitGroup
	wg.Go(func() {
		var buf [8]byte
		for range 100 {
			if _, err := a.Read(buf[:]); err != nil {
				t.Error(err)
			}
			got.Add(1)
		}
	})
	yield() // it waits for the first one now
	for i := range 100 {
		if _, err := b.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		yield()
		yield() // the packet may have come after the poller looked
		if n := int(got.Load()); n <= i-1 {
			t.Fatalf("after %d packets and turns %d were read", i+1, n)
		}
	}
	wg.Wait()
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
