package etcd

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/store"
)

// Phase is how the child process is.
type Phase string

// The phases.
const (
	Starting   Phase = "starting"   // it runs and does not answer yet: it reads its log, or waits for a quorum
	Joining    Phase = "joining"    // it runs, and has no vote yet: it is given one once it has everything, and answers then
	Running    Phase = "running"    // it answers
	Restarting Phase = "restarting" // it ended, and is started again in a moment
	Removed    Phase = "removed"    // the member was taken out of the root, and is not started again
	Stopped    Phase = "stopped"    // the root was closed
)

// State is how a root's own etcd is. The root goes on without it where there are others; the node goes on without it in any case.
type State struct {
	Phase    Phase
	Since    time.Time // of the phase
	Err      string    // why the process ended the last time; "" if it did not
	PID      int       // of the process; 0: there is none
	Restarts int       // how often it was started again
	Store    Store     // what it said last
}

// Store is how full etcd is, and what was done about it.
type Store struct {
	Size, Used, Quota int64 // octets: the file, what of it is in use, and the size from which on nothing is written
	ReadOnly          bool  // the quota was reached; it ends by itself once there is room
	Leads             bool  // this member leads the others
	Compacted         int   // how often old revisions were dropped
	Defragmented      int   // how often the file was written anew
	Shortened         int   // how often the log was cut before its time, for want of room
	Filled            int   // how often the quota was reached
}

// DownError says that etcd does not run or does not answer yet: nothing was asked of it.
type DownError struct{ State State }

func (e *DownError) Error() string {
	if e.State.Err == "" {
		return fmt.Sprintf("the root's etcd is %s", e.State.Phase)
	}
	return fmt.Sprintf("the root's etcd is %s: it ended: %s", e.State.Phase, e.State.Err)
}

// Hint says what to do.
func (e *DownError) Hint() string {
	if e.State.Phase == Removed {
		return "this node is no member of the root any more; have it join as a follower"
	}
	return "it is started again by itself; the node answers from its copy meanwhile. ananas status says how it is"
}

// down returns the error of who wants something of etcd now.
func (s State) down() error {
	err := error(&DownError{s})
	if noRoom(s.Err) {
		err = &store.FullError{Err: err}
	}
	return err
}

// noRoom tells whether a process ended because a disk was full. It is the system's text: across a process there is nothing else.
func noRoom(why string) bool {
	for _, text := range []string{"no space left on device", "disk quota exceeded", "file too large"} {
		if strings.Contains(why, text) {
			return true
		}
	}
	return false
}

// ErrEmpty says that etcd runs and has no store yet: Create or Restore makes one.
var ErrEmpty = errors.New("the root has no store yet")
