package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// access decides who may do what. It looks at nothing but the request's head.
type access struct {
	token [sha256.Size]byte // its hash, so that the comparison tells nothing of its length
	host  string            // the configured host in canonical form; "" if all addresses are listened on
}

// snapshotPath is the one path whose answer has secrets: reading it needs the token from everywhere.
const snapshotPath = "/api/v1/snapshot"

// explainPath is the path of explains. As another client than this machine only those may ask who have the token: what is told is that client's affair.
const explainPath = "/api/v1/explain"

// check returns why the request is refused, or nil.
func (a *access) check(r *http.Request) *Problem {
	if !a.knowsHost(r) {
		return problemHost.with("the Host header is "+quote(r.Host),
			"ask by 127.0.0.1, localhost or the address in node.listen.admin; from elsewhere, ssh -L forwards a port to there")
	}
	if p := checkOrigin(r); p != nil {
		return p
	}
	write := r.Method != http.MethodGet && r.Method != http.MethodHead
	secret := r.URL.Path == snapshotPath
	client := r.URL.Path == explainPath && r.URL.Query().Has("client")
	if !write && !secret && !client && fromLoopback(r) {
		return nil
	}
	why := "reading from outside loopback"
	switch {
	case client:
		why = "explaining as another client"
	case write:
		why = "changing something"
	case secret:
		why = "reading what has secrets in it"
	}
	const hint = "send the content of admin.token, a file in the node's data folder, as Authorization: Bearer TOKEN; the command line finds it there or in $ANANAS_TOKEN"
	given, ok := bearer(r)
	if !ok {
		return problemToken.with(why+" needs it", hint)
	}
	hash := sha256.Sum256([]byte(given))
	if subtle.ConstantTimeCompare(hash[:], a.token[:]) != 1 {
		return problemToken.with(why+" needs it, and the one given is another", hint)
	}
	return nil
}

// knowsHost tells whether the Host header is a name of this node. A web page can make a browser connect here under a name of
// its own (DNS rebinding), but it cannot choose the Host that the browser then sends. The port is left out: a forwarded port
// is another one.
func (a *access) knowsHost(r *http.Request) bool {
	host := canonicalHost(r.Host)
	if host == "" {
		return false
	}
	if host == "localhost" || host == a.host {
		return true
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	if ip.IsLoopback() {
		return true
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	to, err := netip.ParseAddrPort(local.String())
	return err == nil && to.Addr().Unmap().WithZone("") == ip
}

// canonicalHost returns the host of "host", "host:port", "[v6]" or "[v6]:port" in lower case without final dot, an address in
// its shortest form; "" if it is none.
func canonicalHost(hostport string) string {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	} else if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().WithZone("").String()
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// checkOrigin refuses what another web site makes a browser send. A browser adds Origin to all but plain reads, and
// Sec-Fetch-Site to everything; what is no browser sends neither.
func checkOrigin(r *http.Request) *Problem {
	for _, origin := range r.Header.Values("Origin") {
		if !sameOrigin(origin, r.Host) {
			return problemOrigin.with("the Origin header is "+quote(origin)+", the Host is "+quote(r.Host),
				"open the console under the address that you ask, without a page of another site between")
		}
	}
	site := r.Header.Get("Sec-Fetch-Site")
	if site == "" || site == "same-origin" || site == "none" {
		return nil
	}
	if r.URL.Path == "/" && r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" {
		return nil // a link to the console; it shows, and starts nothing
	}
	return problemOrigin.with("the Sec-Fetch-Site header is "+quote(site), "open the address itself, not from a page of another site")
}

// sameOrigin tells whether an origin (RFC 6454 section 6.2) is that of pages from this host and port.
func sameOrigin(origin, host string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return false
	}
	port := ""
	switch u.Scheme {
	case "http":
		port = "80"
	case "https": // of a proxy in front
		port = "443"
	default:
		return false
	}
	return canonicalHost(u.Host) == canonicalHost(host) && portOf(u.Host, port) == portOf(host, port)
}

func portOf(hostport, otherwise string) string {
	if _, port, err := net.SplitHostPort(hostport); err == nil && port != "" {
		return port
	}
	return otherwise
}

// forwarded are the headers by which a proxy says that it passes on what somebody else asks.
var forwarded = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"}

// fromLoopback tells whether the request was made on this machine. What a proxy on this machine passes on was not.
func fromLoopback(r *http.Request) bool {
	for _, h := range forwarded {
		if len(r.Header.Values(h)) > 0 {
			return false
		}
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && from.Addr().Unmap().IsLoopback()
}

// bearer returns the token of the Authorization header, RFC 6750 section 2.1. More than one header is none.
func bearer(r *http.Request) (string, bool) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "bearer") {
		return "", false
	}
	return strings.TrimLeft(token, " "), true
}
