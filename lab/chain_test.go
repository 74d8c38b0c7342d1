package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/ananas-edge/ananas/dns"
)

// walker resolves and validates in the plainest way there is: from the trust anchor down, one server a zone, checking each signature
// with miekg/dns.
type walker struct {
	t    testing.TB
	lab  *Lab
	keys map[string][]*miekg.DNSKEY // by zone; nil for zones that are proved insecure
}

// verify checks all signatures of a section by the zones that made them, and that what must be signed is.
func (w *walker) verify(section []miekg.RR, exempt func(miekg.RR) bool) {
	w.t.Helper()
	sets := map[string][]miekg.RR{}
	for _, rr := range section {
		if t := rr.Header().Rrtype; t != miekg.TypeRRSIG && t != miekg.TypeOPT {
			k := fmt.Sprint(rr.Header().Name, " ", t)
			sets[k] = append(sets[k], rr)
		}
	}
	signed := map[string]bool{}
	for _, rr := range section {
		sig, ok := rr.(*miekg.RRSIG)
		if !ok {
			continue
		}
		k := fmt.Sprint(sig.Header().Name, " ", sig.TypeCovered)
		if !sig.ValidityPeriod(time.Now()) {
			w.t.Errorf("signature of %s is not valid now", k)
		}
		w.learn(sig.SignerName)
		for _, key := range w.keys[sig.SignerName] {
			if key.KeyTag() == sig.KeyTag && sig.Verify(key, sets[k]) == nil {
				signed[k] = true
			}
		}
		if w.keys[sig.SignerName] == nil { // an island of security: signed, and no DS in the parent
			signed[k] = true
		}
	}
	for k, rrs := range sets {
		if !signed[k] && !exempt(rrs[0]) && !w.zoneOf(rrs[0].Header().Name).signing.off() {
			w.t.Errorf("set %s has no signature that verifies:\n%v", k, rrs)
		}
	}
}

func (w *walker) zoneOf(owner string) *zone {
	zones := w.lab.enclosing(name(owner).Lower(), netip.Addr{}, 0)
	return zones[len(zones)-1]
}

// learn fetches the keys of a zone that shares its servers with its parent, so that no referral led to it.
func (w *walker) learn(zone string) {
	w.t.Helper()
	if _, known := w.keys[zone]; known {
		return
	}
	if zone == "." {
		p := miekg.NewZoneParser(strings.NewReader(w.lab.TrustAnchors()), ".", "")
		anchor, _ := p.Next()
		w.enter(".", w.lab.root.addrs[0], []miekg.RR{anchor})
		return
	}
	parent := w.zoneOf(name(zone).Parent().String())
	w.learn(parent.apex.String())
	r := ask(w.t, w.lab, parent.addrs[0].String(), zone, miekg.TypeDS, overTCP)
	w.verify(r.Answer, never)
	var ds []miekg.RR
	for _, rr := range r.Answer {
		if rr.Header().Rrtype == miekg.TypeDS && w.keys[parent.apex.String()] != nil {
			ds = append(ds, rr)
		}
	}
	w.enter(zone, w.zoneOf(zone).addrs[0], ds)
}

func never(miekg.RR) bool { return false }

