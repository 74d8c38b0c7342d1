package node

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"time"

	"github.com/ananas-edge/ananas/internal/wholefile"
	"github.com/ananas-edge/ananas/rollout"
	"github.com/ananas-edge/ananas/rollout/vitals"
	"github.com/ananas-edge/ananas/settings"
	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/feed"
	"github.com/ananas-edge/ananas/store/identity"
)

// Files of a node's part in a store, beside those of its identity and its copy.
const (
	lineageFile = "lineage" // the signed statement that the copy's lineage has begun
	accessFile  = "access"  // fingerprint of what the copy was made to show
	tokenFile   = "token"   // id of the token that this node joined with
)

// joinTime is how long a node tries to join its store: all may be started by the same script, and another member of the root is admitted only when those that have a vote were connected for five seconds (etcd's check of
// reconfigurations), which on a busy machine takes some tries.
const joinTime = time.Minute

// openFollower makes this node one that follows others: it joins their store if it has not yet.
func (s *shared) openFollower(ctx context.Context, own settings.Node, text string) error {
	if own.Store.Root.IsValid() && !own.Store.Peer.IsValid() {
		return hinted{errors.New("this node is to be one of several members of the root, and has no address for the others"), "set node.store.peer"}
	}
	if !s.who.Joined() {
		if text == "" {
			return hinted{errors.New("this node has not joined the store of node.store.join yet, and has no token to join with"),
				"make one on a member of the root: ananas root token; then start this node with --token TOKEN, or ANANAS_JOIN_TOKEN in its environment"}
		}
		token, err := identity.ParseToken(text)
		if err != nil {
			return err
		}
		trying, cancel := context.WithTimeout(ctx, joinTime)
		defer cancel()
		for told := false; ; {
			err := s.join(trying, token)
			if err == nil {
				break
			}
			if !told {
				s.n.log.Warn("this node can't join its store yet; it tries for a while", "for", joinTime, "error", err)
				told = true
			}
			var no denial
			var refused *identity.Refusal
			again := (!errors.As(err, &no) || no.Again) && !errors.As(err, &refused) && sleep(trying, memberMaxRetry/4)
			switch {
			case ctx.Err() != nil:
				return fmt.Errorf("joining the store: %w: %w", ctx.Err(), err)
			case !again:
				return fmt.Errorf("joining the store: %w", err)
			}
		}
		s.n.log.Info("this node has joined the store", "name", s.name)
	} else if text != "" {
		s.joinAgain(ctx, text)
	}
	if joined := s.who.Name(); joined != s.name {
		return hinted{fmt.Errorf("this node's folder is that of %q in its store, and not of %q", joined, s.name), fmt.Sprintf("set node.name to %q, or give this node an empty data folder and a new token", joined)}
	}
	return nil
}

// joinAgain has a node that has joined before join with another token than that: it was revoked, or its labels are to be others. What does not work leaves it who it is.
func (s *shared) joinAgain(ctx context.Context, text string) {
	token, err := identity.ParseToken(text)
	if err != nil {
		s.n.log.Warn("this node has joined its store already, and the token can't be read", "error", err)
		return
	}
	used, err := readWhole(filepath.Join(s.folder, tokenFile), 64)
	if err != nil || used == nil || string(used) == token.ID.String() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, enrolTime)
	defer cancel()
	if err := s.join(ctx, token); err != nil {
		s.n.log.Warn("this node has joined its store already, and could not join again with another token; it goes on as it is", "error", err)
		return
	}
	s.n.log.Info("this node has joined the store again", "name", s.name)
}

