package zone

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/ananas-edge/ananas/dns"
)

// hold makes a zone of records from strangers and looks at all of it: every name has its records, every answer can be read, and what was written
// down reads back as the same.
func hold(t *testing.T, apex dns.Name, rrs []dns.RR) {
	z, err := build(apex, rrs)
	if err != nil {
		if err.Error() == "" {
			t.Fatal("an error without words")
		}
		return
	}
	z.Digest()
	if z.Records()+z.Outside() > len(rrs) {
		t.Fatalf("%d records of %d", z.Records(), len(rrs))
	}
	for i := range z.nodes {
		n := &z.nodes[i]
		if i > 0 && z.nodes[i-1].name.Compare(n.name) >= 0 {
			t.Fatalf("%v stands behind %v", n.name, z.nodes[i-1].name)
		}
		z.each(n, func(s *dns.RRset) bool {
			if s.Data.Len() == 0 {
				t.Fatalf("%v %v is empty", n.name, s.Type)
			}
			for _, do := range []bool{true, false} {
				answer(t, z, n.name, s.Type, do)
			}
			return true
		})
		below, err := n.name.Child("x")
		if err == nil {
			answer(t, z, below, dns.TypeA, true)
		}
	}
	for _, rr := range rrs {
		if rr.Name.IsWithin(apex) && rr.Type != dns.TypeRRSIG {
			if s, ok := z.Set(rr.Name, rr.Type); !ok || !hasRecord(s, rr.Data) {
				t.Fatalf("%v is lost", rr)
			}
		}
	}
	b, err := encodeCopy(&stored{records: rrs, confirmed: time.Unix(1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := decodeCopy(b)
	if err != nil {
		t.Fatal(err)
	}
	again, err := build(apex, s.records)
	if err != nil || !bytes.Equal(again.data, z.data) || len(again.nodes) != len(z.nodes) {
		t.Fatalf("from the disk it is another zone: %v", err)
	}
}

func hasRecord(s dns.RRset, data []byte) bool {
	want := dns.AppendCanonical(nil, s.Type, data)
	for d := range s.Data.All() {
		if bytes.Equal(dns.AppendCanonical(nil, s.Type, d), want) {
			return true
		}
	}
	return false
}

func answer(t *testing.T, z *Zone, n dns.Name, typ dns.Type, do bool) {
	var m dns.Message
	b := z.Answer(dns.Question{Name: n, Type: typ, Class: dns.ClassINET}, do)
	if err := dns.Parse(b, &m); err != nil && m.Misfits == 0 {
		t.Fatalf("the answer to %v %v: %v", n, typ, err)
	}
	if m.Header.Flags&dns.FlagQR == 0 || !m.Question.Name.Equal(n) {
		t.Fatalf("the answer to %v %v is %+v", n, typ, m.Header)
	}
}

// FuzzZoneFile reads what an operator, or who writes his file, puts there.
func FuzzZoneFile(f *testing.F) {
	files, _ := filepath.Glob("testdata/zonemd/*.zone")
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil {
			f.Add(string(text))
		}
	}
	f.Add(unsigned)
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<16 {
			return
		}
		for _, apex := range []dns.Name{dns.Root, name("example")} {
			rrs, err := dns.ParseZone(text, "the file", apex, 1000)
			if err != nil {
				continue
			}
			hold(t, apex, rrs)
			if z, err := Parse(text, "the file", apex); (z == nil) == (err == nil) {
				t.Fatal(z, err)
			}
		}
	})
}

// FuzzTransfer reads what a server sends.
func FuzzTransfer(f *testing.F) {
	f.Add(stream(message(f, soa7+"@ NS ns\nns A 192.0.2.1\n"+soa7)))
	f.Add(stream(message(f, soa7), message(f, "@ NS ns\nsub NS ns\nsub DS 1 13 2 AABB\nns A 192.0.2.1\n*.w TXT a\n", func(m *miekg.Msg) { m.Question = nil }), message(f, soa7)))
	f.Add(stream(message(f, soa7+"@ NS ns\n@ ZONEMD 7 1 1 AABB\na TYPE65280 \\# 0\nd DNAME ns\n@ NSEC a NS SOA\n"+soa7)))
	f.Fuzz(func(t *testing.T, b []byte) {
		rrs, err := readStream(b)
		if err != nil {
			if rrs != nil {
				t.Fatal("records of a transfer that failed")
			}
			return
		}
		hold(t, name("example"), rrs)
	})
}

// FuzzCopy reads what lies on the disk.
func FuzzCopy(f *testing.F) {
	rrs, err := readStream(stream(message(f, soa7+"@ NS ns\nns A 192.0.2.1\n"+soa7)))
	if err != nil {
		f.Fatal(err)
	}
	b, err := encodeCopy(&stored{records: rrs, confirmed: time.Unix(1e9, 0)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[copyHead:])
	f.Fuzz(func(t *testing.T, records []byte) {
		whole := sealCopy(append(append([]byte(copyMagic), make([]byte, copyHead-copySum)...), records...), time.Unix(1e9, 0))
		s, err := decodeCopy(whole)
		if err != nil {
			return
		}
		again, err := encodeCopy(s)
		if err != nil || !bytes.Equal(again, whole) || !s.confirmed.Equal(time.Unix(1e9, 0)) {
			t.Fatalf("%v: it reads back as something else", err)
		}
		hold(t, name("example"), s.records)
	})
}
