package cases

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ananas-edge/ananas/internal/namedfile"
	"github.com/ananas-edge/ananas/internal/wholefile"
	"github.com/ananas-edge/ananas/nameserver/dataset"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/telemetry"
	"github.com/ananas-edge/ananas/wasm"
)

// Config is what a runner is made with.
type Config struct {
	Module  []byte            // with its manifest
	Data    map[string][]byte // data sets, by their names
	Compile func() *exec.Cmd  // makes the process that compiles: see [wasm.Config]
	Boot    func() time.Duration
}

// Runner runs cases of one module.
type Runner struct {
	module   []byte
	data     map[string][]byte
	manifest wasm.Manifest
	folder   string
	loader   *plugin.Loader
	chains   map[string]ready
	said     []string
	seen     *Seen // what the module does while it is called

	measuring bool // the calls are many, and alike
}

// ready is a chain, or why there is none.
type ready struct {
	chain *plugin.Chain
	fault string
	said  []string // at the start that failed
	err   error
}

// Open makes a runner. Close it.
func Open(c Config) (*Runner, error) {
	manifest, err := wasm.ReadManifest(c.Module)
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "ananas-cases-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for what is compiled: %w", err)
	}
	r := &Runner{module: c.Module, data: c.Data, manifest: manifest, folder: folder, chains: make(map[string]ready), seen: new(Seen)}
	if r.loader, err = r.newLoader(c); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return r, nil
}

func (r *Runner) newLoader(c Config) (*plugin.Loader, error) {
	metrics := telemetry.NewMetrics()
	engine, err := wasm.Open(wasm.Config{Folder: filepath.Join(r.folder, "modules"), Command: c.Compile, Metrics: metrics})
	if err != nil {
		return nil, err
	}
	lists := filepath.Join(r.folder, "data")
	if err := os.Mkdir(lists, 0o700); err != nil {
		return nil, fmt.Errorf("making a folder for data sets: %w", err)
	}
	shelf, err := dataset.NewShelf(lists, wholefile.OS{})
	if err != nil {
		return nil, err
	}
	boot := c.Boot
	if boot == nil {
		var calls atomic.Int64
		boot = func() time.Duration { return time.Duration(calls.Add(1)) * time.Hour } // so that cases that fault do not take the module out
	}
	return plugin.NewLoader(plugin.Config{Engine: engine, Shelf: shelf, Cores: 1, Boot: boot, Metrics: metrics, AllLines: true, Logs: r.logs, Counts: r.counts}), nil
}

// logs and counts take what the module does while it is asked of a case. What it does while it is measured nobody keeps.
func (r *Runner) logs(_ string, level int, text string) {
	if r.measuring {
		return
	}
	r.said = append(r.said, levels[level]+": "+text)
	r.seen.log(level, text)
}

func (r *Runner) counts(_, name string, observed bool, value uint64) {
	if !r.measuring {
		r.seen.count(name, observed, value)
	}
}

// Close releases what it has.
func (r *Runner) Close() error {
	for _, one := range r.chains {
		one.chain.Release()
	}
	r.loader.Wait()
	return os.RemoveAll(r.folder)
}

// Result is what came of a case.
type Result struct {
	Outcome
	Fuel  int64
	Start int64    // fuel of the start with the settings of the case
	Said  []string // lines that the module logged
}

// Run runs a case. An error is one of the module as a whole: it can't be loaded.
func (r *Runner) Run(ctx context.Context, c *Case) (Result, error) {
	r.said = nil
	one := r.ready(ctx, c)
	if one.fault != "" {
		return Result{Outcome: Outcome{Fault: one.fault}, Said: one.said}, nil
	}
	if one.err != nil {
		return Result{}, one.err
	}
	chain := one.chain
	first := r.once(ctx, chain, c)
	said := r.said
	if r.manifest.Pure && first.Fault == "" && c.Lines == nil { // of phase log there is no verdict, and what is counted is counted once
		if again := r.once(ctx, chain, c); again.String() != first.String() {
			first.Outcome = Outcome{Fault: "not pure"}
		}
	}
	first.Said, first.Start = said, chain.Started()
	return first, nil
}

