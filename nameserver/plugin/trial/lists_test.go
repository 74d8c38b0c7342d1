package trial_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/internal/namedfile"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/nameserver/plugin/trial"
)

// A list is tried in place of the one that runs, which the version that runs goes on asking.
func TestList(t *testing.T) {
	listed := guest(t, "listed", "name: listed\nversion: '1'\nphases: [query]\nneeds: [data/bad]\n")
	old, next := []byte("mail.example\nwww.example\n"), []byte("www.example\nx<x\nnew.example\nmore.example\n")
	worse := append([]byte("x<x\n"), next...)
	files := map[string][]byte{"listed": listed, "bad.txt": old, "more.txt": old}
	have := settings(t, files, []plugin.Data{{Name: "bad", File: "bad.txt", Tolerate: 1}, {Name: "more", File: "more.txt", Tolerate: 1}}, plugin.Plugin{Module: "listed", Phase: plugin.PhaseQuery, Grant: []string{"data/bad"}})
	list := func(text []byte) trial.List {
		return trial.List{SHA256: fmt.Sprintf("%x", sha256.Sum256(text)), File: "new.txt"}
	}
	without := have
	have.Lists = func(sum [32]byte) (*namedfile.File, error) {
		for _, text := range [][]byte{next, worse} {
			if sha256.Sum256(text) == sum {
				return namedfile.Of(text), nil
			}
		}
		if sum == sha256.Sum256(old) {
			return namedfile.At(sum, plugin.MaxData+1, nil), nil
		}
		return nil, fs.ErrNotExist
	}
	tr, err := open(t, trial.Config{Settings: have, Request: trial.Request{Module: "listed", Lists: map[string]trial.List{"bad": list(next)}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, asked := range []string{"mail.example", "www.example", "new.example", "other.example"} {
		if err := tr.Look(t.Context(), record(t, asked, dns.TypeA, nil)); err != nil {
			t.Fatal(err)
		}
	}
	got := tr.Report()
	if u := got.Uses[0]; u.Alike != 2 || u.Differ != 2 {
		t.Errorf("got\n%s", describe(&got))
	}
	if len(got.Lists) != 1 || got.Lists[0].Now == nil || *got.Lists[0].Now != 2 {
		t.Fatalf("got lists %+v", got.Lists)
	}
	got.Lists[0].Now = nil
	if want := (trial.TriedList{Name: "bad", File: "new.txt", SHA256: list(next).SHA256, New: 3, Bad: 1}); got.Lists[0] != want {
		t.Errorf("got %+v, want %+v", got.Lists[0], want)
	}
	for _, c := range []struct {
		name     string
		settings trial.Settings
		lists    map[string]trial.List
		want     string
	}{
		{"a name that is near one", have, map[string]trial.List{"mroe": list(next)}, `the settings have no data set "mroe"`},
		{"a list that is not granted", have, map[string]trial.List{"more": list(next)}, `module "listed" is not granted data/more`},
		{"a bad line too many", have, map[string]trial.List{"bad": list(worse)}, `trying "new.txt" as data set "bad": reading a data set: line 3: "x<x"`},
		{"a list that is too large", have, map[string]trial.List{"bad": list(old)}, `data set "bad" has 268435457 octets, at most 268435456`},
		{"a text that is not there", have, map[string]trial.List{"bad": list([]byte("x"))}, `trying "new.txt" as data set "bad": file does not exist`},
		{"no digest", have, map[string]trial.List{"bad": {SHA256: "00"}}, `"00" is no SHA-256 of a list`},
		{"a name without end", have, map[string]trial.List{"bad": {File: strings.Repeat("x", 5000)}}, "a name of 5000 octets, at most 4096"},
		{"a node without a store", without, map[string]trial.List{"bad": list(next)}, "it has no store"},
	} {
		_, err := open(t, trial.Config{Settings: c.settings, Request: trial.Request{Module: "listed", Lists: c.lists}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
}