// openFeed makes what carries the store to this node and from it, and starts nothing. The socket is opened here, so that an address that is taken is told at the start.
func (s *shared) openFeed(own settings.Node) error {
	var err error
	if s.statement, err = readWhole(filepath.Join(s.folder, lineageFile), identity.MaxStatement); err != nil {
		return err
	}
	var seed [8]byte
	rand.Read(seed[:])
	at := binary.LittleEndian.Uint64(seed[:])
	if s.etcd == nil {
		var sources []string
		for _, a := range own.Store.Join {
			sources = append(sources, a.String())
		}
		s.follower = feed.NewFollower(feed.FollowerConfig{
			Name: s.name, Copy: s.copy, Sources: sources, Dial: s.dial, Lineage: s.takeLineage, Access: s.access, Accessed: s.accessed,
			Reports: reports{s}, Blobs: feedBlobs{s.blobs}, Boot: s.n.clock.Boot, Log: s.n.log, Metrics: s.n.metrics,
			Random: func() uint64 { at = at*6364136223846793005 + 1442695040888963407; return at >> 1 },
			Beat: func(b feed.Beat) {
				if s.feed != nil {
					s.feed.Beat(b)
				}
			},
		})
	}
	address := own.Store.Root
	if s.etcd == nil {
		address = own.Store.Relay
	}
	if !address.IsValid() {
		return nil
	}
	if s.feedSocket, err = net.Listen("tcp", address.String()); err != nil {
		return hinted{fmt.Errorf("opening the address that others follow this node at: %w", err), "another process may have it: choose another in node.store"}
	}
	c := feed.SourceConfig{
		Name: s.name, Copy: s.copy, Gate: feedGate{s}, Reports: reports{s}, Blobs: feedBlobs{s.blobs}, MayPut: func(p feed.Peer) bool { return s.etcd != nil && p.ID.(identity.Peer).Role == identity.Root },
		Statement: s.statementNow, Log: s.n.log, Metrics: s.n.metrics,
	}
	if s.follower != nil {
		c.Path = s.follower.Path
	}
	s.feed = feed.NewSource(c)
	return nil
}

// startFeed begins to follow, and to serve who follows.
func (s *shared) startFeed() {
	if s.feed != nil {
		l := tls.NewListener(s.feedSocket, s.who.ServerConfig(s.n.clock.Wall))
		s.run(func(ctx context.Context) {
			if err := s.feed.Serve(l); err != nil {
				s.n.log.Error("nobody can follow this node any more", "error", err)
			}
		})
	}
	if s.follower != nil {
		s.run(s.follower.Run)
	}
}

// dial connects to a source, and shows who this node is.
func (s *shared) dial(ctx context.Context, address string) (net.Conn, error) {
	d := tls.Dialer{Config: s.who.ClientConfig(s.n.clock.Wall, func() store.Map {
		if view := s.copy.View(); view.Head().Version > 0 {
			return view
		}
		return nil
	})}
	return d.DialContext(ctx, "tcp", address)
}

// feedGate lets nodes of the store in, and deals with those that want a certificate.
type feedGate struct{ s *shared }

// Admit is that of feed.Gate.
func (g feedGate) Admit(ctx context.Context, conn net.Conn) (feed.Peer, error) {
	c, ok := conn.(*tls.Conn)
	if !ok {
		return feed.Peer{}, errors.New("the connection is not encrypted")
	}
	if err := c.HandshakeContext(ctx); err != nil {
		g.s.n.log.Debug("a handshake failed", "from", conn.RemoteAddr().String(), "error", err)
		return feed.Peer{}, feed.ErrTaken // there is nobody who could read a word
	}
	state := c.ConnectionState()
	if state.NegotiatedProtocol == identity.ProtocolEnrol {
		g.s.answerEnrol(conn)
		return feed.Peer{}, feed.ErrTaken
	}
	view := g.s.copy.View()
	p, err := g.s.who.Admit(view, state, g.s.n.clock.Wall())
	if err != nil {
		g.s.n.log.Warn("a node was not let in", "from", conn.RemoteAddr().String(), "error", err)
		return feed.Peer{}, err
	}
	return g.peer(view, p)
}

func (g feedGate) peer(view store.Map, p identity.Peer) (feed.Peer, error) {
	access, err := identity.AccessIn(view)
	if err != nil {
		return feed.Peer{}, err
	}
	// What this node may not read it can not hand on, and who gets less than it may read would take it for settings that are gone.
	if doc, err := identity.NodeAt(view, g.s.name); err != nil || doc != nil && !access.For(identity.Peer{Labels: doc.Labels, Role: doc.Role}).Whole() {
		return feed.Peer{}, hinted{fmt.Errorf("%q does not read all settings, and can be no source for others", g.s.name), "let it read all (ananas root access), or name another source in node.store.join"}
	}
	return feed.Peer{Name: p.Name, Access: access.For(p), ID: p}, nil
}

// Recheck is that of feed.Gate.
func (g feedGate) Recheck(p feed.Peer) (feed.Peer, error) {
	view := g.s.copy.View()
	now, err := identity.Recheck(view, p.ID.(identity.Peer), g.s.n.clock.Wall())
	if err != nil {
		return feed.Peer{}, err
	}
	return g.peer(view, now)
}

// reports are what nodes say of how they are.
type reports struct{ s *shared }

// Own is that of feed.Reports.
func (r reports) Own() []byte { return r.s.registry.Report(upstream) }

// upstream is whom a follower reports to, whoever that is.
const upstream = ""

