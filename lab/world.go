package lab

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// World says what a lab holds and how it misbehaves: [ParseWorld] reads one, [New] builds a lab from it. A World is never changed
// after it was read, so many labs may share one. docs/lab.md describes the text.
type World struct {
	generate *generateSpec // nil: only what is written
	defaults serverSpec
	zones    []*zoneSpec
	servers  []*serverSpec
	replies  []*script
	faults   uint64 // counts faults, which are drawn by their place in the world
}

// DefaultWorld is the generated internet, healthy, with servers 5 to 40 ms away.
const DefaultWorld = `
[generate]
[defaults]
latency 5ms..40ms
jitter 10%
fault cookies of=33%
fault verbose of=40%
`

// ParseError is what [ParseWorld] returns: what is wrong with a world file, and where.
type ParseError struct {
	Line int // from 1
	Err  error
}

func (e *ParseError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap returns the cause.
func (e *ParseError) Unwrap() error { return e.Err }

func at(line int, format string, args ...any) error {
	return &ParseError{line, fmt.Errorf(format, args...)}
}

// generateSpec is the section [generate].
type generateSpec struct {
	zones    int     // second-level zones
	hosts    int     // hosts in them, at least
	unsigned float64 // share of the zones that are not signed
	alg      uint8   // by which all others are signed; 0: by a mixture
}

// Sizes of the generated internet.
const (
	defaultZones    = 25_000
	defaultHosts    = 100_000
	defaultUnsigned = 0.3
	maxZones        = 4_000_000   // 4 servers each are a quarter of the addresses set aside for servers
	maxHosts        = 100_000_000 // Names sorts all of them
)

// zoneSpec is one section [zone].
type zoneSpec struct {
	line     int
	apex     dns.Name
	tree     *tree
	signing  signing
	digests  digesting
	delegate bool // the parent gets a delegation if it has none

	noDelegations bool         // delegates only what its text says
	servers       []netip.Addr // of NS records that are made, or of the servers that serve beside those of the NS records
	at            []netip.Addr
	from, until   time.Duration
}

// serverSpec is one section [server], or [defaults].
type serverSpec struct {
	line    int
	addrs   []netip.Addr
	hosts   []dns.Name // servers chosen by their name
	zones   []dns.Name // servers chosen by a zone that they serve
	serves  []dns.Name // zones that they serve besides
	latency [2]time.Duration
	jitter  float64 // share of the latency; negative: as in the defaults
	loss    float64 // share of exchanges; negative: as in the defaults
	all     bool    // answers recursively, from all zones
	faults  []*fault
	every   []*fault // of [defaults]: for every server, even the root's
}
