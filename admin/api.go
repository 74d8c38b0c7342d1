package admin

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/telemetry"
)

// The types of this file are the bodies of the API; openapi.yaml has a schema for each. An error that an implementation
// returns is shown to the operator; if it has a method Hint() string, that is shown too.

// Reloader reads the settings again and swaps them in whole, or leaves those that serve.
type Reloader interface {
	Reload(ctx context.Context) (Reloaded, error)
}

// Reloaded is what a reload did.
type Reloaded struct {
	Changed  []string `json:"changed"`  // settings that are different now, by their path in the file
	Restart  []string `json:"restart"`  // settings that are different in the file and need a restart
	Warnings []string `json:"warnings"` // what was taken and should be looked at
}

// CacheControl lists what is cached and takes it out.
type CacheControl interface {
	// ListCache returns at most q.Limit entries, and whether there are more.
	ListCache(ctx context.Context, q CacheQuery) (CacheList, error)
	// PurgeCache removes what is cached at the name, checks that it is gone, and lets no work begun before store it again.
	PurgeCache(ctx context.Context, p Purge) (Purged, error)
}

// CacheQuery says which entries to list.
type CacheQuery struct {
	Name    dns.Name // the root with Subtree for everything
	Subtree bool     // the names below as well
	Limit   int      // 1 to MaxCacheLimit
}

// CacheList is a part of the cache.
type CacheList struct {
	Entries []CacheEntry `json:"entries"`
	More    bool         `json:"more"` // the limit cut the list
}

// CacheEntry is one thing that is remembered.
type CacheEntry struct {
	Kind     string   `json:"kind"` // which cache: rrset, denial, delegation, failure, ...
	Name     string   `json:"name"`
	Type     string   `json:"type,omitempty"`
	TTL      int64    `json:"ttl"` // seconds left; negative: expired so long ago, kept to be served stale
	Rank     string   `json:"rank,omitempty"`
	Security string   `json:"security,omitempty"`
	Source   string   `json:"source,omitempty"` // the server or zone it came from
	Bytes    int      `json:"bytes,omitempty"`
	Records  []string `json:"records,omitempty"` // data in presentation form
}

// Purge says what to take out of the cache; the body of the request.
type Purge struct {
	Name    dns.Name `json:"name"`
	Subtree bool     `json:"subtree"` // the names below as well
}

// Purged is what a purge did.
type Purged struct {
	Removed int            `json:"removed"`
	Kinds   map[string]int `json:"kinds"` // Removed by kind of entry
	Left    int            `json:"left"`  // found by looking again afterwards; not 0 is a fault of ours
}

// SampleSource shows queries that were written down.
type SampleSource interface {
	// ListSamples returns the newest samples, at most q.Limit.
	ListSamples(ctx context.Context, q SampleQuery) (SampleList, error)
}

// SampleQuery says which samples to list.
type SampleQuery struct {
	Name   dns.Name     // this name and those below it; the root for all
	Client netip.Prefix // whose network overlaps this; not valid: all
	From   string       // of Origins, separated by commas, where answers came from; empty: all
	Limit  int          // 1 to MaxSampleLimit
}

// Origins are where an answer may have come from, as [Sample] has them.
var Origins = [...]string{"image", "cache", "resolved", "stale", "local", "refused"}

// ParseOrigins reads some of Origins, separated by commas. The error has a hint.
func ParseOrigins(text string) (string, error) {
	for one := range strings.SplitSeq(text, ",") {
		if !slices.Contains(Origins[:], one) {
			return "", originError(one)
		}
	}
	return text, nil
}

// originError is a text that is none of Origins.
type originError string

func (e originError) Error() string {
	return quote(string(e)) + " is nowhere that an answer comes from"
}

// Hint says what to do.
func (originError) Hint() string { return "write one or several of " + strings.Join(Origins[:], ",") }

// SampleList is a part of the samples.
type SampleList struct {
	OneIn   int      `json:"one_in"`  // of so many queries one is written down, on average; 0: none is
	Total   int      `json:"total"`   // that are kept and fit, those beyond the limit included
	Samples []Sample `json:"samples"` // the newest first

	Now time.Time `json:"now"` // on the node's clock
}

// What of a client's address is kept in a sample, in bits, so that it tells a site or a home.
const (
	SampleBits4 = 24 // of IPv4
	SampleBits6 = 48 // of IPv6
)

// SampledAs returns the network that a client's queries are kept under.
func SampledAs(client netip.Prefix) netip.Prefix {
	bits := SampleBits4
	if client.Addr().Is6() {
		bits = SampleBits6
	}
	return netip.PrefixFrom(client.Addr(), min(bits, client.Bits())).Masked()
}

