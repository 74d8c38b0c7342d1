//go:build linux

package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"time"

	"github.com/ananas-edge/ananas/store/feed"
)

// serverName is the name in the certificate of the benchmark.
const serverName = "bench"

// newCertificate makes a certificate that both ends have and trust, as PEM with its key. Package identity makes others; what a connection costs once it is there is the same.
func newCertificate() ([]byte, error) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: serverName}, DNSNames: []string{serverName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	out := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return append(out, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...), nil
}

// configOf makes a configuration for both ends: TLS 1.3, both show who they are, as nodes do.
func configOf(certificate []byte) (*tls.Config, error) {
	pair, err := tls.X509KeyPair(certificate, certificate)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(certificate) {
		return nil, errors.New("the certificate can't be read")
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
		ServerName: serverName, SessionTicketsDisabled: true,
	}, nil
}

// named is a connection in memory, with the name of who dialled.
type named struct {
	net.Conn
	name string
}

// open lets everybody in.
type open struct{}

// Admit is that of feed.Gate.
func (open) Admit(ctx context.Context, conn net.Conn) (feed.Peer, error) {
	switch c := conn.(type) {
	case named:
		return feed.Peer{Name: c.name, Access: everything{}}, nil
	case *tls.Conn:
		if err := c.HandshakeContext(ctx); err != nil {
			return feed.Peer{}, err
		}
	}
	return feed.Peer{Name: conn.RemoteAddr().String(), Access: everything{}}, nil
}

// Recheck is that of feed.Gate.
func (open) Recheck(p feed.Peer) (feed.Peer, error) { return p, nil }

// everything can be read.
type everything struct{}

// Readable is that of feed.Access.
func (everything) Readable(string) bool { return true }

// Fingerprint is that of feed.Access.
func (everything) Fingerprint() [32]byte { return [32]byte{1} }

// listen opens a port of this machine and serves a source on it, over TLS.
func listen(s *feed.Source, c *tls.Config) (address string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go s.Serve(tls.NewListener(l, c))
	return l.Addr().String(), nil
}
