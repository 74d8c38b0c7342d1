package node

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/nameserver/recurse"
)

// rootless is a network that lets nothing through to the root's servers, but for transfers while they are let.
type rootless struct {
	recurse.Network
	transfers bool
}

var errRootless = errors.New("no route to the root's servers")

func isRoot(a netip.AddrPort) bool { return !netip.MustParsePrefix("192.0.2.0/24").Contains(a.Addr()) }

func (n *rootless) DialTCP(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	if isRoot(to) && !n.transfers {
		return nil, errRootless
	}
	return n.Network.DialTCP(ctx, to)
}

func (n *rootless) ListenUDP(v6 bool, port uint16) (recurse.PacketConn, error) {
	c, err := n.Network.ListenUDP(v6, port)
	if err != nil {
		return nil, err
	}
	return rootlessSocket{c}, nil
}

type rootlessSocket struct{ recurse.PacketConn }

func (s rootlessSocket) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if isRoot(to) {
		return 0, errRootless
	}
	return s.PacketConn.WriteToUDPAddrPort(b, to)
}

const localRoot = `
node: { data: data, cache: 4MiB, listen: { dns: ["127.0.0.1:0"], admin: "127.0.0.1:0" } }
settings:
  recursion:
    root_hints: lab.hints
    trust_anchors: lab.anchors
    local_root: { axfr: [198.41.0.4], zonemd: required }
`

// waitFor waits until something holds.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not after %v", what, patience)
		}
	}
}

// A node holds the root zone, resolves with it where no root server can be asked, and does so again after a restart with no network but that of the
// zones below. /readyz says what to do when it can't be refreshed.
func TestLocalRoot(t *testing.T) {
	b := newBench(t, localRoot)
	b.write("lab.anchors", b.lab.TrustAnchors())
	network := &rootless{b.network, true}
	b.network = network
	n, err := b.tryStart()
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the root zone", n.local.Usable)
	askA(t, n, "www.example.com", "192.0.2.80")
	if got := metric(t, n, `ananas_local_root_state{state="serving"}`); got != "1" {
		t.Errorf("the state is shown as %s", got)
	}
	// Until the copy is on disk, which is after it is in use, the next refresh is the one that is being made.
	waitFor(t, "the time of the next refresh", func() bool { return time.Until(n.Status(t.Context()).LocalRoot.Next) > time.Minute })
	if s := n.Status(t.Context()).LocalRoot; s.State != "serving" || s.Source != "198.41.0.4:53" || s.Serial == 0 || !s.Signed || !s.Digest || s.Error != "" ||
		time.Since(s.Confirmed) > time.Minute || time.Until(s.Expires) < time.Hour {
		t.Errorf("the status is %+v", s)
	}
	if _, page := get(t, n, "/readyz"); strings.Contains(page, "local-root") {
		t.Errorf("/readyz: %s", page)
	}
	if !strings.Contains(b.log.String(), "the root zone is held here") {
		t.Errorf("the log is\n%s", b.log)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}

	network.transfers = false
	n = b.start()
	if !n.local.Usable() {
		t.Fatal("the copy on disk is not used")
	}
	askA(t, n, "www.example.com", "192.0.2.80")
	waitFor(t, "a refresh that comes to nothing", func() bool {
		_, page := get(t, n, "/readyz")
		return strings.Contains(page, "local-root") && strings.Contains(page, errRootless.Error()) && strings.Contains(page, "recursion.local_root.axfr")
	})

	if s := n.Status(t.Context()).LocalRoot; s.State != "serving" || !strings.HasSuffix(s.Source, "local-root.copy") || !strings.Contains(s.Error, errRootless.Error()) {
		t.Errorf("the status is %+v", s)
	}

	// Settings that turn it off have the root's servers asked, who are not there.
	b.write("node.yaml", strings.Replace(localRoot, "local_root", "limits: {} #", 1))
	if r, err := n.Reload(t.Context()); err != nil || len(r.Changed) != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	if n.local.Usable() {
		t.Error("it is still used")
	}
	if s := n.Status(t.Context()).LocalRoot; s != (admin.LocalRootStatus{State: "off"}) {
		t.Errorf("the status is %+v", s)
	}
}

// A file that is not there is no reason not to start. A reload reads it, and says what is wrong with it.
func TestLocalRootFromFile(t *testing.T) {
	b := newBench(t, strings.Replace(localRoot, "axfr: [198.41.0.4]", "file: root.zone", 1))
	b.write("lab.anchors", b.lab.TrustAnchors())
	b.network = &rootless{b.network, false}
	n := b.start()
	if _, page := get(t, n, "/readyz"); !strings.Contains(page, "put the root zone into") {
		t.Errorf("/readyz: %s", page)
	}
	b.write("root.zone", b.lab.RootZone())
	if r, err := n.Reload(t.Context()); err != nil || len(r.Warnings) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if s := n.Status(t.Context()).LocalRoot; s.State != "serving" || s.Source != b.path("root.zone") || s.Error != "" {
		t.Errorf("the status is %+v", s)
	}
	askA(t, n, "www.example.com", "192.0.2.80")
	b.write("root.zone", strings.Replace(b.lab.RootZone(), "192.0.2.1", "192.0.2.66", 1))
	if r, err := n.Reload(t.Context()); err != nil || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "its digest does not fit") {
		t.Errorf("%+v, %v", r, err)
	}
	if !n.local.Usable() {
		t.Error("a file that can't be used has taken the place of the one from before")
	}
	if _, err := os.Stat(b.path("data/local-root.copy")); err == nil {
		t.Error("a copy of the file was made")
	}
}
