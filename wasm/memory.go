package wasm

import (
	"context"

	"github.com/tetratelabs/wazero/experimental"
)

// withAllocator has the memory of an instance made by allocate.
func withAllocator(ctx context.Context) context.Context {
	return experimental.WithMemoryAllocator(ctx, experimental.MemoryAllocatorFunc(allocate))
}

// noSpace is what allocate panics with, having no other way to say no; instantiate takes it.
type noSpace struct{ error }
