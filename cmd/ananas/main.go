// Ananas is the command line: it runs a node, and asks one. This package holds flags, wiring and what a command prints; package
// story draws an explain, package terminal knows the place that is written to.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
)

// version is set by the linker; what is built without it tells the module's version.
var version string

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitWrong  = 2 // used wrongly: nothing was done
)

// Commands are the subcommands. Each is a struct of its flags in a file of its own, with a method Run(*process) error, and a
// method Help whose text ends in an example.
type Commands struct {
	// A node is run here.
	Serve serveCommand `cmd:"" help:"Run a node."`
	Lab   labCommand   `cmd:"" help:"Run a node on an internet of its own; needs no network."`
	Check checkCommand `cmd:"" help:"Compile a file dry: it is good, or what is wrong, where, and what to do."`

	// A node is asked here.
	Explain explainCommand `cmd:"" help:"Resolve a name and tell how."`
	Cache   cacheCommands  `cmd:"" help:"What is cached."`
	Queries queriesCommand `cmd:"" help:"What clients ask right now."`
	Reload  reloadCommand  `cmd:"" help:"Have the node read its settings again."`
	Status  statusCommand  `cmd:"" help:"How the node is."`

	// The store is asked here, and changed.
	Apply    applyCommand     `cmd:"" help:"Make settings in the store equal to files."`
	Get      getCommand       `cmd:"" help:"Print a setting, or a folder of them as a file."`
	Ls       lsCommand        `cmd:"" help:"List settings by their keys."`
	Diff     diffCommand      `cmd:"" help:"What is different between versions, or would be after an apply."`
	History  historyCommand   `cmd:"" help:"What was committed: when, by whom and why."`
	Rollback rollbackCommand  `cmd:"" help:"Make all settings what they were at a version."`
	Watch    watchCommand     `cmd:"" help:"Show commits as they come."`
	Rollout  rolloutCommands  `cmd:"" help:"Changes on their way through the fleet."`
	Root     rootCommands     `cmd:"" help:"The store's root, its nodes, and tokens to join it."`
	Snapshot snapshotCommands `cmd:"" help:"The whole store as one file."`

	// Modules are written here: no node is asked.
	Module moduleCommands `cmd:"" help:"WebAssembly programs in the path of a query."`

	Version versionCommand `cmd:"" help:"Which version this is."`

	// A node runs them for itself.
	StoreEtcd   etcdCommand    `cmd:"" hidden:""`
	WasmCompile compileCommand `cmd:"" hidden:""`

	// As other programs have it.
	PrintVersion versionFlag `name:"version" help:"Which version this is."`
}

// versionFlag is the command version for those who expect a flag.
type versionFlag bool

// BeforeReset is called before it is missed that no command was given.
func (versionFlag) BeforeReset(app *kong.Kong) error {
	if err := writeVersion(app.Stdout); err != nil {
		return err
	}
	return errHelped
}

// process is what a command has of its process.
type process struct {
	ctx    context.Context // done when the user interrupts
	let    func()          // has the first signal end the process, for what may wait without looking at ctx
	args   []string        // that were given, without the program's name
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	env    func(string) string

	// wait lets time pass, until ctx is done.
	wait func(ctx context.Context, d time.Duration)
}

// pass waits on the system's clock.
func pass(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv)) }

const description = `A DNS resolver that you can program while it runs.

Example:

  ananas lab &
  ananas explain www.example.com`

// run is the whole program: it returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer, env func(string) string) int {
	return (&process{stdin: stdin, stdout: stdout, stderr: stderr, env: env, wait: pass}).run(args)
}

// run parses the arguments and runs the command in p.
func (p *process) run(args []string) int {
	stdout, stderr := p.stdout, p.stderr
	parser, err := kong.New(new(Commands),
		kong.Name("ananas"),
		kong.Description(description),
		kong.Writers(stdout, stderr),
		kong.Help(printHelp),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
	)
	if err != nil {
		return report(stderr, fmt.Errorf("reading the commands: %w", err))
	}
	if len(args) > 0 && args[0] == "help" { // as git and go have it
		args = append(slices.Clone(args[1:]), "--help")
	}
	command, err := parser.Parse(args)
	if errors.Is(err, errHelped) {
		return exitDone
	}
	if err != nil {
		return report(stderr, usageError{err, cmp.Or(hintOf(err), helpHint(err))})
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	p.ctx, p.let, p.args = ctx, stop, args
	err = command.Run(p)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	return report(stderr, err)
}

// errHelped ends the parsing after help, or the version, was printed.
var errHelped = errors.New("help was printed")

func printHelp(o kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(o, ctx); err != nil {
		return fmt.Errorf("writing the help: %w", err)
	}
	return errHelped
}

// usageError is a command that was used wrongly.
type usageError struct {
	error
	hint string
}

func (e usageError) Unwrap() error { return e.error }

// Hint says what to do.
func (e usageError) Hint() string { return cmp.Or(e.hint, hintOf(e.error)) }

// hinted is an error with a mend.
type hinted struct {
	error
	hint string
}

func (e hinted) Unwrap() error { return e.error }

// Hint says what to do.
func (e hinted) Hint() string { return e.hint }

// hintOf returns what an error says that can be done about it.
func hintOf(err error) string {
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return hinted.Hint()
	}
	return ""
}

// helpHint names the help of the command that was meant.
func helpHint(err error) string {
	name := "ananas"
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil && parse.Context.Selected() != nil {
		name = parse.Context.Selected().FullPath()
	}
	return name + " --help shows how it is used"
}

// report prints an error for the user and returns the exit code.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return exitDone
	}
	fmt.Fprintf(stderr, "error: %s\n", indent(err.Error()))
	if hint := hintOf(err); hint != "" && !strings.Contains(err.Error(), "hint: "+hint) { // errors of a file have theirs beside them
		fmt.Fprintf(stderr, "hint: %s\n", indent(hint))
	}
	var wrong usageError
	if errors.As(err, &wrong) {
		return exitWrong
	}
	return exitFailed
}

// indent makes a text of several lines fit behind "error: ".
func indent(text string) string {
	return strings.ReplaceAll(strings.TrimRight(terminal.Clean(text), "\n"), "\n", "\n  ")
}
