package rollover

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/dnssec"
)

// Times of RFC 5011.
const (
	AddHold    = 30 * 24 * time.Hour // section 2.4.1: how long a new key is watched before it is trusted, at least
	RemoveHold = 30 * 24 * time.Hour // section 2.4.2: how long a revoked key is watched after it was last shown

	MinInterval = time.Hour           // section 2.3: between two questions
	MaxInterval = 15 * 24 * time.Hour // section 2.3: between two questions that are answered
	MaxRetry    = 24 * time.Hour      // section 2.3: from one that is not answered to the next
)

// Limits of one zone.
const (
	// MaxKeys is how many keys are watched that are not gone: pending, trusted, missing or revoked. RFC 5011 section 2.4.3 asks for five; a zone that
	// rolls two algorithms with a stand-by key each, both revoked, has eight. Beyond it, newcomers are not taken in. More
	// anchors in the settings than this are used as they are, and not updated.
	MaxKeys = 20

	// MaxRemoved is how many keys are remembered after they are gone, so that nobody trusts them again. The root has had two in 15
	// years. The ones that the settings name are kept before others.
	MaxRemoved = 20

	// maxEntries is all that one zone can have: each of the settings' anchors may have been revoked before it was ever seen in use.
	maxEntries = 2*MaxKeys + MaxRemoved
)

// State is what is known of a key (RFC 5011 section 4.2). A key in the state Start is not kept.
type State uint8

// States.
const (
	Start   State = iota // never seen, or gone before it was trusted
	AddPend              // announced by trusted keys, and watched
	Valid                // trusted
	Missing              // trusted, though the zone does not show it any more
	Revoked              // revoked itself: not trusted, ever again
	Removed              // revoked, and gone
	stateEnd
)

var stateNames = [stateEnd]string{"start", "addpend", "valid", "missing", "revoked", "removed"}

// String returns the name of the RFC in lower case.
func (s State) String() string {
	if s < stateEnd {
		return stateNames[s]
	}
	return "unknown state"
}

// States lists the states that a key can be kept in.
func States() []State { return []State{AddPend, Valid, Missing, Revoked, Removed} }

// Trusted tells whether keys in this state are trust anchors.
func (s State) Trusted() bool { return s == Valid || s == Missing }

// gone tells whether a key in this state has revoked itself.
func (s State) gone() bool { return s == Revoked || s == Removed }

// ID names a key of a zone: the SHA-256 digest that a DS record of it has. The REVOKE bit is taken off before.
type ID [sha256.Size]byte

// String returns it in hex, as a DS record shows it.
func (id ID) String() string { return fmt.Sprintf("%X", id[:]) }

// MarshalText is for the state file.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads it back.
func (id *ID) UnmarshalText(b []byte) error {
	if n, err := hex.Decode(id[:], b[:min(len(b), 2*len(id))]); err != nil || n != len(id) || len(b) != 2*n || id.String() != string(b) {
		return fmt.Errorf("%q is not the SHA-256 digest of a key", b)
	}
	return nil
}

// Key is one key of a zone that is watched.
type Key struct {
	Data  []byte // DNSKEY data, the REVOKE bit off
	State State
	Since time.Time // wall time at which it came into the state

	// Counted is how long the key is known to have been there (AddPend) or away (Revoked), see [Point.See]; Hold is how long an AddPend key has
	// to be there until it is trusted.
	Counted, Hold time.Duration

	// By are the keys that signed the set in which an AddPend key was first seen: if all of them are revoked, so is their word (RFC 5011
	// section 2.2).
	By []ID

	// Roots are the keys of the settings that the trust in this one came from. If the settings name none of them any more, nor the
	// key itself, it is not trusted any more.
	Roots []ID
}

// Tag returns the key tag, as it is without the REVOKE bit.
func (k *Key) Tag() uint16 { return parsed(k.Data).KeyTag() }

// Algorithm returns the algorithm of the key.
func (k *Key) Algorithm() dnssec.Algorithm { return dnssec.Algorithm(parsed(k.Data).Algorithm) }

// parsed reads data that was read before.
func parsed(data []byte) *dns.DNSKEY {
	k, err := dns.ParseDNSKEY(data)
	if err != nil {
		return new(dns.DNSKEY)
	}
	return &k
}

// Anchors are the trust anchors of a zone: DS records of its keys, or the keys.
type Anchors struct {
	Zone       dns.Name // lower case
	DS, DNSKEY dns.Records
}

