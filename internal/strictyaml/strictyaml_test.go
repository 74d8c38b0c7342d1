package strictyaml

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what Decode says into testdata")

// sample has a field of every kind that a file may hold.
type sample struct {
	Text     string         `yaml:"text"`
	Flag     bool           `yaml:"flag"`
	Count    int            `yaml:"count" min:"1" max:"100"`
	Small    uint8          `yaml:"small"`
	Signed   int            `yaml:"signed" min:"-5"`
	Wait     time.Duration  `yaml:"wait" min:"10ms" max:"1h"`
	Size     Bytes          `yaml:"size" min:"1KiB"`
	Mode     mode           `yaml:"qname_mode"`
	At       time.Time      `yaml:"at"`
	Addr     netip.Addr     `yaml:"addr"`
	Admin    netip.AddrPort `yaml:"admin" none:"true"`
	Allow    []netip.Prefix `yaml:"allow"`
	Never    []netip.Prefix `yaml:"never"`
	Maybe    *int           `yaml:"maybe"`
	Zones    []zone         `yaml:"zones"`
	Labels   []label        `yaml:"labels"`
	Deep     deep           `yaml:"deep"`
	Optional *deep          `yaml:"optional"`
	Soon     []struct{}     `yaml:"soon" later:"remove it, or leave the list empty"`
	Ignored  int            `yaml:"-"`
}

type zone struct {
	Name    string           `yaml:"name" required:"true"`
	Servers []netip.AddrPort `yaml:"servers" required:"true" items:"1" port:"53"`
}

type deep struct {
	MaxTTL time.Duration `yaml:"max_ttl"`
}

type mode int

func (m mode) Values() []string { return []string{"relaxed", "strict", "off"} }

func (m mode) String() string { return m.Values()[m] }

func (m *mode) UnmarshalText(b []byte) error {
	for i, s := range m.Values() {
		if s == string(b) {
			*m = mode(i)
		}
	}
	return nil
}

// label is written as text, or as a section when there is more to say.
type label struct {
	Name  string    `yaml:"name" required:"true"`
	Until time.Time `yaml:"until"`
}

func (l *label) UnmarshalText(b []byte) error {
	if len(b) > 8 {
		return fmt.Errorf("parsing label %q: longer than 8 octets", b)
	}
	l.Name = string(b)
	return nil
}

func defaults() sample {
	three := 3
	return sample{Text: "t", Count: 7, Wait: 1800 * time.Millisecond, Size: 256 << 20, Maybe: &three,
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Deep: deep{24 * time.Hour}}
}

func TestDecode(t *testing.T) {
	s := defaults()
	doc, err := Decode("f.yaml", []byte(`
text: "5"
flag: true
count: 100
small: 255
signed: -5
wait: 10ms
size: 64KiB
qname_mode: off
at: 2026-01-31T12:00:00+01:00
addr: ::1
admin: ""
never: []
maybe: 4
zones:
  - { name: a, servers: [192.0.2.1, "192.0.2.1:5300", "2001:db8::1", "[2001:db8::2]", "[2001:db8::1]:5300"] }
labels: [one, { name: two, until: 2026-01-31T12:00:00Z }]
deep:
  # max_ttl: 5s
optional: { max_ttl: 0 }
soon: []
`), &s)
	if err != nil {
		t.Fatal(err)
	}
	four := 4
	ap := netip.MustParseAddrPort
	want := sample{Text: "5", Flag: true, Count: 100, Small: 255, Signed: -5, Wait: 10 * time.Millisecond, Size: 64 << 10, Mode: 2,
		At: time.Date(2026, 1, 31, 11, 0, 0, 0, time.UTC), Addr: netip.IPv6Loopback(), Maybe: &four,
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Never: []netip.Prefix{},
		Zones: []zone{{"a", []netip.AddrPort{ap("192.0.2.1:53"), ap("192.0.2.1:5300"), ap("[2001:db8::1]:53"), ap("[2001:db8::2]:53"),
			ap("[2001:db8::1]:5300")}}},
		Labels: []label{{Name: "one"}, {"two", time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)}},
		Deep:   deep{24 * time.Hour}, Optional: &deep{}}
	opts := cmp.Options{cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })}
	if d := cmp.Diff(want, s, opts); d != "" {
		t.Error(d)
	}

	// Errors found later are told with their place; what the file does not hold, with that of the nearest section above.
	var late Errors
	late.Addf("zones[0].servers[1]", "", "unreachable")
	late.Addf("deep.max_ttl", "lower it", "too long: %w", fs.ErrInvalid)
	late.Addf("wait", "", "too short")
	late.Addf("text2", "", "not in the file")
	err = doc.Locate("", &late)
	wantText := `f.yaml:7:7: wait: too short
f.yaml:16:37: zones[0].servers[1]: unreachable
f.yaml:18:6: deep.max_ttl: too long: invalid argument
	hint: lower it
f.yaml: text2: not in the file`
	if d := cmp.Diff(wantText, err.Error()); d != "" {
		t.Error(d)
	}
	if !errors.Is(err, fs.ErrInvalid) {
		t.Error("the cause is lost")
	}
	if err := doc.Locate("deep", errors.New("odd")); err.Error() != "f.yaml:18:6: deep: odd" {
		t.Error(err)
	}
	if doc.Locate("deep", nil) != nil {
		t.Error("nothing became an error")
	}
}

