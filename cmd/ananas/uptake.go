package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/admin/client"
	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
)

const (
	// uptakeEvery is how often the nodes are looked at: they tell of themselves once a second.
	uptakeEvery = 200 * time.Millisecond
	// uptakeLooks is how often, and uptakeTime how long that may take, where the node that is asked answers slowly: 20 s. A table is swapped in within a second; a node that has to compile a module of a megabyte first takes some.
	uptakeLooks = 100
	uptakeTime  = uptakeLooks * uptakeEvery
	// uptakeErrors is after how many looks a node that says why it keeps older settings is believed: 3 s. Before, it may say so of what it had before.
	uptakeErrors = 15
	// uptakeNames is how many nodes are named that do not have it then.
	uptakeNames = 5
)

// uptake is which nodes have a version in use.
type uptake struct {
	Have int      `json:"have"`
	Of   int      `json:"of"`   // all of the store
	Late []string `json:"late"` // without it: name, and why as far as it is known

	refused int // of the late, those that say why
	silent  int // and those that are not up
}

// awaitUptake waits until all nodes that are up have a version in use, which passed the waves by, and tells how many of all have it. Nodes that do not take it are told as a warning: what was done is done. It is nil where the node
// that is asked does not know the others, or does not tell of them in time.
func awaitUptake(p *process, node *client.Client, version uint64, quiet bool, within time.Duration) (*uptake, error) {
	screen := terminal.Of(p.stdout, p.env)
	drawn := screen.Terminal && !quiet
	ctx, cancel := context.WithTimeout(p.ctx, within)
	defer cancel()
	var u uptake
	for look := 1; ; look++ {
		root, err := node.Root(ctx)
		if err != nil && ctx.Err() == nil && look == 1 {
			return nil, nil // a node that follows may not be told, and one without a store has no others
		}
		if err == nil {
			u = uptakeOf(&root, version)
		}
		over := err == nil && u.settled(look) || look == uptakeLooks || ctx.Err() != nil
		if u.Of > 0 && (drawn || over && !quiet) {
			if err := p.print(func(w io.Writer) error { return u.write(w, drawn, over) }); err != nil {
				return nil, err
			}
		}
		if over {
			break
		}
		p.wait(ctx, uptakeEvery)
	}
	switch {
	case u.Of == 0 && p.ctx.Err() == nil:
		return nil, warn(p, []string{fmt.Sprintf("version %d is live, and which nodes have it in use is not known: the node that is asked has not told of any within %v; ananas root ls shows them", version, within)})
	case u.Of == 0:
		return nil, nil
	case len(u.Late) == 0:
		return &u, nil
	}
	names := u.Late[:min(len(u.Late), uptakeNames)]
	more := ""
	if n := len(u.Late) - len(names); n > 0 {
		more = fmt.Sprintf("\nand %d more: ananas root ls", n)
	}
	return &u, warn(p, []string{fmt.Sprintf("version %d is live, and not in use at:\n%s%s", version, strings.Join(names, "\n"), more)})
}

// uptakeOf looks which nodes have a version.
func uptakeOf(root *admin.Root, version uint64) uptake {
	u := uptake{Late: []string{}}
	for i := range root.Nodes {
		n := &root.Nodes[i]
		switch {
		case !n.Revoked.IsZero():
			continue
		case !n.Up:
			u.silent++
			u.Late = append(u.Late, n.Name+", which is silent, and takes it when it is back")
		case n.Version >= version:
			u.Have++
		case n.Error != "":
			u.refused++
			u.Late = append(u.Late, fmt.Sprintf("%s, which keeps version %d: %s", n.Name, n.Version, n.Error))
		default:
			u.Late = append(u.Late, fmt.Sprintf("%s, which has version %d", n.Name, n.Version))
		}
		u.Of++
	}
	return u
}

// settled tells whether nothing more is to be waited for: each node has it, or says why it does not take it.
func (u *uptake) settled(look int) bool {
	waiting := u.Of - u.Have - u.silent
	if look >= uptakeErrors {
		waiting -= u.refused
	}
	return u.Of > u.silent && waiting == 0
}

// write says how many have it; on a terminal over what was said before.
func (u *uptake) write(w io.Writer, drawn, over bool) error {
	begin, end := "", "\n"
	if drawn {
		begin = eraseLine
		if !over {
			end = "\r"
		}
	}
	_, err := fmt.Fprintf(w, "%sin use at %s of %s%s", begin, thousands(uint64(u.Have)), count(u.Of, "node", "nodes"), end)
	return err
}
