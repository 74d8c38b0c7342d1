package plugin_test

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/plugin"
)

// deadline is a context that ends after it was looked at so often, which a call does each 500,000 units of fuel.
type deadline struct {
	context.Context
	left atomic.Int64
}

func (d *deadline) Err() error {
	if d.left.Add(-1) >= 0 {
		return nil
	}
	return context.DeadlineExceeded
}

// A call that is ended since nobody waits for it any more is held against the module if it has spent the time itself, and not if others have: those whom it asked, or who had the processor.
func TestSlowModulesAreTakenOut(t *testing.T) {
	for _, c := range []struct {
		name, guest, query string
		slices             int64
		out                bool
	}{
		{"it runs", "hostile", "spin.test.", 240, true},
		{"it ran for a moment", "hostile", "spin.test.", 20, false},
		{"it asks", "asks", "many.test.", 1, false},
	} {
		b := newBench(t)
		use := plugin.Plugin{Module: c.guest, Phase: plugin.PhaseQuery}
		manifest := onQuery
		if c.guest == "asks" {
			use.Grant, manifest = []string{"resolve"}, onQuery+"needs: [resolve]\n"
		}
		table, err := plugin.Compile([]plugin.Module{{Name: c.guest, File: "f", Limits: plugin.Limits{Fuel: 1_000_000_000, HostCalls: 1_000_000}}}, nil, []plugin.Plugin{use}, filesOf(func(string) []byte { return guest(t, c.guest, manifest) }))
		if err != nil {
			t.Fatal(err)
		}
		chain, err := b.Load(t.Context(), table, nil)
		if err != nil {
			t.Fatal(err)
		}
		owner := name(t, c.query)
		for range 10 {
			q := queryOf(owner, dns.TypeA)
			q.Resolve = func(dns.Name, dns.Type) (*plugin.Reply, error) { return new(plugin.Reply), nil }
			ctx := &deadline{Context: t.Context()}
			ctx.left.Store(c.slices)
			chain.Query(ctx, 0, q, owner, nil)
			if ctx.left.Load() >= 0 {
				t.Errorf("%s: the call was over before its time was", c.name)
			}
		}
		if out := chain.State() != 0; out != c.out || out != (len(b.alarms) == 1) || out != (b.Faults() == 10) {
			t.Errorf("%s: it was taken out: %v; %d faults, %q", c.name, out, b.Faults(), b.alarms)
		}
		chain.Release()
	}
}

// Calls that wait for answers leave instances to others, and no client has them all.
func TestWaitingCallsLeaveRoom(t *testing.T) {
	b := newBench(t)
	table, err := plugin.Compile([]plugin.Module{{Name: "asks", File: "f", Limits: plugin.Limits{Instances: 8}}}, nil, []plugin.Plugin{{Module: "asks", Phase: plugin.PhaseQuery, Grant: []string{"resolve"}}},
		filesOf(func(string) []byte { return guest(t, "asks", onQuery+"needs: [resolve]\n") }))
	if err != nil {
		t.Fatal(err)
	}
	chain, err := b.Load(t.Context(), table, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer chain.Release()
	asking, answer := make(chan struct{}), make(chan struct{})
	ask := func(label string, client byte) plugin.Verdict {
		owner := name(t, label+".test.")
		q := queryOf(owner, dns.TypeA)
		q.Client = netip.AddrFrom4([4]byte{192, 0, 2, client})
		q.Resolve = func(dns.Name, dns.Type) (*plugin.Reply, error) {
			asking <- struct{}{}
			<-answer
			return new(plugin.Reply), nil
		}
		v, _ := chain.Query(t.Context(), 0, q, owner, nil)
		return v
	}
	var all sync.WaitGroup
	wait := func(client byte) {
		all.Go(func() {
			if v := ask("ask", client); v.Action != plugin.Answer {
				t.Errorf("a call that waited: %v", v)
			}
		})
		<-asking
	}
	for range 3 { // half of three quarters of eight
		wait(1)
	}
	if v := ask("ask", 1); v.Action != plugin.Refuse {
		t.Errorf("one more of one client: %v, and not that it is too much", v)
	}
	for range 3 {
		wait(2)
	}
	if v := ask("ask", 3); v.Action != plugin.Refuse {
		t.Errorf("one more of all: %v, and not that it is too much", v)
	}
	if v := ask("other", 3); v.Action != plugin.GoOn || v.Failed {
		t.Errorf("a call that asks nothing: %v", v)
	}
	close(answer)
	all.Wait()
}

// A module of phase answer that is declared pure and is not is found out as one of phase query is.
func TestImpureOfAnswers(t *testing.T) {
	b := newBench(t)
	files := map[string][]byte{"flips": guest(t, "flips", onAnswer+isPure)}
	use := plugin.Plugin{Module: "flips", Phase: plugin.PhaseAnswer}
	c := b.chain(files, nil, use)
	owner := name(t, "x.test.")
	for range 2000 { // an even one is repeated, of which a fresh instance says another thing
		c.Answer(t.Context(), 0, queryOf(owner, dns.TypeA), owner, new(plugin.Reply), nil)
	}
	if len(b.alarms) != 1 || !strings.Contains(b.alarms[0], "declared pure") {
		t.Fatalf("%q", b.alarms)
	}
	<-b.changed
	if next := b.chain(files, c, use); next.Keeps() || !c.Keeps() {
		t.Error("what passes it is still kept")
	}
}