func (r *Runner) once(ctx context.Context, chain *plugin.Chain, c *Case) (out Result) {
	var failed error
	see := func(s plugin.Step) {
		out.Fuel += s.Fuel // of phase log there may be several calls
		failed, out.Verdict = s.Err, s.Verdict
	}
	r.seen = new(Seen) // of a start is nothing told
	switch {
	case c.Lines != nil:
		chain.Log(ctx, 0, c.Lines, see)
		out.Seen = r.seen
	case c.Reply != nil:
		reply := *c.Reply
		chain.Answer(ctx, 0, &c.Query, c.Question.Name, &reply, see)
	default:
		chain.Query(ctx, 0, &c.Query, c.Question.Name, see)
	}
	if failed != nil {
		if out.Fault = plugin.Reason(failed); out.Fault == "" {
			out.Fault = failed.Error()
		}
		out.Verdict, out.Seen = plugin.Verdict{}, nil
	}
	return out
}

// ready returns the module with the settings of a case.
func (r *Runner) ready(ctx context.Context, c *Case) ready {
	key := string(c.Phase())
	for _, k := range slices.Sorted(maps.Keys(c.Settings)) {
		key += fmt.Sprintf(" %q=%q", k, c.Settings[k])
	}
	one, ok := r.chains[key]
	if !ok {
		one.chain, one.err = r.load(ctx, c)
		if one.err != nil {
			one.fault, one.said = plugin.Reason(one.err), r.said
			for _, line := range plugin.SaidAtStart(one.err) {
				if !slices.ContainsFunc(one.said, func(logged string) bool { return strings.HasSuffix(logged, ": "+line) }) {
					one.said = append(one.said, "error: "+line)
				}
			}
		}
		r.chains[key] = one
	}
	return one
}

func (r *Runner) load(ctx context.Context, c *Case) (*plugin.Chain, error) {
	m := r.manifest
	var data []plugin.Data
	for name := range r.data {
		data = append(data, plugin.Data{Name: name, File: "data/" + name})
	}
	grant := slices.Clone(m.Needs)
	for _, want := range m.Wants {
		if r.data[strings.TrimPrefix(want, "data/")] != nil {
			grant = append(grant, want)
		}
	}
	files := func(name string, _ int64) (*namedfile.File, error) {
		if text, ok := r.data[strings.TrimPrefix(name, "data/")]; ok && strings.HasPrefix(name, "data/") {
			return namedfile.Of(text), nil
		}
		return namedfile.Of(r.module), nil
	}
	table, err := plugin.Compile(
		[]plugin.Module{{Name: m.Name, File: m.Name + ".wasm", Limits: plugin.Limits{Fuel: m.Fuel}}}, data,
		[]plugin.Plugin{{Module: m.Name, Phase: c.Phase(), Grant: grant, Settings: c.Settings}},
		files)
	if err == nil {
		var chain *plugin.Chain
		if chain, err = r.loader.Load(ctx, table, nil); err == nil {
			return chain, nil
		}
	}
	if !slices.Contains(m.Phases, string(c.Phase())) {
		return nil, hinted{fmt.Errorf("line %d: the module does not run at phase %s", c.Line, c.Phase()), "a case with records is of phase answer, one of lines that begin with logged of phase log, any other of phase query; module.yaml says at which the module runs"}
	}
	return nil, err
}

// Measure has the module look at a case again and again, for about as long as is wanted. Of phase log a call is all lines of the case.
func (r *Runner) Measure(ctx context.Context, c *Case, want time.Duration) (plugin.Cost, error) {
	one := r.ready(ctx, c)
	switch {
	case one.fault != "":
		return plugin.Cost{}, fmt.Errorf("its settings are refused: %w", one.err)
	case one.err != nil:
		return plugin.Cost{}, one.err
	}
	chain := one.chain
	r.measuring = true
	defer func() { r.measuring = false }()
	for n := 10; ; n *= 4 { // the last round is the longest by far, and the others have warmed the memory
		cost, err := measure(ctx, chain, c, n)
		if err != nil || cost.Took*2 > want || n >= 1<<26 {
			return cost, err
		}
	}
}

func measure(ctx context.Context, chain *plugin.Chain, c *Case, n int) (plugin.Cost, error) {
	if c.Lines != nil {
		return chain.MeasureLog(ctx, c.Lines, n)
	}
	return chain.Measure(ctx, &c.Query, c.Reply, n)
}
