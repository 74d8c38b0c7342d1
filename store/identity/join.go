package identity

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ananas-edge/ananas/store"
)

// MaxMessage is the length of an encoded request or reply in octets: the most authorities, each certificate of the largest size, in base64, and a key.
const MaxMessage = 64 << 10

// JoinRequest is what a new node asks with. It travels only on a connection that [JoinConfig] made, for it has the token's secret.
type JoinRequest struct {
	Token  TokenID
	Secret Secret
	Name   string
	CSR    []byte // request for a certificate, PKCS #10 in DER
}

type joinRequestText struct {
	Token  string `json:"token"`
	Secret string `json:"secret"`
	Name   string `json:"name"`
	CSR    []byte `json:"csr"`
}

// Encode writes the request for its way.
func (r JoinRequest) Encode() []byte {
	return encode(joinRequestText{r.Token.String(), hex.EncodeToString(r.Secret[:]), r.Name, r.CSR})
}

// ParseJoinRequest reads what Encode wrote. The error is a [*Refusal].
func ParseJoinRequest(b []byte) (JoinRequest, error) {
	var t joinRequestText
	var r JoinRequest
	if err := decode(b, &t); err != nil {
		return r, malformed("a request to join", err)
	}
	if !decodeHex(r.Token[:], t.Token) || !decodeHex(r.Secret[:], t.Secret) {
		return JoinRequest{}, malformed("a request to join", errors.New("its token or its secret has not the length of one"))
	}
	r.Name, r.CSR = t.Name, t.CSR
	return r, nil
}

func decode(b []byte, into any) error {
	if len(b) > MaxMessage {
		return fmt.Errorf("it has %d octets, more than %d", len(b), MaxMessage)
	}
	return json.Unmarshal(b, into)
}

func malformed(what string, err error) *Refusal {
	return refuse(Malformed, "both sides have to be of releases that know each other", "reading %s: %v", what, err)
}

// JoinReply is what a new node gets.
type JoinReply struct {
	Certificate []byte   `json:"certificate"` // DER
	Authorities [][]byte `json:"authorities"` // DER
	Role        Role     `json:"role"`

	// For a member of the root: the authority's key (PKCS #8 in DER), and the store's.
	AuthorityKey []byte `json:"authority_key,omitempty"`
	StoreKey     []byte `json:"store_key,omitempty"`
}

// String hides the keys.
func (r JoinReply) String() string { return fmt.Sprintf("join reply for a %s", r.Role) }

// Encode writes the reply for its way.
func (r JoinReply) Encode() []byte { return encode(r) }

// ParseJoinReply reads what Encode wrote.
func ParseJoinReply(b []byte) (JoinReply, error) {
	var r JoinReply
	if err := decode(b, &r); err != nil {
		return JoinReply{}, fmt.Errorf("reading the reply to a request to join: %w", err)
	}
	return r, nil
}

// Grant is a decision to let a node join. It holds once its edits are committed (kind [store.KindNode]); then the reply may be sent, not before. Where the
// commit is a *store.ConflictError, another was first: [Redeem] decides anew. There are no edits where a node asks again for an answer that was lost.
type Grant struct {
	Name   string
	Role   Role
	Labels Labels
	Token  TokenID
	Edits  []store.Edit
	Reply  JoinReply
}

// errBadToken tells nothing: who has not the secret of a token does not learn whether there is one.
func errBadToken(detail string) *Refusal {
	r := refuse(BadToken, "make a new one on a member of the root: `ananas root token`", "the store does not take this join token")
	r.Detail = detail
	return r
}

// Redeem decides about a request to join. The authority, the bundle that new nodes get, and storeKey are those of the member that decides. The error is a
// [*Refusal] where the one who asks is at fault.
func Redeem(view store.View, a *Authority, b Bundle, storeKey Key, r JoinRequest, now time.Time, random io.Reader) (*Grant, error) {
	// What is wrong with the request itself says nothing about the store.
	if err := CheckName(r.Name); err != nil {
		return nil, refuse(Malformed, "set node.name", "joining the store: %v", err)
	}
	csr, err := parseRequest(r.CSR)
	if err != nil {
		return nil, malformed("a request for a certificate", err)
	}
	key := store.TokenPrefix + r.Token.String()
	doc, ok := view.Get(key)
	t := new(tokenDoc)
	if ok {
		if t, err = parseTokenDoc(doc); err != nil {
			return nil, fmt.Errorf("%q: %w", key, err)
		}
	}
	// Without a document the secret is held against none, so that both take the same time.
	if !t.fits(r.Secret) || !ok {
		if !ok {
			return nil, errBadToken("there is no token " + r.Token.String())
		}
		return nil, errBadToken("the secret is not that of token " + r.Token.String())
	}
	node, err := NodeAt(view, r.Name)
	if err != nil {
		return nil, err
	}
	g := &Grant{Name: r.Name, Role: t.role, Labels: t.labels, Token: r.Token}
	asked := fingerprintOf(csr)
	switch {
	case t.used != nil && t.used.name == r.Name && node != nil && node.Key == asked && node.Revoked == nil:
		// The node that used it, as its key proves: it has not got its answer.
		g.Role, g.Labels = node.Role, node.Labels
	case t.used != nil:
		return nil, refuse(UsedToken, "make a new one on a member of the root: `ananas root token`", "the join token was used by %q at %s", t.used.name, stamp(t.used.time))
	case now.After(t.notAfter):
		return nil, refuse(ExpiredToken, "make a new one on a member of the root: `ananas root token`", "the join token could be used until %s; it is %s", stamp(t.notAfter), stamp(now))
	case t.name != "" && t.name != r.Name:
		return nil, refuse(OtherName, fmt.Sprintf("set node.name to %q, or make a token for this node", t.name), "the join token is for the node %q, not for %q", t.name, r.Name)
	case node != nil && node.Revoked == nil:
		return nil, refuse(NameTaken, fmt.Sprintf("if that node is gone: `ananas root remove %s` first; else set node.name to another name", r.Name), "the store has a node %q already, since %s", r.Name, stamp(node.Joined))
	}
	der, cert, err := a.issue(r.Name, g.Role, csr.PublicKey, now, random)
	if err != nil {
		return nil, err
	}
	if t.used == nil {
		t.used = &tokenUse{r.Name, now}
		joined := &Node{Labels: t.labels, Role: t.role, Joined: now, Serial: cert.SerialNumber.Text(16), Key: asked, Since: issued(cert)}
		g.Edits = []store.Edit{edit(view, key, t.encode()), edit(view, store.NodePrefix+r.Name, joined.Encode())}
	}
	g.Reply = JoinReply{Certificate: der, Authorities: b.ders(), Role: g.Role}
	if g.Role == Root {
		if g.Reply.AuthorityKey, err = a.encodeKey(); err != nil {
			return nil, err
		}
		g.Reply.StoreKey = storeKey.octets()
	}
	return g, nil
}

// stamp writes a time for people.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
