package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

func TestMain(m *testing.M) {
	testscript.Main(leakless{m}, map[string]func(){"ananas": main})
}

// leakless are tests after which no goroutine is left.
type leakless struct{ *testing.M }

func (m leakless) Run() int {
	code := m.M.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// The scripts run the real binary; testdata/script/README.md tells what they may do.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Condition:     condition,
		Setup: func(e *testscript.Env) error {
			for _, name := range []string{"ANANAS_NODE", "ANANAS_DATA", "ANANAS_TOKEN", "COLUMNS", "NO_COLOR", "USER", "LOGNAME"} {
				e.Setenv(name, "") // whatever those have who run the tests
			}
			e.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0")) // a second, which is not ours
			e.Values[runningKey{}] = new(*program)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"node":   nodeCmd,
			"failed": exits(exitFailed),
			"wrong":  exits(exitWrong),

			"start":   startCmd,
			"begin":   beginCmd,
			"envfile": envfileCmd,
			"signal":  signalCmd,
			"logged":  awaitCmd(func(p *program) chan string { return p.log }),
			"printed": awaitCmd(func(p *program) chan string { return p.out }),
			"ended":   endedCmd,
			"ask":     askCmd,
		},
	})
}

// exits is the script's commands "failed ARGS" and "wrong ARGS": ananas ends with this code and prints nothing but the error.
func exits(want int) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		err := ts.Exec("ananas", args...)
		var exit *exec.ExitError
		if neg || !errors.As(err, &exit) || exit.ExitCode() != want {
			ts.Fatalf("ananas %q: %v, not exit code %d", args, err, want)
		}
		if out := ts.ReadFile("stdout"); out != "" {
			ts.Fatalf("ananas %q fails and prints %q", args, out)
		}
		if lines := strings.Split(ts.ReadFile("stderr"), "\n"); !strings.HasPrefix(lines[0], "error: ") {
			ts.Fatalf("ananas %q prints %q", args, lines)
		}
	}
}

// nodeCmd is the script's command "node DIR": it opens the admin API over what the files in DIR say and points the environment at it.
func nodeCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: node DIR")
	}
	data := ts.MkAbs("data")
	address, err := startAPI(files{dir: ts.MkAbs(args[0])}, data, ts.Defer)
	ts.Check(err)
	ts.Setenv("ANANAS_NODE", address)
	ts.Setenv("ANANAS_DATA", data)
}

// startAPI serves the admin API over f until the deferred function runs.
func startAPI(f files, data string, deferred func(func())) (address string, err error) {
	return startNode(admin.Config{
		Data: data, Reloader: f, Cache: f, Explain: f, Samples: f, Status: f, Settings: f,
		Now: func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) },
	}, deferred)
}

func startNode(c admin.Config, deferred func(func())) (address string, err error) {
	c.Address = "127.0.0.1:0"
	s, err := admin.New(c)
	if err != nil {
		return "", err
	}
	at, err := s.Listen()
	if err != nil {
		return "", err
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	deferred(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := errors.Join(s.Shutdown(ctx), <-served); err != nil {
			panic(err)
		}
	})
	return at.String(), nil
}

// files gives the admin API what the files of a folder say: reload.json, cache.json, purge.json, queries.json, explain.ndjson and status.json, and of the store (store_test.go). A
// file NAME.error fails the question instead; its second line is the hint. What was asked is appended to the file "asked".
type files struct {
	dir string
	// end is how an explain without an answer ends; nil: with an error.
	end func(context.Context) error
}

type fileError struct{ text, hint string }

func (e fileError) Error() string { return e.text }
func (e fileError) Hint() string  { return e.hint }

