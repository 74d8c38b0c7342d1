package nameserver

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/nameserver/recurse"
)

// asked returns the query as modules see it.
func (s *Server) asked(q *query) plugin.Query {
	said := q.said // which has all of the note, if it was asked at once since then
	if n, ok := q.Note.(*note); ok && said == nil {
		said = n.said
	}
	if taps := s.taps.Load(); taps != nil && slices.ContainsFunc(*taps, (*plugin.Tap).Shown) {
		q.path.Shown = new(plugin.Shown)
	}
	return plugin.Query{
		Said: said,
		Name: []byte(q.name.Lower().Wire()), Type: q.Type, Flags: q.Flags, DO: q.validates(), Transport: uint8(q.Transport), Client: q.Client.Addr(), Tenant: q.table.Clients.Tag(q.Client.Addr()),
		Groups: q.table.Recursion, Now: s.clock.Wall().UnixNano(), Seed: s.random(), Shown: q.path.Shown,
	}
}

// write writes an answer down for the modules of phase log.
func (s *Server) write(q *query, a *recurse.Answer) {
	l := s.pen.Begin(q.table.Plugins)
	if l == nil {
		return
	}
	defer s.pen.End()
	s.fill(l, q, a)
}

func (s *Server) fill(l *plugin.Line, q *query, a *recurse.Answer) {
	*l = plugin.Line{
		Time: s.clock.Wall().UnixNano(), Took: s.clock.Boot() - q.start, Client: q.Client.Addr(), Tenant: q.table.Clients.Tag(q.Client.Addr()), Tag: q.tag, RCode: a.RCode, Type: q.Type, Flags: q.Flags, DO: q.validates(),
		Transport: uint8(q.Transport), Cached: q.looked && !a.Asked, Stale: a.Stale, Blocked: q.ended,
	}
	l.NameLen = uint8(copy(l.Name[:], q.name.Lower().Wire()))
}

// core is the instance that a query looks at first: any, so that those under way spread.
func (q *query) core() int { return int(q.ID) }

// Outcome is what came of a query for which modules were asked.
type Outcome struct {
	Answer  recurse.Answer
	Keeps   bool        // it may be kept, and given to others
	Dropped bool        // there is to be no answer at all
	Ended   bool        // a module has ended it, or changed what was found
	By      plugin.Mark // which, and how
	Tag     string      // that modules gave it, for logs
	Group   string      // whose servers it was sent to; "": those of all queries

	EndedAt   uint8 // the place of the module of phase query that has ended it; 0: none has
	ChangedAt uint8 // the place of the first module of phase answer that has changed what was found; 0: none has
}

// told is what the modules of phase query have said of a query.
type told struct {
	asked   plugin.Query
	verdict plugin.Verdict
	fail    *dns.EDE // a module failed without which there is no answer
}

// tell shows a query to the modules at once, where none of them takes long. If they end it with a verdict that is not kept with answers, as those of modules that see clients, ends is set, and it costs the query no goroutine;
// else what they said goes with it.
func (s *Server) tell(q *query) (ans recurse.Answer, ends, dropped bool) {
	c := q.table.Plugins
	if !c.InLoop() {
		return ans, false, false
	}
	t := told{asked: s.asked(q)}
	var ok bool
	if t.verdict, t.fail, ok = c.AtOnce(q.core(), &t.asked, q.name); !ok {
		q.said = t.asked.Said
		return ans, false, false
	}
	q.told = &t
	v := &t.verdict
	switch {
	case t.fail != nil:
		ans = unanswered(t.fail)
	case v.Action == plugin.Drop:
		q.path.Ended = v.Place
		return ans, true, true // and s.dropped counts it
	case v.Action == plugin.GoOn || v.Action == plugin.Rewrite || c.Answers():
		return ans, false, false
	default:
		ans = verdictAnswer(q.question(), v, s.clock.Boot())
		if v.EDE != nil {
			ans.EDEs = append(ans.EDEs, *v.EDE)
		}
		noteMade(t.asked.Shown, &ans)
	}
	q.looked, q.ended, q.by, q.tag, q.path.Ended = true, true, c.Mark(plugin.PhaseQuery, v), v.Tag, v.Place
	s.m.hits.Inc()
	return ans, true, false
}

// unanswered is the answer to a query for which a module failed that it can not do without.
func unanswered(why *dns.EDE) recurse.Answer {
	return recurse.Answer{RCode: dns.RCodeServerFailure, EDEs: []dns.EDE{*why}}
}

