package recurse

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/internal/strictyaml"
)

// LocalRootSettings say where a copy of the root zone comes from that is asked in place of the root servers (RFC 8806). Nothing set is no copy.
type LocalRootSettings struct {
	// File is a zone file with the root zone, read again at each reload and at the interval of its SOA record's refresh. Its age is that of the file.
	File string `yaml:"file" file:"24MiB"`

	// AXFR holds servers that give the whole root zone (RFC 5936), asked in turn as its SOA record says. A copy is kept in the data folder.
	AXFR []netip.AddrPort `yaml:"axfr" port:"53"`

	// ZONEMD says what the digest of the zone (RFC 8976) is for.
	ZONEMD ZONEMD `yaml:"zonemd"`

	// MaxAge is how long a copy is used after it was last known to be current; 0 is what the zone's SOA record says, 7 days for the root.
	MaxAge time.Duration `yaml:"max_age" max:"672h"`
}

// On tells whether a copy is to be used.
func (s *LocalRootSettings) On() bool { return s.File != "" || len(s.AXFR) > 0 }

// Equal tells whether two settings are the same.
func (s *LocalRootSettings) Equal(o *LocalRootSettings) bool {
	return s.File == o.File && slices.Equal(s.AXFR, o.AXFR) && s.ZONEMD == o.ZONEMD && s.MaxAge == o.MaxAge
}

// ZONEMD says what the digest of a zone is for.
type ZONEMD uint8

// Ways to go by a digest. A signed zone proves by NSEC whether it has one, so ZONEMDIfPresent can't be cheated by taking it out: it is the
// default. ZONEMDRequired refuses a zone whose owner has made none.
const (
	ZONEMDIfPresent ZONEMD = iota // if the zone has one, it must be right
	ZONEMDRequired                // it must have one, and right
	ZONEMDOff                     // it is not looked at
)

// Values are the words for it in a file.
func (ZONEMD) Values() []string { return []string{"if-present", "required", "off"} }

// String returns the word.
func (z ZONEMD) String() string { return z.Values()[z] }

// MarshalText returns the word.
func (z ZONEMD) MarshalText() ([]byte, error) { return []byte(z.String()), nil }

// UnmarshalText reads the word.
func (z *ZONEMD) UnmarshalText(b []byte) error {
	for i, v := range z.Values() {
		if v == string(b) {
			*z = ZONEMD(i)
			return nil
		}
	}
	return errNoZONEMD
}

var errNoZONEMD = errors.New("neither if-present nor required nor off")

// maxTransferServers bounds recursion.local_root.axfr: there are 13 root servers with two addresses each.
const maxTransferServers = 100

// compileLocalRoot checks the section. Whether there is a zone where it says is not looked at: a node must start without it.
func (t *Table) compileLocalRoot(e *strictyaml.Errors, s LocalRootSettings) {
	const key = "recursion.local_root"
	t.LocalRoot = s
	t.LocalRoot.AXFR = slices.Clone(s.AXFR)
	if !s.On() {
		return
	}
	if u, ok := t.upstreams[dns.Root]; ok {
		e.Addf(key, fmt.Sprintf("remove it, or the %v of \".\"", u.kind), "the local root would never be asked, for a %v says who answers for everything", u.kind)
	}
	if s.File != "" && len(s.AXFR) > 0 {
		e.Addf(key, "remove one of the two", "the zone can't come from a file and from servers")
	}
	if len(s.AXFR) > maxTransferServers {
		e.Addf(key+".axfr", "", "there are %d servers, more than %d", len(s.AXFR), maxTransferServers)
		return
	}
	usable := len(s.AXFR) == 0
	for i, a := range s.AXFR {
		usable = usable || t.Speaks(a.Addr())
		if slices.Contains(s.AXFR[:i], a) {
			e.Addf(fmt.Sprintf("%s.axfr[%d]", key, i), "remove one of the two", "%v is there twice", a)
		}
	}
	if !usable && (t.IPv4 || t.IPv6) {
		e.Addf(key+".axfr", "turn that family on, or name a server of the other", "all are of a family that is off in settings.recursion")
	}
}

// LocalRoot is a copy of the root zone in this process (RFC 8806).
type LocalRoot interface {
	// Usable tells whether the copy may be asked now.
	Usable() bool

	// Ask returns what an authoritative server of the root replies to a question, as a whole message of any size, with signatures and proofs. about says for
	// people which copy it was. ok is false if there is none that may be asked now.
	Ask(q dns.Question) (reply []byte, about string, ok bool)
}

// localUsable tells whether there is a copy of the root zone to be asked in place of the root servers.
func (r *Resolver) localUsable(t *Table) bool {
	return r.local != nil && t.LocalRoot.On() && r.local.Usable()
}

// askLocal asks the local root as a server would be asked, but for the network: nothing of the budget is spent, and the reply is parsed and
// classified like any other. If it can't be used (the copy became too old just now, or what it said before failed validation), rep is nil,
// and servers are those of the root.
func (j *job) askLocal(d *delegation, q dns.Question, minimised bool) (rep *reply, servers *delegation) {
	r := j.r
	refuse := func(why string) (*reply, *delegation) {
		servers = r.hints(j.table)
		if own := r.cachedDelegation(dns.Root, r.clock.Boot()); own != nil && j.key.fresh != FreshAll {
			servers = own
		}
		if j.span.on() {
			j.span.event(KindDelegation, "the local root can't be used: "+why, "zone", d.zone.String(), "source", d.from.String())
		}
		return nil, servers
	}
	if j.bogus != nil {
		return refuse("an answer failed validation")
	}
	wire, about, ok := r.local.Ask(q)
	if !ok {
		return refuse("it has become too old")
	}
	a := asked{zone: d.zone, q: q, edns: true, tcp: true, minimised: minimised, elsewhere: j.table.Elsewhere(q.Name)}
	sp := j.span
	if sp.on() {
		sp = sp.event(KindDelegation, "ask "+q.String()+" of "+about, "zone", d.zone.String(), "name", q.Name.String(), "type", q.Type.String(), "source", d.from.String())
	}
	msg := new(dns.Message)
	if err := dns.Parse(wire, msg); err != nil {
		r.m.malformed.Inc()
		return refuse("malformed reply: " + err.Error())
	}
	v := classify(msg, a)
	if sp.on() {
		sp.event(KindReply, fmt.Sprintf("%v: %v%s", msg.RCode(), v.what, because(v.why)), "rcode", msg.RCode().String(), "is", v.what.String(), "size", fmt.Sprint(len(wire)))
	}
	if v.what >= isLame || v.weak != "" {
		return refuse(v.what.String() + because(v.why+v.weak))
	}
	return &reply{msg: msg, v: v, a: a, attempt: &attempt{span: sp}}, nil
}

// Speaks tells whether the family of an address is on.
func (t *Table) Speaks(a netip.Addr) bool { return a.Is4() && t.IPv4 || a.Is6() && t.IPv6 }
