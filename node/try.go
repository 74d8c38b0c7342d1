package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/internal/namedfile"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/nameserver/plugin/trial"
)

const (
	// trialShare is of how much time a trial takes one part: with four a fourth of a core, whatever the new version does. What comes meanwhile is lost to it.
	trialShare = 4

	// trialReport is how often a trial tells how it goes.
	trialReport = time.Second
)

// TryModule is that of admin.ModuleSource.
func (n *Node) TryModule(ctx context.Context, r admin.Trial, next func() ([]trial.Message, error), tell func(admin.TrialLine) error) (end admin.TrialReport, err error) {
	n.modules.tries.Add(1)
	defer n.modules.tries.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var differ func(trial.Difference)
	if r.Differences {
		differ = func(d trial.Difference) {
			if err := tell(admin.TrialLine{Difference: &d}); err != nil {
				cancel(err) // nobody listens any more
			}
		}
	}
	t, err := n.openTrial(ctx, r.Request, differ)
	if err != nil {
		return end, err
	}
	s := &shadow{Trial: t, ctx: ctx, cancel: cancel, boot: n.clock.Boot, began: n.clock.Boot()}
	defer func() {
		log := n.log.With("module", r.Module, "queries", end.Queries, "differ", end.Differing(), "faults", end.Faults(), "lost", end.Lost)
		if err != nil {
			log = log.With("error", err)
		}
		log.Info("a trial of a module has ended")
		err = errors.Join(err, t.Close())
	}()
	ready := make(chan struct{})
	look := func() { cancel(s.readMessages(max(r.OneIn, 1), next)) }
	if !r.Messages {
		stop, lost := n.server.Tap(r.OneIn, t.Answers(), s.watch(n, ready)) // who is told that the trial has begun may ask at once
		defer func() {
			cancel(nil) // whatever has happened
			stop()
		}()
		look = func() { s.untilOver(&r, stop, lost) }
	}
	n.log.Info("a trial of a module has begun", "module", r.Module)
	if err := tell(admin.TrialLine{Report: s.report()}); err != nil {
		cancel(err)
	}
	close(ready)
	var told sync.WaitGroup
	told.Go(func() { s.tell(tell) })
	look()
	<-ctx.Done()
	told.Wait()
	if err := context.Cause(ctx); err != errTrialOver && err != context.Canceled {
		return *s.report(), err
	}
	return *s.report(), nil
}

// openTrial has both versions made ready. One at a time: who compiles takes a core for seconds.
func (n *Node) openTrial(ctx context.Context, r trial.Request, differ func(trial.Difference)) (*trial.Trial, error) {
	m := n.modules
	select {
	case m.trying <- struct{}{}:
		defer func() { <-m.trying }()
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for another trial to be made ready: %w", ctx.Err())
	}
	if err := MakeFolder(m.trials); err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp(m.trials, "")
	if err != nil {
		return nil, fmt.Errorf("making a folder for a trial: %w", err)
	}
	n.mu.Lock()
	f, running, table := n.file, m.table, n.server.Table() // of one version of the settings
	n.mu.Unlock()
	began := trial.Settings{Running: running, Data: f.Settings.Data, Files: f.ReadNamed}
	if n.shared != nil {
		began.Lists = n.shared.tried
	}
	t, err := trial.Open(ctx, trial.Config{
		Request: r, Settings: began,
		Folder: folder, Compile: m.child, Engine: m.engine, Shelf: m.shelf, Clock: n.clock.Boot, Seed: uint64(n.clock.Wall().UnixNano()), Differ: differ, Tenant: table.Clients.Tag, Groups: table.Recursion,
		Resolve: func(name dns.Name, typ dns.Type) (*plugin.Reply, error) {
			if rep := n.server.Recall(ctx, dns.Question{Name: name, Type: typ, Class: dns.ClassINET}, "", false, false); rep != nil {
				return rep, nil
			}
			return nil, errNotRecalled
		},
		Recall: func(q *plugin.Query, owner dns.Name, path *plugin.Path) *plugin.Reply {
			group := n.server.Table().Clients.Group(q.Client)
			if path != nil {
				group = path.Group
			}
			return n.server.Recall(ctx, dns.Question{Name: owner, Type: q.Type, Class: dns.ClassINET}, group, q.Flags&dns.FlagCD != 0, q.DO)
		},
		Order: table.Plugins.Order(),
	})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return t, nil
}

