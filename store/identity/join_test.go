package identity

import (
	"bytes"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/store"
)

// Who presents what is let in or refused, and hears why if it has the secret of the token.
func TestRedeem(t *testing.T) {
	for _, c := range []struct {
		name  string
		token TokenRequest
		// before comes between the token and its use; r may be changed.
		before func(w *world, r *JoinRequest)
		want   Reason
		says   string
	}{
		{name: "a new node"},
		{name: "one with labels, for this name", token: TokenRequest{Name: "edge1", Labels: Labels{"site": "opo", "tier": "edge"}}},
		{name: "a member of the root", token: TokenRequest{Role: Root}},
		{name: "just in time", before: func(w *world, _ *JoinRequest) { w.now = w.now.Add(DefaultTokenLife) }},
		{name: "too late", before: func(w *world, _ *JoinRequest) { w.now = w.now.Add(DefaultTokenLife + time.Second) }, want: ExpiredToken,
			says: "could be used until 2026-03-02 12:00:00 UTC; it is 2026-03-02 12:00:01 UTC"},
		{name: "another secret", before: func(_ *world, r *JoinRequest) { r.Secret[0]++ }, want: BadToken, says: "the store does not take this join token"},
		{name: "another id", before: func(_ *world, r *JoinRequest) { r.Token[0]++ }, want: BadToken, says: "the store does not take this join token"},
		{name: "too late and another secret", before: func(w *world, r *JoinRequest) { w.now = w.now.Add(DefaultTokenLife + time.Second); r.Secret[0]++ }, want: BadToken,
			says: "the store does not take this join token"},
		{name: "for another name", token: TokenRequest{Name: "edge2"}, want: OtherName, says: `for the node "edge2", not for "edge1"`},
		{name: "a name that is taken", before: func(w *world, _ *JoinRequest) { w.join("edge1", TokenRequest{}) }, want: NameTaken, says: `has a node "edge1" already`},
		{name: "a name that was revoked", before: func(w *world, _ *JoinRequest) { w.join("edge1", TokenRequest{}); w.revoke("edge1") }},
		{name: "the member's own name", before: func(_ *world, r *JoinRequest) { r.Name = "r1" }, want: NameTaken},
		{name: "a name that is none", before: func(_ *world, r *JoinRequest) { r.Name = "a/b" }, want: Malformed, says: `"a/b" can not be the name of a node`},
		{name: "a request that is none", before: func(_ *world, r *JoinRequest) { r.CSR = []byte("x") }, want: Malformed},
		{name: "a request that another key has signed", before: func(_ *world, r *JoinRequest) { r.CSR[len(r.CSR)-1] ^= 1 }, want: Malformed, says: "not signed by its key"},
		{name: "a damaged document of the token", before: func(w *world, r *JoinRequest) { w.put("~token/"+r.Token.String(), "{}") }, want: "x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			token := w.token(c.token)
			i := w.open(t.TempDir())
			request, err := i.Join(token, "edge1", w.random)
			w.must(err)
			if c.before != nil {
				c.before(w, &request)
			}
			request, err = ParseJoinRequest(request.Encode())
			w.must(err)
			g, err := w.redeem(request)
			if c.want == "x" {
				if err == nil || AsRefusal(err) != nil {
					t.Fatalf("%v is told to who asks", err)
				}
				return
			}
			wantReason(t, "redeeming", err, c.want)
			if err != nil {
				if !strings.Contains(err.Error(), c.says) {
					t.Errorf("says %q, not %q", err, c.says)
				}
				return
			}
			w.must(w.commit(g.Edits...))
			reply, err := ParseJoinReply(g.Reply.Encode())
			w.must(err)
			w.must(i.Accept(token.Authority, request.Name, reply, w.now))
			p, err := w.check(i.Certificate())
			role := c.token.Role
			if role == "" {
				role = Follower
			}
			if err != nil || p.Name != "edge1" || p.Role != role || !maps.Equal(p.Labels, c.token.Labels) || !p.NotAfter.Equal(w.now.Add(Life)) {
				t.Errorf("%+v, %v", p, err)
			}
			_, err = i.Authority()
			if (err == nil) != (role == Root) {
				t.Errorf("a %s has the authority's key: %v", role, err)
			}
			if k, err := i.StoreKey(); (err == nil) != (role == Root) || role == Root && !bytes.Equal(k.octets(), w.storeKey.octets()) {
				t.Errorf("a %s has the store's key: %v", role, err)
			}
		})
	}
}

// What an attacker without the secret hears is the same, whatever there is.
func TestRefusedWithoutSecretTellsNothing(t *testing.T) {
	w := newWorld(t)
	i := w.open(t.TempDir())
	request := func(token Token) JoinRequest {
		r, err := i.Join(token, "edge1", w.random)
		w.must(err)
		return r
	}
	fresh, used, old := w.token(TokenRequest{}), w.token(TokenRequest{Name: "edge9"}), w.token(TokenRequest{Life: time.Hour})
	w.joinAs(w.open(t.TempDir()), "edge9", used)
	w.now = w.now.Add(2 * time.Hour)
	heard := make(map[string]bool)
	for _, token := range []Token{fresh, used, old, {ID: TokenID{1}}} {
		token.Secret[3]++
		for _, name := range []string{"edge1", "edge9", "r1"} {
			r := request(token)
			r.Name = name
			_, err := w.redeem(r)
			heard[string(encode(AsRefusal(err)))] = true
		}
	}
	if len(heard) != 1 {
		t.Errorf("%v", heard)
	}
}

