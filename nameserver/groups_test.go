package nameserver

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/listen"
	"github.com/ananas-edge/ananas/nameserver/cache"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/nameserver/recurse"
)

// Clients of these tests: the module, which is granted to see them, sends the guest where it sends nobody else.
var (
	guestClient = netip.MustParseAddrPort("10.0.2.1:40000")
	staffClient = netip.MustParseAddrPort("10.0.1.1:40000")
)

// grouped is a server with the module and these tenants and views.
func grouped(t *testing.T, p *programs, manifest string, tenants []Tenant, views []View) *Server {
	t.Helper()
	var hand handClock
	hand.boot.Store(int64(time.Minute))
	s, _ := newServedAt(t, hand.clock())
	was := s.Table()
	table, err := Compile(AccessSettings{Allow: prefixes("0.0.0.0/0")}, LimitDefaults(), was.Sampling, tenants, views, was.Recursion)
	if err != nil {
		t.Fatal(err)
	}
	use := plugin.Plugin{Phase: plugin.PhaseQuery, Mode: plugin.Closed}
	if !strings.Contains(manifest, "pure") {
		use.Grant = []string{"client"}
	}
	s.Swap(table.WithPlugins(p.chain("acts", manifest, "", use)))
	return s
}

func askedBy(s *Server, client netip.AddrPort, data []byte) []byte {
	return s.Ask(context.Background(), listen.Packet{Data: bytes.Clone(data), Client: client, Local: allowedClient})
}

// What a module says of a group is done for its query and for no other: whoever is asked first, nothing that is kept of one is given to the other, be it records or a finished answer. What a pure module says holds for all, and is
// kept; what one says that sees clients is not, nor is what follows from its tag by a view.
func TestGroupsOfModules(t *testing.T) {
	const inWorld, inGroup = "NOERROR A 192.0.2.80", "NOERROR A 10.0.0.80"
	pure, sees := "phases: [query]\npure: true\n", "phases: [query]\nneeds: [client]\n"
	guest := View{Tags: []string{"guest"}, Group: "inside"}
	tenants := []Tenant{{Tag: "inside", Clients: prefixes("10.0.2.0/24")}, {Tag: "lobby", Clients: prefixes("10.0.1.0/24")}}
	for what, c := range map[string]struct {
		manifest, name string
		tenants        []Tenant
		views          []View
		guest, staff   string
		fastGuest      bool // the loop may answer
		fastStaff      bool
	}{
		"a pure module's group":                    {pure, "group.example.", nil, nil, inGroup, inGroup, true, true},
		"one for all by one that sees clients":     {sees, "group.example.", nil, nil, inGroup, inGroup, false, false},
		"one for some":                             {sees, "some.example.", nil, nil, inGroup, inWorld, false, true},
		"a tag that no view is for":                {sees, "tagged.example.", nil, nil, inWorld, inWorld, true, true},
		"a tag that a view is for":                 {sees, "tagged.example.", nil, []View{guest}, inGroup, inWorld, false, true},
		"a pure module's tag":                      {pure, "tagged.example.", nil, []View{guest}, inGroup, inGroup, true, true},
		"a tag and a tenant":                       {pure, "tagged.example.", tenants, []View{{Tags: guest.Tags, Tenants: []string{"lobby"}, Group: "inside"}}, inWorld, inGroup, true, true},
		"the first view":                           {pure, "tagged.example.", tenants, []View{{Tenants: []string{"lobby"}}, guest}, inGroup, inWorld, true, true},
		"a module's word comes before views":       {pure, "group.example.", tenants, []View{{Tenants: []string{"lobby", "inside"}}}, inGroup, inGroup, true, true},
		"a view by tenant":                         {pure, "www.example.", tenants, []View{{Tenants: []string{"lobby"}, Group: "inside"}}, inWorld, "NXDOMAIN", true, true},
		"a tenant that a module is shown":          {sees, "tenant.example.", tenants[:1], nil, inGroup, inWorld, false, true},
		"a tenant that no pure module is shown":    {pure, "tenant.example.", tenants[:1], nil, inWorld, inWorld, true, true},
		"a group that is not there, and is needed": {sees, "unknown.example.", nil, nil, "SERVFAIL", "SERVFAIL", false, false},
	} {
		t.Run(what, func(t *testing.T) {
			p := newPrograms(t)
			for _, order := range [][]netip.AddrPort{{guestClient, staffClient}, {staffClient, guestClient}} {
				s := grouped(t, p, c.manifest, c.tenants, c.views)
				l := s.Loop()
				data := asks(t, c.name, true)
				want := map[netip.AddrPort]string{guestClient: c.guest, staffClient: c.staff}
				fasts := map[netip.AddrPort]bool{guestClient: c.fastGuest, staffClient: c.fastStaff}
				for range 3 {
					for _, client := range order {
						if got := text(t, askedBy(s, client, data)); !strings.HasPrefix(got, want[client]) {
							t.Fatalf("%v is answered %s, want %s", client, got, want[client])
						}
						for _, other := range order {
							if b := fast(l, data, other); b != nil && !strings.HasPrefix(text(t, b), want[other]) {
								t.Fatalf("the loop answers %v with %s, want %s", other, text(t, b), want[other])
							}
						}
					}
				}
				// Each is answered from images in the end, if he may be.
				for _, client := range order {
					if got := fast(l, data, client); (got != nil) != fasts[client] {
						t.Errorf("%v first: that the loop answers %v is %v", order[0], client, got != nil)
					}
				}
			}
		})
	}
}

