package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/internal/wholefile"
)

// dyingDisk is the disk of a process that is killed after some steps: none is done from then on.
type dyingDisk struct {
	quick
	steps int
}

var errDead = errors.New("the process was killed")

func (d *dyingDisk) step() error {
	if d.steps--; d.steps < 0 {
		return errDead
	}
	return nil
}

func (d *dyingDisk) Create(dir, pattern string) (wholefile.File, error) {
	if err := d.step(); err != nil {
		return nil, err
	}
	f, err := d.quick.Create(dir, pattern)
	return dyingFile{f, d}, err
}

func (d *dyingDisk) Rename(from, to string) error {
	if err := d.step(); err != nil {
		return err
	}
	return d.OS.Rename(from, to)
}

func (d *dyingDisk) Remove(path string) {
	if d.step() == nil {
		d.OS.Remove(path)
	}
}

func (d *dyingDisk) SyncDir(dir string) error {
	if err := d.step(); err != nil {
		return err
	}
	return d.quick.SyncDir(dir)
}

type dyingFile struct {
	wholefile.File
	d *dyingDisk
}

func (f dyingFile) Write(b []byte) (int, error) {
	if err := f.d.step(); err != nil {
		_, _ = f.File.Write(b[:len(b)/2])
		return 0, err
	}
	return f.File.Write(b)
}

func (f dyingFile) Sync() error {
	if err := f.d.step(); err != nil {
		return err
	}
	return f.File.Sync()
}

// A node is killed at each step of what it does, is started again and does it again. Each time its folder can be read, and in the end it is who it has
// to be.
func TestKilledAtAnyStep(t *testing.T) {
	type run func(w *world, i *Identity) error
	join := func(r TokenRequest) func(w *world) run {
		return func(w *world) run {
			token := w.token(r)
			return func(w *world, i *Identity) error {
				if c := i.current.Load(); c != nil && c.isRoot() == (r.Role == Root) {
					return nil
				}
				request, err := i.Join(token, "edge1", w.random)
				if err != nil {
					return err
				}
				g, err := w.redeem(request)
				w.must(err)
				w.must(w.commit(g.Edits...))
				return i.Accept(token.Authority, "edge1", g.Reply, w.now)
			}
		}
	}
	for _, c := range []struct {
		name   string
		joined bool // before
		begin  func(w *world) run
		root   bool // it is one in the end
	}{
		{"join", false, join(TokenRequest{}), false},
		{"join the root", false, join(TokenRequest{Role: Root}), true},
		{"join again, no member of the root any more", true, func(w *world) run {
			w.revoke("edge1")
			w.joinAs(w.open(w.dir), "edge1", w.token(TokenRequest{Role: Root}))
			w.revoke("edge1")
			return join(TokenRequest{})(w)
		}, false},
		{"renew", true, func(w *world) run {
			w.now = born.Add(Life * 3 / 4)
			return func(w *world, i *Identity) error {
				if w.now.Before(i.RenewAt()) {
					return nil
				}
				r, err := i.Renewal(i.RenewAt().Before(w.now), w.random)
				if err != nil {
					return err
				}
				g, err := Renew(w, w.authority, w.root.Bundle(), r, w.now, w.random)
				w.must(err)
				w.must(w.commit(g.Edits...))
				return i.Renewed(g.Certificate, w.now)
			}
		}, false},
		{"found", false, func(*world) run {
			return func(w *world, i *Identity) error {
				if err := i.Found("edge1", w.now, w.random); err != nil {
					return err
				}
				_, err := i.First(nil, "")
				w.must(err)
				a, err := i.Authority()
				w.must(err)
				if a.Store() != i.Bundle().Store() {
					w.Error("the authority is another store's")
				}
				return nil
			}
		}, true},
		{"node key", true, func(*world) run {
			return func(w *world, i *Identity) error { _, err := i.NodeKey(w.random); return err }
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for steps := 0; ; steps++ {
				if steps > 200 {
					t.Fatal("it never ends")
				}
				w := newWorld(t)
				dir := t.TempDir()
				if w.dir = dir; c.joined {
					w.joinAs(w.open(dir), "edge1", w.token(TokenRequest{}))
				}
				run := c.begin(w)
				d := &dyingDisk{steps: steps}
				i, err := Open(d, dir)
				if err == nil {
					err = run(w, i)
				}
				killed := d.steps < 0
				if err != nil && !killed {
					t.Fatalf("after %d steps: %v", steps, err)
				}
				for range 2 {
					i = w.open(dir)
					if err := run(w, i); err != nil {
						t.Fatalf("killed after %d steps, and done again: %v", steps, err)
					}
				}
				if c.name != "found" {
					if _, err := w.check(i.Certificate()); err != nil {
						t.Fatalf("killed after %d steps: %v", steps, err)
					}
				}
				want := []string{BundleFile, NodeFile}
				if c.root {
					want = []string{BundleFile, AuthorityFile, NodeFile, StoreKeyFile}
				}
				if c.name == "node key" {
					want = append(want, NodeKeyFile)
					slices.Sort(want)
				}
				if names, _ := (wholefile.OS{}).List(dir); !slices.Equal(names, want) {
					t.Fatalf("killed after %d steps: the folder holds %v, not %v", steps, names, want)
				}
				if !killed {
					return
				}
			}
		})
	}
}

