package rollover

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/internal/wholefile"
)

// known are points of a few zones, in all states.
func known(t testing.TB) []Point {
	t.Helper()
	p := begin(t, "ds:A", "key:B")
	now := start
	for i := range 33 {
		now = now.Add(24 * time.Hour)
		keys, by := []string{"A", "B", "C"}, []string{"A"}
		switch {
		case i == 31:
			keys, by = []string{"A!", "C", "D"}, []string{"A!", "C"}
		case i == 32:
			keys, by = []string{"B!", "C", "D"}, []string{"B!", "C"}
		}
		var err error
		if p, _, err = p.See(keySet(t, daily(now), keys, by), now, checks(t)); err != nil {
			t.Fatal(err)
		}
	}
	q := begin(t, "ds:A")
	q.Zone = zoneName.Parent()
	return []Point{p, q}
}

func TestStoreRemembers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	s := NewStore(path)
	if points, err := s.Load(); points != nil || err != nil {
		t.Errorf("a file that is not there: %v, %v", points, err)
	}
	points := known(t)
	for _, want := range [][]Point{points, nil, points[1:]} {
		if err := s.Save(want); err != nil {
			t.Fatal(err)
		}
		got, err := NewStore(path).Load()
		if err != nil || !same(got, want) {
			t.Errorf("%v\n%+v\n%+v", err, got, want)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if names, err := os.ReadDir(filepath.Dir(path)); err != nil || len(names) != 1 {
		t.Errorf("the folder holds %v, %v", names, err)
	}
}

// same compares what is kept of points.
func same(a, b []Point) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := a[i], b[i]
		x.configured, y.configured, x.anchors, y.anchors = Anchors{}, Anchors{}, Anchors{}, Anchors{}
		if len(x.Keys) == 0 && len(y.Keys) == 0 {
			x.Keys, y.Keys = nil, nil
		}
		if !reflect.DeepEqual(x, y) {
			return false
		}
	}
	return true
}

// The file is for people, too; it stands in docs/trust-anchors.md like this.
func TestStateFileIsReadable(t *testing.T) {
	text, err := encode(known(t)[:1])
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"ananas trust anchors, version 1, sha256 ", "\"zone\": \"example.\"", "\"seen\": \"2026-02-17T12:00:00Z\"", "\"interval\": \"24h0m0s\"",
		fmt.Sprintf("\"tag\": %d,\n          \"state\": \"valid\"", newKey("C").tag()), "\"dnskey\": \"257 3 15 ",
		"\"state\": \"addpend\"", "\"counted\": \"24h0m0s\"", "\"hold\": \"720h0m0s\"",
	} {
		if !bytes.Contains(text, []byte(part)) {
			t.Errorf("%q is not in\n%s", part, text)
		}
	}
}

// dyingDisk is the file system under a process that is killed in the middle of a step: the step is done in part, or not, and nothing after it.
type dyingDisk struct {
	wholefile.OS
	steps  int // that are done in full
	octets int // of a write that is the last step
	dead   bool
	log    []string // of what was done
	lost   []string // files whose content is not on the disk, should the power fail
}

var errDead = errors.New("killed")

// step tells whether a step is done.
func (d *dyingDisk) step(what string) bool {
	if d.dead {
		return false
	}
	d.log = append(d.log, what)
	if len(d.log) > d.steps {
		d.dead = true
	}
	return !d.dead
}

func (d *dyingDisk) Create(dir, pattern string) (wholefile.File, error) {
	if !d.step("create") {
		return nil, errDead
	}
	f, err := d.OS.Create(dir, pattern)
	if err == nil {
		d.lost = append(d.lost, f.Name())
	}
	return &dyingFile{f, d}, err
}

func (d *dyingDisk) Rename(from, to string) error {
	if !d.step("rename") {
		return errDead
	}
	return d.OS.Rename(from, to)
}

func (d *dyingDisk) Remove(path string) {
	if d.step("remove") {
		d.OS.Remove(path)
	}
}

func (d *dyingDisk) SyncDir(dir string) error {
	if !d.step("syncDir") {
		return errDead
	}
	return d.OS.SyncDir(dir)
}

type dyingFile struct {
	wholefile.File
	disk *dyingDisk
}

