package dataset

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
)

// Options tell how a list is read. They are part of what a compiled file is known by.
type Options struct {
	Format   Format // Auto: the first line that is no comment tells
	Value    uint8  // of entries that do not bring one of their own
	Tolerate int    // this many lines that can't be read are left out and counted; one more is an error
	Limits   Limits
}

// Info tells of what a set was made and what was taken of it.
type Info struct {
	Source       [sha256.Size]byte // SHA-256 of the text
	SourceOctets int64
	Asked        Format // as in Options
	Format       Format // that was read
	Value        uint8  // as in Options
	Tolerate     int    // as in Options

	Names         int // in the set: a name whose scopes have two values counts twice
	Prefixes      int // in the set
	Taken         int // entries of the text that are in it
	Skipped       int // entries that are well-formed and none of ours: localhost in a hosts file, SOA, NS and DNSSEC records of a zone
	OtherTriggers int // records of a response policy zone for addresses and name servers, which are not taken
	Duplicates    int // entries that had been listed before; the first one's value stays
	Bad           int // lines that could not be read, and were tolerated

	Notes [noteKinds]Note // of what should be known
}

// counts lists the numbers that the compiled form keeps, in its order.
func (i *Info) counts() [7]*int {
	return [7]*int{&i.Names, &i.Prefixes, &i.Taken, &i.Skipped, &i.OtherTriggers, &i.Duplicates, &i.Bad}
}

// Build reads a list and returns its compiled form, for [Load] or a file. The list is read once, as a stream; memory is bounded by o.Limits. The same
// text and options give the same octets. Errors of the text are [*LineError] and [*LimitError].
func Build(r io.Reader, o Options) ([]byte, Info, error) {
	info := Info{Asked: o.Format, Value: o.Value, Tolerate: o.Tolerate}
	var err error
	if o.Limits, err = o.Limits.withDefaults(); err != nil {
		return nil, info, err
	}
	if o.Format > lastFormat {
		return nil, info, fmt.Errorf("reading a data set: there is no format %d", o.Format)
	}
	c := new(compiler)
	sum := sha256.New()
	if err := read(r, sum, o, c, &info); err != nil {
		return nil, info, fmt.Errorf("reading a data set: %w", err)
	}
	sum.Sum(info.Source[:0])
	names, err := c.compileNames(binary.LittleEndian.Uint64(info.Source[:]))
	if err != nil {
		return nil, info, fmt.Errorf("compiling a data set: %w", err)
	}
	prefixes := len(c.v4) + len(c.v6)
	v4, double4 := flatten(c.v4, 32)
	v6, double6 := flatten(c.v6, 128)
	info.Names = names.kept
	info.Prefixes = prefixes - double4 - double6
	info.Duplicates = names.duplicates + double4 + double6
	info.Taken = c.count + prefixes - info.Duplicates
	h := header{info: info, seed: names.seed, depths: names.depths, deepest: names.deepest, v4: len(v4), v6: len(v6)}
	return assemble(h, [sections][]byte{
		symbolSection: names.table.append(nil),
		bucketSection: names.buckets,
		moreSection:   names.more,
		v4Section:     appendRanges(nil, v4, 4),
		v6Section:     appendRanges(nil, v6, 16),
		noteSection:   appendNotes(nil, &info.Notes),
	}), info, nil
}
