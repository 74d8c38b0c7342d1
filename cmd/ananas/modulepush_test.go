package main

import (
	"testing"

	"github.com/ananas-edge/ananas/admin"
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

// The list of plugins is one setting: a change of it that was made of what is live does not wait behind another one, which it would undo.
func TestModuleChangesDoNotUndo(t *testing.T) {
	for _, c := range []struct {
		used  bool
		waits string
		want  bool
	}{{true, "7", false}, {true, "", true}, {false, "7", true}} {
		live := liveModules{used: c.used}
		if err := live.current(admin.Applied{Waits: c.waits}); (err == nil) != c.want {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// A module gets the fuel that its manifest says that a call may need, unless somebody has set a limit.
func TestModulePushGivesFuel(t *testing.T) {
	for _, c := range []struct{ has, needs, want int64 }{{0, 0, 0}, {0, 50_000, 0}, {0, 5_000_000, 5_000_000}, {60_000, 5_000_000, 60_000}, {9_000_000, 5_000_000, 9_000_000}} {
		live := liveModules{all: []plugin.Module{{Name: "block", Limits: plugin.Limits{Fuel: c.has}}}}
		live.put("block", "block.wasm", c.needs)
		if got := live.modules[0].Limits.Fuel; got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}
