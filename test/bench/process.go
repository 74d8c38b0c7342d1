//go:build linux

package bench

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a program that was started.
type Process struct {
	Name  string
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
	err   error     // how it ended
	in    io.Closer // standard input, at whose end the process ends; nil: it ends at SIGTERM
}

// Times is processor time.
type Times struct{ User, System time.Duration }

// All is both.
func (t Times) All() time.Duration { return t.User + t.System }

// CPU is the processor time that the process took so far, over all its threads, ended ones included.
func (p *Process) CPU() time.Duration { return CPUOf([]int{p.cmd.Process.Pid}) }

// Family lists the process and what it has started so far, and so on.
func (p *Process) Family() []int {
	family := []int{p.cmd.Process.Pid}
	parents := map[int]int{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		// The name before it, in parentheses, may hold anything; then come the state and the parent.
		if words := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])); len(words) > 1 {
			parents[pid], _ = strconv.Atoi(words[1])
		}
	}
	for i := 0; i < len(family); i++ {
		for pid, parent := range parents {
			if parent == family[i] {
				family = append(family, pid)
			}
		}
	}
	return family
}

// CPUOf is the processor time that some processes took so far.
func CPUOf(pids []int) (sum time.Duration) {
	for _, pid := range pids {
		// The clock of a process, as clock_getcpuclockid(3) makes it: exact to the nanosecond, where /proc counts ticks of 10 ms.
		clock := int32(^pid)<<3 | 2
		var t unix.Timespec
		if unix.ClockGettime(clock, &t) == nil {
			sum += time.Duration(t.Nano())
		}
	}
	return sum
}

// Memory is the resident memory of the process now, and at its peak, in bytes.
func (p *Process) Memory() (now, peak int64) {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	for line := range strings.Lines(string(status)) {
		words := strings.Fields(line)
		if len(words) != 3 {
			continue
		}
		kib, _ := strconv.ParseInt(words[1], 10, 64)
		switch words[0] {
		case "VmRSS:":
			now = kib << 10
		case "VmHWM:":
			peak = kib << 10
		}
	}
	return now, peak
}

// Ended tells whether the process is gone.
func (p *Process) Ended() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// Stop asks the process to end, and makes it end when it has not done so in time.
func (p *Process) Stop(patience time.Duration) {
	if p.Ended() {
		return
	}
	if p.in != nil {
		_ = p.in.Close() // it may just have ended
	} else {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.ended:
		return
	case <-timer.C:
	}
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// LastWords is the end of what the process wrote, for errors.
func (p *Process) LastWords() string {
	text, _ := os.ReadFile(p.log)
	text = bytes.TrimSpace(text)
	return string(text[max(0, len(text)-2000):])
}
