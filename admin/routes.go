package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/pprof"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// route is one path: its handlers by method, and the query parameters that it knows.
type route struct {
	get    handler
	post   handler
	put    handler
	params []string // of GET
	stream bool     // sets its own deadlines
	apply  bool     // has the body and the deadlines of an apply
	upload bool     // has the body of a blob, and sets its own deadlines
	bounds bool     // bounds its body itself
	always bool     // answered however much is in work
}

// handler answers a request, or returns why not. If it has written something by then, the connection is cut off, so that half an answer looks like none.
type handler func(w http.ResponseWriter, r *http.Request) *Problem

// pprofPath is the one path that stands for all below it.
const pprofPath = "/debug/pprof/"

// routing is the list of all that is served.
func (s *Server) routing() map[string]route {
	routes := map[string]route{
		"/":                   {get: s.index},
		"/healthz":            {get: s.healthz, always: true}, // a busy node is not to be restarted
		"/readyz":             {get: s.readyz},
		"/metrics":            {get: plain(s.config.Metrics.Handler())},
		"/openapi.yaml":       {get: s.openapi},
		"/api/v1/status":      {get: s.status},
		"/api/v1/reload":      {post: s.reload},
		"/api/v1/cache":       {get: s.cacheList, params: []string{"name", "subtree", "limit"}},
		"/api/v1/cache/purge": {post: s.cachePurge},
		"/api/v1/queries":     {get: s.queries, params: []string{"name", "client", "from", "limit"}},
		"/api/v1/modules":     {get: s.modules},
		"/api/v1/modules/log": {get: s.moduleLog, params: []string{"name", "after"}},
		"/api/v1/modules/try": {post: s.moduleTry, stream: true, bounds: true},
		explainPath:           {get: s.explain, params: []string{"name", "type", "fresh", "depth", "client"}, stream: true},

		"/api/v1/apply":            {post: s.apply, apply: true},
		blobPath:                   {get: s.blob, put: s.putBlob, upload: true},
		contentPath:                {get: s.blobContent, stream: true},
		"/api/v1/rollback":         {post: s.rollback, apply: true},
		"/api/v1/settings":         {get: s.settingsList, params: []string{"prefix", "version", "limit", "after", "system", "held"}},
		"/api/v1/settings/diff":    {get: s.settingsDiff, params: []string{"from", "to", "prefix"}},
		"/api/v1/settings/history": {get: s.settingsHistory, params: []string{"before", "key", "limit", "settings", "without"}},
		"/api/v1/settings/watch":   {get: s.settingsWatch, params: []string{"after"}, stream: true},
		snapshotPath:               {get: s.snapshot, stream: true},
		"/api/v1/rollouts":         {get: s.rollouts, post: s.steer, params: []string{"id"}},
		"/api/v1/root":             {get: s.root},
		"/api/v1/root/token":       {post: s.rootToken},
		"/api/v1/root/withdraw":    {post: s.rootWithdraw},
		"/api/v1/root/remove":      {post: s.rootRemove},
		"/api/v1/root/access":      {get: s.rootAccess, post: s.rootSetAccess},
	}
	if s.config.Pprof {
		// It sets its own deadlines, and its parameters are its own.
		routes[pprofPath] = route{get: profile, stream: true}
	}
	return routes
}

func plain(h http.Handler) handler {
	return func(w http.ResponseWriter, r *http.Request) *Problem {
		h.ServeHTTP(w, r)
		return nil
	}
}

func profile(w http.ResponseWriter, r *http.Request) *Problem {
	switch strings.TrimPrefix(r.URL.Path, pprofPath) {
	case "cmdline":
		pprof.Cmdline(w, r)
	case "profile":
		pprof.Profile(w, r)
	case "symbol":
		pprof.Symbol(w, r)
	case "trace":
		pprof.Trace(w, r)
	default:
		pprof.Index(w, r)
	}
	return nil
}

// answerWriter remembers whether and how a request was answered.
type answerWriter struct {
	http.ResponseWriter
	status int
}

func (w *answerWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *answerWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController find the connection.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// ServeHTTP is the life of a request: refuse or let in, find the route, do it, and record.
func (s *Server) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w := &answerWriter{ResponseWriter: rw}
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")

	if r.ContentLength != 0 {
		// For the body only: a deadline that stands while we work would end the request as if the client had gone.
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(readTimeout))
	}
	if p := s.access.check(r); p != nil {
		rule := strings.TrimPrefix(p.Type, ProblemPrefix)
		s.metrics.refused.With(rule).Inc()
		s.log.Debug("refused an admin request", "rule", rule, "from", r.RemoteAddr, "method", r.Method, "path", r.URL.Path)
		h.Set("Connection", "close")
		writeProblem(w, p)
		return
	}
	// On the system's clock, like the deadlines of sockets: the node's may be set for a test.
	begun := time.Now()
	name, rt, p := s.find(r)
	abort := false
	defer func() {
		s.metrics.seconds.Observe(time.Since(begun))
		s.metrics.requests.With(name, strconv.Itoa(w.status)).Inc()
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			s.log.Info("admin request", "method", r.Method, "path", r.URL.Path, "status", w.status, "from", r.RemoteAddr)
		}
		if abort {
			panic(http.ErrAbortHandler)
		}
	}()
	if p != nil {
		writeProblem(w, p)
		return
	}
	if !rt.always {
		select {
		case s.requests <- struct{}{}:
			defer func() { <-s.requests }()
		default:
			s.metrics.limits.With("requests").Inc()
			writeProblem(w, problemBusy.with(fmt.Sprintf("%d requests are in work", MaxRequests), "try again"))
			return
		}
	}
	defer s.config.Crashes.Recover(
		func() string { return "answering the admin request " + r.Method + " " + r.URL.RequestURI() },
		func(signature string) {
			if w.status != 0 {
				abort = true // half an answer is out: the client must see that it is no whole one
				return
			}
			writeProblem(w, problemCrash.with("crash "+signature, "the report is crashes/"+signature+".txt in the node's data folder; please send it to us"))
		})
	body, timeout := int64(MaxBodyBytes), requestTimeout
	if rt.apply {
		body, timeout = MaxApplyBytes, applyTimeout
		control := http.NewResponseController(w) // a recorder in a test has no deadlines
		control.SetReadDeadline(time.Now().Add(applyTimeout))
		control.SetWriteDeadline(time.Now().Add(applyTimeout + writeTimeout))
	}
	upload := rt.upload && r.Method == http.MethodPut
	if upload {
		body = MaxBlobBytes
	}
	if !rt.stream && !upload {
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		r = r.WithContext(ctx)
	}
	if !rt.bounds {
		r.Body = http.MaxBytesReader(w, r.Body, body)
	}
	p = rt.handler(r.Method)(w, r)
	switch {
	case p == nil:
	case w.status != 0:
		abort = true
		s.log.Warn("an answer on the admin address was cut off", "path", r.URL.Path, "from", r.RemoteAddr, "error", p)
	default:
		writeProblem(w, p)
	}
}

