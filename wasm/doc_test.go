package wasm_test

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/wasm"
)

// The page for those who write modules has the limits that are.
func TestDocumentedLimits(t *testing.T) {
	b, err := os.ReadFile("../docs/module-abi.md")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.ReplaceAll(string(b), ",", "")
	e := open(t)
	limits := func(l wasm.Limits) wasm.Limits {
		m, err := e.Load(t.Context(), one(nil).module(), wasm.Spec{Limits: l})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		return m.Limits()
	}
	fast, sliced := limits(wasm.Limits{}), limits(wasm.Limits{Fuel: wasm.FastFuel + 1})
	for text, want := range map[string]int64{
		`\| fuel \| (\d+) \|`:                      fast.Fuel,
		`\| start fuel \| (\d+) \|`:                fast.StartFuel,
		`\| memory \| (\d+) \|`:                    int64(fast.MemoryPages),
		`\| table \| (\d+) \|`:                     int64(fast.TableEntries),
		`\| host calls \| (\d+) \|`:                int64(fast.HostCalls),
		`\| log \| (\d+) \|`:                       int64(fast.LogOctets),
		`\| module \| (\d+) \|`:                    int64(fast.ModuleOctets),
		`more fuel than (\d+)`:                     wasm.FastFuel,
		`a start fuel of (\d+)`:                    sliced.StartFuel,
		`(\d+) pages and 1 MiB of stack`:           int64(sliced.MemoryPages),
		`Code: (\d+) functions`:                    int64(fast.Functions),
		`functions of (\d+) octets`:                int64(fast.BodyOctets),
		`octets and (\d+) locals each`:             int64(fast.Locals),
		`blocks (\d+) deep`:                        int64(fast.Nesting),
		`YAML of at most (\d+) octets in a custom`: 4096,
	} {
		if found := regexp.MustCompile(text).FindStringSubmatch(page); found == nil || found[1] != strconv.FormatInt(want, 10) {
			t.Errorf("%s: the page has %q, and it is %d", text, found, want)
		}
	}
	if sliced.Stack != 1<<20 {
		t.Errorf("the stack is %d", sliced.Stack)
	}
	for _, section := range []string{wasm.ManifestSection, wasm.WASI} {
		if !strings.Contains(page, "`"+section+"`") {
			t.Errorf("the page does not speak of %s", section)
		}
	}
}
