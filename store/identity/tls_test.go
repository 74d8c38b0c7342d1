package identity

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/store"
)

// queued is an end of a pipe whose writes don't wait for the reads of the other, as those of a socket don't. Both ends of a pipe are of this kind.
type queued struct {
	net.Conn
	out   chan []byte
	close sync.Once
}

func queue(conn net.Conn) *queued {
	q := &queued{Conn: conn, out: make(chan []byte, 64)} // a handshake is some ten writes
	go func() {
		for b := range q.out {
			_, _ = conn.Write(b)
		}
		conn.Close()
	}()
	return q
}

func (q *queued) Write(b []byte) (int, error) {
	q.out <- bytes.Clone(b)
	return len(b), nil
}

// Close closes the pipe once the other end has read all, and takes what that still writes.
func (q *queued) Close() error {
	q.close.Do(func() {
		close(q.out)
		go func() { _, _ = io.Copy(io.Discard, q.Conn) }()
	})
	return nil
}

// connect makes a connection over a pipe and exchanges an octet each way, so that both sides know how the other has decided.
func connect(client, server *tls.Config) (clientState, serverState tls.ConnectionState, clientErr, serverErr error) {
	a, b := net.Pipe()
	talk := func(raw net.Conn, make func(net.Conn) *tls.Conn) (state tls.ConnectionState, err error) {
		q := queue(raw)
		defer q.Close()
		conn := make(q)
		if err = conn.Handshake(); err == nil {
			if _, err = conn.Write([]byte("x")); err == nil {
				_, err = io.ReadFull(conn, []byte{0})
			}
		}
		return conn.ConnectionState(), err
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		clientState, clientErr = talk(a, func(c net.Conn) *tls.Conn { return tls.Client(c, client) })
	})
	wg.Go(func() {
		serverState, serverErr = talk(b, func(c net.Conn) *tls.Conn { return tls.Server(c, server) })
	})
	wg.Wait()
	return
}

