//go:build wasip1

package ananas

import (
	"errors"
	"strings"
)

// Zones is a set of zones: a hash table over names that lie one behind the other. Go's own maps and strings cost ten times the fuel.
type Zones struct {
	slots []uint32 // where a name is, and 1; 0: nowhere. A power of two
	names []byte   // each behind its length
	count int
}

// NoNameError is that a part of a list is no name.
type NoNameError struct {
	Which int // of the list, from 1
	Text  string
}

func (e *NoNameError) Error() string { return e.Text + " is no name" }

// Code is what the module is not started with: see [OnStart].
func (e *NoNameError) Code() int32 { return int32(e.Which) }

// ParseZones reads a list as people write it: names with blanks, commas or line ends between them. The error is a [*NoNameError].
func ParseZones(list string) (*Zones, error) {
	size := 16
	for size < len(list)/8 {
		size *= 2
	}
	z := &Zones{slots: make([]uint32, size), names: make([]byte, 0, len(list)+len(list)/4)}
	var name [255]byte
	which := 0
	for i := 0; i < len(list); i++ {
		from := i
		for i < len(list) && list[i] > ' ' && list[i] != ',' {
			i++
		}
		if i == from {
			continue
		}
		which++
		n := parseName(list[from:i], &name)
		if n == 0 {
			return nil, &NoNameError{which, list[from:i]}
		}
		z.Add(name[:n])
	}
	return z, nil
}

// Add adds a zone in wire form, small letters.
func (z *Zones) Add(name []byte) {
	if 2*z.count >= len(z.slots) {
		z.grow()
	}
	slot := z.slot(name)
	if z.slots[slot] != 0 {
		return
	}
	z.slots[slot] = uint32(len(z.names)) + 1
	z.names = append(append(z.names, byte(len(name))), name...)
	z.count++
}

// Covers tells whether a name is one of the zones, or below one. It does not allocate.
func (z *Zones) Covers(name []byte) bool {
	for s := name; len(s) > 1; s = s[1+int(s[0]):] {
		if z.slots[z.slot(s)] != 0 {
			return true
		}
	}
	return false
}

func (z *Zones) slot(name []byte) uint32 {
	h := uint32(2166136261) // FNV-1a, its upper bits folded in
	for _, c := range name {
		h = (h ^ uint32(c)) * 16777619
	}
	mask := uint32(len(z.slots) - 1)
	slot := (h ^ h>>15) & mask
	for at := z.slots[slot]; at != 0 && string(z.names[at:at+uint32(z.names[at-1])]) != string(name); at = z.slots[slot] {
		slot = (slot + 1) & mask
	}
	return slot
}

func (z *Zones) grow() {
	z.slots = make([]uint32, 2*len(z.slots))
	for at := 0; at < len(z.names); at += 1 + int(z.names[at]) {
		z.slots[z.slot(z.names[at+1:at+1+int(z.names[at])])] = uint32(at) + 1
	}
}

// ParseName reads a name as people write it, small letters or large, with or without the dot at the end, and without backslashes.
func ParseName(text string) ([]byte, error) {
	var name [255]byte
	if n := parseName(text, &name); n > 0 {
		return append([]byte(nil), name[:n]...), nil
	}
	return nil, errors.New(text + " is no name")
}

// parseName returns how many octets the name has; 0 if it is none.
func parseName(text string, out *[255]byte) int {
	text = strings.TrimSuffix(text, ".")
	if text == "" || len(text) > 253 {
		return 0
	}
	label := 0 // where its length goes
	for i := 0; i <= len(text); i++ {
		c := byte('.')
		if i < len(text) {
			c = text[i]
		}
		switch {
		case c == '.':
			n := i - label
			if n == 0 || n > 63 {
				return 0
			}
			out[label] = byte(n)
			label = i + 1
		case c <= ' ' || c > '~' || c == '\\':
			return 0
		case 'A' <= c && c <= 'Z':
			out[i+1] = c + 'a' - 'A'
		default:
			out[i+1] = c
		}
	}
	out[label] = 0
	return label + 1
}