func (f *dyingFile) Write(b []byte) (int, error) {
	if !f.disk.step("write") {
		if f.disk.log[len(f.disk.log)-1] == "write" {
			_, err := f.File.Write(b[:min(f.disk.octets, len(b))])
			return 0, errors.Join(err, errDead)
		}
		return 0, errDead
	}
	return f.File.Write(b)
}

func (f *dyingFile) Sync() error {
	if !f.disk.step("sync") {
		return errDead
	}
	f.disk.lost = slices.DeleteFunc(f.disk.lost, func(name string) bool { return name == f.Name() })
	return f.File.Sync()
}

func (f *dyingFile) Close() error {
	f.disk.step("close")
	return f.File.Close() // the kernel does it for a process that is gone
}

// A process is killed at each step of a write, and at each octet: then the file is the old one or the new one, whole, and nothing else is left. The
// power may fail as well: what was not synced is lost, from any octet on.
func TestKilledAtAnyWrite(t *testing.T) {
	points := known(t)
	old, next := points[1:], points
	text, err := encode(next)
	if err != nil {
		t.Fatal(err)
	}
	all := []string{"create", "write", "sync", "close", "rename", "syncDir"}
	seen := map[bool]int{}
	for steps := range len(all) + 1 {
		octets := []int{0}
		if steps < len(all) && all[steps] == "write" {
			octets = octets[:0]
			for i := range len(text) + 1 {
				octets = append(octets, i)
			}
		}
		for _, n := range octets {
			for _, power := range []bool{false, true} {
				for _, first := range []bool{false, true} {
					path := filepath.Join(t.TempDir(), "state")
					if !first {
						if err := NewStore(path).Save(old); err != nil {
							t.Fatal(err)
						}
					}
					d := &dyingDisk{steps: steps, octets: n}
					s := &Store{path: path, disk: d}
					err := s.Save(next)
					if whole := steps == len(all); whole != (err == nil) || whole && !slices.Equal(d.log, all) {
						t.Fatalf("after %d steps: %v, %v", steps, err, d.log)
					}
					if power {
						for _, name := range d.lost {
							if err := os.Truncate(name, int64(n/2)); err != nil {
								t.Fatal(err)
							}
						}
					}
					got, err := NewStore(path).Load()
					isNew := same(got, next)
					if err != nil || !isNew && !first && !same(got, old) || !isNew && first && got != nil {
						t.Fatalf("killed after %d steps and %d octets: %v, %+v", steps, n, err, got)
					}
					if isNew != (steps > slices.Index(all, "rename")) {
						t.Fatalf("after %d steps it is the new one: %v", steps, isNew)
					}
					seen[isNew]++
					if names, err := os.ReadDir(filepath.Dir(path)); err != nil || len(names) > 1 {
						t.Fatalf("the folder holds %v, %v", names, err)
					}
				}
			}
		}
	}
	if seen[false] < len(text) || seen[true] < 2 {
		t.Errorf("%v", seen)
	}
}

// What was written and not synced is nothing that a rename may stand on, whatever the order of the disk.
func TestSyncedBeforeRenamed(t *testing.T) {
	d := &dyingDisk{steps: 100}
	s := &Store{path: filepath.Join(t.TempDir(), "state"), disk: d}
	if err := s.Save(nil); err != nil || len(d.lost) > 0 {
		t.Fatal(err, d.lost)
	}
	if want := []string{"create", "write", "sync", "close", "rename", "syncDir"}; !slices.Equal(d.log, want) {
		t.Errorf("%v", d.log)
	}
}

const writerFolder = "ANANAS_TEST_ROLLOVER_WRITER"

// TestWriter is no test: it is the process that the next one kills.
func TestWriter(t *testing.T) {
	dir := os.Getenv(writerFolder)
	if dir == "" {
		t.Skip("for TestKilledProcess")
	}
	points, s := known(t), NewStore(filepath.Join(dir, "state"))
	for i := 0; ; i++ {
		if err := s.Save(points[:1+i%2]); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stdout.WriteString("saved\n"); err != nil {
			return
		}
	}
}

