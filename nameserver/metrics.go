package nameserver

import (
	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/listen"
	"github.com/ananas-edge/ananas/telemetry"
)

// metrics are the server's instruments, resolved once.
type metrics struct {
	answers [2]*telemetry.CounterVec  // by rcode, an element a transport
	rcodes  [2][24]*telemetry.Counter // those of answers that an answer may have
	seconds [2][]*telemetry.Histogram // by rcode, the last for those above
	octets  [2]*telemetry.Counter
	total   [2]*telemetry.Counter
	hits    *telemetry.Counter

	dropped, refused, truncated, panics, tapsLost *telemetry.Counter
	decided, silenced                             *telemetry.Counter
	accountsGiven                                 *telemetry.Counter
	samples, samplesLost                          *telemetry.Counter
	limits, groups                                *telemetry.CounterVec
}

func newMetrics(t *telemetry.Metrics) *metrics {
	m := &metrics{
		hits:          t.Counter("ananas_nameserver_cache_answers_total", "Queries answered at once from the cache."),
		tapsLost:      t.Counter("ananas_nameserver_taps_lost_total", "Queries that trials of modules were not shown, since they did not keep up."),
		dropped:       t.Counter("ananas_nameserver_dropped_total", "Packets that get no answer: too short, responses themselves, or without a question and over limits.client_rate."),
		decided:       t.Counter("ananas_nameserver_decided_total", "Queries that modules have answered in place of the world: blocked, rewritten, or with records of their own."),
		silenced:      t.Counter("ananas_nameserver_silenced_total", "Queries that modules had no answer given to."),
		refused:       t.Counter("ananas_nameserver_refused_total", "Queries from clients that access.allow does not name."),
		truncated:     t.Counter("ananas_nameserver_truncated_total", "Answers that did not fit into UDP and were sent with TC."),
		panics:        t.Counter("ananas_nameserver_panics_total", "Queries ended by a fault of the program."),
		accountsGiven: t.Counter("ananas_nameserver_rate_accounts_given_total", "Accounts of limits.client_rate that were given to another client while in use."),
		samples:       t.Counter("ananas_nameserver_samples_total", "Queries that were written down as samples."),
		samplesLost:   t.Counter("ananas_nameserver_samples_lost_total", "Samples that were left out because another one was being written or all of them read."),
		limits:        t.CounterVec("ananas_nameserver_limits_total", "Queries turned away by a limit, by its name.", "limit"),
		groups:        t.CounterVec("ananas_nameserver_group_queries_total", "Queries that a module or a view has sent to a group, by its name. Of answers that are given as they were kept only the first counts.", "group"),
	}
	for _, name := range [...]string{"queries", "queries_per_client", "client_time", "client_rate"} {
		m.limits.With(name) // 0, so that the first one is a change
	}
	var rcodes []string
	for rcode := range m.rcodes[0] {
		rcodes = append(rcodes, dns.RCode(rcode).String())
	}
	rcodes = append(rcodes, "other")
	for i, tr := range [...]listen.Transport{listen.UDP, listen.TCP} {
		name := tr.String()
		m.answers[i] = t.CounterVec("ananas_nameserver_"+name+"_answers_total", "Answers over "+name+", by response code.", "rcode")
		for rcode := range m.rcodes[i] {
			m.rcodes[i][rcode] = m.answers[i].With(dns.RCode(rcode).String())
		}
		m.seconds[i] = t.HistogramOf("ananas_nameserver_"+name+"_answer_seconds", "Time from a query to its answer over "+name+", by response code.", "rcode", rcodes...)
		m.total[i] = t.Counter("ananas_nameserver_"+name+"_queries_total", "Queries answered over "+name+".")
		m.octets[i] = t.Counter("ananas_nameserver_"+name+"_answer_bytes_total", "Octets of answers over "+name+".")
	}
	return m
}
