// Package cluster runs the nodes of a store as the processes that a user would run: one program, one file and one data folder each, on loopback addresses of their
// own. Tests, the benchmark of the store and its chaos start, kill, stop and ask them.
package cluster

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ananas-edge/ananas/admin/client"
)

// Cluster is a set of nodes.
type Cluster struct {
	Dir    string // for files, data folders and logs
	Binary string // the program
	Net    byte   // second octet of the addresses: clusters that run at one time have another

	mu    sync.Mutex
	nodes []*Node
}

// Node is one node, running or not.
type Node struct {
	Name    string
	Address string // its loopback address
	Data    string // its data folder
	file    string
	wrap    []string
	c       *Cluster

	mu    sync.Mutex
	cmd   *exec.Cmd
	ended chan struct{}
	lines []Line
	heard chan struct{} // closed at the next line
}

// Line is a line of a node's log.
type Line struct {
	Time    time.Time `json:"time"`
	Level   string    `json:"level"`
	Msg     string    `json:"msg"`
	Error   string    `json:"error"`
	Version Version   `json:"version"`
	Sets    string    `json:"change_sets"`
	PID     int       `json:"pid"`
}

// Version is the version of a store in a line; 0 if there is none. The program's own, a text, is none.
type Version uint64

// UnmarshalJSON reads a number, and takes a text for none.
func (v *Version) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return nil
	}
	return json.Unmarshal(b, (*uint64)(v))
}

// Config is what a node is made with.
type Config struct {
	Name   string
	Root   bool // a member of the root
	Relay  bool
	Peer   bool     // a member of the root that others can join
	Join   []*Node  // whom it follows
	Labels string   // in YAML: { site: lis }; of a first member of a root
	Extra  string   // more of the part node, indented by two
	Env    []string // more of the environment

	Address string   // its address, for one that is no loopback address of the cluster's
	JoinAt  []string // addresses and ports that it follows, beside those of Join: proxies
	Wrap    []string // a program, with arguments, that runs the node
}

// Add makes a node, and does not start it.
func (c *Cluster) Add(o Config) (*Node, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := len(c.nodes) + 1
	n := &Node{Name: o.Name, Address: fmt.Sprintf("127.%d.%d.%d", c.Net, i/250, i%250+1), Data: filepath.Join(c.Dir, o.Name), c: c, heard: make(chan struct{})}
	if o.Address != "" {
		n.Address = o.Address
	}
	n.wrap = o.Wrap
	n.file = filepath.Join(c.Dir, o.Name+".yaml")
	var b strings.Builder
	fmt.Fprintf(&b, "node:\n  name: %s\n  data: %s\n  cache: 1MiB\n  listen: { dns: [\"%s:5335\"], admin: \"%s:8053\", loops: 1 }\n  store:\n", o.Name, n.Data, n.Address, n.Address)
	if o.Root {
		fmt.Fprintf(&b, "    root: \"%s:8054\"\n", n.Address)
	}
	if o.Peer {
		fmt.Fprintf(&b, "    peer: \"%s:8055\"\n", n.Address)
	}
	if o.Relay {
		fmt.Fprintf(&b, "    relay: \"%s:8054\"\n", n.Address)
	}
	if o.Labels != "" {
		fmt.Fprintf(&b, "    labels: %s\n", o.Labels)
	}
	if len(o.Join) > 0 || len(o.JoinAt) > 0 {
		var join []string
		for _, at := range o.JoinAt {
			join = append(join, fmt.Sprintf("%q", at))
		}
		for _, j := range o.Join {
			join = append(join, fmt.Sprintf("%q", j.Address+":8054"))
		}
		fmt.Fprintf(&b, "    join: [%s]\n", strings.Join(join, ", "))
	}
	b.WriteString(o.Extra)
	if err := os.WriteFile(n.file, []byte(b.String()), 0o600); err != nil {
		return nil, err
	}
	c.nodes = append(c.nodes, n)
	return n, nil
}

// Start starts the node; token is what it joins with, "" where it has joined.
func (n *Node) Start(token string, env ...string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running() {
		return fmt.Errorf("starting %s: it runs", n.Name)
	}
	args := append(slices.Clone(n.wrap), n.c.Binary, "serve", "--config", n.file)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(append(os.Environ(), "GOMAXPROCS=2"), env...)
	if token != "" {
		cmd.Env = append(cmd.Env, "ANANAS_JOIN_TOKEN="+token)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", n.Name, err)
	}
	ended := make(chan struct{})
	n.cmd, n.ended = cmd, ended
	go func() {
		n.read(out)
		cmd.Wait()
		close(ended)
	}()
	return nil
}

