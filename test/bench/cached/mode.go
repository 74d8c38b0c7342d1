//go:build linux

package main

import (
	"slices"
	"time"

	"github.com/ananas-edge/ananas/test/bench/flood"
)

// mode is a way to ask.
type mode struct {
	name  string
	kind  kind
	title string

	socks, window, batch int
	rate                 float64 // 0: closed loop
	joined               bool
}

// modes are all ways to ask, in the order in which they are measured and shown; joined is whether batches may leave as one message.
//
// 192 in flight keep any server busy (a batch on its way in, one in work, one on its way out); four sockets are a few forwarders, 64 with
// three each many clients, which leave a server little to send together. In the open loops each question is a message of its own.
func modes(joined bool) []*mode {
	return []*mode{
		{name: "mixed", kind: manySizes, title: "names and answers of many sizes, 192 in flight from 4 sockets", socks: 4, window: 192, batch: 32},
		{name: "one", kind: oneSize, title: "one size, 192 in flight from 4 sockets", socks: 4, window: 192, batch: 32, joined: joined},
		{name: "plain", kind: oneSize, title: "the same, each question a message of its own", socks: 4, window: 192, batch: 32},
		{name: "many", kind: oneSize, title: "one size, 64 sockets with 3 in flight each", socks: 64, window: 192, batch: 3},
		{name: "20k", kind: oneSize, title: "20,000 a second, whatever the server does", socks: 4, window: openWindow, batch: 1, rate: 20_000},
		{name: "100k", kind: oneSize, title: "100,000 a second, whatever the server does", socks: 4, window: openWindow, batch: 1, rate: 100_000},
		{name: "signed", kind: signed, title: "a signed zone, one size, 192 in flight from 4 sockets", socks: 4, window: 192, batch: 32, joined: joined},
	}
}

const (
	openWindow = 4 * 16384 // questions that an open loop lets wait: 0.6 s of 100,000 a second
	timeout    = time.Second
	stale      = 2 * time.Millisecond // a question that could not leave for so long is left out: a burst of them is no steady rate
	samples    = 2000                 // answers that are looked at closely in a run, about
	guess      = 100_000
)

// plan is what the load generator is to do in one run.
func (m *mode) plan(s *set, file string, long time.Duration) flood.Plan {
	rate := m.rate
	if rate == 0 {
		rate = guess // of answers a second, for the sample alone
	}
	return flood.Plan{Questions: file, For: long, Timeout: timeout, Spin: m.rate > 0, Streams: []flood.Stream{{
		Name: m.name, Count: len(s.questions), Socks: m.socks, Window: m.window, Batch: m.batch, Joined: m.joined, Rate: m.rate, Stale: stale,
		Sample: max(1, int(rate*long.Seconds())/samples),
	}}}
}

// warm is how a cache is filled: gently, and each answer is looked at in the second pass.
func warm(s *set, file string, look bool) flood.Plan {
	sample := 0
	if look {
		sample = 1
	}
	return flood.Plan{Questions: file, For: warmLimit, Timeout: 3 * time.Second, Streams: []flood.Stream{{
		Name: "warm", Count: len(s.questions), Once: true, Socks: 1, Window: 48, Batch: 16, Sample: sample,
	}}}
}

const warmLimit = 5 * time.Minute // 100,000 names at 333 a second; the slowest does 2,000

// chosen are the modes that were asked for, and those of a kind.
func chosen(all []*mode, names []string, k kind) (some []*mode) {
	for _, m := range all {
		if m.kind == k && (len(names) == 0 || slices.Contains(names, m.name)) {
			some = append(some, m)
		}
	}
	return some
}

// order is who is measured after whom in a round: each begins one.
func order[T any](all []T, round int) []T {
	if len(all) == 0 {
		return nil
	}
	k := round % len(all)
	return slices.Concat(all[k:], all[:k])
}
