package cases_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/internal/testchild"
	"github.com/ananas-edge/ananas/nameserver/plugin/cases"
	"github.com/ananas-edge/ananas/sdk"
	"github.com/ananas-edge/ananas/wasm"
)

func TestMain(m *testing.M) {
	testchild.Be("compiler", wasm.RunCompiler)
	os.Exit(m.Run())
}

// build makes the module of a folder; a toolchain that is not there skips the test.
func build(t *testing.T, dir string) []byte {
	t.Helper()
	f, err := sdk.Find(dir)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := f.Build(t.Context())
	var missing *sdk.MissingError
	if errors.As(err, &missing) {
		t.Skipf("modules in %s were left out for want of %s: %s", f.Language, missing.What, missing.Hint())
	}
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := os.ReadFile(filepath.Join(dir, sdk.ManifestFile))
	if err != nil {
		t.Fatal(err)
	}
	module, err := wasm.Attach(plain, manifest)
	if err != nil {
		t.Fatal(err)
	}
	return module
}

func open(t *testing.T, module []byte, data map[string][]byte) *cases.Runner {
	t.Helper()
	r, err := cases.Open(cases.Config{Module: module, Data: data, Compile: testchild.Command("compiler")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// play runs a file, and returns the differences.
func play(t *testing.T, r *cases.Runner, name, text string) (differences []string) {
	t.Helper()
	f, err := cases.Parse(name, text)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range f.Cases {
		got, err := r.Run(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if d := cases.Difference(c.Want, got.Outcome); d != "" {
			differences = append(differences, fmt.Sprintf("%s:%d: %v %v\n%s%s", name, c.Line, c, c.Phase(), d, strings.Join(got.Said, "\n")))
		}
	}
	if len(f.Cases) == 0 {
		t.Fatal("no cases")
	}
	return differences
}

// The template of each language is built by what people have, and does what its cases say; a list that is another one is seen by them.
func TestTemplates(t *testing.T) {
	for _, l := range sdk.Languages() {
		t.Run(string(l), func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "block")
			if err := sdk.New(dir, "block", l); err != nil {
				t.Fatal(err)
			}
			r := open(t, build(t, dir), nil)
			text, err := os.ReadFile(filepath.Join(dir, sdk.CasesFile))
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range play(t, r, string(l)+"/"+sdk.CasesFile, string(text)) {
				t.Error(d)
			}
			broken := strings.Replace(string(text), "zones=ads.example,", "zones=", 1)
			if found := play(t, r, "broken", broken); len(found) != 1 || !strings.Contains(found[0], "- -> NXDOMAIN") || !strings.Contains(found[0], "+ -> go on") {
				t.Errorf("the cases with another list: %q", found)
			}
			// What it can't use it names.
			last, err := cases.Parse("refused", "settings zones=ads.example bad..name\nquery ads.example A\n-> fault start 2\n")
			if err != nil {
				t.Fatal(err)
			}
			if got, err := r.Run(t.Context(), last.Cases[0]); err != nil || len(got.Said) != 1 || !strings.Contains(got.Said[0], ": zones: ") {
				t.Errorf("of a list with a word that is no name it says %q, %v", got.Said, err)
			}
			// The longest list that fits into settings is read within the fuel of a start.
			var list strings.Builder
			for n := range 3500 {
				fmt.Fprintf(&list, "zone%04d.example ", n)
			}
			long := "settings zones=" + list.String() + "\n\nquery www.zone3499.example A\n-> NXDOMAIN ttl=60 ede=\"15 blocked by block\"\n\nquery zone3500.example A\n-> go on\n"
			for _, d := range play(t, r, "a long list", long) {
				t.Error(d)
			}
			// Whoever wants to be rid of a module asks for names that take it more fuel than it has.
			attack := "settings zones=ads.example,a.tracker.example\nquery " + deep("example.com") + " A\n-> go on\n"
			for _, d := range play(t, r, "attack", attack) {
				t.Error(d)
			}
			f, err := cases.Parse("cost", string(text))
			if err != nil {
				t.Fatal(err)
			}
			cost, err := r.Measure(t.Context(), f.Cases[0], 10*time.Second) // on a clock that says hours
			if err != nil || cost.Calls == 0 || cost.Fuel/int64(cost.Calls) < 50 || cost.Fuel/int64(cost.Calls) > 20_000 {
				t.Errorf("a look-up costs %+v, %v", cost, err)
			}
		})
	}
}

// acts says where the source of a language lies in a module's folder, and what is said in other words there: Go has a text for an error, and no number.
var acts = map[sdk.Language]struct {
	from, to string
	other    []string
}{
	sdk.C:              {from: "plugin.c", to: "plugin.c"},
	sdk.Rust:           {from: "lib.rs", to: "src/lib.rs"},
	sdk.Go:             {from: "plugin.go.txt", to: "plugin.go", other: []string{"fault start 7", "fault start 1"}},
	sdk.AssemblyScript: {from: "plugin.ts", to: "plugin.ts"},
}

// All that a module can be asked, say and call is there in the SDK of each language, and means the same.
func TestSDKs(t *testing.T) {
	text, err := os.ReadFile("testdata/acts/cases.txt")
	if err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadFile("testdata/acts/data/list.txt")
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := os.ReadFile("testdata/acts/module.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(acts) != len(sdk.Languages()) {
		t.Fatalf("there are modules in %v, and SDKs for %v", slices.Collect(maps.Keys(acts)), sdk.Languages())
	}
	for l, a := range acts {
		t.Run(string(l), func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "acts")
			if err := sdk.New(dir, "acts", l); err != nil {
				t.Fatal(err)
			}
			source, err := os.ReadFile(filepath.Join("testdata", "acts", string(l), a.from))
			if err != nil {
				t.Fatal(err)
			}
			for name, text := range map[string][]byte{a.to: source, sdk.ManifestFile: manifest} {
				if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			module := build(t, dir)
			r := open(t, module, map[string][]byte{"list": list})
			for _, d := range play(t, r, "acts/cases.txt", strings.NewReplacer(a.other...).Replace(string(text))) {
				t.Error(d)
			}
			// Lines are shown 32 at a time, and a call may ask the host 64 times.
			for text, want := range map[string]string{
				strings.Repeat("logged a.test A took=1us\n", 70) + "-> done\n    count asked 70\n    observe took" + strings.Repeat(" 1", 70): "",
				strings.Repeat("logged a.test A\n", 32) + "-> done":                                                                           "+ -> fault host_calls",
			} {
				if found := strings.Join(play(t, r, "lines", text), ""); !strings.Contains(found, want) || want == "" && found != "" {
					t.Errorf("many lines: %s", found)
				}
			}
			showLines(t, module, list)
		})
	}
}
