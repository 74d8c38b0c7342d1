package blobs

import (
	"errors"
	"fmt"
	"syscall"
)

// DiskError says that the disk of the blobs failed. What was there is there; the same call may be repeated.
type DiskError struct {
	Op   string // what was being done
	Path string
	Err  error
}

func (e *DiskError) Error() string { return fmt.Sprintf("%s %q: %v", e.Op, e.Path, e.Err) }

// Unwrap returns the cause.
func (e *DiskError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *DiskError) Hint() string {
	switch {
	case errors.Is(e.Err, syscall.ENOSPC), errors.Is(e.Err, syscall.EDQUOT), errors.Is(e.Err, syscall.EFBIG):
		return "make room on the disk of the data folder; it is tried again after that"
	case errors.Is(e.Err, syscall.EROFS), errors.Is(e.Err, syscall.EACCES), errors.Is(e.Err, syscall.EPERM):
		return "let this node write to its data folder"
	}
	return "look at the disk of the data folder (room, the kernel's log)"
}

// LimitError says that what was to be kept is more than a limit allows.
type LimitError struct {
	Name  string
	Limit int64
}

func (e *LimitError) Error() string {
	if e.Name == "max_blob" {
		return fmt.Sprintf("a blob has more than %d octets (max_blob)", e.Limit)
	}
	return fmt.Sprintf("the blobs of this node would be above %s, %d", e.Name, e.Limit)
}

// Hint says what to do.
func (e *LimitError) Hint() string {
	if e.Name == "max_blob" {
		return "make it smaller, or several of it"
	}
	return "blobs are kept for as long as the log names them, 30 days: wait for that, or change large files less often"
}

// DigestError says that what came is not the blob that was to come.
type DigestError struct {
	Want, Got [32]byte
	Octets    int64
}

func (e *DigestError) Error() string {
	return fmt.Sprintf("what came as the blob %x has %d octets with the SHA-256 %x", e.Want[:8], e.Octets, e.Got[:8])
}

// Hint says what to do.
func (*DigestError) Hint() string { return "look at the disk of the node that it came from" }

// MissingError says that a blob is not here.
type MissingError struct{ Sum [32]byte }

func (e *MissingError) Error() string { return fmt.Sprintf("the blob %x is not here", e.Sum[:8]) }

// Hint says what to do.
func (*MissingError) Hint() string {
	return "this node asks others for it by itself; if none has it, apply the file that it is the content of once more, on the root"
}

// SpoiltError says that the file of a blob is not what it was. It was removed: the blob is not here any more.
type SpoiltError struct {
	Sum  [32]byte
	Path string
}

func (e *SpoiltError) Error() string {
	return fmt.Sprintf("the blob in %q is spoilt, and was removed", e.Path)
}

// Unwrap returns what it comes to.
func (e *SpoiltError) Unwrap() error { return &MissingError{e.Sum} }

// Hint says what to do.
func (*SpoiltError) Hint() string {
	return "it is asked for anew; look at the disk (the kernel's log, smartctl) for what spoilt it"
}
