package recurse

import (
	"errors"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// failure is why a resolution came to nothing, in the terms of RFC 8914: it names the server or the record at fault.
type failure struct {
	ede   dns.EDE
	mind  remember
	cause string // the innermost reason, for the text of what failed because of this; "": the text itself
	bogus bool   // validation failed: who sets CD is none the worse for it
}

func (f *failure) Error() string { return f.ede.Text }

// root returns the innermost reason: a chain of "because" is of no use to a reader, its end is.
func (f *failure) root() string {
	if f.cause != "" {
		return f.cause
	}
	return f.ede.Text
}

// forged tells whether servers answered, and what they said can't be believed. What could not be validated for want of keys is no such thing.
func (f *failure) forged() bool { return f.bogus && f.mind == doubling }

// remember says for how long a failure is worth keeping (RFC 9520).
type remember uint8

const (
	forget   remember = iota // not the question's fault: our own limits, cancellation
	briefly                  // silence: kept for the shortest time, so that an outage is over when it is over
	doubling                 // servers that answer, but wrongly: kept longer each time
)

func fail(mind remember, code dns.EDECode, text string) *failure {
	return &failure{ede: dns.EDE{Code: code, Text: text}, mind: mind}
}

// asFailure makes any error one that a client can be told.
func asFailure(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	return fail(forget, dns.EDEOther, err.Error())
}

// failureKey names what failed.
type failureKey struct {
	name  dns.Name
	typ   dns.Type
	space cache.Space
}

// remembered is a failure that is answered from memory.
type remembered struct {
	f     *failure
	at    time.Duration // boot time
	until time.Duration // boot time
	times int           // in a row
}

// failures remembers what could not be resolved, so that it is not tried for each client (RFC 9520), bounded by count.
type failures struct {
	mu    sync.Mutex
	limit int
	m     map[failureKey]remembered
	full  func()
}

// maxFailures bounds the memory: at some 200 octets each, 4 MiB.
const maxFailures = 20_000

func newFailures(limit int, full func()) *failures {
	return &failures{limit: limit, m: make(map[failureKey]remembered), full: full}
}

// get returns the failure that is remembered for a question now. Who has a stale answer can wait longer until it is tried again.
func (s *failures) get(k failureKey, now time.Duration, stale bool) (*failure, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.m[k]
	if !ok || now >= r.until && !(stale && now < r.at+staleRecheck) {
		return nil, false
	}
	return r.f, true
}

// put remembers a failure for between shortest and longest, doubling with each one in a row.
func (s *failures) put(k failureKey, f *failure, now, shortest, longest time.Duration) {
	if f.mind == forget {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.m[k]
	if !ok && len(s.m) >= s.limit {
		s.evict(now)
	}
	times := 0
	if ok && now < old.until+longest {
		times = old.times + 1
	}
	d := shortest
	if f.mind == doubling {
		d = min(shortest<<min(times, 16), longest)
	}
	s.m[k] = remembered{f, now, now + d, times}
}

// evict makes room: what is over first, else any.
func (s *failures) evict(now time.Duration) {
	n := 0
	for k, r := range s.m { // random order: 16 are a sample
		if now >= r.until || n == 15 {
			delete(s.m, k)
			s.full()
			return
		}
		n++
	}
}

// clear forgets a failure, because the question was answered. An answer that was not validated says nothing of a failure to validate.
func (s *failures) clear(k failureKey, unchecked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.m[k]; ok && !(unchecked && r.f.bogus) {
		delete(s.m, k)
	}
}

// purge forgets the failures of a name, or of all below it too.
func (s *failures) purge(name dns.Name, subtree bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for k := range s.m {
		if k.name == name || subtree && k.name.IsWithin(name) {
			delete(s.m, k)
			n++
		}
	}
	return n
}