func (f files) read(name, asked string) ([]byte, error) {
	log, err := os.OpenFile(filepath.Join(f.dir, "asked"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintln(log, asked); err != nil {
		return nil, err
	}
	if err := log.Close(); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(f.dir, name+".error"))
	if err == nil {
		text, hint, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
		return nil, fileError{text, hint}
	}
	return os.ReadFile(filepath.Join(f.dir, name))
}

func answer[T any](f files, name, asked string) (v T, err error) {
	text, err := f.read(name, asked)
	if err != nil {
		return v, err
	}
	return v, json.Unmarshal(text, &v)
}

func (f files) Reload(context.Context) (admin.Reloaded, error) {
	return answer[admin.Reloaded](f, "reload.json", "reload")
}

func (f files) ListCache(_ context.Context, q admin.CacheQuery) (admin.CacheList, error) {
	return answer[admin.CacheList](f, "cache.json", fmt.Sprintf("list %v subtree=%v limit=%d", q.Name, q.Subtree, q.Limit))
}

func (f files) ListSamples(_ context.Context, q admin.SampleQuery) (admin.SampleList, error) {
	return answer[admin.SampleList](f, "queries.json", fmt.Sprintf("queries %v client=%v from=%s limit=%d", q.Name, q.Client, q.From, q.Limit))
}

func (f files) PurgeCache(_ context.Context, p admin.Purge) (admin.Purged, error) {
	return answer[admin.Purged](f, "purge.json", fmt.Sprintf("purge %v subtree=%v", p.Name, p.Subtree))
}

func (f files) Status(context.Context) admin.NodeStatus {
	s, err := answer[admin.NodeStatus](f, "status.json", "status")
	if err != nil {
		panic(err)
	}
	return s
}

func (f files) Explain(ctx context.Context, r admin.ExplainRequest, emit func(admin.Event) error) (admin.ExplainAnswer, error) {
	asked := fmt.Sprintf("explain %v %v fresh=%v", r.Name, r.Type, r.Fresh)
	if r.Client.IsValid() {
		asked += " client=" + r.Client.String()
	}
	text, err := f.read("explain.ndjson", asked)
	if err != nil {
		return admin.ExplainAnswer{}, err
	}
	for l := range bytes.Lines(text) {
		var e struct {
			admin.Event
			Answer *admin.ExplainAnswer `json:"answer"`
		}
		if err := json.Unmarshal(l, &e); err != nil {
			return admin.ExplainAnswer{}, err
		}
		if e.Answer != nil {
			return *e.Answer, nil
		}
		if err := emit(e.Event); err != nil {
			return admin.ExplainAnswer{}, err
		}
	}
	if f.end != nil {
		return admin.ExplainAnswer{}, f.end(ctx)
	}
	return admin.ExplainAnswer{}, fileError{"the story ends here", ""}
}

// Every command has help with an example that begins with its name, and --json if it prints data.
func TestEveryCommandHelps(t *testing.T) {
	parser, err := kong.New(new(Commands), kong.Name("ananas"))
	if err != nil {
		t.Fatal(err)
	}
	noData := map[string]bool{"serve": true, "lab": true, "snapshot save": true, "module new": true, "module build": true}
	commands := []string{"", "cache", "rollout", "root", "snapshot", "module"}
	for _, c := range parser.Model.Leaves(true) {
		path := strings.TrimPrefix(c.Path(), "ananas ")
		commands = append(commands, path)
		json := false
		for _, f := range c.Flags {
			json = json || f.Name == "json"
		}
		if json == noData[path] {
			t.Errorf("%s: has --json: %v", path, json)
		}
	}
	for _, path := range commands {
		var stdout, stderr bytes.Buffer
		code := run(append(strings.Fields(path), "--help"), nil, &stdout, &stderr, func(string) string { return "" })
		if code != exitDone || stderr.Len() > 0 {
			t.Errorf("%s --help: exit code %d, %s", path, code, &stderr)
		}
		_, example, ok := strings.Cut(stdout.String(), "Example:\n")
		if !ok || !strings.Contains(example, "  ananas "+path) {
			t.Errorf("%s --help has no example of it:\n%s", path, &stdout)
		}
	}
}

// What comes with the command line or from a node reaches no terminal as it is.
func TestErrorsAreClean(t *testing.T) {
	var stderr bytes.Buffer
	if code := run([]string{"status", "x\x1b[31m"}, nil, io.Discard, &stderr, os.Getenv); code != exitWrong {
		t.Errorf("exit code %d", code)
	}
	report(&stderr, usageError{fileError{"two\nlines\a\n", "so\x9b"}, ""})
	want := `error: unexpected argument x\x1b[31m
hint: ananas status --help shows how it is used
error: two
  lines\a
hint: so\x9b
`
	if got := stderr.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// explaining starts an API whose explain tells these steps, and returns the environment in which it is found.
func explaining(t *testing.T, steps string, end func(context.Context) error) map[string]string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "explain.ndjson"), []byte(steps), 0o600); err != nil {
		t.Fatal(err)
	}
	address, err := startAPI(files{dir, end}, t.TempDir(), t.Cleanup)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"ANANAS_NODE": address}
}

