package dns

import (
	"errors"
	"fmt"
)

// Limits of RFC 1035 section 2.3.4.
const (
	MaxNameLen  = 255 // octets of a name on the wire, the root label included
	MaxLabelLen = 63  // octets of one label
	maxLabels   = 127 // labels of one octet that fit into MaxNameLen

	// maxPointers bounds the compression pointers of one name. A name that was written label by label needs no more than one for
	// each label; without the bound, a chain of pointers through 16 KiB of a message, entered by each of its records, would cost
	// some 5,000 times 8,000 steps.
	maxPointers = maxLabels
)

// Errors of names. They are wrapped with the input and the place.
var (
	ErrNameTooLong  = errors.New("name is longer than 255 octets")
	ErrLabelTooLong = errors.New("label is longer than 63 octets")
	ErrEmptyLabel   = errors.New("empty label")
	ErrBadEscape    = errors.New("backslash is not followed by three digits up to 255 or a character")
	ErrShort        = errors.New("ends early")
	ErrBadPointer   = errors.New("compression pointer does not point backwards to a name")
	ErrManyPointers = errors.New("name has more than 127 compression pointers")
	ErrLabelType    = errors.New("label type is neither length nor pointer")
	ErrNotBelow     = errors.New("name is not below the one to replace")
)

// Name is an absolute domain name in wire form: labels with their lengths, ended by the root label. It is comparable and takes
// 16 bytes; == is octet for octet, so code that keeps names lowers them first ([Name.Lower]). A label may hold any octet,
// dots and zeros included, which is why names are never joined or split as text. The zero Name is no name.
type Name struct{ wire string }

// Root is the name of the root zone.
var Root = Name{"\x00"}

// ParseName reads the presentation form of RFC 1035 section 5.1: \DDD and \X escapes, final dot optional; the name is taken as
// absolute either way.
func ParseName(s string) (Name, error) {
	if s == "." {
		return Root, nil
	}
	fail := func(err error) (Name, error) { return Name{}, fmt.Errorf("parsing name %q: %w", s, err) }
	if s == "" {
		return fail(ErrEmptyLabel)
	}
	var buf [MaxNameLen]byte
	n, label := 1, 0 // next free octet; place of the current label's length
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '.' {
			if n == label+1 {
				return fail(ErrEmptyLabel)
			}
			buf[label] = byte(n - label - 1)
			label = n
			if n++; n > MaxNameLen {
				return fail(ErrNameTooLong)
			}
			continue
		}
		if c == '\\' {
			if i+1 >= len(s) {
				return fail(ErrBadEscape)
			}
			i++
			c = s[i]
			if isDigit(c) {
				if i+2 >= len(s) || !isDigit(s[i+1]) || !isDigit(s[i+2]) {
					return fail(ErrBadEscape)
				}
				v := int(c-'0')*100 + int(s[i+1]-'0')*10 + int(s[i+2]-'0')
				if v > 255 {
					return fail(ErrBadEscape)
				}
				c = byte(v)
				i += 2
			}
		}
		if n-label-1 >= MaxLabelLen {
			return fail(ErrLabelTooLong)
		}
		if n >= MaxNameLen {
			return fail(ErrNameTooLong)
		}
		buf[n] = c
		n++
	}
	if n > label+1 { // no final dot: close the last label
		buf[label] = byte(n - label - 1)
		if n >= MaxNameLen {
			return fail(ErrNameTooLong)
		}
		n++
	}
	buf[n-1] = 0
	return Name{string(buf[:n])}, nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// MustParseName is [ParseName] for names in source code; it panics on a bad one.
func MustParseName(s string) Name {
	n, err := ParseName(s)
	if err != nil {
		panic(err)
	}
	return n
}

// NameFromWire takes b as exactly one uncompressed name and copies it.
func NameFromWire(b []byte) (Name, error) {
	end, err := skipName(b, 0)
	if err != nil {
		return Name{}, fmt.Errorf("reading name of %d octets: %w", len(b), err)
	}
	if end != len(b) {
		return Name{}, fmt.Errorf("reading name of %d octets: %d octets follow it", len(b), len(b)-end)
	}
	return Name{string(b)}, nil
}

// skipName returns the end of the uncompressed name at b[off:].
func skipName(b []byte, off int) (int, error) {
	start := off
	for {
		if off >= len(b) {
			return 0, ErrShort
		}
		c := int(b[off])
		if c > MaxLabelLen {
			return 0, ErrLabelType
		}
		off += 1 + c
		if off-start > MaxNameLen {
			return 0, ErrNameTooLong
		}
		if c == 0 {
			return off, nil
		}
	}
}

