//go:build linux

package interop

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// transferAddrs are where servers are that give the root zone away.
var transferAddrs = []string{"10.54.0.61", "10.54.0.62", "10.54.0.63"}

// TestLocalRoot: the root zone, signed and digested by ldns, comes by transfer from each of the three servers, is verified, and names resolve and validate by it.
func TestLocalRoot(t *testing.T) {
	enterWorld(t)
	for i, program := range []string{"nsd", "named", "knotd"} {
		t.Run(program, func(t *testing.T) {
			s := &server{name: "transfer-" + program, program: program, zones: []*zone{inWorld.zones["."]}, transfers: true}
			s.addListen(netip.AddrPortFrom(netip.MustParseAddr(transferAddrs[i]), 53))
			if err := inWorld.startServer(s); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := s.process.stop(); err != nil {
					t.Error(err)
				}
			}()
			if err := s.waitReady(20 * time.Second); err != nil {
				t.Fatal(err)
			}
			anchors := filepath.Join(inWorld.dir, "anchors-"+program)
			if err := os.WriteFile(anchors, []byte(inWorld.anchor+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			local := fmt.Sprintf("    local_root: { axfr: [%v], zonemd: required }\n", transferAddrs[i])
			r := startAnanas(t, settings{anchors: anchors, recursion: local})
			r.holdsRoot(t)
			for _, name := range []string{"www.signed.org", "www.hashed.org", "nothing.nowhere"} {
				got, err := ask([]string{"dig", "@" + r.addr.Addr().String(), "+tries=1", "+time=20", "+adflag", name, "A"})
				if err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(got.text, " ad;") {
					t.Errorf("%s is not secure:\n%s", name, got.text)
				}
			}
			if m := r.metrics(t); strings.Contains(m, "ananas_local_root_answers_total 0\n") {
				t.Error("the local root was not asked")
			}
			// Every answer is what it is without one; these were written down without validation.
			r = startAnanas(t, settings{recursion: local})
			r.holdsRoot(t)
			putCases(t, r, oneTool, "resolution", "negative")
		})
	}
}

// holdsRoot waits until the root zone is there.
func (r *resolver) holdsRoot(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(patience); !strings.Contains(r.metrics(t), `ananas_local_root_state{state="serving"} 1`); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not hold the root zone:\n%s", r.process.tail())
		}
	}
}

// metrics reads /metrics of ananas.
func (r *resolver) metrics(t *testing.T) string {
	t.Helper()
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	page, err := client.Get("http://" + r.addr.Addr().String() + ":8053/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer page.Body.Close()
	b, err := io.ReadAll(page.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