// Who interrupts an explain that hangs wants to see where it hangs.
func TestInterrupt(t *testing.T) {
	steps := `{"seq":1,"kind":"resolve","text":"resolve www.example. A"}` + "\n"
	// More than any socket takes in, so that the first step was read when the last one is sent.
	steps += strings.Repeat(`{"seq":2,"parent":1,"kind":"ask","fields":{"x":"`+strings.Repeat("x", 1<<19)+`"}}`+"\n", 128)
	env := explaining(t, steps, func(ctx context.Context) error {
		if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	})
	var stdout, stderr bytes.Buffer
	code := run([]string{"explain", "www.example"}, nil, &stdout, &stderr, func(name string) string { return env[name] })
	if code != exitFailed || stderr.String() != "error: interrupted\n" {
		t.Errorf("exit code %d, %s", code, &stderr)
	}
	if got := stdout.String(); !strings.HasPrefix(got, "broke off: ") || !strings.Contains(got, "resolve www.example. A\n") {
		t.Errorf("got %s", got)
	}
}

// A pipe that is closed or a disk that is full must not look like success.
func TestOutputThatFails(t *testing.T) {
	for _, args := range []string{"version", "version --json", "--help"} {
		var stderr bytes.Buffer
		code := run(strings.Fields(args), nil, brokenWriter{}, &stderr, os.Getenv)
		if code == exitDone || !strings.Contains(stderr.String(), "no space") {
			t.Errorf("%s: exit code %d, %s", args, code, &stderr)
		}
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("no space left") }

// How a status looks stands beside it in testdata/status, wide and narrow.
func TestStatusDrawing(t *testing.T) {
	inputs, err := filepath.Glob("testdata/status/*.json")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no statuses: %v", err)
	}
	for _, input := range inputs {
		text, err := os.ReadFile(input)
		if err != nil {
			t.Fatal(err)
		}
		var s admin.Status
		if err := json.Unmarshal(text, &s); err != nil {
			t.Fatalf("%s: %v", input, err)
		}
		for way, screen := range map[string]terminal.Screen{"plain": {}, "narrow": {Width: 60, Colour: true}} {
			var b strings.Builder
			if err := writeStatus(&b, screen, s); err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimSuffix(input, "json")+way+".golden", b.String())
		}
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (write it anew with -update); got:\n%s", path, got)
	}
}

func TestFormats(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{thousands(0), "0"}, {thousands(999), "999"}, {thousands(1000), "1,000"}, {thousands(1234567), "1,234,567"},
		{count(0, "entry", "entries"), "0 entries"}, {count(1, "entry", "entries"), "1 entry"}, {count(2000, "entry", "entries"), "2,000 entries"},
		{size(0), "0 B"}, {size(1023), "1023 B"}, {size(1024), "1.00 KiB"}, {size(999 << 10), "999 KiB"}, {size(1023 << 10), "1.00 MiB"},
		{size(256 << 20), "256 MiB"}, {size(12345678), "11.8 MiB"}, {size(5000 << 40), "5000 TiB"},
		{percent(0, 0), "0 %"}, {percent(0, 7), "0.0 %"}, {percent(1, 3), "33.3 %"}, {percent(1, 100000), "less than 0.1 %"}, {percent(7, 7), "100.0 %"},
		{ago(-time.Second), "0 s"}, {ago(59400 * time.Millisecond), "59 s"}, {ago(59500 * time.Millisecond), "1 min 0 s"},
		{ago(3599 * time.Second), "59 min 59 s"}, {ago(26*time.Hour + 3*time.Minute), "1 d 2 h"}, {ago(3*time.Hour + 4*time.Minute), "3 h 4 min"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
