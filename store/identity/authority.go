package identity

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/url"
	"time"
)

// Times of certificates.
const (
	// Life is how long the certificate of a node is valid.
	Life = 90 * 24 * time.Hour

	// Grace is how long after its end a certificate is good for asking for the next one.
	Grace = 365 * 24 * time.Hour

	// Backdate is how long before its making a certificate becomes valid, for clocks that differ.
	Backdate = time.Hour

	// authorityLife is longer than any node runs without an operator: renewing the authority is a bundle of two for a while.
	authorityLife = 20 * 365 * 24 * time.Hour
)

const (
	// maxAuthorities is how many authorities a store may have at a time: one, two while the second takes over, and room.
	maxAuthorities = 8

	// maxCertificate is the length of a certificate or a request for one in octets. Ours have some 500.
	maxCertificate = 4096

	// maxSerial is the length of a serial number in octets (RFC 5280 section 4.1.2.2). Ours have 16.
	maxSerial = 20
)

// Bundle is the authorities of a store: one, or two while a second takes over. It is immutable; the zero Bundle has none and believes nobody.
type Bundle struct {
	store StoreID
	certs []*x509.Certificate
	pool  *x509.CertPool
}

// NewBundle puts the certificates of authorities, in DER, together.
func NewBundle(ders ...[]byte) (Bundle, error) {
	if len(ders) == 0 || len(ders) > maxAuthorities {
		return Bundle{}, fmt.Errorf("there are %d authorities; a store has from 1 to %d", len(ders), maxAuthorities)
	}
	b := Bundle{pool: x509.NewCertPool()}
	for i, der := range ders {
		cert, err := parseCertificate(der)
		if err != nil {
			return Bundle{}, err
		}
		id, node, err := parseURI(cert)
		switch {
		case err != nil:
			return Bundle{}, fmt.Errorf("reading the certificate of an authority: %w", err)
		case node != "" || !cert.IsCA || !cert.BasicConstraintsValid || cert.KeyUsage&x509.KeyUsageCertSign == 0:
			return Bundle{}, errors.New("reading the certificate of an authority: it is that of a node")
		case i > 0 && id != b.store:
			return Bundle{}, errors.New("the authorities are of different stores")
		}
		if err := checkKey(cert.PublicKey); err != nil {
			return Bundle{}, fmt.Errorf("reading the certificate of an authority: %w", err)
		}
		if err := cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature); err != nil {
			return Bundle{}, fmt.Errorf("reading the certificate of an authority: it is not signed by itself: %w", err)
		}
		b.store, b.certs = id, append(b.certs, cert)
		b.pool.AddCert(cert)
	}
	return b, nil
}

// Store returns the store that the authorities are of.
func (b Bundle) Store() StoreID { return b.store }

// Find returns the certificate of the authority with a key; nil if there is none.
func (b Bundle) Find(f Fingerprint) *x509.Certificate {
	for _, cert := range b.certs {
		if FingerprintOf(cert) == f {
			return cert
		}
	}
	return nil
}

// ders returns the certificates in DER.
func (b Bundle) ders() [][]byte {
	out := make([][]byte, len(b.certs))
	for i, cert := range b.certs {
		out[i] = cert.Raw
	}
	return out
}

// PEM returns the certificates as in a file.
func (b Bundle) PEM() []byte {
	var out bytes.Buffer
	for _, cert := range b.certs {
		out.Write(pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: cert.Raw}))
	}
	return out.Bytes()
}

// ParseBundle reads what PEM wrote.
func ParseBundle(text []byte) (Bundle, error) {
	var ders [][]byte
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		if block.Type != pemCertificate {
			return Bundle{}, fmt.Errorf("it has a block %q, which is no certificate", clip(block.Type))
		}
		if ders, text = append(ders, block.Bytes), rest; len(ders) > maxAuthorities {
			break
		}
	}
	return NewBundle(ders...)
}

const (
	pemCertificate = "CERTIFICATE"
	pemKey         = "PRIVATE KEY"
)

func parseCertificate(der []byte) (*x509.Certificate, error) {
	if len(der) > maxCertificate {
		return nil, fmt.Errorf("reading a certificate: it has %d octets, more than %d", len(der), maxCertificate)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading a certificate: %w", err)
	}
	return cert, nil
}

// Authority signs the certificates of a store's nodes, and its lineages. Every member of the root has it.
type Authority struct {
	key  ed25519.PrivateKey
	cert *x509.Certificate
}

