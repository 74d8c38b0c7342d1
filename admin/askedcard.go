package admin

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// page is what the page at / shows.
type page struct {
	Status
	Asked []SampleCount // what clients ask, counted in samples; none if nothing is sampled, or it can't be told
	From  []SampleCount // where answers came from
	OneIn int
	Of    int // samples
	Over  time.Duration
	Fleet *fleet // of a root

	Modules *moduleCard // nil: there are none
}

// SampleCount is how many samples have one thing in common.
type SampleCount struct {
	Value string  `json:"value"`
	Count int     `json:"count"`
	Share float64 `json:"share"` // of the samples, 0 to 1
}

// CountSamples counts samples by what of says of each, the most frequent first.
func CountSamples(samples []Sample, of func(*Sample) string) []SampleCount {
	n := map[string]int{}
	for i := range samples {
		n[of(&samples[i])]++
	}
	all := []SampleCount{}
	for v, c := range n {
		all = append(all, SampleCount{v, c, float64(c) / float64(len(samples))})
	}
	slices.SortFunc(all, func(a, b SampleCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value))
	})
	return all
}

// mostCounted is how many rows a card has; the command line shows more.
const mostCounted = 8

// asked adds what clients ask. A page that has no samples is still a page.
func (s *Server) asked(ctx context.Context, p *page) {
	if s.config.Samples == nil {
		return
	}
	list, err := s.config.Samples.ListSamples(ctx, SampleQuery{Name: dns.Root, Limit: MaxSampleLimit})
	if err != nil || len(list.Samples) == 0 {
		return
	}
	n := len(list.Samples)
	p.OneIn, p.Of, p.Over = list.OneIn, n, list.Samples[0].At.Sub(list.Samples[n-1].At)
	p.Asked = most(CountSamples(list.Samples, func(q *Sample) string { return cmp.Or(strings.TrimSpace(q.Name+" "+q.Type), "no question") }))
	p.From = most(CountSamples(list.Samples, func(q *Sample) string { return q.From }))
}

func most(all []SampleCount) []SampleCount { return all[:min(len(all), mostCounted)] }
