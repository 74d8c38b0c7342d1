package node

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/ananas-edge/ananas/internal/wholefile"
	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/etcd"
	"github.com/ananas-edge/ananas/store/replica"
)

// Files of a restore, in the folder of a node's part in a store.
const (
	restoredFile = "restored"         // the version and lineage with which the store was restored here: what was on its way before it is not any more
	restoreFile  = "restore.snapshot" // a snapshot that the root begins with when it is started
	readyFile    = "restore.ready"    // what etcd has was made since that was placed
	etcdFolder   = "etcd"
	etcdBefore   = "etcd.before-restore" // what etcd had, kept until the next restore
)

// PlaceSnapshot has the root whose data folder is given begin with a snapshot when it is started next: in a new lineage, which all followers take over. The node must not run, and has to be a member of
// the root, or to have its ca.key, store.key and node.pem. The snapshot is read whole and checked before anything is touched.
func PlaceSnapshot(data, file string) (store.Head, error) {
	var head store.Head
	in, err := os.Open(file)
	if err != nil {
		return head, fmt.Errorf("restoring a snapshot: %w", err)
	}
	defer in.Close()
	if err := replica.ReadSnapshot(bufio.NewReaderSize(in, 1<<20), func(h store.Head) error { head = h; return nil }, func(string, store.Entry) error { return nil }); err != nil {
		return head, fmt.Errorf("restoring %q: %w", file, err)
	}
	folder := filepath.Join(data, StoreFolder)
	if _, err := os.Stat(filepath.Join(folder, "ca.key")); err != nil {
		return head, hinted{fmt.Errorf("restoring %q: %q is not the folder of a member of a root: %w", file, folder, err),
			"a new root takes ca.key, store.key and node.pem of a member of the one before, in the same folder: followers believe nobody else"}
	}
	lock, err := os.Open(data)
	if err != nil {
		return head, fmt.Errorf("restoring a snapshot: %w", err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		return head, hinted{fmt.Errorf("restoring %q: a node uses the folder %q", file, data), "stop it first"}
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return head, fmt.Errorf("restoring a snapshot: %w", err)
	}
	// A snapshot that was placed before this one is not to be restored once more if this one can't be written.
	err = copyWhole(in, filepath.Join(folder, restoreFile), func() error { return removed(filepath.Join(folder, readyFile)) })
	if err != nil {
		return head, fmt.Errorf("restoring %q: %w", file, err)
	}
	// From here on the snapshot is there: whatever ends this, the next start goes on with it.
	return head, makeWay(folder)
}

// makeWay moves what etcd has out of the way of a snapshot that was placed, once: the ready file says that what etcd has was made since. A node that starts calls it as well, since who placed the snapshot may
// have been killed before.
func makeWay(folder string) error {
	disk := wholefile.OS{}
	if !disk.Exists(filepath.Join(folder, restoreFile)) || disk.Exists(filepath.Join(folder, readyFile)) {
		return nil
	}
	was := filepath.Join(folder, etcdFolder)
	switch _, err := os.Lstat(was); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("restoring a snapshot: %w", err)
	default:
		before := filepath.Join(folder, etcdBefore)
		if err := os.RemoveAll(before); err != nil {
			return fmt.Errorf("restoring a snapshot: removing what an earlier restore has kept: %w", err)
		}
		if err := os.Rename(was, before); err != nil {
			return fmt.Errorf("restoring a snapshot: %w", err)
		}
	}
	// A root that is restored begins with one member; the others join it anew.
	if err := removed(filepath.Join(folder, membersFile)); err != nil {
		return fmt.Errorf("restoring a snapshot: %w", err)
	}
	if err := wholefile.Write(disk, filepath.Join(folder, readyFile), []byte("what etcd has was made since the snapshot was placed\n")); err != nil {
		return fmt.Errorf("restoring a snapshot: %w", err)
	}
	return nil
}

// removed sees to it that a file is not there.
func removed(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// copyWhole writes a file of any size that is there whole or not at all. before is called when all of it is on the disk, and it takes its place.
func copyWhole(in io.Reader, path string, before func() error) error {
	temporary := path + ".new"
	out, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err == nil {
		err = before()
	}
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		os.Remove(temporary)
		return err
	}
	return wholefile.OS{}.SyncDir(filepath.Dir(path))
}

