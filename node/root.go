package node

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/ananas-edge/ananas/internal/namedfile"
	"github.com/ananas-edge/ananas/rollout"
	"github.com/ananas-edge/ananas/settings"
	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/etcd"
	"github.com/ananas-edge/ananas/store/identity"
)

// headPatience is how long somebody who wants a change waits until he is told that the root decides nothing: a root of three has another leader within 5 s of losing one.
const headPatience = 10 * time.Second

// openRoot makes this node a member of the root: of a store that it founds, where it has joined none, or of the one that it has joined. etcd is started, and nothing
// waits for it.
func (s *shared) openRoot(own settings.Node, command func() *exec.Cmd) error {
	if command == nil {
		return fmt.Errorf("opening a store: there is no way to start etcd")
	}
	if len(own.Store.Join) == 0 {
		if err := s.who.Found(s.name, s.n.clock.Wall(), rand.Reader); err != nil {
			return err
		}
	}
	c := etcd.Config{
		Command: command, Folder: filepath.Join(s.folder, "etcd"), Name: s.name, Log: s.n.log,
		Random: func(b []byte) { rand.Read(b) },
	}
	if own.Store.Peer.IsValid() {
		file := func(name string) string { return filepath.Join(s.folder, name) }
		c.Peer = &etcd.Peer{
			Listen: own.Store.Peer.String(), URL: peerURL(own), Cert: file(identity.NodeFile), Key: file(identity.NodeFile), CA: file(identity.BundleFile),
			ServerName: identity.RootHost(s.who.Bundle().Store()),
		}
	}
	err := makeWay(s.folder)
	if err != nil {
		return err
	}
	if c.Members, c.Join, err = s.members(); err != nil {
		return err
	}
	if s.etcd, err = etcd.Open(c); err != nil {
		return fmt.Errorf("opening the root: %w", err)
	}
	s.writer = &store.Writer{
		Root: s.etcd, Copy: s.copy.Copy(), Check: s.check, Now: s.n.clock.Wall,
		Salt:     func() (x store.Salt) { rand.Read(x[:]); return },
		ID:       func() (x store.ID) { rand.Read(x[:]); return },
		Patience: headPatience,
		Retry: func(ctx context.Context, attempt int) error {
			if !sleep(ctx, min(time.Duration(attempt)*memberRetry, memberMaxRetry)) {
				return ctx.Err()
			}
			return nil
		},
	}
	s.driver = rollout.NewDriver(rollout.Config{Subject: rolloutSubject{s}, Health: rolloutHealth{s, new(goneNodes)}, Log: s.n.log, Metrics: s.n.metrics})
	return nil
}

// peerURL is the address by which other members reach this one.
func peerURL(own settings.Node) string { return "https://" + own.Store.Peer.String() }

// found makes a store that was not there, or restores one from a snapshot that was placed, or finds the one that another member has made in this moment.
func (s *shared) found(ctx context.Context) (store.Head, error) {
	if head, done, err := s.restore(ctx); done || err != nil {
		return head, err
	}
	head, err := s.etcd.Create(ctx)
	if err != nil {
		return head, err
	}
	s.n.log.Info("a new store begins", "lineage", head.Lineage.String())
	return head, nil
}

// introduce sees to it that the store knows this member of its root, and its labels.
func (s *shared) introduce(ctx context.Context) {
	for {
		err := s.introduced(ctx)
		if err == nil {
			close(s.known)
			return
		}
		if !sleep(ctx, memberMaxRetry) {
			return
		}
	}
}

func (s *shared) introduced(ctx context.Context) error {
	if err := s.etcd.Ready(ctx); err != nil {
		return err
	}
	labels, address := identity.Labels(s.n.began.Node.Store.Labels), s.n.began.Node.Store.Root.String()
	_, err := s.writer.Commit(ctx, store.Proposal{Kind: store.KindNode, Author: s.name, Reason: "a member of the root", Make: func(v store.View, p *store.Proposal) error {
		p.Edits = nil
		doc, err := identity.NodeAt(v, s.name)
		switch {
		case err != nil:
			return err
		case doc == nil:
			first, err := s.who.First(labels, address)
			if err != nil {
				return err
			}
			p.Edits = []store.Edit{first}
		case !maps.Equal(doc.Labels, labels) && len(labels) > 0 || doc.Address != address:
			p.Edits, err = identity.SetMember(v, s.name, labels, address)
			return err
		}
		return nil
	}})
	return err
}

// check compiles what a commit would lead to.
func (s *shared) check(next store.Map, p store.Proposal) error {
	return s.checkWith(next, p, nil, s.blob)
}

// checkWith is check with files that say where what is wrong stands, and blobs that may not be here yet.
func (s *shared) checkWith(next store.Map, p store.Proposal, files []*settings.Entries, blob func([32]byte) (*namedfile.File, error)) error {
	if err := identity.CheckEdits(p.Edits); err != nil {
		return err
	}
	return checkResult(next, p, func(entries map[string][]byte) error {
		_, _, err := s.compile(entries, blob)
		for _, f := range files {
			err = f.Locate(entries, err)
		}
		return err
	})
}

// compile makes tables of settings, as this node would.
func (s *shared) compile(entries map[string][]byte, blob func([32]byte) (*namedfile.File, error)) (*settings.File, *settings.Tables, error) {
	file, err := s.use.assemble(entries, blob)
	if err != nil {
		return nil, nil, err
	}
	tables, err := s.n.compile(file)
	if err == nil {
		tables.Nameserver.Plugins.Release() // it was compiled dry
	}
	return file, tables, err
}

// plan is how a change goes through the fleet that is opened on a version.
func (s *shared) plan(v store.View) rollout.Plan {
	if _, tables, err := s.compile(liveSettings(v), s.blob); err == nil {
		return tables.Rollout.Plan
	}
	return rollout.DefaultPlan()
}
