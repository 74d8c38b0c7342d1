package nameserver

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/listen"
	"github.com/ananas-edge/ananas/nameserver/plugin"
)

// A query that a module drops at once gives its place among those that wait back: else each takes one away for good, and when all are gone nothing is resolved any more.
func TestWhatIsDroppedWaitsNoMore(t *testing.T) {
	s, _ := newServed(t)
	s.Swap(s.Table().WithPlugins(newPrograms(t).chain("acts", "phases: [query]\n", "", plugin.Plugin{Phase: plugin.PhaseQuery})))
	sockets, err := listen.Open(listen.Config{DNS: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}, Limits: listen.Limits{InFlight: 2}})
	if err != nil {
		t.Fatal(err)
	}
	sockets.Serve(s)
	defer func() {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := sockets.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	}()
	c, err := net.Dial("udp", sockets.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 5 {
		if _, err := c.Write(asks(t, "drop.example.", true)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Write(asks(t, "www.example.", true)); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	b := make([]byte, 4096)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := text(t, b[:n]); !strings.HasPrefix(got, "NOERROR A ") {
		t.Errorf("after what was dropped, another query is answered %s", got)
	}
}
