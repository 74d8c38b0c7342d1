package wasm_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/internal/testchild"
	"github.com/ananas-edge/ananas/wasm"
)

// What a module imports is held to what there is and what was granted, and the error names it and says what to do.
func TestImports(t *testing.T) {
	offered := []wasm.Function{
		{Module: "ananas", Name: "find", Params: []byte{wasm.I32}, Results: []byte{wasm.I32}, Capability: "data", Call: func(*wasm.Call, []uint64) {}},
		{Module: "ananas", Name: "resolve", Capability: "resolve", Call: func(*wasm.Call, []uint64) {}},
		{Module: "ananas", Name: "now", Call: func(*wasm.Call, []uint64) {}},
	}
	e := open(t)
	for _, c := range []struct {
		module, name string
		kind         int
		grants       []string
		want, hint   string
	}{
		{"ananas", "now", 0, nil, "", ""},
		{"ananas", "find", 1, []string{"data/malware"}, "", ""},
		{"ananas", "find", 1, []string{"data"}, "", ""},
		{"ananas", "find", 1, []string{"database", "resolve"}, `import ananas.find: it needs the capability "data", which was not granted`, `add "data"`},
		{"ananas", "resolve", 0, nil, `import ananas.resolve: it needs the capability "resolve", which was not granted`, `add "resolve"`},
		{"ananas", "find", 0, []string{"data/malware"}, "import ananas.find: it is declared as () -> (), and is (i32) -> (i32)", "SDK"},
		{"ananas", "open", 0, nil, "import ananas.open: there is no such function", "the host offers ananas.find, ananas.now, ananas.resolve"},
		{"env", "now", 0, nil, "import env.now: there is no such function", ""},
	} {
		guest := one(nil)
		guest.types = []string{">", "i>i"}
		guest.imports = [][3]any{{c.module, c.name, c.kind}}
		err := e.Check(t.Context(), guest.module(), wasm.Spec{Name: "m", Functions: offered, Grants: c.grants, Exports: exportF})
		var hint interface{ Hint() string }
		switch {
		case c.want == "":
			if err != nil {
				t.Errorf("%s.%s with %q: %v", c.module, c.name, c.grants, err)
			}
		case err == nil || !strings.HasSuffix(err.Error(), c.want) || !errors.As(err, &hint) || !strings.Contains(hint.Hint(), c.hint):
			t.Errorf("%s.%s with %q: %v", c.module, c.name, c.grants, err)
		}
	}
}

// A module must have what its host calls.
func TestExports(t *testing.T) {
	e := open(t)
	for want, exports := range map[string][]wasm.Export{
		`the module has no function "g" (i32) -> ()`:               {{Name: "g", Params: []byte{wasm.I32}}},
		`the module's function "f" is () -> (), and must be () ->`: {{Name: "f", Results: []byte{wasm.I32}}},
		"": {{Name: "f"}, {Name: "g", Optional: true}},
	} {
		err := e.Check(t.Context(), one(nil).module(), wasm.Spec{Name: "m", Exports: exports})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v", want, err)
		}
	}
	p := load(t, one(nil), wasm.Spec{Exports: []wasm.Export{{Name: "f"}, {Name: "g", Optional: true}}})
	i := p.Take(0)
	if !i.Has(0) || i.Has(1) {
		t.Error("it does not know what it has")
	}
	p.Put(0, i)
}

