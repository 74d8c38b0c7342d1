package recurse

import (
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/internal/strictyaml"
	"github.com/ananas-edge/ananas/nameserver/cache"
	"github.com/google/go-cmp/cmp"
)

// given is settings with a part that a test changes.
type given struct {
	Settings
	stub    []Stub
	forward []Forward
	groups  []Group
	files   map[string]string
}

func (g given) compile() (*Table, error) {
	c, err := cache.Compile(cache.Defaults())
	if err != nil {
		return nil, err
	}
	return Compile(g.Settings, c, g.stub, g.forward, g.groups, func(path string) ([]byte, error) {
		text, ok := g.files[path]
		if !ok {
			return nil, fmt.Errorf("open %s: %w", path, fs.ErrNotExist)
		}
		return []byte(text), nil
	})
}

func name(s string) dns.Name { return dns.MustParseName(s) }

func addrPorts(list ...string) []netip.AddrPort {
	var out []netip.AddrPort
	for _, s := range list {
		out = append(out, netip.MustParseAddrPort(s))
	}
	return out
}

// digest is a DS record's digest of 32 octets.
var digest = strings.Repeat("AB", 32)

func TestCompileDefaults(t *testing.T) {
	table, err := given{Settings: Defaults()}.compile()
	if err != nil {
		t.Fatal(err)
	}
	v4, v6 := 0, 0
	for _, h := range table.Hints() {
		for _, a := range h.Addrs {
			if a.Is4() {
				v4++
			} else {
				v6++
			}
		}
	}
	if len(table.Hints()) != 13 || v4 != 13 || v6 != 13 {
		t.Errorf("the root has 13 servers with an address of each family, not %d with %d and %d", len(table.Hints()), v4, v6)
	}
	a, ok := table.Anchor(name("www.Example."))
	if !ok || !a.Zone.IsRoot() || a.DS.Len() != 2 || !table.Validates() {
		t.Errorf("built-in anchors: %v %v", a, ok)
	}
	tags := ""
	for d := range a.DS.All() {
		tags += fmt.Sprint(int(d[0])<<8|int(d[1]), " ")
	}
	if tags != "20326 38696 " {
		t.Error(tags)
	}
	for addr, never := range map[string]bool{"127.0.0.53": true, "0.0.0.0": true, "169.254.1.1": true, "224.0.0.251": true, "::1": true,
		"fe80::1%eth0": true, "ff02::fb": true, "::ffff:127.0.0.1": true, "10.0.0.1": false, "198.41.0.4": false, "fd00::1": false} {
		if got := table.NeverQuery(netip.MustParseAddr(addr)); got != never {
			t.Errorf("NeverQuery(%s) = %v", addr, got)
		}
	}
	if _, _, _, ok := table.Lookup(name("example.")); ok {
		t.Error("a zone without settings has servers")
	}
	if table.Overrides(name("localhost.")) {
		t.Error("a special name is overridden by nothing")
	}
}

