package wasm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/ananas-edge/ananas/internal/weave"
)

// Module is one that is compiled, linked to the functions of its host, and ready to be made instances of.
type Module struct {
	spec   Spec
	engine *Engine
	*code
	live atomic.Int64 // instances
}

// code is what of a module does not depend on what is told its instances: several that differ in that alone share it.
type code struct {
	cache    wazero.CompilationCache
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	linked   map[string]bool       // modules of the host's functions
	fuse     wazero.CompiledModule // fills the refuel table; nil: the module traps
	users    atomic.Int64          // modules that have it
}

// Again returns the module once more, for instances that something else gets ready ([Spec].Prepare): with other settings. It costs next to nothing, where linking it anew takes a millisecond of one processor.
// Each of the two has to be closed. It is nil if the module is closed already.
func (m *Module) Again(prepare func(*Instance) error) *Module {
	for {
		n := m.users.Load()
		if n == 0 {
			return nil
		}
		if m.users.CompareAndSwap(n, n+1) {
			break
		}
	}
	again := &Module{spec: m.spec, engine: m.engine, code: m.code}
	again.spec.Prepare = prepare
	return again
}

// Name is the one that it was loaded by.
func (m *Module) Name() string { return m.spec.Name }

// Limits returns what it may use, every field set.
func (m *Module) Limits() Limits { return m.spec.Limits }

// Fast tells whether a call ends after FastFuel, so that it may be made in a loop that others wait for.
func (m *Module) Fast() bool { return !m.spec.Limits.sliced() }

// link loads what was compiled into a folder.
func (e *Engine) link(folder string, s Spec) (_ *Module, err error) {
	woven, err := os.ReadFile(filepath.Join(folder, wovenFile))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBroken, err)
	}
	ctx := context.Background()
	m := &Module{spec: s, engine: e, code: &code{linked: map[string]bool{}}}
	m.users.Store(1)
	if m.cache, err = wazero.NewCompilationCacheWithDir(folder); err != nil {
		return nil, fmt.Errorf("opening the compiled module: %w", err)
	}
	m.runtime = wazero.NewRuntimeWithConfig(ctx, runtimeConfig(s.Limits.MemoryPages).WithCompilationCache(m.cache))
	defer func() {
		if err != nil {
			_ = m.Close()
		}
	}()
	if m.compiled, err = m.runtime.CompileModule(ctx, woven); err != nil {
		return nil, fmt.Errorf("%w: %w", errBroken, err)
	}
	if err = s.checkExports(m.compiled.ExportedFunctions()); err != nil {
		return nil, err
	}
	for i := range s.Functions {
		name := s.Functions[i].Module
		if m.linked[name] {
			continue
		}
		m.linked[name] = true
		if err = m.host(ctx, name, s.Functions); err != nil {
			return nil, err
		}
	}
	if s.Limits.sliced() {
		if err = m.prepareFuse(ctx); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// host makes the module of the host's functions that have its name. Those that were not granted are not among them.
func (m *Module) host(ctx context.Context, name string, functions []Function) error {
	b := m.runtime.NewHostModuleBuilder(name)
	for i := range functions {
		if f := &functions[i]; f.Module == name && granted(f.Capability, m.spec.Grants) {
			b.NewFunctionBuilder().WithGoModuleFunction(f.wazeroFunction(), f.Params, f.Results).Export(f.Name)
		}
	}
	if _, err := b.Instantiate(ctx); err != nil {
		return fmt.Errorf("linking the host's functions of %q: %w", name, err)
	}
	return nil
}

// Names inside of the module that fills a guest's refuel table.
const (
	fuseHost  = "ananas:host"
	fuseGuest = "ananas:guest"
)

// prepareFuse compiles that module: it imports the host's function and the guest's table, and puts one into the other.
func (m *Module) prepareFuse(ctx context.Context) (err error) {
	refuel := m.runtime.NewHostModuleBuilder(fuseHost).NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(refuel), nil, nil).Export("refuel")
	if _, err = refuel.Instantiate(ctx); err != nil {
		return fmt.Errorf("linking the function that refuels: %w", err)
	}
	if m.fuse, err = m.runtime.CompileModule(ctx, fuseModule()); err != nil {
		return fmt.Errorf("making the module that fills the table: %w", err)
	}
	return nil
}

// fuseModule is the module in WebAssembly's binary format.
func fuseModule() []byte {
	b := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id byte, content ...byte) { b = append(append(b, id, byte(len(content))), content...) } // all are short
	name := func(s string) []byte { return append([]byte{byte(len(s))}, s...) }
	section(1, 1, 0x60, 0, 0) // a type: () -> ()
	imports := append([]byte{2}, append(append(name(fuseHost), name("refuel")...), 0, 0)...)
	imports = append(imports, append(append(name(fuseGuest), name(weave.RefuelTable)...), 1, 0x70, 1, 1, 1)...)
	section(2, imports...)
	section(9, 1, 0, 0x41, 0, 0x0b, 1, 0) // element 0 of the table is function 0
	return b
}

// instantiate makes an instance, and runs what it does before its first call.
func (m *Module) instantiate() (_ *Instance, err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case noSpace:
			err = fmt.Errorf("making an instance of module %q: %w", m.spec.Name, r.error)
		default: // a mistake of ours: it costs this instance, and not the process, where one is made in the background
			err = fmt.Errorf("making an instance of module %q: a fault of this program: %v\n%s", m.spec.Name, r, debug.Stack())
		}
	}()
	memory := new(allocator)
	ctx := memory.with(context.Background())
	i := &Instance{module: m}
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions()
	if i.guest, err = m.runtime.InstantiateModule(ctx, m.compiled, config); err != nil {
		memory.free()
		return nil, fmt.Errorf("making an instance of module %q: %w", m.spec.Name, err)
	}
	m.live.Add(1)
	made := false
	defer func() {
		if !made {
			i.Close()
		}
	}()
	i.memory = i.guest.Memory()
	i.fuel = i.guest.ExportedGlobal(weave.FuelGlobal).(api.MutableGlobal)
	if m.fuse != nil {
		i.stack = i.guest.ExportedGlobal(weave.StackGlobal).(api.MutableGlobal)
		resolve := func(name string) api.Module {
			if name == fuseGuest {
				return i.guest
			}
			return nil // the host's is found by its name
		}
		if i.fuse, err = m.runtime.InstantiateModule(experimental.WithImportResolver(ctx, resolve), m.fuse, config); err != nil {
			return nil, fmt.Errorf("filling the refuel table of module %q: %w", m.spec.Name, err)
		}
	}
	for _, e := range m.spec.Exports {
		i.exports = append(i.exports, i.guest.ExportedFunction(e.Name))
	}
	i.call.instance, i.call.Context = i, ctx
	if err = i.start(); err == nil && m.spec.Prepare != nil {
		err = m.spec.Prepare(i)
	}
	made = err == nil
	return i, err
}

// Close releases what it has, and what no other has too. No instance may be in use.
func (m *Module) Close() error {
	if m.users.Add(-1) > 0 {
		return nil
	}
	ctx := context.Background()
	return errors.Join(m.runtime.Close(ctx), m.cache.Close(ctx))
}
