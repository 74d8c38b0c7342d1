//go:build linux

package bench

import (
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

// A process's family are those that it started, and their children; its processor time is that of all of them.
func TestFamily(t *testing.T) {
	c := exec.Command("sh", "-c", "cat; true") // a shell that waits for another program
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil { // cat runs
		t.Fatal(err)
	}
	self := &Process{cmd: &exec.Cmd{Process: &os.Process{Pid: os.Getpid()}}}
	family := self.Family()
	if family[0] != os.Getpid() || !slices.Contains(family, c.Process.Pid) {
		t.Errorf("family %v of %d lacks it or its child %d", family, os.Getpid(), c.Process.Pid)
	}
	if child := (&Process{cmd: c}).Family(); len(child) != 2 || !slices.Contains(family, child[1]) {
		t.Errorf("family %v of the shell, %v of the test", child, family)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	before := CPUOf([]int{os.Getpid()})
	for x := 0; CPUOf([]int{os.Getpid()})-before < 5*time.Millisecond; x++ {
		if x > 1e7 {
			t.Fatal("the processor time does not grow")
		}
	}
	if all, own := CPUOf(append(family[:1:1], -5)), OwnTime(); all <= 0 || all > own {
		t.Errorf("processor time %v by process, %v by itself", all, own)
	}
}
