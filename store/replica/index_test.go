package replica

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ananas-edge/ananas/store"
)

// check says what is wrong with an index, compared with a map.
func (x *index) check(want map[string]store.Entry) error {
	if x.n != len(want) {
		return fmt.Errorf("it has %d entries, not %d", x.n, len(want))
	}
	var live int64
	for key, e := range want {
		r := x.find(key)
		if r == 0 {
			return fmt.Errorf("%q is not found", key)
		}
		if got := x.entry(r); got.Salt != e.Salt || !bytes.Equal(got.Value, e.Value) || string(x.key(r)) != key {
			return fmt.Errorf("%q is %v, not %v", key, got, e)
		}
		live += int64(x.size(r))
	}
	if live != x.live {
		return fmt.Errorf("%d octets live, not %d", live, x.live)
	}
	var used, alive int64
	for i, u := range x.use {
		used, alive = used+int64(u.used), alive+int64(u.live)
		if x.segments[i] == nil && u != (use{}) {
			return fmt.Errorf("segment %d is forgotten and has %v", i, u)
		}
	}
	if used != x.used || alive != x.live {
		return fmt.Errorf("the segments use %d and %d live; the sums are %d and %d", used, alive, x.used, x.live)
	}
	var keys []string
	x.walk("", func(r ref) bool { keys = append(keys, string(x.key(r))); return true })
	if sorted := slices.Sorted(maps.Keys(want)); !slices.Equal(keys, sorted) {
		return fmt.Errorf("in order it has %d keys, not %d", len(keys), len(sorted))
	}
	return nil
}

func (x *index) under(prefix string) (keys []string) {
	x.walk(prefix, func(r ref) bool { keys = append(keys, string(x.key(r))); return true })
	return keys
}

// An index has what a map has, whatever is put in, taken out, and cleaned; and earlier indexes keep what they had, edits that came to nothing included.
func TestIndexIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, want := newIndex(), map[string]store.Entry{}
		type past struct {
			index
			want map[string]store.Entry
		}
		var kept []past
		width := rapid.SampledFrom([]int{5, 50, 5000}).Draw(t, "keys")
		largest := rapid.SampledFrom([]int{3, 300, 30000}).Draw(t, "largest")
		for id := range uint64(rapid.IntRange(1, 30).Draw(t, "edits")) {
			e := x.edited(id + 1)
			next := maps.Clone(want)
			for range rapid.IntRange(0, 200).Draw(t, "changes") {
				key := fmt.Sprintf("k/%d", rapid.IntRange(0, width).Draw(t, "key"))
				if rapid.IntRange(0, 2).Draw(t, "delete") == 0 {
					_, was := next[key]
					if e.del(key) != was {
						t.Fatalf("taking %q out: it was there: %v", key, was)
					}
					delete(next, key)
					continue
				}
				entry := store.Entry{Salt: store.Salt{byte(id), 1}, Value: bytes.Repeat([]byte{byte(id)}, rapid.IntRange(0, largest).Draw(t, "length"))}
				_, was := next[key]
				if e.put(key, entry) != was {
					t.Fatalf("putting %q: it was there: %v", key, was)
				}
				next[key] = entry
			}
			e.clean()
			if rapid.IntRange(0, 4).Draw(t, "given up") == 0 {
				continue
			}
			x, want = e.index, next
			if err := x.check(want); err != nil {
				t.Fatal(err)
			}
			kept = append(kept, past{x, want})
		}
		for i, p := range kept {
			if err := p.check(p.want); err != nil {
				t.Fatalf("%d edits ago: %v", len(kept)-i, err)
			}
		}
		for _, prefix := range []string{"k", "k/1", "k/49", "l", "k/5000x"} {
			expected := slices.DeleteFunc(slices.Sorted(maps.Keys(want)), func(k string) bool { return !strings.HasPrefix(k, prefix) })
			if got := x.under(prefix); !slices.Equal(got, expected) {
				t.Fatalf("under %q: %v, not %v", prefix, got, expected)
			}
		}
	})
}

// Garbage stays in proportion to what lives, and memory that is not used any more is given up.
func TestIndexStaysClean(t *testing.T) {
	x := newIndex()
	value := bytes.Repeat([]byte("v"), 200)
	id := uint64(0)
	commit := func(from, to int) {
		id++
		e := x.edited(id)
		for i := from; i < to; i++ {
			e.put(fmt.Sprintf("key/%06d", i), store.Entry{Value: value})
		}
		e.clean()
		x = e.index
	}
	commit(0, 20000)
	most := int64(0)
	for i := range 2000 {
		commit(i*37%19900, i*37%19900+100)
		most = max(most, x.used)
	}
	if limit := x.live + x.live/cleanRatio + cleanLeast + 2*maxSegment; most > limit {
		t.Errorf("%d octets were used for %d that live; at most %d are right", most, x.live, limit)
	}
	id++
	e := x.edited(id)
	for i := range 20000 {
		if !e.del(fmt.Sprintf("key/%06d", i)) {
			t.Fatal(i)
		}
	}
	if x = e.index; x.bins != nil || x.order != nil || x.n != 0 || x.live != 0 {
		t.Errorf("an index of which all was taken has %d entries", x.n)
	}
}

// BenchmarkPut makes a version of one change, of an index of a million keys.
func BenchmarkPut(b *testing.B) {
	x := newIndex()
	value := bytes.Repeat([]byte("v"), 200)
	keys := make([]string, 1_000_000)
	e := x.edited(1)
	for i := range keys {
		keys[i] = fmt.Sprintf("key/%060d", i)
		e.put(keys[i], store.Entry{Value: value})
	}
	x = e.index
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		e := x.edited(uint64(i) + 2)
		e.put(keys[i*7919%len(keys)], store.Entry{Value: value})
		e.clean()
		x = e.index
	}
}
