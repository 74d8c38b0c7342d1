package identity

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/store"
)

// Token lets one node join a store, once. Its text is
//
//	ananas-join-1.<base64url of: fingerprint of the authority (32), id (8), secret (16), checksum (4)>
//
// The checksum is the beginning of the SHA-256 of all before it, the first words included: it is against pastes that were cut off.
type Token struct {
	Authority Fingerprint // whom the node believes
	ID        TokenID
	Secret    Secret
}

// TokenID names a token in the store; it is no secret.
type TokenID [8]byte

// String returns the id in hexadecimal.
func (t TokenID) String() string { return hex.EncodeToString(t[:]) }

// Secret is what a token is used with. It prints as nothing, so that no log has it.
type Secret [16]byte

// String hides the secret.
func (Secret) String() string { return "(secret)" }

// GoString hides the secret.
func (Secret) GoString() string { return "(secret)" }

const (
	tokenWords    = "ananas-join-1."
	tokenChecksum = 4
	tokenOctets   = sha256.Size + 8 + 16 + tokenChecksum
)

// tokenChars is the length of a token in characters: 94.
var tokenChars = len(tokenWords) + base64.RawURLEncoding.EncodedLen(tokenOctets)

// maxTokenText bounds what is looked at as a token, in octets: ten times one, for line breaks and indents of a paste.
const maxTokenText = 1024

// Text returns the token as a person copies it.
func (t Token) Text() string {
	b := append(t.Authority[:len(t.Authority):len(t.Authority)], t.ID[:]...)
	b = append(b, t.Secret[:]...)
	sum := tokenSum(b)
	return tokenWords + base64.RawURLEncoding.EncodeToString(append(b, sum[:]...))
}

// String returns the token without its secret.
func (t Token) String() string { return "join token " + t.ID.String() }

func tokenSum(b []byte) [tokenChecksum]byte {
	h := sha256.New()
	h.Write([]byte(tokenWords))
	h.Write(b)
	return [tokenChecksum]byte(h.Sum(nil))
}

// ParseToken reads a token. White space anywhere is left out: a terminal may have broken the line. No error has the text, which is a secret.
func ParseToken(text string) (Token, error) {
	if len(text) > maxTokenText {
		return Token{}, wrong("copy the one word that `ananas root token` printed", "reading a join token: it has %d octets; a token has %d", len(text), tokenChars)
	}
	text = strings.Join(strings.Fields(text), "")
	rest, ok := strings.CutPrefix(text, tokenWords)
	var b []byte
	var err error
	switch {
	case text == "":
		err = errors.New("it is empty")
	case !ok && strings.HasPrefix(text, "ananas-join-") && strings.Contains(text, "."):
		return Token{}, wrong("this release is older than the one that made it; upgrade this node", "reading a join token: it has a form that this release does not know")
	case !ok && !strings.HasPrefix(tokenWords, text):
		err = fmt.Errorf("it does not begin with %q", tokenWords)
	case len(text) < tokenChars:
		err = fmt.Errorf("it is cut off: it has %d characters of %d", len(text), tokenChars)
	case len(text) > tokenChars:
		err = fmt.Errorf("it has %d characters, more than %d", len(text), tokenChars)
	default:
		if b, err = base64.RawURLEncoding.Strict().DecodeString(rest); err != nil {
			err = errors.New("it has a character that no token has")
			break
		}
		body, sum := b[:tokenOctets-tokenChecksum], b[tokenOctets-tokenChecksum:]
		if tokenSum(body) != [tokenChecksum]byte(sum) {
			err = errors.New("its checksum does not fit: a character is wrong")
		}
	}
	if err != nil {
		return Token{}, wrong("copy it again, whole, as `ananas root token` printed it", "reading a join token: %w", err)
	}
	var t Token
	n := copy(t.Authority[:], b)
	n += copy(t.ID[:], b[n:])
	copy(t.Secret[:], b[n:])
	return t, nil
}