// programmed is resolve's middle for tables with modules: they are shown the query, if they have not seen it, then it is resolved if they let it, and then they are shown the answer.
func (s *Server) programmed(ctx context.Context, q *query, o recurse.Opts) (Outcome, error) {
	c, t := q.table.Plugins, q.told
	if t == nil {
		return Programmed(ctx, s.resolver, c, q.table.Clients, s.asked(q), q.question(), q.core(), o, s.clock.Boot(), nil)
	}
	t.mayAsk(ctx, s.resolver, &o)
	return decided(ctx, s.resolver, c, q.table.Clients, t, q.question(), q.core(), o, s.clock.Boot(), nil)
}

// Programmed resolves a question with the modules of a chain around it: they are shown the query, then it is resolved if they let it, and then they are shown the answer. views say where a query goes that no module has
// sent anywhere. now is boot time; see is told what each module said, nil: nobody
// wants to know.
func Programmed(ctx context.Context, r *recurse.Resolver, c *plugin.Chain, views *Clients, asked plugin.Query, question dns.Question, core int, o recurse.Opts, now time.Duration, see func(plugin.Step)) (out Outcome, err error) {
	t := told{asked: asked}
	t.mayAsk(ctx, r, &o)
	t.verdict, t.fail = c.Query(ctx, core, &t.asked, question.Name, see)
	return decided(ctx, r, c, views, &t, question, core, o, now, see)
}

// send has a question resolved by a group's servers; false if there is no such group, as "" is none.
func send(o *recurse.Opts, group string) bool {
	if group == "" {
		return false
	}
	t, ok := o.Table.Group(group)
	if ok {
		o.Table = t
	}
	return ok
}

// mayAsk lets modules ask questions of their own, within the budget of the query, and as one without group.
func (t *told) mayAsk(ctx context.Context, r *recurse.Resolver, o *recurse.Opts) {
	if o.Budget == nil {
		o.Budget = r.NewBudget(o.Table)
	}
	own := recurse.Opts{Table: o.Table, Stale: o.Stale, Cached: o.Cached, Trace: o.Trace, Budget: o.Budget}
	t.asked.Resolve = func(name dns.Name, typ dns.Type) (*plugin.Reply, error) {
		a, err := r.Resolve(ctx, dns.Question{Name: name, Type: typ, Class: dns.ClassINET}, own)
		if err != nil || a.RCode == dns.RCodeServerFailure {
			return nil, cmp.Or(err, errNoAnswer)
		}
		return replyOf(&a), nil
	}
}

// decided does what the modules of phase query have said, and has those of phase answer see what comes of it.
func decided(ctx context.Context, r *recurse.Resolver, c *plugin.Chain, views *Clients, t *told, question dns.Question, core int, o recurse.Opts, now time.Duration, see func(plugin.Step)) (out Outcome, err error) {
	defer func() {
		out.Keeps = out.Keeps && (out.Tag == "" || !c.Logs()) // an image has no tag
	}()
	if t.fail != nil {
		return Outcome{Answer: unanswered(t.fail), Ended: true, EndedAt: t.verdict.Place}, nil
	}
	v := t.verdict
	out.Keeps, out.Ended, out.By, out.Tag = c.Keeps() && !v.Bypass && !v.Failed, v.Action != plugin.GoOn, c.Mark(plugin.PhaseQuery, &v), v.Tag
	if out.Ended {
		out.EndedAt = v.Place
	}
	if v.Action == plugin.GoOn || v.Action == plugin.Rewrite {
		group, by := v.Group, v.GroupBy
		if group == "" {
			group, by = views.group(v.Tag, t.asked.Client), v.TagBy
		}
		switch {
		case send(&o, group):
			out.Group = group
			if o.Trace != nil {
				why := "a view"
				if v.Group != "" {
					why = "the module " + by
				}
				o.Trace.Event(recurse.KindModule, fmt.Sprintf("the query goes to the servers of group %s: %s says so", group, why), "group", group)
			}
		case group != "": // it went with a change of settings since the module was asked; nobody else may be asked in its place
			return Outcome{Answer: unanswered(&dns.EDE{Code: dns.EDENotReady, Text: "the group " + group + ", to which a module sends this query, is not in the settings any more"}), Ended: true}, nil
		}
		// What a module says that sees clients is not so for others of the class; that it has said nothing is seen by Passes, each time.
		out.Keeps = out.Keeps && (by == "" || v.Group == "" && !views.tagged() || c.Decides(by))
	}
	if v.Bypass {
		o.Fresh, o.Stale, o.Ahead = recurse.FreshAnswer, false, false
	}
	switch v.Action {
	case plugin.GoOn:
		out.Answer, err = r.Resolve(ctx, question, o)
		out.Keeps = out.Keeps && len(out.Answer.EDEs) == 0 // what is told beside an answer is of the moment
	case plugin.Rewrite:
		out.Answer, err = rewritten(ctx, r, question, &v, o, now)
		out.Keeps = out.Keeps && len(out.Answer.EDEs) == 0
	case plugin.Drop:
		out.Keeps, out.Dropped = false, true
		return out, nil
	default:
		out.Answer = verdictAnswer(question, &v, now)
	}
	if out.Ended {
		out.Keeps = out.Keeps && c.Decides(v.Module)
		if v.EDE != nil {
			out.Answer.EDEs = append(out.Answer.EDEs, *v.EDE)
		}
	}
	if !c.Answers() && t.asked.Shown == nil || err != nil && out.Answer.RCode != dns.RCodeServerFailure {
		return out, err
	}
	made := out.Answer.Local || v.Action != plugin.GoOn && v.Action != plugin.Rewrite // of the world is no record of it
	if answered(ctx, c, core, &t.asked, question, &out, made, now, see) {
		err = nil // a module has made an answer of what may have been a failure
	}
	return out, err
}

