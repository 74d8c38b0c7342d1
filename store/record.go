package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kind says what a commit is for, for those who read the history.
type Kind string

// The kinds of commits. Others may come with later releases.
const (
	KindInitial  Kind = "initial"  // settings were put into a store that had none
	KindOpen     Kind = "open"     // a change set is on its way
	KindWave     Kind = "wave"     // it was released to its next wave, or paused or resumed
	KindLive     Kind = "live"     // it passed its last gate
	KindWithdraw Kind = "withdraw" // it was taken back
	KindNow      Kind = "now"      // a change that went to all nodes at once
	KindLoad     Kind = "load"     // a file was read, on a node whose file is the truth
	KindNode     Kind = "node"     // a node joined or was revoked, a token was made or used
	KindSweep    Kind = "sweep"    // what nobody needs any more was removed
	KindRestore  Kind = "restore"  // the first commit of a lineage that began with a snapshot
)

// maxKind is the length of a kind in octets.
const maxKind = 16

// Record is one commit: a line of the log. It is read-only once it is made.
type Record struct {
	Version Version
	ID      ID
	Kind    Kind
	Time    time.Time // to the microsecond
	Author  string    // who, as far as the node that took it can tell
	Reason  string
	Changes []Change // by key, no key twice; those without a key (hidden) keep the places that their keys had
	Sum     Sum      // of all entries after it
	Hash    Hash     // of it and all before
}

// Change is what a commit does at one key.
type Change struct {
	Key      string // "": hidden, from who must not read it
	Old, New Digest // of the entries before and after; zero: none

	// Entry is the entry after it. Its value is nil if there is none, or it is hidden.
	Entry Entry

	// Was is the entry before it, where that is known: in the log of a copy, so that history reaches back. It does not travel.
	Was Entry
}

// Hidden tells whether the change is at a key that the holder of the record may not read.
func (c *Change) Hidden() bool { return c.Key == "" }

// Deletes tells whether there is no entry after it.
func (c *Change) Deletes() bool { return c.New == Digest{} }

// sum returns the sum of all entries after the changes.
func sum(before Sum, changes []Change) Sum {
	for i := range changes {
		if changes[i].Old != (Digest{}) {
			before.Sub(changes[i].Old)
		}
		if changes[i].New != (Digest{}) {
			before.Add(changes[i].New)
		}
	}
	return before
}

// hash returns the running hash of r after that of the record before. It covers everything but what is derived: keys and documents through their digests, so
// that who may not read them checks it all the same.
func (r *Record) hash(before Hash, lineage Lineage) Hash {
	h := sha256.New()
	b := make([]byte, 0, 256+len(r.Author)+len(r.Reason))
	b = append(b, "ananas record 1\n"...)
	b = append(b, lineage[:]...)
	b = append(b, before[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Version))
	b = append(b, r.ID[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Time.UnixMicro()))
	for _, text := range []string{string(r.Kind), r.Author, r.Reason} {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(text)))
		b = append(b, text...)
	}
	for _, lane := range r.Sum {
		b = binary.LittleEndian.AppendUint64(b, lane)
	}
	h.Write(b)
	for i := range r.Changes {
		h.Write(r.Changes[i].Old[:])
		h.Write(r.Changes[i].New[:])
	}
	var out Hash
	h.Sum(out[:0])
	return out
}

// Next returns the head after r, or a [*DivergenceError] if r is not the commit that follows. It checks all that can be checked without the entries: a copy
// checks beside it that those that r replaces are those that it has.
func (h Head) Next(r *Record) (Head, error) {
	switch {
	case r.Version != h.Version+1:
		return h, &DivergenceError{h.Version, r.Version, "it does not follow"}
	case sum(h.Sum, r.Changes) != r.Sum:
		return h, &DivergenceError{h.Version, r.Version, "the sum of all entries is not what it says"}
	case r.hash(h.Hash, h.Lineage) != r.Hash:
		return h, &DivergenceError{h.Version, r.Version, "its running hash is not that of what came before"}
	}
	before := ""
	for i := range r.Changes {
		c := &r.Changes[i]
		if c.Hidden() {
			continue
		}
		if c.Key <= before {
			return h, &DivergenceError{h.Version, r.Version, fmt.Sprintf("the key %q is not in its place, or there twice", c.Key)}
		}
		if before = c.Key; !c.Deletes() && DigestOf(c.Key, c.Entry) != c.New {
			return h, &DivergenceError{h.Version, r.Version, fmt.Sprintf("the entry %q has not the digest that it says", c.Key)}
		}
	}
	return Head{Lineage: h.Lineage, Version: r.Version, Hash: r.Hash, Sum: r.Sum, Time: r.Time, ID: r.ID}, nil
}

// DivergenceError says that a record does not follow what a copy has: there is a gap, or one of the two has strayed. The mend is a snapshot.
type DivergenceError struct {
	Have, Got Version
	Why       string
}

func (e *DivergenceError) Error() string {
	return fmt.Sprintf("version %d can not be put on version %d: %s", e.Got, e.Have, e.Why)
}

