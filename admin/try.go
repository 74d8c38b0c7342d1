package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/nameserver/plugin/trial"
)

// Trial says what is tried in the shadow of what a node answers: the body of the request, or its beginning.
type Trial struct {
	trial.Request

	Seconds     float64 `json:"seconds,omitempty"`     // for how long the queries that the node answers are looked at; at most MaxTrialTime
	OneIn       int     `json:"one_in,omitempty"`      // of so many of them one is; 0: each
	Differences bool    `json:"differences,omitempty"` // each difference is told, beside the report
	Messages    bool    `json:"messages,omitempty"`    // the queries follow in the body, as many [TrialMessages] as it takes, in place of those that the node answers
}

// TrialMessages are queries of clients that another server has answered. In JSON they have MaxTrialBatch octets at most.
type TrialMessages struct {
	Messages []trial.Message `json:"messages"`
}

// TrialReport is what is known so far.
type TrialReport struct {
	trial.Report
	Seconds float64 `json:"seconds"`
}

// TrialLine is a line of the stream. The last one has End, with all that is known, or Problem, or both.
type TrialLine struct {
	Report     *TrialReport      `json:"report,omitempty"` // once a second, the first when both versions are ready
	Difference *trial.Difference `json:"difference,omitempty"`
	End        *TrialReport      `json:"end,omitempty"`
	Problem    *Problem          `json:"problem,omitempty"`
}

// moduleTry streams a trial. Until both versions are ready an error is a plain problem; after that it is in the last line.
func (s *Server) moduleTry(w http.ResponseWriter, r *http.Request) *Problem {
	if s.config.Modules == nil {
		return problemMissing.with("modules", "")
	}
	if p := checkMedia(r); p != nil {
		return p
	}
	leave, p := s.enter(s.trials, "trials")
	if p != nil {
		return p
	}
	defer leave()
	body := &quota{r: r.Body, left: MaxApplyBytes}
	control := http.NewResponseController(w)
	// Reports are sent while queries come. A recorder in a test can't, and has all of them at the start.
	if err := control.EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return problemFailed.of(err)
	}
	control.SetReadDeadline(time.Now().Add(applyTimeout))
	stream := &trying{lines: newLineWriter(w)}
	defer func() {
		if !stream.lines.begun { // a problem is told, however long the body and others that are compiled first have taken
			control.SetWriteDeadline(time.Now().Add(writeTimeout))
		}
	}()
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	var request Trial
	if err := d.Decode(&request); err != nil {
		return s.wrongBody(err)
	}
	if p := request.check(); p != nil {
		return p
	}
	if !request.Messages {
		if _, err := d.Token(); err != io.EOF {
			return problemBody.with("something follows the JSON value", "queries are sent with messages: true")
		}
		control.SetReadDeadline(time.Time{})
	} else {
		control.SetReadDeadline(time.Now().Add(MaxTrialTime))
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.closing, cancel)()

	end, err := s.config.Modules.TryModule(ctx, request, func() ([]trial.Message, error) {
		var m TrialMessages
		body.left = MaxTrialBatch
		err := d.Decode(&m)
		if err != nil && err != io.EOF {
			err = fmt.Errorf("reading the queries that are sent: %w", err)
		}
		return m.Messages, err
	}, stream.tell)
	switch {
	case s.closing.Err() != nil:
		p = problemFailed.with("the node is stopping", "")
	case err != nil && stream.lines.begun: // both versions were ready, and something was looked at
		p = problemTrialEnded.of(err)
	case err != nil:
		p = problemTrial.of(err)
	}
	if !stream.lines.begun {
		return p
	}
	listed(&end.Uses)
	stream.tell(TrialLine{End: &end, Problem: p})
	return nil
}

// check finds what is wrong with a request and can be seen without the settings.
func (t *Trial) check() *Problem {
	switch {
	case t.Module == "":
		return problemBody.with("module is missing", "name the module as the settings have it")
	case t.Messages && t.Seconds != 0:
		return problemBody.with("both seconds and messages are given", "queries that are sent end with the body")
	case !t.Messages && !(t.Seconds > 0 && t.Seconds <= MaxTrialTime.Seconds()):
		return problemBody.with(fmt.Sprintf("seconds is %v", t.Seconds), fmt.Sprintf("it is more than 0, and at most %v", MaxTrialTime.Seconds()))
	case t.OneIn < 0 || t.OneIn > MaxTrialOneIn:
		return problemBody.with(fmt.Sprintf("one_in is %d", t.OneIn), fmt.Sprintf("it is a number from 1 to %d", MaxTrialOneIn))
	case t.Fuel < 0:
		return problemBody.with(fmt.Sprintf("fuel is %d", t.Fuel), "it is a number above 0")
	}
	return nil
}

// trying is a stream of reports. Lines come from any goroutine.
type trying struct {
	mu    sync.Mutex
	lines lineWriter
}

func (t *trying) tell(l TrialLine) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lines.write(l)
}

// quota lets so many octets be read of a body that may have more in all.
type quota struct {
	r    io.Reader
	left int64
}

var errQuota = errors.New("one value of it is too large")

func (q *quota) Read(b []byte) (int, error) {
	if q.left <= 0 {
		return 0, errQuota
	}
	n, err := q.r.Read(b[:min(int64(len(b)), q.left)])
	q.left -= int64(n)
	return n, err
}

// checkMedia refuses a body of a type that a plain form of a web page can send.
func checkMedia(r *http.Request) *Problem {
	if media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(strings.ToLower(media)) != "application/json" {
		return problemMedia.with("it is "+quote(r.Header.Get("Content-Type")), "send Content-Type: application/json")
	}
	return nil
}
