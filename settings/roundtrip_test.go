package settings

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/internal/namedfile"
	"github.com/ananas-edge/ananas/internal/strictyaml"
	"github.com/ananas-edge/ananas/nameserver"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/nameserver/recurse"
	"github.com/ananas-edge/ananas/rollout"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// writer writes files of settings, each value in one of the ways that it can be written.
type writer struct {
	t     *rapid.T
	b     strings.Builder
	files map[string][]byte
}

func (w *writer) flip(what string) bool { return rapid.Bool().Draw(w.t, what) }

// section writes some of the keys of v, which holds defaults.
func (w *writer) section(v reflect.Value, indent, path string) {
	for _, f := range strictyaml.Fields(v) {
		p := path + "." + f.Key
		if _, later := f.Tag.Lookup("later"); later || !w.flip(p) {
			continue
		}
		t := f.Value.Type()
		if (strings.HasPrefix(t.String(), "[]plugin.") || t == reflect.TypeFor[[]nameserver.View]()) && rapid.IntRange(0, 7).Draw(w.t, p+" at all") > 0 {
			continue // what they name is no module, or no group, so that such a file does not compile
		}
		fmt.Fprintf(&w.b, "%s%s:", indent, f.Key)
		switch {
		case t.Kind() == reflect.Struct && strictyaml.IsSection(t):
			w.b.WriteByte('\n')
			w.section(f.Value, indent+"  ", p)
		case t.Kind() == reflect.Slice && strictyaml.IsSection(t.Elem()) && t.Elem().Kind() == reflect.Struct && (hasName(t.Elem()) || t == reflect.TypeFor[[]plugin.Plugin]() || t == reflect.TypeFor[[]nameserver.View]()):
			w.list(t.Elem(), indent+"  ", p)
		case t.Kind() == reflect.Slice:
			var list []string
			least, _ := strconv.Atoi(f.Tag.Get("items"))
			for i := range rapid.IntRange(least, 9).Draw(w.t, p) {
				list = append(list, w.scalar(t.Elem(), f.Tag, fmt.Sprint(p, i)))
			}
			fmt.Fprintf(&w.b, " [%s]\n", strings.Join(list, ", "))
		case isFile(f.Tag):
			fmt.Fprintf(&w.b, " %s\n", w.file(f, p))
		default:
			fmt.Fprintf(&w.b, " %s\n", w.scalar(t, f.Tag, p))
		}
	}
}

// name writes a name of a few that are there, so that some are there twice, or of any octets.
func (w *writer) name(p string) string {
	if w.flip(p + " any") {
		n := dns.Root
		for i := range rapid.IntRange(1, 3).Draw(w.t, p) {
			n, _ = n.Child(string(rapid.SliceOfN(rapid.Byte(), 1, 9).Draw(w.t, fmt.Sprint(p, i))))
		}
		return strconv.Quote(n.String())
	}
	return rapid.SampledFrom([]string{"a.example", "A.example.", "b.Example", `"."`, "0/25.2.0.192.in-addr.arpa", `"100%"`, `"~x"`, `'a\.'`}).Draw(w.t, p)
}

