package node

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/internal/namedfile"
	"github.com/ananas-edge/ananas/nameserver/recurse"
	"github.com/ananas-edge/ananas/settings"
	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/blobs"
	"github.com/ananas-edge/ananas/store/replica"
)

// sweeper is a node with a copy and blobs, on a clock of its own.
type sweeper struct {
	t   *testing.T
	s   *shared
	log blobLog
	now time.Duration
}

func newSweeper(t *testing.T) *sweeper {
	w := &sweeper{t: t}
	boot := func() time.Duration { return w.now }
	wall := func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(w.now) }
	w.s = &shared{n: &Node{log: slog.New(slog.DiscardHandler), clock: recurse.Clock{Boot: boot, Wall: wall}}}
	dir := t.TempDir()
	var err error
	if w.s.blobs, err = blobs.Open(filepath.Join(dir, "blobs"), blobs.Options{Boot: boot}); err == nil {
		w.s.copy, err = replica.Open(dir, replica.Options{Now: wall, LogAge: 10 * blobs.Grace})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.s.copy.Close() })
	return w
}

// put puts a content here, and returns the document that names it.
func (w *sweeper) put(content string) string {
	w.t.Helper()
	sum, err := w.s.blobs.Put(strings.NewReader(content))
	if err != nil {
		w.t.Fatal(err)
	}
	return fmt.Sprintf("name: %q\nsha256: %x\nsize: %d\n", "file", sum, len(content))
}

func (w *sweeper) commit(key, doc string) {
	w.t.Helper()
	_, err := w.s.copy.Load(store.Proposal{Kind: store.KindLoad, Edits: []store.Edit{{Key: key, Value: []byte(doc), Delete: doc == ""}}})
	if err != nil {
		w.t.Fatal(err)
	}
}

// holds sweeps, and fails unless these contents are there and no others.
func (w *sweeper) holds(contents ...string) {
	w.t.Helper()
	if err := w.s.sweepBlobs(&w.log); err != nil {
		w.t.Fatal(err)
	}
	for _, c := range contents {
		if _, err := w.s.blobs.Read(sha256.Sum256([]byte(c)), len(c)); err != nil {
			w.t.Errorf("%q: %v", c, err)
		}
	}
	if n := w.s.blobs.Len(); n != len(contents) {
		w.t.Errorf("%d blobs are there, want %d", n, len(contents))
	}
}

// A blob stays while a setting, a change set or a version that can be gone back to names it, and for a day after it was put.
func TestSweepBlobs(t *testing.T) {
	w := newSweeper(t)
	w.put("never named")
	w.commit("recursion/root_hints", w.put("first"))
	w.commit(store.SetPrefix+"2/recursion/root_hints", w.put("of a change set"))
	w.commit("~other", w.put("named where nothing names"))
	w.holds("never named", "first", "of a change set", "named where nothing names")
	w.now += blobs.Grace
	w.holds("first", "of a change set")
	w.commit(store.SetPrefix+"2/recursion/root_hints", "")
	w.commit("recursion/root_hints", w.put("second"))
	w.now += 2 * blobs.Grace
	w.holds("first", "second", "of a change set") // of versions that the log reaches

	// A node that is started anew reads the log anew.
	w.log = blobLog{}
	w.holds("first", "second", "of a change set")

	w.now += 8*blobs.Grace - time.Minute
	w.commit("cache/max_ttl", "1h") // the first records leave the log, and the version before those that are left has both
	w.holds("first", "second", "of a change set")
	w.now += 3 * blobs.Grace
	w.commit("cache/max_ttl", "2h")
	w.holds("second")
}

// What is looked for is told by the settings and the change sets that name it.
func TestLostBlobs(t *testing.T) {
	w := newSweeper(t)
	w.commit("recursion/root_hints", w.put("first"))
	if lost := w.s.lostBlobs(); len(lost) != 0 {
		t.Errorf("%x", lost)
	}
	sum := sha256.Sum256([]byte("second"))
	w.commit(store.SetPrefix+"2/recursion/trust_anchors", fmt.Sprintf("name: f\nsha256: %x\nsize: 6\n", sum))
	if lost := w.s.lostBlobs(); len(lost) != 1 || lost[0] != sum {
		t.Errorf("%x", lost)
	}
	w.s.use = &user{}
	w.s.mendBlobs([]*settings.Entries{{Blobs: map[[32]byte]*namedfile.File{sum: namedfile.Of([]byte("second")), {1}: namedfile.Of([]byte("not named"))}}})
	if lost := w.s.lostBlobs(); len(lost) != 0 || w.s.blobs.Len() != 2 || !w.s.use.again.Load() {
		t.Errorf("%x, %d blobs", lost, w.s.blobs.Len())
	}
}

