package node

import (
	"flag"
	"os"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"

	"github.com/ananas-edge/ananas/store/feed"
	"github.com/ananas-edge/ananas/telemetry"
)

var update = flag.Bool("update", false, "write the table in docs/metrics.md anew instead of comparing with it")

// rootOnly is the file of a node that founds a store.
const rootOnly = `
node:
  name: root1
  data: data
  cache: 4MiB
  listen: { dns: ["127.0.0.1:0"], admin: "127.0.0.1:0" }
  store: { root: "127.0.0.1:0" }
`

const metricsDoc = "../docs/metrics.md"

// docs/metrics.md lists each metric that a running node shows, and no other.
func TestMetricsDocument(t *testing.T) {
	n := newBench(t, rootOnly).start() // which has those of all nodes, but for those of a follower
	feed.NewFollower(feed.FollowerConfig{Metrics: n.metrics})
	if err := n.shared.etcd.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	ask(t, "udp", n.Addrs()[0], query("nobody.example.com", miekg.TypeA)) // what is registered late would be by now
	ask(t, "tcp", n.Addrs()[0], query("nobody.example.com", miekg.TypeA))
	b, err := os.ReadFile(metricsDoc)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	if *update {
		head, _, ok := strings.Cut(text, "| metric |")
		if !ok {
			t.Fatalf("%s has no table", metricsDoc)
		}
		text = head + telemetry.Document(n.metrics)
		if err := os.WriteFile(metricsDoc, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := telemetry.CheckDocument(n.metrics, text); err != nil {
		t.Errorf("%s is stale: go test ./node -run TestMetricsDocument -update\n%v", metricsDoc, err)
	}
}

// Whoever watches sees what clients see.
func TestMetricsCount(t *testing.T) {
	n := newBench(t, plain).start()
	askA(t, n, "www.example.com", "192.0.2.80")
	askA(t, n, "www.example.com", "192.0.2.80")
	ask(t, "tcp", n.Addrs()[0], query("nobody.example.com", miekg.TypeA))
	for series, want := range map[string]string{
		`ananas_nameserver_udp_queries_total`:                         "2",
		`ananas_nameserver_tcp_queries_total`:                         "1",
		`ananas_nameserver_cache_answers_total`:                       "1",
		`ananas_nameserver_udp_answers_total{rcode="NOERROR"}`:        "2",
		`ananas_nameserver_tcp_answers_total{rcode="NXDOMAIN"}`:       "1",
		`ananas_nameserver_udp_answer_seconds_count{rcode="NOERROR"}`: "2",
		`ananas_telemetry_crashes_total`:                              "0",
		`ananas_nameserver_panics_total`:                              "0",
	} {
		if got := metric(t, n, series); got != want {
			t.Errorf("%s is %s, not %s", series, got, want)
		}
	}
	q := n.Status(t.Context()).Queries
	if q.Total != 3 || q.Hits != 1 || q.Failures != 0 || q.Upstream == 0 || q.Jobs != 0 {
		t.Errorf("the status says %+v", q)
	}
}
