package telemetry

import (
	"flag"
	"fmt"
	"math"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

func TestNamesFollowTheConvention(t *testing.T) {
	for _, c := range []struct {
		name, help string
		kind       kind
		labels     []string
		wrong      string // part of the complaint; "" is fine
	}{
		{"ananas_cache_hits_total", "Answers from cache.", kindCounter, nil, ""},
		{"ananas_recurse_questions_total", "Questions asked.", kindCounter, []string{"transport", "ip_family"}, ""},
		{"ananas_cache_arena_bytes", "Bytes in use.", kindGauge, nil, ""},
		{"ananas_nameserver_answer_seconds", "Time to answer.", kindHistogram, nil, ""},
		{"cache_hits_total", "Answers from cache.", kindCounter, nil, "not of the form"},
		{"ananas_hits", "Answers from cache.", kindGauge, nil, "not of the form"},
		{"ananas_cache__hits_total", "Answers from cache.", kindCounter, nil, "not of the form"},
		{"ananas_Cache_hits_total", "Answers from cache.", kindCounter, nil, "not of the form"},
		{"ananas_cache_hits", "Answers from cache.", kindCounter, nil, "end in _total"},
		{"ananas_cache_size_total", "Bytes in use.", kindGauge, nil, "end in _total"},
		{"ananas_cache_age_ms", "Age.", kindGauge, nil, "base unit"},
		{"ananas_cache_read_kib_total", "Bytes read.", kindCounter, nil, "base unit"},
		{"ananas_nameserver_answer_time", "Time to answer.", kindHistogram, nil, "ends in _seconds"},
		{"ananas_cache_entries_count", "Entries.", kindGauge, nil, "meaning of its own"},
		{"ananas_cache_hits_total", "", kindCounter, nil, "full stop"},
		{"ananas_cache_hits_total", "Answers from cache", kindCounter, nil, "full stop"},
		{"ananas_cache_hits_total", "Hits | misses.", kindCounter, nil, "full stop"},
		{"ananas_cache_hits_total", "Answers from cache.", kindCounter, []string{"le"}, "no label name"},
		{"ananas_cache_hits_total", "Answers from cache.", kindCounter, []string{"zone-name"}, "no label name"},
		{"ananas_cache_hits_total", "Answers from cache.", kindCounter, []string{"zone", "zone"}, "twice"},
	} {
		err := checkFamily(c.name, c.help, c.kind, c.labels)
		if c.wrong == "" && err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)) {
			t.Errorf("%s %q %q: got the error %v, want one with %q", c.name, c.help, c.labels, err, c.wrong)
		}
	}
}

func TestRegistrationOfTheSameName(t *testing.T) {
	m := NewMetrics()
	a := m.Counter("ananas_listen_packets_total", "Packets.")
	b := m.Counter("ananas_listen_packets_total", "Packets.")
	if a != b {
		t.Error("a second registration gave another counter; two listeners would not add up")
	}
	v := m.CounterVec("ananas_listen_errors_total", "Errors.", "cause")
	if v != m.CounterVec("ananas_listen_errors_total", "Errors.", "cause") {
		t.Error("a second registration gave another vector")
	}
	h := m.Histogram("ananas_listen_wait_seconds", "Wait.")
	if h != m.Histogram("ananas_listen_wait_seconds", "Wait.") {
		t.Error("a second registration gave another histogram")
	}
	for name, f := range map[string]func(){
		"help":          func() { m.Counter("ananas_listen_packets_total", "Others.") },
		"kind":          func() { m.CounterVec("ananas_listen_packets_total", "Packets.", "cause") },
		"labels":        func() { m.CounterVec("ananas_listen_errors_total", "Errors.", "reason") },
		"no labels":     func() { m.CounterVec("ananas_listen_drops_total", "Drops.") },
		"bad name":      func() { m.Counter("packets", "Packets.") },
		"bad name, nil": func() { (*Metrics)(nil).Counter("packets", "Packets.") },
		"values":        func() { v.With("a", "b") },
		"function":      func() { m.CounterFunc("ananas_listen_packets_total", "Packets.", func() float64 { return 0 }) },
	} {
		if !panics(f) {
			t.Errorf("%s: no panic", name)
		}
	}
	// A panic must not leave the registry locked.
	m.Counter("ananas_listen_after_total", "After.").Inc()
}

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}

