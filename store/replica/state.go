package replica

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"

	"github.com/ananas-edge/ananas/store"
)

// format is the number of the form of the file. It stands first in what is read, with a checksum of its own, and keeps its place in all releases. A change of anything
// below takes the next number; the two before it go on being read.
const format = 1

// state is all about a copy that is not an entry or a record. It is one value on disk, written with every change.
type state struct {
	head      store.Head
	hidden    uint64    // entries that this node may not read
	hiddenSum store.Sum // their sum
	floor     store.Version
	logBytes  uint64   // of the records in the log, as they are stored
	own       bool     // commits are made here, by Load
	key       [16]byte // names the node's key under which secrets lie here; zero: none do
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendState appends the form of a state on disk, and its checksum.
//
//	lineage 16, version 8, hash 32, sum 32, time 8, id 16, hidden 8, hidden sum 32, floor 8, octets of the log 8, flags 1, key 16, CRC-32C 4
//
// Numbers are little endian, the time is in microseconds since 1970.
func appendState(b []byte, s *state) []byte {
	from := len(b)
	b = append(b, s.head.Lineage[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(s.head.Version))
	b = append(b, s.head.Hash[:]...)
	b = appendSum(b, s.head.Sum)
	b = binary.LittleEndian.AppendUint64(b, uint64(microseconds(s.head.Time)))
	b = append(b, s.head.ID[:]...)
	b = binary.LittleEndian.AppendUint64(b, s.hidden)
	b = appendSum(b, s.hiddenSum)
	b = binary.LittleEndian.AppendUint64(b, uint64(s.floor))
	b = binary.LittleEndian.AppendUint64(b, s.logBytes)
	var flags byte
	if s.own {
		flags = 1
	}
	b = append(b, flags)
	b = append(b, s.key[:]...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[from:], castagnoli))
}

const stateLength = 16 + 8 + 32 + 32 + 8 + 16 + 8 + 32 + 8 + 8 + 1 + 16 + 4

// parseState reads what appendState wrote.
func parseState(b []byte) (state, error) {
	if len(b) != stateLength {
		return state{}, errors.New("its head has a wrong length")
	}
	if crc32.Checksum(b[:stateLength-4], castagnoli) != binary.LittleEndian.Uint32(b[stateLength-4:]) {
		return state{}, errors.New("its head has a wrong checksum")
	}
	var s state
	number := func() uint64 { v := binary.LittleEndian.Uint64(b); b = b[8:]; return v }
	fixed := func(into []byte) { b = b[copy(into, b):] }
	fixed(s.head.Lineage[:])
	s.head.Version = store.Version(number())
	fixed(s.head.Hash[:])
	for i := range s.head.Sum {
		s.head.Sum[i] = number()
	}
	s.head.Time = timeOf(int64(number()))
	fixed(s.head.ID[:])
	s.hidden = number()
	for i := range s.hiddenSum {
		s.hiddenSum[i] = number()
	}
	s.floor = store.Version(number())
	s.logBytes = number()
	flags := b[0]
	b = b[1:]
	fixed(s.key[:])
	if flags > 1 {
		return state{}, errors.New("its head has unknown flags")
	}
	s.own = flags&1 != 0
	return s, nil
}

func appendSum(b []byte, s store.Sum) []byte {
	for _, lane := range s {
		b = binary.LittleEndian.AppendUint64(b, lane)
	}
	return b
}

// microseconds is the time as it is stored; 0 is none.
func microseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func timeOf(microseconds int64) time.Time {
	if microseconds == 0 {
		return time.Time{}
	}
	return time.UnixMicro(microseconds).UTC()
}

// appendFormat appends the number of the form with its checksum.
func appendFormat(b []byte, n uint32) []byte {
	from := len(b)
	b = binary.LittleEndian.AppendUint32(b, n)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[from:], castagnoli))
}

// parseFormat reads what appendFormat wrote.
func parseFormat(b []byte) (uint32, error) {
	if len(b) != 8 || crc32.Checksum(b[:4], castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return 0, errors.New("the number of its format is spoilt")
	}
	return binary.LittleEndian.Uint32(b), nil
}
