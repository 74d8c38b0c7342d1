package node

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/dnssec"
	"github.com/ananas-edge/ananas/nameserver/recurse"
	"github.com/ananas-edge/ananas/nameserver/rollover"
	"github.com/ananas-edge/ananas/telemetry"
)

// shownAnchors is what is known of the anchors, for those who look: it is put together when something changes, so that nobody who looks waits for a
// disk.
type shownAnchors struct {
	zones    []shownZone // by name
	problems []string    // of the state file
}

type shownZone struct {
	status  admin.TrustAnchorStatus
	after   time.Duration // without a good set for so long is a warning; 0: none is waited for
	since   time.Duration // boot time of the last good set, or from which one is missed
	deleted bool
}

// publish shows what is known. The caller holds mu.
func (a *anchors) publish() {
	s := &shownAnchors{}
	for _, z := range a.zones {
		s.zones = append(s.zones, a.show(z))
	}
	for _, r := range a.fixed {
		s.zones = append(s.zones, shownZone{status: admin.TrustAnchorStatus{Zone: r.Zone.String(), Keys: fixedKeys(r, a.from())}})
	}
	slices.SortFunc(s.zones, func(a, b shownZone) int { return strings.Compare(a.status.Zone, b.status.Zone) })
	for _, err := range []error{a.unread, a.unsaved} {
		if err != nil {
			s.problems = append(s.problems, err.Error())
		}
	}
	a.shown.Store(s)
}

// show puts together what is known of one zone.
func (a *anchors) show(z *anchored) shownZone {
	p, c := &z.point, a.checks()
	s := shownZone{
		status:  admin.TrustAnchorStatus{Zone: p.Zone.String(), Updated: true, Keys: []admin.TrustKeyStatus{}, Seen: p.Seen},
		after:   staleAfter(p.Interval),
		deleted: errors.Is(z.failure, rollover.ErrDeleted),
	}
	if z.failure != nil {
		s.status.Error = z.failure.Error()
	}
	now := a.clock.Boot()
	switch age := a.clock.Wall().Sub(p.Seen); {
	case s.deleted:
		s.after = 0
	case z.good >= 0:
		s.since = z.good
	case !p.Seen.IsZero() && age > 0:
		s.since = now - age // before this process
	default:
		s.since = a.opened
	}
	if !s.deleted {
		s.status.Next = a.clock.Wall().Add(max(z.due-now, 0))
	}
	for i := range p.Keys {
		k := &p.Keys[i]
		status := admin.TrustKeyStatus{
			Tag: k.Tag(), Algorithm: k.Algorithm().String(), State: k.State.String(), From: admin.FromZone, Since: k.Since,
		}
		if p.Configures(k, c) {
			status.From = a.from()
		}
		if k.State == rollover.AddPend {
			status.Left = int64(max(k.Hold-k.Counted, 0) / time.Second)
		}
		s.status.Keys = append(s.status.Keys, status)
	}
	s.status.Keys = append(s.status.Keys, unseenKeys(p.Unseen(c), admin.KeyUnseen, a.from())...)
	slices.SortStableFunc(s.status.Keys, func(a, b admin.TrustKeyStatus) int { return cmp.Compare(rank(a.State), rank(b.State)) })
	return s
}

// from says where the anchors are from that the settings give.
func (a *anchors) from() string {
	if a.base.Recursion.BuiltInAnchors() {
		return admin.FromBuiltIn
	}
	return admin.FromSettings
}

// rank orders keys for people: those that are trusted, those that may be, those that are not any more.
func rank(state string) int {
	switch state {
	case rollover.AddPend.String():
		return 1
	case rollover.Revoked.String():
		return 2
	case rollover.Removed.String():
		return 3
	}
	return 0
}

// fixedKeys are the anchors of a zone that are used as they stand.
func fixedKeys(r recurse.Anchor, from string) []admin.TrustKeyStatus {
	keys := []admin.TrustKeyStatus{}
	for data := range r.DNSKEY.All() {
		if k, err := dns.ParseDNSKEY(data); err == nil {
			keys = append(keys, admin.TrustKeyStatus{Tag: k.KeyTag(), Algorithm: dnssec.Algorithm(k.Algorithm).String(), State: admin.KeyFixed, From: from})
		}
	}
	return append(keys, unseenKeys(r.DS, admin.KeyFixed, from)...)
}

