package feed

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/store"
)

// memory is what the heap and the stacks have, without garbage.
func memory() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// A commit is put into its form once at each source for all who may read the same, however many follow: 1,000 here, through two tiers of relays.
func TestRecordsAreEncodedOnce(t *testing.T) {
	followers, commits := 1000, 40
	if testing.Short() {
		followers = 100
	}
	for _, classes := range []int{1, 2} {
		onFakeTime(t, func(f *fleet) {
			r := f.root("root")
			access := "x x/\n"
			for i := range followers {
				if i%classes == 1 {
					access += fmt.Sprintf("n%d s/\n", i)
				}
			}
			r.commit("a", "1", store.AccessKey, access)
			relays := []*fleetNode{}
			for i := range 4 {
				relay := f.node(fmt.Sprint("first", i))
				relay.follow("root")
				relays = append(relays, relay)
			}
			time.Sleep(soon)
			for i := range 20 {
				relay := f.node(fmt.Sprint("second", i))
				relay.follow(fmt.Sprint("first", i%4))
				relays = append(relays, relay)
			}
			time.Sleep(soon)
			before := memory()
			var leaves []*fleetNode
			for i := range followers {
				n := f.node(fmt.Sprint("n", i))
				n.follow(fmt.Sprint("second", i%20))
				leaves = append(leaves, n)
			}
			level := func() bool {
				for _, n := range leaves {
					if n.copy.View().Head() != f.head {
						return false
					}
				}
				return true
			}
			f.until(30*time.Second, "all have begun", level)
			after := memory()
			f.Logf("%d followers, %d ways to read: %d octets for each, of both sides, with its copy", followers, classes, (after-before)/uint64(followers))
			sent := map[*fleetNode]uint64{}
			for _, n := range append(relays, r) {
				sent[n] = n.source.m.encodings.Value()
			}
			for i := range commits {
				r.commit("a", fmt.Sprint("x", i), "s/a", fmt.Sprint("y", i))
				f.until(soon, "all have the commit", level)
			}
			for i, n := range append(relays, r) {
				most := uint64(commits)
				if last := i >= 4 && i < 24; last {
					most *= uint64(classes)
				}
				if got := n.source.m.encodings.Value() - sent[n]; got == 0 || got > most {
					f.Errorf("%s encoded %d times for %d commits; it may be %d times", n.name, got, commits, most)
				}
			}
			if taken := leaves[0].follower.m.records.Value(); taken < uint64(commits) {
				f.Errorf("a leaf has taken %d records", taken)
			}
		})
	}
}

// What a follower costs its source, measured with peers that take everything and keep nothing.
func TestMemoryOfASession(t *testing.T) {
	onFakeTime(t, func(f *fleet) {
		r := f.root("root")
		r.commit("a", "1")
		const peers = 1000
		before := memory()
		all := make([]*raw, peers)
		for i := range all {
			all[i] = f.raw(fmt.Sprint("n", i), "root", down)
			all[i].hello(good(f))
			if t, _ := all[i].hears(); t != typeWelcome {
				f.Fatal("a peer is not welcome")
			}
		}
		time.Sleep(time.Second / 2)
		each := (memory() - before) / peers
		f.Logf("%d octets for each of %d followers, of which 4096 and a pipe are the test's", each, peers)
		if each > 64<<10 {
			f.Errorf("a follower takes %d octets of its source", each)
		}
		for _, p := range all {
			p.conn.Close()
		}
	})
}
