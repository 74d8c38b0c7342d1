//go:build linux

package bench

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/lab"
)

// Worlds of the two benchmarks.
var (
	//go:embed cold.world
	ColdWorld string
	//go:embed attack.world
	AttackWorld string
)

// Internet is the lab, in a process beside the load generator.
type Internet struct {
	*Process
	Names []dns.Name // of hosts, the most popular first

	in  io.WriteCloser
	out *bufio.Scanner
}

// StartInternet runs the lab with this world and waits until it answers. With log, each question that it gets is written to a file in
// the rig's folder.
func (r *Rig) StartInternet(world string, seed uint64, log bool) (*Internet, error) {
	file, err := r.Write("lab.world", world)
	if err != nil {
		return nil, err
	}
	names := filepath.Join(r.Dir, "names.txt")
	args := []string{"-c", strconv.Itoa(r.OtherCPU), filepath.Join(r.Dir, "internet"), "-seed", strconv.FormatUint(seed, 10),
		"-world", file, "-hints", r.hintsFile(), "-anchors", r.anchorsFile(), "-names", names}
	if log {
		args = append(args, "-log", filepath.Join(r.Dir, "questions.txt"))
	}
	c := exec.Command("taskset", args...)
	words, err := os.Create(filepath.Join(r.Dir, "lab.log"))
	if err != nil {
		return nil, err
	}
	defer words.Close()
	c.Stderr = words
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	in, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	n := &Internet{Process: &Process{Name: "lab", cmd: c, log: words.Name(), ended: make(chan struct{}), in: in}, in: in, out: bufio.NewScanner(out)}
	n.out.Buffer(nil, maxStats)
	if err := r.launch(n.Process); err != nil {
		return nil, err
	}
	if _, err := n.Stats(); err != nil {
		n.Stop(0)
		return nil, fmt.Errorf("starting the lab: %w; it said: %s", err, n.LastWords())
	}
	text, err := os.ReadFile(names)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		name, err := dns.ParseName(strings.TrimSpace(line))
		if err != nil {
			return nil, fmt.Errorf("reading the lab's names: %w", err)
		}
		n.Names = append(n.Names, name)
	}
	return n, nil
}

const maxStats = 256 << 20 // octets of the counts of a million servers

// Stats asks for the lab's counts since the last Forget.
func (n *Internet) Stats() (lab.Stats, error) { return n.ask("stats") }

// Forget sets the counts to zero.
func (n *Internet) Forget() error {
	_, err := n.ask("forget")
	return err
}

func (n *Internet) ask(what string) (s lab.Stats, err error) {
	if _, err := fmt.Fprintln(n.in, what); err != nil {
		return s, fmt.Errorf("asking the lab for %s: %w", what, err)
	}
	if !n.out.Scan() {
		if err = n.out.Err(); err == nil {
			err = io.ErrUnexpectedEOF
		}
		return s, fmt.Errorf("asking the lab for %s: %w", what, err)
	}
	if err := json.Unmarshal(n.out.Bytes(), &s); err != nil {
		return s, fmt.Errorf("reading the lab's %s: %w", what, err)
	}
	return s, nil
}
