package docs

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// compileGo compiles an example as the body of a function. Three dots stand for what a reader has in mind; variables may be left unused.
func compileGo(text string) error {
	dir, err := os.MkdirTemp("", "ananas-example")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var body strings.Builder
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) != "..." {
			body.WriteString(line)
		}
	}
	source := "package main\n\nimport (\n\t\"github.com/ananas-edge/ananas/dns\"\n\t\"github.com/ananas-edge/ananas/lab\"\n)\n\n" +
		"var _ = dns.Root\n\nfunc example(text string) {\n" + body.String() + "}\n\nfunc main() { example(lab.DefaultWorld) }\n"
	file := filepath.Join(dir, "main.go")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		return err
	}
	out, err := exec.Command("go", "build", "-gcflags=-e", "-o", filepath.Join(dir, "example"), file).CombinedOutput()
	if err == nil {
		return nil
	}
	var errs []error
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "#") && !strings.Contains(line, "declared and not used") {
			errs = append(errs, errors.New(strings.TrimSpace(line)))
		}
	}
	return errors.Join(errs...)
}

// namespace types the commands that make a network namespace where foreign resolvers find the lab, and looks whether they would.
func (p *play) namespace(text string) error {
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		p.left["the right to make a network namespace (Linux, root)"] = true
		return nil
	}
	for _, program := range []string{"unshare", "ip"} {
		if _, err := exec.LookPath(program); err != nil {
			p.left[program] = true
			return nil
		}
	}
	first, rest, _ := strings.Cut(text, "\n")
	c := exec.Command("sh", "-c", first+" sh -e")
	c.Stdin = strings.NewReader(rest + "ip route get 198.41.0.4\n")
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "local 198.41.0.4") {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// kinds are the kinds of steps of an explain, as the code has them.
func kinds() map[string]bool {
	all := map[string]bool{}
	file, err := parser.ParseFile(token.NewFileSet(), "../../nameserver/recurse/trace.go", nil, 0)
	if err != nil {
		return all
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == 1 && strings.HasPrefix(v.Names[0].Name, "Kind") {
			if lit, ok := v.Values[0].(*ast.BasicLit); ok {
				if s, err := strconv.Unquote(lit.Value); err == nil {
					all[s] = true
				}
			}
		}
		return true
	})
	return all
}

// docs/explain.md has a row for each kind of step, and no other.
func TestKindsAreDescribed(t *testing.T) {
	inCode := kinds()
	if len(inCode) < 10 {
		t.Fatalf("the code has %d kinds", len(inCode))
	}
	text := documents(t)["explain.md"]
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z]+)` \\|").FindAllStringSubmatch(text, -1) {
		if !inCode[row[1]] {
			t.Errorf("docs/explain.md describes %q, which is not in the code or is there twice", row[1])
		}
		delete(inCode, row[1])
	}
	for kind := range inCode {
		t.Errorf("docs/explain.md does not describe %q", kind)
	}
}

// Each target of make that a document of this project names is one, and `make run` is a lab.
func TestMakeTargets(t *testing.T) {
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("make is missing: its targets were left out")
	}
	paths, err := filepath.Glob("../../*.md")
	if err != nil {
		t.Fatal(err)
	}
	texts := documents(t)
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.Base(path)] = string(b)
	}
	targets := map[string]bool{}
	for name, text := range texts {
		for _, m := range regexp.MustCompile("(?m)(?:`|^    (?:\\$ )?)make ([a-z-]+)").FindAllStringSubmatch(text, -1) {
			if targets[m[1]] {
				continue
			}
			targets[m[1]] = true
			out, err := exec.Command("make", "-C", "../..", "--no-print-directory", "-n", m[1]).CombinedOutput()
			if err != nil {
				t.Errorf("%s: make %s: %v\n%s", name, m[1], err, out)
			}
			if m[1] == "run" && !strings.HasSuffix(string(out), "/bin/ananas lab\n") {
				t.Errorf("make run is not the lab:\n%s", out)
			}
		}
	}
	for _, name := range []string{"run", "test"} {
		if !targets[name] {
			t.Errorf("no document names make %s", name)
		}
	}
}
