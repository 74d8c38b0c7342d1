package dnssec

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/lab"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// Files in testdata/lab are worlds of package lab, and what names in them come to when they are followed from the root:
//
//	NAME TYPE = SECURITY RCODE
//	NAME TYPE = SECURITY RCODE CODE TEXT    with an EDE
//
// where RCODE is "-" if the zone of the name is not reached.
func TestLab(t *testing.T) {
	files, err := filepath.Glob("testdata/lab/*.txt")
	if err != nil || len(files) < 3 {
		t.Fatalf("worlds in testdata: %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil || len(archive.Files) != 2 {
				t.Fatalf("%d parts, %v", len(archive.Files), err)
			}
			synctest.Test(t, func(t *testing.T) {
				f := newFollower(t, string(archive.Files[0].Data))
				for line := range strings.Lines(string(archive.Files[1].Data)) {
					question, want, _ := strings.Cut(strings.TrimSpace(line), " = ")
					q := strings.Fields(question)
					typ, err := dns.ParseType(q[1])
					if err != nil {
						t.Fatal(err)
					}
					r, rcode := f.follow(name(q[0]), typ)
					got := strings.TrimSpace(fmt.Sprintf("%v %s %d %s", r.Security, rcode, r.EDE.Code, r.EDE.Text))
					got = strings.TrimSuffix(got, " 0")
					w := strings.SplitN(want, " ", 4)
					if len(w) == 2 && got != want || len(w) == 4 && !(strings.HasPrefix(got, strings.Join(w[:3], " ")+" ") && strings.Contains(got, w[3])) {
						t.Errorf("%s = %s, want %s", question, got, want)
					}
				}
			})
		})
	}
}

// follower goes from the root to a name as a resolver does, but asks one server each and keeps nothing.
type follower struct {
	t       *testing.T
	lab     *lab.Lab
	network *lab.Network
	root    netip.Addr
	anchors dns.Records
	table   *Table
	work    *Work // of the last name
}

