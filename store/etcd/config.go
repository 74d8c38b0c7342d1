package etcd

import (
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"

	"github.com/ananas-edge/ananas/store"
)

// Limits of etcd.
const (
	// DefaultQuota is the size of etcd's file, in octets, from which on it takes no writes. It holds the log of a root (1 GiB at most), the entries (1,000,000 of 200
	// octets are some 400 MiB in its file), and the minute of old revisions that is kept.
	DefaultQuota = 2 << 30

	// maxRequest is the size of a request in octets: the entries of a commit and its record, which has them once more, each with keys of 512 octets at most and what etcd puts around
	// them. 2 times 4 MiB of documents and keys, 4,096 changes of 180 octets (two digests, two salts, lengths, and etcd's own 20 an operation): 8.8 MiB. It is also
	// what etcd itself calls the most that is sensible.
	maxRequest = 10 << 20

	// maxOps is how many operations a transaction has: an entry and, some day, a second key for each change; head, record, id and what else it may need.
	maxOps = 2*store.MaxChanges + 8

	// maxAnswer is the size of an answer in octets: a page of pageValues of the largest values, and room.
	maxAnswer = 64 << 20

	// raftKept is how many decided requests etcd keeps in memory for members that lag, and reads again when it is started. A member that lags more is sent the whole file. etcd's own 10,000 are
	// meant for requests of a few hundred octets; 200 of ours are 9 MiB at 100 keys of 200 octets each, and 2 GiB if all of them are as large as can be.
	raftKept = 200
)

// Config is what a root is opened with.
type Config struct {
	// Command makes the child process, which has to call RunMember: this binary with its hidden command. Its standard streams are set here.
	Command func() *exec.Cmd

	Folder string // where etcd's data lies; made if it is not there, mode 0700
	Name   string // of this member: the node's

	// Peer is where other members reach this one; nil while there are none: then etcd listens on no port at all.
	Peer *Peer

	// Members are all members, this one included, when the member is started for the first time. None: this one alone. After that etcd knows them.
	Members []Member

	// Join says that Members is a cluster that is there already, and that has this one as a learner: what AddLearner returned.
	Join bool

	Quota int64 // 0: DefaultQuota

	// Random fills in random octets: of a lineage, and of what tells clusters apart. It never fails.
	Random func([]byte)

	Log *slog.Logger // nil: silent
}

// Peer is the end of a member towards the others: TLS in both directions, with certificates of the store's own authority. The files are read again for each connection, so
// that a renewed certificate needs no restart.
type Peer struct {
	Listen string // address and port
	URL    string // https://ADDRESS:PORT, by which the others reach it
	Cert   string // files, PEM
	Key    string
	CA     string

	// ServerName is a DNS name that the certificates of all members have and those of no other node: it is what tells a member from a follower, whichever of the two begins the
	// connection.
	ServerName string
}

// start is what the child is told, as JSON in one line.
type start struct {
	Folder, Name, Token, Cluster string
	Existing                     bool
	Quota                        int64
	Peer                         *Peer
}

// start checks the configuration and makes what the child is told.
func (c *Config) start() (start, error) {
	if c.Name == "" {
		return start{}, errors.New("a member of the root has no name")
	}
	s := start{Name: c.Name, Token: "ananas", Quota: c.Quota, Existing: c.Join}
	if s.Quota == 0 {
		s.Quota = DefaultQuota
	}
	var err error
	if s.Folder, err = filepath.Abs(c.Folder); err != nil {
		return start{}, fmt.Errorf("finding the folder of etcd: %w", err)
	}
	if c.Peer != nil {
		p := *c.Peer
		for _, file := range []*string{&p.Cert, &p.Key, &p.CA} {
			if *file, err = filepath.Abs(*file); err != nil {
				return start{}, fmt.Errorf("finding the certificates of etcd: %w", err)
			}
		}
		if p.ServerName == "" {
			return start{}, errors.New("the members of the root have no name in their certificates that tells them from other nodes")
		}
		s.Peer = &p
	}
	members := c.Members
	if len(members) == 0 {
		if c.Join {
			return start{}, errors.New("a member is to join a root, and is told none of its members")
		}
		var token [8]byte
		c.Random(token[:])
		s.Token = fmt.Sprintf("%x", token) // no two roots of one member are the same cluster
		members = []Member{{Name: c.Name, URL: s.url()}}
	}
	s.Cluster = cluster(members)
	return s, nil
}

// url returns where the other members are told that this one is.
func (s *start) url() string {
	if s.Peer == nil {
		return nowhere + s.Name
	}
	return s.Peer.URL
}

// nowhere begins the URL of a member that no other reaches.
const nowhere = "unix://"