// Limits of tokens.
const (
	// DefaultTokenLife is how long a token can be used if nothing else is said: an installation within a working day, and the night.
	DefaultTokenLife = 24 * time.Hour

	// MaxTokenLife is the longest life of a token: images that are built once a month.
	MaxTokenLife = 31 * 24 * time.Hour

	// MaxNodes is how many nodes, revoked ones included, and tokens a store may have: six times the 10,000 followers that a store is measured with. A document of
	// a node has some 300 octets: 20 MiB in each copy.
	MaxNodes = 1 << 16

	// keepToken is how long a token is remembered after its end, so that who comes late or twice is told so.
	keepToken = 24 * time.Hour

	// maxSwept is how many documents are removed with the commit of a token, at most: a quarter of what a commit may hold.
	maxSwept = store.MaxChanges / 4
)

// tokenDoc is the document ~token/ID.
type tokenDoc struct {
	secret   [sha256.Size]byte // of the secret
	name     string            // "": any
	labels   Labels
	role     Role
	made     time.Time
	by       string
	notAfter time.Time
	used     *tokenUse

	rest fields
}

// tokenUse says who used a token.
type tokenUse struct {
	name string
	time time.Time
}

func parseTokenDoc(doc []byte) (*tokenDoc, error) {
	t := new(tokenDoc)
	f, err := parseFields(doc)
	if err == nil {
		var used fields
		var secret Fingerprint
		err = first(
			f.take("secret", &secret), f.take("name", &t.name), f.take("labels", &t.labels), f.take("role", &t.role), f.takeTime("made", &t.made),
			f.take("by", &t.by), f.takeTime("not_after", &t.notAfter), f.take("used", &used),
		)
		t.secret, t.rest = secret, f
		if err == nil && used != nil {
			t.used = new(tokenUse)
			err = first(used.take("name", &t.used.name), used.takeTime("time", &t.used.time))
		}
	}
	if err == nil {
		err = t.check()
	}
	if err != nil {
		return nil, fmt.Errorf("reading the document of a join token: %w", err)
	}
	return t, nil
}

func (t *tokenDoc) check() error {
	switch {
	case t.secret == [sha256.Size]byte{}:
		return errors.New("it has no secret")
	case t.notAfter.IsZero():
		return errors.New("it has no end")
	case len(t.by) > store.MaxAuthor:
		return errors.New("its maker's name is too long")
	case t.used != nil && CheckName(t.used.name) != nil:
		return CheckName(t.used.name)
	}
	if t.name != "" {
		if err := CheckName(t.name); err != nil {
			return err
		}
	}
	if err := t.role.check(); err != nil {
		return err
	}
	return t.labels.check()
}

func (t *tokenDoc) encode() []byte {
	var used fields
	if u := t.used; u != nil {
		used = fields{}.with(map[string]any{"name": u.name, "time": u.time})
	}
	return encode(t.rest.with(map[string]any{
		"secret": Fingerprint(t.secret), "name": t.name, "labels": t.labels, "role": t.role, "made": t.made, "by": t.by, "not_after": t.notAfter, "used": used,
	}))
}

// fits tells whether secret is the token's, in a time that does not depend on it.
func (t *tokenDoc) fits(secret Secret) bool {
	sum := sha256.Sum256(secret[:])
	return subtle.ConstantTimeCompare(sum[:], t.secret[:]) == 1
}

// TokenRequest says what token is wanted.
type TokenRequest struct {
	Authority Fingerprint   // that the members of the root present, by [Authority.Fingerprint]
	Name      string        // the only node that may use it; "": any
	Role      Role          // what it becomes; "": Follower
	Labels    Labels        // that it gets
	Life      time.Duration // 0: DefaultTokenLife
	By        string        // who makes it
}

