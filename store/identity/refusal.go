package identity

import "fmt"

// Reason is why somebody was refused, for programs.
type Reason string

// The reasons.
const (
	Malformed  Reason = "malformed"   // what was presented is not what it has to be
	Untrusted  Reason = "untrusted"   // the certificate is from another authority
	OtherStore Reason = "other-store" // it is for another store
	NotYet     Reason = "not-yet"     // the certificate is not valid yet: the clocks differ
	Expired    Reason = "expired"     // the certificate has expired
	Unknown    Reason = "unknown"     // the store does not have the node
	Replaced   Reason = "replaced"    // the node has another key by now
	Revoked    Reason = "revoked"     // the node was revoked
	Self       Reason = "self"        // the node has connected to itself
	NoAccess   Reason = "no-access"   // something that this role or these labels may not

	BadToken     Reason = "token"         // the store does not take the token; more is told to nobody who has not its secret
	ExpiredToken Reason = "token-expired" // the token was not used in time
	UsedToken    Reason = "token-used"    // the token was used before
	OtherName    Reason = "token-name"    // the token is for another node
	NameTaken    Reason = "name-taken"    // a node of that name is in the store
)

// Refusal says why somebody was refused, and what to do. It may be told to who was refused.
type Refusal struct {
	Reason  Reason `json:"reason"`
	Message string `json:"message"`
	Mend    string `json:"mend,omitempty"`

	// Detail is more about it, for the log of who refused, and for nobody else.
	Detail string `json:"-"`
}

func (r *Refusal) Error() string { return r.Message }

// Hint says what to do.
func (r *Refusal) Hint() string { return r.Mend }

func refuse(reason Reason, mend, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Message: fmt.Sprintf(format, args...), Mend: mend}
}

// Error is an error of an operator, with what to do.
type Error struct {
	Err  error
	hint string
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *Error) Hint() string { return e.hint }

func wrong(hint, format string, args ...any) *Error {
	return &Error{fmt.Errorf(format, args...), hint}
}
