//go:build !linux

package etcd

import (
	"os/exec"
	"syscall"
)

// tie keeps the signals of a terminal from the child. It sees by the end of its input when this process has ended.
func tie(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
