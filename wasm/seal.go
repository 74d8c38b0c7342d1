package wasm

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// sealFile is the name of a file that has the digest of all others of a folder. What is read from there is run: wazero checks its code, and not where in it the functions are; and where it finds a woven module that it does not know, it compiles that in
// this process. A seal is against disks and half-written files. Who may write into the folder can make another one, and can replace this program.
const sealFile = "seal"

// digest is that of all files of a folder but the seal, names and octets.
func digest(folder string) ([]byte, error) {
	h := sha256.New()
	err := filepath.WalkDir(folder, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == sealFile {
			return err
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		below, err := filepath.Rel(folder, name)
		fmt.Fprintf(h, "%q %d\n", below, len(b))
		h.Write(b)
		return err
	})
	return h.Sum(nil), err
}

// seal writes the seal of a folder that is complete.
func seal(folder string) error {
	sum, err := digest(folder)
	if err != nil {
		return fmt.Errorf("sealing the compiled module: %w", err)
	}
	if err := writeSynced(filepath.Join(folder, sealFile), sum); err != nil {
		return fmt.Errorf("sealing the compiled module: %w", err)
	}
	return nil
}

// unbroken holds a folder to its seal.
func unbroken(folder string) error {
	was, err := os.ReadFile(filepath.Join(folder, sealFile))
	if err != nil {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	is, err := digest(folder)
	if err == nil && !bytes.Equal(is, was) {
		err = errors.New("it is not what it was when it was compiled")
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	return nil
}
