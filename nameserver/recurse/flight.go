package recurse

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/dnssec"
)

// jobKey is what makes two questions the same: they are asked once.
type jobKey struct {
	name  dns.Name
	typ   dns.Type
	table *Table // settings of two versions are two sources
	fresh Fresh
	epoch uint64 // of the cache: who asks after a purge must not get what was asked for before it
	// server: what is wanted is where a name server is, and glue will do. Clients never share such a job, for glue is no answer.
	server bool
	cd     bool // what comes is not validated
	// above, if it is a name: the zone whose own servers can't be asked, so that those of the zone above it are.
	above dns.Name
}

// runs tells whether there is a job for key.
func (f *flight) runs(key jobKey) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.jobs[key] != nil
}

// errCycle says that a job would wait, by way of others, for itself: servers of two zones each lie in the other.
var errCycle = errors.New("its servers' addresses depend on itself")

// partKey names a question for a part of a name, to a zone's servers: jobs for different names of one zone ask the same on their way.
type partKey struct {
	zone  dns.Name
	q     dns.Question
	table *Table
	epoch uint64 // of the cache, as with jobs
}

// part is a round that several jobs wait for. Its owner runs it.
type part struct {
	owner *job
	done  chan struct{}
	rep   *reply // set, or f, before done is closed
	f     *failure
}

// flight holds the jobs that run, and who of them waits for whom. One lock guards both, so that the search for a cycle and the decision to
// wait are one step; it is taken three times a job and held for the search of a graph of a few nodes.
type flight struct {
	mu       sync.Mutex
	jobs     map[jobKey]*job
	ofGroups int // of the jobs
	parts    map[partKey]*part
}

// maxWaitSearch bounds the search of the wait graph: a job waits for at most a few others, each with a depth of at most
// recursion.limits.job_depth.
const maxWaitSearch = 256

// join finds the job for key, or makes one with start, and lets the waiting job (nil: a client) depend on it. It fails if that closes a
// circle, or if limit jobs run, or as many of groups as may. started tells whether the job is new and must be run by the caller.
func (f *flight) join(key jobKey, waiter *job, limit int, start func() *job) (j *job, started bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	j = f.jobs[key]
	if j == nil {
		running, ofGroups := len(f.jobs), max(1, limit/groupJobs)
		if !key.table.inGroup() {
			running -= max(0, f.ofGroups-ofGroups) // what groups' running jobs have needed beyond their part is not taken from others
		}
		if running >= limit {
			return nil, false, errJobs
		}
		if key.table.inGroup() && f.ofGroups >= ofGroups {
			return nil, false, errGroupJobs
		}
		j = start()
		f.jobs[key] = j
		if key.table.inGroup() {
			f.ofGroups++
		}
		started = true
	} else if waiter != nil && reaches(j, waiter) {
		return nil, false, errCycle
	}
	if waiter != nil {
		waiter.waitsFor[j]++
	}
	return j, started, nil
}

var (
	errJobs      = errors.New("as many resolutions run as recursion.limits.jobs allows")
	errGroupJobs = errors.New("half as many resolutions as recursion.limits.jobs allows are by groups, and more may not be")
)

// reaches tells whether from waits, directly or by way of others, for to. The caller holds the lock.
func reaches(from, to *job) bool {
	stack := []*job{from}
	seen := map[*job]bool{}
	for len(stack) > 0 && len(seen) < maxWaitSearch {
		j := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if j == to {
			return true
		}
		if seen[j] {
			continue
		}
		seen[j] = true
		for k := range j.waitsFor {
			stack = append(stack, k)
		}
	}
	return len(stack) > 0 // too large to search is too large to wait for
}

// joinPart finds the round that asks what j is about to ask, or makes j the owner of a new one. It returns nil if j must ask
// alone, because to wait would close a circle.
func (f *flight) joinPart(key partKey, j *job) (p *part, own bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p = f.parts[key]
	switch {
	case p == nil:
		p = &part{owner: j, done: make(chan struct{})}
		f.parts[key] = p
		return p, true
	case reaches(p.owner, j):
		return nil, false
	}
	j.waitsFor[p.owner]++
	return p, false
}

// finishPart wakes all who wait for the round.
func (f *flight) finishPart(key partKey, p *part) {
	f.mu.Lock()
	delete(f.parts, key)
	f.mu.Unlock()
	close(p.done)
}

// leave ends a wait.
func (f *flight) leave(waiter, j *job) {
	if waiter == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if waiter.waitsFor[j]--; waiter.waitsFor[j] <= 0 {
		delete(waiter.waitsFor, j)
	}
}

// finish takes a job out and wakes all who wait for it.
func (f *flight) finish(j *job) {
	f.mu.Lock()
	delete(f.jobs, j.key)
	if j.key.table.inGroup() {
		f.ofGroups--
	}
	f.mu.Unlock()
	close(j.done)
}

func (f *flight) len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.jobs)
}

// Budget is what one query of a client may cost in all: the questions to name servers that it causes, however deep in the tree of
// jobs. A job that several clients wait for spends the budget of the one that began it.
type Budget struct {
	questions atomic.Int32
	work      *dnssec.Work // what validation may cost
	trusts    *trusts      // of a resolution that uses nothing cached
}

// NewBudget allows what the limits of a table do.
func (r *Resolver) NewBudget(t *Table) *Budget { return r.budget(t, t.Limits.UpstreamQuestions) }

func (r *Resolver) budget(t *Table, questions int) *Budget {
	b := &Budget{work: t.validation.Work(r.m.dnssec), trusts: newTrusts(func() {})}
	b.questions.Store(int32(questions))
	return b
}

// take spends one question.
func (b *Budget) take() bool { return b.questions.Add(-1) >= 0 }

// Left tells how many questions remain.
func (b *Budget) Left() int { return int(max(0, b.questions.Load())) }

// wait waits for a job until ctx ends.
func wait(ctx context.Context, j *job) error {
	select {
	case <-j.done:
		return nil
	default:
	}
	select {
	case <-j.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
