package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	miekg "github.com/miekg/dns"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/nameserver/plugin/trial"
	"github.com/ananas-edge/ananas/wasm"
)

// tried is what a trial has told.
type tried struct {
	ready       chan struct{}
	reports     int
	looked      atomic.Uint64
	differences []string
	end         admin.TrialReport
	err         error
}

// try runs a trial in the background, until it ends.
func try(ctx context.Context, n *Node, r admin.Trial, next func() ([]trial.Message, error)) (*tried, chan struct{}) {
	out, done := &tried{ready: make(chan struct{})}, make(chan struct{})
	go func() {
		defer close(done)
		out.end, out.err = n.TryModule(ctx, r, next, func(l admin.TrialLine) error {
			switch {
			case l.Report != nil:
				out.looked.Store(l.Report.Queries)
				if out.reports++; out.reports == 1 {
					close(out.ready)
				}
			case l.Difference != nil:
				d := l.Difference
				out.differences = append(out.differences, fmt.Sprintf("%s %s %s: %s => %s", d.Phase, d.Name, d.Type, d.Old, d.New))
			}
			return nil
		})
	}()
	return out, done
}

// queries is how many were looked at, as the last report has it.
func (t *tried) queries() uint64 { return t.looked.Load() }

func guestFile(t *testing.T, name, manifest string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "nameserver", "plugin", "testdata", "guests", name+".wasm"))
	if err == nil {
		b, err = wasm.Attach(b, []byte("abi: 1\nversion: '2'\n"+manifest))
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// padded is a module in a file that is not kept in memory.
func padded(b []byte) []byte {
	const n = 100_000
	section := append([]byte{3, 'p', 'a', 'd'}, make([]byte, n)...)
	return append(append(append(b[:len(b):len(b)], 0), binary.AppendUvarint(nil, uint64(len(section)))...), section...)
}

// New versions see what the node answers, the long way and from images, and what it does not answer; those that run notice nothing of that.
func TestTryLive(t *testing.T) {
	b := newBench(t, withActs)
	first := padded([]byte(acts(t, "phases: [query]\n")))
	b.write("acts.wasm", string(first))
	n := b.start()
	b.write("acts.wasm", string(guestFile(t, "clamp", "name: acts\nphases: [answer]\n"))) // what is built next, of which the node was not told
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	atQuery, done1 := try(ctx, n, admin.Trial{Request: trial.Request{Module: "acts", Settings: map[string]string{"all": "yes"}}, Seconds: 3600, Differences: true}, nil)
	atAnswer, done2 := try(ctx, n, admin.Trial{Request: trial.Request{Module: "clamp", Source: guestFile(t, "clamp", "name: clamp\nphases: [answer]\n")}, Seconds: 3600, Differences: true}, nil)
	for _, one := range []*tried{atQuery, atAnswer} {
		select {
		case <-one.ready:
		case <-done1:
			t.Fatal(atQuery.err)
		case <-done2:
			t.Fatal(atAnswer.err)
		}
	}
	askA(t, n, "www.example.com", "192.0.2.80")
	askA(t, n, "www.example.com", "192.0.2.80") // of which a loop may have an image
	ask(t, "tcp", n.Addrs()[0], query("nxdomain.example.com", miekg.TypeA))
	ask(t, "udp", n.Addrs()[0], query("trap.example.com", miekg.TypeA))
	gone := send(t, "udp", n.Addrs()[0], query("drop.example.com", miekg.TypeA))
	defer gone.Close()
	until(t, "all queries are looked at", func() bool { return atQuery.queries() == 5 && atAnswer.queries() == 5 })
	cancel()
	<-done1
	<-done2
	if u, sum := atQuery.end.Uses[0], fmt.Sprintf("%x", sha256.Sum256(first)); u.Old.SHA256 != sum || u.New.SHA256 != sum {
		t.Errorf("%s is compared with %s, and what runs is %s", u.New.SHA256, u.Old.SHA256, sum)
	}
	if u := atQuery.end.Uses[0]; atQuery.err != nil || u.Alike != 3 || u.Differ != 2 || u.Old.Faults != 1 || u.New.Faults != 1 || len(u.Groups) != 1 || atQuery.end.Lost != 0 {
		t.Errorf("phase query: %v, %+v", atQuery.err, atQuery.end)
	}
	if want := "query www.example.com. A: go on => NXDOMAIN ttl=60"; len(atQuery.differences) != 2 || atQuery.differences[0] != want {
		t.Errorf("phase query: %q, want %q", atQuery.differences, want)
	}
	// Of the name that traps there is none, and what acts has said of another is shown, as it would be; to the one that is dropped there is no answer.
	if u := atAnswer.end.Uses[0]; atAnswer.err != nil || u.Differ != 3 || u.Alike != 1 || u.NotReached != 1 || u.Unanswered != 0 || u.Unplaced != 0 || atAnswer.end.Alone != 0 || u.New.Faults != 1 || u.Old.Version != "" {
		t.Errorf("phase answer: %v, %+v", atAnswer.err, atAnswer.end)
	}
	if want := "answer www.example.com. A: go on => records\n    www.example.com. 10 IN A 192.0.2.80"; len(atAnswer.differences) != 3 || atAnswer.differences[0] != want {
		t.Errorf("phase answer: %q, want %q", atAnswer.differences, want)
	}
	if got := metric(t, n, `ananas_wasm_faults_total{cause="trap",module="acts"}`); got != "1" {
		t.Errorf("%s faults are counted as the node's", got)
	}
	if list, err := n.Modules(t.Context()); err != nil || len(list.Modules) != 1 || list.Modules[0].SHA256 != atQuery.end.Uses[0].Old.SHA256 || list.Modules[0].Uses[0].Faults != 1 || list.Modules[0].Uses[0].Verdicts["NXDOMAIN"] != 1 {
		t.Errorf("%v, %+v", err, list)
	}
}

// The time of a trial ends it; so does a version that fails again and again, which harms nobody else.
func TestTryEnds(t *testing.T) {
	b := newBench(t, withActs)
	b.write("acts.wasm", acts(t, "phases: [query]\n"))
	n := b.start()
	short, done := try(t.Context(), n, admin.Trial{Request: trial.Request{Module: "acts"}, Seconds: 0.01}, nil)
	<-done
	if short.err != nil || short.reports == 0 || len(short.end.Uses) != 1 || short.end.Uses[0].Old.SHA256 != short.end.Uses[0].New.SHA256 {
		t.Errorf("%+v", short)
	}

	faulty, done := try(t.Context(), n, admin.Trial{Request: trial.Request{Module: "new", Source: guestFile(t, "hostile", "name: hostile\nphases: [query]\n")}, Messages: true}, sends("spin.example.com", 2*trial.MaxFaults))
	<-done
	var ended *trial.FaultyError
	if !errors.As(faulty.err, &ended) || faulty.end.Uses[0].New.Faults != trial.MaxFaults || ended.Last != "fuel" {
		t.Errorf("%v, %+v", faulty.err, faulty.end)
	}
	if list, err := n.Modules(t.Context()); err != nil || len(list.Modules) != 1 || list.Modules[0].Alarm != "" || list.Modules[0].Uses[0].Faults != 0 || n.modules.warning() != "" {
		t.Errorf("%v, %+v", err, list)
	}
	if n.modules.faulted() != 0 {
		t.Errorf("%d faults are counted as those of queries", n.modules.faulted())
	}
	askA(t, n, "www.example.com", "192.0.2.80")

	refused, done := try(t.Context(), n, admin.Trial{Request: trial.Request{Module: "none"}, Seconds: 1}, nil)
	<-done
	if refused.err == nil || !strings.Contains(refused.err.Error(), `the settings have no module "none"`) || refused.reports != 0 {
		t.Errorf("%+v", refused)
	}
	broken, done := try(t.Context(), n, admin.Trial{Request: trial.Request{Module: "acts"}, Messages: true}, func() ([]trial.Message, error) { return nil, fs.ErrClosed })
	<-done
	if !errors.Is(broken.err, fs.ErrClosed) {
		t.Errorf("%+v", broken)
	}
	if left, err := os.ReadDir(filepath.Join(b.folder, "data", trialFolder)); err != nil || len(left) > 0 {
		t.Errorf("trials leave %v, %v", left, err)
	}
}

// sends is a source of so many queries for a name, ten at a time.
func sends(name string, times int) func() ([]trial.Message, error) {
	b, err := query(name, miekg.TypeA).Pack()
	if err != nil {
		panic(err)
	}
	return func() (all []trial.Message, err error) {
		for ; times > 0 && len(all) < 10; times-- {
			all = append(all, trial.Message{Query: b})
		}
		if len(all) == 0 {
			return nil, io.EOF
		}
		return all, nil
	}
}

// Queries that are sent are looked at with the settings of the node, one of so many, and what can't be read is counted.
func TestTrySent(t *testing.T) {
	b := newBench(t, withActs)
	b.write("acts.wasm", acts(t, "phases: [query]\n"))
	n := b.start()
	one, done := try(t.Context(), n, admin.Trial{Request: trial.Request{Module: "acts", Settings: map[string]string{"all": "yes"}}, Messages: true, Differences: true, OneIn: 3}, sends("www.example.com", 30))
	<-done
	if one.err != nil || one.end.Queries != 10 || one.end.Uses[0].Differ != 10 || len(one.differences) != 10 || one.differences[0] != "query www.example.com. A: go on => NXDOMAIN ttl=60" {
		t.Errorf("%+v", one)
	}
	bad := true
	garbage, done := try(t.Context(), n, admin.Trial{Request: trial.Request{Module: "acts"}, Messages: true}, func() ([]trial.Message, error) {
		if !bad {
			return nil, io.EOF
		}
		bad = false
		return []trial.Message{{Query: []byte("garbage")}, {}}, nil
	})
	<-done
	if garbage.err != nil || garbage.end.Unreadable != 2 || garbage.end.Queries != 0 {
		t.Errorf("%+v", garbage)
	}
}

// A node of a store tries a version with the settings, modules and lists of the store, which it carries, and nothing is committed.
func TestTryOfAStore(t *testing.T) {
	root := newBench(t, storeNode("root1", fmt.Sprintf(`root: "%v"`, freeAddress(t)))).start()
	apply(t, root, `settings: { recursion: { root_hints: "", trust_anchors: none } }`) // and the root is there
	listed := guestFile(t, "listed", "name: listed\nphases: [query]\nneeds: [data/bad]\n")
	done, err := root.settings().Apply(t.Context(), admin.Apply{Author: "ana", Reason: "a test", Now: true, Files: []admin.SettingsFile{{
		Name: "s.yaml", Named: map[string][]byte{"listed.wasm": listed, "bad": []byte("www.example.com\n")},
		Text: `settings: { modules: [{ name: listed, file: listed.wasm }], data: [{ name: bad, file: bad }], plugins: [{ module: listed, phase: query, grant: [data/bad] }] }`,
	}}})
	if err != nil {
		t.Fatal(err)
	}
	inUseAt(t, root, done.Version)
	one, ended := try(t.Context(), root, admin.Trial{Request: trial.Request{Module: "listed", Source: guestFile(t, "acts", "name: listed\nphases: [query]\n")}, Messages: true, Differences: true}, sends("www.example.com", 1))
	<-ended
	if want := []string{"query www.example.com. A: NXDOMAIN ttl=60 => go on"}; one.err != nil || !slices.Equal(one.differences, want) {
		t.Errorf("%v, %q, want %q", one.err, one.differences, want)
	}
	next := []byte("mail.example.com\n")
	sum := sha256.Sum256(next)
	lists := trial.Request{Module: "listed", Lists: map[string]trial.List{"bad": {SHA256: fmt.Sprintf("%x", sum), File: "new.txt"}}}
	one, ended = try(t.Context(), root, admin.Trial{Request: lists, Messages: true}, sends("www.example.com", 1))
	<-ended
	if one.err == nil || !strings.Contains(one.err.Error(), "is not here") {
		t.Errorf("a list that nobody has put there: %v", one.err)
	}
	if err := root.settings().PutBlob(t.Context(), sum, bytes.NewReader(next)); err != nil {
		t.Fatal(err)
	}
	one, ended = try(t.Context(), root, admin.Trial{Request: lists, Messages: true, Differences: true}, sends("www.example.com", 1))
	<-ended
	if want := []string{"query www.example.com. A: NXDOMAIN ttl=60 => go on"}; one.err != nil || !slices.Equal(one.differences, want) || len(one.end.Lists) != 1 {
		t.Errorf("%v, %q, %+v, want %q", one.err, one.differences, one.end.Lists, want)
	}
	if h, err := root.settings().History(t.Context(), admin.HistoryQuery{Limit: 1, Settings: true, Bytes: 1 << 20}); err != nil || len(h.Commits) != 1 || h.Commits[0].Version != done.Version {
		t.Errorf("%+v, %v", h, err)
	}
}