// unseenKeys are keys of which only a DS record is known. Those with two records are there once.
func unseenKeys(ds dns.Records, state, from string) (keys []admin.TrustKeyStatus) {
	for data := range ds.All() {
		d, err := dns.ParseDS(data)
		if err != nil {
			continue
		}
		k := admin.TrustKeyStatus{Tag: d.KeyTag, Algorithm: dnssec.Algorithm(d.Algorithm).String(), State: state, From: from}
		if !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}

// status is what /api/v1/status says of the anchors.
func (a *anchors) status() []admin.TrustAnchorStatus {
	all := []admin.TrustAnchorStatus{}
	for _, z := range a.shown.Load().zones {
		all = append(all, z.status)
	}
	return all
}

// staleAfter is how long the keys of a zone may not have been seen until that is a warning: a week, or three times the interval at
// which they are asked for, if that is longer. A key has to be announced for 30 days at least: after a week an operator has three left to
// find out why.
func staleAfter(interval time.Duration) time.Duration { return max(7*24*time.Hour, 3*interval) }

// maxWarned is how many zones a warning names.
const maxWarned = 3

// warning is what /readyz says of all this; "" is nothing.
func (a *anchors) warning() string {
	s, now := a.shown.Load(), a.clock.Boot()
	texts := slices.Clone(s.problems)
	named, more := 0, 0
	for i := range s.zones {
		text := s.zones[i].warning(now)
		switch {
		case text == "":
		case named < maxWarned:
			named++
			texts = append(texts, text)
		default:
			more++
		}
	}
	if more > 0 {
		texts = append(texts, fmt.Sprintf("so it is with %d zones more", more))
	}
	return strings.Join(texts, "; ")
}

func (z *shownZone) warning(now time.Duration) string {
	switch {
	case z.deleted:
		return fmt.Sprintf("all trust anchors of %s were revoked, so that names in it are not validated by it; name its new keys in recursion.trust_anchors", z.status.Zone)
	case z.after > 0 && z.status.Seen.IsZero() && z.status.Error != "": // a wrong anchor fails everything, and is wrong from the start
		return fmt.Sprintf("no keys of %s were found that its trust anchors fit: %s; until then its names are answered SERVFAIL: see that recursion.trust_anchors is right and its servers can be reached",
			z.status.Zone, z.status.Error)
	case z.after > 0 && now-z.since > z.after:
		why := ""
		if z.status.Error != "" {
			why = ": " + z.status.Error
		}
		return fmt.Sprintf("the keys of %s were not seen for %d days%s; if they roll over meanwhile, its names will be bogus: see that its servers can be reached",
			z.status.Zone, (now-z.since)/(24*time.Hour), why)
	}
	return ""
}

// anchorMetrics are the instruments of trust anchors.
type anchorMetrics struct {
	changes, looks, limits *telemetry.CounterVec
	checks                 *dnssec.Metrics
}

func newAnchorMetrics(m *telemetry.Metrics, a *anchors) anchorMetrics {
	m.GaugeVecFunc("ananas_trust_anchor_keys", "Keys of zones with a trust anchor, by zone and state (RFC 5011; unseen: named by the settings and not seen yet, fixed: not kept up to date).",
		[]string{"zone", "state"}, func(show telemetry.Show) {
			for _, z := range a.shown.Load().zones {
				for i := range z.status.Keys {
					show(1, z.status.Zone, z.status.Keys[i].State)
				}
			}
		})
	m.GaugeVecFunc("ananas_trust_anchor_seen_seconds", "Wall time at which the keys of a zone with a trust anchor were last seen and found good; 0: never.", []string{"zone"}, func(show telemetry.Show) {
		for _, z := range a.shown.Load().zones {
			seen := 0.0
			if !z.status.Seen.IsZero() {
				seen = float64(z.status.Seen.Unix())
			}
			if z.status.Updated {
				show(seen, z.status.Zone)
			}
		}
	})
	out := anchorMetrics{
		changes: m.CounterVec("ananas_trust_anchor_changes_total", "Steps of keys of trust anchors into another state, by that state.", "state"),
		looks:   m.CounterVec("ananas_trust_anchor_looks_total", "Questions for the keys of trust anchors, by whether what came was good.", "result"),
		limits:  m.CounterVec("ananas_trust_anchor_limits_total", "Times that a limit of following trust anchors was hit, by its name.", "limit"),
		checks:  dnssec.NewMetrics(m),
	}
	for _, limit := range []string{"keys", "anchors", "zones"} {
		out.limits.With(limit)
	}
	return out
}
