package cases_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/nameserver/plugin/cases"
	"github.com/ananas-edge/ananas/sdk"
)

// ours are the modules that come with the program, in sdk/modules, and what has them do most: settings as large as they may be, and beside the names of every module others that are dear to this one.
var ours = map[string]struct {
	settings map[string]string
	names    []string
	replies  func(owner dns.Name) []plugin.Reply
}{
	"family": {
		settings: map[string]string{"allow": many("a%d.allowed.example", 500), "code": "15"},
		names:    []string{deep("mine.example"), deep("nudity.testcategory.com"), deep("a7.allowed.example")},
	},
	"safesearch": {
		settings: map[string]string{"youtube": "strict", "off": "google bing duckduckgo brave ecosia pixabay yandex"},
		names:    []string{"www.google.com.au", "www.yandex.co.uk", "www.youtube-nocookie.com"},
	},
	"as112": {
		settings: map[string]string{"hostname": strings.Repeat(strings.Repeat("x", 198)+";", 5)},
		names:    []string{deep("31.172.in-addr.arpa"), deep("empty.as112.arpa"), "hostname.as112.arpa", deep("99.172.in-addr.arpa")},
	},
	"split-horizon": {
		settings: views(),
		names:    []string{"in-all.example", deep("in-all.example"), "a7.corp.example", deep("a7.corp.example")},
	},
	"rebind": {
		settings: map[string]string{"allow": many("a%d.allowed.example", 500), "private": many("198.51.%d.0/24", 32), "public": many("2001:db8:%d::/48", 32)},
		names:    []string{deep("a7.allowed.com")},
		replies:  replies,
	},
}

// many fills a list of words.
func many(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format+" ", i)
	}
	return b.String()
}

// deep is the name below a zone with the most labels: of one octet each.
func deep(zone string) string { return strings.Repeat("a.", (253-len(zone))/2) + zone }

// views are the most views, networks and names that split-horizon has room for; one name is in all views.
func views() map[string]string {
	s := map[string]string{"ttl": "60"}
	for i := range 16 {
		s["views"] += fmt.Sprintf("view%d 198.51.100.%d/32 2001:db8:%d::/48 2001:db8:1%d::/48 ::/0\n", i, i, i, i)
		s[fmt.Sprintf("view%d", i)] = "in-all.example 192.0.2.1 2001:db8::1; *.in-all.example 192.0.2.2 " + many("2001:db8::%d", 8)
	}
	for i := range 368 {
		s["view15"] += fmt.Sprintf("; a%d.corp.example 192.0.2.1", i)
	}
	return s
}

// replies are answers that take long to look through.
func replies(owner dns.Name) []plugin.Reply {
	set := func(n int, t dns.Type, data func(i int) []byte) (all []dns.RR) {
		for i := range n {
			all = append(all, dns.RR{Name: owner, Type: t, Class: dns.ClassINET, TTL: 60, Data: data(i)})
		}
		return all
	}
	four := func(i int) []byte { return []byte{192, 0, byte(i >> 8), byte(i)} }
	sixteen := func(i int) []byte { return []byte{0x20, 1, 0xd, 0xb9, 14: byte(i >> 8), 15: byte(i)} }
	mapped := func(i int) []byte { return []byte{10: 0xff, 11: 0xff, 12: 192, 14: byte(i >> 8), 15: byte(i)} }
	hints := func(i int) []byte {
		b := []byte{0, 1, 0, 0, 6, 1, 0} // priority, root, ipv6hint of 256 octets
		for k := range 16 {
			b = append(b, sixteen(i*16+k)...)
		}
		return b
	}
	params := func(int) []byte { // many parameters that are no hints
		b := []byte{0, 1, 0}
		for k := range 150 {
			b = append(b, 1, byte(k), 0, 0)
		}
		return b
	}
	text := func(int) []byte { return append([]byte{255}, make([]byte, 255)...) }
	n := min(60_000/(owner.Len()+26), 2000)
	return []plugin.Reply{
		{Sections: [3][]dns.RR{set(n, dns.TypeA, four)}},
		{Sections: [3][]dns.RR{set(n, dns.TypeAAAA, sixteen)}},
		{Sections: [3][]dns.RR{set(n, dns.TypeAAAA, mapped)}},
		{Sections: [3][]dns.RR{set(100, dns.TypeHTTPS, hints)}},
		{Sections: [3][]dns.RR{set(60, dns.TypeHTTPS, params)}},
		{Sections: [3][]dns.RR{set(110, dns.TypeTXT, text)}},
		{Sections: [3][]dns.RR{set(110, dns.TypeTXT, text), nil, set(40, dns.TypeA, four)}},
	}
}

