package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/lab"
	"github.com/ananas-edge/ananas/node"
	"github.com/ananas-edge/ananas/settings"
)

// labCommand runs a node on an internet of its own, in this process: it answers without any network.
type labCommand struct {
	Config string `placeholder:"FILE" help:"The node's settings; root hints are the lab's, and trust anchors if it names none."`
	World  string `placeholder:"FILE" help:"A world file: zones, servers, what is wrong with them (docs/lab.md). Without it: 1,508 real top-level domains and 100,000 hosts."`
	Seed   uint64 `help:"Seed of names, addresses, keys, latency and faults." default:"0"`
}

func (labCommand) Help() string {
	return `Example:
  ananas lab &
  dig @127.0.0.1 -p 5335 www.example.com`
}

// Run runs the lab and its node.
func (c labCommand) Run(p *process) (err error) {
	file, err := openSettings(c.Config)
	if err != nil {
		return err
	}
	terms := lab.Config{Seed: c.Seed}
	if c.World != "" {
		text, err := os.ReadFile(c.World)
		if err != nil {
			return hinted{fmt.Errorf("reading world: %w", err), "name a world file (docs/lab.md), or leave --world out for one that is built in"}
		}
		if terms.World, err = lab.ParseWorld(string(text)); err != nil {
			return fmt.Errorf("reading world %q: %w", c.World, err)
		}
	}
	internet, err := lab.New(terms)
	if err != nil {
		return fmt.Errorf("building the lab: %w", err)
	}
	network := internet.Network()
	defer func() { err = errors.Join(err, network.Close()) }()

	// The node learns of the lab in the way in which it would learn of another root: from files.
	folder := filepath.Join(file.Node.Data, "lab")
	if err := node.MakeFolder(folder); err != nil {
		return err
	}
	for name, text := range map[string]string{"root.hints": internet.RootHints(), "trust-anchors": internet.TrustAnchors()} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			return node.DiskError(fmt.Errorf("writing the lab's %s: %w", name, err))
		}
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return fmt.Errorf("finding the lab's folder: %w", err)
	}
	inLab := func(f *settings.File) *settings.File {
		f.Settings.Recursion.RootHints = filepath.Join(folder, "root.hints")
		if f.Settings.Recursion.TrustAnchors == "" {
			f.Settings.Recursion.TrustAnchors = filepath.Join(folder, "trust-anchors")
		}
		return f
	}
	n := node.Options{Compiler: compileProcess,
		File: inLab(file), Network: network, Version: thisVersion(), Log: logger(p.stderr),
		Anchors: filepath.Join(folder, node.AnchorFile), // what is known of the world's keys is not the lab's to change
	}
	if c.Config != "" {
		n.Reread = func() (*settings.File, error) {
			f, err := settings.Open(c.Config)
			if err != nil {
				return nil, err
			}
			return inLab(f), nil
		}
	}
	return runNode(p.ctx, n, func(n *node.Node) {
		for _, a := range n.Addrs() {
			a = reachable(a)
			fmt.Fprintf(p.stdout, "A resolver on an internet of its own. Try:\n\n    dig @%v -p %d www.example.com\n\n", a.Addr(), a.Port())
			break
		}
		if a := n.Admin(); a.IsValid() {
			a = reachable(a)
			node := ""
			if a.String() != admin.DefaultAddress {
				node = " --node " + a.String()
			}
			fmt.Fprintf(p.stdout, "How a name is resolved:  ananas explain%s www.example.com\nWhat it is doing:        http://%v/\n\nCtrl-C ends it. For the real internet: ananas serve\n", node, a)
		}
	})
}

// reachable returns an address at which this machine finds a socket that is bound to a: one bound to all addresses is on loopback, too.
func reachable(a netip.AddrPort) netip.AddrPort {
	switch {
	case !a.Addr().IsUnspecified():
		return a
	case a.Addr().Is4():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), a.Port())
	}
	return netip.AddrPortFrom(netip.IPv6Loopback(), a.Port())
}
