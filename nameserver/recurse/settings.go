package recurse

import (
	"net/netip"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/internal/strictyaml"
	"github.com/ananas-edge/ananas/nameserver/dnssec"
)

// Settings say how names are resolved. All of it is swapped in live, but for the [Limits] that say otherwise.
type Settings struct {
	// RootHints is a zone file with the names and addresses of the root's servers; "" is the list of IANA that is built in.
	RootHints string `yaml:"root_hints" file:"4MiB"`

	// TrustAnchors is a file of DS or DNSKEY records, at any name; "" is the root's keys of 2017 and 2024, which are built in;
	// "none" turns validation off.
	TrustAnchors string `yaml:"trust_anchors" file:"4MiB" word:"none"`

	// TrustAnchorUpdates has the anchors follow the zones' keys (RFC 5011), beginning with those of TrustAnchors. Off, these are used as they
	// stand: a node that nobody looks after fails when the root has changed its keys.
	TrustAnchorUpdates bool `yaml:"trust_anchor_updates"`

	// NegativeTrustAnchors are zones that are not validated although an anchor is above them (RFC 7646).
	NegativeTrustAnchors []NegativeTrustAnchor `yaml:"negative_trust_anchors"`

	// QNAMEMinimisation is how much of a name the servers on the way see (RFC 9156).
	QNAMEMinimisation Minimisation `yaml:"qname_minimisation"`

	// IPv4 and IPv6 tell which families servers are asked over. One of them must be on.
	IPv4 bool `yaml:"ipv4"`
	IPv6 bool `yaml:"ipv6"`

	// NeverQuery holds prefixes in which no name server is ever asked, whatever a zone says. Nil, which is the default, means
	// [DefaultNeverQuery] and our own listeners; an empty list means none. Addresses of stub and forward are exempt.
	NeverQuery []netip.Prefix `yaml:"never_query"`

	// ErrorReports has failures reported to the agents that name servers name (RFC 9567). They learn which names fail here.
	ErrorReports bool `yaml:"error_reports"`

	// LocalRoot says where a copy of the root zone comes from that is asked in place of the root servers (RFC 8806).
	LocalRoot LocalRootSettings `yaml:"local_root"`

	// Validation says what is validated and what that may cost.
	Validation dnssec.Settings `yaml:"validation"`

	Limits Limits `yaml:"limits"`
}

