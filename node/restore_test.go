package node

import (
	"os"
	"path/filepath"
	"testing"
)

// Whoever is killed while a snapshot is placed, at whatever step, leaves a folder with which the next start goes on: what etcd had is kept aside, and never taken for what was restored.
func TestMakeWay(t *testing.T) {
	write := func(t *testing.T, folder, name, text string) {
		t.Helper()
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name         string
		files        map[string]string
		etcd, before string // what is in the two folders afterwards; "": there is none
	}{
		{"no snapshot", map[string]string{"etcd/a": "old"}, "old", ""},
		{"placed, and nothing moved", map[string]string{restoreFile: "s", "etcd/a": "old", membersFile: "[]"}, "", "old"},
		{"a restore before it has kept another", map[string]string{restoreFile: "s", "etcd/a": "old", "etcd.before-restore/a": "older"}, "", "old"},
		{"moved, and not ready", map[string]string{restoreFile: "s", "etcd.before-restore/a": "old"}, "", "old"},
		{"etcd has begun anew", map[string]string{restoreFile: "s", readyFile: "", "etcd/a": "new", "etcd.before-restore/a": "old"}, "new", "old"},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder := t.TempDir()
			for name, text := range c.files {
				write(t, folder, name, text)
			}
			for range 2 { // and once more, as the next start does
				if err := makeWay(folder); err != nil {
					t.Fatal(err)
				}
			}
			for name, want := range map[string]string{"etcd/a": c.etcd, "etcd.before-restore/a": c.before} {
				got, _ := os.ReadFile(filepath.Join(folder, name))
				if string(got) != want {
					t.Errorf("%s has %q, not %q", name, got, want)
				}
			}
			if _, err := os.Stat(filepath.Join(folder, membersFile)); err == nil {
				t.Error("it would look for the other members")
			}
		})
	}
}
