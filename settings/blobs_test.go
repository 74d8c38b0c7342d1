package settings

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/internal/namedfile"
)

func TestBlobs(t *testing.T) {
	large := bytes.Repeat([]byte("; a comment of some length\n"), 4000)
	sum := sha256.Sum256(large)
	text := "settings:\n  recursion: { root_hints: large.txt, trust_anchors: small.txt }\n  cache: { max_ttl: 1h }\n"
	// The small file has what a document that names a blob has.
	small := fmt.Sprintf("name: large.txt\nsha256: %x\nsize: %d\n", sum, len(large))
	f, err := ParseApply("a.yaml", []byte(text), namedfile.All(map[string][]byte{"large.txt": large, "small.txt": []byte(small)}))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := f.Entries()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for key, doc := range entries.Docs {
		for _, b := range Blobs(doc) {
			found++
			if key != "recursion/root_hints" || b != sum || entries.Blobs[b].Sum() != sum {
				t.Errorf("%s names %x", key, b)
			}
		}
	}
	if found != 1 {
		t.Errorf("%d blobs in %q", found, entries.Docs)
	}

	hex := strings.Repeat("0a", 32)
	for doc, want := range map[string]int{
		"":                               0,
		"24h":                            0,
		"sha256: " + hex:                 0,
		"name: x\nsha256: " + hex:        0,
		"name: x\nsha256: 0a\nsize: 1\n": 0,
		"name: \"\"\nsha256: " + hex + "\nsize: 1\n":                                          0,
		"name: x\nsha256: " + hex + "\nsize: -1\n":                                            0,
		"name: x\nsha256: " + hex + "\nsize: 1\nother: 1\n":                                   0,
		"name: x\nsha256: " + hex + "\nsize: 1\n":                                             1,
		"name: x\nsha256: " + hex + "\nsize: 99999999999\n":                                   1,
		"\"name: x\\nsha256: " + hex + "\\nsize: 1\\n\"":                                      0,
		"- name: x\n  sha256: " + hex + "\n  size: 1\n":                                       1,
		"limits:\n  fuel: 1\nfile:\n  name: x\n  sha256: " + hex + "\n  size: 1\n":            1,
		"file:\n  name: x\n  content: |\n    name: x\n    sha256: " + hex + "\n    size: 1\n": 0,
		"name: x\nsha256: " + strings.ToUpper(hex) + "\nsize: 1\n":                            0,
	} {
		if got := Blobs([]byte(doc)); len(got) != want || want == 1 && got[0][0] != 0x0a {
			t.Errorf("%q: %x", doc, got)
		}
	}
}

func FuzzBlobs(f *testing.F) {
	f.Add([]byte("name: x\nsha256: " + strings.Repeat("0a", 32) + "\nsize: 1\n"))
	f.Add([]byte("name: &a x\nsha256: *a\nsize: 1\n"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		for _, sum := range Blobs(doc) {
			if !bytes.Contains(doc, []byte("size")) || !bytes.Contains(doc, hex.AppendEncode(nil, sum[:])) && !bytes.ContainsAny(doc, "*\\\n") {
				t.Errorf("%q names %x", doc, sum)
			}
		}
	})
}
