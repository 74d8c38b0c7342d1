package dnssec

import (
	"bytes"
	"encoding/asn1"
	"math/big"
	"testing"
)

// Signatures are written in DER as the library of the language writes them.
func TestASN1(t *testing.T) {
	for _, size := range []int{32, 48} {
		for _, first := range []byte{0, 1, 0x7f, 0x80, 0xff} {
			r, s := make([]byte, size), bytes.Repeat([]byte{first}, size)
			r[0], r[size-1] = first, 7
			want, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(r), new(big.Int).SetBytes(s)})
			if err != nil {
				t.Fatal(err)
			}
			if got := appendASN1(nil, r, s); !bytes.Equal(got, want) || len(got) > maxECDSA {
				t.Errorf("%d octets that begin with %d: %x, not %x", size, first, got, want)
			}
		}
	}
}
