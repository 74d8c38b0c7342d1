package cluster_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/test/cluster"
)

// keep names the release whose data folders are written to testdata/releases: once, when it is made. The two releases before the present one stay there.
var keep = flag.String("keep", "", "keep the data folders of this release's nodes in testdata/releases, for the releases after it")

const (
	releases     = "testdata/releases"
	keptForward  = "corp.example" // what the store of a release that was kept has
	keptZone     = "lab.example"
	keptHistory  = "the last one"
	mostReleases = 2
)

// TestKeepRelease writes what TestReleases reads. It runs with -keep alone.
func TestKeepRelease(t *testing.T) {
	if *keep == "" {
		t.Skip("-keep names a release")
	}
	r := start(t)
	root := r.add(cluster.Config{Name: "root1", Root: true, Labels: "{ site: lis }"}, "")
	f := r.add(cluster.Config{Name: "f1", Join: []*cluster.Node{root}}, r.token(root, admin.NewToken{Labels: map[string]string{"site": "opo"}}))
	r.applied(root, "  forward: [{ zone: "+keptForward+", servers: [\"127.0.0.1:5401\"] }]\n", true, "the first one")
	done := r.applied(root, "  forward: [{ zone: "+keptForward+", servers: [\"127.0.0.1:5402\"] }, { zone: "+keptZone+", servers: [\"127.0.0.1:5403\"] }]\n", true, keptHistory)
	r.reaches(done.Version, root, f)
	for _, n := range []*cluster.Node{root, f} {
		r.must(n.Stop())
		r.must(pack(n.Data, filepath.Join(releases, *keep, n.Name+".tar.gz")))
	}
}

// A node of this release goes on with the data folders of those before it, and nodes of both follow one another: the follower answers from its copy with no root there, the root has all that was ever
// committed, takes a change, and both the old follower and a new one get it.
func TestReleases(t *testing.T) {
	t.Parallel()
	kept, err := os.ReadDir(releases)
	if err != nil || len(kept) == 0 || len(kept) > mostReleases {
		t.Fatalf("the releases that are kept: %v, %v", kept, err)
	}
	for _, release := range kept {
		t.Run(release.Name(), func(t *testing.T) {
			r := start(t)
			node := func(c cluster.Config) *cluster.Node {
				n, err := r.Add(c)
				r.must(err)
				r.must(unpack(filepath.Join(releases, release.Name(), c.Name+".tar.gz"), n.Data))
				r.nodes = append(r.nodes, n)
				return n
			}
			root := node(cluster.Config{Name: "root1", Root: true, Labels: "{ site: lis }"})
			old := node(cluster.Config{Name: "f1", Join: []*cluster.Node{root}})
			has := func(n *cluster.Node) {
				l, err := r.api(n).AllSettings(r.ctx, admin.SettingsQuery{Prefix: "forward", Limit: 100})
				r.must(err)
				if text := fmt.Sprint(l.Entries); len(l.Entries) != 2 || !strings.Contains(text, keptForward) || !strings.Contains(text, keptZone) || !strings.Contains(text, "5402") {
					r.Errorf("%s has %s", n.Name, text)
				}
			}
			r.must(old.Start(""))
			has(old)
			r.must(root.Start(""))
			has(root)
			h, err := r.api(root).History(r.ctx, admin.HistoryQuery{Limit: 100})
			r.must(err)
			if text := fmt.Sprint(h.Commits); !strings.Contains(text, "the first one") || !strings.Contains(text, keptHistory) {
				r.Errorf("its history is %s", text)
			}
			late := r.add(cluster.Config{Name: "f2", Join: []*cluster.Node{root}}, r.token(root, admin.NewToken{}))
			done := r.applied(root, "  sampling: { one_in: 9 }\n", true, "of another release")
			r.reaches(done.Version, root, old, late)
			has(late)
		})
	}
}

// pack writes a folder into an archive: etcd's log is mostly zeros.
func pack(folder, file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	z, _ := gzip.NewWriterLevel(out, gzip.BestCompression)
	w := tar.NewWriter(z)
	err = w.AddFS(onlyFiles{os.DirFS(folder)})
	return errors.Join(err, w.Close(), z.Close(), out.Close())
}

// onlyFiles leaves out sockets and locks, which are of a process, and room that etcd has made in advance.
type onlyFiles struct{ fs.FS }

// ReadDir is that of fs.ReadDirFS.
func (f onlyFiles) ReadDir(name string) ([]fs.DirEntry, error) {
	all, err := fs.ReadDir(f.FS, name)
	var out []fs.DirEntry
	for _, e := range all {
		if (e.IsDir() || e.Type().IsRegular()) && !strings.HasSuffix(e.Name(), "lock") && !strings.HasSuffix(e.Name(), ".tmp") {
			out = append(out, e)
		}
	}
	return out, err
}

func unpack(file, folder string) error {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	z, err := gzip.NewReader(in)
	if err != nil {
		return err
	}
	r := tar.NewReader(z)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		path := filepath.Join(folder, filepath.FromSlash(h.Name))
		if !filepath.IsLocal(h.Name) {
			return fmt.Errorf("%s has a path %q", file, h.Name)
		}
		if h.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(path, 0o700); err != nil {
				return err
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, r)
		if err := errors.Join(err, out.Close()); err != nil {
			return err
		}
	}
}
