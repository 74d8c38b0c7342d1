package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"testing"
	"time"
)

func TestRenew(t *testing.T) {
	for _, c := range []struct {
		name   string
		newKey bool
		before func(w *world, i *Identity)
		change func(w *world, r *RenewRequest)
		want   Reason
		edits  int
	}{
		{name: "with the same key"},
		{name: "with a new key", newKey: true, edits: 1},
		{name: "at once", before: func(w *world, _ *Identity) { w.now = born }},
		{name: "at once, with a new key", newKey: true, before: func(w *world, _ *Identity) { w.now = born }, want: NoAccess},
		{name: "expired", before: func(w *world, _ *Identity) { w.now = born.Add(Life + time.Second) }},
		{name: "expired for a year", before: func(w *world, _ *Identity) { w.now = born.Add(Life + Grace) }},
		{name: "and more", before: func(w *world, _ *Identity) { w.now = born.Add(Life + Grace + time.Second) }, want: Expired},
		{name: "expired, with a new key", newKey: true, before: func(w *world, _ *Identity) { w.now = born.Add(Life + time.Second) }, edits: 1},
		{name: "revoked", before: func(w *world, _ *Identity) { w.revoke("edge1") }, want: Revoked},
		{name: "unknown", before: func(w *world, _ *Identity) { w.put("~node/edge1", "") }, want: Unknown},
		{name: "the name has joined with another key", before: func(w *world, _ *Identity) { w.revoke("edge1"); w.join("edge1", TokenRequest{}) }, want: Replaced},
		{name: "without proof", change: func(_ *world, r *RenewRequest) { r.Proof = nil }, want: Malformed},
		{name: "for a key that somebody put in its place", change: func(w *world, r *RenewRequest) {
			key, err := newKey(w.random)
			w.must(err)
			r.CSR, err = newCSR("edge1", key, w.random)
			w.must(err)
		}, want: Malformed},
		{name: "with the proof of a request for something else", change: func(w *world, r *RenewRequest) { r.Proof = r.CSR[len(r.CSR)-64:] }, want: Malformed},
		{name: "with the certificate of another node", change: func(w *world, r *RenewRequest) { r.Certificate = w.root.Certificate().Raw }, want: Malformed},
		{name: "with that of the authority", change: func(w *world, r *RenewRequest) { r.Certificate = w.authority.cert.Raw }, want: Malformed},
		{name: "with that of another store", change: func(w *world, r *RenewRequest) { r.Certificate = newWorldFrom(w.TB, 2).root.Certificate().Raw }, want: OtherStore},
		{name: "with none", change: func(_ *world, r *RenewRequest) { r.Certificate = nil }, want: Malformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			i := w.join("edge1", TokenRequest{})
			w.now = i.RenewAt()
			if c.before != nil {
				c.before(w, i)
			}
			r, err := i.Renewal(c.newKey, w.random)
			w.must(err)
			if c.change != nil {
				c.change(w, &r)
			}
			got, err := Renew(w, w.authority, w.root.Bundle(), r, w.now, w.random)
			wantReason(t, "renewing", err, c.want)
			if err != nil {
				return
			}
			if len(got.Edits) != c.edits || got.Name != "edge1" {
				t.Errorf("%+v", got)
			}
			old := i.Certificate()
			w.must(w.commit(got.Edits...))
			if c.name == "at once" { // nothing is gained
				if err := i.Renewed(got.Certificate, w.now); err == nil {
					t.Error("a certificate that is valid for no longer was taken")
				}
				return
			}
			w.must(i.Renewed(got.Certificate, w.now))
			if p, err := w.check(i.Certificate()); err != nil || !p.NotAfter.Equal(w.now.Add(Life).Truncate(time.Second)) {
				t.Errorf("%+v, %v", p, err)
			}
			if c.newKey {
				w.now = old.NotAfter
				_, err := w.check(old)
				wantReason(t, "the key before", err, Replaced)
			}
		})
	}
}

