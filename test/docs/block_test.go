package docs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// block is a piece of code in a document: fenced, or indented by four spaces.
type block struct {
	line int    // of its first line of code
	lang string // of the fence; "" if indented
	name string // the second word behind the fence: the file in which the commands of the document find it
	text string // without fence and indentation, lines ended
}

// blocks finds the code in a Markdown document, as far as ours use Markdown: no code in lists, no tabs, no tildes.
func blocks(document string) []block {
	var all []block
	var b *block
	fenced, blank := false, true // an indented block begins behind a blank line
	for i, line := range strings.Split(document, "\n") {
		fence, isFence := strings.CutPrefix(line, "```")
		code, isIndented := strings.CutPrefix(line, "    ")
		switch {
		case fenced && isFence:
			b, fenced = nil, false
		case fenced:
			b.text += line + "\n"
		case isFence:
			words := append(strings.Fields(fence), "", "")
			all = append(all, block{line: i + 2, lang: words[0], name: words[1]})
			b, fenced = &all[len(all)-1], true
		case isIndented && b != nil:
			b.text += code + "\n"
		case isIndented && blank:
			all = append(all, block{line: i + 1, text: code + "\n"})
			b = &all[len(all)-1]
		case line == "" && b != nil:
			b.text += "\n"
		default:
			b = nil
		}
		blank = line == ""
	}
	for i := range all {
		all[i].text = strings.TrimRight(all[i].text, "\n") + "\n"
	}
	return all
}

func TestBlocks(t *testing.T) {
	got := blocks("# Head\n\n    $ a\n    b\n\n    c\n\ntext\n    no code\n\n```yaml file.yaml\nk: v\n\n    deep\n```\n```\nplain\n```\n    no code\n")
	want := []block{
		{line: 3, text: "$ a\nb\n\nc\n"},
		{line: 12, lang: "yaml", name: "file.yaml", text: "k: v\n\n    deep\n"},
		{line: 17, text: "plain\n"},
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(block{})); d != "" {
		t.Error(d)
	}
}

// documents are README.md, all guides, and the pages of the modules in sdk/modules, by NAME/README.md.
func documents(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(paths) < 5 {
		t.Fatalf("the guides are %q, %v", paths, err)
	}
	all := map[string]string{}
	for _, path := range append(paths, "../../README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(path)] = string(text)
	}
	pages, err := filepath.Glob(filepath.Join(modules, "*", "README.md"))
	if err != nil || len(pages) < 5 {
		t.Fatalf("the pages of modules are %q, %v", pages, err)
	}
	for _, path := range pages {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(filepath.Dir(path))+"/README.md"] = string(text)
	}
	return all
}
