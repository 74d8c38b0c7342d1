package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ananas-edge/ananas/internal/wholefile"
	"github.com/ananas-edge/ananas/rollout"
	"github.com/ananas-edge/ananas/rollout/vitals"
	"github.com/ananas-edge/ananas/settings"
	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/blobs"
	"github.com/ananas-edge/ananas/store/etcd"
	"github.com/ananas-edge/ananas/store/feed"
	"github.com/ananas-edge/ananas/store/identity"
	"github.com/ananas-edge/ananas/store/replica"
)

// StoreFolder is the folder in the data folder that holds a node's part of a store: its copy, who it is, and, on a member of the root, etcd's data.
const StoreFolder = "store"

// shared is a node's part in a store that other nodes have too: its copy, the tables made of it, and, on a member of the root, the root.
type shared struct {
	n      *Node
	name   string
	folder string

	copy     *replica.Replica
	blobs    *blobs.Folder
	lost     chan struct{} // a blob that is named is not there
	waits    bool          // the node was started without settings although the copy has some: a blob was lost, or none compiles here
	use      *user
	registry *vitals.Registry
	telling  telling
	probes   prober
	boot     uint64        // a random number of this process
	opened   time.Duration // boot time

	etcd   *etcd.Root    // of a member of the root; else nil
	writer *store.Writer // likewise
	known  chan struct{} // closed when the store knows this member
	who    *identity.Identity
	driver *rollout.Driver
	drives atomic.Pointer[driving] // while this member is elected

	follower   *feed.Follower // nil on a member of the root
	feed       *feed.Source   // nil where nobody follows this node
	feedSocket net.Listener

	mu        sync.Mutex
	statement []byte // that the copy's lineage has begun, signed; nil: none is known

	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup

	confirmed atomic.Int64          // boot time in nanoseconds, and one, at which a quorum last had this member of the root; 0: never
	before    time.Time             // wall time at which a root had confirmed the copy before this process began; zero: it is not known
	failing   atomic.Pointer[error] // what keeps the copy from following; nil: nothing
}

// openShared opens the copy of a node that belongs to a store. Of others nothing is asked until start, but that one that has not joined does, while ctx lasts.
func openShared(ctx context.Context, n *Node, own settings.Node, o Options) (_ *shared, err error) {
	s := &shared{known: make(chan struct{}), n: n, name: nodeName(own), folder: filepath.Join(own.Data, StoreFolder), lost: make(chan struct{}, 1)}
	if err := MakeFolder(s.folder); err != nil {
		return nil, err
	}
	s.opened = n.clock.Boot()
	s.ctx, s.cancel = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.who, err = identity.Open(wholefile.OS{}, s.folder); err != nil {
		return nil, err
	}
	key, err := s.who.NodeKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	s.copy, err = openCopy(ctx, s.folder, replica.Options{Now: n.clock.Wall, Key: key.Octets(), Log: n.log, Metrics: n.metrics})
	if err != nil {
		return nil, fmt.Errorf("opening this node's copy of the store: %w", err)
	}
	if broken := s.copy.Found(); broken != nil {
		n.log.Error("this node's copy of the store was spoilt and begins anew", "error", broken, "hint", broken.Hint())
	}
	if s.blobs, err = blobs.Open(filepath.Join(s.folder, blobFolder), blobs.Options{Boot: n.clock.Boot, Log: n.log, Metrics: n.metrics}); err != nil {
		return nil, err
	}
	var b [8]byte
	rand.Read(b[:])
	for _, octet := range b {
		s.boot = s.boot<<8 | uint64(octet)
	}
	s.before = s.readConfirmed()
	s.registry = vitals.NewRegistry(n.clock.Boot)
	s.probes = prober{results: map[rollout.ID]*rollout.Probe{}, tables: map[rollout.ID]bool{}}
	s.use = &user{n: n, swaps: s.tellNow, copy: s.copy, member: s.member, blob: s.blob, silent: s.silent, behind: s.behind, memory: filepath.Join(s.folder, "in-use"), waitStep: time.Second}
	if len(own.Store.Join) > 0 {
		if err := s.openFollower(ctx, own, o.Token); err != nil {
			return nil, err
		}
	}
	if own.Store.Root.IsValid() {
		if err := s.openRoot(own, o.Etcd); err != nil {
			return nil, err
		}
	}
	if err := s.openFeed(own); err != nil {
		return nil, err
	}
	return s, nil
}

// copyPatience is how long a node that starts waits for the copy that another process has open: the node before it, which was told to stop, has to end its
// queries (half a second), and a root its etcd, which on a slow disk takes some seconds.
const copyPatience = 15 * time.Second

// openCopy opens the copy, which one process alone may have open.
func openCopy(ctx context.Context, folder string, o replica.Options) (*replica.Replica, error) {
	const step = 50 * time.Millisecond
	for waited := time.Duration(0); ; waited += step {
		c, err := replica.Open(folder, o)
		var used *replica.InUseError
		if err == nil || !errors.As(err, &used) || waited >= copyPatience {
			return c, err
		}
		if waited == 0 {
			o.Log.Info("waiting for another process to end, which has this node's copy of the store open", "folder", folder, "at_most", copyPatience)
		}
		if !sleep(ctx, step) {
			return nil, err
		}
	}
}

