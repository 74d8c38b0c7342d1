package docs

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The guide to the store does what it says, from one node to a change that is taken back.
func TestStoreGuide(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("the guide to the store needs a network namespace, and so root")
	}
	for _, program := range []string{"dig", "ip", "unshare", "pkill"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("the guide to the store was left out for want of: %s", program)
		}
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", storeGuide))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	all := blocks(string(text))
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
			if err != nil {
				t.Fatalf("%s:%d: %s: %v\n%s", storeGuide, b.line, command, err, out)
			}
			if why := compare(strings.TrimRight(written, "\n"), out); why != "" {
				t.Fatalf("%s:%d: %s: %s\nall of it:\n%s", storeGuide, b.line, command, why, out)
			}
			if log, ok := logOf(command); ok {
				if err := awaitServing(filepath.Join(dir, log)); err != nil {
					t.Fatalf("%s:%d: %s: %v", storeGuide, b.line, command, err)
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
