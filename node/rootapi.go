package node

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/settings"
	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/etcd"
	"github.com/ananas-edge/ananas/store/identity"
)

// upWithin is how long ago a node that is up was last heard of: three of its reports, and those of two relays before it.
const upWithin = 5 * time.Second

// fleet returns all nodes that the store knows, with what they last told.
func (s *shared) fleet() []admin.Node {
	view := s.copy.View()
	told := make(map[string]int)
	rows := s.registry.Nodes()
	for i, r := range rows {
		told[r.Name] = i
	}
	now := s.n.clock.Wall()
	out := []admin.Node{}
	for key := range view.Under(store.NodePrefix) {
		name := strings.TrimPrefix(key, store.NodePrefix)
		doc, err := identity.NodeAt(view, name)
		if err != nil || doc == nil {
			continue // of a later release
		}
		n := admin.Node{Name: name, Labels: doc.Labels, Role: string(doc.Role), Joined: doc.Joined, Sets: []string{}, AgeMS: -1}
		if doc.Revoked != nil {
			n.Revoked = doc.Revoked.Time
		}
		if n.Labels == nil {
			n.Labels = map[string]string{}
		}
		if i, ok := told[name]; ok {
			r := rows[i]
			n.Seen, n.Up = now.Add(-r.Silent), r.Silent <= upWithin && doc.Revoked == nil
			n.Version, n.Via, n.Error, n.Release = r.Version, r.Via, r.Error, r.Release
			age := r.AgeNow()
			if name == s.name {
				age = s.age() // which is known, and not told a moment ago
			}
			if age >= 0 {
				n.AgeMS = age.Milliseconds()
			}
			for _, id := range r.Sets {
				n.Sets = append(n.Sets, string(id))
			}
		}
		out = append(out, n)
	}
	return out
}

// Root is that of admin.SettingsStore.
func (a settingsAPI) Root(ctx context.Context) (admin.Root, error) {
	if a.shared == nil {
		return admin.Root{}, a.errOwner()
	}
	s := a.shared
	head := s.copy.View().Head()
	out := admin.Root{Lineage: head.Lineage.String(), Version: uint64(head.Version), Members: []admin.RootMember{}, Nodes: s.fleet(), Tokens: []admin.TokenInfo{}}
	if s.etcd == nil {
		return out, nil
	}
	members, err := s.etcd.Roster(ctx)
	if err != nil {
		return out, refusal(err)
	}
	out.Members = rootMembers(ctx, members, s.name, out.Nodes)
	for _, t := range identity.Tokens(s.copy.View(), s.n.clock.Wall()) {
		out.Tokens = append(out.Tokens, shownToken(t))
	}
	return out, nil
}

// reachTime is how long a member of the root has to take a connection at its peer address: three times what a link around the world needs for it.
const reachTime = time.Second

// rootMembers tells how the members of the root are, as this one, self, sees them. One that takes no connection, or whose node has fallen silent, can't be reached: its process may stand
// still while the system goes on taking connections for it.
func rootMembers(ctx context.Context, members []etcd.Member, self string, nodes []admin.Node) []admin.RootMember {
	out := make([]admin.RootMember, len(members))
	ctx, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	var dials sync.WaitGroup
	for i, m := range members {
		out[i] = admin.RootMember{Name: m.Name, State: "follower", Self: m.Name == self}
		address, peered := strings.CutPrefix(m.URL, "https://")
		if peered {
			out[i].Address = address
		}
		switch {
		case m.Learner:
			out[i].State = "learner"
		case m.Leads:
			out[i].State = "leader"
		}
		if out[i].Self {
			continue
		}
		if slices.ContainsFunc(nodes, func(n admin.Node) bool { return n.Name == m.Name && !n.Seen.IsZero() && !n.Up }) {
			out[i].State = "unreachable"
			continue
		}
		dials.Go(func() {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
			if err != nil {
				out[i].State = "unreachable"
				return
			}
			conn.Close()
		})
	}
	dials.Wait()
	return out
}

