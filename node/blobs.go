package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/internal/namedfile"
	"github.com/ananas-edge/ananas/settings"
	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/blobs"
	"github.com/ananas-edge/ananas/store/feed"
	"github.com/ananas-edge/ananas/store/identity"
	"github.com/ananas-edge/ananas/store/replica"
)

// blobFolder is where a node's blobs are, in the folder of its part in a store.
const blobFolder = "blobs"

// blobPutTime is how long the other members of the root may take until a majority has a blob: the largest on a line of 40 Mbit/s.
const blobPutTime = time.Minute

// spreadTime is how long all of that may take, the look at who the members are included: by then each of them has the blob, or has said why not.
const spreadTime = blobPutTime + 10*time.Second

// blobsOf returns the blobs that the document at a key names: settings do, live or in a change set.
func blobsOf(key string, doc []byte) [][32]byte {
	if _, _, set := store.SplitSet(key); !set && !store.IsSetting(key) {
		return nil
	}
	return settings.Blobs(doc)
}

// feedBlobs are the blobs as the feed sees them.
type feedBlobs struct{ *blobs.Folder }

// Missing is that of feed.Blobs.
func (b feedBlobs) Missing(key string, doc []byte) [][32]byte {
	return slices.DeleteFunc(blobsOf(key, doc), b.Has)
}

// Begin is that of feed.Blobs.
func (b feedBlobs) Begin(sum [32]byte) (feed.BlobWriter, error) {
	w, err := b.Folder.Begin(sum)
	if err != nil {
		return nil, err
	}
	return w, nil
}

// blob returns content that a document names; it is read when somebody wants it. One that was lost, or is found spoilt then, is asked for anew, in the background.
func (s *shared) blob(sum [32]byte) (*namedfile.File, error) {
	size, err := s.blobs.Size(sum)
	if err != nil {
		return nil, s.missed(err)
	}
	return namedfile.At(sum, size, func() (io.ReadCloser, error) {
		r, err := s.blobs.Stream(sum)
		if err != nil {
			return nil, s.missed(err)
		}
		return missing{r, s}, nil
	}), nil
}

// missed has a blob asked for anew, if that is what an error says.
func (s *shared) missed(err error) error {
	var missing *blobs.MissingError
	if errors.As(err, &missing) {
		select {
		case s.lost <- struct{}{}:
		default:
		}
	}
	return err
}

// missing is a blob that is read, and may turn out to be spoilt.
type missing struct {
	io.ReadCloser
	s *shared
}

// Verified is that of blobs.Folder's streams.
func (missing) Verified() {}

// Read is that of io.Reader.
func (m missing) Read(b []byte) (int, error) {
	n, err := m.ReadCloser.Read(b)
	if err != nil && err != io.EOF {
		err = m.s.missed(err)
	}
	return n, err
}

// putBlobs keeps contents that documents of a commit name, here and on so many members of the root that a majority has them.
func (s *shared) putBlobs(ctx context.Context, entries []*settings.Entries) error {
	for _, e := range entries {
		for sum, content := range e.Blobs {
			if err := s.keepBlob(sum, content); err != nil {
				return err
			}
			if err := s.spread(ctx, sum); err != nil {
				return err
			}
		}
	}
	return nil
}

// keepBlob puts a content here, if it is not.
func (s *shared) keepBlob(sum [32]byte, content *namedfile.File) error {
	if s.blobs.Has(sum) {
		return nil
	}
	r, err := content.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = s.blobs.Put(r)
	return err
}

// takeBlob takes in a content that somebody uploads, for a commit that is to name it, and hands it to so many members of the root that a majority has it: the commit has not to wait for that.
func (s *shared) takeBlob(ctx context.Context, sum [32]byte, content io.Reader) error {
	lost := slices.Contains(s.lostBlobs(), sum)
	w, err := s.blobs.Begin(sum)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{content}, make([]byte, feed.BlobChunk)); err != nil {
		return err
	}
	if err := w.Commit(); err != nil {
		return err
	}
	if lost {
		s.n.log.Info("what was uploaded has put a blob back that was lost")
		s.use.again.Store(true)
	}
	return s.spread(ctx, sum)
}

// bringBack sees to it that a majority of the members of the root has the blobs of a version that is to be gone back to: the logs of the others may not reach as far as this one's.
func (s *shared) bringBack(ctx context.Context, past map[string][]byte) error {
	view := s.copy.View()
	for key, doc := range past {
		if now, ok := view.Get(key); ok && bytes.Equal(now, doc) {
			continue
		}
		sums := blobsOf(key, doc)
		if err := s.fetchBlobs(ctx, sums); err != nil {
			return fmt.Errorf("going back to what %q was: %w", key, err)
		}
		for _, sum := range sums {
			if err := s.spread(ctx, sum); err != nil {
				return err
			}
		}
	}
	return nil
}

// mendBlobs puts back contents that the last version names and that were lost: somebody applies the files again that they are of. It is no change, so that one that is only
// tried does it too.
func (s *shared) mendBlobs(entries []*settings.Entries) {
	mended := false
	for _, sum := range s.lostBlobs() {
		for _, e := range entries {
			if content, ok := e.Blobs[sum]; ok {
				mended = s.keepBlob(sum, content) == nil || mended
			}
		}
	}
	if mended {
		s.n.log.Info("what was applied has put blobs back that were lost")
		s.use.again.Store(true)
	}
}

