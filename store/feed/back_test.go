package feed

import (
	"fmt"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/store"
)

// Each is a follower that went to a source named later, and a reason to go back, or to stay.
func TestBack(t *testing.T) {
	const long = 3 * time.Hour
	for _, c := range []struct {
		name string
		do   func(f *fleet)
	}{
		{"a relay that had not heard of the node yet", func(f *fleet) {
			r, relay, n := f.root("root"), f.node("relay"), f.node("n")
			r.commit(store.NodePrefix+"n", "revoked")
			relay.follow("root")
			relay.reaches(f, soon)
			relay.leave()
			r.commit(store.NodePrefix+"n", "again")
			n.follow("relay", "root")
			n.reaches(f, soon)
			n.follows(f, "root")
			relay.follow("root")
			relay.reaches(f, soon)
			f.until(10*time.Second, "it follows the relay", func() bool { return n.follower.State().Source == "relay" })
			r.commit("a", "2")
			n.reaches(f, soon)
			n.snapshots(1)
			if got := n.follower.m.returned.Value(); got != 1 {
				f.Errorf("it has gone back %d times", got)
			}
			time.Sleep(long)
			n.follows(f, "relay")
		}},
		{"a relay that has no copy yet", func(f *fleet) {
			r, relay, n := f.root("root"), f.node("relay"), f.node("n")
			r.commit("a", "1")
			n.follow("relay", "root")
			n.reaches(f, soon)
			n.follows(f, "root")
			relay.follow("root")
			f.until(10*time.Second, "it follows the relay", func() bool { return n.follower.State().Source == "relay" })
		}},
		{"the first of the earlier ones that is of use", func(f *fleet) {
			r, a, n := f.root("root"), f.node("a"), f.node("n")
			r.commit("a", "1")
			n.follow("nobody", "a", "b", "root")
			n.reaches(f, soon)
			n.follows(f, "root")
			f.node("b").follow("root")
			f.until(10*time.Second, "it follows b", func() bool { return n.follower.State().Source == "b" })
			a.follow("root")
			f.until(time.Minute, "it follows a", func() bool { return n.follower.State().Source == "a" })
			time.Sleep(long)
			n.follows(f, "a")
			r.commit("a", "2")
			n.reaches(f, soon)
			n.snapshots(1)
		}},
		{"a relay that was away for long is looked for no more than each five minutes", func(f *fleet) {
			r, relay, n := f.root("root"), f.node("relay"), f.node("n")
			r.commit("a", "1")
			n.follow("relay", "root")
			n.reaches(f, soon)
			time.Sleep(long)
			if n.follows(f, "root"); n.dials() < int(long/(2*lastLook)) || n.dials() > int(long/lastLook)+10 {
				f.Errorf("it has connected %d times in three hours", n.dials())
			}
			relay.follow("root")
			f.until(2*lastLook+lookTime, "it follows the relay", func() bool { return n.follower.State().Source == "relay" })
		}},
		{"a relay that comes and goes is come back to less and less", func(f *fleet) {
			r, relay, n := f.root("root"), f.node("relay"), f.node("n")
			r.commit("a", "1")
			n.follow("relay", "root")
			n.reaches(f, soon)
			for range 90 {
				relay.follow("root")
				time.Sleep(time.Minute)
				relay.leave()
				time.Sleep(time.Minute)
			}
			if got := n.follower.m.returned.Value(); got < 8 || got > uint64(long/lastLook)+10 {
				f.Errorf("it has gone back %d times in three hours", got)
			}
		}},
		{"not to a relay that hears no beats", func(f *fleet) {
			r, relay, n := f.root("root"), f.node("relay"), f.node("n")
			r.commit("a", "1")
			relay.follow("root")
			relay.reaches(f, soon)
			relay.leave()
			n.follow("relay", "root")
			n.reaches(f, time.Minute)
			f.until(time.Minute, "it follows the root", func() bool { return n.follower.State().Source == "root" })
			time.Sleep(long)
			n.follows(f, "root")
			if got := n.follower.m.returned.Value(); got != 0 {
				f.Errorf("it has gone back %d times", got)
			}
			relay.follow("root")
			f.until(2*lastLook+lookTime, "it follows the relay", func() bool { return n.follower.State().Source == "relay" })
		}},
		{"not to a relay that does not come on", func(f *fleet) {
			r, relay, n := f.root("root"), f.node("relay"), f.node("n")
			r.commit("a", "1")
			relay.follow("root")
			relay.reaches(f, soon)
			n.follow("relay", "root")
			n.reaches(f, soon)
			relay.full.Store(true)
			r.commit("a", "2")
			n.reaches(f, 2*Stall)
			time.Sleep(long)
			n.follows(f, "root")
			if got := n.follower.m.returned.Value(); got != 0 {
				f.Errorf("it has gone back %d times", got)
			}
			relay.full.Store(false)
			f.until(2*lastLook+lookTime, "it follows the relay", func() bool { return n.follower.State().Source == "relay" })
		}},
		{"not to a relay that follows this node", func(f *fleet) {
			r, a, b := f.root("root"), f.node("a"), f.node("b")
			r.commit("a", "1")
			a.follow("b", "root")
			a.reaches(f, soon)
			b.follow("a")
			b.reaches(f, soon)
			time.Sleep(long)
			a.follows(f, "root")
			b.follows(f, "a")
			if got := a.follower.m.returned.Value(); got != 0 {
				f.Errorf("it has gone back %d times", got)
			}
		}},
		{"not while it takes what it lacks", func(f *fleet) {
			r, relay, n := f.root("root"), f.node("relay"), f.node("n")
			r.commit("a", "1")
			n.follow("root")
			n.reaches(f, soon)
			n.leave()
			r.fill(200)
			n.delay.Store(int64(time.Second))
			n.follow("relay", "root")
			f.until(10*time.Second, "it follows the root", func() bool { return n.follower.State().Source == "root" })
			n.delay.Store(0)
			relay.follow("root")
			relay.reaches(f, soon)
			if n.copy.View().Head() == f.head {
				f.Fatal("it was too fast")
			}
			f.until(2*lastLook, "it follows the relay", func() bool { return n.follower.State().Source == "relay" })
			if n.reaches(f, 0); relay.source.m.octets.Value() != 0 {
				f.Error("it has taken from the relay what the root was sending")
			}
		}},
		{"the first is looked for by nobody who follows it", func(f *fleet) {
			r, n := f.root("root"), f.node("n")
			f.root("second")
			r.commit("a", "1")
			n.follow("root", "second")
			n.reaches(f, soon)
			time.Sleep(long)
			if n.dials() != 1 {
				f.Errorf("it has connected %d times", n.dials())
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) { onFakeTime(t, c.do) })
	}
}

// follows checks whom a node follows, and by whom.
func (n *fleetNode) follows(f *fleet, source string) {
	f.Helper()
	if s := n.follower.State(); s.Source != source || len(s.Path) == 0 || s.Path[len(s.Path)-1] != source {
		f.Fatalf("%s follows %q by %s: %v", n.name, s.Source, fmt.Sprint(s.Path), s.Err)
	}
}
