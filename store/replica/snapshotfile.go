package replica

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/ananas-edge/ananas/store"
)

// A snapshot in a file, as `ananas snapshot save` writes it and `restore` reads it, whatever kind of root the store has or will have:
//
//	mark      16 octets, "ananas snapshot\n"
//	format    1 octet, 1
//	head      lineage 16, version 8, hash 32, sum 32, time 8 (microseconds since 1970; 0: none), id 16; numbers little endian
//	entries   in the order of their keys, each: the octet 1, the key with its length before it, the entry as in a record
//	blobs     contents that documents name, each: the octet 2, its SHA-256 (32), its length (8), the content
//	end       the octet 0, the number of entries (8)
//	trailer   SHA-256 of all before it
//
// There is no log in it: a restore begins a lineage, and the versions of before would mean nothing there. Secrets are in plain, since no other node has the key of this one: the file is
// to be kept as the keys are (mode 0600).
const (
	snapshotMark   = "ananas snapshot\n"
	snapshotFormat = 1

	markEnd   = 0
	markEntry = 1
	markBlob  = 2
)

// SnapshotBlob is a content that documents of a snapshot name by its SHA-256, and that is in the file beside them.
type SnapshotBlob struct {
	Sum  [32]byte
	Size int64
	Open func() (io.ReadCloser, error)
}

// SnapshotError says that what should be a snapshot can't be used.
type SnapshotError struct {
	Why  string
	hint string
}

func (e *SnapshotError) Error() string { return "reading a snapshot: " + e.Why }

// Hint says what to do.
func (e *SnapshotError) Hint() string { return e.hint }

func spoiltSnapshot(format string, args ...any) error {
	return &SnapshotError{fmt.Sprintf(format, args...), "nothing was taken from it; use another copy of the file, or save a snapshot again on a member of the root"}
}

// PartError says that a copy can't be saved, because this node may not read all of the store.
type PartError struct{ Hidden uint64 }

func (e *PartError) Error() string {
	return fmt.Sprintf("this node may not read %d entries of the store, so that its copy is no whole one to save", e.Hidden)
}

// Hint says what to do.
func (*PartError) Hint() string { return "save the snapshot on a member of the root" }

// Save writes a snapshot of a view, and the blobs that its documents name.
func Save(w io.Writer, v *View, blobs ...SnapshotBlob) error {
	if n, _ := v.Hidden(); n > 0 {
		return &PartError{n}
	}
	sum := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(w, sum), 64<<10)
	b := append([]byte(snapshotMark), snapshotFormat)
	h := v.Head()
	b = append(b, h.Lineage[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.Version))
	b = append(b, h.Hash[:]...)
	b = appendSum(b, h.Sum)
	b = binary.LittleEndian.AppendUint64(b, uint64(microseconds(h.Time)))
	b = append(b, h.ID[:]...)
	_, err := out.Write(b)
	for key, e := range v.All() {
		if err != nil {
			break
		}
		b = binary.AppendUvarint(append(b[:0], markEntry), uint64(len(key)))
		_, err = out.Write(store.AppendEntry(append(b, key...), e))
	}
	for _, blob := range blobs {
		if err == nil {
			err = saveBlob(out, blob)
		}
	}
	if err == nil {
		_, err = out.Write(binary.LittleEndian.AppendUint64([]byte{markEnd}, uint64(v.Len())))
	}
	if err == nil {
		err = out.Flush()
	}
	if err == nil {
		_, err = w.Write(sum.Sum(nil))
	}
	if err != nil {
		return fmt.Errorf("writing a snapshot: %w", err)
	}
	return nil
}

func saveBlob(out io.Writer, blob SnapshotBlob) error {
	in, err := blob.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	if _, err := out.Write(binary.LittleEndian.AppendUint64(append([]byte{markBlob}, blob.Sum[:]...), uint64(blob.Size))); err != nil {
		return err
	}
	n, err := io.Copy(out, io.LimitReader(in, blob.Size))
	if err == nil && n != blob.Size {
		err = fmt.Errorf("the blob %x ends after %d octets in place of %d", blob.Sum[:8], n, blob.Size)
	}
	return err
}

