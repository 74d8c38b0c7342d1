package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/admin/client"
)

// outcome is what a writer was told.
type outcome uint8

const (
	done outcome = iota
	notDone
	unknown
)

// write is one change of the committer.
type write struct {
	number  int
	outcome outcome
	version uint64 // of done
	commit  string // its id, of done and, where it was told, of unknown
	err     error
}

// reason names a write in the history.
func (w *write) reason() string { return fmt.Sprintf("write %d", w.number) }

// pair are the two keys that a write changes together: who has one of them has the other with the same number.
func pair(number int) string {
	return fmt.Sprintf("settings:\n  sampling: { one_in: %d }\n  cache: { max_ttl: %ds }\n", number, number+1000)
}

// commitPair makes one write.
func commitPair(ctx context.Context, api *client.Client, number int) write {
	w := write{number: number}
	a, err := api.Apply(ctx, admin.Apply{Files: []admin.SettingsFile{{Name: "pair", Text: pair(number)}}, Reason: w.reason(), Author: "chaos", Now: true})
	w.version, w.commit, w.err = a.Version, a.Commit, err
	w.outcome, w.commit = told(err, w.commit)
	return w
}

// told says what an answer means. An answer that the node gave says what became of it; where none came it is not known, unless nobody was there to be asked.
func told(err error, commit string) (outcome, string) {
	if err == nil {
		return done, commit
	}
	var p *admin.Problem
	if errors.As(err, &p) {
		switch strings.TrimPrefix(p.Type, admin.ProblemPrefix) {
		case "unknown", "timeout", "crash":
			return unknown, p.Commit
		}
		return notDone, ""
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" || errors.Is(err, syscall.ECONNREFUSED) {
		return notDone, ""
	}
	return unknown, ""
}

// commit writes until ctx is done, one write after the other, and returns them all.
func (r *run) commit(ctx context.Context) {
	for ctx.Err() == nil {
		r.written++
		one, cancel := context.WithTimeout(context.Background(), 40*time.Second)
		select {
		case r.begun <- struct{}{}:
		default:
		}
		w := commitPair(one, r.root.api, r.written)
		cancel()
		r.writes = append(r.writes, w)
		if w.outcome != done {
			r.pause(ctx, 50*time.Millisecond)
		}
		r.pause(ctx, r.between)
	}
}

// pause waits, but not for longer than ctx.
func (r *run) pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
