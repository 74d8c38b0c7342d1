package blobs

import "github.com/ananas-edge/ananas/telemetry"

type metrics struct {
	kept, swept, spoilt, diskErrors *telemetry.Counter
	limits                          *telemetry.CounterVec
}

func newMetrics(m *telemetry.Metrics, f *Folder) metrics {
	locked := func(value func() float64) func() float64 {
		return func() float64 {
			f.mu.Lock()
			defer f.mu.Unlock()
			return value()
		}
	}
	m.GaugeFunc("ananas_blobs_held", "Contents of files that are kept as blobs beside the local copy of the store.", locked(func() float64 { return float64(len(f.all)) }))
	m.GaugeFunc("ananas_blobs_bytes", "Octets of the blobs, with what of others has come so far.", locked(func() float64 { return float64(f.total) }))
	return metrics{
		kept:       m.Counter("ananas_blobs_kept_total", "Blobs that were written down whole."),
		swept:      m.Counter("ananas_blobs_swept_total", "Blobs that were removed because no version names them any more."),
		spoilt:     m.Counter("ananas_blobs_spoilt_total", "Blobs whose file was found spoilt and removed; it is asked for anew."),
		diskErrors: m.Counter("ananas_blobs_disk_errors_total", "Errors of the disk under the blobs; what was to be written is tried again."),
		limits:     m.CounterVec("ananas_blobs_limit_reached_total", "Times that a limit of the blobs was reached, by limit: max_blob, max_total, max_count.", "limit"),
	}
}