// NewToken is that of admin.SettingsStore.
func (a settingsAPI) NewToken(ctx context.Context, r admin.NewToken) (admin.JoinToken, error) {
	s, err := a.root()
	if err != nil {
		return admin.JoinToken{}, err
	}
	authority, err := s.who.Authority()
	if err != nil {
		return admin.JoinToken{}, err
	}
	if r.Root && !s.n.began.Node.Store.Peer.IsValid() {
		return admin.JoinToken{}, hinted{fmt.Errorf("this member of the root has no address for other members"), "set node.store.peer in its file, and restart it"}
	}
	want := identity.TokenRequest{Authority: authority.Fingerprint(), Name: r.Name, Labels: r.Labels, Life: time.Duration(r.TTLMS) * time.Millisecond, By: r.Author}
	if r.Root {
		want.Role = identity.Root
	}
	if want.Life == 0 {
		want.Life = identity.DefaultTokenLife
	}
	var token identity.Token
	now := s.n.clock.Wall()
	_, err = s.writer.Commit(ctx, store.Proposal{Kind: store.KindNode, Author: r.Author, Reason: "a join token", Make: func(v store.View, p *store.Proposal) error {
		var err error
		token, p.Edits, err = identity.NewToken(v, want, now, rand.Reader)
		return err
	}})
	if err != nil {
		return admin.JoinToken{}, refusal(err)
	}
	return admin.JoinToken{Token: token.Text(), ID: token.ID.String(), Until: now.Add(want.Life), Addresses: []string{s.n.began.Node.Store.Root.String()}}, nil
}

func shownToken(t identity.TokenInfo) admin.TokenInfo {
	return admin.TokenInfo{ID: t.ID, Name: t.Name, Labels: t.Labels, Root: t.Role == identity.Root, Made: t.Made, By: t.By, Until: t.NotAfter}
}

// WithdrawToken is that of admin.SettingsStore.
func (a settingsAPI) WithdrawToken(ctx context.Context, r admin.WithdrawToken) (admin.TokenInfo, error) {
	s, err := a.root()
	if err != nil {
		return admin.TokenInfo{}, err
	}
	var was admin.TokenInfo
	now := s.n.clock.Wall()
	_, err = s.writer.Commit(ctx, store.Proposal{Kind: store.KindNode, Author: r.Author, Reason: cmp.Or(r.Reason, "a join token is withdrawn"), Make: func(v store.View, p *store.Proposal) error {
		var err error
		if p.Edits, err = identity.Withdraw(v, r.ID, now); err != nil {
			return err
		}
		for _, t := range identity.Tokens(v, now) {
			if t.ID == r.ID {
				was = shownToken(t)
			}
		}
		return nil
	}})
	var unknown *identity.UnknownTokenError
	switch {
	case errors.As(err, &unknown):
		return admin.TokenInfo{}, &admin.Refusal{Why: admin.Absent, Err: err}
	case err != nil:
		return admin.TokenInfo{}, refusal(err)
	}
	return was, nil
}

// RemoveNode is that of admin.SettingsStore.
func (a settingsAPI) RemoveNode(ctx context.Context, r admin.RemoveNode) (admin.Node, error) {
	s, err := a.root()
	if err != nil {
		return admin.Node{}, err
	}
	doc, err := identity.NodeAt(s.copy.View(), r.Name)
	if err != nil {
		return admin.Node{}, err
	}
	if doc == nil {
		return admin.Node{}, &admin.Refusal{Why: admin.Absent, Err: hinted{fmt.Errorf("the store has no node %q", r.Name), "ananas root ls shows them"}}
	}
	_, err = s.writer.Commit(ctx, store.Proposal{Kind: store.KindNode, Author: r.Author, Reason: r.Reason, Make: func(v store.View, p *store.Proposal) error {
		var err error
		p.Edits, err = identity.Revoke(v, r.Name, r.Author, r.Reason, s.n.clock.Wall())
		return err
	}})
	if err != nil {
		return admin.Node{}, refusal(err)
	}
	if doc.Role == identity.Root {
		if err := s.etcd.Remove(ctx, r.Name); err != nil {
			return admin.Node{}, fmt.Errorf("%q was revoked, and is a member of etcd still: %w", r.Name, err)
		}
	}
	s.registry.Forget(r.Name)
	for _, n := range s.fleet() {
		if n.Name == r.Name {
			return n, nil
		}
	}
	return admin.Node{Name: r.Name, Role: string(doc.Role), Labels: doc.Labels, Sets: []string{}}, nil
}

