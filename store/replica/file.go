package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"

	"github.com/ananas-edge/ananas/store"
)

// Names in the data folder.
const (
	fileName = "replica.db"
	newName  = fileName + ".new" // a snapshot that is being written
	lockName = "replica.lock"

	// brokenKept is how many files that were spoilt are kept: as replica.db.broken-1, the last one, and so on.
	brokenKept = 2
)

// The buckets of the file: two values about the copy, the entries by key, and the records by version (8 octets, big endian).
var (
	bucketMeta    = []byte("meta")
	bucketEntries = []byte("entries")
	bucketLog     = []byte("log")
	keyFormat     = []byte("format")
	keyState      = []byte("state")
)

// guard runs what touches mapped memory. What is spoilt there makes bbolt panic, or the system fault where the disk can't read a page: both become an error.
func guard(path string, do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = &BrokenError{Path: path, Err: fmt.Errorf("bbolt stopped: %v", p)}
		}
	}()
	return do()
}

// openBolt opens a file that was checked, or makes one.
func openBolt(path string) (db *bbolt.DB, err error) {
	err = guard(path, func() error {
		// The list of free pages is written with each commit. Without it bbolt finds them again by a look at all pages, when a file is opened and when a commit has failed, in a
		// goroutine of its own, where what a dying disk does ends the process.
		db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second, FreelistType: bbolt.FreelistMapType, NoStatistics: true})
		return err
	})
	return db, err
}

// closeBolt closes a file. One that is spoilt may have stopped bbolt with its locks held: it is left alone, with its descriptor and address space.
func closeBolt(db *bbolt.DB, broken bool) error {
	if db == nil || broken {
		return nil
	}
	return db.Close()
}

// contents is what a file has.
type contents struct {
	state state
	index index
}

// load reads and checks a file whole. The error is a *BrokenError, a *FormatError, a *KeyError, or one of opening it.
func load(path string, key *sealer) (contents, error) {
	f, err := os.Open(path)
	if err != nil {
		return contents{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return contents{}, err
	}
	c, err := check(f, info.Size(), key)
	var format *FormatError
	var noKey *KeyError
	switch {
	case err == nil:
		return c, nil
	case errors.As(err, &format):
		return c, &FormatError{path, format.Why}
	case errors.As(err, &noKey):
		return c, noKey
	}
	return c, &BrokenError{Path: path, Err: err}
}

// check reads a file of a length whole: the pages, the checksum of each value, the versions of the log without a gap, the sum over all entries against the head.
func check(f io.ReaderAt, length int64, key *sealer) (contents, error) {
	p, err := readPages(f, length)
	if err != nil {
		return contents{}, err
	}
	var (
		c       = contents{index: newIndex()}
		meta    = make(map[string][]byte)
		ed      = c.index.edited(1)
		sum     store.Sum
		version store.Version
		octets  uint64
	)
	begin := func() error {
		n, err := parseFormat(meta[string(keyFormat)])
		if err != nil {
			return err
		}
		if n > format {
			return &FormatError{Why: fmt.Sprintf("its format is %d, and this one reads up to %d", n, format)}
		}
		if n != format || len(meta) != 2 {
			return fmt.Errorf("its format is %d", n)
		}
		if c.state, err = parseState(meta[string(keyState)]); err != nil {
			return err
		}
		if s := c.state; s.key != [16]byte{} && (key == nil || key.name != s.key) {
			return &KeyError{"the secrets in the copy of the store are encrypted with another key than this node has"}
		}
		version = c.state.floor
		return nil
	}
	begun := false
	err = p.buckets([]string{string(bucketMeta), string(bucketLog), string(bucketEntries)}, []found{
		func(_ uint32, k, v []byte) error { meta[string(k)] = append([]byte{}, v...); return nil },
		func(_ uint32, k, v []byte) error {
			if !begun {
				begun = true
				if err := begin(); err != nil {
					return err
				}
			}
			version++
			octets += uint64(len(v))
			return checkStored(version, k, v)
		},
		func(_ uint32, k, v []byte) error {
			if !begun {
				begun = true
				if err := begin(); err != nil {
					return err
				}
			}
			e, err := key.parseEntry(string(k), v)
			if err != nil {
				return err
			}
			if err := store.CheckKey(string(k)); err != nil {
				return err
			}
			ed.put(string(k), e)
			sum.Add(store.DigestOf(string(k), e))
			return nil
		},
	})
	if err == nil && !begun {
		err = begin()
	}
	if err == nil {
		err = p.free()
	}
	if err != nil {
		return contents{}, err
	}
	c.index = ed.index
	switch {
	case version != c.state.head.Version:
		return contents{}, fmt.Errorf("its log ends at version %d, and its head is %d", version, c.state.head.Version)
	case octets != c.state.logBytes:
		return contents{}, fmt.Errorf("its log has %d octets, not %d", octets, c.state.logBytes)
	case sum.Plus(c.state.hiddenSum) != c.state.head.Sum:
		return contents{}, errors.New("the sum of its entries is not that of its head")
	}
	return c, nil
}

// A record is stored with a checksum over its version and all that follows, its time (microseconds, little endian) so that its age is known without reading it, and its form.
const storedHeader = 4 + 8 + 1

// appendStored appends a record as it is stored.
func (s *sealer) appendStored(b []byte, l store.Lineage, r *store.Record) ([]byte, error) {
	from := len(b)
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Time.UnixMicro()))
	secret := ""
	for i := range r.Changes {
		if isSecret(r.Changes[i].Key) {
			secret = r.Changes[i].Key
		}
	}
	if secret == "" {
		b = store.AppendRecord(append(b, plain), r)
	} else {
		if s == nil {
			return nil, errNoKey(secret)
		}
		var err error
		if b, err = s.seal(append(b, sealed), store.AppendRecord(nil, r), sealedRecord(l, r.Version)); err != nil {
			return nil, err
		}
	}
	binary.LittleEndian.PutUint32(b[from:], storedChecksum(r.Version, b[from:]))
	return b, nil
}

