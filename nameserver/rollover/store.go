package rollover

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/ananas-edge/ananas/internal/wholefile"
)

// Store is the state file of one node. Whatever ends a write, and whenever, the file is the old one or the new one, whole.
//
// It is not for several goroutines at a time.
type Store struct {
	path   string
	disk   wholefile.Disk // a parameter, so that a test can end it anywhere
	locked error          // why nothing is written: what lies there could not be read, and not be put aside
}

// NewStore returns the store in the file at path, which need not exist; its folder has to.
func NewStore(path string) *Store { return &Store{path: path, disk: wholefile.OS{}} }

// StateError is a state file that can't be used, or written.
type StateError struct {
	Op, Path string
	Err      error
	Aside    string // where the file lies now that can't be used; "": where it was
	hint     string
}

func (e *StateError) Error() string {
	return fmt.Sprintf("%s state of trust anchors %q: %v", e.Op, e.Path, e.Err)
}

// Unwrap returns the cause.
func (e *StateError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *StateError) Hint() string { return e.hint }

// maxAside is how many state files that could not be used are kept. The newest takes the place of the last one.
const maxAside = 9

// Load reads the file. A file that is not there is no error, and holds nothing. One that can't be used, for whatever reason, is
// put aside, so that it can be looked at and is not written over; the error is a [*StateError] that says so, and nothing is returned with
// it. What a killed process left half written is removed.
func (s *Store) Load() ([]Point, error) {
	wholefile.Sweep(s.disk, s.path)
	text, err := wholefile.Read(s.disk, s.path, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var points []Point
	switch {
	case errors.As(err, new(*wholefile.SizeError)):
		err = errSize
	case err != nil:
		var p *fs.PathError
		if errors.As(err, &p) {
			err = p.Err // the path is told already
		}
	default:
		points, err = decode(text)
	}
	if err == nil {
		return points, nil
	}
	e := &StateError{Op: "reading", Path: s.path, Err: err}
	e.Aside, err = s.putAside()
	if err != nil {
		s.locked = err
		e.hint = "the anchors of the settings hold, and nothing is remembered until the file can be read, or is moved away, and the node is started again"
		return nil, e
	}
	e.hint = fmt.Sprintf("the anchors of the settings hold, as if the node were new; the file is kept as %q", e.Aside)
	if errors.Is(e.Err, errVersion) {
		e.hint += ", to be moved back before that release is run again"
	} else {
		e.hint += ": if it says that keys were revoked, take them out of the settings' trust anchors"
	}
	return nil, e
}

// putAside renames the file to one that is free.
func (s *Store) putAside() (to string, err error) {
	for i := range maxAside {
		to = fmt.Sprintf("%s.aside-%d", s.path, i+1)
		if !s.disk.Exists(to) {
			break
		}
	}
	return to, errors.Join(s.disk.Rename(s.path, to), s.disk.SyncDir(filepath.Dir(s.path)))
}

// Save writes all points. The new file is complete and on the disk before it takes the place of the old one, which is one step of the
// file system. The error is a [*StateError].
func (s *Store) Save(points []Point) error {
	err := s.locked
	if err == nil {
		var text []byte
		if text, err = encode(points); err == nil {
			err = wholefile.Write(s.disk, s.path, text)
		}
	}
	if err != nil {
		return &StateError{Op: "writing", Path: s.path, Err: err, hint: "what was learned of keys holds until the node ends; is the disk full, and may this user write there?"}
	}
	return nil
}