// mostFuel is what the dearest call may take of the 50,000 units that a call has: what a release makes dearer has room (docs/module-abi.md, "What is promised").
const mostFuel = 45_000

// Each module that comes with the program is built of its source by what people have, does what its cases say, and stays below the fuel of a call for the worst that can be asked: a query that takes more would pass the module by, and ten
// would take it out.
func TestOurModules(t *testing.T) {
	folders, err := filepath.Glob("../../../sdk/modules/*/" + sdk.ManifestFile)
	if err != nil || len(folders) != len(ours) {
		t.Fatalf("there are modules in %q, and %d are known here; %v", folders, len(ours), err)
	}
	for _, folder := range folders {
		dir := filepath.Dir(folder)
		name := filepath.Base(dir)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := open(t, build(t, dir), lists(t, dir))
			text, err := os.ReadFile(filepath.Join(dir, sdk.CasesFile))
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range play(t, r, name+"/"+sdk.CasesFile, string(text)) {
				t.Error(d)
			}
			worst, what := int64(0), ""
			for _, c := range dear(t, name) {
				got, err := r.Run(t.Context(), c)
				if err != nil || got.Fault != "" {
					t.Fatalf("%v: %v, %v", c, got.Outcome, err)
				}
				if c.Reply != nil && c.Query.Type == dns.TypeA && len(c.Reply.Sections[0]) > 200 && got.Verdict.Action == plugin.GoOn {
					t.Errorf("%v: an answer of %d records goes on, and not all of them were looked at", c, len(c.Reply.Sections[0]))
				}
				if got.Fuel > worst {
					worst, what = got.Fuel, fmt.Sprintf("%v: %.40s", c, got.Outcome)
				}
			}
			t.Logf("the dearest call takes %d units of fuel: %.60s", worst, what)
			if worst > mostFuel {
				t.Errorf("%d units of fuel, at most %d: %s", worst, mostFuel, what)
			}
		})
	}
}

// A list that a module wants and has not been granted is no obstacle: it looks at those that there are.
func TestListsAreWanted(t *testing.T) {
	module := build(t, "../../../sdk/modules/family")
	const adult = "query www.adult.example A\n-> address 0.0.0.0 :: ttl=60 ede=16 tag=adult\n"
	for text, data := range map[string]map[string][]byte{
		"query malware.testcategory.com A\n-> go on\n":           nil,
		"query malware.testcategory.com A\n-> go on\n\n" + adult: {"adult": []byte("adult.example\n")},
	} {
		for _, d := range play(t, open(t, module, data), "wanted", text) {
			t.Error(d)
		}
	}
}

// lists are the data sets of a module's folder.
func lists(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "data", "*"))
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]byte)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
		if all[name], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// dear are queries, and answers, that cost a module most.
func dear(t *testing.T, module string) (all []*cases.Case) {
	t.Helper()
	m := ours[module]
	label := strings.Repeat("x", 63)
	names := append([]string{".", deep("example"), strings.Join([]string{label, label, label, label[:61]}, "."), strings.Repeat("xx.", 84)}, m.names...)
	for _, n := range names {
		name, err := dns.ParseName(n)
		if err != nil {
			t.Fatal(err)
		}
		for _, qt := range []dns.Type{dns.TypeA, dns.TypeTXT, dns.TypeHTTPS, dns.TypeANY} {
			c := cases.Case{
				Settings: m.settings, Question: dns.Question{Name: name, Type: qt, Class: dns.ClassINET},
				Query: plugin.Query{Name: []byte(name.Lower().Wire()), Type: qt, Client: netip.MustParseAddr("2001:db8:f::1")},
			}
			if m.replies == nil {
				all = append(all, &c)
				continue
			}
			for _, rep := range m.replies(name) {
				with := c
				with.Reply = &rep
				all = append(all, &with)
			}
		}
	}
	return all
}