func storedChecksum(v store.Version, b []byte) uint32 {
	return crc32.Update(crc32.Checksum(versionKey(v), castagnoli), castagnoli, b[4:])
}

// checkStored says what is wrong with a record as it is stored, by what can be seen from outside.
func checkStored(v store.Version, key, b []byte) error {
	if len(key) != 8 || binary.BigEndian.Uint64(key) != uint64(v) {
		return fmt.Errorf("its log has %x in place of version %d", key, v)
	}
	if len(b) < storedHeader || b[12] > sealed || binary.LittleEndian.Uint32(b) != storedChecksum(v, b) {
		return fmt.Errorf("version %d in its log is spoilt", v)
	}
	return nil
}

// parseStored reads a record. It shares no memory with b.
func (s *sealer) parseStored(l store.Lineage, v store.Version, key, b []byte) (*store.Record, error) {
	if err := checkStored(v, key, b); err != nil {
		return nil, err
	}
	body := b[storedHeader:]
	if b[12] == sealed {
		var err error
		if body, err = s.open(body, sealedRecord(l, v)); err != nil {
			return nil, fmt.Errorf("version %d in its log: %w", v, err)
		}
	} else {
		body = append([]byte{}, body...)
	}
	return store.ParseRecord(body)
}

func storedTime(b []byte) time.Time {
	return time.UnixMicro(int64(binary.LittleEndian.Uint64(b[4:])))
}

func versionKey(v store.Version) []byte { return binary.BigEndian.AppendUint64(nil, uint64(v)) }

// moveAside keeps a spoilt file under another name, and returns it.
func moveAside(dir string) (string, error) {
	path := filepath.Join(dir, fileName)
	name := func(n int) string { return fmt.Sprintf("%s.broken-%d", path, n) }
	for n := brokenKept; n > 1; n-- {
		if err := os.Rename(name(n-1), name(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return name(1), os.Rename(path, name(1))
}
