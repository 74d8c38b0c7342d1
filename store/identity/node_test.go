package identity

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var sampleKey = strings.Repeat("ab", 32)

func TestNodeDocument(t *testing.T) {
	full := `{"joined":"2026-03-01T12:00:00.000001Z","key":"` + sampleKey + `","labels":{"site":"lis","tier":"edge"},"later":{"a":[1, 2]},` +
		`"revoked":{"by":"ada","later":1,"time":"2026-03-02T12:00:00Z","why":"<&> ç"},"role":"follower","serial":"4a","since":"2026-03-01T12:00:00Z","was":"` + strings.Repeat("cd", 32) + `"}`
	n, err := ParseNode([]byte(full))
	if err != nil {
		t.Fatal(err)
	}
	var key, was Fingerprint
	for i := range key {
		key[i], was[i] = 0xab, 0xcd
	}
	want := &Node{
		Labels: Labels{"site": "lis", "tier": "edge"}, Role: Follower, Joined: born.Add(time.Microsecond), Serial: "4a", Key: key, Since: born, Was: was,
		Revoked: &Revocation{Time: born.Add(24 * time.Hour), By: "ada", Why: "<&> ç"},
	}
	if diff := cmp.Diff(want, n, cmpopts.IgnoreUnexported(Node{}, Revocation{})); diff != "" {
		t.Error(diff)
	}
	if got := string(n.Encode()); got != strings.ReplaceAll(full, "[1, 2]", "[1,2]") {
		t.Errorf("%s\nis written as\n%s", full, got)
	}
}

func TestParseNodeRefuses(t *testing.T) {
	for doc, want := range map[string]string{
		"":                                 "it is no object in JSON",
		"null":                             "it is no object in JSON",
		"[]":                               "it is no object in JSON",
		`{"key":"` + sampleKey + `"}`:      `"" is no role`,
		`{"role":"root"}`:                  "it names no key",
		`{"role":"root","key":"ab"}`:       "a fingerprint has 64 hexadecimal digits",
		`{"role":"root","key":1}`:          "its key",
		`{"role":"root","joined":"12:00"}`: "its joined",
		`{"role":"root","joined":"0000-01-01T00:00:00+14:00"}`:                                          "its joined: the year -1",
		`{"role":"root","key":"` + sampleKey + `","labels":{"a b":"c"}}`:                                `the label "a b"`,
		`{"role":"root","key":"` + sampleKey + `","serial":"` + strings.Repeat("1", 41) + `"}`:          "serial number",
		`{"role":"root","key":"` + sampleKey + `","revoked":{"by":"` + strings.Repeat("1", 257) + `"}}`: "too long",
		`{"x":"` + strings.Repeat("1", 1<<16) + `"}`:                                                    "more than 65536",
		`{"role":"root"} {}`: "it is no object in JSON",
	} {
		if _, err := ParseNode([]byte(doc)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.100s: %v, want %q", doc, err, want)
		}
	}
}

func FuzzParseNode(f *testing.F) {
	f.Add([]byte(`{"role":"follower","key":"` + sampleKey + `","labels":{"site":"lis"},"joined":"2026-03-01T12:00:00Z","revoked":{"by":"ada"},"later":[null,{"x":1}]}`))
	f.Add([]byte(`{"role":"root","key":"` + sampleKey + `","since":"9999-12-31T23:59:59.9999999-23:00","labels":{}}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		n, err := ParseNode(doc)
		if err != nil {
			return
		}
		once := n.Encode()
		again, err := ParseNode(once)
		if err != nil {
			t.Fatalf("%q is written as %q: %v", doc, once, err)
		}
		if twice := again.Encode(); !bytes.Equal(once, twice) {
			t.Errorf("%q is written as %q, and that as %q", doc, once, twice)
		}
		if diff := cmp.Diff(n, again, cmpopts.IgnoreUnexported(Node{}, Revocation{}), cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	})
}

func FuzzParseTokenDocument(f *testing.F) {
	f.Add([]byte(`{"secret":"` + sampleKey + `","role":"root","not_after":"2026-03-01T12:00:00Z","used":{"name":"a","time":"2026-03-01T12:00:00Z"},"later":1}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		d, err := parseTokenDoc(doc)
		if err != nil {
			return
		}
		once := d.encode()
		again, err := parseTokenDoc(once)
		if err != nil || !bytes.Equal(once, again.encode()) {
			t.Errorf("%q is written as %q: %v", doc, once, err)
		}
	})
}

func TestFingerprintText(t *testing.T) {
	for text, ok := range map[string]bool{
		"": true, sampleKey: true, sampleKey[1:]: false, sampleKey + "a": false, sampleKey + "ab": false, strings.Repeat("xy", 32): false, "ab": false,
	} {
		var f Fingerprint
		if err := f.UnmarshalText([]byte(text)); (err == nil) != ok || ok && f.String() != text || !ok && f != (Fingerprint{}) {
			t.Errorf("%q: %v, %v", text, f, err)
		}
	}
}
