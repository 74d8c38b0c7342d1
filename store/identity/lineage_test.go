package identity

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/store"
)

func TestLineage(t *testing.T) {
	w := newWorld(t)
	b := w.root.Bundle()
	l1, l2, l3 := store.Lineage{1}, store.Lineage{2}, store.Lineage{3}
	s1, signed1, err := w.authority.SignLineage(Statement{}, l1, w.now)
	w.must(err)
	s2, signed2, err := w.authority.SignLineage(s1, l2, w.now.Add(-time.Hour)) // the clock was set back
	w.must(err)
	s3, signed3, err := w.authority.SignLineage(s1, l3, w.now.Add(time.Hour)) // from the same snapshot, later
	w.must(err)
	for i, c := range []struct {
		s      Statement
		signed []byte
	}{{s1, signed1}, {s2, signed2}, {s3, signed3}} {
		if got, err := b.VerifyLineage(c.signed); err != nil || got != c.s {
			t.Errorf("%d: %+v, %v", i, got, err)
		}
	}
	if s2.Previous != l1 || s3.Previous != l1 {
		t.Errorf("%+v, %+v", s2, s3)
	}
	for _, c := range []struct {
		name    string
		s, held Statement
		want    bool
	}{
		{"the first", s1, Statement{}, true},
		{"the next", s2, s1, true},
		{"one that was left out", s3, s1, true},
		{"of two from one snapshot the later", s3, s2, true},
		{"and not the earlier", s2, s3, false},
		{"an old one", s1, s3, false},
		{"the same", s3, s3, false},
	} {
		if c.s.Follows(c.held) != c.want {
			t.Errorf("%s: %v", c.name, !c.want)
		}
	}
	other := newWorldFrom(t, 2)
	_, foreign, err := other.authority.SignLineage(Statement{}, l1, w.now)
	w.must(err)
	for i := range signed2 {
		bad := bytes.Clone(signed2)
		bad[i] ^= 1
		if s, err := b.VerifyLineage(bad); err == nil {
			t.Errorf("with octet %d changed it is %+v", i, s)
		}
	}
	for name, bad := range map[string][]byte{"foreign": foreign, "empty": nil, "cut off": signed1[:100], "with more": append(bytes.Clone(signed1), make([]byte, 100)...)} {
		if _, err := b.VerifyLineage(bad); err == nil || !strings.Contains(err.Error(), "reading the statement that a lineage has begun") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := (Bundle{}).VerifyLineage(signed1); err == nil {
		t.Error("who believes nobody takes it")
	}
}

func FuzzVerifyLineage(f *testing.F) {
	w := newWorld(f)
	s, signed, err := w.authority.SignLineage(Statement{}, store.Lineage{1}, w.now)
	w.must(err)
	f.Add(signed)
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := w.root.Bundle().VerifyLineage(b); err == nil && got != s {
			t.Errorf("%x says %+v", b, got)
		}
	})
}
