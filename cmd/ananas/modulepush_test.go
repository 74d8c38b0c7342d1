package main

import (
	"strings"
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

// A rollback brings another module back, not the same one by another file's name.
func TestModuleBefore(t *testing.T) {
	doc := func(name, sum string) *string {
		s := "file:\n  name: " + name + "\n  sha256: " + sum + "\n  size: 9\n"
		return &s
	}
	change := func(version uint64, old, now *string) admin.Commit {
		return admin.Commit{Version: version, Changes: []admin.Difference{{Key: "plugins", Old: doc("x", "y"), New: doc("x", "z")}, {Key: "modules/block", Old: old, New: now}}}
	}
	for what, c := range map[string]struct {
		commits []admin.Commit // the newest first
		want    uint64         // 0: none
		err     string
	}{
		"another":                    {[]admin.Commit{change(9, doc("a", "1"), doc("a", "2")), change(5, nil, doc("a", "1"))}, 8, ""},
		"the same by another name":   {[]admin.Commit{change(9, doc("a", "1"), doc("b", "1")), change(5, nil, doc("a", "1"))}, 0, "same content"},
		"another before the same":    {[]admin.Commit{change(9, doc("a", "2"), doc("b", "2")), change(7, doc("a", "1"), doc("a", "2")), change(5, nil, doc("a", "1"))}, 6, ""},
		"removed":                    {[]admin.Commit{change(9, doc("a", "1"), nil), change(5, nil, doc("a", "1"))}, 8, ""},
		"new":                        {[]admin.Commit{change(5, nil, doc("a", "1"))}, 0, "no version of it before"},
		"not there":                  {nil, 0, `no module of the key "modules/block"`},
		"the history begins after 6": {[]admin.Commit{change(9, doc("a", "1"), doc("b", "1"))}, 0, "same content"},
	} {
		b := moduleBefore{key: "modules/block"}
		for i := range c.commits {
			if b.found(&c.commits[i]) {
				break
			}
		}
		got, err := b.version()
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %d, %v", what, got, err)
		}
	}
}
