package strictyaml

import (
	"bytes"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

var values = cmpopts.EquateComparable(netip.AddrPort{}, netip.Prefix{}, netip.Addr{})

// written has a field of every kind that is written.
type written struct {
	ID      string            `yaml:"id" required:"true" key:"true"`
	Text    string            `yaml:"text"`
	Flag    bool              `yaml:"flag"`
	Signed  int               `yaml:"signed" min:"-9"`
	Wait    time.Duration     `yaml:"wait"`
	Size    Bytes             `yaml:"size"`
	Mode    mode              `yaml:"mode"`
	At      time.Time         `yaml:"at"`
	Addr    netip.Addr        `yaml:"addr"`
	Port    netip.AddrPort    `yaml:"port" port:"53"`
	Allow   []netip.Prefix    `yaml:"allow"`
	Servers []netip.AddrPort  `yaml:"servers" port:"53"`
	Texts   []string          `yaml:"texts"`
	Maybe   *int              `yaml:"maybe"`
	Zones   []zone            `yaml:"zones"`
	Deep    deep              `yaml:"deep"`
	Labels  map[string]string `yaml:"labels"`
	Content *Text             `yaml:"content"`
}

func TestEncode(t *testing.T) {
	zero, content := 0, Text("a\n\n b\n")
	w := written{ID: "x", Text: "no", Flag: true, Signed: -3, Wait: 90 * time.Minute, Size: 64 << 10, Mode: 2,
		At: time.Date(2026, 1, 31, 12, 0, 0, 5e8, time.FixedZone("", 3600)), Addr: netip.MustParseAddr("2001:db8::1"), Port: netip.MustParseAddrPort("192.0.2.1:53"),
		Allow: []netip.Prefix{}, Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:53"), netip.MustParseAddrPort("[::1]:53"), netip.MustParseAddrPort("[::1]:54")},
		Texts: []string{"plain", "", strings.Repeat("long", 20)}, Maybe: &zero,
		Zones: []zone{{"a", nil}, {"b", []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:53")}}}, Deep: deep{time.Second},
		Labels: map[string]string{"site": "lis", "1": "2 3"}, Content: &content}
	want := `text: "no"
flag: true
signed: -3
wait: 1h30m
size: 64KiB
mode: off
at: 2026-01-31T11:00:00.5Z
addr: "2001:db8::1"
port: 192.0.2.1
allow: []
servers: [192.0.2.1, "::1", "[::1]:54"]
texts:
  - plain
  - ""
  - longlonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglong
maybe: 0
zones:
  - name: a
    servers: []
  - name: b
    servers: [192.0.2.1]
deep:
  max_ttl: 1s
labels:
  "1": "2 3"
  site: lis
content: |
  a

   b
`
	w.Zones[0].Servers = []netip.AddrPort{}
	if d := cmp.Diff(want, string(EncodeEntry(w))); d != "" {
		t.Error(d)
	}
	if got := string(Encode(w, "")); got != "id: x\n"+want {
		t.Error(got)
	}
	for _, c := range []struct {
		v    any
		tag  reflect.StructTag
		want string
	}{
		{24 * time.Hour, "", "24h"}, {Bytes(0), "", "0"}, {true, "", "true"}, {"", "", `""`}, {"none", "", "none"}, {deep{}, "", "{}"},
		{[]netip.Prefix{}, "", "[]"}, {map[string]string{}, "", "{}"}, {netip.AddrPort{}, "", `""`}, {[]zone{}, "", "[]"},
		{netip.MustParseAddrPort("192.0.2.1:53"), "", `"192.0.2.1:53"`}, {netip.MustParsePrefix("192.0.2.0/24"), "", "192.0.2.0/24"},
		{Text("no end"), "", "|-\n  no end"}, {Text("a\n\n"), "", "|+\n  a\n"}, {Text(" a\n"), "", `" a\n"`}, {Text("a\r\n\x1b\u0085"), "", `"a\r\n\u001b\u0085"`},
	} {
		if got := string(Encode(c.v, c.tag)); got != c.want+"\n" {
			t.Errorf("%#v is %q, want %q", c.v, got, c.want)
		}
	}
}

// What is text for people is plain, and nothing that a reader of YAML 1.1 or 1.2 takes for something else.
func TestQuote(t *testing.T) {
	for _, s := range []string{"none", "root.hints", "/etc/root.hints", "192.0.2.1", "192.0.2.0/24", "corp.example", "_x", "a-b", "0/25.x"} {
		if got := quote(s); got != s {
			t.Errorf("%s is written %s", s, got)
		}
	}
	for _, s := range []string{"", "5", "1e3", "0x1F", "0o17", "1.5", "1_000", "2026-01-31", "12:30:45", ".", "..", ".inf", ".5", "-", "-1", "~", "<<", "=", "true", "False", "Yes", "no", "on", "N", "Inf", "OFF", "y", "NULL",
		"nan", "a b", "a: b", "a #b", "[a]", "::1", "*a", "&a", "!a", "|", "%a", "@a", "`a", "'", `"`, "\\", "é", "---", "...", "a\u0085b"} {
		if got := quote(s); got == s {
			t.Errorf("%s is written without quotes", s)
		}
	}
}

// readBack decodes what was encoded; equal values must have come of it, and the same octets of them.
func readBack[T any](t interface{ Fatalf(string, ...any) }, v T, tag reflect.StructTag, entry bool) {
	var b []byte
	var back T
	var err error
	if entry {
		b = EncodeEntry(v)
		_, err = DecodeEntry("doc", b, &back)
	} else {
		b = Encode(v, tag)
		_, err = DecodeValue("doc", b, &back, tag)
	}
	if err != nil {
		t.Fatalf("%#v\n%s%v", v, b, err)
	}
	if d := cmp.Diff(v, back, values); d != "" {
		t.Fatalf("%s%s", b, d)
	}
	again := Encode(back, tag)
	if entry {
		again = EncodeEntry(back)
	}
	if !bytes.Equal(b, again) {
		t.Fatalf("%s\n%s", b, again)
	}
}

func TestEncodeReadsBack(t *testing.T) {
	text := rapid.StringOf(rapid.OneOf(rapid.Rune(), rapid.RuneFrom([]rune("abc019.:/-_ #'\"\\[]{},&*!|>%@`~<=?")))).Filter(func(s string) bool {
		return !strings.ContainsFunc(s, unicode.IsControl) && !strings.ContainsRune(s, '\uFEFF')
	})
	addr := rapid.Custom(func(t *rapid.T) netip.Addr {
		if rapid.Bool().Draw(t, "v4") {
			return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "a")))
		}
		return netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "a")))
	}).Filter(func(a netip.Addr) bool { return !a.Is4In6() })
	port := rapid.Custom(func(t *rapid.T) netip.AddrPort {
		return netip.AddrPortFrom(addr.Draw(t, "addr"), rapid.SampledFrom([]uint16{53, 1, 5300, 65535}).Draw(t, "port"))
	})
	prefix := rapid.Custom(func(t *rapid.T) netip.Prefix {
		a := addr.Draw(t, "addr")
		return netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits")).Masked()
	}).Filter(func(p netip.Prefix) bool { return !p.Addr().Is4In6() })
	at := rapid.Custom(func(t *rapid.T) time.Time {
		return time.Unix(rapid.Int64Range(-62167219200, 253402300799).Draw(t, "s"), rapid.Int64Range(0, 1e9-1).Draw(t, "ns")).UTC()
	})
	list := func(t *rapid.T, name string) []netip.AddrPort { return rapid.SliceOfN(port, 1, 9).Draw(t, name) }
	maybe := func(t *rapid.T, name string) bool { return rapid.Bool().Draw(t, name) }
	rapid.Check(t, func(t *rapid.T) {
		w := written{Flag: maybe(t, "flag"), Mode: mode(rapid.IntRange(0, 2).Draw(t, "mode")), Text: text.Draw(t, "text"),
			Signed: rapid.IntMin(-9).Draw(t, "signed"), Wait: time.Duration(rapid.Int64Min(0).Draw(t, "wait")), Size: Bytes(rapid.Int64Min(0).Draw(t, "size"))}
		if maybe(t, "addresses") {
			w.At, w.Addr, w.Port, w.Servers = at.Draw(t, "at"), addr.Draw(t, "addr"), port.Draw(t, "port"), list(t, "servers")
			w.Allow = rapid.SliceOfN(prefix, 0, 9).Draw(t, "allow")
		}
		if maybe(t, "lists") {
			n := rapid.Int().Draw(t, "n")
			n = max(n, 0)
			w.Maybe, w.Texts, w.Labels = &n, rapid.SliceOf(text).Draw(t, "texts"), rapid.MapOf(text, text).Draw(t, "labels")
			w.Zones = append(w.Zones, zone{text.Draw(t, "zone"), list(t, "of zone")})
			w.Deep.MaxTTL = time.Duration(rapid.Int64Range(0, 1e15).Draw(t, "deep"))
		}
		if maybe(t, "content") {
			c := Text(rapid.StringOf(rapid.OneOf(rapid.Rune(), rapid.RuneFrom([]rune("a \t\n\r#-:|")))).Draw(t, "text"))
			w.Content = &c
			readBack(t, c, "", false)
		}
		readBack(t, w, "", true)
		readBack(t, w.Wait, "", false)
		readBack(t, w.Text, "", false)
		if w.Texts != nil {
			readBack(t, w.Texts, "", false)
			readBack(t, w.Labels, "", false)
		}
	})
}

