package dnssec

import (
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// A key signed its set or not, revoked or not.
func TestSignedBy(t *testing.T) {
	zone := name("example.")
	for _, a := range validated() {
		key := flagged(newSigner(a, 1), 257)
		other, revoked := flagged(newSigner(ECDSAP384SHA384, 2), 257), flagged(key, 257|dns.DNSKEYFlagRevoke)
		for _, tc := range []struct {
			what string
			set  *dns.RRset
			by   *signer
			text string // of the refusal; "": it did
		}{
			{what: "it did", set: keySet(t, "example.", []*signer{key, other}, key), by: key},
			{what: "and another did", set: keySet(t, "example.", []*signer{key, other}, other, key), by: key},
			{what: "another did", set: keySet(t, "example.", []*signer{key, other}, other), by: key, text: "is by no DNSKEY of example., which are "},
			{what: "revoked", set: keySet(t, "Example.", []*signer{revoked, other}, revoked), by: revoked},
			{what: "revoked, and another signs", set: keySet(t, "example.", []*signer{revoked, other}, other), by: revoked, text: "is by no DNSKEY of"},
			{what: "the signature is from before the revocation", set: keySet(t, "example.", []*signer{revoked, other}, key), by: revoked, text: "is by no DNSKEY of"},
			{what: "not in the set", set: keySet(t, "example.", []*signer{other}, key), by: key, text: "is none of the DNSKEY set of example."},
			{what: "in the set as revoked", set: keySet(t, "example.", []*signer{revoked}, revoked), by: key, text: "is none of"},
			{what: "of another zone", set: keySet(t, "test.", []*signer{key}, key), by: key, text: "is none of"},
			{what: "no zone key", set: keySet(t, "example.", []*signer{flagged(key, 1)}, flagged(key, 1)), by: flagged(key, 1), text: "is not a zone key"},
		} {
			t.Run(a.String()+" "+tc.what, func(t *testing.T) {
				r := SignedBy(zone, tc.set, tc.by.data(), at, work(t, withSHA1))
				if tc.text == "" {
					expect(t, r, cache.Secure, 0, "")
				} else if r.Secure() {
					t.Error("it is")
				} else {
					expect(t, r, cache.Bogus, r.EDE.Code, tc.text)
				}
			})
		}
	}
	set := keySet(t, "example.", []*signer{newSigner(Ed25519, 1)}, newSigner(Ed25519, 1))
	if r := SignedBy(zone, set, newSigner(Ed25519, 1).data(), at.Add(48*time.Hour), work(t)); r.Secure() {
		t.Error("by a signature that has expired")
	}
	if r := SignedBy(zone, set, nil, at, work(t)); r.Secure() {
		t.Error("by no key")
	}
	sha1 := flagged(newSigner(RSASHA1, 1), 257)
	if r := SignedBy(zone, keySet(t, "example.", []*signer{sha1}, sha1), sha1.data(), at, work(t)); r.Secure() {
		t.Error("by an algorithm that is off")
	}
}

// A DS record names the key of its digest, and no other.
func TestNames(t *testing.T) {
	zone, a, b := name("example."), flagged(newSigner(Ed25519, 1), 257), flagged(newSigner(Ed25519, 2), 257)
	for _, tc := range []struct {
		what   string
		ds     dns.Records
		key    []byte
		change func(*Settings)
		want   bool
	}{
		{what: "SHA-256", ds: records(a.ds(zone, SHA256)), key: a.data(), want: true},
		{what: "SHA-384", ds: records(a.ds(zone, SHA384)), key: a.data(), want: true},
		{what: "SHA-1", ds: records(a.ds(zone, SHA1)), key: a.data(), want: true},
		{what: "SHA-1, off", ds: records(a.ds(zone, SHA1)), key: a.data(), change: func(s *Settings) { s.SHA1Digests = false }},
		{what: "SHA-1 beside SHA-256 of another", ds: records(a.ds(zone, SHA1), b.ds(zone, SHA256)), key: a.data()},
		{what: "second of two", ds: records(b.ds(zone, SHA256), a.ds(zone, SHA256)), key: a.data(), want: true},
		{what: "another key", ds: records(b.ds(zone, SHA256)), key: a.data()},
		{what: "another zone", ds: records(a.ds(name("test."), SHA256)), key: a.data()},
		{what: "revoked", ds: records(a.ds(zone, SHA256)), key: flagged(a, 257|128).data()},
		{what: "cut off", ds: records(a.ds(zone, SHA256)[:20]), key: a.data()},
		{what: "unknown digest", ds: records(append(a.ds(zone, SHA256)[:3], 99, 1)), key: a.data()},
		{what: "no key", ds: records(a.ds(zone, SHA256)), key: []byte{1}},
		{what: "nothing", key: a.data()},
	} {
		var change []func(*Settings)
		if tc.change != nil {
			change = append(change, tc.change)
		}
		if got := table(t, change...).Names(name("EXAMPLE."), tc.ds, tc.key); got != tc.want {
			t.Errorf("%s: %v", tc.what, got)
		}
	}
}
