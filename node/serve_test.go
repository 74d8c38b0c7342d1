package node

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	miekg "github.com/miekg/dns"

	"github.com/ananas-edge/ananas/listen"
)

// A node answers over UDP and TCP, at the ports that it took.
func TestAnswers(t *testing.T) {
	b := newBench(t, plain)
	n := b.start()
	if len(n.Addrs()) != 1 || n.Addrs()[0].Port() == 0 || n.Admin().Port() == 0 {
		t.Fatalf("port 0 takes a free port, not %v and %v", n.Addrs(), n.Admin())
	}
	for _, network := range []string{"udp", "tcp"} {
		for _, c := range []struct {
			name  string
			typ   uint16
			rcode int
			want  string
		}{
			{"www.example.com", miekg.TypeA, miekg.RcodeSuccess, "192.0.2.80"},
			{"WWW.Example.COM", miekg.TypeA, miekg.RcodeSuccess, "192.0.2.80"},
			{"www.example.com", miekg.TypeAAAA, miekg.RcodeSuccess, "SOA"},
			{"nobody.example.com", miekg.TypeA, miekg.RcodeNameError, "SOA"},
			{"localhost", miekg.TypeA, miekg.RcodeSuccess, "127.0.0.1"},
		} {
			r := ask(t, network, n.Addrs()[0], query(c.name, c.typ))
			if r.Rcode != c.rcode || !r.RecursionAvailable || !strings.Contains(r.String(), c.want) {
				t.Errorf("%s %d over %s:\n%v", c.name, c.typ, network, r)
			}
		}
	}
	// What does not fit into a small UDP answer comes over TCP.
	q := query("big.example.com", miekg.TypeTXT)
	q.Extra = nil
	if r := ask(t, "udp", n.Addrs()[0], q); !r.Truncated || len(r.Answer) != 0 {
		t.Errorf("an answer of more than 512 octets over UDP:\n%v", r)
	}
	if r := ask(t, "tcp", n.Addrs()[0], q); r.Truncated || len(r.Answer) != 1 {
		t.Errorf("over TCP:\n%v", r)
	}
	for name, want := range map[string]string{"version.bind.": "Ananas 9.9", "id.server.": "node-1"} {
		q := query(name, miekg.TypeTXT)
		q.Question[0].Qclass = miekg.ClassCHAOS
		if r := ask(t, "udp", n.Addrs()[0], q); !strings.Contains(r.String(), want) {
			t.Errorf("%s:\n%v", name, r)
		}
	}
}

// A second node on the same address is an error that says how to find the first one. It gets no share of the traffic, and has not touched
// its data.
func TestSecondNode(t *testing.T) {
	first := newBench(t, plain)
	n := first.start()
	second := newBench(t, strings.Replace(plain, `"127.0.0.1:0"`, `"`+n.Addrs()[0].String()+`"`, 1))
	second.write("node.yaml", strings.Replace(strings.Replace(plain, `"127.0.0.1:0"`, `"`+n.Addrs()[0].String()+`"`, 1), "node-1", "node-2", 1))
	_, err := second.tryStart()
	var bind *listen.BindError
	if !errors.As(err, &bind) || !errors.Is(err, syscall.EADDRINUSE) || bind.Addr != n.Addrs()[0] || !strings.Contains(bind.Hint(), "shows which") {
		t.Fatalf("the second node: %v", err)
	}
	if _, err := os.Stat(second.path("data")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the second node made its data folder: %v", err)
	}
	for range 50 {
		q := query("id.server", miekg.TypeTXT)
		q.Question[0].Qclass = miekg.ClassCHAOS
		if r := ask(t, "udp", n.Addrs()[0], q); !strings.Contains(r.String(), "node-1") {
			t.Fatalf("who answers?\n%v", r)
		}
	}

	// The same for the admin address. What the node had opened by then is free again.
	third := newBench(t, strings.Replace(plain, `admin: "127.0.0.1:0"`, `admin: "`+n.Admin().String()+`"`, 1))
	if _, err := third.tryStart(); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), n.Admin().String()) {
		t.Errorf("two nodes on one admin address: %v", err)
	}
}

// What stops a start leaves nothing behind that would stop the next one.
func TestStartAfterAFailedStart(t *testing.T) {
	b := newBench(t, plain)
	n := b.start()
	taken := n.Admin()
	dns := n.Addrs()[0]
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	other := newBench(t, plain)
	blocker, err := other.tryStart()
	if err != nil {
		t.Fatal(err)
	}
	defer blocker.Close()
	text := strings.Replace(plain, `"127.0.0.1:0"`, `"`+dns.String()+`"`, 1)
	b.write("node.yaml", strings.Replace(text, `admin: "127.0.0.1:0"`, `admin: "`+blocker.Admin().String()+`"`, 1))
	if _, err := b.tryStart(); err == nil {
		t.Fatal("two nodes have one admin address")
	}
	b.write("node.yaml", strings.Replace(text, `admin: "127.0.0.1:0"`, `admin: "`+taken.String()+`"`, 1))
	askA(t, b.start(), "www.example.com", "192.0.2.80")
}

// A data folder that can't be made or written is told, with its name and what to do.
func TestDataFolder(t *testing.T) {
	for _, c := range []struct{ name, data string }{
		{"below a file", "node.yaml/data"},
		{"a file", "node.yaml"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, strings.Replace(plain, "data: data", "data: "+c.data, 1))
			_, err := b.tryStart()
			if err == nil || !strings.Contains(err.Error(), `"`+b.path(c.data)+`"`) {
				t.Fatalf("%v", err)
			}
			var hint interface{ Hint() string }
			if !errors.As(err, &hint) || !strings.Contains(hint.Hint(), "node.data") {
				t.Errorf("the hint of %v: %v", err, hint)
			}
		})
	}
	t.Run("not writable", func(t *testing.T) {
		if os.Getuid() == 0 {
			t.Skip("root may write everywhere: run as somebody else to see a data folder that is not writable")
		}
		b := newBench(t, plain)
		if err := os.Mkdir(b.path("data"), 0o500); err != nil {
			t.Fatal(err)
		}
		if _, err := b.tryStart(); !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), b.path("data")) {
			t.Fatalf("%v", err)
		}
	})
}

// Without an admin address the node serves, and opens nothing else.
func TestWithoutAdmin(t *testing.T) {
	b := newBench(t, strings.Replace(plain, `admin: "127.0.0.1:0"`, `admin: ""`, 1))
	n := b.start()
	askA(t, n, "www.example.com", "192.0.2.80")
	if n.Admin().IsValid() {
		t.Errorf("the API is at %v", n.Admin())
	}
	for _, l := range n.Status(t.Context()).Listeners {
		if l.Protocol == "admin" {
			t.Errorf("the status shows the listener %v", l)
		}
	}
	if _, err := os.Stat(filepath.Join(b.path("data"), "admin.token")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a token that opens nothing: %v", err)
	}
}

// A node does not ask the addresses at which it is asked itself, those of all interfaces included.
func TestListeners(t *testing.T) {
	all := listeners([]netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:5300"), netip.MustParseAddrPort("192.0.2.1:53")})
	want := map[string]bool{"0.0.0.0:5300": false, "127.0.0.1:5300": false, "192.0.2.1:53": false}
	for _, a := range all {
		if _, ok := want[a.String()]; ok {
			want[a.String()] = true
		}
		if a.Addr().Is6() {
			t.Errorf("0.0.0.0 stands for IPv4 alone, not %v", a)
		}
	}
	for a, found := range want {
		if !found {
			t.Errorf("%s is missing in %v", a, all)
		}
	}
}
