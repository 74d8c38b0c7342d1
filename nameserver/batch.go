package nameserver

import (
	"encoding/binary"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/listen"
	"github.com/ananas-edge/ananas/nameserver/cache"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/telemetry"
)

// maxBatch is how many queries are worked on together. All that they touch fits into the first cache of the processor (64 of 500 octets: 32 KiB).
const maxBatch = 64

// loop is the part of the server that belongs to one loop of listen: what answers from images. It may only give what Serve would, octet for octet, which FuzzBatch
// holds; whatever it is not sure of it leaves to Serve.
type loop struct {
	s       *Server
	reader  *cache.Reader
	account account // of the client that asked last
	m       batchMetrics
	samples loopSamples

	kept  keptVerdicts
	pen   *plugin.Pen
	core  int    // instances of modules that it takes first
	drawn uint64 // of the last query that modules saw, the seed of their random numbers
	name  [dns.MaxNameLen]byte
	asked plugin.Query

	looks [maxBatch]cache.Look
	asks  [maxBatch]ask
}

// batchMetrics are stripes of the server's instruments, which only this loop writes to.
type batchMetrics struct {
	noError, nameError, total, octets, hits, truncated, decided *telemetry.Counter
	noErrorSeconds, nameErrorSeconds                            *telemetry.Histogram
}

// ask is what was read of one query.
type ask struct {
	query   *listen.Query
	end     int // of the question
	flags   dns.Flags
	limit   int          // octets of the answer
	edns    bool         // the query has an OPT record
	do      bool         // and wants signatures
	cookie  []byte       // the option, nil: none
	charged bool         // the client's account was
	said    *plugin.Said // by modules
}

// sums is what a batch adds to the metrics.
type sums struct{ noError, nameError, octets, truncated int }

// Loop returns what answers from images, for one loop of listen.
func (s *Server) Loop() listen.Loop {
	l := &loop{s: s, pen: s.logbook.Pen(), core: int(s.loops.Add(1) - 1), drawn: s.random()}
	if s.cache != nil {
		l.reader = s.cache.NewReader()
	}
	l.m = batchMetrics{
		noError: s.m.rcodes[listen.UDP][dns.RCodeSuccess].Stripe(), nameError: s.m.rcodes[listen.UDP][dns.RCodeNameError].Stripe(),
		total: s.m.total[listen.UDP].Stripe(), octets: s.m.octets[listen.UDP].Stripe(), hits: s.m.hits.Stripe(), truncated: s.m.truncated.Stripe(), decided: s.m.decided.Stripe(),
		noErrorSeconds: s.m.seconds[listen.UDP][dns.RCodeSuccess].Stripe(), nameErrorSeconds: s.m.seconds[listen.UDP][dns.RCodeNameError].Stripe(),
	}
	return l
}

// ServeBatch answers what it has images for. It is the whole path of a cached answer: read all, look all up, write all.
func (l *loop) ServeBatch(queries []listen.Query) {
	if l.reader == nil || !l.reader.Enter() {
		return
	}
	start := l.s.clock.Boot()
	hits, misses := 0, 0
	var sum sums
	defer func() { // also if something here panics: the cache must not wait for this loop
		l.reader.Leave(hits, misses)
		l.count(hits, &sum, start)
		l.kept.count(l.m.decided)
	}()
	t := l.s.table.Load()
	generation := l.s.generations.of(t, l.s.cache.Epoch())
	l.kept.of(t.Plugins)
	impure, inLoop := t.Plugins.Impure()
	if impure && !inLoop {
		return
	}
	var wall int64
	logs := t.Plugins.Logs()
	taps := l.s.taps.Load()
	if impure || logs || taps != nil {
		wall = l.s.clock.Wall().UnixNano()
	}
	for len(queries) > 0 {
		batch := queries[:min(len(queries), maxBatch)]
		queries = queries[len(batch):]
		n := 0
		for i := range batch {
			if l.read(&batch[i], n, t) {
				n++
			}
		}
		l.reader.Find(l.looks[:n])
		before := hits
		for i := range n {
			m, ok := l.reader.Image(&l.looks[i], generation, start)
			if ok && (!impure || l.passes(t, i, wall, start, taps != nil)) && l.write(&l.asks[i], &m, start, t, &sum) {
				if logs {
					l.log(t, i, &m, wall)
				}
				if taps != nil {
					l.tap(*taps, t, i, &m, wall)
				}
				l.kept.add(plugin.Mark(m.By))
				hits++
			} else {
				misses++
				if a := &l.asks[i]; a.charged {
					a.query.Note = &note{a.said}
				}
			}
		}
		if oneIn := t.Sampling.OneIn; oneIn > 0 {
			l.sample(n, hits-before, oneIn, start)
		}
	}
}

