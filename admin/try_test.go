package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ananas-edge/ananas/nameserver/plugin/trial"
)

const tryPath = "/api/v1/modules/try"

// tried splits a stream of a trial, a word for each line.
func tried(t *testing.T, body string) (all []string) {
	t.Helper()
	for l := range strings.Lines(body) {
		var line TrialLine
		if err := json.Unmarshal([]byte(l), &line); err != nil {
			t.Fatalf("line %q: %v", l, err)
		}
		switch {
		case line.Report != nil:
			all = append(all, fmt.Sprint("report ", line.Report.Queries))
		case line.Difference != nil:
			all = append(all, "difference "+line.Difference.Name)
		case line.Problem != nil:
			all = append(all, fmt.Sprintf("end %d, %s: %s", line.End.Queries, line.Problem.Type, line.Problem.Detail))
		default:
			all = append(all, fmt.Sprint("end ", line.End.Queries))
		}
	}
	return all
}

func TestTryTellsWhatItSees(t *testing.T) {
	for _, c := range []struct{ name, body, want string }{
		{"live", `{"module":"family","seconds":2}`, "report 0, report 1, report 2, end 2"},
		{"live, with differences", `{"module":"family","seconds":1,"differences":true}`, "report 0, difference www.example., report 1, end 1"},
		{"sent", `{"module":"family","messages":true}` + "\n" + `{"messages":[{"query":"AA=="},{"response":"AA=="}]} {"messages":[{}]}`, "report 0, end 3"},
		{"nothing sent", `{"module":"family","messages":true}`, "report 0, end 0"},
		{"ended by the module", `{"module":"faulty","seconds":1}`, "report 0, end 0, urn:ananas:problem:trial-ended: reading settings: line 7: no such key"},
		{"sent, and no JSON", `{"module":"family","messages":true}{"messages":[{}]}x`, "report 0, end 1, urn:ananas:problem:trial-ended: reading the queries that are sent: invalid character 'x' looking for beginning of value"},
		{"sent, and unknown", `{"module":"family","messages":true}{"mesages":[{}]}`, `report 0, end 0, urn:ananas:problem:trial-ended: reading the queries that are sent: json: unknown field "mesages"`},
		{"sent, too much at once", `{"module":"family","messages":true}{"messages":[{"query":"` + strings.Repeat("A", 2*MaxTrialBatch) + `"}]}`, "report 0, end 0, urn:ananas:problem:trial-ended: reading the queries that are sent: one value of it is too large"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newBench(t)
			if got := strings.Join(tried(t, w.do(w.request("POST", tryPath, c.body)).Body.String()), ", "); got != c.want {
				t.Errorf("%s: got %s, want %s", c.name, got, c.want)
			}
		})
	}
}

// A query and its answer of the largest sizes fit into what may be sent at once, and some more do.
func TestTryLargestMessages(t *testing.T) {
	one := trial.Message{Time: moment, Client: netip.MustParseAddrPort("[2001:db8::1]:53124"), Transport: 1, Query: make([]byte, 65_535), Response: make([]byte, 65_535)}
	b, err := json.Marshal(TrialMessages{Messages: []trial.Message{one, one, one, one, one, one}})
	if err != nil || len(b) > MaxTrialBatch {
		t.Errorf("%d octets, %v", len(b), err)
	}
}

func TestTryRefuses(t *testing.T) {
	for body, kind := range map[string]string{
		`{"seconds":1}`:                                   "body",
		`{"module":"family"}`:                             "body",
		`{"module":"family","seconds":3601}`:              "body",
		`{"module":"family","seconds":-1}`:                "body",
		`{"module":"family","seconds":1,"messages":true}`: "body",
		`{"module":"family","seconds":1,"one_in":-1}`:     "body",
		`{"module":"family","seconds":1,"fuel":-1}`:       "body",
		`{"module":"family","seconds":1}{}`:               "body",
		`{"module":"family","sceonds":1}`:                 "body",
		`{"module":"unknown","seconds":1}`:                "trial",
		`{"module":"family","seconds":1,"source":"` + strings.Repeat("AAAA", 4<<20) + `"}`: "body-size", // more than the body may have
		` `: "body",
	} {
		b := newBench(t)
		b.problem(b.request("POST", tryPath, body), kind)
	}
	b := newBench(t)
	r := b.request("POST", tryPath, `{"module":"family","seconds":1}`)
	r.Header.Set("Content-Type", "text/plain")
	b.problem(r, "media-type")
	r = b.request("POST", tryPath, `{"module":"family","seconds":1}`)
	r.Header.Del("Authorization")
	b.problem(r, "token")
	b = newBench(t, func(c *Config) { c.Modules = nil })
	b.problem(b.request("POST", tryPath, `{"module":"family","seconds":1}`), "missing")
}

// Why a trial can not be made is told, also where it has taken long until that was known.
func TestTryRefusesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		client, end := b.overPipes()
		defer end()
		r, err := http.NewRequest("POST", "http://127.0.0.1:8053"+tryPath, strings.NewReader(`{"module":"slow","seconds":1}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+b.token)
		w, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Body.Close()
		if body, err := io.ReadAll(w.Body); err != nil || w.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(string(body), "urn:ananas:problem:trial") {
			t.Errorf("HTTP %d %s, %v", w.StatusCode, body, err)
		}
	})
}

// No more run at one time than there may be; a node that stops ends them.
func TestTryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		ended := make(chan string, MaxTrials)
		for range MaxTrials {
			go func() {
				ended <- strings.Join(tried(t, b.do(b.request("POST", tryPath, `{"module":"family","seconds":3600}`)).Body.String()), ", ")
			}()
		}
		synctest.Wait()
		b.problem(b.request("POST", tryPath, `{"module":"family","seconds":1}`), "busy")
		if !b.metric(`ananas_admin_limit_reached_total{limit="trials"} 1`) {
			t.Error("the limit is not counted")
		}
		b.close()
		for range MaxTrials {
			if got, want := <-ended, "report 0, end 0, urn:ananas:problem:failed: the node is stopping"; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	})
}

// Over a socket reports come while queries are still sent, and the trial ends when who asked has gone.
func TestTryOverASocket(t *testing.T) {
	b := newBench(t)
	at, err := b.Listen()
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- b.Serve() }()
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(b.Shutdown(ctx), <-served); err != nil {
			t.Error(err)
		}
	}()
	ask := func(ctx context.Context, body io.Reader) *http.Response {
		r, err := http.NewRequestWithContext(ctx, "POST", "http://"+at.String()+tryPath, body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+b.token)
		w, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	body, w := io.Pipe()
	go io.WriteString(w, `{"module":"family","messages":true}`)
	answer := ask(t.Context(), body)
	lines := bufio.NewScanner(answer.Body)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), `{"report":`) {
		t.Fatalf("%q, %v", lines.Text(), lines.Err())
	}
	io.WriteString(w, `{"messages":[{}]}{"messages":[{},{}]}`)
	w.Close()
	if !lines.Scan() || !strings.Contains(lines.Text(), `"queries":3,`) {
		t.Errorf("%q, %v", lines.Text(), lines.Err())
	}
	answer.Body.Close()

	ctx, cancel := context.WithCancel(t.Context())
	answer = ask(ctx, strings.NewReader(`{"module":"family","seconds":3600}`))
	cancel()
	answer.Body.Close()
	for len(b.trials) > 0 { // until the node has seen that
		select {
		case <-time.After(time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("the trial goes on")
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}
