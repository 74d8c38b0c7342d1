package plugin_test

import (
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/internal/strictyaml"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/wasm"
)

// A module's limits may be other than the defaults, either way.
func TestLimits(t *testing.T) {
	b := newBench(t)
	acts := guest(t, "acts", onQuery)
	large := append(acts[:len(acts):len(acts)], 0, 0x80, 0x80, 0x80, 0x05, 0) // a custom section of 10 MiB
	large = append(large, make([]byte, 10<<20-1)...)
	// A table of 20,000 entries, in a module that has nothing else.
	tabled, err := wasm.Attach([]byte("\x00asm\x01\x00\x00\x00\x04\x06\x01\x70\x00\xa0\x9c\x01"), []byte("abi: 1\nname: tabled\nversion: '1'\n"+onQuery))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what   string
		module []byte
		limits plugin.Limits
		want   string // of the error; "": none
	}{
		{"the defaults", acts, plugin.Limits{}, ""},
		{"less to start with", acts, plugin.Limits{StartFuel: 1}, "its fuel was spent"},
		{"smaller", acts, plugin.Limits{Size: 100}, "octets, at most 100\n\thint: build it for size (strip debug information), or raise limits.size of the module"},
		{"10 MiB by default", large, plugin.Limits{}, "octets, at most 8388608"},
		{"10 MiB, and it may", large, plugin.Limits{Size: strictyaml.Bytes(len(large))}, ""},
		{"a large table by default", tabled, plugin.Limits{}, "table 0: entries at the start: 20000, at most 16384"},
		{"a large table, and it may", tabled, plugin.Limits{Table: 20_000}, `the module has no function "ananas_buffer"`},
	} {
		table, err := plugin.Compile([]plugin.Module{{Name: "m", File: "m", Limits: c.limits}}, nil, []plugin.Plugin{{Module: "m", Phase: plugin.PhaseQuery}}, filesOf(func(string) []byte { return c.module }))
		if err == nil {
			var chain *plugin.Chain
			if chain, err = b.Load(t.Context(), table, nil); err == nil {
				chain.Release()
			}
		}
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", c.what, err, c.want)
		}
	}
}