// The real thing: a process that writes all the time is killed, twenty times.
func TestKilledProcess(t *testing.T) {
	points := known(t)
	path := filepath.Join(t.TempDir(), "state")
	for i := range 20 {
		c := exec.Command(os.Args[0], "-test.run=^TestWriter$")
		c.Env = append(os.Environ(), writerFolder+"="+filepath.Dir(path))
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; n <= i && lines.Scan(); n++ {
		}
		if err := c.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, out)
		c.Wait() // killed
		got, err := NewStore(path).Load()
		if err != nil || !same(got, points) && !same(got, points[:1]) {
			t.Fatalf("%v, %+v", err, got)
		}
		if names, err := os.ReadDir(filepath.Dir(path)); err != nil || len(names) != 1 {
			t.Fatalf("the folder holds %v, %v", names, err)
		}
	}
}

// A file that can't be used is told, kept aside, and not written over.
func TestStateThatCantBeUsed(t *testing.T) {
	good, err := encode(known(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text       string
		err        error
		says, hint string
	}{
		"empty":       {"", errForm, "is not a state file", "take them out"},
		"another":     {"{}", errForm, "is not a state file", "take them out"},
		"cut":         {string(good[:len(good)-5]), errChecksum, "is damaged: its checksum does not fit", "take them out"},
		"longer":      {string(good) + "\n", errChecksum, "damaged", "take them out"},
		"a bit":       {strings.Replace(string(good), "valid", "Valid", 1), errChecksum, "damaged", "take them out"},
		"no checksum": {"ananas trust anchors, version 1\n{}", errForm, "is not", "take them out"},
		"the future":  {strings.Replace(string(good), "version 1", "version 2", 1), errVersion, "is of another version: 2, and this release reads 1", "before that release is run again"},
		"far future":  {"ananas trust anchors, version 17, in red\n", errVersion, "is of another version: 17", "before that release"},
		"too long":    {strings.Repeat(" ", maxFile+1), errSize, "is longer than", "take them out"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state")
			for i := range maxAside + 2 {
				if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
					t.Fatal(err)
				}
				s := NewStore(path)
				points, err := s.Load()
				var e *StateError
				if points != nil || !errors.As(err, &e) || !errors.Is(err, c.err) {
					t.Fatalf("%v, %v", points, err)
				}
				if !strings.Contains(err.Error(), fmt.Sprintf("reading state of trust anchors %q: ", path)) || !strings.Contains(err.Error(), c.says) ||
					!strings.Contains(e.Hint(), c.hint) || !strings.Contains(e.Hint(), "the anchors of the settings hold") {
					t.Errorf("%v\n%s", err, e.Hint())
				}
				if want := fmt.Sprintf("%s.aside-%d", path, min(i+1, maxAside)); e.Aside != want {
					t.Errorf("it is kept as %s, not %s", e.Aside, want)
				}
				if kept, err := os.ReadFile(e.Aside); err != nil || string(kept) != c.text {
					t.Errorf("what is kept is another: %v", err)
				}
				if err := s.Save(nil); err != nil {
					t.Error(err)
				}
				if points, err := NewStore(path).Load(); len(points) != 0 || err != nil {
					t.Errorf("%v, %v", points, err)
				}
				if len(c.text) > maxFile {
					break
				}
			}
		})
	}
}

// noRename is a disk on which nothing can be moved.
type noRename struct{ wholefile.OS }

func (noRename) Rename(_, _ string) error { return os.ErrPermission }

// What can't be put aside is left as it is.
func TestStateThatCantBePutAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &Store{path: path, disk: noRename{}}
	_, err := s.Load()
	var e *StateError
	if !errors.As(err, &e) || e.Aside == "" || !strings.Contains(e.Hint(), "nothing is remembered until") {
		t.Errorf("%v", err)
	}
	s.disk = wholefile.OS{}
	if err := s.Save(nil); !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "writing state of trust anchors") {
		t.Errorf("%v", err)
	}
	if b, err := os.ReadFile(path); string(b) != "precious" {
		t.Errorf("%q, %v", b, err)
	}
}

// A folder, or a file that may not be read, in the place of the file.
func TestStateThatIsNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	s := NewStore(path)
	if _, err := s.Load(); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("%v", err)
	}
	if err := s.Save(nil); err != nil {
		t.Error(err)
	}
	gone := NewStore(filepath.Join(t.TempDir(), "no", "state"))
	if _, err := gone.Load(); err != nil {
		t.Error(err)
	}
	if err := gone.Save(nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
