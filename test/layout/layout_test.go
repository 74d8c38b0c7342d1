// Package layout holds the tree of this project to its rules: which package may import which (ARCHITECTURE.md), which library
// is used where, how packages are named and how long files are. It reads the source as text, so it sees the files of
// every system and needs nothing but this folder.
package layout

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/ananas-edge/ananas"

// order lists the packages from the top down: a package may import what is in a line below its own, and nothing else of ours.
// Packages in one line are peers and do not know each other. A path stands for the folders below it that are not listed.
// Folders that are not there yet have their place.
var order = [][]string{
	{"test"}, // whole-node tests and benchmarks: may import anything below; nobody imports them
	{"cmd/ananas"},
	{"cmd/ananas/story"},
	{"cmd/ananas/terminal"},
	{"node"},
	{"admin/client"},
	{"admin"},
	{"settings"},
	{"nameserver", "proxy"},
	{"nameserver/plugin/trial"},
	{"nameserver/plugin/cases"},
	{"nameserver/zone", "nameserver/plugin", "proxy/packet", "proxy/stream", "proxy/web", "proxy/upstream"},
	{"nameserver/recurse", "proxy/cache"},
	{"nameserver/rollover"},
	{"nameserver/dnssec"},
	{"nameserver/cache", "nameserver/dataset"},
	{"function", "mail", "probe", "fleet", "detect"},
	{"rollout/vitals"},
	{"rollout"},
	{"lab"},
	{"rules"},
	{"wasm"},
	{"store/feed"},
	{"store/replica", "store/blobs", "store/etcd", "store/identity"},
	{"store"},
	{"listen"},
	{"dns"},
	{"telemetry"},
	{"sdk"},      // what is below it runs in guests
	{"internal"}, // leaves: they do not import each other either
	{"internal/randomwasm"},
}

// only lists the packages that may import less than their place allows, and what of ours that is.
var only = map[string][]string{
	"dns": {},                   // pure
	"lab": {"dns", "telemetry"}, // so that nothing of ours answers for itself
}

// onlyBy lists the packages that may be imported by few: tests use the lab freely, the program only to start it.
var onlyBy = map[string][]string{
	"lab":  {"cmd/ananas", "node", "test"},
	"cmd":  {},
	"test": {"test"},
}

// libraries lists who may import a library, tests aside. One that is not here needs its reason in docs/RATIONALE.md, and its
// line.
var libraries = map[string][]string{
	"github.com/alecthomas/kong":          {"cmd/ananas"},
	"github.com/cloudflare/circl":         {"lab", "nameserver/dnssec"}, // Ed448
	"github.com/miekg/dns":                {"dns", "lab", "test/chaos"}, // never on the path of a query
	"github.com/prometheus/client_golang": {"telemetry"},
	"github.com/tetratelabs/wazero":       {"wasm"},
	"github.com/prometheus/common/expfmt": {"telemetry"},
	"go.yaml.in/yaml/v4":                  {"internal/strictyaml"},
	"go.etcd.io/bbolt":                    {"store/replica", "test/bench/store"},
	"go.etcd.io/etcd":                     {"store/etcd"},
	"go.uber.org/zap":                     {"store/etcd"}, // for what etcd's client takes
	"golang.org/x/net":                    {"listen", "nameserver/recurse", "test"},
	"golang.org/x/sys/unix":               {"internal/namedfile", "lab", "listen", "nameserver/cache", "nameserver/dataset", "nameserver/recurse", "node", "telemetry", "test", "wasm", "cmd/ananas"},
	"golang.org/x/term":                   {"cmd/ananas", "telemetry", "test"},
	"google.golang.org/grpc":              {"store/etcd"}, // the same
}

// pure lists what of the standard library a package may not touch, because time, chance and the network are parameters.
var pure = map[string][]string{
	"dns":                 {"net", "os", "time", "math/rand", "math/rand/v2", "crypto/rand", "sync"},
	"internal/strictyaml": {"net", "os", "math/rand", "math/rand/v2"},
	"internal/prefixset":  {"net", "os", "time"},
}

// emptyNames say nothing about what is in a package.
var emptyNames = []string{"util", "utils", "common", "helper", "helpers", "misc", "types", "base", "manager", "shared", "lib", "core", "pkg"}

