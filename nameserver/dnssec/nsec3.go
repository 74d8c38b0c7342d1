package dnssec

import (
	"bytes"
	"crypto/sha1"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// hashed is a name as NSEC3 has it. SHA-1 is the only hash there is (IANA registry "DNSSEC NSEC3 Parameters").
type hashed [sha1.Size]byte

var base32Hex = base32.HexEncoding.WithPadding(base32.NoPadding)

// String returns the label that an NSEC3 record of the name has.
func (h hashed) String() string { return base32Hex.EncodeToString(h[:]) }

// nsec3 is one NSEC3 record.
type nsec3 struct {
	owner      dns.Name
	hash, next hashed
	optOut     bool
	types      dns.TypeBitmap
}

// String names the record.
func (n *nsec3) String() string { return "NSEC3 of " + n.owner.String() }

// nsec3Group is the NSEC3 records with the same parameters.
type nsec3Group struct {
	iterations uint16
	salt       []byte
	records    []nsec3
	known      map[dns.Name]hashed // names that were hashed
}

// Why NSEC3 records are ignored (RFC 5155 section 8.1 and 8.2).
var (
	errHashAlgorithm = errors.New("has a hash algorithm that is not known")
	errFlags         = errors.New("has flags that are not known")
	errHashLen       = errors.New("has hashes that are not 20 octets long")
	errNSEC3Owner    = errors.New("is not one label below the zone")
	errIterations    = errors.New("has too many iterations")
)

const hashSHA1 = 1

func (d *Denial) addNSEC3(owner dns.Name, rdata []byte, w *Work) error {
	n, err := dns.ParseNSEC3(rdata)
	switch {
	case err != nil:
		return err
	case n.HashAlgorithm != hashSHA1:
		return errHashAlgorithm
	case n.Flags&^dns.NSEC3FlagOptOut != 0:
		return errFlags
	case len(n.NextHashed) != sha1.Size:
		return errHashLen
	case owner.IsRoot() || !owner.Parent().Equal(d.zone):
		return errNSEC3Owner
	case int(n.Iterations) > w.table.limits.NSEC3Insecure:
		if d.high == 0 || n.Iterations < d.high {
			d.high = n.Iterations
		}
		return fmt.Errorf("%w: %d", errIterations, n.Iterations)
	}
	r := nsec3{owner: owner, next: hashed(n.NextHashed), optOut: n.Flags&dns.NSEC3FlagOptOut != 0, types: n.Types}
	label := []byte(owner.Label())
	if len(label) != base32Hex.EncodedLen(sha1.Size) {
		return errHashLen
	}
	if _, err := base32Hex.Decode(r.hash[:], bytes.ToUpper(label)); err != nil {
		return fmt.Errorf("reading the hash of its owner: %w", err)
	}
	for i := range d.groups {
		if g := &d.groups[i]; g.iterations == n.Iterations && bytes.Equal(g.salt, n.Salt) {
			g.records = append(g.records, r)
			return nil
		}
	}
	d.groups = append(d.groups, nsec3Group{n.Iterations, n.Salt, []nsec3{r}, map[dns.Name]hashed{}})
	return nil
}

// nsec3Prover proves by NSEC3 records (RFC 5155 section 8).
type nsec3Prover struct {
	zone dns.Name
	*nsec3Group
	work *Work
}

// sha1Blocks is how many blocks SHA-1 takes for n octets: they are followed by one octet and a length of eight.
func sha1Blocks(n int) int { return (n + 9 + sha1.BlockSize - 1) / sha1.BlockSize }

// hash computes the hash of a name (RFC 5155 section 5), once.
func (p *nsec3Prover) hash(name dns.Name) (hashed, Limit) {
	name = name.Lower()
	if h, ok := p.known[name]; ok {
		return h, NoLimit
	}
	if l := p.work.spendHash(NSEC3Blocks(name, p.iterations, p.salt)); l != NoLimit {
		return hashed{}, l
	}
	h := p.compute(name)
	p.known[name] = h
	return h, NoLimit
}

// compute is the hash of a name in lower case.
func (g *nsec3Group) compute(name dns.Name) hashed {
	var buf [dns.MaxNameLen + 255]byte
	h := hashed(sha1.Sum(append(append(buf[:0], name.Wire()...), g.salt...)))
	for range g.iterations {
		h = sha1.Sum(append(append(buf[:0], h[:]...), g.salt...))
	}
	return h
}

// match returns the record of name.
func (p *nsec3Prover) match(name dns.Name) (*nsec3, Limit) {
	h, l := p.hash(name)
	if l != NoLimit {
		return nil, l
	}
	for i := range p.records {
		if p.records[i].hash == h {
			return &p.records[i], NoLimit
		}
	}
	return nil, NoLimit
}

// cover returns a record between whose hash and next hash lies that of name.
func (p *nsec3Prover) cover(name dns.Name) (*nsec3, Limit) {
	h, l := p.hash(name)
	if l != NoLimit {
		return nil, l
	}
	for i := range p.records {
		if p.records[i].covers(h) {
			return &p.records[i], NoLimit
		}
	}
	return nil, NoLimit
}

// covers tells whether h lies between the record's own hash and the next. The last record of a zone goes on at its beginning; in a zone of one
// name it is the only one (RFC 5155 section 3.1.7).
func (n *nsec3) covers(h hashed) bool {
	after, before := bytes.Compare(n.hash[:], h[:]) < 0, bytes.Compare(h[:], n.next[:]) < 0
	switch bytes.Compare(n.hash[:], n.next[:]) {
	case -1:
		return after && before
	case 0:
		return h != n.hash
	}
	return after || before
}

// enclosing is the proof of a closest encloser (RFC 5155 section 8.3): the closest ancestor of a name that is proved to exist, and the record that
// covers the name one label longer.
type enclosing struct {
	encloser, nextCloser dns.Name
	cover                *nsec3
}

// closest looks for the closest encloser of name, which has no record of its own.
func (p *nsec3Prover) closest(name dns.Name) (e enclosing, r Result) {
	e.nextCloser = name
	for !e.nextCloser.Equal(p.zone) {
		e.encloser = e.nextCloser.Parent()
		n, l := p.match(e.encloser)
		if l != NoLimit {
			return e, p.stopped(l, name)
		}
		if n == nil {
			e.nextCloser = e.encloser
			continue
		}
		if hidesBelow(n.types) {
			return e, bogus(dns.EDEBogus, "%v is of %v, a delegation or DNAME, and says nothing of %v", n, e.encloser, name)
		}
		if e.cover, l = p.cover(e.nextCloser); l != NoLimit {
			return e, p.stopped(l, name)
		}
		if e.cover == nil {
			return e, p.missing("covers", e.nextCloser)
		}
		return e, proved()
	}
	return e, bogus(dns.EDENSECMissing, "no NSEC3 matches %v or an ancestor of it in %v", name, p.zone)
}

// missing names a proof that is not there.
func (p *nsec3Prover) missing(what string, name dns.Name) Result {
	h, _ := p.hash(name) // known by now
	return bogus(dns.EDENSECMissing, "no NSEC3 %s %v, whose hash is %v", what, name, h)
}

func (p *nsec3Prover) stopped(l Limit, name dns.Name) Result {
	return exceeded(l, "hashing %v and its ancestors %d times each takes too much work", name, 1+int(p.iterations))
}

// unlessOptOut is proved, or insecure if the name one label below the encloser may be a delegation that was left out (RFC 5155 sections 6
// and 9.2).
func (e *enclosing) unlessOptOut() Result {
	if e.cover.optOut {
		return Result{Security: cache.Insecure}
	}
	return proved()
}

func (p *nsec3Prover) nxDomain(name dns.Name) Result {
	n, l := p.match(name)
	switch {
	case l != NoLimit:
		return p.stopped(l, name)
	case n != nil && n.types.Has(dns.TypeNXNAME):
		return proved() // RFC 9824 section 4
	case n != nil:
		return bogus(dns.EDEBogus, "%v says that %v exists", n, name)
	}
	e, r := p.closest(name)
	if !r.Secure() {
		return r
	}
	star, ok := wildcard(e.encloser)
	if !ok || star.Equal(name) {
		return e.unlessOptOut()
	}
	if n, l = p.match(star); l != NoLimit {
		return p.stopped(l, name)
	} else if n != nil {
		return bogus(dns.EDEBogus, "%v says that %v exists, which stands for %v", n, star, name)
	}
	if n, l = p.cover(star); l != NoLimit {
		return p.stopped(l, name)
	} else if n == nil {
		return p.missing("covers", star)
	}
	return e.unlessOptOut()
}

func (p *nsec3Prover) noData(name dns.Name, t dns.Type) Result {
	n, l := p.match(name)
	if l != NoLimit {
		return p.stopped(l, name)
	}
	if n != nil {
		if r, ok := denies(n.types, t, n, name.IsRoot()); !ok {
			return r
		}
		return proved()
	}
	e, r := p.closest(name)
	if !r.Secure() {
		return r
	}
	if star, ok := wildcard(e.encloser); ok {
		if n, l = p.match(star); l != NoLimit {
			return p.stopped(l, name)
		}
		if n != nil {
			if r, ok := denies(n.types, t, n, false); !ok {
				return r
			}
			return e.unlessOptOut()
		}
	}
	// RFC 5155 section 8.6, and erratum 3441 for other types than DS: name may be a delegation that was left out, or above one.
	if e.cover.optOut {
		return e.unlessOptOut()
	}
	return bogus(dns.EDENSECMissing, "%v covers %v, and no NSEC3 matches the wildcard below %v", e.cover, e.nextCloser, e.encloser)
}

func (p *nsec3Prover) expanded(name, encloser dns.Name) Result {
	e := enclosing{encloser: encloser, nextCloser: name.Ancestor(encloser.Labels() + 1)}
	var l Limit
	if e.cover, l = p.cover(e.nextCloser); l != NoLimit {
		return p.stopped(l, name)
	}
	if e.cover == nil {
		return p.missing("covers", e.nextCloser)
	}
	return e.unlessOptOut()
}

func (p *nsec3Prover) unsigned(cut dns.Name) Result {
	n, l := p.match(cut)
	if l != NoLimit {
		return p.stopped(l, cut)
	}
	if n != nil {
		return unsignedAt(n.types, n)
	}
	e, r := p.closest(cut)
	if !r.Secure() {
		return r
	}
	if !e.cover.optOut {
		return bogus(dns.EDEBogus, "%v says that %v does not exist", e.cover, e.nextCloser)
	}
	return e.unlessOptOut()
}

func (p *nsec3Prover) noCut(name dns.Name) Result {
	n, l := p.match(name)
	if l != NoLimit {
		return p.stopped(l, name)
	}
	if n != nil {
		return noCutAt(n.types, n, name.Equal(p.zone))
	}
	e, r := p.closest(name)
	if !r.Secure() {
		return r
	}
	if e.cover.optOut {
		return bogus(dns.EDEBogus, "%v leaves out delegations (opt-out), and %v may be one", e.cover, e.nextCloser)
	}
	return proved()
}

// NSEC3Blocks returns how many blocks of SHA-1, 64 octets each, [NSEC3Label] takes.
func NSEC3Blocks(name dns.Name, iterations uint16, salt []byte) int {
	return sha1Blocks(name.Len()+len(salt)) + int(iterations)*sha1Blocks(sha1.Size+len(salt))
}

// NSEC3Label returns the label that an NSEC3 record of name has below its zone, in lower case (RFC 5155 section 5). It hashes 1 + iterations
// times; the caller bounds that.
func NSEC3Label(name dns.Name, iterations uint16, salt []byte) string {
	g := nsec3Group{iterations: iterations, salt: salt}
	return strings.ToLower(g.compute(name.Lower()).String())
}
