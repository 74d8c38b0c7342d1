package admin

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func TestTokenIsMadeOnceForTheOwner(t *testing.T) {
	data := filepath.Join(t.TempDir(), "made", "too")
	secret := bytes.Repeat([]byte{0xa5}, tokenBytes)
	token, err := LoadToken(data, bytes.NewReader(secret))
	if err != nil {
		t.Fatal(err)
	}
	if token != hex.EncodeToString(secret) {
		t.Errorf("the token is %q", token)
	}
	info, err := os.Stat(filepath.Join(data, TokenFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	again, err := LoadToken(data, strings.NewReader("")) // needs no randomness
	if err != nil || again != token {
		t.Errorf("the second time: %q, %v", again, err)
	}
	entries, err := os.ReadDir(data)
	if err != nil || len(entries) != 1 {
		t.Errorf("left in the folder: %v, %v", entries, err)
	}
}

func TestTokensDiffer(t *testing.T) {
	a, err1 := LoadToken(t.TempDir(), nil)
	b, err2 := LoadToken(t.TempDir(), nil)
	if err1 != nil || err2 != nil || a == b || len(a) != 64 {
		t.Errorf("%q %v, %q %v", a, err1, b, err2)
	}
}

// Two nodes that start on one folder at one time must not each believe in a token of its own.
func TestTokenIsMadeByOneOfMany(t *testing.T) {
	data := t.TempDir()
	tokens := make([]string, 16)
	var wg sync.WaitGroup
	for i := range tokens {
		wg.Go(func() {
			token, err := LoadToken(data, nil)
			if err != nil {
				t.Error(err)
			}
			tokens[i] = token
		})
	}
	wg.Wait()
	for _, got := range tokens {
		if got != tokens[0] {
			t.Fatalf("tokens differ: %q", tokens)
		}
	}
}

func TestTokenFilesThatAreRefused(t *testing.T) {
	good := strings.Repeat("ab", 32)
	for _, c := range []struct {
		name       string
		make       func(t *testing.T, path string)
		want, hint string // parts; "" want: taken
	}{
		{"as made", func(t *testing.T, p string) { mustWrite(t, p, good+"\n", 0o600) }, "", ""},
		{"read-only, Windows line end", func(t *testing.T, p string) { mustWrite(t, p, good+"\r\n", 0o400) }, "", ""},
		{"group may read", func(t *testing.T, p string) { mustWrite(t, p, good, 0o640) }, "its mode is 0640", "chmod 600 "},
		{"others may read", func(t *testing.T, p string) { mustWrite(t, p, good, 0o604) }, "its mode is 0604", "chmod 600 "},
		{"others may write", func(t *testing.T, p string) { mustWrite(t, p, good, 0o602) }, "its mode is 0602", "chmod 600 "},
		{"owner may execute", func(t *testing.T, p string) { mustWrite(t, p, good, 0o700) }, "its mode is 0700", "chmod 600 "},
		{"empty", func(t *testing.T, p string) { mustWrite(t, p, "", 0o600) }, "characters, not 0", "remove it"},
		{"short", func(t *testing.T, p string) { mustWrite(t, p, "secret", 0o600) }, "characters, not 6", "remove it"},
		{"two lines", func(t *testing.T, p string) { mustWrite(t, p, good+"\n"+good, 0o600) }, "letters, digits", "remove it"},
		{"huge", func(t *testing.T, p string) { mustWrite(t, p, strings.Repeat("a", 1<<20), 0o600) }, "characters, not 1026", "remove it"},
		{"folder", func(t *testing.T, p string) {
			if err := os.Mkdir(p, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "not a regular file", "remove it"},
		{"pipe", func(t *testing.T, p string) {
			if err := syscall.Mkfifo(p, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "not a regular file", "remove it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := t.TempDir()
			c.make(t, filepath.Join(data, TokenFile))
			token, err := LoadToken(data, nil)
			if c.want == "" {
				if err != nil || token != good {
					t.Fatalf("got %q, %v", token, err)
				}
				return
			}
			var wrong *TokenError
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), c.want) || !strings.Contains(wrong.Hint(), c.hint) {
				t.Fatalf("got %q, %v; want %q with the hint %q", token, err, c.want, c.hint)
			}
			if strings.Contains(err.Error()+wrong.Hint(), good) {
				t.Error("the error prints the token")
			}
			if _, err := New(Config{Data: data}); err == nil {
				t.Error("a server starts with that file")
			}
		})
	}
}

func TestReadTokenWithoutFile(t *testing.T) {
	_, err := ReadToken(t.TempDir())
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestTokenInAFolderThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	mustWrite(t, file, "", 0o600)
	_, err := LoadToken(filepath.Join(file, "data"), nil)
	var wrong *TokenError
	if !errors.As(err, &wrong) || wrong.Hint() == "" {
		t.Errorf("got %v", err)
	}
}