func newFollower(t *testing.T, text string) *follower {
	t.Helper()
	world, err := lab.ParseWorld(text)
	if err != nil {
		t.Fatal(err)
	}
	l, err := lab.New(lab.Config{Seed: 1, World: world, Clock: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{t: t, lab: l, network: l.Network(), table: table(t)}
	t.Cleanup(func() { _ = f.network.Close() })
	for _, set := range rrsets(t, l.RootHints()) {
		if set.Type == dns.TypeA && !f.root.IsValid() {
			f.root, _ = netip.AddrFromSlice(set.Data.First())
		}
	}
	f.anchors = rrset(t, l.TrustAnchors()).Data
	return f
}

// reply is a message with its records in sets.
type reply struct {
	rcode    dns.RCode
	sections [3][]dns.RRset
}

// ask sends a question over TCP, so that nothing is cut off.
func (f *follower) ask(server netip.Addr, q dns.Name, typ dns.Type) reply {
	f.t.Helper()
	c, err := f.network.DialTCP(f.t.Context(), netip.AddrPortFrom(server, 53))
	if err != nil {
		f.t.Fatal(err)
	}
	defer c.Close()
	m := dns.AppendQuestion(make([]byte, 2), 4711, 0, dns.Question{Name: q, Type: typ, Class: dns.ClassINET}, 1232, true, nil)
	binary.BigEndian.PutUint16(m, uint16(len(m)-2))
	if _, err := c.Write(m); err != nil {
		f.t.Fatal(err)
	}
	var length [2]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		f.t.Fatal(err)
	}
	octets := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(c, octets); err != nil {
		f.t.Fatal(err)
	}
	var msg dns.Message
	if err := dns.Parse(octets, &msg); err != nil {
		f.t.Fatal(err)
	}
	r := reply{rcode: msg.RCode()}
	for s, rrs := range msg.Sections {
		r.sections[s] = setsOf(rrs)
	}
	return r
}

// setsOf puts records into sets.
func setsOf(rrs []dns.RR) (sets []dns.RRset) {
	for _, rr := range rrs {
		typ := rr.Type
		if typ == dns.TypeRRSIG {
			typ = dns.CoveredType(rr.Data)
		}
		i := slices.IndexFunc(sets, func(s dns.RRset) bool { return s.Name == rr.Name && s.Type == typ })
		if i < 0 {
			i = len(sets)
			sets = append(sets, dns.RRset{Name: rr.Name, Type: typ, Class: rr.Class, TTL: rr.TTL})
		}
		if rr.Type == dns.TypeRRSIG {
			sets[i].Sigs = sets[i].Sigs.Append(rr.Data)
		} else {
			sets[i].Data = sets[i].Data.Append(rr.Data)
		}
	}
	return sets
}

// follow returns what a name comes to, and the response code of its zone, "-" if that was not reached.
func (f *follower) follow(q dns.Name, typ dns.Type) (Result, string) {
	f.work = f.table.Work(nil)
	zone, server, ds := dns.Root, f.root, f.anchors
	var unsigned Result // why what follows is insecure
	for range 20 {
		var keys *Keys
		if unsigned.Security == cache.Unchecked {
			var dnskey *dns.RRset
			if r := f.ask(server, zone, dns.TypeDNSKEY); len(r.sections[dns.Answer]) > 0 {
				dnskey = &r.sections[dns.Answer][0]
			}
			var r Result
			if keys, r = CheckKeys(zone, dnskey, ds, nil, at, f.work); r.Security == cache.Insecure {
				unsigned = r
			} else if !r.Secure() {
				return r, "-"
			}
		}
		r := f.ask(server, q, typ)
		cut := slices.IndexFunc(r.sections[dns.Authority], func(s dns.RRset) bool { return s.Type == dns.TypeNS && s.Name != zone })
		if len(r.sections[dns.Answer]) > 0 || cut < 0 {
			if keys == nil {
				return unsigned, r.rcode.String()
			}
			return f.conclude(r, q, typ, keys), r.rcode.String()
		}
		zone = r.sections[dns.Authority][cut].Name
		if keys != nil {
			ds, unsigned = f.delegated(r, zone, keys)
			if unsigned.Security == cache.Bogus {
				return unsigned, "-"
			}
		}
		for _, set := range r.sections[dns.Additional] {
			if set.Type == dns.TypeA {
				server, _ = netip.AddrFromSlice(set.Data.First())
			}
		}
	}
	f.t.Fatalf("%v: too many referrals", q)
	return Result{}, ""
}

// delegated returns the DS records of a referral, or why there are none.
func (f *follower) delegated(r reply, cut dns.Name, keys *Keys) (dns.Records, Result) {
	for i := range r.sections[dns.Authority] {
		if s := &r.sections[dns.Authority][i]; s.Type == dns.TypeDS && s.Name == cut {
			if r := CheckSet(s, keys, at, f.work); !r.Secure() {
				return nil, r
			}
			return s.Data, Result{}
		}
	}
	u := f.denial(r, keys).Unsigned(cut, f.work)
	if u.Security != cache.Bogus {
		u.Security = cache.Insecure
		u.EDE = dns.EDE{}
	}
	return nil, u
}

func (f *follower) denial(r reply, keys *Keys) *Denial {
	d := NewDenial(keys.Zone())
	for i := range r.sections[dns.Authority] {
		if s := &r.sections[dns.Authority][i]; s.Type == dns.TypeNSEC || s.Type == dns.TypeNSEC3 {
			_ = d.Add(s, CheckSet(s, keys, at, f.work), f.work) // what is ignored is missed later
		}
	}
	return d
}

// conclude checks an answer: all of its sets, and what it denies.
func (f *follower) conclude(r reply, q dns.Name, typ dns.Type, keys *Keys) Result {
	worst := Result{Security: cache.Secure}
	d := f.denial(r, keys)
	take := func(r Result) {
		if r.Security == cache.Bogus || worst.Secure() {
			worst = r
		}
	}
	for i := range r.sections[dns.Answer] {
		s := &r.sections[dns.Answer][i]
		c := CheckSet(s, keys, at, f.work)
		take(c)
		if c.Secure() && !c.Wildcard.IsZero() {
			take(d.Expanded(s.Name, c.Wildcard, f.work))
		}
	}
	switch {
	case len(r.sections[dns.Answer]) > 0:
	case r.rcode == dns.RCodeNameError:
		take(d.NXDomain(q, f.work))
	default:
		take(d.NoData(q, typ, f.work))
	}
	return worst
}

// The generated internet of the lab, sampled, as one forwarder shows it: each name comes to secure or insecure, and never to bogus. Where
// zones begin is not told by referrals here but found, by asking for DS at each name on the way.
func TestGeneratedInternet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFollower(t, "[generate zones=2000 hosts=3000]\n[server 192.0.2.53]\nrecursive\nlatency 1ms")
		f.root = netip.MustParseAddr("192.0.2.53")
		seen := map[string]int{}
		worst := Spent{}
		for i, n := range f.lab.Names(3000) {
			if i%40 != 0 {
				continue
			}
			gone, _ := n.Child("no-such-name")
			for _, q := range []dns.Question{{Name: n, Type: dns.TypeA}, {Name: n, Type: dns.TypeHINFO}, {Name: gone, Type: dns.TypeA}} {
				r, rcode := f.forwarded(q.Name, q.Type)
				if r.Security == cache.Bogus {
					t.Errorf("%v: %s %+v", q, rcode, r)
				}
				seen[r.Security.String()+" "+rcode]++
				s := f.work.Spent()
				if s.FailedWork > 0 {
					t.Errorf("%v: %+v", q, s)
				}
				worst.SignatureWork = max(worst.SignatureWork, s.SignatureWork)
				worst.NSEC3Work = max(worst.NSEC3Work, s.NSEC3Work)
				worst.Digests = max(worst.Digests, s.Digests)
			}
		}
		t.Logf("%v, at most %+v", seen, worst)
		if l := Defaults().Limits; 2*worst.SignatureWork > l.SignatureWork || 4*worst.NSEC3Work > l.NSEC3Work || 4*worst.Digests > l.Digests {
			t.Errorf("honest names take %+v, too near to the limits", worst)
		}
		for _, kind := range []string{"secure NOERROR", "secure NXDOMAIN", "insecure NOERROR", "insecure NXDOMAIN"} {
			if seen[kind] < 5 {
				t.Errorf("%d are %s", seen[kind], kind)
			}
		}
	})
}

