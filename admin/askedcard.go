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
	Asked []tally // what clients ask, counted in samples; none if nothing is sampled, or it can't be told
	From  []tally // where answers came from
	OneIn int
	Of    int // samples
	Over  time.Duration
}

// tally is how many samples have one thing in common.
type tally struct {
	What  string
	Count int
	Share float64 // of the samples, 0 to 1
}

// mostTallied is how many rows a card has; the command line shows more.
const mostTallied = 8

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
	p.Asked = tallies(list.Samples, func(q *Sample) string { return cmp.Or(strings.TrimSpace(q.Name+" "+q.Type), "no question") })
	p.From = tallies(list.Samples, func(q *Sample) string { return q.From })
}

// tallies has the most frequent at the front.
func tallies(samples []Sample, of func(*Sample) string) (all []tally) {
	n := map[string]int{}
	for i := range samples {
		n[of(&samples[i])]++
	}
	for what, c := range n {
		all = append(all, tally{what, c, float64(c) / float64(len(samples))})
	}
	slices.SortFunc(all, func(a, b tally) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.What, b.What)) })
	return all[:min(len(all), mostTallied)]
}
