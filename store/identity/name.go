package identity

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// StoreID names a store for all of its life: random, made with its first authority. Unlike a lineage it outlives restores.
type StoreID [16]byte

// String returns the id in hexadecimal.
func (s StoreID) String() string { return hex.EncodeToString(s[:]) }

// Fingerprint is the SHA-256 of a public key (its SubjectPublicKeyInfo). All zero stands for none.
type Fingerprint [sha256.Size]byte

// FingerprintOf returns that of the key of a certificate.
func FingerprintOf(cert *x509.Certificate) Fingerprint {
	return sha256.Sum256(cert.RawSubjectPublicKeyInfo)
}

// String returns the fingerprint in hexadecimal; "" for none.
func (f Fingerprint) String() string {
	if f == (Fingerprint{}) {
		return ""
	}
	return hex.EncodeToString(f[:])
}

// MarshalText writes it as String does.
func (f Fingerprint) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (f *Fingerprint) UnmarshalText(text []byte) error {
	var out Fingerprint
	if len(text) > 0 {
		if !decodeHex(out[:], string(text)) {
			return errors.New("a fingerprint has 64 hexadecimal digits")
		}
	}
	*f = out
	return nil
}

// decodeHex fills into with what text says in hexadecimal; false if that is not of its length.
func decodeHex(into []byte, text string) bool {
	if len(text) != hex.EncodedLen(len(into)) {
		return false
	}
	_, err := hex.Decode(into, []byte(text))
	return err == nil
}

// Role says what a node is in its store.
type Role string

// The roles.
const (
	Follower Role = "follower"
	Root     Role = "root" // a member of the root: it reads all, commits, and holds the authority's key
)

func (r Role) check() error {
	if r != Follower && r != Root {
		return fmt.Errorf("%q is no role: there are %s and %s", string(r), Follower, Root)
	}
	return nil
}

// MaxName is the length of the name of a node, and of the name and the value of a label, in octets: that of a DNS label, which is what the name of a host is.
const MaxName = 63

// MaxLabels is how many labels a node may have.
const MaxLabels = 32

// CheckName tells what is wrong with the name of a node. The rule is that of node.name.
func CheckName(name string) error {
	if name == "" {
		return errors.New("a node has no name")
	}
	if err := checkWord(name); err != nil {
		return fmt.Errorf("%q can not be the name of a node: %w", clip(name), err)
	}
	return nil
}

func checkWord(s string) error {
	if s == "" || len(s) > MaxName || strings.IndexFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_.", r))
	}) >= 0 {
		return fmt.Errorf("use 1 to %d letters, digits, dots, hyphens and underscores", MaxName)
	}
	return nil
}

// clip cuts foreign text to a length that fits a message.
func clip(s string) string {
	if len(s) > MaxName+1 {
		return s[:MaxName+1] + "..."
	}
	return s
}

// Labels are what is known of a node beside its name: site, tier. Rules and rollouts choose nodes by them.
type Labels map[string]string

func (l Labels) check() error {
	if len(l) > MaxLabels {
		return fmt.Errorf("there are %d labels, more than %d", len(l), MaxLabels)
	}
	for _, name := range slices.Sorted(maps.Keys(l)) {
		if err := checkWord(name); err != nil {
			return fmt.Errorf("the label %q: its name: %w", clip(name), err)
		}
		if err := checkWord(l[name]); err != nil {
			return fmt.Errorf("the label %q: its value %q: %w", name, clip(l[name]), err)
		}
	}
	return nil
}

// Has tells whether all of want are among l.
func (l Labels) Has(want Labels) bool {
	for name, value := range want {
		if got, ok := l[name]; !ok || got != value {
			return false
		}
	}
	return true
}

// Names in certificates. The authority's certificate names the store, a node's names store and node, so that neither a host name nor an address is in
// them, and a node may move.
const scheme = "ananas"

func storeURI(s StoreID) *url.URL { return &url.URL{Scheme: scheme, Host: s.String()} }

func nodeURI(s StoreID, node string) *url.URL {
	return &url.URL{Scheme: scheme, Host: s.String(), Path: "/node/" + node}
}

// RootHost is the DNS name in the certificates of members of the root, and in no other: etcd, which tells its peers by names of hosts, asks for it.
// Nothing resolves it.
func RootHost(s StoreID) string { return "root." + s.String() + ".ananas.internal" }

// parseURI takes the one URI of a certificate of ours apart. The node is "" in that of an authority.
func parseURI(cert *x509.Certificate) (s StoreID, node string, err error) {
	if len(cert.URIs) != 1 || cert.URIs[0].Scheme != scheme {
		return s, "", errors.New("it is not one of a store")
	}
	u := cert.URIs[0]
	if !decodeHex(s[:], u.Host) {
		return s, "", errors.New("it names no store")
	}
	if u.Path != "" {
		rest, ok := strings.CutPrefix(u.Path, "/node/")
		if !ok || checkWord(rest) != nil {
			return s, "", errors.New("it names no node")
		}
		node = rest
	}
	// One certificate has one form: nothing else may hide in it.
	want := storeURI(s)
	if node != "" {
		want = nodeURI(s, node)
	}
	if u.String() != want.String() {
		return s, "", errors.New("it names more than a node")
	}
	return s, node, nil
}

// NameIn returns the name of the node that a certificate says it is for. It checks no signature.
func NameIn(cert *x509.Certificate) (string, error) {
	_, node, err := parseURI(cert)
	if err == nil && node == "" {
		err = errors.New("it is that of an authority")
	}
	if err != nil {
		return "", fmt.Errorf("reading the certificate of a node: %w", err)
	}
	return node, nil
}
