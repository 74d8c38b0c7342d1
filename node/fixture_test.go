package node

import (
	"bytes"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	miekg "github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/ananas-edge/ananas/internal/testchild"
	"github.com/ananas-edge/ananas/lab"
	"github.com/ananas-edge/ananas/nameserver/recurse"
	"github.com/ananas-edge/ananas/settings"
	"github.com/ananas-edge/ananas/store/etcd"
	"github.com/ananas-edge/ananas/wasm"
)

// These tests run whole nodes: real sockets on loopback towards clients and operators, a lab in memory towards name servers. Time is
// real, so they wait for events and never for time to pass.

func TestMain(m *testing.M) {
	testchild.Be("etcd", etcd.RunMember) // a member of a root
	testchild.Be("compiler", wasm.RunCompiler)
	goleak.VerifyTestMain(m)
}

// world is the internet of most of these tests. truncated.example answers over TCP alone, silent.example never.
const world = `
[defaults]
latency 1ms

[zone example.com servers=192.0.2.1]
www 300 A 192.0.2.80
mail 300 A 192.0.2.25
big 300 TXT ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc")

[zone truncated.example servers=192.0.2.3]
www 300 A 192.0.2.80
[server 192.0.2.3]
fault truncate

[zone silent.example servers=192.0.2.66]
[server 192.0.2.66]
fault drop
`

// plain are the settings of a node in the lab.
const plain = `
node:
  name: node-1
  data: data
  cache: 4MiB
  listen: { dns: ["127.0.0.1:0"], admin: "127.0.0.1:0" }
settings:
  recursion: { root_hints: lab.hints, trust_anchors: none }
`

// bench is a folder with settings, and a lab. A node is started on them by start.
type bench struct {
	t       *testing.T
	folder  string
	file    string
	lab     *lab.Lab
	network recurse.Network
	log     *record
}

func newBench(t *testing.T, text string) *bench {
	t.Helper()
	return newBenchIn(t, world, text)
}

// newBenchIn is newBench with a world of its own.
func newBenchIn(t *testing.T, world, text string) *bench {
	t.Helper()
	w, err := lab.ParseWorld(world)
	if err != nil {
		t.Fatal(err)
	}
	l, err := lab.New(lab.Config{Seed: 1, World: w, Log: 1000})
	if err != nil {
		t.Fatal(err)
	}
	network := l.Network()
	t.Cleanup(func() {
		if err := network.Close(); err != nil {
			t.Error(err)
		}
	})
	b := &bench{t: t, folder: t.TempDir(), lab: l, network: network, log: new(record)}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log of what ran in %s:\n%s", b.folder, b.log)
		}
	})
	b.file = b.path("node.yaml")
	b.write("lab.hints", l.RootHints())
	b.write("node.yaml", text)
	return b
}

func (b *bench) path(name string) string { return filepath.Join(b.folder, name) }

func (b *bench) write(name, text string) {
	b.t.Helper()
	if err := os.WriteFile(b.path(name), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) options() (Options, error) {
	f, err := settings.Open(b.file)
	return Options{
		File: f, Reread: func() (*settings.File, error) { return settings.Open(b.file) }, Network: b.network, Version: "9.9",
		Log: slog.New(slog.NewTextHandler(b.log, nil)), Etcd: testchild.Command("etcd"), Compiler: testchild.Command("compiler"),
	}, err
}

func (b *bench) tryStart() (*Node, error) {
	b.t.Helper()
	o, err := b.options()
	if err != nil {
		b.t.Fatal(err)
	}
	return Start(b.t.Context(), o)
}

// start starts a node that ends with the test.
func (b *bench) start() *Node {
	b.t.Helper()
	n, err := b.tryStart()
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		if err := n.Close(); err != nil {
			b.t.Error(err)
		}
	})
	return n
}

// record keeps what is logged.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(b)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// patience is how long a test waits for what comes at once unless something is broken.
const patience = time.Minute

// query is a question as a stub resolver sends it.
func query(name string, typ uint16) *miekg.Msg {
	m := new(miekg.Msg)
	m.SetQuestion(miekg.Fqdn(name), typ)
	m.SetEdns0(1232, false)
	return m
}

// send opens a socket and sends a query; over TCP with its length before it.
func send(t *testing.T, network string, to netip.AddrPort, m *miekg.Msg) net.Conn {
	t.Helper()
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.DialTimeout(network, to.String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if network == "tcp" {
		wire = append(binary.BigEndian.AppendUint16(nil, uint16(len(wire))), wire...)
	}
	if _, err := c.Write(wire); err != nil {
		t.Fatal(err)
	}
	return c
}

// receive reads one answer.
func receive(network string, c net.Conn) (*miekg.Msg, error) {
	b := make([]byte, 65535)
	var err error
	if network == "tcp" {
		var size [2]byte
		if _, err = io.ReadFull(c, size[:]); err != nil {
			return nil, err
		}
		b = b[:binary.BigEndian.Uint16(size[:])]
		_, err = io.ReadFull(c, b)
	} else {
		var n int
		n, err = c.Read(b)
		b = b[:n]
	}
	if err != nil {
		return nil, err
	}
	m := new(miekg.Msg)
	return m, m.Unpack(b)
}

// ask asks a node and returns its answer, which must be one to this query.
func ask(t *testing.T, network string, to netip.AddrPort, m *miekg.Msg) *miekg.Msg {
	t.Helper()
	c := send(t, network, to, m)
	defer c.Close()
	r, err := receive(network, c)
	if err != nil {
		t.Fatalf("asking %v over %s: %v", m.Question[0].Name, network, err)
	}
	if r.Id != m.Id || !r.Response || len(r.Question) != 1 || r.Question[0] != m.Question[0] {
		t.Fatalf("this is no answer to the query:\n%v", r)
	}
	return r
}

// askA asks for an address over UDP, which must be this one ("": none), and returns the answer.
func askA(t *testing.T, n *Node, name, want string) *miekg.Msg {
	t.Helper()
	r := ask(t, "udp", n.Addrs()[0], query(name, miekg.TypeA))
	got := ""
	for _, rr := range r.Answer {
		if a, ok := rr.(*miekg.A); ok {
			got = a.A.String()
		}
	}
	if got != want {
		t.Fatalf("%s has the address %q, not %q:\n%v", name, got, want, r)
	}
	return r
}

// extended returns the extended errors of an answer.
func extended(m *miekg.Msg) (all []*miekg.EDNS0_EDE) {
	if o := m.IsEdns0(); o != nil {
		for _, e := range o.Option {
			if e, ok := e.(*miekg.EDNS0_EDE); ok {
				all = append(all, e)
			}
		}
	}
	return all
}

// get reads a page of the node's API.
func get(t *testing.T, n *Node, path string) (status int, body string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	r, err := client.Get("http://" + n.Admin().String() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

// metric reads one series from /metrics, by its name and labels as they stand there.
func metric(t *testing.T, n *Node, series string) string {
	t.Helper()
	_, body := get(t, n, "/metrics")
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("/metrics has no series %s", series)
	return ""
}
