package feed

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/internal/pipe"
	"github.com/ananas-edge/ananas/store"
)

const soon = 3 * time.Second

// Each is a way in which a node may come to have what the store has.
func TestFollow(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(f *fleet)
	}{
		{"from nothing, then record by record, through two tiers", func(f *fleet) {
			r, relay, n := f.root("root"), f.node("relay"), f.node("n")
			r.commit("a", "1")
			relay.follow("root")
			relay.reaches(f, soon)
			n.follow("relay")
			n.reaches(f, soon)
			for i := range 20 {
				r.commit("a", fmt.Sprint("x", i), "b", fmt.Sprint("y", i))
				n.reaches(f, 100*time.Millisecond)
			}
			n.snapshots(1)
			if path := n.follower.State().Path; fmt.Sprint(path) != "[root relay]" {
				f.Errorf("it follows by %q", path)
			}
		}},
		{"a node that was away goes on where it was", func(f *fleet) {
			r, n := f.root("root"), f.node("n")
			r.commit("a", "1")
			n.follow("root")
			n.reaches(f, soon)
			n.leave()
			for i := range 300 {
				r.commit("a", fmt.Sprint("x", i), fmt.Sprint("k", i%7), strings.Repeat("v", i))
			}
			n.restart()
			n.follow("root")
			n.reaches(f, soon)
			n.snapshots(0)
		}},
		{"a node that was away for longer than the log reaches takes a snapshot", func(f *fleet) {
			r, n := f.root("root", func(n *fleetNode) { n.options.LogBytes = 1 }), f.node("n")
			r.commit("a", "1")
			n.follow("root")
			n.reaches(f, soon)
			n.leave()
			for i := range 50 {
				r.commit("a", fmt.Sprint("x", i))
			}
			n.follow("root")
			n.reaches(f, soon)
			n.snapshots(1)
			r.commit("a", "last")
			n.reaches(f, soon)
			n.snapshots(1)
		}},
		{"a strayed node at the version of its source", func(f *fleet) { strays(f, 6, 6) }},
		{"a strayed node behind its source", func(f *fleet) { strays(f, 6, 9) }},
		{"a strayed node ahead of its source", func(f *fleet) { strays(f, 6, 4) }},
		{"a node ahead of its relay waits for it", func(f *fleet) {
			r, relay, n := f.root("root"), f.node("relay"), f.node("n")
			r.commit("a", "1")
			relay.follow("root")
			relay.reaches(f, soon)
			relay.leave()
			r.commit("a", "2")
			n.follow("root")
			n.reaches(f, soon)
			n.leave()
			n.follow("relay")
			for range 3 {
				time.Sleep(2 * time.Second)
				n.reaches(f, 0)
			}
			relay.follow("root")
			r.commit("a", "3")
			n.reaches(f, soon)
			n.snapshots(0)
			n.leave()
			if n.dials() != 2 {
				f.Errorf("it has connected %d times", n.dials())
			}
		}},
		{"and so does one whose access was changed while it was away", func(f *fleet) {
			r, relay, n := f.root("root"), f.node("relay"), f.node("n")
			r.commit("a", "1", "s/a", "1")
			r.commit(store.AccessKey, "n s/\n")
			relay.follow("root")
			relay.reaches(f, soon)
			relay.leave()
			r.commit(store.AccessKey, "others s/\n")
			n.follow("root")
			n.reaches(f, soon)
			n.leave()
			n.follow("relay")
			time.Sleep(5 * time.Second)
			n.reaches(f, 0)
			relay.follow("root")
			n.reaches(f, 5*time.Second)
			if err := n.follower.State().Err; err != nil {
				f.Error(err)
			}
		}},
		{"another lineage, signed, while connected; its versions are lower", func(f *fleet) {
			r, relay, n := f.root("root"), f.node("relay"), f.node("n")
			for i := range 9 {
				r.commit("a", fmt.Sprint(i))
			}
			relay.follow("root")
			n.follow("relay")
			n.reaches(f, soon)
			f.head = store.Head{Lineage: store.Lineage{2}}
			f.entries = map[string]store.Entry{}
			f.record("b", "1")
			r.mu.Lock()
			r.statement = signed(f.head.Lineage)
			r.mu.Unlock()
			r.replace(f.head, f.entries)
			n.reaches(f, 5*time.Second)
			r.commit("b", "2")
			n.reaches(f, soon)
		}},
		{"another lineage that nobody has signed", func(f *fleet) {
			r, n := f.root("root"), f.node("n")
			r.commit("a", "1")
			n.follow("root")
			n.reaches(f, soon)
			before := f.head
			f.head = store.Head{Lineage: store.Lineage{2}}
			f.entries = map[string]store.Entry{}
			f.record("b", "1")
			r.mu.Lock()
			r.statement = []byte("mallory")
			r.mu.Unlock()
			r.replace(f.head, f.entries)
			time.Sleep(time.Minute)
			var other *LineageError
			if err := n.follower.State().Err; !errors.As(err, &other) || other.Hint() == "" {
				f.Errorf("it says %v", err)
			}
			if n.copy.View().Head() != before {
				f.Errorf("it is at %+v", n.copy.View().Head())
			}
			if n.dials() > 25 {
				f.Errorf("it has connected %d times in a minute", n.dials())
			}
		}},
		{"a source without a copy sends on", func(f *fleet) {
			r, n := f.root("root"), f.node("n")
			f.node("empty")
			r.commit("a", "1")
			n.follow("empty", "root")
			n.reaches(f, soon)
		}},
		{"a source that dies in the middle of a snapshot is left for the next", func(f *fleet) {
			r, relay, n := f.root("root"), f.node("relay"), f.node("n")
			r.fill(60)
			relay.follow("root")
			relay.reaches(f, soon)
			before := r.source.m.octets.Value()
			n.delay.Store(int64(500 * time.Millisecond))
			n.follow("root", "relay")
			f.until(10*time.Second, "a part of the snapshot has come", func() bool { return r.source.m.octets.Value() > before+1<<20 })
			n.links((*pipe.Link).Cut)
			n.delay.Store(int64(0))
			if sent := r.source.m.octets.Value() - before; sent > 3<<20 {
				f.Errorf("%d octets were sent already", sent)
			}
			n.reaches(f, soon)
			n.snapshots(1)
			if path := n.follower.State().Path; fmt.Sprint(path) != "[root relay]" {
				f.Errorf("it follows by %q", path)
			}
		}},
		{"a snapshot during which commits go on", func(f *fleet) {
			r, n := f.root("root"), f.node("n")
			r.fill(40)
			n.delay.Store(int64(200 * time.Millisecond))
			n.follow("root")
			f.until(soon, "the snapshot has begun", func() bool { return r.source.m.octets.Value() > 0 })
			for i := range 50 {
				r.commit("a", fmt.Sprint(i), fmt.Sprintf("big/%04d", i%40), fmt.Sprint(i))
				time.Sleep(50 * time.Millisecond)
			}
			n.reaches(f, soon)
			n.snapshots(1)
		}},
		{"a full disk while records come", func(f *fleet) {
			r, n := f.root("root"), f.node("n")
			r.commit("a", "1")
			n.follow("root")
			n.reaches(f, soon)
			n.full.Store(true)
			at := n.copy.View().Head()
			for i := range 200 { // more than a follower reads ahead
				r.commit("a", fmt.Sprint("x", i))
				time.Sleep(100 * time.Millisecond)
			}
			if n.copy.View().Head() != at {
				f.Errorf("it has version %d on a full disk", n.copy.View().Head().Version)
			}
			var hint interface{ Hint() string }
			if err := n.follower.State().Err; !errors.As(err, &hint) || !strings.Contains(hint.Hint(), "make room") {
				f.Errorf("it says %v", err)
			}
			n.full.Store(false)
			n.reaches(f, soon)
			n.snapshots(1)
			if n.follower.State().Err != nil || n.dials() != 1 {
				f.Errorf("it says %v, and has connected %d times", n.follower.State().Err, n.dials())
			}
		}},
		{"a full disk when a snapshot has come", func(f *fleet) {
			r, n := f.root("root"), f.node("n")
			r.fill(20)
			n.full.Store(true)
			n.follow("root")
			time.Sleep(20 * time.Second)
			if n.copy.View().Head().Version != 0 {
				f.Error("it has something on a full disk")
			}
			n.full.Store(false)
			n.reaches(f, soon)
			if n.dials() != 1 || r.source.m.snapshots.Value() != 1 {
				f.Errorf("it has connected %d times, for %d snapshots", n.dials(), r.source.m.snapshots.Value())
			}
		}},
		{"a fingerprint of its access that can't be written down", func(f *fleet) {
			r, n := f.root("root"), f.node("n")
			r.commit("a", "1")
			n.noFile = true // nobody looks yet
			n.follow("root")
			time.Sleep(20 * time.Second)
			n.mu.Lock()
			n.noFile = false
			n.mu.Unlock()
			n.reaches(f, soon)
			if sent := r.source.m.snapshots.Value(); sent != 1 {
				f.Errorf("%d snapshots were sent", sent)
			}
		}},
		{"a slow follower keeps nobody waiting, and comes on when it can", func(f *fleet) {
			r, slow, n := f.root("root"), f.node("slow"), f.node("n")
			r.commit("a", "1")
			slow.follow("root")
			n.follow("root")
			slow.reaches(f, soon)
			slow.links(func(l *pipe.Link) { l.Hold(true) })
			for i := range 100 {
				r.commit(fmt.Sprint("k", i%10), strings.Repeat("v", 40<<10+i))
				n.reaches(f, soon)
			}
			slow.reaches(f, 15*time.Second)
			slow.snapshots(1)
			f.until(time.Minute, "it is one follower", func() bool { return fmt.Sprint(r.source.Followers()) == "[n slow]" })
		}},
	} {
		t.Run(c.name, func(t *testing.T) { onFakeTime(t, c.do) })
	}
}

