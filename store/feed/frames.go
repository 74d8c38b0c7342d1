package feed

import (
	"sync"

	"github.com/ananas-edge/ananas/store"
)

// keptFrames is how many frames of records are kept for other followers, of 64 KiB each at most where records are no larger: followers that keep up ask for the last one, those that come back
// after an outage for some in a row.
const keptFrames = 64

// keptOctets bounds them where records are larger, which may have 12 MiB: a source of a few large commits keeps the last one or two.
const keptOctets = 16 << 20

// recordFrame is the frames of some records, ready to be sent to all who may read the same.
type recordFrame struct {
	after, last store.Version
	access      [32]byte
	lineage     store.Lineage
	touches     bool // it may change what followers read, and is alone in its frame then
	octets      []byte
}

// frames puts records into frames, each once.
type frames struct {
	m      *sourceMetrics
	mu     sync.Mutex
	kept   []*recordFrame // the newest last
	octets int            // of those
}

// after returns the frame of the records of a lineage after a version; nil if there are none.
func (f *frames) after(c Copy, lineage store.Lineage, v store.Version, access Access) (*recordFrame, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	class := access.Fingerprint()
	for i := len(f.kept) - 1; i >= 0; i-- {
		if k := f.kept[i]; k.after == v && k.access == class && k.lineage == lineage {
			return k, nil
		}
	}
	records, err := c.Records(v, batchBytes)
	if c.View().Head().Lineage != lineage {
		return nil, nil // another lineage has begun: the session finds out
	}
	if err != nil || len(records) == 0 {
		return nil, err
	}
	out := &recordFrame{after: v, access: class, lineage: lineage}
	var body []byte
	for _, r := range records {
		if len(body) > batchBytes {
			break
		}
		if touches(r) {
			if out.last != 0 {
				break
			}
			out.touches = true
		}
		body = appendRecord(body, r.For(access.Readable))
		if out.last = r.Version; out.touches {
			break
		}
	}
	out.octets = appendFrames(make([]byte, 0, len(body)+frameHeader*(1+len(body)/batchBytes)), body)
	f.m.encodings.Inc()
	f.keep(out)
	return out, nil
}

// keep keeps a frame for those who ask next, in the place of the oldest.
func (f *frames) keep(k *recordFrame) {
	f.kept = append(f.kept, k)
	f.octets += cap(k.octets)
	for len(f.kept) > 1 && (len(f.kept) > keptFrames || f.octets > keptOctets) {
		f.octets -= cap(f.kept[0].octets)
		f.kept[0] = nil
		f.kept = f.kept[1:]
	}
}
