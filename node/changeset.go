package node

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"

	"github.com/ananas-edge/ananas/store"
)

// liveSettings returns the settings of a version, without the store's own keys.
func liveSettings(m store.Map) map[string][]byte {
	all := make(map[string][]byte)
	for key, value := range m.Under("") {
		if store.IsSetting(key) {
			all[key] = value
		}
	}
	return all
}

// changeSet returns what a change set puts at which keys; an empty document is none.
func changeSet(m store.Map, id string) map[string][]byte {
	prefix := store.SetPrefix + id + "/"
	all := make(map[string][]byte)
	for key, value := range m.Under(prefix) {
		all[key[len(prefix):]] = value
	}
	return all
}

// lay puts change sets over settings, which it changes. Open change sets share no key, so that their order is nobody's business.
func lay(settings map[string][]byte, set map[string][]byte) {
	for key, value := range set {
		if len(value) == 0 {
			delete(settings, key)
		} else {
			settings[key] = value
		}
	}
}

// editsOf are the edits that make changes, a nil document for a key that goes, to the live keys.
func editsOf(changes map[string][]byte) []store.Edit {
	edits := make([]store.Edit, 0, len(changes))
	for _, key := range slices.Sorted(maps.Keys(changes)) {
		value := changes[key]
		edits = append(edits, store.Edit{Key: key, Value: value, Delete: value == nil})
	}
	return edits
}

// setEdits are the edits that put changes into a change set.
func setEdits(id string, changes map[string][]byte) []store.Edit {
	edits := make([]store.Edit, 0, len(changes)+1)
	for _, key := range slices.Sorted(maps.Keys(changes)) {
		value := changes[key]
		if value == nil {
			value = []byte{}
		}
		edits = append(edits, store.Edit{Key: store.SetPrefix + id + "/" + key, Value: value})
	}
	return edits
}

// fingerprintOf names changes: who confirms a difference confirms this one and no other.
func fingerprintOf(changes map[string][]byte) string {
	h := sha256.New()
	var n [8]byte
	text := func(b []byte) {
		binary.LittleEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	for _, key := range slices.Sorted(maps.Keys(changes)) {
		text([]byte(key))
		if value := changes[key]; value != nil {
			h.Write([]byte{1})
			text(value)
		} else {
			h.Write([]byte{0})
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