// maxLines is the length of a file above which it is split by stage of the work. Generated files are exempt.
const maxLines = 600

// source is one Go file.
type source struct {
	path  string // from the root of the repository, with slashes
	dir   string // its package's
	test  bool
	lines int
	*ast.File
}

func TestImportsPointDown(t *testing.T) {
	for _, f := range sources(t) {
		for _, imported := range f.ours() {
			if imported == f.dir {
				continue // a test outside its package
			}
			if why := forbidden(f, imported); why != "" {
				t.Errorf("%s imports %s: %s", f.path, imported, why)
			}
		}
	}
}

// forbidden says why f may not import a package of ours; "" if it may.
func forbidden(f source, imported string) string {
	from, ok := rank(f.dir)
	if !ok {
		return f.dir + " has no place in the order; give it one"
	}
	to, ok := rank(imported)
	if !ok {
		return imported + " has no place in the order; give it one"
	}
	if f.test && within(imported, "lab") {
		return ""
	}
	for top, by := range onlyBy {
		if within(imported, top) && !within(f.dir, top) && !slices.ContainsFunc(by, func(p string) bool { return within(f.dir, p) }) {
			return fmt.Sprintf("only %v may", by)
		}
	}
	if allowed, ok := only[f.dir]; ok && !f.test && !within(imported, f.dir) && !slices.ContainsFunc(allowed, func(p string) bool { return within(imported, p) }) {
		return fmt.Sprintf("it may import %v alone", allowed)
	}
	if within(f.dir, "test") && within(imported, "test") || from < to {
		return ""
	}
	if from == to {
		return "they are peers"
	}
	return "imports point down the list in this test and in ARCHITECTURE.md"
}

func TestLibrariesHaveTheirPlace(t *testing.T) {
	for _, f := range sources(t) {
		for _, spec := range f.Imports {
			p := importPath(spec)
			if first, _, _ := strings.Cut(p, "/"); !strings.Contains(first, ".") || strings.HasPrefix(p, module) || f.test {
				continue
			}
			by, known := library(p)
			switch {
			case !known:
				t.Errorf("%s imports %s, which has no place; add it, and its reason to docs/RATIONALE.md", f.path, p)
			case !slices.ContainsFunc(by, func(top string) bool { return within(f.dir, top) }):
				t.Errorf("%s imports %s, which only %v may", f.path, p, by)
			}
		}
	}
}

func TestPurePackages(t *testing.T) {
	for _, f := range sources(t) {
		for _, spec := range f.Imports {
			if p := importPath(spec); !f.test && slices.Contains(pure[f.dir], p) {
				t.Errorf("%s imports %s, which this package must not", f.path, p)
			}
		}
	}
}

func TestPackages(t *testing.T) {
	type pkg struct{ commented, program, code bool }
	packages := make(map[string]*pkg)
	for _, f := range sources(t) {
		p := packages[f.dir]
		if p == nil {
			p = new(pkg)
			packages[f.dir] = p
		}
		name := f.Name.Name
		if slices.Contains(emptyNames, strings.TrimSuffix(name, "_test")) {
			t.Errorf("%s: package %s says nothing about what is in it", f.path, name)
		}
		if strings.Contains(strings.TrimSuffix(name, "_test"), "_") {
			t.Errorf("%s: no underscores in package names", f.path)
		}
		p.program = p.program || name == "main"
		p.code = p.code || !f.test
		if f.Doc != nil {
			text := f.Doc.Text()
			p.commented = p.commented || name == "main" || strings.HasPrefix(text, "Package "+name+" ")
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: func init: what runs before main is seen by nobody; call it where it is needed", f.path)
			}
		}
		for _, spec := range f.Imports {
			if spec.Name != nil && spec.Name.Name == "." {
				t.Errorf("%s: dot import of %s", f.path, spec.Path.Value)
			}
			if p := importPath(spec); spec.Name != nil && spec.Name.Name == "_" && p != "embed" && !f.test {
				t.Errorf("%s: blank import of %s", f.path, p)
			}
		}
	}
	for dir, p := range packages {
		if _, ok := rank(dir); !ok {
			t.Errorf("%s has no place in the order; give it one here and in ARCHITECTURE.md", dir)
		}
		if !p.commented {
			t.Errorf("%s: no package comment that begins with what the package is", dir)
		}
	}
}

