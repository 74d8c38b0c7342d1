package settings

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/internal/namedfile"
	"github.com/ananas-edge/ananas/internal/strictyaml"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var update = flag.Bool("update", false, "write the messages of testdata/*.bad.yaml into their .txt files")

// Each rule has a file in testdata that keeps it, *.good.yaml, or breaks it, *.bad.yaml, with the message in *.bad.txt.
func TestGoodFiles(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.good.yaml")
	if len(files) < 5 {
		t.Fatal("no files")
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			if _, err := Check(name); err != nil {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestBadFiles(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.bad.yaml")
	if len(files) < 20 {
		t.Fatalf("%d files", len(files))
	}
	t.Chdir("testdata") // so that messages name the file alone
	for _, name := range files {
		name = filepath.Base(name)
		t.Run(name, func(t *testing.T) {
			_, err := Check(name)
			if err == nil {
				t.Fatal("no error")
			}
			var all *strictyaml.Errors
			if !errors.As(err, &all) {
				t.Fatalf("%T", err)
			}
			golden := strings.TrimSuffix(name, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(err.Error()+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, readErr := os.ReadFile(golden)
			if readErr != nil {
				t.Fatal(readErr)
			}
			if d := cmp.Diff(strings.TrimSuffix(string(want), "\n"), err.Error()); d != "" {
				t.Error(d)
			}
			for _, e := range all.List {
				if e.File != name || e.Line == 0 {
					t.Errorf("no place: %v", e)
				}
			}
		})
	}
}

// comparable lets cmp look at what the types keep to themselves.
var comparable = cmp.Options{
	cmpopts.EquateComparable(netip.AddrPort{}, netip.Prefix{}, netip.Addr{}, dns.Name{}),
	cmpopts.IgnoreUnexported(File{}),
}

func TestDefault(t *testing.T) {
	f := Default()
	tables, err := f.Compile(f.Node.Listen.DNS)
	if err != nil {
		t.Fatal(err)
	}
	if !tables.Nameserver.Access.Allowed(netip.MustParseAddr("127.0.0.1")) || tables.Nameserver.Access.Allowed(netip.MustParseAddr("192.0.2.1")) {
		t.Error("the default is to answer this machine and no other")
	}
	if tables.Nameserver.Recursion.MaxTTL != 24*time.Hour || tables.Nameserver.Recursion.Stale != 24*time.Hour {
		t.Errorf("the section cache does not reach recursion: %+v", tables.Nameserver.Recursion)
	}
	empty, err := Parse("empty.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(f, empty, comparable); d != "" {
		t.Error(d)
	}
	a, b := Default(), Default()
	a.Settings.Access.Allow[0] = netip.MustParsePrefix("0.0.0.0/0")
	if b.Settings.Access.Allow[0] == a.Settings.Access.Allow[0] {
		t.Error("two defaults share memory")
	}
}

func TestParse(t *testing.T) {
	f, err := Open("testdata/full.good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Node.Listen.Admin; got.IsValid() {
		t.Errorf("admin is %v, not off", got)
	}
	if f.Node.Cache != 1<<30 || f.Node.Name != "lis01" || !f.Node.PProf || !f.Node.Testing.Active() {
		t.Errorf("%+v", f.Node)
	}
	if n := f.Settings.Recursion.NeverQuery; n == nil || len(n) != 0 {
		t.Errorf("never_query: [] became %#v", n)
	}
	if n := Default().Settings.Recursion.NeverQuery; n != nil {
		t.Errorf("without never_query it is %#v", n)
	}
	nta := f.Settings.Recursion.NegativeTrustAnchors
	if len(nta) != 2 || nta[0].Zone.String() != "broken.example." || nta[1].Until.IsZero() {
		t.Errorf("%v", nta)
	}
	if got := fmt.Sprint(f.Settings.Stub); got != "[{corp.example. [192.0.2.1:53 192.0.2.2:5300]}]" {
		t.Error(got)
	}
}

func TestPath(t *testing.T) {
	f, err := Parse("/etc/ananas/ananas.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	if f.Node.Data != "/etc/ananas/ananas-data" || f.Node.Testing.OffsetFile != "" {
		t.Errorf("data folder %q, offset file %q", f.Node.Data, f.Node.Testing.OffsetFile)
	}
	for in, want := range map[string]string{"": "", "root.hints": "/etc/ananas/root.hints", "../h": "/etc/h", "/h": "/h"} {
		if got := f.Path(in); got != want {
			t.Errorf("Path(%q) = %q, want %q", in, got, want)
		}
	}
	if got := Default().Path("./ananas-data"); got != "./ananas-data" {
		t.Error(got)
	}
}

func TestOpenMissing(t *testing.T) {
	_, err := Check("testdata/none.yaml")
	want := "reading settings: open testdata/none.yaml: no such file or directory\n\thint: name a file that is there"
	if !errors.Is(err, fs.ErrNotExist) || err.Error() != want {
		t.Error(err)
	}
}

func TestFilesAreBounded(t *testing.T) {
	name := filepath.Join(t.TempDir(), "large.yaml")
	if err := os.WriteFile(name, make([]byte, strictyaml.MaxSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(name); err == nil || !strings.Contains(err.Error(), "is too large: more than 4194304 octets\n\thint: ") {
		t.Errorf("%v", err)
	}
}

func TestListenersAreNeverAsked(t *testing.T) {
	listeners := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")}
	tables, err := Default().Compile(listeners)
	if err != nil {
		t.Fatal(err)
	}
	if !tables.Nameserver.Recursion.NeverQuery(listeners[0].Addr()) {
		t.Error("a zone can make the node ask itself")
	}
	without, err := Default().Compile(nil)
	if err != nil {
		t.Fatal(err)
	}
	if tables.Fingerprint() == without.Fingerprint() {
		t.Error("the fingerprint does not show it")
	}
}

func TestRestart(t *testing.T) {
	parse := func(text string) *File {
		f, err := Parse("f.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	old := parse("")
	next := parse(`
node: { cache: 1GiB, listen: { dns: ["127.0.0.1:53"] }, testing: { offset_file: x } }
settings:
  recursion: { ipv6: false, never_query: [], limits: { sockets: 16, jobs: 5 } }
  stub: [{ zone: a, servers: [192.0.2.1] }]
`)
	want := []string{"node.cache", "node.listen.dns", "node.testing.offset_file", "settings.recursion.limits.sockets"}
	if got := Restart(old, next); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	want = []string{"settings.recursion.ipv6", "settings.recursion.never_query", "settings.recursion.limits.jobs", "settings.stub"}
	if got := Changed(old, next); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := Restart(next, next); got != nil {
		t.Errorf("%v", got)
	}
}

// Parsing and compiling end, without a panic, whatever the file holds; and what is accepted can be written down as defaults are.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.yaml")
	for _, name := range files {
		if b, err := os.ReadFile(name); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse("f.yaml", data)
		if err != nil {
			return
		}
		none := func(string, int64) (*namedfile.File, error) { return nil, fs.ErrNotExist }
		if tables, err := file.Settings.compile(file.Node.Listen.DNS, none, file.MostOf); err == nil {
			tables.Fingerprint()
		} else if file.doc.Locate("settings", err).Error() == "" {
			t.Fatal("an error without words")
		}
		if len(strictyaml.Describe(file)) == 0 {
			t.Fatal("nothing to describe")
		}
	})
}
