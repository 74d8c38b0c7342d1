package docs

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/sdk"
)

// The guide to the store does what it says, from one node to a change that is taken back.
func TestStoreGuide(t *testing.T) {
	text := alone(t, storeGuide)
	playAlone(t, storeGuide, text)
}

// The guide from a new module to a verdict on three nodes does what it says in each language: from the folder that is made to the module with a mistake that the gate stops. It is written in one of them; the commands that are others in
// another one are those of its tables.
func TestFleetGuide(t *testing.T) {
	text := alone(t, fleetGuide)
	const written = sdk.Rust
	mistake := regexp.MustCompile("(?m)^\\| `([a-z]+)` \\| `(sed .*)` \\|$")
	others := map[string]string{string(written): ""}
	for _, row := range mistake.FindAllStringSubmatch(text, -1) {
		others[row[1]] = row[2]
	}
	own := regexp.MustCompile(`(?m)^    \$ (sed .*)$`).FindStringSubmatch(text)
	if len(own) == 0 || len(others) != len(sdk.Languages()) || !strings.Contains(text, "$ ananas module new --lang "+string(written)+" ") {
		t.Fatalf("the guide has the command %q, and others in %q", own, others)
	}
	for _, l := range sdk.Languages() {
		t.Run(string(l), func(t *testing.T) {
			t.Parallel()
			in := text
			if l != written {
				in = strings.NewReplacer("--lang "+string(written)+" ", "--lang "+string(l)+" ", "    $ "+own[1]+"\n", "    $ "+others[string(l)]+"\n", "block: next, ananas", next(l)).Replace(text)
			}
			playAlone(t, fleetGuide, in)
		})
	}
}

// next begins what a new module is told to be followed by.
func next(l sdk.Language) string {
	if l == sdk.AssemblyScript {
		return "block: next, npm install --prefix block, then ananas"
	}
	return "block: next, ananas"
}

// alone returns the text of a guide that runs several nodes at one time, or skips the test.
func alone(t *testing.T, guide string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skipf("%s needs a network namespace, and so root", guide)
	}
	for _, program := range []string{"dig", "ip", "unshare"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s was left out for want of: %s", guide, program)
		}
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", guide))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// playAlone runs the commands of a guide in one shell, in a network of its own.
func playAlone(t *testing.T, guide, text string) {
	t.Helper()
	dir := t.TempDir()
	all := blocks(text)
	files := map[string]string{}
	for _, b := range all {
		if b.name != "" {
			files[b.name] = b.text
		}
	}
	s, err := newSession(dir, binary, files)
	if err != nil {
		t.Fatal(err)
	}
	shell := startShell(t, s)
	for _, b := range all {
		if b.lang != "" {
			continue
		}
		for _, part := range strings.Split("\n"+b.text, "\n$ ")[1:] {
			command, written, _ := strings.Cut(part, "\n")
			out, err := shell.run(command)
			if _, what, ok := strings.Cut(out, "error: building the module: there is no "); ok {
				t.Skipf("%s was left out for want of the toolchain of a module, %s", guide, strings.Split(what, "\n")[0])
			}
			if err != nil {
				t.Fatalf("%s:%d: %s: %v\n%s", guide, b.line, command, err, out)
			}
			if why := compare(strings.TrimRight(written, "\n"), out); why != "" {
				t.Fatalf("%s:%d: %s: %s\nall of it:\n%s", guide, b.line, command, why, out)
			}
			if log, ok := logOf(command); ok {
				if err := awaitServing(filepath.Join(dir, log)); err != nil {
					t.Fatalf("%s:%d: %s: %v", guide, b.line, command, err)
				}
			}
		}
	}
}

// shell is one shell in a network namespace, in which a reader types.
type shell struct {
	in  io.Writer
	out *bufio.Reader
}

func startShell(t *testing.T, s *session) *shell {
	t.Helper()
	c := s.command(t.Context(), "exec unshare -n -p --fork --kill-child --mount-proc sh")
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout, c.Stderr = w, w
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() {
		in.Close()
		c.Process.Kill()
		c.Wait()
		r.Close()
	})
	sh := &shell{in, bufio.NewReader(r)}
	if out, err := sh.run("ip link set lo up"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return sh
}

const promptMark = "--- the command has ended: "

// run runs a command and returns what it prints. It fails if the command does.
func (s *shell) run(command string) (string, error) {
	fmt.Fprintf(s.in, "%s\necho '%s'$?\n", command, promptMark)
	var b strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		if before, code, ok := strings.Cut(line, promptMark); ok {
			b.WriteString(before)
			if code != "0\n" {
				err = fmt.Errorf("exit status %s", strings.TrimSpace(code))
			}
			return b.String(), err
		}
		if err != nil {
			return b.String(), err
		}
		b.WriteString(line)
	}
}

// logOf returns the log of a node that a command starts.
func logOf(command string) (string, bool) {
	if !strings.HasSuffix(command, " &") {
		return "", false
	}
	_, log, ok := strings.Cut(strings.TrimSuffix(command, " &"), "2>")
	return log, ok
}

// awaitServing waits until a node answers by settings: those of its file, or, of a node of a store, those that came from there.
func awaitServing(log string) error {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		b, _ := os.ReadFile(log) // which the shell makes in a moment
		text := string(b)
		waits := strings.Contains(text, "waiting for the first version") && !strings.Contains(text, `"msg":"settings in use"`)
		if strings.Contains(text, `"msg":"serving"`) && !waits {
			return nil
		}
	}
	b, _ := os.ReadFile(log)
	return fmt.Errorf("it does not serve:\n%s", b)
}
