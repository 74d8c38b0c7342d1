package dataset

import (
	"bytes"
	"fmt"
)

// appendName reads a name of a hosts file or a list of domains and appends its wire form, without the root label and in lower case. These formats
// have no escapes, so what a name may hold is letters, digits, "-" and "_": all else is a line of another format, and is told so.
func appendName(b, text []byte) ([]byte, error) {
	name := text
	if len(name) > 2 && name[0] == '*' && name[1] == '.' {
		name = name[2:]
	} else if len(name) > 1 && name[0] == '.' {
		name = name[1:]
	}
	if n := len(name); n > 1 && name[n-1] == '.' {
		name = name[:n-1]
	}
	if string(name) == "." || string(name) == "*" {
		return b, refuse("this stands for every name", "take the line out, or list the top-level domains that are meant")
	}
	start := len(b)
	b = append(b, 0)
	label := start
	digits := true // in this label
	for _, c := range name {
		switch {
		case 'a' <= c && c <= 'z' || c == '-' || c == '_':
			digits = false
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
			digits = false
		case '0' <= c && c <= '9':
		case c == '.':
			if err := closeLabel(b, label); err != nil {
				return b[:start], err
			}
			label = len(b)
			b = append(b, 0)
			digits = true
			continue
		default:
			return b[:start], strange(text, c)
		}
		b = append(b, c)
	}
	if err := closeLabel(b, label); err != nil {
		return b[:start], err
	}
	if len(b)-start > maxName {
		return b[:start], refuse("the name is longer than 255 octets", "take the line out: no such name can be asked for")
	}
	if digits {
		return b[:start], refuse("this is an address or a number, and no name", "take the line out, or put addresses into a list of CIDR prefixes")
	}
	return b, nil
}

// closeLabel writes the length of the label that begins at b[label].
func closeLabel(b []byte, label int) error {
	switch n := len(b) - label - 1; {
	case n == 0:
		return refuse("a label of the name is empty", "write it as example.com: a dot between labels, and at most one at each end")
	case n > 63:
		return refuse("a label of the name is longer than 63 octets", "take the line out: no such name can be asked for")
	default:
		b[label] = byte(n)
		return nil
	}
}

// strange says what a text with octet c in it may be.
func strange(text []byte, c byte) error {
	switch {
	case c >= 0x80:
		return refuse("the name is not in ASCII", "write its ASCII form (xn--...), which is what is asked for on the wire")
	case bytes.Contains(text, []byte("://")) || c == '/':
		return refuse("this is a URL or a path, and no name", "fetch the list in its form for DNS: hosts or domains")
	case bytes.HasPrefix(text, []byte("||")) || bytes.HasPrefix(text, []byte("@@")) || c == '^' || c == '$' || c == '[':
		return refuse("this is a rule for ad blockers in browsers, and no name", "fetch the list in its form for DNS: hosts or domains")
	case c == '*':
		return refuse("a wildcard can only be the first label", "write *.example.com or example.com: both stand for all names below")
	}
	return refuse(fmt.Sprintf("a name can't have %q in it", c), "write letters, digits, - and _ with dots between; in a response policy zone other octets can be escaped")
}
