package nameserver

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/ananas-edge/ananas/internal/prefixset"
	"github.com/ananas-edge/ananas/internal/strictyaml"
	"github.com/ananas-edge/ananas/nameserver/cache"
	"github.com/ananas-edge/ananas/nameserver/recurse"
)

// Tenant is a word for some clients, for modules that see clients, and for views.
type Tenant struct {
	Tag     string         `yaml:"tag" required:"true" key:"true"`
	Clients []netip.Prefix `yaml:"clients" required:"true" items:"1"` // of several that hold a client the longest counts
}

// View says which group resolves a query. Of the views that fit it the first counts, and a module's own word for a group before any of them.
type View struct {
	Tags    []string `yaml:"tags"`    // the query has one of them from a module; none: whatever it has
	Tenants []string `yaml:"tenants"` // the client is of one of them; none: whoever it is
	Group   string   `yaml:"group"`   // "" is none: it is resolved as all queries are
}

// Limits of what settings may hold.
const (
	maxTenants        = 10_000
	maxTenantPrefixes = 100_000 // of all together: with both ends of each 6 MiB
	maxViews          = 200     // which views are for a tenant takes 4 octets of each: 8 MiB
)

// Clients are tenants and views, compiled. nil has neither. It is immutable.
type Clients struct {
	prefixes prefixset.Map
	tenants  []tenant
	none     tenant // who is of no tenant
	views    []View
	byTag    bool // a tag can decide
	byTenant bool // not all clients are alike to the views
	words    string
}

// tenant is one, as the views see it.
type tenant struct {
	tag   string
	fits  []int32 // the views that fit it, if the tag does too
	class cache.Space
}

// compileClients checks tenants and views. r is the table of recursion, which has the groups; nil: it has errors of its own.
func compileClients(e *strictyaml.Errors, tenants []Tenant, views []View, r *recurse.Table) *Clients {
	if len(tenants) == 0 && len(views) == 0 {
		return nil
	}
	sorted := slices.SortedFunc(slices.Values(tenants), func(a, b Tenant) int { return strings.Compare(a.Tag, b.Tag) }) // a store does not know their order
	c := &Clients{views: views, words: fmt.Sprintf(" %q %q", sorted, views)}
	if len(tenants) > maxTenants {
		e.Addf("tenants", "", "there are %d tenants, more than %d", len(tenants), maxTenants)
		return c
	}
	if len(views) > maxViews {
		e.Addf("views", "", "there are %d views, more than %d", len(views), maxViews)
		return c
	}
	var all []prefixset.Of
	known, owner := make(map[string]bool), make(map[netip.Prefix]string)
	for i, t := range tenants {
		path := fmt.Sprintf("tenants[%d]", i)
		if err := recurse.CheckWord(t.Tag); err != nil {
			e.Addf(path+".tag", "", "%w", err)
		}
		if known[t.Tag] {
			e.Addf(path+".tag", "put the clients of both into one", "there are two tenants %q", t.Tag)
		}
		known[t.Tag] = true
		for k, p := range t.Clients {
			if other, twice := owner[p.Masked()]; twice {
				e.Addf(fmt.Sprintf("%s.clients[%d]", path, k), "remove one of the two", "%v is of tenant %q already", p, other)
			}
			owner[p.Masked()] = t.Tag
		}
	}
	for i, t := range sorted {
		for _, p := range t.Clients {
			all = append(all, prefixset.Of{Prefix: p, Value: int32(i)})
		}
	}
	if len(all) > maxTenantPrefixes {
		e.Addf("tenants", "", "they have %d prefixes, more than %d", len(all), maxTenantPrefixes)
		return c
	}
	for i, v := range views {
		c.checkView(e, fmt.Sprintf("views[%d]", i), &v, known, r)
		c.byTag = c.byTag || len(v.Tags) > 0
	}
	c.prefixes = prefixset.NewMap(all)
	c.classify(sorted)
	return c
}

func (c *Clients) checkView(e *strictyaml.Errors, path string, v *View, tenants map[string]bool, r *recurse.Table) {
	if len(v.Tags) == 0 && len(v.Tenants) == 0 {
		e.Addf(path, "say tags, tenants, or both; to send all queries somewhere, make it a forward or stub of \".\"", "it has neither tags nor tenants, so that it would be for all queries")
	}
	for k, tag := range v.Tags {
		if tag == "" || len(tag) > recurse.MaxGroupName {
			e.Addf(fmt.Sprintf("%s.tags[%d]", path, k), "", "a tag has 1 to %d octets", recurse.MaxGroupName)
		}
	}
	for k, tag := range v.Tenants {
		if !tenants[tag] {
			e.Addf(fmt.Sprintf("%s.tenants[%d]", path, k), "add it to settings.tenants, or name another one", "there is no tenant %q", tag)
		}
	}
	if v.Group != "" && r != nil && !r.HasGroup(v.Group) {
		e.Addf(path+".group", "add it to settings.groups, or name another one", "there is no group %q", v.Group)
	}
}

// classify finds out which views are for whom, and puts those into one class whom the same are for. Settings that are the same make the same numbers.
func (c *Clients) classify(tenants []Tenant) {
	fits := make(map[string][]int32)
	for i, v := range c.views {
		if len(v.Tenants) == 0 {
			c.none.fits = append(c.none.fits, int32(i))
		}
		for _, tag := range v.Tenants {
			fits[tag] = append(fits[tag], int32(i))
		}
	}
	classes := map[string]cache.Space{fmt.Sprint(c.none.fits): 0}
	for _, t := range tenants {
		one := tenant{tag: t.Tag, fits: c.none.fits}
		if own := fits[t.Tag]; len(own) > 0 {
			one.fits = append(slices.Clone(own), c.none.fits...)
			slices.Sort(one.fits)
			one.fits = slices.Compact(one.fits) // a view may name a tenant twice
		}
		key := fmt.Sprint(one.fits)
		class, ok := classes[key]
		if !ok {
			class = cache.Space(len(classes))
			classes[key] = class
		}
		one.class = class
		c.byTenant = c.byTenant || class != 0
		c.tenants = append(c.tenants, one)
	}
}

func (c *Clients) of(client netip.Addr) *tenant {
	if i := c.prefixes.Lookup(client); i >= 0 {
		return &c.tenants[i]
	}
	return &c.none
}

// Tag returns the tag of a client's tenant; "" if it is of none.
func (c *Clients) Tag(client netip.Addr) string {
	if c == nil {
		return ""
	}
	return c.of(client).tag
}

// Class returns which clients are to the views what this one is: answers that are kept as they are sent are kept for a class. 0 is the class of who is of no tenant.
func (c *Clients) Class(client netip.Addr) cache.Space {
	if c == nil || !c.byTenant {
		return 0
	}
	return c.of(client).class
}

// tagged tells whether a module's tag can decide which group is asked.
func (c *Clients) tagged() bool { return c != nil && c.byTag }

// group returns the group that the views choose for a query with this tag ("" is none); "" if they choose none.
func (c *Clients) group(tag string, client netip.Addr) string {
	if c == nil || len(c.views) == 0 {
		return ""
	}
	for _, i := range c.of(client).fits {
		if v := &c.views[i]; len(v.Tags) == 0 || tag != "" && slices.Contains(v.Tags, tag) {
			return v.Group
		}
	}
	return ""
}

// Group returns the group that a client's queries go to if no module says anything; "": they are resolved as all queries are.
func (c *Clients) Group(client netip.Addr) string { return c.group("", client) }

// print names all of it.
func (c *Clients) print() string {
	if c == nil {
		return ""
	}
	return c.words
}
