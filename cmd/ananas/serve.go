package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/ananas-edge/ananas/internal/strictyaml"
	"github.com/ananas-edge/ananas/node"
	"github.com/ananas-edge/ananas/settings"
	"github.com/ananas-edge/ananas/telemetry"
)

// serveCommand runs a node until it is told to stop.
type serveCommand struct {
	Config string `placeholder:"FILE" help:"The node's settings. Without it: a recursive resolver on 127.0.0.1:5335, API on 127.0.0.1:8053."`
	Token  string `placeholder:"TOKEN" env:"ANANAS_JOIN_TOKEN" help:"The token to join a store with, from ananas root token. It is needed once."`
}

func (serveCommand) Help() string {
	return `SIGTERM and SIGINT end it; SIGHUP reads the file again, as "ananas reload" does.

Example:
  ananas serve --config ananas.yaml`
}

// Run runs the node.
func (c serveCommand) Run(p *process) error {
	file, err := openSettings(c.Config)
	if err != nil {
		return err
	}
	o := node.Options{File: file, Version: thisVersion(), Log: logger(p.stderr), Etcd: etcdProcess, Compiler: compileProcess, Token: c.Token}
	if c.Config != "" {
		o.Reread = func() (*settings.File, error) { return settings.Open(c.Config) }
	}
	return runNode(p.ctx, o, nil)
}

func openSettings(config string) (*settings.File, error) {
	if config == "" {
		return settings.Default(), nil
	}
	f, err := settings.Open(config)
	var wrong *strictyaml.Errors
	if errors.Is(err, fs.ErrNotExist) && errors.As(err, &wrong) {
		wrong.List[0].Hint += ", or start without --config for a resolver on 127.0.0.1:5335"
	}
	return f, err
}

// runNode starts a node, calls started, and serves until ctx is done, which is when a signal came.
func runNode(ctx context.Context, o node.Options, started func(*node.Node)) error {
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	defer signal.Stop(again)

	n, err := node.Start(ctx, o)
	switch {
	case err != nil && ctx.Err() != nil: // a signal came while it waited to join, or for another process
		o.Log.Info("stopping before it serves", "cause", context.Cause(ctx), "at", err.Error())
		return nil
	case err != nil:
		return err
	}
	if started != nil {
		started(n)
	}
	for {
		select {
		case <-again:
			_, _ = n.Reload(ctx) // the node logs what came of it
		case <-ctx.Done():
			o.Log.Info("stopping", "cause", context.Cause(ctx))
			if err := n.Close(); err != nil {
				return fmt.Errorf("stopping the node: %w", err)
			}
			return nil
		}
	}
}

// logger writes text to a terminal and JSON elsewhere.
func logger(stderr io.Writer) *slog.Logger {
	if f, ok := stderr.(*os.File); ok {
		return telemetry.NewLogger(f, slog.LevelInfo)
	}
	return slog.New(slog.NewJSONHandler(stderr, nil))
}

// etcdProcess makes the process that runs it: this program once more.
func etcdProcess() *exec.Cmd { return exec.Command(thisProgram(), "store-etcd") }

// compileProcess makes the process that compiles a module: this program once more.
func compileProcess() *exec.Cmd { return exec.Command(thisProgram(), "wasm-compile") }

func thisProgram() string {
	self, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return self
}
