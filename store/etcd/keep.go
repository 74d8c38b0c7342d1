package etcd

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

// How etcd is kept small. Old revisions are of no use to us, since the log is ours; but whoever reads all entries reads those of one revision, and whoever watches may be
// a little behind. The file keeps the size that it had until it is written anew.
const (
	keepPeriod = 5 * time.Second

	// keepRevisions is how long old revisions are kept: long enough to read 1,000,000 entries, which takes some ten seconds. At 10,000 keys a second it is 600,000 revisions
	// of keys, some 200 MiB.
	keepRevisions = time.Minute

	// A file is written anew when it is fragmentedTimes what is in use, and worth the pause: a member answers nothing while it does, a second for some 200 MiB.
	fragmentedTimes = 2
	fragmentedSize  = 64 << 20

	// warnPart and fullPart are parts of the quota, in hundredths: from the first on it is warned of; writes are resumed, and the log is let be, below the second.
	warnPart = 80
	fullPart = 75

	// shortest is how many records are left when the log is cut for want of room.
	shortest = 1000

	// keepTime is how long one look may take: writing 2 GiB anew.
	keepTime = time.Minute
)

// keeper is what keep has to remember.
type keeper struct {
	r       *Root
	marks   []mark // of the last minute, in order
	warned  bool
	noted   Store
	dropped int64 // the last revision that is known to be dropped
}

// mark says at which revision etcd was at a time.
type mark struct {
	at       time.Time
	revision int64
}

// keep keeps etcd small until the root is closed. Old revisions and learners are for the leader to see to, its own file for each member.
func (r *Root) keep() {
	defer close(r.kept)
	tick := time.NewTicker(keepPeriod)
	defer tick.Stop()
	k := &keeper{r: r}
	for {
		select {
		case <-tick.C:
		case <-r.kick:
		case <-r.ctx.Done():
			return
		}
		c, err := r.running()
		if err != nil {
			continue
		}
		ctx, stop := context.WithTimeout(r.ctx, keepTime)
		if err := k.look(ctx, c, time.Now()); err != nil && r.ctx.Err() == nil {
			r.log.Debug("etcd could not be looked after", "error", err)
		}
		stop()
	}
}

// look has keep look now.
func (r *Root) look() {
	select {
	case r.kick <- struct{}{}:
	default: // it will
	}
}

// look does once what has to be done.
func (k *keeper) look(ctx context.Context, c *child, now time.Time) error {
	s, err := c.client.Status(ctx, socketName)
	if err != nil {
		return err
	}
	k.note(s)
	if k.noted.Leads {
		k.r.promote(ctx, c)
	}
	if k.noted.ReadOnly {
		return k.makeRoom(ctx, c)
	}
	if upto := k.old(now, s.Header.Revision); k.noted.Leads && upto > k.dropped {
		if err := k.compact(ctx, c, upto); err != nil {
			return err
		}
	}
	if s.DbSize > fragmentedSize && s.DbSize > fragmentedTimes*s.DbSizeInUse {
		return k.defragmentAlone(ctx, c)
	}
	return nil
}

// note keeps what etcd says of itself, and warns.
func (k *keeper) note(s *clientv3.StatusResponse) {
	n := &k.noted
	full := slices.ContainsFunc(s.Errors, func(e string) bool { return strings.Contains(e, noSpace) })
	if full && !n.ReadOnly {
		n.Filled++
		k.r.log.Error("the root has reached its quota, and takes no writes until there is room", "octets", s.DbSize, "quota", k.r.start.Quota)
	} else if !full && n.ReadOnly {
		k.r.log.Info("the root takes writes again", "octets", s.DbSize, "quota", k.r.start.Quota)
	}
	n.Size, n.Used, n.Quota, n.ReadOnly, n.Leads = s.DbSize, s.DbSizeInUse, k.r.start.Quota, full, s.Leader == s.Header.MemberId
	warn := n.Size > n.Quota/100*warnPart
	if warn && !k.warned && !full {
		k.r.log.Warn("the root is near its quota", "octets", n.Size, "in use", n.Used, "quota", n.Quota)
	}
	k.warned = warn
	k.r.mu.Lock()
	defer k.r.mu.Unlock()
	flipped := k.r.state.Store.ReadOnly != full
	k.r.state.Store = *n
	if flipped {
		k.r.tell()
	}
}

// noSpace is in what the status says of the alarm.
const noSpace = "NOSPACE"