// Empty tells whether there is none.
func (a Anchors) Empty() bool { return a.DS.Len() == 0 && a.DNSKEY.Len() == 0 }

// Equal compares record by record.
func (a Anchors) Equal(b Anchors) bool {
	return a.Zone == b.Zone && bytes.Equal(a.DS, b.DS) && bytes.Equal(a.DNSKEY, b.DNSKEY)
}

func (a Anchors) len() int { return a.DS.Len() + a.DNSKEY.Len() }

// names tells whether the anchors name a key.
func (a Anchors) names(data []byte, c Checks) bool {
	return a.DNSKEY.Contains(data) || c.Table.Names(a.Zone, a.DS, data)
}

// Checks is what keys are checked with.
type Checks struct {
	Table   *dnssec.Table
	Metrics *dnssec.Metrics // may be nil
}

// Point is what is known of the keys of one zone. It is a value: methods return what it becomes.
type Point struct {
	Zone dns.Name // lower case
	Keys []Key    // in the order in which they came

	// Seen is the wall time at which a set of the zone was last found good; zero: never. Interval is how long after that the next one is to
	// be asked for, and Retry how long after an attempt that came to nothing; both are 0 before the first.
	Seen            time.Time
	Interval, Retry time.Duration

	configured Anchors // by the settings
	anchors    Anchors // that hold
}

// Change is a step of a key from one state to another.
type Change struct {
	Zone      dns.Name
	Tag       uint16
	Algorithm dnssec.Algorithm
	From, To  State
	Why       string // for people
}

// String says all of it.
func (c Change) String() string {
	return fmt.Sprintf("key %d (%v) of %v: %v to %v: %s", c.Tag, c.Algorithm, c.Zone, c.From, c.To, c.Why)
}

// TooMany tells whether the settings have more anchors for a zone than can be watched. They are used as they stand.
func TooMany(a Anchors) bool { return a.len() > MaxKeys }

// Begin joins the anchors that the settings have for a zone with what was known of its keys; known may be the zero Point. The settings always
// are the start, and this decides what of the rest holds:
//
//   - A key that the settings name is trusted at once, unless it has revoked itself.
//   - A key that came to be trusted, or is watched, stays so while the settings name a key that its trust came from.
//   - A key that has revoked itself stays revoked, whatever the settings say.
func Begin(a Anchors, known Point, at time.Time, c Checks) (Point, []Change) {
	p := known.clone()
	p.Zone, p.configured = a.Zone, a
	at = at.Truncate(time.Second)
	named := make(map[ID]bool)
	for i := range p.Keys {
		if p.names(&p.Keys[i], c) {
			named[p.id(&p.Keys[i])] = true
		}
	}
	var changes []Change
	p.keep(func(k *Key) bool {
		switch {
		case k.State.gone():
		case !named[p.id(k)] && !slices.ContainsFunc(k.Roots, func(id ID) bool { return named[id] }):
			changes = append(changes, p.change(k, Start, "the settings name neither it nor a key that it came from"))
			return false
		case k.State == AddPend && named[p.id(k)]:
			changes = append(changes, p.change(k, Valid, "the settings name it"))
			k.enter(Valid, at)
		}
		return true
	})
	if !slices.ContainsFunc(p.Keys, func(k Key) bool { return !k.State.gone() }) {
		p.Seen, p.Interval, p.Retry = time.Time{}, 0, 0 // of a zone that had other keys
	}
	for data := range a.DNSKEY.All() {
		if p.find(data) < 0 && len(p.Keys) < maxEntries {
			k := Key{Data: bytes.Clone(data)}
			changes = append(changes, p.change(&k, Valid, "the settings name it"))
			k.enter(Valid, at)
			p.Keys = append(p.Keys, k)
		}
	}
	p.makeRoom(c)
	p.settle(c)
	return p, changes
}

// Trusted returns the anchors that hold: those of the settings and the keys that came to be trusted, without those that were revoked. If it is
// empty, all were revoked: the zone counts as one that never had an anchor (RFC 5011 section 5).
func (p *Point) Trusted() Anchors { return p.anchors }

// Configured returns the anchors of the settings.
func (p *Point) Configured() Anchors { return p.configured }

