package settings

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/internal/namedfile"
	"github.com/ananas-edge/ananas/internal/strictyaml"
	"github.com/ananas-edge/ananas/nameserver"
	"github.com/ananas-edge/ananas/nameserver/cache"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/nameserver/recurse"
	"github.com/ananas-edge/ananas/rollout"
)

// Tables are the part `settings` of a file, compiled: one table for each path through the node.
type Tables struct {
	Nameserver *nameserver.Table
	Cache      *cache.Table
	Rollout    *rollout.Table
	Plugins    *plugin.Table // modules that are to run; who has a loader makes a chain of it, for Loaded

	warnings []recurse.Warning          // of what no single table sees
	lists    []recurse.Warning          // of data sets that were compiled
	contents map[string]*namedfile.File // of the files that the settings name
}

// Fingerprint names what the tables say: tables that act alike have the same one.
func (t *Tables) Fingerprint() string { return t.Nameserver.Fingerprint() }

// Warnings are what is allowed in the settings, and hardly ever meant; now is wall time.
func (t *Tables) Warnings(now time.Time) []recurse.Warning {
	return slices.Concat(t.warnings, t.lists, t.Nameserver.Recursion.Warnings(now))
}

// ListWarnings are those of the data sets alone, once modules are loaded.
func (t *Tables) ListWarnings() []recurse.Warning { return t.lists }

// Loaded gives the tables a chain that was made of t.Plugins; nil: there is none.
func (t *Tables) Loaded(c *plugin.Chain) {
	if c == nil {
		return
	}
	t.Nameserver = t.Nameserver.WithPlugins(c)
	for _, l := range c.Lists() {
		for _, r := range l.Info.Remarks(l.Name) {
			t.lists = append(t.lists, recurse.Warning{Path: l.Path, Text: r.Text, Hint: r.Hint})
		}
	}
}

// Compile checks the part `settings` as a whole, reads the files that it names, and makes its tables. listeners are the
// addresses at which this node answers, those of interfaces in place of one that stands for all: no question may go to them. The
// error is a [*strictyaml.Errors]; nothing else is returned with it.
func (f *File) Compile(listeners []netip.AddrPort) (*Tables, error) {
	return f.compile(listeners, f.readNamed)
}

// CompileAgain is Compile of a file that tables were made of before: what it names is what it was then, whatever lies there by now.
func (f *File) CompileAgain(listeners []netip.AddrPort, before *Tables) (*Tables, error) {
	return f.compile(listeners, func(name string, most int64) (*namedfile.File, error) {
		if content := before.contents[name]; content != nil {
			return content.AtMost(name, most)
		}
		return f.readNamed(name, most)
	})
}

func (f *File) compile(listeners []netip.AddrPort, read func(name string, most int64) (*namedfile.File, error)) (*Tables, error) {
	contents := make(map[string]*namedfile.File)
	t, err := f.Settings.compile(listeners, func(name string, most int64) (*namedfile.File, error) {
		content, err := read(name, most)
		if err == nil {
			contents[name] = content
		}
		return content, err
	}, f.MostOf)
	if err != nil {
		return nil, f.locate(err)
	}
	t.contents = contents
	if f.Empty() {
		t.warnings = append(t.warnings, recurse.Warning{
			Text: "the file has no settings, so that all of them are the defaults", Hint: "is it the right file? {} is how to say that nothing is to be set",
		})
	}
	t.warnings = append(t.warnings, f.Settings.warnOpen(listeners)...)
	return t, nil
}

// Locate gives errors about the part `settings`, with paths below it, their place: those of what is made of tables later.
func (f *File) Locate(err error) error { return f.locate(err) }

// Check opens and compiles a file without using it. The lists that modules ask, and the modules themselves, are compiled by who loads them.
func Check(name string) (*Tables, error) {
	f, err := Open(name)
	if err != nil {
		return nil, err
	}
	return f.Compile(f.Node.Listen.DNS)
}

