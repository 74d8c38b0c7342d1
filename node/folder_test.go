package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What keeps a node from writing into its data folder is said with what to do.
func TestDiskErrors(t *testing.T) {
	for err, want := range map[error]string{
		&fs.PathError{Op: "mkdir", Path: "x", Err: syscall.ENOSPC}: "the disk is full", &fs.PathError{Op: "mkdir", Path: "x", Err: syscall.EDQUOT}: "the disk is full",
		&fs.PathError{Op: "mkdir", Path: "x", Err: syscall.EACCES}: "give this user the right",
	} {
		var hint interface{ Hint() string }
		if got := DiskError(fmt.Errorf("writing: %w", err)); !errors.As(got, &hint) || !strings.Contains(hint.Hint(), want) || !errors.Is(got, err) {
			t.Errorf("%v: %v", err, got)
		}
	}
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, filepath.Join(path, "below")} {
		var hint interface{ Hint() string }
		if err := MakeFolder(p); !errors.As(err, &hint) || !strings.Contains(hint.Hint(), "there is a file of that name") {
			t.Errorf("%s: %v", p, err)
		}
	}
}
