//go:build linux

package main

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/etcd"
	"github.com/ananas-edge/ananas/store/replica"
)

// root is a root of one member, as a node has it: etcd in a child process, a copy on disk that follows it, and a writer.
type root struct {
	etcd   *etcd.Root
	copy   *replica.Replica
	writer *store.Writer

	cancel context.CancelFunc
	ended  chan error // of what follows etcd
}

// again is this program as another of its roles.
func again(role string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	return cmd
}

func openRoot(ctx context.Context, dir string) (*root, error) {
	r := &root{ended: make(chan error, 1)}
	var err error
	if r.copy, err = replica.Open(dir, replica.Options{}); err != nil {
		return nil, err
	}
	r.etcd, err = etcd.Open(etcd.Config{Command: func() *exec.Cmd { return again("etcd") }, Folder: filepath.Join(dir, "etcd"), Name: "lis01", Random: func(b []byte) { crand.Read(b) }})
	if err != nil {
		return nil, errors.Join(err, r.copy.Close())
	}
	r.writer = &store.Writer{
		Root: r.etcd, Copy: r.copy.Copy(), Now: time.Now,
		Salt:  func() (s store.Salt) { crand.Read(s[:]); return },
		ID:    func() (i store.ID) { crand.Read(i[:]); return },
		Retry: func(ctx context.Context, attempt int) error { return pause(ctx, 100*time.Millisecond) },
	}
	following, cancel := context.WithCancel(ctx)
	r.cancel = cancel
	began, err := r.begin(ctx)
	if err != nil {
		r.ended <- nil
		r.close()
		return nil, err
	}
	go func() {
		err := r.etcd.Follow(following, began, func(rec *store.Record) error { return r.copy.Apply(following, []*store.Record{rec}) })
		if following.Err() != nil {
			err = nil
		}
		r.ended <- err
	}()
	return r, nil
}

// begin makes the store, and has the copy know its lineage.
func (r *root) begin(ctx context.Context) (store.Version, error) {
	if err := r.etcd.Ready(ctx); err != nil {
		return 0, err
	}
	head, err := r.etcd.Create(ctx)
	if err != nil {
		return 0, err
	}
	in, err := r.copy.BeginSnapshot(head)
	if err != nil {
		return 0, err
	}
	return head.Version, in.Commit()
}

func (r *root) close() error {
	r.cancel()
	err := <-r.ended
	r.etcd.Close()
	return errors.Join(err, r.copy.Close())
}

// commit makes a commit of some edits, and returns its record.
func (r *root) commit(ctx context.Context, edits []store.Edit) (*store.Record, error) {
	rec, err := r.writer.Commit(ctx, store.Proposal{Kind: store.KindNow, Author: "root@lis01", Reason: "a benchmark", Edits: edits})
	if err == nil && rec == nil {
		err = errors.New("a commit has changed nothing")
	}
	if err != nil {
		return nil, fmt.Errorf("committing: %w", err)
	}
	return rec, nil
}

// betweenCommits is how long to wait for the next one: a second on average, and not always at the same time within it, since beats and reports come each second.
func betweenCommits(chance *rand.Rand) time.Duration {
	return 600*time.Millisecond + time.Duration(chance.Int64N(int64(800*time.Millisecond)))
}

// pause waits, or returns why not.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
