package dnssec

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
	"github.com/ananas-edge/ananas/telemetry"
)

// What an answer made to cost may cost is counted here in units of work, which are the same on every machine.

// trapKeys are DNSKEY records of different RSA keys of 2,048 bits that all have one tag.
func trapKeys(n int) (records [][]byte, tag uint16) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		rdata := append([]byte{1, 1, 3, byte(RSASHA256), 3, 1, 0, 1}, make([]byte, 256)...)
		for j := 8; j < len(rdata); j++ {
			rdata[j] = byte(rng.Uint32())
		}
		rdata[8] |= 0x80
		rdata[len(rdata)-1] |= 1
		k, _ := dns.ParseDNSKEY(rdata)
		if i == 0 {
			tag = k.KeyTag()
		}
		// The tag is a sum of words: one of them makes it what it should be.
		word := binary.BigEndian.Uint16(rdata[100:])
		for k.KeyTag() != tag {
			word += tag - k.KeyTag() // the carry may need one more
			binary.BigEndian.PutUint16(rdata[100:], word)
		}
		records = append(records, rdata)
	}
	return records, tag
}

// trapSet is a set with so many signatures by a key of that tag, none of them good.
func trapSet(t testing.TB, text string, tag uint16, n int) dns.RRset {
	set := rrset(t, text)
	labels := set.Name.Labels()
	for i := range n {
		b := binary.BigEndian.AppendUint16(nil, uint16(set.Type))
		b = append(b, byte(RSASHA256), byte(labels))
		for _, v := range []uint32{300, uint32(at.Unix() + 100 + int64(i)), uint32(at.Unix() - 100)} {
			b = binary.BigEndian.AppendUint32(b, v)
		}
		b = append(binary.BigEndian.AppendUint16(b, tag), name("example.").Wire()...)
		b = append(b, make([]byte, 256)...)
		b[len(b)-1] = byte(i)
		set.Sigs = set.Sigs.Append(b)
	}
	return set
}

// KeyTrap (CVE-2023-50387): 500 keys of one tag, and 500 signatures by it.
func TestKeyTrap(t *testing.T) {
	zone := name("example.")
	data, tag := trapKeys(500)
	set := &dns.RRset{Name: zone, Type: dns.TypeDNSKEY, Class: dns.ClassINET, TTL: 300, Data: records(data...)}
	w := work(t)
	keys := (&keysCheck{zone: zone, set: set, work: w}).all(nil)
	if n := len(keys.find(RSASHA256, tag)); n != Defaults().Limits.Keys || !keys.omitted {
		t.Fatalf("%d keys of one tag", n)
	}
	trap := trapSet(t, www, tag, 500)
	r := CheckSet(&trap, keys, at, w)
	l := Defaults().Limits
	if r.Security != cache.Bogus || r.Limit != LimitFailedWork || r.EDE.Code != dns.EDEIndeterminate || !strings.Contains(r.EDE.Text, "limit failed_signature_work") {
		t.Errorf("%+v", r)
	}
	if s := w.Spent(); s.Checks != l.FailedWork || s.FailedWork != l.FailedWork || s.SignatureWork != l.FailedWork {
		t.Errorf("spent %+v", s)
	}
	// The account is empty for all that follows, without another check.
	good := newSigner(Ed25519, 1)
	honest := good.sign(rrset(t, www), zone)
	if r := CheckSet(&honest, keysOf(t, "example.", good), at, w); r.Limit != LimitFailedWork || r.Secure() || w.Spent().Checks != l.FailedWork {
		t.Errorf("%+v", r)
	}
	// One signature meets no more keys than the limit of collisions.
	one := trapSet(t, www, tag, 1)
	w = work(t)
	if r := CheckSet(&one, keys, at, w); r.Limit != LimitCollisions || w.Spent().Checks != l.Collisions {
		t.Errorf("one signature: %+v, %+v", r, w.Spent())
	}
	// And signatures that meet one key each no more signatures than that limit.
	w = work(t, func(s *Settings) { s.Limits.FailedWork = 1000 })
	if r := CheckSet(&trap, &Keys{zone, keys.keys[:1], false}, at, w); r.Limit != LimitSignatures || w.Spent().Checks != l.Signatures {
		t.Errorf("one key: %+v, %+v", r, w.Spent())
	}
	// With all limits of a set out of the way, what an answer may cost still holds.
	w = work(t, func(s *Settings) { s.Limits.FailedWork, s.Limits.Signatures, s.Limits.Collisions = 1000, 1000, 1000 })
	if r := CheckSet(&trap, keys, at, w); r.Limit != LimitSignatureWork || w.Spent().SignatureWork != l.SignatureWork {
		t.Errorf("no limits: %+v, %+v", r, w.Spent())
	}
}

