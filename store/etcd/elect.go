package etcd

import (
	"context"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/ananas-edge/ananas/store"
)

// leaseTime is how long, in seconds, a leader that fell silent is waited for.
const leaseTime = 10

// withdrawTime is how long who does not stand for election any more tries to say so. Without a majority nothing takes it, and the lease ends by itself.
const withdrawTime = 500 * time.Millisecond

// term is a leadership: a key that etcd removes with its lease. A commit names it by the revision at which it was made, so that one that was lost and won again is another.
type term struct {
	key      string
	revision int64
	election *concurrency.Election
	session  *concurrency.Session
}

var _ store.Term = (*term)(nil)

// Elect is that of a store.Root.
func (r *Root) Elect(ctx context.Context, name string) (store.Term, error) {
	c, err := r.wait(ctx)
	if err != nil {
		return nil, err
	}
	session, err := c.session(ctx)
	if err != nil {
		return nil, err
	}
	e := concurrency.NewElection(session, electPrefix)
	campaign, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(session.Ctx(), stop)() // it would wait for ever with a lease that has ended
	if err := stand(campaign, e, name); err != nil {
		session.Orphan()
		last, done := context.WithTimeout(c.client.Ctx(), withdrawTime)
		defer done()
		_, _ = c.client.Revoke(last, session.Lease()) // its lease ends by itself
		return nil, fmt.Errorf("waiting to lead: %w", err)
	}
	return &term{key: e.Key(), revision: e.Rev(), election: e, session: session}, nil
}

// stand stands for election until it is won, or ctx is done. Then etcd's client takes its candidacy back, as long as that lasts: it is waited for no longer than withdrawTime, and goes on until it is done or the client is closed.
func stand(ctx context.Context, e *concurrency.Election, name string) error {
	ended := make(chan error, 1)
	go func() { ended <- e.Campaign(ctx, name) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(withdrawTime):
		return ctx.Err()
	}
}

// Elected returns the name of the member whose term it is; "" if it is nobody's.
func (r *Root) Elected(ctx context.Context) (string, error) {
	c, err := r.running()
	if err != nil {
		return "", err
	}
	resp, err := c.client.Get(ctx, electPrefix, clientv3.WithFirstCreate()...)
	if err != nil {
		return "", fmt.Errorf("asking who drives rollouts: %w", err)
	}
	if len(resp.Kvs) == 0 {
		return "", nil
	}
	return string(resp.Kvs[0].Value), nil
}

// session begins a lease that is renewed for as long as the child lives.
func (c *child) session(ctx context.Context) (*concurrency.Session, error) {
	lease, err := c.client.Grant(ctx, leaseTime)
	if err != nil {
		return nil, fmt.Errorf("asking for a lease: %w", err)
	}
	session, err := concurrency.NewSession(c.client, concurrency.WithLease(lease.ID), concurrency.WithTTL(leaseTime))
	if err != nil {
		return nil, fmt.Errorf("keeping a lease: %w", err)
	}
	return session, nil
}

// Done is that of a store.Term. It also ends with the child process.
func (t *term) Done() <-chan struct{} { return t.session.Done() }

// Resign is that of a store.Term.
func (t *term) Resign(ctx context.Context) error {
	err := t.election.Resign(ctx)
	t.session.Orphan()
	if err != nil {
		return fmt.Errorf("giving up to lead: %w", err)
	}
	_, err = t.session.Client().Revoke(ctx, t.session.Lease())
	if err != nil {
		return fmt.Errorf("giving up to lead: %w", err)
	}
	return nil
}
