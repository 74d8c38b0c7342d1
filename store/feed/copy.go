package feed

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/replica"
)

// Access is what a peer may read. It is immutable.
type Access interface {
	Readable(key string) bool
	// Fingerprint is the same for all who may read the same.
	Fingerprint() [32]byte
}

// Peer is the node at the other end of a connection that was accepted.
type Peer struct {
	Name   string
	Access Access
	ID     any // the gate's own
}

// Gate decides who is let in. An error is told to the peer, with its Hint, if it has one.
type Gate interface {
	// Admit finishes the handshake of a connection.
	Admit(ctx context.Context, conn net.Conn) (Peer, error)
	// Recheck is asked about peers that are connected, when a commit changed what the store has of them, and each minute.
	Recheck(p Peer) (Peer, error)
}

// Reports is where the health of a node and of all that follow it comes together. Its methods are called from many goroutines.
type Reports interface {
	// Own returns the report that goes up. What is longer than MaxReport is not sent.
	Own() []byte
	// Merge takes the report of a follower. body is good until it returns.
	Merge(from string, body []byte)
}

// Beat is the sign that the root lives: it makes one each second, while a quorum confirms its head.
type Beat struct {
	Time    time.Time // at the root, when it was made
	Lineage store.Lineage
	Version store.Version // of the root
	Source  store.Version // of who passed it on, when it did
	Path    []string      // names from the root to who passed it on
}

// Blobs are contents that documents name by their SHA-256.
type Blobs interface {
	// Missing returns those that the document at a key names and that are not here yet. Those that are here stay until the document has come.
	Missing(key string, doc []byte) [][32]byte
	// Has tells whether one is here. If it is, it stays until a document that names it has come.
	Has(sum [32]byte) bool
	// Part returns a part of one, from offset on and at most of max octets, and its whole size; ok is false if it is not here.
	Part(sum [32]byte, offset int64, max int) (part []byte, size int64, ok bool, err error)
	// Begin begins to take one in. What is put down is checked when all of it is there.
	Begin(sum [32]byte) (BlobWriter, error)
}

// BlobWriter takes a blob in. Commit checks it, and has it there whole; Abort forgets it.
type BlobWriter interface {
	Write(b []byte) (int, error)
	Commit() error
	Abort()
}

// Copy is the copy that a source reads.
type Copy = *replica.Replica

// Target is the copy that a follower writes: a Copy, but for who has 10,000 of them in one process and no disk for each.
type Target interface {
	// Head returns what the copy has come to.
	Head() store.Head
	// Apply puts records on the copy, in their order; its errors are those of [replica.Replica.Apply].
	Apply(ctx context.Context, records []*store.Record) error
	// BeginSnapshot begins to receive the map as it is at head.
	BeginSnapshot(head store.Head) (*replica.Incoming, error)
}

// strayed tells whether an error of a copy means that only a snapshot mends it.
func strayed(err error) bool {
	var d *store.DivergenceError
	var broken *replica.BrokenError
	return errors.As(err, &d) || errors.As(err, &broken)
}
