// Package settings is the tree of all settings: one file, two parts.
//
// The part `node` belongs to one machine and is read when it starts. The part `settings` is the same on all nodes and is swapped in live; its
// sections are the packages' own Settings types, put together here and nowhere else. Start with [File]: [Open] and [Parse] read
// one, [Default] is the one of a node that has no file, [File.Compile] makes the tables that queries take, and [Check] does all
// of it dry.
//
// The part `settings` has a second form: keys and documents, as a store holds them. [File.Entries] takes a file apart into those that its author wrote, and
// [Assemble] makes a file of them, with the defaults of this release for the others. Segments of keys are those of docs/settings.md, lists of sections have a
// key for each entry, and what a setting names a file for travels as its content. [Compare] tells two such maps apart.
//
// A file that is wrong is never used in part: each of these returns either something whole or an error that tells everything
// that is wrong, with line, cause and mend (see internal/strictyaml). docs/settings.md lists every key; a test holds it against
// the types.
package settings

import (
	"net/netip"
	"time"

	"github.com/ananas-edge/ananas/internal/namedfile"
	"github.com/ananas-edge/ananas/internal/strictyaml"
	"github.com/ananas-edge/ananas/listen"
	"github.com/ananas-edge/ananas/nameserver"
	"github.com/ananas-edge/ananas/nameserver/cache"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/nameserver/recurse"
	"github.com/ananas-edge/ananas/rollout"
)

// File is one file, decoded. It is read-only once it was parsed.
type File struct {
	Node     Node      `yaml:"node"`
	Settings *Settings `yaml:"settings"`

	name string // as it was given, for messages; "" if there is none
	doc  *strictyaml.Document

	disk     *namedfile.Disk              // reads the files that the part settings names; nil: what it reads it does not remember
	carried  map[string]*namedfile.File   // those that came along, by the names there; nil: they are on the disk
	blobs    map[[32]byte]*namedfile.File // those that came as blobs, by their SHA-256
	assembly *assembly                    // of a file that was put together from keys; else nil
}

// Node is what holds for one machine. A change of any of it needs a restart.
type Node struct {
	// Name tells nodes apart, in `ananas status`, id.server CH TXT and NSID (RFC 5001); "" is the name of the host, and no NSID.
	Name string `yaml:"name"`

	// Data is the folder for the admin token, crash reports and what is known of trust anchors, later the store. It is made if it is not there.
	Data string `yaml:"data"`

	// Cache is the memory that cached records take in all, fixed at the start. At 220 octets a name 256 MiB hold 1.2 million signed names.
	Cache strictyaml.Bytes `yaml:"cache" min:"1MiB" max:"128GiB"`

	Listen  Listen     `yaml:"listen"`
	Limits  NodeLimits `yaml:"limits"`
	Testing Testing    `yaml:"testing"`
	Store   Store      `yaml:"store"`

	// PProf serves Go's profiles under /debug/pprof/ of the admin address. They show what the node is working on, so it is off.
	PProf bool `yaml:"pprof"`
}

// Listen is where a node answers. Port 0 takes a free one.
type Listen struct {
	DNS   []netip.AddrPort `yaml:"dns" items:"1"`                                                         // UDP and TCP
	TLS   []netip.AddrPort `yaml:"tls" later:"remove it, or leave the list empty; clients can use dns"`   // DoT, RFC 7858
	HTTPS []netip.AddrPort `yaml:"https" later:"remove it, or leave the list empty; clients can use dns"` // DoH, RFC 8484
	QUIC  []netip.AddrPort `yaml:"quic" later:"remove it, or leave the list empty; clients can use dns"`  // DoQ, RFC 9250
	Admin netip.AddrPort   `yaml:"admin" none:"true"`                                                     // API and metrics; "" is nowhere

	// Loops is how many sockets, each with its loop, share an address for UDP (Linux). 0 is one for each processor that the node may use. Sockets of socket
	// activation have one loop each.
	Loops int `yaml:"loops" min:"0" max:"1024"`

	// Spin is how long a loop looks for the next query before it sleeps (Linux). It spares that query the 30 us that waking up takes, at the price of up to a
	// whole processor for each loop, while queries come at least that often. One processor is left to the rest, so on a machine with one it has no
	// effect. 1 ms is where queries that come 1,000 times a second still keep it spinning.
	Spin time.Duration `yaml:"spin" min:"0s" max:"1ms"`
}

