package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/admin"
)

// A rollback brings another module back, not the same one by another file's name, and again one further back.
func TestModuleBefore(t *testing.T) {
	doc := func(text string) *string {
		if text == "-" {
			return nil
		}
		s := fmt.Sprintf("file:\n  name: %s\n  sha256: %s\n  size: 9\n", text[:1], text[1:])
		return &s
	}
	for what, c := range map[string]struct {
		live string // what was live, one after the other, each a name and a content; -: nothing. The commits are 10, 20 and so on, the first of which is the second of these
		want uint64 // 0: none
		err  string
	}{
		"another":                          {"- a1 a2", 10, ""},
		"the same by another name":         {"- a1 b1", 0, "same content"},
		"another before the same":          {"- a1 a2 b2", 10, ""},
		"another, by its last name":        {"- a1 b1 a2", 20, ""},
		"removed":                          {"- a1 -", 10, ""},
		"removed and made anew":            {"- a1 - a2", 0, "no version of it before"},
		"new":                              {"- a1", 0, "no version of it before"},
		"not there":                        {"-", 0, `no module of the key "modules/block"`},
		"the history begins later":         {"a1 b1", 0, "same content"},
		"the history begins with another":  {"a1 b2", 9, ""},
		"gone back to where it begins":     {"a1 b2 a1", 0, "gone back from"},
		"gone back once":                   {"- a1 a2 a3 a2", 10, ""},
		"gone back twice":                  {"- a1 a2 a3 a2 a1", 0, "gone back from"},
		"gone back, and another":           {"- a1 a2 a3 a2 a4", 40, ""},
		"gone back, another, and back":     {"- a1 a2 a3 a2 a4 a2", 10, ""},
		"gone back twice, and on":          {"- a1 a2 a3 a2 a1 a4", 50, ""},
		"what was gone back from, again":   {"- a1 a2 a3 a2 a3", 40, ""},
		"removed after it was gone back":   {"- a1 a2 a1 -", 30, ""},
		"gone back two at once, by a push": {"- a1 a2 a3 a1", 0, "gone back from"},
	} {
		look := moduleSteps{key: "modules/block"}
		var commits []admin.Commit
		all := strings.Fields(c.live)
		for i := range all[1:] {
			changes := []admin.Difference{{Key: "plugins", Old: doc("x1"), New: doc("x2")}, {Key: look.key, Old: doc(all[i]), New: doc(all[i+1])}}
			commits = append(commits, admin.Commit{Version: uint64(10*i + 5), Kind: "open", Changes: changes}, admin.Commit{Version: uint64(10*i + 10), Changes: changes})
		}
		for _, one := range slices.Backward(commits) {
			look.add(&one)
		}
		got, err := look.before()
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %d, %v", what, got, err)
		}
	}
}
