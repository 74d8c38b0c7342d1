package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// chaos makes faults until ctx is done, and ends them all.
func (r *run) chaos(ctx context.Context) {
	faults := []struct {
		weight int
		make   func(ctx context.Context, m *member, long time.Duration, chance uint64)
	}{
		{4, r.kill}, {4, r.hold}, {3, r.reset}, {3, r.slow}, {3, r.unplug}, {3, r.fill}, {2, r.spoil}, {3, r.jump}, {2, r.killEtcd}, {3, r.stopEtcd}, {2, r.stop},
	}
	sum := 0
	for _, f := range faults {
		sum += f.weight
	}
	var all sync.WaitGroup
	for ctx.Err() == nil {
		// All that is random is drawn here, in order: the schedule follows from the seed, whatever the machine does.
		m := r.members[r.random.IntN(len(r.members))]
		if r.random.IntN(3) == 0 {
			m = r.root
		}
		at := r.random.IntN(sum)
		long := time.Duration(200+r.random.IntN(3000)) * time.Millisecond
		next := time.Duration(100+r.random.IntN(1500)) * time.Millisecond
		chance := r.random.Uint64()
		for _, f := range faults {
			if at -= f.weight; at < 0 {
				all.Go(func() {
					m.busy.Lock()
					defer m.busy.Unlock()
					if ctx.Err() == nil {
						f.make(ctx, m, long, chance)
					}
				})
				break
			}
		}
		r.pause(ctx, next)
	}
	all.Wait()
}

// restart starts a node that was killed.
func (r *run) restart(m *member) {
	if err := m.Start(""); err != nil {
		r.bad("%s does not start: %w", m.Name, err)
	}
}

func (r *run) kill(ctx context.Context, m *member, long time.Duration, _ uint64) {
	r.note("%s is killed, and down for %v", m.Name, long/2)
	m.Kill()
	r.pause(ctx, long/2)
	r.restart(m)
}

// etcd returns the process of the root's etcd; 0 if it has none.
func (r *run) etcd() int {
	if r.root.PID() == 0 {
		return 0
	}
	pid := 0
	for _, l := range r.root.Lines() {
		if l.Msg == "the root's etcd runs" {
			pid = l.PID
		}
	}
	return pid
}

// noteEtcd notes in which state the processes of etcd are.
func (r *run) noteEtcd() {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		line, _ := os.ReadFile(file)
		if !bytes.Contains(line, []byte("store-etcd")) {
			continue
		}
		status, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "status"))
		for text := range strings.Lines(string(status)) {
			if strings.HasPrefix(text, "State:") {
				r.note("etcd, process %s: %s", filepath.Base(filepath.Dir(file)), strings.TrimSpace(text))
			}
		}
	}
}

// amid waits until a write has begun, and up to 8 ms more, which is what one takes: chance alone would seldom hit one.
func (r *run) amid(ctx context.Context, chance uint64) {
	select {
	case <-r.begun:
	case <-ctx.Done():
	}
	r.pause(ctx, time.Duration(chance>>20%8000)*time.Microsecond)
}

// killEtcd kills etcd alone, in the middle of what it decides. The root's lock is not held: it may be in whatever state.
func (r *run) killEtcd(ctx context.Context, _ *member, _ time.Duration, chance uint64) {
	r.amid(ctx, chance)
	r.note("the root's etcd is killed")
	if pid := r.etcd(); pid > 1 {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended by itself
	}
}

// stopEtcd stops etcd for a while, now and then for longer than a commit waits: what was asked is decided after its asker has given up.
func (r *run) stopEtcd(ctx context.Context, _ *member, long time.Duration, chance uint64) {
	if chance%2 == 0 {
		long += 9 * time.Second
	}
	r.amid(ctx, chance)
	pid := r.etcd()
	if pid <= 1 {
		return
	}
	r.note("the root's etcd is stopped for %v", long)
	_ = syscall.Kill(pid, syscall.SIGSTOP)
	r.pause(ctx, long)
	_ = syscall.Kill(pid, syscall.SIGCONT)
}

// stop stops a node, as a virtual machine is stopped.
func (r *run) stop(ctx context.Context, m *member, long time.Duration, _ uint64) {
	r.note("%s is stopped for %v", m.Name, long)
	pid := m.PID()
	if pid == 0 {
		return
	}
	_ = syscall.Kill(-pid, syscall.SIGSTOP)
	r.pause(ctx, long)
	_ = syscall.Kill(-pid, syscall.SIGCONT)
}

