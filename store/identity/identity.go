package identity

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ananas-edge/ananas/internal/wholefile"
	"github.com/ananas-edge/ananas/store"
)

// Identity is who this node is, as its files say. Its methods may be used by any number of goroutines; the TLS configurations that it gives follow when its
// certificate is renewed.
type Identity struct {
	files   folder
	mu      sync.Mutex // for what writes
	current atomic.Pointer[credential]
	pending atomic.Bool // node.next has a key
}

// Open reads the identity in a folder, which is there. Where there is none, [Identity.Joined] is false.
func Open(disk wholefile.Disk, dir string) (*Identity, error) {
	i := &Identity{files: folder{disk, dir}}
	for _, name := range []string{NodeFile, NextFile, BundleFile, AuthorityFile, StoreKeyFile, NodeKeyFile} {
		wholefile.Sweep(disk, i.files.path(name))
	}
	text, err := i.files.read(NodeFile)
	if err != nil {
		return nil, err
	}
	next, err := i.next()
	if err != nil {
		return nil, err
	}
	if text == nil {
		return i, nil
	}
	c, err := parseCredential(text)
	if err != nil {
		return nil, i.files.damaged(NodeFile, mendNode, err)
	}
	if next != nil && same(next, c.key) { // killed between the two
		i.forgetNext()
	}
	if err := i.writeBundle(c.bundle); err != nil {
		return nil, err
	}
	i.dropRootKeys(c)
	i.current.Store(c)
	return i, nil
}

func same(a, b crypto.Signer) bool {
	pub, ok := a.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && pub.Equal(b.Public())
}

// writeBundle makes ca.crt what it has to be; it is on disk already but after a kill, or by a person's hand.
func (i *Identity) writeBundle(b Bundle) error {
	old, err := i.files.read(BundleFile)
	if err == nil && bytes.Equal(old, b.PEM()) {
		return nil
	}
	return i.files.write(BundleFile, b.PEM())
}

// next returns the key whose certificate was asked for; nil if there is none.
func (i *Identity) next() (crypto.Signer, error) {
	text, err := i.files.read(NextFile)
	if err != nil || text == nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != pemKey {
		err = errors.New("it has no private key")
	} else {
		var key crypto.Signer
		if key, err = parseKey(block.Bytes); err == nil {
			i.pending.Store(true)
			return key, nil
		}
	}
	return nil, i.files.damaged(NextFile, "remove it; the node makes a new one", err)
}

func (i *Identity) forgetNext() {
	i.files.remove(NextFile)
	i.pending.Store(false)
}

// nextKey returns the key whose certificate is asked for, and makes it if there is none. It is on disk before anybody is asked, so that an answer that was lost can be
// asked for again.
func (i *Identity) nextKey(random io.Reader) (crypto.Signer, error) {
	if key, err := i.next(); err != nil || key != nil {
		return key, err
	}
	key, err := newKey(random)
	if err != nil {
		return nil, fmt.Errorf("making a private key: reading random octets: %w", err)
	}
	text, err := encodeKey(key)
	if err == nil {
		err = i.files.write(NextFile, text)
	}
	if err != nil {
		return nil, err
	}
	i.pending.Store(true)
	return key, nil
}

func newCSR(name string, key crypto.Signer, random io.Reader) ([]byte, error) {
	csr, err := x509.CreateCertificateRequest(random, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key)
	if err != nil {
		return nil, fmt.Errorf("asking for a certificate: %w", err)
	}
	return csr, nil
}

// Joined tells whether the node has joined a store.
func (i *Identity) Joined() bool { return i.current.Load() != nil }

// Name returns the name that the node joined with; "" if it has not.
func (i *Identity) Name() string {
	if c := i.current.Load(); c != nil {
		return c.name
	}
	return ""
}

// Bundle returns the authorities that the node believes: none, if it has not joined.
func (i *Identity) Bundle() Bundle {
	if c := i.current.Load(); c != nil {
		return c.bundle
	}
	return Bundle{}
}

// Certificate returns the node's certificate; nil if it has not joined.
func (i *Identity) Certificate() *x509.Certificate {
	if c := i.current.Load(); c != nil {
		return c.cert
	}
	return nil
}

// PeerFiles is what etcd takes to tell the members of the root from all others: files of certificate, key and authorities, which it reads anew for each connection, and
// the DNS name that the other end's certificate has to have, whichever of the two begins the connection. The node has joined.
func (i *Identity) PeerFiles() (cert, key, authorities, serverName string) {
	node := i.files.path(NodeFile)
	return node, node, i.files.path(BundleFile), RootHost(i.Bundle().Store())
}

// RenewAt returns when to ask for the next certificate: by its age; at once, if an answer has not come.
func (i *Identity) RenewAt() time.Time {
	c := i.current.Load()
	if c == nil {
		return time.Time{}
	}
	if i.pending.Load() {
		return issued(c.cert)
	}
	return RenewAt(c.cert)
}