// tried returns a list that was put here to be tried. One that is not here is asked of nobody: no document names it.
func (s *shared) tried(sum [32]byte) (*namedfile.File, error) {
	size, err := s.blobs.Size(sum)
	if err != nil {
		return nil, hinted{err, fmt.Sprintf("put it there first: PUT /api/v1/blobs/%x", sum)}
	}
	return namedfile.At(sum, size, func() (io.ReadCloser, error) { return s.blobs.Stream(sum) }), nil
}

var (
	errNotRecalled = errors.New("it is not in the cache")
	errTrialOver   = errors.New("the trial is over")
)

// shadow is a trial that a node runs.
type shadow struct {
	*trial.Trial
	ctx    context.Context
	cancel context.CancelCauseFunc // ends it: with errTrialOver, or with the reason
	boot   func() time.Duration
	began  time.Duration
}

func (s *shadow) report() *admin.TrialReport {
	return &admin.TrialReport{Report: s.Report(), Seconds: (s.boot() - s.began).Seconds()}
}

// tell tells how it goes, until it ends.
func (s *shadow) tell(tell func(admin.TrialLine) error) {
	tick := time.NewTicker(trialReport)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
		if err := tell(admin.TrialLine{Report: s.report()}); err != nil {
			s.cancel(err)
		}
	}
}

// watch returns what looks at lines that the node writes down of its answers, when ready is closed.
func (s *shadow) watch(n *Node, ready <-chan struct{}) func([]plugin.Line) {
	return func(lines []plugin.Line) {
		select {
		case <-ready:
		case <-s.ctx.Done():
			return
		}
		defer n.crashes.Recover(
			func() string { return "looking at what was answered, for a trial of a module" },
			func(signature string) {
				s.cancel(fmt.Errorf("a fault of the node ended the trial; crash report %s", signature))
			})
		began := s.boot()
		for k := range lines {
			if s.ctx.Err() != nil {
				return
			}
			if err := s.Look(s.ctx, &trial.Record{Line: lines[k]}); err != nil {
				s.cancel(err)
				return
			}
		}
		s.rest(s.boot() - began)
	}
}

// untilOver waits until the time of the trial is over, or it ends for another reason, and counts what is lost.
func (s *shadow) untilOver(r *admin.Trial, stop func(), lost func() uint64) {
	over := time.AfterFunc(time.Duration(r.Seconds*float64(time.Second)), func() { s.cancel(errTrialOver) })
	defer over.Stop()
	known := uint64(0)
	count := func() {
		now := lost()
		s.Lost(now - known)
		known = now
	}
	tick := time.NewTicker(trialReport / 2)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			stop()
			count()
			return
		case <-tick.C:
			count()
		}
	}
}

// readMessages looks at queries that are sent. It returns why it ended.
func (s *shadow) readMessages(oneIn int, next func() ([]trial.Message, error)) error {
	seen := 0
	for {
		all, err := next()
		if err == io.EOF {
			return errTrialOver
		}
		if err != nil {
			return err
		}
		began := s.boot()
		for k := range all {
			seen++
			if (seen-1)%oneIn != 0 {
				continue
			}
			r, err := all[k].Record()
			if err != nil {
				s.Unreadable()
				continue
			}
			if err := s.Look(s.ctx, r); err != nil {
				return err
			}
		}
		s.rest(s.boot() - began)
		if err := s.ctx.Err(); err != nil {
			return err
		}
	}
}

// rest leaves the core to those who answer, for as long as the share says.
func (s *shadow) rest(worked time.Duration) {
	if worked <= 0 {
		return
	}
	t := time.NewTimer((trialShare - 1) * worked)
	defer t.Stop()
	select {
	case <-s.ctx.Done():
	case <-t.C:
	}
}
