package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ananas-edge/ananas/internal/namedfile"
	"github.com/ananas-edge/ananas/internal/wholefile"
	"github.com/ananas-edge/ananas/rollout"
	"github.com/ananas-edge/ananas/settings"
	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/blobs"
	"github.com/ananas-edge/ananas/store/replica"
)

// feedPatience is how long a node that holds an open change set may be without a feed until it drops it by itself: it may be the change that cuts it off. A source is left after
// 10 s without a beat, so this is time for two others.
const feedPatience = 30 * time.Second

// inUse is what the tables of a node were made from. It is never changed.
type inUse struct {
	version store.Version
	sets    []string // ids of the change sets over it, in order
	entries map[string][]byte

	refused     error         // why a later version does not compile here; nil: none was refused
	refusedAt   store.Version // which that is
	refusedSets []string      // the change sets in it
}

// held returns the settings of a node at a version: the live keys, overlaid by the change sets that it holds. It is a function of these alone; without is true on
// a node that has lost its feed, which holds none.
func held(m store.Map, member rollout.Member, without bool) (map[string][]byte, []string) {
	all := liveSettings(m)
	var sets []string
	if !without {
		for _, r := range openRollouts(m) {
			if r.Subject == subject && rollout.Holds(r, member) {
				lay(all, changeSet(m, string(r.ID)))
				sets = append(sets, string(r.ID))
			}
		}
	}
	return all, sets
}

// user makes tables of what a copy says, and swaps them in.
type user struct {
	n        *Node
	copy     *replica.Replica
	member   func(store.Map) rollout.Member
	blob     func([32]byte) (*namedfile.File, error)
	silent   func() time.Duration // how long the feed is; 0 on a member of the root that has a quorum
	behind   func() bool          // the root has a version that the copy has not
	memory   string               // file with the version in use; "": it is not remembered
	swaps    func()               // called when other change sets came in, before anybody is told; nil: nobody wants to know
	swapped  func(*inUse)         // called after a swap, from the loop; nil: nobody wants to know
	now      atomic.Pointer[inUse]
	file     atomic.Pointer[settings.File] // what is in use was made from; of it the next one takes what is the same
	dropped  atomic.Bool                   // the change sets, for want of a feed
	again    atomic.Bool                   // what was refused may compile now
	waitStep time.Duration

	unnoted bool // a version came into use that is not remembered yet; of the loop
}

// first makes the tables that a node starts with. nil: the copy has none, or none that can be used now. Then the node begins all the same: what mends it comes from others, or, on a member of the root, from
// who applies it here.
func (u *user) first() (*settings.File, *settings.Tables) {
	file, tables, err := u.start()
	var lost *blobs.MissingError
	switch {
	case errors.As(err, &lost):
		u.n.log.Error("a file that the settings name was lost; it is asked for anew, and nothing is answered until then", "error", err)
	case err != nil:
		u.n.log.Error("no version of the settings compiles here; nothing is answered until one comes that does", "error", err)
		view := u.copy.View()
		refused := &inUse{refused: err, refusedAt: view.Head().Version}
		_, refused.refusedSets = held(view, u.member(view), false)
		u.now.Store(refused)
	default:
		return file, tables
	}
	return nil, nil
}

// start makes them: those of the copy's last version, or, where that does not compile here, of the one that was in use. nil: the copy has none.
func (u *user) start() (*settings.File, *settings.Tables, error) {
	view := u.copy.View()
	if view.Head().Version == 0 {
		return nil, nil, nil
	}
	file, tables, use, err := u.make(view, view.Head().Version)
	if err == nil {
		u.file.Store(file)
		u.now.Store(use)
		return file, tables, nil
	}
	last := view.Head().Version
	var lost *blobs.MissingError
	errors.As(err, &lost)
	for _, v := range u.older(last) {
		m, past := u.copy.At(v)
		if past != nil {
			break // what is older is not in the log either
		}
		file, tables, use, older := u.make(m, v)
		if lost != nil && older == nil && len(use.entries) == 0 {
			break // to be without settings for a while is better than the defaults
		}
		if older == nil {
			return u.fallBack(view, file, tables, use, err)
		}
	}
	return nil, nil, fmt.Errorf("compiling version %d of the settings: %w (nor does one before it that the log has)", last, err)
}

// triedBack is how many versions are tried at the start where the last one does not compile: those of some minutes of somebody who tries to mend it.
const triedBack = 16

// older lists versions to try in place of one that does not compile: the one that was in use, and then those before it.
func (u *user) older(last store.Version) []store.Version {
	var all []store.Version
	if v, ok := u.remembered(); ok && v < last {
		all = append(all, v)
	}
	for v := last - 1; v > 0 && v < last && last-v <= triedBack; v-- {
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b store.Version) int { return cmp.Compare(b, a) })
	return slices.Compact(all)
}

// fallBack takes an older version in the place of the last one, which err is about.
func (u *user) fallBack(view store.View, file *settings.File, tables *settings.Tables, use *inUse, err error) (*settings.File, *settings.Tables, error) {
	before := use.version
	use.refused, use.refusedAt = err, view.Head().Version
	_, use.refusedSets = held(view, u.member(view), false)
	u.file.Store(file)
	u.now.Store(use)
	u.n.log.Error("the last version of the settings does not compile here; the one from before serves", "version", view.Head().Version, "serves", before, "error", err)
	return file, tables, nil
}

