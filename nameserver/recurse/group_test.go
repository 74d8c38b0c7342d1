package recurse

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// A group's table is the settings, but with its servers for all that lies in its zone, whatever stub or forward is there too.
func TestGroupTables(t *testing.T) {
	g := given{Settings: Defaults(), stub: []Stub{{name("corp.example"), addrPorts("192.0.2.1:53")}}, groups: []Group{
		{Name: "part", Kind: GroupStub, Zone: name("Example"), Servers: addrPorts("127.0.0.9:53", "127.0.0.8:5300")},
		{Name: "all", Servers: addrPorts("192.0.2.9:53")},
	}}
	g.NegativeTrustAnchors = []NegativeTrustAnchor{{Zone: name("example")}}
	base, err := g.compile()
	if err != nil {
		t.Fatal(err)
	}
	if got := base.Groups(); !slices.Equal(got, []string{"all", "part"}) {
		t.Errorf("the groups are %q", got)
	}
	all, part := base.tableOf(t, "all"), base.tableOf(t, "part")
	for _, c := range []struct {
		table *Table
		name  string
		zone  string // "" is none
		kind  SourceKind
	}{
		{base, "www.corp.example", "corp.example", KindStub}, {base, "www.example", "", 0},
		{all, "www.corp.example", ".", KindForward}, {all, ".", ".", KindForward},
		{part, "www.corp.example", "example", KindStub}, {part, "WWW.Example", "example", KindStub}, {part, "example.com", "", 0},
	} {
		zone, servers, kind, ok := c.table.Lookup(name(c.name))
		if ok != (c.zone != "") || ok && (zone != name(c.zone) || kind != c.kind || len(servers) == 0) {
			t.Errorf("%s belongs to %v %v %v %v, want %q", c.name, ok, kind, zone, servers, c.zone)
		}
	}
	for addr, never := range map[string]bool{"127.0.0.9": false, "127.0.0.8": true} { // what a zone says of its servers means port 53
		if part.NeverQuery(netip.MustParseAddr(addr)) != never {
			t.Errorf("%s is never asked: %v", addr, !never)
		}
		if !base.NeverQuery(netip.MustParseAddr(addr)) {
			t.Errorf("%s may be asked by all", addr)
		}
	}
	if part.Fingerprint() == "" || base.WithListeners(nil).tableOf(t, "part").group != part.group {
		t.Error("a table with other listeners has another group")
	}
	anchored := base.WithAnchors(Anchor{Zone: dns.Root, DS: base.Anchors()[0].DS, DNSKEY: dns.Records{}.Append([]byte("key"))})
	if anchored.tableOf(t, "part").terms == part.terms || anchored.tableOf(t, "part").terms != anchored.terms {
		t.Error("a table with other anchors has groups with the old ones")
	}
	g.groups[0].Servers = addrPorts("127.0.0.9:53")
	moved, err := g.compile()
	if err != nil {
		t.Fatal(err)
	}
	if moved.Fingerprint() == base.Fingerprint() {
		t.Error("a group with other servers has the same fingerprint")
	}
	if zones := base.Moved(moved); len(zones) > 0 {
		t.Errorf("what was learned of %v is forgotten, for a group that changed", zones)
	}
	g.NegativeTrustAnchors = nil
	warned, err := g.compile()
	if err != nil {
		t.Fatal(err)
	}
	if w := warned.Warnings(time.Now()); len(w) != 2 || !strings.Contains(w[1].Text, "the group part's zone example. lies below the trust anchor") {
		t.Errorf("%+v", w)
	}
}

func (t *Table) tableOf(tb testing.TB, group string) *Table {
	g, ok := t.Group(group)
	if !ok || !t.HasGroup(group) {
		tb.Fatalf("there is no group %q", group)
	}
	return g
}