// A token is used once: of two that race one is refused by the commit, and hears at the second look who was first.
func TestTokenIsUsedOnce(t *testing.T) {
	w := newWorld(t)
	token := w.token(TokenRequest{})
	a, b := w.open(t.TempDir()), w.open(t.TempDir())
	ra, err := a.Join(token, "edge1", w.random)
	w.must(err)
	rb, err := b.Join(token, "edge2", w.random)
	w.must(err)
	ga, err := w.redeem(ra)
	w.must(err)
	gb, err := w.redeem(rb)
	w.must(err)
	w.must(w.commit(ga.Edits...))
	var conflict *store.ConflictError
	if err := w.commit(gb.Edits...); !errors.As(err, &conflict) {
		t.Fatalf("the second one: %v", err)
	}
	_, err = w.redeem(rb)
	wantReason(t, "the second look", err, UsedToken)
	if want := `was used by "edge1" at 2026-03-01 12:00:00 UTC`; err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
	// Two nodes of one name with two tokens race as well.
	t1, t2 := w.token(TokenRequest{}), w.token(TokenRequest{})
	rb, err = b.Join(t1, "edge3", w.random)
	w.must(err)
	c := w.open(t.TempDir())
	rc, err := c.Join(t2, "edge3", w.random)
	w.must(err)
	gb, err = w.redeem(rb)
	w.must(err)
	gc, err := w.redeem(rc)
	w.must(err)
	w.must(w.commit(gb.Edits...))
	if err := w.commit(gc.Edits...); !errors.As(err, &conflict) {
		t.Fatalf("two nodes of one name: %v", err)
	}
}

// A node that has not got its answer asks again, after a restart too, and gets it; another with the same token does not.
func TestLostAnswer(t *testing.T) {
	w := newWorld(t)
	token := w.token(TokenRequest{Labels: Labels{"site": "opo"}})
	dir := t.TempDir()
	request, err := w.open(dir).Join(token, "edge1", w.random)
	w.must(err)
	g, err := w.redeem(request)
	w.must(err)
	w.must(w.commit(g.Edits...))
	w.now = w.now.Add(time.Minute)
	i := w.open(dir)
	request, err = i.Join(token, "edge1", w.random)
	w.must(err)
	g, err = w.redeem(request)
	if err != nil || len(g.Edits) != 0 || g.Labels["site"] != "opo" {
		t.Fatalf("asked again: %+v, %v", g, err)
	}
	w.must(i.Accept(token.Authority, "edge1", g.Reply, w.now))
	if _, err := w.check(i.Certificate()); err != nil {
		t.Error(err)
	}
	thief, err := w.open(t.TempDir()).Join(token, "edge1", w.random)
	w.must(err)
	_, err = w.redeem(thief)
	wantReason(t, "another key", err, UsedToken)
	w.revoke("edge1")
	_, err = w.redeem(request)
	wantReason(t, "after it was revoked", err, UsedToken)
}

// Tokens and revoked nodes are forgotten, some time after nobody needs them, with the next token.
func TestSweep(t *testing.T) {
	w := newWorld(t)
	w.token(TokenRequest{})
	w.join("edge1", TokenRequest{Life: time.Hour})
	w.revoke("edge1")
	count := func() (tokens, nodes int) {
		for key := range w.entries {
			if strings.HasPrefix(key, store.TokenPrefix) {
				tokens++
			} else if strings.HasPrefix(key, store.NodePrefix) {
				nodes++
			}
		}
		return tokens, nodes
	}
	for _, c := range []struct {
		after         time.Duration
		tokens, nodes int // with the token that is made
	}{
		{0, 3, 2},                          // for a day; for an hour, and used; for a minute
		{25 * time.Hour, 3, 2},             // that of the minute is gone
		{25*time.Hour + time.Second, 3, 2}, // and that of the hour
		{49 * time.Hour, 3, 2},             // and that of the day; the two of a minute are not a day old
		{keepRevoked, 1, 2},
		{keepRevoked + time.Second, 2, 1},
	} {
		w.now = born.Add(c.after)
		w.token(TokenRequest{Life: time.Minute})
		if tokens, nodes := count(); tokens != c.tokens || nodes != c.nodes {
			t.Errorf("after %v: %d tokens, %d nodes; want %d, %d", c.after, tokens, nodes, c.tokens, c.nodes)
		}
	}
}

