package blobs

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestMain is also the process that TestKill kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv("BLOBS_TEST_WRITES"); dir != "" {
		putForEver(dir)
	}
	os.Exit(m.Run())
}

// putForEver puts blobs, says of each that it is there, and sweeps the one before the last.
func putForEver(dir string) {
	now := time.Duration(0)
	f, err := Open(dir, Options{Boot: func() time.Duration { now += Grace; return now }})
	for i := uint64(os.Getpid()); err == nil; i++ {
		b := content(i, int(i%7)*20_000)
		if _, err = f.Put(bytes.NewReader(b)); err == nil {
			fmt.Println(i)
			gone := sha256.Sum256(content(i-2, int((i-2)%7)*20_000))
			_, err = f.Sweep(func(sum [32]byte) bool { return sum != gone })
		}
	}
	fmt.Println(err)
	os.Exit(1)
}

// A process that is killed at any instant leaves all blobs of which it has said that they are there (but for those that it was to sweep), whole, and nothing else.
func TestKill(t *testing.T) {
	rounds := 25
	if testing.Short() {
		rounds = 5
	}
	rng := rand.New(rand.NewPCG(5, 6))
	written := 0
	for range rounds {
		dir := t.TempDir()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "BLOBS_TEST_WRITES="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		steps, spin := rng.IntN(12), rng.IntN(3_000_000)
		var last uint64
		lines := bufio.NewScanner(out)
		for killed := false; lines.Scan(); {
			if _, err := fmt.Sscan(lines.Text(), &last); err != nil {
				t.Fatal(lines.Text())
			}
			written++
			if steps--; steps <= 0 && !killed {
				for range spin { // some part of a millisecond, or of the next step
					spin++
				}
				cmd.Process.Kill()
				killed = true
			}
		}
		cmd.Wait()
		f := open(t, dir)
		if n := f.Len(); n < 1 || n > 3 {
			t.Errorf("%d blobs are left", n)
		}
		for sum := range f.all {
			if _, err := f.Read(sum, MaxBlob); err != nil {
				t.Error(err)
			}
		}
		if b := content(last, int(last%7)*20_000); !f.Has(sha256.Sum256(b)) {
			t.Errorf("blob %d was there, and is not", last)
		}
		entries, _ := os.ReadDir(dir)
		if len(entries) != f.Len() {
			t.Errorf("%d files are left for %d blobs", len(entries), f.Len())
		}
	}
	if written < rounds {
		t.Errorf("%d blobs in %d rounds", written, rounds)
	}
}
