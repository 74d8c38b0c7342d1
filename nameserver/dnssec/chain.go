package dnssec

import (
	"bytes"
	"slices"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// CheckKeys tells which keys of a zone can be trusted (RFC 4035 section 5.2). ds holds the validated DS records of the zone, or those that the
// settings have for it, and anchors the DNSKEY records that they have; either may be empty. dnskey is what the zone says of its
// keys, nil if it says nothing.
//
// Secure: a key that ds or anchors name signs the set; all usable keys of the zone are returned. Its Until and TTL are those of the set:
// the DS records may end sooner.
// Insecure: none of ds and anchors is of a supported algorithm and digest, so the zone counts as unsigned. This
// does not depend on dnskey; [Table.Usable] tells it beforehand.
// Bogus: all else.
func CheckKeys(zone dns.Name, dnskey *dns.RRset, ds, anchors dns.Records, at time.Time, w *Work) (*Keys, Result) {
	c := keysCheck{zone: zone.Lower(), set: dnskey, anchors: anchors, at: at, work: w}
	keys, r := c.run(ds)
	r.Zone = c.zone
	return keys, r
}

// Usable tells whether a zone with these DS records or these DNSKEY records as trust anchors can be validated. If not, it is insecure, and why
// says for want of what.
func (t *Table) Usable(zone dns.Name, ds, anchors dns.Records) (ok bool, why dns.EDE) {
	usable, why := t.usable(zone, ds)
	for rdata := range anchors.All() {
		k, err := dns.ParseDNSKEY(rdata)
		if err != nil {
			continue
		}
		if t.SupportsAlgorithm(Algorithm(k.Algorithm)) {
			return true, dns.EDE{}
		}
		if why.Text == "" {
			why = dns.EDE{Code: dns.EDEUnsupportedDNSKEY, Text: text("trust anchor of %v, key %d, is of algorithm %v, which is not supported", zone, k.KeyTag(), Algorithm(k.Algorithm))}
		}
	}
	if len(usable) > 0 {
		return true, dns.EDE{}
	}
	return false, why
}

// usable returns the DS records that can be followed: of a supported algorithm and digest, and not of SHA-1 if there is a better one
// (RFC 4509 section 3). A better one that can't be followed does not count: it would make the zone insecure, which helps nobody.
// If there is none, why says for want of what.
func (t *Table) usable(zone dns.Name, records dns.Records) (usable []dns.DS, why dns.EDE) {
	better, looked := false, 0
	for rdata := range records.All() {
		if looked++; looked > maxLooked {
			break
		}
		d, err := dns.ParseDS(rdata)
		if err != nil {
			continue // nothing that could be followed
		}
		a, digest := Algorithm(d.Algorithm), Digest(d.DigestType)
		switch {
		case !t.SupportsAlgorithm(a):
			if why.Text == "" {
				why = dns.EDE{Code: dns.EDEUnsupportedDNSKEY, Text: text("DS %d of %v is of algorithm %v, which is not supported", d.KeyTag, zone, a)}
			}
		case !t.SupportsDigest(digest):
			if why.Code != dns.EDEUnsupportedDS { // says more: the key could be used
				why = dns.EDE{Code: dns.EDEUnsupportedDS, Text: text("DS %d of %v has a digest of type %v, which is not supported", d.KeyTag, zone, digest)}
			}
		default:
			usable = append(usable, d)
			better = better || digest != SHA1
		}
	}
	if better {
		usable = slices.DeleteFunc(usable, func(d dns.DS) bool { return Digest(d.DigestType) == SHA1 })
	}
	return usable, why
}

// keysCheck is the check of the keys of one zone.
type keysCheck struct {
	zone    dns.Name // lower case
	set     *dns.RRset
	anchors dns.Records
	ds      []dns.DS
	at      time.Time
	work    *Work

	digests []keyDigest // computed so far
	code    dns.EDECode // why a key that is named can not be used
	why     string
}

type keyDigest struct {
	record int // which of the set
	kind   Digest
	octets []byte
}

func (c *keysCheck) run(ds dns.Records) (*Keys, Result) {
	t := c.work.table
	if ok, why := t.Usable(c.zone, ds, c.anchors); !ok {
		if why.Text == "" {
			return nil, bogus(dns.EDEBogus, "nothing names a key of %v", c.zone)
		}
		return nil, Result{Security: cache.Insecure, EDE: why}
	}
	c.ds, _ = t.usable(c.zone, ds)
	if c.set == nil || c.set.Data.Len() == 0 {
		return nil, bogus(dns.EDEDNSKEYMissing, "%v has no DNSKEY, though %s", c.zone, c.wanted())
	}
	if c.set.Type != dns.TypeDNSKEY || !c.set.Name.Equal(c.zone) {
		return nil, bogus(dns.EDEBogus, "%v %v are not the keys of %v", c.set.Name, c.set.Type, c.zone)
	}
	trusted, limit := c.trusted()
	if len(trusted) == 0 {
		switch {
		case limit != NoLimit:
			return nil, exceeded(limit, "comparing the keys of %v with its DS records takes too much work", c.zone)
		case c.why != "":
			return nil, bogus(c.code, "%s", c.why)
		}
		return nil, bogus(dns.EDEDNSKEYMissing, "no DNSKEY of %v fits, though %s", c.zone, c.wanted())
	}
	r := CheckSet(c.set, newKeys(c.zone, trusted), c.at, c.work)
	if !r.Secure() {
		return nil, r
	}
	return c.all(trusted), r
}

// wanted says what names keys, for people.
func (c *keysCheck) wanted() string {
	if len(c.ds) > 0 {
		d := c.ds[0]
		return text("DS %d (%v, %v) is there", d.KeyTag, Algorithm(d.Algorithm), Digest(d.DigestType))
	}
	return "there is a trust anchor"
}

// trusted returns the keys that the DS records or the anchors name.
func (c *keysCheck) trusted() (trusted []key, limit Limit) {
	record := -1
	for rdata := range c.set.Data.All() {
		record++
		k, err := dns.ParseDNSKEY(rdata)
		if err != nil || len(trusted) >= c.work.table.limits.Keys {
			continue
		}
		tag := k.KeyTag()
		if isOneOf(trusted, &k, tag) {
			continue
		}
		named, l := c.named(record, rdata, &k, tag)
		if l != NoLimit {
			return trusted, l
		}
		if !named {
			continue
		}
		out, err := readKey(&k, tag, c.work.table)
		if err != nil {
			c.code, c.why = dns.EDEDNSKEYMissing, text("DNSKEY %d (%v) of %v, which is trusted, %v", tag, Algorithm(k.Algorithm), c.zone, err)
			if err == errNotZoneKey {
				c.code = dns.EDENoZoneKeyBit
			}
			continue
		}
		trusted = append(trusted, out)
	}
	return trusted, NoLimit
}

// named tells whether an anchor is this key, or a DS record has its digest (RFC 4034 section 5.1.4).
func (c *keysCheck) named(record int, rdata []byte, k *dns.DNSKEY, tag uint16) (bool, Limit) {
	if c.anchors.Contains(rdata) {
		return true, NoLimit
	}
	for i := range c.ds {
		d := &c.ds[i]
		if d.KeyTag != tag || d.Algorithm != k.Algorithm {
			continue
		}
		octets, l := c.digest(record, rdata, Digest(d.DigestType))
		if l != NoLimit {
			return false, l
		}
		if bytes.Equal(octets, d.Digest) {
			return true, NoLimit
		}
	}
	return false, NoLimit
}

// digest computes the digest of a key once, however many DS records there are to compare it with.
func (c *keysCheck) digest(record int, rdata []byte, kind Digest) ([]byte, Limit) {
	for _, d := range c.digests {
		if d.record == record && d.kind == kind {
			return d.octets, NoLimit
		}
	}
	if l := c.work.spendDigest(); l != NoLimit {
		return nil, l
	}
	d := keyDigest{record, kind, digest(kind.row().hash, []byte(c.zone.Wire()), rdata)}
	c.digests = append(c.digests, d)
	return d.octets, NoLimit
}

// all returns the usable keys of the set, which is validated: the trusted ones and, while the limit allows, the others.
func (c *keysCheck) all(trusted []key) *Keys {
	limit := c.work.table.limits.Keys
	keys, omitted := trusted, false
	for rdata := range c.set.Data.All() {
		k, err := dns.ParseDNSKEY(rdata)
		if err != nil {
			continue
		}
		tag := k.KeyTag()
		if isOneOf(keys, &k, tag) {
			continue
		}
		if len(keys) >= limit {
			c.work.reach(LimitKeys)
			omitted = true
			break
		}
		if out, err := readKey(&k, tag, c.work.table); err == nil {
			keys = append(keys, out)
		}
	}
	all := newKeys(c.zone, keys)
	all.omitted = omitted
	return all
}

// isOneOf tells whether a key is there already. The tag tells apart what has the same public key and other flags.
func isOneOf(keys []key, k *dns.DNSKEY, tag uint16) bool {
	return slices.ContainsFunc(keys, func(o key) bool {
		return o.tag == tag && o.algorithm == Algorithm(k.Algorithm) && bytes.Equal(o.public, k.PublicKey)
	})
}