// Sample is one query that was answered.
type Sample struct {
	At        time.Time    `json:"at"`
	Client    netip.Prefix `json:"client"` // the network, of an IPv4 address the /24, of an IPv6 address the /48
	Transport string       `json:"transport"`
	Name      string       `json:"name"` // "": there was no question
	Class     string       `json:"class,omitempty"`
	Type      string       `json:"type,omitempty"`
	RCode     string       `json:"rcode"`
	DO        bool         `json:"do"` // flags of the query: signatures are wanted,
	CD        bool         `json:"cd"` // and nothing is to be validated
	AD        bool         `json:"ad"` // flags of the answer: all is secure,
	TC        bool         `json:"tc"` // not all has fitted
	Bytes     int          `json:"bytes"`
	TookUS    int64        `json:"took_us"` // microseconds
	From      string       `json:"from"`    // image, cache, resolved, stale, local or refused
}

// Explainer resolves a name and tells how.
type Explainer interface {
	// Explain hands every step to emit as it happens and returns the answer. A parent comes before its children. emit may be
	// called from any goroutine until Explain returns; when it returns an error nobody listens any more, and Explain should end.
	Explain(ctx context.Context, r ExplainRequest, emit func(Event) error) (ExplainAnswer, error)
}

// ExplainRequest is a question to explain.
type ExplainRequest struct {
	Name  dns.Name
	Type  dns.Type
	Fresh bool // use no cache and join no job

	// Client is as whom it is asked, an address without a zone; the zero value is this machine, which may ask whatever access says.
	Client netip.Addr
}

// Event is one step of a resolution: a line of the stream.
type Event struct {
	Seq    int            `json:"seq"`    // from 1
	Parent int            `json:"parent"` // the Seq of the step that this one is part of; 0: none
	AtUS   int64          `json:"at_us"`  // microseconds since the start
	Kind   string         `json:"kind"`
	Text   string         `json:"text"` // for a reader
	Fields map[string]any `json:"fields,omitempty"`
}

// ExplainAnswer is what the resolution came to.
type ExplainAnswer struct {
	Client            netip.Addr      `json:"client,omitzero"` // as whom it was asked, if that was said
	Name              string          `json:"name"`
	Type              string          `json:"type"`
	RCode             string          `json:"rcode"`
	Security          string          `json:"security"`                  // secure, insecure, bogus, indeterminate or unchecked
	NegativeAnchor    *NegativeAnchor `json:"negative_anchor,omitempty"` // why it is insecure, if that is why
	Answer            []string        `json:"answer"`                    // records in presentation form
	Authority         []string        `json:"authority"`
	Errors            []EDE           `json:"errors"`             // extended errors, RFC 8914
	UpstreamQuestions int             `json:"upstream_questions"` // asked for this answer
	DurationUS        int64           `json:"duration_us"`        // microseconds
}

// NegativeAnchor is a zone that is not validated although a trust anchor is above it, RFC 7646.
type NegativeAnchor struct {
	Zone  string    `json:"zone"`
	Until time.Time `json:"until,omitzero"` // none: it stands until it is removed
}

// EDE is an extended DNS error, RFC 8914.
type EDE struct {
	Code uint16 `json:"code"`
	Name string `json:"name"` // of the code in the registry
	Text string `json:"text"`
}

// explainEnd is the last line of the stream: one of the first two is set.
type explainEnd struct {
	Answer  *ExplainAnswer `json:"answer,omitempty"`
	Problem *Problem       `json:"problem,omitempty"`
	Dropped int            `json:"dropped"` // events left out by MaxExplainEvents
}

// StatusSource tells how the node is.
type StatusSource interface {
	Status(ctx context.Context) NodeStatus
}

// NodeStatus is the part of [Status] that the node knows.
type NodeStatus struct {
	Name      string           `json:"name"`
	Version   string           `json:"version"`
	Started   time.Time        `json:"started"`
	Settings  SettingsStatus   `json:"settings"`
	Listeners []ListenerStatus `json:"listeners"`
	Queries   QueryStatus      `json:"queries"`
	Cache     CacheStatus      `json:"cache"`

	TrustAnchors    []TrustAnchorStatus    `json:"trust_anchors"`    // by zone; none if nothing is validated
	NegativeAnchors []NegativeAnchorStatus `json:"negative_anchors"` // by zone
	LocalRoot       LocalRootStatus        `json:"local_root"`

	Store StoreStatus `json:"store"`
}

