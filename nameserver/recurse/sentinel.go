package recurse

import (
	"fmt"
	"strings"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// The root key sentinel (RFC 8509): names by which anybody can find out, from the answers alone, whether a resolver trusts a key of the root.
// They are common names, resolved and validated like all others; only then their first label counts.

const (
	sentinelIsTA  = "root-key-sentinel-is-ta-"
	sentinelNotTA = "root-key-sentinel-not-ta-"
	sentinelTag   = 5 // digits, with leading zeros
)

// sentinel makes a failure of the answer that the sentinel of its name does not want (section 3); nil if it stands.
func sentinel(t *Table, q dns.Question, a *Answer) *failure {
	if q.Type != dns.TypeA && q.Type != dns.TypeAAAA || a.Security != cache.Secure || a.RCode != dns.RCodeSuccess {
		return nil
	}
	label := q.Name.Label()
	rest, is := strings.CutPrefix(label, sentinelIsTA)
	not := false
	if !is {
		if rest, not = strings.CutPrefix(label, sentinelNotTA); !not {
			return nil
		}
	}
	tag := 0
	if len(rest) != sentinelTag {
		return nil
	}
	for _, c := range rest {
		if c < '0' || c > '9' {
			return nil
		}
		tag = tag*10 + int(c-'0')
	}
	if tag > 0xFFFF || t.rootTrusts(uint16(tag)) == is {
		return nil
	}
	what := "is no trust anchor"
	if not {
		what = "is a trust anchor"
	}
	return fail(forget, dns.EDEOther, fmt.Sprintf("root key %d %s here, which is what the name %v asks (RFC 8509)", tag, what, q.Name))
}

// rootTrusts tells whether a trust anchor of the root has this key tag.
func (t *Table) rootTrusts(tag uint16) bool {
	a := t.anchors[dns.Root]
	for data := range a.DS.All() {
		if d, err := dns.ParseDS(data); err == nil && d.KeyTag == tag {
			return true
		}
	}
	for data := range a.DNSKEY.All() {
		if k, err := dns.ParseDNSKEY(data); err == nil && k.KeyTag() == tag {
			return true
		}
	}
	return false
}
