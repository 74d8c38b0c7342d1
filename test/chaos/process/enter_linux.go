package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// processOptions are those of the runs with real processes.
type processOptions struct {
	Runs     int
	Seed     uint64
	Parallel int
	Verbose  bool
}

// runTime bounds one run: a start, some 20 s of faults, the convergence, and the checks, five times over.
const runTime = 5 * time.Minute

// A run is this program once more, in namespaces of network, processes and mounts of its own: when it ends, in whatever way, so does all that it has started.
const insideRun = "ANANAS_CHAOS_RUN"

// inside is what a run is told.
type inside struct {
	Dir, Binary string
	Seed        uint64
	Verbose     bool
}

// processes makes runs, prints a line for each, and returns an error if one failed.
func processes(o processOptions) error {
	if text := os.Getenv(insideRun); text != "" {
		var in inside
		if err := json.Unmarshal([]byte(text), &in); err != nil {
			return err
		}
		return runInside(in)
	}
	if o.Runs == 0 {
		return nil
	}
	if os.Geteuid() != 0 {
		return errors.New("runs with processes make network namespaces, which takes root")
	}
	dir, err := os.MkdirTemp("", "ananas-chaos")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "ananas")
	build := exec.Command("go", "build", "-o", binary, "github.com/ananas-edge/ananas/cmd/ananas")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building ananas: %w\n%s", err, out)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var failed []uint64
	seeds := make(chan uint64)
	for range max(1, min(o.Parallel, o.Runs)) {
		all.Go(func() {
			for seed := range seeds {
				folder := filepath.Join(dir, fmt.Sprint(seed))
				began := time.Now()
				out, err := enter(inside{folder, binary, seed, o.Verbose})
				mu.Lock()
				if err != nil {
					failed = append(failed, seed)
					fmt.Printf("%sseed %d: FAILED after %v: %v\n  repeat it: go run ./test/chaos/process -runs 1 -seed %d\n", out, seed, time.Since(began).Round(time.Second), err, seed)
				} else {
					fmt.Printf("%s", out)
				}
				mu.Unlock()
				os.RemoveAll(folder)
			}
		})
	}
	for i := range o.Runs {
		seeds <- o.Seed + uint64(i)
	}
	close(seeds)
	all.Wait()
	if len(failed) > 0 {
		slices.Sort(failed)
		return fmt.Errorf("%d of %d runs failed: seeds %v", len(failed), o.Runs, failed)
	}
	fmt.Printf("%d runs with processes: none failed\n", o.Runs)
	return nil
}

// enter makes one run.
func enter(in inside) (string, error) {
	runtime.LockOSThread() // Pdeathsig is of the thread
	defer runtime.UnlockOSThread()
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(in.Dir, 0o700); err != nil {
		return "", err
	}
	text, err := json.Marshal(in)
	if err != nil {
		return "", err
	}
	cmd := exec.Command(exe)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = append(os.Environ(), insideRun+"="+string(text), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:   syscall.CLONE_NEWNET | syscall.CLONE_NEWPID,
		Unshareflags: syscall.CLONE_NEWNS, // the kind that keeps its mounts to itself
		Pdeathsig:    syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("making namespaces: %w", err)
	}
	late := time.AfterFunc(runTime, func() { cmd.Process.Kill() })
	err = cmd.Wait()
	if !late.Stop() && err != nil {
		err = fmt.Errorf("it took more than %v: %w", runTime, err)
	}
	return out.String(), err
}

// command runs a program of the system.
func command(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// prepare makes the namespaces ready: the loopback interface, a bridge that the nodes' cables end at, and a /run that only this run sees.
func prepare() error {
	// Processes here have other numbers than outside. Without it they only know less of themselves.
	_ = syscall.Mount("proc", "/proc", "proc", 0, "")
	if err := syscall.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mounting /run: %w", err)
	}
	for _, line := range []string{"link set lo up", "link add br0 type bridge", "addr add " + bridge + "/24 dev br0", "link set br0 up"} {
		if err := command("ip", strings.Fields(line)...); err != nil {
			return err
		}
	}
	return nil
}

// The bridge has this address; node I has 10.77.0.(I+10), in a network namespace of its own.
const bridge = "10.77.0.1"

// plug makes the namespace of a node with a cable to the bridge, and the disk of its data folder.
func plug(i int, name, data, disk string) (address string, err error) {
	address = fmt.Sprintf("10.77.0.%d", 10+i)
	ns, cable := "-n "+name+" ", fmt.Sprintf("v%d", i)
	for _, line := range []string{
		"netns add " + name, "link add " + cable + " type veth peer name eth0 netns " + name, "link set " + cable + " master br0", "link set " + cable + " up",
		ns + "link set lo up", ns + "addr add " + address + "/24 dev eth0", ns + "link set eth0 up",
	} {
		if err := command("ip", strings.Fields(line)...); err != nil {
			return "", err
		}
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return "", err
	}
	if err := syscall.Mount("tmpfs", data, "tmpfs", 0, "mode=700,size="+disk); err != nil {
		return "", fmt.Errorf("mounting the disk of %s: %w", name, err)
	}
	return address, nil
}
