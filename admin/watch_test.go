package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// watched splits a stream of commits.
func watched(t *testing.T, body string) (all []WatchLine) {
	t.Helper()
	for l := range strings.Lines(body) {
		var line WatchLine
		if err := json.Unmarshal([]byte(l), &line); err != nil {
			t.Fatalf("line %q: %v", l, err)
		}
		all = append(all, line)
	}
	return all
}

func TestWatchTellsCommitsAndBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.node.store.watch = func(_ context.Context, after uint64, emit func(Commit) error) error {
			time.Sleep(WatchBeat + time.Second) // fake time
			if err := emit(Commit{Version: after + 1, Time: moment}); err != nil {
				return err
			}
			time.Sleep(2 * WatchBeat)
			return errBroken
		}
		w := b.do(b.request("GET", "/api/v1/settings/watch?after=41", ""))
		if ct := w.Header().Get("Content-Type"); ct != "application/x-ndjson" {
			t.Errorf("content type %q", ct)
		}
		var got []string
		for _, l := range watched(t, w.Body.String()) {
			switch {
			case l.Commit != nil:
				got = append(got, fmt.Sprint("commit ", l.Commit.Version))
			case l.Beat != nil:
				got = append(got, fmt.Sprint("beat ", l.Beat.Version))
			default:
				got = append(got, l.Problem.Type+" "+l.Problem.Hint)
			}
		}
		want := []string{"beat 41", "commit 42", "beat 42", "beat 42", ProblemPrefix + "failed mend line 7"}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// A node that stops ends its streams, and so does one that has no more to tell.
func TestWatchEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.node.store.watch = func(ctx context.Context, _ uint64, _ func(Commit) error) error { <-ctx.Done(); return ctx.Err() }
		time.AfterFunc(WatchBeat+time.Second, b.close)
		w := b.do(b.request("GET", "/api/v1/settings/watch?after=1", ""))
		all := watched(t, w.Body.String())
		if last := all[len(all)-1]; len(all) != 2 || last.Problem == nil || last.Problem.Detail != "the node is stopping" {
			t.Errorf("got %s", w.Body)
		}
	})
	b := newBench(t)
	b.node.store.watch = func(context.Context, uint64, func(Commit) error) error { return nil }
	b.problem(b.request("GET", "/api/v1/settings/watch?after=1", ""), "failed")
}

func TestWatchesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.node.store.watch = func(ctx context.Context, _ uint64, _ func(Commit) error) error { <-ctx.Done(); return ctx.Err() }
		for range MaxWatches {
			go b.do(b.request("GET", "/api/v1/settings/watch", ""))
		}
		synctest.Wait()
		b.problem(b.request("GET", "/api/v1/settings/watch", ""), "busy")
		if w := b.do(b.request("GET", "/api/v1/settings", "")); w.Code != http.StatusOK {
			t.Errorf("those who watch keep others out: HTTP %d", w.Code)
		}
		b.close()
		synctest.Wait()
		if !b.metric(`ananas_admin_limit_reached_total{limit="watches"} 1`) {
			t.Error("the limit is not counted")
		}
	})
}

// Each commit is on the wire before the next one comes, and who goes away ends the stream.
func TestWatchStreams(t *testing.T) {
	b := newBench(t)
	base := b.serve()
	next, ended := make(chan struct{}), make(chan error)
	b.node.store.watch = func(ctx context.Context, after uint64, emit func(Commit) error) error {
		for v := after; v < after+3; v++ {
			if err := emit(Commit{Version: v + 1}); err != nil {
				return err
			}
			<-next
		}
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	}
	response := b.get(base + "/api/v1/settings/watch?after=6")
	in := bufio.NewScanner(response.Body)
	for i := range 3 {
		if want := []byte(fmt.Sprintf(`{"commit":{"version":%d,`, 7+i)); !in.Scan() || !bytes.HasPrefix(in.Bytes(), want) {
			t.Fatalf("line %d is %q, %v", i, in.Text(), in.Err())
		}
		next <- struct{}{}
	}
	response.Body.Close()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}
