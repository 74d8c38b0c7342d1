package settings

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/internal/namedfile"
	"github.com/ananas-edge/ananas/internal/strictyaml"
	"github.com/ananas-edge/ananas/nameserver"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/nameserver/recurse"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// entriesOf parses a file and takes it apart.
func entriesOf(t testing.TB, text string, files map[string][]byte) (*File, *Entries) {
	t.Helper()
	f, err := ParseApply("f.yaml", []byte(text), namedfile.All(files))
	if err != nil {
		t.Fatal(err)
	}
	e, err := f.Entries()
	if err != nil {
		t.Fatal(err)
	}
	return f, e
}

func contentOf(t testing.TB, f *namedfile.File) string {
	t.Helper()
	b, err := f.Read()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// written shows keys and documents as text.
func written(docs map[string][]byte) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(docs)) {
		if d := docs[k]; d == nil {
			fmt.Fprintf(&b, "%s: gone\n", k)
		} else if bytes.Count(d, []byte("\n")) > 1 {
			fmt.Fprintf(&b, "%s:\n%s", k, d)
		} else {
			fmt.Fprintf(&b, "%s: %s", k, d)
		}
	}
	return b.String()
}

func lines(s ...string) string { return strings.Join(s, "\n") + "\n" }

// Keys are the paths of docs/settings.md, and there is one text for a value, however it was written.
func TestEntries(t *testing.T) {
	hints := []byte(". NS a.root.\na.root. A 192.0.2.1\n")
	long := bytes.Repeat([]byte("; not much\n"), maxInline/10)
	_, e := entriesOf(t, `
settings:
  recursion:
    root_hints: lab/root.hints
    trust_anchors: none
    never_query: []
    ipv6: false
    qname_minimisation: off
    negative_trust_anchors: [Broken.Example., {zone: 0/25.2.0.192.in-addr.arpa, until: 2027-01-01T00:00:00+01:00}]
    local_root: {file: big.zone, max_age: 90m}
    limits: {answer_size: 32768B, query_time: 1500ms}
    validation: {limits: {keys: 64}}
  cache: {max_ttl: 1440m}
  stub: []
  forward:
    - {zone: CORP.example, servers: ["192.0.2.1:53", 192.0.2.2, "192.0.2.2:5300", "2001:db8::1"]}
    - {zone: ., servers: [198.51.100.1]}
    - {zone: '100%\ o\/u\000r.example', servers: [198.51.100.1]}
  access:
    allow: [192.0.2.0/25, 198.51.100.0/24, 203.0.113.0/24, 10.0.0.0/8, 172.16.0.0/12, "::1/128"]
    cache_only: []
`, map[string][]byte{"lab/root.hints": hints, "big.zone": long})
	sum := sha256.Sum256(long)
	want := lines(
		"access/allow:",
		"- 192.0.2.0/25", "- 198.51.100.0/24", "- 203.0.113.0/24", "- 10.0.0.0/8", "- 172.16.0.0/12", `- "::1/128"`,
		"access/cache_only: []",
		"cache/max_ttl: 24h",
		`forward/.: servers: [198.51.100.1]`,
		`forward/100%25\032o%2Fu\000r.example: servers: [198.51.100.1]`,
		`forward/corp.example: servers: [192.0.2.1, 192.0.2.2, "192.0.2.2:5300", "2001:db8::1"]`,
		"recursion/ipv6: false",
		"recursion/limits/answer_size: 32KiB",
		"recursion/limits/query_time: 1.5s",
		"recursion/local_root/file:",
		"name: big.zone", fmt.Sprintf("sha256: %x", sum), fmt.Sprintf("size: %d", len(long)),
		"recursion/local_root/max_age: 1h30m",
		"recursion/negative_trust_anchors/0%2F25.2.0.192.in-addr.arpa: until: 2026-12-31T23:00:00Z",
		"recursion/negative_trust_anchors/broken.example: {}",
		"recursion/never_query: []",
		"recursion/qname_minimisation: off",
		"recursion/root_hints:",
		"name: lab/root.hints", "content: |", "  . NS a.root.", "  a.root. A 192.0.2.1",
		"recursion/trust_anchors: none",
		"recursion/validation/limits/keys: 64",
	)
	got := strings.Replace(written(e.Docs), fmt.Sprintf("sha256: %q", fmt.Sprintf("%x", sum)), fmt.Sprintf("sha256: %x", sum), 1)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if want := []string{"access", "cache", "forward", "recursion", "stub"}; !slices.Equal(e.Sections, want) {
		t.Errorf("sections %v", e.Sections)
	}
	if len(e.Blobs) != 1 || e.Blobs[sum] == nil || e.Blobs[sum].Sum() != sum {
		t.Errorf("%d blobs", len(e.Blobs))
	}
}

