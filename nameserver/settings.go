package nameserver

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"time"

	"crypto/sha256"

	"github.com/ananas-edge/ananas/internal/prefixset"
	"github.com/ananas-edge/ananas/internal/strictyaml"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/nameserver/recurse"
)

// AccessSettings say who may ask. They are swapped in live.
type AccessSettings struct {
	// Allow holds the prefixes of clients that are answered; all others get REFUSED. The default is this machine: a resolver that
	// answers the world is used to attack others (RFC 5358).
	Allow []netip.Prefix `yaml:"allow"`

	// CacheOnly holds the prefixes whose questions without RD are answered, from the cache alone. Whoever may do that can see
	// what others asked for, so the default is none. A client must be in Allow as well.
	CacheOnly []netip.Prefix `yaml:"cache_only"`
}

// Limits bound what clients can use up. They are swapped in live, and hold for queries that come from then on. Each has a series in
// ananas_nameserver_limits_total.
type Limits struct {
	// Queries is how many queries may wait for a resolution; beyond it only what is cached is answered. One takes about
	// 12 KiB with its goroutine: 240 MiB. At 10,000 misses a second it is 2 s of them.
	Queries int `yaml:"queries" min:"1" max:"1000000"`

	// QueriesPerClient is how many of them one client may have: an IPv4 address, or the /64 of an IPv6 address, which one host
	// can have all of. A browser with a hundred tabs waits for some 50, the forwarder of an office with 1,000 misses a second at
	// 0.3 s each for 300; 20 clients at the limit fill Queries.
	QueriesPerClient int `yaml:"queries_per_client" min:"1" max:"1000000"`

	// ClientTime is how long a query waits until it is answered SERVFAIL, with the reason. dig and the resolvers of libraries give up after 5 s or ask
	// anew from another port (RES_TIMEOUT): what comes later nobody hears. Half a second is for the way back. The resolution goes on behind
	// it, for recursion.limits.query_time, so that who asks again joins it or finds its answer.
	ClientTime time.Duration `yaml:"client_time" min:"100ms" max:"1m"`

	// ClientRate is how many queries a second one client may ask: an IPv4 address, or the /64 of an IPv6 address; 0 is as many as it likes. It may ask so many at
	// once as it may in a second, or 100. What is more gets TC over UDP. Over TCP, or with the cookie that it got from here, it has the same once
	// more, and REFUSED beyond. Ten million is more than
	// a machine answers.
	ClientRate int `yaml:"client_rate" min:"0" max:"10000000"`

	// UDPAnswer is the largest answer over UDP, in octets, whatever the client says it can take. See recursion.limits.udp_payload.
	UDPAnswer int `yaml:"udp_answer" min:"512" max:"4096"`
}

// AccessDefaults returns who may ask where nothing else is set.
func AccessDefaults() AccessSettings {
	return AccessSettings{
		Allow:     []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		CacheOnly: []netip.Prefix{},
	}
}

// LimitDefaults returns the limits where nothing else is set. The arithmetic is with the fields.
func LimitDefaults() Limits {
	return Limits{
		Queries:          20_000,
		QueriesPerClient: 1000,
		ClientTime:       4500 * time.Millisecond,
		UDPAnswer:        1232,
	}
}

// Table is all settings of the DNS path, compiled. It is immutable; a query takes it once.
type Table struct {
	Recursion *recurse.Table
	Access    Access
	Limits    Limits
	Rate      Rate
	Sampling  SamplingSettings
	Plugins   *plugin.Chain // nil: no modules run
	Clients   *Clients      // nil: there are neither tenants nor views

	answers string // names all that records of answers depend on
}

// Access tells who may ask.
type Access struct{ allow, cacheOnly prefixset.Set }

// Allowed tells whether this client is answered at all.
func (a *Access) Allowed(client netip.Addr) bool { return a.allow.Contains(client) }

// CacheOnlyAllowed tells whether this client's questions without RD are answered, from the cache.
func (a *Access) CacheOnlyAllowed(client netip.Addr) bool { return a.cacheOnly.Contains(client) }

// Compile checks the settings and makes a table of them and of what was compiled of recursion. The error is a
// [*strictyaml.Errors] with paths as within the part "settings" of a file.
func Compile(a AccessSettings, l Limits, p SamplingSettings, tenants []Tenant, views []View, r *recurse.Table) (*Table, error) {
	var e strictyaml.Errors
	if l.QueriesPerClient > l.Queries {
		e.Addf("limits.queries_per_client", "", "%d is more than limits.queries, which is %d", l.QueriesPerClient, l.Queries)
	}
	t := &Table{Recursion: r, Access: Access{prefixset.New(a.Allow), prefixset.New(a.CacheOnly)}, Limits: l, Rate: rateOf(l.ClientRate), Sampling: p}
	t.Clients = compileClients(&e, tenants, views, r)
	if r != nil { // else it has errors of its own
		t.named()
	}
	for i, p := range a.CacheOnly {
		if !t.Access.Allowed(p.Addr()) {
			e.Addf(fmt.Sprintf("access.cache_only[%d]", i), "add it to access.allow too", "%v may not ask at all", p)
		}
	}
	if err := e.OrNil(); err != nil {
		return nil, err
	}
	return t, nil
}

// WithRecursion returns the table with another one for recursion.
func (t *Table) WithRecursion(r *recurse.Table) *Table {
	other := *t
	other.Recursion = r
	return other.named()
}

// WithPlugins returns the table with other modules.
func (t *Table) WithPlugins(c *plugin.Chain) *Table {
	other := *t
	other.Plugins = c
	return other.named()
}

// named sets what answers depend on.
func (t *Table) named() *Table {
	t.answers = t.Recursion.Fingerprint() + t.Clients.print()
	if t.Plugins != nil {
		t.answers += " " + t.Plugins.Epoch()
	}
	return t
}

// Fingerprint names what the table says: two tables that act alike have the same one. It reads the whole table.
func (t *Table) Fingerprint() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%v\n%v\n%+v\n%+v", t.answers, t.Access.allow.String(), t.Access.cacheOnly.String(), t.Limits, t.Sampling)
	return hex.EncodeToString(h.Sum(nil)[:16])
}
