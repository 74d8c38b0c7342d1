//go:build linux

// Command internet is the lab as a process of its own, so that its processor time and its garbage are not the load generator's. The
// benchmarks start it in their network namespace and speak to it line by line: "forget" sets its counts to zero, "stats" prints them
// as JSON. It ends when its standard input does.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/lab"
)

func main() {
	seed := flag.Uint64("seed", 1, "seed of names, addresses, latency and faults")
	world := flag.String("world", "", "world file")
	hints := flag.String("hints", "", "file to write the root hints to")
	anchors := flag.String("anchors", "", "file to write the root's trust anchor to")
	names := flag.String("names", "", "file to write the names of hosts to, the most popular first")
	most := flag.Int("most", 1<<20, "names to write at most")
	log := flag.String("log", "", "file to write each question to")
	flag.Parse()
	if err := run(*seed, *world, *hints, *anchors, *names, *most, *log); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(seed uint64, world, hints, anchors, names string, most int, log string) error {
	text, err := os.ReadFile(world)
	if err != nil {
		return err
	}
	w, err := lab.ParseWorld(string(text))
	if err != nil {
		return fmt.Errorf("reading world %q: %w", world, err)
	}
	// Nothing that was signed or laid out once is done again: the second resolver must not find the servers quicker than the first
	// by more than one run's worth.
	cfg := lab.Config{Seed: seed, World: w, Signatures: 1 << 20, Images: 1 << 18}
	if log != "" {
		file, err := os.Create(log)
		if err != nil {
			return err
		}
		defer file.Close()
		lines := newQuestionLog(file)
		defer lines.close()
		cfg.OnQuestion = lines.write
	}
	l, err := lab.New(cfg)
	if err != nil {
		return err
	}
	if err := os.WriteFile(hints, []byte(l.RootHints()), 0o644); err != nil {
		return err
	}
	if anchors != "" {
		if err := os.WriteFile(anchors, []byte(l.TrustAnchors()), 0o644); err != nil {
			return err
		}
	}
	if err := writeNames(names, l.Names(most)); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	served, ready := make(chan error, 1), make(chan struct{})
	go func() { served <- l.ServeSockets(ctx, lab.SocketConfig{Ready: func() { close(ready) }}) }()
	asked := make(chan error, 1)
	go func() {
		<-ready
		asked <- answer(l)
	}()
	select {
	case err := <-served:
		return fmt.Errorf("serving the lab: %w", err)
	case err := <-asked:
		cancel()
		return errors.Join(err, <-served)
	}
}

// answer carries out what standard input says.
func answer(l *lab.Lab) error {
	out := json.NewEncoder(os.Stdout)
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		switch in.Text() {
		case "forget":
			l.Forget()
			fallthrough
		case "stats":
			s := l.Stats()
			s.Servers = nil // tens of thousands of lines that nobody reads
			if err := out.Encode(s); err != nil {
				return err
			}
		default:
			return fmt.Errorf("reading standard input: %q is neither forget nor stats", in.Text())
		}
	}
	return in.Err()
}

func writeNames(path string, names []dns.Name) error {
	if path == "" {
		return nil
	}
	var b strings.Builder
	for _, n := range names {
		b.WriteString(n.String())
		b.WriteByte('\n')
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}
