package node

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver"
	"github.com/ananas-edge/ananas/nameserver/cache"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/nameserver/recurse"
)

// Explain resolves as for a client, with each step told: the one of the request, or this machine.
func (n *Node) Explain(ctx context.Context, req admin.ExplainRequest, emit func(admin.Event) error) (admin.ExplainAnswer, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	table := n.server.Table()
	if req.Client.IsValid() {
		if a, refused := table.Prohibited(req.Client); refused {
			return refuse(req, table.Clients, a, emit)
		}
	}
	if a, refused := nameserver.Refused(req.Type); refused {
		return refuse(req, table.Clients, a, emit)
	}
	start := n.clock.Boot()
	trace := recurse.NewTrace(n.clock.Boot, func(e recurse.Event) {
		fields := make(map[string]any, len(e.Fields))
		for k, v := range e.Fields {
			fields[k] = v
		}
		if emit(admin.Event{Seq: e.Seq, Parent: e.Parent, AtUS: e.AtUS, Kind: string(e.Kind), Text: e.Text, Fields: fields}) != nil {
			cancel() // nobody listens any more
		}
	})
	t := table.Recursion
	o := recurse.Opts{Table: t, Stale: true, Trace: trace, Budget: n.resolver.NewBudget(t)}
	if req.Fresh {
		o.Fresh, o.Stale = recurse.FreshAll, false
	}
	ctx, stop := context.WithTimeout(ctx, t.Limits.QueryTime)
	defer stop()
	question := dns.Question{Name: req.Name, Type: req.Type, Class: dns.ClassINET}
	clients, client := table.Clients, netip.AddrFrom4([4]byte{127, 0, 0, 1}) // it is this machine that asks
	if req.Client.IsValid() {
		client = req.Client
		trace.Event(recurse.KindClient, clientEvent(&req, clients).Text, "client", client.String(), "tenant", clients.Tag(client))
	}
	asked := plugin.Query{
		Name: []byte(req.Name.Lower().Wire()), Type: req.Type, Flags: dns.FlagRD, Client: client, Tenant: clients.Tag(client), Groups: t, Now: n.clock.Wall().UnixNano(),
	}
	out, err := nameserver.Programmed(ctx, n.resolver, table.Plugins, clients, asked, question, 0, o, start, func(s plugin.Step) { tellStep(trace, s) })
	a, dropped := out.Answer, out.Dropped
	if dropped {
		trace.Event(recurse.KindAnswer, "no answer at all: a module has dropped the query")
	}
	trace.Close()
	told := admin.ExplainAnswer{
		Client: req.Client, Name: req.Name.String(), Type: req.Type.String(), RCode: a.RCode.String(), Security: securityName(a.Security),
		Answer: texts(a.Answer), Authority: texts(a.Authority), Errors: []admin.EDE{},
		UpstreamQuestions: t.Limits.UpstreamQuestions - o.Budget.Left(), DurationUS: (n.clock.Boot() - start).Microseconds(),
	}
	if a.Security == cache.Insecure {
		if g, ok := t.Group(out.Group); ok {
			t = g
		}
		told.NegativeAnchor = negated(t, question, &a, n.clock.Wall())
	}
	for _, e := range a.EDEs {
		told.Errors = append(told.Errors, admin.EDE{Code: uint16(e.Code), Name: e.Code.String(), Text: e.Text})
	}
	if err != nil && a.RCode != dns.RCodeServerFailure {
		return told, err
	}
	return told, nil
}

// negated returns the negative trust anchor by which an answer, or a part of it, was not validated; nil: it is insecure for another reason.
func negated(t *recurse.Table, q dns.Question, a *recurse.Answer, now time.Time) *admin.NegativeAnchor {
	owners := []dns.Question{q}
	for _, set := range a.Answer { // of a chain of aliases each may be in another zone
		owners = append(owners, dns.Question{Name: set.Name, Type: set.Type})
		if target, ok := aliasTarget(&set); ok {
			owners = append(owners, dns.Question{Name: target, Type: q.Type})
		}
	}
	for _, o := range owners {
		if n, ok := t.Negated(o.Name, o.Type, now); ok {
			return &admin.NegativeAnchor{Zone: n.Zone.String(), Until: n.Until}
		}
	}
	return nil
}

