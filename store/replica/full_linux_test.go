package replica_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/replica"
)

// A disk that is really full: a small file system in memory, in a mount namespace of its own. The copy is read as before, the error says what to do, and writes resume when there is room.
func TestFullDisk(t *testing.T) {
	if dir := os.Getenv("REPLICA_TEST_FULL"); dir != "" {
		if err := syscall.Mount("none", dir, "tmpfs", 0, "size=3m"); err != nil {
			t.Fatal(err)
		}
		fullDisk(t, dir)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestFullDisk$", "-test.v")
	cmd.Env = append(os.Environ(), "REPLICA_TEST_FULL="+t.TempDir())
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
	w := newWorld()
	rng := rand.New(rand.NewPCG(21, 22))
	r := open(t, dir)
	begin(t, r, start(), nil)
	filler := filepath.Join(dir, "filler")
	for round := range 6 {
		// Room is taken down to nothing, page by page: each round ends at another write.
		room := 4096 * rng.IntN(60)
		var fs syscall.Statfs_t
		if err := syscall.Statfs(dir, &fs); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filler, make([]byte, max(0, int(fs.Bavail)*int(fs.Bsize)-room)), 0o600); err != nil {
			t.Fatal(err)
		}
		var full *replica.DiskError
		for n := 0; ; n++ {
			rec := w.commit(t, store.Edit{Key: fmt.Sprintf("large/%d", rng.IntN(12)), Value: bytes.Repeat([]byte{byte(len(w.log))}, 20000)})
			before := r.View().Head()
			err := r.Apply(t.Context(), []*store.Record{rec})
			if err == nil {
				if n > 1000 {
					t.Fatal("the disk is never full")
				}
				continue
			}
			if !errors.As(err, &full) || full.Hint() == "" {
				t.Fatal(err)
			}
			if round == 0 && !strings.Contains(full.Hint(), "make room") {
				t.Errorf("%v; hint: %s", full, full.Hint())
			}
			if r.View().Head() != before {
				t.Fatal("the view moved")
			}
			if err := w.differs(r.View()); err != nil {
				t.Fatal(err)
			}
			first := full
			for range 3 { // trying again changes nothing
				if err := r.Apply(t.Context(), []*store.Record{rec}); !errors.As(err, &full) {
					t.Fatal(err)
				}
			}
			in, err := r.BeginSnapshot(w.head)
			if err != nil {
				t.Fatal(err)
			}
			for key, e := range w.entries {
				if err := in.Add(key, e); err != nil {
					t.Fatal(err)
				}
			}
			if err := in.Commit(); !errors.As(err, &full) {
				t.Fatalf("a snapshot on a full disk: %v", err)
			}
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			apply(t, r, rec)
			t.Logf("round %d: full after %d commits (%v), and on version %d now", round, n, first, w.head.Version)
			break
		}
		if err := w.differs(r.View()); err != nil {
			t.Fatal(err)
		}
		r.Close()
		r = open(t, dir)
		if r.Found() != nil || w.differs(r.View()) != nil || w.logDiffers(r) != nil || r.View().Head() != w.head {
			t.Fatalf("opened again: %v", r.Found())
		}
		begin(t, r, w.head, w.entries) // room for the next round
	}
}
