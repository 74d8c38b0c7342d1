package settings

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ananas-edge/ananas/internal/namedfile"
)

func TestText(t *testing.T) {
	docs := map[string][]byte{}
	for key, doc := range map[string]string{
		"cache/max_ttl":            "24h\n",
		"recursion/limits/jobs":    "100\n",
		"recursion/trust_anchors":  "none\n",
		"recursion/root_hints":     "name: hints.zone\ncontent: |\n  . NS a.\n  a. A 192.0.2.1\n",
		"forward/corp.example":     "servers: [192.0.2.1]\n",
		"forward/.":                "servers:\n  - 192.0.2.1\n  - 192.0.2.2\n",
		"stub/0%2F25.example":      "servers: [192.0.2.3]\n",
		"access/allow":             "[127.0.0.0/8, \"::1/128\"]\n",
		"plugin/\x1b[31m":          "a: 1\nb: \x07\n",
		"~rollout/42":              "{}\n",
		"access/cache_only":        "(secret)",
		"recursion/never_query":    "[]\n",
		"recursion/local_root/url": "x\n",

		"recursion/negative_trust_anchors/a.example": "{}\n",
	} {
		docs[key] = []byte(doc)
	}
	const want = `settings:
  recursion:
    root_hints: hints.zone  # the content, 23 octets, is in the store
    trust_anchors: none
    negative_trust_anchors:
      - zone: a.example
    never_query: []
    limits:
      jobs: 100
  cache:
    max_ttl: 24h
  stub:
    - zone: 0/25.example
      servers: [192.0.2.3]
  forward:
    - zone: "."
      servers:
        - 192.0.2.1
        - 192.0.2.2
    - zone: corp.example
      servers: [192.0.2.1]
  access:
    allow: [127.0.0.0/8, "::1/128"]
    cache_only: (secret)
# this release does not know plugin/\x1b[31m:
#   a: 1
#   b: \x07
# this release does not know recursion/local_root/url:
#   x
`
	if d := cmp.Diff(want, string(Text(docs))); d != "" {
		t.Error(d)
	}
	if got := string(Text(nil)); got != "settings: {}\n" {
		t.Errorf("of nothing: %q", got)
	}
}

// What is written is the file that would make the entries.
func TestTextRoundTrips(t *testing.T) {
	told := 0
	rapid.Check(t, func(t *rapid.T) {
		w := &writer{t: t, files: make(map[string][]byte)}
		w.b.WriteString("settings:\n")
		w.section(reflect.ValueOf(Default().Settings).Elem(), "  ", "")
		f, err := ParseApply("f.yaml", []byte(w.b.String()), namedfile.All(w.files))
		if err != nil {
			t.Skip()
		}
		e, err := f.Entries()
		if err != nil {
			return // a name is there twice
		}
		text := Text(e.Docs)
		beside := namedfile.All(w.files)
		if rapid.Bool().Draw(t, "beside") { // the files are elsewhere, and so have other names
			contents, err := Contents(e.Docs)
			if err != nil {
				t.Fatal(err)
			}
			beside, place := make(map[string]*namedfile.File), make(map[string]string)
			for i, c := range contents {
				if want := namedfile.Of(w.files[c.Name]); c.SHA256 != want.Sum() || c.Size != want.Size() || c.Content != nil && string(c.Content) != string(w.files[c.Name]) {
					t.Fatalf("of %s it is said: %+v", c.Name, c)
				}
				place[c.Name] = c.Name
				if i%2 == 0 {
					place[c.Name] = fmt.Sprintf("elsewhere %d", i)
				}
				beside[place[c.Name]] = namedfile.Of(w.files[c.Name])
			}
			there, err := ParseApply("h.yaml", TextBeside(e.Docs, place), beside)
			if err != nil {
				t.Fatalf("%s\n%v", TextBeside(e.Docs, place), err)
			}
			if got := there.NamedFiles(); len(got) != len(contents) {
				t.Fatalf("%v of %v", got, contents)
			}
		}
		again, err := ParseApply("g.yaml", text, beside)
		if err != nil {
			t.Fatalf("%s\n%v", text, err)
		}
		back, err := again.Entries()
		if err != nil {
			t.Fatalf("%s\n%v", text, err)
		}
		if d := cmp.Diff(written(e.Docs), written(back.Docs)); d != "" {
			t.Fatalf("%s\n%s", text, d)
		}
		told += len(e.Docs)
	})
	if told < 100 {
		t.Errorf("%d keys were seen", told)
	}
}

// A name has one content, and every name has one.
func TestContents(t *testing.T) {
	const sum = "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"
	for _, c := range []struct{ hints, anchors, want string }{
		{"name: a\ncontent: |\n  x\n", "name: b\nsha256: " + sum + "\nsize: 7\n", "[a 2 true b 7 false]"},
		{"name: a\ncontent: |\n  x\n", "name: a\ncontent: |\n  x\n", "[a 2 true]"},
		{"name: a\ncontent: |\n  x\n", "name: a\ncontent: |\n  y\n", `"a" is named with two contents`},
		{"name: a\n", "none\n", `it is not said what is in "a"`},
		{"name: a\ncontent: x\nsize: 1\nsha256: " + sum + "\n", "none\n", `it is not said what is in "a"`},
	} {
		all, err := Contents(map[string][]byte{"recursion/root_hints": []byte(c.hints), "recursion/trust_anchors": []byte(c.anchors)})
		got := []any{}
		for _, f := range all {
			got = append(got, f.Name, f.Size, f.Content != nil)
		}
		if said := fmt.Sprint(got); said != c.want && (err == nil || err.Error() != c.want) {
			t.Errorf("%q, %q: %s, %v", c.hints, c.anchors, said, err)
		}
	}
}

// Whatever is in a store, writing it ends, in something that begins as a file.
func FuzzText(f *testing.F) {
	f.Add("forward/a.example", "servers: [192.0.2.1]\n", "recursion/root_hints", "name: a\ncontent: |\n  x\n")
	f.Add("forward/%2f", "", "nothing/there", "\x00\n\n")
	f.Fuzz(func(t *testing.T, key1, doc1, key2, doc2 string) {
		text := Text(map[string][]byte{key1: []byte(doc1), key2: []byte(doc2)})
		if !bytes.HasPrefix(text, []byte("settings:")) || !strings.HasSuffix(string(text), "\n") {
			t.Fatalf("%q", text)
		}
	})
}