// find returns the route of a request and its name for the metrics.
func (s *Server) find(r *http.Request) (name string, rt route, p *Problem) {
	name = r.URL.Path
	if strings.HasPrefix(name, pprofPath) {
		name = pprofPath
	}
	if strings.HasPrefix(name, blobPrefix) {
		name = blobRoute(name)
	}
	rt, ok := s.routes[name]
	if !ok {
		hint := "/openapi.yaml lists what there is"
		if name == pprofPath {
			hint = "profiles are served only where that is switched on"
		}
		return "unknown", rt, problemPath.with(quote(r.URL.Path), hint)
	}
	if rt.handler(r.Method) == nil {
		return name, rt, problemMethod.with(quote(r.Method), "it has "+strings.Join(rt.methods(), ", "))
	}
	if name == pprofPath {
		return name, rt, nil
	}
	if p := checkParams(r, rt.params); p != nil {
		return name, rt, p
	}
	return name, rt, nil
}

func (rt route) handler(method string) handler {
	switch method {
	case http.MethodGet, http.MethodHead:
		return rt.get
	case http.MethodPost:
		return rt.post
	case http.MethodPut:
		return rt.put
	}
	return nil
}

// methods returns the methods of the route.
func (rt route) methods() []string {
	var all []string
	if rt.get != nil {
		all = append(all, http.MethodGet)
	}
	if rt.post != nil {
		all = append(all, http.MethodPost)
	}
	if rt.put != nil {
		all = append(all, http.MethodPut)
	}
	return all
}

// checkParams refuses query parameters that are unknown, given twice or not escaped: a misspelt one that is ignored would
// purge or show something else than was meant.
func checkParams(r *http.Request, known []string) *Problem {
	hint := "this path takes no parameters"
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		known = nil
	}
	if len(known) > 0 {
		hint = "this path takes " + strings.Join(known, ", ")
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return problemParameter.with(err.Error(), hint)
	}
	for name, values := range q {
		if !slices.Contains(known, name) {
			return problemParameter.with("unknown parameter "+quote(name), hint)
		}
		if len(values) > 1 {
			return problemParameter.with("the parameter "+quote(name)+" is given twice", "give it once")
		}
	}
	return nil
}

// boolParam reads a parameter that is true or false; absent is false.
func boolParam(q url.Values, name string) (bool, *Problem) {
	switch v := q.Get(name); v {
	case "true":
		return true, nil
	case "false":
		return false, nil
	default:
		if !q.Has(name) {
			return false, nil
		}
		return false, problemParameter.with(name+" is "+quote(v), "it is true or false")
	}
}

// intParam reads a parameter that is a number from least to most.
func intParam(q url.Values, name string, absent, least, most int) (int, *Problem) {
	if !q.Has(name) {
		return absent, nil
	}
	n, err := strconv.Atoi(q.Get(name))
	if err != nil || n < least || n > most {
		return 0, problemParameter.with(name+" is "+quote(q.Get(name)), fmt.Sprintf("it is a number from %d to %d", least, most))
	}
	return n, nil
}

// readBody reads a JSON body into v: one value of known members and nothing after it.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request, v any) *Problem {
	if p := checkMedia(r); p != nil {
		return p
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, err = d.Token(); err == io.EOF {
			http.NewResponseController(w).SetReadDeadline(time.Time{})
			return nil
		}
		if err == nil {
			err = errors.New("something follows the JSON value")
		}
	}
	return s.wrongBody(err)
}

// wrongBody is the problem of a body that can't be read.
func (s *Server) wrongBody(err error) *Problem {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		s.metrics.limits.With("body").Inc()
		return problemBodySize.with(fmt.Sprintf("it is larger than %d bytes", tooLarge.Limit), "")
	case errors.Is(err, errQuota):
		s.metrics.limits.With("body").Inc()
		return problemBodySize.of(err)
	case err == io.EOF:
		err = errors.New("it is empty")
	}
	return problemBody.with(err.Error(), "/openapi.yaml describes it")
}

// writeJSON answers with a value that always can be encoded.
func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Errorf("encoding an answer: %w", err))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(b, '\n'))
}

// quote makes text of a client fit for an error: quoted, and not longer than a name in escaped form.
func quote(s string) string {
	const most = 1 << 10
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "..."
	}
	return strconv.QuoteToASCII(s)
}
