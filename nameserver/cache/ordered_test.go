package cache

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ananas-edge/ananas/dns"
)

// keysOf lists the set and checks each of its levels.
func keysOf(t rapid.TB, o *ordered) (keys [][]byte) {
	for level := maxLevels - 1; level >= 0; level-- {
		var last []byte
		n := 0
		for node := o.head[level]; node != 0; node = o.next(node, level) {
			k := o.key(node)
			if last != nil && bytes.Compare(last, k) >= 0 {
				t.Fatalf("level %d: %x comes before %x", level, last, k)
			}
			if o.levels(node) <= level {
				t.Fatalf("level %d: a node of %d levels", level, o.levels(node))
			}
			last = k
			n++
			if level == 0 {
				keys = append(keys, bytes.Clone(k))
			}
		}
		if level == 0 && n != o.len {
			t.Fatalf("%d nodes, %d counted", n, o.len)
		}
	}
	return keys
}

// The set does what a sorted slice does.
func TestOrderedIsASortedSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := newOrdered(make([]byte, 64<<10), rapid.Uint64().Draw(t, "seed"))
		var model [][]byte
		key := rapid.SliceOfN(rapid.ByteMax(3), 1, 6)
		find := func(k []byte) (int, bool) { return slices.BinarySearchFunc(model, k, bytes.Compare) }
		for range rapid.IntRange(1, 200).Draw(t, "operations") {
			k := key.Draw(t, "key")
			i, there := find(k)
			switch rapid.IntRange(0, 3).Draw(t, "operation") {
			case 0, 1:
				if gaveUp, ok := o.add(k, 0); !ok || gaveUp {
					t.Fatalf("add: %v %v", gaveUp, ok)
				}
				if !there {
					model = slices.Insert(model, i, k)
				}
			case 2:
				if o.remove(k) != there {
					t.Fatalf("remove %x: there %v", k, there)
				}
				if there {
					model = slices.Delete(model, i, i+1)
				}
			case 3:
				floor := o.floor(k)
				if there {
					i++
				}
				if (floor != 0) != (i > 0) || floor != 0 && !bytes.Equal(o.key(floor), model[i-1]) {
					t.Fatalf("floor of %x in %x", k, model)
				}
				ceiling := o.ceiling(k)
				if there {
					i--
				}
				if (ceiling != 0) != (i < len(model)) || ceiling != 0 && !bytes.Equal(o.key(ceiling), model[i]) {
					t.Fatalf("ceiling of %x in %x", k, model)
				}
			}
		}
		if got := keysOf(t, &o); !slices.EqualFunc(got, model, bytes.Equal) {
			t.Fatalf("%x, want %x", got, model)
		}
	})
}

// A full set gives up what expires soonest among some, and never what is added; its memory does not grow.
func TestOrderedGivesUp(t *testing.T) {
	o := newOrdered(make([]byte, 4<<10), 1)
	key := func(i int) []byte { return []byte{1, byte(i >> 8), byte(i), 0, 5, 5, 5, 5, 5, 5} }
	given := 0
	for i := range 1000 {
		gaveUp, ok := o.add(key(i), time.Duration(1000-i)) // the last added expires first
		if !ok {
			t.Fatalf("%d: no room", i)
		}
		if gaveUp {
			given++
		}
		if n := o.floor(key(i)); n == 0 || !bytes.Equal(o.key(n), key(i)) {
			t.Fatalf("%d is not there", i)
		}
	}
	if given == 0 || given+o.len != 1000 {
		t.Errorf("%d given up, %d left", given, o.len)
	}
	if int(o.used)*unit > len(o.mem) {
		t.Errorf("%d units used of %d octets", o.used, len(o.mem))
	}
	// The first ones live longest, so some are left, though far more recent ones were given up.
	if keys := keysOf(t, &o); !slices.ContainsFunc(keys, func(k []byte) bool { return k[1] == 0 && k[2] < 50 }) {
		t.Error("what lives longest is gone")
	}
	if _, ok := o.add(make([]byte, maxNodeUnits*unit), 0); ok {
		t.Error("a key larger than any node was added")
	}
}

// The order of sort keys is the canonical order of names, and an owner comes back from its key.
func TestSortKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := genName(t, "a"), genName(t, "b")
		ka, kb := appendSortKey(nil, octetsOf(a.Wire()), 0), appendSortKey(nil, octetsOf(b.Wire()), 0)
		if got, want := bytes.Compare(ka, kb), a.Compare(b); got*want < 0 || got == 0 != (want == 0) {
			t.Fatalf("%v and %v: keys %d, names %d", a, b, got, want)
		}
		zone := a.Ancestor(rapid.IntRange(0, a.Labels()).Draw(t, "zone"))
		prefix := appendPrefix(nil, 0, zone, dns.TypeNSEC)
		rest := appendSortKey(nil, octetsOf(a.Wire()), zone.Labels())
		if !bytes.HasPrefix(append(prefix, rest...), ka[:len(ka)-len(rest)]) {
			t.Fatalf("the key of %v in %v does not begin with the zone", a, zone)
		}
		if owner, ok := ownerOf(rest, zone.Lower()); !ok || owner != a.Lower() {
			t.Fatalf("%v comes back as %v", a, owner)
		}
		if unitsOf := (nodeHead + 4*maxLevels + len(prefix) + len(rest)) / unit; unitsOf >= maxNodeUnits {
			t.Fatalf("%v needs %d units", a, unitsOf)
		}
	})
	longest := name("a.")
	for {
		n, err := longest.Child("\x00")
		if err != nil {
			break
		}
		longest = n
	}
	if n := len(appendSortKey(appendPrefix(nil, 0, dns.Root, dns.TypeNSEC), octetsOf(longest.Wire()), 0)); nodeHead+4*maxLevels+n > maxNodeUnits*unit {
		t.Errorf("the key of a name of zeros has %d octets", n)
	}
	full := make([]byte, 0, 255)
	for _, l := range []int{63, 63, 63, 61} {
		full = append(append(full, byte(l)), make([]byte, l)...)
	}
	n, err := dns.NameFromWire(append(full, 0))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(appendSortKey(appendPrefix(nil, 0, dns.Root, dns.TypeNSEC), octetsOf(n.Wire()), 0)); nodeHead+4*maxLevels+n > maxNodeUnits*unit {
		t.Errorf("the key of a name of zeros has %d octets", n)
	}
}
