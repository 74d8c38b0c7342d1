package sdk

import (
	"errors"
	"go/format"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The folder of a new module has what it is built of, and its name in all places; nothing of this repository's own is left.
func TestNew(t *testing.T) {
	want := map[Language][]string{
		C:              {"ananas.h", "plugin.c"},
		Rust:           {"Cargo.toml", "src/lib.rs", "ananas/Cargo.toml", "ananas/src/host.rs", "ananas/src/lib.rs", "ananas/src/zones.rs"},
		Go:             {"go.mod", "plugin.go", "ananas/ananas.go", "ananas/export.go", "ananas/host.go", "ananas/verdict.go", "ananas/zones.go"},
		AssemblyScript: {"package.json", "plugin.ts", "ananas/ananas.ts", "ananas/zones.ts"},
	}
	for _, l := range Languages() {
		dir := filepath.Join(t.TempDir(), "a-name")
		if err := New(dir, "a-name", l); err != nil {
			t.Fatal(err)
		}
		left := map[string]bool{ManifestFile: true, CasesFile: true, "README.md": true}
		for _, name := range want[l] {
			left[name] = true
		}
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			name, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			if !left[filepath.ToSlash(name)] {
				t.Errorf("%s: %s is there", l, name)
			}
			delete(left, filepath.ToSlash(name))
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if strings.Contains(string(text), placeholder) {
				t.Errorf("%s: %s has %s", l, name, placeholder)
			}
			if filepath.Ext(name) == ".go" {
				if formatted, err := format.Source(text); err != nil || string(formatted) != string(text) {
					t.Errorf("%s: %s is not formatted: %v", l, name, err)
				}
			}
			return nil
		})
		if err != nil || len(left) > 0 {
			t.Errorf("%s: %v are missing, %v", l, left, err)
		}
		if f, err := Find(dir); err != nil || f.Language != l {
			t.Errorf("the language of %s is %q, %v", l, f.Language, err)
		}
		if err := New(dir, "a-name", l); err == nil {
			t.Errorf("%s: a folder is made twice", l)
		}
	}
	if err := New(filepath.Join(t.TempDir(), "x"), "x", "cobol"); err == nil || !strings.Contains(err.Error(), `there is no SDK for "cobol"`) {
		t.Errorf("in COBOL: %v", err)
	}
}

// A folder of two languages is of none.
func TestFind(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{ManifestFile, "go.mod", "plugin.c"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Find(dir); err == nil || !strings.Contains(err.Error(), "it has files of [c go]") {
		t.Error(err)
	}
	if _, err := Find(t.TempDir()); err == nil {
		t.Error("an empty folder is a module's")
	}
}

// Mistakes in a module are told in the compiler's own words, whole.
func TestMistakes(t *testing.T) {
	for l, c := range map[Language]struct{ file, text, want string }{
		C:    {"plugin.c", "#include \"ananas.h\"\nANANAS_QUERY(q, v) { return q->nmae; }\n", "plugin.c:2:"},
		Rust: {"src/lib.rs", "use ananas::Nothing;\n", "lib.rs:1:"},
	} {
		dir := filepath.Join(t.TempDir(), "m")
		if err := New(dir, "m", l); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, c.file), []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Folder{dir, l}.Build(t.Context())
		var missing *MissingError
		if errors.As(err, &missing) {
			t.Logf("%s is left out for want of %s", l, missing.What)
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", l, err)
		}
	}
}