// Who connects to whom, and what each of the two finds.
func TestFeedHandshake(t *testing.T) {
	noView := func() store.Map { return nil }
	for _, c := range []struct {
		name   string
		before func(w *world, client, server *Identity)
		config func(w *world, c *tls.Config)
		admit  Reason // "": the peer is edge1
		client string // part of the error of the handshake; "": none
		server string
	}{
		{name: "a node and a relay"},
		{name: "revoked", before: func(w *world, _, _ *Identity) { w.revoke("edge1") }, admit: Revoked},
		{name: "removed", before: func(w *world, _, _ *Identity) { w.put("~node/edge1", "") }, admit: Unknown},
		{name: "the name has joined again", before: func(w *world, _, _ *Identity) { w.revoke("edge1"); w.join("edge1", TokenRequest{}) }, admit: Replaced},
		{name: "the relay is revoked, which the node knows", before: func(w *world, _, _ *Identity) { w.revoke("relay") }, client: `the node "relay" was revoked`, server: "bad certificate"},
		{name: "both have expired", before: func(w *world, _, _ *Identity) { w.now = w.now.Add(Life + time.Second) }, client: `the certificate of "relay" expired`, server: "bad certificate"},
		{name: "the node has expired", before: func(w *world, _, server *Identity) {
			w.now = born.Add(Life * 3 / 4)
			g, err := w.renew(server, false)
			w.must(err)
			w.must(server.Renewed(g.Certificate, w.now))
			w.now = born.Add(Life + time.Second)
		}, admit: Expired},
		{name: "the relay renews between the handshakes", before: func(w *world, _, server *Identity) {
			w.now = born.Add(Life * 3 / 4)
			g, err := w.renew(server, true)
			w.must(err)
			w.must(w.commit(g.Edits...))
			w.must(server.Renewed(g.Certificate, w.now))
		}},
		{name: "of another store", config: func(w *world, c *tls.Config) {
			*c = *newWorldFrom(w.TB, 2).root.ClientConfig(w.clock, noView)
		}, client: "this is the store", server: "bad certificate"},
		{name: "of another store, and takes anybody", config: func(w *world, c *tls.Config) {
			*c = *newWorldFrom(w.TB, 2).root.ClientConfig(w.clock, noView)
			c.VerifyConnection = nil
		}, client: "remote error", server: "this is the store"},
		{name: "with no certificate", config: func(_ *world, c *tls.Config) { c.GetClientCertificate = nil }, client: "remote error", server: "client didn't provide a certificate"},
		{name: "with a certificate and another's key", config: func(w *world, c *tls.Config) {
			mixed := w.root.current.Load().feed
			mixed.Certificate = [][]byte{w.join("edge5", TokenRequest{}).Certificate().Raw}
			mixed.Leaf = nil
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &mixed, nil }
		}, client: "remote error", server: "invalid signature"},
		{name: "with two certificates", config: func(w *world, c *tls.Config) {
			get := c.GetClientCertificate
			c.GetClientCertificate = func(i *tls.CertificateRequestInfo) (*tls.Certificate, error) {
				cert, err := get(i)
				two := *cert
				two.Certificate = append(two.Certificate[:1:1], w.authority.cert.Raw)
				return &two, err
			}
		}, client: "remote error", server: "there is not one certificate"},
		{name: "with no protocol", config: func(_ *world, c *tls.Config) { c.NextProtos = nil }, client: "remote error", server: "asks for none of the protocols"},
		{name: "with both protocols", config: func(_ *world, c *tls.Config) { c.NextProtos = append(c.NextProtos, ProtocolEnrol) }, client: "remote error", server: "asks for none of the protocols"},
		{name: "with the other protocol", config: func(_ *world, c *tls.Config) { c.NextProtos = []string{ProtocolEnrol} }, client: "does not speak the protocol", server: "bad certificate"},
		{name: "with TLS 1.2", config: func(_ *world, c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 }, client: "remote error", server: "unsupported versions"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			client, server := w.join("edge1", TokenRequest{}), w.join("relay", TokenRequest{})
			cc, sc := client.ClientConfig(w.clock, func() store.Map { return w }), server.ServerConfig(w.clock)
			if c.before != nil {
				c.before(w, client, server)
			}
			if c.config != nil {
				c.config(w, cc)
			}
			_, state, clientErr, serverErr := connect(cc, sc)
			for _, side := range []struct {
				name string
				err  error
				want string
			}{{"the client", clientErr, c.client}, {"the server", serverErr, c.server}} {
				if (side.err == nil) != (side.want == "") || side.err != nil && !strings.Contains(side.err.Error(), side.want) {
					t.Errorf("%s: %v, want %q", side.name, side.err, side.want)
				}
			}
			if serverErr != nil {
				return
			}
			p, err := server.Admit(w, state, w.now)
			wantReason(t, "admitting", err, c.admit)
			if err == nil && (p.Name != "edge1" || p.Role != Follower) {
				t.Errorf("%+v", p)
			}
			if state.DidResume {
				t.Error("a session was resumed")
			}
		})
	}
}

// A second connection with the same configurations is a handshake of its own, so that a revocation holds.
func TestNoSessionIsResumed(t *testing.T) {
	w := newWorld(t)
	client, server := w.join("edge1", TokenRequest{}), w.join("relay", TokenRequest{})
	cc, sc := client.ClientConfig(w.clock, func() store.Map { return w }), server.ServerConfig(w.clock)
	cc.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	for range 3 {
		a, b, err, serverErr := connect(cc, sc)
		if err != nil || serverErr != nil || a.DidResume || b.DidResume {
			t.Errorf("%v, %v, %v, %v", a.DidResume, b.DidResume, err, serverErr)
		}
	}
}

func TestNodeTakesNotItself(t *testing.T) {
	w := newWorld(t)
	_, _, err, _ := connect(w.root.ClientConfig(w.clock, func() store.Map { return w }), w.root.ServerConfig(w.clock))
	wantReason(t, "itself", err, Self)
}

