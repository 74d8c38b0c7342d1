package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	miekg "github.com/miekg/dns"
	"github.com/rogpeppe/go-internal/testscript"
)

// These are the commands of the scripts that run a node: start, begin, signal, logged, printed, ended and ask.

// patience is how long a script waits for what comes at once unless something is broken.
const patience = time.Minute

// program is `ananas serve` or `ananas lab`, running.
type program struct {
	*exec.Cmd
	log, out chan string // lines
	serving  struct {
		DNS   []string `json:"dns"`
		Admin string   `json:"admin"`
	}
}

// serves is the line of a node that serves.
var serves = regexp.MustCompile(`"msg":"serving"`)

// launch starts ananas in a folder and waits until it serves.
func launch(dir, path string, env []string, args []string) (*program, error) {
	p, line, err := launchUntil(serves, dir, path, env, args)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(line), &p.serving); err != nil {
		return nil, errors.Join(err, p.kill())
	}
	return p, nil
}

// launchUntil starts ananas in a folder, waits until it has logged such a line, and returns that.
func launchUntil(re *regexp.Regexp, dir, path string, env []string, args []string) (*program, string, error) {
	p := &program{Cmd: exec.Command(path, args...)}
	p.Dir, p.Env = dir, env
	stdout, err := p.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	stderr, err := p.StderrPipe()
	if err != nil {
		return nil, "", err
	}
	if err := p.Start(); err != nil {
		return nil, "", err
	}
	p.out, p.log = lines(stdout), lines(stderr)
	line, err := await(p.log, re)
	if err != nil {
		return nil, "", errors.Join(err, p.kill())
	}
	return p, line, nil
}

// maxLines is how many lines of output wait to be looked at; then the program waits.
const maxLines = 10_000

// lines gives the lines of r until it ends.
func lines(r io.Reader) chan string {
	out := make(chan string, maxLines)
	go func() {
		defer close(out)
		for s := bufio.NewScanner(r); s.Scan(); {
			out <- s.Text()
		}
	}()
	return out
}

// await takes lines until one matches.
func await(from chan string, re *regexp.Regexp) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var seen []string
	for {
		select {
		case line, more := <-from:
			if re.MatchString(line) {
				return line, nil
			}
			if !more {
				return "", fmt.Errorf("the program ended without %q:\n%s", re, strings.Join(seen, "\n"))
			}
			seen = append(seen, line)
		case <-ctx.Done():
			return "", fmt.Errorf("waited %v for %q:\n%s", patience, re, strings.Join(seen, "\n"))
		}
	}
}

// end waits until the program has ended, and returns what was not looked at of its log and of its output.
func (p *program) end() (log, out []string, err error) {
	late := time.AfterFunc(patience, func() { _ = p.Process.Kill() }) // the error is that of Wait
	defer late.Stop()
	for line := range p.log {
		log = append(log, line)
	}
	for line := range p.out {
		out = append(out, line)
	}
	return log, out, p.Wait()
}

func (p *program) kill() error {
	if err := p.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	_, _, err := p.end()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil // killed
	}
	return err
}

// runningKey is the script's program among its values.
type runningKey struct{}

func running(ts *testscript.TestScript) *program {
	p := *ts.Value(runningKey{}).(**program)
	if p == nil {
		ts.Fatalf("no node runs")
	}
	return p
}

// startCmd is "start ARGS": it runs ananas until it serves, and puts the addresses into $DNS, $PORT and $ANANAS_NODE.
func startCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: start serve|lab [FLAG...], if no node runs")
	}
	p := begin(ts, serves, args)
	_, port, err := net.SplitHostPort(p.serving.DNS[0])
	ts.Check(err)
	ts.Setenv("DNS", p.serving.DNS[0])
	ts.Setenv("PORT", port)
	ts.Setenv("ANANAS_NODE", p.serving.Admin)
}

// beginCmd is "begin PATTERN ARGS": it runs ananas until it has logged such a line, and does not serve yet.
func beginCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: begin PATTERN serve|lab [FLAG...], if no node runs")
	}
	re, err := regexp.Compile(args[0])
	ts.Check(err)
	begin(ts, re, args[1:])
}

// envfileCmd is "envfile NAME FILE": the variable is what the file has, or stdout, without its last line's end.
func envfileCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: envfile NAME FILE|stdout")
	}
	ts.Setenv(args[0], strings.TrimRight(ts.ReadFile(args[1]), "\n"))
}

// begin runs ananas until it has logged such a line.
func begin(ts *testscript.TestScript, until *regexp.Regexp, args []string) *program {
	at := ts.Value(runningKey{}).(**program)
	if *at != nil {
		ts.Fatalf("a node runs already")
	}
	path := ""
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if _, err := os.Stat(filepath.Join(dir, "ananas")); err == nil {
			path = filepath.Join(dir, "ananas")
			break
		}
	}
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "WORK", "GORACE", "ANANAS_JOIN_TOKEN"} {
		env = append(env, name+"="+ts.Getenv(name))
	}
	began := time.Now()
	p, line, err := launchUntil(until, ts.MkAbs("."), path, env, args)
	ts.Check(err)
	ts.Logf("%v after %v", until, time.Since(began).Round(time.Millisecond))
	if until == serves {
		ts.Check(json.Unmarshal([]byte(line), &p.serving))
	}
	*at = p
	ts.Defer(func() {
		if err := p.kill(); err != nil && *at == p { // another was started since this one ended
			panic(err)
		}
	})
	return p
}

