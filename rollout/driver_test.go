package rollout

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ananas-edge/ananas/telemetry"
)

// A thousand nodes at twenty sites. What is bad reaches one node of each site and is taken back by itself, with the reason; what is good is live everywhere.
func TestFleet(t *testing.T) {
	const nodes, sites = 1000, 20
	for _, c := range []struct {
		harm         harm
		idle, probed bool
		state        State
		why          string
		most         time.Duration
	}{
		{harmless, false, false, Passed, "queries", 4*31*time.Second + settle},
		{harmless, false, true, Passed, "queries and the probe", 4*31*time.Second + settle},
		{harmless, true, true, Passed, "the probe at 1000 of 1000 nodes", 4*31*time.Second + settle},
		{harmless, true, false, Paused, "0 queries with the change, 200 are needed, and there is no probe", 6 * time.Minute},
		{failing, false, false, Failed, "failed queries: ", 30 * time.Second},
		{slow, false, false, Failed, "median latency: up to 1", 30 * time.Second},
		{panicking, false, false, Failed, "panics: ", 30 * time.Second},
		{crashing, true, false, Failed, "restart at n0", 15 * time.Second},
		{cutting, true, false, Failed, "silence at n0", 40 * time.Second},
		{uncompiled, true, false, Failed, "(site s0", 15 * time.Second},
		{unanswered, true, true, Failed, "no reply, against a pass (the same nodes before)", 20 * time.Second},
	} {
		t.Run(fmt.Sprintf("%s, idle %v, probe %v", c.harm, c.idle, c.probed), func(t *testing.T) {
			w := newWorld(t, 1, nodes, sites)
			w.idle, w.probed = c.idle, c.probed
			d := w.driver()
			w.open("42", c.harm, "forward/corp.example")
			w.run(d, c.most)
			r := w.docs["42"]
			if r.State != c.state || !strings.Contains(r.Why, c.why) {
				t.Errorf("%s, not %v for %q", w.story("42"), c.state, c.why)
			}
			switch c.state {
			case Passed:
				if w.live["42"] != 1 || w.widest["42"] != nodes || r.Wave != 3 {
					t.Errorf("live %d times, at %d nodes, after wave %d", w.live["42"], w.widest["42"], r.Wave)
				}
			case Failed:
				if w.widest["42"] > sites || w.live["42"] != 0 || r.Wave != 0 || len(r.Evidence.Figures) == 0 {
					t.Errorf("it has reached %d nodes at %d sites, in wave %d: %+v", w.widest["42"], sites, r.Wave, r.Evidence)
				}
			}
			for _, n := range w.nodes {
				if len(n.sets) > 0 && !r.State.Open() && !n.cut {
					t.Fatalf("%s holds it after it has ended", n.name)
				}
			}
		})
	}
}

// Nodes that are taken out of the fleet while they hold a change have not fallen silent because of it: nothing is withdrawn, and nothing waits for them.
func TestTakenOut(t *testing.T) {
	w := newWorld(t, 1, 12, 3)
	w.idle, w.probed = true, true
	d := w.driver()
	w.open("42", harmless, "a")
	taken := 0
	for w.docs["42"].State.Open() && w.now.Before(wall.Add(10*time.Minute)) {
		w.second()
		d.look(context.Background())
		r := w.docs["42"]
		if taken > r.Wave || r.State != Baking {
			continue
		}
		for _, n := range w.nodes { // one in each wave, before it is over
			if n.gone.IsZero() && n.told.Equal(w.now) && has(n.sets, "42") && w.now.Sub(r.Since) > 20*time.Second {
				n.gone = w.now
				taken++
				break
			}
		}
	}
	if r := w.docs["42"]; r.State != Passed || taken != 4 || w.now.Sub(wall) > 4*31*time.Second+settle {
		t.Errorf("%s, with %d taken out", w.story("42"), taken)
	}
}

var seeds = flag.Int("seeds", 300, "how many runs are made in which drivers die")

