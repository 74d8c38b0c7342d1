package recurse

import (
	"github.com/ananas-edge/ananas/nameserver/dnssec"
	"github.com/ananas-edge/ananas/telemetry"
)

// metrics are the resolver's instruments, resolved once.
type metrics struct {
	upstreamUDP, upstreamTCP *telemetry.Counter
	unmatched, spoofed       *telemetry.Counter
	malformed                *telemetry.Counter
	failures, cachedFailures *telemetry.Counter
	stale, prefetches        *telemetry.Counter
	panics                   *telemetry.Counter
	tcpConnections           *telemetry.Counter
	limits                   *telemetry.CounterVec
	priming                  *telemetry.CounterVec
	jobSeconds               *telemetry.Histogram
	dnssec                   *dnssec.Metrics
	validated                *telemetry.CounterVec
	denied, expanded         *telemetry.Counter
	reports                  *telemetry.CounterVec
}

func newMetrics(t *telemetry.Metrics, r *Resolver) *metrics {
	upstream := t.CounterVec("ananas_recurse_upstream_questions_total", "Questions sent to name servers, by transport.", "transport")
	m := &metrics{
		upstreamUDP:    upstream.With("udp"),
		upstreamTCP:    upstream.With("tcp"),
		unmatched:      t.Counter("ananas_recurse_unmatched_replies_total", "UDP packets from name servers, or in their name, that match no question under way."),
		spoofed:        t.Counter("ananas_recurse_suspect_questions_total", "Questions asked again over TCP because of replies that looked forged."),
		malformed:      t.Counter("ananas_recurse_malformed_replies_total", "Replies that could not be parsed."),
		failures:       t.Counter("ananas_recurse_failures_total", "Resolutions that came to nothing."),
		cachedFailures: t.Counter("ananas_recurse_cached_failures_total", "Questions answered from the memory of failures (RFC 9520)."),
		stale:          t.Counter("ananas_recurse_stale_answers_total", "Answers given after their TTL had run out (RFC 8767)."),
		prefetches:     t.Counter("ananas_recurse_prefetches_total", "Answers asked for anew before they expire."),
		panics:         t.Counter("ananas_recurse_panics_total", "Resolutions ended by a fault of the program."),
		tcpConnections: t.Counter("ananas_recurse_tcp_connections_total", "TCP connections opened to name servers."),
		limits:         t.CounterVec("ananas_recurse_limits_total", "Times that a limit of recursion was hit, by its name.", "limit"),
		priming:        t.CounterVec("ananas_recurse_priming_total", "Primings of the root, by result (RFC 9609).", "result"),
		dnssec:         dnssec.NewMetrics(t),
		validated:      t.CounterVec("ananas_recurse_validated_total", "RRsets and denials that were validated, by result.", "result"),
		expanded:       t.Counter("ananas_recurse_synthesized_wildcards_total", "Answers given from cached wildcards and the proofs of others, without a question (RFC 8198 section 5.3)."),
		denied:         t.Counter("ananas_recurse_synthesized_denials_total", "Denials given from the proofs of others, without a question (RFC 8020, RFC 8198)."),
		reports:        t.CounterVec("ananas_recurse_reports_total", "Failures reported to the agents of zones (RFC 9567), or left out.", "result"),
		jobSeconds:     t.Histogram("ananas_recurse_job_seconds", "Time that resolutions took that were not answered from the cache."),
	}
	for _, name := range limitNames {
		m.limits.With(name) // 0, so that the first one is a change
	}
	t.GaugeFunc("ananas_recurse_trusts", "Zones whose keys, or lack of them, are remembered.", func() float64 { return float64(r.trusts.len()) })
	t.GaugeFunc("ananas_recurse_jobs", "Resolutions under way.", func() float64 { return float64(r.flight.len()) })
	return m
}

// limitNames are all limits that are counted.
var limitNames = [...]string{
	"additional_looks", "additional_octets", "addresses", "ahead", "answer_size", "attempts", "cname_depth", "delegation_depth", "failures", "glueless", "group_jobs",
	"hash_blocks", "job_depth", "jobs", "ns_names", "query_time", "reports", "server_fetches", "servers", "sockets", "tcp_connections", "trusts", "upstream_questions",
	"zone_fetches",
}

func (m *metrics) upstream(tcp bool) *telemetry.Counter {
	if tcp {
		return m.upstreamTCP
	}
	return m.upstreamUDP
}