// A content is read where it is, also at a node that makes no changes; one that is not here, or whose file is spoilt, is told as that. A node whose file is the truth has none.
func TestReadBlob(t *testing.T) {
	w := newSweeper(t)
	w.put("first")
	a := settingsAPI{n: &Node{began: settings.Default()}, shared: w.s}
	content, size, err := a.ReadBlob(t.Context(), sha256.Sum256([]byte("first")))
	if err != nil || size != 5 {
		t.Fatalf("%d octets, %v", size, err)
	}
	b, err := io.ReadAll(content)
	if string(b) != "first" || err != nil || content.Close() != nil {
		t.Errorf("%q, %v", b, err)
	}
	for what, c := range map[string]struct {
		a    settingsAPI
		want admin.Why
		says string
	}{"one that is not here": {a, admin.Absent, "is not here"}, "a node with a file": {settingsAPI{n: a.n}, admin.Owner, "there is no store"}} {
		_, _, err := c.a.ReadBlob(t.Context(), sha256.Sum256([]byte("second")))
		var refused *admin.Refusal
		if !errors.As(err, &refused) || refused.Why != c.want || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A text that is no digest is refused before anything is looked for by it, whatever its length.
func TestUploadedByItsDigest(t *testing.T) {
	content := namedfile.Of([]byte("bad.example\n"))
	sum := content.Sum()
	digest := hex.EncodeToString(sum[:])
	for text, want := range map[string]string{
		digest: "", "": "it has 0 digits", digest[:63]: "it has 63 digits", digest + "0": "it has 65 digits", digest + "00": "it has 66 digits", strings.Repeat("0", 1<<20): "it has 1048576 digits", "g" + digest[1:]: "is no SHA-256",
	} {
		asked := false
		_, err := readFiles([]admin.SettingsFile{{Name: "s.yaml", Text: "settings: { data: [{ name: bad, file: bad }] }", Blobs: map[string]admin.Blob{"bad": {SHA256: text, Size: content.Size()}}}}, func([32]byte) (*namedfile.File, error) {
			asked = true
			return content, nil
		})
		if got := fmt.Sprint(err); (err == nil) != (want == "") || asked != (want == "") || !strings.Contains(got, want) || len(got) > 200 {
			t.Errorf("%.70q: asked %v, %.300v, want %q", text, asked, err, want)
		}
	}
}

// The file of the local root is written into the data folder when its content came with the settings, once, and the one before goes.
func TestLocalRootFile(t *testing.T) {
	n := &Node{log: slog.New(slog.DiscardHandler), began: settings.Default()}
	n.began.Node.Data = t.TempDir()
	at := func(content string) string {
		t.Helper()
		docs := map[string][]byte{"recursion/local_root/file": fmt.Appendf(nil, "name: root.zone\ncontent: |-\n  %s\n", content)}
		f, err := settings.Assemble(n.began.Node, docs, nil)
		if err != nil {
			t.Fatal(err)
		}
		return n.localRootFile(f, f.Settings.Recursion.LocalRoot.File)
	}
	first := at("one")
	if b, err := os.ReadFile(first); string(b) != "one" {
		t.Fatalf("%q, %v", b, err)
	}
	old := time.Now().Add(-time.Hour).Truncate(time.Second)
	if err := os.Chtimes(first, old, old); err != nil {
		t.Fatal(err)
	}
	if again := at("one"); again != first {
		t.Errorf("%s, and then %s", first, again)
	}
	if info, err := os.Stat(first); err != nil || !info.ModTime().Equal(old) {
		t.Errorf("the same content is younger: %v, %v", info, err)
	}
	if err := os.WriteFile(first, []byte("spoilt"), 0o600); err != nil {
		t.Fatal(err)
	}
	at("one")
	if b, _ := os.ReadFile(first); !bytes.Equal(b, []byte("one")) {
		t.Errorf("%q", b)
	}
	second := at("two")
	names, _ := os.ReadDir(filepath.Dir(second))
	if b, _ := os.ReadFile(second); string(b) != "two" || len(names) != 1 || second == first {
		t.Errorf("%q, %v", b, names)
	}
	f, err := settings.Parse(filepath.Join("dir", "ananas.yaml"), []byte("settings: { recursion: { local_root: { file: root.zone } } }"))
	if err != nil {
		t.Fatal(err)
	}
	if got := n.localRootFile(f, "root.zone"); got != filepath.Join("dir", "root.zone") {
		t.Errorf("%s", got)
	}
	if got := n.localRootFile(f, ""); got != "" {
		t.Errorf("%s", got)
	}
}
