package rollout

import (
	"fmt"
	"time"
)

// What is compared of queries. A change may turn more names into ones that don't exist, and decide more queries itself, than it may fail: that is what a list of blocked names does.
var compared = [...]struct {
	what   string
	count  func(*Sum) uint64
	margin func(*Plan) Share
}{
	{"failed queries", classed(Broken), failure},
	{"refused queries", classed(Refused), failure},
	{"queries called malformed", classed(Misput), failure},
	{"names that do not exist", classed(Absent), blocked},
	{"queries that modules answered or dropped", func(s *Sum) uint64 { return s.Decided }, blocked},
}

func classed(c Class) func(*Sum) uint64 { return func(s *Sum) uint64 { return s.Results[c] } }

func failure(p *Plan) Share { return p.Margin }
func blocked(p *Plan) Share { return p.Blocked }

// Latency is compared at two quantiles. It is worse when the share of queries that take more than twice the quantile without the change, and at least so much longer than floor says, is certainly
// above what it is without, and above what the quantile leaves: half, or one in a hundred. Less than 5 ms nobody notices at the median; one query in a hundred waits for a far server anyway.
var quantiles = [...]struct {
	what  string
	of    float64
	floor time.Duration
}{
	{"median latency", 0.5, 5 * time.Millisecond},
	{"99th percentile of latency", 0.99, 50 * time.Millisecond},
}

const slower = 2

// reference is what the figures of some queries are compared with: sums, each with a weight.
type reference struct {
	parts   []*Sum
	weights []float64
	against string
}

func (r *reference) add(s *Sum, weight float64, against string) {
	if r.against == "" || against != againstOthers {
		r.against = against // the weakest is told
	}
	for i, p := range r.parts {
		if p == s {
			r.weights[i] += weight
			return
		}
	}
	r.parts, r.weights = append(r.parts, s), append(r.weights, weight)
}

// share returns what part of all its queries is the case, each sum by its weight, of as many queries as are as sure: the variance of a weighted mean is the sum of w^2 p(1-p)/n, so that n is 1 in
// the sum of w^2/n.
func (r *reference) share(count, total func(*Sum) uint64) part {
	var share, variance, all float64
	for i, s := range r.parts {
		n, w := float64(total(s)), r.weights[i]
		if n == 0 {
			continue
		}
		share += w * float64(count(s)) / n
		variance += w * w / n
		all += w
	}
	if all == 0 {
		return part{}
	}
	n := all * all / variance
	return part{share / all * n, n}
}

// quantile returns the bucket that a quantile is in.
func (r *reference) quantile(q float64) int {
	var all, below float64
	for i, s := range r.parts {
		if s.Timed() > 0 {
			all += r.weights[i]
		}
	}
	for b := range Buckets {
		for i, s := range r.parts {
			if n := s.Timed(); n > 0 {
				below += r.weights[i] * float64(s.Latency[b]) / float64(n)
			}
		}
		if below >= q*all-1e-9 {
			return b
		}
	}
	return Buckets - 1
}

// traffic compares queries: of the whole fleet, and of each stratum alone. It tells whether there were enough.
func (j *judgement) traffic() bool {
	fleet, against := j.fleet()
	// The reference of a stratum: those without the change at the same site and time, else the same nodes before. Where there is neither, the fleet stands in when all is added up; to judge
	// the site alone by it would be to judge the site.
	own := func(s *Stratum) (*Sum, string) {
		switch {
		case s.Others.Queries() >= j.p.Queries:
			return &s.Others, againstOthers
		case s.Before.Queries() >= j.p.Queries:
			return &s.Before, againstBefore
		}
		return nil, ""
	}
	var whole reference
	var with Sum
	surest := nats((len(j.v.Strata) + 1) * (len(compared) + len(quantiles)))
	for _, s := range j.v.Strata {
		n := s.Holders.Queries()
		j.queries = plus(j.queries, n)
		base, of := own(s)
		if base == nil {
			base, of = &fleet, against
		}
		if n == 0 || base.Queries() < j.p.Queries {
			continue
		}
		whole.add(base, float64(n), of)
		with.Add(&s.Holders)
	}
	if len(whole.parts) > 0 {
		j.compare(&with, &whole, "", surest, true)
	}
	if len(j.v.Strata) > 1 {
		for _, s := range j.v.Strata {
			if base, against := own(s); base != nil && s.Holders.Queries() > 0 {
				j.compare(&s.Holders, &reference{[]*Sum{base}, []float64{1}, against}, s.Site, surest, false)
			}
		}
	}
	return with.Queries() >= j.p.Queries
}

// compare compares one sum with its reference.
func (j *judgement) compare(with *Sum, ref *reference, site string, nats float64, tell bool) {
	n := float64(with.Queries())
	for i, c := range compared {
		seen, base := part{float64(c.count(with)), n}, ref.share(c.count, (*Sum).Queries)
		f := Figure{What: c.what, Site: site, With: seen.String(), Without: base.String(), Against: ref.against}
		if worse(seen, base, c.margin(j.p).Float(), 0, nats) {
			j.bad = append(j.bad, f)
		} else if tell && (seen.x > 0 || base.x > 0 || i == 0) {
			j.good = append(j.good, f)
		}
	}
	timed := float64(with.Timed())
	for _, q := range quantiles {
		if timed == 0 {
			break // not one was answered, which is told above
		}
		usual := ref.quantile(q.of)
		limit := BucketOf(max(slower*longest(usual), longest(usual)+q.floor))
		count := func(s *Sum) uint64 {
			var slow uint64
			for b := limit + 1; b < Buckets; b++ {
				slow = plus(slow, s.Latency[b])
			}
			return slow
		}
		one := reference{parts: []*Sum{with}, weights: []float64{1}}
		f := Figure{What: q.what, Site: site, With: within(one.quantile(q.of)), Without: within(usual), Against: ref.against}
		if worse(part{float64(count(with)), timed}, ref.share(count, (*Sum).Timed), 0, 1-q.of, nats) {
			j.bad = append(j.bad, f)
		} else if tell {
			j.good = append(j.good, f)
		}
	}
}

// longest is the bound of a bucket, but for the last, which can't be exceeded.
func longest(bucket int) time.Duration { return Bound(min(bucket, Buckets-2)) }

// within writes the duration of a bucket.
func within(bucket int) string {
	if bucket == Buckets-1 {
		return "above " + Bound(Buckets-2).Round(100*time.Millisecond).String()
	}
	d := Bound(bucket)
	switch {
	case d >= time.Second:
		d = d.Round(100 * time.Millisecond)
	case d >= time.Millisecond:
		d = d.Round(100 * time.Microsecond)
	default:
		d = d.Round(time.Microsecond)
	}
	return "up to " + d.String()
}

// String writes a share as it was seen.
func (p part) String() string {
	return fmt.Sprintf("%.3g%% of %.0f", 100*p.share(), p.n)
}
