// Package client is the command line's end of the admin API: it finds the node and its token, asks, and turns what goes wrong
// into an error with a hint.
//
// Start with [New]. The bodies are the types of package admin. A token from the data folder is sent only to this machine; see
// [Options].
package client

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/dns"
)

const (
	// DefaultData is the data folder if the settings name none.
	DefaultData = "./ananas-data"

	dialTimeout     = 5 * time.Second   // to a node on the other side of the world, with two lost packets
	requestTimeout  = 60 * time.Second  // more than the node gives itself
	explainTimeout  = 120 * time.Second // likewise
	maxAnswerBytes  = 64 << 20          // a list of MaxCacheLimit entries with records of some KiB each
	maxProblemBytes = 64 << 10
	maxLineBytes    = 1 << 20 // of an explain; a line holds one message at most, 64 KiB on the wire
)

// Options say which node to ask and with which token. The zero value asks the node on this machine.
type Options struct {
	Node   string              // URL or HOST:PORT; "": $ANANAS_NODE, else 127.0.0.1:8053
	Token  string              // "": $ANANAS_TOKEN, else the file admin.token in Data, if the node is on this machine
	Data   string              // the data folder; "": DefaultData
	Getenv func(string) string // nil: os.Getenv
}

// Client asks one node. Its methods may be called from any goroutine.
type Client struct {
	base  *url.URL
	local bool // the node is on this machine
	token string
	// tokenErr is why there is no token. It matters only if the node wants one.
	tokenErr error
	http     *http.Client
}

// Error is a question to a node that was not answered as asked.
type Error struct {
	Node string // URL
	Err  error  // an *admin.Problem if the node refused
	hint string
}

