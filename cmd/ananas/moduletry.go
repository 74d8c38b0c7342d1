package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/internal/dnstap"
	"github.com/ananas-edge/ananas/nameserver/plugin/trial"
	"github.com/ananas-edge/ananas/settings"
)

type moduleTryCommand struct {
	Name   string         `arg:"" help:"A module of the settings; one that they do not have is compared with no module."`
	File   string         `placeholder:"FILE" help:"The version to try: a .wasm file that ananas module build has made, or a module's folder, which is built if need be. Without it the version that runs, to try it with other settings."`
	Dnstap string         `placeholder:"FILE" help:"Take the queries from what a name server has written as dnstap, in place of those that the node answers now; - is standard input."`
	Config string         `placeholder:"FILE" help:"Take the settings from this file, and ask no node; with --dnstap."`
	For    time.Duration  `default:"1m" placeholder:"TIME" help:"For how long live queries are looked at, an hour at most. Default: 1m."`
	OneIn  int            `default:"1" placeholder:"N" help:"Look at one of N queries."`
	Phase  []string       `placeholder:"PHASE" help:"Where it runs too, as with ananas module push."`
	Grant  []string       `placeholder:"CAPABILITY" help:"What it may use, in place of what it is granted."`
	Set    moduleSettings `placeholder:"KEY=VALUE" help:"Its own settings, in place of all that it has: what is not named is gone. May be repeated, for other keys."`
	List   triedLists     `placeholder:"NAME=FILE" help:"A new version of a list: what the new version asks in place of the data set NAME of the settings. May be repeated, for other lists."`
	Fuel   int64          `placeholder:"N" help:"What a call may use, in place of what the settings say."`
	Fail   bool           `help:"End with exit code 1 if a verdict differs, the new version fails, or nothing was compared."`
	JSON   bool           `help:"Print each difference as a line of JSON, and the report as the last."`
	nodeFlags
}

// Help is printed below the usage.
func (moduleTryCommand) Help() string {
	return `The version that runs and the new one are shown the same queries, and what they say is compared. No answer changes, and nothing is committed: it runs on the node that is asked, in the shadow of what that answers.

Live, both run in their place among the modules: what one before them has ended they are not shown, and an answer they are shown as those before them have left it, or as the cache has it by then. Queries of a file they see alone, with the file's answer. To questions of a module's own the cache answers. Of phase log only faults are counted. The node gives it a fourth of a core; queries that come meanwhile are counted as not looked at.

A file of dnstap may be of any server: Unbound (dnstap-log-client-query-messages and -response-messages), BIND (dnstap { client; }), Knot, dnsdist, PowerDNS. Its queries are sent to the node, which has the settings and the lists; with --config nothing is asked.

Example:

  ananas module try family --file build/family.wasm
  ananas module try family --file build/family.wasm --dnstap queries.fstrm --config ananas.yaml --fail
  ananas module try family --list malware=malware.new.txt`
}

// Validate is called when all flags are read.
func (c *moduleTryCommand) Validate() error {
	switch {
	case c.Config != "" && c.Dnstap == "":
		return hinted{errors.New("--config is for queries of a file"), "name it with --dnstap, or leave --config out: the node has the settings of live queries"}
	case c.For <= 0 || c.For > admin.MaxTrialTime:
		return fmt.Errorf("--for is %v, not up to %v", c.For, admin.MaxTrialTime)
	case c.Fuel < 0:
		return errors.New("--fuel is less than 0")
	}
	if err := checkPhases(c.Phase); err != nil {
		return err
	}
	return within("--one-in", &c.OneIn, admin.MaxTrialOneIn)
}

// Run tries the module.
func (c *moduleTryCommand) Run(p *process) error {
	request := trial.Request{Module: c.Name, Phases: c.Phase, Grant: c.Grant, Settings: c.Set, Fuel: c.Fuel}
	lists, err := c.List.read(&request)
	if err != nil {
		return err
	}
	var config *settings.File
	var tables *settings.Tables
	if c.Config != "" {
		if config, tables, err = c.readConfig(); err != nil { // before anything is built: that writes a file which the settings may name
			return err
		}
	}
	if c.File != "" {
		if request.Source, err = c.source(p); err != nil {
			return err
		}
	}
	show := newTrying(p, c)
	var file *tapFile
	if c.Dnstap != "" {
		if file, err = c.openFile(p); err != nil {
			return err
		}
		defer file.Close()
	}
	if c.Config != "" {
		err = c.here(p, request, lists, config, tables, file, show)
	} else {
		err = c.atNode(p, request, lists, file, show)
	}
	if file != nil && !file.read.Load() {
		file = nil // it is still being read, for a node that has ended the trial
	}
	if show.known && (err == nil || show.report.Queries > 0 || p.ctx.Err() != nil) {
		err = errors.Join(show.end(file), err)
	}
	if err == nil && file != nil {
		err = file.verdict()
	}
	if err == nil && c.Fail {
		err = show.failure()
	}
	return err
}

// source reads the new version.
func (c *moduleTryCommand) source(p *process) (b []byte, err error) {
	if b, _, err = readModule(p, c.File); err != nil {
		return nil, err
	}
	if c.Config == "" && len(b) > admin.MaxTrialModule {
		return nil, hinted{fmt.Errorf("%s has %d octets, and at most %d are sent to a node for a trial", c.File, len(b), admin.MaxTrialModule),
			"build it for size (strip debug information), or try it with --dnstap and --config, which asks no node"}
	}
	return b, nil
}

