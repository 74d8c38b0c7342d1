//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/etcd"
	ours "github.com/ananas-edge/ananas/test/bench"
)

// This binary is what the program is, for the parts that start it again.
func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "etcd":
		if etcd.RunMember(os.Stdin, os.Stdout) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	case "follower":
		if followRemote(os.Stdin, os.Stdout) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	code, err := ours.EnterNetwork()
	switch {
	case err != nil: // without the right to make a network
		os.Exit(m.Run())
	case code >= 0:
		os.Exit(code)
	}
	os.Setenv(insideVariable, "1")
	os.Exit(m.Run())
}

// insideVariable is set where the tests run in a network of their own.
const insideVariable = "ANANAS_BENCH_INSIDE"

// Each part runs, small, and counts what it should: how long it takes is nothing for a test.
func TestParts(t *testing.T) {
	o := options{
		only: "reads,sim,cold,commit", keys: 20_000, reads: 5 * time.Millisecond, tiers: "2,2", leaves: 3, waves: 2, rounds: 1, commit: 100 * time.Millisecond, dir: t.TempDir(),
	}
	whole := !testing.Short() && os.Getenv(insideVariable) != "" // real nodes look for the root of the names
	if whole {
		o.only += ",fleet"
		o.followers, o.commits, o.idle = 2, 2, time.Second
		o.binary = filepath.Join(t.TempDir(), "ananas")
		if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", o.binary, "../../../cmd/ananas").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	var out strings.Builder
	if err := run(t.Context(), o, &out); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"Get, median", "12 simulated followers, two tiers of 6 relays", "a follower with nothing takes 20000 keys", "one back after 10000 changes, 100 a commit", "keys a second, 100 a commit"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("no line about %q in\n%s", line, out.String())
		}
	}
	if whole && !strings.Contains(out.String(), "2 real followers") {
		t.Errorf("no line about real followers in\n%s", out.String())
	}
}

func TestUnknownPart(t *testing.T) {
	if err := run(t.Context(), options{only: "reads,nothing"}, new(strings.Builder)); err == nil {
		t.Error("taken")
	}
}

func TestQuantiles(t *testing.T) {
	var x times
	if x.at(0.5) != 0 {
		t.Error("of none it is not 0")
	}
	for i := range 100 {
		x.add(time.Duration(100 - i))
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 50, 0.99: 99, 1: 100} {
		if got := x.at(q); got != want {
			t.Errorf("%v: %d, want %d", q, got, want)
		}
	}
	if x.add(1000); x.at(1) != 1000 {
		t.Error("what was added later is not in")
	}
	for d, want := range map[time.Duration]string{0: "0s", 999: "999ns", 12345: "12.3µs", 123456789: "123ms", 3 * time.Minute: "3m0s"} {
		if got := round(d).String(); got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	b := new(bench)
	b.need("a", "1 s", "2 s", false)
	b.need("b", "1 s", "0.5 s", true)
	b.note("c", "3")
	const want = `| | needed | measured | |
|---|---:|---:|---|
| a | 1 s | 2 s | missed |
| b | 1 s | 0.5 s | met |
| c |  | 3 |  |
`
	if got := table(b.results); got != want || b.missed() != "a" {
		t.Errorf("%q missed, and\n%s", b.missed(), got)
	}
}

// A leaf believes what a copy on disk would believe, and nothing else.
func TestLeafChecks(t *testing.T) {
	l := &leaf{entries: map[string]store.Entry{}}
	record := func(head store.Head, value string) *store.Record {
		r, err := store.Prepare(head, store.Proposal{Kind: store.KindNow, Edits: []store.Edit{{Key: "a", Value: []byte(value)}}}, func(key string) (store.Entry, bool) {
			e, ok := l.entries[key]
			return e, ok
		}, time.Unix(1e9, 0), func() store.Salt { return store.Salt{1} })
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := record(l.Head(), "x")
	if err := l.Apply(t.Context(), []*store.Record{first}); err != nil {
		t.Fatal(err)
	}
	if err := l.Apply(t.Context(), []*store.Record{first}); err == nil {
		t.Error("a record was taken twice")
	}
	second := record(l.Head(), "y")
	l.entries["a"] = store.Entry{Value: []byte("strayed")}
	if err := l.Apply(t.Context(), []*store.Record{second}); err == nil {
		t.Error("a record was put on an entry that it was not made for")
	}
	if len(l.applied) != 1 || l.Head().Version != 1 {
		t.Errorf("%+v at version %d", l.applied, l.Head().Version)
	}
}