// passes shows a query that there is an image for to the modules that have to see each, if its client is within its rate: a flood is to cost no calls. If they do not let it pass, what they have said goes with it. Who taps is told their
// tags, as the log is, so that a query that gets one goes the long way.
func (l *loop) passes(t *Table, i int, wall int64, now time.Duration, tapped bool) bool {
	a, look := &l.asks[i], &l.looks[i]
	if !l.within(t, a, now) {
		return false
	}
	a.charged = true
	n := copy(l.name[:], look.Name)
	lower(l.name[:n])
	l.drawn += 0x9e3779b97f4a7c15
	l.asked = plugin.Query{
		Name: l.name[:n], Type: look.Type, Flags: a.flags, DO: a.do, Transport: uint8(listen.UDP), Client: a.query.Client.Addr(), Tenant: t.Clients.Tag(a.query.Client.Addr()), Groups: t.Recursion, Now: wall, Seed: l.drawn,
	}
	pass := false
	pass, a.said = t.Plugins.Passes(l.core, &l.asked, tapped || t.Clients.tagged())
	return pass
}

// note is what a loop leaves of a query that goes the long way: its client is charged, and modules have said this of it.
type note struct{ said *plugin.Said }

// log writes an answer from an image down for the modules of phase log.
func (l *loop) log(t *Table, i int, m *cache.Image, wall int64) {
	line := l.pen.Begin(t.Plugins)
	if line == nil {
		return
	}
	defer l.pen.End()
	l.fill(line, t, i, m, wall)
}

// tap writes it down for those who look on for a while.
func (l *loop) tap(taps []*plugin.Tap, t *Table, i int, m *cache.Image, wall int64) {
	for _, tap := range taps {
		l.tapOne(tap, t, i, m, wall)
	}
}

func (l *loop) tapOne(tap *plugin.Tap, t *Table, i int, m *cache.Image, wall int64) {
	if line, pen := tap.Begin(l.core); line != nil {
		defer pen.End()
		l.fill(line, t, i, m, wall)
		line.Path = plugin.Path{Order: t.Plugins.Order()}
		if len(m.Note) == 0 {
			line.Path.Group = t.Clients.group("", line.Client)
		} else {
			readNote(m.Note, line)
		}
	}
}

func (l *loop) fill(line *plugin.Line, t *Table, i int, m *cache.Image, wall int64) {
	a, look := &l.asks[i], &l.looks[i]
	line.Time, line.Took, line.Client, line.Tag, line.RCode, line.Type = wall, 0, a.query.Client.Addr(), "", m.RCode, look.Type
	line.Tenant = t.Clients.Tag(a.query.Client.Addr())
	line.Flags, line.DO, line.Transport = a.flags, a.do, uint8(listen.UDP)
	line.Cached, line.Stale, line.Blocked = true, false, m.Ended
	n := copy(line.Name[:], look.Name)
	lower(line.Name[:n])
	line.NameLen = uint8(n)
}

// lower makes letters small. The octets of lengths are less than any of them (RFC 1035 section 2.3.4).
func lower(name []byte) {
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			name[i] = c + 'a' - 'A'
		}
	}
}

