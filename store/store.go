package store

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of keys, values and commits. Each is named in the error of who goes beyond it.
const (
	// MaxKey is the length of a key in octets: a name of 255 octets whose every octet is escaped to two, below a folder.
	MaxKey = 512

	// MaxValue is the length of a document in octets. What is larger is a blob, and the document names it.
	MaxValue = 64 << 10

	// MaxChanges is how many keys a commit may change: 1,024 entries of a list with four commits' worth of room.
	MaxChanges = 4096

	// MaxCommit is the size of all documents and keys of a commit in octets: 64 documents of the largest size. With the documents that they replace a
	// record is twice that.
	MaxCommit = 4 << 20

	// MaxAuthor and MaxReason bound the texts of a commit, in octets.
	MaxAuthor = 256
	MaxReason = 1024
)

// Version counts the commits of a lineage, without a gap, from 1. 0 is the store before its first commit.
type Version uint64

// Lineage is one life of a store: random, new when a store is made and at each restore. Versions of different lineages can't be compared.
type Lineage [16]byte

// String returns the lineage in hexadecimal; "" for none.
func (l Lineage) String() string {
	if l == (Lineage{}) {
		return ""
	}
	return hex.EncodeToString(l[:])
}

// ParseLineage reads what String wrote.
func ParseLineage(text string) (Lineage, error) {
	var l Lineage
	if b, err := hex.DecodeString(text); err != nil || copy(l[:], b) != len(l) || len(b) != len(l) {
		return Lineage{}, fmt.Errorf("%q is no lineage: it has 32 hexadecimal digits", text)
	}
	return l, nil
}

// ID names a commit, before and whether or not it is decided. It is random, so that a commit whose outcome is not known can be looked up.
type ID [16]byte

// String returns the id in hexadecimal.
func (i ID) String() string { return hex.EncodeToString(i[:]) }

// Digest is the SHA-256 of an entry: of its salt, key and document. All zero stands for an entry that is not there.
type Digest [sha256.Size]byte

// Salt makes the digest of an entry say nothing about it to who must not read it: most settings could be guessed otherwise.
type Salt [16]byte

// Entry is what the map holds at a key.
type Entry struct {
	Salt  Salt
	Value []byte // the document; never changed by anybody, and never empty but for the deletions of a change set
}

// DigestOf returns the digest of an entry at a key.
func DigestOf(key string, e Entry) Digest {
	h := sha256.New()
	var n [4]byte
	h.Write(e.Salt[:])
	binary.LittleEndian.PutUint32(n[:], uint32(len(key)))
	h.Write(n[:])
	h.Write([]byte(key))
	h.Write(e.Value)
	var d Digest
	h.Sum(d[:0])
	return d
}

// Sum is a sum over the digests of all entries, in four lanes of 64 bits. Unlike a hash over the whole map it follows each change in the time that the change takes,
// and like one it tells a copy that has strayed. It is not made to withstand somebody who chooses entries to deceive: who may send records at all is for
// the feed to decide.
type Sum [4]uint64

// Add counts an entry in.
func (s *Sum) Add(d Digest) {
	for i := range s {
		s[i] += binary.LittleEndian.Uint64(d[8*i:])
	}
}

// Sub takes an entry out.
func (s *Sum) Sub(d Digest) {
	for i := range s {
		s[i] -= binary.LittleEndian.Uint64(d[8*i:])
	}
}

// Plus returns both together.
func (s Sum) Plus(o Sum) Sum {
	for i := range s {
		s[i] += o[i]
	}
	return s
}

// Hash is the running hash: of a record and, by the one before, of all records since the lineage began.
type Hash [sha256.Size]byte

// Head is what a store has come to: the last commit, and what all of them left.
type Head struct {
	Lineage Lineage
	Version Version
	Hash    Hash
	Sum     Sum       // of all entries, those that the holder may not read included
	Time    time.Time // of the last commit, to the microsecond; never before that of the commit before. Zero at version 0
	ID      ID        // of the last commit
}

// Map is a version of the settings, or one that may become one. It is immutable.
type Map interface {
	// Get returns the document at key; it must not be changed.
	Get(key string) (value []byte, ok bool)
	// Under returns all keys that begin with prefix, in their order, and their documents.
	Under(prefix string) iter.Seq2[string, []byte]
}

// System begins the keys that are the store's own: they are no settings, and a rollback leaves them alone.
const System = "~"

// Keys of the store's own. An id has no slash in it.
const (
	NodePrefix    = "~node/"    // ~node/NAME: a node that has joined, its labels, whether it was revoked
	TokenPrefix   = "~token/"   // ~token/ID: a join token that was not used yet; read by members of the root alone
	AccessKey     = "~access"   // who reads what
	RolloutPrefix = "~rollout/" // ~rollout/ID: where a change set is on its way
	SetPrefix     = "~set/"     // ~set/ID/KEY: the document that the change set puts at KEY; empty: none
	SecretPrefix  = "~secret/"  // read by members of the root alone, and encrypted wherever it lies
)

// IsSetting tells whether a key is one of the settings.
func IsSetting(key string) bool { return !strings.HasPrefix(key, System) }

// SplitSet takes the key of a change set's entry apart.
func SplitSet(key string) (id, setting string, ok bool) {
	rest, ok := strings.CutPrefix(key, SetPrefix)
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, "/")
}

// CheckKey tells what is wrong with a key.
func CheckKey(key string) error {
	switch {
	case key == "":
		return errors.New("a key is empty")
	case len(key) > MaxKey:
		return fmt.Errorf("the key %q... has %d octets, more than %d", key[:40], len(key), MaxKey)
	case !utf8.ValidString(key):
		return fmt.Errorf("the key %q is not UTF-8", key)
	case strings.HasPrefix(key, "/") || strings.HasSuffix(key, "/") || strings.Contains(key, "//"):
		return fmt.Errorf("the key %q has an empty part between slashes", key)
	}
	for _, r := range key {
		if r < 0x20 || r == 0x7f {
			return fmt.Errorf("the key %q has a control character", key)
		}
	}
	return nil
}