// The same at the keys: 100 DS records and 500 keys of one tag, of which none fits. Each key is hashed once, and not all are.
func TestDigestTrap(t *testing.T) {
	zone := name("example.")
	data, tag := trapKeys(500)
	set := trapSet(t, "example. 300 IN DNSKEY 256 3 8 AQAB", tag, 500)
	set.Data = records(data...)
	ds := func(last byte, fits bool) (r dns.Records) {
		for i := range 100 {
			b := binary.BigEndian.AppendUint16(nil, tag)
			b = append(b, byte(RSASHA256), byte(SHA256))
			d := append(make([]byte, 31), byte(i))
			if fits && i == 99 {
				d = digest(SHA256.row().hash, []byte(zone.Wire()), data[last])
			}
			r = r.Append(append(b, d...))
		}
		return r
	}
	w := work(t)
	_, r := CheckKeys(zone, &set, ds(0, false), nil, at, w)
	if s := w.Spent(); r.Security != cache.Bogus || r.Limit != LimitDigests || s.Digests != Defaults().Limits.Digests || s.Checks != 0 {
		t.Errorf("%+v, %+v", r, s)
	}
	// If one fits that comes early, the keys are hashed on, to find all that fit, and the signatures have their own limits.
	w = work(t, func(s *Settings) { s.Limits.Digests = 500 })
	_, r = CheckKeys(zone, &set, ds(3, true), nil, at, w)
	if s := w.Spent(); r.Limit != LimitFailedWork || s.Digests != 500 || s.Checks != 2 { // each hashes 134 KB
		t.Errorf("%+v, %+v", r, s)
	}
}

// Signatures that can not be good are not even looked at beyond a number, nor are sets hashed that take more than the account has.
func TestLargeSets(t *testing.T) {
	zone, s := name("example."), newSigner(Ed25519, 1)
	set := s.sign(rrset(t, www), zone)
	good := set.Sigs
	set.Sigs = nil
	for range maxLooked {
		set.Sigs = set.Sigs.Append([]byte{0, 1})
	}
	set.Sigs = append(set.Sigs, good...)
	w := work(t)
	if r := CheckSet(&set, keysOf(t, "example.", s), at, w); r.Secure() || r.Limit != LimitSignatures || w.Spent().Checks != 0 {
		t.Errorf("%+v, %+v", r, w.Spent())
	}

	owner := strings.Repeat(strings.Repeat("a", 61)+".", 3) + strings.Repeat("b", 57) + ".example."
	large := func(n int) dns.RRset {
		set := rrset(t, owner+" 300 IN A 192.0.2.1")
		for i := range n {
			set.Data = set.Data.Append([]byte{10, 0, byte(i >> 8), byte(i)})
		}
		return s.sign(set, zone)
	}
	set = large(5000) // 1.3 MB to hash: as much as 80 checks
	w = work(t)
	if r := CheckSet(&set, keysOf(t, "example.", s), at, w); r.Limit != LimitSignatureWork || r.EDE.Code != dns.EDEIndeterminate || w.Spent().Checks != 0 {
		t.Errorf("%+v, %+v", r, w.Spent())
	}
	set = large(600) // an honest one of that size: 160 KB
	w = work(t)
	if r := CheckSet(&set, keysOf(t, "example.", s), at, w); !r.Secure() || w.Spent().SignatureWork != 601/recordsPerUnit+1+9 {
		t.Errorf("%+v, %+v", r, w.Spent())
	}
}

