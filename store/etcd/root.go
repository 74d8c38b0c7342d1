package etcd

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/ananas-edge/ananas/store"
)

// Root is a member of a root: a child process with etcd, and the client of it. Any number of goroutines may use it.
type Root struct {
	config Config
	start  start
	socket string // the path of etcd's
	forget func() // removes what was made for that path
	log    *slog.Logger

	ctx    context.Context // until Close
	cancel context.CancelFunc
	done   chan struct{} // closed when no child runs any more
	kept   chan struct{} // closed when keep has ended
	kick   chan struct{} // has keep look at once

	mu      sync.Mutex
	state   State
	current *child        // nil while none answers
	changed chan struct{} // closed when the phase changes, or whether writes are taken
}

var _ store.Root = (*Root)(nil)

// Open starts a member of a root, and returns without waiting for it: Ready does. An error says that the configuration can't work.
func Open(c Config) (*Root, error) {
	s, err := c.start()
	if err != nil {
		return nil, err
	}
	path, forget, err := socket(s.Folder)
	if err != nil {
		return nil, err
	}
	r := &Root{config: c, start: s, socket: path, forget: forget, log: c.Log, done: make(chan struct{}), kept: make(chan struct{}),
		kick: make(chan struct{}, 1), changed: make(chan struct{}), state: State{Phase: Starting, Since: time.Now()}}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	go r.supervise()
	go r.keep()
	return r, nil
}

// Close ends the child process, in good order if it does within a few seconds. What is under way fails, commits with ErrUnknown.
func (r *Root) Close() {
	r.cancel()
	<-r.done
	<-r.kept
	r.forget()
}

// Head is that of a store.Root: a read that a quorum confirms. A store that was not made yet is ErrEmpty.
func (r *Root) Head(ctx context.Context) (store.Head, error) {
	c, err := r.running()
	if err != nil {
		return store.Head{}, err
	}
	resp, err := c.client.Get(ctx, headKey)
	if err != nil {
		return store.Head{}, fmt.Errorf("reading the head in etcd: %w", err)
	}
	c.heard(resp.Header)
	return headIn(resp.Kvs)
}

// headIn reads the head that a question for its key was answered with.
func headIn(kvs []*mvccpb.KeyValue) (store.Head, error) {
	if len(kvs) == 0 {
		return store.Head{}, ErrEmpty
	}
	return store.ParseHead(kvs[0].Value)
}

// Folder returns where etcd's data lies.
func (r *Root) Folder() string { return r.start.Folder }