// Unseen returns the DS records of the settings whose keys were not seen yet. They are trusted.
func (p *Point) Unseen(c Checks) (ds dns.Records) {
	for data := range p.anchors.DS.All() {
		if !slices.ContainsFunc(p.Keys, func(k Key) bool { return c.Table.Names(p.Zone, dns.Records{}.Append(data), k.Data) }) {
			ds = ds.Append(data)
		}
	}
	return ds
}

// Configures tells whether the settings name a key.
func (p *Point) Configures(k *Key, c Checks) bool { return p.names(k, c) }

func (p *Point) names(k *Key, c Checks) bool { return p.configured.names(k.Data, c) }

// settle works out which anchors hold.
func (p *Point) settle(c Checks) {
	a := Anchors{Zone: p.Zone}
	for data := range p.configured.DS.All() {
		record := dns.Records{}.Append(data)
		if !slices.ContainsFunc(p.Keys, func(k Key) bool { return k.State.gone() && c.Table.Names(p.Zone, record, k.Data) }) {
			a.DS = a.DS.Append(data)
		}
	}
	for data := range p.configured.DNSKEY.All() {
		if i := p.find(data); i < 0 || !p.Keys[i].State.gone() {
			a.DNSKEY = a.DNSKEY.Append(data)
		}
	}
	for i := range p.Keys {
		// What a DS record of the settings names needs no DNSKEY record beside it: that it was seen changes nothing.
		if k := &p.Keys[i]; k.State.Trusted() && !a.names(k.Data, c) {
			a.DNSKEY = a.DNSKEY.Append(k.Data)
		}
	}
	p.anchors = a
}

// id names a key of the zone.
func (p *Point) id(k *Key) ID {
	h := sha256.New()
	h.Write([]byte(p.Zone.Lower().Wire()))
	h.Write(k.Data)
	return ID(h.Sum(nil))
}

// find returns the index of a key; -1 if it is not watched. The REVOKE bit is off in data.
func (p *Point) find(data []byte) int {
	return slices.IndexFunc(p.Keys, func(k Key) bool { return bytes.Equal(k.Data, data) })
}

// live counts the keys that are not gone.
func (p *Point) live() (n int) {
	for i := range p.Keys {
		if p.Keys[i].State != Removed {
			n++
		}
	}
	return n
}

func (p *Point) change(k *Key, to State, why string) Change {
	return Change{Zone: p.Zone, Tag: k.Tag(), Algorithm: k.Algorithm(), From: k.State, To: to, Why: why}
}

// enter puts a key into a state. What was counted for the last one is over.
func (k *Key) enter(s State, at time.Time) {
	k.State, k.Since, k.Counted, k.Hold, k.By = s, at, 0, 0, nil
}

// keep filters the keys. f may change them.
func (p *Point) keep(f func(*Key) bool) {
	kept := p.Keys[:0]
	for i := range p.Keys {
		if f(&p.Keys[i]) {
			kept = append(kept, p.Keys[i])
		}
	}
	clear(p.Keys[len(kept):])
	p.Keys = kept
}

// makeRoom forgets keys that are gone, if there are too many: the oldest first, and those last that others came from. Those that the settings
// name are never forgotten, or they would be trusted again.
func (p *Point) makeRoom(c Checks) {
	for _, spareRoots := range []bool{true, false} {
		removed := len(p.Keys) - p.live()
		p.keep(func(k *Key) bool {
			if removed <= MaxRemoved || k.State != Removed || p.names(k, c) || spareRoots && p.isRoot(p.id(k)) {
				return true
			}
			removed--
			return false
		})
	}
}

func (p *Point) isRoot(id ID) bool {
	return slices.ContainsFunc(p.Keys, func(k Key) bool { return !k.State.gone() && slices.Contains(k.Roots, id) })
}

// clone copies what methods change.
func (p *Point) clone() Point {
	c := *p
	c.Keys = slices.Clone(p.Keys)
	return c
}

// unrevoked returns the data of a key without the REVOKE bit, and whether it had it. Data that is no key comes back as it is.
func unrevoked(data []byte) (plain []byte, revoked bool) {
	k, err := dns.ParseDNSKEY(data)
	if err != nil || k.Flags&dns.DNSKEYFlagRevoke == 0 {
		return data, false
	}
	plain = bytes.Clone(data)
	binary.BigEndian.PutUint16(plain, k.Flags&^dns.DNSKEYFlagRevoke)
	return plain, true
}
