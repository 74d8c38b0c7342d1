package telemetry

import (
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"
)

// MaxCrashReports is how many signatures are kept, each in a file of at most maxReportBytes: 100 files of 96 KiB are less
// than 10 MiB of disk. At one more, the report that was seen longest ago is removed, because a node that has been upgraded
// for years should show the crash of today; ananas_telemetry_crash_reports_removed_total counts it.
const MaxCrashReports = 100

const (
	maxWhatBytes   = 1 << 10  // a query name is 1 KiB at most in escaped form with its type
	maxPanicBytes  = 4 << 10  // a panic value that prints a whole message or table
	maxStackBytes  = 64 << 10 // debug.Stack of a hundred deep frames is 20 KiB
	maxReportBytes = 96 << 10 // all of the above and the head

	// rewriteAfter bounds the writes when every query panics: a report is written when its signature is new, then at most
	// this often; between, only the count in memory grows.
	rewriteAfter = 10 * time.Second
)

// Crash is one signature and how often it was seen.
type Crash struct {
	Signature string    `json:"signature"` // 16 hex digits, the name of the report
	Count     uint64    `json:"count"`     // over all processes that wrote to this folder
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`
	What      string    `json:"what"`  // what was being done, the last time
	Panic     string    `json:"panic"` // the value, the last time
}

// Crashes turns recovered panics into reports: one file for each place of the program that panicked, <dir>/<signature>.txt,
// with the count, the last cause and the last stack. Its methods never panic. All methods may be called from any goroutine.
//
// On a nil *Crashes, Report and Flush do nothing and Recover recovers nothing, so that a test built without one sees the panic.
type Crashes struct {
	Version string // of the program, for the report; from the build information unless set before use

	dir     string
	log     *slog.Logger
	now     func() time.Time
	total   *Counter
	removed *Counter
	failed  *Counter

	mu    sync.Mutex
	known map[string]*crash
}

type crash struct {
	Crash
	stack     string
	tried     time.Time // last start of a write by this process
	unwritten bool      // the file is behind
}

// NewCrashes returns a capture that keeps its reports in the folder dir (<data>/crashes; made when the first one is written;
// "": count and log only) and goes on counting where the reports that it finds there stopped.
func NewCrashes(dir string, m *Metrics, log *slog.Logger, now func() time.Time) *Crashes {
	c := &Crashes{
		Version: buildVersion(),
		dir:     dir, log: log, now: now, known: map[string]*crash{},
		total:   m.Counter("ananas_telemetry_crashes_total", "Panics that were caught; each cost the one query or request that it happened in."),
		removed: m.Counter("ananas_telemetry_crash_reports_removed_total", "Crash reports removed because there were more than MaxCrashReports."),
		failed:  m.Counter("ananas_telemetry_crash_reports_failed_total", "Crash reports that could not be written."),
	}
	m.GaugeFunc("ananas_telemetry_crash_reports_files", "Crash reports kept, one for each signature.", func() float64 {
		c.mu.Lock()
		defer c.mu.Unlock()
		return float64(len(c.known))
	})
	c.load()
	return c
}

// Recover is deferred at the edge of what may fail alone, such as the serving of one query:
//
//	defer s.crashes.Recover(func() string { return "answering " + q.String() }, func(signature string) { q.fail(signature) })
//
// If the function panicked it calls after, which answers the client, and reports the panic; otherwise it calls neither. Both
// may be nil. A panic in either is contained: after one in what the report has no description; one in after is reported too,
// under its own signature.
func (c *Crashes) Recover(what func() string, after func(signature string)) {
	if c == nil {
		return
	}
	r := recover()
	if r == nil {
		return
	}
	stack := debug.Stack()
	text := describe(what) // while the query is still ours
	if after != nil {
		c.contain(after, signatureOf(stack)) // before the report: the client should not wait for our disk
	}
	c.Report(text, r, stack)
}

func (c *Crashes) contain(after func(signature string), signature string) {
	defer func() {
		if r := recover(); r != nil {
			c.Report("answering after crash "+signature, r, debug.Stack())
		}
	}()
	after(signature)
}

func describe(what func() string) (text string) {
	defer func() {
		if r := recover(); r != nil {
			text = fmt.Sprintf("(describing it panicked as well: %v)", r)
		}
	}()
	if what == nil {
		return ""
	}
	return what()
}

// Report counts and writes down a panic: what was being done (with the text of the query, if there is one), the recovered
// value, and the stack as of debug.Stack called in the deferred function. It returns the signature of the place, by which
// reports of the same place are grouped. What cannot be written is logged and counted, never returned: the caller has a
// client to answer.
func (c *Crashes) Report(what string, recovered any, stack []byte) (signature string) {
	if c == nil {
		return ""
	}
	defer func() {
		if r := recover(); r != nil {
			c.failed.Inc()
		}
	}()
	c.total.Inc()
	now := c.now()
	signature = signatureOf(stack)
	what = oneLine(what, maxWhatBytes)
	value := oneLine(fmt.Sprint(recovered), maxPanicBytes)

	c.mu.Lock()
	k, ok := c.known[signature]
	if !ok {
		k = &crash{Crash: Crash{Signature: signature, First: now}}
		c.known[signature] = k
		c.makeRoom(k)
	}
	k.Count++
	k.Last, k.What, k.Panic, k.unwritten = now, what, value, true
	k.stack = string(stack[:min(len(stack), maxStackBytes)])
	due := k.tried.IsZero() || now.Sub(k.tried) >= rewriteAfter
	if due {
		k.tried = now
	}
	count := k.Count
	c.mu.Unlock()
	if due {
		c.log.Error("caught a panic", "what", what, "panic", value, "signature", signature, "count", count, "report", c.path(signature))
		c.write(k)
	}
	return signature
}

// Flush writes the counts that are ahead of their files. Call it last before the process ends.
func (c *Crashes) Flush() {
	if c == nil {
		return
	}
	c.mu.Lock()
	var behind []*crash
	for _, k := range c.known {
		if k.unwritten {
			behind = append(behind, k)
		}
	}
	c.mu.Unlock()
	for _, k := range behind {
		c.write(k)
	}
}

// Total returns how many panics were caught since the process began.
func (c *Crashes) Total() uint64 { return c.total.Value() }

// List returns what is known, the last seen first.
func (c *Crashes) List() []Crash {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]Crash, 0, len(c.known))
	for _, k := range c.known {
		all = append(all, k.Crash)
	}
	slices.SortFunc(all, func(a, b Crash) int {
		return cmp.Or(b.Last.Compare(a.Last), strings.Compare(a.Signature, b.Signature))
	})
	return all
}

// makeRoom removes the signature seen longest ago, other than fresh, while there are too many.
func (c *Crashes) makeRoom(fresh *crash) {
	for len(c.known) > MaxCrashReports {
		var oldest *crash
		for _, k := range c.known {
			if k != fresh && (oldest == nil || k.Last.Before(oldest.Last)) {
				oldest = k
			}
		}
		delete(c.known, oldest.Signature)
		c.removed.Inc()
		if c.dir == "" {
			continue
		}
		if err := os.Remove(c.path(oldest.Signature)); err != nil && !os.IsNotExist(err) {
			c.log.Error("removing the oldest crash report", "error", err)
		}
	}
}

func (c *Crashes) path(signature string) string {
	if c.dir == "" {
		return ""
	}
	return filepath.Join(c.dir, signature+".txt")
}

// write replaces the report of k by way of a temporary file, so that a reader never sees half of one. It is called without
// the lock: who panics meanwhile elsewhere does not wait for the disk.
func (c *Crashes) write(k *crash) {
	c.mu.Lock()
	k.unwritten = false
	content := c.format(k)
	c.mu.Unlock()
	if c.dir == "" {
		return
	}
	if err := c.replace(c.path(k.Signature), []byte(content)); err != nil {
		c.mu.Lock()
		k.unwritten = true
		c.mu.Unlock()
		c.failed.Inc()
		c.log.Error("writing a crash report", "error", err, "hint", "is the disk full, or the data folder read-only?")
	}
}

func (c *Crashes) replace(path string, content []byte) (err error) {
	// The reports hold names that people asked for: for the owner only.
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(c.dir, temporary+"*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(content); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			version += " " + s.Value
		}
	}
	return cmp.Or(version, "unknown")
}

func platform() string { return runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH }
