package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/nameserver/plugin/trial"
)

// triedNode is a node that tries modules.
type triedNode struct {
	t   admin.Trial
	err error
}

func (n *triedNode) Modules(context.Context) (l admin.ModuleList, err error)        { return l, nil }
func (n *triedNode) ModuleLogs(context.Context, string) ([]admin.ModuleLine, error) { return nil, nil }

func (n *triedNode) TryModule(_ context.Context, t admin.Trial, next func() ([]trial.Message, error), tell func(admin.TrialLine) error) (end admin.TrialReport, err error) {
	n.t = t
	if t.Module == "unknown" {
		return end, n.err
	}
	tell(admin.TrialLine{Report: &admin.TrialReport{}})
	for t.Messages {
		all, err := next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return end, err
		}
		end.Queries += uint64(len(all))
		tell(admin.TrialLine{Difference: &trial.Difference{Name: fmt.Sprintf("%s.example.", all[0].Query)}})
	}
	return end, n.err
}

func startTrying(t *testing.T, n *triedNode) *Client {
	t.Helper()
	data := t.TempDir()
	s, err := admin.New(admin.Config{Address: "127.0.0.1:0", Data: data, Modules: n})
	if err != nil {
		t.Fatal(err)
	}
	at, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(s.Shutdown(ctx), <-served); err != nil {
			t.Error(err)
		}
	})
	return open(t, Options{Node: at.String(), Data: data})
}

var errFile = errors.New("the file is broken")

func TestTryModule(t *testing.T) {
	sent := func(parts int, err error) func(func([]trial.Message) error) error {
		return func(send func([]trial.Message) error) error {
			for k := range parts {
				if err := send([]trial.Message{{Query: []byte{byte('a' + k)}}, {}}); err != nil {
					return err
				}
			}
			return err
		}
	}
	for _, c := range []struct {
		name    string
		module  string
		err     error
		feed    func(func([]trial.Message) error) error
		queries uint64
		told    string
		known   bool
		want    string // in the error
	}{
		{"live", "family", nil, nil, 0, "report", true, ""},
		{"sent", "family", nil, sent(3, nil), 6, "report a.example. b.example. c.example.", true, ""},
		{"a file that is broken is looked at as far as it is good", "family", nil, sent(1, errFile), 2, "report a.example.", true, "the file is broken"},
		{"refused", "unknown", errors.New("it is no module"), nil, 0, "", false, "it is no module"},
		{"refused before anything is sent", "unknown", errors.New("it is no module"), sent(1000, nil), 0, "", false, "it is no module"},
		{"ended by the module", "family", errors.New("it has failed"), sent(1, nil), 2, "report a.example.", true, "it has failed"},
	} {
		n := &triedNode{err: c.err}
		told := []string{}
		end, known, err := startTrying(t, n).TryModule(t.Context(), admin.Trial{Request: trial.Request{Module: c.module}, Messages: c.feed != nil, Seconds: map[bool]float64{true: 1}[c.feed == nil]}, c.feed, func(l admin.TrialLine) error {
			if l.Report != nil {
				told = append(told, "report")
			} else {
				told = append(told, l.Difference.Name)
			}
			return nil
		})
		got := ""
		if err != nil {
			got = err.Error()
		}
		if end.Queries != c.queries || known != c.known || strings.Join(told, " ") != c.told || (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %d queries, known %v, told %q, %s; want %d, %v, %q, %q", c.name, end.Queries, known, told, got, c.queries, c.known, c.told, c.want)
		}
	}
}

// A node that says nothing, or nonsense, or goes away, is an error that says so.
func TestTryModuleOfAStrangeNode(t *testing.T) {
	for body, want := range map[string]string{
		"":                                "unexpected EOF",
		`{"report":{"queries":1}}` + "\n": "unexpected EOF",
		"nonsense\n":                      "reading its answer",
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }))
		c := open(t, Options{Node: s.URL, Token: "x"})
		_, known, err := c.TryModule(t.Context(), admin.Trial{}, nil, func(admin.TrialLine) error { return nil })
		if err == nil || !strings.Contains(err.Error(), want) || known != strings.Contains(body, "report") {
			t.Errorf("%q: known %v, %v, want %s", body, known, err, want)
		}
		s.Close()
	}
	synctest.Test(t, func(t *testing.T) {
		c := open(t, Options{Node: "192.0.2.1:1", Token: "x"})
		c.http.Transport = silentAfter(`{"report":{"queries":1}}` + "\n")
		begun := time.Now()
		_, known, err := c.TryModule(t.Context(), admin.Trial{}, nil, func(admin.TrialLine) error { return nil })
		if !known || !errors.Is(err, errSilentTrial) || time.Since(begun) != maxTrialSilence {
			t.Errorf("after %v: known %v, %v", time.Since(begun), known, err)
		}
	})
}

// silentAfter is a node that says something, and nothing more.
type silentAfter string

func (s silentAfter) RoundTrip(r *http.Request) (*http.Response, error) {
	out, w := io.Pipe()
	go func() {
		io.WriteString(w, string(s))
		<-r.Context().Done()
		w.CloseWithError(r.Context().Err())
	}()
	return &http.Response{StatusCode: http.StatusOK, Body: out}, nil
}
