package rollover

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Store is the state file of one node. Whatever ends a write, and whenever, the file is the old one or the new one, whole.
//
// It is not for several goroutines at a time.
type Store struct {
	path   string
	disk   disk
	locked error // why nothing is written: what lies there could not be read, and not be put aside
}

// NewStore returns the store in the file at path, which need not exist; its folder has to.
func NewStore(path string) *Store { return &Store{path: path, disk: osDisk{}} }

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
	s.sweep()
	text, err := s.disk.read(s.path, maxFile+1)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var points []Point
	switch {
	case err != nil:
		var p *fs.PathError
		if errors.As(err, &p) {
			err = p.Err // the path is told already
		}
	case len(text) > maxFile:
		err = errSize
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
		if !s.disk.exists(to) {
			break
		}
	}
	return to, errors.Join(s.disk.rename(s.path, to), s.disk.syncDir(filepath.Dir(s.path)))
}

// sweep removes what was being written when a process was killed.
func (s *Store) sweep() {
	names, err := s.disk.list(filepath.Dir(s.path))
	if err != nil {
		return // reading will say why
	}
	for _, name := range names {
		if strings.HasPrefix(name, s.temporary()) {
			s.disk.remove(filepath.Join(filepath.Dir(s.path), name)) // if not, the next start tries again
		}
	}
}

// temporary begins the name of a file that is still being written.
func (s *Store) temporary() string { return "." + filepath.Base(s.path) + "-" }

// Save writes all points. The new file is complete and on the disk before it takes the place of the old one, which is one step of the
// file system. The error is a [*StateError].
func (s *Store) Save(points []Point) error {
	err := s.locked
	if err == nil {
		var text []byte
		if text, err = encode(points); err == nil {
			err = s.replace(text)
		}
	}
	if err != nil {
		return &StateError{Op: "writing", Path: s.path, Err: err, hint: "what was learned of keys holds until the node ends; is the disk full, and may this user write there?"}
	}
	return nil
}

func (s *Store) replace(text []byte) error {
	dir := filepath.Dir(s.path)
	f, err := s.disk.create(dir, s.temporary()+"*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = s.disk.rename(f.Name(), s.path)
	}
	if err != nil {
		s.disk.remove(f.Name())
		return err
	}
	return s.disk.syncDir(dir)
}

// disk is the file system, as far as it is needed: a parameter, so that a test can end it anywhere.
type disk interface {
	read(path string, limit int64) ([]byte, error)
	exists(path string) bool
	list(dir string) ([]string, error)
	create(dir, pattern string) (file, error) // for its owner alone
	rename(from, to string) error
	remove(path string)
	syncDir(dir string) error
}

type file interface {
	io.WriteCloser
	Sync() error
	Name() string
}

type osDisk struct{}

func (osDisk) read(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // not blocking, should it be a pipe
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

func (osDisk) exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func (osDisk) list(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func (osDisk) create(dir, pattern string) (file, error) { return os.CreateTemp(dir, pattern) }

func (osDisk) rename(from, to string) error { return os.Rename(from, to) }

func (osDisk) remove(path string) { _ = os.Remove(path) }

// syncDir makes a rename last. Some file systems can't sync a folder and say so; for them the rename is all that there is.
func (osDisk) syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrInvalid) {
		err = nil
	}
	return errors.Join(err, d.Close())
}