// forwarded is follow, through a forwarder.
func (f *follower) forwarded(q dns.Name, typ dns.Type) (Result, string) {
	f.work = f.table.Work(nil)
	ds := f.anchors
	var keys *Keys
	for i := range q.Labels() + 1 {
		n := q.Ancestor(i)
		if i > 0 {
			r := f.ask(f.root, n, dns.TypeDS)
			ds = nil
			answer := r.sections[dns.Answer]
			switch {
			case len(answer) > 0:
				if c := CheckSet(&answer[0], keys, at, f.work); !c.Secure() {
					return c, r.rcode.String()
				}
				if answer[0].Type == dns.TypeDS {
					ds = answer[0].Data
				} // else an alias, which is in the zone
			default:
				d := f.denial(r, keys)
				if u := d.Unsigned(n, f.work); u.Security != cache.Bogus {
					return Result{Security: cache.Insecure}, f.ask(f.root, q, typ).rcode.String()
				}
				if c := d.NoCut(n, f.work); !c.Secure() {
					return c, r.rcode.String()
				}
			}
		}
		if ds != nil {
			dnskey := f.ask(f.root, n, dns.TypeDNSKEY).sections[dns.Answer]
			if len(dnskey) == 0 {
				dnskey = make([]dns.RRset, 1)
			}
			var r Result
			if keys, r = CheckKeys(n, &dnskey[0], ds, nil, at, f.work); !r.Secure() {
				return r, "-"
			}
		}
	}
	r := f.ask(f.root, q, typ)
	if a := r.sections[dns.Answer]; len(a) > 0 {
		r.sections[dns.Answer] = a[:1] // what follows an alias is another question
	}
	return f.conclude(r, q, typ, keys), r.rcode.String()
}
