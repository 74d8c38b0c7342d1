package dataset

import "fmt"

// Limits bound what a list may cost to read, to build and to hold. The zero value of each stands for its default.
type Limits struct {
	// Entries is how many names and prefixes a list may have, duplicates included. 10,000,000: twice the largest lists in use. While a name is built
	// it takes its text twice, 16 octets, and its compiled form twice, so 5,000,000 names of 20 octets are built in 410 MB and held in 97. A prefix
	// takes 24 octets and, as a slice grows, up to as much again.
	Entries int

	// Source is how many octets of text a list may have. 512 MiB: 10,000,000 lines of "0.0.0.0 " and a name of 20 octets are 290. The names of a list
	// are never longer than its text, and no name takes more than twice its text and four octets more in the compiled form, so 32 bits are enough to
	// point into it.
	Source int64

	// Line is how many octets a line may have, and a record of a zone file over all its lines. 4,096: a name with all its octets escaped has 1,016.
	Line int
}

// The defaults, and the most that the compiled form can hold.
const (
	DefaultEntries = 10_000_000
	DefaultSource  = 512 << 20
	DefaultLine    = 4096

	maxEntries = 50_000_000
	maxSource  = 1 << 30 // 2 × 1 GiB and 4 × 50,000,000 octets are below 1 << 32
	maxLine    = 1 << 20
)

func (l Limits) withDefaults() (Limits, error) {
	if l.Entries == 0 {
		l.Entries = DefaultEntries
	}
	if l.Source == 0 {
		l.Source = DefaultSource
	}
	if l.Line == 0 {
		l.Line = DefaultLine
	}
	if l.Entries < 0 || l.Entries > maxEntries || l.Source < 0 || l.Source > maxSource || l.Line < 64 || l.Line > maxLine {
		return l, fmt.Errorf("limits of a data set: entries may be 1 to %d, octets of source 1 to %d, octets of a line 64 to %d", maxEntries, maxSource, maxLine)
	}
	return l, nil
}

// LimitError says that a list is larger than it may be.
type LimitError struct {
	What  string // entries, octets, octets in a line
	Limit int64
	Line  int // that went over it
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("line %d: more than %d %s", e.Line, e.Limit, e.What)
}

// Hint tells what to do now.
func (e *LimitError) Hint() string {
	if e.What == inLine {
		return "see whether this is a list with one entry a line; a line that long is none"
	}
	return "split the list, or raise the limit for data sets if the nodes have the memory"
}

const (
	ofEntries = "entries"
	ofSource  = "octets"
	inLine    = "octets in a line"
)
