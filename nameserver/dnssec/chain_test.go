package dnssec

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// keySet is the DNSKEY set of a zone with these keys, signed by some of them.
func keySet(t testing.TB, zone string, keys []*signer, by ...*signer) *dns.RRset {
	t.Helper()
	s := dns.RRset{Name: name(zone), Type: dns.TypeDNSKEY, Class: dns.ClassINET, TTL: 3600}
	for _, k := range keys {
		s.Data = s.Data.Append(k.data())
	}
	for _, k := range by {
		s = k.sign(s, name(zone))
	}
	return &s
}

func flagged(s *signer, flags uint16) *signer {
	c := *s
	c.flags = flags
	return &c
}

// Which keys are trusted (RFC 4035 section 5.2).
func TestCheckKeys(t *testing.T) {
	zone := name("example.")
	ksk, zsk := flagged(newSigner(ECDSAP256SHA256, 1), 257), newSigner(ECDSAP256SHA256, 2)
	other, sha1 := flagged(newSigner(Ed25519, 3), 257), newSigner(RSASHA1, 1)
	unknown := &signer{flags: 257, protocol: 3, algorithm: 99, public: []byte("key")}
	revoked, host := flagged(ksk, 257|128), flagged(ksk, 1)
	protocol := flagged(ksk, 257)
	protocol.protocol = 2
	both := []*signer{ksk, zsk}
	ds := func(s *signer, d Digest) []byte { return s.ds(zone, d) }
	wrong := func(rdata []byte) []byte {
		c := bytes.Clone(rdata)
		c[len(c)-1] ^= 1
		return c
	}
	type result struct {
		security cache.Security
		code     dns.EDECode
		text     string
	}
	secure := result{cache.Secure, 0, ""}
	for _, tc := range []struct {
		what    string
		set     *dns.RRset
		ds      dns.Records
		anchors dns.Records
		change  func(*Settings)
		want    result
		keys    []*signer // nil: ksk and zsk
	}{
		{what: "a DS", set: keySet(t, "example.", both, ksk), ds: records(ds(ksk, SHA256))},
		{what: "an anchor", set: keySet(t, "example.", both, ksk), anchors: records(ksk.data())},
		{what: "SHA-384", set: keySet(t, "example.", both, ksk), ds: records(ds(ksk, SHA384))},
		{what: "SHA-1", set: keySet(t, "example.", both, ksk), ds: records(ds(ksk, SHA1))},
		{what: "letters of the zone", set: keySet(t, "eXaMPLe.", both, ksk), ds: records(ds(ksk, SHA256))},
		{
			what: "SHA-1, off", set: keySet(t, "example.", both, ksk), ds: records(ds(ksk, SHA1)), change: func(s *Settings) { s.SHA1Digests = false },
			want: result{cache.Insecure, 2, "has a digest of type SHA-1, which is not supported"},
		},
		{ // RFC 4509 section 3
			what: "SHA-1 beside a SHA-256 that fits nothing", set: keySet(t, "example.", both, ksk), ds: records(ds(ksk, SHA1), wrong(ds(ksk, SHA256))),
			want: result{cache.Bogus, 9, "no DNSKEY of example. fits, though DS "},
		},
		{what: "SHA-1 beside a SHA-256 of an unknown algorithm", set: keySet(t, "example.", both, ksk), ds: records(ds(ksk, SHA1), ds(unknown, SHA256))},
		{what: "one DS of two fits", set: keySet(t, "example.", both, ksk), ds: records(wrong(ds(ksk, SHA256)), ds(ksk, SHA384))},
		{what: "one DS of two is of a key that is gone", set: keySet(t, "example.", both, ksk), ds: records(ds(other, SHA256), ds(ksk, SHA256))},
		{what: "one DS of two is unknown", set: keySet(t, "example.", both, ksk), ds: records(ds(unknown, SHA256), ds(ksk, SHA256))},
		{
			what: "the DS is of a wrong length", set: keySet(t, "example.", both, ksk), ds: records(ds(ksk, SHA256)[:30]),
			want: result{cache.Bogus, 9, "no DNSKEY of example. fits"},
		},
		{
			what: "no DS fits", set: keySet(t, "example.", both, ksk), ds: records(wrong(ds(ksk, SHA256))),
			want: result{cache.Bogus, 9, "(ECDSAP256SHA256, SHA-256) is there"},
		},
		{
			what: "the DS of another zone", set: keySet(t, "example.", both, ksk), ds: records(ksk.ds(name("test."), SHA256)),
			want: result{cache.Bogus, 9, "no DNSKEY of example. fits"},
		},
		{what: "no anchor fits", set: keySet(t, "example.", both, ksk), anchors: records(other.data()), want: result{cache.Bogus, 9, "fits, though there is a trust anchor"}},
		{what: "an anchor beside DS records that do not fit", set: keySet(t, "example.", both, ksk), ds: records(ds(other, SHA256)), anchors: records(ksk.data())},
		{what: "signed by the other key only", set: keySet(t, "example.", both, zsk), ds: records(ds(ksk, SHA256)), want: result{cache.Bogus, 9, "is by no DNSKEY of example., which are 13/"}},
		{what: "not signed", set: keySet(t, "example.", both), ds: records(ds(ksk, SHA256)), want: result{cache.Bogus, 10, "example. DNSKEY has no RRSIG"}},
		{what: "no keys", ds: records(ds(ksk, SHA256)), want: result{cache.Bogus, 9, "example. has no DNSKEY, though DS "}},
		{what: "an empty set", set: keySet(t, "example.", nil), ds: records(ds(ksk, SHA256)), want: result{cache.Bogus, 9, "example. has no DNSKEY"}},
		{what: "the keys of another zone", set: keySet(t, "test.", both, ksk), ds: records(ds(ksk, SHA256)), want: result{cache.Bogus, 6, "are not the keys of example."}},
		{what: "unknown algorithm", set: keySet(t, "example.", []*signer{unknown}), ds: records(ds(unknown, SHA256)), want: result{cache.Insecure, 1, "of example. is of algorithm ALGORITHM99, which is not supported"}},
		{what: "unknown algorithm, no keys", ds: records(ds(unknown, SHA256)), want: result{cache.Insecure, 1, "ALGORITHM99"}},
		{what: "unknown algorithm of an anchor", anchors: records(unknown.data()), want: result{cache.Insecure, 1, "trust anchor of example., key "}},
		{what: "unknown digest", set: keySet(t, "example.", both, ksk), ds: records(append(ds(ksk, SHA256)[:3], 99, 1, 2, 3)), want: result{cache.Insecure, 2, "has a digest of type DIGEST99, which is not supported"}},
		{
			what: "unknown algorithm, and unknown digest", set: keySet(t, "example.", both, ksk), ds: records(ds(unknown, SHA256), append(ds(ksk, SHA256)[:3], 5)),
			want: result{cache.Insecure, 2, "GOST R 34.11-2012"},
		},
		{what: "RSASHA1, off", set: keySet(t, "example.", []*signer{sha1}, sha1), ds: records(ds(sha1, SHA256)), want: result{cache.Insecure, 1, "RSASHA1, which is not supported"}},
		{what: "RSASHA1, on", set: keySet(t, "example.", []*signer{sha1}, sha1), ds: records(ds(sha1, SHA256)), change: withSHA1, keys: []*signer{sha1}},
		{what: "two algorithms, one of them off", set: keySet(t, "example.", []*signer{ksk, zsk, sha1}, ksk), ds: records(ds(sha1, SHA256), ds(ksk, SHA256))},
		{
			what: "two algorithms, and the one that can be checked does not sign", set: keySet(t, "example.", []*signer{ksk, zsk, sha1}, sha1),
			ds: records(ds(sha1, SHA256), ds(ksk, SHA256)), want: result{cache.Bogus, 10, "RSASHA1) is of an algorithm that is not supported"},
		},
		{what: "nothing names a key", set: keySet(t, "example.", both, ksk), want: result{cache.Bogus, 6, "nothing names a key of example."}},
		{what: "a DS that is cut off", set: keySet(t, "example.", both, ksk), ds: records([]byte{1, 2, 3}), want: result{cache.Bogus, 6, "nothing names a key"}},
		{what: "revoked", set: keySet(t, "example.", []*signer{revoked, zsk}, revoked), ds: records(ds(revoked, SHA256)), want: result{cache.Bogus, 9, "which is trusted, is revoked"}},
		{what: "an anchor that was revoked", set: keySet(t, "example.", []*signer{revoked, zsk}, revoked), anchors: records(ksk.data()), want: result{cache.Bogus, 9, "no DNSKEY of example. fits"}},
		{what: "no zone key", set: keySet(t, "example.", []*signer{host, zsk}, host), ds: records(ds(host, SHA256)), want: result{cache.Bogus, 11, "is not a zone key"}},
		{what: "another protocol", set: keySet(t, "example.", []*signer{protocol, zsk}, protocol), ds: records(ds(protocol, SHA256)), want: result{cache.Bogus, 9, "protocol other than 3"}},
		{
			what: "malformed", set: keySet(t, "example.", []*signer{{flags: 257, protocol: 3, algorithm: 13, public: []byte{1}}}, ksk),
			ds:   records((&signer{flags: 257, protocol: 3, algorithm: 13, public: []byte{1}}).ds(zone, SHA256)),
			want: result{cache.Bogus, 9, "which is trusted, has 1 octets and not 64"},
		},
		{what: "a malformed key beside good ones", set: keySet(t, "example.", []*signer{{flags: 257, protocol: 3, algorithm: 13}, ksk, zsk}, ksk), ds: records(ds(ksk, SHA256))},
		{what: "a revoked key beside good ones", set: keySet(t, "example.", []*signer{flagged(other, 257|128), ksk, zsk}, ksk), ds: records(ds(ksk, SHA256))},
		{what: "the same key thrice", set: keySet(t, "example.", []*signer{ksk, ksk, zsk, ksk}, ksk), ds: records(ds(ksk, SHA256))},
		{what: "one key with two flags", set: keySet(t, "example.", []*signer{flagged(zsk, 257), zsk}, flagged(zsk, 257)), ds: records(ds(flagged(zsk, 257), SHA256)), keys: []*signer{zsk, flagged(zsk, 257)}},
	} {
		t.Run(tc.what, func(t *testing.T) {
			var change []func(*Settings)
			if tc.change != nil {
				change = append(change, tc.change)
			}
			if tc.want == (result{}) {
				tc.want = secure
			}
			w := work(t, change...)
			keys, r := CheckKeys(name("Example."), tc.set, tc.ds, tc.anchors, at, w)
			expect(t, r, tc.want.security, tc.want.code, tc.want.text)
			if !r.Zone.Equal(zone) || (keys != nil) != r.Secure() {
				t.Errorf("%+v, keys %v", r, keys)
			}
			want := r.Security != cache.Insecure && !strings.HasPrefix(tc.want.text, "nothing names a key")
			if ok, why := w.table.Usable(zone, tc.ds, tc.anchors); ok != want || r.Security == cache.Insecure && why != r.EDE {
				t.Errorf("usable: %v, %v", ok, why)
			}
			if keys != nil {
				if tc.keys == nil {
					tc.keys = both
				}
				if want := keysOf(t, "example.", tc.keys...).String(); keys.String() != want {
					t.Errorf("keys %v, want %s", keys, want)
				}
				if r.TTL != 3600 || r.Until.Unix() != at.Unix()+86400 {
					t.Errorf("%+v", r)
				}
			}
		})
	}
}