func TestNilMetricsGivesWorkingInstruments(t *testing.T) {
	var m *Metrics
	c := m.Counter("ananas_cache_hits_total", "Hits.")
	c.Inc()
	c.Add(2)
	v := m.CounterVec("ananas_cache_drops_total", "Drops.", "cause").With("full")
	v.Inc()
	m.GaugeFunc("ananas_cache_entries", "Entries.", func() float64 { return 1 })
	m.Histogram("ananas_cache_wait_seconds", "Wait.").Observe(time.Second)
	if c.Value() != 3 || v.Value() != 1 {
		t.Errorf("got %d and %d, want 3 and 1", c.Value(), v.Value())
	}
	if got := string(m.expose()); got != "" {
		t.Errorf("a nil registry exposes %q", got)
	}
}

// exampleMetrics has one metric of each kind and all that needs escaping.
func exampleMetrics() *Metrics {
	m := NewMetrics()
	m.Counter("ananas_cache_hits_total", `Answers from cache, with a \ in the help.`).Add(3)
	v := m.CounterVec("ananas_recurse_questions_total", "Questions to servers.", "transport", "cause")
	v.With("udp", "miss").Add(2)
	v.With("tcp", "a\"quote\", a \\ and a\nbreak").Inc()
	v.With("udp", "bad \xff byte").Inc()
	m.GaugeFunc("ananas_cache_entries", "Entries.", func() float64 { return 1.5 })
	m.GaugeFunc("ananas_cache_entries", "Entries.", func() float64 { return 2 })
	m.CounterFunc("ananas_cache_misses_total", "Misses, kept by core.", func() float64 { return 4 })
	m.CounterFunc("ananas_cache_misses_total", "Misses, kept by core.", func() float64 { return 3 })
	m.GaugeFunc("ananas_cache_broken_ratio", "A gauge that panics.", func() float64 { panic("broken") })
	h := m.Histogram("ananas_nameserver_answer_seconds", "Time to answer.")
	for _, d := range []time.Duration{-time.Second, time.Microsecond, 1500, 30 * time.Millisecond, 10 * time.Second, time.Minute} {
		h.Observe(d)
	}
	return m
}

func TestExposition(t *testing.T) {
	w := httptest.NewRecorder()
	exampleMetrics().Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, "text/plain; version=0.0.4") {
		t.Errorf("content type %q", got)
	}
	golden(t, "testdata/exposition.txt", w.Body.String())
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (write it anew with -update); got:\n%s", path, got)
	}
}

// Every duration falls into the first bucket whose bound is not less, at each edge and one nanosecond beside it.
func TestBucketEdges(t *testing.T) {
	if got := time.Duration(bound(0)); got != time.Microsecond {
		t.Errorf("the first bound is %v", got)
	}
	if got := time.Duration(bound(bounds - 1)); got != 10*time.Second {
		t.Errorf("the last bound is %v", got)
	}
	for i := range bounds {
		if i > 0 && bound(i) <= bound(i-1) {
			t.Fatalf("bound %d is %d, not more than %d", i, bound(i), bound(i-1))
		}
		if got := bucketOf(bound(i)); got != i {
			t.Errorf("%d ns: bucket %d, want %d", bound(i), got, i)
		}
		if got := bucketOf(bound(i) + 1); got != i+1 {
			t.Errorf("%d ns: bucket %d, want %d", bound(i)+1, got, i+1)
		}
	}
	if got := bucketOf(0); got != 0 {
		t.Errorf("0 ns: bucket %d", got)
	}
	if got := bucketOf(math.MaxInt64); got != bucketsTotal-1 {
		t.Errorf("the longest duration: bucket %d", got)
	}
}