func (n *Node) running() bool {
	if n.ended == nil {
		return false
	}
	select {
	case <-n.ended:
		return false
	default:
		return true
	}
}

// maxLines is how many lines of a log are kept.
const maxLines = 100_000

func (n *Node) read(out io.Reader) {
	s := bufio.NewScanner(out)
	s.Buffer(make([]byte, 64<<10), 4<<20)
	for s.Scan() {
		var l Line
		var other *json.UnmarshalTypeError // the version of the program has the same name
		if err := json.Unmarshal(bytes.TrimSpace(s.Bytes()), &l); err != nil && !errors.As(err, &other) {
			l = Line{Msg: s.Text()} // a crash
		}
		n.mu.Lock()
		if len(n.lines) < maxLines {
			n.lines = append(n.lines, l)
		}
		close(n.heard)
		n.heard = make(chan struct{})
		n.mu.Unlock()
	}
}

// Lines returns the log so far.
func (n *Node) Lines() []Line {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]Line(nil), n.lines...)
}

// Await waits until a line of the log from one on satisfies is, and returns it.
func (n *Node) Await(ctx context.Context, from int, is func(Line) bool) (Line, error) {
	for {
		n.mu.Lock()
		heard, ended := n.heard, n.ended
		for ; from < len(n.lines); from++ {
			if is(n.lines[from]) {
				l := n.lines[from]
				n.mu.Unlock()
				return l, nil
			}
		}
		n.mu.Unlock()
		select {
		case <-heard:
		case <-ended:
			return Line{}, fmt.Errorf("%s has ended:\n%s", n.Name, n.Tail(20))
		case <-ctx.Done():
			return Line{}, fmt.Errorf("waiting for a line of %s: %w; its last ones are:\n%s", n.Name, ctx.Err(), n.Tail(20))
		}
	}
}

// Serving waits until the node serves.
func (n *Node) Serving(ctx context.Context) error {
	_, err := n.Await(ctx, 0, func(l Line) bool { return l.Msg == "serving" })
	return err
}

// Tail returns the last lines of the log.
func (n *Node) Tail(most int) string {
	lines := n.Lines()
	var b strings.Builder
	for _, l := range lines[max(0, len(lines)-most):] {
		fmt.Fprintf(&b, "  %s %s %s %s\n", l.Time.Format("15:04:05.000"), l.Level, l.Msg, l.Error)
	}
	return b.String()
}

// PID returns the process of the node; 0 if there is none.
func (n *Node) PID() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.running() {
		return 0
	}
	return n.cmd.Process.Pid
}

// Kill ends the node as a failure of power would end it, and all that it has started.
func (n *Node) Kill() {
	n.mu.Lock()
	cmd, ended, running := n.cmd, n.ended, n.running()
	n.mu.Unlock()
	if running {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
	}
}

// Stop tells the node to stop, and kills it if it does not.
func (n *Node) Stop() error {
	n.mu.Lock()
	cmd, ended, running := n.cmd, n.ended, n.running()
	n.mu.Unlock()
	if !running {
		return nil
	}
	cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-ended:
		return nil
	case <-time.After(15 * time.Second):
		n.Kill()
		return fmt.Errorf("%s did not stop:\n%s", n.Name, n.Tail(20))
	}
}

// API returns a client of the node.
func (n *Node) API() (*client.Client, error) {
	return client.New(client.Options{Node: n.Address + ":8053", Data: n.Data, Getenv: func(string) string { return "" }})
}

// File is the node's settings file.
func (n *Node) File() string { return n.file }

// Close ends all nodes.
func (c *Cluster) Close() error {
	c.mu.Lock()
	nodes := c.nodes
	c.mu.Unlock()
	var errs []error
	var all sync.WaitGroup
	var mu sync.Mutex
	for _, n := range nodes {
		all.Add(1)
		go func() {
			defer all.Done()
			if err := n.Stop(); err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		}()
	}
	all.Wait()
	return errors.Join(errs...)
}
