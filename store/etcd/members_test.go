package etcd_test

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/etcd"
)

// authority signs certificates of members.
type authority struct {
	folder string
	key    ed25519.PrivateKey
	cert   *x509.Certificate
	serial int64
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{folder: t.TempDir()}
	a.key, a.cert = a.sign(t, "ca", &x509.Certificate{Subject: pkix.Name{CommonName: "the store"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// sign makes a certificate and writes it and its key to files.
func (a *authority) sign(t testing.TB, name string, c *x509.Certificate) (ed25519.PrivateKey, *x509.Certificate) {
	t.Helper()
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	a.serial++
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(a.serial), time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	parent, by := c, key
	if a.cert != nil {
		parent, by = a.cert, a.key
	}
	der, err := x509.CreateCertificate(nil, c, parent, public, by)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{".crt": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(filepath.Join(a.folder, name+file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, parsed
}

// serverName is in the certificates of members alone.
const serverName = "member.root.ananas"

// peer makes the end of a member: an address of its own, and a certificate of some name.
func (a *authority) peer(t testing.TB, number int, dns string) *etcd.Peer {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.%d:0", 10+number))
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close() // it may be taken by another in between; then the test says so
	name := fmt.Sprintf("lis%02d", number)
	a.sign(t, name, &x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: []string{name, dns}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}})
	return &etcd.Peer{Listen: address, URL: "https://" + address, ServerName: serverName,
		Cert: filepath.Join(a.folder, name+".crt"), Key: filepath.Join(a.folder, name+".key"), CA: filepath.Join(a.folder, "ca.crt")}
}

// cluster is a root of several members.
type cluster struct {
	configs []etcd.Config
	roots   []*etcd.Root
}

// newCluster makes a root of one member and has others join.
func newCluster(t testing.TB, size int) *cluster {
	t.Helper()
	a := newAuthority(t)
	cl := &cluster{}
	for i := range size {
		c := config(t)
		c.Name, c.Peer, c.Random = fmt.Sprintf("lis%02d", i+1), a.peer(t, i+1, serverName), random(uint64(i))
		if i > 0 {
			c.Members, c.Join = add(t, cl.roots[0], c.Name, c.Peer.URL), true
		}
		cl.configs = append(cl.configs, c)
		cl.roots = append(cl.roots, nil)
		cl.open(t, i)
		waitVoters(t, cl.roots[0], i+1)
	}
	return cl
}

// add adds a member as soon as the others let it in: they have to have known each other for some seconds, and a new address has to be known.
func add(t testing.TB, root *etcd.Root, name, url string) []etcd.Member {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	for {
		members, err := root.AddLearner(ctx, name, url)
		if err == nil {
			return members
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		pause(ctx)
	}
}

// open starts a member.
func (cl *cluster) open(t testing.TB, i int) {
	t.Helper()
	cl.roots[i] = open(t, cl.configs[i])
}

// waitVoters waits until so many members have a vote, and all are reachable.
func waitVoters(t testing.TB, root *etcd.Root, n int) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	for {
		members, err := root.Members(ctx)
		if err != nil && ctx.Err() != nil {
			t.Fatal(err)
		}
		if voters := slices.DeleteFunc(members, func(m etcd.Member) bool { return m.Learner }); len(voters) == n {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("the members are %+v", members)
		}
		pause(ctx)
	}
}

// pause lets other processes go on.
func pause(ctx context.Context) {
	select {
	case <-time.After(50 * time.Millisecond):
	case <-ctx.Done():
	}
}

// A root of three takes writes soon after any one of its members was killed, and loses nothing.
func TestAnyMemberMayDie(t *testing.T) {
	t.Parallel()
	cl := newCluster(t, 3)
	head, err := cl.roots[1].Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := newWriter(head, 11)
	var worst time.Duration
	seed := mathrand.New(mathrand.NewPCG(1, 2))
	leader := func() int {
		for {
			for i, r := range cl.roots {
				if r.State().Store.Leads {
					return i
				}
			}
			pause(t.Context())
		}
	}
	for round := range 6 {
		dead := round % 3
		if round >= 3 {
			dead = leader() // as far as they knew a moment ago
		}
		writing := cl.roots[(dead+1+seed.IntN(2))%3]
		for i := range 20 {
			commit(t, writing, w, edit(fmt.Sprint("k", i), fmt.Sprint(round)))
		}
		led := cl.roots[dead].State().Store.Leads
		if err := syscall.Kill(cl.roots[dead].State().PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		cl.roots[dead].Close() // it does not come back
		for commits := 0; commits < 20; {
			r := w.record(edit("a", fmt.Sprint(round, commits)))
			err := writing.Commit(t.Context(), w.head, r, nil)
			if err == nil || settle(t, writing, r, err) {
				if commits == 0 {
					took := time.Since(began)
					worst = max(worst, took)
					t.Logf("member %d (leads: %v) is killed: the next commit is done after %v", dead+1, led, took.Round(time.Millisecond))
				}
				w.made(r)
				commits++
			}
		}
		cl.open(t, dead)
		wantEntries(t, cl.roots[dead], w)
	}
	for _, root := range cl.roots {
		if got, err := root.Records(t.Context(), 0, 64<<20); err != nil || len(got) != int(w.head.Version) {
			t.Errorf("%d records of %d, %v", len(got), w.head.Version, err)
		}
		wantEntries(t, root, w)
	}
	t.Logf("writes are back after %v at worst", worst.Round(time.Millisecond))
}

// A member that can't reach the others says so, and takes no writes.
func TestMemberWithoutAQuorum(t *testing.T) {
	t.Parallel()
	cl := newCluster(t, 3)
	w := newWriter(store.Head{}, 12)
	w.head, _ = cl.roots[0].Head(t.Context())
	commit(t, cl.roots[0], w, edit("a", "1"))
	for _, i := range []int{1, 2} {
		cl.roots[i].Close()
	}
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
	defer stop()
	if head, err := cl.roots[0].Head(ctx); err == nil {
		t.Errorf("without a quorum the head is %+v", head)
	}
	r := w.record(edit("a", "2"))
	ctx, stop = context.WithTimeout(t.Context(), 2*time.Second)
	defer stop()
	if err := cl.roots[0].Commit(ctx, w.head, r, nil); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("without a quorum a commit says %v", err)
	}
	cl.open(t, 1)
	if settle(t, cl.roots[0], r, store.ErrUnknown) {
		w.made(r)
	}
	commit(t, cl.roots[0], w, edit("a", "3"))
	wantEntries(t, cl.roots[1], w)
}

// Which member leads is told by each of them; where no quorum is left none does, and the list is still told.
func TestRoster(t *testing.T) {
	t.Parallel()
	cl := newCluster(t, 2)
	leader := func(r *etcd.Root) (name string, members int) {
		all, err := r.Roster(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range all {
			if m.Leads {
				name = m.Name
			}
		}
		return name, len(all)
	}
	eventually := func(what string, r *etcd.Root, want func(string) bool) {
		for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
			name, n := leader(r)
			if want(name) && n == 2 {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: of %d members %q leads", what, n, name)
			}
		}
	}
	// On a busy machine another may have been elected between two looks.
	eventually("both members say the same", cl.roots[1], func(name string) bool {
		first, _ := leader(cl.roots[0])
		return name == first && name != ""
	})
	cl.roots[1].Close()
	eventually("alone", cl.roots[0], func(name string) bool { return name == "" })
}

// Members come and go; who is none does not get in.
func TestMembers(t *testing.T) {
	t.Parallel()
	cl := newCluster(t, 2)
	w := newWriter(store.Head{}, 13)
	w.head, _ = cl.roots[0].Head(t.Context())
	commit(t, cl.roots[1], w, edit("a", "1"))
	add(t, cl.roots[0], "lis03", "https://127.0.0.99:1") // and never comes
	for want, err := range map[string]error{
		"it is a member already":  second(cl.roots[0].AddLearner(t.Context(), "lis02", "https://127.0.0.99:1")),
		"has no vote yet":         second(cl.roots[0].AddLearner(t.Context(), "lis04", "https://127.0.0.98:1")),
		"there is no such member": cl.roots[0].Remove(t.Context(), "lis77"),
		"":                        second(cl.roots[0].AddLearner(t.Context(), "lis03", "https://127.0.0.99:1")), // once more
	} {
		if text := fmt.Sprint(err); !strings.Contains(text, want) || want == "" && err != nil {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	members, err := cl.roots[1].Members(t.Context())
	if err != nil || len(members) != 3 {
		t.Fatalf("%+v, %v", members, err)
	}
	for _, m := range members {
		if m.Learner {
			if err := cl.roots[1].Remove(t.Context(), m.URL); err != nil {
				t.Error(err)
			}
		}
	}
	if err := cl.roots[0].Remove(t.Context(), "lis02"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, cl.roots[1], func(s etcd.State) bool { return s.Phase == etcd.Removed })
	var down *etcd.DownError
	if _, err := cl.roots[1].Head(t.Context()); !errors.As(err, &down) || !strings.Contains(down.Hint(), "no member") {
		t.Errorf("removed, it says %v", err)
	}
	if err := cl.roots[0].Remove(t.Context(), "lis01"); err == nil {
		t.Error("the last member is removed")
	}
	commit(t, cl.roots[0], w, edit("a", "2"))
}

func second[T any](_ T, err error) error { return err }

// A root that began alone gets an address, and then members.
func TestRootThatBeganAloneGrows(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	c := config(t)
	c.Name = "lis01"
	root := open(t, c)
	w := newWriter(store.Head{}, 14)
	w.head, _ = root.Head(t.Context())
	commit(t, root, w, edit("a", "1"))
	var hint interface{ Hint() string }
	if _, err := root.AddLearner(t.Context(), "lis02", "https://127.0.0.99:1"); !errors.As(err, &hint) {
		t.Errorf("alone it says %v", err)
	}
	root.Close()

	c.Peer = a.peer(t, 1, serverName)
	root = open(t, c)
	other := config(t)
	other.Name, other.Peer, other.Join = "lis02", a.peer(t, 2, serverName), true
	other.Members = add(t, root, "lis02", other.Peer.URL)
	joined := open(t, other)
	waitVoters(t, root, 2)
	wantEntries(t, joined, w)
	commit(t, joined, w, edit("a", "2"))

	// A node that is no member has a certificate of the same authority, and is not let in.
	stranger := config(t)
	stranger.Name, stranger.Join = "lis03", true
	stranger.Peer = a.peer(t, 3, "follower.ananas")
	stranger.Members = add(t, root, "lis03", stranger.Peer.URL)
	outside, err := etcd.Open(stranger)
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	waitFor(t, outside, func(s etcd.State) bool { return s.Phase == etcd.Restarting || s.Phase == etcd.Running })
	if s := outside.State(); s.Phase == etcd.Running {
		t.Error("a node with the certificate of a follower is a member")
	} else {
		t.Log(s.Err)
	}
}
