package recurse

import (
	"fmt"

	"github.com/ananas-edge/ananas/dns"
)

// asked is what classify and scrub need to know of the question that a reply is to.
type asked struct {
	zone      dns.Name     // the servers asked speak for this zone and nothing above it
	q         dns.Question // name in canonical case
	edns      bool         // an OPT record was sent
	options   bool         // with options in it
	tcp       bool
	minimised bool // the whole name is longer
	// elsewhere tells whether the settings name other servers for a name than for the question's, by a stub or forward: what this
	// server says of it is hearsay, however high its zone (MaginotDNS). nil: there are none.
	elsewhere func(dns.Name) bool
	recursive bool // RD was set: the server is a forwarder, which resolves for us
}

// speaks tells whether the server may say anything of a name: it lies in its zone, and the settings give it to nobody else.
func (a *asked) speaks(name dns.Name) bool {
	return name.IsWithin(a.zone) && (a.elsewhere == nil || !a.elsewhere(name))
}

// verdict is what a reply is.
type verdict struct {
	what is
	why  string // for people: what made it so, naming the record

	cut dns.Name // isReferral: the zone referred to
	end dns.Name // isAnswer, isAlias, isNXDomain, isNoData: the name at the end of the alias chain in the reply
	soa dns.Name // isNXDomain, isNoData: the owner of the SOA record; zero if there is none

	// weak, if it says something, is why this is used only if no other server of the zone does better: the server is not authoritative but
	// recurses, or denies without saying for which zone.
	weak string
}

// denies tells whether the reply says that there is nothing.
func (v *verdict) denies() bool { return v.what == isNXDomain || v.what == isNoData }

// Why a reply is weak.
const (
	weakRecursive = "recurses, and is no authority"
	weakNoZone    = "denies without AA and without an SOA record of the zone"
	weakSOA       = "denies with an SOA record that is not of the zone"
	weakReferral  = "answers a question for DS with a referral"
)

type is uint8

const (
	isAnswer   is = iota // records of the type at the end of the chain
	isAlias              // the chain leaves the reply: go on at end
	isNXDomain           // end does not exist
	isNoData             // end has no such type
	isReferral
	isLame      // the server does not serve the zone: next server, and not this one again soon
	isBroken    // of no use: next server
	isTruncated // ask again over TCP
	isNoOptions // ask again without EDNS options
	isNoEDNS    // ask again without EDNS
	isBadCookie // ask again with the cookie that came
)

var isNames = [...]string{"answer", "alias", "nxdomain", "nodata", "referral", "lame", "broken", "truncated",
	"refuses EDNS options", "refuses EDNS", "wants its cookie"}

func (i is) String() string { return isNames[i] }

