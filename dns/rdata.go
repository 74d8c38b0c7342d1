package dns

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrRDLength says that a record's data is shorter or longer than its type allows.
var ErrRDLength = errors.New("record data does not fit its type")

// layout describes record data: what must be known to expand and compress the names in it and to refuse data that can not be.
// One octet a field:
//
//	n  name; compressed in answers (the types of RFC 1035, RFC 3597 section 4)
//	u  name; may arrive compressed, is never sent so
//	w  name; must arrive uncompressed
//	b  one octet   h  two octets   l  four octets
//	s  character string   S  one or more of them, to the end
//	*  any octets, to the end
type layout string

// layoutOf is a switch and not a map because every record of every reply goes through it. Types with names that may not be compressed,
// and that no code here looks into, are octets (RFC 3597 section 4).
func layoutOf(t Type) layout {
	switch t {
	case TypeA:
		return "l"
	case TypeAAAA:
		return "llll"
	case TypeNS, TypeCNAME, TypePTR, TypeMD, TypeMF, TypeMB, TypeMG, TypeMR:
		return "n"
	case TypeSOA:
		return "nnlllll"
	case TypeMX:
		return "hn"
	case TypeMINFO:
		return "nn"
	case TypeTXT:
		return "S"
	case TypeHINFO:
		return "ss"
	case TypeRP:
		return "uu"
	case TypeAFSDB, TypeRT, TypeKX:
		return "hu"
	case TypeSIG, TypeRRSIG:
		return "hbblllhu*"
	case TypePX:
		return "huu"
	case TypeNXT, TypeNSEC:
		return "u*"
	case TypeNAPTR:
		return "hhsssu"
	case TypeSRV:
		return "hhhu"
	case TypeDNAME:
		return "u"
	case TypeDS, TypeCDS, TypeDNSKEY, TypeCDNSKEY, TypeKEY:
		return "hbb*"
	case TypeNSEC3:
		return "bbhss*"
	case TypeNSEC3PARAM:
		return "bbhs"
	case TypeSVCB, TypeHTTPS:
		return "hw*"
	case TypeCAA:
		return "bs*"
	}
	return "*"
}

// hasNames tells whether data of this layout may arrive compressed.
func (l layout) hasNames() bool {
	for i := 0; i < len(l); i++ {
		if l[i] == 'n' || l[i] == 'u' {
			return true
		}
	}
	return false
}

// fits tells whether data is well formed under a layout whose names, if any, are uncompressed.
func (l layout) fits(d []byte) bool {
	off := 0
	for i := 0; i < len(l); i++ {
		switch l[i] {
		case 'n', 'u', 'w':
			next, err := skipName(d, off)
			if err != nil {
				return false
			}
			off = next
		case 'b':
			off++
		case 'h':
			off += 2
		case 'l':
			off += 4
		case 's':
			if off >= len(d) {
				return false
			}
			off += 1 + int(d[off])
		case 'S':
			if off >= len(d) {
				return false
			}
			for off < len(d) {
				off += 1 + int(d[off])
			}
		case '*':
			return off <= len(d)
		}
		if off > len(d) {
			return false
		}
	}
	return off == len(d)
}

// appendRdata appends to b the data at msg[off:off+n] of a record of type t, names expanded. Malformed data is an error.
func appendRdata(b, msg []byte, off, n int, t Type) ([]byte, error) {
	l, end := layoutOf(t), off+n
	msg = msg[:end:end] // a name must not run over the record's end (its pointers may still point back)
	for i := 0; i < len(l); i++ {
		size := 0
		switch l[i] {
		case 'n', 'u':
			var err error
			if b, off, err = appendName(b, msg, off); err != nil {
				return b, fmt.Errorf("reading name in %v data: %w", t, err)
			}
			continue
		case 'b':
			size = 1
		case 'h':
			size = 2
		case 'l':
			size = 4
		case 's':
			if off < end {
				size = int(msg[off])
			}
			size++
		default: // octets to the end: no type with names has more to check after them
			size = end - off
		}
		if off+size > end {
			return b, ErrRDLength
		}
		b = append(b, msg[off:off+size]...)
		off += size
	}
	if off != end {
		return b, ErrRDLength
	}
	return b, nil
}

// AppendCanonical appends data in its canonical form (RFC 4034 section 6.2 item 3 with the corrections of RFC 6840 section 5.1): names
// of the types that are listed there in lower case. Data of other types, or malformed, is appended as it is.
func AppendCanonical(b []byte, t Type, rdata []byte) []byte {
	start := len(b)
	b = append(b, rdata...)
	l := layoutOf(t)
	if t == TypeNSEC || !l.hasNames() || !l.fits(rdata) {
		return b
	}
	d, off := b[start:], 0
	for i := 0; i < len(l); i++ {
		switch l[i] {
		case 'n', 'u':
			end, _ := skipName(d, off) // it fits
			lowerInPlace(d[off:end])
			off = end
		case 'b':
			off++
		case 'h':
			off += 2
		case 'l':
			off += 4
		case 's':
			off += 1 + int(d[off])
		}
	}
	return b
}

// CheckRdata tells whether uncompressed data fits its type's layout.
func CheckRdata(t Type, rdata []byte) error {
	if !layoutOf(t).fits(rdata) {
		return fmt.Errorf("%v data of %d octets: %w", t, len(rdata), ErrRDLength)
	}
	return nil
}

// RdataName returns the name that data of type NS, CNAME, DNAME, PTR, MX, SRV, KX, AFSDB, RT, SVCB or HTTPS points to; ok is
// false for other types and malformed data.
func RdataName(t Type, rdata []byte) (_ Name, ok bool) {
	at := 0
	switch t {
	case TypeNS, TypeCNAME, TypeDNAME, TypePTR, TypeMB, TypeMD, TypeMF, TypeMG, TypeMR:
	case TypeMX, TypeKX, TypeAFSDB, TypeRT, TypeSVCB, TypeHTTPS:
		at = 2
	case TypeSRV:
		at = 6
	default:
		return Name{}, false
	}
	if !layoutOf(t).fits(rdata) {
		return Name{}, false
	}
	end, _ := skipName(rdata, at) // it fits
	return Name{string(rdata[at:end])}, true
}

// SOA is the data of a start of authority record (RFC 1035 section 3.3.13); times in seconds.
type SOA struct {
	MName, RName                            Name
	Serial, Refresh, Retry, Expire, Minimum uint32
}

// ParseSOA reads uncompressed SOA data.
func ParseSOA(rdata []byte) (SOA, error) {
	m, err := skipName(rdata, 0)
	if err != nil {
		return SOA{}, fmt.Errorf("reading SOA mname: %w", err)
	}
	r, err := skipName(rdata, m)
	if err != nil {
		return SOA{}, fmt.Errorf("reading SOA rname: %w", err)
	}
	if len(rdata) != r+20 {
		return SOA{}, fmt.Errorf("reading SOA: %w", ErrRDLength)
	}
	n := func(i int) uint32 { return binary.BigEndian.Uint32(rdata[r+4*i:]) }
	return SOA{Name{string(rdata[:m])}, Name{string(rdata[m:r])}, n(0), n(1), n(2), n(3), n(4)}, nil
}

// Append appends the record data of s to b.
func (s SOA) Append(b []byte) []byte {
	b = append(b, s.MName.wire...)
	b = append(b, s.RName.wire...)
	for _, v := range [...]uint32{s.Serial, s.Refresh, s.Retry, s.Expire, s.Minimum} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}
