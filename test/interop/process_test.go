//go:build linux

package interop

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// process is a program that runs until it is told to end.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string        // file with what it wrote
	done chan struct{} // closed when it has ended
	err  error         // how, after done
}

// startProcess starts a program; what it writes goes to a file.
func startProcess(name, log string, argv ...string) (*process, error) {
	f, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p := &process{name: name, cmd: exec.Command(argv[0], argv[1:]...), log: log, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = f, f
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// signal sends a signal to the process.
func (p *process) signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// wait waits for the end of the process, and returns its exit code. It is an error if it takes longer than limit.
func (p *process) wait(limit time.Duration) (int, error) {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(limit):
		return 0, fmt.Errorf("%s (pid %d) is still there after %v", p.name, p.cmd.Process.Pid, limit)
	}
}

// stop ends the process: SIGTERM, and SIGKILL if it does not go, which is an error.
func (p *process) stop() error {
	_ = p.signal(syscall.SIGTERM) // it may have ended by itself
	_, err := p.wait(patience)
	if err != nil {
		_ = p.signal(syscall.SIGKILL)
		<-p.done
	}
	return err
}

// tail is the end of what the process wrote.
func (p *process) tail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	const most = 4000
	if len(b) > most {
		b = b[len(b)-most:]
	}
	return strings.TrimSpace(string(b))
}