// ReadSnapshot reads what Save wrote: it calls head, then entry for each entry in the order of the keys. Nothing of it may be used before ReadSnapshot has returned without an error: only then is
// it known to be whole. An error of head or entry ends it and is returned. A *SnapshotError says what is wrong with the file. It holds no more than an entry.
func ReadSnapshot(r io.Reader, head func(store.Head) error, entry func(key string, e store.Entry) error) error {
	return ReadSnapshotBlobs(r, head, entry, func(_ [32]byte, content io.Reader) error { return nil })
}

// ReadSnapshotBlobs is ReadSnapshot for who wants the blobs too: it calls blob for each, after all entries. That a content has its digest is for blob to find; what it does not read is passed over.
func ReadSnapshotBlobs(r io.Reader, head func(store.Head) error, entry func(key string, e store.Entry) error, blob func(sum [32]byte, content io.Reader) error) error {
	s := &snapshotReader{in: bufio.NewReaderSize(r, 64<<10), hash: sha256.New()}
	h, err := s.begin()
	if err == nil {
		err = head(h)
	}
	if err != nil {
		return err
	}
	var sum store.Sum
	before := ""
	for n := uint64(0); ; n++ {
		mark, err := s.take(1)
		if err != nil {
			return err
		}
		if mark[0] == markEnd || mark[0] == markBlob {
			if err := s.blobs(mark[0], blob); err != nil {
				return err
			}
			return s.end(n, sum == h.Sum)
		}
		if mark[0] != markEntry {
			return spoiltSnapshot("entry %d has the mark %d", n+1, mark[0])
		}
		key, e, err := s.entry(before)
		if err != nil {
			return err
		}
		before = key
		sum.Add(store.DigestOf(key, e))
		if err := entry(key, e); err != nil {
			return err
		}
	}
}

// snapshotReader reads from a file and sums what it reads.
type snapshotReader struct {
	in   *bufio.Reader
	hash hash.Hash
	b    []byte
}

// take returns the next n octets, until the next call.
func (s *snapshotReader) take(n int) ([]byte, error) {
	if cap(s.b) < n {
		s.b = make([]byte, n)
	}
	b := s.b[:n]
	if _, err := io.ReadFull(s.in, b); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, spoiltSnapshot("it ends too early")
	} else if err != nil {
		return nil, fmt.Errorf("reading a snapshot: %w", err)
	}
	s.hash.Write(b)
	return b, nil
}

// number returns the next number, of at most a size.
func (s *snapshotReader) number(most uint64, of string) (int, error) {
	var form []byte
	for len(form) < binary.MaxVarintLen64 {
		b, err := s.take(1)
		if err != nil {
			return 0, err
		}
		if form = append(form, b[0]); b[0] < 0x80 {
			break
		}
	}
	v, n := binary.Uvarint(form)
	if n > 1 && form[n-1] == 0 {
		return 0, spoiltSnapshot("the length of %s is written in a form that is none of ours", of)
	}
	if n <= 0 || v > most {
		return 0, spoiltSnapshot("%s has more than %d octets", of, most)
	}
	return int(v), nil
}

