package docs

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience is how long a command may take. To build a module where nothing was built before takes a minute on a quiet machine.
const patience = 5 * time.Minute

// session is a folder in which the commands of one document run one after the other, as somebody would type them who reads it. Ports
// are free ones: what the document writes is replaced in commands, and put back in what they print.
type session struct {
	dir  string
	node *node // what the commands ask: a lab
}

// node is `ananas lab` or `ananas serve`, running.
type node struct {
	cmd  *exec.Cmd
	done chan struct{} // all output was read
	out  output
	DNS  []string `json:"dns"`
	Port string   `json:"-"`
	API  string   `json:"admin"`
}

type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // gets an element with each line
}

// free are the settings of a node on ports that nobody uses.
const free = `node: { cache: 8MiB, listen: { dns: ["127.0.0.1:0"], admin: "127.0.0.1:0" } }` + "\n"

func newSession(dir, binary string, files map[string]string) (*session, error) {
	s := &session{dir: dir}
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o700); err != nil {
		return nil, err
	}
	if err := os.Symlink(binary, filepath.Join(dir, "bin", "ananas")); err != nil {
		return nil, err
	}
	for name, text := range files {
		if err := s.write(name, text); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *session) write(name, text string) error {
	return os.WriteFile(filepath.Join(s.dir, filepath.Base(name)), []byte(text), 0o600)
}

func (s *session) command(ctx context.Context, text string) *exec.Cmd {
	c := exec.CommandContext(ctx, "sh", "-c", text)
	c.Dir = s.dir
	c.WaitDelay = patience
	c.Env = []string{"PATH=" + filepath.Join(s.dir, "bin") + ":" + os.Getenv("PATH"), "HOME=" + s.dir, "COLUMNS=" + columns, "LC_ALL=C.UTF-8",
		"GOCACHE=" + goCache()} // of who runs the tests: to build Go's library for another system takes a minute
	if s.node != nil {
		c.Env = append(c.Env, "ANANAS_NODE="+s.node.API)
	}
	return c
}

// goCache is where the go command keeps what it built; "" has it look for itself.
var goCache = sync.OnceValue(func() string {
	out, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
})

// columns is the width of the terminal in which the documents' examples were run.
const columns = "120"

// run runs a command to its end and returns what it writes, errors included.
func (s *session) run(command string) (string, error) {
	if s.node != nil {
		command = strings.NewReplacer("127.0.0.1 -p 5335", "127.0.0.1 -p "+s.node.Port, "127.0.0.1:5335", s.node.DNS[0], "127.0.0.1:8053", s.node.API).Replace(command)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := s.command(ctx, command).CombinedOutput()
	return s.asWritten(string(out)), err
}

func (s *session) asWritten(out string) string {
	if s.node == nil {
		return out
	}
	return strings.NewReplacer("127.0.0.1 -p "+s.node.Port, "127.0.0.1 -p 5335", s.node.DNS[0], "127.0.0.1:5335", s.node.API, "127.0.0.1:8053").Replace(out)
}

// ask makes sure that there is a node to ask: the lab that a reader of the README has.
func (s *session) ask() error {
	if s.node != nil {
		return nil
	}
	return s.start("ananas lab")
}

// start runs a node on free ports until it serves.
func (s *session) start(command string) error {
	if err := s.stop(); err != nil {
		return err
	}
	config := "free.yaml"
	if before, file, ok := strings.Cut(command, " --config "); ok {
		// The settings of the document, but for the addresses, which this machine does not have.
		command, config = before, strings.TrimSpace(file)
		text, err := os.ReadFile(filepath.Join(s.dir, config))
		if err != nil {
			return err
		}
		if !strings.Contains("\n"+string(text), "\nnode:") {
			if err := s.write(config, free+string(text)); err != nil {
				return err
			}
		}
	} else if err := s.write(config, free); err != nil {
		return err
	}
	c := s.command(context.Background(), "exec "+command+" --config "+config)
	n := &node{cmd: c, done: make(chan struct{}), out: output{more: make(chan struct{}, 10_000)}}
	log, err := c.StderrPipe()
	if err != nil {
		return err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	serving := make(chan error, 1)
	go func() {
		defer close(n.done)
		var read sync.WaitGroup
		read.Go(func() { serving <- n.readLog(log) })
		read.Go(func() { n.readOutput(out) })
		read.Wait()
	}()
	select {
	case err = <-serving:
	case <-time.After(patience):
		err = errors.New("it does not serve")
	}
	if err != nil {
		_ = c.Process.Kill()
		return fmt.Errorf("starting %q: %w", command, errors.Join(err, c.Wait()))
	}
	n.Port = n.DNS[0][strings.LastIndex(n.DNS[0], ":")+1:]
	s.node = n
	return nil
}

// readLog reads until the node serves, and then on behind it.
func (n *node) readLog(r io.Reader) error {
	var seen []string
	for lines := bufio.NewScanner(r); lines.Scan(); {
		seen = append(seen, lines.Text())
		if strings.Contains(lines.Text(), `"msg":"serving"`) {
			go func() { _, _ = io.Copy(io.Discard, r) }() // ends with the process
			return json.Unmarshal(lines.Bytes(), n)
		}
	}
	return fmt.Errorf("it ended:\n%s", strings.Join(seen, "\n"))
}

func (n *node) readOutput(r io.Reader) {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		n.out.mu.Lock()
		n.out.text.WriteString(lines.Text() + "\n")
		n.out.mu.Unlock()
		n.out.more <- struct{}{}
	}
}

// printed waits until the node has printed what is written, and says how it differs if it does not.
func (s *session) printed(written string) string {
	late := time.After(patience)
	for {
		s.node.out.mu.Lock()
		difference := compare(written, s.asWritten(s.node.out.text.String()))
		s.node.out.mu.Unlock()
		if difference == "" {
			return ""
		}
		select {
		case <-s.node.out.more:
		case <-late:
			return difference
		}
	}
}

// stop ends the node that runs, as its reader would.
func (s *session) stop() error {
	n := s.node
	if n == nil {
		return nil
	}
	s.node = nil
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	late := time.AfterFunc(patience, func() { _ = n.cmd.Process.Kill() }) // Wait tells
	defer late.Stop()
	<-n.done
	return n.cmd.Wait()
}
