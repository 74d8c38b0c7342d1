package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// question is one that a client asks, and what the answer must be.
type question struct {
	name    dns.Name
	host    int // 0: there is no such name
	zone    int
	edns    bool
	do      bool
	cd      bool
	mixed   bool
	message []byte
}

// draw makes a question: mostly a popular name, sometimes any, sometimes one that does not exist.
func draw(rng *rand.Rand, zipf *rand.Zipf, id uint16) question {
	q := question{do: rng.IntN(4) == 0, cd: rng.IntN(8) == 0, mixed: rng.IntN(4) == 0}
	q.edns = q.do || rng.IntN(2) == 0
	var text string
	switch rng.IntN(20) {
	case 0:
		text = fmt.Sprintf("x%d.example.", rng.IntN(absent))
	case 1:
		q.zone, q.host = rng.IntN(zones), 1+rng.IntN(hosts)
	default:
		n := int(zipf.Uint64())
		q.zone, q.host = n/hosts%zones, 1+n%hosts
	}
	if q.host > 0 {
		text = fmt.Sprintf("n%d.z%d.example.", q.host, q.zone)
	}
	if q.mixed {
		b := []byte(text)
		for i := range b {
			if 'a' <= b[i] && b[i] <= 'z' && rng.IntN(2) == 0 {
				b[i] -= 'a' - 'A'
			}
		}
		text = string(b)
	}
	q.name = dns.MustParseName(text)
	flags, size := dns.FlagRD, uint16(0)
	if q.cd {
		flags |= dns.FlagCD
	}
	if q.edns {
		size = 1232
	}
	q.message = dns.AppendQuestion(nil, id, flags, dns.Question{Name: q.name, Type: dns.TypeA, Class: dns.ClassINET}, size, q.do, nil)
	return q
}

// check compares an answer with what it must be.
func (q *question) check(b []byte, c *counts) {
	c.answered.Add(1)
	var m dns.Message
	if err := dns.Parse(b, &m); err != nil {
		c.odd("%v: %v: %x", q.name, err, b)
		return
	}
	if m.RCode() == dns.RCodeServerFailure {
		c.failed.Add(1)
		return
	}
	if m.Question.Name != q.name || m.Question.Type != dns.TypeA || m.HasEDNS != q.edns || m.HasEDNS && m.EDNS.DO != q.do || (m.Header.Flags&dns.FlagCD != 0) != q.cd {
		c.odd("%v is answered with the question %v, EDNS %v", q.name, m.Question, m.EDNS)
	}
	if q.host == 0 {
		if m.RCode() != dns.RCodeNameError || len(m.Sections[dns.Authority]) == 0 {
			c.odd("%v: %v with %v", q.name, m.RCode(), m.Sections)
		}
		return
	}
	answer := m.Sections[dns.Answer]
	want := [4]byte{10, 0, byte(q.zone), byte(q.host)}
	records := 1
	if q.do { // with its signature
		records = 2
	}
	if m.RCode() != dns.RCodeSuccess || len(answer) != records || string(answer[0].Data) != string(want[:]) || answer[0].TTL == 0 || !answer[0].Name.Equal(q.name) {
		c.odd("%v: %v with %v", q.name, m.RCode(), answer)
	}
}

// patience is how long a client waits for an answer, more than the server does.
const patience = 6 * time.Second

// udpClient asks a window of questions, and the next when all are answered.
func udpClient(ctx context.Context, server netip.AddrPort, rng *rand.Rand, c *counts) {
	const window = 32
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(server))
	if err != nil {
		c.odd("connecting: %v", err)
		return
	}
	defer conn.Close()
	zipf := rand.NewZipf(rng, 1.1, 10, zones*hosts-1)
	in := make([]byte, 4096)
	for round := uint16(0); ctx.Err() == nil; round++ {
		waiting := map[uint16]question{}
		for i := range uint16(window) {
			id := round*window + i
			q := draw(rng, zipf, id)
			c.asked.Add(1)
			if _, err := conn.Write(q.message); err != nil {
				c.lost.Add(1)
				continue
			}
			waiting[id] = q
		}
		_ = conn.SetReadDeadline(time.Now().Add(patience)) // an error shows at the next read
		for len(waiting) > 0 {
			n, err := conn.Read(in)
			if err != nil {
				c.lost.Add(int64(len(waiting)))
				break
			}
			id := binary.BigEndian.Uint16(in)
			if q, ok := waiting[id]; ok {
				delete(waiting, id)
				q.check(in[:n], c)
			}
		}
	}
}

// tcpClient asks over connections of a hundred questions, ten at a time.
func tcpClient(ctx context.Context, server netip.AddrPort, rng *rand.Rand, c *counts) {
	zipf := rand.NewZipf(rng, 1.1, 10, zones*hosts-1)
	for ctx.Err() == nil {
		if err := oneConnection(server, rng, zipf, c); err != nil {
			c.odd("over TCP: %v", err)
			return
		}
	}
}

func oneConnection(server netip.AddrPort, rng *rand.Rand, zipf *rand.Zipf, c *counts) error {
	conn, err := net.Dial("tcp", server.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	for range 10 {
		waiting := map[uint16]question{}
		var out []byte
		for id := range uint16(10) {
			q := draw(rng, zipf, id)
			out = append(binary.BigEndian.AppendUint16(out, uint16(len(q.message))), q.message...)
			waiting[id] = q
			c.asked.Add(1)
		}
		_ = conn.SetDeadline(time.Now().Add(patience)) // an error shows at the next write
		if _, err := conn.Write(out); err != nil {
			return err
		}
		for len(waiting) > 0 {
			var length [2]byte
			if _, err := io.ReadFull(conn, length[:]); err != nil {
				return err
			}
			b := make([]byte, binary.BigEndian.Uint16(length[:]))
			if _, err := io.ReadFull(conn, b); err != nil {
				return err
			}
			id := binary.BigEndian.Uint16(b)
			q, ok := waiting[id]
			if !ok {
				return fmt.Errorf("an answer with id %d, which was not asked", id)
			}
			delete(waiting, id)
			q.check(b, c)
		}
	}
	return nil
}
