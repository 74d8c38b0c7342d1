package node

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Two nodes with one data folder are told of, by the second one, until the first is gone; a node that ends soon enough is not. The folder is as it was.
func TestTwoProcessesInOneFolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder, log := t.TempDir(), new(lockedLog)
		open := func() *folderLock { return lockFolder(folder, slog.New(slog.NewTextHandler(log, nil))) }
		after := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		first := open()
		second := open()
		after(lockPatience - lockRetry/2)
		if w := second.warning(); w != "" || log.String() != "" {
			t.Errorf("at once: %q, %s", w, log)
		}
		first.close()
		after(lockRetry)
		third := open()
		after(lockPatience + lockRetry/2)
		if w := third.warning(); !strings.Contains(w, folder) || !strings.Contains(w, "node.data") || strings.Count(log.String(), "level=WARN") != 1 {
			t.Errorf("the second of two: %q, %s", w, log)
		}
		if w := second.warning(); w != "" {
			t.Errorf("the first of two: %q", w)
		}
		after(time.Hour)
		second.close()
		after(lockRetry)
		if w := third.warning(); w != "" || strings.Count(log.String(), "level=WARN") != 1 || !strings.Contains(log.String(), "by no other process any more") {
			t.Errorf("afterwards: %q, %s", w, log)
		}
		fourth := open()
		after(time.Minute)
		fourth.close() // while it waits
		third.close()
		if left, err := os.ReadDir(folder); err != nil || len(left) != 0 {
			t.Errorf("%v, %v", left, err)
		}
	})
	gone := lockFolder(filepath.Join(t.TempDir(), "gone"), slog.New(slog.DiscardHandler))
	if w := gone.warning(); w != "" {
		t.Error(w)
	}
	gone.close()
}

// A node has the lock of its folder while it runs, and lets go of it.
func TestNodeLocksItsFolder(t *testing.T) {
	b := newBench(t, plain)
	n, err := b.tryStart()
	if err != nil {
		t.Fatal(err)
	}
	free := func() bool {
		l := lockFolder(n.file.Node.Data, slog.New(slog.DiscardHandler))
		defer l.close()
		return l.done == nil
	}
	if free() {
		t.Error("a second process could have it")
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if !free() {
		t.Error("it is still locked")
	}
	entries, err := os.ReadDir(n.file.Node.Data)
	if err != nil || slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return strings.Contains(e.Name(), "lock") }) {
		t.Errorf("%v, %v", entries, err)
	}
}

// lockedLog is a log that one goroutine writes while another reads it.
type lockedLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