func tagText(s *signer) string {
	return strings.TrimPrefix((&Keys{keys: []key{{tag: s.tag()}}}).String(), "0/")
}

// The signature of the keys is held to the same rules as all others.
func TestSignatureOfKeys(t *testing.T) {
	k := newSigner(Ed25519, 1)
	set := keySet(t, "example.", []*signer{k})
	for _, tc := range []struct {
		change func(*signature)
		code   dns.EDECode
		text   string
	}{
		{func(s *signature) { s.expiration = at.Unix() - 1 }, 7, "RRSIG of example. DNSKEY by key " + tagText(k) + " (ED25519) expired at 2026-01-15T11:59:59Z"},
		{func(s *signature) { s.inception = at.Unix() + 1 }, 8, "is valid from"},
		{func(s *signature) { s.signer = name("test.") }, 6, "is signed by test."},
		{func(s *signature) { s.labels, s.owner = -1, name("*.") }, 6, "is of a wildcard above the zone"},
		{func(s *signature) { s.ttl = 5; s.labels = 1; s.owner = name("other.") }, 6, "is wrong"},
	} {
		signed := k.sign(*set, name("example."), tc.change)
		_, r := CheckKeys(name("example."), &signed, records(k.ds(name("example."), SHA256)), nil, at, work(t))
		expect(t, r, cache.Bogus, tc.code, tc.text)
	}
	signed := k.sign(*set, name("example."), func(s *signature) { s.ttl = 5 })
	if _, r := CheckKeys(name("example."), &signed, records(k.ds(name("example."), SHA256)), nil, time.Time{}, work(t)); !r.Secure() || r.TTL != 5 {
		t.Errorf("%+v", r)
	}
}
