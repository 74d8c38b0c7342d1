package identity

import (
	"crypto/x509"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/store"
)

func TestCheck(t *testing.T) {
	type given struct {
		w    *world
		i    *Identity // edge1
		cert *x509.Certificate
	}
	for _, c := range []struct {
		name   string
		before func(g *given)
		want   Reason
		says   string
	}{
		{name: "a node"},
		{name: "a member of the root", before: func(g *given) { g.cert = g.w.root.Certificate() }},
		{name: "with a clock that is an hour behind", before: func(g *given) { g.w.now = g.w.now.Add(-time.Hour) }},
		{name: "and more", before: func(g *given) { g.w.now = g.w.now.Add(-time.Hour - time.Second) }, want: NotYet, says: "the clock here says 2026-03-01 10:59:59 UTC"},
		{name: "on its last day", before: func(g *given) { g.w.now = g.w.now.Add(Life) }},
		{name: "after it", before: func(g *given) { g.w.now = g.w.now.Add(Life + time.Second) }, want: Expired, says: "expired at 2026-05-30 12:00:00 UTC"},
		{name: "more than a year after it", before: func(g *given) { g.w.now = g.w.now.Add(Life + Grace + time.Second) }, want: Expired, says: "more than a year before"},
		{name: "revoked", before: func(g *given) { g.w.revoke("edge1") }, want: Revoked, says: `was revoked at 2026-03-01 12:00:00 UTC by "ada": its disk was sold`},
		{name: "without a document", before: func(g *given) { g.w.put("~node/edge1", "") }, want: Unknown, says: `the store has no node "edge1"`},
		{name: "the name has joined with another key", before: func(g *given) { g.w.revoke("edge1"); g.w.join("edge1", TokenRequest{}) }, want: Replaced, says: "joined again with another key"},
		{name: "of another store", before: func(g *given) {
			g.cert = newWorldFrom(g.w.TB, 2).join("edge1", TokenRequest{}).Certificate()
		}, want: OtherStore, says: "this is the store"},
		{name: "of another authority with the id of the store", before: func(g *given) {
			forged, err := NewAuthority(g.w.now, g.w.random)
			g.w.must(err)
			forged.cert.URIs[0] = storeURI(g.w.root.Bundle().store)
			_, g.cert, err = forged.issue("edge1", Follower, g.i.Certificate().PublicKey, g.w.now, g.w.random)
			g.w.must(err)
		}, want: Untrusted, says: "is not signed by an authority of the store"},
		{name: "that of the authority", before: func(g *given) { g.cert = g.w.authority.cert }, want: Malformed, says: "it is that of an authority"},
		{name: "a renewed one", before: func(g *given) {
			g.w.now = RenewAt(g.cert)
			r, err := g.w.renew(g.i, false)
			g.w.must(err)
			g.w.must(g.i.Renewed(r.Certificate, g.w.now))
			g.cert = g.i.Certificate()
			g.w.now = g.w.now.Add(Life)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			g := &given{w: w, i: w.join("edge1", TokenRequest{Labels: Labels{"site": "opo"}})}
			g.cert = g.i.Certificate()
			if c.before != nil {
				c.before(g)
			}
			p, err := w.check(g.cert)
			wantReason(t, "check", err, c.want)
			if err != nil {
				if !strings.Contains(err.Error(), c.says) {
					t.Errorf("says %q, not %q", err, c.says)
				}
				return
			}
			if want := (map[string]Role{"edge1": Follower, "r1": Root})[p.Name]; p.Role != want || p.Key != FingerprintOf(g.cert) || p.Labels["site"] == "" {
				t.Errorf("%+v", p)
			}
		})
	}
}

