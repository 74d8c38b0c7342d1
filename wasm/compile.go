package wasm

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/ananas-edge/ananas/internal/weave"
)

// order is what a child process is told, as one line of JSON; the module follows it.
type order struct {
	Folder string
	Weave  weave.Options
	Memory int64 // octets
	CPU    int64 // seconds
	Octets int
}

// outcome is what it says when it is done.
type outcome struct {
	Error, Hint string
}

// wovenFile is the name of the woven module, beside the folder of wazero's cache.
const wovenFile = "woven.wasm"

// RunCompiler is the child process that compiles: it is told what on in, and says how it went on out. It limits itself before it looks at the module.
func RunCompiler(in io.Reader, out io.Writer) error {
	r := bufio.NewReader(in)
	line, err := r.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("reading what to compile: %w", err)
	}
	var o order
	if err := json.Unmarshal(line, &o); err != nil {
		return fmt.Errorf("reading what to compile: %w", err)
	}
	if err := limitProcess(o.Memory, o.CPU); err != nil {
		return fmt.Errorf("limiting the process that compiles: %w", err)
	}
	debug.SetMemoryLimit(o.Memory / 4 * 3) // the collector does its best before the system says no
	source := make([]byte, o.Octets)
	if _, err := io.ReadFull(r, source); err != nil {
		return fmt.Errorf("reading the module to compile: %w", err)
	}
	var said outcome
	if err := compile(o, source); err != nil {
		said.Error = err.Error()
	}
	return json.NewEncoder(out).Encode(said)
}

// compile puts the module, woven and compiled, into a folder. The original is validated: of what is woven from a valid module is known what it does.
func compile(o order, source []byte) error {
	m, err := weave.Parse(source)
	if err != nil {
		return err
	}
	woven, err := m.Weave(o.Weave)
	if err != nil {
		return err
	}
	ctx := context.Background()
	if err := validate(ctx, m.Plain()); err != nil {
		return fmt.Errorf("validating the module: %w", err)
	}
	cache, err := wazero.NewCompilationCacheWithDir(o.Folder)
	if err != nil {
		return fmt.Errorf("opening the folder for what is compiled: %w", err)
	}
	defer cache.Close(ctx)
	r := wazero.NewRuntimeWithConfig(ctx, runtimeConfig(o.Weave.Limits.MemoryPages).WithCompilationCache(cache))
	defer r.Close(ctx)
	if _, err := r.CompileModule(ctx, woven); err != nil {
		return fmt.Errorf("compiling the module: %w", err)
	}
	if o.Weave.Refuel { // so that nothing is added to the folder when it is linked
		if _, err := r.CompileModule(ctx, fuseModule()); err != nil {
			return fmt.Errorf("compiling the module that fills the table: %w", err)
		}
	}
	return writeSynced(filepath.Join(o.Folder, wovenFile), woven)
}

// validate compiles for an interpreter, which takes less than for this machine, and validates first.
func validate(ctx context.Context, b []byte) error {
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(api.CoreFeaturesV2))
	defer r.Close(ctx)
	_, err := r.CompileModule(ctx, b)
	return err
}

// runtimeConfig is the same where modules are compiled and where they are loaded: what is cached is found by it.
func runtimeConfig(pages uint32) wazero.RuntimeConfig {
	return wazero.NewRuntimeConfigCompiler().WithCoreFeatures(api.CoreFeaturesV2).WithMemoryLimitPages(pages).WithDebugInfoEnabled(false)
}

func writeSynced(name string, b []byte) (err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	if _, err = f.Write(b); err != nil {
		return err
	}
	return f.Sync()
}
