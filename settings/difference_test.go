package settings

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWriteDifference(t *testing.T) {
	hints := func(lines ...string) []byte {
		return []byte("name: root.hints\ncontent: |\n  " + strings.Join(lines, "\n  ") + "\n")
	}
	before := map[string][]byte{
		"cache/max_ttl":        []byte("24h\n"),
		"cache/stale":          []byte("1h\n"),
		"forward/gone":         []byte("servers: [192.0.2.1]\n"),
		"limits/queries":       []byte("5\n"),
		"recursion/root_hints": hints("a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m"),
		"access/allow":         []byte("[127.0.0.0/8]\n"),
		"~head":                []byte("1\n"),
	}
	after := map[string][]byte{
		"cache/max_ttl":           []byte("1h\n"),
		"cache/stale":             []byte("1h\n"),
		"forward/corp.example":    []byte("servers: [192.0.2.2]\n"),
		"limits/queries":          []byte("\x1b[31m\n"),
		"recursion/root_hints":    hints("a", "b", "c", "d", "E", "f", "g", "h", "i", "j", "k", "l"),
		"access/allow":            []byte("- 127.0.0.0/8\n- 192.0.2.0/24\n"),
		"access/cache_only":       []byte("- 127.0.0.0/8\n- 192.0.2.0/24\n"),
		"forward/empty":           {},
		"~head":                   []byte("2\n"),
		"recursion/trust_anchors": []byte("none\n"),
	}
	var b bytes.Buffer
	if err := WriteDifference(&b, Compare(before, after), nil); err != nil {
		t.Fatal(err)
	}
	want := `  access/allow:
-     [127.0.0.0/8]
+     - 127.0.0.0/8
+     - 192.0.2.0/24
+ access/cache_only:
+     - 127.0.0.0/8
+     - 192.0.2.0/24
- cache/max_ttl: 24h
+ cache/max_ttl: 1h
+ forward/corp.example: servers: [192.0.2.2]
+ forward/empty: 
- forward/gone: servers: [192.0.2.1]
- limits/queries: 5
+ limits/queries: \x1b[31m
  recursion/root_hints:
      ...
        b
        c
        d
-       e
+       E
        f
        g
        h
      ...
        j
        k
        l
-       m
+ recursion/trust_anchors: none
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Error(d)
	}
	b.Reset()
	style := func(m Mark, line string) string { return fmt.Sprintf("<%c>%s</>", m, line) }
	if err := WriteDifference(&b, []Difference{{"x", []byte("1\n"), []byte("2\n")}}, style); err != nil || b.String() != "<->- x: 1</>\n<+>+ x: 2</>\n" {
		t.Errorf("%q %v", b.String(), err)
	}
	if d := Compare(before, before); len(d) != 0 {
		t.Errorf("%v", d)
	}
}

// Lines that are too many to compare are shown whole, at once.
func TestCompareManyLines(t *testing.T) {
	var a, b []string
	for i := range 3000 {
		a, b = append(a, fmt.Sprint("a", i)), append(b, fmt.Sprint("b", i))
	}
	edits := compareLines(append([]string{"same"}, a...), append([]string{"same"}, b...))
	if len(edits) != 6001 || edits[0].mark != Kept || edits[3000].mark != Removed || edits[3001].mark != Added {
		t.Errorf("%d edits", len(edits))
	}
}

// Taking the edits back gives what was before, and making them what is after.
func FuzzCompareLines(f *testing.F) {
	f.Add("a\nb\nc", "a\nc\nd")
	f.Add("", "x")
	f.Fuzz(func(t *testing.T, before, after string) {
		a, b := documentLines([]byte(before)), documentLines([]byte(after))
		var was, is []string
		for _, e := range compareLines(a, b) {
			if e.mark != Added {
				was = append(was, e.line)
			}
			if e.mark != Removed {
				is = append(is, e.line)
			}
		}
		if !reflect.DeepEqual(a, was) || !reflect.DeepEqual(b, is) {
			t.Fatalf("%q %q", was, is)
		}
	})
}

func TestSecretsAreNotShown(t *testing.T) {
	type entry struct {
		Name  string `yaml:"name" key:"true"`
		Token string `yaml:"token" secret:"true"`
	}
	var s struct {
		Open    string `yaml:"open"`
		Hidden  string `yaml:"hidden" secret:"true"`
		Section struct {
			Entries []entry `yaml:"entries"`
		} `yaml:"section"`
	}
	secret := secretKeys(appendLeaves(nil, reflect.ValueOf(&s).Elem(), "", ""))
	for key, want := range map[string]bool{"open": false, "hidden": true, "section/entries/a": true, "section/other": false} {
		if secret(key) != want {
			t.Errorf("%s: %v", key, !want)
		}
	}
	var b bytes.Buffer
	d := []Difference{{"hidden", []byte("s1\n"), []byte("s2\n")}, {"section/entries/a", nil, []byte("a: s3\nb: s4\n")}, {"open", nil, []byte("o\n")}}
	if err := writeDifference(&b, d, nil, secret); err != nil {
		t.Fatal(err)
	}
	if want := "- hidden: (secret)\n+ hidden: (secret)\n+ section/entries/a: (secret)\n+ open: o\n"; b.String() != want {
		t.Error(b.String())
	}
}
