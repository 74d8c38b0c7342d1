package node

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/store"
)

// A token for another role than the node's is refused before it is used up and the name is taken; a node that follows gets no key of the store's authority.
func TestTokenOfAnotherRole(t *testing.T) {
	at := freeAddress(t)
	root := newBench(t, storeNode("root1", fmt.Sprintf(`root: "%v", peer: "%v"`, at, freeAddress(t)))).start()
	apply(t, root, "settings: { sampling: { one_in: 7 } }")
	made, err := root.settings().NewToken(t.Context(), admin.NewToken{Root: true, Author: "ana"})
	if err != nil {
		t.Fatal(err)
	}
	follows, member := fmt.Sprintf(`join: ["%v"]`, at), fmt.Sprintf(`join: ["%v"], root: "%v", peer: "%v"`, at, freeAddress(t), freeAddress(t))
	for _, c := range []struct{ name, store, token, wrong string }{
		{"leaf1", follows, made.Token, "for a member of the root"},
		{"root2", member, joinToken(t, root, nil), "for a follower"},
	} {
		n, err := newBench(t, storeNode(c.name, c.store)).startWith(c.token)
		if err == nil {
			n.Close()
			t.Errorf("%s joined", c.name)
			continue
		}
		var h interface{ Hint() string }
		if !strings.Contains(err.Error(), c.wrong) || !errors.As(err, &h) || h.Hint() == "" {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, there := root.shared.copy.View().Get(store.NodePrefix + c.name); there {
			t.Errorf("%s is known", c.name)
		}
	}
	info, err := root.settings().Root(t.Context())
	if err != nil || len(info.Tokens) != 2 {
		t.Errorf("%d tokens are left, %v", len(info.Tokens), err)
	}
}
