package wasm

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/ananas-edge/ananas/internal/weave"
)

// grows is a module with all that the weaver charges for by its length: it grows a memory and a table, and fills and copies, in a loop, and calls itself.
var grows = []byte("\x00asm\x01\x00\x00\x00" +
	"\x01\x04\x01\x60\x00\x00" + // type: () -> ()
	"\x03\x02\x01\x00" + // one function
	"\x04\x04\x01\x70\x00\x01" + // a table
	"\x05\x03\x01\x00\x01" + // a memory
	"\x07\x05\x01\x01f\x00\x00" + // export f
	"\x0a\x2d\x01\x2b\x00" +
	"\x03\x40" + // loop
	"\x41\x01\x40\x00\x1a" + // memory.grow
	"\xd0\x70\x41\x01\xfc\x0f\x00\x1a" + // table.grow
	"\x41\x00\x41\x00\x41\x01\xfc\x0b\x00" + // memory.fill
	"\x41\x00\x41\x00\x41\x01\xfc\x0a\x00\x00" + // memory.copy
	"\x10\x00" + // call f
	"\x41\x00\x0d\x00" + // br_if
	"\x0b\x0b")

// What is woven in another way has another version: else a node would run on with what an older release has compiled, at the prices of that, until somebody pushes the module anew. Who changes the weaver adds a version here.
func TestWeaverVersion(t *testing.T) {
	woven := sha256.New()
	for _, refuel := range []bool{false, true} {
		m, err := weave.Parse(grows)
		if err != nil {
			t.Fatal(err)
		}
		out, err := m.Weave(weave.Options{Refuel: refuel, Limits: weave.Limits{MemoryPages: 32, TableEntries: 16_384, Tables: 8, Functions: 8, Entries: 8, BodyOctets: 64, Locals: 8, Nesting: 8}})
		if err != nil {
			t.Fatal(err)
		}
		woven.Write(out)
	}
	known := map[string]string{
		"2": "b657a58b8a476900", // a page of memory is 8,192
		"3": "a8377e440ab501a5", // and 32,768, or 65,536 in slices
	}
	if got := hex.EncodeToString(woven.Sum(nil)[:8]); known[weaverVersion] != got {
		t.Errorf("version %s of the weaver makes what has the digest %s, want %s", weaverVersion, got, known[weaverVersion])
	}
}