// For returns the record as it travels to a reader: without what was there before, and with nothing but digests where readable says no. It
// is r itself if nothing is to be left out.
func (r *Record) For(readable func(key string) bool) *Record {
	whole := !slices.ContainsFunc(r.Changes, func(c Change) bool {
		return c.Was.Value != nil || c.Was.Salt != Salt{} || !c.Hidden() && !readable(c.Key)
	})
	if whole {
		return r
	}
	out := *r
	out.Changes = slices.Clone(r.Changes)
	for i := range out.Changes {
		c := &out.Changes[i]
		c.Was = Entry{}
		if !c.Hidden() && !readable(c.Key) {
			c.Key, c.Entry = "", Entry{}
		}
	}
	return &out
}

// Edit is what a proposal wants at one key.
type Edit struct {
	Key    string
	Value  []byte
	Delete bool // there is to be no entry; Value is nil

	// Old, if set, is the digest of the entry that the edit was made for, zero for none: another there is a ConflictError.
	Old *Digest
}

// Proposal is a commit that somebody wants.
type Proposal struct {
	ID     ID // made by the writer if zero
	Kind   Kind
	Author string
	Reason string
	Edits  []Edit

	// Make, if set, fills in Kind and Edits for the version that the commit is to be put on. It is called again where another commit was first; its error ends
	// the attempt.
	Make func(v View, p *Proposal) error

	// Term, if set, is the leadership that the commit is made under: it is refused if that was lost.
	Term Term
}

// Prepare makes the record that puts p on head. entry returns what is at a key now, and salt a new random one. Edits that change nothing are left out; a record
// without changes is nil, and nothing is to be committed. The error names the limit that p is beyond.
func Prepare(head Head, p Proposal, entry func(key string) (Entry, bool), now time.Time, salt func() Salt) (*Record, error) {
	if len(p.Author) > MaxAuthor {
		return nil, fmt.Errorf("the author has %d octets, more than %d", len(p.Author), MaxAuthor)
	}
	if len(p.Reason) > MaxReason {
		return nil, fmt.Errorf("the reason has %d octets, more than %d", len(p.Reason), MaxReason)
	}
	if len(p.Kind) == 0 || len(p.Kind) > maxKind {
		return nil, fmt.Errorf("the kind %q of a commit has not 1 to %d octets", p.Kind, maxKind)
	}
	if len(p.Edits) > MaxChanges {
		return nil, fmt.Errorf("the commit changes %d keys, more than %d; make several commits of it", len(p.Edits), MaxChanges)
	}
	edits := slices.SortedFunc(slices.Values(p.Edits), func(a, b Edit) int { return strings.Compare(a.Key, b.Key) })
	changes := make([]Change, 0, len(edits))
	size, replaced := 0, 0
	for i, e := range edits {
		if err := CheckKey(e.Key); err != nil {
			return nil, err
		}
		if i > 0 && edits[i-1].Key == e.Key {
			return nil, fmt.Errorf("the commit has the key %q twice", e.Key)
		}
		if len(e.Value) > MaxValue {
			return nil, fmt.Errorf("the value of %q has %d octets, more than %d", e.Key, len(e.Value), MaxValue)
		}
		size += len(e.Key) + len(e.Value)
		old, there := entry(e.Key)
		replaced += len(old.Value)
		if e.Old != nil {
			var was Digest
			if there {
				was = DigestOf(e.Key, old)
			}
			if was != *e.Old {
				return nil, &ConflictError{Head: head, Key: e.Key}
			}
		}
		if there == !e.Delete && bytes.Equal(old.Value, e.Value) {
			continue
		}
		c := Change{Key: e.Key}
		if there {
			c.Old, c.Was = DigestOf(e.Key, old), old
		}
		if !e.Delete {
			value := e.Value
			if value == nil {
				value = []byte{}
			}
			c.Entry = Entry{Salt: salt(), Value: value}
			c.New = DigestOf(e.Key, c.Entry)
		}
		changes = append(changes, c)
	}
	if size > MaxCommit {
		return nil, fmt.Errorf("the keys and values of the commit have %d octets, more than %d; make several commits of it", size, MaxCommit)
	}
	if replaced > MaxCommit {
		return nil, fmt.Errorf("the values that the commit replaces have %d octets, more than %d; make several commits of it", replaced, MaxCommit)
	}
	if len(changes) == 0 {
		return nil, nil
	}
	now = time.UnixMicro(max(now.UnixMicro(), head.Time.UnixMicro())).UTC() // a clock that was set back
	r := &Record{Version: head.Version + 1, ID: p.ID, Kind: p.Kind, Time: now, Author: p.Author, Reason: p.Reason, Changes: changes, Sum: sum(head.Sum, changes)}
	r.Hash = r.hash(head.Hash, head.Lineage)
	return r, nil
}

// Restored returns the head of a lineage that begins with a snapshot, and its first record. It goes on with the next version, since change sets are named by
// theirs. The record has no changes: nobody who does not have the snapshot can put it on anything.
func Restored(snapshot Head, l Lineage, id ID, now time.Time, author, reason string) (Head, *Record) {
	now = time.UnixMicro(max(now.UnixMicro(), snapshot.Time.UnixMicro())).UTC()
	r := &Record{Version: snapshot.Version + 1, ID: id, Kind: KindRestore, Time: now, Author: author, Reason: reason, Sum: snapshot.Sum}
	r.Hash = r.hash(Hash{}, l)
	return Head{Lineage: l, Version: r.Version, Hash: r.Hash, Sum: r.Sum, Time: r.Time, ID: r.ID}, r
}
