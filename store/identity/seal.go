package identity

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ananas-edge/ananas/store"
)

// Key is a secret key of 32 octets: the store's, which its members of the root share, or the node's own. The zero Key is none. It prints as nothing.
type Key struct{ k *[keyOctets]byte }

const keyOctets = 32

// NewKey makes a key.
func NewKey(random io.Reader) (Key, error) {
	k := new([keyOctets]byte)
	if _, err := io.ReadFull(random, k[:]); err != nil {
		return Key{}, fmt.Errorf("making a key: reading random octets: %w", err)
	}
	return Key{k}, nil
}

// ParseKey takes the octets of a key.
func ParseKey(b []byte) (Key, error) {
	if len(b) != keyOctets {
		return Key{}, fmt.Errorf("a key has %d octets, not %d", keyOctets, len(b))
	}
	k := [keyOctets]byte(b)
	return Key{&k}, nil
}

// IsZero tells whether there is no key.
func (k Key) IsZero() bool { return k.k == nil }

// String hides the key.
func (Key) String() string { return "(key)" }

// GoString hides the key.
func (Key) GoString() string { return "(key)" }

// Octets returns the key itself, for what encrypts with it.
func (k Key) Octets() []byte { return k.octets() }

func (k Key) octets() []byte {
	if k.k == nil {
		return nil
	}
	return slices.Clone(k.k[:])
}

// The form of a sealed value: format (1 octet, 1), the beginning of the key's SHA-256 (4), nonce (12), and the value encrypted by AES-256-GCM, with its tag (16). The
// name that it is stored under is authenticated with it, so that one sealed value can't be put in the place of another.
const (
	sealFormat = 1
	sealKeyID  = 4
	sealNonce  = 12
	sealHead   = 1 + sealKeyID + sealNonce

	// SealOverhead is how much longer a sealed value is, in octets.
	SealOverhead = sealHead + 16
)

// Seal encrypts a value for the name that it is stored under. A nonce is 96 random bits: a key is good for 2^32 values, that is a hundred a second for
// a year.
func (k Key) Seal(name string, value []byte, random io.Reader) ([]byte, error) {
	aead, id, err := k.aead()
	if err != nil {
		return nil, fmt.Errorf("encrypting %q: %w", name, err)
	}
	out := make([]byte, sealHead, SealOverhead+len(value))
	out[0] = sealFormat
	copy(out[1:], id[:])
	if _, err := io.ReadFull(random, out[1+sealKeyID:]); err != nil {
		return nil, fmt.Errorf("encrypting %q: reading random octets: %w", name, err)
	}
	return aead.Seal(out, out[1+sealKeyID:sealHead:sealHead], value, sealAAD(name)), nil
}

// Open decrypts what Seal encrypted.
func (k Key) Open(name string, sealed []byte) ([]byte, error) {
	aead, id, err := k.aead()
	switch {
	case err != nil:
	case len(sealed) < SealOverhead:
		err = errors.New("it is cut off")
	case sealed[0] != sealFormat:
		err = fmt.Errorf("its format is %d; this release reads %d", sealed[0], sealFormat)
	case [sealKeyID]byte(sealed[1:]) != id:
		err = wrong("put the key file of the backup that it is from in place", "it was encrypted with another key")
	}
	if err != nil {
		return nil, fmt.Errorf("decrypting %q: %w", name, err)
	}
	value, err := aead.Open(nil, sealed[1+sealKeyID:sealHead], sealed[sealHead:], sealAAD(name))
	if err != nil {
		return nil, fmt.Errorf("decrypting %q: it is damaged, or was stored under another name", name)
	}
	return value, nil
}

func (k Key) aead() (cipher.AEAD, [sealKeyID]byte, error) {
	if k.k == nil {
		return nil, [sealKeyID]byte{}, errors.New("there is no key")
	}
	block, err := aes.NewCipher(k.k[:])
	if err != nil {
		return nil, [sealKeyID]byte{}, err
	}
	aead, err := cipher.NewGCM(block)
	sum := sha256.Sum256(append([]byte("ananas key 1\n"), k.k[:]...))
	return aead, [sealKeyID]byte(sum[:]), err
}

func sealAAD(name string) []byte { return []byte("ananas sealed 1\n" + name) }

// SealEdits encrypts, with the store's key, the values of edits under [store.SecretPrefix], in place. It is called once on a proposal, by who takes it: then
// nobody on the way, etcd, its log, copies and their snapshots, has the values. What is in the view already stays as it is there, so that it is no change.
func (k Key) SealEdits(view store.Map, edits []store.Edit, random io.Reader) error {
	for i := range edits {
		e := &edits[i]
		if e.Delete || !strings.HasPrefix(e.Key, store.SecretPrefix) {
			continue
		}
		if old, ok := view.Get(e.Key); ok {
			if value, err := k.Open(e.Key, old); err == nil && bytes.Equal(value, e.Value) {
				e.Value = old
				continue
			}
		}
		sealed, err := k.Seal(e.Key, e.Value, random)
		if err != nil {
			return err
		}
		e.Value = sealed
	}
	return nil
}
