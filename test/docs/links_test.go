package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each link to a file of this project leads to one, and to a heading that it has.
func TestLinks(t *testing.T) {
	var paths []string
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../*/*/*.md", "../../*/*/*/*/README.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	links := 0
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(string(text), -1) {
			target, heading, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			links++
			file := filepath.Join(filepath.Dir(path), target)
			if target == "" {
				file = path
			}
			linked, err := os.ReadFile(file)
			if info, statErr := os.Stat(file); statErr == nil && info.IsDir() {
				err = nil
			}
			if err != nil {
				t.Errorf("%s: the link %s leads nowhere: %v", path, m[1], err)
			} else if heading != "" && !headings(string(linked))[heading] {
				t.Errorf("%s: %s has no heading #%s", path, target, heading)
			}
		}
	}
	if links < 10 {
		t.Errorf("only %d links were found", links)
	}
}

// headings are the headings of a document as links name them.
func headings(text string) map[string]bool {
	all := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		name := strings.ReplaceAll(strings.ToLower(m[1]), " ", "-")
		all[regexp.MustCompile(`[^\p{L}\p{N}_-]`).ReplaceAllString(name, "")] = true
	}
	return all
}