// classify says what a reply is. It is pure; the reply was parsed and matches the question.
func classify(m *dns.Message, a asked) verdict {
	rcode, flags := m.RCode(), m.Header.Flags
	if v, bad := classifyRCode(m, a, rcode); bad {
		return v
	}
	if flags&dns.FlagTC != 0 {
		if a.tcp {
			return verdict{what: isBroken, why: "truncated over TCP"}
		}
		return verdict{what: isTruncated, why: "TC is set"}
	}

	end, hops, found, ok := walkChain(m.Sections[dns.Answer], a)
	if !ok { // no server of the zone would say otherwise; whoever follows the chain sees where it leads
		return verdict{what: isAlias, end: end, why: fmt.Sprintf("the aliases of %v turn in a circle", a.q.Name)}
	}
	authoritative := flags&dns.FlagAA != 0
	weak := ""
	if !a.recursive && !authoritative && flags&dns.FlagRA != 0 {
		weak = weakRecursive
	}
	if found && rcode == dns.RCodeSuccess {
		return verdict{what: isAnswer, end: end, weak: weak}
	}
	if rcode == dns.RCodeYXDomain && hops > 0 { // RFC 6672 section 2.2: the name got too long
		return verdict{what: isAnswer, end: end}
	}

	soa, soaWhy := denialSOA(m.Sections[dns.Authority], a, end)
	denial := isNoData
	if rcode == dns.RCodeNameError {
		denial = isNXDomain
	}
	switch {
	case !soa.IsZero():
		return verdict{what: denial, end: end, soa: soa, weak: weak}
	case hops > 0:
		// The end of the chain is resolved on its own: this server may not speak for it.
		return verdict{what: isAlias, end: end, weak: weak}
	case rcode == dns.RCodeNameError:
		if !authoritative && !a.recursive && weak == "" {
			weak = weakNoZone
		}
		return verdict{what: isNXDomain, end: end, weak: weak, why: "no SOA record: not kept" + soaWhy}
	}
	if !a.recursive {
		cut, ns, why := referralCut(m.Sections[dns.Authority], a)
		switch ns {
		case nsBelow:
			return verdict{what: isReferral, cut: cut}
		case nsOfDS: // a server that does not know DS; it may know the proof that there is none
			return verdict{what: isNoData, end: end, weak: weakReferral, why: why}
		case nsItself:
			if !authoritative && weak == "" {
				return verdict{what: isLame, why: why}
			}
		case nsAside:
			if !authoritative {
				return verdict{what: isLame, why: why}
			}
		case nsAbove: // RFC 2308 section 2.2: NS records and no SOA record are no denial
			return verdict{what: isLame, why: why}
		}
	}
	switch {
	case soaWhy != "":
		weak = weakSOA
	case !authoritative && !a.recursive && weak == "":
		weak = weakNoZone
	}
	return verdict{what: isNoData, end: end, weak: weak, why: "no SOA record: not kept" + soaWhy}
}

// classifyRCode deals with the response codes that end it before any record is looked at.
func classifyRCode(m *dns.Message, a asked, rcode dns.RCode) (verdict, bool) {
	switch rcode {
	case dns.RCodeSuccess, dns.RCodeNameError, dns.RCodeYXDomain:
		return verdict{}, false
	case dns.RCodeFormatError, dns.RCodeNotImplemented, dns.RCodeBadVersion:
		switch {
		case a.edns && a.options: // even if it answers as one that never heard of EDNS: without it a signed zone is lost
			return verdict{what: isNoOptions, why: rcode.String()}, true
		case a.edns:
			return verdict{what: isNoEDNS, why: rcode.String()}, true
		}
		return verdict{what: isBroken, why: rcode.String()}, true
	case dns.RCodeBadCookie:
		return verdict{what: isBadCookie, why: rcode.String()}, true
	case dns.RCodeServerFailure:
		return verdict{what: isBroken, why: rcode.String()}, true
	}
	return verdict{what: isLame, why: rcode.String()}, true
}

// maxChain bounds the aliases followed within one reply. Longer chains go on with another question.
const maxChain = 12

// walkChain follows the aliases of the answer section from the question's name: a CNAME at the name, or a DNAME above it. A
// server is believed only within its zone, so the walk ends where the chain leaves it. ok is false if it turns in a circle.
func walkChain(answer []dns.RR, a asked) (end dns.Name, hops int, found, ok bool) {
	end = a.q.Name
	var seen [maxChain]dns.Name
	for hops < maxChain && a.speaks(end) {
		for _, s := range seen[:hops] {
			if s == end {
				return end, hops, false, false
			}
		}
		seen[hops] = end
		rr, next, step := alias(answer, end, a.zone)
		switch {
		case step && rr.Type == dns.TypeDNAME && (next.IsZero() || a.q.Type == dns.TypeCNAME || a.q.Type == dns.TypeANY):
			return end, hops + 1, true, true // the CNAME that it makes is all there is at this name
		case step && rr.Type == dns.TypeDNAME:
			end, hops = next, hops+1
			continue
		}
		for i := range answer {
			rr := &answer[i]
			if rr.Class == dns.ClassINET && rr.Name == end && (rr.Type == a.q.Type || a.q.Type == dns.TypeANY && rr.Type != dns.TypeRRSIG) {
				return end, hops, true, true
			}
		}
		if a.q.Type == dns.TypeANY {
			return end, hops, false, true
		}
		if !step {
			return end, hops, false, true
		}
		end, hops = next, hops+1
	}
	return end, hops, false, true
}

