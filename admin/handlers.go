package admin

import (
	"context"
	_ "embed"
	"errors"
	"net/http"
	"net/netip"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/telemetry"
)

//go:embed openapi.yaml
var openapiFile []byte

func (s *Server) openapi(w http.ResponseWriter, _ *http.Request) *Problem {
	w.Header().Set("Content-Type", "application/yaml")
	w.Write(openapiFile)
	return nil
}

// healthz says that the process lives and answers; it looks at nothing else, so that nobody restarts a node for what a
// restart does not mend.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) *Problem {
	writeJSON(w, http.StatusOK, Alive{Alive: true})
	return nil
}

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) *Problem {
	report := s.health()
	status := http.StatusOK
	if !report.Ready {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, report)
	return nil
}

func (s *Server) health() telemetry.HealthReport {
	if s.config.Health == nil {
		return telemetry.NewHealth().Report()
	}
	return s.config.Health.Report()
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) *Problem {
	status, p := s.readStatus(r.Context())
	if p != nil {
		return p
	}
	writeJSON(w, http.StatusOK, status)
	return nil
}

func (s *Server) readStatus(ctx context.Context) (Status, *Problem) {
	if s.config.Status == nil {
		return Status{}, problemMissing.with("status", "")
	}
	status := Status{
		NodeStatus: s.config.Status.Status(ctx),
		Now:        s.now(),
		Health:     s.health(),
		Crashes:    s.config.Crashes.List(),
	}
	listed(&status.Listeners)
	listed(&status.TrustAnchors)
	listed(&status.NegativeAnchors)
	if status.LocalRoot.State == "" {
		status.LocalRoot.State = "off"
	}
	listed(&status.Settings.Restart)
	listed(&status.Crashes)
	if status.Store.Role == "" {
		status.Store.Role, status.Store.AgeMS = "file", -1
	}
	listed(&status.Store.Sets)
	listed(&status.Store.Rollouts)
	return status, nil
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) *Problem {
	if s.config.Reloader == nil {
		return problemMissing.with("reload", "")
	}
	done, err := s.config.Reloader.Reload(r.Context())
	if err != nil {
		return failure(problemSettings, r.Context(), err)
	}
	for _, list := range []*[]string{&done.Changed, &done.Restart, &done.Warnings} {
		if *list == nil {
			*list = []string{}
		}
	}
	writeJSON(w, http.StatusOK, done)
	return nil
}

func (s *Server) cacheList(w http.ResponseWriter, r *http.Request) *Problem {
	if s.config.Cache == nil {
		return problemMissing.with("cache", "")
	}
	q := r.URL.Query()
	query := CacheQuery{Name: dns.Root, Subtree: true}
	if q.Has("name") {
		name, p := nameParam(q.Get("name"))
		if p != nil {
			return p
		}
		query.Name, query.Subtree = name, false
	}
	if q.Has("subtree") {
		subtree, p := boolParam(q, "subtree")
		if p != nil {
			return p
		}
		query.Subtree = subtree
	}
	limit, p := intParam(q, "limit", DefaultCacheLimit, 1, MaxCacheLimit)
	if p != nil {
		return p
	}
	query.Limit = limit
	list, err := s.config.Cache.ListCache(r.Context(), query)
	if err != nil {
		return failure(problemFailed, r.Context(), err)
	}
	if list.Entries == nil {
		list.Entries = []CacheEntry{}
	}
	writeJSON(w, http.StatusOK, list)
	return nil
}

func (s *Server) cachePurge(w http.ResponseWriter, r *http.Request) *Problem {
	if s.config.Cache == nil {
		return problemMissing.with("cache", "")
	}
	var body struct {
		Name    *string `json:"name"`
		Subtree bool    `json:"subtree"`
	}
	if p := s.readBody(w, r, &body); p != nil {
		return p
	}
	if body.Name == nil {
		return problemBody.with("name is missing", `the whole cache is {"name": ".", "subtree": true}`)
	}
	name, p := nameParam(*body.Name)
	if p != nil {
		return p
	}
	done, err := s.config.Cache.PurgeCache(r.Context(), Purge{Name: name, Subtree: body.Subtree})
	if err != nil {
		return failure(problemFailed, r.Context(), err)
	}
	if done.Kinds == nil {
		done.Kinds = map[string]int{}
	}
	writeJSON(w, http.StatusOK, done)
	return nil
}

func (s *Server) queries(w http.ResponseWriter, r *http.Request) *Problem {
	if s.config.Samples == nil {
		return problemMissing.with("queries", "")
	}
	q := r.URL.Query()
	query := SampleQuery{Name: dns.Root}
	var p *Problem
	if q.Has("name") {
		if query.Name, p = nameParam(q.Get("name")); p != nil {
			return p
		}
	}
	if q.Has("client") {
		var err error
		if query.Client, err = ParseClient(q.Get("client")); err != nil {
			return problemParameter.of(err)
		}
	}
	if q.Has("from") {
		var err error
		if query.From, err = ParseOrigins(q.Get("from")); err != nil {
			return problemParameter.of(err)
		}
	}
	if query.Limit, p = intParam(q, "limit", DefaultSampleLimit, 1, MaxSampleLimit); p != nil {
		return p
	}
	list, err := s.config.Samples.ListSamples(r.Context(), query)
	if err != nil {
		return failure(problemFailed, r.Context(), err)
	}
	if list.Now.IsZero() {
		list.Now = s.now()
	}
	if list.Samples == nil {
		list.Samples = []Sample{}
	}
	writeJSON(w, http.StatusOK, list)
	return nil
}

// ParseClient reads whose queries are meant: an address, or the prefix of a network. The error has a hint.
func ParseClient(text string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(text); err == nil && !p.Addr().Is4In6() {
		if p != p.Masked() {
			return netip.Prefix{}, hostBitsError{p}
		}
		return p, nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, clientError(text)
	}
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// hostBitsError is a prefix with bits behind its length, of which one is wrong.
type hostBitsError struct{ prefix netip.Prefix }

func (e hostBitsError) Error() string {
	return quote(e.prefix.String()) + " has bits behind its length"
}

// Hint says what to do.
func (e hostBitsError) Hint() string {
	return "write " + e.prefix.Masked().String() + " for the network, or " + e.prefix.Addr().String() + " for the address"
}

// clientError is a text that names no client.
type clientError string

func (e clientError) Error() string { return quote(string(e)) + " is neither an address nor a prefix" }

// Hint says what to do.
func (clientError) Hint() string {
	return "a client is written as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/48"
}

func nameParam(text string) (dns.Name, *Problem) {
	name, err := dns.ParseName(text)
	if err != nil {
		return dns.Name{}, problemParameter.with(err.Error(), "a name is written as www.example.com; the root is a single dot")
	}
	return name, nil
}

// failure is the problem of an error from the node: what it took too long for is told apart.
func failure(otherwise Problem, ctx context.Context, err error) *Problem {
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		return problemTimeout.of(err)
	}
	return otherwise.of(err)
}
