package zone

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"runtime/debug"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/recurse"
)

// Start begins to refresh the copy by the timers of its SOA record (RFC 8806 section 2, RFC 1035 section 3.3.13). It ends with Close.
func (l *LocalRoot) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel, l.done = cancel, make(chan struct{})
	go l.run(ctx)
}

// Close ends what Start began, and waits for it. What is held can still be asked.
func (l *LocalRoot) Close() {
	if l.cancel == nil {
		return
	}
	l.cancel()
	<-l.done
}

func (l *LocalRoot) run(ctx context.Context) {
	defer close(l.done)
	timer := time.NewTimer(longestSleep)
	defer timer.Stop()
	for ctx.Err() == nil {
		wait := l.mind()
		if wait <= 0 {
			l.attempt(ctx)
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-l.wake:
		case <-timer.C:
		}
	}
}

// mind sees whether the copy has become too old, and returns how long nothing is to be done.
func (l *LocalRoot) mind() time.Duration {
	l.mu.Lock()
	defer l.unlock()
	now, h := l.clock.Boot(), l.held.Load()
	until := l.due
	switch {
	case h == nil || !l.s.On():
	case now < h.expires:
		until = min(until, h.expires)
	case l.tried && !l.alarmed:
		l.due, until = now, now
	}
	l.alarm(now)
	if until == never {
		return longestSleep
	}
	return min(until-now, longestSleep)
}

// contain runs f; a panic in it counts as an attempt that came to nothing.
func (l *LocalRoot) contain(f func()) {
	defer func() {
		if p := recover(); p != nil {
			l.failed(l.fault(p))
		}
	}()
	f()
}

// fault makes trouble of a panic, with a report.
func (l *LocalRoot) fault(p any) *trouble {
	signature := "unrecorded"
	if l.crashes != nil {
		signature = l.crashes.Report("refreshing the local root", p, debug.Stack())
	}
	l.m.refreshes.With(refreshFailed.String()).Inc()
	return &trouble{what: refreshFailed, err: fmt.Errorf("a fault of this program; crash report %s", signature)}
}

var errNoServer = errors.New("every server in recursion.local_root.axfr is of a family that is off")

// attempt looks once whether there is a newer copy.
func (l *LocalRoot) attempt(ctx context.Context) {
	l.mu.Lock()
	if l.due > l.clock.Boot() || !l.s.On() {
		l.mu.Unlock()
		return // there was only something to be said
	}
	if l.s.File != "" {
		defer l.unlock()
		l.contain(l.readFile)
		return
	}
	s, changes, first := l.s, l.changes, l.server
	l.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, roundTime)
	defer cancel()
	t := &trouble{what: refreshFailed, err: errNoServer}
	for i := range s.AXFR {
		at := (first + i) % len(s.AXFR)
		if !l.table().Speaks(s.AXFR[at].Addr()) {
			continue
		}
		if t = l.askServer(ctx, s, changes, at); t == nil || ctx.Err() != nil {
			break
		}
	}
	l.mu.Lock()
	defer l.unlock()
	switch {
	case changes != l.changes || errors.Is(ctx.Err(), context.Canceled):
	case t != nil:
		l.failed(t)
	default:
		l.tried, l.failures, l.trouble = true, 0, nil
	}
}

// askServer asks one server for its serial, and for the zone if it is newer. nil: what is held is current.
func (l *LocalRoot) askServer(parent context.Context, s recurse.LocalRootSettings, changes, at int) (t *trouble) {
	defer func() {
		if p := recover(); p != nil {
			t = l.fault(p)
		}
	}()
	server := s.AXFR[at]
	ctx, cancel := context.WithTimeout(parent, transferTime)
	defer cancel()
	fail := func(what outcome, err error) *trouble {
		if parent.Err() == nil { // else it ended because we end
			l.count(what, err)
			l.log.Warn("the root zone could not be refreshed", "server", server.String(), "error", err.Error())
		}
		return &trouble{what: what, server: server, err: err}
	}
	timed := func(err error) error {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) && parent.Err() == nil {
			return limitTime
		}
		return err
	}
	ses, err := connect(ctx, l.network, server, dns.Root, func() uint16 { return uint16(l.random()) })
	if err != nil {
		return fail(refreshFailed, timed(err))
	}
	defer ses.close()
	soa, err := ses.serial()
	if err != nil {
		return fail(refreshFailed, fmt.Errorf("asking %v for the SOA record of the root: %w", server, timed(err)))
	}
	done, older := l.confirm(soa.Serial, changes, at)
	switch {
	case done:
		return nil
	case older != nil:
		return fail(refreshFailed, fmt.Errorf("%v %w", server, older))
	}
	rrs, err := ses.transfer()
	if err != nil {
		return fail(refreshFailed, fmt.Errorf("transferring the root from %v: %w", server, timed(err)))
	}
	if what, err := l.accept(rrs, changes, at); err != nil {
		return fail(what, fmt.Errorf("the root zone that %v gives can't be used: %w", server, err))
	}
	return nil
}

