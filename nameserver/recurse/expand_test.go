package recurse

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// A zone that had NSEC3 records a while ago and has NSEC records now: a wildcard that was found by those comes with the one that was looked at.
func TestExpandedComesWithItsProof(t *testing.T) {
	clock := Clock{Boot: func() time.Duration { return time.Minute }, Wall: time.Now}
	c, err := cache.New(cache.Config{Bytes: cache.MinBytes, Now: clock.Boot})
	if err != nil {
		t.Fatal(err)
	}
	r := New(Config{Network: SystemNetwork{}, Clock: clock, Random: rand.Uint64, Cache: c, Limits: Defaults().Limits})
	defer func() {
		r.Close()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	ct, err := cache.Compile(cache.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	table, err := Compile(Defaults(), ct, nil, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	zone, now := dns.MustParseName("example."), r.clock.Boot()
	r.trusts.put(trustKey{zone, 0, table.terms}, trust{zone: zone, security: cache.Secure, expires: now + time.Hour, hashes: true}, now)
	signed := func(name string, typ dns.Type, data []byte) dns.RRset {
		sig := binary.BigEndian.AppendUint16(nil, uint16(typ))
		sig = append(append(sig, 13, 1), make([]byte, 14)...)
		sig = append(append(sig, zone.Wire()...), make([]byte, 64)...)
		return dns.RRset{
			Name: dns.MustParseName(name), Type: typ, Class: dns.ClassINET, TTL: 3600, Data: dns.Records{}.Append(data), Sigs: dns.Records{}.Append(sig),
		}
	}
	star := signed("*.example.", dns.TypeA, []byte{192, 0, 2, 1})
	next := append([]byte(dns.MustParseName("zz.example.").Wire()), 0, 1, 0x40) // type A
	cover := signed("*.example.", dns.TypeNSEC, next)
	if v := r.cache.Put(cache.Entry{Set: star, Rank: cache.RankAuthAnswer, Security: cache.Secure, Zone: zone, Stored: now, Expires: now + time.Hour}, r.cache.Epoch()); v != cache.Stored {
		t.Fatal(v)
	}
	r.cache.PutProof(zone, cover, cache.RankAuthAnswer, now, now+time.Hour, r.cache.Epoch())

	q := dns.Question{Name: dns.MustParseName("www.example."), Type: dns.TypeA, Class: dns.ClassINET}
	out, ok := r.deny(q, now, Opts{Table: table, Budget: r.NewBudget(table), Proofs: true})
	if !ok || len(out.chain) != 1 || out.chain[0].Set.Name != q.Name {
		t.Fatalf("%v, %+v", ok, out)
	}
	if len(out.proofs) != 1 || out.proofs[0].Type != dns.TypeNSEC {
		t.Errorf("the proofs are %+v", out.proofs)
	}
}
