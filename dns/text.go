package dns

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"strings"

	miekg "github.com/miekg/dns"
)

// String returns the record in the presentation form of RFC 1035 section 5.1 on one line, its data as [RdataString] gives it.
func (rr RR) String() string {
	return fmt.Sprintf("%v\t%d\t%v\t%v\t%s", rr.Name, rr.TTL, rr.Class, rr.Type, RdataString(rr.Type, rr.Data))
}

// String returns the records, a line each, without the signatures.
func (s RRset) String() string {
	var b strings.Builder
	for rr := range s.RRs() {
		b.WriteString(rr.String())
		b.WriteByte('\n')
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// RdataString returns record data in the presentation form of its type, or in that of RFC 3597 section 5 where the type is not known or
// has none, or the data is malformed. Either way it reads back as the same octets, which is checked each time: not for a query's path.
func RdataString(t Type, rdata []byte) string {
	if s, ok := knownRdata(t, rdata); ok {
		return s
	}
	return genericRdata(rdata)
}

func genericRdata(rdata []byte) string {
	if len(rdata) == 0 {
		return `\# 0`
	}
	return fmt.Sprintf(`\# %d %X`, len(rdata), rdata)
}

func knownRdata(t Type, rdata []byte) (string, bool) {
	// Without data, miekg/dns takes any type for one of an update message.
	if _, ok := miekg.TypeToRR[uint16(t)]; !ok || len(rdata) == 0 || len(rdata) > MaxMessageLen-11 {
		return "", false
	}
	w := make([]byte, 0, 11+len(rdata))
	w = append(w, 0)
	w = binary.BigEndian.AppendUint16(w, uint16(t))
	w = append(w, 0, byte(ClassINET), 0, 0, 0, 0)
	w = binary.BigEndian.AppendUint16(w, uint16(len(rdata)))
	w = append(w, rdata...)
	rr, _, err := miekg.UnpackRR(w, 0)
	if err != nil {
		return "", false
	}
	s := strings.TrimPrefix(rr.String(), rr.Header().String())
	// Data that ends early, or has pointers in it, unpacks all the same, and some types print as what can't be read.
	back, err := ParseZone(". 0 IN "+t.String()+" "+s, "", Root, 1)
	if err != nil || len(back) != 1 || back[0].Type != t || !bytes.Equal(back[0].Data, rdata) {
		return "", false
	}
	return s, true
}

// ParseZone reads records in the form of a zone file (RFC 1035 section 5; no $INCLUDE) with this origin; file is named in errors. Generic
// class and type names of RFC 3597 are understood. A record without a TTL has 3,600 s. At most limit records are read; one more is an error.
func ParseZone(text, file string, origin Name, limit int) ([]RR, error) {
	p := miekg.NewZoneParser(strings.NewReader(text), origin.String(), "") // its errors would repeat the file
	p.SetDefaultTTL(3600)
	var out []RR
	var buf []byte
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		if len(out) >= limit {
			return nil, fmt.Errorf("reading records of %q: more than %d", file, limit)
		}
		if buf == nil {
			buf = make([]byte, MaxMessageLen)
		}
		r, err := fromMiekg(rr, buf)
		if err != nil {
			return nil, fmt.Errorf("reading records of %q: %w", file, err)
		}
		out = append(out, r)
	}
	if err := p.Err(); err != nil {
		return nil, fmt.Errorf("reading records of %q: %w", file, inWords(err))
	}
	return out, nil
}

// inWords makes of what miekg/dns says of a text that is no zone file ("dns: bad A A: "1.2.3" at line: 2:16") what our errors look like.
func inWords(err error) error {
	var parse *miekg.ParseError
	if !errors.As(err, &parse) {
		return err
	}
	m := parseText.FindStringSubmatch(err.Error())
	if m == nil {
		return err
	}
	what := m[1]
	if what == "not a TTL" {
		what = "neither a TTL nor a class nor a type"
	}
	if words := strings.Fields(what); len(words) > 1 && words[0] == "bad" {
		if t, err := ParseType(words[1]); err == nil {
			what = "not the data of a record of type " + t.String()
		}
	}
	text := m[2]
	switch {
	case text == `"\n"`:
		text = "its end"
	case len(text) > maxQuoted:
		cut := maxQuoted
		if i := strings.LastIndexByte(text[:cut], '\\'); i > cut-len(`\xff`) {
			cut = i // not in the middle of an escape
		}
		text = text[:cut] + `..."`
	}
	return &textError{line: m[3], text: text, what: what, err: err}
}

// parseText matches the only form that errors of miekg/dns's zone parser have.
var parseText = regexp.MustCompile(`^dns: (.*): ("(?:[^"\\]|\\.)*") at line: (\d+):\d+$`)

// textError is a text that is no record.
type textError struct {
	line, text, what string
	err              error
}

func (e *textError) Error() string { return fmt.Sprintf("line %s, at %s: %s", e.line, e.text, e.what) }

func (e *textError) Unwrap() error { return e.err }

// maxQuoted bounds what an error shows of a text that may be anything.
const maxQuoted = 60

var errNotPacked = errors.New("this form of the type can't be read; write it as in RFC 3597, \\# LENGTH HEX")

// fromMiekg packs rr into buf and takes a copy.
func fromMiekg(rr miekg.RR, buf []byte) (RR, error) {
	h := rr.Header()
	fail := func(err error) (RR, error) {
		return RR{}, fmt.Errorf("packing %v record of %q: %w", Type(h.Rrtype), h.Name, err)
	}
	if h.Name == "" { // the first line of a file begins with a blank, but there is no owner to take over; miekg/dns packs nothing for it
		return fail(ErrEmptyLabel)
	}
	end, err := miekg.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		return fail(err)
	}
	name, off, err := UnpackName(buf[:end], 0)
	if err != nil {
		return fail(err)
	}
	data := bytes.Clone(buf[off+10 : end])
	if err := CheckRdata(Type(h.Rrtype), data); err != nil {
		return fail(err)
	}
	// Types that CheckRdata knows nothing of are read back: of an AMTRELAY record, miekg/dns packs less than it has read. Case is
	// not compared, because hex comes back in one.
	if layoutOf(Type(h.Rrtype)) == "*" {
		if back, _, err := miekg.UnpackRR(buf[:end], 0); err != nil || !strings.EqualFold(back.String(), rr.String()) {
			return fail(errNotPacked)
		}
	}
	return RR{name, Type(h.Rrtype), Class(h.Class), h.Ttl, data}, nil
}
