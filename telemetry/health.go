package telemetry

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Health collects what decides whether a node should be sent traffic, and what its operator should know meanwhile. All
// methods may be called from any goroutine.
type Health struct {
	mu       sync.Mutex
	checks   map[string]func() error
	warnings map[string]func() string
}

// HealthReport is one reading of all checks and warnings, the body of /readyz.
type HealthReport struct {
	Ready    bool      `json:"ready"`
	Checks   []Check   `json:"checks"`   // by name
	Warnings []Warning `json:"warnings"` // by name
}

// Check is one reading of a named check.
type Check struct {
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"` // why not
}

// Warning is something that does not stop the node from serving and should not stay as it is.
type Warning struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// NewHealth returns a Health without checks, which is not ready.
func NewHealth() *Health {
	return &Health{checks: map[string]func() error{}, warnings: map[string]func() string{}}
}

// Check adds a condition of readiness, or replaces the one of that name: the node is ready while all return nil. f must be
// quick and must not block.
func (h *Health) Check(name string, f func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks[name] = f
}

// Warn adds a warning, or replaces the one of that name: it is listed while f returns a text. f must be quick and must not
// block.
func (h *Health) Warn(name string, f func() string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.warnings[name] = f
}

// Report reads all checks and warnings. Without any check a node is still starting, and not ready. A check that panics has
// failed.
func (h *Health) Report() HealthReport {
	h.mu.Lock()
	checks := make([]namedFunc[error], 0, len(h.checks))
	for name, f := range h.checks {
		checks = append(checks, namedFunc[error]{name, f})
	}
	warnings := make([]namedFunc[string], 0, len(h.warnings))
	for name, f := range h.warnings {
		warnings = append(warnings, namedFunc[string]{name, f})
	}
	h.mu.Unlock()

	r := HealthReport{Ready: len(checks) > 0, Checks: []Check{}, Warnings: []Warning{}}
	for _, c := range checks {
		err := contained(c.f, func(r any) error { return fmt.Errorf("the check panicked: %v", r) })
		if err != nil {
			r.Ready = false
			r.Checks = append(r.Checks, Check{Name: c.name, Error: cmp.Or(err.Error(), "no reason given")})
			continue
		}
		r.Checks = append(r.Checks, Check{Name: c.name, OK: true})
	}
	if len(checks) == 0 {
		r.Checks = append(r.Checks, Check{Name: "start", Error: "the node is starting"})
	}
	for _, w := range warnings {
		text := contained(w.f, func(r any) string { return fmt.Sprintf("the check panicked: %v", r) })
		if text != "" {
			r.Warnings = append(r.Warnings, Warning{Name: w.name, Text: text})
		}
	}
	slices.SortFunc(r.Checks, func(a, b Check) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(r.Warnings, func(a, b Warning) int { return strings.Compare(a.Name, b.Name) })
	return r
}

type namedFunc[T any] struct {
	name string
	f    func() T
}

func contained[T any](f func() T, panicked func(r any) T) (v T) {
	defer func() {
		if r := recover(); r != nil {
			v = panicked(r)
		}
	}()
	return f()
}
