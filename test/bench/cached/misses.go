//go:build linux

package main

import (
	"fmt"
	"time"

	"github.com/ananas-edge/ananas/test/bench/flood"
	"github.com/ananas-edge/ananas/test/bench/load"
)

// missing is what hits were like beside misses, in one round. Hits are asked at a fixed rate from four sockets, misses from four others.
// Latency is to the kernel's time stamp, and the generator sleeps between: NSD needs the processor that it is on.
type missing struct {
	Server   string
	Round    int
	Capacity float64 // misses a second that were answered with 192 in flight, without hits
	CPU      float64 // nanoseconds of the server for each of them
	NSD      float64 // share of a processor that NSD took meanwhile, and the load: near 1, they were the limit
	Load     float64

	Quiet    float64 // median of hits without misses, microseconds
	Half     float64 // with half as many misses as it can answer
	HalfBusy float64 // share of a processor that the server took then
	Twice    float64 // with twice as many
	TwiceP99 float64

	HalfHits  float64 // share of hits that were answered, and rightly, within a second
	TwiceHits float64
	TwiceMiss float64 // share of misses that were answered
	Wrong     int
	Examples  []string `json:",omitempty"`
	Others    float64  // the worst share of a processor that others took
}

const missWindow = 4 * 8192 // misses that wait: more than two seconds of what any server can do

// missServers are who is measured: ours, and the peer that resolves.
var missServers = []string{"ananas", "unbound"}

// misses measures one server in one round.
func (b *bout) misses(c *contestant, zone *set, file string, round int) (v missing, err error) {
	v = missing{Server: c.name(), Round: round}
	hits := flood.Stream{Name: "hits", Count: len(zone.questions), Socks: 4, Window: missWindow, Batch: 1, Rate: b.hits, Stale: stale, Sample: max(1, int(b.hits*b.long.Seconds())/samples)}
	phase := func(what string, streams ...flood.Stream) (*flood.Report, spent, error) {
		b.step("%s: %s, round %d", c.name(), what, round+1)
		watch := b.watch(c.proc)
		r, found, err := b.ask(flood.Plan{Questions: file, For: b.long, Timeout: timeout, Streams: streams}, c, zone)
		if err != nil {
			return nil, spent{}, fmt.Errorf("measuring %s: %w", c.name(), err)
		}
		if c.proc.Ended() {
			return nil, spent{}, fmt.Errorf("measuring %s: it ended under way", c.name())
		}
		w := watch(r.CPU)
		v.Others = max(v.Others, w.others)
		v.Wrong += found.Wrong
		v.Examples = append(v.Examples, found.Examples...)
		for _, s := range r.Streams {
			v.Wrong += s.Wrong
		}
		return r, w, nil
	}
	if err := b.awaitQuiet(); err != nil {
		return v, err
	}
	r, _, err := phase("hits alone", hits)
	if err != nil {
		return v, err
	}
	v.Quiet = r.Streams[0].P50 / 1e3

	r, w, err := phase("misses alone", fresh(zone, round, 0, 0))
	if err != nil {
		return v, err
	}
	v.Capacity = r.Streams[0].Rate
	v.CPU = float64(w.server) / float64(max(1, r.Streams[0].Answered))
	v.NSD, v.Load = w.authority.Seconds()/r.Wall.Seconds(), r.CPU.Seconds()/r.Wall.Seconds()
	if v.Capacity == 0 {
		return v, fmt.Errorf("measuring %s: no miss was answered", c.name())
	}

	if r, w, err = phase("hits beside half as many misses as it can do", hits, fresh(zone, round, 1, v.Capacity/2)); err != nil {
		return v, err
	}
	v.Half, v.HalfHits, v.HalfBusy = r.Streams[0].P50/1e3, answered(r.Streams[0]), w.server.Seconds()/r.Wall.Seconds()

	if r, _, err = phase("hits beside twice as many misses as it can do", hits, fresh(zone, round, 2, 2*v.Capacity)); err != nil {
		return v, err
	}
	v.Twice, v.TwiceP99, v.TwiceHits, v.TwiceMiss = r.Streams[0].P50/1e3, r.Streams[0].P99/1e3, answered(r.Streams[0]), answered(r.Streams[1])
	return v, b.rig.Sleep(drain)
}

// drain is how long a server has to get rid of misses that nobody waits for any more.
const drain = 5 * time.Second

// answered is the share of questions that got an answer without error; those that the load generator could not send count, too.
func answered(c flood.Counts) float64 {
	good := c.RCodes[0] + c.RCodes[3] - c.Wrong
	return float64(good) / float64(max(1, c.Sent+c.Refused))
}

// fresh is a stream of names that were never asked before; at no rate, as many as are answered.
func fresh(zone *set, round, part int, rate float64) flood.Stream {
	s := flood.Stream{Name: "misses", First: len(zone.questions), Count: 1, Fresh: 1 + load.Draw(0, uint64(round), uint64(part))>>1,
		Socks: 4, Window: missWindow, Batch: 1, Rate: rate, Stale: stale, Sample: 100}
	if rate == 0 {
		s.Window, s.Batch = 192, 32
	}
	return s
}

func (v *missing) String() string {
	return fmt.Sprintf("misses  round %d %-14s %.0f misses/s at %.0f us (NSD %.0f %%, load %.0f %%); hits p50 alone %.1f us, beside half as many %.1f us (busy %.0f %%, %.3f %% answered), "+
		"beside twice as many %.1f us p99 %.0f us (%.3f %% answered, misses %.1f %%); wrong %d, others %.0f %%", v.Round+1, v.Server, v.Capacity, v.CPU/1e3, 100*v.NSD, 100*v.Load,
		v.Quiet, v.Half, 100*v.HalfBusy, 100*v.HalfHits, v.Twice, v.TwiceP99, 100*v.TwiceHits, 100*v.TwiceMiss, v.Wrong, 100*v.Others)
}

// missRounds measures hits beside misses: all that are to be, in turn. It leaves what it asked in their caches.
func (b *bout) missRounds(all []*contestant, zone *set, file string) error {
	for round := range b.rounds {
		for _, c := range order(all, round) {
			v, err := quiet(b, func() (missing, float64, error) {
				v, err := b.misses(c, zone, file, round)
				return v, v.Others, err
			})
			if err != nil {
				return err
			}
			b.rig.Say("%s", &v)
			b.result.Misses = append(b.result.Misses, v)
		}
	}
	return nil
}
