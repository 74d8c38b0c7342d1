package etcd_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/etcd"
)

// etcd ends when its disk is full. It is started again, nothing that was acknowledged is lost, and commits work as soon as there is room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=200m,mode=0700"); err != nil {
		t.Skip("a disk of its own takes root:", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	c := config(t)
	c.Folder = filepath.Join(disk, "etcd")
	root := open(t, c)
	head, err := root.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := newWriter(head, 8)
	for i := range 5 {
		commit(t, root, w, large(i, 0)...)
	}
	ballast := filepath.Join(disk, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(f, zeros{}); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	f.Close()

	var pending []*store.Record // of one head: at most one of them was made
	for i := 0; ; i++ {
		r := w.record(large(i, 0)...)
		err := root.Commit(t.Context(), w.head, r, nil)
		if err == nil {
			w.made(r)
			continue
		}
		var down *etcd.DownError
		var full *store.FullError
		if errors.As(err, &full) {
			if full.Hint() == "" || !strings.Contains(err.Error(), "no space left on device") {
				t.Errorf("a full disk says %q", err)
			}
			break
		}
		if errors.Is(err, store.ErrUnknown) {
			pending = append(pending, r) // etcd ended under it
		} else if !errors.As(err, &down) {
			t.Fatal(err)
		}
		waitFor(t, root, func(s etcd.State) bool { return s.Phase == etcd.Restarting || s.Phase == etcd.Running })
	}
	if s := root.State(); !strings.Contains(s.Err, "no space left on device") {
		t.Errorf("the state of a full disk is %+v", s)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	waitFor(t, root, func(s etcd.State) bool { return s.Phase == etcd.Running })
	for _, r := range pending {
		if settle(t, root, r, store.ErrUnknown) {
			w.made(r)
			break
		}
	}
	wantEntries(t, root, w)
	commit(t, root, w, edit("a", "on"))
	t.Logf("%d commits, %d restarts", w.head.Version, root.State().Restarts)
	root.Close()
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// A root of one member listens on no port.
func TestNoPort(t *testing.T) {
	root := open(t, config(t))
	pid := root.State().PID
	mine := map[string]bool{} // inodes of its sockets
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil || len(fds) == 0 {
		t.Fatal(fds, err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil {
			if inode, ok := strings.CutPrefix(to, "socket:["); ok {
				mine[strings.TrimSuffix(inode, "]")] = true
			}
		}
	}
	if len(mine) == 0 {
		t.Error("it has no socket at all")
	}
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		f, err := os.Open(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			continue // no IPv6
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if fields := strings.Fields(lines.Text()); len(fields) > 9 && mine[fields[9]] {
				t.Errorf("it has a socket of %s: %s", table, lines.Text())
			}
		}
		f.Close()
	}
	for path, mode := range map[string]os.FileMode{root.Folder(): 0o700, filepath.Join(root.Folder(), "member", "snap", "db"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
}
