package replica_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/replica"
)

// read reads a snapshot whole.
func read(in io.Reader) (head store.Head, entries map[string]store.Entry, err error) {
	entries = map[string]store.Entry{}
	err = replica.ReadSnapshot(in, func(h store.Head) error { head = h; return nil }, func(key string, e store.Entry) error { entries[key] = e; return nil })
	return head, entries, err
}

// readBlobs is read for who wants the blobs too.
func readBlobs(in io.Reader) (head store.Head, entries map[string]store.Entry, blobs []replica.SnapshotBlob, err error) {
	entries = map[string]store.Entry{}
	err = replica.ReadSnapshotBlobs(in, func(h store.Head) error { head = h; return nil }, func(key string, e store.Entry) error { entries[key] = e; return nil },
		func(sum [32]byte, content io.Reader) error {
			b, err := io.ReadAll(content)
			blobs = append(blobs, snapshotBlob(sum, b))
			return err
		})
	return head, entries, blobs, err
}

func snapshotBlob(sum [32]byte, content []byte) replica.SnapshotBlob {
	return replica.SnapshotBlob{Sum: sum, Size: int64(len(content)), Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }}
}

var savedBlobs = [][]byte{{}, bytes.Repeat([]byte{0, 1, 2}, 100)}

func saved(t testing.TB) (*world, []byte) {
	t.Helper()
	w := newWorld()
	rng := rand.New(rand.NewPCG(31, 32))
	for range 5 {
		w.commit(t, random(rng, 40, 20)...)
	}
	r := open(t, t.TempDir())
	begin(t, r, w.head, w.entries)
	var out bytes.Buffer
	if err := replica.Save(&out, r.View(), snapshotBlob([32]byte{1}, savedBlobs[0]), snapshotBlob([32]byte{2}, savedBlobs[1])); err != nil {
		t.Fatal(err)
	}
	return w, out.Bytes()
}

func TestSnapshotFile(t *testing.T) {
	w, file := saved(t)
	head, entries, err := read(iotest.OneByteReader(bytes.NewReader(file)))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(w.head, head); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(w.entries, entries); d != "" {
		t.Error(d)
	}
	_, entries, blobs, err := readBlobs(iotest.OneByteReader(bytes.NewReader(file)))
	if err != nil || len(blobs) != 2 || cmp.Diff(w.entries, entries) != "" {
		t.Fatalf("%d blobs, %v", len(blobs), err)
	}
	for i, b := range blobs {
		in, _ := b.Open()
		if got, _ := io.ReadAll(in); b.Sum != ([32]byte{byte(i + 1)}) || !bytes.Equal(got, savedBlobs[i]) {
			t.Errorf("blob %d is %x with %d octets", i, b.Sum, len(got))
		}
	}
	short := snapshotBlob([32]byte{1}, savedBlobs[1])
	short.Size++
	empty := open(t, t.TempDir())
	begin(t, empty, start(), nil)
	if err := replica.Save(io.Discard, empty.View(), short); err == nil {
		t.Error("a blob that is shorter than it was is saved")
	}
	var bad *replica.SnapshotError
	for n := range file {
		if _, _, err := read(bytes.NewReader(file[:n])); !errors.As(err, &bad) || bad.Hint() == "" {
			t.Fatalf("the first %d octets: %v", n, err)
		}
		spoilt := bytes.Clone(file)
		spoilt[n] ^= 1 << (n % 8)
		if _, _, err := read(bytes.NewReader(spoilt)); !errors.As(err, &bad) {
			t.Fatalf("octet %d changed: %v", n, err)
		}
	}
	if _, _, err := read(bytes.NewReader(append(bytes.Clone(file), 0))); !errors.As(err, &bad) {
		t.Errorf("an octet more: %v", err)
	}
	if _, _, err := read(iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("an error of the file: %v", err)
	}
	if err := replica.ReadSnapshot(bytes.NewReader(file), func(store.Head) error { return nil }, func(string, store.Entry) error { return io.ErrShortWrite }); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("an error of who takes the entries: %v", err)
	}

	r := open(t, t.TempDir())
	in, err := r.BeginSnapshot(w.head)
	if err != nil {
		t.Fatal(err)
	}
	in.Hidden(1, w.head.Sum)
	if err := in.Commit(); err != nil {
		t.Fatal(err)
	}
	var part *replica.PartError
	if err := replica.Save(io.Discard, r.View()); !errors.As(err, &part) {
		t.Errorf("a copy with hidden entries: %v", err)
	}
}

// Whatever stands in a file: it is refused, or it is what Save would write of what was read from it.
func FuzzReadSnapshot(f *testing.F) {
	_, file := saved(f)
	f.Add(file)
	f.Add(file[:200])
	f.Add([]byte("ananas snapshot\n\x01"))
	f.Add([]byte{})
	dir := f.TempDir()
	r, err := replica.Open(dir, replica.Options{Key: nodeKey})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { r.Close() })
	f.Fuzz(func(t *testing.T, b []byte) {
		head, entries, blobs, err := readBlobs(bytes.NewReader(b))
		if err != nil {
			var bad *replica.SnapshotError
			if !errors.As(err, &bad) {
				t.Fatal(err)
			}
			return
		}
		begin(t, r, head, entries)
		var out bytes.Buffer
		if err := replica.Save(&out, r.View(), blobs...); err != nil || !bytes.Equal(out.Bytes(), b) {
			t.Fatalf("it is written otherwise: %v", err)
		}
	})
}
