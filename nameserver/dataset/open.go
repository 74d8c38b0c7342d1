package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"weak"

	"github.com/ananas-edge/ananas/internal/wholefile"
)

// Open maps the compiled file at path into memory and makes a Set of it, after all that [Load] checks; where the system has no such mapping, it reads
// the file. The file must not be written to, only replaced. Its memory is given back when nothing holds the Set any more.
func Open(path string) (*Set, error) {
	b, mapped, err := mapFile(path, maxFile)
	if err != nil {
		return nil, fmt.Errorf("opening a data set: %w", err)
	}
	s, err := loadMapped(b, mapped)
	if err != nil {
		if mapped {
			err = errors.Join(err, unmap(b))
		}
		return nil, fmt.Errorf("opening a data set: %q: %w", path, err)
	}
	if mapped {
		runtime.AddCleanup(s, func(b []byte) { _ = unmap(b) }, b) // it fails for what is no mapping, which this is
	}
	return s, nil
}

// loadMapped is Load for memory that a failing disk can make unreadable.
func loadMapped(b []byte, mapped bool) (_ *Set, err error) {
	probe := &Set{mapped: mapped}
	func() {
		defer probe.guard(debug.SetPanicOnFault(mapped))
		var s *Set
		if s, err = Load(b); err == nil {
			s.mapped = mapped
			probe = s
		}
	}()
	if fault := probe.Err(); fault != nil {
		return nil, fault
	}
	return probe, err
}

// maxFile is the longest file that is opened: index and names are each below 4 GiB (see Limits.Source), ranges of maxEntries IPv6 prefixes take
// 100,000,001 × 18 octets and a 15th of the keys.
const maxFile = 12 << 30

// Key is what a compiled list is known by: its text, by its SHA-256, and how it was read.
type Key struct {
	Source   [32]byte
	Format   Format // as in Options
	Value    uint8
	Tolerate int
}

// Shelf is a folder of compiled lists. Each is compiled once, and mapped once, however many ask for it at the same time.
type Shelf struct {
	dir  string
	disk wholefile.Disk

	mu    sync.Mutex
	slots map[Key]*slot
}

type slot struct {
	mu  sync.Mutex // held while the list is opened or compiled
	set weak.Pointer[Set]
}

const suffix = ".dataset"

// NewShelf makes a shelf of the folder dir, which must exist and be this process's own, and removes what a killed process was writing there.
func NewShelf(dir string, disk wholefile.Disk) (*Shelf, error) {
	names, err := disk.List(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the folder of data sets: %w", err)
	}
	for _, name := range names {
		if end, _, ok := strings.Cut(name, suffix+"-"); ok {
			wholefile.Sweep(disk, filepath.Join(dir, strings.TrimPrefix(end, ".")+suffix))
		}
	}
	return &Shelf{dir: dir, disk: disk, slots: make(map[Key]*slot)}, nil
}

// path is where a list lies: the version of the form is part of it, so that a new program does not meet an old file.
func (s *Shelf) path(k Key) string {
	return filepath.Join(s.dir, fmt.Sprintf("%x-%v-%d-%d-v%d%s", k.Source, k.Format, k.Value, k.Tolerate, formVersion, suffix))
}

// Open returns the list k, if it lies there whole. The error of one that does not is [fs.ErrNotExist] or a [*DamagedError].
func (s *Shelf) Open(k Key) (*Set, error) {
	l := s.slot(k)
	l.mu.Lock()
	defer l.mu.Unlock()
	return s.open(l, k)
}

func (s *Shelf) slot(k Key) *slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.slots[k]
	if l == nil {
		l = new(slot)
		s.slots[k] = l
	}
	return l
}

func (s *Shelf) open(l *slot, k Key) (*Set, error) {
	if set := l.set.Value(); set != nil && set.Err() == nil {
		return set, nil
	}
	set, err := Open(s.path(k))
	if err != nil {
		return nil, err
	}
	if i := set.info; i.Source != k.Source || i.Asked != k.Format || i.Value != k.Value || i.Tolerate != k.Tolerate {
		return nil, fmt.Errorf("opening a data set: %q: %w", s.path(k), damaged("it is another list than its name says"))
	}
	l.set = weak.Make(set)
	return set, nil
}

// Add puts the compiled form of a list, as [Build] returns it, on the shelf, in the place of a damaged one too, and opens it.
func (s *Shelf) Add(compiled []byte) (*Set, error) {
	h, err := readHeader(compiled)
	if err != nil {
		return nil, err
	}
	k := Key{h.info.Source, h.info.Asked, h.info.Value, h.info.Tolerate}
	l := s.slot(k)
	l.mu.Lock()
	defer l.mu.Unlock()
	if set, err := s.open(l, k); err == nil {
		return set, nil
	}
	if err := wholefile.Write(s.disk, s.path(k), compiled); err != nil {
		return nil, fmt.Errorf("writing a data set: %w", err)
	}
	return s.open(l, k)
}

// Sweep removes the files of all lists but these, and forgets the lists: whoever has one keeps it, and whoever wants one again finds none, and adds it. To hand out what is in memory still would leave the disk without it, and
// the next process would have to compile it before it answers anybody.
func (s *Shelf) Sweep(keep []Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	names, err := s.disk.List(s.dir)
	if err != nil {
		return fmt.Errorf("sweeping data sets: %w", err)
	}
	done := make(map[string]bool)
	wanted := make(map[Key]bool)
	for _, k := range keep {
		done[filepath.Base(s.path(k))] = true
		wanted[k] = true
	}
	for k, l := range s.slots {
		if wanted[k] {
			continue
		}
		path := s.path(k)
		done[filepath.Base(path)] = true
		if !l.mu.TryLock() {
			continue // somebody opens or adds it right now
		}
		l.set = weak.Pointer[Set]{} // also for who has the slot and waits for it
		s.disk.Remove(path)
		delete(s.slots, k)
		l.mu.Unlock()
	}
	for _, name := range names {
		if strings.HasSuffix(name, suffix) && !done[name] {
			s.disk.Remove(filepath.Join(s.dir, name))
		}
	}
	return nil
}

// sizeOf returns the octets of a regular file that is to be read whole.
func sizeOf(f *os.File, limit int64) (int, error) {
	st, err := f.Stat()
	switch {
	case err != nil:
		return 0, err
	case !st.Mode().IsRegular():
		return 0, &fs.PathError{Op: "open", Path: f.Name(), Err: errors.New("it is no regular file")}
	case st.Size() < headerLen:
		return 0, fmt.Errorf("%q: %w", f.Name(), damaged("it has %d octets", st.Size()))
	case st.Size() > limit:
		return 0, fmt.Errorf("%q: %w", f.Name(), damaged("it has %d octets, more than %d", st.Size(), limit))
	}
	return int(st.Size()), nil
}
