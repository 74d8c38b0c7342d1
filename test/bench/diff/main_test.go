//go:build linux

package main

import (
	"os"
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

// The classes that were seen when the document was written are explained by it, and no others are by accident.
func TestExplains(t *testing.T) {
	text, err := os.ReadFile("../../../" + explained)
	if err != nil {
		t.Fatal(err)
	}
	for class, want := range map[string]bool{
		"ananas alone: NOERROR, not NOERROR ad (generated, with CD)":    true,
		"ananas alone: NXDOMAIN, not NXDOMAIN ad (signed, with CD)":     true,
		"ananas alone: NOERROR, not NOERROR ad (signed)":                false,
		"ananas alone: SERVFAIL, not NOERROR ad (signed)":               false,
		"ananas alone: NOERROR ad, not NOERROR (unsigned)":              false,
		"ananas alone: NOERROR, not SERVFAIL (broken)":                  false,
		"ananas alone: records (signed)":                                false,
		"unbound alone: NOERROR, not NOERROR ad (generated, with CD)":   true,
		"recursor alone: SERVFAIL, not NXDOMAIN (broken, with CD)":      true,
		"recursor alone: NXDOMAIN ad, not NXDOMAIN (unsigned, with CD)": true,
		"recursor alone: SERVFAIL ad, not SERVFAIL (opt-out)":           true,
		"recursor alone: NOERROR ad, not NXDOMAIN ad (iterations)":      true,
		"all three differ: NOERROR, not SERVFAIL (broken)":              false,
		"recursor alone: truncated, not NOERROR ad (signed)":            true,
		"recursor alone: NXDOMAIN ad, not NOERROR ad (signed)":          true,
		"recursor alone: NOERROR ad, not NOERROR (generated, with CD)":  true,
	} {
		if got := explains(string(text), class); got != want {
			t.Errorf("%q: %v", class, got)
		}
	}
}
