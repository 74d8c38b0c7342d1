package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// folderLock tells two nodes with one data folder from a node that is started while the one before it ends. Both kinds serve: what a node saves it
// saves whole, so that two of them lose what one has learned, at worst, and names are resolved all the same. But the first kind is hardly ever
// meant. The lock is the kernel's, on the folder itself: it leaves no file, and is gone with the process.
type folderLock struct {
	path   string
	folder *os.File
	log    *slog.Logger
	shared atomic.Bool // another process has had it for lockPatience
	cancel context.CancelFunc
	done   chan struct{} // nil: nobody waits for it
}

const (
	lockPatience = 3 * time.Second // in which a node that was told to stop is gone: it takes half a second, a slow disk more
	lockRetry    = time.Second     // between two attempts to get it
)

// lockFolder takes the lock of a data folder, or begins to wait for it. Where there are no such locks, as in some network file systems, nothing is told.
func lockFolder(path string, log *slog.Logger) *folderLock {
	l := &folderLock{path: path, log: log}
	f, err := os.Open(path)
	if err != nil {
		return l // who writes into it tells what is wrong with it
	}
	l.folder = f
	if !l.try() {
		ctx, cancel := context.WithCancel(context.Background())
		l.cancel, l.done = cancel, make(chan struct{})
		go l.wait(ctx)
	}
	return l
}

// try tells whether there is nothing to wait for.
func (l *folderLock) try() bool {
	for {
		switch err := syscall.Flock(int(l.folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
		case errors.Is(err, syscall.EINTR):
		default:
			return !errors.Is(err, syscall.EWOULDBLOCK)
		}
	}
}

func (l *folderLock) wait(ctx context.Context) {
	defer close(l.done)
	begin := time.Now()
	timer := time.NewTimer(lockRetry)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if l.try() {
			if l.shared.Swap(false) {
				l.log.Info("the data folder is used by no other process any more", "folder", l.path)
			}
			return
		}
		if time.Since(begin) >= lockPatience && !l.shared.Swap(true) {
			l.log.Warn(l.warning())
		}
		timer.Reset(lockRetry)
	}
}

// warning is for /readyz.
func (l *folderLock) warning() string {
	if !l.shared.Load() {
		return ""
	}
	return fmt.Sprintf("another process uses the data folder %q too: each overwrites what the other has learned of trust anchors; stop one of them, or give it another folder in node.data", l.path)
}

func (l *folderLock) close() {
	if l.done != nil {
		l.cancel()
		<-l.done
	}
	if l.folder != nil {
		l.folder.Close()
	}
}
