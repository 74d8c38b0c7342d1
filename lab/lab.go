package lab

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

const port = 53

// Config is what a lab is made of. The zero Config is the generated internet of seed 0.
type Config struct {
	Seed  uint64           // of names, addresses, keys, latency, loss and faults
	World *World           // nil: [DefaultWorld]
	Clock func() time.Time // wall time for signatures and cookies; nil: time.Now

	Log        int            // questions to keep for [Lab.Questions]; 0: none
	OnQuestion func(Question) // called with each question, in its client's goroutine; nil: nothing

	Signatures int // signatures kept; 0: 200,000 (at about 150 octets each, 30 MiB)
	Images     int // laid-out replies kept; 0: 50,000 (at about 600 octets each, 30 MiB)
}

const (
	defaultSignatures = 200_000
	defaultImages     = 50_000
)

// Lab is an internet. It does nothing until a carrier ([Lab.Network], [Lab.ServeSockets]) brings it questions. Its methods may be called
// from many goroutines.
type Lab struct {
	world    *World
	seed     seed
	ring     *keyring
	internet *internet              // nil: only written zones
	written  map[dns.Name][]*zone   // variants of one zone in the order of the world file
	servers  map[netip.Addr]*server // those that need no decoding of their address
	root     *zone                  // the first root zone
	phases   []time.Duration        // when written zones come or go, ascending
	count    *counts
	images   *images
}

// server is one address that answers.
type server struct {
	addr    netip.Addr
	draw    seed
	latency time.Duration
	jitter  float64
	loss    float64
	all     bool
	faults  []*fault
	scripts []*script
}

// New makes a lab. It fails if the world contradicts itself.
func New(cfg Config) (*Lab, error) {
	if cfg.World == nil {
		cfg.World = MustParseWorld(DefaultWorld)
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	s := seed(mix(cfg.Seed)).text("lab")
	l := &Lab{
		world: cfg.World, seed: s,
		ring:    newKeyring(s, cfg.Clock, cmp.Or(cfg.Signatures, defaultSignatures)),
		written: map[dns.Name][]*zone{}, servers: map[netip.Addr]*server{},
		count:  newCounts(cfg.Log, cfg.OnQuestion),
		images: &images{kept: newGenerations[imageKey, image](cmp.Or(cfg.Images, defaultImages))},
	}
	if err := l.build(); err != nil {
		return nil, fmt.Errorf("building the lab's world: %w", err)
	}
	return l, nil
}

// images is the store of laid-out replies.
type images struct {
	mu   sync.Mutex
	kept *generations[imageKey, image]
}

func (i *images) get(k imageKey) (image, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.kept.get(k)
}

func (i *images) put(k imageKey, im image) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.kept.put(k, im)
}

// enclosing lists the zones at and above n as the server at that address knows them at that time, the root first.
func (l *Lab) enclosing(n dns.Name, at netip.Addr, since time.Duration) []*zone {
	zones := make([]*zone, 0, 4)
	var up *zone
	for i := range n.Labels() + 1 {
		apex := n.Ancestor(i)
		z := l.writtenAt(apex, at, since)
		if z == nil && l.internet != nil && l.written[apex] == nil {
			z = l.internet.zoneAt(apex, up)
		}
		if z != nil {
			zones = append(zones, z)
			up = z
		}
	}
	return zones
}

// writtenAt returns the variant of a written zone that holds at a server and a time: the last one that names the server, or else the
// last one that names none.
func (l *Lab) writtenAt(apex dns.Name, at netip.Addr, since time.Duration) *zone {
	var found *zone
	for _, z := range l.written[apex] {
		if since < z.from || z.until > 0 && since >= z.until {
			continue
		}
		if len(z.at) == 0 && (found == nil || len(found.at) == 0) || slices.Contains(z.at, at) {
			found = z
		}
	}
	return found
}

// phase counts the times at which written zones came or went.
func (l *Lab) phase(since time.Duration) int {
	n, _ := slices.BinarySearch(l.phases, since+1)
	return n
}

// server returns what answers at an address; nil if nothing does.
func (l *Lab) server(a netip.Addr) *server {
	if s := l.servers[a]; s != nil {
		return s
	}
	if l.internet == nil {
		return nil
	}
	if number, ok := l.internet.serverNumber(a); !ok || !l.internet.hasServer(number) {
		return nil
	}
	s := l.newServer(a)
	s.faults = append(s.faults, l.world.defaults.faults...)
	return s
}

// newServer makes a server with what [defaults] says of every server.
func (l *Lab) newServer(a netip.Addr) *server {
	d := &l.world.defaults
	s := &server{addr: a, draw: l.seed.text(string(a.AsSlice())), jitter: d.jitter, loss: d.loss}
	s.latency = s.drawLatency(d.latency)
	s.faults = slices.Clip(d.every)
	s.scripts = l.scriptsFor(a)
	return s
}

func (s *server) drawLatency(l [2]time.Duration) time.Duration {
	return l[0] + time.Duration(s.draw.with(8).share()*float64(l[1]-l[0]))
}

func (l *Lab) scriptsFor(a netip.Addr) []*script {
	var all []*script
	for _, sc := range l.world.replies {
		if len(sc.servers) == 0 || slices.Contains(sc.servers, a) {
			all = append(all, sc)
		}
	}
	return all
}

// RootHints returns the root's NS set and the addresses of its servers as zone-file text.
func (l *Lab) RootHints() string {
	var b strings.Builder
	ns, _ := l.root.content.node(dns.Root).set(dns.TypeNS)
	for _, host := range targets(ns) {
		fmt.Fprintf(&b, ". 3600000 IN NS %v\n", host)
	}
	for _, host := range targets(ns) {
		for _, set := range l.root.content.glue(host) {
			for _, a := range addressesIn([]dns.RRset{set}) {
				fmt.Fprintf(&b, "%v 3600000 IN %v %v\n", host, set.Type, a)
			}
		}
	}
	return b.String()
}

// RootZone returns the root zone as its servers transfer it at the start, as zone-file text.
func (l *Lab) RootZone() string {
	z := l.root
	sets := z.records()
	if !z.digests.off() {
		sets = append(sets, z.sign(z.digested(), z.apex))
	}
	var b strings.Builder
	for _, rr := range canonicalRecords(sets) {
		fmt.Fprintln(&b, rr)
	}
	return b.String()
}

// TrustAnchors returns the root's DS set as zone-file text; "" if the root is not signed.
func (l *Lab) TrustAnchors() string {
	if l.root.signing.off() {
		return ""
	}
	var b strings.Builder
	for _, d := range l.root.dsData() {
		fmt.Fprintf(&b, ". 86400 IN DS %d %d %d %X\n", uint16(d[0])<<8|uint16(d[1]), d[2], d[3], d[4:])
	}
	return b.String()
}

// Names returns up to n names of hosts that exist in the generated internet, the most popular first, so that a Zipf draw over the
// index makes real-looking traffic. It takes time and memory in proportion to all hosts.
func (l *Lab) Names(n int) []dns.Name {
	if l.internet == nil || n <= 0 {
		return nil
	}
	return l.internet.hostNames(n)
}
