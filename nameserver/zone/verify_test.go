package zone

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
	"github.com/ananas-edge/ananas/nameserver/recurse"
)

// table compiles settings; trust_anchors "lab" is the key of the lab's root.
func table(t testing.TB, anchors string, change ...func(*recurse.Settings)) *recurse.Table {
	t.Helper()
	s := recurse.Defaults()
	s.TrustAnchors = "lab"
	for _, c := range change {
		c(&s)
	}
	out, err := recurse.Compile(s, &cache.Table{MaxTTL: 24 * time.Hour}, nil, nil, nil, func(path string) ([]byte, error) {
		if path == "lab" {
			return []byte(anchors), nil
		}
		return nil, fs.ErrNotExist
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

const small = "@ 3600 SOA ns1 hostmaster 2026010100 1800 900 604800 3600\n[zone test servers=192.0.2.4]\nwww A 192.0.2.80\n"

// strip leaves out records of a type at the root, and their signatures.
func strip(types ...dns.Type) func([]dns.RR) []dns.RR {
	return func(rrs []dns.RR) []dns.RR {
		return slices.DeleteFunc(rrs, func(rr dns.RR) bool {
			return rr.Name.IsRoot() && (slices.Contains(types, rr.Type) || rr.Type == dns.TypeRRSIG && slices.Contains(types, dns.CoveredType(rr.Data)))
		})
	}
}

func TestVerify(t *testing.T) {
	const (
		root    = "[zone . servers=192.0.2.1 zonemd=sha384]\n"
		none    = "[zone . servers=192.0.2.1]\n"
		other   = "[zone . servers=192.0.2.1 zonemd=sha384 key=2]\n"
		private = "[zone . servers=192.0.2.1]\n@ ZONEMD 2026010100 1 240 00112233445566778899aabb\n"
	)
	required := func(p *Policy) { p.ZONEMD = recurse.ZONEMDRequired }
	off := func(p *Policy) { p.ZONEMD = recurse.ZONEMDOff }
	noTime := func(p *Policy) { p.At = time.Time{} }
	later := func(d time.Duration) func(*Policy) { return func(p *Policy) { p.At = p.At.Add(d) } }
	const day = 24 * time.Hour
	for _, c := range []struct {
		what    string
		world   string
		change  func([]dns.RR) []dns.RR
		table   func(*recurse.Settings)
		policy  func(*Policy)
		err     string // "": it is used
		digest  Digest
		signed  bool
		warning string
	}{
		{what: "as its owner published it", world: root, digest: DigestRight, signed: true},
		{what: "the same, required", world: root, policy: required, digest: DigestRight, signed: true},
		{what: "two digests", world: "[zone . servers=192.0.2.1 zonemd=sha384,sha512]\n", policy: required, digest: DigestRight, signed: true},
		{what: "another address in glue", world: root, change: func(rrs []dns.RR) []dns.RR {
			for i := range rrs {
				if rrs[i].Type == dns.TypeA && rrs[i].Name == name("ns1.test") {
					rrs[i].Data = []byte{192, 0, 2, 66}
				}
			}
			return rrs
		}, err: "its digest does not fit: ZONEMD 2026010100 1 1 is wrong"},
		{what: "another delegation", world: root, change: func(rrs []dns.RR) []dns.RR {
			return append(rrs, dns.RR{Name: name("evil"), Type: dns.TypeNS, Class: dns.ClassINET, TTL: 60, Data: []byte("\x04evil\x00")})
		}, err: "its digest does not fit"},
		{what: "wrong from the start", world: "[zone . servers=192.0.2.1 zonemd=wrong]\n", err: "its digest does not fit"},
		{what: "wrong, and not looked at", world: "[zone . servers=192.0.2.1 zonemd=wrong]\n", policy: off, signed: true},
		{what: "the digest taken out", world: root, change: strip(dns.TypeZONEMD), err: errHiddenDigest.Error()},
		{what: "the digest and the proof taken out", world: root, change: strip(dns.TypeZONEMD, dns.TypeNSEC), err: "neither a ZONEMD record nor an NSEC record"},
		{what: "the digest without its signature", world: root, change: func(rrs []dns.RR) []dns.RR {
			return slices.DeleteFunc(rrs, func(rr dns.RR) bool { return rr.Type == dns.TypeRRSIG && dns.CoveredType(rr.Data) == dns.TypeZONEMD })
		}, err: ". ZONEMD has no RRSIG"},
		{what: "the digest taken out, and not looked at", world: root, change: strip(dns.TypeZONEMD), policy: off, signed: true},
		{what: "its owner made none", world: none, signed: true, warning: "it has no ZONEMD record"},
		{what: "its owner made none, required", world: none, policy: required, err: errNoDigest.Error()},
		{what: "of a private algorithm", world: private, signed: true, digest: DigestUnsupported, warning: "its digest can't be checked: ZONEMD 2026010100 1 240 is not supported"},
		{what: "of a private algorithm, required", world: private, policy: required, err: "its digest can't be checked"},

		{what: "a serial that nobody signed", world: root, change: func(rrs []dns.RR) []dns.RR {
			for i := range rrs {
				if rrs[i].Type == dns.TypeSOA {
					soa, _ := dns.ParseSOA(rrs[i].Data)
					soa.Serial++
					rrs[i].Data = soa.Append(nil)
				}
			}
			return rrs
		}, policy: off, err: "RRSIG of . SOA by key"},
		{what: "signatures that have ended", world: root, policy: later(60 * day), err: "expired at"},
		{what: "signatures that have ended, by a clock that can't be right", world: root, policy: noTime, digest: DigestRight, signed: true},
		{what: "signatures to come", world: root, policy: later(-60 * day), err: "is valid from"},
		{what: "signed by another key", world: other, err: "no DNSKEY of . fits"},
		{what: "no keys", world: root, change: strip(dns.TypeDNSKEY), err: ". has no DNSKEY"},
		{what: "not signed", world: "[zone . servers=192.0.2.1 sign=none zonemd=sha384]\n", err: ". has no DNSKEY"},

		{what: "not signed, and no validation", world: "[zone . servers=192.0.2.1 sign=none zonemd=sha384]\n", digest: DigestRight,
			table: func(s *recurse.Settings) { s.TrustAnchors = "none" }, warning: "validation is off"},
		{what: "damaged, and no validation", world: "[zone . servers=192.0.2.1 sign=none zonemd=wrong]\n",
			table: func(s *recurse.Settings) { s.TrustAnchors = "none" }, err: "its digest does not fit"},
		{what: "signed by another key, and a negative anchor", world: other, digest: DigestRight, warning: "a negative trust anchor stands at .",
			table: func(s *recurse.Settings) { s.NegativeTrustAnchors = []recurse.NegativeTrustAnchor{{Zone: dns.Root}} }},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, n, _ := open(t, c.world+small, rootServer)
				defer n.Close()
				rrs, err := transferFrom(t.Context(), n, rootServer)
				if err != nil {
					t.Fatal(err)
				}
				if c.change != nil {
					rrs = c.change(rrs)
				}
				z, err := build(dns.Root, rrs)
				if err != nil {
					t.Fatal(err)
				}
				anchors := l.TrustAnchors()
				if c.world == other || anchors == "" {
					first, m, _ := open(t, root+small, rootServer)
					defer m.Close()
					anchors = first.TrustAnchors()
				}
				var changes []func(*recurse.Settings)
				if c.table != nil {
					changes = append(changes, c.table)
				}
				p := Policy{Table: table(t, anchors, changes...), At: time.Now()}
				if c.policy != nil {
					c.policy(&p)
				}
				v, err := z.Verify(p)
				if c.err != "" {
					if err == nil || !strings.Contains(err.Error(), c.err) {
						t.Errorf("%v, want %q", err, c.err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if v.Signed != c.signed || v.Digest != c.digest || c.warning == "" != (v.Warning == "") || !strings.Contains(v.Warning, c.warning) {
					t.Errorf("%+v", v)
				}
				if known := c.signed && !p.At.IsZero(); known != v.Until.After(p.At) || known == v.Until.IsZero() {
					t.Errorf("until %v", v.Until)
				}
			})
		})
	}
}

// A trust anchor below the root says nothing of the root.
func TestVerifyWithAnchorElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, n, z := open(t, "[zone . servers=192.0.2.1 sign=none zonemd=sha384]\n"+small, rootServer)
		defer n.Close()
		v, err := z.Verify(Policy{Table: table(t, "test. DS 1 13 2 "+strings.Repeat("00", 32)+"\n"), At: time.Now()})
		if err != nil || v.Signed || !strings.Contains(v.Warning, "there is no trust anchor for .") {
			t.Errorf("%+v, %v", v, err)
		}
	})
}