func (e *Error) Error() string { return fmt.Sprintf("asking the node at %s: %v", e.Node, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// Hint says what to do; it may be empty.
func (e *Error) Hint() string { return e.hint }

// New returns a client. It asks nothing yet.
func New(o Options) (*Client, error) {
	getenv := o.Getenv
	if getenv == nil {
		getenv = os.Getenv
	}
	node := cmp.Or(o.Node, getenv("ANANAS_NODE"), admin.DefaultAddress)
	base, err := parseNode(node)
	if err != nil {
		return nil, &Error{strconv.Quote(node), err, "a node is named as http://127.0.0.1:8053 or 127.0.0.1:8053"}
	}
	c := &Client{base: base, local: onThisMachine(base.Hostname())}
	c.token = cmp.Or(o.Token, getenv("ANANAS_TOKEN"))
	switch {
	case c.token != "":
	case c.local:
		c.token, c.tokenErr = admin.ReadToken(cmp.Or(o.Data, DefaultData))
	default:
		// The token in the data folder here is that of the node here: it is nobody else's business.
		c.tokenErr = errors.New("no token is given for a node on another machine")
	}
	c.http = &http.Client{
		Transport: &http.Transport{
			// No proxy: it would see the token.
			DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
			MaxResponseHeaderBytes: 64 << 10,
			ExpectContinueTimeout:  dialTimeout,
		},
		// A redirect would carry the token to who knows where; this API has none.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// Close gives the connections back.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Node returns the URL that is asked.
func (c *Client) Node() string { return c.base.String() }

func parseNode(node string) (*url.URL, error) {
	if !strings.Contains(node, "://") {
		node = "http://" + node
	}
	u, err := url.Parse(node)
	if err != nil {
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err // without the text, which the caller names
		}
		return nil, err
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("the scheme is %q, not http or https", u.Scheme)
	case u.Hostname() == "":
		return nil, errors.New("there is no host")
	case !validPort(u.Port()):
		return nil, fmt.Errorf("the port is %s, not 1 to 65535", u.Port())
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("there is more than a scheme, a host, a port and a path")
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}

// validPort tells whether a port can be asked; "" is that of the scheme.
func validPort(port string) bool {
	if port == "" {
		return true
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n != 0
}

// onThisMachine tells whether a host is certainly this machine: localhost, a loopback address or one of our interfaces.
func onThisMachine(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	ip = ip.Unmap()
	if ip.IsLoopback() {
		return true
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr() == ip.WithZone("") {
			return true
		}
	}
	return false
}

// Status returns how the node is.
func (c *Client) Status(ctx context.Context) (s admin.Status, err error) {
	return s, c.ask(ctx, http.MethodGet, "/api/v1/status", nil, nil, &s)
}

// Reload has the node read its settings again.
func (c *Client) Reload(ctx context.Context) (r admin.Reloaded, err error) {
	return r, c.ask(ctx, http.MethodPost, "/api/v1/reload", nil, nil, &r)
}

// ListCache lists what is cached. Limit 0 takes the node's default.
func (c *Client) ListCache(ctx context.Context, q admin.CacheQuery) (l admin.CacheList, err error) {
	params := url.Values{"name": {q.Name.String()}, "subtree": {strconv.FormatBool(q.Subtree)}}
	if q.Limit != 0 {
		params.Set("limit", strconv.Itoa(q.Limit))
	}
	return l, c.ask(ctx, http.MethodGet, "/api/v1/cache", params, nil, &l)
}

// ListSamples returns samples of the queries that clients ask. Limit 0 takes the node's default.
func (c *Client) ListSamples(ctx context.Context, q admin.SampleQuery) (l admin.SampleList, err error) {
	params := url.Values{"name": {q.Name.String()}}
	if q.Client.IsValid() {
		params.Set("client", q.Client.String())
	}
	if q.From != "" {
		params.Set("from", q.From)
	}
	if q.Limit != 0 {
		params.Set("limit", strconv.Itoa(q.Limit))
	}
	return l, c.ask(ctx, http.MethodGet, "/api/v1/queries", params, nil, &l)
}

// Purge takes a name or a subtree out of the cache.
func (c *Client) Purge(ctx context.Context, p admin.Purge) (done admin.Purged, err error) {
	return done, c.ask(ctx, http.MethodPost, "/api/v1/cache/purge", nil, p, &done)
}

// Explain resolves a name and hands every step to event as it happens; an error from it ends the explain. Depth 0 tells all.
func (c *Client) Explain(ctx context.Context, r admin.ExplainRequest, depth int, event func(admin.Event) error) (admin.ExplainAnswer, error) {
	params := url.Values{"name": {r.Name.String()}, "fresh": {strconv.FormatBool(r.Fresh)}}
	if r.Type != dns.TypeNone {
		params.Set("type", r.Type.String())
	}
	if r.Client.IsValid() {
		params.Set("client", r.Client.String())
	}
	if depth != 0 {
		params.Set("depth", strconv.Itoa(depth))
	}
	ctx, cancel := context.WithTimeout(ctx, explainTimeout)
	defer cancel()
	response, err := c.send(ctx, http.MethodGet, "/api/v1/explain", params, nil)
	if err != nil {
		return admin.ExplainAnswer{}, err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxLineBytes)
	for lines.Scan() {
		var l struct {
			admin.Event
			Answer  *admin.ExplainAnswer `json:"answer"`
			Problem *admin.Problem       `json:"problem"`
		}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			if cut := cmp.Or(ctx.Err(), lines.Err()); cut != nil { // then the last line is what there was of it
				return admin.ExplainAnswer{}, c.broken(cut)
			}
			return admin.ExplainAnswer{}, c.strange(err)
		}
		switch {
		case l.Answer != nil:
			return *l.Answer, nil
		case l.Problem != nil:
			return admin.ExplainAnswer{}, c.wrap(l.Problem, l.Problem.Hint)
		}
		if err := event(l.Event); err != nil {
			return admin.ExplainAnswer{}, err
		}
	}
	err = cmp.Or(ctx.Err(), lines.Err(), io.ErrUnexpectedEOF)
	if errors.Is(err, bufio.ErrTooLong) {
		return admin.ExplainAnswer{}, c.strange(err)
	}
	return admin.ExplainAnswer{}, c.broken(err)
}

// ask sends a request and reads the JSON answer into v.
func (c *Client) ask(ctx context.Context, method, path string, params url.Values, body, v any) error {
	return c.askWithin(ctx, requestTimeout, method, path, params, body, v)
}

func (c *Client) askWithin(ctx context.Context, timeout time.Duration, method, path string, params url.Values, body, v any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	response, err := c.send(ctx, method, path, params, body)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return c.broken(err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return c.strange(err)
	}
	return nil
}

// send returns a response with a status of success, or the error of another one.
func (c *Client) send(ctx context.Context, method, path string, params url.Values, body any) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, c.wrap(fmt.Errorf("encoding the request: %w", err), "")
		}
		content = bytes.NewReader(b)
	}
	return c.sendBody(ctx, method, path, params, content)
}

// sendBody is send with a body of JSON that may be written while the response is read.
func (c *Client) sendBody(ctx context.Context, method, path string, params url.Values, content io.Reader) (*http.Response, error) {
	target := *c.base
	target.Path += path
	target.RawQuery = params.Encode()
	r, err := http.NewRequestWithContext(ctx, method, target.String(), content)
	if err != nil {
		return nil, c.wrap(err, "")
	}
	if content != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(r)
	if err != nil {
		return nil, c.broken(err)
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer response.Body.Close()
	return nil, c.refused(response)
}

// refused is the error of a response that is no success.
func (c *Client) refused(r *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(r.Body, maxProblemBytes))
	if err != nil {
		return c.broken(err)
	}
	var p admin.Problem
	if err := json.Unmarshal(text, &p); err != nil || !strings.HasPrefix(p.Type, admin.ProblemPrefix) {
		return c.wrap(fmt.Errorf("it answers HTTP %s", r.Status), "is that the admin address of an Ananas node?")
	}
	hint := p.Hint
	if p.Status == http.StatusUnauthorized {
		hint = c.tokenHint()
	}
	return c.wrap(&p, hint)
}

// tokenHint says how to come by the token, from what was tried.
func (c *Client) tokenHint() string {
	var unusable *admin.TokenError
	switch {
	case c.token != "":
		return "the token is that of another node or an older one; the right one is admin.token in the node's data folder"
	case !c.local:
		return "the node is on another machine: put the content of admin.token in its data folder into $ANANAS_TOKEN"
	case errors.Is(c.tokenErr, fs.ErrNotExist):
		return fmt.Sprintf("%v; name the node's data folder, or put the token into $ANANAS_TOKEN", c.tokenErr)
	case errors.As(c.tokenErr, &unusable):
		return fmt.Sprintf("%v; %s", c.tokenErr, unusable.Hint())
	}
	return fmt.Sprint(c.tokenErr)
}

// broken is the error of a connection that was not made or did not hold.
func (c *Client) broken(err error) error {
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err // without method and URL, which c.wrap names
	}
	hint := ""
	var timeout net.Error
	var lookup *net.DNSError
	switch {
	case errors.Is(err, context.Canceled):
	case errors.Is(err, syscall.ECONNREFUSED):
		hint = "is it running? ananas serve starts one; another is named with --node or $ANANAS_NODE"
	case errors.Is(err, http.ErrSchemeMismatch):
		hint = "a node speaks plain HTTP: name it as http://; https is for a proxy in front of it"
	case errors.As(err, &lookup):
		hint = "name the node by its address"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		hint = "it does not answer in time; is the address right, and nothing in between that drops packets?"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		hint = "the connection ended in the middle; was the node stopped (its log says more), or is this not its admin address (node.listen.admin)?"
	}
	return c.wrap(err, hint)
}

// strange is the error of an answer that arrived whole and says nothing to us.
func (c *Client) strange(err error) error {
	return c.wrap(fmt.Errorf("reading its answer: %w", err), "is that the admin address of an Ananas node, of the same version as this command?")
}

func (c *Client) wrap(err error, hint string) error { return &Error{c.Node(), err, hint} }