func TestSeriesAreBounded(t *testing.T) {
	m := NewMetrics()
	v := m.CounterVec("ananas_recurse_zone_failures_total", "Failures by zone.", "zone")
	for i := range MaxSeries + 5 {
		v.With(fmt.Sprintf("z%d.example.", i)).Inc()
	}
	if got := v.With("other.example.").Value(); got != 5 {
		t.Errorf("the shared series has %d, want 5", got)
	}
	if got := v.With("z0.example.").Value(); got != 1 {
		t.Errorf("a known series has %d, want 1", got)
	}
	if got := m.overflow.Value(); got != 6 {
		t.Errorf("the metric of the limit says %d, want 6", got)
	}
	if got := strings.Count(string(m.expose()), "ananas_recurse_zone_failures_total{"); got != MaxSeries+1 {
		t.Errorf("%d series are exposed, want %d", got, MaxSeries+1)
	}
}

// Label values must not run together: ("a", "bc") is not ("ab", "c").
func TestSeriesKeysAreDistinct(t *testing.T) {
	v := NewMetrics().CounterVec("ananas_recurse_questions_total", "Questions.", "a", "b")
	if v.With("a", "bc") == v.With("ab", "c") {
		t.Error("two label combinations share a counter")
	}
}

func TestConcurrentUse(t *testing.T) {
	m := NewMetrics()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			c := m.Counter("ananas_cache_hits_total", "Hits.")
			v := m.CounterVec("ananas_cache_drops_total", "Drops.", "cause")
			h := m.Histogram("ananas_cache_wait_seconds", "Wait.")
			for i := range 1000 {
				c.Inc()
				v.With(string(rune('a' + i%4))).Inc()
				h.Observe(time.Duration(i) * time.Microsecond)
				if i%100 == 0 {
					m.expose()
				}
			}
		})
	}
	wg.Wait()
	text := string(m.expose())
	for _, want := range []string{"ananas_cache_hits_total 8000", `ananas_cache_drops_total{cause="a"} 2000`, "ananas_cache_wait_seconds_count 8000"} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("missing %q", want)
		}
	}
}

func TestCountingDoesNotAllocate(t *testing.T) {
	m := NewMetrics()
	c := m.CounterVec("ananas_cache_drops_total", "Drops.", "cause").With("full")
	h := m.Histogram("ananas_cache_wait_seconds", "Wait.")
	if n := testing.AllocsPerRun(100, func() { c.Inc(); h.Observe(3 * time.Millisecond) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestDocument(t *testing.T) {
	m := exampleMetrics()
	doc := "# Metrics\n\nSome words about `ananas_*`.\n\n" + Document(m) + "\nThe end.\n"
	if err := CheckDocument(m, doc); err != nil {
		t.Errorf("its own table: %v", err)
	}
	for _, c := range []struct{ old, new, want string }{
		{"| `ananas_cache_entries` | gauge |  | Entries. |\n", "", "ananas_cache_entries: is registered and has no row"},
		{"Entries.", "Something else.", "ananas_cache_entries: the row differs"},
		{"`transport`, `cause`", "`transport`", "ananas_recurse_questions_total: the row differs"},
		{"\nThe end.", "| `ananas_cache_gone_total` | counter |  | Gone. |\n", "ananas_cache_gone_total: has a row and is registered nowhere"},
		{"\nThe end.", "| `ananas_cache_entries` | gauge |  | Entries. |\n", "ananas_cache_entries: has two rows"},
	} {
		if !strings.Contains(doc, c.old) {
			t.Fatalf("the document has no %q:\n%s", c.old, doc)
		}
		err := CheckDocument(m, strings.Replace(doc, c.old, c.new, 1))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q for %q: got %v, want %q", c.new, c.old, err, c.want)
		}
	}
}

func BenchmarkCounterInc(b *testing.B) {
	c := NewMetrics().Counter("ananas_cache_hits_total", "Hits.")
	for b.Loop() {
		c.Inc()
	}
}

func BenchmarkHistogramObserve(b *testing.B) {
	h := NewMetrics().Histogram("ananas_cache_wait_seconds", "Wait.")
	for b.Loop() {
		h.Observe(3 * time.Millisecond)
	}
}
