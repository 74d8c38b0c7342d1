package nameserver

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/listen"
	"github.com/ananas-edge/ananas/nameserver/recurse"
	"github.com/ananas-edge/ananas/telemetry"
)

// Samples show an operator what his clients ask right now: one of so many answered queries is written down in a ring in memory. Which one is drawn beforehand, as a
// number of queries to let pass, so that a query which is not sampled costs nothing of its own: a loop counts down once for a batch.

// MaxSamples is how many samples are kept; a new one takes the place of the oldest. A sample takes 296 octets, most of them for a name of any length: 0.56 MiB when
// full. At 20,000 queries a second and one in 1,000 it is the last 100 s.
const MaxSamples = 2000

// SamplingSettings say which queries are written down. They are swapped in live; a change forgets the samples from before.
type SamplingSettings struct {
	// OneIn is of how many answered queries one is written down, on average; 0 is none. One in 1,000 shows whoever has 1 % of the queries about 20 times among 2,000
	// samples, and costs a fraction of a nanosecond a query.
	OneIn int `yaml:"one_in" min:"0" max:"1000000"`
}

// SamplingDefaults returns what is sampled where nothing else is set. The arithmetic is with the field.
func SamplingDefaults() SamplingSettings { return SamplingSettings{OneIn: 1000} }

// Origin tells where an answer came from.
type Origin uint8

// Origins.
const (
	FromImage    Origin = iota // a finished answer that was kept
	FromCache                  // records, denials or failures that were kept
	FromResolved               // name servers were asked for a part of it, for this query or for others that asked the same
	FromStale                  // records that have expired, since nothing better was to be had
	FromLocal                  // made here: special-use names (RFC 6761, RFC 6303), version.bind, a cookie
	FromRefused                // an error or TC without a look: who may not ask, what can't be asked or read, a limit, a fault of the program
)

func (o Origin) String() string {
	return [...]string{"image", "cache", "resolved", "stale", "local", "refused"}[o]
}

// Sample is one answered query.
type Sample struct {
	At        time.Time    // of the answer, wall time
	Client    netip.Prefix // the /24 of an IPv4 address, the /48 of an IPv6 address, so a site or a home
	Transport listen.Transport
	Name      dns.Name // in small letters; none if there was no question
	Type      dns.Type
	Class     dns.Class
	RCode     dns.RCode     // with what EDNS has of it
	DO, CD    bool          // of the query
	AD, TC    bool          // of the answer
	Octets    int           // of the answer
	Took      time.Duration // from query to answer
	From      Origin
}

// SampleFilter chooses samples.
type SampleFilter struct {
	Name   dns.Name     // this name and those below it; the zero value and the root are all
	Client netip.Prefix // what overlaps it; the zero value is all
	From   []Origin     // none: all
	Limit  int          // so many of the newest
}

// Samples returns the newest samples that pass the filter, the newest first, how many pass it in all, and of how many queries each is one (0: none are taken).
func (s *Server) Samples(f SampleFilter) (list []Sample, passing, oneIn int) {
	kept, oneIn := s.samples.copy()
	list = []Sample{}
	for i := range kept {
		k := kept[i].sample()
		if !f.Name.IsZero() && !f.Name.IsRoot() && !k.Name.IsWithin(f.Name) || f.Client.IsValid() && !f.Client.Overlaps(k.Client) ||
			len(f.From) > 0 && !slices.Contains(f.From, k.From) {
			continue
		}
		if passing++; len(list) < f.Limit {
			list = append(list, k)
		}
	}
	return list, passing, oneIn
}

const (
	sampleBits4 = 24 // no more than RFC 7871 section 11.1 would tell others of a client
	sampleBits6 = 48 // what a whole site may have (RFC 6177); RFC 7871 has 56
)

// keptSample is a sample as the ring holds it: without pointers, so that writing one down allocates nothing and the garbage collector has nothing to look at.
type keptSample struct {
	at      int64 // ns since 1970
	took    int64 // ns
	client  [sampleBits6 / 8]byte
	six     bool
	over    listen.Transport
	from    Origin
	flags   uint8 // sampleDO and so on
	octets  uint16
	rcode   dns.RCode
	typ     dns.Type
	class   dns.Class
	nameLen uint8
	name    [dns.MaxNameLen]byte // wire form
}

const (
	sampleDO = 1 << iota
	sampleCD
	sampleAD
	sampleTC
)

// sample is the form for readers.
func (k *keptSample) sample() Sample {
	s := Sample{
		At: time.Unix(0, k.at).UTC(), Took: time.Duration(k.took), Transport: k.over, From: k.from, Octets: int(k.octets), RCode: k.rcode, Type: k.typ, Class: k.class,
		DO: k.flags&sampleDO != 0, CD: k.flags&sampleCD != 0, AD: k.flags&sampleAD != 0, TC: k.flags&sampleTC != 0,
	}
	if name, err := dns.NameFromWire(k.name[:k.nameLen]); err == nil { // else there was no question
		s.Name = name.Lower()
	}
	if k.six {
		var b [16]byte
		copy(b[:], k.client[:])
		s.Client = netip.PrefixFrom(netip.AddrFrom16(b), sampleBits6)
	} else {
		s.Client = netip.PrefixFrom(netip.AddrFrom4([4]byte(k.client[:])), sampleBits4)
	}
	return s
}

// setClient keeps what is not personal of an address.
func (k *keptSample) setClient(a netip.Addr) {
	if a = a.Unmap(); a.Is4() {
		b := a.As4()
		copy(k.client[:], b[:sampleBits4/8])
		return
	}
	b := a.As16()
	k.six = true
	copy(k.client[:], b[:])
}

