//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	ours "github.com/ananas-edge/ananas/test/bench"
)

// result is a line of the table at the end.
type result struct {
	what, needed, measured string
	judged, met            bool // judged: there is a need
}

// need notes what was measured beside what is needed.
func (b *bench) need(what, needed, measured string, met bool) {
	b.results = append(b.results, result{what, needed, measured, true, met})
}

// note notes what was measured and belongs beside.
func (b *bench) note(what, measured string) {
	b.results = append(b.results, result{what: what, measured: measured})
}

// missed names what was needed and not met; "" if all was.
func (b *bench) missed() string {
	var out []string
	for _, r := range b.results {
		if r.judged && !r.met {
			out = append(out, r.what)
		}
	}
	return strings.Join(out, "; ")
}

func table(results []result) string {
	var t strings.Builder
	t.WriteString("| | needed | measured | |\n|---|---:|---:|---|\n")
	for _, r := range results {
		verdict := ""
		if r.judged {
			verdict = "met"
			if !r.met {
				verdict = "missed"
			}
		}
		fmt.Fprintf(&t, "| %s | %s | %s | %s |\n", r.what, r.needed, r.measured, verdict)
	}
	return t.String()
}

// times are durations, of which order statistics are wanted.
type times struct {
	all    []time.Duration
	sorted bool
}

func (t *times) add(d time.Duration) { t.all, t.sorted = append(t.all, d), false }

// at returns the time below which a share q of them lies: the smallest that is not less than it. 0 of none.
func (t *times) at(q float64) time.Duration {
	if len(t.all) == 0 {
		return 0
	}
	if !t.sorted {
		slices.Sort(t.all)
		t.sorted = true
	}
	return t.all[min(max(int(math.Ceil(q*float64(len(t.all))))-1, 0), len(t.all)-1)]
}

// spread writes median, 99th percentile and worst.
func (t *times) spread() string {
	return fmt.Sprintf("%v / %v / %v", round(t.at(0.5)), round(t.at(0.99)), round(t.at(1)))
}

// round keeps three digits or so of a duration.
func round(d time.Duration) time.Duration {
	for unit := time.Duration(1); unit < time.Minute; unit *= 10 {
		if d < 1000*unit {
			return d.Round(unit)
		}
	}
	return d.Round(time.Second)
}

// say writes a line of progress: standard output has only the table.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// syncProbe is how much is written before each sync: what a commit of 100 keys of 200 octets has, twice.
const syncProbe = 64 << 10

// fdatasync times writes to a file of this folder's disk that has its place already, each with a sync after it.
func fdatasync(dir string, size int) (t times, err error) {
	f, err := os.Create(filepath.Join(dir, "fdatasync"))
	if err != nil {
		return t, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	const count = 100
	block := make([]byte, size)
	for range count {
		if _, err := f.Write(block); err != nil {
			return t, err
		}
	}
	if err := f.Sync(); err != nil {
		return t, err
	}
	for i := range count {
		began := time.Now()
		if _, err := f.WriteAt(block, int64(i*size)); err != nil {
			return t, err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return t, err
		}
		t.add(time.Since(began))
	}
	return t, nil
}

func processors() int { return runtime.NumCPU() }

// busyTime is how long the processors were not idle since they were started, all together.
func busyTime() time.Duration {
	all := make([]int, processors())
	for i := range all {
		all[i] = i
	}
	return ours.Busy(all...)
}

func loadAverage() string {
	b, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(b), " ")
	return first
}

// machine says what this runs on.
func machine() string {
	model, kernel := "", ""
	if f, err := os.Open("/proc/cpuinfo"); err == nil {
		model = valueIn(f, "model name")
		f.Close()
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		kernel = unix.ByteSliceToString(u.Release[:])
	}
	return fmt.Sprintf("%d processors (%s), Linux %s, %s, %s; load %s", processors(), model, kernel, runtime.Version(), time.Now().Format(time.DateOnly), loadAverage())
}

// valueIn returns what stands behind a name and a colon in a file of the kernel's.
func valueIn(r io.Reader, name string) string {
	s := bufio.NewScanner(r)
	for s.Scan() {
		if key, value, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// resident is the memory of a process that is its own and in use, in octets: what it shares with others of the same program is not in it.
func resident(pid int) int64 {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	defer f.Close()
	kib, _ := strconv.ParseInt(strings.TrimSuffix(valueIn(f, "RssAnon"), " kB"), 10, 64)
	return kib << 10
}

// children are the processes that one has started, and that run.
func children(pid int) []int {
	var out []int
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // a child belongs to the thread that made it
	for _, list := range lists {
		b, _ := os.ReadFile(list)
		for _, word := range strings.Fields(string(b)) {
			if n, err := strconv.Atoi(word); err == nil {
				out = append(out, n)
			}
		}
	}
	return out
}
