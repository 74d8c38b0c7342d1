package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/ananas-edge/ananas/admin/client"
)

// nodeFlags are the flags of every command that asks a node.
type nodeFlags struct {
	Node string `placeholder:"URL" help:"The admin address of the node: http://HOST:PORT or HOST:PORT. Default: $ANANAS_NODE, else 127.0.0.1:8053."`
	Data string `placeholder:"DIR" help:"The data folder of a node on this machine, where its token lies. Default: $ANANAS_DATA, else ./ananas-data."`
}

// open returns a client of the node. It asks nothing yet.
func (f nodeFlags) open(p *process) (*client.Client, error) {
	c, err := client.New(client.Options{Node: f.Node, Data: cmp.Or(f.Data, p.env("ANANAS_DATA")), Getenv: p.env})
	if err != nil {
		return nil, usageError{err, ""} // the client's error has the hint
	}
	return c, nil
}

// printJSON writes a value for programs.
func (p *process) printJSON(v any) error {
	return p.print(func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(v)
	})
}

// print writes to standard output, all at once.
func (p *process) print(write func(io.Writer) error) error {
	w := bufio.NewWriter(p.stdout)
	if err := errors.Join(write(w), w.Flush()); err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	return nil
}

// say writes one line.
func (p *process) say(format string, args ...any) error {
	return p.print(func(w io.Writer) error {
		_, err := fmt.Fprintf(w, format+"\n", args...)
		return err
	})
}