// Access is that of admin.SettingsStore.
func (a settingsAPI) Access(context.Context) (admin.Access, error) {
	if a.shared == nil {
		return admin.Access{}, a.errOwner()
	}
	rules, err := identity.AccessIn(a.shared.copy.View())
	if err != nil {
		return admin.Access{}, err
	}
	return shownAccess(rules.Rules()), nil
}

// shownAccess is rules for people.
func shownAccess(rules []identity.AccessRule) admin.Access {
	out := admin.Access{Confirm: accessName(rules)}
	for _, r := range rules {
		out.Rules = append(out.Rules, admin.AccessRule{Labels: r.Labels, Read: r.Read})
	}
	return out
}

// accessName names rules: who has seen these has seen no others.
func accessName(rules []identity.AccessRule) string {
	doc, err := identity.EncodeAccess(rules)
	if err != nil {
		return "" // they come from the store, and were checked before they came there
	}
	return fingerprintOf(map[string][]byte{store.AccessKey: doc})
}

// accessWarnings says which rules are about every node, and which about none that there is.
func accessWarnings(v store.View, rules []identity.AccessRule) []string {
	var out []string
	for i, r := range rules {
		nodes := 0
		for key := range v.Under(store.NodePrefix) {
			doc, err := identity.NodeAt(v, strings.TrimPrefix(key, store.NodePrefix))
			if err == nil && doc != nil && doc.Revoked == nil && doc.Role != identity.Root && doc.Labels.Has(r.Labels) {
				nodes++
			}
		}
		switch {
		case len(r.Labels) == 0:
			out = append(out, fmt.Sprintf("rules[%d] names no label, so that it is about every node that is no member of the root: %d", i, nodes))
		case nodes == 0:
			out = append(out, fmt.Sprintf("rules[%d] is about no node: none has its labels", i))
		}
	}
	return out
}

// SetAccess is that of admin.SettingsStore.
func (a settingsAPI) SetAccess(ctx context.Context, r admin.Access) (admin.Access, error) {
	s, err := a.root()
	if err != nil {
		return admin.Access{}, err
	}
	var rules []identity.AccessRule
	for _, one := range r.Rules {
		rules = append(rules, identity.AccessRule{Labels: one.Labels, Read: one.Read})
	}
	// The store's own rules come first: they say of a key of its own that it is no setting.
	doc, err := identity.EncodeAccess(rules)
	if err != nil {
		return admin.Access{}, err
	}
	for i, one := range rules {
		for _, key := range one.Read {
			if err := settings.CheckFolder(key); key != identity.Everything && err != nil {
				return admin.Access{}, fmt.Errorf("rules[%d]: %w", i, err)
			}
		}
	}
	out := shownAccess(rules)
	out.Warnings = accessWarnings(s.copy.View(), rules)
	if r.Dry {
		return out, nil
	}
	_, err = s.writer.Commit(ctx, store.Proposal{Kind: store.KindNode, Author: r.Author, Reason: cmp.Or(r.Reason, "who reads what"), Make: func(v store.View, p *store.Proposal) error {
		p.Edits = []store.Edit{{Key: store.AccessKey, Value: doc}}
		if r.Confirm == "" {
			return nil
		}
		now, err := identity.AccessIn(v)
		if err == nil && accessName(now.Rules()) != r.Confirm {
			err = &admin.Refusal{Why: admin.Conflict, Err: hinted{errors.New("the rules are others by now"), "look at the difference again, and repeat it"}}
		}
		return err
	}})
	if err != nil {
		return admin.Access{}, refusal(err)
	}
	return out, nil
}
