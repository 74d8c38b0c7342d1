package wasm_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ananas-edge/ananas/wasm"
)

// mapped is how many octets the system has mapped for this process.
func mapped(t *testing.T) (n int) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("measuring the address space: ", err)
	}
	if _, err := fmt.Sscan(string(b), &n); err != nil {
		t.Fatal(err)
	}
	return n * os.Getpagesize()
}

// An instance that can not be made leaves nothing behind: here its data do not fit into its memory, which is seen when that is there.
func TestNoInstanceLeavesNoMemory(t *testing.T) {
	p := one(code())
	p.memory = []byte{0, 1}
	b := append(p.module(), 11, 9, 1, 0, 0x41, 0xff, 0xff, 0x07, 0x0b, 1, 'x') // at address 131,071 of 65,536
	m, err := open(t).Load(t.Context(), b, wasm.Spec{Name: "m", Exports: exportF})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	before := mapped(t)
	for range 200 {
		if _, err := wasm.NewPool(m, 1); err == nil {
			t.Fatal("an instance was made")
		}
	}
	if grown := mapped(t) - before; grown > 200<<20 { // each has 2 MiB
		t.Errorf("200 that could not be made have left %d octets", grown)
	}
}

// A module without a memory is refused: there is nothing in it to be read or written.
func TestNoMemory(t *testing.T) {
	p := one(code())
	p.memory = nil
	_, err := open(t).Load(t.Context(), p.module(), wasm.Spec{Name: "m", Exports: exportF})
	var hint interface{ Hint() string }
	if err == nil || !errors.As(err, &hint) || err.Error() != `loading module "m": the module has no memory` {
		t.Error(err)
	}
}

// A panic while an instance is made is ours, and costs what the instance was for: not the process, where it is made again in the background, and not its place.
func TestPanicWhileMaking(t *testing.T) {
	var fails atomic.Bool
	p := load(t, one(code(0x00)), wasm.Spec{Exports: exportF, Limits: wasm.Limits{Instances: 2}, Prepare: func(*wasm.Instance) error {
		if fails.Load() {
			panic("a mistake")
		}
		return nil
	}})
	fails.Store(true)
	for range 2 { // all that there are
		i, err := p.TakeOrMake(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		_ = i.Call(t.Context(), 0, nil)
		p.Put(0, i)
	}
	for range 10 {
		if _, err := p.TakeOrMake(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "a mistake") {
			t.Errorf("%v", err)
		}
	}
	fails.Store(false)
	i, err := p.TakeOrMake(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	p.Put(0, i)
}

// The cause of a fault is what the sandbox says of it, and not what a module has called its functions.
func TestNamesAreNoCauses(t *testing.T) {
	for _, name := range []string{"stack overflow", "out of bounds memory access", "unreachable"} {
		p := one(code(0x41, 1, 0x41, 0, 0x6d, 0x1a)) // 1 / 0
		p.custom = map[string][]byte{"name": slices.Concat([]byte{1}, leb(len(name)+3), []byte{1, 0}, str(name))}
		pool := load(t, p, wasm.Spec{Exports: exportF, Limits: wasm.Limits{Fuel: 1_000_000}})
		i := pool.Take(0)
		err := i.Call(t.Context(), 0, nil)
		var fault *wasm.Fault
		if !errors.As(err, &fault) || fault.Cause != wasm.Trap || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: %v", name, err)
		}
		pool.Put(0, i)
	}
}
