package node

import (
	"context"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/lab"
	"github.com/ananas-edge/ananas/nameserver"
	"github.com/ananas-edge/ananas/nameserver/cache"
	"github.com/ananas-edge/ananas/nameserver/recurse"
	"github.com/ananas-edge/ananas/telemetry"
)

// rolling is a zone below no other anchor that announces a key, rolls to it 40 days later, revokes the old one, and shows it no more.
const rolling = `
[defaults]
latency 20ms
[zone corp keys=split servers=192.0.2.1]
www A 192.0.2.80
[zone corp keys=split publish=1 from=24h servers=192.0.2.1]
www A 192.0.2.80
[zone corp keys=split key=1 revoke=0 from=1000h servers=192.0.2.1]
www A 192.0.2.80
[zone corp keys=split key=1 from=2000h servers=192.0.2.1]
www A 192.0.2.80
[zone thief keys=split servers=192.0.2.2]
www A 192.0.2.81
[zone thief keys=split publish=1 from=24h until=480h servers=192.0.2.2]
www A 192.0.2.81
[zone thief keys=split key=1 from=1000h servers=192.0.2.2]
www A 192.0.2.81
`

// follower is what of a node follows trust anchors, on the lab's network and fake time. It is opened anew to stand for a restart.
type follower struct {
	t       *testing.T
	network recurse.Network
	base    *nameserver.Table
	state   string
	start   time.Time
	node    *Node

	ahead    atomic.Int64 // of the wall clock, in nanoseconds
	earliest time.Time
	log      strings.Builder
}

func (f *follower) open() {
	n := &Node{metrics: telemetry.NewMetrics(), health: telemetry.NewHealth()}
	n.log = slog.New(slog.NewTextHandler(&f.log, nil))
	n.clock = recurse.Clock{Boot: func() time.Duration { return time.Since(f.start) }, Wall: func() time.Time { return time.Now().Add(time.Duration(f.ahead.Load())) }}
	n.crashes = telemetry.NewCrashes(f.t.TempDir(), n.metrics, n.log, time.Now)
	var err error
	if n.cache, err = cache.New(cache.Config{Bytes: 4 << 20, Now: n.clock.Boot, Seed: 1, Metrics: n.metrics}); err != nil {
		f.t.Fatal(err)
	}
	n.resolver = recurse.New(recurse.Config{
		Network: f.network, Clock: n.clock, Earliest: f.earliest, Random: newRandom(), Cache: n.cache, Limits: f.base.Recursion.Limits, Metrics: n.metrics, Log: n.log,
	})
	n.anchors = newAnchors(n, f.state)
	table := n.anchors.configure(f.base)
	n.server = nameserver.New(nameserver.Config{Resolver: n.resolver, Clock: n.clock, Random: newRandom(), Table: table, Metrics: n.metrics, Log: n.log})
	n.anchors.serve(n.server)
	f.node = n
}

func (f *follower) close() {
	f.node.anchors.close()
	f.node.server.Close()
	f.node.resolver.Close()
	if err := f.node.cache.Close(); err != nil {
		f.t.Error(err)
	}
}

// is fails unless a name of the zone has this security, and its keys are in these states.
func (f *follower) is(zone, security, states string) {
	f.t.Helper()
	q := dns.Question{Name: dns.MustParseName("www." + zone), Type: dns.TypeA, Class: dns.ClassINET}
	a, _ := f.node.resolver.Resolve(context.Background(), q, recurse.Opts{Table: f.node.server.Table().Recursion})
	if got := a.Security.String(); got != security {
		f.t.Errorf("after %v: www.%s is %s, not %s: %v", time.Since(f.start), zone, got, security, a.EDEs)
	}
	var got []string
	f.node.anchors.mu.Lock()
	defer f.node.anchors.mu.Unlock()
	for _, k := range f.node.anchors.zones[dns.MustParseName(zone)].point.Keys {
		got = append(got, k.State.String())
	}
	if g := strings.Join(got, " "); g != states {
		f.t.Errorf("after %v: the keys of %s are %q, not %q", time.Since(f.start), zone, g, states)
	}
}

