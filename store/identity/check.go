package identity

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/store"
)

// Peer is a node that was told from all others. It is as the store had it when it was checked; [Bundle.Recheck] follows.
type Peer struct {
	Name     string
	Labels   Labels
	Role     Role
	Key      Fingerprint
	NotAfter time.Time // of the certificate
}

// authenticate returns the name of the node that a certificate is for, if one of the store's authorities signed it, whatever the time.
func (b Bundle) authenticate(cert *x509.Certificate) (string, error) {
	id, node, err := parseURI(cert)
	switch {
	case err == nil && (node == "" || cert.IsCA):
		err = errors.New("it is that of an authority")
	case err == nil:
		err = checkKey(cert.PublicKey)
	}
	if err != nil {
		return "", refuse(Malformed, "is another program at that address?", "reading the certificate of a node: %v", err)
	}
	if b.pool == nil || id != b.store {
		return "", refuse(OtherStore, "look at the addresses in node.store.join; a node that is to change to another store needs an empty data folder and a token of that one",
			"the certificate of %q is for the store %.8s; this is the store %.8s", node, id, b.store)
	}
	_, err = cert.Verify(x509.VerifyOptions{Roots: b.pool, CurrentTime: issued(cert), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return "", refuse(Untrusted, "it may be of an authority that came later: join again with a new token, or look who is at that address",
			"the certificate of %q is not signed by an authority of the store: %v", node, err)
	}
	return node, nil
}

const mendJoin = "make a token on a member of the root (`ananas root token`) and join again"

// checkTime holds the time of a certificate against now. grace is how long after its end it is taken.
func checkTime(name string, notBefore, notAfter, now time.Time, grace time.Duration) error {
	switch {
	case now.Before(notBefore):
		return refuse(NotYet, "set the clocks of both machines (NTP)", "the certificate of %q is valid from %s; the clock here says %s", name, stamp(notBefore), stamp(now))
	case now.After(notAfter.Add(Grace)):
		return refuse(Expired, mendJoin, "the certificate of %q expired at %s, more than a year before %s", name, stamp(notAfter), stamp(now))
	case now.After(notAfter.Add(grace)):
		return refuse(Expired, "the node renews it by itself when it can reach a member of the root", "the certificate of %q expired at %s; it is %s", name, stamp(notAfter), stamp(now))
	}
	return nil
}

// Check tells which node a certificate is of, and whether the store lets it in: an authority of the store signed it, it is valid, and the node's document
// names its key and was not revoked. The error is a [*Refusal] but where the document is damaged. That the other side has the key is for TLS to find.
func (b Bundle) Check(view store.Map, cert *x509.Certificate, now time.Time) (Peer, error) {
	name, err := b.authenticate(cert)
	if err == nil {
		err = checkTime(name, cert.NotBefore, cert.NotAfter, now, 0)
	}
	if err != nil {
		return Peer{}, err
	}
	return decide(view, Peer{Name: name, Key: FingerprintOf(cert), NotAfter: cert.NotAfter})
}

// Recheck is Check for a peer that is connected: to be called when a commit changed its document, and from time to time. It returns the peer as the
// store has it now, or why it is to be let go.
func Recheck(view store.Map, p Peer, now time.Time) (Peer, error) {
	if err := checkTime(p.Name, time.Time{}, p.NotAfter, now, 0); err != nil {
		return Peer{}, err
	}
	return decide(view, p)
}

// decide holds a peer's key against its document.
func decide(view store.Map, p Peer) (Peer, error) {
	n, err := NodeAt(view, p.Name)
	if err != nil {
		return Peer{}, err
	}
	if n == nil {
		return Peer{}, refuse(Unknown, "it was removed, or has joined a moment ago and that is not known here yet; else "+mendJoin, "the store has no node %q", p.Name)
	}
	if err := n.allows(p.Name, p.Key); err != nil {
		return Peer{}, err
	}
	p.Labels, p.Role = n.Labels, n.Role
	return p, nil
}

// allows tells why a key is not that of a node that is in the store.
func (n *Node) allows(name string, key Fingerprint) error {
	switch {
	case n.Revoked != nil:
		why := n.Revoked.Why
		if why != "" {
			why = ": " + why
		}
		return refuse(Revoked, mendJoin, "the node %q was revoked at %s by %q%s", name, stamp(n.Revoked.Time), n.Revoked.By, why)
	case n.Key != key && n.Was == key:
		return refuse(Replaced, "it asks by itself for the certificate of its new key", "the node %q has changed its key at %s; this is the one before", name, stamp(n.Since))
	case n.Key != key:
		return refuse(Replaced, "one of two machines with this name has to get another: set node.name, and join with a new token", "the node %q has joined again with another key at %s", name, stamp(n.Since))
	}
	return nil
}

// checkSource is Check as a follower does it with the node that it gets its records from: with its own copy, which may be old. What that does not know, or knows
// only from before the certificate was made, is no reason to refuse: the copy could never catch up. view may be nil: no copy yet.
func (b Bundle) checkSource(view store.Map, cert *x509.Certificate, now time.Time) (string, error) {
	name, err := b.authenticate(cert)
	if err == nil {
		err = checkTime(name, cert.NotBefore, cert.NotAfter, now, 0)
	}
	if err != nil || view == nil {
		return name, err
	}
	n, err := NodeAt(view, name)
	if err != nil || n == nil {
		return name, err
	}
	key := FingerprintOf(cert)
	if n.Key != key && n.Was != key && issued(cert).After(n.Since) {
		return name, nil
	}
	return name, n.allows(name, key)
}

// CheckEdits tells what is wrong with edits of the documents that this package reads. It belongs into [store.Writer.Check]: a rule that can't be read would
// let nobody read.
func CheckEdits(edits []store.Edit) error {
	for i := range edits {
		if e := &edits[i]; !e.Delete {
			if err := checkDocument(e.Key, e.Value); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkDocument(key string, doc []byte) error {
	var err error
	if name, ok := strings.CutPrefix(key, store.NodePrefix); ok {
		if err = CheckName(name); err == nil {
			_, err = ParseNode(doc)
		}
	} else if _, ok := strings.CutPrefix(key, store.TokenPrefix); ok {
		_, err = parseTokenDoc(doc)
	} else if key == store.AccessKey {
		_, err = ParseAccess(doc)
	}
	if err != nil {
		return fmt.Errorf("%q: %w", clip(key), err)
	}
	return nil
}