// resolve returns the last reply for a name, and its zone.
func (w *walker) resolve(qname string, qtype uint16) (*miekg.Msg, string) {
	w.t.Helper()
	servers, zone := w.lab.root.addrs, "."
	w.learn(".")
	for range 8 {
		r := ask(w.t, w.lab, servers[0].String(), qname, qtype, overTCP)
		if r == nil {
			w.t.Fatalf("%s did not answer for %s", servers[0], qname)
		}
		if r.Rcode != miekg.RcodeSuccess && r.Rcode != miekg.RcodeNameError {
			w.t.Fatalf("%s of %s answers %s for %s", servers[0], zone, miekg.RcodeToString[r.Rcode], qname)
		}
		if r.Authoritative {
			return r, zone
		}
		var cut string
		var ds []miekg.RR
		for _, rr := range r.Ns {
			switch rr := rr.(type) {
			case *miekg.NS:
				cut = rr.Hdr.Name
			case *miekg.DS:
				ds = append(ds, rr)
			}
		}
		if cut == "" || !miekg.IsSubDomain(zone, cut) || cut == zone {
			w.t.Fatalf("reply of %s is neither answer nor referral:\n%v", servers[0], r)
		}
		w.verify(r.Ns, func(rr miekg.RR) bool { return rr.Header().Rrtype == miekg.TypeNS })
		if ds == nil && w.keys[zone] != nil {
			checkDenial(w.t, r, cut, miekg.TypeDS, zone)
		}
		z := w.lab.enclosing(name(cut), netip.Addr{}, 0)
		child := z[len(z)-1]
		if child.apex.String() != strings.ToLower(cut) || len(child.addrs) == 0 {
			w.t.Fatalf("zone %s is delegated and does not exist", cut)
		}
		if w.keys[zone] == nil {
			ds = nil
		}
		servers = child.addrs
		zone = cut
		w.enter(zone, servers[0], ds)
	}
	w.t.Fatalf("%s is deeper than 8 zones", qname)
	return nil, ""
}

// enter fetches a zone's keys and checks them by its DS set.
func (w *walker) enter(zone string, server netip.Addr, ds []miekg.RR) {
	w.t.Helper()
	if _, known := w.keys[zone]; known {
		return
	}
	w.keys[zone] = nil
	if ds == nil {
		return
	}
	r := ask(w.t, w.lab, server.String(), zone, miekg.TypeDNSKEY, overTCP)
	for _, rr := range r.Answer {
		key, ok := rr.(*miekg.DNSKEY)
		if !ok {
			continue
		}
		for _, d := range ds {
			d := d.(*miekg.DS)
			if made := key.ToDS(d.DigestType); made != nil && strings.EqualFold(made.Digest, d.Digest) {
				w.keys[zone] = append(w.keys[zone], key)
			}
		}
	}
	if w.keys[zone] == nil {
		w.t.Fatalf("no key of %s fits its DS set %v", zone, ds)
	}
	w.verify(r.Answer, never)
	for _, rr := range r.Answer {
		if key, ok := rr.(*miekg.DNSKEY); ok {
			w.keys[zone] = append(w.keys[zone], key)
		}
	}
}

