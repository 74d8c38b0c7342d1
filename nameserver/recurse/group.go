package recurse

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/internal/strictyaml"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// Groups are servers that only those queries go to which a module or a view sends there. A group is a table of its own ([Table.Group]): the settings, but with the group's servers in place of all that stands at or below its zone. And it
// is a space of its own in the cache: what its servers say of a name is kept where only its queries look, and so are failures, keys of zones, and the jobs under way.

const (
	// maxGroups bounds settings.groups: each is a copy of the table, of half a KiB.
	maxGroups = 1000

	// MaxGroupName is how long the name of a group may be, in octets: as long as a tag.
	MaxGroupName = 63

	// groupJobs is which part of recursion.limits.jobs queries of groups may take, all together: a half, so that a group whose servers are down leaves the other one to everybody else.
	groupJobs = 2

	// maxKnownGroups is how many groups have a space that is remembered. Beyond it all get new ones, and begin anew: settings would have to change four times for each of the most groups that there can be.
	maxKnownGroups = 4 * maxGroups
)

// inGroup tells whether t is the table of a group.
func (t *Table) inGroup() bool { return t != nil && t.group != nil }

// group is a [Group], compiled.
type group struct {
	name    string
	zone    dns.Name // lower case
	kind    SourceKind
	servers []netip.AddrPort
	print   string // names all of it: what was learned of one is of no use to another
}

// has tells whether the group names a server at this address, on port 53.
func (g *group) has(a netip.Addr) bool {
	return slices.ContainsFunc(g.servers, func(s netip.AddrPort) bool { return s.Port() == dnsPort && s.Addr() == a })
}

var groupName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// CheckWord tells what is wrong with the name of a group, a tenant's tag or a view, which modules and people write in the same way; nil: nothing is.
func CheckWord(s string) error {
	if len(s) > MaxGroupName || !groupName.MatchString(s) {
		return fmt.Errorf("%q is no name: it may have small letters, digits and hyphens between them, and at most %d of them", s, MaxGroupName)
	}
	return nil
}

// checkGroups says what is wrong with groups.
func (t *Table) checkGroups(e *strictyaml.Errors, groups []Group) {
	if len(groups) > maxGroups {
		e.Addf("groups", "", "there are %d groups, more than %d", len(groups), maxGroups)
		return
	}
	first := make(map[string]int)
	for i, g := range groups {
		path := fmt.Sprintf("groups[%d]", i)
		if err := CheckWord(g.Name); err != nil {
			e.Addf(path+".name", "", "%w", err)
		}
		if other, twice := first[g.Name]; twice {
			e.Addf(path+".name", "remove one of the two", "%q is groups[%d] already", g.Name, other)
		}
		first[g.Name] = i
		t.checkServers(e, path, g.Servers)
	}
}

// compiledGroups makes tables with no more in them than their group; see regroup.
func (t *Table) compiledGroups(groups []Group) []*Table {
	var all []*Table
	for _, g := range groups {
		c := &group{name: g.Name, zone: g.Zone.Lower(), kind: KindForward, servers: slices.Clone(g.Servers)}
		if g.Zone.IsZero() {
			c.zone = dns.Root
		}
		if g.Kind == GroupStub {
			c.kind = KindStub
		}
		c.print = fmt.Sprintf("%s %v %v %v", c.name, c.kind, c.zone, c.servers)
		all = append(all, &Table{group: c})
	}
	slices.SortFunc(all, func(a, b *Table) int { return strings.Compare(a.group.name, b.group.name) })
	return all
}

// regroup makes the tables of the groups anew, of what t has become.
func (t *Table) regroup() {
	all := make([]*Table, len(t.groups))
	for i, g := range t.groups {
		c := *t
		c.group, c.groups = g.group, nil
		all[i] = &c
	}
	t.groups = all
}

// Group returns the table by which a query is resolved that is sent to a group: the same each time, so that jobs are shared. ok is false if there is no such group.
func (t *Table) Group(name string) (with *Table, ok bool) {
	i, ok := slices.BinarySearchFunc(t.groups, name, func(g *Table, name string) int { return strings.Compare(g.group.name, name) })
	if !ok {
		return nil, false
	}
	return t.groups[i], true
}

// HasGroup tells whether there is a group of that name.
func (t *Table) HasGroup(name string) bool {
	_, ok := t.Group(name)
	return ok
}

// Groups returns the names of all groups, sorted.
func (t *Table) Groups() []string {
	var all []string
	for _, g := range t.groups {
		all = append(all, g.group.name)
	}
	return all
}

// groupOf is the name of the group if its servers are those of a zone.
func (t *Table) groupOf(zone dns.Name) string {
	if t.group == nil || t.group.zone != zone {
		return ""
	}
	return t.group.name
}

// groups are the spaces of groups, by what they were made of. A group that changed is another one: it has a number that nothing was ever learned under.
type groups struct {
	mu   sync.RWMutex
	m    map[string]*Resolver
	last cache.Space
	name map[cache.Space]string
}

// within returns the resolver of a table's group; r itself where there is none, or where it is that one already. A failure says that there are no more numbers.
func (r *Resolver) within(t *Table) (*Resolver, *failure) {
	if t.group == nil || r.space != 0 {
		return r, nil
	}
	s := &r.groups
	s.mu.RLock()
	of := s.m[t.group.print]
	s.mu.RUnlock()
	if of != nil {
		return of, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if of = s.m[t.group.print]; of != nil {
		return of, nil
	}
	if s.last == cache.MaxSpace {
		return r, fail(forget, dns.EDEOther, fmt.Sprintf("settings.groups has changed more often than there are numbers for groups (%d): restart the node", cache.MaxSpace))
	}
	if len(s.m) >= maxKnownGroups {
		clear(s.m)
		s.name = nil
	}
	s.last++
	of = &Resolver{state: r.state, cache: r.whole.In(s.last), space: s.last}
	s.m[t.group.print] = of
	if s.name == nil {
		s.name = make(map[cache.Space]string)
	}
	s.name[s.last] = t.group.name
	return of, nil
}

// GroupIn says of which group a space of the cache is; "" for space 0, and for one whose group was forgotten.
func (r *Resolver) GroupIn(space cache.Space) string {
	r.groups.mu.RLock()
	defer r.groups.mu.RUnlock()
	return r.groups.name[space]
}
