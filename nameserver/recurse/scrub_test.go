package recurse

import (
	"encoding/binary"
	"testing"

	"github.com/ananas-edge/ananas/dns"
)

// Of a set, each record is kept once, however many there are, in the order in which they came, and no more signatures than are looked at.
func TestCollect(t *testing.T) {
	name := dns.MustParseName("www.example.")
	for _, n := range []int{1, fewRecords - 1, fewRecords, fewRecords + 1, maxRecords / 2} {
		m := &dns.Message{}
		for range 2 {
			for i := range n {
				data := binary.BigEndian.AppendUint32(nil, uint32(i))
				m.Sections[dns.Answer] = append(m.Sections[dns.Answer],
					dns.RR{Name: name, Type: dns.TypeA, Class: dns.ClassINET, TTL: 60, Data: data},
					dns.RR{Name: name, Type: dns.TypeRRSIG, Class: dns.ClassINET, TTL: 60, Data: append([]byte{0, byte(dns.TypeA)}, data...)})
			}
		}
		set, ok := collect(m, dns.Answer, name, dns.TypeA, newUsed(m))
		if !ok || set.Data.Len() != n || set.Sigs.Len() != min(n, maxSigs) {
			t.Fatalf("of %d: %v, %d records, %d signatures", n, ok, set.Data.Len(), set.Sigs.Len())
		}
		i := uint32(0)
		for data := range set.Data.All() {
			if binary.BigEndian.Uint32(data) != i {
				t.Fatalf("of %d: %x is record %d", n, data, i)
			}
			i++
		}
	}
}
