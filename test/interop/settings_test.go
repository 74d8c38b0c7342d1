//go:build linux

package interop

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// exchange asks a resolver over UDP from an address.
func exchange(t *testing.T, r *resolver, from, name string, rd bool) *reply {
	t.Helper()
	argv := []string{"dig", "@" + r.addr.Addr().String(), "+tries=1", "+time=20", "+dnssec"}
	if from != "" {
		argv = append(argv, "-b", from)
	}
	if !rd {
		argv = append(argv, "+norec")
	}
	got, err := ask(append(argv, name, "A"))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// expectRCode asks for the addresses of a name.
func expectRCode(t *testing.T, r *resolver, name, rcode string) {
	t.Helper()
	if got := exchange(t, r, "", name, true); got.rcode != rcode {
		t.Errorf("%s is answered with %s, want %s:\n%s", name, got.rcode, rcode, got.text)
	}
}

func TestStub(t *testing.T) {
	putCases(t, startAnanas(t, settings{rest: `  stub:
    - { zone: corp.internal, servers: [10.53.0.1, "10.53.0.2:5300"] }
    - { zone: 10.in-addr.arpa, servers: ["10.53.0.2:5300"] }
    - { zone: inside.net, servers: [127.0.0.53] }
`}), allTools, "stub")
}

// TestForward: a zone is forwarded to an address.
func TestForward(t *testing.T) {
	startForwarder(t)
	putCases(t, startAnanas(t, settings{rest: "  forward: [{ zone: partner.test, servers: [" + forwarderAddr + "] }]\n"}), allTools, "forward")
}

// TestForwardAll: all is forwarded to an address and port, and every answer is as good as if it was resolved here.
func TestForwardAll(t *testing.T) {
	startForwarder(t)
	r := startAnanas(t, settings{rest: `  forward: [{ zone: ".", servers: ["` + forwarderAddr + `:5301"] }]` + "\n"})
	r.kind = "forwarding"
	putCases(t, r, oneTool, "resolution", "negative", "signed")
}

// startForwarder starts an Unbound at forwarderAddr, on two ports, that knows partner.test besides the world.
func startForwarder(t *testing.T) {
	t.Helper()
	startUnbound(t, "\tinterface: "+forwarderAddr+"\n\tinterface: "+forwarderAddr+"@5301\n", `	local-zone: "partner.test." static
	local-data: "partner.test. 3600 SOA ns.partner.test. hostmaster.partner.test. 1 7200 3600 1209600 300"
	local-data: "www.partner.test. 3600 A 10.9.8.7"
	local-data: "out.partner.test. 3600 CNAME www.example.com."
`)
}

// TestNeverQuery: where the setting is absent, loopback and ourselves are not asked; an empty list forbids nothing; a list forbids what it
// has.
func TestNeverQuery(t *testing.T) {
	t.Run("absent", func(t *testing.T) {
		r := startAnanas(t, settings{listen: []string{mirrorAddr + ":53"}, access: "{ allow: [0.0.0.0/0] }"})
		expectRCode(t, r, "www.inside.net", "SERVFAIL")
		begin := time.Now()
		expectRCode(t, r, "www.mirror.net", "SERVFAIL")
		if took := time.Since(begin); took > 3*time.Second { // of a server that is silent it would hear after 4.5 s
			t.Errorf("finding out that we are the only name server of a zone took %v", took)
		}
		expectRCode(t, r, "www.example.com", "NOERROR")
	})
	t.Run("empty", func(t *testing.T) {
		r := startAnanas(t, settings{recursion: "    never_query: []\n"})
		expectRCode(t, r, "www.inside.net", "NOERROR")
	})
	t.Run("listed", func(t *testing.T) {
		r := startAnanas(t, settings{recursion: `    never_query: [45.76.12.53/32, 185.49.141.0/24, "2a05:f480::/32", "2a04:b900::/32"]` + "\n"})
		expectRCode(t, r, "www.example.com", "SERVFAIL")
		expectRCode(t, r, "www.signed.org", "NOERROR")
		expectRCode(t, r, "www.inside.net", "NOERROR")
	})
}

// TestAccess: who is in no prefix of access.allow is refused, whatever is asked, and is told no more than why.
func TestAccess(t *testing.T) {
	r := startAnanas(t, settings{
		listen: []string{"[2001:db8::77]:53"},
		access: `{ allow: [127.0.0.0/8, 203.0.113.64/26, "2001:db8::/32"], cache_only: [203.0.113.64/26] }`,
	})
	expectRCode(t, r, "www.example.com", "NOERROR")
	for from, rcode := range map[string]string{"203.0.113.77": "NOERROR", "127.0.0.9": "NOERROR", "198.51.100.7": "REFUSED", "192.0.2.1": "REFUSED"} {
		for _, extra := range []string{"+notcp", "+tcp"} {
			got, err := ask([]string{"dig", "@" + r.addr.Addr().String(), "-b", from, extra, "www.example.com", "A"})
			if err != nil {
				t.Fatal(err)
			}
			if got.rcode != rcode || rcode == "REFUSED" && (len(got.answer) != 0 || !strings.Contains(got.text, "EDE: 18")) {
				t.Errorf("%s is answered, with %s:\n%s", from, extra, got.text)
			}
		}
	}
	for server, rcode := range map[string]string{"2001:db8::77": "NOERROR", r.addr.Addr().String(): "NOERROR"} {
		got, err := ask([]string{"dig", "@" + server, "www.example.com", "A"})
		if err != nil {
			t.Fatal(err)
		}
		if got.rcode != rcode {
			t.Errorf("asked at %s:\n%s", server, got.text)
		}
	}
	for _, argv := range [][]string{{"CH", "TXT", "version.bind"}, {"+opcode=notify", "example.com", "SOA"}} {
		got, err := ask(append([]string{"dig", "@" + r.addr.Addr().String(), "-b", "198.51.100.7"}, argv...))
		if err != nil {
			t.Fatal(err)
		}
		if got.rcode != "REFUSED" {
			t.Errorf("%v is answered to who may not ask:\n%s", argv, got.text)
		}
	}
	// RD=0: from the cache, for those who may look; what is not there is not fetched.
	for _, c := range []struct{ from, name, rcode string }{
		{"203.0.113.77", "www.example.com", "NOERROR"},
		{"203.0.113.77", "sip.example.com", "REFUSED"},
		{"127.0.0.9", "www.example.com", "REFUSED"},
	} {
		if got := exchange(t, r, c.from, c.name, false); got.rcode != c.rcode {
			t.Errorf("RD=0 for %s from %s: want %s\n%s", c.name, c.from, c.rcode, got.text)
		}
	}
}

// TestFamilies: with a family turned off, its servers are not asked.
func TestFamilies(t *testing.T) {
	r := startAnanas(t, settings{recursion: "    ipv6: false\n"})
	expectRCode(t, r, "www.example.com", "NOERROR")
	expectRCode(t, r, "www.six.org", "SERVFAIL")
	r = startAnanas(t, settings{recursion: "    ipv4: false\n"})
	expectRCode(t, r, "www.example.com", "NOERROR")
	expectRCode(t, r, "www.six.org", "NOERROR")
	expectRCode(t, r, "www.half.net", "SERVFAIL")
}

// TestMinimisation: in each way of it every name has the same answer.
func TestMinimisation(t *testing.T) {
	for _, way := range []string{"strict", "off"} {
		t.Run(way, func(t *testing.T) {
			putCases(t, startAnanas(t, settings{recursion: "    qname_minimisation: " + way + "\n"}), oneTool, "resolution", "negative")
		})
	}
}

// TestReload: SIGHUP swaps good settings in while queries are answered; a file that is wrong changes nothing and is told with its line.
func TestReload(t *testing.T) {
	r := startAnanas(t, settings{})
	const stub = "  stub: [{ zone: corp.internal, servers: [10.53.0.1] }]\n"
	expectRCode(t, r, "www.example.com", "NOERROR")
	if got := exchange(t, r, "203.0.113.77", "www.example.com", true); got.rcode != "REFUSED" {
		t.Fatalf("before any reload:\n%s", got.text)
	}

	r.write(t, settings{access: "{ allow: [127.0.0.0/8, 203.0.113.0/24] }", rest: stub})
	r.reload(t, "settings reloaded", 1)
	if got := exchange(t, r, "203.0.113.77", "www.example.com", true); got.rcode != "NOERROR" {
		t.Errorf("access.allow after the reload:\n%s", got.text)
	}
	expectRCode(t, r, "www.corp.internal", "NOERROR")

	good, err := os.ReadFile(r.config)
	if err != nil {
		t.Fatal(err)
	}
	for i, bad := range []struct{ text, told string }{
		{strings.Replace(string(good), "  access:", "  acess:", 1), "acess"},
		{strings.Replace(string(good), hints(t), hints(t)+".gone", 1), "named.root.gone"},
		{"node: [", "config"},
		{"", "config"},
	} {
		r.writeRaw(t, bad.text)
		if bad.text == "" {
			if err := os.Remove(r.config); err != nil {
				t.Fatal(err)
			}
		}
		r.reload(t, "not reloaded", i+1)
		if text := r.process.tail(); !strings.Contains(text[strings.LastIndex(text, "not reloaded"):], bad.told) {
			t.Errorf("the log does not name %q:\n%s", bad.told, text)
		}
		if got := exchange(t, r, "203.0.113.77", "www.example.com", true); got.rcode != "NOERROR" {
			t.Errorf("after a bad file:\n%s", got.text)
		}
		expectRCode(t, r, "www.corp.internal", "NOERROR")
	}

	r.write(t, settings{})
	r.reload(t, "settings reloaded", 2)
	if got := exchange(t, r, "203.0.113.77", "www.example.com", true); got.rcode != "REFUSED" {
		t.Errorf("after the way back:\n%s", got.text)
	}
}

// TestReloadSource: when a zone gets another source, what the old one said of it is no answer any more: an operator who adds a stub because a
// name does not resolve wants it to resolve now, and not when the denial expires.
func TestReloadSource(t *testing.T) {
	r := startAnanas(t, settings{})
	expectRCode(t, r, "www.corp.internal", "NXDOMAIN") // as the root says
	r.write(t, settings{rest: "  stub: [{ zone: corp.internal, servers: [10.53.0.1] }]\n"})
	r.reload(t, "settings reloaded", 1)
	expectRCode(t, r, "www.corp.internal", "NOERROR")
}

// reload sends SIGHUP and waits until the log has said so for the nth time.
func (r *resolver) reload(t *testing.T, said string, n int) {
	t.Helper()
	if err := r.process.signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(patience)
	for {
		b, err := os.ReadFile(r.process.log)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(b), said) >= n {
			return
		}
		if code, err := r.process.wait(5 * time.Millisecond); err == nil {
			t.Fatalf("SIGHUP ended the node with exit code %d:\n%s", code, r.process.tail())
		}
		if time.Now().After(deadline) {
			t.Fatalf("the log does not say %q for the %d. time:\n%s", said, n, b)
		}
	}
}