// NodeLimits bound what clients can take of this machine's sockets. The rest of them is in the part `settings`.
type NodeLimits struct {
	// TCPConnections is how many connections of clients may be open. One takes about 20 KiB: 20 MiB. When full, the one that is idle
	// longest is closed for a new one.
	TCPConnections int `yaml:"tcp_connections" min:"1" max:"1000000"`

	// TCPPerClient is how many of them one client may have: an IPv4 address, or the /64 of an IPv6 address. An eighth of all, so that it
	// takes more than seven clients to shut out the others.
	TCPPerClient int `yaml:"tcp_per_client" min:"1" max:"1000000"`

	// TCPIdle is how long a connection may be open without a query (RFC 7766 section 6.2.3). It shrinks as connections run short.
	TCPIdle time.Duration `yaml:"tcp_idle" min:"1s" max:"1h"`
}

// Testing is for tests alone: a node that runs on other time than the world's must not serve it, and says so in its log and
// /readyz.
type Testing struct {
	// Clock is the wall time at the start of the node. It goes on from there.
	Clock time.Time `yaml:"clock"`

	// OffsetFile is a file with a number of seconds that is added to the time, read at each use. Where it shrinks, the wall clock is set back, and
	// TTLs go on from where they are.
	OffsetFile string `yaml:"offset_file"`
}

// Active tells whether the node runs on other time than the world's.
func (t Testing) Active() bool { return !t.Clock.IsZero() || t.OffsetFile != "" }

// Settings is what is the same on all nodes.
type Settings struct {
	Recursion recurse.Settings            `yaml:"recursion"`
	Cache     cache.Settings              `yaml:"cache"`
	Stub      []recurse.Stub              `yaml:"stub"`
	Forward   []recurse.Forward           `yaml:"forward"`
	Groups    []recurse.Group             `yaml:"groups"`
	Tenants   []nameserver.Tenant         `yaml:"tenants"`
	Views     []nameserver.View           `yaml:"views"`
	Access    nameserver.AccessSettings   `yaml:"access"`
	Limits    nameserver.Limits           `yaml:"limits"`
	Sampling  nameserver.SamplingSettings `yaml:"sampling"`
	Rollout   rollout.Settings            `yaml:"rollout"`
	Modules   []plugin.Module             `yaml:"modules"`
	Data      []plugin.Data               `yaml:"data"`
	Plugins   []plugin.Plugin             `yaml:"plugins"`
}

// Default returns the file of a node that has none: a recursive resolver for this machine. Relative file names are
// relative to the working folder.
func Default() *File {
	l := listen.DefaultLimits()
	return &File{
		Node: Node{
			Data:  "./ananas-data",
			Cache: 256 << 20,
			Listen: Listen{
				DNS:   []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:5335")}, // 5353 is mDNS's
				Admin: netip.MustParseAddrPort("127.0.0.1:8053"),
			},
			Limits: NodeLimits{TCPConnections: l.Connections, TCPPerClient: l.PerClient, TCPIdle: l.Idle},
		},
		Settings: &Settings{
			Recursion: recurse.Defaults(),
			Cache:     cache.Defaults(),
			Access:    nameserver.AccessDefaults(),
			Limits:    nameserver.LimitDefaults(),
			Sampling:  nameserver.SamplingDefaults(),
			Rollout:   rollout.Defaults(),
		},
		doc: &strictyaml.Document{},
	}
}
