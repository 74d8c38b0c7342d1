package node

import (
	"context"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ananas-edge/ananas/nameserver"
	"github.com/ananas-edge/ananas/telemetry"
)

// TestCollector plays what is seen each second, and what the runtime is told.
func TestCollector(t *testing.T) {
	const mib = 1 << 20
	type second struct {
		waiting int
		scanned uint64
		want    int // percent; 0: nothing is told
	}
	calm := second{waiting: 200, scanned: 8 * mib}
	for _, c := range []struct {
		name string
		play []second
	}{
		{"few wait", []second{calm, calm, {255, 100 * mib, 0}}},
		{"many wait", []second{{256, 8 * mib, 600}, {5000, 8 * mib, 0}}},
		{"what there is grows", []second{{300, 8 * mib, 600}, {300, 9 * mib, 0}, {300, 16 * mib, 300}, {300, 40 * mib, 120}, {300, 400 * mib, 100}, {300, 400 * mib, 0}}},
		{"and shrinks", []second{{300, 32 * mib, 150}, {300, 8 * mib, 600}}},
		{"an empty heap is no reason to never collect", []second{{300, 1, 4800}}},
		{"what is not known is no reason to wait", []second{{300, 0, 0}}},
		{"ten quiet seconds end it", []second{{300, 8 * mib, 600}, calm, calm, calm, calm, calm, calm, calm, calm, calm, {200, 8 * mib, 100}, calm}},
		{"nine do not", []second{{300, 8 * mib, 600}, calm, calm, calm, calm, calm, calm, calm, calm, calm, {300, 8 * mib, 0}, calm}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var now second
			told := 0
			k := collector{roomy: newRoomy(), percent: calmPercent, waiting: func() int { return now.waiting }, scanned: func() uint64 { return now.scanned }, set: func(p int) { told = p }}
			for i, s := range c.play {
				now, told = s, 0
				k.look()
				if told != s.want {
					t.Errorf("second %d: told %d, want %d", i, told, s.want)
				}
			}
		})
	}
}

// TestCollectorRuns has a crowd come and go, in fake time.
func TestCollectorRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var waiting atomic.Int64
		waiting.Store(nameserver.Crowd)
		var told []int
		k := collector{roomy: newRoomy(), percent: calmPercent, waiting: func() int { return int(waiting.Load()) }, scanned: func() uint64 { return 8 << 20 }, set: func(p int) { told = append(told, p) }}
		start := time.Now()
		go func() {
			time.Sleep(5*time.Second + time.Second/2)
			waiting.Store(3)
		}()
		k.run(t.Context())
		if took := time.Since(start); took != 15*time.Second || !slices.Equal(told, []int{600, 100}) {
			t.Errorf("after %v it was told %v", took, told)
		}
		waiting.Store(nameserver.Crowd)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if k.run(ctx); k.percent != calmPercent {
			t.Errorf("it ends with %d", k.percent)
		}
	})
}

func newRoomy() *telemetry.Counter {
	return telemetry.NewMetrics().Counter("ananas_roomy_total", "Times.")
}

func TestScannedIsKnown(t *testing.T) {
	runtime.GC()
	if n := scanned(); n < 4096 || n > 1<<40 {
		t.Errorf("the last collection looked through %d octets", n)
	}
}
