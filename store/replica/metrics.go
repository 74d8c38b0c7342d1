package replica

import "github.com/ananas-edge/ananas/telemetry"

// metrics are what a copy counts.
type metrics struct {
	apply      *telemetry.Histogram
	records    *telemetry.Counter
	snapshots  *telemetry.Counter
	diskErrors *telemetry.Counter
	broken     *telemetry.Counter
	moved      *telemetry.Counter
	limits     *telemetry.CounterVec
}

func newMetrics(m *telemetry.Metrics, r *Replica) metrics {
	out := metrics{
		apply:      m.Histogram("ananas_replica_apply_seconds", "Time to check records and to write them to the local copy of the store, one transaction with its sync."),
		records:    m.Counter("ananas_replica_records_total", "Records that were put on the local copy of the store."),
		snapshots:  m.Counter("ananas_replica_snapshots_total", "Snapshots that replaced the local copy of the store."),
		diskErrors: m.Counter("ananas_replica_disk_errors_total", "Errors of the disk under the local copy of the store; the copy stays as it is, and what was to be written is tried again."),
		broken:     m.Counter("ananas_replica_broken_total", "Times that the file of the local copy of the store was found spoilt; a snapshot mends it."),
		moved:      m.Counter("ananas_replica_moved_bytes_total", "Octets of entries that were moved in memory, so that what was replaced around them could be given up."),
		limits:     m.CounterVec("ananas_replica_limit_reached_total", "Times that a limit of the local copy of the store was reached: log_age and log_bytes (records that left the log), max_bytes (what would not fit was refused).", "limit"),
	}
	if r.found != nil {
		out.broken.Inc()
	}
	m.GaugeFunc("ananas_replica_version", "Version of the local copy of the store.", func() float64 { return float64(r.View().Head().Version) })
	m.GaugeFunc("ananas_replica_entries", "Entries in the local copy of the store that this node may read.", func() float64 { return float64(r.View().Len()) })
	m.GaugeFunc("ananas_replica_hidden_entries", "Entries in the store that this node may not read.", func() float64 { return float64(r.View().state.hidden) })
	m.GaugeFunc("ananas_replica_live_bytes", "Octets of keys and documents in memory.", func() float64 { return float64(r.View().index.live) })
	m.GaugeFunc("ananas_replica_used_bytes", "Octets of memory that keys and documents take, with what was replaced and not given up yet.", func() float64 { return float64(r.View().index.used) })
	m.GaugeFunc("ananas_replica_floor_version", "Version after which the log of the local copy goes on.", func() float64 { return float64(r.View().Floor()) })
	m.GaugeFunc("ananas_replica_log_bytes", "Octets of the records in the log of the local copy.", func() float64 { return float64(r.View().state.logBytes) })
	m.GaugeFunc("ananas_replica_log_records", "Records in the log of the local copy.", func() float64 {
		v := r.View()
		return float64(v.Head().Version - v.Floor())
	})
	m.GaugeFunc("ananas_replica_commit_age_seconds", "Time since the last commit that the local copy has; 0 without one.", func() float64 {
		if t := r.View().Head().Time; !t.IsZero() {
			return max(0, r.opt.Now().Sub(t).Seconds())
		}
		return 0
	})
	return out
}
