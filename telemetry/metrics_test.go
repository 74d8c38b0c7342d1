package telemetry

import (
	"flag"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
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
		"gauge labels":  func() { m.GaugeVecFunc("ananas_listen_queue_bytes", "Queue.", nil, func(Show) {}) },
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
	if got := scrape(t, m); got != "" {
		t.Errorf("a nil registry exposes %q", got)
	}
}

// A gauge shows no more series than any other metric, and loses nothing of the sum.
func TestGaugesAreBounded(t *testing.T) {
	m := NewMetrics()
	m.GaugeVecFunc("ananas_trust_anchors", "Keys.", []string{"zone"}, func(show Show) {
		for i := range MaxSeries + 5 {
			show(1, fmt.Sprintf("%d.example.", i))
		}
		show(1, "too", "many")
	})
	page := scrape(t, m)
	if n := strings.Count(page, "ananas_trust_anchors{"); n != MaxSeries+1 || !strings.Contains(page, "ananas_trust_anchors{zone=\"other\"} 5\n") {
		t.Errorf("%d series", n)
	}
	if v := m.overflow.Value(); v != 5 {
		t.Errorf("%d are told to be over the limit", v)
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
	for range 2 {
		m.GaugeVecFunc("ananas_trust_anchors", "Keys.", []string{"zone", "state"}, func(show Show) {
			show(1, "b.", "valid")
			show(2, ".", "valid")
			show(0.5, "bad \xff byte", "gone")
			panic("broken")
		})
	}
	h := m.Histogram("ananas_nameserver_answer_seconds", "Time to answer.")
	for _, d := range []time.Duration{-time.Second, time.Microsecond, 1500, 30 * time.Millisecond, 10 * time.Second, time.Minute} {
		h.Observe(d)
	}
	return m
}

// scrape returns the page of metrics.
func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Errorf("HTTP %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// Whatever a scraper would rather have, the page is the one that the API describes.
func TestExposition(t *testing.T) {
	r := httptest.NewRequest("GET", "/metrics?name[]=ananas_cache_entries", nil)
	r.Header.Set("Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,application/openmetrics-text")
	r.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	exampleMetrics().Handler().ServeHTTP(w, r)
	if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, "text/plain; version=0.0.4") {
		t.Errorf("content type %q", got)
	}
	golden(t, "testdata/exposition.txt", w.Body.String())
}

// The parser of those who read the page finds in it what was counted, with the types and labels that were registered.
func TestExpositionIsReadByTheParser(t *testing.T) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(scrape(t, exampleMetrics())))
	if err != nil {
		t.Fatal(err)
	}
	value := func(name string, labels map[string]string) float64 {
		for _, m := range families[name].GetMetric() {
			got := map[string]string{}
			for _, l := range m.GetLabel() {
				got[l.GetName()] = l.GetValue()
			}
			if maps.Equal(got, labels) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue() // one of them is nil, which reads as 0
			}
		}
		t.Errorf("%s has no series %v", name, labels)
		return math.NaN()
	}
	for _, c := range []struct {
		name   string
		labels map[string]string
		want   float64
	}{
		{"ananas_cache_hits_total", nil, 3},
		{"ananas_cache_misses_total", nil, 7},
		{"ananas_cache_entries", nil, 3.5},
		{"ananas_trust_anchors", map[string]string{"zone": ".", "state": "valid"}, 4},
		{"ananas_recurse_questions_total", map[string]string{"transport": "udp", "cause": "miss"}, 2},
		{"ananas_recurse_questions_total", map[string]string{"transport": "tcp", "cause": "a\"quote\", a \\ and a\nbreak"}, 1},
		{"ananas_recurse_questions_total", map[string]string{"transport": "udp", "cause": "bad \uFFFD byte"}, 1},
	} {
		if got := value(c.name, c.labels); got != c.want {
			t.Errorf("%s %v is %v, want %v", c.name, c.labels, got, c.want)
		}
	}
	if got := value("ananas_cache_broken_ratio", nil); !math.IsNaN(got) {
		t.Errorf("the gauge that panics is %v", got)
	}
	for name, f := range families {
		want := dto.MetricType_COUNTER
		switch name {
		case "ananas_cache_entries", "ananas_cache_broken_ratio", "ananas_trust_anchors":
			want = dto.MetricType_GAUGE
		case "ananas_nameserver_answer_seconds":
			want = dto.MetricType_HISTOGRAM
		}
		if f.GetType() != want || !strings.HasSuffix(f.GetHelp(), ".") {
			t.Errorf("%s is a %v with the help %q", name, f.GetType(), f.GetHelp())
		}
	}

	h := families["ananas_nameserver_answer_seconds"].GetMetric()[0].GetHistogram()
	if h.GetSampleCount() != 6 || math.Abs(h.GetSampleSum()-70.0300025) > 1e-9 {
		t.Errorf("%d durations of %v s together", h.GetSampleCount(), h.GetSampleSum())
	}
	buckets := h.GetBucket()
	if len(buckets) != bucketsTotal {
		t.Fatalf("%d buckets, want %d", len(buckets), bucketsTotal)
	}
	for i, b := range buckets {
		upper := math.Inf(1)
		if i < bounds {
			upper = time.Duration(bound(i)).Seconds()
		}
		if b.GetUpperBound() != upper {
			t.Errorf("bucket %d ends at %v, want %v", i, b.GetUpperBound(), upper)
		}
	}
	for upper, want := range map[float64]uint64{1e-6: 2, 2e-6: 3, 0.02: 3, 0.03: 4, 9: 4, 10: 5, math.Inf(1): 6} {
		i := slices.IndexFunc(buckets, func(b *dto.Bucket) bool { return b.GetUpperBound() == upper })
		if i < 0 || buckets[i].GetCumulativeCount() != want {
			t.Errorf("at most %v s: bucket %d of %v, want %d durations", upper, i, buckets, want)
		}
	}
}

