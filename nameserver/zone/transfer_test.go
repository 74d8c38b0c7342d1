package zone

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/ananas-edge/ananas/dns"
)

// message writes a reply to an AXFR question of example with these records, changed.
func message(t testing.TB, records string, change ...func(*miekg.Msg)) []byte {
	t.Helper()
	m := new(miekg.Msg)
	m.SetAxfr("example.")
	m.Id, m.Response, m.Authoritative, m.Compress = 4711, true, true, true
	p := miekg.NewZoneParser(strings.NewReader(records), "example.", "")
	p.SetDefaultTTL(60)
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		m.Answer = append(m.Answer, rr)
	}
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	for _, c := range change {
		c(m)
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// stream puts messages into frames.
func stream(messages ...[]byte) []byte {
	var b []byte
	for _, m := range messages {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(m))), m...)
	}
	return b
}

// readStream reads a transfer of example from octets.
func readStream(b []byte) ([]dns.RR, error) {
	r, left := bytes.NewReader(b), maxOctets
	return readTransfer(func() ([]byte, error) { return readMessage(r, &left) }, 4711, name("example"))
}

const soa7 = "@ SOA ns hostmaster 7 1 1 1 1\n"

func TestTransfer(t *testing.T) {
	for _, c := range []struct {
		what     string
		messages [][]byte
		want     int // records
		err      string
	}{
		{"one message", [][]byte{message(t, soa7+"@ NS ns\nns A 192.0.2.1\n"+soa7)}, 3, ""},
		{"one record in each", [][]byte{message(t, soa7), message(t, "@ NS ns\n"), message(t, "ns A 192.0.2.1\n"), message(t, soa7)}, 3, ""},
		{"later messages without a question", [][]byte{message(t, soa7), message(t, "@ NS ns\n"+soa7, func(m *miekg.Msg) { m.Question = nil })}, 2, ""},
		{"the SOA record in another case", [][]byte{message(t, soa7+"@ NS ns\n@ SOA NS HOSTMASTER 7 1 1 1 1\n")}, 2, ""},
		{"what follows the end", [][]byte{message(t, soa7+"@ NS ns\n"+soa7), []byte("more")}, 2, ""},
		{"an SOA record of another name", [][]byte{message(t, soa7+"@ NS ns\nsub SOA ns hostmaster 1 1 1 1 1\n"+soa7)}, 3, ""},
		{"unknown types", [][]byte{message(t, soa7+"@ NS ns\na TYPE65280 \\# 2 beef\n"+soa7)}, 3, ""},
		{"records in other sections", [][]byte{message(t, soa7+"@ NS ns\n"+soa7, func(m *miekg.Msg) { m.Ns, m.Extra = m.Answer, m.Answer[:1] })}, 2, ""},

		{"nothing", nil, 0, "message 1: " + errIncomplete.Error()},
		{"no end", [][]byte{message(t, soa7+"@ NS ns\n")}, 0, "message 2: " + errIncomplete.Error()},
		{"the SOA record alone", [][]byte{message(t, soa7)}, 0, "message 2: " + errIncomplete.Error()},
		{"an empty message", [][]byte{message(t, soa7+"@ NS ns\n"), message(t, "")}, 0, "message 2: " + errEmpty.Error()},
		{"another beginning", [][]byte{message(t, "@ NS ns\n"+soa7)}, 0, errFirst.Error()},
		{"the SOA record of another zone first", [][]byte{message(t, "sub SOA ns hostmaster 7 1 1 1 1\n")}, 0, errFirst.Error()},
		{"another end", [][]byte{message(t, soa7+"@ NS ns\n@ SOA ns hostmaster 8 1 1 1 1\n")}, 0, errChanged.Error()},
		{"records behind the end", [][]byte{message(t, soa7+"@ NS ns\n"+soa7+"a A 192.0.2.1\n")}, 0, errBehindEnd.Error()},
		{"another id", [][]byte{message(t, soa7+"@ NS ns\n"+soa7, func(m *miekg.Msg) { m.Id = 1 })}, 0, "message 1: " + errNotReply.Error()},
		{"another id later", [][]byte{message(t, soa7), message(t, "@ NS ns\n"+soa7, func(m *miekg.Msg) { m.Id = 1 })}, 0, "message 2: " + errNotReply.Error()},
		{"a question", [][]byte{message(t, soa7+"@ NS ns\n"+soa7, func(m *miekg.Msg) { m.Response = false })}, 0, errNotReply.Error()},
		{"an update", [][]byte{message(t, soa7+"@ NS ns\n"+soa7, func(m *miekg.Msg) { m.Opcode = miekg.OpcodeUpdate })}, 0, errNotReply.Error()},
		{"no question", [][]byte{message(t, soa7+"@ NS ns\n"+soa7, func(m *miekg.Msg) { m.Question = nil })}, 0, errNotReply.Error()},
		{"another question", [][]byte{message(t, soa7+"@ NS ns\n"+soa7, func(m *miekg.Msg) { m.Question[0].Name = "test." })}, 0, errNotReply.Error()},
		{"truncated", [][]byte{message(t, soa7+"@ NS ns\n"+soa7, func(m *miekg.Msg) { m.Truncated = true })}, 0, errTruncated.Error()},
		{"refused", [][]byte{message(t, "", func(m *miekg.Msg) { m.Rcode = miekg.RcodeRefused })}, 0, "its response code is REFUSED"},
		{"refused later", [][]byte{message(t, soa7), message(t, "@ NS ns\n"+soa7, func(m *miekg.Msg) { m.Rcode = miekg.RcodeServerFailure })}, 0, "message 2: its response code is SERVFAIL"},
		{"an address that is none", [][]byte{message(t, soa7+"@ NS ns\nns A 192.0.2.1\n"+soa7, func(m *miekg.Msg) {
			m.Answer[2] = &miekg.RFC3597{Hdr: miekg.RR_Header{Name: "ns.example.", Rrtype: miekg.TypeA, Class: miekg.ClassINET}, Rdata: "c00002"}
		})}, 0, errMisfit.Error()},
		{"no message", [][]byte{[]byte("short")}, 0, "message 1: "},
	} {
		t.Run(c.what, func(t *testing.T) {
			rrs, err := readStream(stream(c.messages...))
			if c.err == "" {
				if err != nil || len(rrs) != c.want {
					t.Errorf("%d records, %v", len(rrs), err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.err) || rrs != nil {
				t.Errorf("%d records, %v, want %q", len(rrs), err, c.err)
			}
		})
	}
}

// A transfer is worth nothing until its last octet.
func TestTransferCutAnywhere(t *testing.T) {
	whole := stream(message(t, soa7), message(t, "@ NS ns\nns A 192.0.2.1\n"), message(t, soa7))
	for n := range whole {
		if rrs, err := readStream(whole[:n]); err == nil || rrs != nil || !errors.Is(err, errIncomplete) {
			t.Fatalf("cut at %d of %d octets: %d records, %v", n, len(whole), len(rrs), err)
		}
	}
	if _, err := readStream(whole); err != nil {
		t.Error(err)
	}
}

// forever is a server that sends the same message without an end.
type forever struct {
	first, rest []byte
	at          int
}

func (f *forever) Read(b []byte) (int, error) {
	n := copy(b, f.first)
	if f.first = f.first[n:]; n == 0 {
		n = copy(b, f.rest[f.at:])
		f.at = (f.at + n) % len(f.rest)
	}
	return n, nil
}

func TestTransferWithoutEnd(t *testing.T) {
	for _, c := range []struct {
		records string
		want    error
	}{
		{strings.Repeat("a TXT "+strings.Repeat("x", 250)+"\n", 200), limitOctets},
		{strings.Repeat("ns A 192.0.2.1\n", 4000), limitRecords},
		{"a A 192.0.2.1\n", limitRecords},
	} {
		r, left := &forever{first: stream(message(t, soa7)), rest: stream(message(t, c.records))}, maxOctets
		_, err := readTransfer(func() ([]byte, error) { return readMessage(r, &left) }, 4711, name("example"))
		if !errors.Is(err, c.want) {
			t.Errorf("%v, want %v", err, c.want)
		}
	}
}

// pipe is a network whose one server is a function.
type pipe func(net.Conn)

func (p pipe) DialTCP(context.Context, netip.AddrPort) (net.Conn, error) {
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		p(server)
	}()
	return client, nil
}

// A server that stops in the middle costs idleTime; who closes meanwhile is not kept waiting.
func TestTransferStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := pipe(func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
		start := time.Now()
		_, err := transferFrom(t.Context(), silent, rootServer)
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() || time.Since(start) != idleTime {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start = time.Now()
		if _, err := transferFrom(ctx, silent, rootServer); err == nil || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestNewer(t *testing.T) {
	for _, c := range []struct {
		a, b uint32
		want bool
	}{
		{1, 0, true}, {0, 1, false}, {5, 5, false}, {0, 0xFFFFFFFF, true}, {0xFFFFFFFF, 0, false},
		{1 << 31, 1, true}, {1, 1 << 31, false}, {1 << 31, 0, false}, {0, 1 << 31, false}, {2026010101, 2026010100, true},
	} {
		if got := newer(c.a, c.b); got != c.want {
			t.Errorf("newer(%d, %d) = %v", c.a, c.b, got)
		}
	}
}
