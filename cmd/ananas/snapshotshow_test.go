package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/replica"
)

// A snapshot is read as it was saved, and one that is not whole is found out.
func TestSnapshotShow(t *testing.T) {
	dir := t.TempDir()
	copy, err := replica.Open(filepath.Join(dir, "store"), replica.Options{Now: func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }})
	if err != nil {
		t.Fatal(err)
	}
	defer copy.Close()
	edits := []store.Edit{{Key: "cache/stale", Value: []byte("1h\n")}, {Key: "forward/evil%1B", Value: []byte("{}\n")}, {Key: "~node/lis01", Value: []byte("{}")}, {Key: "~access", Value: []byte("{}")}}
	if _, err := copy.Load(store.Proposal{Kind: store.KindLoad, Edits: edits}); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := replica.Save(&b, copy.View()); err != nil {
		t.Fatal(err)
	}
	whole := filepath.Join(dir, "whole")
	half := filepath.Join(dir, "half")
	for name, text := range map[string][]byte{whole: b.Bytes(), half: b.Bytes()[:b.Len()-1]} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	show := func(args ...string) (string, string, int) {
		var stdout, stderr bytes.Buffer
		code := run(append([]string{"snapshot", "show"}, args...), nil, &stdout, &stderr, func(string) string { return "" })
		return stdout.String(), stderr.String(), code
	}
	got, _, code := show(whole, "--keys")
	lines := strings.Split(got, "\n")
	for i := range lines {
		if strings.HasPrefix(lines[i], "lineage") || strings.HasPrefix(lines[i], "file") {
			lines[i] = lines[i][:10]
		}
	}
	const want = `file      
version   1
time      2026-03-01 12:00:00 UTC
lineage   
settings  2 keys
nodes     1
others    1 key of the store's own
keys      cache/stale
          forward/evil%1B
          ~access
          ~node/lis01
`
	if code != exitDone || strings.Join(lines, "\n") != want {
		t.Errorf("exit code %d, got\n%s", code, got)
	}
	if got, _, code := show(whole, "--json"); code != exitDone || !strings.Contains(got, `"settings": 2,`) || strings.Contains(got, `"keys"`) {
		t.Errorf("exit code %d, got\n%s", code, got)
	}
	if got, stderr, code := show(half); code != exitFailed || got != "" || !strings.Contains(stderr, half+": reading a snapshot: it ends too early\nhint: ") {
		t.Errorf("exit code %d, got\n%s%s", code, got, stderr)
	}
	if _, stderr, code := show(filepath.Join(dir, "missing")); code != exitFailed || !strings.Contains(stderr, "is the name right?") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
