package weave_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/ananas-edge/ananas/internal/randomwasm"
	"github.com/ananas-edge/ananas/internal/weave"
)

// Modules that are made at random do the same when they are woven. They are valid and end by themselves: a function calls later ones only, and not in loops;
// and each loop counts down.
func TestRandomModulesDoTheSame(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		b := make([]byte, 200+r.IntN(3000))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		doTheSame(t, b)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func FuzzRandomModulesDoTheSame(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 1))
	for n := range 20 {
		b := make([]byte, 100*n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { doTheSame(t, b) })
}

// doTheSame makes a module of what is random, and holds plain and woven to each other, with and without refuelling.
func doTheSame(t *testing.T, random []byte) {
	b, functions := randomwasm.Module(random)
	for _, refuel := range []bool{false, true} {
		p := newPair(t, refuel)
		if err := p.instantiate(b); err != nil {
			t.Fatalf("the module that was made is not valid: %v", err)
		}
		for i, f := range functions {
			args := make([]uint64, len(f.Params))
			for k := range args {
				args[k] = []uint64{0, 1, 7, 65_530, 1 << 31, math.MaxUint64}[(i+k+len(random))%6]
				if f.Params[k] == i32 || f.Params[k] == f32 {
					args[k] &= math.MaxUint32
				}
			}
			_ = p.call(p.last, f.Name, args...) // may trap, in both
		}
		p.close()
	}
	neverCheaper(t, b, functions)
}

// neverCheaper holds what is charged where code is folded to what is charged where each piece is counted for itself, which is what was done.
func neverCheaper(t *testing.T, b []byte, functions []randomwasm.Function) {
	m, err := weave.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	var spent [2][]int64
	for i, o := range []weave.Options{{Limits: weave.Unlimited}, weave.Exact(weave.Options{Limits: weave.Unlimited})} {
		woven, err := m.Weave(o)
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t)
		g, err := w.instantiate(woven, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range functions {
			_, _ = g.call(f.Name, make([]uint64, len(f.Params))...)
			spent[i] = append(spent[i], manyFuel-int64(g.fuel.Get()))
		}
		w.Close(t.Context())
	}
	for i, f := range functions {
		if folded, exact := spent[0][i], spent[1][i]; folded < exact || exact <= 0 {
			t.Errorf("%s was charged %d, and spent %d", f.Name, folded, exact)
		}
	}
}

func (p *pair) close() {
	p.plain.Close(p.Context())
	p.woven.Close(p.Context())
}

// Types of values.
const i32, i64, f32, f64 byte = 0x7f, 0x7e, 0x7d, 0x7c