// Rewritten lists the files that the settings of two tables name, and that have another content now, sorted.
func (t *Tables) Rewritten(since *Tables) (names []string) {
	for name, content := range t.contents {
		if was, ok := since.contents[name]; ok && was.Sum() != content.Sum() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Empty tells whether there is a file and nothing in it but comments. Whoever means that writes {}: a file that is being written is empty for
// a moment.
func (f *File) Empty() bool { return f.name != "" && f.doc.Empty() }

// warnOpen tells of a resolver that answers the world (RFC 5358), if it can be reached from elsewhere.
func (s *Settings) warnOpen(listeners []netip.AddrPort) []recurse.Warning {
	if !slices.ContainsFunc(listeners, func(l netip.AddrPort) bool { return !l.Addr().IsLoopback() }) {
		return nil
	}
	for i, p := range s.Access.Allow {
		if worldwide(p) {
			return []recurse.Warning{{
				Path: fmt.Sprintf("access.allow[%d]", i),
				Text: fmt.Sprintf("access.allow has %v: this is an open resolver, which anybody can use to flood others (RFC 5358)", p),
				Hint: "name the networks of your clients; if you mean it, keep strangers out with a firewall",
			}}
		}
	}
	return nil
}

// worldwide tells whether a prefix holds more than anybody's own networks: IANA gives no more than a /8 of IPv4, and a /12 of global IPv6 addresses
// (2000::/3).
func worldwide(p netip.Prefix) bool {
	if p.Addr().Is4() {
		return p.Bits() < 8
	}
	return p.Bits() < 12 && p.Overlaps(netip.MustParsePrefix("2000::/3"))
}

// compile makes the tables of s; files returns a file that s names, of at most so many octets, and mostOf how many that are.
func (s *Settings) compile(listeners []netip.AddrPort, files func(string, int64) (*namedfile.File, error), mostOf func(string) int64) (*Tables, error) {
	var e strictyaml.Errors
	c, err := cache.Compile(s.Cache)
	e.Join("cache", err)
	if err != nil {
		c = new(cache.Table) // so that what is wrong with the rest is told too
	}
	r, err := recurse.Compile(s.Recursion, c, s.Stub, s.Forward, s.Groups, func(name string) ([]byte, error) {
		f, err := files(name, mostOf(name))
		if err != nil {
			return nil, err
		}
		return f.Read()
	})
	e.Join("", err)
	for i, u := range s.Stub {
		checkLoop(&e, fmt.Sprintf("stub[%d]", i), "servers", u.Servers, listeners)
	}
	for i, u := range s.Forward {
		checkLoop(&e, fmt.Sprintf("forward[%d]", i), "servers", u.Servers, listeners)
	}
	for i, u := range s.Groups {
		checkLoop(&e, fmt.Sprintf("groups[%d]", i), "servers", u.Servers, listeners)
	}
	checkLoop(&e, "recursion.local_root", "axfr", s.Recursion.LocalRoot.AXFR, listeners)
	if r != nil {
		r = r.WithListeners(listeners)
	}
	o, err := rollout.Compile(s.Rollout)
	e.Join("rollout", err)
	p, err := plugin.Compile(s.Modules, s.Data, s.Plugins, files)
	e.Join("", err)
	n, err := nameserver.Compile(s.Access, s.Limits, s.Sampling, s.Tenants, s.Views, r)
	e.Join("", err)
	if err := e.OrNil(); err != nil {
		return nil, err
	}
	return &Tables{Nameserver: n, Cache: c, Rollout: o, Plugins: p}, nil
}

// checkLoop refuses to send questions to ourselves.
func checkLoop(e *strictyaml.Errors, path, key string, servers, listeners []netip.AddrPort) {
	for i, server := range servers {
		if slices.ContainsFunc(listeners, func(l netip.AddrPort) bool {
			return l == server || l.Port() == server.Port() && l.Addr().IsUnspecified() && server.Addr().IsLoopback()
		}) {
			e.Addf(fmt.Sprintf("%s.%s[%d]", path, key, i), "name another server, or another address in node.listen.dns",
				"%v is this node itself: it would ask itself for ever", server)
		}
	}
}

// Restart lists the keys whose values differ between the file that a node runs on and the next one, and that are read only
// when a node starts.
func Restart(running, next *File) []string {
	return differing(running, next, func(k strictyaml.Key) bool { return !Live(k) })
}

// Changed lists the keys whose values differ and that are swapped in live. What a file holds that they name does not show here,
// but in the fingerprint of the tables.
func Changed(running, next *File) []string { return differing(running, next, Live) }

func differing(running, next *File, which func(strictyaml.Key) bool) []string {
	var out []string
	for _, k := range strictyaml.Different(running, next) {
		if which(k) {
			out = append(out, k.Path)
		}
	}
	return out
}

// Live tells whether a change of this key is swapped in without a restart.
func Live(k strictyaml.Key) bool {
	return k.Path != "node" && !strings.HasPrefix(k.Path, "node.") && k.Tag.Get("live") != "false"
}
