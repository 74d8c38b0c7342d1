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

// How the child is started again: at once, then after twice as long each time, up to where a disk that has room again is noticed soon enough. One that ran for a while begins anew.
const (
	firstWait = 250 * time.Millisecond
	mostWait  = 5 * time.Second
	ranWell   = time.Minute
)

// child is one life of the child process.
type child struct {
	pid    int
	member uint64
	client *clientv3.Client
	ended  chan struct{} // closed when the process has ended
	term   atomic.Uint64 // of the leader who decided last, as far as this client knows
}

// heard takes from an answer which leader's it is.
func (c *child) heard(h *etcdserverpb.ResponseHeader) { c.term.Store(h.GetRaftTerm()) }

// supervise keeps a child running until the root is closed.
func (r *Root) supervise() {
	defer close(r.done)
	runtime.LockOSThread() // and never unlock: tie
	for wait := firstWait; ; {
		began := time.Now()
		err := r.live()
		switch {
		case r.ctx.Err() != nil:
			r.enter(Stopped, "")
			return
		case errors.Is(err, errRemoved):
			r.enter(Removed, err.Error())
			r.log.Error("this member was taken out of the root; its etcd is not started again")
			return
		}
		if time.Since(began) > ranWell {
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

// live runs one child, and returns why it ended.
func (r *Root) live() error {
	cmd := r.config.Command()
	log := &logged{log: r.log, now: time.Now, quiet: r.ctx.Done()}
	cmd.Stderr = log
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("making a pipe to etcd: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("making a pipe from etcd: %w", err)
	}
	tie(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting etcd's process: %w", err)
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
	c := &child{pid: cmd.Process.Pid, ended: make(chan struct{})}
	ended := r.hear(c, in, out)
	close(c.ended)
	r.lose(c)
	in.Close()
	err = cmd.Wait()
	switch why := log.why(); {
	case errors.Is(ended, errRemoved):
		return ended
	case why != "" && ended != nil:
		return fmt.Errorf("%w: %s", ended, why)
	case why != "":
		return errors.New(why)
	case ended != nil:
		return ended
	case err != nil:
		return err
	}
	return errors.New("it ended without saying why")
}

// hear tells a child what to do, and follows what it says until it ends.
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
			r.have(c)
		case line.Removed:
			ended = errRemoved
		case line.Error != "":
			ended = errors.New(line.Error)
		}
	}
	_, _ = io.Copy(io.Discard, out) // after a line that is too long
	return ended
}

// have makes a child the one that is asked.
func (r *Root) have(c *child) {
	r.mu.Lock()
	r.current = c
	r.mu.Unlock()
	r.enter(Running, r.State().Err)
	r.log.Info("the root's etcd runs", "pid", c.pid)
	go r.settle(c)
}

// lose has nobody ask a child any more. Its client is closed, so that whoever waits for an answer hears at once that there is none.
func (r *Root) lose(c *child) {
	r.mu.Lock()
	if r.current == c {
		r.current = nil
	}
	r.state.PID = 0
	r.mu.Unlock()
	if c.client != nil {
		_ = c.client.Close() // what was under way is lost in any case
	}
}

// enter says in which phase the child is.
func (r *Root) enter(p Phase, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.Phase, r.state.Since, r.state.Err = p, time.Now(), why
	close(r.changed)
	r.changed = make(chan struct{})
}

// State tells how the root's own etcd is.
func (r *Root) State() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// Changed returns a channel that is closed when the phase changes.
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