// Who has no place to wait gets from the cache what his view has him get, or nothing.
func TestNobodyPassesAViewBy(t *testing.T) {
	var hand handClock
	hand.boot.Store(int64(time.Minute))
	s, _ := newServedAt(t, hand.clock())
	was := s.Table()
	limits := LimitDefaults()
	compiled := func() *Table {
		table, err := Compile(AccessSettings{Allow: prefixes("0.0.0.0/0")}, limits, was.Sampling,
			[]Tenant{{Tag: "lobby", Clients: prefixes("10.0.1.0/24")}}, []View{{Tenants: []string{"lobby"}, Group: "inside"}}, was.Recursion)
		if err != nil {
			t.Fatal(err)
		}
		return table
	}
	s.Swap(compiled())
	data := asks(t, "some.example.", true)
	askedBy(s, guestClient, data)
	limits.Queries, limits.QueriesPerClient = 0, 0
	s.Swap(compiled())
	if got := text(t, askedBy(s, guestClient, data)); got != "NOERROR A 192.0.2.80" {
		t.Errorf("who is of no tenant is answered %s", got)
	}
	if got := text(t, askedBy(s, staffClient, data)); !strings.HasPrefix(got, "SERVFAIL") {
		t.Errorf("who is of a tenant with a view is answered %s", got)
	}
}

