package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

// enter takes one of a number of places, or returns that all are taken. What it returns is called to leave again.
func (s *Server) enter(places chan struct{}, what string) (leave func(), p *Problem) {
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	default:
		s.metrics.limits.With(what).Inc()
		return nil, problemBusy.with(fmt.Sprintf("%d %s are in work", cap(places), what), "try again")
	}
}

// refusals are the problems of what a [SettingsStore] refuses.
var refusals = [...]Problem{
	Conflict: problemConflict, Owner: problemOwner, Absent: problemAbsent, Full: problemFull, Unreachable: problemRoot, Unknown: problemUnknown, Another: problemBody, Shrinks: problemShrink,
}

// refusal is the problem of an error of a [SettingsStore].
func refusal(otherwise Problem, ctx context.Context, err error) *Problem {
	var r *Refusal
	if !errors.As(err, &r) || int(r.Why) >= len(refusals) {
		return failure(otherwise, ctx, err)
	}
	p := refusals[r.Why].of(err)
	if r.Why == Unknown {
		p.Commit = r.Commit
		if p.Hint == "" {
			p.Hint = "ananas history tells when the root answers again: if commit " + r.Commit + " is there, it was made; repeat it only if it is not"
		}
	}
	return p
}

// These say what is wrong with a text of a request.
var (
	errLong  = errors.New("is too long")
	errPrint = errors.New("has characters that are not printable")
)

// checkText holds a text that others will read against a length in octets.
func checkText(text string, most int) error {
	switch {
	case len(text) > most:
		return fmt.Errorf("%w: %d octets, more than %d", errLong, len(text), most)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }):
		return errPrint
	}
	return nil
}

// signed checks who says why, and puts the address that he asks from behind his name if it is another machine's.
func signed(r *http.Request, author *string, reason string) *Problem {
	if *author == "" {
		*author = "somebody"
	}
	if !fromLoopback(r) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			host = r.RemoteAddr
		}
		*author += " at " + host
	}
	if err := checkText(*author, MaxAuthor); err != nil {
		return problemBody.with("author "+err.Error(), "it is a name")
	}
	if err := checkText(reason, MaxReason); err != nil {
		return problemBody.with("reason "+err.Error(), "say it in a line")
	}
	return nil
}

// checkNow refuses what goes to all nodes at once without a reason.
func checkNow(now bool, reason string) *Problem {
	if now && strings.TrimSpace(reason) == "" {
		return problemBody.with("reason is missing", "a change to all nodes at once, past the waves, says why: it is marked in the history")
	}
	return nil
}

func (s *Server) apply(w http.ResponseWriter, r *http.Request) *Problem {
	if s.config.Settings == nil {
		return problemMissing.with("apply", "")
	}
	leave, p := s.enter(s.applies, "applies")
	if p != nil {
		return p
	}
	defer leave()
	var a Apply
	if p := s.readBody(w, r, &a); p != nil {
		return p
	}
	if p := checkRemove(a.Remove); p != nil {
		return p
	}
	if len(a.Files) > 0 || len(a.Remove) == 0 {
		if p := checkFiles(a.Files); p != nil {
			return p
		}
	}
	if p := signed(r, &a.Author, a.Reason); p != nil {
		return p
	}
	if p := checkNow(a.Now && !a.Dry, a.Reason); p != nil {
		return p
	}
	done, err := s.config.Settings.Apply(r.Context(), a)
	return s.applied(w, r, done, err)
}

// checkRemove holds the keys that an apply removes against the limits.
func checkRemove(keys []string) *Problem {
	if len(keys) > MaxApplyRemove {
		return problemBody.with(fmt.Sprintf("%d keys to be removed, more than %d", len(keys), MaxApplyRemove), "remove them in several changes")
	}
	for _, k := range keys {
		if k == "" || strings.HasPrefix(k, "~") {
			return problemBody.with(fmt.Sprintf("remove has %q, which is no key of settings", k), "ananas ls shows those that there are")
		}
	}
	return nil
}

// checkFiles holds the files of an apply against the limits.
func checkFiles(files []SettingsFile) *Problem {
	switch {
	case len(files) == 0:
		return problemBody.with("files is missing", `{"files": [{"name": "ananas.yaml", "text": "settings: ..."}]}`)
	case len(files) > MaxApplyFiles:
		return problemBody.with(fmt.Sprintf("there are %d files, more than %d", len(files), MaxApplyFiles), "put them together")
	}
	size := 0
	for i, f := range files {
		if f.Name == "" {
			return problemBody.with(fmt.Sprintf("files[%d] has no name", i), "errors are told with it")
		}
		size += len(f.Text)
	}
	if size > MaxApplyText {
		return problemBodySize.with(fmt.Sprintf("the text of the files has %d bytes, more than %d", size, MaxApplyText), "apply them one after the other")
	}
	return nil
}

func (s *Server) rollback(w http.ResponseWriter, r *http.Request) *Problem {
	if s.config.Settings == nil {
		return problemMissing.with("rollback", "")
	}
	leave, p := s.enter(s.applies, "applies")
	if p != nil {
		return p
	}
	defer leave()
	var b Rollback
	if p := s.readBody(w, r, &b); p != nil {
		return p
	}
	if b.Version == 0 {
		return problemBody.with("version is missing", "/api/v1/settings/history has the versions")
	}
	if p := signed(r, &b.Author, b.Reason); p != nil {
		return p
	}
	if p := checkNow(b.Now && !b.Dry, b.Reason); p != nil {
		return p
	}
	done, err := s.config.Settings.Rollback(r.Context(), b)
	return s.applied(w, r, done, err)
}

func (s *Server) applied(w http.ResponseWriter, r *http.Request, done Applied, err error) *Problem {
	if err != nil {
		return refusal(problemSettings, r.Context(), err)
	}
	listed(&done.Changes)
	listed(&done.Warnings)
	writeJSON(w, http.StatusOK, done)
	return nil
}

// listed makes a list that is nil one without elements: JSON would have null.
func listed[T any](list *[]T) {
	if *list == nil {
		*list = []T{}
	}
}
