package dns

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	miekg "github.com/miekg/dns"
)

// String returns the record in the presentation form of RFC 1035 section 5.1 on one line; data that can't be shown in its type's own form
// is shown as RFC 3597 section 5 says.
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

// RdataString returns record data in presentation form.
func RdataString(t Type, rdata []byte) string {
	if s, ok := knownRdata(t, rdata); ok {
		return s
	}
	return strings.TrimSpace(fmt.Sprintf("\\# %d %s", len(rdata), strings.ToUpper(hex.EncodeToString(rdata))))
}

func knownRdata(t Type, rdata []byte) (string, bool) {
	if _, ok := miekg.TypeToRR[uint16(t)]; !ok || len(rdata) > MaxMessageLen-11 {
		return "", false
	}
	w := make([]byte, 0, 11+len(rdata))
	w = append(w, 0)
	w = binary.BigEndian.AppendUint16(w, uint16(t))
	w = append(w, 0, 1, 0, 0, 0, 0)
	w = binary.BigEndian.AppendUint16(w, uint16(len(rdata)))
	w = append(w, rdata...)
	rr, _, err := miekg.UnpackRR(w, 0)
	if err != nil {
		return "", false
	}
	return strings.TrimPrefix(rr.String(), rr.Header().String()), true
}

// ParseZone reads records in the form of a zone file (RFC 1035 section 5; no $INCLUDE) with this origin; file is named in errors. Generic class and
// type names of RFC 3597 are understood. At most limit records are read; one more is an error.
func ParseZone(text, file string, origin Name, limit int) ([]RR, error) {
	p := miekg.NewZoneParser(strings.NewReader(text), origin.String(), file)
	p.SetDefaultTTL(3600)
	var out []RR
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		if len(out) >= limit {
			return nil, fmt.Errorf("reading records of %q: more than %d", file, limit)
		}
		r, err := fromMiekg(rr)
		if err != nil {
			return nil, fmt.Errorf("reading records of %q: %w", file, err)
		}
		out = append(out, r)
	}
	if err := p.Err(); err != nil {
		return nil, fmt.Errorf("reading records of %q: %w", file, err)
	}
	return out, nil
}

func fromMiekg(rr miekg.RR) (RR, error) {
	buf := make([]byte, MaxMessageLen)
	end, err := miekg.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		return RR{}, fmt.Errorf("%s: %w", rr.Header().Name, err)
	}
	name, off, err := UnpackName(buf[:end], 0)
	if err != nil {
		return RR{}, err
	}
	h := rr.Header()
	return RR{name, Type(h.Rrtype), Class(h.Class), h.Ttl, buf[off+10 : end : end]}, nil
}
