package etcd_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/etcd"
)

// settle tells what became of a commit that failed, as a writer does: it asks until it is told.
func settle(t testing.TB, root *etcd.Root, r *store.Record, err error) (done bool) {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	if !errors.Is(err, store.ErrUnknown) {
		var down *etcd.DownError
		var full *store.FullError
		if !errors.As(err, &down) && !errors.As(err, &full) {
			t.Fatalf("committing version %d: %v", r.Version, err)
		}
		return false
	}
	for {
		if err := root.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		v, err := root.Lookup(ctx, r.ID)
		switch {
		case err == nil && v != 0 && v != r.Version:
			t.Fatalf("the commit of version %d has version %d", r.Version, v)
		case err == nil:
			return v != 0
		case ctx.Err() != nil:
			t.Fatal(err)
		}
	}
}

// Of a commit that is under way when etcd is killed it is told whether it was done, never wrongly; and whoever follows sees each commit once.
func TestKilledInTheMidstOfACommit(t *testing.T) {
	t.Parallel()
	kills := 50
	if testing.Short() {
		kills = 5
	}
	c := config(t)
	c.Log = nil
	root := open(t, c)
	head, err := root.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.New(rand.NewPCG(5, 50))
	w := newWriter(head, 3)

	ctx, stop := context.WithCancel(t.Context())
	seen := make(chan store.Version, 1<<16)
	followed := make(chan error)
	go func() {
		copied := head
		followed <- root.Follow(ctx, 0, func(r *store.Record) (err error) {
			copied, err = copied.Next(r)
			seen <- r.Version
			return err
		})
	}()
	outcomes := map[string]int{}
	for range kills {
		if err := root.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		pid := root.State().PID
		// A commit takes a millisecond or two: the kill comes before it, within it, or after some.
		kill := time.AfterFunc(time.Duration(seed.IntN(6_000))*time.Microsecond, func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
		for {
			r := w.record(edit(fmt.Sprint("k", seed.IntN(20)), fmt.Sprint(seed.Uint64())), edit("same", fmt.Sprint(w.head.Version)))
			err := root.Commit(t.Context(), w.head, r, nil)
			if err == nil {
				w.made(r)
				continue
			}
			switch done := settle(t, root, r, err); {
			case done:
				outcomes["done, and the answer lost"]++
				w.made(r)
			case errors.Is(err, store.ErrUnknown):
				outcomes["not done, and the answer lost"]++
			default:
				outcomes["not sent"]++
			}
			break
		}
		kill.Stop()
		waitFor(t, root, func(s etcd.State) bool { return s.PID != pid })
	}
	if err := root.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantEntries(t, root, w)
	for v := store.Version(1); v <= w.head.Version; v++ {
		if got := <-seen; got != v {
			t.Fatalf("the follower saw version %d in place of %d", got, v)
		}
	}
	stop()
	if err := <-followed; !errors.Is(err, context.Canceled) {
		t.Errorf("following ended with %v", err)
	}
	t.Logf("%d commits, %d restarts; %v", w.head.Version, root.State().Restarts, outcomes)
	if root.State().Restarts < kills-1 {
		t.Errorf("etcd was started again %d times", root.State().Restarts)
	}
}

// runNode is a process that has a root and commits until it is killed. It prints the version of each commit that was acknowledged.
func runNode() {
	root, err := etcd.Open(etcd.Config{Command: selfAgain, Folder: os.Getenv("ANANAS_TEST_FOLDER"), Name: "lis01", Random: random(1),
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		fatal(err)
	}
	ctx := context.Background()
	if err := root.Ready(ctx); err != nil {
		fatal(err)
	}
	head, err := root.Create(ctx)
	if err != nil {
		fatal(err)
	}
	for w := newWriter(head, 4); ; {
		r := w.record(edit("a", fmt.Sprint(w.head.Version)))
		if err := root.Commit(ctx, w.head, r, nil); err != nil {
			fatal(err)
		}
		w.made(r)
		fmt.Println(r.Version)
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// etcd ends with the node, however that ends: nothing holds the data folder then.
func TestChildEndsWithItsParent(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "etcd")
	node := self(t, "node")()
	node.Env = append(node.Env, "ANANAS_TEST_FOLDER="+folder)
	node.Stderr = testLog{t}
	out, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	var acknowledged store.Version
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, err := fmt.Sscan(lines.Text(), &acknowledged); err != nil {
			t.Error(err)
		}
		if acknowledged == 20 {
			if err := node.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = node.Wait()
	lock, err := os.Open(filepath.Join(folder, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil { // waits until the child is gone, if it goes at all
		t.Fatal(err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	c := config(t)
	c.Folder = folder
	root := open(t, c)
	if head, err := root.Head(t.Context()); err != nil || head.Version < acknowledged || head.Version > acknowledged+1 {
		t.Errorf("%d commits were acknowledged, and there are %d: %v", acknowledged, head.Version, err)
	}
}

// The input of a child ends with its parent where the kernel ends nothing, and that is enough.
func TestChildEndsWithItsInput(t *testing.T) {
	cmd := self(t, "member")()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(in, `{"Folder":%q,"Name":"a","Token":"t","Cluster":"a=unix://a","Quota":1000000000}`+"\n", filepath.Join(t.TempDir(), "etcd"))
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.Contains(line, `"ready":true`) {
		t.Fatalf("%q, %v", line, err)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// A second process does not take the folder, nor the socket of the first.
func TestFolderHasOneMember(t *testing.T) {
	c := config(t)
	root := open(t, c)
	second, err := etcd.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	for second.State().Phase != etcd.Restarting {
		<-second.Changed()
	}
	if s := second.State(); !strings.Contains(s.Err, "another process uses it") {
		t.Errorf("the second says %q", s.Err)
	}
	if _, err := second.Head(t.Context()); err == nil || !strings.Contains(err.Error(), "another process uses it") {
		t.Errorf("asked for the head it says %v", err)
	}
	second.Close()
	if _, err := root.Head(t.Context()); err != nil {
		t.Error(err)
	}
}

// A socket's path has 108 octets at most. A folder's may have more.
func TestFolderWithALongPath(t *testing.T) {
	c := config(t)
	c.Folder = filepath.Join(t.TempDir(), strings.Repeat("long", 30), "etcd")
	root := open(t, c)
	if _, err := root.Head(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestConfigurationThatCanNotWork(t *testing.T) {
	for want, mend := range map[string]func(*etcd.Config){
		"no name":                    func(c *etcd.Config) { c.Name = "" },
		"told none of its members":   func(c *etcd.Config) { c.Join = true },
		"tells them from other node": func(c *etcd.Config) { c.Peer = &etcd.Peer{Listen: "127.0.0.1:1", URL: "https://127.0.0.1:1"} },
	} {
		c := config(t)
		mend(&c)
		if root, err := etcd.Open(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
			if root != nil {
				root.Close()
			}
		}
	}
}
