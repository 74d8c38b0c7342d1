package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// On a terminal the steps are shown as they happen, over and over on one line; then the tree takes its place, as wide as the
// terminal and in colours.
func TestExplainOnATerminal(t *testing.T) {
	env := explaining(t, `{"seq":1,"kind":"resolve","text":"resolve www.example. A"}
{"seq":2,"parent":1,"at_us":12345,"kind":"ask","text":"ask a name server with a long name (192.0.2.1) over UDP"}
{"answer":{"name":"www.example.","type":"A","rcode":"SERVFAIL","security":"unchecked"}}`, nil)
	const progress = "\r\x1b[K0s  resolve www.example. A" + "\r\x1b[K12ms  ask a name server with a long na…" + "\r\x1b[K"
	const tree = `failed: SERVFAIL for www.example. A,
  because of something that the node
  does not tell

      ms
     0.0  resolve www.example. A
    12.3  └─ ask     a name server with a
                     long name
                     (192.0.2.1) over UDP

;; status: SERVFAIL (no answer could
;;   be had)
`
	for _, c := range []struct {
		name, variable string
		progress       bool
		colours        bool
	}{
		{"colours", "TERM=xterm", true, true},
		{"no colours", "NO_COLOR=1", true, false},
		{"a terminal that can't", "TERM=dumb", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			master, slave := openTerminal(t, 40)
			read := make(chan string)
			go func() {
				b, err := io.ReadAll(master)
				if err != nil && !errors.Is(err, syscall.EIO) { // EIO: the other end is closed
					t.Error(err)
				}
				read <- strings.ReplaceAll(string(b), "\r\n", "\n")
			}()
			code := run([]string{"explain", "www.example"}, nil, slave, slave, func(name string) string {
				if value, ok := strings.CutPrefix(c.variable, name+"="); ok {
					return value
				}
				return env[name]
			})
			slave.Close()
			got := <-read
			if code != exitDone {
				t.Errorf("exit code %d", code)
			}
			if rest, ok := strings.CutPrefix(got, progress); ok != c.progress {
				t.Errorf("progress is shown: %v in %q", ok, got)
			} else {
				got = rest
			}
			if colours := strings.Contains(got, "\x1b["); colours != c.colours {
				t.Errorf("colours are shown: %v in %q", colours, got)
			}
			for _, sgr := range []string{"\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[36m"} {
				got = strings.ReplaceAll(got, sgr, "")
			}
			if !strings.HasPrefix(got, tree) {
				t.Errorf("got\n%s\nwant\n%s", got, tree)
			}
		})
	}
}

// openTerminal returns both ends of a pseudo-terminal.
func openTerminal(t *testing.T, columns uint16) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	if err := unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		t.Fatal(err)
	}
	return master, slave
}