// The driver dies at any moment, commits are lost, done and not reported, done later. No wave is skipped, none passes before its time under the driver that says so, nothing ends twice (world.check
// says all that at each commit), and each rollout ends.
func TestDriversDie(t *testing.T) {
	outcomes := make(map[string]int)
	deaths, lost := 0, 0
	for seed := range uint64(*seeds) {
		w := newWorld(t, seed, 12, 3)
		h := []harm{harmless, harmless, failing, crashing, cutting, uncompiled, unanswered}[w.rng.IntN(7)]
		w.idle, w.probed, w.coldTell = w.rng.IntN(3) == 0, true, w.rng.IntN(2) == 0
		if h == failing {
			w.idle = false
		}
		faulty := true
		w.fault = func() fault {
			if !faulty || w.rng.IntN(2) == 0 {
				return committed
			}
			lost++
			return fault(w.rng.IntN(5))
		}
		w.open("42", h, "a")
		w.open("43", harmless, "a", "b")
		d := w.driver()
		for w.now.Before(wall.Add(40 * time.Minute)) {
			if w.now.After(wall.Add(5 * time.Minute)) {
				faulty = false // from here on all must end
			}
			w.second()
			d.look(context.Background())
			if faulty && w.rng.IntN(40) == 0 {
				deaths++
				zombie := d
				for range w.rng.IntN(12) {
					w.second()
				}
				d = w.driver()
				if w.rng.IntN(2) == 0 {
					zombie.look(context.Background()) // it does not know yet; whatever it commits is refused
				}
			}
			if !w.docs["42"].State.Open() && !w.docs["43"].State.Open() {
				break
			}
		}
		for _, id := range w.order {
			outcomes[string(w.harms[id])+" "+w.docs[id].State.String()]++
			if w.docs[id].State.Open() || w.ends[id] != 1 || w.live[id] > 0 != (w.docs[id].State == Passed) {
				t.Fatalf("seed %d: rollout %s (%s): %s; ended %d times, live %d times", seed, id, w.harms[id], w.story(id), w.ends[id], w.live[id])
			}
			if w.harms[id] != harmless && (w.docs[id].State != Failed || w.widest[id] > 3) {
				t.Fatalf("seed %d: rollout %s (%s): %s; at %d nodes", seed, id, w.harms[id], w.story(id), w.widest[id])
			}
		}
	}
	t.Logf("%d deaths, %d commits with a fault: %v", deaths, lost, outcomes)
	if deaths < *seeds || lost < *seeds {
		t.Errorf("%d deaths and %d faults try nothing", deaths, lost)
	}
}

func TestQueue(t *testing.T) {
	w := newWorld(t, 1, 30, 3)
	d := w.driver()
	w.open("42", harmless, "a", "b")
	w.open("43", harmless, "b", "c")
	w.open("44", harmless, "d")
	w.open("45", harmless, "c") // shares nothing with 42, but must not overtake 43
	for range 15 {
		w.second()
		d.look(t.Context())
	}
	for id, want := range map[ID]State{"42": Baking, "43": Queued, "44": Baking, "45": Queued} {
		if got := w.docs[id].State; got != want {
			t.Errorf("%s is %v, not %v", id, got, want)
		}
	}
	if p, ok := d.Progress("43"); !ok || p.Waiting != "it waits for rollout 42, which changes the same" {
		t.Errorf("43: %+v", p)
	}
	w.run(d, 10*time.Minute)
	for _, id := range w.order {
		if w.docs[id].State != Passed {
			t.Errorf("%s: %s", id, w.story(id))
		}
	}
	// A bad one that is withdrawn frees the queue.
	w.open("50", crashing, "a")
	w.open("51", harmless, "a")
	w.run(d, 10*time.Minute)
	if w.docs["50"].State != Failed || w.docs["51"].State != Passed {
		t.Errorf("50: %s\n51: %s", w.story("50"), w.story("51"))
	}
	// One that is ended by somebody else, as a change to all nodes at once does, is let go of.
	w.open("60", harmless, "a")
	w.open("61", harmless, "a")
	w.run(d, 5*time.Second)
	w.docs["60"] = Abort(w.docs["60"], "a change to all nodes at once has changed a", "alice", w.now)
	w.run(d, 10*time.Minute)
	if w.docs["60"].State != Aborted || w.ends["60"] != 0 || w.docs["61"].State != Passed || len(d.known) != 0 {
		t.Errorf("60: %s\n61: %s, %d remembered", w.story("60"), w.story("61"), len(d.known))
	}
}

// What the driver does once a second in a fleet of 10,000 nodes at 300 sites, with a rollout at half of them.
func BenchmarkLook(b *testing.B) {
	w := newWorld(b, 1, 10_000, 300)
	d := w.driver()
	w.open("42", harmless, "a")
	w.run(d, settle+2*time.Second)
	w.docs["42"].Wave = 2
	w.second()
	b.ReportAllocs()
	for b.Loop() {
		d.look(b.Context())
	}
	if w.docs["42"].State != Baking {
		b.Fatal(w.story("42"))
	}
}

