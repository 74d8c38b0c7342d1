package rollover

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/dnssec"
)

// ErrDeleted is why a zone all of whose anchors were revoked is not followed any more (RFC 5011 section 5).
var ErrDeleted = errors.New("all trust anchors of the zone were revoked; it counts as if it never had one")

// See takes in what a zone says of its keys: its DNSKEY set with signatures, as it came, from a server of the zone and not from a cache; at is
// wall time. The set itself is checked here. What follows from it is in the Point that comes back, and told as changes.
//
// An error says why the set can't be believed. The Point is then as it was, but for revocations: those stand on their own.
//
// A key that is to be watched for a month (AddPend, Revoked) is counted, not dated: from one good set to the next, the wall time between the
// two, but never less than nothing and never more than [Point.Interval], after which the second one was due. A clock that is set
// forward by a year does not end a month, nor does one that is set back make it longer than the sets that are missed.
func (p *Point) See(set *dns.RRset, at time.Time, c Checks) (Point, []Change, error) {
	s := sighting{Point: p.clone(), set: set, at: at.Truncate(time.Second), checks: c}
	err := s.run()
	s.settle(c)
	return s.Point, s.changes, err
}

// sighting is one set of a zone that is looked at.
type sighting struct {
	Point
	set     *dns.RRset
	at      time.Time
	checks  Checks
	changes []Change
	signers []ID // trusted keys that signed the set; nil: not worked out yet
}

func (s *sighting) run() error {
	if s.anchors.Empty() {
		return ErrDeleted
	}
	if y := s.at.Year(); y < 1970 || y > 9999 {
		return fmt.Errorf("the clock shows the year %d", y)
	}
	s.revocations()
	s.settle(s.checks)
	if s.anchors.Empty() {
		return ErrDeleted
	}
	_, r := dnssec.CheckKeys(s.Zone, s.set, s.anchors.DS, s.anchors.DNSKEY, s.at, s.work())
	if !r.Secure() {
		return errors.New(r.EDE.Text)
	}
	s.count(s.elapsed())
	ttl := s.originalTTL(r)
	s.appear(ttl)
	s.schedule(ttl, r.Until.Sub(s.at))
	s.makeRoom(s.checks)
	return nil
}

// work begins an account. One for each check, or a set that makes one of them dear would keep the others from being made: there are at most
// maxEntries checks in a set, of at most 0.8 ms if they fail, an hour apart.
func (s *sighting) work() *dnssec.Work { return s.checks.Table.Work(s.checks.Metrics) }

func (s *sighting) step(k *Key, to State, why string) {
	s.changes = append(s.changes, s.change(k, to, why))
	if to != Start {
		k.enter(to, s.at)
	}
}

// revocations finds the keys that revoke themselves: the set has them with the REVOKE bit, and they signed it (RFC 5011 section 2.1). Nobody else
// has to agree, so this comes before the set is checked: after it, what they alone vouch for is nothing.
func (s *sighting) revocations() {
	checked := 0
	for rdata := range s.set.Data.All() {
		plain, revoked := unrevoked(rdata)
		if !revoked {
			continue
		}
		i := s.find(plain)
		switch {
		case i < 0 && (len(s.Keys) >= maxEntries || !s.configured.names(plain, s.checks)), i >= 0 && s.Keys[i].State.gone():
			continue
		}
		if checked++; checked > maxEntries {
			break // a set has each key once; so this one is no honest set
		}
		if !dnssec.SignedBy(s.Zone, s.set, rdata, s.at, s.work()).Secure() {
			continue
		}
		if i < 0 { // the settings are older than this
			i = len(s.Keys)
			s.Keys = append(s.Keys, Key{Data: plain})
		}
		k := &s.Keys[i]
		if k.State == AddPend { // the table of section 4 has no such step: it is not there any more
			s.step(k, Start, "it was revoked before it was trusted")
			s.Keys = slices.Delete(s.Keys, i, i+1)
			continue
		}
		s.step(k, Revoked, "it has revoked itself")
	}
	s.keep(func(k *Key) bool {
		if k.State != AddPend || !s.allGone(k.By) {
			return true
		}
		s.step(k, Start, "the keys that announced it are revoked")
		return false
	})
}

// allGone tells whether all of these keys are revoked (RFC 5011 section 2.2). One that was forgotten is.
func (s *sighting) allGone(ids []ID) bool {
	for i := range s.Keys {
		if k := &s.Keys[i]; !k.State.gone() && slices.Contains(ids, s.id(k)) {
			return false
		}
	}
	return true
}

// elapsed is the time since the last good set that may be counted.
func (s *sighting) elapsed() time.Duration {
	if s.Seen.IsZero() {
		return 0
	}
	return min(max(s.at.Sub(s.Seen), 0), s.Interval)
}