// NSEC3 with 2,500 iterations and names of 127 labels (CVE-2023-50868).
func TestNSEC3Work(t *testing.T) {
	long := strings.Repeat("a.", 123) + "example."
	salt := strings.Repeat("ab", 255)
	for _, tc := range []struct {
		iterations int
		salt       string
		change     func(*Settings)
		limit      Limit
		security   cache.Security
		code       dns.EDECode
		blocks     int // at least this
	}{
		{iterations: 2500, security: cache.Bogus, code: dns.EDENSEC3Iterations},
		{iterations: 500, security: cache.Insecure, code: dns.EDENSEC3Iterations},
		{iterations: 100, limit: LimitNSEC3Work, security: cache.Bogus, code: dns.EDENSEC3Iterations, blocks: 3900},
		{iterations: 100, salt: salt, limit: LimitNSEC3Work, security: cache.Bogus, code: dns.EDENSEC3Iterations, blocks: 3500},
		{iterations: 0, security: cache.Secure, blocks: 124 + 100},
		{iterations: 10, security: cache.Secure, blocks: 124 * 10},
		{
			iterations: 2500, change: func(s *Settings) { s.Limits.NSEC3Insecure, s.Limits.NSEC3Bogus = 2500, 2500 },
			limit: LimitNSEC3Work, security: cache.Bogus, code: dns.EDENSEC3Iterations, blocks: 2501,
		},
	} {
		t.Run(fmt.Sprint(tc.iterations, len(tc.salt)), func(t *testing.T) {
			change := tc.change
			if change == nil {
				change = func(*Settings) {}
			}
			w := work(t, change)
			d := NewDenial(name("example."))
			for _, line := range []string{"match example. NS SOA", "cover a.example.", "cover *.example."} {
				line += " iterations=" + strconv.Itoa(tc.iterations)
				if tc.salt != "" {
					line += " salt=" + tc.salt
				}
				set := record3(t, d.zone, line)
				_ = d.Add(&set, noted(d.zone, ""), w) // too many iterations are an error
			}
			r := d.NXDomain(name(long), w)
			expect(t, r, tc.security, tc.code, "")
			if s := w.Spent(); r.Limit != tc.limit || s.NSEC3Work > Defaults().Limits.NSEC3Work || s.NSEC3Work < tc.blocks || (tc.blocks == 0) != (s.Hashes == 0) {
				t.Errorf("%+v, spent %+v", r, s)
			}
			// Asking again costs nothing but what could not be paid for the first time.
			before := w.Spent().NSEC3Work
			d.NXDomain(name(long), w)
			if s := w.Spent(); tc.limit == NoLimit && s.NSEC3Work != before {
				t.Errorf("again: %+v", s)
			}
		})
	}
}

// The price of a hash is that of its blocks: 64 octets, of which nine or more are padding.
func TestSHA1Blocks(t *testing.T) {
	for n, want := range map[int]int{0: 1, 55: 1, 56: 2, 64: 2, 119: 2, 120: 3, 255: 5, 510: 9} {
		if got := sha1Blocks(n); got != want {
			t.Errorf("%d octets: %d blocks, want %d", n, got, want)
		}
	}
}

// No more proofs are looked at than the limit says.
func TestProofsLimit(t *testing.T) {
	w := work(t)
	d := NewDenial(name("example."))
	add := func(line string) error {
		set := record3(t, d.zone, line)
		return d.Add(&set, noted(d.zone, ""), w)
	}
	for i := range Defaults().Limits.Proofs {
		if err := add(fmt.Sprintf("x%d.example. NSEC y%d.example. A", i, i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := add("example. NSEC example. SOA"); err == nil || !strings.Contains(err.Error(), "NSEC of example.: is more than are looked at") {
		t.Error(err)
	}
	expect(t, d.NXDomain(name("c.example."), w), cache.Bogus, dns.EDENSECMissing, "is more than are looked at")

	// Nor are the signatures of more checked, good or not.
	d = NewDenial(name("example."))
	for range Defaults().Limits.Proofs {
		if !d.Look(w) {
			t.Fatal("not looked at")
		}
	}
	if d.Look(w) {
		t.Error("one too many is looked at")
	}
	expect(t, d.NXDomain(name("c.example."), w), cache.Bogus, dns.EDENSECMissing, "ignored: what comes after 8 sets is more than are looked at")
}

// What is not proved because a proof could not be paid for is not the zone's fault: the result says which limit it was.
func TestUnpaidProof(t *testing.T) {
	s := newSigner(Ed25519, 1)
	zone := name("example.")
	keys := keysOf(t, "example.", s)
	w := work(t, func(s *Settings) { s.Limits.SignatureWork = 1 })
	d := NewDenial(zone)
	for _, line := range []string{"example. NSEC a.example. SOA NS", "b.example. NSEC d.example. A"} {
		set := s.sign(record3(t, zone, line), zone)
		_ = d.Add(&set, CheckSet(&set, keys, at, w), w) // the second is not checked
	}
	for what, r := range map[string]Result{
		"NXDomain": d.NXDomain(name("c.example."), w), "NoData": d.NoData(name("b.example."), dns.TypeTXT, w), "Unsigned": d.Unsigned(name("c.example."), w),
	} {
		if r.Security != cache.Bogus || r.Limit != LimitSignatureWork || r.EDE.Code != dns.EDEIndeterminate {
			t.Errorf("%s: %+v", what, r)
		}
	}
	if r := d.NoData(zone, dns.TypeTXT, w); !r.Secure() { // what was paid for proves what it proves
		t.Errorf("%+v", r)
	}
}

// Several goroutines may work on one answer: together they keep to its limits, but for the checks under way.
func TestWorkIsShared(t *testing.T) {
	data, tag := trapKeys(40)
	zone := name("example.")
	set := &dns.RRset{Name: zone, Type: dns.TypeDNSKEY, Class: dns.ClassINET, TTL: 300, Data: records(data...)}
	w := work(t)
	keys := (&keysCheck{zone: zone, set: set, work: w}).all(nil)
	const goroutines = 8
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			trap := trapSet(t, www, tag, 20)
			if r := CheckSet(&trap, keys, at, w); r.Security != cache.Bogus || r.Limit == NoLimit {
				t.Errorf("%+v", r)
			}
		})
	}
	wg.Wait()
	if s := w.Spent(); s.FailedWork < Defaults().Limits.FailedWork || s.FailedWork > Defaults().Limits.FailedWork+goroutines {
		t.Errorf("%+v", s)
	}
}