// TrustAnchorStatus is a zone with trust anchors, and what is known of its keys.
type TrustAnchorStatus struct {
	Zone    string           `json:"zone"`
	Updated bool             `json:"updated"`       // its anchors follow its keys (RFC 5011); else they are those of the settings
	Keys    []TrustKeyStatus `json:"keys"`          // those that are trusted first
	Seen    time.Time        `json:"seen,omitzero"` // when its keys were last seen and found good
	Next    time.Time        `json:"next,omitzero"` // when they are asked for again
	Error   string           `json:"error"`         // of the last attempt, if it failed; else ""
}

// TrustKeyStatus is one key of a zone with trust anchors.
type TrustKeyStatus struct {
	Tag       uint16    `json:"tag"`
	Algorithm string    `json:"algorithm"`
	State     string    `json:"state"` // of RFC 5011 section 4.2 in small letters, or KeyUnseen, or KeyFixed
	From      string    `json:"from"`  // FromBuiltIn, FromSettings or FromZone
	Since     time.Time `json:"since,omitzero"`
	Left      int64     `json:"left"` // seconds that a pending key has to be seen yet; else 0
}

// States of keys beside those of RFC 5011.
const (
	KeyUnseen = "unseen" // the settings have a DS record of it, which is trusted; the key was not seen yet
	KeyFixed  = "fixed"  // trusted as the settings say, and not updated
)

// Where a key is from.
const (
	FromBuiltIn  = "built in" // it came with the program
	FromSettings = "settings" // the file of recursion.trust_anchors names it
	FromZone     = "followed" // its zone showed it, signed by keys that were trusted
)

// NegativeAnchorStatus is a zone that is not validated although an anchor is above it.
type NegativeAnchorStatus struct {
	Zone  string    `json:"zone"`
	Until time.Time `json:"until,omitzero"` // zero: it has no end
	Ended bool      `json:"ended"`          // so that the zone is validated again
}

// LocalRootStatus is how the copy of the root zone is that is asked in place of the root servers (RFC 8806).
type LocalRootStatus struct {
	State     string    `json:"state"`  // off, empty (there is none yet, or none that can be used), serving or expired; the root servers are asked unless it is serving
	Source    string    `json:"source"` // the server that gave it or said that it is current, or the file; "": there is none
	Serial    uint32    `json:"serial"`
	Records   int       `json:"records"`
	Signed    bool      `json:"signed"`             // its keys and SOA record are secure by the trust anchors
	Digest    bool      `json:"digest"`             // its ZONEMD record fits (RFC 8976)
	Confirmed time.Time `json:"confirmed,omitzero"` // when it was last known to be current; zero: that is not known
	Expires   time.Time `json:"expires,omitzero"`   // from when it is not used
	Next      time.Time `json:"next,omitzero"`      // when the next look is
	Error     string    `json:"error"`              // of the last attempt, if it failed; else ""
	Warning   string    `json:"warning"`            // what should be known of a copy although it is used; else ""
}

// SettingsStatus is where the settings come from and whether the last attempt to read them went well.
type SettingsStatus struct {
	Source string    `json:"source"` // the file, or "built in"
	Loaded time.Time `json:"loaded"` // when what serves now was read
	Error  string    `json:"error"`  // of the last reload, if the settings from before it still serve; else ""

	// Restart are the settings that were different in the file at the last reload, and wait for a restart.
	Restart []string `json:"restart"`
}

// ListenerStatus is one address that is served.
type ListenerStatus struct {
	Protocol string `json:"protocol"` // udp, tcp, admin, ...
	Address  string `json:"address"`
}

// QueryStatus counts since the start.
type QueryStatus struct {
	Total    uint64 `json:"total"`
	Hits     uint64 `json:"hits"`     // answered from cache
	Stale    uint64 `json:"stale"`    // answered from expired entries
	Failures uint64 `json:"failures"` // answered SERVFAIL
	Refused  uint64 `json:"refused"`  // turned away: not in access.allow, or over limits.client_rate
	Upstream uint64 `json:"upstream"` // questions asked to servers
	Jobs     int    `json:"jobs"`     // resolutions in flight now
}

// CacheStatus is how full the cache is.
type CacheStatus struct {
	Entries  int64 `json:"entries"`
	Bytes    int64 `json:"bytes"`
	Capacity int64 `json:"capacity"` // bytes
}

// Status is the answer of /api/v1/status.
type Status struct {
	NodeStatus
	Now    time.Time              `json:"now"` // on the node's clock
	Health telemetry.HealthReport `json:"health"`
	// Crashes are the signatures known, the last seen first, at most telemetry.MaxCrashReports, those of earlier processes included.
	Crashes []telemetry.Crash `json:"crashes"`
}

// Alive is the answer of /healthz.
type Alive struct {
	Alive bool `json:"alive"`
}