var errNotJoined = &Error{errors.New("this node has not joined a store"), "make a token on a member of the root (`ananas root token`) and give it to this node"}

// Join returns the request to join a store with a token. It asks with the same key until the answer is accepted.
func (i *Identity) Join(t Token, name string, random io.Reader) (JoinRequest, error) {
	if err := CheckName(name); err != nil {
		return JoinRequest{}, wrong("set node.name", "joining a store: %w", err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	key, err := i.nextKey(random)
	if err != nil {
		return JoinRequest{}, err
	}
	csr, err := newCSR(name, key, random)
	return JoinRequest{Token: t.ID, Secret: t.Secret, Name: name, CSR: csr}, err
}

// Accept checks the reply to a request to join, and keeps it. authority is that of the token, and name that of the request.
func (i *Identity) Accept(authority Fingerprint, name string, r JoinReply, now time.Time) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	key, err := i.next()
	if err == nil && key == nil {
		err = errors.New("it was not asked for")
	}
	if err == nil {
		err = i.accept(key, authority, name, r, now)
	}
	if err != nil {
		return fmt.Errorf("joining a store: %w", err)
	}
	return nil
}

func (i *Identity) accept(key crypto.Signer, authority Fingerprint, name string, r JoinReply, now time.Time) error {
	b, err := NewBundle(r.Authorities...)
	if err != nil {
		return err
	}
	if b.Find(authority) == nil {
		return errors.New("the authority of the token is not among those of the reply")
	}
	if old := i.current.Load(); old != nil && old.bundle.store != b.store {
		return wrong("a node that is to change to another store needs an empty data folder", "the node is one of the store %.8s; the token is for the store %.8s", old.bundle.store, b.store)
	}
	c, err := take(key, r.Certificate, b, name, now)
	if err != nil {
		return err
	}
	if r.Role == Root {
		signer, err := parseKey(r.AuthorityKey)
		if err == nil {
			_, err = authorityFrom(signer, b)
		}
		var storeKey Key
		if err == nil {
			storeKey, err = ParseKey(r.StoreKey)
		}
		if err != nil {
			return err
		}
		text, err := encodeKey(signer)
		if err == nil {
			err = i.files.write(AuthorityFile, text)
		}
		if err == nil {
			err = i.files.write(StoreKeyFile, storeKey.octets())
		}
		if err != nil {
			return err
		}
		return i.keep(c)
	}
	if err := i.keep(c); err != nil {
		return err
	}
	i.dropRootKeys(c)
	return nil
}

// isRoot tells whether a certificate says that its node is a member of the root.
func (c *credential) isRoot() bool {
	return slices.Contains(c.cert.DNSNames, RootHost(c.bundle.store))
}

// dropRootKeys removes the keys of a member of the root that has joined again as a follower.
func (i *Identity) dropRootKeys(c *credential) {
	if c.isRoot() {
		return
	}
	for _, name := range []string{AuthorityFile, StoreKeyFile} {
		if b, err := i.files.read(name); b != nil || err != nil {
			i.files.remove(name)
		}
	}
}

// take checks a certificate that was asked for.
func take(key crypto.Signer, der []byte, b Bundle, name string, now time.Time) (*credential, error) {
	cert, err := parseCertificate(der)
	if err != nil {
		return nil, err
	}
	c, err := newCredential(key, cert, b)
	if err != nil {
		return nil, err
	}
	if c.name != name {
		return nil, fmt.Errorf("the certificate is for the node %q, not for %q", c.name, name)
	}
	return c, checkTime(name, cert.NotBefore, cert.NotAfter, now, 0)
}

// keep makes c who this node is: on disk, in one step, and then in memory.
func (i *Identity) keep(c *credential) error {
	text, err := c.encode()
	if err == nil {
		err = i.files.write(NodeFile, text)
	}
	if err != nil {
		return err
	}
	i.current.Store(c)
	if key, err := i.next(); err == nil && key != nil && same(key, c.key) {
		i.forgetNext()
	}
	return i.writeBundle(c.bundle)
}

// Renewal returns the request for the next certificate: for the key that is there, or, if newKey is set or was for a request without an answer, for another.
func (i *Identity) Renewal(newKey bool, random io.Reader) (RenewRequest, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	c := i.current.Load()
	if c == nil {
		return RenewRequest{}, errNotJoined
	}
	key := c.key
	if newKey || i.pending.Load() {
		var err error
		if key, err = i.nextKey(random); err != nil {
			return RenewRequest{}, err
		}
	}
	csr, err := newCSR(c.name, key, random)
	if err != nil {
		return RenewRequest{}, err
	}
	proof, err := sign(c.key, renewWords, csr)
	if err != nil {
		return RenewRequest{}, fmt.Errorf("asking for a certificate: %w", err)
	}
	return RenewRequest{Certificate: c.cert.Raw, CSR: csr, Proof: proof}, nil
}

// Renewed checks the certificate that came for a Renewal, and keeps it. The connections that are there go on with the one before.
func (i *Identity) Renewed(der []byte, now time.Time) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	old := i.current.Load()
	if old == nil {
		return errNotJoined
	}
	c, err := take(old.key, der, old.bundle, old.name, now)
	if err != nil {
		var next crypto.Signer
		if next, _ = i.next(); next != nil {
			c, err = take(next, der, old.bundle, old.name, now)
		}
	}
	if err == nil && same(c.key, old.key) && !c.cert.NotAfter.After(old.cert.NotAfter) {
		err = errors.New("it is not valid for longer than the one that is there")
	}
	if err == nil {
		err = i.keep(c)
	}
	if err != nil {
		return fmt.Errorf("renewing the certificate of this node: %w", err)
	}
	return nil
}