// count adds a batch to the metrics.
func (l *loop) count(hits int, sum *sums, start time.Duration) {
	if hits == 0 {
		return
	}
	l.m.hits.Add(uint64(hits))
	l.m.total.Add(uint64(hits))
	l.m.octets.Add(uint64(sum.octets))
	l.m.noError.Add(uint64(sum.noError))
	took := l.s.clock.Boot() - start
	l.m.noErrorSeconds.ObserveN(took, sum.noError)
	if sum.nameError > 0 {
		l.m.nameError.Add(uint64(sum.nameError))
		l.m.nameErrorSeconds.ObserveN(took, sum.nameError)
	}
	if sum.truncated > 0 {
		l.m.truncated.Add(uint64(sum.truncated))
	}
}

// read takes a query apart, as the number n of the batch, if it is of the common form: one question, at most an OPT record, RD, and a client that may ask.
func (l *loop) read(q *listen.Query, n int, t *Table) bool {
	d := q.Data
	const one, withOPT = 0x0001_0000_0000_0000, 0x0001_0000_0000_0001
	if len(d) < dns.HeaderLen+5 {
		return false
	}
	counts := binary.BigEndian.Uint64(d[4:])
	a := &l.asks[n]
	a.flags = dns.Flags(binary.BigEndian.Uint16(d[2:]))
	const opcode = 0xf << 11
	if a.flags&(dns.FlagQR|opcode|dns.FlagRD) != dns.FlagRD || counts != one && counts != withOPT {
		return false
	}
	end := nameEnd(d)
	if end == 0 || end+4 > len(d) {
		return false
	}
	typ := dns.Type(binary.BigEndian.Uint16(d[end:]))
	if dns.Class(binary.BigEndian.Uint16(d[end+2:])) != dns.ClassINET || typ.IsMeta() || typ == dns.TypeRRSIG {
		return false
	}
	look := &l.looks[n]
	look.Name, look.Type = d[dns.HeaderLen:end], typ
	a.query, a.end, a.edns, a.do, a.cookie, a.limit, a.charged = q, end+4, false, false, nil, dns.MinUDPPayload, false
	if counts == withOPT {
		if !l.readOPT(a, d[a.end:]) {
			return false
		}
	} else if len(d) != a.end {
		return false
	}
	a.limit = min(a.limit, t.Limits.UDPAnswer)
	look.Variant = variantOf(a.do, a.flags&dns.FlagCD != 0)
	look.Class = t.Clients.Class(q.Client.Addr())
	return t.Access.Allowed(q.Client.Addr())
}

// nameEnd returns where the name after the header ends, 0 if it is none without pointers.
func nameEnd(d []byte) int {
	for i := dns.HeaderLen; i < len(d) && i < dns.HeaderLen+dns.MaxNameLen; {
		n := int(d[i])
		if n == 0 {
			return i + 1
		}
		if n > 63 {
			return 0
		}
		i += 1 + n
	}
	return 0
}

// readOPT reads the rest of a query, which is to be an OPT record without anything that Serve has to look at.
func (l *loop) readOPT(a *ask, d []byte) bool {
	const root, head = 1, 1 + 10
	if len(d) < head || d[0] != 0 || dns.Type(binary.BigEndian.Uint16(d[root:])) != dns.TypeOPT {
		return false
	}
	ttl := binary.BigEndian.Uint32(d[root+4:])
	options := d[head:]
	if int(binary.BigEndian.Uint16(d[root+8:])) != len(options) || ttl>>16&0xff != 0 || ttl&(1<<14) != 0 { // a version, or CO
		return false
	}
	a.edns, a.do = true, ttl&(1<<15) != 0
	a.limit = max(a.limit, int(binary.BigEndian.Uint16(d[root+2:])))
	for len(options) > 0 {
		if len(options) < 4 {
			return false
		}
		code, n := dns.OptionCode(binary.BigEndian.Uint16(options)), int(binary.BigEndian.Uint16(options[2:]))
		if 4+n > len(options) {
			return false
		}
		switch {
		case code == dns.OptionNSID:
			return false
		case code == dns.OptionCookie && a.cookie == nil: // the first counts
			if n != 8 && (n < 16 || n > 40) {
				return false
			}
			a.cookie = options[4 : 4+n]
		}
		options = options[4+n:]
	}
	return true
}

