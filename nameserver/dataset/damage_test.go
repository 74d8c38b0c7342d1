package dataset

import (
	"bytes"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/dns"
)

// small is the compiled form of a list with all that there is: names of each scope, long and odd ones, prefixes of both families.
func small(t testing.TB) []byte {
	t.Helper()
	c := new(compiler)
	for _, n := range append(newRealistic(6).list(300), `\000\001\255.example`, strings.Repeat(`\200`, 63)+"."+strings.Repeat(`\201`, 63)+".example", "*.x") {
		w := dns.MustParseName(n).Wire()
		c.addName([]byte(w[:len(w)-1]), self|below, 5)
	}
	for _, p := range []string{"192.0.2.0/24", "192.0.2.7/32", "2001:db8::/32", "2001:db8::/64"} {
		c.addPrefix(netip.MustParsePrefix(p), 6)
	}
	names, err := c.compileNames(1)
	if err != nil {
		t.Fatal(err)
	}
	v4, _ := flatten(c.v4, 32)
	v6, _ := flatten(c.v6, 128)
	var notes [noteKinds]Note
	for i := range 5 {
		notes[NoteTopLevel].add(i+1, "x")
		notes[NoteBad].add(i+1, strings.Repeat("y", 100))
	}
	h := header{info: Info{Names: names.kept, Prefixes: 4, Notes: notes}, seed: names.seed, depths: names.depths, deepest: names.deepest, v4: len(v4), v6: len(v6)}
	return assemble(h, [sections][]byte{names.table.append(nil), names.buckets, names.more, appendRanges(nil, v4, 4), appendRanges(nil, v6, 16), appendNotes(nil, &h.info.Notes)})
}

// Each octet of the form that is another one, each end that is missing, and what follows, is a refusal.
func TestDamageIsRefused(t *testing.T) {
	b := small(t)
	if _, err := Load(b); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, i int, b []byte) {
		t.Helper()
		var d *DamagedError
		if s, err := Load(b); !errors.As(err, &d) || s != nil || d.Hint() == "" {
			t.Errorf("%s %d: %v", what, i, err)
		}
	}
	h, err := readHeader(b)
	if err != nil {
		t.Fatal(err)
	}
	inside := make([]bool, len(b)) // a section or the header, and not what fills up to 128 octets
	at := headerLen
	for i := range at {
		inside[i] = true
	}
	for _, n := range h.lens {
		for i := range int(n) {
			inside[at+i] = true
		}
		at += aligned(int(n))
	}
	for i := range b {
		if inside[i] {
			b[i] ^= 1 << (i % 8)
			refused("changed at", i, b)
			b[i] ^= 1 << (i % 8)
		}
	}
	for i := range b {
		if i%7 == 0 || i > len(b)-100 {
			refused("cut at", i, b[:i])
		}
	}
	refused("followed by", 128, append(bytes.Clone(b), make([]byte, 128)...))
	refused("nothing", 0, nil)
	b[8]++
	_, err = Load(seal(b))
	if err == nil || !strings.Contains(err.Error(), "version 4") {
		t.Errorf("of another version: %v", err)
	}
}

// seal writes the sums anew, as far as there are sections.
func seal(b []byte) []byte {
	if len(b) < headerLen {
		return b
	}
	at := uint64(headerLen)
	for i := range sections {
		n := le.Uint64(b[152+16*i:])
		if n > uint64(len(b))-at {
			break
		}
		le.PutUint32(b[160+16*i:], crc32.Checksum(b[at:at+n], castagnoli))
		if at += uint64(aligned(int(n))); at > uint64(len(b)) {
			break
		}
	}
	clear(b[12:16])
	le.PutUint32(b[12:], crc32.Checksum(b[:headerLen], castagnoli))
	return b
}

// A form that somebody made with the right sums may be a Set of nonsense, but look-ups in it end, and do not panic.
func TestForgedIsHarmless(t *testing.T) {
	whole := small(t)
	r := rand.New(rand.NewPCG(1, 1))
	loaded := 0
	for range 5000 {
		b := bytes.Clone(whole)
		for range 1 + r.IntN(4) {
			at := r.IntN(len(b))
			if r.IntN(3) == 0 {
				at = 56 + r.IntN(headerLen-56)
			}
			b[at] = byte(r.Uint32())
		}
		if s, err := Load(seal(b)); err == nil {
			loaded++
			askAll(s)
		}
	}
	if loaded < 1000 {
		t.Errorf("only %d of 5000 were loaded", loaded)
	}
}

// Memory that changes after it was checked, as that of a failing disk does, is harmless too.
func TestChangedLaterIsHarmless(t *testing.T) {
	whole := small(t)
	r := rand.New(rand.NewPCG(2, 1))
	for range 500 {
		b := bytes.Clone(whole)
		s, err := Load(b)
		if err != nil {
			t.Fatal(err)
		}
		for range 200 {
			b[headerLen+r.IntN(len(b)-headerLen)] = byte(r.Uint32())
		}
		askAll(s)
	}
}

