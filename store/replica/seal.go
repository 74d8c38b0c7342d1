package replica

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ananas-edge/ananas/store"
)

// sealer encrypts what is secret before it goes to disk: AES-256-GCM with a random nonce of 12 octets, which stands before what it made. The additional data say what it is and
// at which key and version, so that nothing sealed can be put in another's place. A nil one has no key.
//
// One key may seal 2^32 times before two nonces are likely to meet by more than 2^-32 (NIST SP 800-38D, section 8.3): a secret a second for 136 years.
type sealer struct {
	aead   cipher.AEAD
	name   [16]byte
	random io.Reader
}

func newSealer(key []byte, random io.Reader) (*sealer, error) {
	if key == nil {
		return nil, nil
	}
	if len(key) != 32 {
		return nil, &KeyError{fmt.Sprintf("the node's key has %d octets, not 32", len(key))}
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	s := &sealer{aead: aead, random: random}
	name := sha256.Sum256(append([]byte("ananas node key\n"), key...))
	copy(s.name[:], name[:])
	return s, nil
}

// isSecret tells whether the document at a key is encrypted: a secret, or one that a change set puts there.
func isSecret(key string) bool {
	if _, setting, ok := store.SplitSet(key); ok {
		key = setting
	}
	return strings.HasPrefix(key, store.SecretPrefix)
}

// errNoKey is what is said where there is a secret and no key.
func errNoKey(key string) error {
	return &KeyError{fmt.Sprintf("%q is a secret, and this node has no key to encrypt it with", key)}
}

// seal appends b, encrypted.
func (s *sealer) seal(out, b, what []byte) ([]byte, error) {
	from := len(out)
	out = append(out, make([]byte, s.aead.NonceSize())...)
	if _, err := io.ReadFull(s.random, out[from:]); err != nil {
		return nil, fmt.Errorf("reading random octets: %w", err)
	}
	return s.aead.Seal(out, out[from:], b, what), nil
}

// open returns what seal encrypted.
func (s *sealer) open(b, what []byte) ([]byte, error) {
	if s == nil {
		return nil, &KeyError{"this node has no key, and secrets are stored under one"}
	}
	n := s.aead.NonceSize()
	if len(b) < n {
		return nil, errors.New("what is encrypted is too short")
	}
	out, err := s.aead.Open(nil, b[:n], b[n:], what)
	if err != nil {
		return nil, errors.New("what is encrypted was changed")
	}
	return out, nil
}

// sealedEntry and sealedRecord are the additional data.
func sealedEntry(key string, v store.Version) []byte {
	return append(binary.LittleEndian.AppendUint64([]byte("ananas entry\n"), uint64(v)), key...)
}

func sealedRecord(l store.Lineage, v store.Version) []byte {
	return append(binary.LittleEndian.AppendUint64([]byte("ananas record\n"), uint64(v)), l[:]...)
}

// Forms of what is stored: the first octet.
const (
	plain  = 0
	sealed = 1
)

// appendEntry appends an entry as it is stored: in plain, or with the version that sealed it and encrypted.
func (s *sealer) appendEntry(b []byte, key string, e store.Entry, v store.Version) ([]byte, error) {
	if !isSecret(key) {
		return store.AppendEntry(append(b, plain), e), nil
	}
	if s == nil {
		return nil, errNoKey(key)
	}
	b = binary.LittleEndian.AppendUint64(append(b, sealed), uint64(v))
	return s.seal(b, store.AppendEntry(nil, e), sealedEntry(key, v))
}

// parseEntry reads what appendEntry wrote. The document may share the memory of b.
func (s *sealer) parseEntry(key string, b []byte) (store.Entry, error) {
	if len(b) == 0 || b[0] > sealed || (b[0] == sealed) != isSecret(key) {
		return store.Entry{}, fmt.Errorf("the entry %q has a wrong form", key)
	}
	kind, b := b[0], b[1:]
	if kind == sealed {
		if len(b) < 8 {
			return store.Entry{}, fmt.Errorf("the entry %q is too short", key)
		}
		var err error
		if b, err = s.open(b[8:], sealedEntry(key, store.Version(binary.LittleEndian.Uint64(b)))); err != nil {
			return store.Entry{}, fmt.Errorf("the entry %q: %w", key, err)
		}
	}
	e, rest, err := store.ParseEntry(b)
	if err == nil && len(rest) > 0 {
		err = errors.New("something follows it")
	}
	if err != nil {
		return store.Entry{}, fmt.Errorf("the entry %q: %w", key, err)
	}
	return e, nil
}
