package node

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/ananas-edge/ananas/nameserver"
	"github.com/ananas-edge/ananas/telemetry"
)

// While many queries wait, each collection of garbage has their stacks to look through, and those that run are made to help. With the few MiB that the
// heap of a node has (the cache lies outside) that happens several times a second, and an answer from the cache waits behind it: under a flood of misses the slowest
// hundredth of hits took 7 ms, where none collected 0.3. So then the heap may grow by more before the next collection.
const (
	// crowdedRoom is how much the heap may grow then, in octets: at 10,000 misses a second of 2 KiB each one collection in 2.4 seconds, in place of four a second.
	crowdedRoom = 48 << 20
	// calmAfter is how long it stays so when fewer wait, so that a load about the bound does not change it all the time.
	calmAfter = 10 * time.Second
	// collectorLook is how often it is looked at, once there is a crowd.
	collectorLook = time.Second
	// calmPercent is what the runtime does unless told otherwise: the heap may double.
	calmPercent = 100
)

// collector adapts the pace of the garbage collector to the number of queries that wait.
type collector struct {
	waiting func() int
	set     func(percent int)
	scanned func() uint64 // octets that the last collection had to look through; 0: it is not known

	roomy   *telemetry.Counter
	percent int
	quiet   time.Duration // for so long fewer have waited
	cancel  context.CancelFunc
	done    chan struct{}
}

// paceCollector starts to look. It returns nil if the operator has set GOGC, which then holds.
func paceCollector(s *nameserver.Server, m *telemetry.Metrics) *collector {
	if os.Getenv("GOGC") != "" {
		return nil
	}
	c := &collector{waiting: s.Waiting, set: func(p int) { debug.SetGCPercent(p) }, scanned: scanned, percent: calmPercent, done: make(chan struct{})}
	c.roomy = m.Counter("ananas_process_gc_roomy_total", "Times that the heap was let grow by more between collections, because many queries came to wait.")
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	go func() {
		defer close(c.done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-s.Crowded():
				c.run(ctx)
			}
		}
	}()
	return c
}

// run looks until it is calm again.
func (c *collector) run(ctx context.Context) {
	tick := time.NewTicker(collectorLook)
	defer tick.Stop()
	for c.look(); c.percent != calmPercent || c.quiet < calmAfter; c.look() {
		select {
		case <-ctx.Done():
			c.pace(calmPercent)
			return
		case <-tick.C:
		}
	}
}

// look adapts the pace.
func (c *collector) look() {
	if c.waiting() < nameserver.Crowd {
		if c.quiet += collectorLook; c.quiet >= calmAfter {
			c.pace(calmPercent)
		}
		return
	}
	c.quiet = 0
	if n := c.scanned(); n > 0 { // else a Go that tells it under another name: the heap must not grow by no one knows what
		c.pace(max(calmPercent, int(crowdedRoom*100/max(n, 1<<20))))
	}
}

// pace tells the runtime, which stops everything for some 20 us to take it over, if it makes a difference.
func (c *collector) pace(percent int) {
	if percent == c.percent || percent != calmPercent && 4*max(percent, c.percent) < 5*min(percent, c.percent) {
		return
	}
	if c.percent == calmPercent {
		c.roomy.Inc()
	}
	c.percent = percent
	c.set(percent)
}

func (c *collector) close() {
	c.cancel()
	<-c.done
}

func scanned() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}}
	metrics.Read(s)
	sum := uint64(0)
	for i := range s {
		if s[i].Value.Kind() != metrics.KindUint64 {
			return 0
		}
		sum += s[i].Value.Uint64()
	}
	return sum
}
