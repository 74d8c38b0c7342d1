package rollout

import (
	"flag"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write what came out into testdata as what is expected")

// What SipHash-2-4 gives: fleets have it on their disks.
const (
	goldenHash  = 0x9c41026a883126ca
	goldenTenth = "n00008 n00009 n00026 n00032 n00044"
)

// Whoever holds a change in one wave holds it in each later one, whatever the plan and the names.
func TestHoldsIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var waves []Wave
		if rapid.Bool().Draw(t, "canary") {
			waves = append(waves, Canary)
		}
		last := Canary
		for last < All && len(waves) < MaxWaves-1 {
			last = Wave(rapid.IntRange(int(last)+1, int(All)).Draw(t, "share"))
			waves = append(waves, last)
		}
		plan := DefaultPlan()
		plan.Waves = waves
		r := New(ID(rapid.StringMatching(`[1-9][0-9]{0,18}`).Draw(t, "id")), "settings", "", "", plan, wall)
		alive := fleet(rapid.IntRange(0, 50).Draw(t, "nodes"), rapid.IntRange(1, 10).Draw(t, "sites"))
		r.Canaries = canaries(r.ID, alive)
		r.State = rapid.SampledFrom([]State{Baking, Paused}).Draw(t, "state")
		if err := r.check(); err != nil {
			t.Fatal(err)
		}
		stranger := Member{Name: rapid.StringMatching(`[a-z0-9-]{1,63}`).Draw(t, "stranger")}
		for _, m := range append(alive, stranger) {
			held := false
			for r.Wave = range plan.Waves {
				now := Holds(r, m)
				if held && !now {
					t.Fatalf("%s holds in wave %d and not in the next of %v", m.Name, r.Wave-1, plan.Waves)
				}
				held = now
			}
			if !held && last == All {
				t.Fatalf("%s does not hold in the wave of all", m.Name)
			}
		}
	})
}

func TestHoldsByState(t *testing.T) {
	r := New("42", "settings", "", "", DefaultPlan(), wall)
	r.Wave = 3
	for s := range states {
		r.State = s
		if got, want := Holds(r, Member{Name: "a"}), s == Baking || s == Paused; got != want {
			t.Errorf("%v: %v", s, got)
		}
	}
}

// A share is that part of the fleet, other nodes for other rollouts, and the same nodes in every release.
func TestShares(t *testing.T) {
	const n = 20_000
	both, in := 0, 0
	a := New("42", "settings", "", "", DefaultPlan(), wall)
	b := New("43", "settings", "", "", DefaultPlan(), wall)
	a.State, b.State, a.Wave, b.Wave = Baking, Baking, 1, 1
	for _, m := range fleet(n, 7) {
		if Holds(a, m) {
			in++
			if Holds(b, m) {
				both++
			}
		}
	}
	// 2,000 and 200 of 20,000; four standard deviations are 170 and 56.
	if math.Abs(float64(in-n/10)) > 170 || math.Abs(float64(both-n/100)) > 56 {
		t.Errorf("10%% of %d are %d, and %d of those with another rollout", n, in, both)
	}
	if h := hash("42", "lis01"); h != goldenHash {
		t.Errorf("the hash of 42 and lis01 is %#x; nodes of other releases say %#x", h, uint64(goldenHash))
	}
	var first []string
	for _, m := range fleet(60, 1) {
		if Holds(a, m) {
			first = append(first, m.Name)
		}
	}
	if got := strings.Join(first, " "); got != goldenTenth {
		t.Errorf("a tenth of 60 nodes are %s; nodes of other releases say %s", got, goldenTenth)
	}
	if hash("4", "2lis01") == hash("42", "lis01") {
		t.Error("the id and the name run into each other")
	}
}

func TestCanaries(t *testing.T) {
	all := fleet(1000, 20)
	got := canaries("42", all)
	if len(got) != 20 {
		t.Fatalf("%d canaries for 20 sites", len(got))
	}
	sites := make(map[string]bool)
	for _, m := range all {
		for _, name := range got {
			if m.Name == name {
				sites[m.Site()] = true
			}
		}
	}
	if len(sites) != 20 {
		t.Errorf("at %d of 20 sites", len(sites))
	}
	if got := canaries("42", fleet(5, 1)); len(got) != 1 {
		t.Errorf("nodes without a label are one site: %q", got)
	}
	if got := canaries("42", fleet(2*MaxCanaries, 2*MaxCanaries)); len(got) != MaxCanaries {
		t.Errorf("%d canaries", len(got))
	}
	// A node that is not alive is nobody's canary, and the next in line takes its place.
	first := canaries("42", fleet(5, 1))[0]
	var rest []Member
	for _, m := range fleet(5, 1) {
		if m.Name != first {
			rest = append(rest, m)
		}
	}
	if got := canaries("42", rest); len(got) != 1 || got[0] == first {
		t.Errorf("%q is dead, and the canary is %q", first, got)
	}
}

// fleet makes nodes; the first site's have no label.
func fleet(nodes, sites int) []Member {
	all := make([]Member, nodes)
	for i := range all {
		all[i] = Member{Name: fmt.Sprintf("n%05d", i)}
		if site := i % sites; site > 0 {
			all[i].Labels = map[string]string{SiteLabel: fmt.Sprintf("s%03d", site)}
		}
	}
	return all
}

func TestParsePlan(t *testing.T) {
	for text, want := range map[string]string{
		"canary 10% 50% all":              "",
		"canary 10% 100%":                 "",
		"0.01% 0.5% 99.99%":               "",
		"canary":                          "",
		"":                                "there is no wave",
		"10% canary":                      "canary can only be the first wave",
		"10% 10%":                         "10% is no wider than 10%",
		"50% 10%":                         "10% is no wider than 50%",
		"101%":                            "no wave",
		"0%":                              "no wave",
		"10":                              "no wave",
		"0.001%":                          "no wave",
		"-1%":                             "no wave",
		"010%":                            "no wave",
		".5%":                             "no wave",
		"1.%":                             "no wave",
		"%":                               "no wave",
		"everybody":                       `"everybody" is no wave: write canary, a share such as 10%, or all`,
		strings.Repeat("1% ", MaxWaves+1): "more than 16",
	} {
		p, err := ParsePlan(strings.Fields(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, not %q", text, err, want)
		}
		if err == nil {
			if got := strings.Trim(fmt.Sprint(p.Waves), "[]"); got != strings.Replace(text, "100%", "all", 1) {
				t.Errorf("%q is written as %q", text, got)
			}
		}
	}
}

func BenchmarkHolds(b *testing.B) {
	all := fleet(10_000, MaxCanaries)
	r := New("42", "settings", "", "", DefaultPlan(), wall)
	r.State, r.Canaries = Baking, canaries("42", all)
	for _, wave := range []int{0, 1, 3} {
		b.Run(r.Plan.Waves[wave].String(), func(b *testing.B) {
			r.Wave = wave
			b.ReportAllocs()
			n := 0
			for i := range b.N {
				if Holds(r, all[i%len(all)]) {
					n++
				}
			}
			if b.N > 10_000 && n == 0 {
				b.Fatal("nobody holds it")
			}
		})
	}
}