// pick returns a link of a node, or, for the root, one of all.
func (r *run) pick(m *member, chance uint64) *link {
	links := m.links
	if len(links) == 0 {
		for _, m := range r.members {
			links = append(links, m.links...)
		}
	}
	return links[chance%uint64(len(links))]
}

func (r *run) hold(ctx context.Context, m *member, long time.Duration, chance uint64) {
	k := r.pick(m, chance)
	if chance>>32%4 == 0 {
		long += 11 * time.Second // longer than a follower waits for a silent source
	}
	r.note("%s: nothing goes through for %v", k.name, long)
	k.set(0, true, false)
	r.pause(ctx, long)
	k.set(0, false, false)
}

func (r *run) reset(ctx context.Context, m *member, long time.Duration, chance uint64) {
	k := r.pick(m, chance)
	r.note("%s: connections are refused for %v", k.name, long)
	k.set(0, false, true)
	r.pause(ctx, long)
	k.set(0, false, false)
}

func (r *run) slow(ctx context.Context, m *member, long time.Duration, chance uint64) {
	k := r.pick(m, chance)
	delay := time.Duration(10+chance%300) * time.Millisecond
	r.note("%s: %v late for %v", k.name, delay, long)
	k.set(delay, false, false)
	r.pause(ctx, long)
	k.set(0, false, false)
}

// unplug pulls a node's cable.
func (r *run) unplug(ctx context.Context, m *member, long time.Duration, _ uint64) {
	r.note("%s: its cable is out for %v", m.Name, long)
	cable := fmt.Sprintf("v%d", m.index)
	if err := command("ip", "link", "set", cable, "down"); err != nil {
		r.bad("%w", err)
	}
	r.pause(ctx, long)
	if err := command("ip", "link", "set", cable, "up"); err != nil {
		r.bad("%w", err)
	}
}

// fill fills a node's disk to the last octet. It has to answer all the same.
func (r *run) fill(ctx context.Context, m *member, long time.Duration, _ uint64) {
	r.note("%s: its disk is full for %v", m.Name, long)
	ballast := filepath.Join(m.Data, "ballast")
	f, err := os.OpenFile(ballast, os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = io.Copy(f, zeros{})
		f.Close()
	}
	if !errors.Is(err, syscall.ENOSPC) {
		r.bad("filling the disk of %s: %w", m.Name, err)
	}
	r.pause(ctx, long)
	if m.PID() == 0 {
		r.bad("%s has ended with a full disk", m.Name)
	} else if err := answersDNS(m); err != nil {
		r.bad("%s does not answer with a full disk: %w", m.Name, err)
	} else {
		r.mu.Lock()
		r.full++
		r.mu.Unlock()
	}
	if err := os.Remove(ballast); err != nil {
		r.bad("making room for %s: %w", m.Name, err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// spoil changes octets in the copy of a node that is down.
func (r *run) spoil(ctx context.Context, m *member, long time.Duration, chance uint64) {
	m.Kill()
	path := filepath.Join(m.Data, "store", "replica.db")
	b, err := os.ReadFile(path)
	if err != nil {
		r.bad("reading the copy of %s: %w", m.Name, err)
	}
	n := 1 + int(chance%20)
	at := chance
	for range n {
		at = at*6364136223846793005 + 1442695040888963407
		if len(b) > 0 {
			b[at>>16%uint64(len(b))] ^= byte(1 + at>>8%255)
		}
	}
	r.note("%s is killed, and %d octets of its copy change", m.Name, n)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		r.bad("spoiling the copy of %s: %w", m.Name, err)
	}
	m.seen.forget()
	r.pause(ctx, long/4)
	r.restart(m)
}

// jump sets a node's clock, forward or back; that of a run's end is right again.
func (r *run) jump(ctx context.Context, m *member, long time.Duration, chance uint64) {
	by := time.Duration(int64(chance%uint64(96*time.Hour))) - 48*time.Hour
	if chance>>40%2 == 0 {
		by /= 2000 // up to a minute and a half
	}
	r.note("%s: its clock is set by %v for %v", m.Name, by.Round(time.Second), long)
	for _, d := range []time.Duration{by, 0} {
		if err := os.WriteFile(m.offset+".new", []byte(fmt.Sprintf("%d\n", int(d.Seconds()))), 0o600); err != nil {
			r.bad("%w", err)
		}
		if err := os.Rename(m.offset+".new", m.offset); err != nil {
			r.bad("%w", err)
		}
		r.pause(ctx, long)
	}
}
