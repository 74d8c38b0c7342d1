package trial

import (
	"container/list"
	"encoding/binary"
	"io"
	"net/netip"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/internal/dnstap"
)

// maxWaiting is how many queries wait for their answers while a file is read: at 100,000 queries a second those of 0.3 s, of some 300 octets each 10 MB.
const maxWaiting = 32_768

// maxWaitingOctets is how many octets these queries have together: 1,000 each, where all of them wait. A file may have frames of a megabyte.
const maxWaitingOctets = 32 << 20

// maxMessage is the size of a DNS message in octets, as TCP has it (RFC 1035 section 4.2.2). With its answer a query is 175 KB in base64.
const maxMessage = 65_535

// Messages takes the queries of clients from a file of dnstap, each with its answer if that is there, in the order of the answers.
type Messages struct {
	r       *dnstap.Reader
	waiting map[asked]*list.Element
	oldest  *list.List // of *query
	octets  int        // of their messages
	ended   error

	Skipped map[string]uint64 // messages that are none of clients, by their type
	Clients uint64            // messages that are
}

// asked is what a query and its answer have alike.
type asked struct {
	client netip.AddrPort
	id     uint16
	name   string // in small letters
	typ    dns.Type
}

type query struct {
	key asked
	Message
}

// NewMessages reads a file.
func NewMessages(r io.Reader) *Messages {
	return &Messages{r: dnstap.NewReader(r), waiting: make(map[asked]*list.Element), oldest: list.New(), Skipped: make(map[string]uint64)}
}

// At is how many octets of the file were read.
func (f *Messages) At() int64 { return f.r.At() }

// Whole tells whether the file has ended as its writer ends one.
func (f *Messages) Whole() bool { return f.r.Whole() }

// Next returns the next query. io.EOF is the end; another error is a [*dnstap.Error], of a file that can't be read any further: by then all before that was returned.
func (f *Messages) Next() (*Message, error) {
	for f.ended == nil {
		if f.oldest.Len() > maxWaiting || f.octets > maxWaitingOctets {
			return f.take(f.oldest.Front()), nil
		}
		m, err := f.r.Next()
		if err != nil {
			f.ended = err
			break
		}
		switch m.Type {
		case dnstap.ClientQuery, dnstap.AuthQuery:
			f.Clients++
			if q := f.wait(&m); q != nil {
				return q, nil
			}
		case dnstap.ClientResponse, dnstap.AuthResponse: // BIND tells the answer to an AUTH_QUERY as CLIENT_RESPONSE
			f.Clients++
			return f.answer(&m), nil
		default:
			f.Skipped[m.Type.String()]++
		}
	}
	if first := f.oldest.Front(); first != nil {
		return f.take(first), nil
	}
	return nil, f.ended
}

// wait keeps a query until its answer comes. It returns one that waits no longer: the same that was asked before, or this one, if it can't be a query.
func (f *Messages) wait(m *dnstap.Message) (gone *Message) {
	q := &query{key: keyOf(m.Client, m.Query), Message: Message{Time: m.Asked, Client: m.Client, Transport: transportOf(m.Protocol)}}
	if len(m.Query) > maxMessage {
		return &q.Message
	}
	q.Query = append([]byte(nil), m.Query...)
	if before := f.waiting[q.key]; before != nil {
		gone = f.take(before)
	}
	f.waiting[q.key] = f.oldest.PushBack(q)
	f.octets += len(q.Query)
	return gone
}

func (f *Messages) take(e *list.Element) *Message {
	q := f.oldest.Remove(e).(*query)
	delete(f.waiting, q.key)
	f.octets -= len(q.Query)
	return &q.Message
}

// answer puts an answer to its query, which may be in the same message, or not there at all. Where one of the two can't be a message there is neither, and nobody can read that.
func (f *Messages) answer(m *dnstap.Message) *Message {
	q := &Message{Time: m.Asked, Client: m.Client, Transport: transportOf(m.Protocol)}
	before := f.waiting[keyOf(m.Client, m.Response)]
	switch {
	case before != nil:
		q = f.take(before)
	case len(m.Query) <= maxMessage:
		q.Query = append([]byte(nil), m.Query...)
	}
	if q.Time.IsZero() {
		q.Time = m.Answered
	}
	if len(m.Query) > maxMessage || len(m.Response) > maxMessage {
		q.Query = nil
		return q
	}
	q.Response = append([]byte(nil), m.Response...)
	return q
}

// keyOf reads the question of a message.
func keyOf(client netip.AddrPort, b []byte) asked {
	key := asked{client: client}
	h, err := dns.ParseHeader(b)
	if err != nil {
		return key
	}
	key.id = h.ID
	if name, end, err := dns.UnpackName(b, dns.HeaderLen); err == nil && h.QDCount > 0 && end+2 <= len(b) {
		key.name, key.typ = name.Lower().Wire(), dns.Type(binary.BigEndian.Uint16(b[end:]))
	}
	return key
}

// transportOf is how a query came, as modules have it.
func transportOf(p dnstap.Protocol) uint8 {
	switch p {
	case dnstap.TCP, dnstap.DNSCryptTCP:
		return 1
	case dnstap.DOT:
		return 2
	case dnstap.DOH:
		return 3
	case dnstap.DOQ:
		return 4
	}
	return 0
}

// Read has a file's queries looked at by look, until the file ends or look has an error. n is how many there were.
func (f *Messages) Read(look func(*Message) error) (n int, err error) {
	for {
		m, err := f.Next()
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		n++
		if err := look(m); err != nil {
			return n, err
		}
	}
}