// What is wrong with a folder is said with the file's name and what to do; nothing is mended by making who a node is anew.
func TestDamagedFolder(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(w *world, dir string)
		call func(i *Identity) error // nil: Open fails
		want string
	}{
		{"half of node.pem", truncate(NodeFile), nil, "node.pem\": it is damaged"},
		{"no node.pem", remove(NodeFile), func(i *Identity) error { _, err := i.Renewal(false, nil); return err }, "has not joined a store"},
		{"an empty node.pem", write(NodeFile, ""), nil, "it has not a private key"},
		{"node.pem is text", write(NodeFile, "hello"), nil, "more than keys and certificates"},
		{"node.pem is long", write(NodeFile, strings.Repeat("x", maxFile+1)), nil, "more than 65536 octets"},
		{"node.pem of another node's certificate", func(w *world, dir string) {
			c := w.root.current.Load()
			mixed := &credential{key: c.key, cert: w.join("x", TokenRequest{}).Certificate(), bundle: c.bundle}
			text, err := mixed.encode()
			w.must(err)
			w.must(os.WriteFile(filepath.Join(dir, NodeFile), text, 0o600))
		}, nil, "the certificate is not for the private key"},
		{"node.pem of two stores", func(w *world, dir string) {
			c := w.root.current.Load()
			mixed := &credential{key: c.key, cert: c.cert, bundle: newWorldFrom(w.TB, 2).root.Bundle()}
			text, err := mixed.encode()
			w.must(err)
			w.must(os.WriteFile(filepath.Join(dir, NodeFile), text, 0o600))
		}, nil, "is for the store"},
		{"node.pem that others read", func(w *world, dir string) { w.must(os.Chmod(filepath.Join(dir, NodeFile), 0o640)) }, nil, "its mode is 0640"},
		{"node.next is text", write(NextFile, "hello"), nil, "node.next\": it is damaged"},
		{"ca.crt is gone", remove(BundleFile), ok, ""},
		{"ca.crt is text", write(BundleFile, "hello"), ok, ""},
		{"ca.key is gone", remove(AuthorityFile), authority, "is no member of the root"},
		{"half of ca.key", truncate(AuthorityFile), authority, "ca.key\": it is damaged"},
		{"ca.key that others read", func(w *world, dir string) { w.must(os.Chmod(filepath.Join(dir, AuthorityFile), 0o604)) }, authority, "its mode is 0604"},
		{"ca.key of another store", func(w *world, dir string) {
			other := newWorldFrom(w.TB, 2).root
			text, err := other.files.read(AuthorityFile)
			w.must(err)
			w.must(os.WriteFile(filepath.Join(dir, AuthorityFile), text, 0o600))
		}, authority, "no certificate of an authority is for the key"},
		{"half of store.key", truncate(StoreKeyFile), func(i *Identity) error { _, err := i.StoreKey(); return err }, "a key has 32 octets, not 16"},
		{"store.key is gone", remove(StoreKeyFile), func(i *Identity) error { _, err := i.StoreKey(); return err }, "is no member of the root"},
		{"an empty node.key", write(NodeKeyFile, ""), func(i *Identity) error { _, err := i.NodeKey(nil); return err }, "a key has 32 octets, not 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			dir := w.root.files.dir
			c.do(w, dir)
			i, err := Open(wholefile.OS{}, dir)
			if c.call != nil {
				w.must(err)
				err = c.call(i)
			}
			if c.want == "" {
				w.must(err)
				if b, err := i.files.read(BundleFile); err != nil || string(b) != string(i.Bundle().PEM()) {
					t.Errorf("ca.crt was not made anew: %q, %v", b, err)
				}
				return
			}
			var hinted interface{ Hint() string }
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			} else if !errors.As(err, &hinted) && !strings.Contains(c.name, "long") || hinted != nil && hinted.Hint() == "" {
				t.Errorf("%v: no hint", err)
			}
		})
	}
}

func ok(*Identity) error { return nil }

func authority(i *Identity) error { _, err := i.Authority(); return err }

func write(name, text string) func(*world, string) {
	return func(w *world, dir string) { w.must(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)) }
}

func remove(name string) func(*world, string) {
	return func(w *world, dir string) { w.must(os.Remove(filepath.Join(dir, name))) }
}

func truncate(name string) func(*world, string) {
	return func(w *world, dir string) {
		info, err := os.Stat(filepath.Join(dir, name))
		w.must(err)
		w.must(os.Truncate(filepath.Join(dir, name), info.Size()/2))
	}
}