// count takes the keys that are watched through the table of RFC 5011 section 4.
func (s *sighting) count(elapsed time.Duration) {
	s.keep(func(k *Key) bool {
		here := s.set.Data.Contains(k.Data)
		switch k.State {
		case AddPend:
			if !here { // KeyRem
				s.step(k, Start, "it is gone from a good set before it was trusted")
				return false
			}
			if k.Counted += elapsed; k.Counted >= k.Hold { // AddTime, and this set is the one after it
				s.step(k, Valid, fmt.Sprintf("it was in each good set for %v", k.Hold))
			}
		case Valid:
			if !here { // KeyRem
				s.step(k, Missing, "it is gone from a good set without having been revoked; it stays trusted")
			}
		case Missing:
			if here { // KeyPres
				s.step(k, Valid, "it is back")
			}
		case Revoked:
			if k.Counted += elapsed; here || s.showsRevoked(k.Data) {
				k.Counted = 0
			}
			if k.Counted >= RemoveHold { // RemTime
				s.step(k, Removed, fmt.Sprintf("it is gone for %v", RemoveHold))
			}
		}
		return true
	})
}

// showsRevoked tells whether the set has a key with the REVOKE bit, whoever signed it.
func (s *sighting) showsRevoked(data []byte) bool {
	with := bytes.Clone(data)
	binary.BigEndian.PutUint16(with, parsed(data).Flags|dns.DNSKEYFlagRevoke)
	return s.set.Data.Contains(with)
}

// appear takes in keys that were not watched yet: those that the settings name are trusted, other secure entry points are newcomers (NewKey).
// ttl is the original one of the set.
func (s *sighting) appear(ttl time.Duration) {
	for rdata := range s.set.Data.All() {
		if s.find(rdata) >= 0 || len(s.Keys) >= maxEntries || !s.configured.names(rdata, s.checks) {
			continue
		}
		if k := parsed(rdata); k.Flags&dns.DNSKEYFlagZone != 0 && k.Flags&dns.DNSKEYFlagRevoke == 0 {
			s.take(rdata, Valid, "the settings name it")
		}
	}
	for rdata := range s.set.Data.All() {
		k := parsed(rdata)
		const need, all = dns.DNSKEYFlagZone | dns.DNSKEYFlagSEP, dns.DNSKEYFlagZone | dns.DNSKEYFlagSEP | dns.DNSKEYFlagRevoke
		if k.Flags&all != need || k.Protocol != dns.DNSKEYProtocol || s.find(rdata) >= 0 || s.showsRevoked(rdata) ||
			!s.checks.Table.SupportsAlgorithm(dnssec.Algorithm(k.Algorithm)) {
			continue
		}
		if s.live() >= MaxKeys || len(s.Keys) >= maxEntries {
			s.changes = append(s.changes, s.change(&Key{Data: rdata}, Start, TooManyKeys))
			return
		}
		s.take(rdata, AddPend, "it is announced by "+s.announcers())
		n := &s.Keys[len(s.Keys)-1]
		n.By, n.Roots, n.Hold = s.signers, s.roots(), max(AddHold, ttl)
	}
}

// TooManyKeys is the reason of a Change from Start to Start: a newcomer that is not watched because of [MaxKeys].
const TooManyKeys = "the zone has more keys than are watched (limit keys)"

func (s *sighting) take(rdata []byte, to State, why string) {
	s.Keys = append(s.Keys, Key{Data: bytes.Clone(rdata)})
	s.step(&s.Keys[len(s.Keys)-1], to, why)
}

// announcers works out which trusted keys signed the set, and says it for people. Those that only a DS record named are among the keys by now.
func (s *sighting) announcers() string {
	if s.signers == nil {
		s.signers = []ID{}
		for i := range s.Keys {
			if k := &s.Keys[i]; k.State.Trusted() && dnssec.SignedBy(s.Zone, s.set, k.Data, s.at, s.work()).Secure() {
				s.signers = append(s.signers, s.id(k))
			}
		}
	}
	text := ""
	for i := range s.Keys {
		if k := &s.Keys[i]; slices.Contains(s.signers, s.id(k)) {
			text += fmt.Sprintf(", key %d", k.Tag())
		}
	}
	return text[min(2, len(text)):]
}

// roots are the keys of the settings that the signers came from, or are.
func (s *sighting) roots() (ids []ID) {
	for i := range s.Keys {
		k := &s.Keys[i]
		if !slices.Contains(s.signers, s.id(k)) {
			continue
		}
		from := k.Roots
		if s.names(k, s.checks) {
			from = append(slices.Clip(from), s.id(k))
		}
		for _, id := range from {
			if !slices.Contains(ids, id) && len(ids) < maxEntries {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// originalTTL is that of the set as its owner signed it, by the signature that was relied on. What has the highest bit set is 0 (RFC 2181
// section 8).
func (s *sighting) originalTTL(r dnssec.Result) time.Duration {
	ttl := s.set.TTL
	for rdata := range s.set.Sigs.All() {
		sig, err := dns.ParseRRSIG(rdata)
		if err == nil && sig.KeyTag == r.KeyTag && dnssec.Algorithm(sig.Algorithm) == r.Algorithm && sig.Expiration == uint32(r.Until.Unix()) {
			ttl = sig.OriginalTTL
		}
	}
	if ttl > 1<<31-1 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}

// schedule sets the times of RFC 5011 section 2.3; left is for how long the signature is good.
func (s *sighting) schedule(ttl, left time.Duration) {
	s.Seen = s.at
	s.Interval = max(MinInterval, min(MaxInterval, ttl/2, left/2)).Truncate(time.Second)
	s.Retry = max(MinInterval, min(MaxRetry, ttl/10, left/10)).Truncate(time.Second)
}