// NewToken makes a token, and the edits that put it into the store. Tokens and revoked nodes that nobody has to remember any more go with the same
// commit.
func NewToken(view store.View, r TokenRequest, now time.Time, random io.Reader) (Token, []store.Edit, error) {
	if r.Role == "" {
		r.Role = Follower
	}
	if r.Life == 0 {
		r.Life = DefaultTokenLife
	}
	if r.Life < time.Minute || r.Life > MaxTokenLife {
		return Token{}, nil, wrong("", "making a join token: its life is %v; it may be from %v to %v", r.Life, time.Minute, MaxTokenLife)
	}
	t := Token{Authority: r.Authority}
	_, err := io.ReadFull(random, t.ID[:])
	if err == nil {
		_, err = io.ReadFull(random, t.Secret[:])
	}
	if err != nil {
		return Token{}, nil, fmt.Errorf("making a join token: reading random octets: %w", err)
	}
	doc := &tokenDoc{
		secret: sha256.Sum256(t.Secret[:]), name: r.Name, labels: r.Labels, role: r.Role, made: now, by: r.By, notAfter: now.Add(r.Life),
	}
	if err := doc.check(); err != nil {
		return Token{}, nil, wrong("", "making a join token: %w", err)
	}
	swept, left := sweep(view, now)
	if left >= MaxNodes {
		return Token{}, nil, wrong("remove nodes that are gone: `ananas root remove NAME`", "making a join token: the store has %d nodes and tokens; it may have %d", left, MaxNodes)
	}
	return t, append(swept, edit(view, store.TokenPrefix+t.ID.String(), doc.encode())), nil
}

// sweep returns the edits that remove what nobody has to remember any more, and how many nodes and tokens stay.
func sweep(view store.View, now time.Time) (edits []store.Edit, left int) {
	for key, value := range view.Under(store.TokenPrefix) {
		t, err := parseTokenDoc(value)
		if err == nil && now.After(t.notAfter.Add(keepToken)) && len(edits) < maxSwept {
			edits = append(edits, edit(view, key, nil))
		} else {
			left++
		}
	}
	for key, value := range view.Under(store.NodePrefix) {
		n, err := ParseNode(value)
		if err == nil && n.Revoked != nil && now.After(n.Revoked.Time.Add(keepRevoked)) && len(edits) < maxSwept {
			edits = append(edits, edit(view, key, nil))
		} else {
			left++
		}
	}
	return edits, left
}

// TokenInfo is a token that can still be used, without its secret.
type TokenInfo struct {
	ID       string
	Name     string // the only node that may use it; "": any
	Labels   Labels
	Role     Role
	Made     time.Time
	By       string // who made it
	NotAfter time.Time
}

// Tokens lists the tokens that can still be used, by id. One that can't be read is of a later release, and left out.
func Tokens(view store.Map, now time.Time) []TokenInfo {
	var out []TokenInfo
	for key, value := range view.Under(store.TokenPrefix) {
		t, err := parseTokenDoc(value)
		if err != nil || t.used != nil || now.After(t.notAfter) {
			continue
		}
		out = append(out, TokenInfo{ID: key[len(store.TokenPrefix):], Name: t.name, Labels: t.labels, Role: t.role, Made: t.made, By: t.by, NotAfter: t.notAfter})
	}
	return out
}

// UnknownTokenError says that there is no token of an id that could still be used.
type UnknownTokenError struct{ ID, Why string }

func (e *UnknownTokenError) Error() string { return fmt.Sprintf("the join token %q %s", e.ID, e.Why) }

// Hint says what to do.
func (e *UnknownTokenError) Hint() string {
	return "`ananas root tokens` lists those that can still be used"
}

// Withdraw returns the edit after which nobody joins with a token. One that was used, or whose time is over, is of no use as it is: its document says so to who comes
// twice or late, and stays. The error is an [*UnknownTokenError] then.
func Withdraw(view store.View, id string, now time.Time) ([]store.Edit, error) {
	key := store.TokenPrefix + id
	doc, ok := view.Get(key)
	if !ok {
		return nil, &UnknownTokenError{clip(id), "is not in the store: it was never made, or withdrawn, or its time has been over for a day"}
	}
	t, err := parseTokenDoc(doc)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q: %w", key, err)
	case t.used != nil:
		return nil, &UnknownTokenError{id, fmt.Sprintf("was used by %q at %s; `ananas root remove %s` revokes that node", t.used.name, stamp(t.used.time), t.used.name)}
	case now.After(t.notAfter):
		return nil, &UnknownTokenError{id, "could be used until " + stamp(t.notAfter)}
	}
	return []store.Edit{edit(view, key, nil)}, nil
}
