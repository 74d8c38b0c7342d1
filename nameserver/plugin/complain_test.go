package plugin_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/wasm"
)

// What a module says at its start is told with the error: the last five lines, of 200 octets each. It needs no grant, and it is over when the module has started.
func TestComplaints(t *testing.T) {
	b := newBench(t)
	files := map[string][]byte{"grumbles": guest(t, "grumbles", onQuery+isPure)}
	use := func(how string) plugin.Plugin {
		return plugin.Plugin{Module: "grumbles", Phase: plugin.PhaseQuery, Settings: map[string]string{"how": how}}
	}
	for how, want := range map[string]string{
		"many": `ananas_start: it returned an error: 3; it says "line 4", "line 5", "line 6", "line 7", "not a \"word\""`,
		"long": `ananas_start: it returned an error: 2; it says "` + strings.Repeat("x", 200) + `"`,
		"trap": `; it says "it is too late"`,
	} {
		_, err := b.load(files, nil, use(how))
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v\nwant %s", how, err, want)
		}
		var fault *wasm.Fault
		if errors.As(err, &fault) != (how == "trap") {
			t.Errorf("%s: a fault: %v", how, fault)
		}
		if said := plugin.SaidAtStart(err); len(said) == 0 || len(said) > 5 {
			t.Errorf("%s: %q", how, said)
		}
	}
	chain := b.chain(files, nil, plugin.Plugin{Module: "grumbles", Phase: plugin.PhaseQuery})
	n := name(t, "a.test.")
	if v, fail := chain.Query(t.Context(), 0, queryOf(n, dns.TypeA), n, nil); v.Action != plugin.NXDomain {
		t.Errorf("a complaint in a call: %v", told(v, fail))
	}
	if len(b.logs) > 0 {
		t.Errorf("it is logged: %q", b.logs)
	}
}
