package etcd_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/etcd"
)

// childVariable makes this binary the child process.
const childVariable = "ANANAS_TEST_ETCD_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childVariable) {
	case "member":
		if err := etcd.RunMember(os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	case "node":
		runNode()
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// self runs this binary as something else.
func self(t testing.TB, as string) func() *exec.Cmd {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return func() *exec.Cmd { return again(binary, as) }
}

func again(binary, as string) *exec.Cmd {
	cmd := exec.Command(binary)
	cmd.Env = append(os.Environ(), childVariable+"="+as)
	return cmd
}

// selfAgain runs this binary as a member, where there is no test.
func selfAgain() *exec.Cmd {
	binary, err := os.Executable()
	if err != nil {
		fatal(err)
	}
	return again(binary, "member")
}

// random is a source of random octets with a seed.
func random(seed uint64) func([]byte) {
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	r := rand.NewChaCha8(key)
	return func(b []byte) { _, _ = r.Read(b) }
}

// config is what a root of one member is opened with.
func config(t testing.TB) etcd.Config {
	t.Helper()
	return etcd.Config{Command: self(t, "member"), Folder: filepath.Join(t.TempDir(), "etcd"), Name: "lis01", Random: random(1),
		Log: slog.New(slog.NewTextHandler(testLog{t}, nil))}
}

// testLog has what is logged seen where a test fails.
type testLog struct{ testing.TB }

func (l testLog) Write(b []byte) (int, error) {
	l.Logf("%s", b[:max(len(b), 1)-1])
	return len(b), nil
}

// open opens a root, waits until it answers, and makes its store.
func open(t testing.TB, c etcd.Config) *etcd.Root {
	t.Helper()
	r, err := etcd.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	if err := r.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Create(ctx); err != nil {
		t.Fatal(err)
	}
	return r
}

// writer makes records for a root, one after another. It has a copy of what it made.
type writer struct {
	head    store.Head
	entries map[string]store.Entry
	draw    func([]byte)
}

func newWriter(head store.Head, seed uint64) *writer {
	return &writer{head, map[string]store.Entry{}, random(seed)}
}

// edit puts a value at a key; "" deletes.
func edit(key, value string) store.Edit {
	return store.Edit{Key: key, Value: []byte(value), Delete: value == ""}
}

// record makes the record that puts edits on the head.
func (w *writer) record(edits ...store.Edit) *store.Record {
	p := store.Proposal{Kind: store.KindNow, Author: "root@lis01", Reason: "a test", Edits: edits}
	for i := range p.Edits {
		if p.Edits[i].Delete {
			p.Edits[i].Value = nil
		}
	}
	w.draw(p.ID[:])
	r, err := store.Prepare(w.head, p, func(key string) (store.Entry, bool) { e, ok := w.entries[key]; return e, ok },
		time.Unix(1e9, 0).Add(time.Duration(w.head.Version)*time.Second), func() (s store.Salt) { w.draw(s[:]); return })
	if err != nil {
		panic(err)
	}
	return r
}

// made takes a record that was committed.
func (w *writer) made(r *store.Record) {
	head, err := w.head.Next(r)
	if err != nil {
		panic(err)
	}
	w.head = head
	for _, c := range r.Changes {
		if c.Deletes() {
			delete(w.entries, c.Key)
		} else {
			w.entries[c.Key] = c.Entry
		}
	}
}