// Names, numbers and references of tenants and views are checked, each with its place.
func TestCompileViews(t *testing.T) {
	r := newTable(t)
	lobby := Tenant{Tag: "lobby", Clients: prefixes("10.0.1.0/24")}
	for want, c := range map[string]struct {
		tenants []Tenant
		views   []View
	}{
		`tenants[0].tag: "Lobby" is no name`:                      {tenants: []Tenant{{Tag: "Lobby", Clients: lobby.Clients}}},
		`tenants[1].tag: there are two tenants "lobby"`:           {tenants: []Tenant{lobby, {Tag: "lobby", Clients: prefixes("10.0.2.0/24")}}},
		`tenants[1].clients[0]: 10.0.1.0/24 is of tenant "lobby"`: {tenants: []Tenant{lobby, {Tag: "b", Clients: lobby.Clients}}},
		`views[0]: it has neither tags nor tenants`:               {views: []View{{Group: "inside"}}},
		`views[0].tenants[0]: there is no tenant "lobby"`:         {views: []View{{Tenants: []string{"lobby"}, Group: "inside"}}},
		`views[0].group: there is no group "outside"`:             {views: []View{{Tags: []string{"x"}, Group: "outside"}}},
		`views[0].tags[0]: a tag has 1 to 63 octets`:              {views: []View{{Tags: []string{strings.Repeat("x", 64)}}}},
		`views: there are 201 views, more than 200`:               {views: make([]View, 201)},
		`tenants: there are 10001 tenants, more than 10000`:       {tenants: make([]Tenant, 10_001)},
	} {
		_, err := Compile(AccessDefaults(), LimitDefaults(), SamplingDefaults(), c.tenants, c.views, r)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func newTable(t *testing.T) *recurse.Table {
	return compiled(t, servedLab(t), func(*recurse.Settings) {})
}

// Who is of which tenant, and which clients are alike to the views.
func TestClasses(t *testing.T) {
	table, err := Compile(AccessDefaults(), LimitDefaults(), SamplingDefaults(), []Tenant{
		{Tag: "a", Clients: prefixes("10.0.0.0/8")}, {Tag: "b", Clients: prefixes("10.0.1.0/24", "2001:db8::/32")}, {Tag: "c", Clients: prefixes("10.0.1.7/32")}, {Tag: "d", Clients: prefixes("192.0.2.0/24")},
	}, []View{{Tags: []string{"x"}, Group: "inside"}, {Tenants: []string{"a", "b"}, Group: "inside"}, {Tenants: []string{"c"}, Tags: []string{"y"}}}, newTable(t))
	if err != nil {
		t.Fatal(err)
	}
	for client, want := range map[string]struct {
		tag   string
		class int
	}{"10.1.1.1": {"a", 1}, "10.0.1.1": {"b", 1}, "2001:db8::1": {"b", 1}, "10.0.1.7": {"c", 2}, "192.0.2.1": {"d", 0}, "192.0.3.1": {"", 0}, "::1": {"", 0}} {
		addr := netip.MustParseAddr(client)
		if tag, class := table.Clients.Tag(addr), table.Clients.Class(addr); tag != want.tag || int(class) != want.class {
			t.Errorf("%s is of tenant %q and class %d, want %q and %d", client, tag, class, want.tag, want.class)
		}
	}
	if n := testing.AllocsPerRun(100, func() {
		table.Clients.Class(guestClient.Addr())
		table.Clients.Tag(guestClient.Addr())
		table.Clients.group("x", guestClient.Addr())
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A module that names a group which is not there has failed, and is told what to do.
func TestUnknownGroup(t *testing.T) {
	s := grouped(t, newPrograms(t), "phases: [query]\npure: true\n", nil, nil)
	table := s.Table()
	name := dns.MustParseName("unknown.example")
	var steps []plugin.Step
	asked := plugin.Query{Name: []byte(name.Wire()), Type: dns.TypeA, Groups: table.Recursion}
	_, fail := table.Plugins.Query(t.Context(), 0, &asked, name, func(s plugin.Step) { steps = append(steps, s) })
	if fail == nil || len(steps) != 1 || steps[0].Err == nil {
		t.Fatalf("it has not failed: %v, %+v", fail, steps)
	}
	err := steps[0].Err
	var hint interface{ Hint() string }
	if got := err.Error(); got != `it sends the query to a group that is not there: "nowhere"` || plugin.Reason(err) != "group" || !errors.As(err, &hint) || !strings.Contains(hint.Hint(), "settings.groups") {
		t.Errorf("it failed with %q (%s)", got, plugin.Reason(err))
	}
}

// A group that is gone when the query comes to be resolved is not replaced by the servers of all.
func TestGroupThatIsGone(t *testing.T) {
	s := grouped(t, newPrograms(t), "phases: [query]\npure: true\n", nil, nil)
	name := dns.MustParseName("group.example")
	without, err := recurse.Compile(recurse.Defaults(), new(cache.Table), nil, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	asked := plugin.Query{Name: []byte(name.Wire()), Type: dns.TypeA, Groups: s.Table().Recursion}
	out, err := Programmed(t.Context(), s.resolver, s.Table().Plugins, nil, asked, dns.Question{Name: name, Type: dns.TypeA, Class: dns.ClassINET}, 0, recurse.Opts{Table: without}, 0, nil)
	if err != nil || out.Answer.RCode != dns.RCodeServerFailure || out.Keeps || len(out.Answer.EDEs) != 1 || !strings.Contains(out.Answer.EDEs[0].Text, "inside") {
		t.Errorf("%+v, %v", out, err)
	}
}

// A tag that decides nothing as long as there are no views does not make its module count as one that has said nothing: the next look may be by settings that have some.
func TestTagIsNotForgotten(t *testing.T) {
	p := newPrograms(t)
	c := p.load(map[string][]byte{
		"acts": guest(t, "acts", "phases: [query]\nneeds: [client]\n"), "told": guest(t, "told", "phases: [query]\n"),
	}, nil, plugin.Plugin{Module: "acts", Phase: plugin.PhaseQuery, Grant: []string{"client"}}, plugin.Plugin{Module: "told", Phase: plugin.PhaseQuery})
	name := dns.MustParseName("tagged.example")
	asked := plugin.Query{Name: []byte(name.Wire()), Type: dns.TypeA, Client: guestClient.Addr()}
	pass, said := c.Passes(0, &asked, false)
	if pass {
		t.Fatal("it passes")
	}
	asked.Said = said
	if v, fail := c.Query(t.Context(), 0, &asked, name, nil); fail != nil || v.Tag != "guest" || v.TagBy != "acts" || v.Action != plugin.Address {
		t.Errorf("%v by %q, %v, of %s", v, v.TagBy, fail, v.Module)
	}
}