// olderError says that a server has an older zone than is held.
type olderError struct{ theirs, ours uint32 }

func (e olderError) Error() string {
	return fmt.Sprintf("has serial %d, which is older than %d", e.theirs, e.ours)
}

// outdates returns an error if a serial is older than that of the copy, which may still be used: one that is too old is no better than none.
func (h *held) outdates(serial uint32, now time.Duration) error {
	if ours := h.zone.soa.Serial; now < h.expires && serial != ours && !newer(serial, ours) {
		return olderError{serial, ours}
	}
	return nil
}

// count counts what came of an attempt.
func (l *LocalRoot) count(what outcome, err error) {
	l.m.refreshes.With(what.String()).Inc()
	var limit *limitError
	if errors.As(err, &limit) {
		l.m.limits.With(limit.name).Inc()
	}
}

// confirm notes that a server has the serial that is held, if it has, and that what is held still holds. older says that it has another one
// that is not newer.
func (l *LocalRoot) confirm(serial uint32, changes, at int) (done bool, older error) {
	l.mu.Lock()
	defer l.unlock()
	h, now := l.held.Load(), l.clock.Boot()
	switch {
	case changes != l.changes:
		return true, nil // it is of no interest any more
	case h == nil:
		return false, nil
	case serial != h.zone.soa.Serial:
		return false, h.outdates(serial, now)
	case h.ends-now < signatureMargin:
		return false, nil // it may have been signed anew
	}
	v, err := h.zone.Verify(l.policy())
	if err != nil {
		return false, nil // the trust anchors have changed; what the server has now is another question
	}
	l.server = at
	h = l.hold(h.zone, v, now, &held{source: l.s.AXFR[at].String(), from: h.from, sum: h.sum})
	l.due = now + l.refresh(h.zone)
	l.count(refreshCurrent, nil)
	if now-l.saved >= confirmEvery {
		l.save(now, func(wall time.Time) error { return l.file.confirm(wall) })
	}
	return true, nil
}

// accept makes a zone of what was transferred, and takes it in use if it is what its owner has published.
func (l *LocalRoot) accept(rrs []dns.RR, changes, at int) (outcome, error) {
	z, err := build(dns.Root, rrs)
	if err != nil {
		return refreshFailed, err
	}
	l.mu.Lock()
	defer l.unlock()
	if changes != l.changes {
		return refreshLoaded, nil
	}
	now := l.clock.Boot()
	if h := l.held.Load(); h != nil {
		if err := h.outdates(z.soa.Serial, now); err != nil {
			return refreshFailed, fmt.Errorf("it %w", err)
		}
	}
	v, err := z.Verify(l.policy())
	if err != nil {
		return refreshRefused, err
	}
	l.server = at
	h := l.hold(z, v, now, &held{source: l.s.AXFR[at].String(), from: sourceOf(l.s)})
	l.due = now + l.refresh(z)
	l.count(refreshLoaded, nil)
	l.save(now, func(wall time.Time) error { return l.file.save(&stored{records: rrs, confirmed: wall, from: h.from}) })
	return refreshLoaded, nil
}

// save writes to the disk. What can't be written costs a transfer after the next start.
func (l *LocalRoot) save(now time.Duration, write func(wall time.Time) error) {
	err := write(l.wall())
	if err == nil {
		l.saved = now
	} else if l.unsaved == nil || l.unsaved.Error() != err.Error() {
		l.log.Warn("the copy of the root zone can't be written down, so that the next start needs the network", "error", err.Error(),
			"hint", "is the disk full, and may this user write in node.data?")
	}
	l.unsaved = err
}

// readCopy takes the copy on disk in use, if it is good. One whose age can't be told waits until a server has said that it is current.
func (l *LocalRoot) readCopy() {
	s, err := l.file.load()
	if err == nil && s == nil {
		return
	}
	var z *Zone
	if err == nil {
		z, err = build(dns.Root, s.records)
	}
	var v Verified
	if err == nil {
		v, err = z.Verify(l.policy())
	}
	switch {
	case err != nil:
		l.log.Warn("the copy of the root zone on disk can't be used, and is asked for anew", "file", l.file.path, "error", err.Error())
		return
	case !v.Signed && s.from != sourceOf(l.s):
		return // another root, perhaps, and nothing to tell it by
	}
	now, wall := l.clock.Boot(), l.wall()
	age := wall.Sub(s.confirmed)
	if wall.IsZero() || s.confirmed.IsZero() || age < 0 {
		age = never - now // a clock that was set back, or is not set yet
	}
	l.saved = now - min(age, confirmEvery)
	l.hold(z, v, now-age, &held{source: l.file.path, from: s.from})
}