// TestAged: what was cached expires on the clock that tests set, and is asked for again.
func TestAged(t *testing.T) {
	w := enterWorld(t)
	offset := w.dir + "/offset"
	if err := os.WriteFile(offset, []byte("0"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := startAnanas(t, settings{node: "  testing: { offset_file: " + offset + " }\n"})
	ttl := func() uint32 {
		t.Helper()
		got := exchange(t, r, "", "short.example.com", true)
		if len(got.answer) != 1 {
			t.Fatal(got.text)
		}
		return got.answer[0].(*dns.A).Hdr.Ttl
	}
	if n := ttl(); n != 5 {
		t.Errorf("the first TTL is %d, want 5", n)
	}
	for _, c := range []struct {
		at       string // seconds
		from, to uint32
	}{{"3", 1, 2}, {"100", 4, 5}} {
		if err := os.WriteFile(offset, []byte(c.at), 0o644); err != nil {
			t.Fatal(err)
		}
		if n := ttl(); n < c.from || n > c.to {
			t.Errorf("after %s s the TTL is %d, want %d to %d", c.at, n, c.from, c.to)
		}
	}
	if text := r.process.tail(); !strings.Contains(text, "node.testing is set") {
		t.Errorf("the log does not warn of the clock:\n%s", text)
	}
}