// UnpackName reads the name at msg[off:], following compression pointers (RFC 1035 section 4.1.4), and returns the offset
// after it. Each pointer must point before the labels that led to it, behind the header, and there may be 127 of them.
func UnpackName(msg []byte, off int) (Name, int, error) {
	var buf [MaxNameLen]byte
	b, next, err := appendName(buf[:0], msg, off)
	if err != nil {
		return Name{}, 0, err
	}
	return Name{string(b)}, next, nil
}

// appendName appends the uncompressed form of the name at msg[off:] to b, at most MaxNameLen octets.
func appendName(b, msg []byte, off int) (_ []byte, next int, err error) {
	start := len(b)
	low := off // pointers must go below this
	pointers := 0
	for {
		if off >= len(msg) {
			return b, 0, ErrShort
		}
		c := int(msg[off])
		switch {
		case c == 0:
			if len(b)-start+1 > MaxNameLen {
				return b, 0, ErrNameTooLong
			}
			if next == 0 {
				next = off + 1
			}
			return append(b, 0), next, nil
		case c <= MaxLabelLen:
			end := off + 1 + c
			if end > len(msg) {
				return b, 0, ErrShort
			}
			if len(b)-start+1+c+1 > MaxNameLen {
				return b, 0, ErrNameTooLong
			}
			b = append(b, msg[off:end]...)
			off = end
		case c >= 0xC0:
			if off+2 > len(msg) {
				return b, 0, ErrShort
			}
			ptr := (c&0x3F)<<8 | int(msg[off+1])
			if ptr >= low || ptr < HeaderLen {
				return b, 0, ErrBadPointer
			}
			if pointers++; pointers > maxPointers {
				return b, 0, ErrManyPointers
			}
			if next == 0 {
				next = off + 2
			}
			low, off = ptr, ptr
		default:
			return b, 0, ErrLabelType
		}
	}
}

// Wire returns the uncompressed wire form, the root label included; "" for no name.
func (n Name) Wire() string { return n.wire }

// Len returns the octets of the wire form.
func (n Name) Len() int { return len(n.wire) }

// IsZero tells whether n is no name at all.
func (n Name) IsZero() bool { return n.wire == "" }

// IsRoot tells whether n is the root.
func (n Name) IsRoot() bool { return n.wire == "\x00" }

// Labels counts the labels, the root's not included: 2 for "www.example.".
func (n Name) Labels() int {
	c := 0
	for i := 0; i < len(n.wire) && n.wire[i] != 0; i += 1 + int(n.wire[i]) {
		c++
	}
	return c
}

// Label returns the first (leftmost) label without its length; "" for the root.
func (n Name) Label() string {
	if len(n.wire) < 2 {
		return ""
	}
	return n.wire[1 : 1+int(n.wire[0])]
}

// Parent returns n without its first label; the root's parent is the root.
func (n Name) Parent() Name {
	if len(n.wire) < 2 {
		return n
	}
	return Name{n.wire[1+int(n.wire[0]):]}
}

// Ancestor returns the last labels of n, as many as asked for (0 is the root), or n if it has no more than that.
func (n Name) Ancestor(labels int) Name {
	for have := n.Labels(); have > labels; have-- {
		n = n.Parent()
	}
	return n
}

// Child returns label.n, the label being octets without escapes; an error if it is empty or too long or n is no name.
func (n Name) Child(label string) (Name, error) {
	switch {
	case label == "" || n.wire == "":
		return Name{}, ErrEmptyLabel
	case len(label) > MaxLabelLen:
		return Name{}, ErrLabelTooLong
	case 1+len(label)+len(n.wire) > MaxNameLen:
		return Name{}, ErrNameTooLong
	}
	var buf [MaxNameLen]byte
	b := append(buf[:0], byte(len(label)))
	b = append(b, label...)
	return Name{string(append(b, n.wire...))}, nil
}

