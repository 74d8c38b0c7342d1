package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ananas-edge/ananas/store"
)

// MinKeyAge is how long a key has to have been a node's before it may be changed by a renewal: such a renewal is a commit, and a follower may not make many.
const MinKeyAge = 24 * time.Hour

// RenewRequest asks for a certificate in place of one that is there. It proves by itself who asks, so it may go to the root through relays, over a
// connection with no certificate at all, and in the open: whoever repeats it gets the node's certificate again, which is no secret.
type RenewRequest struct {
	Certificate []byte `json:"certificate"` // that is to be renewed, in DER; it may have expired within the last year
	CSR         []byte `json:"csr"`         // PKCS #10 in DER, of the same key or another
	Proof       []byte `json:"proof"`       // the request for it, signed with the key of Certificate
}

// Encode writes the request for its way.
func (r RenewRequest) Encode() []byte { return encode(r) }

// ParseRenewRequest reads what Encode wrote. The error is a [*Refusal].
func ParseRenewRequest(b []byte) (RenewRequest, error) {
	var r RenewRequest
	if err := decode(b, &r); err != nil {
		return RenewRequest{}, malformed("a request to renew a certificate", err)
	}
	return r, nil
}

// Renewal is a decision to renew a certificate. It holds once its edits are committed (kind [store.KindNode]), if it has any: only a new key has. The certificate may be
// sent then, not before. Where the commit is a *store.ConflictError, [Renew] decides anew.
type Renewal struct {
	Name        string
	Edits       []store.Edit
	Certificate []byte // DER
}

// Renew decides about a request. The error is a [*Refusal] where the one who asks is at fault.
func Renew(view store.View, a *Authority, b Bundle, r RenewRequest, now time.Time, random io.Reader) (*Renewal, error) {
	cert, err := parseCertificate(r.Certificate)
	if err != nil {
		return nil, malformed("a request to renew a certificate", err)
	}
	name, err := b.authenticate(cert)
	if err == nil {
		err = checkTime(name, cert.NotBefore, cert.NotAfter, now, Grace)
	}
	if err != nil {
		return nil, err
	}
	csr, err := parseRequest(r.CSR)
	if err == nil && !verify(cert.PublicKey, renewWords, r.CSR, r.Proof) {
		err = errors.New("it is not signed by the key of the certificate")
	}
	if err != nil {
		return nil, malformed("a request to renew a certificate", err)
	}
	n, err := NodeAt(view, name)
	if err != nil {
		return nil, err
	}
	if n == nil {
		return nil, refuse(Unknown, mendJoin, "the store has no node %q", name)
	}
	had, asked := FingerprintOf(cert), fingerprintOf(csr)
	again := n.Revoked == nil && n.Was == had && n.Key == asked // the answer to a change of keys was lost
	if !again {
		if err := n.allows(name, had); err != nil {
			return nil, err
		}
	}
	der, next, err := a.issue(name, n.Role, csr.PublicKey, now, random)
	if err != nil {
		return nil, err
	}
	out := &Renewal{Name: name, Certificate: der}
	if n.Key != asked {
		if now.Before(n.Since.Add(MinKeyAge)) {
			return nil, refuse(NoAccess, fmt.Sprintf("renew with the key that is there, or after %s", stamp(n.Since.Add(MinKeyAge))), "the node %q has its key since %s, which is too short to change it", name, stamp(n.Since))
		}
		n.Was, n.Key, n.Since = had, asked, issued(next)
		out.Edits = []store.Edit{edit(view, store.NodePrefix+name, n.Encode())}
	}
	return out, nil
}

// What signatures are for: none can be used as another.
const (
	renewWords   = "ananas renewal 1\n"
	lineageWords = "ananas lineage 1\n"
)

func sign(key crypto.Signer, words string, message []byte) ([]byte, error) {
	m := append([]byte(words), message...)
	if _, ok := key.Public().(ed25519.PublicKey); ok {
		return key.Sign(nil, m, crypto.Hash(0))
	}
	sum := sha256.Sum256(m)
	return key.Sign(rand.Reader, sum[:], crypto.SHA256)
}

func verify(public any, words string, message, signature []byte) bool {
	m := append([]byte(words), message...)
	switch k := public.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(k, m, signature)
	case *ecdsa.PublicKey:
		sum := sha256.Sum256(m)
		return ecdsa.VerifyASN1(k, sum[:], signature)
	}
	return false
}