func TestCompileErrors(t *testing.T) {
	oneRoot := ". NS a.root.\na.root. A 192.0.2.1\n"
	for _, c := range []struct {
		what   string
		change func(*given)
		want   string // path: cause
	}{
		{"both families off", func(g *given) { g.IPv4, g.IPv6 = false, false },
			"recursion.ipv6: ipv4 and ipv6 are both off, so that no server can be asked"},
		{"failure TTLs", func(g *given) { g.Limits.FailureTTLMin, g.Limits.FailureTTLMax = 5*time.Minute, time.Minute },
			"recursion.limits.failure_ttl_min: 5m is more than failure_ttl_max, which is 1m"},

		{"hints missing", func(g *given) { g.RootHints = "none.hints" },
			"recursion.root_hints: reading root hints: open none.hints: file does not exist"},
		{"hints no zone file", func(g *given) { g.RootHints, g.files["h"] = "h", "<html>" },
			`recursion.root_hints: reading records of "h": line 1, at "<html>": neither a TTL nor a class nor a type`},
		{"hints empty", func(g *given) { g.RootHints, g.files["h"] = "h", "; nothing\n" },
			`recursion.root_hints: reading root hints from "h": no NS record of the root`},
		{"hints of another zone", func(g *given) { g.RootHints, g.files["h"] = "h", "com. NS a.\na. A 192.0.2.1\n" },
			`recursion.root_hints: reading root hints from "h": NS record of com., not of the root`},
		{"hints without address", func(g *given) { g.RootHints, g.files["h"] = "h", ". NS a.root.\nb.root. A 192.0.2.1\n" },
			`recursion.root_hints: reading root hints from "h": no address of a.root. or another server of the root`},
		{"hints with more", func(g *given) { g.RootHints, g.files["h"] = "h", oneRoot+"a.root. TXT hello\n" },
			`recursion.root_hints: reading root hints from "h": TXT record of a.root.; NS, A and AAAA are all that hints have`},
		{"hints too many", func(g *given) { g.RootHints, g.files["h"] = "h", strings.Repeat(oneRoot, maxHintRecords) },
			`recursion.root_hints: reading records of "h": more than 1000`},
		{"hints forbidden", func(g *given) { g.RootHints, g.files["h"] = "h", ". NS a.\na. A 127.0.0.2\n" },
			`recursion.root_hints: every address in "h" is one that never_query forbids to ask`},
		{"hints of a family that is off", func(g *given) { g.RootHints, g.files["h"], g.IPv4 = "h", oneRoot, false },
			`recursion.root_hints: every one of the 1 addresses in "h" is of a family that is off`},

		{"anchors missing", func(g *given) { g.TrustAnchors = "none.ds" },
			"recursion.trust_anchors: reading trust anchors: open none.ds: file does not exist"},
		{"anchors empty", func(g *given) { g.TrustAnchors, g.files["a"] = "a", "" },
			`recursion.trust_anchors: reading trust anchors from "a": no DS or DNSKEY record`},
		{"anchors of another type", func(g *given) { g.TrustAnchors, g.files["a"] = "a", "example. A 192.0.2.1\n" },
			`recursion.trust_anchors: reading trust anchors from "a": A record of example.: it is neither DS nor DNSKEY`},
		{"anchor too short", func(g *given) { g.TrustAnchors, g.files["a"] = "a", "example. DS 1 13 2 ABCD\n" },
			`recursion.trust_anchors: reading trust anchors from "a": DS record of example.: digest has 2 octets, those of type 2 have 32`},
		{"anchor without digest", func(g *given) { g.TrustAnchors, g.files["a"] = "a", "example. DS \\# 4 00010D02\n" },
			`recursion.trust_anchors: reading trust anchors from "a": DS record of example.: digest is missing`},
		{"anchor without key", func(g *given) { g.TrustAnchors, g.files["a"] = "a", "example. DNSKEY \\# 4 0101030D\n" },
			`recursion.trust_anchors: reading trust anchors from "a": DNSKEY record of example.: key is missing`},
		{"anchor of a host", func(g *given) { g.TrustAnchors, g.files["a"] = "a", "example. DNSKEY 0 3 13 AAAA\n" },
			`recursion.trust_anchors: reading trust anchors from "a": DNSKEY record of example.: flags 0: it is not the key of a zone`},
		{"anchor revoked", func(g *given) { g.TrustAnchors, g.files["a"] = "a", "example. DNSKEY 385 3 13 AAAA\n" },
			`recursion.trust_anchors: reading trust anchors from "a": DNSKEY record of example.: flags 385: it is revoked`},
		{"anchor protocol", func(g *given) { g.TrustAnchors, g.files["a"] = "a", "example. DNSKEY 257 2 13 AAAA\n" },
			`recursion.trust_anchors: reading trust anchors from "a": DNSKEY record of example.: protocol is 2, not 3`},
		{"negative anchor twice", func(g *given) {
			g.NegativeTrustAnchors = []NegativeTrustAnchor{{Zone: name("Example.")}, {Zone: name("example.")}}
		}, "recursion.negative_trust_anchors[1]: example. is there twice"},

		{"zone twice", func(g *given) {
			g.stub = []Stub{{name("corp.example."), addrPorts("192.0.2.1:53")}}
			g.forward = []Forward{{name("."), addrPorts("192.0.2.1:53")}, {name("CORP.example."), addrPorts("192.0.2.2:53")}}
		}, "forward[1].zone: CORP.example. has servers already, in stub[0]"},
		{"server twice", func(g *given) {
			g.stub = []Stub{{name("a."), addrPorts("192.0.2.1:53", "192.0.2.1:5300", "192.0.2.1:53")}}
		},
			"stub[0].servers[2]: 192.0.2.1:53 is there twice"},
		{"servers of a family that is off", func(g *given) { g.IPv6, g.forward = false, []Forward{{name("a."), addrPorts("[2001:db8::1]:53")}} },
			"forward[0].servers: all are of a family that is off in settings.recursion"},
		{"too many zones", func(g *given) { g.stub = make([]Stub, maxUpstreams+1) },
			"forward: there are 100001 stub and forward zones, more than 100000"},
	} {
		t.Run(c.what, func(t *testing.T) {
			g := given{Settings: Defaults(), files: map[string]string{}}
			c.change(&g)
			table, err := g.compile()
			if err == nil || table != nil {
				t.Fatalf("%v, %v", table, err)
			}
			if got := err.(*strictyaml.Errors).List[0].Error(); got != c.want || len(err.(*strictyaml.Errors).List) != 1 {
				t.Errorf("got  %s\nwant %s", err, c.want)
			}
		})
	}
}

