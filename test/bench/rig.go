//go:build linux

package bench

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/ananas-edge/ananas/lab"
)

// Options of a [Rig].
type Options struct {
	ResolverCPU int     // processor of the resolver under test
	OtherCPU    int     // processor of everything else: lab and load
	Ananas      string  // the program; "" builds it
	Unbound     string  // the program
	Keep        string  // folder for configurations, logs and metrics; "" is a temporary one, which is removed
	Quiet       float64 // a run is repeated if others took more than this share of a processor
	Repeats     int     // at most so often
	Validate    bool    // resolvers validate, with the lab's trust anchor
	Signatures  bool    // Unbound's checks of signatures are counted and timed; needs gcc
	Profile     bool    // save CPU profiles where a resolver tells; costs it some

	Programs []string // that must be there, beside ip, taskset and unbound
	Packages []string // that are built into Dir, beside internet and ananas
	Hint     string   // how to get the programs; "": those of all benchmarks
}

// Rig is where a benchmark runs: a network namespace in which every address is local, two processors, a folder, and the processes that
// were started. Use it in the goroutine that opened it: the kernel kills children when the thread that started them ends.
type Rig struct {
	Options
	Dir string

	ctx      context.Context
	mu       sync.Mutex
	children []*Process
	progress bool // a line of progress stands on the terminal
	terminal bool
}

// What the first execution of the program tells the second, which is in the namespace.
const (
	envNamespace = "ANANAS_BENCH_OUTSIDE" // the namespace that was left
	envDir       = "ANANAS_BENCH_DIR"
)

// ErrNotRoot is what [Open] returns to other users.
var ErrNotRoot = errors.New("making a network namespace: needs root\nhint: run it with sudo, or in a container with CAP_SYS_ADMIN and CAP_NET_ADMIN")

// Run builds what is needed, moves the program into a network namespace of its own, and calls f there. It cleans up whatever happens
// and ends the program: with 0, or with 1 and the error on standard error.
//
// The program is executed a second time, in the same process: only a process as a whole can be in another namespace reliably.
func Run(o Options, f func(context.Context, *Rig) error) {
	runtime.LockOSThread() // unshare(2) and PR_SET_PDEATHSIG are about threads
	err := run(o, f)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(o Options, f func(context.Context, *Rig) error) error {
	outside := os.Getenv(envNamespace)
	if outside == "" {
		return enter(o)
	}
	r := &Rig{Options: o, Dir: os.Getenv(envDir), terminal: term.IsTerminal(int(os.Stderr.Fd()))}
	defer r.close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go watchParent(ctx, cancel)
	r.ctx = ctx
	if err := r.prepareNetwork(outside); err != nil {
		return fmt.Errorf("preparing the network namespace: %w", err)
	}
	return f(ctx, r)
}

// watchParent ends the benchmark when "go run" or make is gone, which do not pass on every signal.
func watchParent(ctx context.Context, cancel context.CancelCauseFunc) {
	parent := os.Getppid()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if os.Getppid() != parent {
				cancel(errors.New("the program that started this one is gone"))
				return
			}
		}
	}
}

// enter builds, unshares and executes the program again. It returns only on failure.
func enter(o Options) (err error) {
	if os.Geteuid() != 0 {
		return ErrNotRoot
	}
	hint := cmp.Or(o.Hint, "apt-get install unbound iproute2 util-linux")
	for _, program := range append([]string{"ip", "taskset", o.Unbound}, o.Programs...) {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("looking for the programs that the benchmark needs: %w\nhint: %s", err, hint)
		}
	}
	dir := o.Keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "ananas-bench-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	} else if err = os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	packages := append([]string{"./test/bench/internet"}, o.Packages...)
	if o.Ananas == "" {
		packages = append(packages, "./cmd/ananas")
	}
	build := exec.Command("go", append([]string{"build", "-o", dir + "/"}, packages...)...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building: %w\n%s\nhint: run it from the top of the repository", err, out)
	}
	if o.Signatures {
		if err := buildCounter(dir); err != nil {
			return err
		}
	}
	outside, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var cpus unix.CPUSet
	cpus.Set(o.OtherCPU)
	if err := unix.SchedSetaffinity(0, &cpus); err != nil {
		return fmt.Errorf("moving to processor %d: %w", o.OtherCPU, err)
	}
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("making a network namespace: %w", err)
	}
	err = syscall.Exec(self, os.Args, append(os.Environ(), envNamespace+"="+outside, envDir+"="+dir))
	return fmt.Errorf("executing %q again: %w", self, err)
}