func TestRecheckFollowsTheDocument(t *testing.T) {
	w := newWorld(t)
	i := w.join("edge1", TokenRequest{Labels: Labels{"site": "opo"}})
	p, err := w.check(i.Certificate())
	w.must(err)
	edits, err := SetLabels(w, "edge1", Labels{"site": "fao"})
	w.must(err)
	w.must(w.commit(edits...))
	if p, err = Recheck(w, p, w.now); err != nil || !maps.Equal(p.Labels, Labels{"site": "fao"}) {
		t.Errorf("%+v, %v", p, err)
	}
	_, err = Recheck(w, p, w.now.Add(Life+time.Second))
	wantReason(t, "a certificate that expired on the way", err, Expired)
	w.revoke("edge1")
	_, err = Recheck(w, p, w.now)
	wantReason(t, "revoked on the way", err, Revoked)
}

// A follower whose copy is old takes a source that joined since, and none that was revoked or replaced before.
func TestCheckSource(t *testing.T) {
	w := newWorld(t)
	first := w.join("relay", TokenRequest{}).Certificate()
	empty := newWorld(t).frozen()
	joined := w.frozen()
	w.now = w.now.Add(time.Hour)
	w.revoke("relay")
	revoked := w.frozen()
	w.now = w.now.Add(time.Hour)
	second := w.join("relay", TokenRequest{}).Certificate()
	again := w.frozen()
	b := w.root.Bundle()
	for _, c := range []struct {
		name string
		view store.Map
		cert *x509.Certificate
		want Reason
	}{
		{"no copy", nil, first, ""},
		{"a copy from before it joined", empty, first, ""},
		{"a copy that has it", joined, first, ""},
		{"a copy that has it revoked", revoked, first, Revoked},
		{"a copy that has its new key", again, first, Replaced},
		{"the new key, and a copy that has the old one", joined, second, ""},
		{"the new key, and a copy that has the old one revoked", revoked, second, ""},
		{"the new key, and a copy that has it", again, second, ""},
	} {
		name, err := b.checkSource(c.view, c.cert, w.now)
		wantReason(t, c.name, err, c.want)
		if err == nil && name != "relay" {
			t.Errorf("%s: %q", c.name, name)
		}
	}
	if _, err := b.checkSource(nil, first, w.now.Add(Life+time.Second)); reasonOf(err) != string(Expired) {
		t.Errorf("a source that has expired: %v", err)
	}
}

func TestRevoke(t *testing.T) {
	w := newWorld(t)
	w.join("edge1", TokenRequest{})
	for name, want := range map[string]string{"r1": "is the last member of the root", "edge2": `the store has no node "edge2"`} {
		if _, err := Revoke(w, name, "ada", "", w.now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	if _, err := Revoke(w, "edge1", "ada", strings.Repeat("x", 2000), w.now); err == nil {
		t.Error("a reason without end")
	}
	w.join("r2", TokenRequest{Role: Root})
	w.revoke("r1")
	w.revoke("edge1")
	if edits, err := Revoke(w, "edge1", "bob", "again", w.now); err != nil || len(edits) > 0 {
		t.Errorf("twice: %v, %v", edits, err)
	}
	if _, err := Revoke(w, "r2", "ada", "", w.now); err == nil {
		t.Error("the last member was revoked")
	}
}

func TestCheckEdits(t *testing.T) {
	for _, c := range []struct{ key, value, want string }{
		{"forward/x", "anything", ""},
		{"~node/a", `{"role":"follower","key":"` + strings.Repeat("ab", 32) + `"}`, ""},
		{"~node/a", `{"role":"follower"}`, `"~node/a": reading the document of a node: it names no key`},
		{"~node/a/b", `{"role":"follower","key":"` + strings.Repeat("ab", 32) + `"}`, "can not be the name"},
		{"~token/a", `{}`, "it has no secret"},
		{"~access", `{"rules":[]}`, ""},
		{"~access", `{}`, "it has no rules"},
	} {
		err := CheckEdits([]store.Edit{{Key: c.key, Value: []byte(c.value)}})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v, want %q", c.key, c.value, err, c.want)
		}
	}
	if err := CheckEdits([]store.Edit{{Key: "~node/a", Delete: true}}); err != nil {
		t.Error(err)
	}
}
