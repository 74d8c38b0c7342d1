package dns

import (
	"testing"

	"pgregory.net/rapid"
)

func TestMixCase(t *testing.T) {
	constant := func(v uint64) func() uint64 { return func() uint64 { return v } }
	n := MustParseName(`a-Z0.@x\[\{.Example.`) // what is next to letters in ASCII has no case
	if got, want := n.MixCase(constant(0)), MustParseName(`a-z0.@x\[\{.example.`); got != want {
		t.Errorf("bits 0: %v, want %v", got, want)
	}
	if got, want := n.MixCase(constant(1<<64-1)), MustParseName(`A-Z0.@X\[\{.EXAMPLE.`); got != want {
		t.Errorf("bits 1: %v, want %v", got, want)
	}
	if got, want := MustParseName("aaaa.").MixCase(constant(0b0101)), MustParseName("AaAa."); got != want {
		t.Errorf("bits 0101: %v, want %v", got, want)
	}
	calls := 0
	longest.MixCase(func() uint64 { calls++; return 0 })
	if letters := MaxNameLen - longest.Labels() - 1; calls != (letters+63)/64 {
		t.Errorf("%d letters take %d draws of 64 bits", letters, calls)
	}
	rapid.Check(t, func(t *rapid.T) {
		n := drawName(t, "name")
		bits := rapid.Uint64()
		if m := n.MixCase(func() uint64 { return bits.Draw(t, "bits") }); !m.Equal(n) || m.Len() != n.Len() || m.Labels() != n.Labels() {
			t.Fatalf("%v became %v", n, m)
		}
	})
}
