package main

import (
	"fmt"
	"testing"

	"github.com/ananas-edge/ananas/admin"
)

// Of which nodes that are up a version is in use, and when that is all that is to be waited for.
func TestUptake(t *testing.T) {
	have, old := admin.Node{Name: "lis01", Up: true, Version: 7}, admin.Node{Name: "lis02", Up: true, Version: 6}
	down := admin.Node{Name: "opo01", Version: 3}
	refuses := admin.Node{Name: "opo02", Up: true, Version: 6, Error: "no room"}
	for what, c := range map[string]struct {
		nodes  []admin.Node
		look   int
		want   string
		settle bool
	}{
		"all have it":                      {[]admin.Node{have, have}, 1, "2 of 2 []", true},
		"one is down":                      {[]admin.Node{have, down}, 1, "1 of 1 []", true},
		"one is late":                      {[]admin.Node{have, old}, 50, "1 of 2 [lis02, which has version 6]", false},
		"one refuses, or did so before":    {[]admin.Node{have, refuses}, uptakeErrors - 1, "1 of 2 [opo02, which keeps version 6: no room]", false},
		"one refuses":                      {[]admin.Node{have, refuses}, uptakeErrors, "1 of 2 [opo02, which keeps version 6: no room]", true},
		"one refuses, and another is late": {[]admin.Node{old, refuses}, uptakeErrors, "0 of 2 [lis02, which has version 6 opo02, which keeps version 6: no room]", false},
		"none was heard of yet":            {[]admin.Node{down}, 50, "0 of 0 []", false},
	} {
		u := uptakeOf(&admin.Root{Nodes: c.nodes}, 7)
		if got := fmt.Sprintf("%d of %d %v", u.Have, u.Of, u.Late); got != c.want || u.settled(c.look) != c.settle {
			t.Errorf("%s: %s, settled %v; want %s, %v", what, got, u.settled(c.look), c.want, c.settle)
		}
	}
}
