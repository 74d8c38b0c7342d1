package dns

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"
	"pgregory.net/rapid"
)

// labels draws labels from few, so that names have endings in common, and now and then any octets.
func drawLabel(t *rapid.T) string {
	if rapid.IntRange(0, 3).Draw(t, "kind") > 0 {
		return rapid.SampledFrom([]string{"a", "A", "b", "ab", "www", "example", "Example", "net", "*", "a.b", "\x00", "\\", "_sip"}).Draw(t, "label")
	}
	return string(rapid.SliceOfN(rapid.Byte(), 1, MaxLabelLen).Draw(t, "octets"))
}

func drawName(t *rapid.T, what string) Name {
	n := rapid.SampledFrom([]string{".", "example.", "www.example.", "a.b.Example.net."}).Draw(t, what)
	name := MustParseName(n)
	for range rapid.IntRange(0, 6).Draw(t, "labels") {
		child, err := name.Child(drawLabel(t))
		if err != nil {
			break
		}
		name = child
	}
	return name
}

func TestParseName(t *testing.T) {
	for _, row := range table(t, "names.txt") {
		n, err := ParseName(row[0])
		if wantError(t, err, row[1]) {
			continue
		}
		if want := string(octets(t, row[1])); n.Wire() != want {
			t.Errorf("%q: wire form %x, want %x", row[0], n.Wire(), want)
		}
		if n.String() != row[2] {
			t.Errorf("%q: comes back as %q, want %q", row[0], n, row[2])
		}
	}
}

func TestEveryOctetInALabel(t *testing.T) {
	for c := range 256 {
		wire := []byte{3, 'a', byte(c), 'b', 0}
		n, err := NameFromWire(wire)
		if err != nil {
			t.Fatal(err)
		}
		s := n.String()
		if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("octet %d: %q is not printable", c, s)
		}
		back, err := ParseName(s)
		if err != nil || back != n {
			t.Errorf("octet %d: %q comes back as %x, %v", c, s, back.Wire(), err)
		}
		// A second opinion, and that zone files can hold it.
		buf := make([]byte, MaxNameLen)
		end, err := miekg.PackDomainName(s, buf, 0, nil, false)
		if err != nil || !bytes.Equal(buf[:end], wire) {
			t.Errorf("octet %d: miekg/dns reads %q as %x, %v", c, s, buf[:end], err)
		}
		rrs, err := ParseZone(s+" IN A 192.0.2.1", "", Root, 1)
		if err != nil || rrs[0].Name != n {
			t.Errorf("octet %d: as the owner in a zone file: %v, %v", c, rrs, err)
		}
	}
}

func TestNameLimits(t *testing.T) {
	a := func(n int) string { return strings.Repeat("a", n) }
	label63 := a(63) + "."
	for _, c := range []struct {
		what, s string
		err     error
		len     int
		labels  int
	}{
		{"label of 63", a(63), nil, 65, 1},
		{"label of 64", a(64), ErrLabelTooLong, 0, 0},
		{"label of 63 escaped octets", strings.Repeat(`\255`, 63), nil, 65, 1},
		{"label of 64 escaped octets", strings.Repeat(`\255`, 64), ErrLabelTooLong, 0, 0},
		{"255 octets", label63 + label63 + label63 + a(61) + ".", nil, 255, 4},
		{"255 octets, no final dot", label63 + label63 + label63 + a(61), nil, 255, 4},
		{"256 octets", label63 + label63 + label63 + a(62) + ".", ErrNameTooLong, 0, 0},
		{"256 octets, no final dot", label63 + label63 + label63 + a(62), ErrNameTooLong, 0, 0},
		{"255 octets and a label more", label63 + label63 + label63 + a(61) + ".a", ErrNameTooLong, 0, 0},
		{"127 labels", strings.Repeat("a.", 127), nil, 255, 127},
		{"127 labels, no final dot", strings.Repeat("a.", 126) + "a", nil, 255, 127},
		{"128 labels", strings.Repeat("a.", 128), ErrNameTooLong, 0, 0},
		{"128 labels, no final dot", strings.Repeat("a.", 127) + "a", ErrNameTooLong, 0, 0},
	} {
		n, err := ParseName(c.s)
		if !errors.Is(err, c.err) || n.Len() != c.len || n.Labels() != c.labels {
			t.Errorf("%s: %d octets, %d labels, error %v; want %d, %d, %v", c.what, n.Len(), n.Labels(), err, c.len, c.labels, c.err)
		}
		if err != nil {
			continue
		}
		if back := MustParseName(n.String()); back != n {
			t.Errorf("%s: comes back as %v", c.what, back)
		}
		if c.len == MaxNameLen {
			if _, err := n.Child("a"); !errors.Is(err, ErrNameTooLong) {
				t.Errorf("%s: a child of it: %v", c.what, err)
			}
		}
		if n.Compare(n.Lower()) != 0 || !n.IsWithin(n) || !n.IsWithin(Root) || n.CommonLabels(n) != c.labels {
			t.Errorf("%s: is not within itself", c.what)
		}
	}
}