var asked = append(newRealistic(6).list(300), ".", "com", `\000\001\255.example`, "a.*.x", strings.Repeat("a.", 126)+"a",
	strings.Repeat(`\200`, 63)+"."+strings.Repeat(`\201`, 63)+".example")

// askAll looks up names and addresses where nothing recovers.
func askAll(s *Set) {
	for _, n := range asked {
		w := dns.MustParseName(n).Wire()
		s.exact(w)
		s.suffix(w)
	}
	for _, a := range []string{"0.0.0.0", "192.0.2.7", "255.255.255.255", "::", "2001:db8::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"} {
		s.prefix(netip.MustParseAddr(a))
	}
	s.prefix(netip.Addr{})
}

// Octets that are no name are not listed, whatever they are.
func TestNoName(t *testing.T) {
	s, err := Load(small(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []string{"", "\x01", "\x01a", "\x01a\x01", "\x40" + strings.Repeat("a", 64) + "\x00", "\xc0\x0c", "\x00\x00", "\x01a\x00\x01b\x00",
		strings.Repeat("\x01a", 127) + "\x01a\x00", strings.Repeat("\x3f"+strings.Repeat("a", 63), 5) + "\x00"} {
		if _, ok := s.ExactWire([]byte(w)); ok {
			t.Errorf("exact %q", w)
		}
		if m, ok := s.SuffixWire([]byte(w)); ok {
			t.Errorf("suffix %q: %+v", w, m)
		}
	}
}

// Whatever octets are opened, and asked for whatever name: an error or a Set whose look-ups end.
func FuzzLoad(f *testing.F) {
	whole := small(f)
	f.Add(whole, "\x03www\x07example\x03com\x00", false)
	f.Add(whole[:headerLen], "\x00", true)
	f.Add([]byte(nil), "", true)
	f.Fuzz(func(t *testing.T, b []byte, name string, sealed bool) {
		b = bytes.Clone(b)
		if sealed {
			b = seal(b)
		}
		s, err := Load(b)
		if err != nil {
			var d *DamagedError
			if !errors.As(err, &d) {
				t.Errorf("%v", err)
			}
			return
		}
		s.exact(name)
		s.suffix(name)
		askAll(s)
	})
}

// Whatever the text, in whatever format: an error that names a line, or a Set that holds what was counted, and finds it.
func FuzzBuild(f *testing.F) {
	for _, s := range []string{
		"# c\nexample.com\n*.example.net 3\n", "0.0.0.0 a.example b.example\n::1 localhost\n", "192.0.2.0/24\n2001:db8::/32 7 ; x\n",
		"$TTL 2h\n@ IN SOA a. b. (1 2\n3 4 5)\nbad.example CNAME .\n*.x 60 IN CNAME rpz-drop.\n  A 192.0.2.1\n24.0.2.0.192.rpz-ip CNAME .\n",
		"$ORIGIN rpz.\n@ SOA a b 1 1 1 1 1\na\\.b\\001 TXT \"; (\"\n\\", "\ufeffexample.com\r\n",
	} {
		for format := range lastFormat + 1 {
			f.Add([]byte(s), uint8(format), 1)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte, format uint8, tolerate int) {
		o := Options{Format: Format(format % uint8(lastFormat+1)), Tolerate: tolerate, Limits: Limits{Entries: 10_000, Line: 512}}
		b, info, err := Build(bytes.NewReader(text), o)
		if err != nil {
			var line *LineError
			var limit *LimitError
			switch {
			case errors.As(err, &line):
				if line.Line < 1 || line.Why == "" || line.Mend == "" {
					t.Errorf("%+v", line)
				}
			case !errors.As(err, &limit) && !errors.Is(err, errCrowded):
				t.Errorf("%v", err)
			}
			return
		}
		s, err := Load(b)
		if err != nil {
			t.Fatal(err)
		}
		if info.Bad > max(0, tolerate) || info.SourceOctets != int64(len(text)) {
			t.Errorf("%+v", info)
		}
		err = s.walk(func(e listed) error {
			name, ok := s.table.expand(nil, e.codes)
			n, err := dns.NameFromWire(append(name, 0))
			if !ok || err != nil || n != n.Lower() {
				t.Fatalf("listed %q: %v", name, err)
			}
			if e.scope&self != 0 {
				if _, ok := s.Exact(n); !ok {
					t.Errorf("%v is listed and not found", n)
				}
			}
			if child, err := n.Child("x"); err == nil && e.scope&below != 0 {
				if m, ok := s.Suffix(child); !ok || m.Labels < n.Labels() {
					t.Errorf("%v is below a listed name and not found", child)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		askAll(s)
	})
}