func (w *writer) list(entry reflect.Type, indent, p string) {
	n := rapid.IntRange(0, 4).Draw(w.t, p)
	if n == 0 {
		w.b.WriteString(" []\n")
		return
	}
	w.b.WriteByte('\n')
	for i := range n {
		p := fmt.Sprint(p, i)
		switch entry {
		case reflect.TypeFor[plugin.Module](), reflect.TypeFor[plugin.Data]():
			fmt.Fprintf(&w.b, "%s- name: %s\n", indent, rapid.SampledFrom([]string{"family", "a-b", `"7"`}).Draw(w.t, p))
		case reflect.TypeFor[plugin.Plugin]():
			fmt.Fprintf(&w.b, "%s- module: %s\n%s  phase: answer\n", indent, rapid.SampledFrom([]string{"family", "a-b", `"7"`}).Draw(w.t, p), indent)
		case reflect.TypeFor[recurse.Group]():
			fmt.Fprintf(&w.b, "%s- name: %s\n", indent, rapid.SampledFrom([]string{"filtered", "a-b", `"7"`}).Draw(w.t, p))
		case reflect.TypeFor[nameserver.Tenant]():
			fmt.Fprintf(&w.b, "%s- tag: %s\n", indent, rapid.SampledFrom([]string{"office", "a-b", `"7"`}).Draw(w.t, p))
		case reflect.TypeFor[nameserver.View]():
			fmt.Fprintf(&w.b, "%s- tags: [office, \"7\"]\n%s  group: filtered\n", indent, indent)
		default:
			fmt.Fprintf(&w.b, "%s- zone: %s\n", indent, w.name(p))
		}
		for _, f := range strictyaml.Fields(reflect.New(entry).Elem()) {
			switch f.Key {
			case "servers":
				fmt.Fprintf(&w.b, "%s  servers: [%s, 203.0.113.1]\n", indent, w.scalar(f.Value.Type().Elem(), f.Tag, p))
			case "kind":
				fmt.Fprintf(&w.b, "%s  kind: %s\n", indent, w.scalar(f.Value.Type(), f.Tag, p))
			case "clients":
				fmt.Fprintf(&w.b, "%s  clients: [10.%d.0.0/16]\n", indent, rapid.IntRange(0, 255).Draw(w.t, p+" clients"))
			case "file":
				fmt.Fprintf(&w.b, "%s  file: %s\n", indent, w.file(f, p))
			case "format":
				fmt.Fprintf(&w.b, "%s  format: %s\n", indent, w.scalar(f.Value.Type(), f.Tag, p))
			case "limits":
				fmt.Fprintf(&w.b, "%s  limits: { fuel: %d }\n", indent, rapid.IntRange(0, 1e6).Draw(w.t, p))
			case "settings":
				fmt.Fprintf(&w.b, "%s  settings: { list: %s }\n", indent, w.name(p))
			case "grant":
				fmt.Fprintf(&w.b, "%s  grant: [client]\n", indent)
			case "mode":
				fmt.Fprintf(&w.b, "%s  mode: %s\n", indent, w.scalar(f.Value.Type(), f.Tag, p))
			case "until":
				if w.flip(p) {
					fmt.Fprintf(&w.b, "%s  until: %s\n", indent, w.scalar(f.Value.Type(), f.Tag, p))
				}
			}
		}
	}
}

// file writes the name of a file, which it makes.
func (w *writer) file(f strictyaml.Field, p string) string {
	content, right := []byte(nil), "text of "+f.Key
	switch f.Key {
	case "root_hints":
		content = []byte(". NS a.root.\na.root. A 192.0.2.1\n")
	case "trust_anchors":
		content = []byte(". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n")
	}
	switch rapid.IntRange(0, 4).Draw(w.t, p) {
	case 0:
		return `""`
	case 1:
		if word := f.Tag.Get("word"); word != "" {
			return word
		}
	case 2:
		content = append(content, bytes.Repeat([]byte("; long\n"), maxInline/8+rapid.IntRange(0, maxInline/8).Draw(w.t, p))...)
	case 3:
		content = append([]byte("; \xff\x00\n"), content...)
	}
	w.files[right] = content
	return right
}

// scalar writes a value of a type.
func (w *writer) scalar(t reflect.Type, tag reflect.StructTag, p string) string {
	in := func(lo, hi int64, parse func(string) (int64, error)) int64 {
		if s, ok := tag.Lookup("min"); ok {
			lo, _ = parse(s)
		}
		if s, ok := tag.Lookup("max"); ok {
			hi, _ = parse(s)
		}
		return rapid.Int64Range(lo, hi).Draw(w.t, p)
	}
	pick := func(s ...string) string { return rapid.SampledFrom(s).Draw(w.t, p) }
	if values, ok := reflect.New(t).Interface().(interface{ Values() []string }); ok {
		return pick(values.Values()...)
	}
	switch reflect.New(t).Interface().(type) {
	case *bool:
		return pick("true", "false")
	case *rollout.Share:
		return pick("0%", "0.25%", "1.50%", "50%")
	case *rollout.Wave:
		return pick("10%", "0.5%", "all")
	case *time.Duration:
		d := time.Duration(in(0, int64(28*24*time.Hour), func(s string) (int64, error) { d, err := time.ParseDuration(s); return int64(d), err }))
		return pick(d.String(), fmt.Sprintf("%dns", d.Nanoseconds()), d.Truncate(time.Minute).String(), fmt.Sprintf("%dm", int(d.Minutes())))
	case *strictyaml.Bytes:
		b := in(0, 1<<40, func(s string) (int64, error) { b, err := strictyaml.ParseBytes(s); return int64(b), err })
		return pick(fmt.Sprintf("%dB", b), fmt.Sprintf("%dKiB", b>>10))
	case *time.Time:
		return pick("2027-01-01T00:00:00Z", "2027-01-01T01:00:00+01:00", "2027-01-01T00:00:00.25-00:30", "9999-12-31T23:59:59-10:00", "0001-01-01T00:00:00Z")
	case *netip.Prefix:
		return pick("192.0.2.0/24", `"2001:db8::/32"`, `"2001:0DB8::/32"`, "127.0.0.0/8", "0.0.0.0/0", `"::/0"`)
	case *netip.AddrPort:
		return pick("192.0.2.1", `"192.0.2.1:53"`, `"192.0.2.1:5300"`, `"2001:db8::1"`, `"[2001:0DB8::1]"`, `"[2001:db8::1]:53"`, `"[fe80::1%eth0]:53"`)
	}
	return strconv.FormatInt(in(0, 1<<31, func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) }), 10)
}