func TestNameFromWire(t *testing.T) {
	for _, row := range table(t, "wire_names.txt") {
		n, err := NameFromWire(octets(t, row[0]))
		if !wantError(t, err, row[1]) && n.String() != row[1] {
			t.Errorf("%s: %v, want %s", row[0], n, row[1])
		}
	}
}

func TestUnpackName(t *testing.T) {
	header := make([]byte, HeaderLen)
	for _, row := range table(t, "compressed_names.txt") {
		msg := append(header, octets(t, row[0])...)
		off := hexNumber(t, row[1])
		n, next, err := UnpackName(msg, off)
		if wantError(t, err, row[2]) {
			continue
		}
		if n.String() != row[2] || next != hexNumber(t, row[3]) {
			t.Errorf("%s at %d: %v up to %d, want %s up to %s", row[0], off, n, next, row[2], row[3])
		}
	}
}

// A chain of pointers costs what it is long; a message of nothing else must not cost more than its length squared.
func TestPointerChains(t *testing.T) {
	chain := func(pointers int) []byte {
		msg := append(make([]byte, HeaderLen), 1, 'a', 0)
		at := HeaderLen
		for range pointers {
			next := len(msg)
			msg = append(msg, 0xC0|byte(at>>8), byte(at))
			at = next
		}
		return msg
	}
	msg := chain(maxPointers)
	if n, _, err := UnpackName(msg, len(msg)-2); err != nil || n != MustParseName("a.") {
		t.Errorf("%d pointers: %v, %v", maxPointers, n, err)
	}
	msg = chain(maxPointers + 1)
	if _, _, err := UnpackName(msg, len(msg)-2); !errors.Is(err, ErrManyPointers) {
		t.Errorf("%d pointers: %v", maxPointers+1, err)
	}
	// 127 labels, each but the first reached by a pointer of its own, are as many as can be needed.
	msg = append(make([]byte, HeaderLen), 1, 'a', 0)
	at := HeaderLen
	for range maxLabels - 1 {
		next := len(msg)
		msg = append(msg, 1, 'a', 0xC0|byte(at>>8), byte(at))
		at = next
	}
	if n, next, err := UnpackName(msg, at); err != nil || n.Labels() != maxLabels || next != len(msg) {
		t.Errorf("127 labels by pointers: %d labels up to %d, %v", n.Labels(), next, err)
	}
}

func TestCanonicalOrder(t *testing.T) {
	for _, file := range []string{"canonical_order.txt", "order.txt"} {
		var ranks []int
		var names []Name
		for rank, row := range table(t, file) {
			for s := range strings.FieldsSeq(row[0]) {
				names, ranks = append(names, MustParseName(s)), append(ranks, rank)
			}
		}
		for i, n := range names {
			for k, m := range names {
				if got, want := n.Compare(m), cmp.Compare(ranks[i], ranks[k]); cmp.Compare(got, 0) != want {
					t.Errorf("%s: %v against %v: %d, want the sign of %d", file, n, m, got, want)
				}
				if n.Equal(m) != (ranks[i] == ranks[k]) || (n.Lower() == m.Lower()) != n.Equal(m) {
					t.Errorf("%s: Equal or Lower of %v and %v does not go with the order", file, n, m)
				}
			}
		}
	}
}

func TestWithin(t *testing.T) {
	for _, row := range table(t, "within.txt") {
		n, m := MustParseName(row[0]), MustParseName(row[1])
		if got := n.IsWithin(m); got != (row[2] == "yes") {
			t.Errorf("%v within %v: %v", n, m, got)
		}
		if a, b := n.CommonLabels(m), m.CommonLabels(n); a != b || a != int(row[3][0]-'0') {
			t.Errorf("%v and %v have %d or %d labels in common, want %s", n, m, a, b, row[3])
		}
	}
	if (Name{}).IsWithin(Name{}) || Root.IsWithin(Name{}) || (Name{}).IsWithin(Root) {
		t.Error("no name is within something, or something within it")
	}
}

