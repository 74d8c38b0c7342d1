package wasm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"time"
)

// mostSaid is how much of what a child writes is kept. An outcome is a line; of a crash the first line counts.
const mostSaid = 64 << 10

// bounded keeps the beginning of what is written.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), max(0, mostSaid-b.Len()))])
	return len(p), nil
}

// runChild has a process compile, and tells why it did not.
func (e *Engine) runChild(ctx context.Context, folder string, source []byte, l Limits) error {
	within, stop := context.WithTimeout(ctx, l.CompileTime)
	defer stop()
	line, err := json.Marshal(order{folder, l.weave(), l.CompileMemory, max(1, int64(l.CompileCPU/time.Second)), len(source)})
	if err != nil {
		return fmt.Errorf("writing what to compile: %w", err)
	}
	made := e.config.Command()
	cmd := exec.CommandContext(within, made.Path, made.Args[1:]...)
	cmd.Args, cmd.Env, cmd.Dir = made.Args, made.Env, made.Dir
	var said, told bounded
	cmd.Stdin = bytes.NewReader(append(append(line, '\n'), source...))
	cmd.Stdout, cmd.Stderr = &said, &told
	cmd.WaitDelay = time.Second
	ended := cmd.Run()
	var out outcome
	switch err := json.Unmarshal(said.Bytes(), &out); {
	case ended == nil && err != nil:
		return fmt.Errorf("compiling the module: the process that does it said %q", firstLine(said.String()))
	case ended == nil && out.Error == "":
		return nil
	case ended == nil:
		return errors.New(out.Error)
	case ctx.Err() != nil:
		return fmt.Errorf("compiling the module: %w", ctx.Err())
	case within.Err() != nil:
		return tooDear(fmt.Errorf("compiling the module: it was not done after %v", l.CompileTime))
	case cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == crashed:
		return tooDear(fmt.Errorf("compiling the module: it takes more than %d octets of memory, or the compiler can not do it (%s)", l.CompileMemory, firstLine(told.String())))
	case cmd.ProcessState != nil && cmd.ProcessState.ExitCode() < 0 && cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime() > l.CompileCPU/2:
		// By a signal, and the system counts the time that it limits by other means than the time that it tells.
		return tooDear(fmt.Errorf("compiling the module: it takes more than %v of a processor", l.CompileCPU))
	case told.Len() > 0:
		return fmt.Errorf("compiling the module: %w: %s", ended, firstLine(told.String()))
	}
	return fmt.Errorf("compiling the module: %w", ended)
}

// crashed is the code of a Go program that the runtime ended: where the system gives it no more memory it says "out of memory", or stumbles in its own code.
const crashed = 2

func tooDear(err error) error {
	return hinted{err, "split its largest functions, or raise the limits of compilation for this module"}
}
