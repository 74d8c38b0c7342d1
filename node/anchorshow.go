package node

import (
	"fmt"
	"slices"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/dnssec"
	"github.com/ananas-edge/ananas/nameserver/recurse"
	"github.com/ananas-edge/ananas/nameserver/rollover"
	"github.com/ananas-edge/ananas/telemetry"
)

// anchorMetrics are the instruments of trust anchors.
type anchorMetrics struct {
	changes, looks, limits *telemetry.CounterVec
	checks                 *dnssec.Metrics
}

func newAnchorMetrics(m *telemetry.Metrics, a *anchors) anchorMetrics {
	m.GaugeVecFunc("ananas_trust_anchor_keys", "Keys of zones with a trust anchor, by zone and state (RFC 5011).", []string{"zone", "state"}, func(show telemetry.Show) {
		for _, z := range *a.shown.Load() {
			for state, n := range z.keys {
				show(float64(n), z.zone.String(), rollover.State(state).String())
			}
		}
	})
	m.GaugeVecFunc("ananas_trust_anchor_seen_seconds", "Wall time at which the keys of a zone with a trust anchor were last seen and found good; 0: never.", []string{"zone"}, func(show telemetry.Show) {
		for _, z := range *a.shown.Load() {
			seen := 0.0
			if !z.seen.IsZero() {
				seen = float64(z.seen.Unix())
			}
			show(seen, z.zone.String())
		}
	})
	return anchorMetrics{
		changes: m.CounterVec("ananas_trust_anchor_changes_total", "Steps of keys of trust anchors into another state, by that state.", "state"),
		looks:   m.CounterVec("ananas_trust_anchor_looks_total", "Questions for the keys of trust anchors, by whether what came was good.", "result"),
		limits:  m.CounterVec("ananas_trust_anchor_limits_total", "Times that a limit of following trust anchors was hit, by its name.", "limit"),
	}
}

// shownZone is what is shown of a zone.
type shownZone struct {
	zone     dns.Name
	keys     [6]int // by state
	seen     time.Time
	interval time.Duration
	good     time.Duration // boot time; negative: not in this process
	opened   time.Duration // boot time
	failure  error
}

// publish lets everybody see what is known. The caller holds the lock, or nobody else knows of a yet.
func (a *anchors) publish() {
	out := make([]shownZone, 0, len(a.zones))
	for name, z := range a.zones {
		s := shownZone{zone: name, seen: z.point.Seen, interval: z.point.Interval, good: z.good, opened: a.opened, failure: z.failure}
		for i := range z.point.Keys {
			if state := int(z.point.Keys[i].State); state < len(s.keys) {
				s.keys[state]++
			}
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b shownZone) int { return a.zone.Compare(b.zone) })
	a.shown.Store(&out)
}

// warning says what an operator should know of a zone; "" if all is well.
func (z *shownZone) warning(c recurse.Clock) string {
	why := ""
	if z.failure != nil {
		why = ": " + z.failure.Error()
	}
	if z.failure == rollover.ErrDeleted {
		return fmt.Sprintf("all trust anchors of %v were revoked; name its new keys in recursion.trust_anchors", z.zone)
	}
	since := c.Boot() - z.opened
	if z.good >= 0 {
		since = c.Boot() - z.good
	} else if !z.seen.IsZero() {
		since = max(since, c.Wall().Sub(z.seen))
	}
	if since < staleAfter(z.interval) {
		return ""
	}
	return fmt.Sprintf("the keys of %v were not seen for %d days%s; if they roll over meanwhile, its names will be bogus: see that its servers can be reached", z.zone, int(since/(24*time.Hour)), why)
}
