//go:build linux

package main

import (
	"testing"

	"github.com/ananas-edge/ananas/lab"
)

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, class string
		want           bool
	}{
		{"a", "a", true}, {"a", "ab", false}, {"a*", "ab", true}, {"*b", "ab", true}, {"a*c", "abc", true}, {"a*c", "abcd", false},
		{"a*b*c", "a1b2c", true}, {"x*", "ab", false},
	} {
		if got := matches(c.pattern, c.class); got != c.want {
			t.Errorf("%q and %q: %v", c.pattern, c.class, got)
		}
	}
}

// The world can be built.
func TestWorld(t *testing.T) {
	if _, err := lab.ParseWorld(world(baseWorld)); err != nil {
		t.Error(err)
	}
}

// Who stands alone is told apart.
func TestClass(t *testing.T) {
	for want, said := range map[string][]string{
		"ananas alone: NOERROR, not NOERROR ad (x)":   {"NOERROR; a", "NOERROR ad; a", "NOERROR ad; a"},
		"unbound alone: records (x)":                  {"NOERROR; a", "NOERROR; b", "NOERROR; a"},
		"recursor alone: SERVFAIL, not NOERROR (x)":   {"NOERROR; a", "NOERROR; a", "SERVFAIL; "},
		"all three differ: NOERROR, not SERVFAIL (x)": {"NOERROR; a", "SERVFAIL; ", "NXDOMAIN; "},
	} {
		d := difference{question: question{kind: "x"}, said: said}
		if got := d.class(); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}
