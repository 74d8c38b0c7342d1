package feed

import (
	"sync"

	"github.com/ananas-edge/ananas/store"
)

// keptFrames is how many frames of records are kept for other followers, of 64 KiB each at most where records are no larger: followers that keep up ask for the last one, those that come back
// after an outage for some in a row.
const keptFrames = 64

// recordFrame is the frames of some records, ready to be sent to all who may read the same.
type recordFrame struct {
	after, last store.Version
	access      [32]byte
	lineage     store.Lineage
	octets      []byte
}

// frames puts records into frames, each once.
type frames struct {
	m    *sourceMetrics
	mu   sync.Mutex
	kept []*recordFrame // the newest last
}

// after returns the frame of the records after a version; nil if there are none.
func (f *frames) after(c Copy, v store.Version, access Access) (*recordFrame, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	class, lineage := access.Fingerprint(), c.View().Head().Lineage
	for i := len(f.kept) - 1; i >= 0; i-- {
		if k := f.kept[i]; k.after == v && k.access == class && k.lineage == lineage {
			return k, nil
		}
	}
	records, err := c.Records(v, batchBytes)
	if err != nil || len(records) == 0 {
		return nil, err
	}
	if c.View().Head().Lineage != lineage {
		return nil, nil // another lineage began in between: the session finds out
	}
	out := &recordFrame{after: v, access: class, lineage: lineage}
	var body []byte
	for _, r := range records {
		if len(body) > batchBytes {
			break
		}
		body = appendRecord(body, r.For(access.Readable))
		out.last = r.Version
	}
	out.octets = appendFrames(make([]byte, 0, len(body)+frameHeader*(1+len(body)/batchBytes)), body)
	f.m.encodings.Inc()
	if f.kept = append(f.kept, out); len(f.kept) > keptFrames {
		f.kept = append(f.kept[:0], f.kept[1:]...)
	}
	return out, nil
}
