package node

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/ananas-edge/ananas/internal/wholefile"
	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/etcd"
	"github.com/ananas-edge/ananas/store/feed"
	"github.com/ananas-edge/ananas/store/identity"
)

// membersFile has the members that etcd is started with for the first time, on a node that joined as a member of the root. etcd knows them from then on.
const membersFile = "members"

// maxMembers is the length of that file in octets: some ten members, whose URLs and names have 200 octets at most.
const maxMembers = 8 << 10

func (s *shared) keepMembers(members []etcd.Member) error {
	b, err := json.Marshal(members)
	if err == nil {
		err = wholefile.Write(wholefile.OS{}, filepath.Join(s.folder, membersFile), b)
	}
	if err != nil {
		return fmt.Errorf("writing down the members of the root: %w", err)
	}
	return nil
}

// members returns the members that etcd is started with for the first time; none of the first member of a root.
func (s *shared) members() ([]etcd.Member, bool, error) {
	b, err := readWhole(filepath.Join(s.folder, membersFile), maxMembers)
	if err != nil || b == nil {
		return nil, false, err
	}
	var members []etcd.Member
	if err := json.Unmarshal(b, &members); err != nil {
		return nil, false, hinted{fmt.Errorf("reading %q: %w", filepath.Join(s.folder, membersFile), err), "remove this node from the root and have it join again with an empty folder"}
	}
	return members, true, nil
}

// reportToMembers tells the other members of the root how the nodes are that this one hears of, until ctx is done: any of them may be the one that drives.
func (s *shared) reportToMembers(ctx context.Context) {
	running := make(map[string]context.CancelFunc) // by name and address
	defer func() {
		for _, stop := range running {
			stop()
		}
	}()
	for {
		view := s.copy.View()
		wanted := make(map[string]bool)
		for key := range view.Under(store.NodePrefix) {
			name := strings.TrimPrefix(key, store.NodePrefix)
			doc, err := identity.NodeAt(view, name)
			if err != nil || doc == nil || name == s.name || doc.Role != identity.Root || doc.Revoked != nil || doc.Address == "" {
				continue
			}
			at := name + " " + doc.Address
			wanted[at] = true
			if running[at] == nil {
				one, stop := context.WithCancel(ctx)
				running[at] = stop
				r := feed.NewReporter(feed.ReporterConfig{
					Address: doc.Address, Dial: s.dial, Own: func() []byte { return s.registry.Report(name) }, Log: s.n.log,
				})
				s.run(func(context.Context) { r.Run(one) })
			}
		}
		for at, stop := range running {
			if !wanted[at] {
				stop()
				delete(running, at)
			}
		}
		if !sleep(ctx, memberMaxRetry) {
			return
		}
	}
}
