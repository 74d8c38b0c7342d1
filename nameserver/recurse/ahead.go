package recurse

import (
	"context"
	"fmt"

	"github.com/ananas-edge/ananas/dns"
)

// keysAhead begins to ask for the keys of a zone beside the question that its servers are asked, as what they answer will have to be validated:
// else each zone on the way would cost its round trip twice. Nothing is asked that would not be asked later: keys are needed where a zone has DS
// records, to believe what it says or what it says of the zones below.
func (j *job) keysAhead(ctx context.Context, d *delegation) {
	zone := d.zone
	if j.key.cd || j.key.fresh == FreshAll || d.from == fromForward || j.q.Type == dns.TypeDNSKEY && j.q.Name == zone {
		return
	}
	anchor, _, ok := j.anchored(zone)
	now := j.r.clock.Boot()
	if !ok {
		return
	}
	if _, known := j.trusts().get(j.trustKey(zone), now); known {
		return
	}
	if zone != anchor.Zone && !j.hasDS(zone) {
		return
	}
	q := dns.Question{Name: zone, Type: dns.TypeDNSKEY, Class: dns.ClassINET}
	if j.r.flight.runs(jobKey{q.Name, q.Type, j.table, FreshNot, j.epoch, false, false, dns.Name{}}) {
		return
	}
	span := j.span
	if span.on() {
		span = span.event(KindValidate, fmt.Sprintf("the keys of %v will be needed: ask for them beside", zone), "zone", zone.String())
	}
	o := Opts{Table: j.table, Budget: j.budget, Proofs: true, silent: true, span: span, depth: j.depth}
	j.r.wg.Add(1)
	go func() {
		defer j.r.wg.Done()
		defer j.r.recovered("asking ahead for", &q, func(*failure) {})
		j.r.link(ctx, q, o, now)
	}()
}

// hasDS tells whether DS records of a zone are known, checked or not.
func (j *job) hasDS(zone dns.Name) bool {
	if c, ok := j.cuts[zone]; ok {
		return c.ds.Data != nil
	}
	e, ok := j.r.peek(zone, dns.TypeDS)
	return ok && e.Live(j.r.clock.Boot())
}
