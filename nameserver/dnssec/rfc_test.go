package dnssec

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// Files in testdata/rfc hold the examples of RFCs: records, and in comments
//
//	; at TIME                                      when the signatures are good
//	; with OWNER... QUESTION = RESULT              what the NSEC or NSEC3 records of these owners prove; for NSEC3 four letters of the hash do
//
// Questions and results are those of denial_test.go. Each signature must verify; each must not once an octet is changed.
func TestExamplesOfRFCs(t *testing.T) {
	files, err := filepath.Glob("testdata/rfc/*.txt")
	if err != nil || len(files) < 10 {
		t.Fatalf("examples in testdata: %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			e := example{T: t, sets: rrsets(t, string(text)), w: work(t, withSHA1, func(s *Settings) { s.Limits.SignatureWork, s.Limits.FailedWork = 1000, 1000 })}
			for line := range strings.Lines(string(text)) {
				line = strings.TrimSpace(line)
				if when, ok := strings.CutPrefix(line, "; at "); ok {
					if e.at, err = time.Parse(time.RFC3339, when); err != nil {
						t.Fatal(err)
					}
				}
			}
			e.signatures()
			for line := range strings.Lines(string(text)) {
				if question, ok := strings.CutPrefix(strings.TrimSpace(line), "; with "); ok {
					e.denial(question)
				}
			}
		})
	}
}

type example struct {
	*testing.T
	sets []dns.RRset
	at   time.Time
	w    *Work
	keys *Keys
}

// of returns the set of a type that comes first.
func (e *example) of(t dns.Type) *dns.RRset {
	for i := range e.sets {
		if e.sets[i].Type == t {
			return &e.sets[i]
		}
	}
	return nil
}

func (e *example) signatures() {
	dnskey, ds := e.of(dns.TypeDNSKEY), e.of(dns.TypeDS)
	c := keysCheck{zone: dnskey.Name.Lower(), set: dnskey, work: e.w}
	if ds != nil && ds.Name.Equal(dnskey.Name) {
		c.ds, _ = e.w.table.usable(dnskey.Name, ds.Data)
		trusted, _ := c.trusted()
		if len(trusted) != 1 {
			e.Errorf("the DS record names %d keys", len(trusted))
		}
	}
	e.keys = c.all(nil)
	if len(e.keys.keys) != dnskey.Data.Len() {
		e.Errorf("the keys that can be used are %v", e.keys)
	}
	checked := 0
	for _, set := range e.sets {
		if len(set.Sigs) == 0 {
			continue
		}
		checked++
		r := CheckSet(&set, e.keys, e.at, e.w)
		if !r.Secure() || !r.Zone.Equal(dnskey.Name) || r.TTL != 3600 || r.Wildcard.IsZero() != (set.Name.Label() != "a" || set.Type != dns.TypeMX) {
			e.Errorf("%v %v: %+v", set.Name, set.Type, r)
		}
		for _, wrong := range []func(s *dns.RRset){
			func(s *dns.RRset) { s.Sigs[len(s.Sigs)-1] ^= 1 },
			func(s *dns.RRset) { s.Data[len(s.Data)-1] ^= 1 },
			func(s *dns.RRset) { s.Name, _ = dnskey.Name.Child("elsewhere") },
			func(s *dns.RRset) { s.Class = dns.ClassCHAOS },
		} {
			changed := set
			changed.Data, changed.Sigs = bytes.Clone(set.Data), bytes.Clone(set.Sigs)
			wrong(&changed)
			if r := CheckSet(&changed, e.keys, e.at, e.w); r.Security != cache.Bogus {
				e.Errorf("%v %v, changed: %+v", set.Name, set.Type, r)
			}
		}
		expect(e, CheckSet(&set, e.keys, e.at.AddDate(40, 0, 0), e.w), cache.Bogus, dns.EDESignatureExpired, "expired at 20")
		expect(e, CheckSet(&set, e.keys, e.at.AddDate(-20, 0, 0), e.w), cache.Bogus, dns.EDESignatureNotYetValid, "is valid from 20")
	}
	if checked == 0 {
		e.Error("there are no signatures")
	}
}

func (e *example) denial(question string) {
	d := NewDenial(e.keys.zone)
	words := strings.Fields(question)
	for !slices.Contains(verbs, words[0]) {
		found := false
		for i := range e.sets {
			s := &e.sets[i]
			if s.Type == dns.TypeNSEC && s.Name.String() == words[0] || s.Type == dns.TypeNSEC3 && strings.HasPrefix(s.Name.String(), words[0]) {
				found = true
				if err := d.Add(s, CheckSet(s, e.keys, e.at, e.w), e.w); err != nil {
					e.Error(err)
				}
			}
		}
		if !found {
			e.Fatalf("%q: no record of %q", question, words[0])
		}
		words = words[1:]
	}
	r := answer(e, d, strings.Join(words, " "), e.w)
	if r.Security != cache.Bogus && (r.TTL != 3600 || r.Until.Before(e.at)) {
		e.Errorf("%q: TTL %d, until %v", question, r.TTL, r.Until)
	}
}

// The keys of the zone in RFC 5155 appendix A are trusted through the anchor that is its key-signing key.
func TestKeysOfRFC5155(t *testing.T) {
	text, err := os.ReadFile("testdata/rfc/5155-b.txt")
	if err != nil {
		t.Fatal(err)
	}
	e := example{sets: rrsets(t, string(text))}
	set := e.of(dns.TypeDNSKEY)
	var anchors dns.Records
	for rdata := range set.Data.All() {
		if k, _ := dns.ParseDNSKEY(rdata); k.Flags&dns.DNSKEYFlagSEP != 0 {
			anchors = anchors.Append(rdata)
		}
	}
	at := time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC)
	keys, r := CheckKeys(name("example."), set, nil, anchors, at, work(t, withSHA1))
	if !r.Secure() || keys.String() != "7/12708 7/40430" || r.KeyTag != 12708 {
		t.Errorf("%+v, keys %v", r, keys)
	}
	_, r = CheckKeys(name("example."), set, nil, anchors, at, work(t))
	expect(t, r, cache.Insecure, dns.EDEUnsupportedDNSKEY, "RSASHA1-NSEC3-SHA1")
}
