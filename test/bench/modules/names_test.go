//go:build linux

package main

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/dns"
)

// Questions have one size; of the mixed ones just those are listed, or below a listed name, that the set says, and of the others none.
func TestQuestions(t *testing.T) {
	const entries, n = 5000, 2000
	file := filepath.Join(t.TempDir(), "questions")
	s, err := writeQuestions(file, 1, entries, n)
	if err != nil {
		t.Fatal(err)
	}
	inList := map[string]bool{}
	for i := range entries {
		inList[listed(1, i)] = true
	}
	if len(inList) != entries {
		t.Errorf("%d different names in the list", len(inList))
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	size, k, blocked := 0, 0, [2]int{}
	for len(text) > 0 {
		length := int(binary.BigEndian.Uint16(text))
		var m dns.Message
		if err := dns.Parse(text[2:2+length], &m); err != nil {
			t.Fatal(err)
		}
		if size == 0 {
			size = length
		}
		if length != size {
			t.Fatalf("question %d has %d octets, the first %d", k, length, size)
		}
		name := strings.TrimSuffix(m.Question.Name.String(), ".")
		if _, above, _ := strings.Cut(name, "."); inList[name] || inList[above] {
			blocked[k/n]++
		}
		text = text[2+length:]
		k++
	}
	if k != s.allowed+s.mixed || blocked != [2]int{0, s.blocked} || s.blocked != n/10 {
		t.Errorf("%d questions, %d blocked, and the set says %+v", k, blocked, s)
	}
}

// Each harm has a quiet line of its kind, and is told apart by its name.
func TestHarms(t *testing.T) {
	seen := map[string]bool{}
	for _, h := range allHarms() {
		if seen[h.name] || strings.HasPrefix(h.name, "in slices") != (h.limits == sliced) {
			t.Errorf("%+v", h)
		}
		seen[h.name] = true
	}
}