func TestEmptyFileKeepsDefaults(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "---\n", "{}\n"} {
		s := defaults()
		if _, err := Decode("f.yaml", []byte(text), &s); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if s.Count != 7 || s.Never != nil || len(s.Allow) != 1 {
			t.Errorf("%q: %+v", text, s)
		}
	}
}

// Each file of testdata is YAML that is wrong, a line of dashes and dots, and what Decode says.
func TestErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			const line = "\n-.-.-.-\n"
			in, want, ok := strings.Cut(string(b), line)
			in = strings.TrimSuffix(in, "\n")
			if !ok && !*update {
				t.Fatalf("no line %q", line)
			}
			s := defaults()
			_, got := Decode("f.yaml", []byte(in+"\n"), &s)
			if got == nil {
				t.Fatal("no error")
			}
			if *update {
				if err := os.WriteFile(file, []byte(in+line+got.Error()+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(strings.TrimSuffix(want, "\n"), got.Error()); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	list := func(n int) string { return "allow: [" + strings.Repeat("1,", n) + "]" }
	for _, c := range []struct{ name, text, want string }{
		{"size", "text: " + strings.Repeat("x", MaxSize), fmt.Sprintf("f.yaml: file has %d octets, more than %d", MaxSize+6, MaxSize)},
		{"nodes", list(MaxNodes), "f.yaml: file has more than 500000 keys and values"},
		{"depth", "text: " + strings.Repeat("[", MaxDepth+1), "f.yaml:1:39: not YAML: sections and lists lie in one another more than 32 deep\n\thint: no setting is so deep: look at the brackets"},
		{"invalid", "text: \xff", "f.yaml:1:7: not YAML: an octet here is no UTF-8 text, or a control character\n\thint: write the file as UTF-8, without it"},
	} {
		s := defaults()
		if _, err := Decode("f.yaml", []byte(c.text), &s); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	var s sample
	_, err := Decode("f.yaml", []byte(list(MaxErrors+5)), &s)
	var all *Errors
	if !errors.As(err, &all) || len(all.List) != MaxErrors || all.More != 5 || !strings.HasSuffix(err.Error(), "\nand 5 more") {
		t.Errorf("%v", err)
	}
}

func TestBytes(t *testing.T) {
	for s, want := range map[string]Bytes{"0": 0, "0B": 0, "1232B": 1232, "64KiB": 64 << 10, "3MiB": 3 << 20, "1TiB": 1 << 40} {
		got, err := ParseBytes(s)
		if err != nil || got != want {
			t.Errorf("%s: %d, %v", s, got, err)
		}
		if s != "0B" && got.String() != s {
			t.Errorf("%s is shown as %v", s, got)
		}
	}
	for _, s := range []string{"", "B", "-1B", "1.5MiB", "01KiB", "99999999TiB", "99999999999999999999B", "1kib", "1 MiB", "12"} {
		if got, err := ParseBytes(s); err == nil {
			t.Errorf("%q became %v", s, got)
		}
	}
}

func TestFormatDuration(t *testing.T) {
	for want, d := range map[string]time.Duration{"24h": 24 * time.Hour, "1h30m": 90 * time.Minute, "1.8s": 1800 * time.Millisecond, "0s": 0,
		"1h0m5s": time.Hour + 5*time.Second, "10m": 10 * time.Minute} {
		if got := FormatDuration(d); got != want {
			t.Errorf("%s: %s", want, got)
		}
	}
}

func TestDescribe(t *testing.T) {
	s := defaults()
	var got strings.Builder
	for _, k := range Describe(&s) {
		fmt.Fprintf(&got, "%s | %s | %s | %s..%s | %v\n", k.Path, k.Type, k.Default, k.Min, k.Max, k.Required)
	}
	want := `text | text | t | .. | false
flag | bool | false | .. | false
count | number | 7 | 1..100 | false
small | number | 0 | .. | false
signed | number | 0 | -5.. | false
wait | duration | 1.8s | 10ms..1h | false
size | size | 256MiB | 1KiB.. | false
qname_mode | one of relaxed, strict, off | relaxed | .. | false
at | time |  | .. | false
addr | address | invalid IP | .. | false
admin | address and port | "" | .. | false
allow | list of prefixes | [127.0.0.0/8] | .. | false
never | list of prefixes |  | .. | false
maybe | number | 3 | .. | false
zones | list of sections |  | .. | false
zones[].name | text |  | .. | true
zones[].servers | list of addresses and ports |  | .. | true
labels | list of texts or sections |  | .. | false
labels[].name | text |  | .. | true
labels[].until | time |  | .. | false
deep | section |  | .. | false
deep.max_ttl | duration | 24h | .. | false
optional | section |  | .. | false
optional.max_ttl | duration |  | .. | false
soon | list of sections |  | .. | false
`
	if d := cmp.Diff(want, got.String()); d != "" {
		t.Error(d)
	}
}

func TestNearest(t *testing.T) {
	known := []string{"qname_minimisation", "ipv4", "ipv6", "root_hints", "stale"}
	for in, want := range map[string]string{
		"qname-minimization": "qname_minimisation", "IPv6": "ipv6", "roothints": "root_hints", "stael": "stale", "zone": "", "": "",
		strings.Repeat("x", 5000): "",
	} {
		if got := nearest(in, known); got != want {
			t.Errorf("%.20q: %q, want %q", in, got, want)
		}
	}
}

// Whatever the octets, Decode ends without a panic; every error says why and has a place within the file or none; and what
// it accepts has kept all the bounds.
func FuzzDecode(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txt")
	for _, file := range files {
		if b, err := os.ReadFile(file); err == nil {
			text, _, _ := bytes.Cut(b, []byte("\n-.-.-.-\n"))
			f.Add(text)
		}
	}
	f.Add([]byte("text: x\nzones: [{name: a, servers: [\"[::1]:53\"]}]\nlabels: [{name: b, until: 2026-01-31T12:00:00Z}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := defaults()
		_, err := Decode("f.yaml", data, &s)
		if err == nil {
			if s.Count < 1 || s.Count > 100 || s.Wait < 10*time.Millisecond || s.Wait > time.Hour || s.Size < 1<<10 || s.Signed < -5 {
				t.Fatalf("out of bounds: %+v", s)
			}
			for _, z := range s.Zones {
				if len(z.Servers) == 0 {
					t.Fatalf("zone without servers: %+v", z)
				}
			}
			return
		}
		var all *Errors
		if !errors.As(err, &all) || len(all.List) == 0 || len(all.List) > MaxErrors {
			t.Fatalf("%T %v", err, err)
		}
		lines := bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte("\r")) + bytes.Count(data, []byte("\u0085")) +
			bytes.Count(data, []byte("\u2028")) + bytes.Count(data, []byte("\u2029")) + 2
		for _, e := range all.List {
			if e.Err.Error() == "" || e.Line < 0 || e.Line > lines && !bytes.ContainsRune(data, 0) {
				t.Fatalf("%#v: %v", e, e)
			}
		}
	})
}
