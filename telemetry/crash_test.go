package telemetry

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// crashBench is a capture on a clock that the test moves.
type crashBench struct {
	*Crashes
	t   *testing.T
	dir string
	now time.Time
	log bytes.Buffer
	m   *Metrics
}

func newCrashBench(t *testing.T) *crashBench {
	b := &crashBench{t: t, dir: filepath.Join(t.TempDir(), "crashes"), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	b.open()
	return b
}

// open is what a start of the process does.
func (b *crashBench) open() {
	b.m = NewMetrics()
	b.Crashes = NewCrashes(b.dir, b.m, slog.New(slog.NewTextHandler(&b.log, nil)), func() time.Time { return b.now })
}

func (b *crashBench) files() []string {
	b.t.Helper()
	entries, err := os.ReadDir(b.dir)
	if err != nil && !os.IsNotExist(err) {
		b.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func (b *crashBench) report(signature string) string {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, signature+".txt"))
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}

func TestPanicIsReportedAndTheClientAnswered(t *testing.T) {
	b := newCrashBench(t)
	answered := ""
	func() {
		defer b.Recover(func() string { return "answering www.example. AAAA" }, func(signature string) { answered = signature })
		var nothing *crash
		nothing.Count++
	}()
	if answered == "" {
		t.Fatal("the client got no answer")
	}
	if got := b.files(); len(got) != 1 || got[0] != answered+".txt" {
		t.Fatalf("files %q, want only %s.txt", got, answered)
	}
	text := b.report(answered)
	for _, want := range []string{
		"signature: " + answered + "\n", "count: 1\n", "first: 2026-03-01T12:00:00Z\n", "what: answering www.example. AAAA\n",
		"panic: runtime error: invalid memory address or nil pointer dereference\n", "version: ", "crash_test.go:", "goroutine ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	info, err := os.Stat(filepath.Join(b.dir, answered+".txt"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; the reports hold names that people asked for", info.Mode(), err)
	}
	if got := b.total.Value(); got != 1 {
		t.Errorf("the metric says %d", got)
	}
	if !strings.Contains(b.log.String(), answered) {
		t.Errorf("the log does not name the report: %s", b.log.String())
	}
}

func TestNoPanicCostsNothing(t *testing.T) {
	b := newCrashBench(t)
	called := false
	query := "www.example."
	allocs := testing.AllocsPerRun(100, func() {
		func() {
			defer b.Recover(func() string { called = true; return query }, func(string) { called = true })
		}()
	})
	if called || allocs != 0 || b.total.Value() != 0 || len(b.files()) != 0 {
		t.Errorf("called %v, %v allocations, %d crashes, files %q", called, allocs, b.total.Value(), b.files())
	}
}

// crashAt panics at one of two lines of one function, so that only line numbers and arguments differ.
func crashAt(b *crashBench, second bool, n int) (signature string) {
	defer b.Recover(nil, func(s string) { signature = s })
	if second {
		panic(fmt.Sprintf("second %d", n))
	}
	panic(fmt.Sprintf("first %d", n))
}

func crashElsewhere(b *crashBench) (signature string) {
	defer b.Recover(nil, func(s string) { signature = s })
	panic("elsewhere")
}

func TestReportsAreGroupedByPlace(t *testing.T) {
	b := newCrashBench(t)
	first := crashAt(b, false, 1)
	if second := crashAt(b, true, 2); second != first {
		t.Errorf("another line and argument of one function: %s and %s", first, second)
	}
	if other := crashElsewhere(b); other == first {
		t.Error("two functions share a signature")
	}
	if got := b.List(); len(got) != 2 {
		t.Errorf("%d signatures are listed, want 2", len(got))
	}
}

func TestCountsSurviveTheProcess(t *testing.T) {
	b := newCrashBench(t)
	signature := crashAt(b, false, 1)
	b.now = b.now.Add(rewriteAfter - 1)
	crashAt(b, false, 2)
	if !strings.Contains(b.report(signature), "count: 1\n") {
		t.Error("a report was written twice within rewriteAfter")
	}
	b.Flush()
	if !strings.Contains(b.report(signature), "count: 2\n") {
		t.Error("the flush did not write the count")
	}
	b.now = b.now.Add(time.Hour)
	b.open()
	crashAt(b, false, 3)
	text := b.report(signature)
	if !strings.Contains(text, "count: 3\nfirst: 2026-03-01T12:00:00Z\nlast: 2026-03-01T13:00:09.999999999Z\n") {
		t.Errorf("after a restart:\n%s", text)
	}
	b.now = b.now.Add(rewriteAfter)
	crashAt(b, false, 4)
	if !strings.Contains(b.report(signature), "count: 4\n") {
		t.Error("after rewriteAfter the report was not written again")
	}
	got := b.List()
	if len(got) != 1 || got[0].Count != 4 || got[0].Panic != "first 4" {
		t.Errorf("listed: %+v", got)
	}
}

