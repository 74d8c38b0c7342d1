package wasm

import (
	"context"
	"errors"

	"github.com/tetratelabs/wazero/api"

	"github.com/ananas-edge/ananas/internal/weave"
)

// Instance is a module that runs: a memory and what is in it. One goroutine has it at a time.
type Instance struct {
	module  *Module
	guest   api.Module
	fuse    api.Module // kept because the guest's table points into it
	memory  api.Memory
	fuel    api.MutableGlobal
	stack   api.MutableGlobal // nil: not counted
	exports []api.Function
	call    Call
	faulted bool
	spent   int64
}

// initialize is what toolchains export to be called once, before anything else, where a module is no program (WASI's "reactor").
const initialize = "_initialize"

// start runs the module's start function, and what its toolchain wants to be called first.
func (i *Instance) start() error {
	for _, name := range []string{weave.StartFunction, initialize} {
		if f := i.guest.ExportedFunction(name); f != nil {
			if d := f.Definition(); len(d.ParamTypes())+len(d.ResultTypes()) > 0 {
				continue // it only has that name
			}
			if err := i.run(context.Background(), name, f, nil, i.module.spec.Limits.StartFuel); err != nil {
				return err
			}
		}
	}
	return nil
}

// Host is what the host functions of the next calls see.
func (i *Instance) Host() *Call { return &i.call }

// Memory is the guest's memory.
func (i *Instance) Memory() api.Memory { return i.memory }

// Has tells whether the module has the export at a place of [Spec].Exports: one that is optional it may not have.
func (i *Instance) Has(export int) bool { return i.exports[export] != nil }

// Call runs the export at a place of [Spec].Exports. Parameters are in stack, and results go there. An error is a [*Fault], after which the instance may not be called again: its pool replaces it.
// ctx is looked at by modules that run in slices only, between two of them. The call does not allocate.
func (i *Instance) Call(ctx context.Context, export int, stack []uint64) error {
	if i.faulted || i.exports[export] == nil {
		return errNoCall
	}
	return i.run(ctx, i.module.spec.Exports[export].Name, i.exports[export], stack, i.module.spec.Limits.Fuel)
}

// Prepare runs an export as Call does, with the fuel of what a module does before its first call ([Limits].StartFuel). It is for [Spec].Prepare.
func (i *Instance) Prepare(export int, stack []uint64) error {
	if i.faulted || i.exports[export] == nil {
		return errNoCall
	}
	return i.run(context.Background(), i.module.spec.Exports[export].Name, i.exports[export], stack, i.module.spec.Limits.StartFuel)
}

var errNoCall = errors.New("calling an instance that has faulted, or a function that its module does not have")

func (i *Instance) run(ctx context.Context, name string, f api.Function, stack []uint64, fuel int64) error {
	c, l := &i.call, &i.module.spec.Limits
	first := fuel
	if i.stack != nil {
		first = min(fuel, sliceFuel)
		i.stack.Set(uint64(l.Stack))
		c.Context = ctx
	}
	c.hostCalls, c.logged, c.drawn, c.slept, c.left = l.HostCalls, 0, 0, 0, fuel-first
	i.fuel.Set(uint64(first))
	err := f.CallWithStack(c, stack)
	c.Context = context.Background()
	left := int64(i.fuel.Get())
	i.spent = fuel - left - c.left
	if err != nil {
		return i.fault(name, err, left)
	}
	return nil
}

// Spent is the fuel of the last call.
func (i *Instance) Spent() int64 { return i.spent }

// refuel is what a guest calls when its slice is spent: others have their turn, and it gets the next slice, or ends.
func refuel(ctx context.Context, _ api.Module, _ []uint64) {
	c := ctx.(*Call)
	owed := -int64(c.instance.fuel.Get()) // what it spent beyond its slice: one long operation may take many
	if owed > c.left {
		panic(errFuel)
	}
	if err := c.Err(); err != nil {
		panic(trapped{err})
	}
	yield()
	c.left -= owed
	slice := min(c.left, sliceFuel)
	c.left -= slice
	c.instance.fuel.Set(uint64(slice))
}

// Close releases an instance.
func (i *Instance) Close() {
	i.faulted = true
	i.memory = nil // it is no longer there
	ctx := context.Background()
	_ = i.guest.Close(ctx) // neither has files
	if i.fuse != nil {
		_ = i.fuse.Close(ctx)
	}
	i.module.live.Add(-1)
}