// The answer to a renewal with a new key is lost, and the node is killed: it asks again, with the key that the store lets in now, and nobody who has the key
// before gets a certificate for a third one.
func TestLostRenewal(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	w.joinAs(w.open(dir), "edge1", w.token(TokenRequest{}))
	i := w.open(dir)
	w.now = i.RenewAt()
	stolen := w.open(t.TempDir())
	text, err := i.files.read(NodeFile)
	w.must(err)
	w.must(stolen.files.write(NodeFile, text))
	stolen = w.open(stolen.files.dir)

	g, err := w.renew(i, true)
	w.must(err)
	w.must(w.commit(g.Edits...))
	i = w.open(dir)
	_, err = w.check(i.Certificate())
	wantReason(t, "the certificate before", err, Replaced)
	if due := i.RenewAt(); due.After(w.now) {
		t.Errorf("it waits until %v", due)
	}
	w.now = w.now.Add(MinKeyAge)
	_, err = w.renew(stolen, true)
	wantReason(t, "a third key", err, Replaced)
	_, err = w.renew(stolen, false)
	wantReason(t, "the key before", err, Replaced)

	revoked := w.frozen()
	revoked.revoke("edge1")
	_, err = revoked.renew(i, false)
	wantReason(t, "revoked", err, Revoked)
	g, err = w.renew(i, false)
	if err != nil || len(g.Edits) > 0 {
		t.Fatalf("asked again: %+v, %v", g, err)
	}
	w.must(i.Renewed(g.Certificate, w.now))
	for range 2 {
		if _, err := w.check(i.Certificate()); err != nil {
			t.Error(err)
		}
		if !i.RenewAt().After(w.now) {
			t.Error("it asks once more")
		}
		i = w.open(dir)
	}
}

// Keys of hardware are ECDSA; a node with one renews as others do.
func TestECDSAKey(t *testing.T) {
	w := newWorld(t)
	i := w.open(t.TempDir())
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	w.must(err)
	text, err := encodeKey(key)
	w.must(err)
	w.must(i.files.write(NextFile, text))
	w.joinAs(i, "edge1", w.token(TokenRequest{}))
	w.now = i.RenewAt()
	g, err := w.renew(i, false)
	w.must(err)
	w.must(i.Renewed(g.Certificate, w.now))
	if !key.PublicKey.Equal(i.Certificate().PublicKey) {
		t.Error("it has another key")
	}
}

func TestRenewedRefuses(t *testing.T) {
	w := newWorld(t)
	i, other := w.join("edge1", TokenRequest{}), w.join("edge2", TokenRequest{})
	w.now = i.RenewAt()
	g, err := w.renew(i, false)
	w.must(err)
	o, err := w.renew(other, false)
	w.must(err)
	_, named, err := w.authority.issue("edge3", Follower, i.Certificate().PublicKey, w.now, w.random)
	w.must(err)
	before := i.Certificate()
	for name, der := range map[string][]byte{
		"that of another node": o.Certificate, "one of another name": named.Raw, "nothing": nil, "the old one": before.Raw,
		"one of another store": newWorldFrom(t, 2).root.Certificate().Raw,
	} {
		if err := i.Renewed(der, w.now); err == nil {
			t.Errorf("took %s", name)
		}
	}
	if i.Certificate() != before {
		t.Error("it has changed")
	}
	w.must(i.Renewed(g.Certificate, w.now))
	if i.Certificate().Equal(before) {
		t.Error("it has not changed")
	}
}

// Nodes that joined together renew apart from each other, after two thirds of the time and before all of it has passed.
func TestRenewAt(t *testing.T) {
	w := newWorld(t)
	key, err := newKey(w.random)
	w.must(err)
	seen := make(map[time.Time]int)
	for range 200 {
		_, cert, err := w.authority.issue("edge1", Follower, key.Public(), w.now, w.random)
		w.must(err)
		at := RenewAt(cert)
		seen[at.Truncate(time.Hour)]++
		if d := at.Sub(w.now); d < Life*2/3 || d > Life*2/3+Life/20 {
			t.Errorf("after %v", d)
		}
	}
	if len(seen) < 60 { // of 108 hours
		t.Errorf("they come in %d hours", len(seen))
	}
}

func FuzzParseRenewRequest(f *testing.F) {
	w := newWorld(f)
	i := w.join("edge1", TokenRequest{})
	w.now = i.RenewAt()
	r, err := i.Renewal(false, w.random)
	w.must(err)
	f.Add(r.Encode())
	r, err = w.join("edge2", TokenRequest{}).Renewal(true, w.random)
	w.must(err)
	f.Add(r.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRenewRequest(b)
		if err != nil {
			return
		}
		again, err := ParseRenewRequest(r.Encode())
		if err != nil || !bytes.Equal(again.CSR, r.CSR) || !bytes.Equal(again.Proof, r.Proof) || !bytes.Equal(again.Certificate, r.Certificate) {
			t.Errorf("%+v is read as %+v, %v", r, again, err)
		}
		g, err := Renew(w, w.authority, w.root.Bundle(), r, w.now, w.random)
		if err != nil {
			if AsRefusal(err) == nil {
				t.Errorf("%v is no refusal", err)
			}
			return
		}
		if cert, err := parseCertificate(g.Certificate); err != nil || FingerprintOf(cert) != FingerprintOf(i.Certificate()) {
			t.Errorf("%q got a certificate: %v", g.Name, err)
		}
	})
}
