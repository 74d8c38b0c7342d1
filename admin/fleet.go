package admin

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// snapshot streams the whole store as one file. An error after the first octet cuts the connection off: half a file must not look like one.
func (s *Server) snapshot(w http.ResponseWriter, r *http.Request) *Problem {
	if s.config.Settings == nil {
		return problemMissing.with("snapshot", "")
	}
	leave, p := s.enter(s.dumps, "snapshots")
	if p != nil {
		return p
	}
	defer leave()
	if err := s.config.Settings.SaveSnapshot(r.Context(), &dump{w: w, control: http.NewResponseController(w)}); err != nil {
		return refusal(problemFailed, r.Context(), err)
	}
	return nil
}

// dump is a file as an answer. It waits for a slow reader at most writeTimeout.
type dump struct {
	w       http.ResponseWriter
	control *http.ResponseController
	begun   bool
}

func (d *dump) Write(b []byte) (int, error) {
	if !d.begun {
		d.begun = true
		d.w.Header().Set("Content-Type", "application/octet-stream")
	}
	d.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	n, err := d.w.Write(b)
	if err != nil {
		return n, fmt.Errorf("sending the snapshot: %w", err)
	}
	return n, nil
}

func (s *Server) rollouts(w http.ResponseWriter, r *http.Request) *Problem {
	if s.config.Settings == nil {
		return problemMissing.with("rollouts", "")
	}
	id, p := keyParam(r.URL.Query(), "id")
	if p != nil {
		return p
	}
	all, err := s.config.Settings.Rollouts(r.Context(), id)
	if err != nil {
		return refusal(problemFailed, r.Context(), err)
	}
	if id != "" && len(all) == 0 {
		return problemAbsent.with("rollout "+quote(id), "/api/v1/rollouts lists those that are open and the last that ended")
	}
	listed(&all)
	for i := range all {
		all[i].complete()
	}
	writeJSON(w, http.StatusOK, RolloutList{Rollouts: all, Now: s.now()})
	return nil
}

// complete makes lists of what is nil.
func (r *Rollout) complete() {
	listed(&r.Waves)
	listed(&r.Evidence)
	listed(&r.Keys)
	for i := range r.Waves {
		listed(&r.Waves[i].Named)
	}
}

// Steers are the actions of a [Steer].
var Steers = [...]string{"pause", "resume", "abort", "promote"}

func (s *Server) steer(w http.ResponseWriter, r *http.Request) *Problem {
	if s.config.Settings == nil {
		return problemMissing.with("rollouts", "")
	}
	var b Steer
	if p := s.readBody(w, r, &b); p != nil {
		return p
	}
	if b.ID == "" {
		return problemBody.with("id is missing", "/api/v1/rollouts has the ids")
	}
	if !slices.Contains(Steers[:], b.Action) {
		return problemBody.with("action is "+quote(b.Action), "it is one of "+strings.Join(Steers[:], ", "))
	}
	if p := signed(r, &b.Author, b.Reason); p != nil {
		return p
	}
	rollout, err := s.config.Settings.Steer(r.Context(), b)
	if err != nil {
		return refusal(problemFailed, r.Context(), err)
	}
	rollout.complete()
	writeJSON(w, http.StatusOK, rollout)
	return nil
}

func (s *Server) root(w http.ResponseWriter, r *http.Request) *Problem {
	if s.config.Settings == nil {
		return problemMissing.with("root", "")
	}
	root, err := s.config.Settings.Root(r.Context())
	if err != nil {
		return refusal(problemFailed, r.Context(), err)
	}
	listed(&root.Members)
	listed(&root.Nodes)
	listed(&root.Tokens)
	for i := range root.Nodes {
		root.Nodes[i].complete()
	}
	for i := range root.Tokens {
		labelled(&root.Tokens[i].Labels)
	}
	root.Now = s.now()
	writeJSON(w, http.StatusOK, root)
	return nil
}

