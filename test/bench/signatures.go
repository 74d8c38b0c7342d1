//go:build linux

package bench

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Signatures is what checking signatures took a resolver in all.
type Signatures struct {
	Checks int
	Time   time.Duration // of its processor; 0: not known
}

//go:embed count/count.c
var counterSource []byte

const signaturesFile = "signatures.txt"

func (r *Rig) counter() string { return filepath.Join(r.Dir, "count.so") }

// buildCounter compiles what counts Unbound's signatures: Unbound itself tells how many answers were secure, and not what that took.
func buildCounter(dir string) error {
	c := exec.Command("gcc", "-O2", "-shared", "-fPIC", "-x", "c", "-", "-o", filepath.Join(dir, "count.so"), "-ldl")
	c.Stdin = bytes.NewReader(counterSource)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("compiling what counts Unbound's signatures: %w\n%s\nhint: apt-get install gcc libc6-dev", err, out)
	}
	return nil
}

// Signatures reads what the resolver, which has ended, or has saved its metrics, counted.
func (v *Resolver) Signatures() (Signatures, error) {
	if v.admin != "" {
		return v.countedByMetrics()
	}
	text, err := os.ReadFile(filepath.Join(v.dir, signaturesFile))
	if err != nil {
		return Signatures{}, err
	}
	var checks int
	var ns int64
	if _, err := fmt.Sscan(string(text), &checks, &ns); err != nil {
		return Signatures{}, fmt.Errorf("reading %s of %s: %w", signaturesFile, v.Process.Name, err)
	}
	return Signatures{checks, time.Duration(ns)}, nil
}

func (v *Resolver) countedByMetrics() (Signatures, error) {
	text, err := os.ReadFile(filepath.Join(v.dir, "metrics.txt"))
	if err != nil {
		return Signatures{}, err
	}
	var s Signatures
	for line := range strings.Lines(string(text)) {
		series, value, ok := strings.Cut(strings.TrimSpace(line), "} ")
		if !ok || !strings.HasPrefix(series, "ananas_dnssec_checks_total{") {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return s, fmt.Errorf("reading the metrics of %s: %w", v.Process.Name, err)
		}
		s.Checks += int(n)
	}
	return s, nil
}

// ProfiledShare is the share of the processor time in a saved profile that went into a function, which is named as Go names it, and what it called.
func (v *Resolver) ProfiledShare(function string) (float64, error) {
	c := exec.Command("go", "tool", "pprof", "-top", "-cum", "-nodecount=100000", "-show", function, filepath.Join(v.dir, "cpu.pprof"))
	out, err := c.Output()
	if err != nil {
		return 0, fmt.Errorf("reading the profile of %s: %w", v.Process.Name, err)
	}
	// Showing nodes accounting for 1.41s, 33.89% of 4.16s total
	for line := range strings.Lines(string(out)) {
		_, rest, ok := strings.Cut(line, "accounting for ")
		if !ok {
			continue
		}
		_, rest, _ = strings.Cut(rest, ", ")
		share, _, _ := strings.Cut(rest, "%")
		x, err := strconv.ParseFloat(share, 64)
		return x / 100, err
	}
	return 0, fmt.Errorf("reading the profile of %s: no line of totals in %q", v.Process.Name, out)
}