// A module is compiled once, also over restarts; again when its limits change the code, or when what is on disk is broken.
func TestCompiledOnce(t *testing.T) {
	folder, compiled := t.TempDir(), 0
	counting := func() *exec.Cmd { compiled++; return testchild.Command("compiler")() }
	b, s := one(nil).module(), wasm.Spec{Name: "m", Exports: exportF}
	check := func(what string, want int) {
		t.Helper()
		e, err := wasm.Open(wasm.Config{Folder: folder, Command: counting})
		if err != nil {
			t.Fatal(err)
		}
		err = e.Check(t.Context(), b, s)
		if compiled != want {
			t.Errorf("%s: compiled %d times, want %d", what, compiled, want)
		}
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	check("at first", 1)
	check("after a restart", 1)
	s.Limits.HostCalls = 3
	check("with a limit that is not of the code", 1)
	s.Limits.Fuel = 1_000_000
	check("in slices", 2)

	files := func(pattern string) []string {
		found, err := filepath.Glob(filepath.Join(folder, "*", pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		return found
	}
	for _, f := range files("woven.wasm") {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	check("without its module", 3)
	for _, f := range files("wazero-*") {
		if err := os.Rename(f, f+"-older"); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(f, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	check("of another version of wazero", 4)
	if err := os.MkdirAll(filepath.Join(folder, "x.unfinished"), 0o700); err != nil {
		t.Fatal(err)
	}
	check("with a rest of one that was killed", 4)
	if left, _ := filepath.Glob(filepath.Join(folder, "*.unfinished")); len(left) != 0 {
		t.Errorf("%q was left", left)
	}

	for _, f := range files("wazero-*/*") {
		if err := os.WriteFile(f, []byte("broken"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check("of broken code", 5)
	e, err := wasm.Open(wasm.Config{Folder: folder, Command: counting})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Forget(b, s.Limits); err != nil {
		t.Fatal(err)
	}
	check("after it was forgotten", compiled+1)
}

// What the disk has made of a compiled module is not run: not one octet of its code, of where its functions are, or of its woven form, from which it would be compiled in this process; nor if it was cut.
func TestDamagedIsCompiledAgain(t *testing.T) {
	folder, compiled := t.TempDir(), 0
	e, err := wasm.Open(wasm.Config{Folder: folder, Command: func() *exec.Cmd { compiled++; return testchild.Command("compiler")() }})
	if err != nil {
		t.Fatal(err)
	}
	b, s := one(nil).module(), wasm.Spec{Name: "m", Exports: exportF}
	if err := e.Check(t.Context(), b, s); err != nil {
		t.Fatal(err)
	}
	files := func() (all []string) {
		for _, pattern := range []string{"*/*", "*/wazero-*/*"} {
			found, err := filepath.Glob(filepath.Join(folder, pattern))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, found...)
		}
		return slices.DeleteFunc(all, func(f string) bool { info, err := os.Stat(f); return err != nil || info.IsDir() })
	}
	if n := len(files()); n != 3 {
		t.Fatalf("%d files", n)
	}
	r, want := rand.New(rand.NewPCG(1, 2)), 1
	for k := range 30 {
		file := files()[k%3]
		was, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		is, at := slices.Clone(was), r.IntN(len(was))
		if is[at] ^= 1 << r.IntN(8); k%5 == 0 {
			is = is[:at]
		}
		if err := os.WriteFile(file, is, 0o600); err != nil {
			t.Fatal(err)
		}
		err = e.Check(t.Context(), b, s)
		if want++; err != nil || compiled != want {
			t.Fatalf("%s with octet %d of %d changed: compiled %d times, want %d, %v", filepath.Base(file), at, len(was), compiled, want, err)
		}
	}
}

// What was not used for longest goes when there are too many.
func TestCompiledAreBounded(t *testing.T) {
	folder := t.TempDir()
	e, err := wasm.Open(wasm.Config{Folder: folder, Command: testchild.Command("compiler")})
	if err != nil {
		t.Fatal(err)
	}
	for k := range 528 {
		name := filepath.Join(folder, fmt.Sprintf("old%03d", k))
		if err := os.Mkdir(name, 0o700); err != nil {
			t.Fatal(err)
		}
		at := time.Unix(int64(1000+k), 0)
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Check(t.Context(), one(nil).module(), wasm.Spec{Exports: exportF}); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(left) != 512 || slices.Contains(left, filepath.Join(folder, "old016")) || !slices.Contains(left, filepath.Join(folder, "old017")) {
		t.Errorf("%d are left: %q", len(left), left)
	}
}

// A child that does not do as it should is an error that says what it did.
func TestChildThatFails(t *testing.T) {
	for want, cmd := range map[string]*exec.Cmd{
		`said "hello"`:       exec.Command("echo", "hello"),
		"exit status 3: bad": exec.Command("sh", "-c", "echo bad >&2; exit 3"),
		"there is nothing":   exec.Command("echo", "{}"),
		"no such file":       exec.Command("/nowhere/ananas"),
	} {
		e, err := wasm.Open(wasm.Config{Folder: t.TempDir(), Command: func() *exec.Cmd { return cmd }})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Check(context.Background(), one(nil).module(), wasm.Spec{Name: "m"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}