// restoredAt returns the version with which this member has restored the store of a lineage from a snapshot; 0 if it has not: it may have restored another, long ago. While a restore is not finished it is an error.
func (s *shared) restoredAt(l store.Lineage) (store.Version, error) {
	if (wholefile.OS{}).Exists(filepath.Join(s.folder, restoreFile)) {
		return 0, errors.New("the restore of a snapshot is not finished yet")
	}
	b, err := readWhole(filepath.Join(s.folder, restoredFile), 128)
	if err != nil || b == nil {
		return 0, err
	}
	version, lineage, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	v, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return 0, hinted{fmt.Errorf("reading the version in %q: %w", filepath.Join(s.folder, restoredFile), err), "remove the file: it says which rollouts a snapshot had open"}
	}
	if lineage != l.String() {
		return 0, nil
	}
	return store.Version(v), nil
}

// finishRestore does what is left to do when etcd has what a snapshot had, in a lineage: it writes down which version that was, and removes the snapshot. It is called as well by a node that was killed
// before it had done so; without a snapshot it does nothing.
func (s *shared) finishRestore(l store.Lineage) error {
	path := filepath.Join(s.folder, restoreFile)
	in, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("restoring a snapshot: %w", err)
	}
	defer in.Close()
	var snapshot store.Head
	errStop := errors.New("stop")
	err = replica.ReadSnapshot(in, func(h store.Head) error { snapshot = h; return errStop }, nil)
	if !errors.Is(err, errStop) {
		return fmt.Errorf("restoring a snapshot: reading which version it was: %w", err)
	}
	text := fmt.Appendf(nil, "%d %s\n", snapshot.Version+1, l)
	if err := wholefile.Write(wholefile.OS{}, filepath.Join(s.folder, restoredFile), text); err != nil {
		return fmt.Errorf("restoring a snapshot: writing down which version it was: %w", err)
	}
	err = os.Remove(path)
	if err == nil {
		err = wholefile.OS{}.SyncDir(s.folder) // without the ready file it would be restored once more
	}
	if err != nil {
		return fmt.Errorf("restoring a snapshot: removing it after that: %w", err)
	}
	if err := removed(filepath.Join(s.folder, readyFile)); err != nil {
		s.n.log.Warn("removing what is left of a restore", "error", err) // it is of no use without the snapshot, and the next restore removes it
	}
	s.n.log.Info("the store was restored from a snapshot, and begins a new lineage", "snapshot", uint64(snapshot.Version), "lineage", l.String())
	return nil
}

// restore begins the store with a snapshot that was placed; done tells whether there was one.
func (s *shared) restore(ctx context.Context) (head store.Head, done bool, err error) {
	path := filepath.Join(s.folder, restoreFile)
	in, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return head, false, nil
	}
	if err != nil {
		return head, false, fmt.Errorf("restoring a snapshot: %w", err)
	}
	defer in.Close()
	snapshot := etcd.Snapshot{Author: s.name, Reason: "restored from a snapshot", Time: s.n.clock.Wall()}
	rand.Read(snapshot.ID[:])
	errStop := errors.New("stop")
	// The head is at the beginning of the file, and etcd wants it first; and the blobs have to be here before anything names them.
	err = replica.ReadSnapshotBlobs(bufio.NewReaderSize(in, 1<<20), func(h store.Head) error { snapshot.Head = h; return nil }, func(string, store.Entry) error { return nil }, s.restoreBlob)
	if err != nil {
		return head, false, fmt.Errorf("restoring a snapshot: %w", err)
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return head, false, fmt.Errorf("restoring a snapshot: %w", err)
	}
	snapshot.Entries = func(yield func(etcd.Entry, error) bool) {
		err := replica.ReadSnapshot(bufio.NewReaderSize(in, 1<<20), func(store.Head) error { return nil }, func(key string, e store.Entry) error {
			if !yield(etcd.Entry{Key: key, Entry: e}, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(etcd.Entry{}, err)
		}
	}
	if head, err = s.etcd.Restore(ctx, snapshot); err != nil && !errors.Is(err, etcd.ErrMade) {
		return head, false, err
	}
	if errors.Is(err, etcd.ErrMade) { // an attempt before it was taken, and nobody knew
		head, err = s.etcd.Head(ctx)
	}
	if err != nil {
		return head, false, err
	}
	return head, true, s.finishRestore(head.Lineage)
}