// spread hands a blob that is here to the other members of the root, until a majority has it. The rest get it too, if they can be reached.
func (s *shared) spread(ctx context.Context, sum [32]byte) error {
	ctx, cancel := context.WithTimeout(ctx, spreadTime)
	defer cancel()
	members, err := s.etcd.Members(ctx)
	if err != nil {
		return refusal(err)
	}
	have, voters := 0, 0
	var others []string
	for _, m := range members {
		if m.Name == s.name && !m.Learner {
			have++
		}
		if m.Name != s.name {
			others = append(others, m.Name)
		}
		if !m.Learner {
			voters++
		}
	}
	learns := func(name string) bool {
		for _, m := range members {
			if m.Name == name {
				return m.Learner
			}
		}
		return false
	}
	if 2*have > voters && len(others) == 0 {
		return nil
	}
	type outcome struct {
		name string
		err  error
	}
	done := make(chan outcome, len(others))
	for _, name := range others {
		s.run(func(all context.Context) {
			all, cancel := context.WithTimeout(all, blobPutTime)
			defer cancel()
			done <- outcome{name, s.putOn(all, name, sum)}
		})
	}
	var errs []error
	for range others {
		if 2*have > voters {
			break
		}
		select {
		case o := <-done:
			switch {
			case o.err != nil:
				errs = append(errs, fmt.Errorf("%s: %w", o.name, o.err))
			case !learns(o.name):
				have++
			}
		case <-ctx.Done():
			return fmt.Errorf("handing a file that is too large for a document to the other members of the root: %w", ctx.Err())
		}
	}
	if 2*have > voters {
		return nil
	}
	return &admin.Refusal{Why: admin.Unreachable, Err: hinted{
		fmt.Errorf("a file that is too large for a document is on %d of %d members of the root, and has to be on %d before a commit names it: %w", have, voters, voters/2+1, errors.Join(errs...)),
		"ananas root ls shows the members: see to it that a majority of them runs and can be reached, and apply it again"}}
}

// putOn hands a blob to another member of the root.
func (s *shared) putOn(ctx context.Context, name string, sum [32]byte) error {
	doc, err := identity.NodeAt(s.copy.View(), name)
	if err != nil {
		return err
	}
	if doc == nil || doc.Address == "" {
		return errors.New("its address is not known yet")
	}
	return s.exchange(ctx, doc.Address, func(x *feed.Exchange) error { return x.Put(sum, feedBlobs{s.blobs}) })
}

// exchange connects to another node for blobs.
func (s *shared) exchange(ctx context.Context, address string, do func(*feed.Exchange) error) error {
	conn, err := s.dial(ctx, address)
	if err != nil {
		return err
	}
	x, err := feed.NewExchange(ctx, conn)
	if err != nil {
		return err
	}
	defer x.Close()
	return do(x)
}

// blobSources are the addresses at which this node may find a blob: those that it follows, and on a member of the root those of the others.
func (s *shared) blobSources() []string {
	var out []string
	for _, a := range s.n.began.Node.Store.Join {
		out = append(out, a.String())
	}
	if s.etcd == nil {
		return out
	}
	view := s.copy.View()
	for key := range view.Under(store.NodePrefix) {
		name := strings.TrimPrefix(key, store.NodePrefix)
		doc, err := identity.NodeAt(view, name)
		if err == nil && doc != nil && name != s.name && doc.Role == identity.Root && doc.Revoked == nil && doc.Address != "" && !slices.Contains(out, doc.Address) {
			out = append(out, doc.Address)
		}
	}
	return out
}

// fetchBlobs gets blobs from other nodes.
func (s *shared) fetchBlobs(ctx context.Context, sums [][32]byte) error {
	for _, sum := range sums {
		if s.blobs.Has(sum) {
			continue
		}
		var errs []error
		got := false
		for _, address := range s.blobSources() {
			err := s.exchange(ctx, address, func(x *feed.Exchange) error { return x.Fetch(ctx, sum, feedBlobs{s.blobs}) })
			if got = err == nil; got {
				break
			}
			errs = append(errs, fmt.Errorf("asking %s: %w", address, err))
		}
		if !got {
			return errors.Join(append([]error{&blobs.MissingError{Sum: sum}}, errs...)...)
		}
	}
	return nil
}

// applyRecord puts a record from the root on this member's copy, once the blobs that it names are here.
func (s *shared) applyRecord(ctx context.Context, r *store.Record) error {
	var missing [][32]byte
	for i := range r.Changes {
		missing = append(missing, feedBlobs{s.blobs}.Missing(r.Changes[i].Key, r.Changes[i].Entry.Value)...)
	}
	if err := s.fetchBlobs(ctx, missing); err != nil {
		return fmt.Errorf("taking over version %d: %w", r.Version, err)
	}
	return s.copy.Apply(ctx, []*store.Record{r})
}

// saveSnapshot writes a snapshot of the store as this node has it, with the blobs that it names.
func (s *shared) saveSnapshot(w io.Writer) error {
	view := s.copy.View()
	var with []replica.SnapshotBlob
	seen := make(map[[32]byte]bool)
	for key, doc := range view.Under("") {
		for _, sum := range blobsOf(key, doc) {
			if seen[sum] {
				continue
			}
			seen[sum] = true
			size, err := s.blobs.Size(sum)
			if err != nil {
				return fmt.Errorf("writing a snapshot: %q names a file: %w", key, err)
			}
			with = append(with, replica.SnapshotBlob{Sum: sum, Size: size, Open: func() (io.ReadCloser, error) { return s.blobs.Open(sum) }})
		}
	}
	return replica.Save(w, view, with...)
}

// restoreBlob puts a blob of a snapshot here.
func (s *shared) restoreBlob(sum [32]byte, content io.Reader) error {
	w, err := s.blobs.Begin(sum)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := io.Copy(w, content); err != nil {
		return err
	}
	return w.Commit()
}
