package wasm_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/wasm"
)

// A module of Go's toolchain starts, answers, logs, and has no world around it. It repeats from time and seed.
func TestGoGuest(t *testing.T) {
	file := filepath.Join(t.TempDir(), "guest.wasm")
	build := exec.Command("go", "build", "-buildmode=c-shared", "-o", file, "./testdata/goguest")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the guest: %v: %s", err, out)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	var asked []uint64
	functions := append(wasm.WASIFunctions(func(_ *wasm.Call, text []byte) { logged.Write(text) }), wasm.Function{
		Module: "ananas", Name: "ask", Params: []byte{wasm.I32, wasm.I32}, Results: []byte{wasm.I32},
		Call: func(_ *wasm.Call, stack []uint64) { asked = append(asked, stack[0], stack[1]) },
	})
	i32 := []byte{wasm.I32}
	s := wasm.Spec{Functions: functions, Limits: wasm.Limits{Fuel: 20_000_000}, Exports: []wasm.Export{
		{Name: "ananas_buffer", Params: i32, Results: i32}, {Name: "ananas_query", Params: i32, Results: i32}, {Name: "ananas_files", Results: i32}, {Name: "ananas_panic"}, {Name: "ananas_exit"},
		{Name: "ananas_recurse", Params: i32, Results: i32},
	}}
	p := loadModule(t, open(t), b, s)
	call := func(i *wasm.Instance, export int, stack ...uint64) uint64 {
		t.Helper()
		if len(stack) == 0 {
			stack = []uint64{0}
		}
		if err := i.Call(t.Context(), export, stack); err != nil {
			t.Fatal(err)
		}
		t.Logf("export %d spent %d", export, i.Spent())
		return stack[0]
	}
	var first string
	for k := range 2 { // of two fresh instances
		i := p.Take(k)
		i.Host().Now, i.Host().Seed = 1_750_000_000e9, 7
		at := uint32(call(i, 0, 4096))
		i.Memory().WriteString(at, "WWW.example.www")
		if labels := call(i, 1, 15); labels != 2 {
			t.Errorf("it found %d labels", labels)
		}
		if want := "WWW.example.www at 1750000000, first example\n"; logged.String() != want {
			t.Errorf("it logged %q", logged.String())
		}
		if k == 0 {
			first = logged.String()
		} else if asked[1] != asked[3] || first != logged.String() {
			t.Error("the same call did not do the same on another instance")
		}
		logged.Reset()
		if call(i, 2) != 0 {
			t.Error("it can read files, or has arguments or variables")
		}
		defer p.Put(k, i)
	}

	for export, want := range map[int]wasm.Cause{3: wasm.Trap, 4: wasm.Host} {
		i, err := p.TakeOrMake(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		logged.Reset()
		var f *wasm.Fault
		if err := i.Call(t.Context(), export, nil); !errors.As(err, &f) || f.Cause != want {
			t.Error(err)
		}
		if export == 3 && !strings.HasPrefix(logged.String(), "panic: on purpose") || logged.Len() > p.Module().Limits().LogOctets {
			t.Errorf("it logged %q", logged.String())
		}
		if export == 4 && !errors.Is(f, wasm.ErrExit) {
			t.Error(f)
		}
		p.Put(0, i)
	}
	i, err := p.TakeOrMake(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if n := call(i, 5, 1000); n != 1000 {
		t.Errorf("it recursed %d times", n)
	}
	p.Put(0, i)
}
