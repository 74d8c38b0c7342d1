package etcd

import (
	"os/exec"
	"syscall"
)

// tie has the kernel end the child with this process, and keeps the signals of a terminal from it. The kernel's signal comes when the thread ends that started the child, not
// the process; so the goroutine that starts it is held to its thread for as long as the child lives.
func tie(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