// A node that joins takes a member of the root of the store that its token names, and shows its secret to nobody else.
func TestJoinHandshake(t *testing.T) {
	w := newWorld(t)
	follower := w.join("edge1", TokenRequest{})
	token := w.token(TokenRequest{})
	other := newWorldFrom(t, 2)
	// A follower that shows its certificate together with the authority, and one that shows a certificate that it made for itself as an authority.
	forged, err := NewAuthority(w.now, w.random)
	w.must(err)
	with := func(change func(*tls.Certificate)) *tls.Config {
		cert := w.root.current.Load().enrol
		cert.Certificate = append([][]byte{}, cert.Certificate...)
		change(&cert)
		c := base(ProtocolEnrol, w.clock)
		c.Certificates = []tls.Certificate{cert}
		return c
	}
	for _, c := range []struct {
		name   string
		server *tls.Config
		at     time.Duration
		want   Reason
	}{
		{"a member of the root", w.root.ServerConfig(w.clock), 0, ""},
		{"a follower", follower.ServerConfig(w.clock), 0, NoAccess},
		{"another store", other.root.ServerConfig(w.clock), 0, OtherStore},
		{"an expired member", w.root.ServerConfig(w.clock), Life + time.Second, Expired},
		{"without the authority", with(func(c *tls.Certificate) { c.Certificate = c.Certificate[:1] }), 0, Malformed},
		{"with many", with(func(c *tls.Certificate) {
			for range maxAuthorities {
				c.Certificate = append(c.Certificate, c.Certificate[1])
			}
		}), 0, Malformed},
		{"a certificate of another authority, beside the right one", with(func(c *tls.Certificate) {
			forged.cert.URIs[0] = storeURI(w.authority.Store())
			der, _, err := forged.issue("r1", Root, w.root.Certificate().PublicKey, w.now, w.random)
			w.must(err)
			c.Certificate[0], c.Leaf = der, nil
		}), 0, Untrusted},
	} {
		w.now = born.Add(c.at)
		_, _, err, _ := connect(JoinConfig(token.Authority, w.clock), c.server)
		wantReason(t, c.name, err, c.want)
	}
	w.now = born

	// The whole way: a token is used, and the next who has it is told so.
	client, server, err, serverErr := connect(JoinConfig(token.Authority, w.clock), w.root.ServerConfig(w.clock))
	if err != nil || serverErr != nil || client.NegotiatedProtocol != ProtocolEnrol || server.NegotiatedProtocol != ProtocolEnrol || len(server.PeerCertificates) > 0 {
		t.Fatalf("%+v, %+v, %v, %v", client, server, err, serverErr)
	}
	_, err = w.root.Admit(w, server, w.now)
	wantReason(t, "a connection to join is admitted to the feed", err, NoAccess)
	server.PeerCertificates = []*x509.Certificate{follower.Certificate()}
	_, err = w.root.Admit(w, server, w.now)
	wantReason(t, "and one on which somebody has shown a certificate", err, NoAccess)
	w.joinAs(w.open(t.TempDir()), "edge2", token)
	request, err := w.open(t.TempDir()).Join(token, "edge3", w.random)
	w.must(err)
	_, err = w.redeem(request)
	wantReason(t, "replayed", err, UsedToken)
}

// A node whose certificate has expired renews over a connection that is good for nothing else, and is let in again.
func TestRenewExpired(t *testing.T) {
	w := newWorld(t)
	i := w.join("edge1", TokenRequest{})
	cc := i.ClientConfig(w.clock, func() store.Map { return w })
	w.now = born.Add(Life * 3 / 4)
	g, err := w.renew(w.root, false)
	w.must(err)
	w.must(w.root.Renewed(g.Certificate, w.now))
	w.now = born.Add(Life + 24*time.Hour)

	_, state, err, serverErr := connect(cc, w.root.ServerConfig(w.clock))
	if err != nil || serverErr != nil {
		t.Fatalf("%v, %v", err, serverErr)
	}
	_, err = w.root.Admit(w, state, w.now)
	wantReason(t, "expired", err, Expired)

	_, state, err, serverErr = connect(i.EnrolConfig(w.clock), w.root.ServerConfig(w.clock))
	if err != nil || serverErr != nil || len(state.PeerCertificates) > 0 {
		t.Fatalf("%v, %v", err, serverErr)
	}
	_, err = w.root.Admit(w, state, w.now)
	wantReason(t, "the connection to renew is admitted to the feed", err, NoAccess)
	g, err = w.renew(i, false)
	w.must(err)
	w.must(i.Renewed(g.Certificate, w.now))

	_, state, err, serverErr = connect(cc, w.root.ServerConfig(w.clock)) // of the time before
	if err != nil || serverErr != nil {
		t.Fatalf("%v, %v", err, serverErr)
	}
	if p, err := w.root.Admit(w, state, w.now); err != nil || p.Name != "edge1" {
		t.Errorf("%+v, %v", p, err)
	}
	_, _, err, _ = connect(newWorldFrom(t, 2).root.EnrolConfig(w.clock), w.root.ServerConfig(w.clock))
	wantReason(t, "a node of another store renews here", err, OtherStore)
}