// old returns the revision up to which all is older than keepRevisions; 0 if that is not known.
func (k *keeper) old(now time.Time, revision int64) int64 {
	k.marks = append(k.marks, mark{now, revision})
	n := 0
	for n+1 < len(k.marks) && now.Sub(k.marks[n+1].at) >= keepRevisions {
		n++
	}
	k.marks = k.marks[n:]
	if now.Sub(k.marks[0].at) < keepRevisions {
		return 0
	}
	return k.marks[0].revision
}

func (k *keeper) compact(ctx context.Context, c *child, revision int64) error {
	_, err := c.client.Compact(ctx, revision, clientv3.WithCompactPhysical())
	if err != nil && !errors.Is(err, rpctypes.ErrCompacted) { // another member was first
		return err
	}
	if err == nil {
		k.noted.Compacted++
	}
	k.dropped = revision
	return nil
}

// makeRoom does what can be done when the quota is reached: old revisions go, then the older half of the log, until what is in use leaves room; the file is written anew; and writes are let in.
// Each member does so with its own file at once: nothing is written now that would wait for them.
func (k *keeper) makeRoom(ctx context.Context, c *child) error {
	most := k.r.start.Quota / 100 * fullPart
	for first := true; ; first = false {
		s, err := c.client.Status(ctx, socketName)
		if err != nil {
			return err
		}
		if first || s.DbSizeInUse > most {
			if err := k.compact(ctx, c, s.Header.Revision); err != nil {
				return err
			}
			if s, err = c.client.Status(ctx, socketName); err != nil {
				return err
			}
		}
		if s.DbSizeInUse <= most {
			break
		}
		if shorter, err := k.shorten(ctx, c); err != nil || !shorter {
			return err // what is left are entries: somebody has to delete some
		}
	}
	s, err := c.client.Status(ctx, socketName)
	if err != nil {
		return err
	}
	if s.DbSize > most {
		if err := k.defragment(ctx, c); err != nil {
			return err
		}
		if s, err = c.client.Status(ctx, socketName); err != nil {
			return err
		}
	}
	if s.DbSize > most {
		return nil
	}
	return k.letIn(ctx, c, s)
}

// letIn takes this member's alarm back, and as the leader those of members that are gone.
func (k *keeper) letIn(ctx context.Context, c *child, s *clientv3.StatusResponse) error {
	alarms, err := c.client.AlarmList(ctx)
	if err != nil {
		return err
	}
	members, err := c.members(ctx)
	if err != nil {
		return err
	}
	for _, a := range alarms.Alarms {
		gone := !slices.ContainsFunc(members, func(m Member) bool { return m.ID == a.MemberID })
		if a.Alarm != etcdserverpb.AlarmType_NOSPACE || a.MemberID != c.member && !(gone && s.Leader == c.member) {
			continue
		}
		if _, err := c.client.AlarmDisarm(ctx, (*clientv3.AlarmMember)(a)); err != nil {
			return err
		}
	}
	if s, err = c.client.Status(ctx, socketName); err != nil {
		return err
	}
	k.note(s)
	return nil
}

// shorten forgets the older half of the log, and tells whether there was one.
func (k *keeper) shorten(ctx context.Context, c *child) (bool, error) {
	resp, err := c.client.Get(ctx, headKey)
	if err != nil {
		return false, err
	}
	head, err := headIn(resp.Kvs)
	if err != nil {
		return false, err
	}
	first, err := c.client.Get(ctx, recordFrom(0), afterRecords(), clientv3.WithKeysOnly(), clientv3.WithLimit(1))
	if err != nil || len(first.Kvs) == 0 {
		return false, err
	}
	from, _, err := parseRecordKey(string(first.Kvs[0].Key))
	if err != nil {
		return false, err
	}
	kept := head.Version - from + 1
	if kept <= shortest {
		return false, nil
	}
	upto := head.Version - max(kept/2, shortest)
	k.noted.Shortened++
	k.r.log.Warn("the root cuts its log before its time, for want of room", "up to", upto)
	return true, c.trim(ctx, upto)
}

// defragmentAlone writes the file anew unless another member does so with its own just now.
func (k *keeper) defragmentAlone(ctx context.Context, c *child) error {
	session, err := c.session(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	m := concurrency.NewMutex(session, defragPrefix)
	if err := m.TryLock(ctx); err != nil {
		return err
	}
	return k.defragment(ctx, c)
}

func (k *keeper) defragment(ctx context.Context, c *child) error {
	if _, err := c.client.Defragment(ctx, socketName); err != nil {
		return err
	}
	k.noted.Defragmented++
	return nil
}
