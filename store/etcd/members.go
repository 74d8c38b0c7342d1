package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Member is a member of the root.
type Member struct {
	ID      uint64 `json:"id"`
	Name    string `json:"name"` // "" of one that was added and was not started yet
	URL     string `json:"url"`  // by which the others reach it
	Learner bool   `json:"learner"`
	Leads   bool   `json:"-"` // told by Roster alone: the others follow it
}

// cluster writes members as etcd takes them.
func cluster(members []Member) string {
	parts := make([]string, len(members))
	for i, m := range members {
		parts[i] = m.Name + "=" + m.URL
	}
	return strings.Join(parts, ",")
}

// Members lists the members of the root, as a quorum has them.
func (r *Root) Members(ctx context.Context) ([]Member, error) {
	c, err := r.running()
	if err != nil {
		return nil, err
	}
	return c.members(ctx)
}

func (c *child) members(ctx context.Context, how ...clientv3.OpOption) ([]Member, error) {
	resp, err := c.client.MemberList(ctx, how...)
	if err != nil {
		return nil, fmt.Errorf("listing the members of the root: %w", err)
	}
	out := make([]Member, 0, len(resp.Members))
	for _, m := range resp.Members {
		out = append(out, Member{ID: m.ID, Name: m.Name, URL: strings.Join(m.PeerURLs, " "), Learner: m.IsLearner})
	}
	slices.SortFunc(out, func(a, b Member) int { return strings.Compare(a.URL, b.URL) })
	return out, nil
}

// Roster lists the members of the root as this one has them, and which of them leads as far as it knows: it answers without a quorum, and then none does.
func (r *Root) Roster(ctx context.Context) ([]Member, error) {
	c, err := r.running()
	if err != nil {
		return nil, err
	}
	members, err := c.members(ctx, clientv3.WithSerializable())
	if err != nil {
		return nil, err
	}
	status, err := c.client.Status(ctx, socketName)
	if err != nil {
		return nil, fmt.Errorf("asking which member of the root leads: %w", err)
	}
	for i := range members {
		members[i].Leads = status.Leader != 0 && members[i].ID == status.Leader
	}
	return members, nil
}

// hinted is an error with a mend.
type hinted struct {
	error
	hint string
}

func (e hinted) Unwrap() error { return e.error }

// Hint says what to do.
func (e hinted) Hint() string { return e.hint }

// AddLearner adds a member that copies and has no vote yet, and returns what its Config.Members has to be. It is promoted by itself once it has everything. There is one learner at a time.
func (r *Root) AddLearner(ctx context.Context, name, url string) ([]Member, error) {
	c, err := r.running()
	if err != nil {
		return nil, err
	}
	members, err := c.members(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		switch {
		case m.Name == name:
			return nil, fmt.Errorf("adding %q to the root: it is a member already", name)
		case m.URL == url && m.Name == "":
			return named(members, m.ID, name), nil // it was added before, and was not started yet
		case strings.HasPrefix(m.URL, nowhere):
			return nil, hinted{fmt.Errorf("adding %q to the root: member %q has no address for other members", name, m.Name),
				"give it one for its peers in its own file, and start it again"}
		}
	}
	resp, err := c.client.MemberAddAsLearner(ctx, []string{url})
	switch {
	case errors.Is(err, rpctypes.ErrTooManyLearners):
		return nil, hinted{fmt.Errorf("adding %q to the root: another member was added and has no vote yet", name),
			"wait until it has one: it is given it once it has everything; or remove it"}
	case errors.Is(err, rpctypes.ErrUnhealthy):
		return nil, hinted{fmt.Errorf("adding %q to the root: not all its members are well: %w", name, err), "mend or remove those first"}
	case err != nil:
		return nil, fmt.Errorf("adding %q to the root: %w", name, err)
	}
	if members, err = c.members(ctx); err != nil {
		return nil, err
	}
	return named(members, resp.Member.ID, name), nil
}

// named gives a member that was not started yet the name that it will have.
func named(members []Member, id uint64, name string) []Member {
	for i := range members {
		if members[i].ID == id {
			members[i].Name = name
		}
	}
	return members
}

// Remove takes a member out of the root, by its name, or its URL if it was never started.
func (r *Root) Remove(ctx context.Context, name string) error {
	c, err := r.running()
	if err != nil {
		return err
	}
	members, err := c.members(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(members, func(m Member) bool { return m.Name == name || m.Name == "" && m.URL == name })
	switch {
	case i < 0:
		return fmt.Errorf("removing %q from the root: there is no such member", name)
	case len(members) == 1:
		return fmt.Errorf("removing %q from the root: it is the only member", name)
	}
	if _, err := c.client.MemberRemove(ctx, members[i].ID); err != nil {
		if errors.Is(err, rpctypes.ErrUnhealthy) || errors.Is(err, rpctypes.ErrMemberNotEnoughStarted) {
			return hinted{fmt.Errorf("removing %q from the root: those that stay would be no quorum: %w", name, err), "start the others first"}
		}
		return fmt.Errorf("removing %q from the root: %w", name, err)
	}
	return nil
}

// promote gives a learner that has everything a vote. etcd knows whether it has; the leader alone can tell.
func (r *Root) promote(ctx context.Context, c *child) {
	members, err := c.members(ctx)
	if err != nil {
		return // asked again in a moment
	}
	for _, m := range members {
		if !m.Learner {
			continue
		}
		switch _, err := c.client.MemberPromote(ctx, m.ID); {
		case err == nil:
			r.log.Info("a new member of the root has everything, and has a vote now", "member", m.Name)
		case !errors.Is(err, rpctypes.ErrMemberLearnerNotReady):
			r.log.Warn("a new member of the root could not be given a vote", "member", m.Name, "error", err)
		}
		return
	}
}

// settle is done when a child begins to answer: the others are told where this member is now, if that has changed.
func (r *Root) settle(c *child) {
	defer r.look()
	members, err := c.members(r.ctx)
	if err != nil {
		return // keep asks again
	}
	i := slices.IndexFunc(members, func(m Member) bool { return m.ID == c.member })
	if i < 0 || members[i].URL == r.start.url() || r.start.Peer == nil {
		return
	}
	if _, err := c.client.MemberUpdate(r.ctx, c.member, []string{r.start.url()}); err != nil {
		r.log.Warn("the other members of the root could not be told the new address of this one", "error", err)
	}
}
