//go:build linux

package bench

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Command is a program to start.
type Command struct {
	Name string // of its log in the rig's folder, which gets its output
	CPUs []int
	Env  []string
	Args []string // the program's name first

	// Nice below 0 puts the program before other work of the machine. It is then a session of its own: the kernel shares a processor
	// among sessions first (autogroups, sched(7)), and nice alone would change nothing between them.
	Nice int

	In  io.Reader // nil: nothing
	Out io.Writer // standard output; nil: the log
}

// start runs a program on one processor.
func (r *Rig) start(name string, cpu int, env []string, program string, args ...string) (*Process, error) {
	return r.StartCommand(Command{Name: name, CPUs: []int{cpu}, Env: env, Args: append([]string{program}, args...)})
}

// StartCommand runs a program on some processors. It ends with the benchmark.
func (r *Rig) StartCommand(c Command) (*Process, error) {
	log, err := os.Create(filepath.Join(r.Dir, c.Name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	var cpus []string
	for _, n := range c.CPUs {
		cpus = append(cpus, strconv.Itoa(n))
	}
	x := exec.Command("taskset", append([]string{"-c", strings.Join(cpus, ",")}, c.Args...)...)
	x.Dir = r.Dir
	x.Env = append(os.Environ(), c.Env...)
	x.Stdin, x.Stdout, x.Stderr = c.In, log, log
	if c.Out != nil {
		x.Stdout = c.Out
	}
	x.SysProcAttr = &syscall.SysProcAttr{Setpgid: c.Nice == 0, Setsid: c.Nice != 0, Pdeathsig: syscall.SIGKILL}
	p := &Process{Name: c.Name, cmd: x, log: log.Name(), ended: make(chan struct{})}
	if err := r.launch(p); err != nil {
		return nil, err
	}
	if c.Nice != 0 {
		p.prefer(c.Nice)
	}
	return p, nil
}

// prefer puts a process, and its session, before others. Where that is not allowed, figures are noisier, and no more.
func (p *Process) prefer(nice int) {
	pid := p.cmd.Process.Pid
	if os.WriteFile(fmt.Sprintf("/proc/%d/autogroup", pid), []byte(strconv.Itoa(nice)), 0) != nil { // a kernel without them
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, pid, nice)
	}
}

// KeepAwake has a loop of the lowest priority, which gives way to whatever else there is, run on the resolver's processor: one that has slept between
// two questions, and a virtual one still more, takes up to twice as long for the next.
func (r *Rig) KeepAwake() error {
	_, err := r.start("awake", r.ResolverCPU, nil, "chrt", "--idle", "0", "sh", "-c", "while :; do :; done")
	return err
}

func (r *Rig) launch(p *Process) error {
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("starting %q: %w", p.Name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.children = append(r.children, p)
	return nil
}

// Wait waits until the process has ended by itself, and returns how, and what processor time it took in all.
func (p *Process) Wait() (took Times, err error) {
	<-p.ended
	if p.err != nil {
		return took, fmt.Errorf("running %q: %w; it said: %s", p.Name, p.err, p.LastWords())
	}
	return Times{p.cmd.ProcessState.UserTime(), p.cmd.ProcessState.SystemTime()}, nil
}
