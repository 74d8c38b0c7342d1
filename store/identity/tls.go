package identity

import (
	"crypto/tls"
	"errors"
	"slices"
	"time"

	"github.com/ananas-edge/ananas/store"
)

// The protocols (ALPN) that are spoken between the nodes of a store. What a connection may be used for follows from it, before its first octet.
const (
	// ProtocolFeed is for nodes of the store: both sides show certificates.
	ProtocolFeed = "ananas-feed/1"

	// ProtocolEnrol is for who has no certificate yet, or one that has expired: only the server shows one. What is asked on it proves itself: a
	// JoinRequest by the token's secret, a RenewRequest by a signature.
	ProtocolEnrol = "ananas-enrol/1"
)

// base is what all connections have in common. Sessions are not resumed, so that each connection is held against the store as it is.
func base(protocol string, now func() time.Time) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{protocol},
		SessionTicketsDisabled: true,
		Time:                   now,
	}
}

// ServerConfig is for who accepts connections, of both protocols; ConnectionState.NegotiatedProtocol tells which. A handshake of [ProtocolFeed] ends well for
// whoever has the key of a certificate of this store, an expired or revoked one too: [Identity.Admit] tells whether it may stay, and a refusal can be sent with
// words, which TLS has none for.
func (i *Identity) ServerConfig(now func() time.Time) *tls.Config {
	feed, enrol := base(ProtocolFeed, now), base(ProtocolEnrol, now)
	feed.ClientAuth = tls.RequireAnyClientCert
	feed.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		c := i.current.Load()
		if c == nil {
			return nil, errNotJoined
		}
		return &c.feed, nil
	}
	feed.VerifyConnection = func(s tls.ConnectionState) error {
		c := i.current.Load()
		if c == nil {
			return errNotJoined
		}
		if len(s.PeerCertificates) != 1 {
			return errOneCertificate
		}
		_, err := c.bundle.authenticate(s.PeerCertificates[0])
		return err
	}
	enrol.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		c := i.current.Load()
		if c == nil {
			return nil, errNotJoined
		}
		return &c.enrol, nil
	}
	out := base(ProtocolFeed, now)
	out.NextProtos = []string{ProtocolFeed, ProtocolEnrol}
	out.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		switch {
		case slices.Equal(hello.SupportedProtos, []string{ProtocolFeed}):
			return feed, nil
		case slices.Equal(hello.SupportedProtos, []string{ProtocolEnrol}):
			return enrol, nil
		}
		return nil, refuse(Malformed, "is it a node of another release, or another program?", "a connection asks for none of the protocols %s and %s", ProtocolFeed, ProtocolEnrol)
	}
	return out
}

var errOneCertificate = refuse(Malformed, "is another program at that address?", "reading the certificate of a node: there is not one certificate")

// Admit tells who is at the other end of a connection that was accepted, and whether the store lets it in. Its error is that of [Bundle.Check].
func (i *Identity) Admit(view store.Map, s tls.ConnectionState, now time.Time) (Peer, error) {
	if s.NegotiatedProtocol != ProtocolFeed || len(s.PeerCertificates) != 1 {
		return Peer{}, refuse(NoAccess, mendJoin, "the connection shows no certificate")
	}
	return i.Bundle().Check(view, s.PeerCertificates[0], now)
}

// ClientConfig is for who connects to its source. It shows the node's certificate, and takes whoever is a node of the store and was not revoked, as far as the
// node's own copy knows; view returns it, or nil if there is none yet. Host names are not looked at: who a node is does not depend on where it
// is. A node does not take itself.
func (i *Identity) ClientConfig(now func() time.Time, view func() store.Map) *tls.Config {
	out := base(ProtocolFeed, now)
	out.InsecureSkipVerify = true // VerifyConnection does it
	out.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		c := i.current.Load()
		if c == nil {
			return nil, errNotJoined
		}
		return &c.feed, nil
	}
	out.VerifyConnection = func(s tls.ConnectionState) error {
		c := i.current.Load()
		switch {
		case c == nil:
			return errNotJoined
		case s.NegotiatedProtocol != ProtocolFeed:
			return errProtocol
		case len(s.PeerCertificates) != 1:
			return errOneCertificate
		}
		name, err := c.bundle.checkSource(view(), s.PeerCertificates[0], now())
		if err == nil && name == c.name {
			err = refuse(Self, "remove this node's own address from node.store.join", "the source is this node itself, %q", name)
		}
		return err
	}
	return out
}

var errProtocol = refuse(Malformed, "is it a node of another release, or another program?", "the other side does not speak the protocol that was asked for")

// EnrolConfig is for a node that asks for its next certificate and has none that is valid. It takes any node of the store: the request tells nothing that is
// secret, and the answer proves itself.
func (i *Identity) EnrolConfig(now func() time.Time) *tls.Config {
	out := base(ProtocolEnrol, now)
	out.InsecureSkipVerify = true // VerifyConnection does it
	out.VerifyConnection = func(s tls.ConnectionState) error {
		c := i.current.Load()
		switch {
		case c == nil:
			return errNotJoined
		case s.NegotiatedProtocol != ProtocolEnrol:
			return errProtocol
		case len(s.PeerCertificates) == 0:
			return errOneCertificate
		}
		_, err := c.bundle.checkSource(nil, s.PeerCertificates[0], now())
		return err
	}
	return out
}

// JoinConfig is for a node that joins: it takes members of the root of the store whose authority the token names, and nobody else, for they get the token's
// secret.
func JoinConfig(authority Fingerprint, now func() time.Time) *tls.Config {
	out := base(ProtocolEnrol, now)
	out.InsecureSkipVerify = true // VerifyConnection does it
	out.VerifyConnection = func(s tls.ConnectionState) error {
		if s.NegotiatedProtocol != ProtocolEnrol {
			return errProtocol
		}
		return checkRoot(authority, s, now())
	}
	return out
}

func checkRoot(authority Fingerprint, s tls.ConnectionState, now time.Time) error {
	if n := len(s.PeerCertificates); n < 2 || n > 1+maxAuthorities {
		return refuse(Malformed, "is another program at that address?", "the member of the root shows %d certificates", n)
	}
	for _, cert := range s.PeerCertificates[1:] {
		if FingerprintOf(cert) != authority {
			continue
		}
		b, err := NewBundle(cert.Raw)
		if err != nil {
			return refuse(Malformed, "", "%v", err)
		}
		name, err := b.checkSource(nil, s.PeerCertificates[0], now)
		if err != nil {
			return err
		}
		if !slices.Contains(s.PeerCertificates[0].DNSNames, RootHost(b.store)) {
			return refuse(NoAccess, "a node joins at a member of the root; name its address in node.store.join", "the node %q at that address is no member of the root", name)
		}
		return nil
	}
	return refuse(OtherStore, "is that the address of the store that made the token? Else somebody is in between: do not use the token", "the store at that address is not the one that made the join token")
}

// AsRefusal returns the refusal in err; nil if there is none.
func AsRefusal(err error) *Refusal {
	var r *Refusal
	errors.As(err, &r)
	return r
}