func TestCompileTellsAllErrors(t *testing.T) {
	g := given{Settings: Defaults()}
	g.RootHints, g.TrustAnchors, g.stub = "h", "a", []Stub{{name("a."), addrPorts("192.0.2.1:53", "192.0.2.1:53")}}
	_, err := g.compile()
	if got := strings.Count(err.Error(), "\n\thint: "); got != 3 {
		t.Errorf("%d hints: %v", got, err)
	}
}

func TestHintsAndAnchorsFromFiles(t *testing.T) {
	g := given{Settings: Defaults(), files: map[string]string{
		"h": "$TTL 60\n. IN NS A.Root.\n. NS b.root.\n. NS silent.root.\na.root. A 192.0.2.1\nA.ROOT. A 192.0.2.1\na.root. AAAA 2001:db8::1\nb.root. A 192.0.2.2\nother. A 192.0.2.3\n",
		// A file as unbound-anchor keeps it, with another zone below.
		"a": "; autotrust trust anchor file\n;;id: . 1\n.\t172800\tIN\tDNSKEY\t257 3 8 AwEAAaz/tAm8yTn4 ;{id = 20326 (ksk)} ;;state=2 [  VALID  ]\n" +
			"Corp.Example. IN DS 12345 13 2 " + digest + "\ncorp.example. IN DS 12345 13 2 " + digest + "\n",
	}}
	g.RootHints, g.TrustAnchors = "h", "a"
	g.NegativeTrustAnchors = []NegativeTrustAnchor{{Zone: name("broken.example.")}, {name("soon.broken.example."), time.Unix(1000, 0)}}
	table, err := g.compile()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(table.Hints()), "[{a.root. [192.0.2.1 2001:db8::1]} {b.root. [192.0.2.2]}]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for n, want := range map[string]string{"com.": ". 0 1", "a.CORP.example.": "corp.example. 1 0", "corp.example.": "corp.example. 1 0"} {
		a, _ := table.Anchor(name(n))
		if got := fmt.Sprint(a.Zone, a.DS.Len(), a.DNSKEY.Len()); got != want {
			t.Errorf("anchor for %s is %s, want %s", n, got, want)
		}
	}
	for _, c := range []struct {
		name string
		at   int64
		want string
	}{
		{"example.", 0, ""}, {"www.Broken.example.", 5000, "broken.example."}, {"a.soon.broken.example.", 999, "soon.broken.example."},
		{"a.soon.broken.example.", 1000, "broken.example."},
	} {
		got, _, _ := table.NegativeAnchor(name(c.name), time.Unix(c.at, 0))
		if got.String() != c.want {
			t.Errorf("negative anchor for %s at %d is %q, want %q", c.name, c.at, got, c.want)
		}
	}
	if !table.Overrides(name("example.")) || table.Overrides(name("www.corp.example.")) {
		t.Error("an anchor overrides the names above it and no other")
	}

	g.TrustAnchors = "none"
	if table, err = g.compile(); err != nil || table.Validates() {
		t.Error("none does not turn validation off", err)
	}
	if _, ok := table.Anchor(name("corp.example.")); ok {
		t.Error("there is an anchor although there are none")
	}
}