// alias finds where a look-up of name is led: by a DNAME above it and in the zone, whatever CNAME stands beside (that one was made from
// it), else by a CNAME at it. rr is the record that leads. A zero to: the DNAME makes the name too long, which is an answer, too
// (RFC 6672 section 2.2).
func alias(answer []dns.RR, name, zone dns.Name) (rr *dns.RR, to dns.Name, ok bool) {
	for i := range answer {
		rr := &answer[i]
		if rr.Type != dns.TypeDNAME || rr.Class != dns.ClassINET || rr.Name == name || !name.IsWithin(rr.Name) || !rr.Name.IsWithin(zone) {
			continue
		}
		target, ok := dns.RdataName(dns.TypeDNAME, rr.Data)
		if !ok {
			continue
		}
		to, err := name.ReplaceSuffix(rr.Name, target)
		if err != nil {
			return rr, dns.Name{}, true
		}
		return rr, to.Lower(), true
	}
	for i := range answer {
		rr := &answer[i]
		if rr.Type == dns.TypeCNAME && rr.Class == dns.ClassINET && rr.Name == name {
			to, ok := dns.RdataName(dns.TypeCNAME, rr.Data)
			return rr, to.Lower(), ok
		}
	}
	return nil, name, false
}

// denialSOA returns the owner of the SOA record that makes a reply a denial for name: at or above the name, and within what the
// server speaks for. A question for DS is the parent's to deny (RFC 4035 section 3.1.4.1): an SOA record at the name itself is the child's.
func denialSOA(authority []dns.RR, a asked, name dns.Name) (_ dns.Name, why string) {
	for i := range authority {
		rr := &authority[i]
		if rr.Type != dns.TypeSOA || rr.Class != dns.ClassINET {
			continue
		}
		switch {
		case a.elsewhere != nil && a.elsewhere(name):
			why = fmt.Sprintf("; other servers are set for %v", name)
		case !name.IsWithin(rr.Name):
			why = fmt.Sprintf("; its SOA record is of %v", rr.Name)
		case !rr.Name.IsWithin(a.zone):
			why = fmt.Sprintf("; its SOA record is of %v, above %v", rr.Name, a.zone)
		case a.q.Type == dns.TypeDS && rr.Name == name && !name.IsRoot() && !a.recursive && rr.Name != a.zone:
			why = fmt.Sprintf("; the denial of DS is by the child %v", rr.Name)
		default:
			return rr.Name, ""
		}
	}
	return dns.Name{}, why
}

// nsRecords is what the NS records of the authority section are to the zone asked.
type nsRecords uint8

const (
	nsNone nsRecords = iota
	nsBelow
	nsOfDS // below, and what was asked for is DS of it
	nsItself
	nsAbove
	nsAside // not above the name
)

// referralCut returns the zone that the NS records of the authority section refer to: below the zone asked, at or above the name. If it is none, why
// says what they are instead.
func referralCut(authority []dns.RR, a asked) (cut dns.Name, ns nsRecords, why string) {
	for i := range authority {
		rr := &authority[i]
		if rr.Type != dns.TypeNS || rr.Class != dns.ClassINET {
			continue
		}
		switch {
		case rr.Name == a.zone:
			ns, why = nsItself, fmt.Sprintf("refers to %v itself", a.zone)
		case !rr.Name.IsWithin(a.zone):
			ns, why = nsAbove, fmt.Sprintf("refers upwards, to %v", rr.Name)
			if !a.zone.IsWithin(rr.Name) {
				ns, why = nsAside, fmt.Sprintf("refers aside, to %v", rr.Name)
			}
		case !a.q.Name.IsWithin(rr.Name):
			ns, why = nsAside, fmt.Sprintf("refers aside, to %v", rr.Name)
		case a.q.Type == dns.TypeDS && rr.Name == a.q.Name:
			ns, why = nsOfDS, fmt.Sprintf("refers to %v, but DS is the parent's to answer", rr.Name)
		default:
			return rr.Name, nsBelow, ""
		}
	}
	return dns.Name{}, ns, why
}
