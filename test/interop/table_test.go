//go:build linux

package interop

import (
	"fmt"
	"slices"
	"testing"
)

// TestAnanas puts every case to ananas.
func TestAnanas(t *testing.T) {
	putCases(t, startAnanas(t, settings{}), allTools, tables...)
}

// TestUnbound puts the same cases to Unbound in the same world: what we expect is what a peer does.
func TestUnbound(t *testing.T) {
	putCases(t, startUnbound(t), allTools, tables...)
}

// atOnce is how many tools run at a time; more only wait for a processor.
const atOnce = 8

// tables are the files of testdata that hold for every resolver.
var tables = []string{"resolution", "negative", "signed", "edns", "local"}

// putCases puts the cases of files of testdata to a resolver.
func putCases(t *testing.T, r *resolver, tools []tool, files ...string) {
	for _, file := range files {
		path := "testdata/" + file + ".case"
		cases := readCases(t, path)
		t.Run(file, func(t *testing.T) {
			slots := make(chan struct{}, atOnce)
			for _, c := range cases {
				if c.only != "" && c.only != r.kind {
					continue
				}
				t.Run(fmt.Sprintf("line %d", c.line), func(t *testing.T) {
					t.Parallel()
					slots <- struct{}{}
					defer func() { <-slots }()
					putCase(t, r, tools, path, c)
				})
			}
		})
	}
}

func putCase(t *testing.T, r *resolver, tools []tool, path string, c *queryCase) {
	t.Helper()
	failed := 0
	complain := t.Errorf
	if slices.Contains(c.fails, r.kind) {
		complain = t.Logf
	}
	key := folded
	if r.kind == "ananas" {
		key = exact
	}
	for how, argv := range c.commands(r, tools) {
		got, err := ask(argv)
		if err != nil {
			complain("%s:%d: %s, %s: %v", path, c.line, c, how, err)
			failed++
			continue
		}
		if wrong := c.check(got, key); wrong != "" {
			complain("%s:%d: %s, %s\n  (%s)\n%s%q printed\n%s", path, c.line, c, how, c.why, wrong, argv, got.text)
			failed++
		}
	}
	if slices.Contains(c.fails, r.kind) && failed == 0 {
		t.Errorf("%s:%d: %s: %s gets it right now: take the line `fails` out", path, c.line, c, r.kind)
	}
}
