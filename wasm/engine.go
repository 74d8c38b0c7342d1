package wasm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/internal/weave"
	"github.com/ananas-edge/ananas/telemetry"
)

// Config is what an engine is opened with.
type Config struct {
	// Folder is where compiled modules are kept: machine code that this process runs, so nobody else may write there. It is made.
	Folder string

	// Command makes the process that compiles: it calls RunCompiler with its standard input and output. It must be this very program, because what one version
	// compiled another may not find.
	Command func() *exec.Cmd

	Log     *slog.Logger       // nil: none
	Metrics *telemetry.Metrics // nil: counted and not shown
}

// Engine compiles and loads modules. Its methods may be called from any goroutine.
type Engine struct {
	config    Config
	compiling chan struct{} // one at a time: who compiles takes a core for seconds
	counted   counters
}

// Spec is what a module is loaded with.
type Spec struct {
	Name      string // for errors and metrics
	Limits    Limits
	Functions []Function // that the host offers
	Grants    []string   // capabilities that the operator gave
	Exports   []Export   // that the host calls, by their place in this list

	// Prepare, if not nil, is called with each new instance, after its start function and before anybody may take it. Its error is that of making the instance.
	Prepare func(*Instance) error
}

// Open makes an engine.
func Open(c Config) (*Engine, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(c.Folder, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder for compiled modules: %w", err)
	}
	left, err := filepath.Glob(filepath.Join(c.Folder, "*"+unfinished))
	if err != nil {
		return nil, fmt.Errorf("reading the folder for compiled modules: %w", err)
	}
	for _, f := range left { // of a process that was killed
		if err := os.RemoveAll(f); err != nil {
			return nil, fmt.Errorf("removing a module that was compiled half: %w", err)
		}
	}
	return &Engine{config: c, compiling: make(chan struct{}, 1), counted: newCounters(c.Metrics)}, nil
}

// Apart returns an engine over the same folder, which counts in other metrics (nil: counted and not shown). What one of the two has compiled the other finds, and both together compile one module at a time.
func (e *Engine) Apart(m *telemetry.Metrics) *Engine {
	c := e.config
	c.Metrics = m
	return &Engine{config: c, compiling: e.compiling, counted: newCounters(m)}
}

// unfinished ends the name of a folder that is being filled.
const unfinished = ".unfinished"

// Check does all of Load that may fail, and keeps what was compiled: what a writer does before it commits a module.
func (e *Engine) Check(ctx context.Context, source []byte, s Spec) error {
	m, err := e.Load(ctx, source, s)
	if err != nil {
		return err
	}
	return m.Close()
}

// Load makes a module ready to run. If it was never compiled here under these limits, that is done first: it takes milliseconds, or seconds for large ones. Errors name the module, and have a
// hint where something can be done.
func (e *Engine) Load(ctx context.Context, source []byte, s Spec) (*Module, error) {
	s.Limits = s.Limits.withDefaults()
	m, err := e.load(ctx, source, s)
	if err != nil {
		return nil, fmt.Errorf("loading module %q: %w", s.Name, err)
	}
	return m, nil
}

func (e *Engine) load(ctx context.Context, source []byte, s Spec) (*Module, error) {
	if err := s.Limits.checkSize(len(source)); err != nil {
		return nil, err
	}
	parsed, err := weave.Parse(source)
	if err != nil {
		return nil, err
	}
	if err := s.checkImports(parsed); err != nil {
		return nil, err
	}
	m, err := e.make(ctx, source, s)
	if err != nil {
		return nil, err
	}
	if _, ok := parsed.Memory(); !ok { // whatever is said to it would be said nowhere
		_ = m.Close()
		return nil, hinted{errors.New("the module has no memory"), "have it bring one; docs/module-abi.md lists what a module must have"}
	}
	return m, nil
}

// make links what was compiled of a module, and has it compiled first if it was not.
func (e *Engine) make(ctx context.Context, source []byte, s Spec) (*Module, error) {
	folder := filepath.Join(e.config.Folder, identity(source, s.Limits.weave()))
	if m, err := e.linkOld(folder, s); m != nil || err != nil {
		return m, err
	}
	select {
	case e.compiling <- struct{}{}:
		defer func() { <-e.compiling }()
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for other modules to be compiled: %w", ctx.Err())
	}
	if m, err := e.linkOld(folder, s); m != nil || err != nil { // somebody else has compiled it meanwhile
		return m, err
	}
	if err := e.compileInto(ctx, folder, source, s.Limits); err != nil {
		e.counted.refused.Inc()
		return nil, err
	}
	return e.link(folder, s)
}

