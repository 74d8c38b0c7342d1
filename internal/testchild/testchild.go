// Package testchild makes a test program its own child process: what compiles modules has to be the very program that loads them.
package testchild

import (
	"fmt"
	"io"
	"os"
	"os/exec"
)

// variable of the environment, by which a test program knows which child it is.
const variable = "ANANAS_TEST_CHILD"

// Be runs the child of that name on the standard input and output, and does not return, in a process that Command has made; else it does nothing. TestMain has to call it before anything else.
func Be(name string, child func(in io.Reader, out io.Writer) error) {
	if os.Getenv(variable) != name {
		return
	}
	if err := child(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Command returns what makes the process that is the child of that name.
func Command(name string) func() *exec.Cmd {
	return func() *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), variable+"="+name)
		return cmd
	}
}