// noteMade notes an answer that was made here, for who looks on.
func noteMade(to *plugin.Shown, a *recurse.Answer) {
	if to != nil {
		rep := replyOf(a)
		rep.Made = true
		to.Note(rep)
	}
}

// verdictAnswer makes the answer that a verdict ends a query with.
func verdictAnswer(question dns.Question, v *plugin.Verdict, now time.Duration) recurse.Answer {
	a := recurse.Answer{Until: now + time.Duration(v.TTL)*time.Second}
	switch v.Action {
	case plugin.NXDomain, plugin.NoData:
		if v.Action == plugin.NXDomain {
			a.RCode = dns.RCodeNameError
		}
		if len(v.Records) > 0 {
			ttl := zoneDenial(&a, v.Records[0])
			a.Until = now + time.Duration(ttl)*time.Second
		}
	case plugin.Refuse:
		a.RCode = dns.RCodeRefused
	case plugin.Address:
		for _, addr := range v.Addrs {
			if addr.Is4() && question.Type == dns.TypeA || addr.Is6() && question.Type == dns.TypeAAAA {
				a.Answer = append(a.Answer, dns.RRset{Name: question.Name, Type: question.Type, Class: dns.ClassINET, TTL: v.TTL, Data: dns.Records(nil).Append(addr.AsSlice())})
			}
		}
	case plugin.Answer:
		setRecords(&a, v.Records)
		if len(v.Records) > 0 {
			a.Until = now + time.Duration(leastTTL(v.Records))*time.Second
		}
	}
	if len(a.Answer) == 0 && a.RCode != dns.RCodeRefused && len(a.Authority) == 0 {
		a.Authority = denial(question, v.TTL)
	}
	return a
}

// denial is the SOA record that has a denial kept for some seconds (RFC 2308 section 5). Its owner is the name itself, so that nothing is said of any zone.
func denial(question dns.Question, ttl uint32) []dns.RRset {
	return []dns.RRset{{Name: question.Name, Type: dns.TypeSOA, Class: dns.ClassINET, TTL: ttl, Data: dns.Records(nil).Append(denialSOA(ttl))}}
}

// zoneDenial puts the SOA record of a module's zone into the answer, and returns for how many seconds a denial by it is kept: the least of its TTL and its last field (RFC 2308 section 3).
func zoneDenial(a *recurse.Answer, soa dns.RR) (ttl uint32) {
	ttl = min(soa.TTL, binary.BigEndian.Uint32(soa.Data[len(soa.Data)-4:]))
	a.Authority = []dns.RRset{{Name: soa.Name, Type: soa.Type, Class: soa.Class, TTL: ttl, Data: dns.Records(nil).Append(soa.Data)}}
	return ttl
}

