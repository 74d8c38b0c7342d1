package rollover

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// What has the right checksum and is no state is not taken either.
func TestDecodeRefuses(t *testing.T) {
	text, err := encode(known(t))
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(text), "\n")
	if _, err := decodeBody([]byte(body)); err != nil {
		t.Fatal(err)
	}
	first := func(old, new string) string {
		if !strings.Contains(body, old) {
			t.Fatalf("%q is not in\n%s", old, body)
		}
		return strings.Replace(body, old, new, 1)
	}
	key := newKey("C")
	for what, text := range map[string]string{
		"unknown word":       first(`"zones"`, `"zonez"`),
		"unknown key word":   first(`"tag"`, `"tags"`),
		"something follows":  body + "{}",
		"a name":             first(`"example."`, `"a..b"`),
		"no name":            first(`"zone": "example.",`, ``),
		"capitals":           first(`"example."`, `"EXAMPLE."`),
		"twice":              first(`"zone": "."`, `"zone": "example."`),
		"a time":             first(`2026-02-17T12:00:00Z`, `2026-02-17T12:00:00+00:00`),
		"parts of seconds":   first(`2026-02-17T12:00:00Z`, `2026-02-17T12:00:00.5Z`),
		"an interval":        first(`"interval": "24h0m0s"`, `"interval": "24h"`),
		"a long interval":    first(`"interval": "24h0m0s"`, `"interval": "2400h0m0s"`),
		"a negative one":     first(`"interval": "24h0m0s"`, `"interval": "-24h0m0s"`),
		"a long retry":       first(`"retry": "4h48m0s"`, `"retry": "48h0m0s"`),
		"negative count":     first(`"counted": "24h0m0s"`, `"counted": "-24h0m0s"`),
		"milliseconds":       first(`"counted": "24h0m0s"`, `"counted": "1ms"`),
		"a month that short": first(`"hold": "720h0m0s"`, `"hold": "1h0m0s"`),
		"a state":            first(`"state": "valid"`, `"state": "trusted"`),
		"start":              first(`"state": "valid"`, `"state": "start"`),
		"another tag":        first(`"tag": `, `"tag": 1`),
		"another key":        first(`"dnskey": "257`, `"dnskey": "256`),
		"revoked":            first(`"dnskey": "257`, `"dnskey": "385`),
		"no zone key":        first(`"dnskey": "257`, `"dnskey": "1`),
		"no base64":          first(`"dnskey": "257 3 15 `, `"dnskey": "257 3 15 !`),
		"blanks":             first(`"dnskey": "257 3 15 `, `"dnskey": "257  3 15 `),
		"no key":             first(`"dnskey": "257 3 15 `+key.rr.PublicKey+`"`, `"dnskey": ""`),
		"null":               first(`"dnskey": "257 3 15 `+key.rr.PublicKey+`"`, `"dnskey": null`),
		"half an ID": first(`"came_from": [
            "`, `"came_from": [
            "00`),
		"an ID in small letters": first(`"came_from": [
            "`, `"came_from": [
            "aa`),
		"not JSON": "zones: []",
		"nothing":  "",
	} {
		if points, err := decodeBody([]byte(text)); !errors.Is(err, errForm) {
			t.Errorf("%s: %v, %+v", what, err, points)
		}
	}
}

// Whatever is read can be written, and is the same then; nothing else is taken in.
func FuzzState(f *testing.F) {
	text, err := encode(known(f))
	if err != nil {
		f.Fatal(err)
	}
	head, body, _ := bytes.Cut(text, []byte("\n"))
	f.Add(head, body)
	f.Add([]byte("ananas trust anchors, version 2"), []byte(`{"zones": []}`))
	f.Fuzz(func(t *testing.T, head, body []byte) {
		_, _ = decode(append(append(bytes.Clone(head), '\n'), body...)) // a head that fits its body is not found by chance
		points, err := decodeBody(body)
		if err != nil {
			return
		}
		again, err := encode(points)
		if err != nil {
			t.Fatalf("what was read can't be written: %v", err)
		}
		back, err := decode(again)
		if err != nil || !same(points, back) {
			t.Fatalf("%v\n%+v\n%+v", err, points, back)
		}
		for i := range points {
			p, _ := Begin(Anchors{Zone: points[i].Zone}, points[i], start, checks(t))
			if !p.Trusted().Empty() {
				t.Fatalf("without anchors in the settings this is trusted: %+v", p.Trusted())
			}
		}
	})
}

// Whatever a zone shows, only keys that the settings name are trusted after one look at it, and what is known can be written.
func FuzzSee(f *testing.F) {
	for _, c := range [][2]string{{"A B", "A"}, {"A! B", "A! B"}, {"A b C D!", "A D!"}, {"B", "B"}} {
		set := keySet(f, daily(start), strings.Fields(c[0]), strings.Fields(c[1]))
		f.Add([]byte(set.Data), []byte(set.Sigs), set.TTL)
	}
	f.Fuzz(func(t *testing.T, data, sigs []byte, ttl uint32) {
		p := begin(t, "ds:A", "key:B")
		set := &dns.RRset{Name: zoneName, Type: dns.TypeDNSKEY, Class: dns.ClassINET, TTL: ttl, Data: data, Sigs: sigs}
		for _, at := range []time.Time{start, start.Add(AddHold)} {
			next, _, err := p.See(set, at, checks(t))
			for data := range next.Trusted().DNSKEY.All() {
				if !bytes.Equal(data, newKey("A").data()) && !bytes.Equal(data, newKey("B").data()) {
					t.Fatalf("%x is trusted", data)
				}
			}
			if err == nil && (next.Interval < MinInterval || next.Interval > MaxInterval || next.Retry < MinInterval || next.Retry > MaxRetry) {
				t.Fatalf("the next time is %v, %v", next.Interval, next.Retry)
			}
			text, err := encode([]Point{next})
			if err != nil {
				t.Fatal(err)
			}
			if back, err := decode(text); err != nil || !same(back, []Point{next}) {
				t.Fatal(err)
			}
			p = next
		}
	})
}