// A label that has the value of the shared series is not shown twice, which the library would refuse.
func TestSharedSeriesThatIsTaken(t *testing.T) {
	m := NewMetrics()
	v := m.CounterVec("ananas_recurse_zone_failures_total", "Failures by zone.", "zone")
	v.With("other").Inc()
	for i := range MaxSeries {
		v.With(fmt.Sprintf("z%d.example.", i)).Inc()
	}
	if page := scrape(t, m); !strings.Contains(page, "{zone=\"other\"} 2\n") {
		t.Errorf("the shared series does not have 2 in\n%s", page)
	}
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
	if got := strings.Count(scrape(t, m), "ananas_recurse_zone_failures_total{"); got != MaxSeries+1 {
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
					scrape(t, m)
				}
			}
		})
	}
	wg.Wait()
	text := scrape(t, m)
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

// A histogram with a label shows a series for each value that has counted something.
func TestHistogramOf(t *testing.T) {
	m := NewMetrics()
	all := m.HistogramOf("ananas_test_c_seconds", "C.", "rcode", "NOERROR", "NXDOMAIN", "SERVFAIL")
	all[0].Observe(time.Second)
	all[2].Stripe().Observe(time.Millisecond)
	if again := m.HistogramOf("ananas_test_c_seconds", "C.", "rcode", "SERVFAIL"); again[0] != all[2] {
		t.Error("registered again it is another one")
	}
	page := scrape(t, m)
	for _, want := range []string{`ananas_test_c_seconds_count{rcode="NOERROR"} 1`, `ananas_test_c_seconds_sum{rcode="SERVFAIL"} 0.001`} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in\n%s", want, page)
		}
	}
	if strings.Contains(page, "NXDOMAIN") {
		t.Errorf("an empty series in\n%s", page)
	}
}

// What is counted on stripes is part of what is shown, whoever counts at the same time.
func TestStripes(t *testing.T) {
	m := NewMetrics()
	c, h := m.Counter("ananas_test_a_total", "A."), m.Histogram("ananas_test_b_seconds", "B.")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			c, h := c.Stripe(), h.Stripe()
			for range 1000 {
				c.Add(2)
				h.ObserveN(3*time.Microsecond, 2)
			}
			h.ObserveN(time.Second, 0)
		})
	}
	c.Inc()
	h.Observe(time.Microsecond)
	wg.Wait()
	if c.Value() != 8001 {
		t.Errorf("counter is %d, want 8001", c.Value())
	}
	page := scrape(t, m)
	for _, want := range []string{"ananas_test_a_total 8001\n", "ananas_test_b_seconds_count 8001\n", `ananas_test_b_seconds_bucket{le="1e-06"} 1` + "\n", `ananas_test_b_seconds_bucket{le="3e-06"} 8001` + "\n", "ananas_test_b_seconds_sum 0.024001\n"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
}