// Limits bound the work that a question can cause. Those of sockets, connections and servers take their place at the start
// of a node; the others are live. Each has a series in ananas_recurse_limits_total.
type Limits struct {
	// UpstreamQuestions is how many questions may be sent to servers for one question of a client, sub-queries, retries and
	// aliases together. A name of four zones with nothing cached takes 4, with minimisation up to 8, with keys and DS 14; an
	// alias into such a name doubles that, and look-ups of four servers without glue at 8 each make it 60. 100 leaves room for loss.
	UpstreamQuestions int `yaml:"upstream_questions" min:"10" max:"10000"`

	// Glueless is how many names of servers without known addresses are looked up for one delegation. Honest zones need one
	// working server; NXNS (CVE-2020-8616 and others) multiplies by this number, once for each family: 6 names are 12 questions.
	Glueless int `yaml:"glueless" min:"1" max:"100"`

	// NSNames is how many names of a delegation are looked at. The largest in the root zone has 13.
	NSNames int `yaml:"ns_names" min:"1" max:"1000"`

	// Addresses is how many addresses of one delegation are candidates. 13 names with one of each family are 26.
	Addresses int `yaml:"addresses" min:"1" max:"1000"`

	// CNAMEDepth is how many aliases (CNAME, DNAME) are followed for one answer. Content networks chain 3 to 6.
	CNAMEDepth int `yaml:"cname_depth" min:"1" max:"100"`

	// DelegationDepth is how many referrals are followed from the root down. Reverse names of IPv6 have up to 8 cuts.
	DelegationDepth int `yaml:"delegation_depth" min:"2" max:"127"`

	// JobDepth is how deep look-ups of servers may nest: the server of a zone whose server is in a zone, and so on. Honest
	// zones need 3; each step costs round trips that the client waits for.
	JobDepth int `yaml:"job_depth" min:"1" max:"50"`

	// BogusRetries is how many more servers are asked when an answer fails validation, before it is believed to be bogus. One server with an
	// old zone or in somebody's hands is common, three of a zone's servers are not; an answer that fails at all of them costs three round trips.
	BogusRetries int `yaml:"bogus_retries" max:"20"`

	// BogusTTL is how long an answer that failed validation is kept for those who set CD, at most.
	BogusTTL time.Duration `yaml:"bogus_ttl" max:"1h"`

	// QueryTime is the deadline of one job, which outlives the client that began it, so that its next attempt finds the
	// answer. Twice the 5 s after which clients ask again.
	QueryTime time.Duration `yaml:"query_time" min:"100ms" max:"1m"`

	// StaleTimer is how long a client waits before it gets an expired answer if there is one (RFC 8767 section 5 names 1.8 s,
	// just under the 2 s of the quickest clients). The job goes on. 0 means that an expired answer is only given on failure.
	StaleTimer time.Duration `yaml:"stale_timer" max:"1m"`

	// FailureTTLMin and FailureTTLMax are the first and the longest time that a failure is remembered; it doubles from one to
	// the other (RFC 9520 section 3.2 asks for 1 s to 5 min).
	FailureTTLMin time.Duration `yaml:"failure_ttl_min" min:"1s" max:"5m"`
	FailureTTLMax time.Duration `yaml:"failure_ttl_max" min:"1s" max:"5m"`

	// Jobs is how many resolutions run at a time. One takes about 10 KiB with its goroutine: 100 MiB.
	Jobs int `yaml:"jobs" min:"1" max:"1000000"`

	// ZoneFetches is how many questions may be on their way to the servers of one zone, so that a zone whose servers are dead
	// holds up no more than its part of Jobs: 4 %. At 50 ms each it passes 8,000 questions a second.
	ZoneFetches int `yaml:"zone_fetches" min:"1" max:"1000000"`

	// ServerFetches is the same for one address: half of ZoneFetches, as a zone has two servers or more.
	ServerFetches int `yaml:"server_fetches" min:"1" max:"1000000"`

	// AnswerSize is the largest answer that is put together, aliases included. 64 KiB is all that TCP carries.
	AnswerSize strictyaml.Bytes `yaml:"answer_size" min:"4KiB" max:"64KiB"`

	// UDPPayload is the largest reply over UDP that servers may send, in octets (EDNS). 1232 fits the smallest MTU of IPv6, 1280,
	// less 48 octets of headers; above it fragments can be forged (RFC 9715).
	UDPPayload int `yaml:"udp_payload" min:"512" max:"4096"`

	// Sockets is how many UDP sockets to servers are open, half of them for each family, each on a random port. 2,048 of them make a forger of
	// replies guess 11 bits more; a socket costs about 5 KiB with its buffers: 20 MiB for 4,096. Read at the start of a node.
	Sockets int `yaml:"sockets" live:"false" min:"1" max:"60000"`

	// SocketUses is how many questions are sent from one socket until it is closed for another on a new port: enough that
	// opening costs little (3 us against 100 questions), few enough that a port that was found out is soon of no use. Read at the start.
	SocketUses int `yaml:"socket_uses" live:"false" min:"1" max:"1000000"`

	// TCPConnections is how many connections to servers are open; idle ones are closed for new ones. Some 1 in 100 questions goes over
	// TCP: 500 serve 25,000 misses a second of 200 ms each. Read at the start.
	TCPConnections int `yaml:"tcp_connections" live:"false" min:"1" max:"60000"`

	// Servers is how many servers are remembered (round-trip time, EDNS, cookies, health); beyond it the ones unused longest are
	// forgotten. At 250 octets each 5 MiB. Read at the start.
	Servers int `yaml:"servers" live:"false" min:"100" max:"10000000"`
}

// Stub is a zone that is resolved iteratively from these servers.
type Stub struct {
	Zone    dns.Name         `yaml:"zone" required:"true" key:"true"`
	Servers []netip.AddrPort `yaml:"servers" required:"true" items:"1" port:"53"`
}

// Forward is a zone whose questions are passed on to these recursive servers.
type Forward struct {
	Zone    dns.Name         `yaml:"zone" required:"true" key:"true"`
	Servers []netip.AddrPort `yaml:"servers" required:"true" items:"1" port:"53"`
}

