// Package wholefile replaces a file in one step: whatever ends a write, and whenever, a kill or the power, the file is the old one or the new one,
// whole. It is for state that one process owns.
//
// [Write] puts a new file in the place of the old one; [Sweep] removes what a killed process left beside it, and is to be called at the start, before
// the first write; [Read] reads with a limit. Each takes a [Disk], so that a test can end it at any step; [OS] is the real one.
package wholefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Write replaces the file at path, whose folder must exist, by one for its owner alone. The new file is complete and on the disk before it takes
// the place of the old one, which is one step of the file system. After an error the old one is there, unless it is only the last step that
// failed: then the new one is, and may be gone after a failure of power.
func Write(d Disk, path string, data []byte) error {
	dir := filepath.Dir(path)
	f, err := d.Create(dir, temporary(path)+"*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = d.Rename(f.Name(), path)
	}
	if err != nil {
		d.Remove(f.Name()) // if it stays, the next Sweep removes it
		return err
	}
	return d.SyncDir(dir)
}

// Sweep removes what was being written in the place of path when a process was killed. What can't be removed is left to the next one.
func Sweep(d Disk, path string) {
	names, err := d.List(filepath.Dir(path))
	if err != nil {
		return // reading will say why
	}
	for _, name := range names {
		if strings.HasPrefix(name, temporary(path)) {
			d.Remove(filepath.Join(filepath.Dir(path), name))
		}
	}
}

// temporary begins the name of a file that is still being written.
func temporary(path string) string { return "." + filepath.Base(path) + "-" }

// SizeError says that a file is longer than it may be.
type SizeError struct {
	Path  string
	Limit int // octets
}

func (e *SizeError) Error() string { return fmt.Sprintf("%q has more than %d octets", e.Path, e.Limit) }

// Read reads a file of at most limit octets. The error of a longer one is a [*SizeError].
func Read(d Disk, path string, limit int) ([]byte, error) {
	f, err := d.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(b) > limit {
		return nil, &SizeError{path, limit}
	}
	return b, nil
}

// Disk is the file system, as far as it is needed. Its methods do what those of package os do.
type Disk interface {
	Open(path string) (io.ReadCloser, error)
	Exists(path string) bool
	List(dir string) ([]string, error)
	Create(dir, pattern string) (File, error) // for its owner alone
	Rename(from, to string) error
	Remove(path string)
	SyncDir(dir string) error
}

// File is a file that is being written.
type File interface {
	io.WriteCloser
	Sync() error
	Name() string
}

// OS is the file system of this machine.
type OS struct{}

// Open opens a file for reading.
func (OS) Open(path string) (io.ReadCloser, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // not blocking, should it be a pipe
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Exists tells whether something is at path, a link to nowhere too.
func (OS) Exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// List returns the names in a folder.
func (OS) List(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// Create makes a file of a new name.
func (OS) Create(dir, pattern string) (File, error) {
	f, err := os.CreateTemp(dir, pattern)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Rename moves a file, in the place of one that is there.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove removes a file, if it can be.
func (OS) Remove(path string) { _ = os.Remove(path) }

// SyncDir makes a rename last. Some file systems can't sync a folder and say so; for them the rename is all that there is.
func (OS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrInvalid) {
		err = nil
	}
	return errors.Join(err, d.Close())
}
