package terminal

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestScreenOfATerminal(t *testing.T) {
	slave := openTerminal(t, 72)
	for _, c := range []struct {
		env  map[string]string
		want Screen
	}{
		{nil, Screen{Width: 72, Colour: true, Terminal: true}},
		{map[string]string{"NO_COLOR": "1", "TERM": "xterm"}, Screen{Width: 72, Terminal: true}},
		{map[string]string{"TERM": "dumb"}, Screen{Width: 72}},
		{map[string]string{"COLUMNS": "40"}, Screen{Width: 40, Colour: true, Terminal: true}},
	} {
		if got := Of(slave, func(name string) string { return c.env[name] }); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.env, got, c.want)
		}
	}
	slave = openTerminal(t, 0) // a serial line does not know
	if got := Of(slave, func(string) string { return "" }); got.Width != 80 {
		t.Errorf("%+v", got)
	}
}

// openTerminal returns the program's end of a pseudo-terminal.
func openTerminal(t *testing.T, columns uint16) *os.File {
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
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	if err := unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		t.Fatal(err)
	}
	return slave
}