func TestRefusedGroups(t *testing.T) {
	for want, groups := range map[string][]Group{
		`groups[0].name: "Filtered" is no name`:              {{Name: "Filtered", Servers: addrPorts("192.0.2.1:53")}},
		`groups[0].name: "a-" is no name`:                    {{Name: "a-", Servers: addrPorts("192.0.2.1:53")}},
		`is no name: it may have`:                            {{Name: strings.Repeat("a", 64), Servers: addrPorts("192.0.2.1:53")}},
		`groups[1].name: "a" is groups[0] already`:           {{Name: "a", Servers: addrPorts("192.0.2.1:53")}, {Name: "a", Servers: addrPorts("192.0.2.2:53")}},
		`groups[0].servers[1]: 192.0.2.1:53 is there twice`:  {{Name: "a", Servers: addrPorts("192.0.2.1:53", "192.0.2.1:53")}},
		`groups[0].servers: all are of a family that is off`: {{Name: "a", Servers: addrPorts("[2001:db8::1]:53")}},
		`groups: there are 1001 groups, more than 1000`:      make([]Group, 1001),
	} {
		g := given{Settings: Defaults(), groups: groups}
		g.IPv6 = false
		if _, err := g.compile(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// A group has a number of its own, which it keeps as long as nothing of it changes, and which is never given again; where they run out, its queries fail, and say so.
func TestSpacesOfGroups(t *testing.T) {
	ct, err := cache.Compile(cache.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	c, err := cache.New(cache.Config{Bytes: cache.MinBytes, Now: func() time.Duration { return 0 }, Table: ct})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	r := &Resolver{state: &state{whole: c}, cache: c.In(0)}
	r.groups.m = make(map[string]*Resolver)
	table := func(servers ...string) *Table {
		base, err := given{Settings: Defaults(), groups: []Group{{Name: "a", Servers: addrPorts(servers...)}}}.compile()
		if err != nil {
			t.Fatal(err)
		}
		return base.tableOf(t, "a")
	}
	space := func(t1 *Table) cache.Space {
		of, f := r.within(t1)
		if f != nil {
			t.Fatal(f)
		}
		if again, _ := of.within(t1); again != of {
			t.Error("a group's resolver has one of its own")
		}
		return of.space
	}
	first, same, other := space(table("192.0.2.1:53")), space(table("192.0.2.1:53")), space(table("192.0.2.2:53"))
	if first == 0 || first != same || first == other || r.GroupIn(first) != "a" || r.GroupIn(0) != "" {
		t.Errorf("the spaces are %d, %d and %d", first, same, other)
	}
	for i := range maxKnownGroups { // of settings long gone
		r.groups.m[string(rune(i))] = nil
	}
	if again := space(table("192.0.2.3:53")); again <= other || len(r.groups.m) != 1 {
		t.Errorf("the next space is %d, and %d groups are remembered", again, len(r.groups.m))
	}
	r.groups.last = cache.MaxSpace
	if _, f := r.within(table("192.0.2.4:53")); f == nil || !strings.Contains(f.Error(), "restart the node") {
		t.Errorf("without numbers: %v", f)
	}
}

// What others ask leaves groups their part, groups leave others theirs, and what a running job of a group needs is not refused for either.
func TestGroupJobs(t *testing.T) {
	const limit = 10
	world, group := new(Table), &Table{group: new(group)}
	f := &flight{jobs: make(map[jobKey]*job)}
	next := 0
	begin := func(table *Table, limit int) (*job, error) {
		next++
		key := jobKey{typ: dns.Type(next), table: table}
		j, _, err := f.join(key, nil, limit, func() *job { return &job{key: key, done: make(chan struct{})} })
		return j, err
	}
	fill := func(table *Table, limit int, want error) (all []*job) {
		for {
			j, err := begin(table, limit)
			if err != nil {
				if err != want {
					t.Fatalf("after %d: %v, want %v", len(all), err, want)
				}
				return all
			}
			all = append(all, j)
		}
	}
	if got := fill(group, limit, errGroupJobs); len(got) != limit/groupJobs {
		t.Errorf("groups had %d", len(got))
	}
	others := fill(world, limit, errJobs)
	if len(others) != limit-limit/groupJobs {
		t.Errorf("others had %d beside them", len(others))
	}
	if got := fill(group, 2*limit, errGroupJobs); len(got) != limit/groupJobs {
		t.Errorf("what groups' jobs need had %d", len(got))
	}
	for _, j := range others {
		f.finish(j)
	}
	if got := fill(world, limit, errJobs); len(got) != limit-limit/groupJobs {
		t.Errorf("beside all that groups and their jobs may have others had %d", len(got))
	}
	for _, j := range f.jobs {
		f.finish(j)
	}
	if f.ofGroups != 0 {
		t.Errorf("%d are counted still", f.ofGroups)
	}
	if got := fill(world, limit-1, errJobs); len(got) != limit-1 {
		t.Errorf("others had %d", len(got))
	}
	if _, err := begin(group, limit); err != nil {
		t.Errorf("beside %d others: %v", limit-1, err)
	}
}
