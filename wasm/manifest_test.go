package wasm_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/wasm"
)

const family = `abi: 1
name: family
version: 1.4.0
phases: [query]
needs: [data/malware, data/adult]
pure: true
`

// A manifest is attached, found again, and replaced.
func TestManifest(t *testing.T) {
	plain := one(nil).module()
	if _, err := wasm.ReadManifest(plain); err == nil || !strings.Contains(err.Error(), `0 custom sections "ananas.manifest"`) {
		t.Error(err)
	}
	b, err := wasm.Attach(plain, []byte(strings.Replace(family, "1.4.0", "1.3.9", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if b, err = wasm.Attach(b, []byte(family)); err != nil {
		t.Fatal(err)
	}
	m, err := wasm.ReadManifest(b)
	want := wasm.Manifest{ABI: 1, Name: "family", Version: "1.4.0", Phases: []string{"query"}, Needs: []string{"data/malware", "data/adult"}, Pure: true}
	if err != nil || !reflect.DeepEqual(m, want) {
		t.Errorf("%+v, %v", m, err)
	}
	if !bytes.HasPrefix(b, plain) {
		t.Error("the module itself is changed")
	}
	if err := open(t).Check(t.Context(), b, wasm.Spec{Exports: exportF}); err != nil { // what is attached does no harm
		t.Error(err)
	}
}

// What a manifest may not say is an error that says where and why.
func TestManifestMistakes(t *testing.T) {
	for _, c := range [][3]string{
		{"abi: 1", "abi: 0", "abi"},
		{"abi: 1\n", "", "abi"},
		{"name: family", "name: Family Filter", `name "Family Filter" is not one`},
		{"1.4.0", `"1 4"`, `version "1 4" is not one`},
		{"phases: [query]", "phases: []", "phases"},
		{"data/adult", "files/../etc", `"files/../etc" is no capability`},
		{"data/adult", "resolve", `it is pure, and needs "resolve"`},
		{"pure: true", "wants: [log]", `wants: "log" is no data set`},
		{"pure: true", "purr: true", "purr"},
		{"pure: true", "settings: [two words]", `settings: "two words" is no name of one`},
		{"pure: true", "# " + strings.Repeat("x", 4096), "at most 4096"},
	} {
		_, err := wasm.ParseManifest("manifest.yaml", []byte(strings.Replace(family, c[0], c[1], 1)))
		if err == nil || !strings.Contains(err.Error(), c[2]) || !strings.Contains(err.Error(), "manifest.yaml") {
			t.Errorf("%q: %v", c[1], err)
		}
	}
}

// The import of a wanted data set is good with it and without it; that of nothing else is.
func TestManifestWants(t *testing.T) {
	m, err := wasm.ParseManifest("manifest.yaml", []byte(strings.Replace(family, "needs: [data/malware, data/adult]", "wants: [data/malware, data/adult]", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Imports([]string{"data/adult"}); !reflect.DeepEqual(got, []string{"data/adult", "data/malware", "data/adult"}) {
		t.Errorf("%q", got)
	}
	if got, err := m.Grants(nil); err != nil || len(got) > 0 {
		t.Errorf("%q, %v", got, err)
	}
}

// What a module reads is what its manifest says, and all if that says nothing.
func TestManifestSettings(t *testing.T) {
	for line, want := range map[string][2]bool{ // of zones, and of zonez
		"":                          {true, true},
		"settings: []":              {false, false},
		"settings: [zones]":         {true, false},
		`settings: [zones, "*"]`:    {true, true},
		"settings: [code, allow.x]": {false, false},
	} {
		m, err := wasm.ParseManifest("manifest.yaml", []byte(family+line+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]bool{m.Reads("zones"), m.Reads("zonez")}; got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
}

// A module gets what it needs, if that was granted, and nothing more.
func TestManifestGrants(t *testing.T) {
	m, err := wasm.ParseManifest("manifest.yaml", []byte(family))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := m.Grants([]string{"resolve", "data/adult", "data/malware"}); err != nil || !reflect.DeepEqual(got, m.Needs) {
		t.Errorf("%q, %v", got, err)
	}
	_, err = m.Grants([]string{"data/malware"})
	var hint interface{ Hint() string }
	if err == nil || err.Error() != `module "family" needs "data/adult", which was not granted` || !errors.As(err, &hint) {
		t.Error(err)
	}
}