func TestReplaceSuffix(t *testing.T) {
	for _, row := range table(t, "dname.txt") {
		n, err := MustParseName(row[0]).ReplaceSuffix(MustParseName(row[1]), MustParseName(row[2]))
		if !wantError(t, err, row[3]) && n.String() != row[3] {
			t.Errorf("%v: %v", row, n)
		}
		if err != nil && !errors.Is(err, ErrNotBelow) {
			t.Errorf("%v: %v is not ErrNotBelow", row, err)
		}
	}
	// To the limit and over it: 4 octets of prefix.
	n, from := MustParseName("abc.example."), MustParseName("example.")
	for _, c := range []struct {
		target int
		err    error
	}{{251, nil}, {252, ErrNameTooLong}, {255, ErrNameTooLong}} {
		got, err := n.ReplaceSuffix(from, nameOfLen(c.target))
		if !errors.Is(err, c.err) || err == nil && got.Len() != 4+c.target {
			t.Errorf("target of %d octets: %d octets, %v", c.target, got.Len(), err)
		}
	}
	if got, err := n.ReplaceSuffix(from, Name{}); err == nil {
		t.Errorf("replaced by no name: %v", got)
	}
}

// nameOfLen returns a name whose wire form has this many octets, 3 to 255.
func nameOfLen(n int) Name {
	var w []byte
	for n -= 1; n > 0; {
		l := min(n-1, MaxLabelLen)
		if rest := n - 1 - l; rest == 1 { // a label takes two octets
			l--
		}
		w = append(append(w, byte(l)), bytes.Repeat([]byte{'x'}, l)...)
		n -= 1 + l
	}
	name, err := NameFromWire(append(w, 0))
	if err != nil {
		panic(err)
	}
	return name
}

func TestFamily(t *testing.T) {
	n := MustParseName("a.b.Example.")
	for _, c := range []struct {
		what      string
		got, want Name
	}{
		{"parent", n.Parent(), MustParseName("b.Example.")},
		{"parent of a label", MustParseName("a.").Parent(), Root},
		{"parent of the root", Root.Parent(), Root},
		{"ancestor of 0", n.Ancestor(0), Root},
		{"ancestor of -1", n.Ancestor(-1), Root},
		{"ancestor of 1", n.Ancestor(1), MustParseName("Example.")},
		{"ancestor of 3", n.Ancestor(3), n},
		{"ancestor of 4", n.Ancestor(4), n},
		{"lower", n.Lower(), MustParseName("a.b.example.")},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", c.what, c.got, c.want)
		}
	}
	if Root.Label() != "" || n.Label() != "a" || MustParseName(`a\.b.c`).Label() != "a.b" {
		t.Error("first label")
	}
	if c, err := n.Child("x.y"); err != nil || c.String() != `x\.y.a.b.Example.` {
		t.Errorf("child with a dot: %v, %v", c, err)
	}
	for label, want := range map[string]error{"": ErrEmptyLabel, strings.Repeat("x", 64): ErrLabelTooLong} {
		if _, err := n.Child(label); !errors.Is(err, want) {
			t.Errorf("child of %d octets: %v, want %v", len(label), err, want)
		}
	}
	for l, want := range map[int]error{253: nil, 254: ErrNameTooLong, 255: ErrNameTooLong} {
		if c, err := nameOfLen(l).Child("a"); !errors.Is(err, want) || err == nil && c.Len() != l+2 {
			t.Errorf("child of a name of %d octets: %d octets, %v", l, c.Len(), err)
		}
	}
	if _, err := (Name{}).Child("x"); err == nil {
		t.Error("no name has a child")
	}
	var back Name
	if b, _ := n.MarshalText(); back.UnmarshalText(b) != nil || back != n {
		t.Errorf("text form comes back as %v", back)
	}
	if back.UnmarshalText([]byte("a..b")) == nil || back != n {
		t.Error("a bad text form is no error, or changes the name")
	}
}

