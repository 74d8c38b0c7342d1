package identity

import (
	"errors"
	"fmt"
	"time"

	"github.com/ananas-edge/ananas/store"
)

// Node is the document ~node/NAME: a node that has joined.
type Node struct {
	Labels Labels
	Role   Role
	Joined time.Time
	Serial string // of the certificate that it joined with, in hexadecimal

	// Key is what its certificates have to be for, and Since when that was decided.
	Key   Fingerprint
	Since time.Time

	// Was is the key before a renewal that changed it: it may ask for the certificate of Key again, should the answer have been lost, and nothing else.
	Was Fingerprint

	// Address is where a member of the root serves those who follow, as host and port; "" is not known. The other members report there.
	Address string

	Revoked *Revocation // nil: it was not

	rest fields
}

// Revocation says that a node was revoked. Its time is to the microsecond.
type Revocation struct {
	Time    time.Time
	By, Why string

	rest fields
}

// ParseNode reads a document.
func ParseNode(doc []byte) (*Node, error) {
	n := new(Node)
	f, err := parseFields(doc)
	if err == nil {
		var revoked fields
		err = first(
			f.take("labels", &n.Labels), f.take("role", &n.Role), f.takeTime("joined", &n.Joined), f.take("serial", &n.Serial),
			f.take("key", &n.Key), f.takeTime("since", &n.Since), f.take("was", &n.Was), f.take("address", &n.Address), f.take("revoked", &revoked),
		)
		if err == nil && revoked != nil {
			n.Revoked = new(Revocation)
			err = first(revoked.takeTime("time", &n.Revoked.Time), revoked.take("by", &n.Revoked.By), revoked.take("why", &n.Revoked.Why))
			n.Revoked.rest = revoked
		}
		n.rest = f
	}
	if err == nil {
		err = n.check()
	}
	if err != nil {
		return nil, fmt.Errorf("reading the document of a node: %w", err)
	}
	return n, nil
}

// maxAddress is the length of an address in octets: one of IPv6 with a zone and a port.
const maxAddress = 128

func (n *Node) check() error {
	switch {
	case n.Key == (Fingerprint{}):
		return errors.New("it names no key")
	case len(n.Serial) > 2*maxSerial:
		return fmt.Errorf("its serial number has more than %d digits", 2*maxSerial)
	case n.Revoked != nil && (len(n.Revoked.By) > store.MaxAuthor || len(n.Revoked.Why) > store.MaxReason):
		return errors.New("the texts of its revocation are too long")
	case len(n.Address) > maxAddress:
		return fmt.Errorf("its address has more than %d octets", maxAddress)
	}
	if err := n.Role.check(); err != nil {
		return err
	}
	return n.Labels.check()
}

// Encode writes the document.
func (n *Node) Encode() []byte {
	var revoked fields
	if r := n.Revoked; r != nil {
		revoked = r.rest.with(map[string]any{"time": r.Time, "by": r.By, "why": r.Why})
	}
	return encode(n.rest.with(map[string]any{
		"labels": n.Labels, "role": n.Role, "joined": n.Joined, "serial": n.Serial, "key": n.Key, "since": n.Since, "was": n.Was, "address": n.Address, "revoked": revoked,
	}))
}

// NodeAt returns the document of a node; nil if the store has none.
func NodeAt(view store.Map, name string) (*Node, error) {
	doc, ok := view.Get(store.NodePrefix + name)
	if !ok {
		return nil, nil
	}
	n, err := ParseNode(doc)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", store.NodePrefix+name, err)
	}
	return n, nil
}

// existing is NodeAt for commands, to which a node that is not there is an error.
func existing(view store.Map, name string) (*Node, error) {
	n, err := NodeAt(view, name)
	if err == nil && n == nil {
		err = wrong("`ananas root ls` lists the nodes", "the store has no node %q", clip(name))
	}
	return n, err
}

// keepRevoked is how long the document of a revoked node is kept: until the last certificate that it can have has expired, and a day for clocks that
// differ. Until then a copy that was away needs it to refuse the node.
const keepRevoked = Life + 24*time.Hour

// Revoke returns the edit that revokes a node: its key is refused from then on, and its name is free for who joins with a new token. The last member of the
// root can't be revoked: nobody could make tokens any more.
func Revoke(view store.View, name, by, why string, now time.Time) ([]store.Edit, error) {
	n, err := existing(view, name)
	if err != nil {
		return nil, err
	}
	if n.Revoked != nil {
		return nil, nil
	}
	if n.Role == Root {
		others := 0
		for key := range view.Under(store.NodePrefix) {
			other := key[len(store.NodePrefix):]
			if o, err := NodeAt(view, other); err == nil && other != name && o.Role == Root && o.Revoked == nil {
				others++
			}
		}
		if others == 0 {
			return nil, wrong("add another member first: `ananas root token --root`", "%q is the last member of the root", name)
		}
	}
	n.Revoked = &Revocation{Time: now, By: by, Why: why}
	if err := n.check(); err != nil {
		return nil, fmt.Errorf("revoking the node %q: %w", name, err)
	}
	return []store.Edit{edit(view, store.NodePrefix+name, n.Encode())}, nil
}

// SetMember returns the edit that gives a member of the root its labels and its address; none if it has them.
func SetMember(view store.View, name string, labels Labels, address string) ([]store.Edit, error) {
	n, err := existing(view, name)
	if err != nil {
		return nil, err
	}
	if len(labels) > 0 {
		n.Labels = labels
	}
	n.Address = address
	if err := n.check(); err != nil {
		return nil, fmt.Errorf("setting the address of %q: %w", name, err)
	}
	return []store.Edit{edit(view, store.NodePrefix+name, n.Encode())}, nil
}

// SetLabels returns the edit that gives a node other labels. What it may read changes with the commit.
func SetLabels(view store.View, name string, labels Labels) ([]store.Edit, error) {
	n, err := existing(view, name)
	if err != nil {
		return nil, err
	}
	n.Labels = labels
	if err := n.check(); err != nil {
		return nil, fmt.Errorf("setting the labels of the node %q: %w", name, err)
	}
	return []store.Edit{edit(view, store.NodePrefix+name, n.Encode())}, nil
}
