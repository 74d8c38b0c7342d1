package dnssec

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The tests that DESIGN.md names are there. Its scenarios are held by test/scenarios.
func TestDesignNamesTests(t *testing.T) {
	text, err := os.ReadFile("DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(b)
	}
	names := regexp.MustCompile(`\bTest[A-Za-z0-9]+\b`).FindAllString(string(text), -1)
	if len(names) < 10 {
		t.Errorf("it names %d tests", len(names))
	}
	for _, name := range names {
		if !strings.Contains(source.String(), "func "+name+"(") {
			t.Errorf("%s is not there", name)
		}
	}
}
