package wasm_test

import (
	"encoding/binary"
	"os"
	"testing"

	"github.com/ananas-edge/ananas/wasm"
)

// A module of another toolchain, which is spoken to as docs/module-abi.md says: a query record goes in, a log line and a verdict come out. What it is given by the host is told it in its
// own memory, where it asked for it.
func TestInterface(t *testing.T) {
	plain, err := os.ReadFile("testdata/assemblyscript/plugin.wasm")
	if err != nil {
		t.Fatal(err)
	}
	const manifest = "abi: 1\nname: everything\nversion: 0.1.0\nphases: [query]\nneeds: [log]\n"
	b, err := wasm.Attach(plain, []byte(manifest))
	if err != nil {
		t.Fatal(err)
	}
	m, err := wasm.ReadManifest(b)
	if err != nil {
		t.Fatal(err)
	}
	grants, err := m.Grants([]string{"log", "resolve"})
	if err != nil {
		t.Fatal(err)
	}
	i32 := []byte{wasm.I32}
	var logged string
	p := loadModule(t, open(t), b, wasm.Spec{
		Name: m.Name, Grants: grants,
		Exports: []wasm.Export{{Name: "ananas_buffer", Params: i32, Results: i32}, {Name: "ananas_query", Params: i32, Results: i32}},
		Functions: []wasm.Function{{Module: "ananas", Name: "log", Params: []byte{wasm.I32, wasm.I32, wasm.I32}, Results: i32, Capability: "log", Call: func(c *wasm.Call, stack []uint64) {
			text, ok := c.View(uint64(uint32(stack[1])), uint64(uint32(stack[2])))
			if !ok || uint32(stack[0]) != 1 {
				t.Errorf("it logs %x", stack[:3])
			}
			logged = string(text)
			stack[0] = 0
		}}},
	})
	i := p.Take(0)
	defer p.Put(0, i)
	stack := []uint64{4096}
	if err := i.Call(t.Context(), 0, stack); err != nil || stack[0] == 0 {
		t.Fatalf("%v, the buffer is at %d", err, stack[0])
	}
	at := uint32(stack[0])

	const name = "\x03www\x07example\x00"
	query := make([]byte, 40)
	binary.LittleEndian.PutUint16(query, 40)
	binary.LittleEndian.PutUint16(query[4:], 1)
	binary.LittleEndian.PutUint16(query[6:], 1)
	binary.LittleEndian.PutUint16(query[10:], uint16(len(name)))
	i.Memory().Write(at, append(query, name...))
	stack[0] = uint64(len(query) + len(name))
	if err := i.Call(t.Context(), 1, stack); err != nil {
		t.Fatal(err)
	}
	verdict, _ := i.Memory().Read(at, uint32(stack[0]))
	if logged != name || len(verdict) != 24 || verdict[0] != 24 || verdict[2] != 2 {
		t.Errorf("it logged %q, and its verdict is %x", logged, verdict)
	}
}