// Limits and checks are counted by name.
func TestMetrics(t *testing.T) {
	m := NewMetrics(telemetry.NewMetrics())
	data, tag := trapKeys(2)
	set := &dns.RRset{Name: name("example."), Type: dns.TypeDNSKEY, Class: dns.ClassINET, Data: records(data...)}
	w := table(t).Work(m)
	keys := (&keysCheck{zone: name("example."), set: set, work: w}).all(nil)
	trap := trapSet(t, www, tag, 20)
	CheckSet(&trap, keys, at, w)
	good := newSigner(Ed448, 1)
	honest := good.sign(rrset(t, www), name("example."))
	CheckSet(&honest, keysOf(t, "example.", good), at, table(t).Work(m))
	d := NewDenial(name("example."))
	for _, line := range []string{"match example. NS SOA iterations=50", "cover a.example. iterations=50", "cover *.example. iterations=50"} {
		s := record3(t, d.zone, line)
		_ = d.Add(&s, noted(d.zone, ""), w)
	}
	d.NXDomain(name("a.example."), w)
	NewDenial(name("example.")).NXDomain(name("a.example."), table(t).Work(nil)) // without metrics
	if bad, good := m.bad[RSASHA256.index()].Value(), m.good[Ed448.index()].Value(); bad != 10 || good != 1 {
		t.Errorf("%d bad, %d good", bad, good)
	}
	if n := m.limits[LimitSignatures].Value(); n != 1 {
		t.Errorf("%d times too many signatures", n)
	}
	if n := m.blocks.Value(); n != uint64(w.Spent().NSEC3Work) || n == 0 {
		t.Errorf("%d blocks", n)
	}
	NewMetrics(nil).limits[LimitKeys].Inc()
}

// Every limit is a setting by the name that it is counted by.
func TestLimitsAreSettings(t *testing.T) {
	keys := map[string]bool{}
	typ, defaults := reflect.TypeFor[Limits](), reflect.ValueOf(Defaults().Limits)
	for i := range typ.NumField() {
		f := typ.Field(i)
		keys[f.Tag.Get("yaml")] = true
		low, _ := strconv.Atoi(f.Tag.Get("min"))
		high, err := strconv.Atoi(f.Tag.Get("max"))
		if v := int(defaults.Field(i).Int()); err != nil || v < low || v > high {
			t.Errorf("%s: %d is not from %d to %d", f.Name, v, low, high)
		}
	}
	for l := NoLimit + 1; l < limitEnd; l++ {
		if !keys[l.String()] {
			t.Errorf("no setting %s", l)
		}
		delete(keys, l.String())
	}
	if len(keys) > 0 || limitEnd.String() != "unknown limit" {
		t.Errorf("not counted: %v", keys)
	}
}

func TestCompile(t *testing.T) {
	for _, tc := range []struct {
		change func(*Limits)
		want   string // "": none
	}{
		{func(*Limits) {}, ""},
		{func(l *Limits) { l.NSEC3Insecure, l.NSEC3Bogus = 0, 0 }, ""},
		{func(l *Limits) { l.NSEC3Insecure = 501 }, "limits.nsec3_iterations_insecure: 501 is not from 0 to nsec3_iterations_bogus, which is 500"},
		{func(l *Limits) { l.NSEC3Insecure = -1 }, "limits.nsec3_iterations_insecure: -1"},
		{func(l *Limits) { l.SignatureWork = 0 }, "limits.signature_work: 0 is below 1"},
		{func(l *Limits) { l.Proofs = -5 }, "limits.proofs: -5 is below 1"},
	} {
		s := Defaults()
		tc.change(&s.Limits)
		_, err := Compile(s)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%v, want %q", err, tc.want)
		}
	}
}