// NewAuthority makes the first authority of a store, and the store's id.
func NewAuthority(now time.Time, random io.Reader) (*Authority, error) {
	var id StoreID
	key, err := newKey(random)
	if err == nil {
		_, err = io.ReadFull(random, id[:])
	}
	var serial *big.Int
	if err == nil {
		serial, err = newSerial(random)
	}
	if err != nil {
		return nil, fmt.Errorf("making the authority of a store: reading random octets: %w", err)
	}
	now = now.UTC().Truncate(time.Second)
	t := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "ananas store " + id.String()[:8]},
		URIs:                  []*url.URL{storeURI(id)},
		NotBefore:             now.Add(-Backdate),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(random, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making the authority of a store: %w", err)
	}
	cert, err := parseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Authority{key, cert}, nil
}

// Fingerprint names the authority in tokens.
func (a *Authority) Fingerprint() Fingerprint { return FingerprintOf(a.cert) }

// Store returns the store that it is of.
func (a *Authority) Store() StoreID {
	id, _, _ := parseURI(a.cert) // it was read before
	return id
}

// Bundle returns the authority alone as what a node believes.
func (a *Authority) Bundle() Bundle {
	b, err := NewBundle(a.cert.Raw)
	if err != nil {
		panic(fmt.Sprintf("identity: an authority that was taken is none: %v", err))
	}
	return b
}

// authorityFrom joins a key and the bundle that has its certificate.
func authorityFrom(key crypto.Signer, b Bundle) (*Authority, error) {
	k, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the key of an authority is an Ed25519 one, not %T", key)
	}
	for _, cert := range b.certs {
		if k.Public().(ed25519.PublicKey).Equal(cert.PublicKey) {
			return &Authority{k, cert}, nil
		}
	}
	return nil, errors.New("no certificate of an authority is for the key")
}

// issue makes the certificate of a node, in DER.
func (a *Authority) issue(name string, role Role, key any, now time.Time, random io.Reader) ([]byte, *x509.Certificate, error) {
	if err := CheckName(name); err != nil {
		return nil, nil, err
	}
	serial, err := newSerial(random)
	if err != nil {
		return nil, nil, fmt.Errorf("making the certificate of %q: reading random octets: %w", name, err)
	}
	now = now.UTC().Truncate(time.Second)
	t := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		URIs:         []*url.URL{nodeURI(a.Store(), name)},
		NotBefore:    now.Add(-Backdate),
		NotAfter:     now.Add(Life),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},

		BasicConstraintsValid: true,
	}
	if role == Root {
		t.DNSNames = []string{RootHost(a.Store())}
	}
	if t.NotBefore.Before(a.cert.NotBefore) {
		return nil, nil, wrong("set the clock of this machine", "making the certificate of %q: the clock says %v, which is before the store was made", name, now)
	}
	if t.NotAfter.After(a.cert.NotAfter) {
		t.NotAfter = a.cert.NotAfter
	}
	if !t.NotAfter.After(now) {
		return nil, nil, wrong("set the clock of this machine, if that is not so", "making the certificate of %q: the store's authority ended at %v", name, a.cert.NotAfter)
	}
	der, err := x509.CreateCertificate(random, t, a.cert, key, a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("making the certificate of %q: %w", name, err)
	}
	cert, err := parseCertificate(der)
	if err != nil {
		return nil, nil, err
	}
	return der, cert, nil
}

// issued is when a certificate was made.
func issued(cert *x509.Certificate) time.Time { return cert.NotBefore.Add(Backdate) }

// RenewAt returns when a certificate is to be renewed: after two thirds of its life, and up to a twentieth of it later, by its serial number, which is random.
// So nodes that joined together don't come back together, and a restart does not change the time.
func RenewAt(cert *x509.Certificate) time.Time {
	life := cert.NotAfter.Sub(issued(cert))
	const steps = 1 << 16
	step := new(big.Int).Mod(cert.SerialNumber, big.NewInt(steps)).Int64()
	return issued(cert).Add(life*2/3 + life/20/steps*time.Duration(step)).Truncate(time.Second)
}

func newSerial(random io.Reader) (*big.Int, error) {
	b := make([]byte, 16)
	if _, err := io.ReadFull(random, b); err != nil {
		return nil, err
	}
	b[0] = b[0]&0x7f | 0x40 // positive, and of one length
	return new(big.Int).SetBytes(b), nil
}
