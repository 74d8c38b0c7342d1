package node

import (
	"errors"
	"fmt"
	"time"

	"github.com/ananas-edge/ananas/store/etcd"
	"github.com/ananas-edge/ananas/store/feed"
	"github.com/ananas-edge/ananas/store/replica"
)

// oldAfter is how long no root may have confirmed a copy until the node warns of it. The node goes on answering for ever.
const oldAfter = time.Minute

// quotaWarning is the part of etcd's quota, in percent, from which on its root warns.
const quotaWarning = 80

// watchStore has /readyz and the metrics tell how this node's part in a store is.
func (s *shared) watchStore() {
	h, m := s.n.health, s.n.metrics
	h.Check("settings", s.ready)
	h.Warn("store", func() string {
		err := s.wrong()
		if age := s.silent(); age >= oldAfter {
			age = max(age, s.age())
			text := fmt.Sprintf("no root has confirmed this node's copy of the store for %v; it answers from version %d", age.Truncate(time.Second), s.copy.View().Head().Version)
			if err != nil {
				text += ": " + firstLine(err.Error())
			}
			return text
		}
		if lasts(err, s.source() != "") {
			return fmt.Sprintf("this node's copy of the store does not follow; it answers from version %d: %s", s.copy.View().Head().Version, firstLine(err.Error()))
		}
		return ""
	})
	h.Warn("store-version", func() string {
		if use := s.use.now.Load(); use != nil && use.refused != nil {
			return fmt.Sprintf("version %d of the settings does not compile here, and version %d serves on: %s", use.refusedAt, use.version, firstLine(use.refused.Error()))
		}
		return ""
	})
	m.GaugeFunc("ananas_store_applied_version", "Version of the store's settings that the tables were made from; 0 before there are any.", func() float64 {
		if use := s.use.now.Load(); use != nil {
			return float64(use.version)
		}
		return 0
	})
	m.GaugeFunc("ananas_store_version_refused", "1 while the last version of the settings does not compile on this node, so that an older one serves.", func() float64 {
		if use := s.use.now.Load(); use != nil && use.refused != nil {
			return 1
		}
		return 0
	})
	m.GaugeFunc("ananas_store_confirmed_age_seconds", "Time since a root last confirmed the copy of this node; that since the start where none did.", func() float64 { return s.silent().Seconds() })
	if s.etcd != nil {
		s.watchEtcd()
	}
}

// lasts tells whether what keeps a copy from following does not pass by itself, as a line that is cut for a moment does: a disk that takes nothing, or, where nobody else is followed, a node that
// was revoked, or is too old.
func lasts(err error, followed bool) bool {
	var disk *replica.DiskError
	if errors.As(err, &disk) {
		return true
	}
	var no *feed.Goodbye
	if followed || !errors.As(err, &no) {
		return false
	}
	switch no.Code {
	case feed.CodeBusy, feed.CodeStopping, feed.CodeEmpty, feed.CodeReplaced, feed.CodeStalled, feed.CodeFailed:
		return false
	}
	return true
}

// watchEtcd does the same for the etcd of a member of the root.
func (s *shared) watchEtcd() {
	h, m := s.n.health, s.n.metrics
	state := s.etcd.State
	h.Warn("store-root", func() string {
		switch st := state(); {
		case st.Store.ReadOnly:
			return "the root takes no writes: its file has reached its quota; the log is shortened by itself, and writes resume when there is room"
		case st.Phase != etcd.Running && st.Err != "":
			return fmt.Sprintf("the root's etcd is %s since %s: %s", st.Phase, st.Since.UTC().Format("15:04:05 MST"), firstLine(st.Err))
		case st.Phase != etcd.Running && time.Since(st.Since) > oldAfter:
			return fmt.Sprintf("the root's etcd is %s since %s: are the other members up?", st.Phase, st.Since.UTC().Format("15:04:05 MST"))
		case st.Store.Quota > 0 && st.Store.Size*100 >= st.Store.Quota*quotaWarning:
			return fmt.Sprintf("the root's file has %d of %d MiB, from where on it takes no writes", st.Store.Size>>20, st.Store.Quota>>20)
		}
		return ""
	})
	for _, g := range []struct {
		name, help string
		value      func(etcd.State) float64
	}{
		{"running", "1 while the etcd of this member of the root answers.", func(st etcd.State) float64 { return truth(st.Phase == etcd.Running) }},
		{"leads", "1 while this member of the root decides what is committed.", func(st etcd.State) float64 { return truth(st.Store.Leads) }},
		{"read_only", "1 while the root takes no writes, since its file has reached its quota.", func(st etcd.State) float64 { return truth(st.Store.ReadOnly) }},
		{"size_bytes", "Size of the file of this member of the root.", func(st etcd.State) float64 { return float64(st.Store.Size) }},
		{"used_bytes", "What of that file is in use.", func(st etcd.State) float64 { return float64(st.Store.Used) }},
		{"quota_bytes", "Size of the file from which on the root takes no writes.", func(st etcd.State) float64 { return float64(st.Store.Quota) }},
	} {
		m.GaugeFunc("ananas_etcd_"+g.name, g.help, func() float64 { return g.value(state()) })
	}
	for _, c := range []struct {
		name, help string
		value      func(etcd.State) int
	}{
		{"restarts", "Times that the etcd of this member of the root ended and was started again.", func(st etcd.State) int { return st.Restarts }},
		{"compactions", "Times that old revisions of the root were dropped.", func(st etcd.State) int { return st.Store.Compacted }},
		{"defragmentations", "Times that the file of this member of the root was written anew, to give room back.", func(st etcd.State) int { return st.Store.Defragmented }},
		{"shortened", "Times that the root's log was cut before its time, for want of room.", func(st etcd.State) int { return st.Store.Shortened }},
	} {
		m.CounterFunc("ananas_etcd_"+c.name+"_total", c.help, func() float64 { return float64(c.value(state())) })
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