// Whatever a file says, the keys that it is taken apart into say the same.
func TestEverythingRoundTrips(t *testing.T) {
	compiled, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := &writer{t: t, files: make(map[string][]byte)}
		w.b.WriteString("settings:\n")
		w.section(reflect.ValueOf(Default().Settings).Elem(), "  ", "")
		f, err := ParseApply("f.yaml", []byte(w.b.String()), namedfile.All(w.files))
		if err != nil {
			if strings.Contains(err.Error(), "out of bounds") { // truncated below the least
				t.Skip()
			}
			t.Fatalf("%s\n%v", w.b.String(), err)
		}
		e, err := f.Entries()
		if err != nil {
			if !strings.Contains(err.Error(), "is there twice") {
				t.Fatal(err)
			}
			refused++
			return
		}
		roundTrip(t, f)
		if _, err := f.Compile(f.Node.Listen.DNS); err == nil {
			compiled++
		}

		// Against whatever was live, each section that is named becomes that of the file, and the others stay.
		live := make(map[string][]byte)
		for _, key := range rapid.SliceOf(rapid.SampledFrom([]string{"cache/max_ttl", "cache/gone", "forward/a.example", "forward/z", "limits/queries", "other/x", "~x"})).Draw(t, "live") {
			live[key] = []byte("24h\n")
		}
		after := Apply(live, e.Against(live))
		for _, key := range slices.Concat(keysOf(after), keysOf(e.Docs), keysOf(live)) {
			section, _, _ := strings.Cut(key, "/")
			want := live[key]
			if slices.Contains(e.Sections, section) {
				want = e.Docs[key]
			}
			if !bytes.Equal(after[key], want) {
				t.Errorf("%s is %q, want %q", key, after[key], want)
			}
		}
	})
	if compiled < 5 || refused < 1 {
		t.Errorf("%d files compiled, %d were refused", compiled, refused)
	}
}

func keysOf(m map[string][]byte) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	return out
}

// Whatever is in a store, putting it together ends without a panic, in an error that names the key or in a file; and taking that apart and putting it
// together again changes nothing more.
func FuzzAssemble(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.good.yaml")
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		parsed, err := ParseApply(name, data, namedfile.All(map[string][]byte{"lab.hints": []byte("x"), "lab.anchors": nil, "root.zone": []byte("\xff")}))
		if err != nil {
			f.Fatal(err)
		}
		e, err := parsed.Entries()
		if err != nil {
			f.Fatal(err)
		}
		for _, key := range keysOf(e.Docs) {
			f.Add(key, string(e.Docs[key]), "forward/a%2Fb", "servers: [192.0.2.1]")
		}
	}
	f.Add("recursion/negative_trust_anchors/a", "until: 2027-01-01T00:00:00Z", "recursion/root_hints", "name: a\ncontent: |\n  . NS b.\n")
	f.Fuzz(func(t *testing.T, key1, doc1, key2, doc2 string) {
		blob := func(sum [32]byte) (*namedfile.File, error) { return namedfile.Of(sum[:]), nil }
		a, err := Assemble(Default().Node, map[string][]byte{key1: []byte(doc1), key2: []byte(doc2)}, blob)
		if err == nil {
			_, errCompile := a.Compile(a.Node.Listen.DNS)
			checkKeyed(t, errCompile)
		}
		if err != nil {
			checkKeyed(t, err)
			return
		}
		e, err := a.Entries()
		if err != nil {
			t.Fatal(err)
		}
		b, err := Assemble(a.Node, e.Docs, func(sum [32]byte) (*namedfile.File, error) { return e.Blobs[sum], nil })
		if err != nil {
			t.Fatalf("%v\n%s", err, written(e.Docs))
		}
		again, err := b.Entries()
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(written(e.Docs), written(again.Docs)); d != "" {
			t.Fatal(d)
		}
		if d := cmp.Diff(a.Settings, b.Settings, same); d != "" {
			t.Fatal(d)
		}
		if err := WriteDifference(&bytes.Buffer{}, Compare(map[string][]byte{key1: []byte(doc1), key2: []byte(doc2)}, e.Docs), nil); err != nil {
			t.Fatal(err)
		}
	})
}

func checkKeyed(t *testing.T, err error) {
	if err == nil {
		return
	}
	for _, one := range err.(*strictyaml.Errors).List {
		if one.File == "" && one.Path != "" || one.Err.Error() == "" {
			t.Fatalf("%#v", one)
		}
	}
}
