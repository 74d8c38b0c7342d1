//go:build linux

package interop

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestStart: from exec to the first answer. A harness that starts hundreds of resolvers wants 300 ms; the test allows for a busy machine, and holds the fastest start to it.
func TestStart(t *testing.T) {
	enterWorld(t)
	const starts = 7
	var took []time.Duration
	for range starts {
		t.Run("", func(t *testing.T) { // ends it before the next one starts
			r := newResolver(t, "ananas")
			r.write(t, settings{})
			took = append(took, r.launch(t, r.serve(t)...))
		})
	}
	slices.Sort(took)
	t.Logf("from exec to the first answer: median %v, slowest %v of %d", took[len(took)/2], took[len(took)-1], starts)
	if fastest := took[0]; fastest > 2*time.Second {
		t.Errorf("no start took less than %v", fastest)
	}
}

// TestEnd: SIGTERM and SIGINT end a node with exit code 0 within a second, also while clients wait and connections are open. The test allows for a busy machine: who waits for a silent server hears of it after
// 4.5 s, and an idle connection is closed after 10 s, so that neither is waited for.
func TestEnd(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			r := startAnanas(t, settings{})
			idle := dialTCP(t, r)
			waiting := dialTCP(t, r)
			if _, err := waiting.Write(framed(query(t, 1, "www.silent.net.", dns.TypeA, dns.ClassINET))); err != nil {
				t.Fatal(err)
			}
			udp, err := net.Dial("udp", r.addr.String())
			if err != nil {
				t.Fatal(err)
			}
			defer udp.Close()
			if _, err := udp.Write(query(t, 2, "other.silent.net.", dns.TypeA, dns.ClassINET)); err != nil {
				t.Fatal(err)
			}
			expectRCode(t, r, "www.example.com", "NOERROR") // by now both wait
			begin := time.Now()
			if err := r.process.signal(s); err != nil {
				t.Fatal(err)
			}
			code, err := r.process.wait(patience)
			took := time.Since(begin)
			if err != nil || code != 0 || took > 3*time.Second {
				t.Errorf("%v: exit code %d after %v, %v", s, code, took, err)
			}
			t.Logf("%v took %v", s, took)
			if _, err := readMessage(idle, "tcp"); err == nil {
				t.Error("an idle connection was written to")
			}
			if conn, err := net.Dial("tcp", r.addr.String()); err == nil {
				conn.Close()
				t.Error("the port still takes connections")
			}
		})
	}
}

// TestSecondNode: a second node on the same port is a clear error and exit code 1, and takes nothing from the first. So is a port of which
// another program has only the TCP or the UDP half, and the admin port.
func TestSecondNode(t *testing.T) {
	first := startAnanas(t, settings{})
	text := secondStart(t, func(r *resolver) { r.addr = first.addr })
	if !strings.Contains(text, first.addr.String()) || !strings.Contains(text, "another process holds it") {
		t.Errorf("the error does not name %v or what is wrong with it:\n%s", first.addr, text)
	}
	for i := range 50 {
		expectRCode(t, first, fmt.Sprintf("n%d.wild.example.com", i%5), "NOERROR")
	}

	for _, network := range []string{"tcp", "udp"} {
		var taken string
		text := secondStart(t, func(r *resolver) {
			taken = r.addr.String()
			if network == "tcp" {
				l, err := net.Listen("tcp", taken)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { l.Close() })
				return
			}
			l, err := net.ListenPacket("udp", taken)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		})
		if !strings.Contains(text, taken) || !strings.Contains(text, "another process holds it") {
			t.Errorf("the error does not name %v, whose %s half is taken:\n%s", taken, network, text)
		}
	}

	admin := ""
	text = secondStart(t, func(r *resolver) {
		admin = r.addr.Addr().String() + ":8053"
		l, err := net.Listen("tcp", admin)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
	})
	if !strings.Contains(text, admin) || !strings.Contains(text, "in use") {
		t.Errorf("the error does not name the admin address %v:\n%s", admin, text)
	}
}

// secondStart starts a node that must not come up, and returns what it wrote.
func secondStart(t *testing.T, prepare func(*resolver)) string {
	t.Helper()
	r := newResolver(t, "ananas")
	prepare(r)
	r.write(t, settings{})
	argv := r.serve(t)
	cmd := exec.Command(argv[0], argv[1:]...)
	done := make(chan struct{})
	var out []byte
	go func() {
		defer close(done)
		out, _ = cmd.CombinedOutput()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		_ = cmd.Process.Kill()
		<-done
		t.Errorf("the node came up on an address that is taken:\n%s", out)
		return string(out)
	}
	if code := cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit code %d, want 1:\n%s", code, out)
	}
	return string(out)
}

// TestManyNodes: dozens of nodes side by side, each with its own file, come up at once, answer, and go.
func TestManyNodes(t *testing.T) {
	enterWorld(t)
	const nodes = 20
	begin := time.Now()
	var all []*resolver
	for range nodes {
		r := newResolver(t, "ananas")
		r.write(t, settings{})
		var err error
		argv := r.serve(t)
		if r.process, err = startProcess(r.kind, filepath.Join(r.dir, "log"), argv...); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.process.stop() })
		all = append(all, r)
	}
	for _, r := range all {
		if err := r.waitReady(patience); err != nil {
			t.Fatal(err)
		}
		expectRCode(t, r, "www.example.com", "NOERROR")
	}
	up := time.Since(begin)
	for _, r := range all {
		if err := r.process.signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range all {
		if code, err := r.process.wait(patience); err != nil || code != 0 {
			t.Errorf("exit code %d, %v:\n%s", code, err, r.process.tail())
		}
	}
	t.Logf("%d nodes came up and answered within %v, and were gone %v later", nodes, up, time.Since(begin)-up)
}