// linkOld loads what was compiled before; nil if that is to be done, first or again.
func (e *Engine) linkOld(folder string, s Spec) (*Module, error) {
	if !compiled(folder) {
		return nil, nil
	}
	err := unbroken(folder)
	var m *Module
	if err == nil {
		m, err = e.link(folder, s)
	}
	if errors.Is(err, errBroken) {
		e.config.Log.Warn("what was compiled of a module is broken, and is compiled again", "module", s.Name, "error", err)
		return nil, nil
	}
	now := time.Now() // of the file system, which all of these times are of
	_ = os.Chtimes(folder, now, now)
	return m, err
}

// errBroken is why a folder of what was compiled is of no use.
var errBroken = errors.New("loading the compiled module")

// weaverVersion changes when modules are woven in another way, so that they are compiled anew.
const weaverVersion = "3"

// identity is the name of what comes of a module under the weaver's limits.
func identity(source []byte, o weave.Options) string {
	h := sha256.New()
	how, err := json.Marshal(o)
	if err != nil {
		panic(err) // numbers and a flag
	}
	fmt.Fprintln(h, weaverVersion, runtime.GOOS, runtime.GOARCH, runtime.Version(), string(how))
	h.Write(source)
	return hex.EncodeToString(h.Sum(nil))
}

// compiled tells whether a folder has what this version of wazero finds: it has a folder of its own in there, and makes an empty one where it finds nothing.
func compiled(folder string) bool {
	versions, err := filepath.Glob(filepath.Join(folder, "wazero-*"))
	if err != nil || len(versions) != 1 {
		return false
	}
	files, err := os.ReadDir(versions[0])
	if err != nil || len(files) == 0 {
		return false
	}
	_, err = os.Stat(filepath.Join(folder, wovenFile))
	return err == nil
}

// compileInto has the child compile, and puts what it made in its place in one step.
func (e *Engine) compileInto(ctx context.Context, folder string, source []byte, l Limits) error {
	if err := os.RemoveAll(folder); err != nil {
		return fmt.Errorf("removing what another version compiled: %w", err)
	}
	working := folder + unfinished
	if err := os.MkdirAll(working, 0o700); err != nil {
		return fmt.Errorf("making a folder for what is compiled: %w", err)
	}
	defer os.RemoveAll(working)
	if err := e.runChild(ctx, working, source, l); err != nil {
		return err
	}
	if !compiled(working) {
		return errors.New("compiling the module: the process that did it says it is done, and there is nothing")
	}
	if err := seal(working); err != nil {
		return err
	}
	if err := os.Rename(working, folder); err != nil {
		return fmt.Errorf("keeping the compiled module: %w", err)
	}
	return e.prune()
}

// mostKept is how many compiled modules are kept on disk: as many as settings may name (256), in two versions each while they roll out. Were it fewer, a start of a node that has more would compile
// all of them, since the one that goes is the next that is wanted. One of C or Rust takes some 100 KB, one of Go's some 10 MB: a node runs a handful, and 5 GB if all of these were Go's.
const mostKept = 512

// prune removes what was not used for longest. What is loaded needs its folder no more.
func (e *Engine) prune() error {
	folders, err := os.ReadDir(e.config.Folder)
	if err != nil {
		return fmt.Errorf("reading the folder for compiled modules: %w", err)
	}
	used := make(map[string]time.Time)
	for _, f := range folders {
		if info, err := f.Info(); err == nil {
			used[f.Name()] = info.ModTime()
		}
	}
	slices.SortFunc(folders, func(a, b os.DirEntry) int { return used[b.Name()].Compare(used[a.Name()]) })
	for _, f := range folders[min(mostKept, len(folders)):] {
		if err := os.RemoveAll(filepath.Join(e.config.Folder, f.Name())); err != nil {
			return fmt.Errorf("removing a compiled module: %w", err)
		}
	}
	return nil
}

// Forget removes what was compiled of a module.
func (e *Engine) Forget(source []byte, l Limits) error {
	folder := filepath.Join(e.config.Folder, identity(source, l.withDefaults().weave()))
	if err := os.RemoveAll(folder); err != nil {
		return fmt.Errorf("removing a compiled module: %w", err)
	}
	return nil
}

// firstLine is what of a text fits into an error.
func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line[:min(len(line), 300)]
}
