package identity

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestAuthority(t *testing.T) {
	w := newWorld(t)
	cert := w.authority.cert
	if !cert.IsCA || cert.Subject.CommonName != "ananas store "+w.authority.Store().String()[:8] || cert.NotAfter.Sub(w.now) != authorityLife || w.now.Sub(cert.NotBefore) != Backdate {
		t.Errorf("%v, %v to %v", cert.Subject, cert.NotBefore, cert.NotAfter)
	}
	again, err := ParseBundle(w.root.Bundle().PEM())
	if err != nil || again.Store() != w.authority.Store() || again.Find(w.authority.Fingerprint()) == nil {
		t.Errorf("%+v, %v", again, err)
	}
	// The same random octets make the same store.
	if other := newWorld(t); !other.authority.cert.Equal(cert) || !other.root.Certificate().Equal(w.root.Certificate()) {
		t.Error("a run can not be repeated")
	}
	// Certificates end with their authority, and are not made after it or before it.
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{cert.NotAfter.Add(-Life / 2), ""},
		{cert.NotAfter, "the store's authority ended"},
		{born.Add(-time.Second), "is before the store was made"},
	} {
		_, made, err := w.authority.issue("a", Follower, w.root.Certificate().PublicKey, c.at, w.random)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.at, err, c.want)
		}
		if err == nil && made.NotAfter.After(cert.NotAfter) {
			t.Errorf("%v: it outlives its authority", c.at)
		}
	}
}

// Two authorities are believed side by side while the second takes over.
func TestTwoAuthorities(t *testing.T) {
	w := newWorld(t)
	second := w.secondAuthority()
	both, err := NewBundle(w.authority.cert.Raw, second.cert.Raw)
	w.must(err)
	for _, a := range []*Authority{w.authority, second} {
		_, cert, err := a.issue("r1", Root, w.root.Certificate().PublicKey, w.now, w.random)
		w.must(err)
		if _, err := both.Check(w, cert, w.now); err != nil {
			t.Error(err)
		}
	}
	i := w.open(t.TempDir())
	token := w.token(TokenRequest{})
	request, err := i.Join(token, "edge1", w.random)
	w.must(err)
	g, err := Redeem(w, w.authority, both, w.storeKey, request, w.now, w.random)
	w.must(err)
	w.must(i.Accept(token.Authority, "edge1", g.Reply, w.now))
	if i = w.open(i.files.dir); i.Bundle().Find(second.Fingerprint()) == nil {
		t.Error("the second was forgotten")
	}
}

// secondAuthority makes another authority of the same store.
func (w *world) secondAuthority() *Authority {
	w.Helper()
	key, err := newKey(w.random)
	w.must(err)
	template := *w.authority.cert
	template.SubjectKeyId, template.AuthorityKeyId, template.PublicKey = nil, nil, nil
	der, err := x509.CreateCertificate(w.random, &template, &template, key.Public(), key)
	w.must(err)
	cert, err := parseCertificate(der)
	w.must(err)
	return &Authority{key, cert}
}

// What a certificate may say of itself has one form.
func TestParseURI(t *testing.T) {
	w := newWorld(t)
	id := w.authority.Store().String()
	for _, c := range []struct {
		uris []string
		node string
		want string // part of the error
	}{
		{[]string{"ananas://" + id + "/node/edge1"}, "edge1", ""},
		{[]string{"ananas://" + id}, "", ""},
		{nil, "", "it is not one of a store"},
		{[]string{"https://" + id + "/node/edge1"}, "", "it is not one of a store"},
		{[]string{"ananas://" + id, "ananas://" + id + "/node/edge1"}, "", "it is not one of a store"},
		{[]string{"ananas://" + id[1:] + "/node/edge1"}, "", "it names no store"},
		{[]string{"ananas://" + id + "00/node/edge1"}, "", "it names no store"},
		{[]string{"ananas://" + strings.ToUpper(id) + "/node/edge1"}, "", "it names more than a node"},
		{[]string{"ananas://" + id + "/node/"}, "", "it names no node"},
		{[]string{"ananas://" + id + "/root/edge1"}, "", "it names no node"},
		{[]string{"ananas://" + id + "/node/a/b"}, "", "it names no node"},
		{[]string{"ananas://" + id + "/node/a%2fb"}, "", "it names no node"},
		{[]string{"ananas://" + id + "/node/%61"}, "", "it names more than a node"},
		{[]string{"ananas://" + id + "/node/a?b"}, "", "it names more than a node"},
		{[]string{"ananas://" + id + "/node/a#b"}, "", "it names more than a node"},
		{[]string{"ananas://x@" + id + "/node/a"}, "", "it names more than a node"},
		{[]string{"ananas://" + id + ":1/node/a"}, "", "it names no store"},
	} {
		cert := new(x509.Certificate)
		for _, text := range c.uris {
			u, err := url.Parse(text)
			w.must(err)
			cert.URIs = append(cert.URIs, u)
		}
		_, node, err := parseURI(cert)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) || err == nil && node != c.node {
			t.Errorf("%v: %q, %v, want %q", c.uris, node, err, c.want)
		}
	}
}

func TestBundleRefuses(t *testing.T) {
	w := newWorld(t)
	good := w.authority.cert
	unsigned := bytes.Clone(good.Raw)
	unsigned[len(unsigned)-1] ^= 1
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	w.must(err)
	of := func(change func(*x509.Certificate), public, private any) []byte {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: good.Subject, URIs: good.URIs, NotBefore: good.NotBefore, NotAfter: good.NotAfter,
			KeyUsage: good.KeyUsage, IsCA: true, BasicConstraintsValid: true}
		change(template)
		der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
		w.must(err)
		return der
	}
	public, private := good.PublicKey, w.authority.key
	for _, c := range []struct {
		name string
		der  []byte
		want string
	}{
		{"as it has to be", of(func(*x509.Certificate) {}, public, private), ""},
		{"a signature that is wrong", unsigned, "not signed by itself"},
		{"a node's", w.root.Certificate().Raw, "it is that of a node"},
		{"one that may not sign", of(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }, public, private), "it is that of a node"},
		{"one that is no authority", of(func(c *x509.Certificate) { c.IsCA = false }, public, private), "it is that of a node"},
		{"of no store", of(func(c *x509.Certificate) { c.URIs = nil }, public, private), "it is not one of a store"},
		{"of another kind of key", of(func(*x509.Certificate) {}, &key.PublicKey, key), "neither Ed25519 nor ECDSA"},
		{"too long", of(func(c *x509.Certificate) { c.DNSNames = []string{strings.Repeat("x.", maxCertificate/2) + "x"} }, public, private), "more than 4096"},
		{"nothing", nil, "reading a certificate"},
	} {
		if _, err := NewBundle(c.der); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	for name, text := range map[string][]byte{"a key": pem.EncodeToMemory(&pem.Block{Type: pemKey}), "nothing": nil} {
		if _, err := ParseBundle(text); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func FuzzParseCredential(f *testing.F) {
	w := newWorld(f)
	text, err := w.root.files.read(NodeFile)
	w.must(err)
	f.Add(text)
	f.Add(w.root.Bundle().PEM())
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parseCredential(text)
		if err != nil {
			return
		}
		once, err := c.encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseCredential(once)
		if err != nil || again.name != c.name || !again.cert.Equal(c.cert) || !same(again.key, c.key) {
			t.Errorf("%q is written as %q: %v", text, once, err)
		}
	})
}