// samples are the ring, and what the loops and the slow path share for it.
type samples struct {
	random func() uint64
	taken  *telemetry.Counter
	lost   *telemetry.Counter

	// countdown of the slow path: the setting that it was drawn for in the high half, how many queries to the next sample in the low half.
	countdown atomic.Uint64

	mu    sync.Mutex // whoever answers a query only tries it
	oneIn int
	ring  []keptSample // MaxSamples
	next  int          // where the next one goes
	full  bool         // all have been written
}

func newSamples(random func() uint64, m *metrics) *samples {
	return &samples{random: random, taken: m.samples, lost: m.samplesLost}
}

// configure takes a setting over. The ring holds samples of one setting alone, so that shares can be read off it; and who turns sampling off wants nothing kept.
func (s *samples) configure(oneIn int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.oneIn == oneIn {
		return
	}
	s.oneIn, s.ring, s.next, s.full = oneIn, nil, 0, false
	if oneIn > 0 {
		s.ring = make([]keptSample, MaxSamples) // memory of the system, until it is written to
	}
}

// distance draws how many queries it is to the next sample: uniformly from 1 to 2N-1, which are N on average, so that no client can know which of its queries that is,
// and nothing that repeats hides between the samples.
func (s *samples) distance(oneIn int) int { return 1 + int(s.random()%uint64(2*oneIn-1)) }

// due counts one query of the slow path, and tells whether it is to be sampled.
func (s *samples) due(oneIn int) bool {
	for {
		old := s.countdown.Load()
		left := int(uint32(old))
		if int(old>>32) != oneIn {
			left = s.distance(oneIn)
		}
		due := left == 1
		if left--; due {
			left = s.distance(oneIn)
		}
		if s.countdown.CompareAndSwap(old, uint64(oneIn)<<32|uint64(left)) {
			return due
		}
	}
}

// add writes a sample down, unless that means to wait or the setting is another one by now.
func (s *samples) add(k *keptSample, oneIn int) {
	if !s.mu.TryLock() {
		s.lost.Inc()
		return
	}
	defer s.mu.Unlock()
	if s.oneIn != oneIn {
		return
	}
	s.ring[s.next] = *k
	if s.next++; s.next == len(s.ring) {
		s.next, s.full = 0, true
	}
	s.taken.Inc()
}

// copy returns what is in the ring, the newest first, and the setting.
func (s *samples) copy() ([]keptSample, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.next
	if s.full {
		n = len(s.ring)
	}
	out := make([]keptSample, 0, n)
	for i := 1; i <= n; i++ {
		out = append(out, s.ring[(s.next-i+len(s.ring))%len(s.ring)])
	}
	return out, s.oneIn
}

// loopSamples is the countdown of one loop, which nobody else touches.
type loopSamples struct{ oneIn, left int }

// sample counts the hits among the first n queries of a batch, and writes down the one that the countdown ends at.
func (l *loop) sample(n, hits, oneIn int, start time.Duration) {
	c := &l.samples
	if c.oneIn != oneIn {
		c.oneIn, c.left = oneIn, l.s.samples.distance(oneIn)
	}
	if c.left > hits {
		c.left -= hits
		return
	}
	for i := range n {
		a := &l.asks[i]
		if len(a.query.Answer) == 0 {
			continue
		}
		if c.left--; c.left > 0 {
			continue
		}
		c.left = l.s.samples.distance(oneIn)
		k := keptSample{typ: l.looks[i].Type, class: dns.ClassINET, over: listen.UDP, from: FromImage}
		k.setQuery(l.looks[i].Name, a.do, a.flags, a.query.Client.Addr())
		l.s.keepSample(&k, a.query.Answer, start, oneIn)
	}
}

// sample counts an answer of the slow path, and writes it down if it is its turn.
func (s *Server) sample(q *query, a *recurse.Answer, message []byte) {
	oneIn := q.table.Sampling.OneIn
	if oneIn == 0 || !s.samples.due(oneIn) {
		return
	}
	k := keptSample{typ: q.Type, class: q.Class, over: q.Transport, from: q.origin(a), rcode: a.RCode &^ 15}
	k.setQuery(q.QName, q.validates(), q.Flags, q.Client.Addr())
	s.keepSample(&k, message, q.start, oneIn)
}

// origin tells where the answer came from.
func (q *query) origin(a *recurse.Answer) Origin {
	switch {
	case a.Stale:
		return FromStale
	case a.Asked:
		return FromResolved
	case a.Local:
		return FromLocal
	case q.looked:
		return FromCache
	case a.RCode == dns.RCodeSuccess && !a.Truncated:
		return FromLocal
	}
	return FromRefused
}

// setQuery notes what is known of a query.
func (k *keptSample) setQuery(name []byte, do bool, flags dns.Flags, client netip.Addr) {
	k.nameLen = uint8(copy(k.name[:], name))
	if do {
		k.flags |= sampleDO
	}
	if flags&dns.FlagCD != 0 {
		k.flags |= sampleCD
	}
	k.setClient(client)
}

// keepSample notes what the message says that was answered with, and when, and adds the sample.
func (s *Server) keepSample(k *keptSample, message []byte, start time.Duration, oneIn int) {
	k.at, k.took, k.octets = s.clock.Wall().UnixNano(), int64(s.clock.Boot()-start), uint16(len(message))
	flags := dns.Flags(binary.BigEndian.Uint16(message[2:]))
	k.rcode |= dns.RCode(flags & 15)
	if flags&dns.FlagAD != 0 {
		k.flags |= sampleAD
	}
	if flags&dns.FlagTC != 0 {
		k.flags |= sampleTC
	}
	s.samples.add(k, oneIn)
}
