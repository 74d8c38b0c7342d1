package lab

import (
	"bytes"
	"cmp"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/ananas-edge/ananas/dns"
)

// digesting is which ZONEMD records a zone has (RFC 8976).
type digesting struct {
	sha384, sha512 bool
	wrong          bool // the digests do not fit
}

// parseDigests reads "none", or a list of sha384, sha512 and wrong.
func parseDigests(value string) (d digesting, err error) {
	if value == "none" {
		return d, nil
	}
	for _, word := range strings.Split(value, ",") {
		switch word {
		case "sha384":
			d.sha384 = true
		case "sha512":
			d.sha512 = true
		case "wrong":
			d.wrong = true
		default:
			return d, fmt.Errorf("%q is neither none nor sha384, sha512 nor wrong", word)
		}
	}
	if d.off() {
		d.sha384 = true
	}
	return d, nil
}

func (d digesting) off() bool { return !d.sha384 && !d.sha512 }

const zonemdSimple = 1 // the scheme

// placeholders are the ZONEMD records of the zone before their digests are computed (RFC 8976 section 3.1). Their digests are zeros.
func (z *zone) placeholders() dns.RRset {
	soa, _ := z.content.node(z.apex).set(dns.TypeSOA)
	s := newSet(z.apex, dns.TypeZONEMD, soa.TTL)
	data := soa.Data.First()
	serial := data[len(data)-20 : len(data)-16]
	for _, d := range []struct {
		on        bool
		algorithm byte
		size      int
	}{{z.digests.sha384, 1, sha512.Size384}, {z.digests.sha512, 2, sha512.Size}} {
		if d.on {
			s.Data = s.Data.Append(append(append(slices.Clone(serial), zonemdSimple, d.algorithm), make([]byte, d.size)...))
		}
	}
	return s
}

// digested returns the ZONEMD records with their digests, which are those of the records with the signatures of this period.
func (z *zone) digested() dns.RRset {
	period := z.ring.clock().Truncate(signaturePeriod).Unix()
	z.digestLock.Lock()
	defer z.digestLock.Unlock()
	if z.digest.Data != nil && z.digestPeriod == period {
		return z.digest
	}
	var all []byte
	for _, rr := range canonicalRecords(z.records()) {
		if rr.Name == z.apex && (rr.Type == dns.TypeZONEMD || rr.Type == dns.TypeRRSIG && dns.Type(binary.BigEndian.Uint16(rr.Data)) == dns.TypeZONEMD) {
			continue
		}
		all = append(all, rr.Name.Wire()...)
		all = binary.BigEndian.AppendUint16(all, uint16(rr.Type))
		all = binary.BigEndian.AppendUint16(all, uint16(rr.Class))
		all = binary.BigEndian.AppendUint32(all, rr.TTL)
		all = binary.BigEndian.AppendUint16(all, uint16(len(rr.Data)))
		all = append(all, rr.Data...)
	}
	s := z.placeholders()
	var data dns.Records
	for d := range s.Data.All() {
		d = slices.Clone(d)
		if d[5] == 1 {
			sum := sha512.Sum384(all)
			copy(d[6:], sum[:])
		} else {
			sum := sha512.Sum512(all)
			copy(d[6:], sum[:])
		}
		if z.digests.wrong {
			d[len(d)-1] ^= 0xFF
		}
		data = data.Append(d)
	}
	s.Data = data
	z.digest, z.digestPeriod = s, period
	return s
}

// canonicalRecords puts records into the order of RFC 8976 section 3.3.1, their data in canonical form, each once.
func canonicalRecords(sets []dns.RRset) []dns.RR {
	var all []dns.RR
	for _, s := range sets {
		for d := range s.Data.All() {
			all = append(all, dns.RR{Name: s.Name, Type: s.Type, Class: s.Class, TTL: s.TTL, Data: canonical(s.Type, d)})
		}
		for d := range s.Sigs.All() {
			all = append(all, dns.RR{Name: s.Name, Type: dns.TypeRRSIG, Class: s.Class, TTL: s.TTL, Data: d})
		}
	}
	slices.SortFunc(all, func(a, b dns.RR) int {
		return cmp.Or(a.Name.Compare(b.Name), cmp.Compare(a.Type, b.Type), bytes.Compare(a.Data, b.Data))
	})
	return slices.CompactFunc(all, func(a, b dns.RR) bool {
		return a.Name == b.Name && a.Type == b.Type && bytes.Equal(a.Data, b.Data)
	})
}
