package replica

import "bytes"

// CheckFile reads a file as Open does, from memory.
func CheckFile(file, key []byte) (*View, error) {
	s, err := newSealer(key, nil)
	if err != nil {
		return nil, err
	}
	c, err := check(bytes.NewReader(file), int64(len(file)), s)
	if err != nil {
		return nil, err
	}
	return &View{state: c.state, index: c.index}, nil
}

// Format is the number of a format as it is stored.
func Format(n uint32) []byte { return appendFormat(nil, n) }

// Syncs tells whether what is written is synced, as it was not while a snapshot was.
func (r *Replica) Syncs() bool { return !r.db.NoSync && !r.db.NoGrowSync }
