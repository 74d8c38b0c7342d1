package zone

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/internal/wholefile"
)

// The copy on disk, so that a restart needs no network:
//
//	offset   octets
//	     0       20   "ananas local root 1\n"
//	    20       32   SHA-256 of all that follows
//	    52        8   wall time at which a server last said that this is current, in seconds since 1970, big endian; 0: not known
//	    60       32   SHA-256 of where it came from
//	    92            the records as they came, each in wire form without compression
//
// The checksum is against damage, not against malice: a copy is verified like a transfer before it is used.

const copyMagic = "ananas local root 1\n"

const (
	copySum  = len(copyMagic)
	copyTime = copySum + sha256.Size
	copyFrom = copyTime + 8
	copyHead = copyFrom + sha256.Size
)

// maxCopy bounds the file: a transfer of maxOctets has names that are compressed, to some half.
const maxCopy = 2 * maxOctets

// Reasons not to take a file. They are the ends of sentences about it.
var (
	errCopyMagic  = errors.New("it is none of this release")
	errCopySum    = errors.New("its checksum does not fit: it is damaged")
	errCopyRecord = errors.New("it ends within a record")
	errCopySize   = fmt.Errorf("it would be longer than %d octets", maxCopy)
)

// stored is what the file holds.
type stored struct {
	records   []dns.RR
	confirmed time.Time // zero: not known
	from      [sha256.Size]byte
}

// encodeCopy writes the file.
func encodeCopy(s *stored) ([]byte, error) {
	b := append(make([]byte, 0, 1<<20), copyMagic...)
	b = append(b, make([]byte, sha256.Size+8)...)
	b = append(b, s.from[:]...)
	for i := range s.records {
		rr := &s.records[i]
		b = append(b, rr.Name.Wire()...)
		b = binary.BigEndian.AppendUint16(b, uint16(rr.Type))
		b = binary.BigEndian.AppendUint16(b, uint16(rr.Class))
		b = binary.BigEndian.AppendUint32(b, rr.TTL)
		b = binary.BigEndian.AppendUint16(b, uint16(len(rr.Data)))
		b = append(b, rr.Data...)
		if len(b) > maxCopy {
			return nil, errCopySize
		}
	}
	return sealCopy(b, s.confirmed), nil
}

// sealCopy writes the time and the checksum into the file.
func sealCopy(b []byte, confirmed time.Time) []byte {
	seconds := uint64(0)
	if !confirmed.IsZero() {
		seconds = uint64(confirmed.Unix())
	}
	binary.BigEndian.PutUint64(b[copyTime:], seconds)
	sum := sha256.Sum256(b[copyTime:])
	copy(b[copySum:], sum[:])
	return b
}

// decodeCopy reads what encodeCopy wrote, and nothing else. Record data are slices of b.
func decodeCopy(b []byte) (*stored, error) {
	if len(b) < copyHead || string(b[:copySum]) != copyMagic {
		return nil, errCopyMagic
	}
	if sum := sha256.Sum256(b[copyTime:]); string(sum[:]) != string(b[copySum:copyTime]) {
		return nil, errCopySum
	}
	s := &stored{from: [sha256.Size]byte(b[copyFrom:copyHead])}
	if seconds := int64(binary.BigEndian.Uint64(b[copyTime:])); seconds > 0 {
		s.confirmed = time.Unix(seconds, 0).UTC()
	}
	for off := copyHead; off < len(b); {
		if len(s.records) >= maxRecords {
			return nil, limitRecords
		}
		name, at, err := dns.UnpackName(b, off)
		if err != nil {
			return nil, err
		}
		if at-off != name.Len() || at+10 > len(b) { // compressed, or cut
			return nil, errCopyRecord
		}
		off = at + 10 + int(binary.BigEndian.Uint16(b[at+8:]))
		if off > len(b) {
			return nil, errCopyRecord
		}
		s.records = append(s.records, dns.RR{
			Name: name, Type: dns.Type(binary.BigEndian.Uint16(b[at:])), Class: dns.Class(binary.BigEndian.Uint16(b[at+2:])),
			TTL: binary.BigEndian.Uint32(b[at+4:]), Data: b[at+10 : off : off],
		})
	}
	return s, nil
}

// copyFile is the file; it is replaced whole.
type copyFile struct{ path string }

// load reads the file. A file that is not there is no error, and nothing is returned. What a killed process left half written is removed.
func (c copyFile) load() (*stored, error) {
	wholefile.Sweep(wholefile.OS{}, c.path)
	b, err := readBounded(c.path, maxCopy)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s, err := decodeCopy(b)
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", c.path, err)
	}
	return s, nil
}

// save writes the file.
func (c copyFile) save(s *stored) error {
	b, err := encodeCopy(s)
	if err != nil {
		return fmt.Errorf("writing %q: %w", c.path, err)
	}
	return wholefile.Write(wholefile.OS{}, c.path, b)
}

// confirm writes another time into the file.
func (c copyFile) confirm(at time.Time) error {
	b, err := readBounded(c.path, maxCopy)
	if err != nil {
		return err
	}
	if _, err := decodeCopy(b); err != nil { // a new checksum must not hide damage
		return fmt.Errorf("reading %q: %w", c.path, err)
	}
	return wholefile.Write(wholefile.OS{}, c.path, sealCopy(b, at))
}

// readBounded reads a file of at most limit octets; more are a limit of ours that was hit.
func readBounded(path string, limit int) ([]byte, error) {
	b, err := wholefile.Read(wholefile.OS{}, path, limit)
	var size *wholefile.SizeError
	if errors.As(err, &size) {
		err = &limitError{limitOctets.name, size.Error()}
	}
	return b, err
}