// A zone rolls its key in the time that RFC 5011 gives, and validates before, in between and after, though the settings still name the old one and
// the node is started anew now and then. A key that is announced for 19 days only is not trusted, though it signs the zone later.
func TestKeysRollOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFollower(t, rolling, "corp 192.0.2.1", "thief 192.0.2.2")
		wait := func(until time.Duration) {
			<-time.After(until - time.Since(f.start))
			synctest.Wait()
		}
		f.open()
		wait(2 * time.Minute)
		f.is("corp", "secure", "valid")
		wait(72 * time.Hour)
		f.is("corp", "secure", "valid addpend")
		f.is("thief", "secure", "valid addpend")
		f.close()
		f.open() // what was counted of the month is not lost
		wait(600 * time.Hour)
		f.is("corp", "secure", "valid addpend")
		f.is("thief", "secure", "valid")
		wait(900 * time.Hour)
		f.is("corp", "secure", "valid valid")
		wait(1100 * time.Hour)
		f.is("corp", "secure", "revoked valid")
		f.is("thief", "bogus", "valid")
		f.close()
		f.open()
		wait(3000 * time.Hour)
		f.is("corp", "secure", "removed valid")
		text := f.node.anchors.warning()
		if !strings.Contains(text, "the keys of thief. were not seen for") || strings.Contains(text, "corp.") {
			t.Errorf("the warning is %q", text)
		}
		f.close()
		for _, want := range []string{"trust anchor announced", "trust anchor trusted", "trust anchor revoked", "trust anchor removed"} {
			if !strings.Contains(f.log.String(), want) {
				t.Errorf("the log does not say %q:\n%s", want, f.log.String())
			}
		}
	})
}

// newFollower makes the world and its settings: each of anchored is a zone whose keys are trust anchors, and the address of its server.
func newFollower(t *testing.T, text string, anchored ...string) *follower {
	t.Helper()
	world, err := lab.ParseWorld(text)
	if err != nil {
		t.Fatal(err)
	}
	l, err := lab.New(lab.Config{Seed: 1, World: world})
	if err != nil {
		t.Fatal(err)
	}
	network := l.Network()
	t.Cleanup(func() { network.Close() })
	files := map[string]string{"hints": l.RootHints()}
	for _, a := range anchored {
		zone, server, _ := strings.Cut(a, " ")
		files["anchors"] += anchorsOf(t, network, zone, server)
	}
	rs := recurse.Defaults()
	rs.RootHints, rs.TrustAnchors = "hints", "anchors"
	ct, err := cache.Compile(cache.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	rt, err := recurse.Compile(rs, ct, nil, nil, nil, func(name string) ([]byte, error) { return []byte(files[name]), nil })
	if err != nil {
		t.Fatal(err)
	}
	base, err := nameserver.Compile(nameserver.AccessDefaults(), nameserver.LimitDefaults(), nameserver.SamplingDefaults(), nil, nil, rt)
	if err != nil {
		t.Fatal(err)
	}
	return &follower{t: t, network: network, base: base, state: filepath.Join(t.TempDir(), AnchorFile), start: time.Now()}
}

// anchorsOf asks a server of the lab for the keys of a zone, and returns the secure entry points as a zone file.
func anchorsOf(t *testing.T, network recurse.Network, zone, server string) string {
	t.Helper()
	c, err := network.ListenUDP(false, 40000)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	q := dns.Question{Name: dns.MustParseName(zone), Type: dns.TypeDNSKEY, Class: dns.ClassINET}
	if _, err := c.WriteToUDPAddrPort(dns.AppendQuestion(nil, 1, 0, q, 1232, true, nil), netip.MustParseAddrPort(server+":53")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	n, _, err := c.ReadFromUDPAddrPort(b)
	if err != nil {
		t.Fatal(err)
	}
	var m dns.Message
	if err := dns.Parse(b[:n], &m); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, rr := range m.Sections[dns.Answer] {
		if k, err := dns.ParseDNSKEY(rr.Data); rr.Type == dns.TypeDNSKEY && err == nil && k.Flags&1 != 0 {
			out.WriteString(rr.String() + "\n")
		}
	}
	return out.String()
}