func TestLookup(t *testing.T) {
	g := given{Settings: Defaults()}
	g.stub = []Stub{{name("Corp.Example."), addrPorts("127.0.0.1:5300")}, {name("10.in-addr.arpa."), addrPorts("192.168.0.1:53")}}
	g.forward = []Forward{{name("deep.corp.example."), addrPorts("127.0.0.2:53")}}
	table, err := g.compile()
	if err != nil {
		t.Fatal(err)
	}
	find := func(table *Table, s string) string {
		zone, servers, kind, ok := table.Lookup(name(s))
		if !ok {
			return kind.String()
		}
		return fmt.Sprint(kind, " ", zone, servers)
	}
	for n, want := range map[string]string{
		"example.": "delegation", "corp.example.": "stub corp.example. [127.0.0.1:5300]", "a.CORP.example.": "stub corp.example. [127.0.0.1:5300]",
		"xcorp.example.": "delegation", "a.deep.corp.example.": "forward deep.corp.example. [127.0.0.2:53]", ".": "delegation",
	} {
		if got := find(table, n); got != want {
			t.Errorf("%s: %s, want %s", n, got, want)
		}
	}
	for n, want := range map[string]bool{"10.in-addr.arpa.": true, "in-addr.ARPA.": true, "1.10.in-addr.arpa.": false, "test.": false} {
		if got := table.Overrides(name(n)); got != want {
			t.Errorf("Overrides(%s) = %v", n, got)
		}
	}
	// Of the exempt servers only the one on port 53 can be meant by what a zone says.
	for addr, never := range map[string]bool{"127.0.0.1": true, "127.0.0.2": false, "127.0.0.3": true} {
		if got := table.NeverQuery(netip.MustParseAddr(addr)); got != never {
			t.Errorf("NeverQuery(%s) = %v", addr, got)
		}
	}

	// With a forwarder for everything, the root's servers are not needed, and may be out of reach.
	g.forward = append(g.forward, Forward{name("."), addrPorts("192.0.2.1:53")})
	g.IPv6, g.RootHints, g.files = false, "h", map[string]string{"h": ". NS a.\na. AAAA 2001:db8::1\n"}
	if table, err = g.compile(); err != nil {
		t.Fatal(err)
	}
	if got := find(table, "www.example.org."); got != "forward . [192.0.2.1:53]" {
		t.Error(got)
	}
}