// Found makes a store with this node as the first member of its root: the authority, the store's key, and a certificate. Where that was done before and only what
// comes after it was not, it does nothing. [Identity.First] is the node's document, to be committed with whatever else the store begins with.
func (i *Identity) Found(name string, now time.Time, random io.Reader) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if c := i.current.Load(); c != nil {
		if c.name != name {
			return wrong(fmt.Sprintf("set node.name to %q, or give this node an empty data folder", c.name), "making a store: this folder is that of the node %q, not of %q", c.name, name)
		}
		_, err := i.authority(c.bundle)
		return err
	}
	a, err := NewAuthority(now, random)
	if err != nil {
		return err
	}
	storeKey, err := NewKey(random)
	if err != nil {
		return err
	}
	key, err := i.nextKey(random)
	if err != nil {
		return err
	}
	der, _, err := a.issue(name, Root, key.Public(), now, random)
	if err != nil {
		return err
	}
	r := JoinReply{Certificate: der, Authorities: a.Bundle().ders(), Role: Root, StoreKey: storeKey.octets()}
	if r.AuthorityKey, err = a.encodeKey(); err != nil {
		return err
	}
	if err := i.accept(key, a.Fingerprint(), name, r, now); err != nil {
		return fmt.Errorf("making a store: %w", err)
	}
	return nil
}

// First returns the edit that makes this node the first one of a store, at the address where it serves those who follow.
func (i *Identity) First(labels Labels, address string) (store.Edit, error) {
	c := i.current.Load()
	if c == nil {
		return store.Edit{}, errNotJoined
	}
	if !c.isRoot() {
		return store.Edit{}, wrong("a store begins on a node with an empty data folder", "the node %q is no member of the root", c.name)
	}
	at := issued(c.cert)
	n := &Node{Labels: labels, Role: Root, Address: address, Joined: at, Serial: c.cert.SerialNumber.Text(16), Key: FingerprintOf(c.cert), Since: at}
	if err := n.check(); err != nil {
		return store.Edit{}, fmt.Errorf("making the document of the node %q: %w", c.name, err)
	}
	return store.Edit{Key: store.NodePrefix + c.name, Value: n.Encode(), Old: new(store.Digest)}, nil
}

// Authority reads the authority's key, which members of the root have.
func (i *Identity) Authority() (*Authority, error) { return i.authority(i.Bundle()) }

func (i *Identity) authority(b Bundle) (*Authority, error) {
	text, err := i.files.read(AuthorityFile)
	if err != nil {
		return nil, err
	}
	if text == nil {
		return nil, wrong("ask a member of the root; if this is one, put the file back from a backup or from another member", "there is no %q: this node is no member of the root", i.files.path(AuthorityFile))
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != pemKey {
		return nil, i.files.damaged(AuthorityFile, mendAuthority, errors.New("it has no private key"))
	}
	key, err := parseKey(block.Bytes)
	var a *Authority
	if err == nil {
		a, err = authorityFrom(key, b)
	}
	if err != nil {
		return nil, i.files.damaged(AuthorityFile, mendAuthority, err)
	}
	return a, nil
}

// StoreKey reads the store's key, which members of the root have.
func (i *Identity) StoreKey() (Key, error) {
	k, err := i.files.readKey(StoreKeyFile, mendAuthority)
	if err == nil && k.IsZero() {
		err = wrong("ask a member of the root; if this is one, put the file back from a backup or from another member", "there is no %q: this node is no member of the root", i.files.path(StoreKeyFile))
	}
	return k, err
}

// NodeKey returns the key that never leaves this node, and makes it if there is none.
func (i *Identity) NodeKey(random io.Reader) (Key, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	k, err := i.files.readKey(NodeKeyFile, "put it back from a backup, or remove it and the copy that is encrypted with it: the node takes a snapshot")
	if err != nil || !k.IsZero() {
		return k, err
	}
	if k, err = NewKey(random); err != nil {
		return Key{}, err
	}
	return k, i.files.write(NodeKeyFile, k.octets())
}