// denialSOA is the data of such a record: the names localhost. and nobody.invalid., as RPZ has them, and ttl as the minimum.
func denialSOA(ttl uint32) []byte {
	data := []byte("\x09localhost\x00\x06nobody\x07invalid\x00")
	for _, n := range []uint32{1, 3600, 1200, 604800, ttl} { // serial, refresh, retry, expire, minimum
		data = append(data, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return data
}

// rewritten resolves another name in place of the one that was asked for, behind an alias, as a CNAME record would have it: who asks for that type, or for any, gets the alias and no more (RFC 1034 section 3.6.2). Modules do not
// see the other name, so that no module leads back to this one; but the world may.
func rewritten(ctx context.Context, r *recurse.Resolver, question dns.Question, v *plugin.Verdict, o recurse.Opts, now time.Duration) (recurse.Answer, error) {
	alias := dns.RRset{Name: question.Name, Type: dns.TypeCNAME, Class: dns.ClassINET, TTL: v.TTL, Data: dns.Records(nil).Append([]byte(v.Name.Wire()))}
	if question.Type == dns.TypeCNAME || question.Type == dns.TypeANY {
		return recurse.Answer{Answer: []dns.RRset{alias}, Until: now + time.Duration(v.TTL)*time.Second}, nil
	}
	a, err := r.Resolve(ctx, dns.Question{Name: v.Name, Type: question.Type, Class: question.Class}, o)
	if a.RCode == dns.RCodeServerFailure || err != nil {
		return a, err
	}
	for i := range a.Answer {
		if a.Answer[i].Name.Equal(question.Name) {
			return unanswered(&dns.EDE{Code: dns.EDEOther, Text: "the module " + v.Module + " has " + v.Name.String() + " asked in its place, which is an alias that leads back to it"}), nil
		}
	}
	a.Answer = append([]dns.RRset{alias}, a.Answer...)
	a.Security, a.Compact = cache.Unchecked, false // nobody has signed the alias
	if a.Until > 0 {
		a.Until = min(a.Until, now+time.Duration(v.TTL)*time.Second)
	}
	return a, nil
}

// answered shows an answer to the modules of phase answer, does what they say, and tells whether they have changed it.
func answered(ctx context.Context, c *plugin.Chain, core int, asked *plugin.Query, question dns.Question, out *Outcome, made bool, now time.Duration, see func(plugin.Step)) (changed bool) {
	was := out.Answer
	rep := replyOf(&was)
	rep.Made = made
	v, fail := c.Answer(ctx, core, asked, question.Name, rep, see)
	if v.Tag != "" {
		out.Tag = v.Tag
	}
	out.Keeps = out.Keeps && !v.Failed && !was.Stale // what is decided of an answer that has expired is not for those who ask when it is there again
	switch {
	case fail != nil:
		out.Answer, out.Keeps, out.Ended, out.By, out.ChangedAt = unanswered(fail), false, true, 0, v.Place
		return true
	case v.Action == plugin.GoOn:
		return false
	}
	out.ChangedAt = v.Place
	switch {
	case v.Action == plugin.Drop:
		out.Keeps, out.Dropped, out.Ended, out.By = false, true, true, c.Mark(plugin.PhaseAnswer, &v)
		return true
	case v.Action == plugin.Answer:
		a := recurse.Answer{EDEs: was.EDEs, Stale: was.Stale}
		setRecords(&a, v.Records)
		ttl := v.TTL
		if len(v.Records) == 0 {
			a.Authority = denial(question, ttl)
		} else {
			ttl = leastTTL(v.Records)
		}
		if a.Until = now + time.Duration(ttl)*time.Second; was.Until > 0 {
			a.Until = min(a.Until, was.Until)
		}
		out.Answer = a
	default:
		out.Answer = verdictAnswer(question, &v, now)
		if was.Until > 0 { // it was made of what was found, and does not outlive it
			out.Answer.Until = min(out.Answer.Until, was.Until)
		}
	}
	out.Ended, out.By, out.Answer.Asked = true, c.Mark(plugin.PhaseAnswer, &v), was.Asked
	if v.EDE != nil {
		out.Answer.EDEs = append(out.Answer.EDEs, *v.EDE)
	}
	return true
}

// replyOf is an answer as modules see it.
func replyOf(a *recurse.Answer) *plugin.Reply {
	rep := &plugin.Reply{RCode: a.RCode, Security: a.Security, Cached: !a.Asked, Stale: a.Stale}
	for section, sets := range [][]dns.RRset{a.Answer, a.Authority, a.Additional} {
		for _, set := range sets {
			for rr := range set.RRs() {
				rep.Sections[section] = append(rep.Sections[section], rr)
			}
		}
	}
	return rep
}

var errNoAnswer = errors.New("there is no answer")

// leastTTL is how long all of the records, which are not none, may be kept, in seconds.
func leastTTL(records []dns.RR) uint32 {
	ttl := records[0].TTL
	for _, r := range records {
		ttl = min(ttl, r.TTL)
	}
	return ttl
}

// setRecords puts records into the answer section, those of one name and type together. A module may give thousands, and pays for writing them only.
func setRecords(a *recurse.Answer, records []dns.RR) {
	type owned struct {
		name dns.Name
		typ  dns.Type
	}
	type held struct {
		set  int
		data string
	}
	sets, seen := make(map[owned]int), make(map[held]bool, len(records))
	for _, r := range records {
		key := owned{r.Name.Lower(), r.Type}
		k, ok := sets[key]
		if !ok {
			k = len(a.Answer)
			sets[key] = k
			a.Answer = append(a.Answer, dns.RRset{Name: r.Name, Type: r.Type, Class: r.Class, TTL: r.TTL})
		}
		if same := (held{k, string(r.Data)}); !seen[same] {
			seen[same] = true
			set := &a.Answer[k]
			set.TTL = min(set.TTL, r.TTL)
			set.Data = set.Data.Append(r.Data)
		}
	}
}