func TestNewTokenRefuses(t *testing.T) {
	w := newWorld(t)
	labels := make(Labels)
	for i := range MaxLabels + 1 {
		labels["l"+strings.Repeat("x", i)] = "y"
	}
	for _, c := range []struct {
		r    TokenRequest
		want string
	}{
		{TokenRequest{Life: time.Second}, "its life is 1s"},
		{TokenRequest{Life: MaxTokenLife + 1}, "it may be from 1m0s to"},
		{TokenRequest{Role: "king"}, `"king" is no role`},
		{TokenRequest{Name: "a b"}, `"a b" can not be the name of a node`},
		{TokenRequest{Labels: labels}, "33 labels, more than 32"},
		{TokenRequest{Labels: Labels{"site": strings.Repeat("x", 64)}}, `the label "site": its value`},
		{TokenRequest{Labels: Labels{"": "x"}}, `the label "": its name`},
		{TokenRequest{By: strings.Repeat("x", 257)}, "maker's name is too long"},
	} {
		if _, _, err := NewToken(w, c.r, w.now, w.random); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.r, err, c.want)
		}
	}
}

func FuzzParseJoinRequest(f *testing.F) {
	w := newWorld(f)
	request, err := w.open(f.TempDir()).Join(w.token(TokenRequest{}), "edge1", w.random)
	w.must(err)
	f.Add(request.Encode())
	f.Add([]byte(`{"token":"00","csr":"eA=="}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseJoinRequest(b)
		if err != nil {
			if AsRefusal(err) == nil {
				t.Errorf("%v is no refusal", err)
			}
			return
		}
		again, err := ParseJoinRequest(r.Encode())
		if err != nil || again.Token != r.Token || again.Secret != r.Secret || !bytes.Equal(again.CSR, r.CSR) {
			t.Errorf("%+v is read as %+v, %v", r, again, err)
		}
		if g, err := w.redeem(r); err == nil && (r.Name != g.Name || r.Secret != request.Secret) {
			t.Errorf("%q got in as %q", r.Name, g.Name)
		}
	})
}

func FuzzCSR(f *testing.F) {
	w := newWorld(f)
	request, err := w.open(f.TempDir()).Join(w.token(TokenRequest{}), "edge1", w.random)
	w.must(err)
	f.Add(request.CSR)
	f.Add(w.root.Certificate().Raw)
	f.Fuzz(func(t *testing.T, der []byte) {
		r, err := parseRequest(der)
		if err != nil {
			return
		}
		_, cert, err := w.authority.issue("edge1", Follower, r.PublicKey, w.now, w.random)
		if err != nil {
			t.Fatalf("a request that was taken gets no certificate: %v", err)
		}
		if FingerprintOf(cert) != fingerprintOf(r) {
			// The same key in another encoding would be one that no document names.
			t.Errorf("the certificate is for another key: %x, %x", cert.RawSubjectPublicKeyInfo, r.RawSubjectPublicKeyInfo)
		}
		if name, err := w.root.Bundle().authenticate(cert); err != nil || name != "edge1" || len(cert.DNSNames) > 0 || cert.IsCA {
			t.Errorf("%q, %v", name, err)
		}
	})
}

// Of the tokens those are listed that can still be used.
func TestTokens(t *testing.T) {
	w := newWorld(t)
	want := w.token(TokenRequest{Name: "edge1", Role: Root, Labels: Labels{"site": "opo"}, By: "ana"})
	w.token(TokenRequest{Life: time.Hour})
	w.joinAs(w.open(t.TempDir()), "edge2", w.token(TokenRequest{}))
	w.put("~token/ff", `{"of":"a later release"}`)
	w.now = w.now.Add(time.Hour + time.Second)
	got := Tokens(w, w.now)
	if len(got) != 1 || got[0].ID != want.ID.String() || got[0].Name != "edge1" || got[0].Role != Root || got[0].Labels["site"] != "opo" || !got[0].NotAfter.Equal(born.Add(DefaultTokenLife)) {
		t.Errorf("%+v", got)
	}
	if got[0].By != "ana" || !got[0].Made.Equal(born) {
		t.Errorf("made %v by %q", got[0].Made, got[0].By)
	}
}

// A token that was withdrawn lets nobody join; one that was used, or is too old, is told as what it is.
func TestWithdraw(t *testing.T) {
	w := newWorld(t)
	token, used, old := w.token(TokenRequest{}), w.token(TokenRequest{}), w.token(TokenRequest{Life: time.Minute})
	w.joinAs(w.open(t.TempDir()), "edge1", used)
	w.now = w.now.Add(2 * time.Minute)
	for id, want := range map[string]string{used.ID.String(): `was used by "edge1"`, old.ID.String(): "could be used until", "00": "is not in the store", "x/y": "is not in the store"} {
		var unknown *UnknownTokenError
		if _, err := Withdraw(w, id, w.now); !errors.As(err, &unknown) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", id, err)
		}
	}
	edits, err := Withdraw(w, token.ID.String(), w.now)
	if err != nil || len(edits) != 1 || !edits[0].Delete {
		t.Fatalf("%+v, %v", edits, err)
	}
	w.must(w.commit(edits...))
	if left := Tokens(w, w.now); len(left) != 0 {
		t.Errorf("%+v", left)
	}
	if _, err := Withdraw(w, token.ID.String(), w.now); err == nil {
		t.Error("it is withdrawn twice")
	}
}
