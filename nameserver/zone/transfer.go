package zone

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// A transfer (RFC 5936), with the question for the SOA record ahead of it on the same connection, where nobody forges from the side.

// limitError says that a zone goes beyond a limit of ours.
type limitError struct {
	name string // in the metric
	text string
}

func (e *limitError) Error() string { return e.text }

// The limits of a zone and of its transfer.
var (
	limitRecords = &limitError{"records", fmt.Sprintf("it has more than %d records", maxRecords)}
	limitOctets  = &limitError{"octets", fmt.Sprintf("it has more than %d octets", maxOctets)}
	limitTime    = &limitError{"time", fmt.Sprintf("it takes longer than %v", transferTime)}
)

// Reasons not to believe what a server sends. They are the ends of sentences about its reply.
var (
	errNotReply   = errors.New("it is no reply to the question")
	errTruncated  = errors.New("it is truncated, over TCP")
	errEmpty      = errors.New("it has no records")
	errNoAA       = errors.New("it is not authoritative")
	errFirst      = errors.New("it does not begin with the zone's SOA record")
	errBehindEnd  = errors.New("records follow the SOA record that ends it")
	errChanged    = errors.New("it ends with another SOA record than it began with")
	errMisfit     = errors.New("it has an address record whose data is no address")
	errIncomplete = errors.New("the connection ended before the zone did")
)

// Dialer connects to servers; recurse.Network is one.
type Dialer interface {
	DialTCP(ctx context.Context, server netip.AddrPort) (net.Conn, error)
}

// session is a connection to one server. It is for one goroutine.
type session struct {
	conn  net.Conn
	apex  dns.Name
	id    func() uint16
	left  int // octets of messages that may still come
	close func()
}

// connect opens a session, which ends with ctx.
func connect(ctx context.Context, d Dialer, server netip.AddrPort, apex dns.Name, id func() uint16) (*session, error) {
	dialing, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	conn, err := d.DialTCP(dialing, server)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	return &session{conn: conn, apex: apex, id: id, left: maxOctets, close: func() {
		stop()
		_ = conn.Close()
	}}, nil
}

// ask sends a question and returns its id.
func (s *session) ask(t dns.Type) (uint16, error) {
	id := s.id()
	q := dns.Question{Name: s.apex, Type: t, Class: dns.ClassINET}
	msg := dns.AppendQuestion(make([]byte, 2, 64), id, 0, q, 0, false, nil)
	binary.BigEndian.PutUint16(msg, uint16(len(msg)-2))
	if err := s.conn.SetDeadline(time.Now().Add(idleTime)); err != nil {
		return 0, err
	}
	_, err := s.conn.Write(msg)
	return id, err
}

// read returns the next message.
func (s *session) read() ([]byte, error) {
	if err := s.conn.SetDeadline(time.Now().Add(idleTime)); err != nil {
		return nil, err
	}
	return readMessage(s.conn, &s.left)
}

// readMessage reads a message with its length ahead (RFC 1035 section 4.2.2), and takes its octets off what is left.
func readMessage(r io.Reader, left *int) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, ended(err)
	}
	n := int(binary.BigEndian.Uint16(length[:]))
	if *left -= n + 2; *left < 0 {
		return nil, limitOctets
	}
	msg := make([]byte, n)
	if _, err := io.ReadFull(r, msg); err != nil {
		return nil, ended(err)
	}
	return msg, nil
}

func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errIncomplete
	}
	return err
}

// serial asks for the SOA record.
func (s *session) serial() (dns.SOA, error) {
	id, err := s.ask(dns.TypeSOA)
	if err != nil {
		return dns.SOA{}, err
	}
	b, err := s.read()
	if err != nil {
		return dns.SOA{}, err
	}
	var m dns.Message
	if err := parseReply(b, &m, id, dns.Question{Name: s.apex, Type: dns.TypeSOA, Class: dns.ClassINET}, true); err != nil {
		return dns.SOA{}, err
	}
	if m.Header.Flags&dns.FlagAA == 0 {
		return dns.SOA{}, errNoAA
	}
	for _, rr := range m.Sections[dns.Answer] {
		if rr.Type == dns.TypeSOA && rr.Class == dns.ClassINET && rr.Name == s.apex {
			return dns.ParseSOA(rr.Data)
		}
	}
	return dns.SOA{}, errEmpty
}

// transfer asks for the whole zone and returns its records, the SOA record once.
func (s *session) transfer() ([]dns.RR, error) {
	id, err := s.ask(dns.TypeAXFR)
	if err != nil {
		return nil, err
	}
	return readTransfer(s.read, id, s.apex)
}

// parseReply parses a message and checks its header; whole: it must repeat the question, which it need not from the second message of a transfer
// on (RFC 5936 section 2.2.1).
func parseReply(b []byte, m *dns.Message, id uint16, q dns.Question, whole bool) error {
	if err := dns.Parse(b, m); err != nil {
		return err
	}
	f, n := m.Header.Flags, m.Header.QDCount
	switch {
	case m.Header.ID != id, f&dns.FlagQR == 0, f.Opcode() != dns.OpcodeQuery:
		return errNotReply
	case m.RCode() != dns.RCodeSuccess:
		return fmt.Errorf("its response code is %v", m.RCode())
	case n > 1, n == 0 && whole, n == 1 && (m.Question.Type != q.Type || m.Question.Class != q.Class || !m.Question.Name.Equal(q.Name)):
		return errNotReply
	case f&dns.FlagTC != 0:
		return errTruncated
	case m.Misfits > 0:
		return errMisfit
	}
	return nil
}

// readTransfer puts the messages of a transfer together (RFC 5936 section 2.2): the first record is the zone's SOA record, and the same record ends
// it. Nothing is returned of one that does not end so.
func readTransfer(read func() ([]byte, error), id uint16, apex dns.Name) ([]dns.RR, error) {
	q := dns.Question{Name: apex, Type: dns.TypeAXFR, Class: dns.ClassINET}
	var m dns.Message
	var out []dns.RR
	for n := 1; ; n++ {
		b, err := read()
		if err != nil {
			return nil, fmt.Errorf("message %d: %w", n, err)
		}
		if err := parseReply(b, &m, id, q, n == 1); err != nil {
			return nil, fmt.Errorf("message %d: %w", n, err)
		}
		rrs := m.Sections[dns.Answer]
		if len(rrs) == 0 {
			return nil, fmt.Errorf("message %d: %w", n, errEmpty)
		}
		for i := range rrs {
			rr := &rrs[i]
			isSOA := rr.Type == dns.TypeSOA && rr.Name == apex && rr.Class == dns.ClassINET
			switch {
			case len(out) == 0 && !isSOA:
				return nil, errFirst
			case len(out) == 0, !isSOA:
			case string(dns.AppendCanonical(nil, dns.TypeSOA, rr.Data)) != string(dns.AppendCanonical(nil, dns.TypeSOA, out[0].Data)):
				return nil, errChanged
			case i < len(rrs)-1:
				return nil, errBehindEnd
			default:
				return out, nil
			}
			if len(out) >= maxRecords {
				return nil, limitRecords
			}
			out = append(out, *rr)
		}
	}
}

// newer tells whether serial a comes after b (RFC 1982 section 3.2). Two that are half of the space apart are in no order.
func newer(a, b uint32) bool { return a != b && int32(a-b) > 0 }
