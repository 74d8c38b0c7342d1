package dnstap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Type says who sent a message to whom, and why (dnstap.proto, Message.Type).
type Type uint8

// The types.
const (
	AuthQuery         Type = 1 + iota // a query that came to an authoritative server
	AuthResponse                      // and what it answered
	ResolverQuery                     // what a resolver asked a name server
	ResolverResponse                  // and what came back
	ClientQuery                       // a query of a client that came to a resolver
	ClientResponse                    // and what it answered
	ForwarderQuery                    // what a forwarder asked
	ForwarderResponse                 // and what came back
	StubQuery                         // what a stub asked
	StubResponse
	ToolQuery // what a tool asked
	ToolResponse
	UpdateQuery // a dynamic update
	UpdateResponse
	types
)

var typeNames = [types]string{
	"", "AUTH_QUERY", "AUTH_RESPONSE", "RESOLVER_QUERY", "RESOLVER_RESPONSE", "CLIENT_QUERY", "CLIENT_RESPONSE", "FORWARDER_QUERY", "FORWARDER_RESPONSE", "STUB_QUERY", "STUB_RESPONSE",
	"TOOL_QUERY", "TOOL_RESPONSE", "UPDATE_QUERY", "UPDATE_RESPONSE",
}

func (t Type) String() string {
	if t > 0 && t < types {
		return typeNames[t]
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// Protocol is how a message travelled (dnstap.proto, SocketProtocol).
type Protocol uint8

// The protocols.
const (
	UDP Protocol = 1 + iota
	TCP
	DOT
	DOH
	DNSCryptUDP
	DNSCryptTCP
	DOQ
)

// Message is one message, or a query with its answer. Its octets are valid until the next one is read.
type Message struct {
	Type     Type
	Protocol Protocol       // 0: it is not said
	Client   netip.AddrPort // who asked; the zero value: it is not said
	Server   netip.AddrPort // who was asked

	Asked    time.Time // when the query was sent or came; zero: it is not said
	Answered time.Time
	Query    []byte // a DNS message as it was on the wire; nil: it is not there
	Response []byte
}

// Next returns the next message. io.EOF is the end; another error is an [*Error], and nothing more can be read.
func (r *Reader) Next() (m Message, err error) {
	for {
		frame, err := r.data()
		if err != nil {
			return m, err
		}
		m, ok, err := parseDnstap(frame)
		if err != nil {
			return m, &Error{r.began, err}
		}
		if ok {
			return m, nil
		}
	}
}

// Fields of Dnstap and of Message, by their numbers.
const (
	dnstapMessage = 14
	dnstapType    = 15

	messageType            = 1
	messageProtocol        = 3
	messageQueryAddress    = 4
	messageResponseAddress = 5
	messageQueryPort       = 6
	messageResponsePort    = 7
	messageQuerySec        = 8
	messageQueryNsec       = 9
	messageQuery           = 10
	messageResponseSec     = 12
	messageResponseNsec    = 13
	messageResponse        = 14
)

// parseDnstap reads what is in a frame; false if it is no message.
func parseDnstap(b []byte) (m Message, ok bool, err error) {
	const isMessage = 1
	kind := uint64(isMessage)
	var inner []byte
	for len(b) > 0 {
		f, rest, err := parseField(b)
		if err != nil {
			return m, false, fmt.Errorf("reading a Dnstap: %w", err)
		}
		b = rest
		switch f.number {
		case dnstapMessage:
			inner, ok = f.octets, f.octets != nil
		case dnstapType:
			kind = f.value
		}
	}
	if !ok || kind != isMessage {
		return m, false, nil
	}
	if m, err = parseMessage(inner); err != nil {
		return m, false, fmt.Errorf("reading a Message: %w", err)
	}
	return m, true, nil
}

func parseMessage(b []byte) (m Message, err error) {
	var client, server netip.Addr
	var clientPort, serverPort uint64
	var asked, answered [2]uint64 // seconds, nanoseconds
	for len(b) > 0 {
		f, rest, err := parseField(b)
		if err != nil {
			return m, err
		}
		b = rest
		switch f.number {
		case messageType:
			m.Type = Type(min(f.value, 255))
		case messageProtocol:
			m.Protocol = Protocol(min(f.value, 255))
		case messageQueryAddress:
			client, _ = netip.AddrFromSlice(f.octets) // of another length: it is not known
		case messageResponseAddress:
			server, _ = netip.AddrFromSlice(f.octets)
		case messageQueryPort:
			clientPort = f.value
		case messageResponsePort:
			serverPort = f.value
		case messageQuerySec:
			asked[0] = f.value
		case messageQueryNsec:
			asked[1] = f.value
		case messageResponseSec:
			answered[0] = f.value
		case messageResponseNsec:
			answered[1] = f.value
		case messageQuery:
			m.Query = f.octets
		case messageResponse:
			m.Response = f.octets
		}
	}
	m.Client, m.Server = netip.AddrPortFrom(client, uint16(clientPort)), netip.AddrPortFrom(server, uint16(serverPort))
	m.Asked, m.Answered = moment(asked), moment(answered)
	return m, nil
}

// latest is the last second that is taken for a time: the year 2262, in which nanoseconds since 1970 have more than 63 bits.
const latest = (1<<63 - 1) / 1_000_000_000

func moment(t [2]uint64) time.Time {
	if t[0] == 0 || t[0] > latest || t[1] >= 1e9 {
		return time.Time{}
	}
	return time.Unix(int64(t[0]), int64(t[1]))
}

// field is one field of a message of Protocol Buffers (protobuf.dev/programming-guides/encoding).
type field struct {
	number uint64
	value  uint64
	octets []byte // nil if it is a number
}

// Wire types.
const (
	wireVarint = 0
	wire64     = 1
	wireOctets = 2
	wire32     = 5
)

var errCut = errors.New("a field is longer than what it is in")

// parseField reads the first field, and returns what follows it.
func parseField(b []byte) (f field, rest []byte, err error) {
	tag, n := binary.Uvarint(b)
	if n <= 0 || tag>>3 == 0 {
		return f, nil, errors.New("what begins a field is no number")
	}
	f.number, b = tag>>3, b[n:]
	switch tag & 7 {
	case wireVarint:
		if f.value, n = binary.Uvarint(b); n <= 0 {
			return f, nil, errCut
		}
		return f, b[n:], nil
	case wire64:
		if len(b) < 8 {
			return f, nil, errCut
		}
		f.value = binary.LittleEndian.Uint64(b)
		return f, b[8:], nil
	case wire32:
		if len(b) < 4 {
			return f, nil, errCut
		}
		f.value = uint64(binary.LittleEndian.Uint32(b))
		return f, b[4:], nil
	case wireOctets:
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return f, nil, errCut
		}
		end := n + int(size)
		f.octets = b[n:end:end]
		return f, b[end:], nil
	}
	return f, nil, fmt.Errorf("field %d has the unknown wire type %d", f.number, tag&7)
}
