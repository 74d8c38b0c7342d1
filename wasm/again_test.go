package wasm_test

import (
	"errors"
	"testing"

	"github.com/ananas-edge/ananas/wasm"
)

// A module that is loaded once more is linked no second time, gets its instances ready in its own way, and outlives the one that it is of; once all are closed there is none to be had.
func TestModuleAgain(t *testing.T) {
	e := open(t)
	var ready [3]int
	prepare := func(k int) func(*wasm.Instance) error {
		return func(*wasm.Instance) error { ready[k]++; return nil }
	}
	first, err := e.Load(t.Context(), one(nil).module(), wasm.Spec{Name: "m", Exports: exportF, Prepare: prepare(0)})
	if err != nil {
		t.Fatal(err)
	}
	second := first.Again(prepare(1))
	failing := second.Again(func(*wasm.Instance) error { return errors.New("not with these settings") })
	if _, err := wasm.NewPool(failing, 1); err == nil || failing.Close() != nil {
		t.Errorf("what is not ready: %v", err)
	}
	pools := make([]*wasm.Pool, 2)
	for k, m := range []*wasm.Module{first, second} {
		if pools[k], err = wasm.NewPool(m, 1); err != nil {
			t.Fatal(err)
		}
	}
	pools[0].Close()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	i := pools[1].Take(0)
	if i == nil {
		t.Fatal("the second has no instance any more")
	}
	if err := i.Call(t.Context(), 0, nil); err != nil || ready != [3]int{1, 1} {
		t.Errorf("%v; ready %v", err, ready)
	}
	pools[1].Put(0, i)
	third := second.Again(prepare(2))
	pools[1].Close()
	if err := errors.Join(second.Close(), third.Close()); err != nil {
		t.Fatal(err)
	}
	if third.Again(nil) != nil {
		t.Error("a module that is closed is loaded once more")
	}
}
