package plugin_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/telemetry"
)

// A module's counters and histograms are on the node's page under its name; what it does wrong with them is told by a result, and it gets no more of them than it may have.
func TestMetricsOfModules(t *testing.T) {
	metrics := telemetry.NewMetrics()
	b := newBenchOf(t, metrics)
	limits := plugin.Limits{Fuel: 1_000_000, HostCalls: 500}
	module := plugin.Module{Name: "measures", File: "measures", Limits: limits}
	source := guest(t, "measures", onQuery+"needs: [metrics]\n")
	table, err := plugin.Compile([]plugin.Module{module}, nil, []plugin.Plugin{{Module: "measures", Phase: plugin.PhaseQuery, Grant: []string{"metrics"}}}, filesOf(func(string) []byte { return source }))
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.Load(t.Context(), table, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Release()
	for _, ask := range []struct {
		name string
		want int // the result of the host's function, without its sign
	}{
		{"count.test.", 0}, {"observe.test.", 0}, {"observe.a.test.", 0}, {"most.test.", 0}, {"again.test.", 0},
		{"below.test.", 7}, {"crossed.test.", 7}, {"swapped.test.", 7}, {"nobody.test.", 7}, {"minus.test.", 7},
		{"unnamed.test.", 7}, {"named.test.", 7}, {"wild.test.", 2},
		{"histograms.test.", 19}, {"counters.test.", 99},
	} {
		n := name(t, ask.name)
		v, fail := c.Query(t.Context(), 0, queryOf(n, dns.TypeA), n, nil)
		if fail != nil || v.Action != plugin.NoData || int(v.TTL) != ask.want {
			t.Errorf("%s: %s, want ttl=%d", ask.name, told(v, fail), ask.want)
		}
	}
	w := httptest.NewRecorder()
	metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	page := w.Body.String()
	for _, line := range []string{ // names of 14 and 16 octets, and one number that is larger than all
		`ananas_module_count_total{module="measures",name="asked"} 2`,
		`ananas_module_observed_bucket{module="measures",name="length",le="10"} 0`,
		`ananas_module_observed_bucket{module="measures",name="length",le="20"} 2`,
		`ananas_module_observed_bucket{module="measures",name="length",le="1e+10"} 2`,
		`ananas_module_observed_bucket{module="measures",name="length",le="+Inf"} 3`,
		`ananas_module_observed_sum{module="measures",name="length"} 9.223372036854776e+18`,
		`ananas_module_observed_count{module="measures",name="length"} 3`,
	} {
		if !strings.Contains(page, line+"\n") {
			t.Errorf("the page has no line %s", line)
		}
	}
	if h, c := strings.Count(page, "ananas_module_observed_count{"), strings.Count(page, "ananas_module_count_total{"); h != 20 || c != 100 {
		t.Errorf("%d histograms and %d counters", h, c)
	}
}
