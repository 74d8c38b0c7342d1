package identity

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/store"
)

func TestSeal(t *testing.T) {
	w := newWorld(t)
	other, err := NewKey(w.random)
	w.must(err)
	value := []byte("the value")
	sealed, err := w.storeKey.Seal("~secret/a", value, w.random)
	w.must(err)
	if bytes.Contains(sealed, value) || len(sealed) != len(value)+SealOverhead {
		t.Errorf("%q", sealed)
	}
	changed := func(i int) []byte { b := bytes.Clone(sealed); b[i] ^= 1; return b }
	for _, c := range []struct {
		name   string
		key    Key
		at     string
		sealed []byte
		want   string
	}{
		{"as it was", w.storeKey, "~secret/a", sealed, ""},
		{"at another key", w.storeKey, "~secret/b", sealed, "damaged, or was stored under another name"},
		{"with another key", other, "~secret/a", sealed, "encrypted with another key"},
		{"with none", Key{}, "~secret/a", sealed, "there is no key"},
		{"cut off", w.storeKey, "~secret/a", sealed[:20], "it is cut off"},
		{"nothing", w.storeKey, "~secret/a", nil, "it is cut off"},
		{"of a later format", w.storeKey, "~secret/a", changed(0), "its format is 0"},
		{"nonce changed", w.storeKey, "~secret/a", changed(6), "damaged"},
		{"value changed", w.storeKey, "~secret/a", changed(len(sealed) - 1), "damaged"},
	} {
		got, err := c.key.Open(c.at, c.sealed)
		if c.want == "" && (err != nil || !bytes.Equal(got, value)) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
	if text := fmt.Sprintf("%v %+v %#v %s", w.storeKey, w.storeKey, w.storeKey, w.storeKey); strings.Trim(text, "(key) ") != "" {
		t.Errorf("a key prints as %q", text)
	}
}

func TestSealEdits(t *testing.T) {
	w := newWorld(t)
	edits := func(value string) []store.Edit {
		return []store.Edit{{Key: "~secret/a", Value: []byte(value)}, {Key: "forward", Value: []byte(value)}, {Key: "~secret/b", Delete: true}}
	}
	first := edits("x")
	w.must(w.storeKey.SealEdits(w, first, w.random))
	if string(first[1].Value) != "x" || first[2].Value != nil {
		t.Errorf("%+v", first)
	}
	w.must(w.commit(first...))
	version := w.head.Version
	again := edits("x")
	w.must(w.storeKey.SealEdits(w, again, w.random))
	w.must(w.commit(again...))
	if w.head.Version != version {
		t.Error("what is there already is a change")
	}
	other := edits("y")
	w.must(w.storeKey.SealEdits(w, other, w.random))
	w.must(w.commit(other...))
	sealed, _ := w.Get("~secret/a")
	if value, err := w.storeKey.Open("~secret/a", sealed); err != nil || string(value) != "y" {
		t.Errorf("%q, %v", value, err)
	}
	if err := (Key{}).SealEdits(w, edits("z"), w.random); err == nil {
		t.Error("without a key it is committed in the open")
	}
}