func TestReportsAreBounded(t *testing.T) {
	b := newCrashBench(t)
	for i := range MaxCrashReports + 3 {
		b.now = b.now.Add(time.Second)
		b.Report("", "no", fmt.Appendf(nil, "goroutine 1 [running]:\nmain.f%d(0x1)\n\t/x.go:1\n", i))
	}
	if got := len(b.files()); got != MaxCrashReports {
		t.Errorf("%d files, want %d", got, MaxCrashReports)
	}
	if got := b.removed.Value(); got != 3 {
		t.Errorf("the metric of the limit says %d, want 3", got)
	}
	oldest := signatureOf([]byte("main.f0(0x1)\n"))
	newest := signatureOf(fmt.Appendf(nil, "main.f%d(0x2)\n", MaxCrashReports+2))
	if _, ok := b.known[oldest]; ok {
		t.Error("the oldest report was kept")
	}
	if _, ok := b.known[newest]; !ok {
		t.Error("the newest report was not kept")
	}
	big := b.Report(strings.Repeat("w", 1<<20), strings.Repeat("p", 1<<20), []byte(strings.Repeat("s", 1<<20)))
	if got := len(b.report(big)); got > maxReportBytes {
		t.Errorf("a report of %d bytes", got)
	}
}

func TestForeignFilesAreLeftAlone(t *testing.T) {
	b := newCrashBench(t)
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"notes.txt":            "count: 1\n",
		"0000000000000000.txt": "signature: 1111111111111111\ncount: 1\nfirst: 2026-03-01T12:00:00Z\nlast: 2026-03-01T12:00:00Z\n\n",
		"2222222222222222.txt": "", // a disk that was full
		temporary + "123":      "half a rep",
	} {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.open()
	if got := b.List(); len(got) != 0 {
		t.Errorf("listed: %+v", got)
	}
	if got := b.files(); len(got) != 3 {
		t.Errorf("files %q: only the one of a killed process should go", got)
	}
}

type unprintable struct{}

func (unprintable) Error() string { panic("no text") }

// The capture runs where something has gone wrong already: whatever it meets, it must not panic.
func TestCaptureNeverPanics(t *testing.T) {
	blocked := newCrashBench(t)
	if err := os.WriteFile(blocked.dir, nil, 0o600); err != nil { // a file where the folder should be
		t.Fatal(err)
	}
	for name, f := range map[string]func(b *crashBench){
		"value that cannot be printed": func(b *crashBench) { b.Report("x", unprintable{}, debug.Stack()) },
		"nil value and no stack":       func(b *crashBench) { b.Report("x", nil, nil) },
		"what panics": func(b *crashBench) {
			defer b.Recover(func() string { panic("what") }, nil)
			panic("first")
		},
		"after panics": func(b *crashBench) {
			defer b.Recover(nil, func(string) { panic("after") })
			panic("first")
		},
		"folder cannot be made": func(*crashBench) { blocked.Report("x", errors.New("y"), debug.Stack()) },
	} {
		b := newCrashBench(t)
		if panics(func() { f(b) }) {
			t.Errorf("%s: panicked", name)
		}
		want := 1
		if name == "after panics" {
			want = 2
		}
		if name == "folder cannot be made" {
			b = blocked
			if b.failed.Value() == 0 || !strings.Contains(b.log.String(), "hint=") {
				t.Errorf("%s: %d counted, log %s", name, b.failed.Value(), b.log.String())
			}
		}
		if got := len(b.List()); got != want {
			t.Errorf("%s: %d signatures, want %d", name, got, want)
		}
	}
}

func TestNilCrashesRecoversNothing(t *testing.T) {
	var c *Crashes
	if !panics(func() { defer c.Recover(nil, nil); panic("seen") }) {
		t.Error("a nil capture hid a panic")
	}
	c.Report("x", "y", nil)
	c.Flush()
	if c.List() != nil {
		t.Error("a nil capture lists crashes")
	}
}

func TestWithoutFolderOnlyCounts(t *testing.T) {
	c := NewCrashes("", nil, slog.New(slog.NewTextHandler(io.Discard, nil)), time.Now)
	c.Report("x", "y", debug.Stack())
	c.Flush()
	if got := c.List(); len(got) != 1 || got[0].Count != 1 {
		t.Errorf("listed: %+v", got)
	}
}

func FuzzParseReport(f *testing.F) {
	f.Add("signature: 1111111111111111\ncount: 1\nfirst: 2026-03-01T12:00:00Z\nlast: 2026-03-01T12:00:00Z\nwhat: w\npanic: p\n\nstack")
	f.Add("")
	f.Add("count: 99999999999999999999\n\n")
	c := NewCrashes("", nil, slog.New(slog.DiscardHandler), time.Now)
	f.Fuzz(func(t *testing.T, text string) {
		k, ok := parseReport(text)
		if !ok {
			return
		}
		again, ok := parseReport(c.format(k))
		if !ok || again.Count != k.Count || again.Signature != k.Signature {
			t.Errorf("%q was read as %+v, written and read as %+v", text, k, again)
		}
	})
}
