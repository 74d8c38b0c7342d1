package settings

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/ananas-edge/ananas/internal/strictyaml"
)

// Store is how nodes share settings. Nothing set means that the file is the truth, if it has a part `settings`.
type Store struct {
	// Root is where this node, being a root, serves the store to those that follow it (TCP). The zero value: it is no root.
	Root netip.AddrPort `yaml:"root" port:"8054" free:"true" none:"true"`

	// Join holds addresses of roots and relays, of which this node follows the first that it can; a root joins the other members through one of them. They are no names,
	// because starting must not need a name that the store configures.
	Join []netip.AddrPort `yaml:"join" port:"8054"`

	// Relay is where a node that follows serves the store to others that follow it.
	Relay netip.AddrPort `yaml:"relay" port:"8054" free:"true" none:"true"`

	// Peer is where the other members of the root reach this one.
	Peer netip.AddrPort `yaml:"peer" port:"8055" free:"true" none:"true"`

	// Labels say what a root is, such as its site. Those of other nodes come with their token.
	Labels map[string]string `yaml:"labels"`
}

// maxLabels bounds node.store.labels: they are told with each report of a node, and choosing by more than a handful helps nobody.
const maxLabels = 16

// Shared tells whether this node's settings come from a store that other nodes have too.
func (s *Store) Shared() bool { return s.Root.IsValid() || len(s.Join) > 0 }

// check finds what is wrong with the section; l is where else the node listens. Paths are those within the section.
func (s *Store) check(l Listen) error {
	var e strictyaml.Errors
	switch {
	case s.Relay.IsValid() && s.Root.IsValid():
		e.Addf("relay", "remove it: other nodes can follow node.store.root", "a root serves those that follow it already, at %v", s.Root)
	case s.Relay.IsValid() && len(s.Join) == 0:
		e.Addf("relay", "add join: [...] with the addresses of the root, or remove relay", "a relay passes on what it follows, and node.store.join names nothing to follow")
	}
	if s.Peer.IsValid() && !s.Root.IsValid() {
		e.Addf("peer", "add root: ADDRESS, or remove peer", "only members of the root have peers, and node.store.root is not set")
	}
	if len(s.Labels) > 0 && !s.Root.IsValid() {
		e.Addf("labels", "remove it, and have ananas root token make a token with these labels", "the labels of a node that follows come with its token")
	}
	s.checkLabels(&e)
	s.checkListeners(&e, l)
	s.checkJoin(&e)
	return e.OrNil()
}

func (s *Store) checkLabels(e *strictyaml.Errors) {
	if len(s.Labels) > maxLabels {
		e.Addf("labels", "", "there are %d, more than %d", len(s.Labels), maxLabels)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(s.Labels)) {
		if name == "" || !isWord(name) {
			e.Addf("labels", hintWord, "%q can not be the name of a label", name)
		}
		if value := s.Labels[name]; value == "" || !isWord(value) {
			e.Addf("labels."+name, hintWord, "%q can not be the value of a label", value)
		}
	}
}

// listener is an address at which a part of the node listens, and the key that says so.
type listener struct {
	path string
	addr netip.AddrPort
}

func (s *Store) checkListeners(e *strictyaml.Errors, l Listen) {
	others := []listener{{"node.listen.admin", l.Admin}}
	for i, a := range l.DNS {
		others = append(others, listener{fmt.Sprintf("node.listen.dns[%d]", i), a})
	}
	for _, own := range []listener{{"root", s.Root}, {"relay", s.Relay}, {"peer", s.Peer}} {
		if !own.addr.IsValid() {
			continue
		}
		if own.addr.Addr().IsMulticast() {
			e.Addf(own.path, "", "%v is a multicast address", own.addr.Addr())
		}
		if own.path == "peer" && own.addr.Addr().IsUnspecified() {
			e.Addf(own.path, "name the address of this machine that the other members reach", "%v stands for all addresses, and nobody can connect to that", own.addr.Addr())
		}
		for _, other := range others {
			if clash(own.addr, other.addr) {
				e.Addf(own.path, "change one of the ports", "%v is taken already, by %s", own.addr, other.path)
			}
		}
		others = append(others, listener{"node.store." + own.path, own.addr})
	}
}

// clash tells whether two sockets can't listen at these addresses: 0.0.0.0 takes the port of all of IPv4, and :: that of everything.
func clash(a, b netip.AddrPort) bool {
	if !a.IsValid() || !b.IsValid() || a.Port() != b.Port() || a.Port() == 0 {
		return false
	}
	all := func(a, b netip.Addr) bool { return a.IsUnspecified() && (a.Is6() || b.Is4()) }
	return a.Addr() == b.Addr() || all(a.Addr(), b.Addr()) || all(b.Addr(), a.Addr())
}

func (s *Store) checkJoin(e *strictyaml.Errors) {
	for i, a := range s.Join {
		path := fmt.Sprintf("join[%d]", i)
		if slices.Contains(s.Join[:i], a) {
			e.Addf(path, "remove one of the two", "%v is there twice", a)
		}
		if a.Addr().IsMulticast() || a.Addr().IsUnspecified() {
			e.Addf(path, "name the address of one node", "nobody can connect to %v", a.Addr())
		}
		for _, own := range []listener{{"root", s.Root}, {"relay", s.Relay}, {"peer", s.Peer}} {
			if own.addr == a || own.addr.IsValid() && own.addr.Port() == a.Port() && own.addr.Addr().IsUnspecified() && a.Addr().IsLoopback() {
				e.Addf(path, "name another node", "%v is this node itself, as node.store.%s says: a node never follows itself", a, own.path)
			}
		}
	}
}

// checkOwner refuses settings in the file of a node that takes them from a store. The path of the error is that in the file.
func (f *File) checkOwner() error {
	if !f.HasSettings() || !f.Node.Store.Shared() {
		return nil
	}
	key := "join"
	if f.Node.Store.Root.IsValid() {
		key = "root"
	}
	var e strictyaml.Errors
	e.Addf("settings", "move the part settings to a file of its own, and when the node runs: ananas apply FILE",
		"settings have one owner: they are in this file, and node.store.%s says that they are in the store", key)
	return &e
}
