package etcd

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// How the child is started again: soon, then after twice as long each time, up to where a disk that has room again is noticed soon enough. After one that answered it begins anew: to
// start takes 150 ms of a processor, so that one that always answers and then ends takes a third of one.
const (
	firstWait = 250 * time.Millisecond
	mostWait  = 5 * time.Second
)

// child is one life of the child process.
type child struct {
	pid    int
	member uint64
	client *clientv3.Client
	term   atomic.Uint64 // of the leader who decided last, as far as this client knows
}

// heard takes from an answer which leader's it is.
func (c *child) heard(h *etcdserverpb.ResponseHeader) { c.term.Store(h.GetRaftTerm()) }

// supervise keeps a child running until the root is closed.
func (r *Root) supervise() {
	defer close(r.done)
	runtime.LockOSThread() // and never unlock: tie
	for wait := firstWait; ; {
		answered, err := r.live()
		switch {
		case r.ctx.Err() != nil:
			r.enter(Stopped, "")
			return
		case errors.Is(err, errRemoved):
			r.enter(Removed, err.Error())
			r.log.Error("this member was taken out of the root; its etcd is not started again")
			return
		}
		if answered {
			wait = firstWait
		}
		r.enter(Restarting, err.Error())
		r.log.Error("the root's etcd ended, and is started again", "error", err, "in", wait)
		select {
		case <-time.After(wait):
		case <-r.ctx.Done():
			r.enter(Stopped, "")
			return
		}
		wait = min(2*wait, mostWait)
		r.mu.Lock()
		r.state.Restarts++
		r.mu.Unlock()
	}
}

// live runs one child, and returns whether it answered and why it ended.
func (r *Root) live() (answered bool, err error) {
	cmd := r.config.Command()
	log := &logged{log: r.log, now: time.Now, quiet: r.ctx.Done()}
	cmd.Stderr = log
	in, err := cmd.StdinPipe()
	if err != nil {
		return false, fmt.Errorf("making a pipe to etcd: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return false, fmt.Errorf("making a pipe from etcd: %w", err)
	}
	tie(cmd)
	if err := cmd.Start(); err != nil {
		return false, fmt.Errorf("starting etcd's process: %w", err)
	}
	r.mu.Lock()
	r.state.PID = cmd.Process.Pid
	r.mu.Unlock()
	r.enter(Starting, r.State().Err)

	stopping := context.AfterFunc(r.ctx, func() {
		in.Close() // ends it in good order
		time.AfterFunc(stopTime+time.Second, func() { _ = cmd.Process.Kill() })
	})
	defer stopping()
	c := &child{pid: cmd.Process.Pid}
	ended := r.hear(c, in, out)
	r.lose(c)
	in.Close()
	err = cmd.Wait()
	return c.client != nil, why(ended, log.why(), err)
}

// why puts together why a child ended: what it said to us, what its log says, and how its process did.
func why(said error, logged string, exit error) error {
	switch {
	case errors.Is(said, errRemoved):
		return said
	case logged != "" && said != nil:
		return fmt.Errorf("%w: %s", said, logged)
	case logged != "" && exit != nil:
		return fmt.Errorf("%s (%w)", logged, exit)
	case logged != "":
		return errors.New(logged)
	case said != nil:
		return said
	case exit != nil:
		return exit
	}
	return errors.New("it ended without saying why")
}

// hear tells a child what to do, and follows what it says until it ends. Then its client is closed, so that whoever waits for an answer hears at once that there is none.
func (r *Root) hear(c *child, in io.Writer, out io.Reader) error {
	told, err := json.Marshal(r.start)
	if err != nil {
		return fmt.Errorf("writing what etcd is to be started with: %w", err)
	}
	if _, err := in.Write(append(told, '\n')); err != nil {
		return nil // it has ended, and says itself why
	}
	var ended error
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var line said
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			continue // not ours: etcd itself writes nothing here
		}
		switch {
		case line.Ready:
			c.member = line.Member
			if c.client, err = r.dial(); err != nil {
				return err
			}
			// A child that ends waits for the calls of its clients, up to five seconds: ours has none any more that anybody waits for.
			defer context.AfterFunc(r.ctx, func() { _ = c.client.Close() })()
			had := make(chan struct{})
			go func() { defer close(had); r.have(c) }()
			defer func() {
				_ = c.client.Close() // what is under way is lost
				<-had
			}()
		case line.Removed:
			ended = errRemoved
		case line.Error != "":
			ended = errors.New(line.Error)
		}
	}
	_, _ = io.Copy(io.Discard, out) // after a line that is too long
	return ended
}

// learnerPeriod is how often a member without a vote asks whether it has one.
const learnerPeriod = 500 * time.Millisecond

// have makes a child the one that is asked, once it has a vote: etcd answers nothing before.
func (r *Root) have(c *child) {
	for {
		s, err := c.client.Status(r.ctx, socketName)
		if err == nil && !s.IsLearner {
			break
		}
		if err == nil && r.State().Phase != Joining {
			r.enter(Joining, r.State().Err)
		}
		// An error is not the end of the child: one whose disk was full a moment ago, or that has no processor, may not answer the first question.
		select {
		case <-time.After(learnerPeriod):
		case <-c.client.Ctx().Done(): // it has ended
			return
		case <-r.ctx.Done():
			return
		}
	}
	r.mu.Lock()
	r.current = c
	r.mu.Unlock()
	r.enter(Running, r.State().Err)
	r.log.Info("the root's etcd runs", "pid", c.pid)
	r.settle(c)
}

// lose has nobody ask a child any more.
func (r *Root) lose(c *child) {
	r.mu.Lock()
	if r.current == c {
		r.current = nil
	}
	r.state.PID = 0
	r.mu.Unlock()
}

// enter says in which phase the child is.
func (r *Root) enter(p Phase, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.Phase, r.state.Since, r.state.Err = p, time.Now(), why
	r.tell()
}

// tell wakes who waits for a change. The lock is held.
func (r *Root) tell() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// State tells how the root's own etcd is.
func (r *Root) State() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// Changed returns a channel that is closed when the phase changes, or whether writes are taken.
func (r *Root) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// running returns the child to ask, or why there is none.
func (r *Root) running() (*child, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current == nil {
		return nil, r.state.down()
	}
	return r.current, nil
}

// Ready returns when etcd answers; or an error when ctx is done, or it will not answer any more.
func (r *Root) Ready(ctx context.Context) error {
	_, err := r.wait(ctx)
	return err
}

// wait returns the child to ask as soon as there is one.
func (r *Root) wait(ctx context.Context) (*child, error) {
	for {
		r.mu.Lock()
		c, s, changed := r.current, r.state, r.changed
		r.mu.Unlock()
		if c != nil {
			return c, nil
		}
		if s.Phase == Removed || s.Phase == Stopped {
			return nil, s.down()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the root's etcd: %w (%w)", ctx.Err(), s.down())
		}
	}
}
