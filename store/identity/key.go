package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
)

// newKey makes a private key. All of ours are Ed25519: a key follows from its random octets alone and so does a signature, which lets a run be
// repeated from its seed; Go's ECDSA takes no source of them any more.
func newKey(random io.Reader) (ed25519.PrivateKey, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// checkKey tells whether a public key is of a kind that is taken: Ed25519, and ECDSA on P-256, which is what hardware has. Neither can be made to cost.
func checkKey(key any) error {
	switch k := key.(type) {
	case ed25519.PublicKey:
		return nil
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return nil
		}
	}
	return errors.New("its key is neither Ed25519 nor ECDSA on P-256")
}

// encodeKey writes a private key as in a file.
func encodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: der}), nil
}

func parseKey(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("reading a private key: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("reading a private key: it can not sign: %T", key)
	}
	if err := checkKey(signer.Public()); err != nil {
		return nil, fmt.Errorf("reading a private key: %w", err)
	}
	return signer, nil
}

// parseRequest reads a request for a certificate. Only its key counts; what it says beside that is for the store to decide. The kind of the key is looked at before
// the signature is, so that nobody has a large one checked.
func parseRequest(der []byte) (*x509.CertificateRequest, error) {
	if len(der) > maxCertificate {
		return nil, fmt.Errorf("it has %d octets, more than %d", len(der), maxCertificate)
	}
	r, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, err
	}
	if err := checkKey(r.PublicKey); err != nil {
		return nil, err
	}
	if err := r.CheckSignature(); err != nil {
		return nil, fmt.Errorf("it is not signed by its key: %w", err)
	}
	return r, nil
}

// fingerprintOf is FingerprintOf for the key of a request, as a certificate for it will have it: encoded by us.
func fingerprintOf(r *x509.CertificateRequest) Fingerprint {
	spki, err := x509.MarshalPKIXPublicKey(r.PublicKey)
	if err != nil {
		panic(fmt.Sprintf("identity: a key that was taken can not be written: %v", err))
	}
	return sha256.Sum256(spki)
}

// encodeKey returns the key of the authority, for a new member of the root.
func (a *Authority) encodeKey() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return nil, fmt.Errorf("writing the key of the authority: %w", err)
	}
	return der, nil
}
