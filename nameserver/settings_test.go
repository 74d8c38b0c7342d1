package nameserver

import (
	"net/netip"
	"testing"

	"github.com/ananas-edge/ananas/nameserver/recurse"
)

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestCompile(t *testing.T) {
	table, err := Compile(AccessDefaults(), LimitDefaults(), SamplingDefaults(), nil, nil, &recurse.Table{})
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]bool{"127.8.9.10": true, "::1": true, "::ffff:127.0.0.1": true, "10.0.0.1": false, "::2": false} {
		if got := table.Access.Allowed(netip.MustParseAddr(addr)); got != want {
			t.Errorf("Allowed(%s) = %v", addr, got)
		}
		if table.Access.CacheOnlyAllowed(netip.MustParseAddr(addr)) {
			t.Errorf("%s may look into the cache", addr)
		}
	}
	some, err := Compile(AccessSettings{prefixes("10.0.0.0/8"), prefixes("10.1.0.0/16")}, LimitDefaults(), SamplingDefaults(), nil, nil, &recurse.Table{})
	if err != nil {
		t.Fatal(err)
	}
	if a := netip.MustParseAddr("10.1.2.3"); !some.Access.CacheOnlyAllowed(a) || some.Access.CacheOnlyAllowed(netip.MustParseAddr("10.2.0.0")) {
		t.Error("cache_only is not honoured")
	}
	if some.Fingerprint() == table.Fingerprint() {
		t.Error("two tables have one fingerprint")
	}
	same, _ := Compile(AccessSettings{prefixes("10.0.0.0/9", "10.128.0.0/9"), prefixes("10.1.0.0/16")}, LimitDefaults(), SamplingDefaults(), nil, nil, &recurse.Table{})
	if some.Fingerprint() != same.Fingerprint() {
		t.Error("one table has two fingerprints")
	}
}

func TestCompileErrors(t *testing.T) {
	l := LimitDefaults()
	l.QueriesPerClient = l.Queries + 1
	_, err := Compile(AccessSettings{prefixes("10.0.0.0/8"), prefixes("10.1.0.0/16", "192.0.2.0/24")}, l, SamplingDefaults(), nil, nil, &recurse.Table{})
	want := `limits.queries_per_client: 20001 is more than limits.queries, which is 20000
access.cache_only[1]: 192.0.2.0/24 may not ask at all
	hint: add it to access.allow too`
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}