// aliasTarget returns where a CNAME leads: a denial behind it has no record of that name in the answer.
func aliasTarget(set *dns.RRset) (dns.Name, bool) {
	if set.Type != dns.TypeCNAME {
		return dns.Name{}, false
	}
	for rr := range set.RRs() {
		target, _, err := dns.UnpackName(rr.Data, 0)
		return target, err == nil
	}
	return dns.Name{}, false
}

// tellStep tells what one module said.
func tellStep(t *recurse.Trace, s plugin.Step) {
	text := fmt.Sprintf("%s at phase %s: %s", s.Module, s.Phase, s.Verdict)
	if s.Err != nil {
		text = fmt.Sprintf("%s at phase %s failed: %v", s.Module, s.Phase, s.Err)
	}
	t.Event(recurse.KindModule, fmt.Sprintf("%s (%d fuel, %.1f us)", text, s.Fuel, float64(s.Took.Nanoseconds())/1000),
		"module", s.Module, "phase", string(s.Phase), "action", s.Verdict.Action.String(), "fuel", strconv.FormatInt(s.Fuel, 10))
}

// clientEvent tells as whom the question is asked.
func clientEvent(req *admin.ExplainRequest, clients *nameserver.Clients) admin.Event {
	tenant := clients.Tag(req.Client)
	text := req.Client.String() + " asks, of no tenant"
	if tenant != "" {
		text = req.Client.String() + " asks, of tenant " + tenant
	}
	return admin.Event{Seq: 1, Kind: string(recurse.KindClient), Text: text, Fields: map[string]any{"client": req.Client.String(), "tenant": tenant}}
}

// refuse tells what a client gets who may not ask, or asks for a type that is not answered.
func refuse(req admin.ExplainRequest, clients *nameserver.Clients, a recurse.Answer, emit func(admin.Event) error) (admin.ExplainAnswer, error) {
	out := admin.ExplainAnswer{
		Client: req.Client, Name: req.Name.String(), Type: req.Type.String(), RCode: a.RCode.String(), Security: securityName(a.Security),
		Answer: []string{}, Authority: []string{}, Errors: []admin.EDE{},
	}
	text := a.RCode.String() + " at once, and no server is asked"
	for _, e := range a.EDEs {
		out.Errors = append(out.Errors, admin.EDE{Code: uint16(e.Code), Name: e.Code.String(), Text: e.Text})
		text += ": " + e.Text
	}
	var steps []admin.Event
	if req.Client.IsValid() {
		steps = append(steps, clientEvent(&req, clients))
	}
	at := len(steps) + 1
	steps = append(steps,
		admin.Event{Seq: at, Kind: string(recurse.KindResolve), Text: "resolve " + out.Name + " " + out.Type},
		admin.Event{Seq: at + 1, Parent: at, Kind: string(recurse.KindAnswer), Text: text, Fields: map[string]any{"rcode": out.RCode}})
	for _, e := range steps {
		if err := emit(e); err != nil {
			return out, err
		}
	}
	return out, nil
}

func texts(sets []dns.RRset) []string {
	out := []string{}
	for _, s := range sets {
		for rr := range s.RRs() {
			out = append(out, rr.String())
		}
	}
	return out
}

func securityName(s cache.Security) string {
	switch s {
	case cache.Secure:
		return "secure"
	case cache.Insecure:
		return "insecure"
	case cache.Bogus:
		return "bogus"
	case cache.Indeterminate:
		return "indeterminate"
	}
	return "unchecked"
}
