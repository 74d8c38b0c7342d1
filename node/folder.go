package node

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// MakeFolder makes the data folder, or one in it. An error has a hint.
func MakeFolder(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return DiskError(fmt.Errorf("making the data folder %q: %w", path, err))
	}
	return nil
}

// DiskError adds a hint to an error of writing into the data folder.
func DiskError(err error) error {
	switch {
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EEXIST):
		return hinted{err, "there is a file of that name: name a folder in node.data"}
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return hinted{err, "the disk is full: make room, or name another folder in node.data"}
	}
	return hinted{err, "name another folder in node.data, or give this user the right to write there"}
}
