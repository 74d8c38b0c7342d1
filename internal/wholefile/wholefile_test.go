package wholefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// failing is a disk on which one step can't be done.
type failing struct {
	OS
	step string
	log  []string
}

var errFull = errors.New("no space left")

func (d *failing) at(step string) error {
	if d.log = append(d.log, step); step == d.step {
		return errFull
	}
	return nil
}

func (d *failing) Create(dir, pattern string) (File, error) {
	if err := d.at("create"); err != nil {
		return nil, err
	}
	f, err := d.OS.Create(dir, pattern)
	return failingFile{f, d}, err
}

func (d *failing) Rename(from, to string) error {
	return errors.Join(d.at("rename"), d.OS.Rename(from, to))
}

func (d *failing) SyncDir(dir string) error { return errors.Join(d.at("syncDir"), d.OS.SyncDir(dir)) }

type failingFile struct {
	File
	d *failing
}

func (f failingFile) Write(b []byte) (int, error) {
	if err := f.d.at("write"); err != nil {
		n, _ := f.File.Write(b[:len(b)/2])
		return n, err
	}
	return f.File.Write(b)
}

func (f failingFile) Sync() error { return errors.Join(f.d.at("sync"), f.File.Sync()) }

func (f failingFile) Close() error { return errors.Join(f.d.at("close"), f.File.Close()) }

// A step that fails leaves the old file and nothing beside it, and is told. Ends by a kill are tried where state is kept: rollover's TestKilledAtAnyWrite.
func TestWrite(t *testing.T) {
	for _, step := range []string{"", "create", "write", "sync", "close", "syncDir"} {
		dir := t.TempDir()
		path := filepath.Join(dir, "state")
		if err := Write(OS{}, path, []byte("the old one")); err != nil {
			t.Fatal(err)
		}
		d := &failing{step: step}
		err := Write(d, path, []byte("the new one"))
		if (step == "") != (err == nil) || err != nil && !errors.Is(err, errFull) {
			t.Errorf("%q fails: %v", step, err)
		}
		want := "the old one"
		if step == "" || step == "syncDir" {
			want = "the new one"
		}
		if b, err := Read(OS{}, path, 100); string(b) != want {
			t.Errorf("%q fails: %q, %v", step, b, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%q fails: mode %v, %v", step, info.Mode(), err)
		}
		if names, _ := (OS{}).List(dir); !slices.Equal(names, []string{"state"}) {
			t.Errorf("%q fails: the folder holds %v", step, names)
		}
		if all := []string{"create", "write", "sync", "close", "rename", "syncDir"}; step == "" && !slices.Equal(d.log, all) {
			t.Errorf("%v", d.log)
		}
	}
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"state", ".state-123", ".state", ".other-1", "state-1"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	Sweep(OS{}, filepath.Join(dir, "state"))
	Sweep(OS{}, filepath.Join(dir, "not there", "state"))
	if names, _ := (OS{}).List(dir); !slices.Equal(names, []string{".other-1", ".state", "state", "state-1"}) {
		t.Errorf("%v", names)
	}
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	if _, err := Read(OS{}, path, 4); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	for n, ok := range map[int]bool{0: true, 4: true, 5: false} {
		if err := os.WriteFile(path, []byte(strings.Repeat("x", n)), 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := Read(OS{}, path, 4)
		var size *SizeError
		if ok && (err != nil || len(b) != n) || !ok && (!errors.As(err, &size) || b != nil) {
			t.Errorf("%d octets: %q, %v", n, b, err)
		}
	}
}