// Group is name servers that are asked for nothing unless a module or a view sends a query to them: then they are asked for all of it that lies in their zone, aliases that it leads through included. What they say is given to no other query.
type Group struct {
	Name    string           `yaml:"name" required:"true" key:"true"`
	Kind    GroupKind        `yaml:"kind"`
	Zone    dns.Name         `yaml:"zone"` // of which they know; none: the root, which is everything
	Servers []netip.AddrPort `yaml:"servers" required:"true" items:"1" port:"53"`
}

// GroupKind says how the servers of a group are asked.
type GroupKind uint8

// Kinds of groups.
const (
	GroupForward GroupKind = iota // recursively, as those of a [Forward]
	GroupStub                     // iteratively, as those of a [Stub]
)

// Values are the words for it in a file.
func (GroupKind) Values() []string { return []string{"forward", "stub"} }

// String returns the word.
func (k GroupKind) String() string { return k.Values()[k] }

// MarshalText returns the word.
func (k GroupKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the word.
func (k *GroupKind) UnmarshalText(b []byte) error {
	for i, v := range k.Values() {
		if v == string(b) {
			*k = GroupKind(i)
			return nil
		}
	}
	return errNoGroupKind
}

// NegativeTrustAnchor is a zone that is not validated. In a file it is a name, or a section with a time at which it ends.
type NegativeTrustAnchor struct {
	Zone  dns.Name  `yaml:"zone" required:"true" key:"true"`
	Until time.Time `yaml:"until"` // wall time; the zero time is never
}

// Ended tells whether the zone is validated again at this wall time.
func (n NegativeTrustAnchor) Ended(now time.Time) bool {
	return !n.Until.IsZero() && !now.Before(n.Until)
}

// UnmarshalText reads the name alone.
func (n *NegativeTrustAnchor) UnmarshalText(b []byte) error { return n.Zone.UnmarshalText(b) }

// Minimisation is how much of a name the servers on the way to it see.
type Minimisation uint8

// Ways of RFC 9156.
const (
	MinimiseRelaxed Minimisation = iota // one label more than the zone, and the whole name where that fails
	MinimiseStrict                      // one label more, and a failure is a failure
	MinimiseOff                         // the whole name
)

// Values are the words for it in a file.
func (Minimisation) Values() []string { return []string{"relaxed", "strict", "off"} }

// String returns the word.
func (m Minimisation) String() string { return m.Values()[m] }

// MarshalText returns the word.
func (m Minimisation) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads the word.
func (m *Minimisation) UnmarshalText(b []byte) error {
	for i, v := range m.Values() {
		if v == string(b) {
			*m = Minimisation(i)
			return nil
		}
	}
	return errNoMinimisation
}

// Defaults returns the settings of a node for which nothing else is set. The arithmetic is with the fields.
func Defaults() Settings {
	return Settings{
		TrustAnchorUpdates: true,

		QNAMEMinimisation: MinimiseRelaxed,
		IPv4:              true,
		IPv6:              true,
		ErrorReports:      true,
		Validation:        dnssec.Defaults(),
		Limits: Limits{
			UpstreamQuestions: 100,
			Glueless:          6,
			NSNames:           20,
			Addresses:         30,
			CNAMEDepth:        12,
			DelegationDepth:   20,
			JobDepth:          8,
			BogusRetries:      3,
			BogusTTL:          time.Minute,
			QueryTime:         10 * time.Second,
			StaleTimer:        1800 * time.Millisecond,
			FailureTTLMin:     time.Second,
			FailureTTLMax:     5 * time.Minute,
			Jobs:              10_000,
			ZoneFetches:       400,
			ServerFetches:     200,
			AnswerSize:        64 << 10,
			UDPPayload:        1232,
			Sockets:           4096,
			SocketUses:        100,
			TCPConnections:    500,
			Servers:           20_000,
		},
	}
}

// DefaultNeverQuery returns the prefixes in which no public zone has a name server: this network and this host (RFC 1122
// section 3.2.1.3), link-local (RFC 3927, RFC 4291 section 2.5.6) and multicast. Private addresses are not among them: inside
// a network, zones do live there.
func DefaultNeverQuery() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),
		netip.MustParsePrefix("127.0.0.0/8"),
		netip.MustParsePrefix("169.254.0.0/16"),
		netip.MustParsePrefix("224.0.0.0/4"),
		netip.MustParsePrefix("255.255.255.255/32"),
		netip.MustParsePrefix("::/128"),
		netip.MustParsePrefix("::1/128"),
		netip.MustParsePrefix("fe80::/10"),
		netip.MustParsePrefix("ff00::/8"),
	}
}
