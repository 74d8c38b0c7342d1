package dnssec

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"math/big"

	"github.com/cloudflare/circl/sign/ed448"
)

type ecdsaKey struct {
	key  *ecdsa.PublicKey
	hash crypto.Hash
	size int // octets of r, and of s
}

// verify takes r and s at full length (RFC 6605 section 4).
func (k *ecdsaKey) verify(signed, signature []byte) bool {
	if len(signature) != 2*k.size {
		return false
	}
	var buf [maxECDSA]byte
	return ecdsa.VerifyASN1(k.key, digest(k.hash, signed), appendASN1(buf[:0], signature[:k.size], signature[k.size:]))
}

// maxECDSA is the length of a signature by P-384 in DER: two numbers of 48 octets, each with a zero ahead, a tag and a length, in a sequence.
const maxECDSA = 2 + 2*(2+1+48)

// appendASN1 writes r and s as DER has them (RFC 3279 section 2.2.3): without zeros ahead, but for one where the first bit would be a sign. The library
// takes no other form, and makes this one itself by way of big numbers, which costs a twentieth of a check.
func appendASN1(b, r, s []byte) []byte {
	r, s = bytes.TrimLeft(r, "\x00"), bytes.TrimLeft(s, "\x00")
	length := func(n []byte) int {
		if len(n) == 0 || n[0]&0x80 != 0 {
			return len(n) + 1
		}
		return len(n)
	}
	b = append(b, 0x30, byte(4+length(r)+length(s)))
	for _, n := range [...][]byte{r, s} {
		b = append(b, 0x02, byte(length(n)))
		if length(n) > len(n) {
			b = append(b, 0)
		}
		b = append(b, n...)
	}
	return b
}

type ed25519Key []byte

func (k ed25519Key) verify(signed, signature []byte) bool {
	return ed25519.Verify(ed25519.PublicKey(k), signed, signature) // a signature of another length is wrong
}

type ed448Key []byte

// verify has no context (RFC 8080 section 4).
func (k ed448Key) verify(signed, signature []byte) bool {
	return ed448.Verify(ed448.PublicKey(k), signed, signature, "")
}

// digest hashes by one of the functions of the tables in algorithm.go.
func digest(h crypto.Hash, of ...[]byte) []byte {
	var d hash.Hash
	switch h {
	case crypto.SHA1:
		d = sha1.New()
	case crypto.SHA384:
		d = sha512.New384()
	case crypto.SHA512:
		d = sha512.New()
	default:
		d = sha256.New()
	}
	for _, b := range of {
		d.Write(b)
	}
	return d.Sum(nil)
}

// Bounds of RSA keys. RFC 5702 section 2 has 4,096 bits as the most; algorithms 5 and 7 have the same here.
//
// The cost of a check grows with the exponent, which the zone chooses: one of the size of the modulus would take a hundred times as long as
// 65,537. The largest that a tool ever made is F5, 2^32+1 (dnssec-keygen -e, long ago). An even one has no inverse; with 1
// everybody can sign.
const (
	maxRSABits     = 4096
	minRSAExponent = 3
	maxRSAExponent = 1<<32 + 1

	// The standard library refuses greater exponents, and has fast arithmetic up to 2,048 bits only: beyond, math/big takes a third of its time.
	maxStdExponent = 1<<31 - 1
	maxStdBits     = 2048

	commonExponent = 65537 // a check with this one or less has the weight of the modulus alone
)

var (
	errRSAForm     = errors.New("is malformed (RFC 3110 section 2)")
	errRSAExponent = errors.New("has an RSA exponent that is not an odd number from 3 to 4,294,967,297")
)

type rsaKey struct {
	key  rsa.PublicKey // E only if it is at most maxStdExponent
	e    *big.Int
	hash crypto.Hash
}

// readRSA reads the length of the exponent, the exponent and the modulus (RFC 3110 section 2). Zeros before them should not be there, and are let
// in, as others do: they change nothing.
func readRSA(a Algorithm, public []byte) (*rsaKey, error) {
	if len(public) < 1 {
		return nil, errRSAForm
	}
	n, rest := int(public[0]), public[1:]
	if n == 0 {
		if len(rest) < 2 {
			return nil, errRSAForm
		}
		n, rest = int(binary.BigEndian.Uint16(rest)), rest[2:]
	}
	if n == 0 || n >= len(rest) {
		return nil, errRSAForm
	}
	exponent, modulus := bytes.TrimLeft(rest[:n], "\x00"), bytes.TrimLeft(rest[n:], "\x00")
	if len(exponent) > 8 {
		return nil, errRSAExponent
	}
	e := new(big.Int).SetBytes(exponent)
	if !e.IsUint64() || e.Uint64() < minRSAExponent || e.Uint64() > maxRSAExponent || e.Uint64()&1 == 0 {
		return nil, errRSAExponent
	}
	k := &rsaKey{e: e, hash: a.row().hash}
	if len(modulus) <= maxRSABits/8 {
		k.key.N = new(big.Int).SetBytes(modulus)
	}
	if minimum := a.row().minBits; k.key.N == nil || k.key.N.BitLen() < minimum {
		return nil, fmt.Errorf("has an RSA modulus of %d octets, which is not %d to %d bits", len(modulus), minimum, maxRSABits)
	}
	if k.key.N.Bit(0) == 0 {
		return nil, errRSAForm // a product of two odd primes is odd
	}
	if e.Uint64() <= maxStdExponent {
		k.key.E = int(e.Uint64())
	}
	return k, nil
}

// weight is that of a check: measured, 9 to 30 us up to 2,048 bits, 110 us at 4,096, and 3 to 5 times that with an exponent of 31 bits.
func (k *rsaKey) weight() int {
	w := 1
	if k.key.N.BitLen() > maxStdBits {
		w = 3
	}
	if k.e.Uint64() > commonExponent {
		w *= 3
	}
	return w
}

// verify is RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2.2), as RFC 3110 and RFC 5702 have it.
func (k *rsaKey) verify(signed, signature []byte) bool {
	hashed := digest(k.hash, signed)
	if k.key.E != 0 && k.key.N.BitLen() <= maxStdBits {
		return rsa.VerifyPKCS1v15(&k.key, k.hash, hashed, signature) == nil
	}
	return k.verifyBig(hashed, signature)
}

// verifyBig computes what must have been signed and compares all of it: nothing is read out of what the signature gives.
func (k *rsaKey) verifyBig(hashed, signature []byte) bool {
	size := k.key.Size()
	s := new(big.Int).SetBytes(signature)
	if len(signature) != size || s.Cmp(k.key.N) >= 0 {
		return false
	}
	prefix := digestInfo(k.hash)
	padding := size - 3 - len(prefix) - len(hashed)
	if padding < 8 {
		return false // no key is so short
	}
	want := append(make([]byte, 0, size), 0, 1)
	want = append(want, bytes.Repeat([]byte{0xFF}, padding)...)
	want = append(want, 0)
	want = append(append(want, prefix...), hashed...)
	return bytes.Equal(want, s.Exp(s, k.e, k.key.N).FillBytes(make([]byte, size)))
}

// digestInfo is the DER form ahead of a digest (RFC 8017 section 9.2, note 1).
func digestInfo(h crypto.Hash) []byte {
	switch h {
	case crypto.SHA1:
		return []byte("\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14")
	case crypto.SHA512:
		return []byte("\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40")
	}
	return []byte("\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20")
}