// miekgLabels splits by miekg/dns: labels without escapes, lower-case, from the right.
func miekgLabels(t *rapid.T, s string) [][]byte {
	var labels [][]byte
	for _, l := range miekg.SplitDomainName(miekg.CanonicalName(s)) {
		buf := make([]byte, MaxNameLen)
		end, err := miekg.PackDomainName(l+".", buf, 0, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		labels = append(labels, buf[1:end-1])
	}
	slices.Reverse(labels)
	return labels
}

func TestNamesAgreeWithMiekg(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, m := drawName(t, "n"), drawName(t, "m")
		if rapid.Bool().Draw(t, "related") {
			m = n.Ancestor(rapid.IntRange(0, n.Labels()).Draw(t, "ancestor"))
			if c, err := m.Child(drawLabel(t)); err == nil && rapid.Bool().Draw(t, "child") {
				m = c
			}
		}
		buf := make([]byte, MaxNameLen)
		end, err := miekg.PackDomainName(n.String(), buf, 0, nil, false)
		if err != nil || string(buf[:end]) != n.Wire() {
			t.Fatalf("miekg/dns packs %q as %x, %v; want %x", n, buf[:end], err, n.Wire())
		}
		if s, _, err := miekg.UnpackDomainName([]byte(n.Wire()), 0); err != nil {
			t.Fatal(err)
		} else if back, err := ParseName(s); err != nil || back != n {
			t.Fatalf("miekg/dns writes %q, which is read as %v, %v", s, back, err)
		}
		if got := miekg.CountLabel(n.String()); got != n.Labels() {
			t.Fatalf("%v has %d labels, miekg/dns counts %d", n, n.Labels(), got)
		}
		if got := miekg.IsSubDomain(m.String(), n.String()); got != n.IsWithin(m) {
			t.Fatalf("%v within %v: %v, miekg/dns says %v", n, m, n.IsWithin(m), got)
		}
		if got := miekg.CompareDomainName(n.String(), m.String()); got != n.CommonLabels(m) {
			t.Fatalf("%v and %v have %d labels in common, miekg/dns counts %d", n, m, n.CommonLabels(m), got)
		}
		want := slices.CompareFunc(miekgLabels(t, n.String()), miekgLabels(t, m.String()), bytes.Compare)
		if got := n.Compare(m); cmp.Compare(got, 0) != want {
			t.Fatalf("%v against %v: %d, want the sign of %d", n, m, got, want)
		}
	})
}

func FuzzName(f *testing.F) {
	for _, row := range table(f, "names.txt") {
		f.Add(row[0], octets(f, "00"))
	}
	for _, row := range table(f, "wire_names.txt") {
		f.Add("example.", octets(f, row[0]))
	}
	f.Fuzz(func(t *testing.T, s string, wire []byte) {
		n, err := ParseName(s)
		if err == nil {
			checkName(t, n)
		}
		m, err := NameFromWire(wire)
		if err == nil {
			checkName(t, m)
		}
		if n.IsZero() || m.IsZero() {
			return
		}
		if n.Compare(m) != -m.Compare(n) || (n.Compare(m) == 0) != n.Equal(m) || n.Equal(m) != (n.Lower() == m.Lower()) {
			t.Fatalf("%v and %v: order, equality and case do not go together", n, m)
		}
		if n.IsWithin(m) != (n.CommonLabels(m) == m.Labels()) {
			t.Fatalf("%v and %v: %d labels in common, within: %v", n, m, n.CommonLabels(m), n.IsWithin(m))
		}
		if r, err := n.ReplaceSuffix(m, m); err == nil && r.Lower() != n.Lower() {
			t.Fatalf("%v with %v replaced by itself: %v", n, m, r)
		}
	})
}

// checkName asserts what is true of every name.
func checkName(t *testing.T, n Name) {
	t.Helper()
	back, err := ParseName(n.String())
	if err != nil || back != n {
		t.Fatalf("%x: %q comes back as %x, %v", n.Wire(), n, back.Wire(), err)
	}
	again, err := NameFromWire([]byte(n.Wire()))
	if err != nil || again != n || n.Len() > MaxNameLen || n.Labels() > maxLabels {
		t.Fatalf("%x comes back as %x, %v", n.Wire(), again.Wire(), err)
	}
	if u, next, err := UnpackName([]byte(n.Wire()), 0); err != nil || u != n || next != n.Len() {
		t.Fatalf("%x unpacks as %x up to %d, %v", n.Wire(), u.Wire(), next, err)
	}
	if n.IsRoot() {
		return
	}
	p, err := n.Parent().Child(n.Label())
	if err != nil || p != n || n.Parent() != n.Ancestor(n.Labels()-1) {
		t.Fatalf("%v is not its parent's child: %v, %v", n, p, err)
	}
}