func TestNeverQuery(t *testing.T) {
	for _, c := range []struct {
		never []netip.Prefix
		want  map[string]bool
	}{
		{nil, map[string]bool{"127.0.0.1": true, "192.0.2.53": true, "2001:db8::53": true, "192.0.2.54": false, "192.0.2.1": false}},
		{[]netip.Prefix{}, map[string]bool{"127.0.0.1": false, "192.0.2.53": false, "0.0.0.0": false}},
		{[]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, map[string]bool{"127.0.0.1": false, "192.0.2.54": true, "2001:db8::53": false}},
	} {
		g := given{Settings: Defaults()}
		g.NeverQuery = c.never
		table, err := g.compile()
		if err != nil {
			t.Fatal(err)
		}
		// We are on port 5335 of 192.0.2.1, where nobody looks for a name server.
		table = table.WithListeners(addrPorts("192.0.2.53:53", "[2001:db8::53]:53", "192.0.2.1:5335", "0.0.0.0:53"))
		for addr, want := range c.want {
			if got := table.NeverQuery(netip.MustParseAddr(addr)); got != want {
				t.Errorf("never_query %v: NeverQuery(%s) = %v", c.never, addr, got)
			}
		}
	}
}

// A swap that changes nothing can be seen by the fingerprint, and one that changes anything too.
func TestFingerprint(t *testing.T) {
	print := func(change func(*given)) string {
		g := given{Settings: Defaults(), files: map[string]string{"h": string(builtinHints), "a": string(builtinAnchors), "b": ". DS 1 13 2 " + digest}}
		g.stub = []Stub{{name("a."), addrPorts("192.0.2.1:53")}, {name("b."), addrPorts("192.0.2.1:53")}}
		change(&g)
		table, err := g.compile()
		if err != nil {
			t.Fatal(err)
		}
		return table.Fingerprint()
	}
	same := print(func(*given) {})
	for what, change := range map[string]func(*given){
		"order":       func(g *given) { g.stub[0], g.stub[1] = g.stub[1], g.stub[0] },
		"case":        func(g *given) { g.stub[0].Zone = name("A.") },
		"hints file":  func(g *given) { g.RootHints = "h" },
		"anchor file": func(g *given) { g.TrustAnchors = "a" },
		"never_query": func(g *given) { g.stub[0].Servers = addrPorts("192.0.2.1:53") },
	} {
		if print(change) != same {
			t.Errorf("%s: changes nothing, but the fingerprint", what)
		}
	}
	seen := map[string]string{same: "default"}
	for what, change := range map[string]func(*given){
		"limit":    func(g *given) { g.Limits.Jobs++ },
		"minimise": func(g *given) { g.QNAMEMinimisation = MinimiseStrict },
		"ipv6":     func(g *given) { g.IPv6 = false },
		"anchors":  func(g *given) { g.TrustAnchors = "b" },
		"none":     func(g *given) { g.TrustAnchors = "none" },
		"updates":  func(g *given) { g.TrustAnchorUpdates = false },
		"negative": func(g *given) { g.NegativeTrustAnchors = []NegativeTrustAnchor{{Zone: name("x.")}} },
		"until":    func(g *given) { g.NegativeTrustAnchors = []NegativeTrustAnchor{{name("x."), time.Unix(1, 0)}} },
		"kind":     func(g *given) { g.forward, g.stub = []Forward{Forward(g.stub[0])}, g.stub[1:] },
		"server":   func(g *given) { g.stub[0].Servers = addrPorts("192.0.2.1:54") },
		"never":    func(g *given) { g.NeverQuery = []netip.Prefix{} },
		"local":    func(g *given) { g.LocalRoot.File = "root.zone" },
		"transfer": func(g *given) { g.LocalRoot.AXFR = addrPorts("192.0.2.1:53") },
		"digest":   func(g *given) { g.LocalRoot = LocalRootSettings{File: "root.zone", ZONEMD: ZONEMDRequired} },
		"age":      func(g *given) { g.LocalRoot = LocalRootSettings{File: "root.zone", MaxAge: time.Hour} },
		"explicit": func(g *given) { g.NeverQuery = DefaultNeverQuery() }, // without our listeners
	} {
		got := print(change)
		if other, ok := seen[got]; ok {
			t.Errorf("%s has the fingerprint of %s", what, other)
		}
		seen[got] = what
	}
	table, err := given{Settings: Defaults()}.compile()
	if err != nil {
		t.Fatal(err)
	}
	if table.WithListeners(addrPorts("192.0.2.53:53")).Fingerprint() == table.Fingerprint() {
		t.Error("listeners do not show")
	}
}