// ReplaceSuffix returns n with its ending from replaced by to, as a DNAME does (RFC 6672 section 2.2). [ErrNotBelow] if n is from
// itself or not below it; [ErrNameTooLong] if the result is too long, which the answer to a client shows as YXDOMAIN.
func (n Name) ReplaceSuffix(from, to Name) (Name, error) {
	if len(n.wire) == len(from.wire) || !n.IsWithin(from) {
		return Name{}, fmt.Errorf("replacing %v in %v: %w", from, n, ErrNotBelow)
	}
	if to.wire == "" {
		return Name{}, fmt.Errorf("replacing %v in %v by no name: %w", from, n, ErrShort)
	}
	prefix := n.wire[:len(n.wire)-len(from.wire)]
	if len(prefix)+len(to.wire) > MaxNameLen {
		return Name{}, fmt.Errorf("replacing %v by %v in %v: %w", from, to, n, ErrNameTooLong)
	}
	return Name{prefix + to.wire}, nil
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// lowerInPlace lowers the ASCII letters of an uncompressed name. Length octets are at most 63 and so below 'A'.
func lowerInPlace(b []byte) {
	for i, c := range b {
		b[i] = lower(c)
	}
}

// upperAt returns the place of the first upper-case letter, -1 if there is none.
func (n Name) upperAt() int {
	for i := 0; i < len(n.wire); i++ {
		if c := n.wire[i]; 'A' <= c && c <= 'Z' {
			return i
		}
	}
	return -1
}

// Lower returns n in canonical case (RFC 4034 section 6.2); n itself, without an allocation, if it is so already.
func (n Name) Lower() Name {
	i := n.upperAt()
	if i < 0 {
		return n
	}
	var buf [MaxNameLen]byte
	b := append(buf[:0], n.wire...)
	lowerInPlace(b[i:])
	return Name{string(b)}
}

func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if a[i] != b[i] && lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// Equal compares without regard to ASCII case (RFC 4343).
func (n Name) Equal(m Name) bool { return equalFold(n.wire, m.wire) }

// IsWithin tells whether n is zone or a name below it.
func (n Name) IsWithin(zone Name) bool {
	d := len(n.wire) - len(zone.wire)
	if d < 0 || zone.wire == "" {
		return false
	}
	i := 0
	for i < d {
		i += 1 + int(n.wire[i])
	}
	return i == d && equalFold(n.wire[d:], zone.wire)
}

// Compare gives the canonical order of RFC 4034 section 6.1: label by label from the right, as lower-case octets.
func (n Name) Compare(m Name) int {
	var a, b [maxLabels]uint8
	i, j := labelStarts(n.wire, &a), labelStarts(m.wire, &b)
	for i > 0 && j > 0 {
		i--
		j--
		if c := compareLabel(n.wire[a[i]:], m.wire[b[j]:]); c != 0 {
			return c
		}
	}
	return i - j
}

func labelStarts(w string, at *[maxLabels]uint8) int {
	c := 0
	for i := 0; i < len(w) && w[i] != 0; i += 1 + int(w[i]) {
		at[c] = uint8(i)
		c++
	}
	return c
}

func compareLabel(a, b string) int {
	la, lb := int(a[0]), int(b[0])
	for i := 1; i <= la && i <= lb; i++ {
		if x, y := lower(a[i]), lower(b[i]); x != y {
			return int(x) - int(y)
		}
	}
	return la - lb
}

// CommonLabels counts the labels that n and m share from the right.
func (n Name) CommonLabels(m Name) int {
	var a, b [maxLabels]uint8
	i, j := labelStarts(n.wire, &a), labelStarts(m.wire, &b)
	c := 0
	for i > 0 && j > 0 {
		i--
		j--
		if compareLabel(n.wire[a[i]:], m.wire[b[j]:]) != 0 {
			break
		}
		c++
	}
	return c
}

// String returns the presentation form with its final dot; octets that are not printable ASCII, and those that zone files give a
// meaning, are escaped.
func (n Name) String() string {
	if n.wire == "" {
		return ""
	}
	if n.IsRoot() {
		return "."
	}
	s := make([]byte, 0, 128)
	for i := 0; n.wire[i] != 0; {
		end := i + 1 + int(n.wire[i])
		for i++; i < end; i++ {
			switch c := n.wire[i]; {
			case c == '.' || c == '\\' || c == '"' || c == ';' || c == '@' || c == '$' || c == '(' || c == ')':
				s = append(s, '\\', c)
			case c <= ' ' || c > '~':
				s = append(s, '\\', '0'+c/100, '0'+c/10%10, '0'+c%10)
			default:
				s = append(s, c)
			}
		}
		s = append(s, '.')
	}
	return string(s)
}

// MarshalText is [Name.String].
func (n Name) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText is [ParseName]; so the empty text, which MarshalText gives for no name, is an error.
func (n *Name) UnmarshalText(b []byte) error {
	m, err := ParseName(string(b))
	if err != nil {
		return err
	}
	*n = m
	return nil
}