// write answers from an image at boot time now; false if it does not fit as it is, or the client is over its rate: then Serve has to decide.
func (l *loop) write(a *ask, m *cache.Image, now time.Duration, t *Table, sum *sums) bool {
	age := max(uint32(now/time.Second), m.Built) - m.Built
	const cookieLen = 4 + 24
	opt := 0
	if a.edns {
		opt = dns.OPTLen(nil)
		if a.cookie != nil {
			opt += cookieLen
		}
		if n := len(m.Options); n > 0 {
			if n+cookieLen > a.limit/2 || a.end+len(m.Wire)+opt+n > a.limit {
				return false // the text may have to be cut
			}
			opt += n
		}
	}
	q := a.query
	flags := dns.FlagQR | dns.FlagRA | a.flags&(dns.FlagRD|dns.FlagCD) | dns.Flags(m.RCode)
	if m.Secure && (a.do || a.flags&dns.FlagAD != 0) {
		flags |= dns.FlagAD
	}
	counts, wire, truncated := m.Counts, m.Wire, false
	if a.end+len(wire)+opt > a.limit {
		if counts[2] > 0 {
			return false // some of the additional section may fit
		}
		flags |= dns.FlagTC
		counts, wire = [3]uint16{}, nil
		truncated = true
	}
	if !a.charged && !l.within(t, a, now) {
		return false
	}
	out := q.Out[:a.end+len(wire)]
	copy(out, q.Data[:a.end])
	binary.BigEndian.PutUint16(out[2:], uint16(flags))
	binary.BigEndian.PutUint16(out[6:], counts[0])
	binary.BigEndian.PutUint16(out[8:], counts[1])
	if a.edns {
		counts[2]++
	}
	binary.BigEndian.PutUint16(out[10:], counts[2])
	if len(wire) > 0 {
		patch(out[a.end:], m, age, binary.BigEndian.Uint16(q.Data), q.Client.Port())
	}
	if a.edns {
		out = append(out, 0, 0, byte(dns.TypeOPT), byte(t.Limits.UDPAnswer>>8), byte(t.Limits.UDPAnswer), 0, 0, 0, 0, 0, 0)
		at := len(out)
		if a.do {
			out[at-4] = 0x80
		}
		if a.cookie != nil {
			out = append(out, 0, byte(dns.OptionCookie), 0, 24)
			full := l.s.cookie(a.cookie[:8], q.Client.Addr())
			out = append(out, full[:]...)
		}
		out = append(out, m.Options...)
		binary.BigEndian.PutUint16(out[at-2:], uint16(len(out)-at))
	}
	if truncated {
		sum.truncated++
	}
	q.Answer = out
	sum.octets += len(out)
	if m.RCode == dns.RCodeSuccess {
		sum.noError++
	} else {
		sum.nameError++
	}
	return true
}

// patch copies the records of an image to out, TTLs as they are now, and addresses in the order of this client.
func patch(out []byte, m *cache.Image, age uint32, id, port uint16) {
	copy(out, m.Wire)
	if age > 0 {
		for i := 0; i+1 < len(m.TTLs); i += 2 {
			at := int(binary.LittleEndian.Uint16(m.TTLs[i:]))
			ttl := binary.BigEndian.Uint32(m.Wire[at:])
			binary.BigEndian.PutUint32(out[at:], max(1, ttl-min(age, ttl)))
		}
	}
	for i := 0; i+cache.ImageTurn <= len(m.Turns); i += cache.ImageTurn {
		first, n, size := int(binary.LittleEndian.Uint16(m.Turns[i:])), int(m.Turns[i+2]), int(m.Turns[i+3])
		by := turn(id, port, n)
		if by == 0 {
			continue
		}
		stride := size + 12
		for k := range n {
			from := first + (k+by)%n*stride
			copy(out[first+k*stride:first+k*stride+size], m.Wire[from:from+size])
		}
	}
}