// All files but ca.crt are for their owner alone, and that has nothing to hide.
func TestModes(t *testing.T) {
	w := newWorld(t)
	_, err := w.root.NodeKey(w.random)
	w.must(err)
	for _, name := range []string{NodeFile, AuthorityFile, StoreKeyFile, NodeKeyFile} {
		info, err := os.Stat(filepath.Join(w.root.files.dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

// etcd reads a certificate and its key from files, as crypto/tls does: node.pem serves as both.
func TestNodeFileIsCertificateAndKey(t *testing.T) {
	w := newWorld(t)
	cert, key, authorities, host := w.root.PeerFiles()
	pair, err := tls.LoadX509KeyPair(cert, key)
	w.must(err)
	text, err := os.ReadFile(authorities)
	w.must(err)
	roots := x509.NewCertPool()
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, CurrentTime: w.now}); err == nil || !roots.AppendCertsFromPEM(text) {
		t.Errorf("without authorities: %v", err)
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, CurrentTime: w.now}); err != nil {
		t.Error(err)
	}
	if pair.Leaf.VerifyHostname(RootHost(w.root.Bundle().Store())) != nil {
		t.Error("it is not one of a member of the root")
	}
	if w.join("edge1", TokenRequest{}).Certificate().VerifyHostname(RootHost(w.root.Bundle().Store())) == nil {
		t.Error("that of a follower is one")
	}
}

// A member of the root that was revoked and joined again as a follower has no key of the authority any more; a node changes to no other store.
func TestJoinAgain(t *testing.T) {
	w := newWorld(t)
	i := w.join("r2", TokenRequest{Role: Root})
	w.must(authority(i))
	w.revoke("r2")
	w.joinAs(i, "r2", w.token(TokenRequest{}))
	if _, err := w.check(i.Certificate()); err != nil {
		t.Error(err)
	}
	if names, _ := (wholefile.OS{}).List(i.files.dir); !slices.Equal(names, []string{BundleFile, NodeFile}) {
		t.Errorf("the folder holds %v", names)
	}
	other := newWorldFrom(t, 2)
	token := other.token(TokenRequest{})
	request, err := i.Join(token, "r2", w.random)
	w.must(err)
	g, err := other.redeem(request)
	w.must(err)
	if err := i.Accept(token.Authority, "r2", g.Reply, w.now); err == nil || !strings.Contains(err.Error(), "is one of the store") {
		t.Errorf("it changes to another store: %v", err)
	}
	if err := i.Found("r2", w.now, w.random); err == nil {
		t.Error("a follower makes a store")
	}
	if err := w.root.Found("r9", w.now, w.random); err == nil || !strings.Contains(err.Error(), `is that of the node "r1"`) {
		t.Errorf("another name: %v", err)
	}
}

// A reply that is not what was asked for is not kept.
func TestAcceptRefuses(t *testing.T) {
	w := newWorld(t)
	other := newWorldFrom(t, 2)
	for _, c := range []struct {
		name   string
		change func(r *JoinReply)
		want   string
	}{
		{"another authority", func(r *JoinReply) { r.Authorities = other.root.Bundle().ders() }, "the authority of the token is not among"},
		{"none", func(r *JoinReply) { r.Authorities = nil }, "there are 0 authorities"},
		{"two stores", func(r *JoinReply) { r.Authorities = append(r.Authorities, other.authority.cert.Raw) }, "of different stores"},
		{"too many", func(r *JoinReply) {
			for range maxAuthorities {
				r.Authorities = append(r.Authorities, w.authority.cert.Raw)
			}
		}, "there are 9 authorities"},
		{"a node as an authority", func(r *JoinReply) { r.Authorities = append(r.Authorities, w.root.Certificate().Raw) }, "it is that of a node"},
		{"another's certificate", func(r *JoinReply) { r.Certificate = w.root.Certificate().Raw }, "not for the private key"},
		{"one for another name", func(r *JoinReply) {
			cert, err := parseCertificate(r.Certificate)
			w.must(err)
			r.Certificate, _, err = w.authority.issue("edge2", Root, cert.PublicKey, w.now, w.random)
			w.must(err)
		}, `for the node "edge2", not for "edge1"`},
		{"no key of the authority", func(r *JoinReply) { r.AuthorityKey = nil }, "reading a private key"},
		{"the key of another", func(r *JoinReply) {
			var err error
			r.AuthorityKey, err = other.authority.encodeKey()
			w.must(err)
		}, "no certificate of an authority is for the key"},
		{"half a key of the store", func(r *JoinReply) { r.StoreKey = r.StoreKey[:16] }, "a key has 32 octets"},
	} {
		i := w.open(t.TempDir())
		token := w.token(TokenRequest{Role: Root})
		request, err := i.Join(token, "edge1", w.random)
		w.must(err)
		g, err := w.redeem(request)
		w.must(err)
		c.change(&g.Reply)
		if err := i.Accept(token.Authority, "edge1", g.Reply, w.now); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if i.Joined() || w.open(i.files.dir).Joined() {
			t.Errorf("%s: it was kept", c.name)
		}
		if text := fmt.Sprint(g.Reply, request.Secret, token); strings.Contains(text, fmt.Sprint(g.Reply.StoreKey)) || strings.Contains(text, fmt.Sprint(token.Secret[:])) {
			t.Errorf("%s: a secret is printed", c.name)
		}
	}
}
