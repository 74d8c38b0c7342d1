package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/wasm"
)

// What a plugin has stays, what the manifest needs is added, and what is named is in the place of both; all is both, and what is named.
func TestModuleGrants(t *testing.T) {
	m := &wasm.Manifest{Name: "family", Needs: []string{"client", "log"}}
	for _, c := range []struct{ flag, have, want []string }{
		{nil, nil, []string{"client", "log"}},
		{nil, []string{"data/mine", "log"}, []string{"data/mine", "log", "client"}},
		{[]string{"client"}, []string{"data/mine"}, []string{"client"}},
		{[]string{"all"}, []string{"data/mine"}, []string{"data/mine", "client", "log"}},
		{[]string{"data/adult", "all"}, []string{"data/mine"}, []string{"data/mine", "data/adult", "client", "log"}},
	} {
		push := modulePushCommand{Grant: c.flag}
		if got := push.granted(c.have, m); !slices.Equal(got, c.want) {
			t.Errorf("--grant %q of one that has %q: %q, want %q", c.flag, c.have, got, c.want)
		}
	}
}

// With --yes a module is granted nothing that it has not already; where its plugins have different things, naming them would give each what the other has.
func TestModuleUngranted(t *testing.T) {
	p := &process{args: []string{"module", "push", "it's.wasm", "--yes"}}
	m := &wasm.Manifest{Name: "family", Needs: []string{"client", "data/adult"}}
	for _, c := range []struct {
		had  [][]string
		hint string // "": it is no error
	}{
		{[][]string{{"client", "data/adult", "data/more"}}, ""},
		{[][]string{nil}, `if it may have that: ananas module push 'it'\''s.wasm' --yes --grant client --grant data/adult (or`},
		{[][]string{{"data/more", "client"}}, `--yes --grant data/more --grant client --grant data/adult (or`},
		{[][]string{{"client", "data/adult"}, {"client"}}, `--yes --grant all; without`},
	} {
		err := new(modulePushCommand).ungranted(p, "family", m, c.had)
		if (err == nil) != (c.hint == "") || !strings.Contains(hintOf(err), c.hint) {
			t.Errorf("%q: %v, %s", c.had, err, hintOf(err))
		}
	}
	for _, c := range []struct {
		push modulePushCommand
		want bool
	}{
		{modulePushCommand{changeFlags: changeFlags{Yes: true}}, false},
		{modulePushCommand{changeFlags: changeFlags{Yes: true, DryRun: true}}, true},
		{modulePushCommand{}, true},
		{modulePushCommand{Grant: []string{}, changeFlags: changeFlags{Yes: true}}, true},
	} {
		if got := c.push.seen(); got != c.want {
			t.Errorf("%+v: %v", c.push, got)
		}
	}
}