// prepareNetwork makes every address local (AnyIP): the lab's servers are wherever they are asked.
func (r *Rig) prepareNetwork(outside string) error {
	now, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return err
	}
	if now == outside {
		return fmt.Errorf("still in %s, where routes must not be changed", now)
	}
	for _, line := range lab.NamespaceCommands() {
		if out, err := exec.CommandContext(r.ctx, line[0], line[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("running %q: %w: %s", line, err, out)
		}
	}
	for file, value := range map[string]string{
		"ipv4/ip_local_port_range": "10000 60999", // clients' ports: more than attackers, and not the one that is measured
		"ipv6/ip_nonlocal_bind":    "1",           // the lab's servers send from addresses that no interface has
	} {
		if err := os.WriteFile("/proc/sys/net/"+file, []byte(value), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (r *Rig) close() {
	r.Done()
	for _, p := range r.children {
		p.Stop(2 * time.Second)
	}
	if r.Keep == "" {
		os.RemoveAll(r.Dir)
	}
}

// Progress shows what goes on: a line that the next one overwrites. Nothing where there is no terminal.
func (r *Rig) Progress(format string, args ...any) {
	if !r.terminal {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(os.Stderr, "\r\033[K"+format, args...)
	r.progress = true
}

// Done takes the progress line away.
func (r *Rig) Done() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.progress {
		fmt.Fprint(os.Stderr, "\r\033[K")
		r.progress = false
	}
}

// Say writes a line that stays, to standard error: standard output has only the tables.
func (r *Rig) Say(format string, args ...any) {
	r.Done()
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

// Write puts a file into the rig's folder and returns its path.
func (r *Rig) Write(name, text string) (string, error) {
	path := filepath.Join(r.Dir, name)
	return path, os.WriteFile(path, []byte(text), 0o644)
}

// Sleep waits, unless the benchmark is to end.
func (r *Rig) Sleep(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	case <-t.C:
		return nil
	}
}

// Flags declares the options that all benchmarks share.
func (o *Options) Flags(f *flag.FlagSet) {
	f.IntVar(&o.ResolverCPU, "resolver-cpu", 0, "processor of the resolver")
	f.IntVar(&o.OtherCPU, "other-cpu", 1, "processor of lab and load")
	f.StringVar(&o.Ananas, "ananas", "", "program; empty: built from ./cmd/ananas")
	f.StringVar(&o.Unbound, "unbound", "unbound", "program")
	f.Float64Var(&o.Quiet, "quiet", 0.1, "repeat a run in which others took more than this share of a processor")
	f.IntVar(&o.Repeats, "repeats", 2, "repeat a run at most so often; the quietest counts")
	f.BoolVar(&o.Profile, "profile", false, "save CPU profiles of ananas (with -keep)")
	f.StringVar(&o.Keep, "keep", "", "folder for configurations, logs, metrics and latencies; empty: not kept")
}

// Quietest measures again while others take too much of the processors, at most Repeats times, and returns the quietest run.
func Quietest[T any](r *Rig, internet *Internet, measure func() (T, Noise, error)) (best T, err error) {
	var least Noise
	for try := range r.Repeats + 1 {
		if err := r.AwaitQuiet(r.Quiet, internet); err != nil {
			return best, err
		}
		v, noise, err := measure()
		if err != nil {
			return best, err
		}
		if try == 0 || noise.Worst() < least.Worst() {
			best, least = v, noise
		}
		if least.Worst() <= r.Quiet {
			break
		}
		r.Say("%-11s others took %v of the processors", "", noise)
	}
	return best, nil
}
