package wasm

import (
	"context"

	"github.com/tetratelabs/wazero/experimental"
)

// allocator makes the memory of one instance.
type allocator struct{ made experimental.LinearMemory }

// Allocate is for wazero.
func (a *allocator) Allocate(size, most uint64) experimental.LinearMemory {
	a.made = allocate(size, most)
	return a.made
}

// free gives back the memory of an instance that could not be made: where its data do not fit into it, wazero forgets that.
func (a *allocator) free() {
	if a.made != nil {
		a.made.Free()
	}
}

// with has the memory of an instance made by it.
func (a *allocator) with(ctx context.Context) context.Context {
	return experimental.WithMemoryAllocator(ctx, a)
}

// noSpace is what allocate panics with, having no other way to say no; instantiate takes it.
type noSpace struct{ error }