func TestSections(t *testing.T) {
	for _, c := range []struct {
		text string
		has  bool
		want []string
	}{
		{"", false, nil},
		{"node: {}", false, nil},
		{"settings:", true, nil},
		{"settings: {}", true, nil},
		{"settings:\n  cache:\n    # max_ttl: 1h\n  forward: []\n", true, []string{"cache", "forward"}},
	} {
		f, e := entriesOf(t, c.text, nil)
		if f.HasSettings() != c.has || !slices.Equal(e.Sections, c.want) || len(e.Docs) != 0 {
			t.Errorf("%q: %v, sections %v, %d documents", c.text, f.HasSettings(), e.Sections, len(e.Docs))
		}
	}
	if e, err := Default().Entries(); err != nil || len(e.Docs)+len(e.Sections) != 0 {
		t.Errorf("defaults are written: %v %v", e, err)
	}
}

func TestEntriesAreRefused(t *testing.T) {
	f, err := ParseApply("f.yaml", []byte(`settings:
  recursion:
    root_hints: none.hints
    negative_trust_anchors: [a.example, A.Example.]
  stub:
    - {zone: b, servers: [192.0.2.1]}
    - {zone: B., servers: [192.0.2.2]}
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Entries()
	want := `f.yaml:3:17: settings.recursion.root_hints: reading "none.hints": open none.hints: file does not exist
	hint: its content travels with the settings, so it has to be there when they are applied
f.yaml:4:41: settings.recursion.negative_trust_anchors[1]: a.example is there twice
	hint: remove one of the two
f.yaml:7:7: settings.stub[1]: b is there twice
	hint: remove one of the two`
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%v", err)
	}
	if d := cmp.Diff(want, err.Error()); d != "" {
		t.Error(d)
	}
}

func TestAgainst(t *testing.T) {
	_, e := entriesOf(t, `
settings:
  cache: {max_ttl: 1h}
  stub: []
  forward: [{zone: a, servers: [192.0.2.1]}, {zone: b, servers: [192.0.2.2]}]
`, nil)
	live := map[string][]byte{
		"cache/max_ttl": []byte("1h\n"), "cache/stale": []byte("1h\n"), "limits/queries": []byte("7\n"), "stub/c": []byte("servers: [192.0.2.3]\n"),
		"forward/a": []byte("servers: [192.0.2.9]\n"), "forwarded": []byte("x\n"), "~head": []byte("x"),
	}
	changes := e.Against(live)
	want := lines("cache/stale: gone", "forward/a: servers: [192.0.2.1]", "forward/b: servers: [192.0.2.2]", "stub/c: gone")
	if d := cmp.Diff(want, written(changes)); d != "" {
		t.Error(d)
	}
	if again := e.Against(Apply(live, changes)); len(again) != 0 {
		t.Errorf("once more: %s", written(again))
	}
}

func TestNamedFiles(t *testing.T) {
	f, err := ParseApply("/etc/f.yaml", []byte("settings: {recursion: {root_hints: b, trust_anchors: none, local_root: {file: /a}}}"), namedfile.All(map[string][]byte{"b": []byte("x")}))
	if err != nil {
		t.Fatal(err)
	}
	if got := f.NamedFiles(); !slices.Equal(got, []string{"/a", "b"}) || f.Path("b") != "/etc/b" {
		t.Errorf("%v, %s", got, f.Path("b"))
	}
	if b, ok := f.Carried("b"); !ok || contentOf(t, b) != "x" {
		t.Errorf("%v %v", b, ok)
	}
	if got := Default().NamedFiles(); got != nil {
		t.Errorf("%v", got)
	}
}

// same compares settings that came by two ways: a store has no order of entries, no empty list of them, and names in lowercase.
var same = cmp.Options{cmpopts.EquateComparable(netip.AddrPort{}, netip.Prefix{}, netip.Addr{}),
	cmpopts.SortSlices(func(a, b recurse.Stub) bool { return a.Zone.Compare(b.Zone) < 0 }),
	cmpopts.SortSlices(func(a, b plugin.Data) bool { return a.Name < b.Name }),
	cmpopts.SortSlices(func(a, b plugin.Module) bool { return a.Name < b.Name }),
	cmpopts.SortSlices(func(a, b recurse.Group) bool { return a.Name < b.Name }),
	cmpopts.SortSlices(func(a, b nameserver.Tenant) bool { return a.Tag < b.Tag }),
	cmpopts.SortSlices(func(a, b recurse.Forward) bool { return a.Zone.Compare(b.Zone) < 0 }),
	cmpopts.SortSlices(func(a, b recurse.NegativeTrustAnchor) bool { return a.Zone.Compare(b.Zone) < 0 }),
	cmp.FilterValues(func(a, b any) bool {
		t := reflect.TypeOf(a)
		return t != nil && t.Kind() == reflect.Slice && hasName(t.Elem())
	}, cmpopts.EquateEmpty()),
	cmp.Comparer(func(a, b dns.Name) bool { return a.Equal(b) }),
}

// roundTrip takes a file apart, puts it together, and finds the same settings, tables and entries.
func roundTrip(t rapid.TB, f *File) {
	t.Helper()
	e, err := f.Entries()
	if err != nil {
		t.Fatal(err)
	}
	blob := func(sum [32]byte) (*namedfile.File, error) { return e.Blobs[sum], nil }
	g, err := Assemble(f.Node, e.Docs, blob)
	if err != nil {
		t.Fatalf("%v\n%s", err, written(e.Docs))
	}
	if d := cmp.Diff(f.Settings, g.Settings, same); d != "" {
		t.Errorf("settings:\n%s", d)
	}
	if r := Restart(f, g); r != nil {
		t.Errorf("the node differs: %v", r)
	}
	for _, l := range f.Node.Listen.DNS {
		if l.Port() == 0 {
			return // none to compile with
		}
	}
	ft, errF := f.Compile(f.Node.Listen.DNS)
	gt, errG := g.Compile(f.Node.Listen.DNS)
	switch {
	case errF == nil && errG == nil:
		if ft.Fingerprint() != gt.Fingerprint() {
			t.Error("the tables differ")
		}
	case errF == nil || errG == nil:
		t.Errorf("one compiles: %v, %v", errF, errG)
	}
	again, err := g.Entries()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(written(e.Docs), written(again.Docs)); d != "" || !maps.EqualFunc(e.Blobs, again.Blobs, func(a, b *namedfile.File) bool { return a.Sum() == b.Sum() }) {
		t.Errorf("entries of what was assembled:\n%s", d)
	}
}

func TestGoodFilesRoundTrip(t *testing.T) {
	t.Chdir("testdata")
	files, _ := filepath.Glob("*.good.yaml")
	if len(files) < 5 {
		t.Fatal("no files")
	}
	for _, name := range files {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			f, err := ParseApply(name, data, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range f.NamedFiles() {
				content, err := os.ReadFile(f.Path(n))
				if err != nil {
					content = []byte("; nothing yet\n")
				}
				f.carried[n] = namedfile.Of(content)
			}
			roundTrip(t, f)
		})
	}
}

// What is wrong with entries is told by key, all at once.
func TestAssembleErrors(t *testing.T) {
	data, err := os.ReadFile("testdata/assemble.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, c := range strings.SplitAfter(string(data), "\n====\n") {
		given, _, ok := strings.Cut(c, "\n----\n")
		if !ok {
			t.Fatalf("no ---- in %q", c)
		}
		out.WriteString(given + "\n----\n")
		docs := make(map[string][]byte)
		for line := range strings.Lines(given) {
			if key, doc, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); ok && !strings.HasPrefix(line, "#") {
				docs[key] = []byte(strings.ReplaceAll(doc, `\n`, "\n") + "\n")
			}
		}
		f, err := Assemble(Default().Node, docs, func([32]byte) (*namedfile.File, error) { return nil, fs.ErrNotExist })
		if err == nil {
			_, err = f.Compile(f.Node.Listen.DNS)
		}
		var all *strictyaml.Errors
		if !errors.As(err, &all) {
			t.Fatalf("%s: %v", given, err)
		}
		for _, one := range all.List {
			if one.File == "" {
				t.Errorf("no key: %v", one)
			}
		}
		out.WriteString(err.Error() + "\n====\n")
	}
	if *update {
		if err := os.WriteFile("testdata/assemble.txt", []byte(strings.TrimSuffix(out.String(), "\n====\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(string(data), strings.TrimSuffix(out.String(), "\n====\n")+"\n"); d != "" {
		t.Error(d)
	}
}

// What was assembled reads nothing of the machine, and takes no content that is not what it was.
func TestAssembleContents(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	if err := os.WriteFile("root.hints", []byte("rubbish of this machine"), 0o600); err != nil {
		t.Fatal(err)
	}
	content := []byte(". NS a.root.\na.root. A 192.0.2.1 ; \xff\n")
	_, e := entriesOf(t, "settings: {recursion: {root_hints: root.hints}}", map[string][]byte{"root.hints": content})
	gone := errors.New("swept")
	for _, c := range []struct {
		name string
		blob func([32]byte) (*namedfile.File, error)
		want string
	}{
		{"good", func(sum [32]byte) (*namedfile.File, error) { return e.Blobs[sum], nil }, ""},
		{"gone", func([32]byte) (*namedfile.File, error) { return nil, gone }, `recursion/root_hints: sha256: reading the content of "root.hints": swept`},
		{"another", func([32]byte) (*namedfile.File, error) {
			return namedfile.Of(bytes.Replace(content, []byte("192"), []byte("198"), 1)), nil
		}, `recursion/root_hints: sha256: reading the content of "root.hints": it is not what it was`},
		{"cut", func([32]byte) (*namedfile.File, error) { return namedfile.Of(content[:9]), nil }, `recursion/root_hints: sha256: reading the content of "root.hints": it is not what it was`},
		{"none", nil, `recursion/root_hints: sha256: there are no blobs here`},
	} {
		f, err := Assemble(Default().Node, e.Docs, c.blob)
		if c.want != "" {
			if err == nil || err.Error() != c.want || c.name == "gone" && !errors.Is(err, gone) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		tables, err := f.Compile(nil)
		if err != nil {
			t.Fatal(err)
		}
		if h := tables.Nameserver.Recursion.Hints(); len(h) != 1 || h[0].Name.String() != "a.root." {
			t.Errorf("hints %v", h)
		}
		if b, ok := f.Carried("root.hints"); !ok || contentOf(t, b) != string(content) || f.Path("root.hints") != "" || f.HasSettings() || f.Empty() {
			t.Errorf("carried %v, path %q", b, f.Path("root.hints"))
		}
	}
}

// A next version that takes over what has not changed is what it would be on its own.
func TestReassemble(t *testing.T) {
	blobs := 0
	sum := sha256.Sum256([]byte("x"))
	blob := func([32]byte) (*namedfile.File, error) { blobs++; return namedfile.Of([]byte("x")), nil }
	first := map[string][]byte{
		"forward/a": []byte("servers: [192.0.2.1]\n"), "forward/b": []byte("servers: [192.0.2.2]\n"), "forward/c": []byte("servers: [192.0.2.3]\n"),
		"recursion/local_root/file": fmt.Appendf(nil, "name: x\nsha256: \"%x\"\nsize: 1\n", sum), "cache/stale": []byte("1h\n"),
	}
	f, err := Assemble(Default().Node, first, blob)
	if err != nil {
		t.Fatal(err)
	}
	next := Apply(first, map[string][]byte{"forward/a": nil, "forward/b": []byte("servers: [192.0.2.9]\n"), "forward/bb": []byte("servers: [192.0.2.4]\n"), "cache/stale": nil})
	g, err := f.Reassemble(next, blob)
	if err != nil {
		t.Fatal(err)
	}
	if blobs != 1 {
		t.Errorf("the content was fetched %d times", blobs)
	}
	h, err := Assemble(Default().Node, next, blob)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(h.Settings, g.Settings, cmpopts.EquateComparable(netip.AddrPort{}, netip.Prefix{}, dns.Name{})); d != "" {
		t.Error(d)
	}
	next["forward/b"] = []byte("servers: [x]\n")
	if _, err := g.Reassemble(next, blob); err == nil {
		t.Error("a bad document is passed over")
	}
}

// Whatever a content is, the document that carries it has room in a store.
func TestContentsHaveRoom(t *testing.T) {
	for _, c := range []struct {
		content string
		blobs   int
	}{
		{"", 0}, {strings.Repeat("0123456\n", maxInline/8), 0}, {strings.Repeat("0123456\n", maxInline/8) + "\n", 1},
		{strings.Repeat("a\n", 20_000), 1}, {strings.Repeat("\x01", 12_000), 1}, {"\x01", 0}, {"\xff", 1},
	} {
		_, e := entriesOf(t, "settings: {recursion: {root_hints: x}}", map[string][]byte{"x": []byte(c.content)})
		doc := e.Docs["recursion/root_hints"]
		if len(e.Blobs) != c.blobs || len(doc) > 64<<10 {
			t.Errorf("%d octets that begin with %.9q: %d blobs, a document of %d octets", len(c.content), c.content, len(e.Blobs), len(doc))
		}
		f, err := Assemble(Default().Node, e.Docs, func(sum [32]byte) (*namedfile.File, error) { return e.Blobs[sum], nil })
		if err != nil {
			t.Fatal(err)
		}
		if b, ok := f.Carried("x"); !ok || contentOf(t, b) != c.content {
			t.Errorf("%.9q came back as %.9q", c.content, contentOf(t, b))
		}
	}
}

// Files that were assembled are told apart as those that were read.
func TestAssembledChanges(t *testing.T) {
	assemble := func(docs map[string][]byte) *File {
		f, err := Assemble(Default().Node, docs, nil)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	a := assemble(map[string][]byte{"~head": []byte("not YAML: ["), "forward/a": []byte("servers: [192.0.2.1]\n")})
	b := assemble(map[string][]byte{"forward/a": []byte("servers: [192.0.2.2]\n"), "recursion/limits/sockets": []byte("16\n"), "recursion/never_query": []byte("[]\n")})
	if got := Changed(a, b); !slices.Equal(got, []string{"settings.recursion.never_query", "settings.forward"}) {
		t.Errorf("changed: %v", got)
	}
	if got := Restart(a, b); !slices.Equal(got, []string{"settings.recursion.limits.sockets"}) {
		t.Errorf("restart: %v", got)
	}
	if got := Changed(a, a); got != nil {
		t.Errorf("%v", got)
	}
	if e, err := b.Entries(); err != nil || !slices.Equal(e.Sections, []string{"forward", "recursion"}) {
		t.Errorf("%v %v", e, err)
	}
}

// The whole of a store of 10,000 zones, as a node puts it together for a version.
func BenchmarkAssemble(b *testing.B) {
	docs := make(map[string][]byte)
	for i := range 10_000 {
		docs[fmt.Sprintf("forward/zone%d.example", i)] = []byte("servers: [192.0.2.1, 192.0.2.2]\n")
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Assemble(Default().Node, docs, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// The same, where one of them has changed.
func BenchmarkReassemble(b *testing.B) {
	docs := make(map[string][]byte)
	for i := range 10_000 {
		docs[fmt.Sprintf("forward/zone%d.example", i)] = []byte("servers: [192.0.2.1, 192.0.2.2]\n")
	}
	f, err := Assemble(Default().Node, docs, nil)
	if err != nil {
		b.Fatal(err)
	}
	docs = Apply(docs, map[string][]byte{"forward/zone1.example": []byte("servers: [192.0.2.3]\n")})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Reassemble(docs, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// What is wrong with documents that a file has made is told with the place in that, and nothing else is.
func TestLocateInTheFile(t *testing.T) {
	f, err := ParseApply("mine.yaml", []byte(`settings:
  stub:
    - { zone: a.example, servers: [192.0.2.1] }
    - zone: corp.example
      servers: [192.0.2.1, "192.0.2.1"]
  access:
    allow: [198.51.100.0/24]
    cache_only:
      - 192.0.2.0/24
  recursion: { root_hints: root.hints }
`), map[string]*namedfile.File{"root.hints": namedfile.Of([]byte("nothing\n"))})
	if err != nil {
		t.Fatal(err)
	}
	e, err := f.Entries()
	if err != nil {
		t.Fatal(err)
	}
	entries := maps.Clone(e.Docs)
	entries["forward/corp.example"] = []byte("servers: [192.0.2.1]\n") // somebody else's
	entries["access/cache_only"] = []byte("[192.0.2.0/24, 203.0.113.0/24]\n")
	a, err := Assemble(Default().Node, entries, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.Compile(nil)
	const want = `mine.yaml:5:28: settings.stub[1].servers[1]: 192.0.2.1:53 is there twice
	hint: remove one of the two
mine.yaml:10:28: settings.recursion.root_hints: reading records of "root.hints": line 1, at "nothing": neither a TTL nor a class nor a type
	hint: name a file with the NS records of the root and the addresses of its servers, or remove the key to use the built-in ones
access/cache_only[0]: 192.0.2.0/24 may not ask at all
	hint: add it to access.allow too
access/cache_only[1]: 203.0.113.0/24 may not ask at all
	hint: add it to access.allow too
forward/corp.example: corp.example. has servers already, in stub/corp.example
	hint: remove one of the two`
	if d := cmp.Diff(want, e.Locate(entries, err).Error()); d != "" {
		t.Error(d)
	}
	other := errors.New("the disk is gone")
	if got := e.Locate(entries, other); got != other || e.Locate(entries, nil) != nil {
		t.Errorf("got %v", got)
	}
}
