package main

import (
	"testing"

	"github.com/ananas-edge/ananas/nameserver/plugin"
)

// Two modules may come from files of one name; one that is pushed again keeps its own.
func TestModuleFileNames(t *testing.T) {
	live := liveModules{all: []plugin.Module{{Name: "family", File: "module.wasm"}}}
	for module, want := range map[string]string{"family": "module.wasm", "rebind": "rebind.wasm"} {
		if got := live.fileName(module, "module.wasm"); got != want {
			t.Errorf("%s: %s, want %s", module, got, want)
		}
	}
	if got := live.fileName("rebind", "rebind-2.wasm"); got != "rebind-2.wasm" {
		t.Error(got)
	}
}
