package dnssec

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/cloudflare/circl/sign/ed448"

	"github.com/ananas-edge/ananas/dns"
)

// Keys are the validated keys of a zone, read once. They are found by algorithm and tag; several may share both. Keys are immutable and may
// be used from many goroutines.
type Keys struct {
	zone    dns.Name // lower case
	keys    []key    // by algorithm and tag
	omitted bool     // there were more than Limits.Keys
}

// Zone returns whose keys they are, in lower case.
func (k *Keys) Zone() dns.Name { return k.zone }

// String lists the keys, for people: "13/4711 8/12345".
func (k *Keys) String() string {
	var b strings.Builder
	for i := range k.keys {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%d/%d", k.keys[i].algorithm, k.keys[i].tag)
	}
	return b.String()
}

// find returns the keys that a signature may be by.
func (k *Keys) find(a Algorithm, tag uint16) []key {
	from := sort.Search(len(k.keys), func(i int) bool {
		return k.keys[i].algorithm > a || k.keys[i].algorithm == a && k.keys[i].tag >= tag
	})
	to := from
	for to < len(k.keys) && k.keys[to].algorithm == a && k.keys[to].tag == tag {
		to++
	}
	return k.keys[from:to]
}

// key is one key of a zone that can verify.
type key struct {
	algorithm Algorithm
	tag       uint16
	weight    int    // of a check, in units of Limits.SignatureWork
	public    []byte // as in the record
	verifier
}

// verifier checks a signature; signed is what is signed, not its hash. Octets of the signature that are malformed in whichever way are a wrong
// signature.
type verifier interface {
	verify(signed, signature []byte) bool
}

// Why a key of a zone can not be used.
var (
	errNotZoneKey = errors.New("is not a zone key (RFC 4034 section 2.1.1)")
	errProtocol   = errors.New("has a protocol other than 3 (RFC 4034 section 2.1.2)")
	errRevoked    = errors.New("is revoked (RFC 5011 section 2.1)")
	errAlgorithm  = errors.New("has an algorithm that is not supported")
	errPoint      = errors.New("is not a point of its curve")
)

// readKey takes a DNSKEY apart. An error says why the key can't be used, as the end of a sentence about it.
func readKey(k *dns.DNSKEY, tag uint16, t *Table) (key, error) {
	out, err := readRevocable(k, tag, t)
	if err == nil && k.Flags&dns.DNSKEYFlagRevoke != 0 {
		return key{}, errRevoked
	}
	return out, err
}

// readRevocable is readKey, also for a key that is revoked.
func readRevocable(k *dns.DNSKEY, tag uint16, t *Table) (key, error) {
	a := Algorithm(k.Algorithm)
	switch {
	case k.Flags&dns.DNSKEYFlagZone == 0:
		return key{}, errNotZoneKey
	case k.Protocol != dns.DNSKEYProtocol:
		return key{}, errProtocol
	case !t.SupportsAlgorithm(a):
		return key{}, errAlgorithm
	}
	out := key{algorithm: a, tag: tag, public: bytes.Clone(k.PublicKey)}
	var err error
	switch a {
	case ECDSAP256SHA256:
		out.verifier, err = readECDSA(elliptic.P256(), a, out.public)
	case ECDSAP384SHA384:
		out.verifier, err = readECDSA(elliptic.P384(), a, out.public)
	case Ed25519:
		out.verifier, err = ed25519Key(out.public), lengthIs(out.public, ed25519.PublicKeySize)
	case Ed448:
		out.verifier, err = ed448Key(out.public), lengthIs(out.public, ed448.PublicKeySize)
	default:
		var r *rsaKey
		r, err = readRSA(a, out.public)
		if err == nil {
			out.verifier, out.weight = r, r.weight()
		}
		return out, err
	}
	out.weight = a.row().weight
	return out, err
}

func lengthIs(public []byte, want int) error {
	if len(public) != want {
		return fmt.Errorf("has %d octets and not %d", len(public), want)
	}
	return nil
}

// readECDSA reads x and y at full length (RFC 6605 section 4).
func readECDSA(curve elliptic.Curve, a Algorithm, public []byte) (verifier, error) {
	size := (curve.Params().BitSize + 7) / 8
	if err := lengthIs(public, 2*size); err != nil {
		return nil, err
	}
	const uncompressed = 4
	p, err := ecdsa.ParseUncompressedPublicKey(curve, append([]byte{uncompressed}, public...))
	if err != nil {
		return nil, errPoint
	}
	return &ecdsaKey{p, a.row().hash, size}, nil
}

// newKeys puts the keys in order.
func newKeys(zone dns.Name, keys []key) *Keys {
	slices.SortStableFunc(keys, func(a, b key) int { return cmp.Or(cmp.Compare(a.algorithm, b.algorithm), cmp.Compare(a.tag, b.tag)) })
	return &Keys{zone: zone.Lower(), keys: keys}
}