func (n *Node) complete() {
	listed(&n.Sets)
	labelled(&n.Labels)
}

func labelled(labels *map[string]string) {
	if *labels == nil {
		*labels = map[string]string{}
	}
}

func (s *Server) rootToken(w http.ResponseWriter, r *http.Request) *Problem {
	if s.config.Settings == nil {
		return problemMissing.with("root", "")
	}
	var b NewToken
	if p := s.readBody(w, r, &b); p != nil {
		return p
	}
	switch {
	case len(b.Labels) > MaxLabels:
		return problemBody.with(fmt.Sprintf("there are %d labels, more than %d", len(b.Labels), MaxLabels), "")
	case b.TTLMS < 0:
		return problemBody.with(fmt.Sprintf("ttl_ms is %d", b.TTLMS), "it is how long the token can be used, in milliseconds; 0 is an hour")
	}
	if p := signed(r, &b.Author, ""); p != nil {
		return p
	}
	token, err := s.config.Settings.NewToken(r.Context(), b)
	if err != nil {
		return refusal(problemFailed, r.Context(), err)
	}
	listed(&token.Addresses)
	writeJSON(w, http.StatusOK, token)
	return nil
}

func (s *Server) rootWithdraw(w http.ResponseWriter, r *http.Request) *Problem {
	if s.config.Settings == nil {
		return problemMissing.with("root", "")
	}
	var b WithdrawToken
	if p := s.readBody(w, r, &b); p != nil {
		return p
	}
	if b.ID == "" {
		return problemBody.with("id is missing", "/api/v1/root has the ids of the tokens")
	}
	if p := signed(r, &b.Author, b.Reason); p != nil {
		return p
	}
	token, err := s.config.Settings.WithdrawToken(r.Context(), b)
	if err != nil {
		return refusal(problemFailed, r.Context(), err)
	}
	labelled(&token.Labels)
	writeJSON(w, http.StatusOK, token)
	return nil
}

func (s *Server) rootRemove(w http.ResponseWriter, r *http.Request) *Problem {
	if s.config.Settings == nil {
		return problemMissing.with("root", "")
	}
	var b RemoveNode
	if p := s.readBody(w, r, &b); p != nil {
		return p
	}
	if b.Name == "" {
		return problemBody.with("name is missing", "/api/v1/root has the names of the nodes")
	}
	if p := signed(r, &b.Author, b.Reason); p != nil {
		return p
	}
	node, err := s.config.Settings.RemoveNode(r.Context(), b)
	if err != nil {
		return refusal(problemFailed, r.Context(), err)
	}
	node.complete()
	writeJSON(w, http.StatusOK, node)
	return nil
}

func (s *Server) rootAccess(w http.ResponseWriter, r *http.Request) *Problem {
	if s.config.Settings == nil {
		return problemMissing.with("root", "")
	}
	a, err := s.config.Settings.Access(r.Context())
	return s.accessed(w, r, a, err)
}

func (s *Server) rootSetAccess(w http.ResponseWriter, r *http.Request) *Problem {
	if s.config.Settings == nil {
		return problemMissing.with("root", "")
	}
	var b Access
	if p := s.readBody(w, r, &b); p != nil {
		return p
	}
	if p := signed(r, &b.Author, b.Reason); p != nil {
		return p
	}
	a, err := s.config.Settings.SetAccess(r.Context(), b)
	return s.accessed(w, r, a, err)
}

// accessed answers with the rules.
func (s *Server) accessed(w http.ResponseWriter, r *http.Request, a Access, err error) *Problem {
	if err != nil {
		return refusal(problemFailed, r.Context(), err)
	}
	a.Author, a.Reason, a.Dry = "", "", false
	listed(&a.Rules)
	for i := range a.Rules {
		if a.Rules[i].Labels == nil {
			a.Rules[i].Labels = map[string]string{}
		}
		listed(&a.Rules[i].Read)
	}
	writeJSON(w, http.StatusOK, a)
	return nil
}