func TestCommands(t *testing.T) {
	ctx := t.Context()
	w := newWorld(t, 1, 30, 3)
	d := w.driver()
	w.open("42", harmless, "a")
	w.open("43", harmless, "a")
	steps := func(n int) {
		for range n {
			w.second()
			d.look(ctx)
		}
	}
	try := func(what string, f func(context.Context, ID, string, string) (*Rollout, error), id ID, want string) {
		t.Helper()
		r, err := f(ctx, id, "alice", "because")
		got := fmt.Sprint(err)
		if err == nil {
			got = r.State.String() + ", " + r.Why
			if !same(t, r, w.docs[id]) {
				t.Errorf("%s %s: what was returned is not what was committed", what, id)
			}
		}
		if got != want {
			t.Errorf("%s %s: %s, not %s", what, id, got, want)
		}
		var hinted interface{ Hint() string }
		if err != nil && (!errors.As(err, &hinted) || hinted.Hint() == "") {
			t.Errorf("%s %s: no hint with %v", what, id, err)
		}
	}
	steps(12)
	try("pause", d.Pause, "43", "rollout 43 is queued: there is nothing to pause")
	try("promote", d.Promote, "43", "rollout 43 is queued: there is nothing to promote")
	try("pause", d.Pause, "99", `there is no rollout "99"`)
	try("resume", d.Resume, "42", "rollout 42 is baking: there is nothing to resume")
	try("pause", d.Pause, "42", "paused, paused by alice: because")
	try("pause", d.Pause, "42", "rollout 42 is paused already")
	steps(600)
	if r := w.docs["42"]; r.State != Paused || r.Wave != 0 {
		t.Errorf("it does not stay paused: %s", w.story("42"))
	}
	try("resume", d.Resume, "42", "baking, resumed by alice: because")
	steps(29)
	if w.docs["42"].Wave != 0 {
		t.Error("the wave did not begin anew when it was resumed")
	}
	steps(2)
	if w.docs["42"].Wave != 1 {
		t.Error("the wave did not go on")
	}
	if _, err := d.Promote(ctx, "42", "alice", ""); err == nil || err.Error() != "to promote a rollout needs a reason" {
		t.Errorf("%v", err)
	}
	try("promote", d.Promote, "42", "passed, promoted past its gates by alice: because")
	try("abort", d.Abort, "42", "rollout 42 is passed already")
	try("abort", d.Abort, "43", "aborted, aborted by alice: because")
	w.open("44", crashing, "a")
	w.docs["44"].Plan.Waves = []Wave{Canary, All}
	steps(1)
	try("pause", d.Pause, "44", "paused, paused by alice: because")
	steps(1)
	if r := w.docs["44"]; r.State != Failed {
		t.Errorf("what is paused and fails is not withdrawn: %s", w.story("44"))
	}
	d.end()
	if _, err := d.Abort(ctx, "44", "", ""); !errors.Is(err, ErrNotDriving) {
		t.Errorf("%v", err)
	}
}

// A machine that was suspended for a minute finds every node silent. Nothing is withdrawn for that.
func TestStall(t *testing.T) {
	w := newWorld(t, 1, 10, 2)
	d := w.driver()
	w.open("42", harmless, "a")
	for w.docs["42"].Wave < 3 {
		w.second()
		d.look(t.Context())
	}
	w.now = w.now.Add(time.Minute)
	d.look(t.Context())
	if w.docs["42"].State != Baking {
		t.Fatal(w.story("42"))
	}
	w.run(d, 29*time.Second)
	if w.docs["42"].State != Baking {
		t.Errorf("it goes by what it saw before: %s", w.story("42"))
	}
	w.run(d, 3*time.Second)
	if w.docs["42"].State != Passed || d.m.stalls.Value() != 1 {
		t.Errorf("%s, %d stalls", w.story("42"), d.m.stalls.Value())
	}
}

// A share of a small fleet may reach nobody. Somebody goes first all the same.
func TestSmallFleet(t *testing.T) {
	for nodes := range 5 {
		w := newWorld(t, 1, nodes, 1)
		w.idle, w.probed = true, true
		d := w.driver()
		w.open("42", harmless, "a")
		w.docs["42"].Plan.Waves = []Wave{1, All}
		w.run(d, 5*time.Minute)
		want := Passed
		if nodes == 0 {
			want = Queued
		}
		if w.docs["42"].State != want {
			t.Errorf("%d nodes: %s", nodes, w.story("42"))
		}
	}
}

// ticking is a world on the clock of the standard library: it is as far as that when the driver looks.
type ticking struct{ *seat }

func (w ticking) Open(ctx context.Context) ([]*Rollout, error) {
	for w.now.Before(time.Now()) {
		w.second()
	}
	return w.seat.Open(ctx)
}

// The loop, on the clock of the standard library: it looks once a second, and ends with its context.
func TestLead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 10, 2)
		w.now = time.Now()
		for _, n := range w.nodes {
			n.told = w.now
		}
		w.open("42", harmless, "a")
		seat := w.driver().subject.(*seat)
		metrics := telemetry.NewMetrics()
		d := NewDriver(Config{Subject: ticking{seat}, Health: seat, Metrics: metrics})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			d.Lead(ctx)
			close(done)
		}()
		time.Sleep(settle + 10*Tick)
		synctest.Wait()
		if p, ok := d.Progress("42"); !ok || p.Elapsed != 10*Tick || p.Holders.Holding != 2 || !strings.Contains(p.Waiting, "it is watched for 30s, 10s of that are over") {
			t.Errorf("%v %+v", ok, p)
		}
		d.Wake()
		time.Sleep(200 * Tick)
		synctest.Wait()
		if !d.Driving() || d.Trouble() != nil {
			t.Errorf("driving %v, trouble %v", d.Driving(), d.Trouble())
		}
		cancel()
		<-done
		if d.Driving() {
			t.Error("it drives after its term")
		}
		if w.docs["42"].State != Passed || d.m.waves.Value() != 4 || d.m.ends[Passed].Value() != 1 || d.m.elections.Value() != 1 {
			t.Errorf("%s, %d waves, %d passed", w.story("42"), d.m.waves.Value(), d.m.ends[Passed].Value())
		}
	})
}
