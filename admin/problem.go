package admin

import (
	"encoding/json"
	"errors"
	"net/http"
)

// Problem is the body of every error: RFC 9457, with a member hint.
type Problem struct {
	Type   string `json:"type"`   // urn:ananas:problem:<kind>
	Title  string `json:"title"`  // the same for every problem of the type
	Status int    `json:"status"` // HTTP status
	Detail string `json:"detail"` // this occurrence
	Hint   string `json:"hint"`   // what to do; may be ""

	Commit string `json:"commit,omitempty"` // of a change of which it is not known whether it was made: the id of its commit
}

// Error makes a Problem an error, for the code that meets one in an answer.
func (p *Problem) Error() string {
	if p.Detail == "" {
		return p.Title
	}
	return p.Title + ": " + p.Detail
}

// ProblemPrefix begins the type of every problem.
const ProblemPrefix = "urn:ananas:problem:"

// The kinds of problem. A kind is part of the API; it has one status and one title.
var (
	problemHost        = kind("host", http.StatusMisdirectedRequest, "the Host is not this node")
	problemOrigin      = kind("origin", http.StatusForbidden, "the request comes from another web site")
	problemToken       = kind("token", http.StatusUnauthorized, "a token is needed")
	problemPath        = kind("path", http.StatusNotFound, "there is nothing at this path")
	problemMethod      = kind("method", http.StatusMethodNotAllowed, "the path does not have this method")
	problemParameter   = kind("parameter", http.StatusBadRequest, "a parameter is wrong")
	problemBody        = kind("body", http.StatusBadRequest, "the body is wrong")
	problemBodySize    = kind("body-size", http.StatusRequestEntityTooLarge, "the body is too large")
	problemMedia       = kind("media-type", http.StatusUnsupportedMediaType, "the body is of another type than application/json")
	problemBusy        = kind("busy", http.StatusServiceUnavailable, "too much is asked at one time")
	problemMissing     = kind("missing", http.StatusNotImplemented, "this node does not offer that")
	problemSettings    = kind("settings", http.StatusUnprocessableEntity, "the settings were not taken; those from before still serve")
	problemFailed      = kind("failed", http.StatusInternalServerError, "the node could not do it")
	problemTimeout     = kind("timeout", http.StatusGatewayTimeout, "it took too long")
	problemCrash       = kind("crash", http.StatusInternalServerError, "the node has a fault")
	problemConflict    = kind("conflict", http.StatusConflict, "something else was changed in between")
	problemOwner       = kind("owner", http.StatusConflict, "the settings are not changed at this node")
	problemAbsent      = kind("absent", http.StatusNotFound, "there is no such thing in the store")
	problemFull        = kind("full", http.StatusInsufficientStorage, "there is no room in the store")
	problemRoot        = kind("root", http.StatusServiceUnavailable, "the root of the store can not be reached")
	problemUnknown     = kind("unknown", http.StatusGatewayTimeout, "it is not known whether the change was made")
	problemShrink      = kind("shrink", http.StatusUnprocessableEntity, "a data set would lose more than half of its entries")
	problemTrial       = kind("trial", http.StatusUnprocessableEntity, "the trial can not be made")
	problemTrialEnded  = kind("trial-ended", http.StatusUnprocessableEntity, "the trial was ended before its time") // in the last line of a stream
	problemUnexplained = kind("explain", http.StatusInternalServerError, "the resolution ended without an answer")
)

func kind(name string, status int, title string) Problem {
	return Problem{Type: ProblemPrefix + name, Title: title, Status: status}
}

// with returns the problem of this occurrence.
func (p Problem) with(detail, hint string) *Problem {
	p.Detail, p.Hint = detail, hint
	return &p
}

// of returns the problem with the text of an error, and its hint if it has one.
func (p Problem) of(err error) *Problem {
	var hinted interface{ Hint() string }
	hint := ""
	if errors.As(err, &hinted) {
		hint = hinted.Hint()
	}
	return p.with(err.Error(), hint)
}

func writeProblem(w http.ResponseWriter, p *Problem) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Del("Content-Length")
	switch p.Type {
	case problemToken.Type:
		h.Set("WWW-Authenticate", `Bearer realm="ananas"`)
	case problemBusy.Type:
		h.Set("Retry-After", "1")
	}
	body, err := json.Marshal(p)
	if err != nil { // strings and a number
		panic(err)
	}
	w.WriteHeader(p.Status)
	w.Write(append(body, '\n'))
}
