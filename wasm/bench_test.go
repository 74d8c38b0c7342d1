package wasm_test

import (
	"testing"

	"github.com/ananas-edge/ananas/wasm"
)

// hashing is a guest as a plugin is: it gets the length of a name, which the host put at address 1024, hashes it in lower case, and asks the host once.
func hashing() program {
	const n, k, h, o = 0, 1, 2, 3
	return program{
		types:   []string{"i>i", "ii>i"},
		imports: [][3]any{{"ananas", "ask", 1}},
		memory:  []byte{0, 1},
		functions: []function{{name: "query", kind: 0, locals: 3, code: code(
			0x03, 0x40, // loop
			0x20, k, 0x2d, 0, leb(1024), 0x22, o, // o = name[k]
			constant(0x41), 0x6b, constant(26), 0x49, // an upper-case letter
			0x04, 0x40, 0x20, o, constant(0x20), 0x72, 0x21, o, 0x0b,
			0x20, h, 0x20, o, 0x73, constant(16777619), 0x6c, 0x21, h,
			0x20, k, constant(1), 0x6a, 0x22, k, 0x20, n, 0x49, 0x0d, 0, 0x0b,
			0x20, h, 0x20, n, 0x10, 0)}},
	}
}

func hashingSpec() wasm.Spec {
	return wasm.Spec{Exports: []wasm.Export{{Name: "query", Params: []byte{wasm.I32}, Results: []byte{wasm.I32}}}, Functions: []wasm.Function{{
		Module: "ananas", Name: "ask", Params: []byte{wasm.I32, wasm.I32}, Results: []byte{wasm.I32},
		Call: func(c *wasm.Call, stack []uint64) { stack[0] &= 1 },
	}}}
}

var name64 = []byte("WWW.a-name-of-sixty-four-octets.example.that-is-asked-for.EXAMPLE")[:64]

// A call with a name of 64 octets copied in, fuel set and one call of the host, on an instance taken from a pool and put back: no allocation.
func BenchmarkCall(b *testing.B) {
	for name, limits := range map[string]wasm.Limits{"fast": {}, "sliced": {Fuel: 1_000_000}} {
		b.Run(name, func(b *testing.B) {
			s := hashingSpec()
			s.Limits = limits
			p := load(b, hashing(), s)
			ctx := b.Context()
			var stack [1]uint64
			b.ReportAllocs()
			for b.Loop() {
				i := p.Take(0)
				i.Memory().Write(1024, name64)
				stack[0] = uint64(len(name64))
				if err := i.Call(ctx, 0, stack[:]); err != nil {
					b.Fatal(err)
				}
				p.Put(0, i)
			}
		})
	}
}

// The benchmark's promise, as a test.
func TestCallAllocatesNothing(t *testing.T) {
	for _, limits := range []wasm.Limits{{}, {Fuel: 1_000_000}} {
		s := hashingSpec()
		s.Limits = limits
		p := load(t, hashing(), s)
		ctx := t.Context()
		var stack [1]uint64
		n := testing.AllocsPerRun(100, func() {
			i := p.Take(0)
			i.Memory().Write(1024, name64)
			stack[0] = uint64(len(name64))
			if err := i.Call(ctx, 0, stack[:]); err != nil {
				t.Fatal(err)
			}
			p.Put(0, i)
		})
		if n != 0 {
			t.Errorf("%v allocations", n)
		}
		i := p.Take(0)
		i.Memory().Write(1024, name64)
		stack[0] = 64
		if err := i.Call(ctx, 0, stack[:]); err != nil || stack[0] != hash(name64)&1 || i.Spent() < 64*8 || i.Spent() > 64*40 {
			t.Errorf("%v, returned %d, spent %d", err, stack[0], i.Spent())
		}
		p.Put(0, i)
	}
}

func hash(name []byte) uint64 {
	h := uint32(0)
	for _, o := range name {
		if o >= 'A' && o <= 'Z' {
			o |= 0x20
		}
		h = (h ^ uint32(o)) * 16777619
	}
	return uint64(h)
}

// A new instance, as after a fault.
func BenchmarkInstance(b *testing.B) {
	m, err := open(b).Load(b.Context(), hashing().module(), hashingSpec())
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	for b.Loop() {
		p, err := wasm.NewPool(m, 1)
		if err != nil {
			b.Fatal(err)
		}
		p.Close()
	}
}
