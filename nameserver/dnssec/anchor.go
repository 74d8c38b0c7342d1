package dnssec

import (
	"bytes"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// These two are for whoever keeps trust anchors up to date (RFC 5011). They tell what one key did or is, and trust nobody for it.

// SignedBy tells whether a DNSKEY set is signed by this very key, which must be one of the set. A key with the REVOKE bit is taken like any
// other: its signature, and nothing else, makes its revocation (RFC 5011 section 2.1), and it proves nothing else. The result is
// Secure or Bogus; a Secure one says what the key said, not that the key is to be trusted.
func SignedBy(zone dns.Name, set *dns.RRset, rdata []byte, at time.Time, w *Work) Result {
	k, err := dns.ParseDNSKEY(rdata)
	if err != nil || set.Type != dns.TypeDNSKEY || !set.Name.Equal(zone) || !set.Data.Contains(rdata) {
		return bogus(dns.EDEDNSKEYMissing, "the key is none of the DNSKEY set of %v", zone)
	}
	tag := k.KeyTag()
	out, err := readRevocable(&k, tag, w.table)
	if err != nil {
		return bogus(dns.EDEDNSKEYMissing, "DNSKEY %d (%v) of %v %v", tag, Algorithm(k.Algorithm), zone, err)
	}
	return CheckSet(set, newKeys(zone, []key{out}), at, w)
}

// Names tells whether one of the DS records, which are all that there are, has the digest of this key of the zone (RFC 4034 section 5.1.4).
// Records that [CheckKeys] would not follow name no key.
func (t *Table) Names(zone dns.Name, ds dns.Records, rdata []byte) bool {
	k, err := dns.ParseDNSKEY(rdata)
	if err != nil {
		return false
	}
	tag := k.KeyTag()
	usable, _ := t.usable(zone, ds)
	for i := range usable {
		d := &usable[i]
		if d.KeyTag == tag && d.Algorithm == k.Algorithm &&
			bytes.Equal(d.Digest, digest(Digest(d.DigestType).row().hash, []byte(zone.Lower().Wire()), rdata)) {
			return true
		}
	}
	return false
}
