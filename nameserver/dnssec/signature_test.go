package dnssec

import (
	"bytes"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

const www = "www.example. 300 IN A 192.0.2.1\nwww.example. 300 IN A 192.0.2.2"

// Each algorithm of the table verifies what was signed with it, and nothing else.
func TestEachAlgorithm(t *testing.T) {
	zone := name("example.")
	for _, a := range validated() {
		t.Run(a.String(), func(t *testing.T) {
			s := newSigner(a, 1)
			keys := keysOf(t, "example.", s, newSigner(a, 2))
			set := s.sign(rrset(t, www), zone)
			w := work(t, withSHA1)
			r := CheckSet(&set, keys, at, w)
			want := Result{
				Security: cache.Secure, Zone: zone, Until: at.Add(24 * time.Hour).Local(), Since: at.Add(-24 * time.Hour).Local(), TTL: 300,
				Algorithm: a, KeyTag: s.tag(),
			}
			if !r.Until.Equal(want.Until) || !r.Since.Equal(want.Since) {
				t.Errorf("since %v, until %v", r.Since, r.Until)
			}
			r.Until, r.Since = want.Until, want.Since
			if r != want {
				t.Errorf("%+v\nwant %+v", r, want)
			}
			if n := w.Spent(); n.Checks != 1 || n.FailedWork != 0 || n.SignatureWork != s.key(t).weight {
				t.Errorf("spent %+v", n)
			}
			for i := range set.Sigs.First() {
				changed := set
				changed.Sigs = bytes.Clone(set.Sigs)
				changed.Sigs[2+i] ^= 0x10
				if r := CheckSet(&changed, keys, at, work(t, withSHA1)); r.Security != cache.Bogus || r.EDE.Text == "" || r.Limit != NoLimit {
					t.Errorf("octet %d of the RRSIG changed: %+v", i, r)
				}
			}
			for _, length := range []int{0, 1, len(set.Sigs.First()) - 1, len(set.Sigs.First()) + 1} {
				rdata := append(bytes.Clone(set.Sigs.First()), 0)[:length]
				changed := set
				changed.Sigs = dns.Records{}.Append(rdata)
				if r := CheckSet(&changed, keys, at, work(t, withSHA1)); r.Security != cache.Bogus {
					t.Errorf("RRSIG of %d octets: %+v", length, r)
				}
			}
		})
	}
}

// Which signatures count, and what is said of those that do not.
func TestSignatures(t *testing.T) {
	zone, p256, ed := name("example."), newSigner(ECDSAP256SHA256, 1), newSigner(Ed25519, 1)
	keys := keysOf(t, "example.", p256, ed)
	now := at.Unix()
	for _, tc := range []struct {
		what   string
		set    string // "": www
		change func(*signature)
		at     time.Time // zero: at
		code   dns.EDECode
		text   string // "": secure
	}{
		{what: "in time, at its first second", change: func(s *signature) { s.inception = now }},
		{what: "in time, at its last second", change: func(s *signature) { s.expiration = now }},
		{what: "expired a second ago", change: func(s *signature) { s.expiration = now - 1 }, code: 7, text: "RRSIG of www.example. A by key 1533 (ECDSAP256SHA256) expired at 2026-01-15T11:59:59Z"},
		{what: "valid in a second", change: func(s *signature) { s.inception = now + 1 }, code: 8, text: "is valid from 2026-01-15T12:00:01Z only"},
		{
			what: "never valid", change: func(s *signature) { s.inception, s.expiration = now+1, now-1 },
			code: 25, text: "expires at 2026-01-15T11:59:59Z, before it becomes valid at 2026-01-15T12:00:01Z",
		},
		{ // RFC 4034 section 3.1.5: serial number arithmetic
			what: "across the end of 32 bits", at: time.Unix(1<<32+5, 0),
			change: func(s *signature) { s.inception, s.expiration = 1<<32-100, 1<<32+100 },
		},
		{
			what: "across the end of 32 bits, expired", at: time.Unix(1<<32+101, 0),
			change: func(s *signature) { s.inception, s.expiration = 1<<32-100, 1<<32+100 },
			code:   7, text: "expired at 2106-02-07T06:29:56Z",
		},
		{what: "of another zone", change: func(s *signature) { s.signer = name("test.") }, code: 6, text: "is signed by test. and not by example."},
		{what: "of the parent", change: func(s *signature) { s.signer = dns.Root }, code: 6, text: "is signed by . and not by example."},
		{what: "of the name itself", change: func(s *signature) { s.signer = name("www.example.") }, code: 6, text: "is signed by www.example. and not by example."},
		{what: "of the zone in other letters", change: func(s *signature) { s.signer = name("eXaMPle.") }},
		{what: "for more labels than the name has", change: func(s *signature) { s.labels = 3 }, code: 6, text: "was made for a name of 3 labels"},
		{what: "for a wildcard above the zone", change: func(s *signature) { s.labels = -1; s.owner = name("*.") }, code: 6, text: "is of a wildcard above the zone example."},
		{what: "for fewer labels, though the name was signed", change: func(s *signature) { s.labels = 1 }, code: 6, text: "is wrong"},
		{what: "for another type", change: func(s *signature) { s.covered = dns.TypeAAAA }, code: 6, text: "covers AAAA"},
		{what: "by a key that is not there", change: func(s *signature) { s.tag++ }, code: 9, text: "is by no DNSKEY of example., which are 13/1533 15/"},
		{what: "by a key of another algorithm", change: func(s *signature) { s.algorithm = ECDSAP384SHA384 }, code: 9, text: "by key 1533 (ECDSAP384SHA384) is by no DNSKEY"},
		{what: "by an algorithm that nobody knows", change: func(s *signature) { s.algorithm = 99 }, code: 10, text: "(ALGORITHM99) is of an algorithm that is not supported"},
		{what: "by one that is off", change: func(s *signature) { s.algorithm = RSASHA1 }, code: 10, text: "(RSASHA1) is of an algorithm that is not supported"},
		{what: "by another key of the same algorithm", change: func(s *signature) { s.tag, s.algorithm = ed.tag(), Ed25519 }, code: 6, text: "(ED25519) is wrong"},
		{what: "of a name in other letters", set: "WWW.Example. 300 IN A 192.0.2.1", change: func(s *signature) { s.owner = name("wWw.eXAMPLE.") }},
		{what: "of the apex", set: "example. 300 IN MX 10 Mail.Example."},
		{what: "of a name elsewhere", set: "www.test. 300 IN A 192.0.2.1", code: 6, text: "www.test. A is not in the zone example."},
		{what: "of the zone's own DS", set: "example. 300 IN DS 1 13 2 00", code: 6, text: "example. DS is signed by the zone itself and not by its parent"},
		{what: "of a delegation's DS", set: "cut.example. 300 IN DS 1 13 2 00"},
		{what: "of a DS from a wildcard", set: "cut.example. 300 IN DS 1 13 2 00", change: func(s *signature) { s.owner = name("*.example.") }, code: 6, text: "is of a wildcard, which DS records do not come from"},
		{
			what: "of NSEC3 from a wildcard", set: "0123456789ABCDEFGHIJKLMNOPQRSTUV.example. 300 IN NSEC3 1 0 0 - 0123456789ABCDEFGHIJKLMNOPQRSTUV A",
			change: func(s *signature) { s.owner = name("*.example.") }, code: 6, text: "is of a wildcard",
		},
	} {
		t.Run(tc.what, func(t *testing.T) {
			if tc.set == "" {
				tc.set = www
			}
			change := tc.change
			if change == nil {
				change = func(*signature) {}
			}
			set := p256.sign(rrset(t, tc.set), zone, change)
			if tc.at.IsZero() {
				tc.at = at
			}
			r := CheckSet(&set, keys, tc.at, work(t))
			if tc.text == "" {
				expect(t, r, cache.Secure, 0, "")
			} else {
				expect(t, r, cache.Bogus, tc.code, tc.text)
			}
			if !r.Zone.Equal(zone) {
				t.Errorf("zone %v", r.Zone)
			}
		})
	}
}

func TestNoSignature(t *testing.T) {
	set, keys := rrset(t, www), keysOf(t, "example.", newSigner(Ed25519, 1))
	expect(t, CheckSet(&set, keys, at, work(t)), cache.Bogus, dns.EDERRSIGsMissing, "www.example. A has no RRSIG")
	set.Sigs = dns.Records{}.Append([]byte{0, 1, 13})
	expect(t, CheckSet(&set, keys, at, work(t)), cache.Bogus, dns.EDEBogus, "an RRSIG of www.example. A is malformed")
	set.Data = nil
	expect(t, CheckSet(&set, keys, at, work(t)), cache.Bogus, dns.EDEBogus, "www.example. A has no records")
	expect(t, CheckSet(&set, nil, at, work(t)), cache.Bogus, dns.EDEDNSKEYMissing, "there are no keys to check www.example. A with")
}

// RFC 4035 section 5.3.2: a set that was expanded is checked as the wildcard that it came from, which the result names.
func TestWildcards(t *testing.T) {
	s := newSigner(Ed25519, 1)
	keys := keysOf(t, "example.", s)
	for _, tc := range []struct{ owner, signed, encloser string }{
		{"a.w.example.", "*.w.example.", "w.example."},
		{"A.B.w.example.", "*.w.example.", "w.example."},
		{"a.example.", "*.example.", "example."},
		{"*.a.w.example.", "*.w.example.", "w.example."}, // one label of which happens to be a star
		{"*.w.example.", "*.w.example.", ""},             // the wildcard itself (RFC 4034 section 3.1.3)
		{"a.*.w.example.", "a.*.w.example.", ""},
		{"a.*.w.example.", "*.*.w.example.", "*.w.example."},
	} {
		set := s.sign(rrset(t, tc.owner+" 300 IN TXT x"), name("example."), func(s *signature) { s.owner = name(tc.signed) })
		r := CheckSet(&set, keys, at, work(t))
		want := dns.Name{}
		if tc.encloser != "" {
			want = name(tc.encloser)
		}
		if !r.Secure() || r.Wildcard != want {
			t.Errorf("%v signed as %v: %+v", tc.owner, tc.signed, r)
		}
		set.Name = name("a.b.other.")
		if r := CheckSet(&set, keys, at, work(t)); r.Secure() {
			t.Errorf("signature of %v at %v: %+v", tc.signed, set.Name, r)
		}
	}
}

// RFC 4034 section 6.2 and 6.3: order, case of names in data, and repetitions do not matter.
func TestCanonicalForm(t *testing.T) {
	s := newSigner(Ed25519, 1)
	keys, zone := keysOf(t, "example.", s), name("example.")
	for _, tc := range []struct{ what, signed, sent string }{
		{"order", "a.example. 9 IN A 192.0.2.1\na.example. 9 IN A 192.0.2.2", "a.example. 9 IN A 192.0.2.2\na.example. 9 IN A 192.0.2.1"},
		{"repetition", "a.example. 9 IN A 192.0.2.1", "a.example. 9 IN A 192.0.2.1\na.example. 9 IN A 192.0.2.1"},
		{"names in data", "a.example. 9 IN NS ns.example.", "a.example. 9 IN NS NS.Example."},
		{"names in data that differ in case only", "a.example. 9 IN NS ns.example.", "a.example. 9 IN NS NS.example.\na.example. 9 IN NS ns.EXAMPLE."},
		{"length before content", "a.example. 9 IN TXT b\na.example. 9 IN TXT aa", "a.example. 9 IN TXT aa\na.example. 9 IN TXT b"},
		{"a prefix first", "a.example. 9 IN TYPE65280 \\# 1 00\na.example. 9 IN TYPE65280 \\# 2 0000", "a.example. 9 IN TYPE65280 \\# 2 0000\na.example. 9 IN TYPE65280 \\# 1 00"},
	} {
		set, sent := s.sign(rrset(t, tc.signed), zone), rrset(t, tc.sent)
		sent.Sigs = set.Sigs
		if r := CheckSet(&sent, keys, at, work(t)); !r.Secure() {
			t.Errorf("%s: %+v", tc.what, r)
		}
	}
	// RFC 6840 section 5.1: the next name of NSEC keeps its case.
	set, sent := s.sign(rrset(t, "a.example. 9 IN NSEC b.example. A"), zone), rrset(t, "a.example. 9 IN NSEC B.example. A")
	sent.Sigs = set.Sigs
	expect(t, CheckSet(&sent, keys, at, work(t)), cache.Bogus, dns.EDEBogus, "is wrong")
}

// RFC 4035 section 5.3.3: the TTL is cut to the one that was signed and to the life of the signature.
func TestTTL(t *testing.T) {
	s := newSigner(Ed25519, 1)
	keys, zone := keysOf(t, "example.", s), name("example.")
	for _, tc := range []struct{ received, original, left, want uint32 }{
		{300, 3600, 86400, 300}, {3600, 300, 86400, 300}, {3600, 3600, 10, 10}, {3600, 3600, 0, 0}, {0, 3600, 86400, 0},
	} {
		set := rrset(t, www)
		set = s.sign(set, zone, func(s *signature) { s.ttl, s.expiration = tc.original, at.Unix()+int64(tc.left) })
		set.TTL = tc.received
		r := CheckSet(&set, keys, at.Add(999*time.Millisecond), work(t))
		if !r.Secure() || r.TTL != tc.want || r.Until.Unix() != at.Unix()+int64(tc.left) {
			t.Errorf("%+v: %+v", tc, r)
		}
	}
}

// A clock that is not known to be right must not make the time that it could be set by unreachable.
func TestUnknownTime(t *testing.T) {
	s := newSigner(Ed25519, 1)
	set := s.sign(rrset(t, www), name("example."), func(s *signature) { s.inception, s.expiration = 1, 2 })
	r := CheckSet(&set, keysOf(t, "example.", s), time.Time{}, work(t))
	if !r.Secure() || !r.Until.IsZero() || r.TTL != 300 {
		t.Errorf("%+v", r)
	}
	expect(t, CheckSet(&set, keysOf(t, "example.", s), at, work(t)), cache.Bogus, dns.EDESignatureExpired, "expired at 1970-01-01T00:00:02Z")
}

// One good signature is enough, and what is cheap is tried first (RFC 6840 section 5.11 and 5.12).
func TestSeveralSignatures(t *testing.T) {
	zone := name("example.")
	cheap, dear, other := newSigner(ECDSAP256SHA256, 1), newSigner(ECDSAP384SHA384, 1), newSigner(Ed25519, 9)
	keys := keysOf(t, "example.", cheap, dear, other)
	unsigned := rrset(t, www)
	broken := func(set dns.RRset) dns.RRset {
		set.Sigs = bytes.Clone(set.Sigs)
		set.Sigs[len(set.Sigs)-1] ^= 1
		return set
	}
	expired := func(s *signature) { s.expiration = at.Unix() - 5 }

	set := cheap.sign(dear.sign(unsigned, zone), zone)
	w := work(t)
	if r := CheckSet(&set, keys, at, w); !r.Secure() || r.Algorithm != ECDSAP256SHA256 || w.Spent().Checks != 1 {
		t.Errorf("dear and cheap: %+v, %+v", r, w.Spent())
	}
	set = dear.sign(broken(cheap.sign(unsigned, zone)), zone)
	w = work(t)
	if r := CheckSet(&set, keys, at, w); !r.Secure() || r.Algorithm != ECDSAP384SHA384 || w.Spent().Checks != 2 || w.Spent().FailedWork != 1 {
		t.Errorf("a broken one first: %+v, %+v", r, w.Spent())
	}
	set = dear.sign(cheap.sign(unsigned, zone, expired), zone)
	w = work(t)
	if r := CheckSet(&set, keys, at, w); !r.Secure() || w.Spent().Checks != 1 {
		t.Errorf("an expired one beside a good one: %+v, %+v", r, w.Spent())
	}
	// Of two by one key, the one that lives longer is used.
	set = cheap.sign(cheap.sign(unsigned, zone), zone, func(s *signature) { s.expiration += 1000 })
	if r := CheckSet(&set, keys, at, work(t)); !r.Secure() || r.Until.Unix() != at.Unix()+86400+1000 {
		t.Errorf("two lives: %+v", r)
	}
	// If none is good, the reason of the one that came closest is given.
	set = cheap.sign(cheap.sign(unsigned, zone, expired), zone, func(s *signature) { s.signer = name("test.") })
	expect(t, CheckSet(&set, keys, at, work(t)), cache.Bogus, dns.EDESignatureExpired, "expired")
	set = cheap.sign(set, zone, func(s *signature) { s.labels = 1 })
	expect(t, CheckSet(&set, keys, at, work(t)), cache.Bogus, dns.EDEBogus, "is wrong")
}

// KeyTrap in small: several keys of one tag and algorithm are tried, as many as the limit allows.
func TestKeyTagCollisions(t *testing.T) {
	zone, s := name("example."), newSigner(Ed25519, 1)
	set := s.sign(rrset(t, www), zone)
	good := s.key(t)
	for others := range 6 {
		var keys []key
		for i := range others {
			k := newSigner(Ed25519, uint64(100+i)).key(t)
			k.tag = good.tag
			keys = append(keys, k)
		}
		w := work(t)
		r := CheckSet(&set, newKeys(zone, append(keys, good)), at, w)
		if others < Defaults().Limits.Collisions {
			if !r.Secure() || w.Spent().Checks != others+1 {
				t.Errorf("%d others: %+v, %+v", others, r, w.Spent())
			}
			continue
		}
		expect(t, r, cache.Bogus, dns.EDEBogus, "is wrong")
		if r.Limit != LimitCollisions || w.Spent().Checks != Defaults().Limits.Collisions {
			t.Errorf("%d others: %v, %+v", others, r.Limit, w.Spent())
		}
	}
}