// make compiles a version.
func (u *user) make(m store.Map, v store.Version) (*settings.File, *settings.Tables, *inUse, error) {
	use := &inUse{version: v}
	use.entries, use.sets = held(m, u.member(m), u.dropped.Load())
	file, err := u.assemble(use.entries, u.blob)
	if err != nil {
		return nil, nil, nil, err
	}
	tables, err := u.n.compile(file)
	if err != nil {
		return nil, nil, nil, err
	}
	return file, tables, use, nil
}

// assemble puts a file together.
func (u *user) assemble(entries map[string][]byte, blob func([32]byte) (*namedfile.File, error)) (*settings.File, error) {
	if before := u.file.Load(); before != nil {
		return before.Reassemble(entries, blob)
	}
	return settings.Assemble(u.n.began.Node, entries, blob)
}

// run follows the copy until ctx is done. Versions of another lineage may be lower, or the same.
func (u *user) run(ctx context.Context) {
	var seen store.Head
	if now := u.now.Load(); now != nil {
		seen = u.copy.View().Head()
		seen.Version = max(now.version, now.refusedAt)
	}
	timer := time.NewTicker(u.waitStep)
	defer timer.Stop()
	defer u.remember()
	for {
		changed := u.copy.Changed(seen.Version)
		view := u.copy.View()
		head := view.Head()
		lost := u.lost()
		if head.Lineage == seen.Lineage && head.Version == seen.Version && lost == u.dropped.Load() && !u.again.Swap(false) {
			select {
			case <-changed:
			case <-timer.C:
				u.remember()
			case <-ctx.Done():
				return
			}
			continue
		}
		if u.dropped.Swap(lost) != lost && lost {
			u.n.log.Warn("no feed for too long: change sets that are on their way are dropped until there is one", "after", feedPatience)
		}
		seen = head
		if head.Version > 0 || u.now.Load() != nil {
			u.use(view)
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// lost tells whether change sets on their way are not to be held, for want of a feed. Once they were dropped they stay so until the copy has what the root has: the first beat comes before the records, and
// one of those may withdraw the change that cut this node off.
func (u *user) lost() bool {
	return u.silent() >= feedPatience || u.dropped.Load() && u.behind()
}

// use swaps a version in, if it says anything else than what is in use, or keeps that where it does not compile.
func (u *user) use(view store.View) {
	v, before := view.Head().Version, u.now.Load()
	entries, sets := held(view, u.member(view), u.dropped.Load())
	if before != nil && maps.EqualFunc(before.entries, entries, func(a, b []byte) bool { return string(a) == string(b) }) {
		u.store(&inUse{version: v, sets: sets, entries: before.entries})
		return
	}
	file, tables, use, err := u.make(view, v)
	if err == nil {
		if err = u.n.take(file, tables); err != nil {
			tables.Nameserver.Plugins.Release()
		}
	}
	if err != nil {
		u.n.log.Error("a version of the settings does not compile here; those from before serve on", "version", v, "error", err)
		kept := inUse{refused: err, refusedAt: v, refusedSets: sets}
		if before != nil {
			kept.version, kept.sets, kept.entries = before.version, before.sets, before.entries
		}
		u.store(&kept)
		return
	}
	u.file.Store(file)
	u.n.log.Info("settings in use", "version", v, "change_sets", strings.Join(use.sets, ","))
	u.store(use)
	u.unnoted = true
}

func (u *user) store(use *inUse) {
	if was := u.now.Load(); u.swaps != nil && was != nil && !slices.Equal(was.sets, use.sets) {
		u.swaps()
	}
	u.now.Store(use)
	if u.swapped != nil {
		u.swapped(use)
	}
}

// remember writes down which version is in use, for a start at which the last one does not compile. Losing it costs nothing but that. So it is not written with each version, for a whole fleet
// to wait for its disks at one time, but within a second of the last.
func (u *user) remember() {
	if u.memory == "" || !u.unnoted {
		return
	}
	u.unnoted = false // an error is told once
	if err := wholefile.Write(wholefile.OS{}, u.memory, []byte(strconv.FormatUint(uint64(u.now.Load().version), 10)+"\n")); err != nil {
		u.n.log.Warn("the version in use could not be written down", "file", u.memory, "error", err)
	}
}

func (u *user) remembered() (store.Version, bool) {
	if u.memory == "" {
		return 0, false
	}
	b, err := wholefile.Read(wholefile.OS{}, u.memory, 32)
	if err != nil {
		return 0, false
	}
	v, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	return store.Version(v), err == nil
}

// take swaps tables in that were compiled from a file.
func (n *Node) take(next *settings.File, tables *settings.Tables) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.server == nil {
		return errors.New("the node is not open")
	}
	n.swap(next, tables)
	last := *n.lastReload.Load()
	last.loaded, last.failed = n.clock.Wall(), nil
	n.lastReload.Store(&last)
	return nil
}
