package replica

import (
	"iter"

	"github.com/ananas-edge/ananas/store"
)

// View is one version of the copy. It is immutable, and needs no disk. Documents that it returns share its memory, and must not be changed.
type View struct {
	state state
	index index
}

// Head returns the head of the store at that version.
func (v *View) Head() store.Head { return v.state.head }

// Floor returns the lowest version after which the log went on.
func (v *View) Floor() store.Version { return v.state.floor }

// Hidden returns how many entries there are that this node may not read, and their sum.
func (v *View) Hidden() (count uint64, sum store.Sum) { return v.state.hidden, v.state.hiddenSum }

// LogBytes returns how many octets the records of the log have, as they are encoded.
func (v *View) LogBytes() int64 { return int64(v.state.logBytes) }

// Own tells whether its commits are made by this node, with Load.
func (v *View) Own() bool { return v.state.own }

// Len returns the number of entries that can be read.
func (v *View) Len() int { return v.index.n }

// Get returns the document at a key. It allocates nothing.
func (v *View) Get(key string) ([]byte, bool) {
	r := v.index.find(key)
	if r == 0 {
		return nil, false
	}
	return v.index.value(r), true
}

// Entry returns the entry at a key. It allocates nothing.
func (v *View) Entry(key string) (store.Entry, bool) {
	return v.index.at(key)
}

// Under returns all keys that begin with prefix, in their order, and their documents.
func (v *View) Under(prefix string) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		v.index.walk(prefix, func(r ref) bool { return yield(string(v.index.key(r)), v.index.value(r)) })
	}
}

// All returns all entries in the order of their keys: what a snapshot is made of. Nothing is held for it but the view.
func (v *View) All() iter.Seq2[string, store.Entry] {
	return func(yield func(string, store.Entry) bool) {
		v.index.walk("", func(r ref) bool { return yield(string(v.index.key(r)), v.index.entry(r)) })
	}
}
