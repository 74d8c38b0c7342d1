package cluster_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/test/cluster"
	"github.com/ananas-edge/ananas/wasm"
)

// A list that is larger than a request may be is uploaded first, and reaches a follower, where it is asked. Its text does not stay in memory there, and what breaks off or is another content leaves nothing.
func TestLargeList(t *testing.T) {
	t.Parallel()
	r := start(t)
	all := r.serve(1)
	root := r.add(cluster.Config{Name: "root", Root: true}, "")
	leaf := r.add(cluster.Config{Name: "leaf", Join: []*cluster.Node{root}}, r.token(root, admin.NewToken{Name: "leaf"}))

	var list bytes.Buffer
	for i := 0; list.Len() < admin.MaxApplyBytes+1<<20; i++ {
		fmt.Fprintf(&list, "host%07d.a-name-of-some-length.example\n", i)
	}
	sum := sha256.Sum256(list.Bytes())
	module, err := os.ReadFile(filepath.Join("..", "..", "nameserver", "plugin", "testdata", "guests", "listed.wasm"))
	r.must(err)
	module, err = wasm.Attach(module, []byte("abi: 1\nname: listed\nversion: '1'\nphases: [query]\nneeds: [data/bad]\npure: true\n"))
	r.must(err)
	dir := t.TempDir()
	for name, content := range map[string][]byte{"listed.wasm": module, "bad.txt": list.Bytes(), "settings.yaml": []byte(`settings:
  recursion: { trust_anchors: none }
  forward: [{ zone: ".", servers: ["` + all.address + `"] }]
  modules: [{ name: listed, file: listed.wasm }]
  data: [{ name: bad, file: bad.txt }]
  plugins: [{ module: listed, phase: query, grant: [data/bad] }]
`)} {
		r.must(os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	ananas := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(r.Binary, append(args, "--node", root.Address+":8053", "--data", root.Data)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}

	// Another content under its name is refused, and leaves nothing.
	token, err := os.ReadFile(filepath.Join(root.Data, "admin.token"))
	r.must(err)
	q, err := http.NewRequest(http.MethodPut, fmt.Sprintf("http://%s:8053/api/v1/blobs/%x", root.Address, sum), strings.NewReader(list.String()[1:]))
	r.must(err)
	q.Header.Set("Content-Type", "application/octet-stream")
	q.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	got, err := http.DefaultClient.Do(q)
	r.must(err)
	got.Body.Close()
	if has, err := r.api(root).HasBlob(r.ctx, sum); got.StatusCode != http.StatusBadRequest || has || err != nil {
		t.Errorf("another content: HTTP %d, it is there: %v, %v", got.StatusCode, has, err)
	}
	if _, err := r.api(leaf).HasBlob(r.ctx, sum); err == nil || !strings.Contains(err.Error(), "this node follows a store") {
		t.Errorf("a follower says %v", err)
	}

	if out := ananas("apply", filepath.Join(dir, "settings.yaml"), "--yes", "--now", "--reason", "a list"); !strings.Contains(out, ": live") {
		t.Errorf("%s", out)
	}
	blocked := func(n *cluster.Node) {
		t.Helper()
		r.eventually(n.Name+" blocks what is listed", func() error {
			got, err := answer(n, "www.host0000007.a-name-of-some-length.example.")
			if err == nil && !strings.HasPrefix(got, "NXDOMAIN") {
				err = fmt.Errorf("it answers %s", got)
			}
			return err
		})
		if got, err := answer(n, "www.other.example."); err != nil || got != all.own {
			t.Errorf("%s answers %s, %v", n.Name, got, err)
		}
	}
	blocked(root)
	blocked(leaf)
	if !hasBlob(leaf, list.String()) {
		t.Error("the follower does not have the blob")
	}
	var copied bytes.Buffer
	if err := r.api(leaf).GetBlob(r.ctx, sum, int64(list.Len()), &copied, nil); err != nil || !bytes.Equal(copied.Bytes(), list.Bytes()) {
		t.Errorf("a follower tells %d octets of the list: %v", copied.Len(), err)
	}
	if out := ananas("apply", filepath.Join(dir, "settings.yaml"), "--yes", "--now", "--reason", "again"); !strings.Contains(out, "nothing is different") {
		t.Errorf("%s", out)
	}

	// It is asked again after a start, without its text: what was compiled of it is there.
	r.must(leaf.Stop())
	r.must(leaf.Start(""))
	blocked(leaf)
	if runtime.GOOS == "linux" {
		status, err := os.ReadFile("/proc/" + strconv.Itoa(leaf.PID()) + "/status")
		r.must(err)
		var anonymous int
		for line := range strings.Lines(string(status)) {
			_, _ = fmt.Sscanf(line, "RssAnon: %d kB", &anonymous)
		}
		if most := list.Len() * 3 / 2 >> 10; anonymous == 0 || anonymous > most {
			t.Errorf("the follower has %d KiB of its own in memory, and the list %d", anonymous, list.Len()>>10)
		}
	}
}
