package rollout

import (
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/internal/strictyaml"
	"github.com/google/go-cmp/cmp"
)

func TestSettings(t *testing.T) {
	for text, want := range map[string]string{
		"waves: [canary, 10%, 50%, 100%]\nbake: 30s\npatience: 5m\nsilence: 20s\nqueries: 200\nfailure_margin: 1%\n": "",
		"waves: [all]":          "",
		"failure_margin: 0.25%": "",
		"waves: []":             "waves: has 0 elements, fewer than 1",
		"waves: [canary, 5]":    "waves[1]: is a number, not text",
		"waves: [canary, some]": `waves[1]: "some" is no wave`,
		"waves: [10%, canary]":  "waves[1]: canary can only be the first wave",
		"waves: [50%, 10%]":     "waves[1]: 10% is no wider than 50%",
		"bake: 10m":             "patience: 5m is below bake, which is 10m",
		"silence: 5s":           "silence: 5s is out of bounds",
		"failure_margin: 60%":   "failure_margin: 60% is more than 50%",
		"failure_margin: 1":     "failure_margin: is a number, not text",
		"queries: 0":            "queries: 0 is out of bounds",
	} {
		s := Defaults()
		_, err := strictyaml.Decode("x.yaml", []byte(text), &s)
		if err == nil {
			_, err = Compile(s)
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, not %q", text, err, want)
		}
	}
}

func TestSettingsDefault(t *testing.T) {
	table, err := Compile(Defaults())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(DefaultPlan(), table.Plan); d != "" {
		t.Error(d)
	}
	if err := table.Plan.Check(); err != nil {
		t.Error(err)
	}
}

func TestSettingsInCode(t *testing.T) {
	for _, s := range []Settings{{}, {Waves: []Wave{Canary}}, {Waves: []Wave{All + 1}, Bake: 1, Patience: 1, Silence: 1, Queries: 1}} {
		if _, err := Compile(s); err == nil {
			t.Errorf("%+v compiles", s)
		}
	}
}

func TestLatency(t *testing.T) {
	for i := range Buckets - 1 {
		if got := BucketOf(Bound(i)); got != i {
			t.Errorf("%v is the bound of bucket %d, and in %d", Bound(i), i, got)
		}
		if got := BucketOf(Bound(i) + 1); got != i+1 {
			t.Errorf("%v is above the bound of bucket %d, and in %d", Bound(i)+1, i, got)
		}
	}
	for d, want := range map[time.Duration]int{-time.Second: 0, 0: 0, time.Hour: Buckets - 1, 1<<63 - 1: Buckets - 1} {
		if got := BucketOf(d); got != want {
			t.Errorf("%v is in bucket %d, not %d", d, got, want)
		}
	}
}

func TestSumDoesNotOverflow(t *testing.T) {
	s := Sum{Results: [Classes]uint64{1<<64 - 1, 1, 1<<64 - 1}}
	s.Add(&Sum{Results: [Classes]uint64{1<<64 - 1, 2}})
	if s.Results != [Classes]uint64{MaxCount, 3, MaxCount} {
		t.Errorf("%v", s.Results)
	}
}
