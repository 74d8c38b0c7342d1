//go:build wasip1

package ananas

import (
	"errors"
	"strings"
)

// Zones is a set of zones. A look-up does not allocate.
type Zones map[string]struct{}

// ParseZones reads a list as people write it: names with blanks, commas or line ends between them.
func ParseZones(list string) (Zones, error) {
	z := make(Zones)
	for _, word := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r <= ' ' }) {
		name, err := ParseName(word)
		if err != nil {
			return nil, err
		}
		z[string(name)] = struct{}{}
	}
	return z, nil
}

// Covers tells whether a name is one of the zones, or below one.
func (z Zones) Covers(name []byte) bool {
	for s := name; len(s) > 1; s = s[1+int(s[0]):] {
		if _, ok := z[string(s)]; ok {
			return true
		}
	}
	return false
}

// ParseName reads a name as people write it, small letters or large, with or without the dot at the end, and without backslashes.
func ParseName(text string) ([]byte, error) {
	short := strings.TrimSuffix(text, ".")
	if len(short) > 253 {
		return nil, errors.New(text + " is too long for a name")
	}
	var name []byte
	for _, label := range strings.Split(strings.ToLower(short), ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }) {
			return nil, errors.New(text + " is no name")
		}
		name = append(append(name, byte(len(label))), label...)
	}
	return append(name, 0), nil
}
