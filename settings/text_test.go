package settings

import (
	"bytes"
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
		again, err := ParseApply("g.yaml", text, namedfile.All(w.files))
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