// begin reads what stands before the entries.
func (s *snapshotReader) begin() (store.Head, error) {
	var h store.Head
	b, err := s.take(len(snapshotMark) + 1)
	if err != nil {
		return h, err
	}
	if !bytes.HasPrefix(b, []byte(snapshotMark)) {
		return h, &SnapshotError{"it has not the mark of one", "name a file that `ananas snapshot save` wrote"}
	}
	if f := b[len(snapshotMark)]; f != snapshotFormat {
		return h, &SnapshotError{fmt.Sprintf("its format is %d, and this release reads %d", f, snapshotFormat), "use the release that wrote it, or a later one"}
	}
	if b, err = s.take(16 + 8 + 32 + 32 + 8 + 16); err != nil {
		return h, err
	}
	b = b[copy(h.Lineage[:], b):]
	h.Version = store.Version(binary.LittleEndian.Uint64(b))
	b = b[8:]
	b = b[copy(h.Hash[:], b):]
	for i := range h.Sum {
		h.Sum[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	b = b[32:]
	h.Time = timeOf(int64(binary.LittleEndian.Uint64(b)))
	copy(h.ID[:], b[8:])
	if h.Lineage == (store.Lineage{}) {
		return h, spoiltSnapshot("it has no lineage")
	}
	return h, nil
}

// entry reads one, whose key has to come after the one before.
func (s *snapshotReader) entry(before string) (string, store.Entry, error) {
	var e store.Entry
	n, err := s.number(store.MaxKey, "a key")
	if err != nil {
		return "", e, err
	}
	b, err := s.take(n)
	if err != nil {
		return "", e, err
	}
	key := string(b)
	if err := store.CheckKey(key); err != nil {
		return "", e, spoiltSnapshot("%v", err)
	}
	if key <= before {
		return "", e, spoiltSnapshot("the key %q comes after %q", key, before)
	}
	if b, err = s.take(len(e.Salt)); err != nil {
		return "", e, err
	}
	copy(e.Salt[:], b)
	if n, err = s.number(store.MaxValue, fmt.Sprintf("the value of %q", key)); err != nil {
		return "", e, err
	}
	if b, err = s.take(n); err != nil {
		return "", e, err
	}
	e.Value = append([]byte{}, b...)
	return key, e, nil
}

// blobs reads the blobs, up to and with the mark of the end. mark is the first that was read.
func (s *snapshotReader) blobs(mark byte, blob func(sum [32]byte, content io.Reader) error) error {
	for n := 1; mark != markEnd; n++ {
		if mark != markBlob {
			return spoiltSnapshot("blob %d has the mark %d", n, mark)
		}
		b, err := s.take(32 + 8)
		if err != nil {
			return err
		}
		sum, size := [32]byte(b), binary.LittleEndian.Uint64(b[32:])
		if size > maxSnapshotBlob {
			return spoiltSnapshot("blob %d has more than %d octets", n, maxSnapshotBlob)
		}
		content := io.TeeReader(io.LimitReader(s.in, int64(size)), s.hash)
		left := &counted{content, int64(size)}
		err = blob(sum, left)
		if err == nil {
			_, err = io.Copy(io.Discard, left)
		}
		if err != nil {
			return err
		}
		if left.left > 0 {
			return spoiltSnapshot("it ends too early")
		}
		b, err = s.take(1)
		if err != nil {
			return err
		}
		mark = b[0]
	}
	return nil
}

// maxSnapshotBlob is the length of a blob in octets: blobs.MaxBlob, with room for releases that allow more.
const maxSnapshotBlob = 1 << 32

// counted counts what is left of a reader.
type counted struct {
	io.Reader
	left int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.left -= int64(n)
	return n, err
}

// end reads what stands after n entries, whose sum is right or not.
func (s *snapshotReader) end(n uint64, right bool) error {
	b, err := s.take(8)
	if err != nil {
		return err
	}
	if said := binary.LittleEndian.Uint64(b); said != n {
		return spoiltSnapshot("it has %d entries, and says %d", n, said)
	}
	want := s.hash.Sum(nil)
	if b, err = s.take(len(want)); err != nil {
		return err
	}
	if !bytes.Equal(b, want) {
		return spoiltSnapshot("its checksum is wrong")
	}
	if _, err := s.in.ReadByte(); !errors.Is(err, io.EOF) {
		return spoiltSnapshot("something follows it")
	}
	if !right {
		return spoiltSnapshot("the sum of its entries is not what its head says")
	}
	return nil
}
