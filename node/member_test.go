package node

import (
	"errors"
	"fmt"
	"testing"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/replica"
)

// What a member of the root mends by reading all entries anew: else its copy stands still, and with it all commits of this member.
func TestMendedByEntries(t *testing.T) {
	for _, c := range []struct {
		err    error
		mended bool
	}{
		{&store.FloorError{Asked: 1, Floor: 2}, true},
		{fmt.Errorf("following: %w", &store.DivergenceError{}), true},
		{fmt.Errorf("following: %w", &replica.BrokenError{Path: "replica.db", Err: errors.New("a page is there twice")}), true},
		{&replica.DiskError{}, false},
		{errors.New("etcd has ended"), false},
		{nil, false},
	} {
		if got := mendedByEntries(c.err); got != c.mended {
			t.Errorf("%v: %v", c.err, got)
		}
	}
}
