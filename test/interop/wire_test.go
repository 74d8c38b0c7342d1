//go:build linux

package interop

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// patience is how long a test waits for an answer that needs no name server, or only near ones.
const patience = time.Minute

// query packs a question with RD set.
func query(t *testing.T, id uint16, name string, qtype, class uint16) []byte {
	t.Helper()
	m := new(dns.Msg).SetQuestion(name, qtype)
	m.Id, m.Question[0].Qclass = id, class
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// packetCase is one stanza of packets.txt.
type packetCase struct {
	line   int
	why    string
	packet []byte
	want   map[string][]string // by kind of resolver; "" is the rule
}

func readPackets(t *testing.T) []*packetCase {
	t.Helper()
	b, err := os.ReadFile("testdata/packets.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []*packetCase
	why := ""
	for n, line := range strings.Split(string(b), "\n") {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		switch f[0] {
		case "#":
			why = strings.Join(f[1:], " ")
		case "packet":
			p, err := hex.DecodeString(strings.Join(f[1:], ""))
			if err != nil {
				t.Fatalf("packets.txt:%d: %v", n+1, err)
			}
			all = append(all, &packetCase{line: n + 1, why: why, packet: p, want: make(map[string][]string)})
		case "answer":
			all[len(all)-1].want[""] = f[1:]
		case "unbound":
			all[len(all)-1].want["unbound"] = f[1:]
		default:
			t.Fatalf("packets.txt:%d: %q", n+1, line)
		}
	}
	return all
}

// TestPackets: whatever comes, each packet costs one short answer or none, and the next query is answered.
func TestPackets(t *testing.T) {
	for _, r := range []*resolver{startAnanas(t, settings{}), startUnbound(t)} {
		for _, c := range readPackets(t) {
			want := c.want[r.kind]
			if want == nil {
				want = c.want[""]
			}
			for _, network := range []string{"udp", "tcp"} {
				got, err := sendPacket(t, r, network, c.packet, !slices.Contains(want, "silence"))
				if err != nil {
					t.Errorf("packets.txt:%d: %s, %s over %s: %v", c.line, c.why, r.kind, network, err)
				} else if !slices.Contains(want, got) {
					t.Errorf("packets.txt:%d: %s, %s over %s: %s, want %s", c.line, c.why, r.kind, network, got, strings.Join(want, " or "))
				}
			}
		}
	}
}

// sendPacket sends a packet with id 0x1234 and behind it a query that is answered at once. It returns the rcode that came for the first,
// or "silence" if the second was answered and the first not.
func sendPacket(t *testing.T, r *resolver, network string, packet []byte, wait bool) (string, error) {
	t.Helper()
	next := query(t, 0x5678, "version.bind.", dns.TypeTXT, dns.ClassCHAOS)
	conn, err := net.Dial(network, r.addr.String())
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if network == "tcp" {
		packet, next = framed(packet), framed(next)
	}
	// Over TCP the connection may be gone after the first.
	_, err = conn.Write(packet)
	if err == nil {
		_, err = conn.Write(next)
	}
	if err != nil && network == "udp" {
		return "", err
	}
	found := "silence"
	after := false
	for !after || wait && found == "silence" {
		b, err := readMessage(conn, network)
		if err != nil {
			if network == "tcp" && (errors.Is(err, io.EOF) || strings.Contains(err.Error(), "reset")) {
				return found, stillThere(t, r)
			}
			return "", fmt.Errorf("after %s: %w", found, err)
		}
		if len(b) < 12 {
			return "", fmt.Errorf("a reply of %d octets", len(b))
		}
		switch binary.BigEndian.Uint16(b) {
		case 0x5678:
			after = true
		case 0x1234:
			found = dns.RcodeToString[int(b[3]&15)]
		}
	}
	return found, nil
}

// stillThere asks over a new connection.
func stillThere(t *testing.T, r *resolver) error {
	t.Helper()
	m := new(dns.Msg)
	if err := m.Unpack(query(t, 1, "version.bind.", dns.TypeTXT, dns.ClassCHAOS)); err != nil {
		return err
	}
	c := dns.Client{Net: "tcp", Timeout: patience}
	_, _, err := c.Exchange(m, r.addr.String())
	return err
}

// framed puts the length in front of a message (RFC 1035 section 4.2.2).
func framed(b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

func readMessage(conn net.Conn, network string) ([]byte, error) {
	if network == "udp" {
		b := make([]byte, dns.MaxMsgSize)
		n, err := conn.Read(b)
		return b[:n], err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(conn, b)
	return b, err
}

// dialTCP connects to a resolver for as long as the test runs.
func dialTCP(t *testing.T, r *resolver) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", r.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(askTime)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// TestPipeline: hundreds of queries in one write over one connection are each answered, once, with their own answer (RFC 7766 section
// 6.2.1.1). Each needs a name server, so the answers come in any order.
func TestPipeline(t *testing.T) {
	for _, r := range []*resolver{startAnanas(t, settings{}), startUnbound(t)} {
		const queries = 300
		conn := dialTCP(t, r)
		var out []byte
		for i := range queries {
			out = append(out, framed(query(t, uint16(i), fmt.Sprintf("n%d.wild.example.com.", i), dns.TypeA, dns.ClassINET))...)
		}
		go func() { _, _ = conn.Write(out) }() // the server may read no more until it was read from
		seen := make(map[uint16]bool)
		for range queries {
			b, err := readMessage(conn, "tcp")
			if err != nil {
				t.Fatalf("%s: after %d of %d answers: %v", r.kind, len(seen), queries, err)
			}
			m := new(dns.Msg)
			if err := m.Unpack(b); err != nil {
				t.Fatal(err)
			}
			if name := fmt.Sprintf("n%d.wild.example.com.", m.Id); m.Rcode != dns.RcodeSuccess || len(m.Answer) != 1 || m.Answer[0].Header().Name != name || seen[m.Id] {
				t.Fatalf("%s: the answer with id %d (seen before: %v), for %s: %v", r.kind, m.Id, seen[m.Id], name, m)
			}
			seen[m.Id] = true
		}
	}
}

// TestNoHeadOfLine: a query whose name server is silent holds up none that came behind it on the connection (RFC 7766 section 6.2.1.1).
func TestNoHeadOfLine(t *testing.T) {
	for _, r := range []*resolver{startAnanas(t, settings{}), startUnbound(t)} {
		conn := dialTCP(t, r)
		var out []byte
		out = append(out, framed(query(t, 1, "www.silent.net.", dns.TypeA, dns.ClassINET))...)
		out = append(out, framed(query(t, 2, "www.example.com.", dns.TypeA, dns.ClassINET))...)
		out = append(out, framed(query(t, 3, "version.bind.", dns.TypeTXT, dns.ClassCHAOS))...)
		begin := time.Now()
		if _, err := conn.Write(out); err != nil {
			t.Fatal(err)
		}
		var ids []uint16
		for range 2 {
			b, err := readMessage(conn, "tcp")
			if err != nil {
				t.Fatalf("%s: after %v: %v", r.kind, ids, err)
			}
			ids = append(ids, binary.BigEndian.Uint16(b))
		}
		slices.Sort(ids)
		if !slices.Equal(ids, []uint16{2, 3}) || time.Since(begin) > patience {
			t.Errorf("%s: the first two answers are those to %v, after %v", r.kind, ids, time.Since(begin))
		}
	}
}

// TestSlowWriter: TCP knows no messages; however a query is cut up, it is one (RFC 7766 section 8). A client that has said all may say so,
// and still gets its answers; Unbound closes at once.
func TestSlowWriter(t *testing.T) {
	for _, r := range []*resolver{startAnanas(t, settings{}), startUnbound(t)} {
		conn := dialTCP(t, r)
		if err := conn.SetNoDelay(true); err != nil {
			t.Fatal(err)
		}
		first := framed(query(t, 1, "www.example.com.", dns.TypeA, dns.ClassINET))
		second := framed(query(t, 2, "www.example.net.", dns.TypeA, dns.ClassINET))
		for _, part := range [][]byte{first[:1], first[1:2], first[2:9], append(slices.Clone(first[9:]), second[:7]...), second[7:]} {
			if _, err := conn.Write(part); err != nil {
				t.Fatal(err)
			}
		}
		if r.kind == "ananas" {
			if err := conn.CloseWrite(); err != nil {
				t.Fatal(err)
			}
		}
		var ids []uint16
		for range 2 {
			b, err := readMessage(conn, "tcp")
			if err != nil {
				t.Errorf("%s: after the answers to %v: %v", r.kind, ids, err)
				break
			}
			ids = append(ids, binary.BigEndian.Uint16(b))
		}
		slices.Sort(ids)
		if !slices.Equal(ids, []uint16{1, 2}) {
			t.Errorf("%s: answers to %v came, want 1 and 2", r.kind, ids)
		}
	}
}

// TestTransferRefused: a resolver has no zones to hand out.
func TestTransferRefused(t *testing.T) {
	r := startAnanas(t, settings{})
	for _, qtype := range []uint16{dns.TypeAXFR, dns.TypeIXFR} {
		conn := dialTCP(t, r)
		if _, err := conn.Write(framed(query(t, 1, "example.com.", qtype, dns.ClassINET))); err != nil {
			t.Fatal(err)
		}
		b, err := readMessage(conn, "tcp")
		if err != nil {
			t.Fatal(err)
		}
		m := new(dns.Msg)
		if err := m.Unpack(b); err != nil {
			t.Fatal(err)
		}
		if m.Rcode != dns.RcodeRefused || len(m.Answer) != 0 {
			t.Errorf("%s is answered with %v", dns.TypeToString[qtype], m)
		}
	}
}

// TestCookie: a server cookie is the same for the same client while the clock stands, another one for another address, and is of the form
// that servers of one address share (RFC 9018 section 4).
func TestCookie(t *testing.T) {
	r := startAnanas(t, settings{access: "{ allow: [0.0.0.0/0] }"})
	cookie := func(from string) (uint32, string) {
		t.Helper()
		m := new(dns.Msg).SetQuestion("www.example.com.", dns.TypeA)
		m.SetEdns0(1232, false)
		m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0123456789abcdef"})
		c := dns.Client{Timeout: patience, Dialer: &net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}}}
		got, _, err := c.Exchange(m, r.addr.String())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range got.IsEdns0().Option {
			if c, ok := o.(*dns.EDNS0_COOKIE); ok {
				b, err := hex.DecodeString(c.Cookie)
				if err != nil || len(b) != 24 || !strings.HasPrefix(c.Cookie, "0123456789abcdef01000000") {
					t.Fatalf("the cookie is %q, want the client's and 16 octets of version 1", c.Cookie)
				}
				return binary.BigEndian.Uint32(b[12:]), c.Cookie[32:]
			}
		}
		t.Fatalf("no cookie in %v", got)
		return 0, ""
	}
	// The second may end between two queries, but not each time.
	same := false
	for range 5 {
		at, one := cookie("127.0.0.9")
		again, two := cookie("127.0.0.9")
		if at != again {
			continue
		}
		if same = one == two; !same {
			t.Fatalf("two cookies of one second differ: %s, %s", one, two)
		}
		if then, three := cookie("203.0.113.77"); then == at && three == one {
			t.Fatalf("two addresses have the same cookie: %s", one)
		}
		if age := time.Since(time.Unix(int64(at), 0)); age < -time.Minute || age > time.Minute {
			t.Errorf("the cookie is %v old", age)
		}
		break
	}
	if !same {
		t.Error("no two queries came in one second")
	}
}

// TestEveryAddress: who listens on all addresses answers from the one that was asked.
func TestEveryAddress(t *testing.T) {
	r := startAnanas(t, settings{listen: []string{"0.0.0.0:5399", "[::]:5399"}, access: `{ allow: [0.0.0.0/0, "::/0"] }`})
	for _, a := range []string{"203.0.113.77:5399", "198.51.100.7:5399", "127.0.0.9:5399", "[2001:db8::77]:5399", "[::1]:5399", r.addr.String()} {
		for _, network := range []string{"udp", "tcp"} {
			c := dns.Client{Net: network, Timeout: patience} // its sockets are connected: an answer from elsewhere does not come
			m := new(dns.Msg).SetQuestion("www.example.com.", dns.TypeA)
			got, _, err := c.Exchange(m, a)
			if err != nil || got.Rcode != dns.RcodeSuccess || len(got.Answer) != 1 {
				t.Errorf("asking %s over %s: %v, %v", a, network, got, err)
			}
		}
	}
}
