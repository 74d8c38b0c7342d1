package dnssec

import (
	"crypto"
	"slices"
	"strconv"
)

// Algorithm is the algorithm of a key and its signatures (IANA registry "DNS Security Algorithm Numbers").
type Algorithm uint8

// Algorithms that can be validated.
const (
	RSASHA1          Algorithm = 5  // RFC 3110
	RSASHA1NSEC3SHA1 Algorithm = 7  // RFC 5155: the same as 5; its number says that the signer knew of NSEC3
	RSASHA256        Algorithm = 8  // RFC 5702
	RSASHA512        Algorithm = 10 // RFC 5702
	ECDSAP256SHA256  Algorithm = 13 // RFC 6605
	ECDSAP384SHA384  Algorithm = 14 // RFC 6605
	Ed25519          Algorithm = 15 // RFC 8080
	Ed448            Algorithm = 16 // RFC 8080
)

// Digest is the type of a DS record's digest (IANA registry "DNSSEC Delegation Signer (DS) Resource Record (RR) Type Digest
// Algorithms").
type Digest uint8

// Digests that can be compared.
const (
	SHA1   Digest = 1 // RFC 3658
	SHA256 Digest = 2 // RFC 4509
	SHA384 Digest = 4 // RFC 6605
)

// use says whether a row of the registries is validated. What is not supported makes a zone insecure, as if it had no DS (RFC 4035
// section 5.2), never bogus: its owner has done nothing wrong.
type use uint8

const (
	unsupported use = iota
	supported
	legacy // depends on [Settings]; off, it is not supported (RFC 9905 section 2)
)

type algorithmRow struct {
	number  Algorithm
	name    string
	use     use
	hash    crypto.Hash // of what is signed; 0: the algorithm takes it whole
	minBits int         // of an RSA modulus (RFC 5702 section 2)
	weight  int         // of one check, in units of [Limits.SignatureWork]; RSA has its own, by size
}

// algorithms is the registry, whose columns say since RFC 9904 what a validator does with each: 8 and 13 must be validated, 10, 14, 15 and 16
// should be; 5 and 7 can be, but operators leave them off (RFC 9905); 1, 3, 6 and 12 (RFC 9906) must not be. 17 and 23 may be, and no
// zone that we know of needs them.
var algorithms = [...]algorithmRow{
	{number: 1, name: "RSAMD5"},
	{number: 3, name: "DSA"},
	{number: RSASHA1, name: "RSASHA1", use: legacy, hash: crypto.SHA1, minBits: 512},
	{number: 6, name: "DSA-NSEC3-SHA1"},
	{number: RSASHA1NSEC3SHA1, name: "RSASHA1-NSEC3-SHA1", use: legacy, hash: crypto.SHA1, minBits: 512},
	{number: RSASHA256, name: "RSASHA256", use: supported, hash: crypto.SHA256, minBits: 512},
	{number: RSASHA512, name: "RSASHA512", use: supported, hash: crypto.SHA512, minBits: 1024},
	{number: 12, name: "ECC-GOST"},
	{number: ECDSAP256SHA256, name: "ECDSAP256SHA256", use: supported, hash: crypto.SHA256, weight: 1},
	{number: ECDSAP384SHA384, name: "ECDSAP384SHA384", use: supported, hash: crypto.SHA384, weight: 2},
	{number: Ed25519, name: "ED25519", use: supported, weight: 1},
	{number: Ed448, name: "ED448", use: supported, weight: 2},
	{number: 17, name: "SM2SM3"},
	{number: 23, name: "ECC-GOST12"},
	{number: 252, name: "INDIRECT"},
	{number: 253, name: "PRIVATEDNS"},
	{number: 254, name: "PRIVATEOID"},
}

type digestRow struct {
	number Digest
	name   string
	use    use
	hash   crypto.Hash
}

// digests is the other registry. No new delegation may use SHA-1, but those that are there are to be validated (RFC 9904).
var digests = [...]digestRow{
	{number: SHA1, name: "SHA-1", use: legacy, hash: crypto.SHA1},
	{number: SHA256, name: "SHA-256", use: supported, hash: crypto.SHA256},
	{number: 3, name: "GOST R 34.11-94"},
	{number: SHA384, name: "SHA-384", use: supported, hash: crypto.SHA384},
	{number: 5, name: "GOST R 34.11-2012"},
	{number: 6, name: "SM3"},
}

// index returns the row of the table; -1 if there is none.
func (a Algorithm) index() int {
	return slices.IndexFunc(algorithms[:], func(r algorithmRow) bool { return r.number == a })
}

// row returns a copy of the row of the table; one that is unsupported if there is none.
func (a Algorithm) row() algorithmRow {
	if i := a.index(); i >= 0 {
		return algorithms[i]
	}
	return algorithmRow{number: a, name: "ALGORITHM" + strconv.Itoa(int(a))}
}

func (d Digest) row() digestRow {
	if i := slices.IndexFunc(digests[:], func(r digestRow) bool { return r.number == d }); i >= 0 {
		return digests[i]
	}
	return digestRow{number: d, name: "DIGEST" + strconv.Itoa(int(d))}
}

// String returns the mnemonic, or ALGORITHM99.
func (a Algorithm) String() string { return a.row().name }

// String returns the name of the registry, or DIGEST99.
func (d Digest) String() string { return d.row().name }