// readConfig reads the settings of --config, and what they name.
func (c *moduleTryCommand) readConfig() (*settings.File, *settings.Tables, error) {
	f, err := settings.Open(c.Config)
	if err != nil {
		return nil, nil, err
	}
	tables, err := f.Compile(f.Node.Listen.DNS)
	return f, tables, err
}

// here runs both versions in this process.
func (c *moduleTryCommand) here(p *process, request trial.Request, lists []large, config *settings.File, tables *settings.Tables, file *tapFile, show *trying) (err error) {
	folder, err := os.MkdirTemp("", "ananas-try-")
	if err != nil {
		return fmt.Errorf("making a folder for what is compiled: %w", err)
	}
	began := time.Now()
	t, err := trial.Open(p.ctx, trial.Config{
		Request: request, Folder: filepath.Join(folder, "trial"), Compile: compileProcess, Clock: func() time.Duration { return time.Since(began) }, Seed: 1, Differ: show.difference,
		Tenant: tables.Nameserver.Clients.Tag, Groups: tables.Nameserver.Recursion,
		Settings: trial.Settings{Running: tables.Plugins, Data: config.Settings.Data, Files: config.ReadNamed, Lists: oneOf(lists)},
	})
	if err != nil {
		return errors.Join(err, os.RemoveAll(folder))
	}
	defer func() { err = errors.Join(err, t.Close(), os.RemoveAll(folder)) }()
	shown := time.Now()
	err = file.each(c.OneIn, func(m *trial.Message) error {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		r, err := m.Record()
		if err != nil {
			t.Unreadable()
			return nil
		}
		if err := t.Look(p.ctx, r); err != nil {
			return err
		}
		if now := time.Now(); show.draws() && now.Sub(shown) >= drawEvery {
			shown = now
			return show.progress(t.Report(), now.Sub(began))
		}
		return show.err
	})
	file.read.Store(true)
	return errors.Join(err, show.last(t.Report(), time.Since(began)))
}

// drawEvery is how often a report that is shown is drawn anew.
const drawEvery = time.Second

// tapFile is a file of dnstap that is read.
type tapFile struct {
	name string
	io.Closer
	*trial.Messages
	cut   *dnstap.Error // it ends in the middle of a frame
	taken int           // queries
	read  atomic.Bool   // up to its end, or as far as it can be: nobody reads it any more
}

func (c *moduleTryCommand) openFile(p *process) (*tapFile, error) {
	if c.Dnstap == "-" {
		in := interruptible(p.ctx, p.stdin)
		return &tapFile{name: "standard input", Closer: in, Messages: trial.NewMessages(in)}, nil
	}
	if info, err := os.Stat(c.Dnstap); err == nil && info.Mode()&os.ModeNamedPipe != 0 {
		in := interruptible(p.ctx, &unopened{name: c.Dnstap})
		return &tapFile{name: c.Dnstap, Closer: in, Messages: trial.NewMessages(in)}, nil
	}
	f, err := os.Open(c.Dnstap)
	if err != nil {
		return nil, fileFault(err)
	}
	return &tapFile{name: c.Dnstap, Closer: f, Messages: trial.NewMessages(f)}, nil
}

// unopened is a pipe that is opened when it is read: that waits for somebody who writes it.
type unopened struct {
	name string
	f    *os.File
}

// Read is that of io.Reader.
func (u *unopened) Read(b []byte) (n int, err error) {
	if u.f == nil {
		if u.f, err = os.Open(u.name); err != nil {
			return 0, err
		}
	}
	return u.f.Read(b)
}

// interruptible reads from r, until ctx is done: a server that has nothing to write keeps nobody waiting who interrupts. A read of r that is under way then ends with the process.
func interruptible(ctx context.Context, r io.Reader) io.ReadCloser {
	in, out := io.Pipe()
	stop := context.AfterFunc(ctx, func() { out.CloseWithError(ctx.Err()) })
	go func() {
		_, err := io.Copy(out, r)
		stop()
		out.CloseWithError(err) // nil: the end
	}()
	return in
}

// each has one of so many queries looked at. That the file is cut off is no error here.
func (f *tapFile) each(oneIn int, look func(*trial.Message) error) error {
	var failed error
	_, err := f.Read(func(m *trial.Message) error {
		f.taken++
		if (f.taken-1)%oneIn != 0 {
			return nil
		}
		failed = look(m)
		return failed
	})
	if err == nil || failed != nil {
		return failed
	}
	if cut := new(dnstap.Error); errors.As(err, &cut) && errors.Is(err, io.ErrUnexpectedEOF) {
		f.cut = cut
		return nil
	}
	return fmt.Errorf("reading %s: %w", f.name, err)
}

// verdict is an error if there was nothing in the file to be looked at.
func (f *tapFile) verdict() error {
	if f.Clients > 0 {
		return nil
	}
	return hinted{fmt.Errorf("%s has no queries of clients", f.name), "have the server write these: in Unbound dnstap-log-client-query-messages and dnstap-log-client-response-messages, in BIND dnstap { client; }"}
}
