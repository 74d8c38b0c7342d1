//go:build linux

package bench

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// envNetwork tells the program that it is in its own network.
const envNetwork = "ANANAS_BENCH_NETWORK"

// EnterNetwork starts the program again in a network of its own, which has nothing but loopback, and waits for it: nodes find nobody there that they could ask, and no port is taken. code is how that
// ended; it is negative in the network itself. It needs root, or user namespaces.
func EnterNetwork() (code int, err error) {
	if os.Getenv(envNetwork) != "" {
		return -1, raiseLoopback()
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), envNetwork+"=own")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: syscall.SIGTERM}
	if os.Getuid() != 0 {
		own := func(id int) []syscall.SysProcIDMap {
			return []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: 1}}
		}
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings, cmd.SysProcAttr.GidMappings = own(os.Getuid()), own(os.Getgid())
	}
	runtime.LockOSThread()        // the child is told when this thread ends
	signal.Ignore(syscall.SIGINT) // the terminal tells both
	err = cmd.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return max(ended.ExitCode(), 1), nil
	}
	if err != nil {
		return 0, fmt.Errorf("starting in a network of its own: %w", err)
	}
	return 0, nil
}

// raiseLoopback makes the one interface that there is work.
func raiseLoopback() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("raising the loopback interface: %w", err)
	}
	return nil
}
