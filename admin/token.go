package admin

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// TokenFile is the name of the token's file in the data folder.
const TokenFile = "admin.token"

const (
	tokenBytes    = 32 // of randomness; 64 hex digits in the file
	minTokenChars = 32 // of a token that an operator wrote there
	maxTokenChars = 1024
)

// TokenError is a token file that cannot be used.
type TokenError struct {
	Path string
	Err  error
	hint string
}

func (e *TokenError) Error() string {
	return fmt.Sprintf("reading the admin token %q: %v", e.Path, e.Err)
}
func (e *TokenError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *TokenError) Hint() string { return e.hint }

// LoadToken returns the token in the data folder; if there is none, it makes one from 32 bytes of random (nil: the system's),
// mode 0600. Several processes may do so at once: all get the token of the first.
func LoadToken(data string, random io.Reader) (string, error) {
	path := filepath.Join(data, TokenFile)
	token, err := ReadToken(data)
	if !errors.Is(err, fs.ErrNotExist) {
		return token, err
	}
	if random == nil {
		random = rand.Reader
	}
	if err := createToken(path, random); err != nil {
		hint := "may this user write to the data folder?"
		if errors.Is(err, syscall.ENOSPC) {
			hint = "the disk is full: make room, or name another folder in node.data"
		}
		return "", &TokenError{path, err, hint}
	}
	return ReadToken(data) // of whoever was first
}

// createToken writes a new token beside the path and links it into place, so that no reader sees half of it and none that is
// there is replaced.
func createToken(path string, random io.Reader) error {
	secret := make([]byte, tokenBytes)
	if _, err := io.ReadFull(random, secret); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+TokenFile+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(hex.EncodeToString(secret) + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	err = os.Link(f.Name(), path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return nil
	}
	// A file system without hard links.
	if _, statErr := os.Lstat(path); statErr == nil {
		return nil
	}
	return os.Rename(f.Name(), path)
}

// ReadToken returns the token in the data folder. It refuses a file that others than its owner may read: then the token is no
// secret. The error is an fs.ErrNotExist if there is no file.
func ReadToken(data string) (string, error) {
	path := filepath.Join(data, TokenFile)
	wrong := func(err error, hint string) error { return &TokenError{path, err, hint} }
	// Not blocking, should the path be a pipe; for a regular file it changes nothing.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", wrong(errors.Unwrap(err), "run this as the user that runs the node, or give the token in $ANANAS_TOKEN")
	}
	defer f.Close()
	info, err := f.Stat() // of what was opened, not of what may lie there by now
	if err != nil {
		return "", wrong(err, "")
	}
	if !info.Mode().IsRegular() {
		return "", wrong(errors.New("not a regular file"), "remove it; the node makes a new one when it starts")
	}
	if mode := info.Mode().Perm(); mode&^0o600 != 0 {
		return "", wrong(fmt.Errorf("its mode is %04o: others than its owner may use it", mode),
			fmt.Sprintf("chmod 600 %s; if others may have read it, remove it instead, and the node makes a new one when it starts", path))
	}
	text, err := io.ReadAll(io.LimitReader(f, maxTokenChars+2))
	if err != nil {
		return "", wrong(err, "")
	}
	token := strings.TrimRight(string(text), "\r\n")
	if err := checkToken(token); err != nil {
		return "", wrong(err, "remove it; the node makes a new one when it starts")
	}
	return token, nil
}

// checkToken holds a token against the characters of RFC 6750 section 2.1 and a length that cannot be guessed.
func checkToken(token string) error {
	if len(token) < minTokenChars || len(token) > maxTokenChars {
		return fmt.Errorf("a token has %d to %d characters, not %d", minTokenChars, maxTokenChars, len(token))
	}
	for _, c := range []byte(token) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~+/=", c) >= 0) {
			return errors.New("a token is made of letters, digits and -._~+/=")
		}
	}
	return nil
}
