package dnssec

import (
	"fmt"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// Result is what a check came to.
type Result struct {
	// Security is Secure, Insecure or Bogus.
	Security cache.Security

	// Limit is the limit that kept a Bogus from being anything better. It is our limit and not the zone's fault.
	Limit Limit

	// EDE says why the result is not Secure, and names the record at fault. The zero EDE, code and text, is none: an
	// opt-out span is insecure, and nobody's fault.
	EDE dns.EDE

	// Zone is whose keys were used, in lower case.
	Zone dns.Name

	// Wildcard, if it is a name, is the closest encloser of an RRset that was expanded from the wildcard one label below it. Such a set is
	// secure only together with the proof that no closer name exists: [Denial.Expanded].
	Wildcard dns.Name

	// Until is when the signatures that were relied on end; the zero time if none was, or if time was not checked.
	Until time.Time

	// Since is when the signature that verified an RRset begins; the zero time if time was not checked. Its signer knew that time, so it has passed.
	Since time.Time

	// TTL is for how many seconds what was checked may be kept, counted from the time of the check (RFC 4035 section 5.3.3).
	TTL uint32

	// Algorithm and KeyTag name the signature that verified an RRset.
	Algorithm Algorithm
	KeyTag    uint16
}

// Secure tells whether the result is.
func (r Result) Secure() bool { return r.Security == cache.Secure }

// maxText is the length of an EDE text in octets: twice a name of 255 octets in its longest form, with a sentence around, would be
// 2,100 and not fit beside an answer of 1,232.
const maxText = 400

// text is for an EDE.
func text(format string, args ...any) string {
	s := fmt.Sprintf(format, args...)
	if len(s) > maxText {
		s = s[:maxText-3] + "..."
	}
	return s
}

// bogus is a result with a reason.
func bogus(code dns.EDECode, format string, args ...any) Result {
	return Result{Security: cache.Bogus, EDE: dns.EDE{Code: code, Text: text(format, args...)}}
}

// insecure is a result with a reason.
func insecure(code dns.EDECode, format string, args ...any) Result {
	return Result{Security: cache.Insecure, EDE: dns.EDE{Code: code, Text: text(format, args...)}}
}

// exceeded is the result of a check that our own limit stopped. RFC 8914 has a code for one of them; for the others validation ended without a
// verdict, which is what code 5 says.
func exceeded(l Limit, format string, args ...any) Result {
	code := dns.EDEIndeterminate
	if l == LimitNSEC3Work {
		code = dns.EDENSEC3Iterations
	}
	r := bogus(code, format, args...)
	r.EDE.Text = text("%s (limit %v)", r.EDE.Text, l)
	r.Limit = l
	return r
}

// when writes a time of a signature as people read it.
func when(seconds int64) string { return time.Unix(seconds, 0).UTC().Format(time.RFC3339) }
