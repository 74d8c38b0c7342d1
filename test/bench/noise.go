//go:build linux

package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Noise is what others took of the two processors while something was measured: shares from 0 to 1, stolen time included.
type Noise struct{ Resolver, Other float64 }

// Worst is the larger share.
func (n Noise) Worst() float64 { return max(n.Resolver, n.Other) }

func (n Noise) String() string {
	return fmt.Sprintf("%.0f %% and %.0f %%", 100*n.Resolver, 100*n.Other)
}

// Watch begins to watch for noise; the function that it returns ends that.
func (r *Rig) Watch(resolver *Resolver, internet *Internet) func() Noise {
	began := time.Now()
	resolvers, others := busy(r.ResolverCPU), busy(r.OtherCPU)
	ours, theirs := resolver.CPU(), internet.CPU()+OwnTime()
	return func() Noise {
		wall := time.Since(began)
		return Noise{
			Resolver: share(busy(r.ResolverCPU)-resolvers-(resolver.CPU()-ours), wall),
			Other:    share(busy(r.OtherCPU)-others-(internet.CPU()+OwnTime()-theirs), wall),
		}
	}
}

func share(part, whole time.Duration) float64 { return max(0, part.Seconds()/whole.Seconds()) }

const (
	quietLook = 250 * time.Millisecond
	quietWait = 30 * time.Second // a benchmark beside a build that takes longer is repeated instead
)

// AwaitQuiet waits until others take less than this share of both processors, but not for ever.
func (r *Rig) AwaitQuiet(limit float64, internet *Internet) error {
	for until := time.Now().Add(quietWait); time.Now().Before(until); {
		a, b, own := busy(r.ResolverCPU), busy(r.OtherCPU), internet.CPU()+OwnTime()
		if err := r.Sleep(quietLook); err != nil {
			return err
		}
		own = internet.CPU() + OwnTime() - own
		if share(busy(r.ResolverCPU)-a, quietLook) < limit && share(busy(r.OtherCPU)-b-own, quietLook) < limit {
			return nil
		}
		r.Progress("waiting for a quiet machine")
	}
	return nil
}

// tick is the unit of /proc/stat.
const tick = 10 * time.Millisecond

// busy is the time that a processor was not idle, since it was started.
func busy(cpu int) time.Duration {
	text, _ := os.ReadFile("/proc/stat")
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) < 9 || words[0] != "cpu"+strconv.Itoa(cpu) {
			continue
		}
		var sum time.Duration
		for _, i := range []int{1, 2, 3, 6, 7, 8} { // user, nice, system, irq, softirq, steal
			n, _ := strconv.ParseInt(words[i], 10, 64)
			sum += time.Duration(n) * tick
		}
		return sum
	}
	return 0
}

// Busy is the time that some processors together were not idle since they were started, stolen time included.
func Busy(cpus ...int) (sum time.Duration) {
	for _, cpu := range cpus {
		sum += busy(cpu)
	}
	return sum
}

// OwnTime is the processor time of this process.
func OwnTime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
