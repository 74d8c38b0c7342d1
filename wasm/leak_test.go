package wasm_test

import (
	"errors"
	"fmt"
	"os"
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