// Who has not joined neither serves nor connects.
func TestNotJoined(t *testing.T) {
	w := newWorld(t)
	nobody := w.open(t.TempDir())
	for name, pair := range map[string][2]*tls.Config{
		"serves": {w.root.ClientConfig(w.clock, func() store.Map { return w }), nobody.ServerConfig(w.clock)},
		"joins":  {JoinConfig(w.authority.Fingerprint(), w.clock), nobody.ServerConfig(w.clock)},
		"feed":   {nobody.ClientConfig(w.clock, func() store.Map { return nil }), w.root.ServerConfig(w.clock)},
		"renews": {nobody.EnrolConfig(w.clock), w.root.ServerConfig(w.clock)},
	} {
		if _, _, clientErr, serverErr := connect(pair[0], pair[1]); clientErr == nil || serverErr == nil {
			t.Errorf("%s: %v, %v", name, clientErr, serverErr)
		}
	}
	if nobody.Joined() || nobody.Name() != "" || nobody.Certificate() != nil || nobody.Bundle().Find(w.authority.Fingerprint()) != nil || !nobody.RenewAt().IsZero() {
		t.Error("it is somebody")
	}
}

// A member of etcd's root asks its peers for a certificate of a member of the root, on both sides, as etcd sets TLS up (client/pkg/transport, TLSInfo).
func TestPeersOfEtcd(t *testing.T) {
	w := newWorld(t)
	r2, follower := w.join("r2", TokenRequest{Role: Root}), w.join("edge1", TokenRequest{})
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(w.root.Bundle().PEM())
	host := RootHost(w.root.Bundle().Store())
	config := func(i *Identity) *tls.Config {
		return &tls.Config{
			Certificates: []tls.Certificate{i.current.Load().enrol}, RootCAs: pool, ClientCAs: pool, ServerName: host, ClientAuth: tls.RequireAndVerifyClientCert, Time: w.clock,
			VerifyPeerCertificate: func(_ [][]byte, chains [][]*x509.Certificate) error { return chains[0][0].VerifyHostname(host) },
		}
	}
	for _, c := range []struct {
		client, server *Identity
		ok             bool
	}{{w.root, r2, true}, {r2, w.root, true}, {follower, r2, false}, {r2, follower, false}} {
		_, _, clientErr, serverErr := connect(config(c.client), config(c.server))
		if ok := clientErr == nil && serverErr == nil; ok != c.ok {
			t.Errorf("%s to %s: %v, %v", c.client.Name(), c.server.Name(), clientErr, serverErr)
		}
	}
}

// What a follower that connects costs both sides together, and what telling who it is costs beyond that.
func BenchmarkConnect(b *testing.B) {
	w := newWorld(b)
	client, server := w.join("edge1", TokenRequest{}), w.join("relay", TokenRequest{})
	cc, sc := client.ClientConfig(w.clock, func() store.Map { return w }), server.ServerConfig(w.clock)
	_, state, _, _ := connect(cc, sc)
	b.Run("handshake", func(b *testing.B) {
		for b.Loop() {
			if _, _, err, serverErr := connect(cc, sc); err != nil || serverErr != nil {
				b.Fatal(err, serverErr)
			}
		}
	})
	b.Run("admit", func(b *testing.B) {
		for b.Loop() {
			if _, err := server.Admit(w, state, w.now); err != nil {
				b.Fatal(err)
			}
		}
	})
}
