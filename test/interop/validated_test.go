//go:build linux

package interop

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestValidatedBehindAnanas: a validator that has only ananas to ask can prove all that there is to prove.
func TestValidatedBehindAnanas(t *testing.T) { validate(t, startAnanas(t, settings{})) }

// TestValidatedBehindUnbound is the same with the peer.
func TestValidatedBehindUnbound(t *testing.T) { validate(t, startUnbound(t)) }

func validate(t *testing.T, r *resolver) {
	anchors := filepath.Join(r.dir, "anchors")
	f := strings.Fields(inWorld.anchor) // . TTL IN DS tag algorithm digest-type digest
	if len(f) < 8 {
		t.Fatalf("the DS of the root zone: %q", inWorld.anchor)
	}
	text := fmt.Sprintf("trust-anchors { . static-ds %s %s %s %q; };\n", f[4], f[5], f[6], strings.Join(f[7:], ""))
	if err := os.WriteFile(anchors, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("testdata/validated.txt")
	if err != nil {
		t.Fatal(err)
	}
	slots := make(chan struct{}, atOnce)
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		line, known := strings.CutPrefix(line, "! ")
		known = known && r.kind == "ananas"
		f := strings.SplitN(line, " ", 3)
		t.Run(f[0]+" "+f[1], func(t *testing.T) {
			t.Parallel()
			slots <- struct{}{}
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(t.Context(), askTime)
			defer cancel()
			// delv exits with 1 when there is no such data.
			out, _ := exec.CommandContext(ctx, "delv", "@"+r.addr.Addr().String(), "-a", anchors, "+root=.", "-q", f[0], "-t", f[1]).CombinedOutput()
			right := strings.Contains(string(out), "; "+f[2]+"\n")
			switch {
			case !right && !known:
				t.Errorf("delv does not say %q:\n%s", f[2], out)
			case right && known:
				t.Error("this is right now: take the exclamation mark out of validated.txt")
			}
		})
	}
}