// start begins to follow, to serve those who follow, and to tell how this node is.
func (s *shared) start(own settings.Node) {
	s.run(s.use.run)
	if s.etcd != nil {
		s.run(s.feedCopy)
		s.run(s.introduce)
		s.run(s.keepConfirmed)
		s.run(s.lead)
		s.run(s.keepTrimmed)
		s.run(s.reportToMembers)
	}
	s.startFeed()
	s.run(s.keepBlobs)
	s.run(s.keepCertificate)
	s.run(s.probe)
	s.run(s.tell)
	s.run(s.noteConfirmed)
}

// ready tells whether there are settings at all.
func (s *shared) ready() error {
	use := s.use.now.Load()
	if use == nil && s.etcd == nil {
		return errors.New("there is no copy of the store yet: queries are answered as soon as one has come")
	}
	switch {
	case !s.waits || use != nil && use.version > 0:
	case use != nil && use.refused != nil:
		return fmt.Errorf("version %d of the settings does not compile here, nor does one before it: queries are answered as soon as one comes that does: %s", use.refusedAt, firstLine(use.refused.Error()))
	default:
		return errors.New("a file that the settings name was lost: queries are answered as soon as it was got anew")
	}
	return nil
}

// first calls serve as soon as there are settings.
func (s *shared) first(serve func()) {
	s.done.Add(1)
	defer s.done.Done()
	for s.use.now.Load() == nil || s.use.now.Load().version == 0 {
		if !sleep(s.ctx, 50*time.Millisecond) {
			return
		}
	}
	serve()
}

// silent is how long no root has been heard of: on a member of the root since its own etcd last confirmed the head.
func (s *shared) silent() time.Duration {
	if age := s.heard(); age >= 0 {
		return age
	}
	return s.n.clock.Boot() - s.opened
}

// behind tells whether the root has, by its last beat, a version that this node's copy has not.
func (s *shared) behind() bool {
	if s.follower == nil {
		return false
	}
	head, beat := s.copy.View().Head(), s.follower.State().Beat
	return beat.Lineage != head.Lineage || beat.Version > head.Version
}

// whereRoot says where changes can be made.
func (s *shared) whereRoot() string { return "ask a member of the root: ananas apply --node ADDRESS" }

// member is this node as the store knows it: its labels are those of its document there, before it has one those of its file.
func (s *shared) member(m store.Map) rollout.Member {
	out := rollout.Member{Name: s.name, Labels: s.n.began.Node.Store.Labels}
	if doc, err := identity.NodeAt(m, s.name); err == nil && doc != nil {
		out.Labels = doc.Labels
	}
	return out
}

// trouble notes what keeps the copy from following; nil: nothing does any more.
func (s *shared) trouble(err error) {
	before := s.failing.Load()
	if err == nil {
		if before != nil && s.failing.CompareAndSwap(before, nil) {
			s.n.log.Info("the copy of the store follows again")
		}
		return
	}
	if before == nil || (*before).Error() != err.Error() {
		args := []any{"error", err}
		var h interface{ Hint() string }
		if errors.As(err, &h) {
			args = append(args, "hint", h.Hint())
		}
		s.n.log.Warn("the copy of the store does not follow; the node answers from what it has", args...)
	}
	s.failing.Store(&err)
}

// go runs f until the store is closed; f has to end when ctx is done.
func (s *shared) run(f func(ctx context.Context)) {
	s.done.Add(1)
	go func() {
		defer s.done.Done()
		f(s.ctx)
	}()
}

// close ends all that was started, the copy last.
func (s *shared) close() error {
	s.cancel()
	if s.feed != nil {
		s.feed.Close()
	}
	if s.feedSocket != nil {
		s.feedSocket.Close()
	}
	s.done.Wait()
	if s.etcd != nil {
		s.etcd.Close()
	}
	if s.copy != nil {
		return s.copy.Close()
	}
	return nil
}

// age is how long ago the root last confirmed what this node's copy has; negative: never. Where it has not since the start it is by the wall clock, since the time that was written down.
func (s *shared) age() time.Duration {
	age := s.heard()
	if age < 0 && !s.before.IsZero() {
		age = max(0, s.n.clock.Wall().Sub(s.before))
	}
	return age
}

// heard is the same since this process began.
func (s *shared) heard() time.Duration {
	if s.follower == nil {
		return s.sinceConfirmed()
	}
	if age, ok := s.follower.Age(); ok {
		return age
	}
	return -1
}

// source is the address that this node follows; "": none right now.
func (s *shared) source() string {
	if s.follower == nil {
		return ""
	}
	return s.follower.State().Source
}

// via is the node that this one follows.
func (s *shared) via() string {
	if s.follower == nil {
		return ""
	}
	if path := s.follower.Path(); len(path) > 0 {
		return path[len(path)-1]
	}
	return ""
}

// wrong is what keeps the copy from following; nil: nothing does.
func (s *shared) wrong() error {
	if s.follower != nil {
		return s.follower.State().Err
	}
	if err := s.failing.Load(); err != nil {
		return *err
	}
	return nil
}
