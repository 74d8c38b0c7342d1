package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/ananas-edge/ananas/admin"
)

// opened is a rollout that was opened, or may have been.
type opened struct {
	id      string // "" if it is not known whether it was opened
	reason  string
	value   string // of the key
	outcome outcome
}

// rolloutKey is what all rollouts change: of two that are open the later one waits.
const rolloutKey = "recursion/limits/query_time"

// firstSettings are what all is laid over: short waves, and a server for all names, so that probes have an answer.
const firstSettings = "settings:\n  rollout: { waves: [canary, all], bake: 1s, patience: 15s, silence: 11s }\n  forward:\n    - { zone: \".\", servers: [\"" + bridge + ":5300\"] }\n  recursion: { trust_anchors: none }\n"

// serveNames answers what probes ask.
func serveNames() error {
	conn, err := net.ListenPacket("udp", bridge+":5300")
	if err != nil {
		return err
	}
	go dns.ActivateAndServe(nil, conn, dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.RecursionAvailable = true
		if q.Question[0].Qtype == dns.TypeNS {
			m.Answer = []dns.RR{&dns.NS{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: 1}, Ns: "ns.test."}}
		}
		w.WriteMsg(m)
	}))
	return nil
}

// roll opens rollouts until ctx is done, the next when one has ended.
func (r *run) roll(ctx context.Context) {
	for i := 1; ctx.Err() == nil; i++ {
		o := opened{reason: fmt.Sprintf("rollout %d", i), value: fmt.Sprintf("%dms", 5000+i)}
		one, cancel := context.WithTimeout(context.Background(), 40*time.Second)
		a, err := r.root.api.Apply(one, admin.Apply{Author: "chaos", Reason: o.reason, Files: []admin.SettingsFile{{Name: "rollout", Text: fmt.Sprintf("settings:\n  recursion: { trust_anchors: none, limits: { query_time: %s } }\n", o.value)}}})
		cancel()
		o.id = a.Rollout
		o.outcome, _ = told(err, "")
		r.rollouts = append(r.rollouts, o)
		if o.outcome != done {
			r.pause(ctx, 200*time.Millisecond)
			continue
		}
		for ctx.Err() == nil {
			r.pause(ctx, 200*time.Millisecond)
			one, cancel := context.WithTimeout(ctx, 2*time.Second)
			l, err := r.root.api.Rollouts(one, o.id)
			cancel()
			if err == nil && !isOpen(l.Rollouts[0].State) {
				break
			}
		}
	}
}

func isOpen(state string) bool { return slices.Contains([]string{"queued", "baking", "paused"}, state) }

// endRollouts waits until no rollout moves any more. One that is paused is promoted: a person would.
func (r *run) endRollouts(ctx context.Context) error {
	return r.settles(ctx, func() error {
		l, err := r.root.api.Rollouts(ctx, "")
		if err != nil {
			return err
		}
		for _, o := range l.Rollouts {
			if o.State == "paused" {
				r.paused++
				if _, err := r.root.api.Steer(ctx, admin.Steer{ID: o.ID, Action: "promote", Author: "chaos", Reason: "it was paused"}); err != nil {
					return err
				}
			}
			if isOpen(o.State) {
				return fmt.Errorf("rollout %s is %s: %s", o.ID, o.State, o.Why)
			}
		}
		return nil
	})
}

// checkRollouts compares what rollouts say of themselves with the history, and what nodes hold with what is live.
func (r *run) checkRollouts(ctx context.Context, truth map[uint64]admin.Commit, floor, last uint64) error {
	l, err := r.root.api.Rollouts(ctx, "")
	if err != nil {
		return err
	}
	state := make(map[string]admin.Rollout)
	for _, o := range l.Rollouts {
		state[o.ID] = o
		r.ended[o.State]++
	}
	valueOf := make(map[string]string) // by id, as the change sets had it
	liveAs := make(map[string]string)  // by id, what was put into the live keys
	for v := floor + 1; v <= last; v++ {
		c := truth[v]
		var id, value string
		for _, d := range c.Changes {
			if rest, ok := strings.CutPrefix(d.Key, "~rollout/"); ok {
				id = rest
			}
			if rest, ok := strings.CutPrefix(d.Key, "~set/"); ok && d.New != nil {
				if set, key, _ := strings.Cut(rest, "/"); key == rolloutKey {
					valueOf[set] = strings.TrimSpace(*d.New)
				}
			}
			if d.Key == rolloutKey && d.New != nil {
				value = strings.TrimSpace(*d.New)
			}
		}
		if value == "" {
			continue
		}
		if c.Kind != "live" || id == "" {
			r.bad("version %d, of kind %s, puts %s into the live keys without a rollout", v, c.Kind, value)
		}
		if twice, ok := liveAs[id]; ok {
			r.bad("rollout %s went live twice, with %s and at version %d with %s", id, twice, v, value)
		}
		liveAs[id] = value
	}
	for i := range r.rollouts {
		o := &r.rollouts[i]
		if o.outcome != done || o.id == "" {
			continue
		}
		if began, _ := strconv.ParseUint(o.id, 10, 64); began <= floor { // the version that opened it
			continue
		}
		at, ok := state[o.id]
		value, live := liveAs[o.id]
		switch {
		case !ok:
			r.bad("rollout %s (%s) was acknowledged, and is LOST", o.id, o.reason)
		case at.State == "live" && (!live || durationOf(value) != durationOf(o.value)):
			r.bad("rollout %s (%s) says that it is live, and the live keys got %q of it, want %q", o.id, o.reason, value, o.value)
		case at.State != "live" && live:
			r.bad("rollout %s (%s) says that it is %s, and the live keys got %q of it", o.id, o.reason, at.State, value)
		case durationOf(valueOf[o.id]) != durationOf(o.value):
			r.bad("rollout %s (%s) has %q in its change set, want %q", o.id, o.reason, valueOf[o.id], o.value)
		}
	}
	for i := range r.rollouts {
		if o := &r.rollouts[i]; o.outcome == notDone {
			for id, at := range state {
				if at.Reason == o.reason {
					r.bad("%s was told as not done, and is rollout %s", o.reason, id)
				}
			}
		}
	}
	want, err := r.root.api.AllSettings(ctx, admin.SettingsQuery{Limit: 1000})
	if err != nil {
		return err
	}
	for _, m := range r.members {
		if err := r.settles(ctx, func() error {
			got, err := m.api.AllSettings(ctx, admin.SettingsQuery{Held: true, Limit: 1000})
			if err == nil && (!reflect.DeepEqual(got.Entries, want.Entries) || len(got.Sets) > 0) {
				err = fmt.Errorf("%s holds %+v with the change sets %v, and live is %+v", m.Name, got.Entries, got.Sets, want.Entries)
			}
			return err
		}); err != nil {
			return errors.Join(errors.New("rollouts have ended, and nodes have other settings"), err)
		}
	}
	return nil
}

func durationOf(text string) time.Duration {
	d, _ := time.ParseDuration(text)
	return d
}
