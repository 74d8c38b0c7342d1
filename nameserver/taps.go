package nameserver

import (
	"context"
	"slices"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/nameserver/recurse"
)

// Tap has read look at the queries that modules are shown, or would be shown if there were some, with what was answered: at one in oneIn of each loop, by a goroutine of its own. Nobody who answers waits for it. shown has what modules of phase answer are shown noted, of what is answered the long way. stop ends it; lost tells how
// many were lost so far, since it did not keep up. read does not keep the lines.
func (s *Server) Tap(oneIn int, shown bool, read func([]plugin.Line)) (stop func(), lost func() uint64) {
	t := plugin.NewTap(int(s.loops.Load())+1, uint64(max(oneIn, 1)), shown, s.m.tapsLost, read) // and one for all that is answered the long way
	s.tapping.Lock()
	defer s.tapping.Unlock()
	s.setTaps(append(s.tapsNow(), t))
	return func() {
		s.tapping.Lock()
		s.setTaps(slices.DeleteFunc(s.tapsNow(), func(one *plugin.Tap) bool { return one == t }))
		s.tapping.Unlock()
		t.Close()
	}, t.Lost
}

func (s *Server) tapsNow() []*plugin.Tap {
	if now := s.taps.Load(); now != nil {
		return slices.Clone(*now) // loops may be reading it
	}
	return nil
}

func (s *Server) setTaps(all []*plugin.Tap) {
	if len(all) == 0 {
		s.taps.Store(nil)
		return
	}
	s.taps.Store(&all)
}

// tap writes an answer down for those who look on.
func (s *Server) tap(taps []*plugin.Tap, q *query, a *recurse.Answer) {
	if !q.shown {
		return
	}
	for _, t := range taps {
		s.tapOne(t, q, a)
	}
}

func (s *Server) tapOne(t *plugin.Tap, q *query, a *recurse.Answer) {
	if l, pen := t.Begin(int(s.loops.Load())); l != nil {
		defer pen.End()
		s.fill(l, q, a)
		l.Path = q.path
		l.Path.Order = q.table.Plugins.Order()
	}
}

// dropped counts a query to which a module has there be no answer. It is in no log, which has what was answered.
func (s *Server) dropped(q *query) {
	s.m.dropped.Inc()
	s.m.silenced.Inc()
	if taps := s.taps.Load(); taps != nil {
		s.tap(*taps, q, &recurse.Answer{})
	}
}

// Recall returns what the cache has of an answer, as modules see it; nil: it is not there. Nobody is asked. It is looked for among what the servers of a group have said; "": those of all queries.
func (s *Server) Recall(ctx context.Context, question dns.Question, group string, cd, proofs bool) *plugin.Reply {
	t := s.table.Load()
	o := recurse.Opts{Table: t.Recursion, Cached: true, Stale: true, CD: cd, Proofs: proofs}
	if group != "" && !send(&o, group) {
		return nil // it has gone meanwhile
	}
	a, err := s.resolver.Resolve(ctx, question, o)
	if err != nil {
		return nil
	}
	rep := replyOf(&a)
	rep.Made = a.Local
	return rep
}