// readFile reads the zone file. Its age is that of the file, for who fetches it anew writes it anew.
func (l *LocalRoot) readFile() {
	now := l.clock.Boot()
	t := l.tryFile(now)
	switch h := l.held.Load(); {
	case t != nil:
		l.count(t.what, t.err)
		l.log.Warn("the root zone could not be read", "error", t.err.Error())
		l.failed(t)
	case now >= h.expires:
		l.failed(&trouble{what: refreshFailed, err: fmt.Errorf("%q was written %v ago, and a copy is used for %v", l.path, age(now-h.confirmed), age(l.life(h.zone)))})
	default:
		l.tried, l.failures, l.trouble = true, 0, nil
		l.due = now + l.refresh(h.zone)
	}
}

func (l *LocalRoot) tryFile(now time.Duration) *trouble {
	b, err := readBounded(l.path, maxOctets)
	if err != nil {
		return &trouble{what: refreshFailed, err: fmt.Errorf("reading the root zone: %w", err)}
	}
	info, err := os.Stat(l.path)
	if err != nil {
		return &trouble{what: refreshFailed, err: fmt.Errorf("reading the root zone: %w", err)}
	}
	h := &held{source: l.path, sum: sha256.Sum256(b), confirmed: now}
	what := refreshLoaded
	if before := l.held.Load(); before != nil && before.sum == h.sum {
		what = refreshCurrent
		h.zone, h.confirmed = before.zone, before.confirmed
	}
	if h.zone == nil {
		if h.zone, err = Parse(string(b), l.path, dns.Root); err != nil {
			return &trouble{what: refreshFailed, err: err}
		}
	}
	v, err := h.zone.Verify(l.policy())
	if err != nil {
		return &trouble{what: refreshRefused, err: fmt.Errorf("the root zone in %q can't be used: %w", l.path, err)}
	}
	if before := l.held.Load(); before != nil && newer(before.zone.soa.Serial, h.zone.soa.Serial) {
		l.log.Warn("the file holds an older root zone than before", "file", l.path, "serial", h.zone.soa.Serial, "before", before.zone.soa.Serial)
	}
	if wall := l.wall(); !wall.IsZero() && !info.ModTime().After(wall) {
		h.confirmed = now - wall.Sub(info.ModTime())
	}
	l.hold(h.zone, v, h.confirmed, h)
	l.count(what, nil)
	return nil
}

// failed notes that an attempt came to nothing, and when the next one comes.
func (l *LocalRoot) failed(t *trouble) {
	now := l.clock.Boot()
	l.failures++
	l.trouble, l.tried = t, true
	l.due = now + l.retry()
	l.alarm(now)
}

// outcome is what came of an attempt, as the metric has it.
type outcome uint8

const (
	refreshCurrent outcome = iota
	refreshLoaded
	refreshFailed
	refreshRefused // what came is not what its owner has published
)

var outcomes = [...]string{"current", "loaded", "failed", "refused"}

func (o outcome) String() string { return outcomes[o] }

// trouble is why an attempt came to nothing.
type trouble struct {
	what   outcome
	server netip.AddrPort // invalid: it was a file
	err    error
}

// hint says what to do about it.
func (t *trouble) hint(path string) string {
	switch {
	case t == nil:
		return "nothing is to be done if the log says soon that it is held again"
	case t.server.IsValid() && t.what == refreshRefused:
		return "name other servers in recursion.local_root.axfr, and find out who changed what these give; if the root is one of your own, check recursion.trust_anchors and zonemd"
	case t.server.IsValid():
		return "see that TCP to the servers in recursion.local_root.axfr is possible and that they let this node transfer the root, or name others"
	case errors.Is(t.err, fs.ErrNotExist):
		return fmt.Sprintf("put the root zone into %q, or name another file in recursion.local_root.file", path)
	case t.what == refreshRefused:
		return fmt.Sprintf("fetch %q anew from where it is published; if the root is one of your own, check recursion.trust_anchors and zonemd", path)
	}
	return fmt.Sprintf("see that what fetches %q still runs", path)
}
