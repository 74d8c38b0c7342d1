package wasm_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ananas-edge/ananas/wasm"
)

// calling is a guest that calls its host once, and faults if that says so.
func calling() program {
	return program{types: []string{">", ">i"}, imports: [][3]any{{"ananas", "f", 1}}, memory: []byte{0, 1},
		functions: []function{{name: "f", code: code(0x10, 0, 0x04, 0x40, 0x00, 0x0b)}}}
}

// An instance has one user at a time, there are never more than the limit, and all that wait are served: with faults among them.
func TestPoolUnderLoad(t *testing.T) {
	var running, most, calls atomic.Int32
	host := []wasm.Function{{Module: "ananas", Name: "f", Results: []byte{wasm.I32}, Call: func(c *wasm.Call, stack []uint64) {
		n := running.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		if !c.State.(*atomic.Bool).CompareAndSwap(false, true) {
			t.Error("two calls in one instance")
		}
		stack[0] = 0
		if calls.Add(1)%7 == 0 {
			stack[0] = 1
		}
		c.State.(*atomic.Bool).Store(false)
		running.Add(-1)
	}}}
	p := load(t, calling(), wasm.Spec{Functions: host, Exports: exportF, Limits: wasm.Limits{Instances: 3}})
	var all sync.WaitGroup
	for core := range 8 {
		all.Go(func() {
			for range 200 {
				i, err := p.TakeOrMake(t.Context(), core)
				if err != nil {
					t.Error(err)
					return
				}
				if i.Host().State == nil {
					i.Host().State = new(atomic.Bool)
				}
				_ = i.Call(t.Context(), 0, nil)
				p.Put(core, i)
			}
		})
	}
	all.Wait()
	if calls.Load() != 1600 || most.Load() > 3 {
		t.Errorf("%d calls, at most %d at once", calls.Load(), most.Load())
	}
}

// Nobody waits longer than a second for an instance.
func TestPoolWaitsASecond(t *testing.T) {
	m, err := open(t).Load(t.Context(), calling().module(), wasm.Spec{Name: "m", Exports: exportF, Limits: wasm.Limits{Instances: 1}, Functions: []wasm.Function{{Module: "ananas", Name: "f", Results: []byte{wasm.I32}, Call: func(*wasm.Call, []uint64) {}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	synctest.Test(t, func(t *testing.T) {
		p, err := wasm.NewPool(m, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		i := p.Take(0)
		began := time.Now()
		if _, err := p.TakeOrMake(t.Context(), 0); !errors.Is(err, wasm.ErrBusy) || time.Since(began) != time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		p.Put(0, i)
		if i, err = p.TakeOrMake(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		p.Put(0, i)
	})
}

// Who waits for an instance stops when its context does; one that is stuck delays nobody while there are others.
func TestPoolWaits(t *testing.T) {
	p := load(t, calling(), wasm.Spec{Functions: []wasm.Function{{Module: "ananas", Name: "f", Results: []byte{wasm.I32}, Call: func(*wasm.Call, []uint64) {}}},
		Exports: exportF, Limits: wasm.Limits{Instances: 3}})
	var taken []*wasm.Instance
	for core := range 2 {
		taken = append(taken, p.Take(core))
	}
	if p.Take(0) != nil {
		t.Error("there is a third without making it")
	}
	third, err := p.TakeOrMake(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := p.TakeOrMake(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	got := make(chan *wasm.Instance)
	go func() {
		i, err := p.TakeOrMake(context.Background(), 1)
		if err != nil {
			t.Error(err)
		}
		got <- i
	}()
	p.Put(0, third)
	i := <-got
	if i != third {
		t.Error("it is another one")
	}
	p.Put(0, i)
	for _, i := range taken {
		p.Put(0, i)
	}
}

// A module in slices lets others run between them, and ends when nobody waits for it any more.
func TestSlices(t *testing.T) {
	endless := one(code(0x03, 0x40, 0x0c, 0, 0x0b))
	p := load(t, endless, wasm.Spec{Exports: exportF, Limits: wasm.Limits{Fuel: 1 << 60}})
	i := p.Take(0)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- i.Call(ctx, 0, nil) }()
	stop()
	var f *wasm.Fault
	if err := <-ended; !errors.As(err, &f) || f.Cause != wasm.Canceled {
		t.Error(err)
	}
	p.Put(0, i)
}

// Fuel in slices ends at the same amount as without.
func TestSlicesSpendAll(t *testing.T) {
	p := load(t, one(code(0x03, 0x40, 0x0c, 0, 0x0b)), wasm.Spec{Exports: exportF, Limits: wasm.Limits{Fuel: 1_234_567}})
	i := p.Take(0)
	var f *wasm.Fault
	if err := i.Call(t.Context(), 0, nil); !errors.As(err, &f) || f.Cause != wasm.Fuel || i.Spent() < 1_234_567 || i.Spent() > 1_234_667 {
		t.Errorf("%v, %d spent", err, i.Spent())
	}
	p.Put(0, i)
}

// What the host does for a guest can cost it fuel, and what it may log is bounded.
func TestHostCharges(t *testing.T) {
	var may []int
	cost := int64(10_000)
	host := []wasm.Function{{Module: "ananas", Name: "f", Results: []byte{wasm.I32}, Call: func(c *wasm.Call, stack []uint64) {
		c.Charge(cost)
		may = append(may, c.Log(700))
		stack[0] = 0
	}}}
	guest := calling()
	guest.functions[0].code = code(0x10, 0, 0x1a, 0x10, 0, 0x1a)
	p := load(t, guest, wasm.Spec{Functions: host, Exports: exportF})
	i := p.Take(0)
	if err := i.Call(t.Context(), 0, nil); err != nil || i.Spent() < 20_000 || i.Spent() > 20_100 || len(may) != 2 || may[0] != 700 || may[1] != 324 {
		t.Errorf("%v, %d spent, may log %d", err, i.Spent(), may)
	}
	cost = 30_000
	var f *wasm.Fault
	if err := i.Call(t.Context(), 0, nil); !errors.As(err, &f) || f.Cause != wasm.Fuel {
		t.Error(err)
	}
	p.Put(0, i)
}

// The same seed draws the same numbers in each call.
func TestRandom(t *testing.T) {
	var drawn [][16]byte
	host := []wasm.Function{{Module: "ananas", Name: "f", Results: []byte{wasm.I32}, Call: func(c *wasm.Call, stack []uint64) {
		var b [16]byte
		c.Random(b[:7])
		c.Random(b[7:])
		drawn = append(drawn, b)
		stack[0] = 0
	}}}
	p := load(t, calling(), wasm.Spec{Functions: host, Exports: exportF})
	i := p.Take(0)
	for _, seed := range []uint64{1, 2, 1} {
		i.Host().Seed = seed
		if err := i.Call(t.Context(), 0, nil); err != nil {
			t.Fatal(err)
		}
	}
	p.Put(0, i)
	if drawn[0] != drawn[2] || drawn[0] == drawn[1] || drawn[0] == [16]byte{} {
		t.Errorf("%x", drawn)
	}
}
