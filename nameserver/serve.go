package nameserver

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/internal/crew"
	"github.com/ananas-edge/ananas/internal/siphash"
	"github.com/ananas-edge/ananas/listen"
	"github.com/ananas-edge/ananas/nameserver/cache"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/nameserver/recurse"
	"github.com/ananas-edge/ananas/telemetry"
)

// Config is what a server needs from outside.
type Config struct {
	Resolver *recurse.Resolver
	Cache    *cache.Cache // the resolver's, where finished answers are kept; nil: none are
	Clock    recurse.Clock
	Random   func() uint64
	Table    *Table
	Metrics  *telemetry.Metrics
	Crashes  *telemetry.Crashes // nil: panics are counted only
	Log      *slog.Logger
	Version  string // told to version.bind CH TXT
	Name     string // told to id.server CH TXT; "" tells nothing
	NSID     string // told to clients who ask with that option (RFC 5001); "" tells nothing
}

// Server answers queries. It is the handler of the listening sockets.
type Server struct {
	resolver *recurse.Resolver
	cache    *cache.Cache
	clock    recurse.Clock
	crashes  *telemetry.Crashes
	log      *slog.Logger
	random   func() uint64
	loops    atomic.Int64 // that were made
	logbook  *plugin.Logbook
	pen      *plugin.Pen                   // of all that is answered the long way
	taps     atomic.Pointer[[]*plugin.Tap] // of those who look on; nil: nobody does
	tapping  sync.Mutex                    // they are changed
	m        *metrics
	table    atomic.Pointer[Table]

	generations generations
	clients     *clients
	samples     *samples
	secret      siphash.Key // of server cookies
	rateKey     siphash.Key
	accounts    atomic.Pointer[accounts] // nil as long as no table has had a rate
	rateSaid    atomic.Int64             // boot time at which the log named a client that was over it
	version     string
	name        string
	nsid        string

	crew   *crew.Crew // runs queries that wait
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// maxSpare is how many goroutines wait for the next query that is not answered at once. With 8 KiB of stack, 512 KiB.
const maxSpare = 64

// New returns a server with its first table. Close it before its resolver.
func New(c Config) *Server {
	s := &Server{
		resolver: c.Resolver, cache: c.Cache, clock: c.Clock, crashes: c.Crashes, log: c.Log, version: c.Version, name: c.Name, nsid: c.NSID,
		random: c.Random, m: newMetrics(c.Metrics), clients: newClients(),
	}
	for i := range s.secret {
		s.secret[i], s.rateKey[i] = byte(c.Random()), byte(c.Random())
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.logbook = plugin.NewLogbook(c.Metrics)
	s.pen = s.logbook.Pen()
	s.crew = crew.New(maxSpare, s.ctx.Done())
	s.rateSaid.Store(int64(-sayRateEvery))
	s.samples = newSamples(c.Random, s.m)
	s.Swap(c.Table)
	return s
}

// Swap makes t the table of all queries that come from now on. Those under way keep theirs.
func (s *Server) Swap(t *Table) {
	s.account(t)
	s.table.Store(t)
	s.samples.configure(t.Sampling.OneIn)
}

// Table returns the table in use.
func (s *Server) Table() *Table { return s.table.Load() }

// Close ends the queries under way.
func (s *Server) Close() {
	s.cancel()
	s.wg.Wait()
	s.logbook.Close()
}

// query is one query on its way: what came, and the settings that hold for it.
type query struct {
	listen.Packet
	dns.Query
	table  *Table
	start  time.Duration // boot time
	name   dns.Name      // of the question, case as it came
	image  bool          // it is no client's, but for all who will ask the same
	looked bool          // the answer is what the resolver had, from wherever
	ended  bool          // a module has ended it, or changed what was found
	by     plugin.Mark   // which, and how
	tag    string        // that modules gave it
	path   plugin.Path   // for who looks on
	said   *plugin.Said  // what some of them have said before one had to be waited for
	told   *told         // what modules have said of it; nil: they have not seen it
	class  cache.Space   // of the client: see [Clients.Class]
	shown  bool          // modules of phase query are shown it, if there are some
}

// Serve answers one query: at once, if the settings say all, or later from a goroutine of its own, so that no loop is kept from what it has images for
// ([Server.Loop]). It is the whole path; see also [Server.resolve], its second half.
func (s *Server) Serve(p listen.Packet, out []byte, reply listen.Reply) (answer []byte) {
	q := query{Packet: p, table: s.table.Load(), start: s.clock.Boot()}
	defer s.contain(&q, out, func(b []byte) { answer = b })

	ans, next := s.admit(&q)
	switch next {
	case drop:
		s.m.dropped.Inc()
		reply.Drop()
		return nil
	case resolve:
		q.shown = true
		var ends, dropped, ok bool
		if ans, ends, dropped = s.tell(&q); dropped {
			s.dropped(&q)
			reply.Drop()
			return nil
		}
		if ends {
			break
		}
		if ans, ok = s.later(&q, reply); ok {
			return nil
		}
	}
	return s.finish(&q, &ans, out)
}

// later hands the query to a goroutine. If the limits do not allow one more, it returns what the cache alone has, or the answer that says so.
func (s *Server) later(q *query, reply listen.Reply) (recurse.Answer, bool) {
	if !reply.Wanted() { // more wait already than listen.Limits.InFlight: an answer that comes later would go nowhere
		return s.atOnce(q, "queries"), false
	}
	client, limit := s.clients.enter(q.Client.Addr(), &q.table.Limits)
	if limit != "" {
		return s.atOnce(q, limit), false
	}
	held := *q
	held.Data = append([]byte(nil), q.Data...)
	held.Query, _ = dns.ParseQuery(held.Data) // of the copy: it was read once without error
	s.wg.Add(2)                               // for the query, and for a goroutine that may be new
	if !s.crew.Run(func() { s.wait(&held, client, reply) }, s.wg.Done) {
		s.wg.Done()
	}
	return recurse.Answer{}, true
}

// wait resolves a query and answers it, whatever happens.
func (s *Server) wait(q *query, client clientKey, reply listen.Reply) {
	defer s.wg.Done()
	defer s.clients.leave(client)
	defer reply.Drop()
	if answer := s.resolve(s.ctx, q); answer != nil {
		reply.Write(answer)
	}
}

// atOnce answers a query that may not wait, because of a limit. Where modules have to see it, what is cached is not theirs to pass by.
func (s *Server) atOnce(q *query, limit string) recurse.Answer {
	if q.table.Plugins.Queries() || q.table.Plugins.Answers() {
		s.m.limits.With(limit).Inc()
		q.shown = false
		return tooMany(limit)
	}
	o := recurse.Opts{Table: q.table.Recursion, Cached: true, Stale: true, CD: q.checkingDisabled(), Proofs: q.validates()}
	send(&o, q.table.Clients.group("", q.Client.Addr()))
	a, err := s.resolver.Resolve(s.ctx, q.question(), o)
	if err == recurse.ErrNotCached {
		s.m.limits.With(limit).Inc()
		return tooMany(limit)
	}
	s.m.hits.Inc()
	q.looked = true
	return a
}

func tooMany(limit string) recurse.Answer {
	return refusal(dns.RCodeServerFailure, dns.EDEOther, "too many queries wait already: limits."+limit)
}

// resolve is the second half of Serve. It returns nil if the server is being closed: another one, or the next process, will be asked.
func (s *Server) resolve(ctx context.Context, q *query) (answer []byte) {
	defer s.contain(q, nil, func(b []byte) { answer = b })
	ctx, cancel := context.WithTimeout(ctx, q.table.Limits.ClientTime)
	defer cancel()
	var epoch uint64
	var generation, mark uint32
	if s.cache != nil { // before anything is looked for
		epoch = s.cache.Epoch()
		generation = s.generations.of(q.table, epoch)
		mark = s.cache.Mark(q.name)
	}
	cached := q.Flags&dns.FlagRD == 0
	o := recurse.Opts{Table: q.table.Recursion, Cached: cached, Stale: true, Ahead: !cached, CD: q.checkingDisabled(), Proofs: q.validates()}
	var ans recurse.Answer
	var keeps bool
	var err error
	q.class = q.table.Clients.Class(q.Client.Addr())
	if q.table.Plugins == nil {
		if group := q.table.Clients.group("", q.Client.Addr()); send(&o, group) {
			s.m.groups.With(group).Inc()
			q.path.Group = group
		}
		ans, err = s.resolver.Resolve(ctx, q.question(), o)
		keeps = len(ans.EDEs) == 0 // what is told beside an answer is of the moment
	} else {
		var out Outcome
		out, err = s.programmed(ctx, q, o)
		q.path.Ended, q.path.Changed, q.path.Group = out.EndedAt, out.ChangedAt, out.Group
		if out.Dropped {
			s.dropped(q)
			return nil
		}
		ans, keeps, q.ended, q.by, q.tag = out.Answer, out.Keeps, out.Ended, out.By, out.Tag
		if out.Group != "" {
			s.m.groups.With(out.Group).Inc()
		}
	}
	q.looked = err != recurse.ErrNotCached
	switch {
	case err == recurse.ErrNotCached:
		ans = refusal(dns.RCodeRefused, dns.EDENotAuthoritative, "RD is not set and the answer is not in the cache")
	case err != nil && s.ctx.Err() != nil:
		return nil
	case err != nil && ctx.Err() != nil:
		s.m.limits.With("client_time").Inc()
	case err == nil && !ans.Asked:
		s.m.hits.Inc()
		if s.cache != nil && keeps {
			s.keep(q, &ans, generation, epoch, mark)
		}
	}
	return s.finish(q, &ans, nil)
}

// Ask is Serve for callers that can wait: it answers one query and returns nil where Serve would drop it.
func (s *Server) Ask(ctx context.Context, p listen.Packet) (answer []byte) {
	q := query{Packet: p, table: s.table.Load(), start: s.clock.Boot()}
	defer s.contain(&q, nil, func(b []byte) { answer = b })
	ans, next := s.admit(&q)
	switch next {
	case drop:
		s.m.dropped.Inc()
		return nil
	case resolve:
		q.shown = true
		client, limit := s.clients.enter(q.Client.Addr(), &q.table.Limits)
		if limit != "" {
			ans = s.atOnce(&q, limit)
			break
		}
		defer s.clients.leave(client)
		return s.resolve(ctx, &q)
	}
	return s.finish(&q, &ans, nil)
}

func (q *query) question() dns.Question {
	return dns.Question{Name: q.name, Type: q.Type, Class: q.Class}
}

// checkingDisabled tells whether the client validates by itself and wants what there is (RFC 4035 section 3.2.2).
func (q *query) checkingDisabled() bool { return q.Flags&dns.FlagCD != 0 }

// validates tells whether the client takes signatures and proofs (RFC 3225).
func (q *query) validates() bool { return q.HasEDNS && q.EDNS.DO }

// contain is the edge at which a panic ends: it costs this query, which is answered SERVFAIL, and leaves a report.
func (s *Server) contain(q *query, out []byte, answer func([]byte)) {
	p := recover()
	if p == nil {
		return
	}
	stack := debug.Stack()
	signature := "unrecorded"
	if s.crashes != nil {
		signature = s.crashes.Report("a query for "+q.question().String()+" from "+q.Client.Addr().String(), p, stack)
	}
	s.m.panics.Inc()
	// If it is the writing of answers that fails, there is none: the fault must end here.
	defer func() {
		if recover() != nil {
			answer(nil)
		}
	}()
	a := refusal(dns.RCodeServerFailure, dns.EDEOther, "a fault of this server ended the query; crash report "+signature)
	answer(s.finish(q, &a, out[:0:0]))
}

// refusal is an answer without records.
func refusal(rcode dns.RCode, code dns.EDECode, text string) recurse.Answer {
	return recurse.Answer{RCode: rcode, EDEs: []dns.EDE{{Code: code, Text: text}}}
}
