//go:build linux

package interop

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/wasm"
)

// tapAddr is where the server is that writes what it is asked.
const tapAddr = "10.54.0.71"

// TestDnstap: what BIND writes of its clients' queries is what a new version of a module is tried on, each query once, with its answer.
func TestDnstap(t *testing.T) {
	w := enterWorld(t)
	file := filepath.Join(w.dir, "bind.fstrm")
	s := &server{name: "tapped", program: "named", zones: []*zone{w.zones["example.net."]}, dnstap: file}
	s.addListen(netip.AddrPortFrom(netip.MustParseAddr(tapAddr), 53))
	if err := w.startServer(s); err != nil {
		t.Fatal(err)
	}
	if err := s.waitReady(20 * time.Second); err != nil {
		_ = s.process.stop()
		t.Fatal(err)
	}
	for _, question := range []string{"www.example.net A", "WWW.example.net A +tcp", "nxdomain.example.net AAAA +dnssec", "mx.example.net MX +norecurse"} {
		if out, err := exec.Command("dig", append([]string{"@" + tapAddr, "+tries=1"}, strings.Fields(question)...)...).CombinedOutput(); err != nil {
			t.Errorf("asking for %s: %v\n%s", question, err, out)
		}
	}
	if err := s.process.stop(); err != nil { // it writes the rest
		t.Fatal(err)
	}
	module, err := os.ReadFile("../../nameserver/plugin/testdata/guests/acts.wasm")
	if err == nil {
		module, err = wasm.Attach(module, []byte("abi: 1\nname: acts\nversion: '1'\nphases: [query]\n"))
	}
	settings := filepath.Join(w.dir, "tapped.yaml")
	for name, content := range map[string][]byte{filepath.Join(w.dir, "acts.wasm"): module, settings: []byte("settings: { modules: [{ name: acts, file: acts.wasm }] }\n")} {
		if err == nil {
			err = os.WriteFile(name, content, 0o600)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(filepath.Join(w.dir, "ananas"), "module", "try", "acts", "--dnstap", file, "--config", settings).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"go on  NXDOMAIN ttl=60  nxdomain.example.net. AAAA\n", "now: no module"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the report lacks %q:\n%s", want, out)
		}
	}
	// And the questions by which it was seen that the server is there.
	var alike, differ, queries int
	if _, err := fmt.Sscanf(string(out), "acts at phase query: %d alike, %d differ", &alike, &differ); err != nil || alike < 3 || differ != 1 {
		t.Errorf("%d alike, %d differ, %v:\n%s", alike, differ, err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if _, err := fmt.Sscanf(lines[len(lines)-1], "%d queries", &queries); err != nil || queries != alike+differ {
		t.Errorf("%d queries, %v:\n%s", queries, err, out)
	}
	if strings.Contains(string(out), "warning") {
		t.Errorf("the file is not whole:\n%s", out)
	}
}
