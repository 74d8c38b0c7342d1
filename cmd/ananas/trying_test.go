package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/nameserver/plugin/trial"
)

// Who asks for an error if something is not as it was has one also if nobody looked.
func TestTryingFails(t *testing.T) {
	for what, c := range map[string]struct {
		uses []trial.Use
		want string // "": none
	}{
		"alike":                       {[]trial.Use{{Alike: 3}, {Unanswered: 3}}, ""},
		"one differs":                 {[]trial.Use{{Alike: 3, Differ: 1}}, "1 verdict differs"},
		"failed at phase log":         {[]trial.Use{{New: trial.Version{Faults: 2}}}, "the new version has failed 2 times"},
		"nobody asked":                {[]trial.Use{{}}, "nothing was compared"},
		"no answer is known":          {[]trial.Use{{Unanswered: 7}}, "nothing was compared"},
		"it runs nowhere, and is new": {nil, "nothing was compared"},
	} {
		err := (&trying{name: "family", report: trial.Report{Uses: c.uses}}).failure()
		if (err == nil) != (c.want == "") || err != nil && !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
}

// triedNode tells of a trial that nothing has been seen of, and when it is interrupted how far it is by then.
type triedNode struct {
	admin.ModuleSource
	interrupt context.CancelFunc
	told      chan struct{} // closed when the user was told that it has begun
}

func (n *triedNode) TryModule(ctx context.Context, _ admin.Trial, _ func() ([]trial.Message, error), tell func(admin.TrialLine) error) (end admin.TrialReport, err error) {
	end.Uses = []trial.Use{{Phase: "query"}}
	if err := tell(admin.TrialLine{Report: &end}); err != nil {
		return end, err
	}
	if err := tell(admin.TrialLine{Difference: &trial.Difference{Name: "www.example."}}); err != nil {
		return end, err
	}
	select {
	case <-n.told:
	case <-ctx.Done():
		return end, ctx.Err()
	}
	n.interrupt()
	end.Queries, end.Seconds = 7, 3
	err = tell(admin.TrialLine{Report: &end})
	<-ctx.Done()
	return end, err
}

// toldWriter is an output that somebody waits for.
type toldWriter struct {
	bytes.Buffer
	told chan struct{}
}

func (w *toldWriter) Write(b []byte) (int, error) {
	if w.Len() == 0 {
		defer close(w.told)
	}
	return w.Buffer.Write(b)
}

// Who interrupts a trial of live queries is told what was seen until then, and not until the report before.
func TestTryingInterrupted(t *testing.T) {
	for what, c := range map[string]struct {
		json bool
		want string
	}{
		"table": {false, "7 queries in 3.0 s\n"}, "JSON": {true, `{"report":{"module":"family","seconds":3,"queries":7,`},
	} {
		t.Run(what, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			told := make(chan struct{})
			data := t.TempDir()
			address, err := startNode(admin.Config{Data: data, Modules: &triedNode{interrupt: cancel, told: told}}, t.Cleanup)
			if err != nil {
				t.Fatal(err)
			}
			stdout, stderr := &toldWriter{told: told}, &toldWriter{told: told}
			if c.json { // the difference is told, and nothing else before the report
				stderr.told = nil
			} else {
				stdout.told = make(chan struct{})
			}
			p := &process{ctx: ctx, stdout: stdout, stderr: stderr, env: func(string) string { return "" }, wait: func(ctx context.Context, _ time.Duration) { <-ctx.Done() }}
			command := moduleTryCommand{Name: "family", For: time.Minute, OneIn: 1, JSON: c.json, nodeFlags: nodeFlags{Node: address, Data: data}}
			if err := command.Run(p); !errors.Is(err, context.Canceled) {
				t.Errorf("%v, not interrupted", err)
			}
			if !strings.Contains(stdout.String(), c.want) {
				t.Errorf("got %q, want %q", stdout, c.want)
			}
		})
	}
}

// Who interrupts a trial of what a server writes into a pipe does not wait until that writes.
func TestTryingInterruptedPipe(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	quiet, writer := io.Pipe()
	defer writer.Close()
	f, err := (&moduleTryCommand{Dnstap: "-"}).openFile(&process{ctx: ctx, stdin: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cancel()
	if err := f.each(1, func(*trial.Message) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, not interrupted", err)
	}
}

// written are pipes whose readers end by themselves, as soon as they have opened them.
var written []*os.File

// Nor if the pipe has a name, and nobody has begun to write it.
func TestTryingInterruptedNamedPipe(t *testing.T) {
	for _, what := range []string{"nobody writes it", "who writes it is quiet"} {
		t.Run(what, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "tap")
			if err := syscall.Mkfifo(name, 0o600); err != nil {
				t.Fatal(err)
			}
			write := func() *os.File {
				w, err := os.OpenFile(name, os.O_RDWR, 0) // which waits for nobody
				if err != nil {
					t.Error(err)
				}
				return w
			}
			var quiet *os.File
			if what != "nobody writes it" {
				quiet = write()
			}
			defer time.AfterFunc(time.Minute, func() { // so that the test ends where that keeps it waiting
				if quiet == nil {
					quiet = write()
				}
				quiet.Close()
			}).Stop()
			ctx, cancel := context.WithCancel(context.Background())
			f, err := (&moduleTryCommand{Dnstap: name}).openFile(&process{ctx: ctx})
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			if err := f.each(1, func(*trial.Message) error { return nil }); !errors.Is(err, context.Canceled) {
				t.Errorf("%v, not interrupted", err)
			}
			f.Close()
			w := write()
			written = append(written, w)
			if _, err := w.Write([]byte{0}); err != nil {
				t.Error(err)
			}
		})
	}
}
