package blobs

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// A disk that is really full: a small file system in memory, in a mount namespace of its own. What is there is read as before, the error says what to do, and blobs
// are taken again when there is room.
func TestFullDisk(t *testing.T) {
	if dir := os.Getenv("BLOBS_TEST_FULL"); dir != "" {
		if err := syscall.Mount("none", dir, "tmpfs", 0, "size=1m"); err != nil {
			t.Fatal(err)
		}
		fullDisk(t, dir)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestFullDisk$", "-test.v")
	cmd.Env = append(os.Environ(), "BLOBS_TEST_FULL="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		}
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EINVAL) {
		t.Skip("no mount namespaces:", err)
	}
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}

func fullDisk(t *testing.T, dir string) {
	c := new(clock)
	f := open(t, dir, func(o *Options) { o.Boot = c.boot })
	first := content(1, 600_000)
	sum := put(t, f, first)
	for range 3 {
		var disk *DiskError
		if _, err := f.Put(bytes.NewReader(content(2, 600_000))); !errors.As(err, &disk) || !strings.Contains(disk.Hint(), "make room") {
			t.Fatalf("%v", err)
		}
		holds(t, f, first)
	}
	c.advance(Grace)
	if n, err := f.Sweep(func(s [32]byte) bool { return s != sum }); n != 1 || err != nil {
		t.Fatalf("a full disk is not swept: %d, %v", n, err)
	}
	put(t, f, content(2, 600_000))
	holds(t, f, content(2, 600_000))
}
