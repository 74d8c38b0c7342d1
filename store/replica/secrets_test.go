package replica_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/replica"
)

// Secrets, and those that a change set is about to set, are not on the disk in plain: not as entries, not in the log, not after they were replaced, not by a snapshot.
func TestSecretsAreEncrypted(t *testing.T) {
	w := newWorld()
	dir := t.TempDir()
	r := open(t, dir)
	begin(t, r, start(), nil)
	apply(t, r, w.commit(t, store.Edit{Key: "plain", Value: []byte("everybody may know")}, store.Edit{Key: "~secret/tls", Value: []byte("the first secret")}))
	apply(t, r, w.commit(t, store.Edit{Key: "~secret/tls", Value: []byte("the second secret")}, store.Edit{Key: "~set/7/~secret/tls", Value: []byte("the third secret")}))
	leaks := func(want string) {
		t.Helper()
		file, err := os.ReadFile(filepath.Join(dir, "replica.db"))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(file, []byte("secret\x00")) || bytes.Contains(file, []byte("t secret")) || bytes.Contains(file, []byte("d secret")) {
			t.Errorf("%s: a secret is in the file", want)
		}
		if !bytes.Contains(file, []byte("everybody may know")) {
			t.Errorf("%s: the test does not see what is in plain", want)
		}
	}
	leaks("by records")
	if err := w.logDiffers(r); err != nil {
		t.Error(err)
	}
	begin(t, r, w.head, w.entries)
	leaks("by snapshot")
	r.Close()

	var wrong *replica.KeyError
	for _, key := range [][]byte{nil, bytes.Repeat([]byte{8}, 32), {1, 2, 3}} {
		if _, err := replica.Open(dir, replica.Options{Key: key}); !errors.As(err, &wrong) || wrong.Hint() == "" {
			t.Errorf("opened with another key: %v", err)
		}
	}
	r = open(t, dir)
	if r.Found() != nil || w.differs(r.View()) != nil {
		t.Errorf("with the right key: %v, %v", r.Found(), w.differs(r.View()))
	}
}

// A node without a key takes no secret, and does without one as long as there is none.
func TestNoKey(t *testing.T) {
	w := newWorld()
	dir := t.TempDir()
	none := func(o *replica.Options) { o.Key = nil }
	r := open(t, dir, none)
	begin(t, r, start(), nil)
	apply(t, r, w.commit(t, store.Edit{Key: "plain", Value: []byte("1")}))
	var wrong *replica.KeyError
	secret := w.commit(t, store.Edit{Key: "~secret/tls", Value: []byte("s")})
	if err := r.Apply(t.Context(), []*store.Record{secret}); !errors.As(err, &wrong) || r.View().Head().Version != 1 {
		t.Errorf("a secret without a key: %v", err)
	}
	in, err := r.BeginSnapshot(w.head)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Add("~secret/tls", w.entries["~secret/tls"]); !errors.As(err, &wrong) {
		t.Errorf("the same by snapshot: %v", err)
	}
	r.Close()
	r = open(t, dir) // with a key: from now on
	apply(t, r, secret)
	if err := w.differs(r.View()); err != nil {
		t.Error(err)
	}
}