// strays has a node stray from version 3 on, up to a version, while its source is at another one. One snapshot mends it.
func strays(f *fleet, node, source int) {
	r, n := f.root("root"), f.node("n")
	for i := range 3 {
		r.commit("a", fmt.Sprint(i))
	}
	n.follow("root")
	n.reaches(f, soon)
	n.leave()
	wrong := f.fork()
	for i := 3; i < node; i++ {
		n.apply(wrong.record("a", fmt.Sprint("wrong", i), fmt.Sprint("w", i), "1"))
	}
	for i := 3; i < source; i++ {
		r.commit("a", fmt.Sprint("right", i))
	}
	n.follow("root")
	for i := source; i <= node; i++ {
		time.Sleep(time.Second)
		r.commit("a", fmt.Sprint("later", i))
	}
	n.reaches(f, soon)
	n.snapshots(1)
	r.commit("a", "last")
	n.reaches(f, soon)
	n.snapshots(1)
	if n.dials() != 2 {
		f.Errorf("it has connected %d times", n.dials())
	}
}

// What a node may not read does not reach it, whatever the order of things.
func TestAccess(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(f *fleet, r, n *fleetNode)
	}{
		{"from the beginning", func(f *fleet, r, n *fleetNode) {
			r.commit(store.AccessKey, "n s/\n")
			r.commit("s/a", "SECRET", "a", "1")
			n.follow("root")
			n.reaches(f, soon, "s/")
			r.commit("s/b", "SECRET", "b", "1")
			r.commit("s/a", "", "b", "2")
			n.reaches(f, soon, "s/")
			n.snapshots(1)
		}},
		{"narrowed while connected", func(f *fleet, r, n *fleetNode) {
			r.commit("s/a", "1", "a", "1")
			n.follow("root")
			n.reaches(f, soon)
			r.commit(store.AccessKey, "n s/\n")
			r.commit("s/a", "SECRET") // at once
			n.reaches(f, soon, "s/")
			n.snapshots(2)
		}},
		{"narrowed by the very commit that has the secret", func(f *fleet, r, n *fleetNode) {
			r.commit("s/a", "1", "a", "1")
			n.follow("root")
			n.reaches(f, soon)
			r.commit(store.AccessKey, "n s/\n", "s/a", "SECRET")
			n.reaches(f, soon, "s/")
		}},
		{"narrowed in the middle of many records", func(f *fleet, r, n *fleetNode) {
			r.commit("s/a", "1", "a", "1")
			n.follow("root")
			n.reaches(f, soon)
			n.links(func(l *pipe.Link) { l.Hold(true) })
			for i := range 20 {
				r.commit("a", strings.Repeat("x", i+1))
			}
			r.commit(store.AccessKey, "n s/\n")
			for i := range 20 {
				r.commit("a", strings.Repeat("y", i+1), "s/a", fmt.Sprint("SECRET", i))
			}
			n.links(func(l *pipe.Link) { l.Hold(false) })
			n.reaches(f, soon, "s/")
		}},
		{"narrowed while away", func(f *fleet, r, n *fleetNode) {
			r.commit("s/a", "1", "a", "1")
			n.follow("root")
			n.reaches(f, soon)
			n.leave()
			r.commit(store.AccessKey, "n s/\n")
			r.commit("s/a", "SECRET")
			n.follow("root")
			n.reaches(f, soon, "s/")
			n.snapshots(1)
		}},
		{"narrowed while a snapshot is sent", func(f *fleet, r, n *fleetNode) {
			r.fill(40)
			r.commit("z/a", "SECRET")
			n.delay.Store(int64(500 * time.Millisecond))
			n.follow("root")
			f.until(soon, "the snapshot has begun", func() bool { return r.source.m.octets.Value() > 0 })
			n.links(func(l *pipe.Link) { l.Hold(true) })
			r.commit(store.AccessKey, "n z/\n")
			time.Sleep(time.Second)
			n.links(func(l *pipe.Link) { l.Hold(false) })
			n.reaches(f, 15*time.Second, "z/")
			n.snapshots(1)
		}},
		{"widened while connected, and while away", func(f *fleet, r, n *fleetNode) {
			r.commit(store.AccessKey, "n s/\nn u/\n")
			r.commit("s/a", "1", "a", "1", "u/a", "SECRET")
			n.follow("root")
			n.reaches(f, soon, "s/", "u/")
			r.commit(store.AccessKey, "n u/\n")
			n.reaches(f, soon, "u/")
			n.leave()
			r.commit(store.AccessKey, "n s/\nn u/\n")
			n.follow("root")
			n.reaches(f, soon, "s/", "u/")
			n.leave()
			r.commit(store.AccessKey, "n u/\n")
			n.follow("root")
			n.reaches(f, soon, "u/")
		}},
		{"revoked, and then there is a secret", func(f *fleet, r, n *fleetNode) {
			r.commit("a", "1")
			n.follow("root")
			n.reaches(f, soon)
			r.commit(store.NodePrefix+"n", "revoked")
			r.commit("a", "SECRET")
			f.until(soon, "it hears of it", func() bool { return n.follower.State().Err != nil })
			var g *Goodbye
			if err := n.follower.State().Err; !errors.As(err, &g) || g.Code != "revoked" || g.Hint() != "ask ada" || !strings.Contains(err.Error(), `"n" was revoked`) {
				f.Errorf("it says %v", err)
			}
			time.Sleep(time.Minute)
		}},
		{"revoked in the middle of a snapshot", func(f *fleet, r, n *fleetNode) {
			r.fill(40)
			r.commit("z", "SECRET")
			n.delay.Store(int64(500 * time.Millisecond))
			n.follow("root")
			f.until(soon, "the snapshot has begun", func() bool { return r.source.m.octets.Value() > 0 })
			n.links(func(l *pipe.Link) { l.Hold(true) })
			r.commit(store.NodePrefix+"n", "revoked")
			time.Sleep(time.Second)
			n.links(func(l *pipe.Link) { l.Hold(false) })
			f.until(15*time.Second, "it hears of it", func() bool {
				var g *Goodbye
				return errors.As(n.follower.State().Err, &g) && g.Code == "revoked"
			})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			onFakeTime(t, func(f *fleet) {
				r, n := f.root("root"), f.node("n")
				n.read = new(bytes.Buffer)
				c.do(f, r, n)
				n.leave()
				if bytes.Contains(n.read.Bytes(), []byte("SECRET")) {
					f.Error("what it may not read has reached it")
				}
			})
		})
	}
}