func TestFilesAreShort(t *testing.T) {
	for _, f := range sources(t) {
		if f.lines > maxLines && !ast.IsGenerated(f.File) {
			t.Errorf("%s has %d lines, more than %d; split it by stage of the work", f.path, f.lines, maxLines)
		}
	}
}

// The rules themselves are held to what they must catch, on files that do not exist.
func TestForbidden(t *testing.T) {
	for _, c := range []struct {
		dir, imported string
		test, want    bool
	}{
		{"nameserver", "nameserver/recurse", false, true},
		{"nameserver/recurse", "nameserver", false, false},
		{"nameserver/recurse", "nameserver/cache", false, true},
		{"nameserver/dnssec", "nameserver/recurse", false, false},
		{"nameserver", "proxy", false, false},
		{"proxy", "nameserver", false, false},
		{"nameserver/zone", "nameserver/plugin", false, false},
		{"dns", "telemetry", false, false},
		{"dns", "internal/siphash", false, false},
		{"lab", "nameserver/cache", false, false},
		{"lab", "listen", false, false},
		{"lab", "telemetry", false, true},
		{"nameserver", "lab", false, false},
		{"nameserver", "lab", true, true},
		{"dns", "lab", true, true},
		{"node", "lab", false, true},
		{"cmd/ananas", "lab", false, true},
		{"node", "cmd/ananas", false, false},
		{"admin", "node", true, false},
		{"settings", "internal/strictyaml", false, true},
		{"internal/strictyaml", "internal/siphash", false, false},
		{"test/bench", "test/bench/load", false, true},
		{"node", "test/bench", false, false},
		{"node", "newcomer", false, false},
		{"newcomer", "dns", false, false},
	} {
		f := source{dir: c.dir, path: c.dir + "/x.go", test: c.test}
		if why := forbidden(f, c.imported); (why == "") != c.want {
			t.Errorf("%s imports %s (test %v): %q", c.dir, c.imported, c.test, why)
		}
	}
}

// rank returns the line of the longest path in order that dir is at or below. A folder that only holds folders has none.
func rank(dir string) (int, bool) {
	best, line := "", 0
	for i, peers := range order {
		for _, p := range peers {
			if within(dir, p) && len(p) > len(best) {
				best, line = p, i
			}
		}
	}
	return line, best != ""
}

// library returns who may import the package of a library.
func library(p string) ([]string, bool) {
	for prefix, by := range libraries {
		if within(p, prefix) {
			return by, true
		}
	}
	return nil, false
}

func within(dir, top string) bool { return dir == top || strings.HasPrefix(dir, top+"/") }

func importPath(spec *ast.ImportSpec) string {
	p, _ := strconv.Unquote(spec.Path.Value) // the parser has seen to it
	return p
}

// ours lists the packages of this module that f imports, as folders.
func (f source) ours() []string {
	var out []string
	for _, spec := range f.Imports {
		if rest, ok := strings.CutPrefix(importPath(spec), module+"/"); ok {
			out = append(out, rest)
		}
	}
	return out
}

// sources reads every Go file of the repository.
func sources(t *testing.T) []source {
	t.Helper()
	root := filepath.Join("..", "..")
	if b, err := os.ReadFile(filepath.Join(root, "go.mod")); err != nil || !strings.HasPrefix(string(b), "module "+module+"\n") {
		t.Fatalf("this is not run in test/layout of %s: %v", module, err)
	}
	var out []source
	set := token.NewFileSet()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() && name != root && (base == "testdata" || base == "node_modules" || base[0] == '.' || base[0] == '_') {
			return filepath.SkipDir
		}
		if d.IsDir() || path.Ext(base) != ".go" {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		// A program that `go run` gets by the name of its file stands beside a package and is no part of it.
		if parsed.Name.Name == "main" && strings.HasPrefix(string(text), "//go:build ignore\n") {
			return nil
		}
		out = append(out, source{path: rel, dir: path.Dir(rel), test: strings.HasSuffix(base, "_test.go"),
			lines: strings.Count(string(text), "\n"), File: parsed})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 20 {
		t.Fatalf("only %d files were found", len(out))
	}
	return out
}
