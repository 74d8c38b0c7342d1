package weave_test

import (
	"testing"

	"github.com/tetratelabs/wazero/api"

	"github.com/ananas-edge/ananas/internal/weave"
)

// kernels are functions (n i32) -> i32 of the kind that plugins spend their time in.
var kernels = map[string]string{
	// for k < n { h = (h ^ memory[k & 0xffff]) * 16777619 }
	"hash": "\x03\x40\x20\x02\x20\x01\x41\xff\xff\x03\x71\x2d\x00\x00\x73\x41\x93\x83\x80\x08\x6c\x21\x02\x20\x01\x41\x01\x6a\x22\x01\x20\x00\x49\x0d\x00\x0b\x20\x02",
	// the same, with a letter made lower case first
	"fold": "\x03\x40\x20\x01\x41\xff\xff\x03\x71\x2d\x00\x00\x22\x03\x41\xc1\x00\x6b\x41\x1a\x49\x04\x40\x20\x03\x41\x20\x72\x21\x03\x0b" +
		"\x20\x02\x20\x03\x73\x41\x93\x83\x80\x08\x6c\x21\x02\x20\x01\x41\x01\x6a\x22\x01\x20\x00\x49\x0d\x00\x0b\x20\x02",
	// if n < 2 return n; f(n-1) + f(n-2)
	"fibonacci": "\x20\x00\x41\x02\x49\x04\x40\x20\x00\x0f\x0b\x20\x00\x41\x01\x6b\x10\x00\x20\x00\x41\x02\x6b\x10\x00\x6a",
	// the empty loop, which is nothing but the charge
	"count": "\x03\x40\x20\x01\x41\x01\x6a\x22\x01\x20\x00\x49\x0d\x00\x0b\x20\x01",
}

// BenchmarkWoven compares plain and woven code in one run.
func BenchmarkWoven(b *testing.B) {
	for name, code := range kernels {
		plain := module(section(1, vec([]byte{0x60, 1, i32, 1, i32})), section(3, vec([]byte{0})), section(5, vec([]byte{0, 1})),
			section(7, vec(cat(str("f"), []byte{0, 0}))), section(10, vec(function([]byte{1, 3, i32}, []byte(code)...))))
		n := uint64(10_000)
		if name == "fibonacci" {
			n = 18
		}
		for _, how := range []string{"plain", "trap", "refuel"} {
			b.Run(name+"/"+how, func(b *testing.B) {
				module := plain
				if how != "plain" {
					m, err := weave.Parse(plain)
					if err != nil {
						b.Fatal(err)
					}
					if module, err = m.Weave(weave.Options{Limits: weave.Unlimited, Refuel: how == "refuel"}); err != nil {
						b.Fatal(err)
					}
				}
				g, err := newWorld(b).instantiate(module, nil)
				if err != nil {
					b.Fatal(err)
				}
				f := g.ExportedFunction("f")
				var fuel, stack api.MutableGlobal = g.fuel, g.stack
				for b.Loop() {
					if fuel != nil {
						fuel.Set(manyFuel)
					}
					if stack != nil {
						stack.Set(manyFuel)
					}
					if err := f.CallWithStack(b.Context(), []uint64{n}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
