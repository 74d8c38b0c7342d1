//go:build linux

package interop

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Addresses that tests put a resolver of their own at.
const (
	forwarderAddr = "10.54.0.1"   // an Unbound that others forward to
	mirrorAddr    = "45.90.28.53" // ananas itself, which zones/net.zone names as a name server
)

// resolver is one that is asked, whoever made it.
type resolver struct {
	kind    string // ananas or unbound
	addr    netip.AddrPort
	dir     string
	config  string
	process *process
}

// settings are what a test sets in ananas's file. The zero value is a resolver in this world with nothing else set.
type settings struct {
	listen  []string // addresses beside the first, which is the resolver's own
	node    string   // more lines of the part node, indented by two
	rest    string   // more of the part settings, indented by two
	access  string   // of access, in one line; "" is "{ allow: [127.0.0.0/8, \"::1/128\"] }"
	anchors string   // file of trust anchors; "" is none
	// recursion are more lines of that section, indented by four.
	recursion string
}

var instances atomic.Int32

// newResolver gives a resolver a folder and a loopback address of its own, so that many can run at a time.
func newResolver(t *testing.T, kind string) *resolver {
	t.Helper()
	w := enterWorld(t)
	n := instances.Add(1)
	r := &resolver{
		kind: kind,
		addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 100 + byte(n/250), 1 + byte(n%250)}), 53),
		dir:  filepath.Join(w.dir, fmt.Sprintf("%s-%d", kind, n)),
	}
	if err := os.Mkdir(r.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r.config = filepath.Join(r.dir, "config")
	return r
}

// hints is the file with the root hints that all resolvers are given.
func hints(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../lab/data/named.root")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// write writes ananas's file.
func (r *resolver) write(t *testing.T, s settings) {
	t.Helper()
	access := s.access
	if access == "" {
		access = `{ allow: [127.0.0.0/8, "::1/128"] }`
	}
	listen := `"` + r.addr.String() + `"`
	for _, a := range s.listen {
		listen += `, "` + a + `"`
	}
	r.writeRaw(t, fmt.Sprintf(`node:
  name: interop
  data: %s
  cache: 16MiB
  listen:
    dns: [%s]
    admin: "%v:8053"
%ssettings:
  recursion:
    root_hints: %s
    trust_anchors: %s
%s  access: %s
%s`, filepath.Join(r.dir, "data"), listen, r.addr.Addr(), s.node, hints(t), cmp.Or(s.anchors, "none"), s.recursion, access, s.rest))
}

func (r *resolver) writeRaw(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(r.config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// startAnanas starts the binary under test and waits until it answers.
func startAnanas(t *testing.T, s settings) *resolver {
	t.Helper()
	r := newResolver(t, "ananas")
	r.write(t, s)
	r.launch(t, r.serve(t)...)
	return r
}

// serve is the command that starts ananas.
func (r *resolver) serve(t *testing.T) []string {
	t.Helper()
	if text := os.Getenv(buildFailed); text != "" {
		t.Fatal(text)
	}
	return []string{filepath.Join(inWorld.dir, "ananas"), "serve", "--config", r.config}
}

// startUnbound starts Unbound with the same hints: an iterator with nothing tuned.
func startUnbound(t *testing.T, extra ...string) *resolver {
	t.Helper()
	r := newResolver(t, "unbound")
	r.writeRaw(t, fmt.Sprintf(`server:
	interface: %[1]v
	do-daemonize: no
	username: ""
	chroot: ""
	directory: %[2]q
	pidfile: ""
	use-syslog: no
	root-hints: %[3]q
	module-config: "iterator"
	num-threads: 1
	access-control: 0.0.0.0/0 allow
	access-control: ::0/0 allow
	do-not-query-localhost: yes
	hide-version: no
	cache-max-negative-ttl: 10800
%[4]sremote-control:
	control-enable: no
`, r.addr.Addr(), r.dir, hints(t), strings.Join(extra, "")))
	exe, err := inWorld.program("unbound")
	if err != nil {
		t.Fatal(err)
	}
	r.launch(t, exe, "-d", "-c", r.config)
	return r
}

// launch starts the resolver, waits until it answers, and ends it with the test. If the test fails it shows what the resolver wrote.
func (r *resolver) launch(t *testing.T, argv ...string) (untilAnswer time.Duration) {
	t.Helper()
	begin := time.Now()
	var err error
	if r.process, err = startProcess(r.kind, filepath.Join(r.dir, "log"), argv...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.process.stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("%s wrote:\n%s", r.kind, r.process.tail())
		}
	})
	if err := r.waitReady(patience); err != nil {
		t.Fatal(err)
	}
	return time.Since(begin)
}

// waitReady asks version.bind CH TXT until anything answers, as process managers do.
func (r *resolver) waitReady(limit time.Duration) error {
	m := new(dns.Msg).SetQuestion("version.bind.", dns.TypeTXT)
	m.Question[0].Qclass = dns.ClassCHAOS
	query, err := m.Pack()
	if err != nil {
		return err
	}
	// Connected, so that the kernel tells at once that nobody is there yet.
	conn, err := net.Dial("udp", r.addr.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline := time.Now().Add(limit)
	buf := make([]byte, 512)
	for time.Now().Before(deadline) {
		if _, err := conn.Write(query); err == nil {
			if err := conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
				return err
			}
			if _, err := conn.Read(buf); err == nil {
				return nil
			}
		}
		if code, err := r.process.wait(time.Millisecond); err == nil {
			return fmt.Errorf("%s ended with exit code %d:\n%s", r.kind, code, r.process.tail())
		}
	}
	return fmt.Errorf("%s does not answer after %v:\n%s", r.kind, limit, r.process.tail())
}