// checkDenial checks that the NSEC or NSEC3 records of a reply prove that qname has no qtype, or does not exist.
func checkDenial(t testing.TB, r *miekg.Msg, qname string, qtype uint16, zone string) {
	t.Helper()
	n := name(qname).Lower()
	covers := func(n dns.Name) (nsec *miekg.NSEC) {
		for _, rr := range r.Ns {
			if s, ok := rr.(*miekg.NSEC); ok {
				owner, next := name(s.Hdr.Name), name(s.NextDomain)
				if owner.Compare(n) < 0 && (n.Compare(next) < 0 || next.Equal(name(zone))) {
					return s
				}
			}
		}
		return nil
	}
	matches := func(n dns.Name) *miekg.NSEC {
		for _, rr := range r.Ns {
			if s, ok := rr.(*miekg.NSEC); ok && name(s.Hdr.Name).Equal(n) {
				return s
			}
		}
		return nil
	}
	lacks := func(bitmap []uint16) bool {
		for _, have := range bitmap {
			if have == qtype || have == miekg.TypeCNAME {
				return false
			}
		}
		return true
	}
	var n3 []*miekg.NSEC3
	for _, rr := range r.Ns {
		if s, ok := rr.(*miekg.NSEC3); ok {
			n3 = append(n3, s)
		}
	}
	match3 := func(n dns.Name) *miekg.NSEC3 {
		for _, s := range n3 {
			if s.Match(n.String()) {
				return s
			}
		}
		return nil
	}
	cover3 := func(n dns.Name) *miekg.NSEC3 {
		for _, s := range n3 {
			if s.Cover(n.String()) {
				return s
			}
		}
		return nil
	}
	star := func(n dns.Name) dns.Name { return child("*", n) }
	if s := matches(n); s != nil && slices.Contains(s.TypeBitMap, miekg.TypeNXNAME) {
		return // RFC 9824
	}
	if s := match3(n); s != nil && slices.Contains(s.TypeBitMap, miekg.TypeNXNAME) {
		return
	}
	if len(n3) == 0 {
		if s := matches(n); s != nil && r.Rcode == miekg.RcodeSuccess && lacks(s.TypeBitMap) {
			return
		}
		s := covers(n)
		if s == nil {
			t.Errorf("nothing denies %s %s in\n%v", qname, miekg.TypeToString[qtype], r)
			return
		}
		if name(s.NextDomain).IsWithin(n) && r.Rcode == miekg.RcodeSuccess { // an empty non-terminal
			return
		}
		encloser := n.Ancestor(max(n.CommonLabels(name(s.Hdr.Name)), n.CommonLabels(name(s.NextDomain))))
		w := matches(star(encloser))
		switch {
		case r.Rcode == miekg.RcodeNameError && covers(star(encloser)) != nil:
		case r.Rcode == miekg.RcodeSuccess && w != nil && lacks(w.TypeBitMap):
		default:
			t.Errorf("no wildcard proof at %s for %s in\n%v", encloser, qname, r)
		}
		return
	}
	if s := match3(n); s != nil && r.Rcode == miekg.RcodeSuccess && lacks(s.TypeBitMap) {
		return
	}
	for encloser := n.Parent(); ; encloser = encloser.Parent() {
		if match3(encloser) == nil {
			if encloser.IsRoot() {
				t.Errorf("no closest encloser of %s in\n%v", qname, r)
				return
			}
			continue
		}
		next := cover3(n.Ancestor(encloser.Labels() + 1))
		w := match3(star(encloser))
		switch {
		case next == nil:
			t.Errorf("next closer name of %s is not covered in\n%v", qname, r)
		case qtype == miekg.TypeDS && next.Flags&1 == 1 && r.Rcode == miekg.RcodeSuccess: // opt-out
		case r.Rcode == miekg.RcodeNameError && cover3(star(encloser)) != nil:
		case r.Rcode == miekg.RcodeSuccess && w != nil && lacks(w.TypeBitMap):
		default:
			t.Errorf("no wildcard proof at %s for %s in\n%v", encloser, qname, r)
		}
		return
	}
}

// Each name of the generated internet resolves from the root, and each signature on the way verifies, up to the trust anchor.
func TestGeneratedNamesValidate(t *testing.T) {
	l := newLab(t, "[generate]")
	w := &walker{t, l, map[string][]*miekg.DNSKEY{}}
	all := l.Names(100_000)
	if len(all) != 100_000 {
		t.Fatalf("the lab has %d names, 100,000 wanted", len(all))
	}
	seen := map[dns.Name]bool{}
	for _, n := range all {
		if seen[n] {
			t.Fatalf("%v is listed twice", n)
		}
		seen[n] = true
	}
	secure, insecure, aliases, denied := 0, 0, 0, 0
	for i, n := range all {
		if i%97 != 0 && i > 20 {
			continue
		}
		r, zone := w.resolve(n.String(), miekg.TypeA)
		w.verify(r.Answer, never)
		if len(r.Answer) == 0 {
			t.Errorf("%v has no address:\n%v", n, r)
		}
		if _, ok := r.Answer[0].(*miekg.CNAME); ok {
			aliases++
		}
		if w.keys[zone] == nil {
			insecure++
			continue
		}
		secure++
		for _, q := range []struct {
			name  string
			qtype uint16
		}{{n.String(), miekg.TypeLOC}, {"no-such-host.below." + n.String(), miekg.TypeA}} {
			r, zone := w.resolve(q.name, q.qtype)
			w.verify(append(r.Answer, r.Ns...), never)
			if len(r.Answer) == 0 {
				denied++
				checkDenial(t, r, q.name, q.qtype, zone)
			}
		}
	}
	t.Logf("%d names in secure zones, %d in insecure ones, %d aliases, %d denials", secure, insecure, aliases, denied)
	if secure < 300 || insecure < 100 || aliases < 50 || denied < 500 {
		t.Errorf("the mix is not what it should be")
	}
}