// Merge is that of feed.Reports.
func (r reports) Merge(from string, body []byte) {
	report, err := vitals.Parse(body)
	if err != nil {
		r.s.n.log.Debug("a report can't be read", "from", from, "error", err)
		return
	}
	// Of nodes that the store does not know, and in another lineage, nothing counts.
	view := r.s.copy.View()
	report.Nodes = slices.DeleteFunc(report.Nodes, func(n vitals.Node) bool {
		_, known := view.Get(store.NodePrefix + n.Name)
		return !known
	})
	doc, err := identity.NodeAt(view, from)
	if err != nil || doc == nil {
		return
	}
	access, err := identity.AccessIn(view)
	if err != nil {
		r.s.n.log.Debug("a report is not counted", "from", from, "error", err)
		return
	}
	lineage := view.Head().Lineage.String()
	report.Sums = slices.DeleteFunc(report.Sums, func(s vitals.Sum) bool { return s.Lineage != lineage })
	if !access.For(identity.Peer{Labels: doc.Labels, Role: doc.Role}).Whole() {
		onlyOwn(report, from, doc.Labels[rollout.SiteLabel])
	}
	// What another member of the root tells is for this one alone: it tells all of them itself.
	r.s.registry.Take(report, r.s.name, doc.Role != identity.Root)
}

// onlyOwn leaves of a report what the node says of itself, at the site that the store knows. One that does not read all settings is no relay, and speaks for nobody else: who holds such a node can't have a change withdrawn, or passed, in
// the name of others. One that reads all may be a relay, and is believed.
func onlyOwn(r *vitals.Report, name, site string) {
	r.Nodes = slices.DeleteFunc(r.Nodes, func(n vitals.Node) bool { return n.Name != name })
	for i := range r.Nodes {
		r.Nodes[i].Site = site
	}
	r.Sums = slices.DeleteFunc(r.Sums, func(s vitals.Sum) bool { return s.Site != site || s.Nodes > 1 })
}

// takeLineage decides about another lineage than the copy's: it has to be signed by the store's authority, and be later than the one that is held.
func (s *shared) takeLineage(l store.Lineage, statement []byte) error {
	next, err := s.who.Bundle().VerifyLineage(statement)
	if err != nil {
		return err
	}
	if next.Lineage != l {
		return errors.New("its statement is about another lineage")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.statement) > 0 {
		if held, err := s.who.Bundle().VerifyLineage(s.statement); err == nil && held.Lineage != l && !next.Follows(held) {
			return fmt.Errorf("the lineage %v began before %v, which this node has", next.Lineage, held.Lineage)
		}
	}
	return s.keepStatement(statement)
}

// keepStatement writes a statement down; s.mu is held.
func (s *shared) keepStatement(statement []byte) error {
	if string(statement) == string(s.statement) {
		return nil
	}
	if err := wholefile.Write(wholefile.OS{}, filepath.Join(s.folder, lineageFile), statement); err != nil {
		return fmt.Errorf("writing down the lineage of the store: %w", err)
	}
	s.statement = statement
	return nil
}

// statementNow is what this node shows of its lineage.
func (s *shared) statementNow() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.statement
}

// signLineage sees to it that there is a statement about the lineage of the root that this node is a member of.
func (s *shared) signLineage(l store.Lineage) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var held identity.Statement
	if len(s.statement) > 0 {
		var err error
		if held, err = s.who.Bundle().VerifyLineage(s.statement); err == nil && held.Lineage == l {
			return nil
		}
	}
	authority, err := s.who.Authority()
	if err != nil {
		return err
	}
	_, signed, err := authority.SignLineage(held, l, s.n.clock.Wall())
	if err != nil {
		return err
	}
	return s.keepStatement(signed)
}

// access is the fingerprint of what the copy was made to show; accessed keeps another.
func (s *shared) access() (sum [32]byte) {
	b, err := readWhole(filepath.Join(s.folder, accessFile), len(sum))
	if err == nil && len(b) == len(sum) {
		copy(sum[:], b)
	}
	return sum
}

func (s *shared) accessed(sum [32]byte) error {
	if sum == s.access() {
		return nil
	}
	return wholefile.Write(wholefile.OS{}, filepath.Join(s.folder, accessFile), sum[:])
}

// readWhole reads a file; none is nil.
func readWhole(path string, most int) ([]byte, error) {
	wholefile.Sweep(wholefile.OS{}, path)
	if !(wholefile.OS{}).Exists(path) {
		return nil, nil
	}
	return wholefile.Read(wholefile.OS{}, path, most)
}
