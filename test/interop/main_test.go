//go:build linux

package interop

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// needs are the programs that the tests run, and the Debian packages that have them.
var needs = []struct{ program, debian string }{
	{"nsd", "nsd"},
	{"named", "bind9"},
	{"dnssec-keygen", "bind9-utils"},
	{"dnssec-signzone", "bind9-utils"},
	{"knotd", "knot"},
	{"dig", "bind9-dnsutils"},
	{"delv", "bind9-dnsutils"},
	{"kdig", "knot-dnsutils"},
	{"drill", "ldnsutils"},
	{"ldns-keygen", "ldnsutils"},
	{"ldns-key2ds", "ldnsutils"},
	{"ldns-signzone", "ldnsutils"},
	{"unbound", "unbound"},
	{"unbound-host", "unbound-host"},
	{"kzonesign", "knot-dnssecutils"},
	{"keymgr", "knot"},
	{"ip", "iproute2"},
}

const aptLine = "apt-get install --no-install-recommends nsd bind9 knot bind9-dnsutils knot-dnsutils knot-dnssecutils ldnsutils unbound unbound-host iproute2 dns-root-data"

// The test binary runs twice: outside, where it looks whether all that is needed is there and builds ananas, and inside new namespaces
// of network, processes and mounts, where the tests run. insideDir tells the second run that it is the second, and where its files are.
const (
	insideDir   = "ANANAS_INTEROP_DIR"
	buildFailed = "ANANAS_INTEROP_BUILD"
)

// leftOut says why the tests can't run here; "" if they can. TestMain sets it.
var leftOut string

// inWorld is the world of the second run. TestMain sets it.
var inWorld *world

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if dir := os.Getenv(insideDir); dir != "" {
		return inside(m, dir)
	}
	if flag.Lookup("test.list").Value.String() != "" {
		return m.Run()
	}
	// Debian has name servers where only root looks.
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin"); err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		return 1
	}
	if leftOut = missing(); leftOut != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "interop")
	if err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	code, err := enter(dir, build(dir))
	if errors.Is(err, syscall.EPERM) {
		leftOut = fmt.Sprintf("making a network namespace: %v; in a container it takes --privileged", err)
		return m.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "interop: making a network namespace:", err)
		return 1
	}
	return code
}

// missing says what the tests lack on this machine.
func missing() string {
	if os.Geteuid() != 0 {
		return "needs root, for a network namespace of its own; the rest of what it needs: " + aptLine
	}
	var programs []string
	for _, n := range needs {
		if _, err := exec.LookPath(n.program); err != nil {
			programs = append(programs, n.program+" (of "+n.debian+")")
		}
	}
	if programs != nil {
		return "needs " + strings.Join(programs, ", ") + ": " + aptLine
	}
	if _, err := os.Stat("/proc/sys/net/ipv6"); err != nil {
		return "needs a kernel with IPv6"
	}
	return ""
}

// build makes the binary under test. What went wrong is told by the tests that need it; Unbound's run needs none.
func build(dir string) string {
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "ananas"), "github.com/ananas-edge/ananas/cmd/ananas")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Sprintf("building cmd/ananas: %v\n%s", err, out)
	}
	return ""
}

// enter runs this binary again in namespaces of its own. When that process ends, in whatever way, so do all in it.
func enter(dir, buildError string) (int, error) {
	runtime.LockOSThread() // Pdeathsig is of the thread
	defer runtime.UnlockOSThread()
	exe, err := os.Executable()
	if err != nil {
		return 1, err
	}
	cmd := exec.Command(exe, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), insideDir+"="+dir, buildFailed+"="+buildError)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:   syscall.CLONE_NEWNET | syscall.CLONE_NEWPID,
		Unshareflags: syscall.CLONE_NEWNS, // the kind that keeps its mounts to itself
		Pdeathsig:    syscall.SIGKILL,
	}
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(1, exit.ExitCode()), nil
	}
	return 0, err
}

func inside(m *testing.M, dir string) int {
	// Processes here have other numbers than outside, and some look themselves up. Without it they only know less of themselves.
	_ = syscall.Mount("proc", "/proc", "proc", 0, "")
	w, err := startWorld(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		w.stop()
		return 1
	}
	inWorld = w
	code := m.Run()
	if err := w.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		return 1
	}
	return code
}

// enterWorld returns the world that a test runs in, or skips it.
func enterWorld(t *testing.T) *world {
	t.Helper()
	if leftOut != "" {
		t.Skip(leftOut)
	}
	noteSources(t)
	return inWorld
}

// noteSources looks at each source file of the module, so that `go test` does not repeat a cached result after one has changed: it can't
// know that this test builds the binary.
var noteSources = func() func(*testing.T) {
	var once sync.Once
	return func(t *testing.T) {
		once.Do(func() {
			err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.Type().IsRegular() && (strings.HasSuffix(path, ".go") || strings.Contains(path, "testdata/")) {
					_, _ = os.Stat(path)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}()

// makeNetwork makes the loopback interface the whole internet: every address is this host's, and those of list can be listened on by
// programs that look at the interface's own.
func makeNetwork(list []netip.Addr) error {
	var batch bytes.Buffer
	fmt.Fprintln(&batch, "link set lo up")
	fmt.Fprintln(&batch, "route add local 0.0.0.0/0 dev lo")
	fmt.Fprintln(&batch, "route add local ::/0 dev lo")
	for _, a := range list {
		if a.Is6() {
			fmt.Fprintf(&batch, "addr add %v/128 dev lo nodad\n", a)
		} else if !a.IsLoopback() {
			fmt.Fprintf(&batch, "addr add %v/32 dev lo\n", a)
		}
	}
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = &batch
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("setting up the loopback interface: %w: %s", err, out)
	}
	return nil
}
