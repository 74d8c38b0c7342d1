//go:build linux

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/feed"
	"github.com/ananas-edge/ananas/store/replica"
	ours "github.com/ananas-edge/ananas/test/bench"
)

// changes is what a follower that comes back has missed.
const changes = 10_000

// task is what a follower that is a process of its own is told, as a line of JSON; it ends when it has come to the version.
type task struct {
	Dir, Address string
	Certificate  []byte
	Version      store.Version
}

// outcome is what it answers.
type outcome struct {
	Opened    time.Duration // to open the copy
	Took      time.Duration // from the first dial until the copy had the version on its disk and in memory
	CPU       time.Duration
	Entries   int
	Snapshots uint64
	Octets    int64 // of memory
}

// cold measures how a node that has nothing gets a million keys, and how one that was away gets what it has missed: over loopback and TLS, in a process of its own, onto the disk.
func cold(ctx context.Context, b *bench) error {
	f, err := b.fill()
	if err != nil {
		return err
	}
	certificate, err := newCertificate()
	if err != nil {
		return err
	}
	config, err := configOf(certificate)
	if err != nil {
		return err
	}
	source := feed.NewSource(feed.SourceConfig{Name: "root", Copy: f.Replica, Gate: open{}, Statement: func() []byte { return nil }})
	defer source.Close()
	address, err := listen(source, config)
	if err != nil {
		return err
	}
	stop := beats(ctx, source, f.Replica)
	defer stop()
	dir := ""
	follow := func(what string, snapshots uint64) (outcome, error) {
		o, err := runFollower(ctx, task{dir, address, certificate, f.Head().Version})
		if err == nil && (o.Entries != len(f.keys) || o.Snapshots != snapshots) {
			err = fmt.Errorf("it has %d entries by %d snapshots, not %d by %d", o.Entries, o.Snapshots, len(f.keys), snapshots)
		}
		if err != nil {
			return o, fmt.Errorf("%s: %w", what, err)
		}
		say("%s: %v, processor time %v, %d MiB of memory; to open its copy before %v", what, round(o.Took), round(o.CPU), o.Octets>>20, round(o.Opened))
		return o, nil
	}
	var taken times
	for i := range b.rounds {
		if dir, err = b.folder(fmt.Sprintf("cold-%d", i)); err != nil {
			return err
		}
		o, err := follow("a follower with nothing", 1)
		if err != nil {
			return err
		}
		taken.add(o.Took)
	}
	b.need(fmt.Sprintf("a follower with nothing takes %d keys", len(f.keys)), "20 s", fmt.Sprintf("%v (worst of %d)", round(taken.at(1)), b.rounds), taken.at(1) < 20*time.Second)
	for _, keys := range []int{1, 100} {
		if err := f.change(ctx, changes/keys, keys); err != nil {
			return err
		}
		o, err := follow(fmt.Sprintf("a follower back after %d changes, %d a commit", changes, keys), 0)
		if err != nil {
			return err
		}
		b.need(fmt.Sprintf("one back after %d changes, %d a commit, catches up", changes, keys), "1 s", fmt.Sprintf("%v (before it %v to open its copy)", round(o.Took), round(o.Opened)), o.Took < time.Second)
	}
	return nil
}

// beats has a source tell each second that its root lives, until it is stopped.
func beats(ctx context.Context, s *feed.Source, c *replica.Replica) (stop func()) {
	ctx, stop = context.WithCancel(ctx)
	go func() {
		for {
			head := c.Head()
			s.Beat(feed.Beat{Time: time.Now(), Lineage: head.Lineage, Version: head.Version})
			if pause(ctx, time.Second) != nil {
				return
			}
		}
	}()
	return stop
}

// runFollower has a process follow until it has come to a version.
func runFollower(ctx context.Context, t task) (o outcome, err error) {
	cmd := again("follower")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return o, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return o, err
	}
	if err := cmd.Start(); err != nil {
		return o, err
	}
	stop := context.AfterFunc(ctx, func() { in.Close() })
	defer stop()
	err = json.NewEncoder(in).Encode(t)
	if err == nil {
		err = json.NewDecoder(out).Decode(&o)
	}
	in.Close()
	if ended := cmd.Wait(); ended != nil {
		err = errors.Join(ended, ctx.Err())
	}
	return o, err
}

// followRemote is what that process does. It ends with its input.
func followRemote(in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	line, err := lines.ReadBytes('\n')
	if err != nil {
		return err
	}
	var t task
	if err := json.Unmarshal(line, &t); err != nil {
		return err
	}
	config, err := configOf(t.Certificate)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = lines.ReadByte()
		cancel()
	}()
	var o outcome
	began := time.Now()
	r, err := replica.Open(t.Dir, replica.Options{})
	if err != nil {
		return err
	}
	defer r.Close()
	o.Opened = time.Since(began)
	f := feed.NewFollower(feed.FollowerConfig{
		Name: "follower", Copy: r, Sources: []string{t.Address},
		Dial: func(ctx context.Context, address string) (net.Conn, error) {
			d := tls.Dialer{Config: config}
			return d.DialContext(ctx, "tcp", address)
		},
		Lineage: func(store.Lineage, []byte) error { return nil }, Access: everything{}.Fingerprint, Accessed: func([32]byte) error { return nil },
		Boot: func() time.Duration { return time.Since(began) }, Random: func() uint64 { return 0 },
	})
	before := ours.OwnTime()
	at := time.Now()
	ended := make(chan struct{})
	go func() { f.Run(ctx); close(ended) }()
	if err := r.WaitFor(ctx, t.Version); err != nil {
		return errors.Join(err, f.State().Err)
	}
	o.Took, o.CPU = time.Since(at), ours.OwnTime()-before
	o.Entries, o.Octets = r.View().Len(), resident(os.Getpid())
	for o.Snapshots == 0 && o.Opened > 0 && f.State().Snapshots == 0 && r.Floor() == t.Version { // it is counted a moment later
		if err := pause(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	o.Snapshots = f.State().Snapshots
	cancel()
	<-ended
	return json.NewEncoder(out).Encode(o)
}