// signalCmd is "signal HUP|INT|TERM".
func signalCmd(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]syscall.Signal{"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "TERM": syscall.SIGTERM}
	if neg || len(args) != 1 || signals[args[0]] == 0 {
		ts.Fatalf("usage: signal HUP|INT|TERM")
	}
	ts.Check(running(ts).Process.Signal(signals[args[0]]))
}

// awaitCmd is "logged PATTERN" and "printed PATTERN": it waits until the node has written such a line, and goes on behind it.
func awaitCmd(of func(*program) chan string) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) != 1 {
			ts.Fatalf("usage: logged|printed PATTERN")
		}
		re, err := regexp.Compile(args[0])
		ts.Check(err)
		line, err := await(of(running(ts)), re)
		ts.Check(err)
		ts.Logf("%s", line)
	}
}

// endedCmd is "ended CODE [TIME]": the node ends within the time, with this exit code. What it wrote since is stdout and stderr.
func endedCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: ended CODE [TIME]")
	}
	p := running(ts)
	began := time.Now()
	log, out, err := p.end()
	took := time.Since(began)
	*ts.Value(runningKey{}).(**program) = nil
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("%v", err)
	}
	fmt.Fprint(ts.Stdout(), strings.Join(append(out, ""), "\n"))
	fmt.Fprint(ts.Stderr(), strings.Join(append(log, ""), "\n"))
	if got := fmt.Sprint(p.ProcessState.ExitCode()); got != args[0] {
		ts.Fatalf("exit code %s, not %s: %v", got, args[0], err)
	}
	if len(args) == 2 {
		limit, err := time.ParseDuration(args[1])
		ts.Check(err)
		if took > limit {
			ts.Fatalf("it took %v to end", took)
		}
	}
}

// askCmd is "ask [tcp] NAME TYPE [CH]": it asks the node that runs and prints the response code, and the records of the answer.
func askCmd(ts *testscript.TestScript, neg bool, args []string) {
	client := miekg.Client{Timeout: patience}
	if len(args) > 0 && args[0] == "tcp" {
		client.Net, args = "tcp", args[1:]
	}
	if neg || len(args) < 2 || miekg.StringToType[args[1]] == 0 {
		ts.Fatalf("usage: ask [tcp] NAME TYPE [CH]")
	}
	q := new(miekg.Msg)
	q.SetQuestion(miekg.Fqdn(args[0]), miekg.StringToType[args[1]])
	if slices.Contains(args[2:], "CH") {
		q.Question[0].Qclass = miekg.ClassCHAOS
	}
	r, _, err := client.Exchange(q, ts.Getenv("DNS"))
	ts.Check(err)
	fmt.Fprintln(ts.Stdout(), miekg.RcodeToString[r.Rcode])
	for _, rr := range r.Answer {
		fmt.Fprintln(ts.Stdout(), strings.ReplaceAll(rr.String(), "\t", " "))
	}
}

// A script with the condition [default-addresses] runs a node on the addresses that it has without a file, if nobody else is there.
func condition(cond string) (bool, error) {
	if cond != "default-addresses" {
		return false, fmt.Errorf("unknown condition %q", cond)
	}
	u, err := net.ListenPacket("udp", "127.0.0.1:5335")
	if err != nil {
		return false, nil
	}
	defer u.Close()
	for _, a := range []string{"127.0.0.1:5335", "127.0.0.1:8053"} {
		l, err := net.Listen("tcp", a)
		if err != nil {
			return false, nil
		}
		defer l.Close()
	}
	return true, nil
}

// A node is there within 300 ms: who starts hundreds of them waits for that. The best of some starts counts, and more are made where none was fast, since the machine may have other work.
func TestStartUpTime(t *testing.T) {
	path, err := exec.LookPath("ananas") // that of the scripts
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "node.yaml")
	if err := os.WriteFile(file, []byte(`node: { listen: { dns: ["127.0.0.1:0"], admin: "127.0.0.1:0" } }`), 0o600); err != nil {
		t.Fatal(err)
	}
	var took []time.Duration
	const most = 300 * time.Millisecond
	for len(took) < 5 || len(took) < 25 && slices.Min(took) > most {
		began := time.Now()
		p, err := launch(dir, path, os.Environ(), []string{"serve", "--config", file})
		if err != nil {
			t.Fatal(err)
		}
		q := new(miekg.Msg)
		q.SetQuestion("version.bind.", miekg.TypeTXT)
		q.Question[0].Qclass = miekg.ClassCHAOS
		client := miekg.Client{Timeout: patience}
		if r, _, err := client.Exchange(q, p.serving.DNS[0]); err != nil || r.Rcode != miekg.RcodeSuccess {
			t.Errorf("%v\n%v", err, r)
		}
		took = append(took, time.Since(began).Round(time.Millisecond))
		if err := p.kill(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("from nothing to an answer: %v", took)
	if best := slices.Min(took); best > most {
		t.Errorf("the best of %d starts took %v", len(took), best)
	}
}
