package recurse

import (
	"context"
	"strconv"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// Error reporting (RFC 9567): a server may name an agent in its replies; a failure to resolve what it serves is reported to the agent, by a
// question whose name tells the type, the name and the extended error. Answers to reports are cached like all others, so that one failure
// is reported once in the TTL of the answer.

const (
	maxReports     = 10          // under way; one takes some 100 ms
	reportInterval = time.Second // in which maxReports may begin: a zone that breaks with a thousand names is known to be broken after ten
)

const reportLabel = "_er" // section 6.1.1, at both ends

// agentOf returns the agent that a reply names; no name if there is none. The root is none (section 6.1: the resolver must not report to it).
func agentOf(m *dns.Message) dns.Name {
	data, ok := m.EDNS.Options.Find(dns.OptionReportChannel)
	if !ok {
		return dns.Name{}
	}
	agent, err := dns.NameFromWire(data)
	if err != nil || agent.IsRoot() {
		return dns.Name{}
	}
	return agent.Lower()
}

// reportName is the name of a report; ok is false if it would be too long, or be a report about a report (section 6.2).
func reportName(q dns.Question, code dns.EDECode, agent dns.Name) (_ dns.Name, ok bool) {
	if q.Name.Label() == reportLabel {
		return dns.Name{}, false
	}
	below, err := agent.Child(reportLabel)
	if err == nil {
		below, err = below.Child(strconv.Itoa(int(code)))
	}
	var name dns.Name
	if err == nil {
		name, err = q.Name.ReplaceSuffix(dns.Root, below)
	}
	if err == nil {
		name, err = name.Child(strconv.Itoa(int(q.Type)))
	}
	if err == nil {
		name, err = name.Child(reportLabel)
	}
	return name, err == nil
}

// report tells an agent of a failure, beside and without waiting.
func (j *job) report(f *failure) {
	r := j.r
	if !j.client || j.agent.IsZero() || !j.table.ErrorReports || f.mind == forget || j.key.fresh == FreshAll {
		return
	}
	name, ok := reportName(j.q, f.ede.Code, j.agent)
	if !ok || j.q.Name.IsWithin(j.agent) { // an agent's own zone that is broken can't be told so
		return
	}
	q := dns.Question{Name: name, Type: dns.TypeTXT, Class: dns.ClassINET}
	if _, failed := r.failures.get(failureKey{q.Name, q.Type, r.space}, r.clock.Boot(), false); failed || !r.mayReport() {
		r.m.reports.With("left out").Inc()
		return
	}
	r.m.reports.With("sent").Inc()
	if j.span.on() {
		j.span.event(KindReport, "tell "+j.agent.String()+", as its servers ask for: "+q.String(), "agent", j.agent.String(), "name", name.String())
	}
	t := j.table
	r.wg.Add(1)
	go func() {
		defer r.wg.Done()
		defer func() { <-r.reports }()
		defer r.recovered("reporting", &q, func(*failure) {})
		ctx, cancel := context.WithTimeout(r.ctx, t.Limits.QueryTime)
		defer cancel()
		_, _ = r.Resolve(ctx, q, Opts{Table: t, silent: true})
	}()
}

// mayReport takes a place among the reports under way.
func (r *Resolver) mayReport() bool {
	now := int64(r.clock.Boot())
	if since := r.reportsSince.Load(); now-since >= int64(reportInterval) {
		r.reportsSince.Store(now)
		r.reportsBegun.Store(0)
	}
	if r.reportsBegun.Add(1) > maxReports {
		r.m.limits.With("reports").Inc()
		return false
	}
	select {
	case r.reports <- struct{}{}:
		return true
	default:
		r.m.limits.With("reports").Inc()
		return false
	}
}
