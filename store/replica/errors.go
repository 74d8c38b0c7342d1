package replica

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/ananas-edge/ananas/store"
)

// ErrClosed says that the copy was closed.
var ErrClosed = errors.New("the copy of the store is closed")

// DiskError says that the disk of the copy failed. The copy is as it was, and is read from as before; the same call may be repeated.
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
	if errors.Is(e.Err, syscall.EROFS) || errors.Is(e.Err, syscall.EACCES) || errors.Is(e.Err, syscall.EPERM) {
		return "let this node write to its data folder; until then it serves the version that it has"
	}
	if errors.Is(e.Err, syscall.ENOSPC) || errors.Is(e.Err, syscall.EDQUOT) || errors.Is(e.Err, syscall.EFBIG) {
		return "make room on the disk of the data folder; until then this node serves the version that it has, and goes on by itself after that"
	}
	return "look at the disk of the data folder (room, the kernel's log); until it works this node serves the version that it has"
}

// BrokenError says that the file of the copy is spoilt. At Open it was moved aside and an empty copy began; later, memory is read as before and a snapshot makes a new file.
type BrokenError struct {
	Path  string
	Moved string // where it is now; "" while it is in use
	Err   error
}

func (e *BrokenError) Error() string {
	return fmt.Sprintf("the local copy of the store %q is spoilt: %v", e.Path, e.Err)
}

// Unwrap returns the cause.
func (e *BrokenError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *BrokenError) Hint() string {
	if e.Moved == "" {
		return "a snapshot from the store mends it; look at the disk (the kernel's log, smartctl) for what spoilt it"
	}
	return fmt.Sprintf("it is kept as %q, and a snapshot from the store takes its place; look at the disk (the kernel's log, smartctl) for what spoilt it", e.Moved)
}

// FormatError says that the file was written by a later release. It is left where it is.
type FormatError struct {
	Path string
	Why  string
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("%q was written by a later release: %s", e.Path, e.Why)
}

// Hint says what to do.
func (e *FormatError) Hint() string {
	return "run the release that wrote it, or move the file away: the node then takes a snapshot"
}

// KeyError says that secrets can't be read or written for want of the node's key.
type KeyError struct{ Why string }

func (e *KeyError) Error() string { return e.Why }

// Hint says what to do.
func (*KeyError) Hint() string {
	return "put the node's own node.key (mode 0600) back into its data folder, or move replica.db away: the node then takes a snapshot"
}

// OlderError says that a snapshot is of a lower version than the copy: a node never goes back.
type OlderError struct{ Have, Got store.Version }

func (e *OlderError) Error() string {
	return fmt.Sprintf("a snapshot of version %d is older than the copy, which has version %d", e.Got, e.Have)
}

// LimitError says that what was to be kept is more than a limit allows.
type LimitError struct {
	Name  string
	Limit int64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("the copy would be above %s, %d", e.Name, e.Limit)
}

// Hint says what to do.
func (e *LimitError) Hint() string { return "keep less in the store, or raise the limit on this node" }

// InUseError says that another process has the copy open.
type InUseError struct{ Path string }

func (e *InUseError) Error() string {
	return fmt.Sprintf("the local copy of the store is in use by another process, which has %q locked", e.Path)
}

// Hint says what to do.
func (*InUseError) Hint() string {
	return "end the other node, or give this one a data folder of its own"
}

// FollowsError says that a copy follows a store, so that this node can't make commits by itself.
type FollowsError struct{ Lineage store.Lineage }

func (e *FollowsError) Error() string {
	return fmt.Sprintf("the local copy follows a store (lineage %v), and this node's own settings can't be put into it", e.Lineage)
}

// Hint says what to do.
func (*FollowsError) Hint() string {
	return "change the settings in the store (ananas apply), or move replica.db away to begin a history of this node's own"
}