// The anchors of some zones are replaced, or taken away, and what hangs on them is told apart; the table before is as it was.
func TestWithAnchors(t *testing.T) {
	g := given{Settings: Defaults(), files: map[string]string{"a": ". DS 1 13 2 " + digest + "\nexample. DS 2 13 2 " + digest + "\ntest. DS 3 13 2 " + digest}}
	g.TrustAnchors = "a"
	table, err := g.compile()
	if err != nil {
		t.Fatal(err)
	}
	tags := func(table *Table) (all []string) {
		for _, a := range table.Anchors() {
			for data := range a.DS.All() {
				all = append(all, fmt.Sprint(a.Zone, " ", data[1]))
			}
			for range a.DNSKEY.All() {
				all = append(all, fmt.Sprint(a.Zone, " key"))
			}
		}
		return all
	}
	before := tags(table)
	if want := []string{". 1", "example. 2", "test. 3"}; !slices.Equal(before, want) {
		t.Fatalf("%q", before)
	}
	root, example := Anchor{Zone: dns.Root, DNSKEY: dns.Records{}.Append([]byte{1, 1, 3, 13, 9})}, Anchor{Zone: name("example.")}
	next := table.WithAnchors(root, example)
	if got, want := tags(next), []string{". key", "test. 3"}; !slices.Equal(got, want) {
		t.Errorf("%q, not %q", got, want)
	}
	if a, ok := next.Anchor(name("www.example.")); !ok || !a.Zone.IsRoot() {
		t.Errorf("the anchor of www.example. is that of %v", a.Zone)
	}
	if !slices.Equal(tags(table), before) {
		t.Errorf("the table before has become %q", tags(table))
	}
	if next.terms == table.terms || next.Fingerprint() == table.Fingerprint() || next.WithAnchors(table.Anchors()...).terms != table.terms {
		t.Error("what the trust in zones depends on is not told apart")
	}
}

func TestDefaultsKeepTheirOwnBounds(t *testing.T) {
	s := struct {
		Settings `yaml:"-"`
		R        Settings `yaml:"recursion"`
	}{R: Defaults()}
	var text strings.Builder
	for _, k := range strictyaml.Describe(&s) {
		if path, ok := strings.CutPrefix(k.Path, "recursion.limits."); ok {
			fmt.Fprintf(&text, "    %s: %s\n", path, k.Default)
		}
	}
	want := s.R
	if _, err := strictyaml.Decode("defaults", []byte("recursion:\n  limits:\n"+text.String()), &s); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want.Limits, s.R.Limits); d != "" || strings.Count(text.String(), "\n") < 20 {
		t.Error(d, text.String())
	}
}

// A file that settings name comes from an operator, but is often fetched from elsewhere.
func FuzzHintsAndAnchors(f *testing.F) {
	f.Add(builtinHints)
	f.Add(builtinAnchors)
	f.Add([]byte(". DNSKEY 257 3 8 AwEAAaz/tAm8yTn4 ;{id = 20326}\n$ORIGIN a.\n@ DS 1 8 2 \\# 4 00\n"))
	f.Add([]byte("$GENERATE 0-9999999 a$ A 192.0.2.1\n$INCLUDE /etc/passwd\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if hints, err := parseHints(text, "f"); err == nil {
			if len(hints) == 0 {
				t.Fatal("no hints and no error")
			}
			for _, h := range hints {
				if len(h.Addrs) == 0 || h.Name != h.Name.Lower() {
					t.Fatalf("%v", h)
				}
			}
		}
		anchors, err := parseAnchors(text, "f")
		if err != nil {
			return
		}
		for zone, a := range anchors {
			if zone != a.Zone || zone != zone.Lower() || a.DS.Len()+a.DNSKEY.Len() == 0 {
				t.Fatalf("%v: %v", zone, a)
			}
		}
	})
}