// Text of several lines comes back as it was, whatever is in it.
func FuzzEncodeText(f *testing.F) {
	for _, s := range []string{"", "\n", "a", "a\n", "a\n\n\n", " a", "a\n \nb\n", "a\tb\n\tc", "\ta", "---\na", "a: b\n# c", "a\r\nb", "\u2028", "\ufeffa", "a\x00", "a\n  ", "日本\n", "%a\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			return
		}
		readBack(t, Text(s), "", false)
		readBack(t, []Text{Text(s), Text(s)}, "", false)
		if !strings.ContainsFunc(s, unicode.IsControl) {
			readBack(t, s, "", false)
			readBack(t, []string{s}, "", false)
		}
	})
}

func TestDecodeEntry(t *testing.T) {
	type zone struct {
		Name    string           `yaml:"name" required:"true" key:"true"`
		Servers []netip.AddrPort `yaml:"servers" required:"true" items:"1" port:"53"`
	}
	for _, c := range []struct{ text, want string }{
		{"name: a\nservers: [192.0.2.1]", "doc:1:1: name: the name of an entry is not in its document\n\thint: remove it"},
		{"", "doc:1:1: servers: key is missing\n\thint: add servers: ..."},
		{"{}", "doc:1:1: servers: key is missing\n\thint: add servers: ..."},
		{"&a {}", "doc:1:1: anchors (&a) are not allowed\n\thint: write the value out where it is needed"},
		{"[", "doc:2:1: not YAML: the text ends where a value or a closing bracket is missing\n\thint: write what is missing, or take out the bracket that begins it"},
		{"a", "doc:1:1: is the text \"a\", not a section with keys\n\thint: write keys below it, such as servers: ..."},
	} {
		z := zone{Name: "kept"}
		_, err := DecodeEntry("doc", []byte(c.text), &z)
		if err == nil || err.Error() != c.want {
			t.Errorf("%q: %v\nwant %s", c.text, err, c.want)
		}
	}
	z := zone{Name: "kept"}
	if _, err := DecodeEntry("doc", []byte("servers: [192.0.2.1]"), &z); err != nil || z.Name != "kept" || len(z.Servers) != 1 {
		t.Errorf("%v %v", z, err)
	}
	var d time.Duration
	if _, err := DecodeValue("doc", []byte("# nothing"), &d, ""); err == nil || err.Error() != "doc: has no value\n\thint: write a duration such as 10s" {
		t.Error(err)
	}
}

func TestTexts(t *testing.T) {
	var into struct {
		M map[string]string `yaml:"m"`
	}
	for _, c := range []struct{ text, want string }{
		{"m: {a: 1}", "m.a: is a number"}, {"m: {1: a}", "a key is a number, not text"}, {"m: [a]", "is a list, not a section"}, {"m: {a: b, a: c}", "key is given twice"},
		{"m: {<<: {a: b}}", "merge keys"}, {"m: {&x a: b}", "anchors (&x)"}, {"m: {a: [b]}", "m.a: is a list, not text"}, {"m: x", "is the text \"x\", not a section"},
		{"m: {? [a] : b}", "a key is a list, not text"},
	} {
		if _, err := Decode("f", []byte(c.text), &into); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.text, err, c.want)
		}
	}
	if _, err := Decode("f", []byte("m: {b: c, a: ''}"), &into); err != nil || !reflect.DeepEqual(into.M, map[string]string{"a": "", "b": "c"}) {
		t.Errorf("%v %v", into, err)
	}
	if k := Describe(&into)[0]; k.Type != "texts by name" || k.Default != `{a: "", b: c}` {
		t.Errorf("%+v", k)
	}
}
