package dns

import (
	"bytes"
	"encoding/binary"
	"errors"
	"iter"
	"strconv"
	"strings"
)

// OptionCode names an EDNS option (IANA registry "DNS EDNS0 Option Codes").
type OptionCode uint16

// EDNS options that the code reads or writes.
const (
	OptionNSID         OptionCode = 3  // RFC 5001
	OptionClientSubnet OptionCode = 8  // RFC 7871
	OptionCookie       OptionCode = 10 // RFC 7873
	OptionKeepalive    OptionCode = 11 // RFC 7828
	OptionPadding      OptionCode = 12 // RFC 7830
	OptionEDE          OptionCode = 15 // RFC 8914

	OptionReportChannel OptionCode = 18 // RFC 9567
)

// EDNS is an OPT record taken apart (RFC 6891 section 6.1).
type EDNS struct {
	UDPSize  uint16 // the sender's largest UDP payload, octets; less than 512 is read as 512
	ExtRCode uint8  // upper eight bits of the response code
	Version  uint8
	DO       bool    // DNSSEC answer OK: signatures and proofs are wanted (RFC 3225)
	CO       bool    // compact answers OK: NXDOMAIN may stand with a compact denial (RFC 9824 section 5.1)
	Z        uint16  // the flags after these; zero where all is well
	Options  Options // aliases the message
}

// Flags of an OPT record (IANA registry "EDNS Header Flags").
const (
	flagDO = 1 << 15
	flagCO = 1 << 14
)

// ednsOf takes apart what other records have as class, TTL and data.
func ednsOf(class uint16, ttl uint32, data []byte) EDNS {
	return EDNS{
		UDPSize:  max(class, MinUDPPayload), // RFC 6891 section 6.2.3
		ExtRCode: uint8(ttl >> 24), Version: uint8(ttl >> 16),
		DO: ttl&flagDO != 0, CO: ttl&flagCO != 0, Z: uint16(ttl) &^ (flagDO | flagCO), Options: data,
	}
}

// check refuses malformed options. A version that is not known may have options of another form, and is answered with BADVERS whatever
// they are (RFC 6891 section 6.1.3).
func (e *EDNS) check() error {
	if e.Version != 0 {
		return nil
	}
	return e.Options.Check()
}

// Options is the data of an OPT record: code, length and data of each option.
type Options []byte

var errOptions = errors.New("EDNS option runs over the end of the OPT record")

// Check tells whether the options fill the record exactly.
func (o Options) Check() error {
	for len(o) > 0 {
		if len(o) < 4 || len(o) < 4+int(binary.BigEndian.Uint16(o[2:])) {
			return errOptions
		}
		o = o[4+int(binary.BigEndian.Uint16(o[2:])):]
	}
	return nil
}

// All yields the options in order and stops at a malformed one.
func (o Options) All() iter.Seq2[OptionCode, []byte] {
	return func(yield func(OptionCode, []byte) bool) {
		for len(o) >= 4 {
			n := 4 + int(binary.BigEndian.Uint16(o[2:]))
			if n > len(o) || !yield(OptionCode(binary.BigEndian.Uint16(o)), o[4:n:n]) {
				return
			}
			o = o[n:]
		}
	}
}

// Find returns the data of the first option with this code.
func (o Options) Find(code OptionCode) ([]byte, bool) {
	for c, d := range o.All() {
		if c == code {
			return d, true
		}
	}
	return nil, false
}

// Append adds an option whose data is the pieces put together, 65,535 octets at most.
func (o Options) Append(code OptionCode, data ...[]byte) Options {
	n := 0
	for _, d := range data {
		n += len(d)
	}
	o = binary.BigEndian.AppendUint16(o, uint16(code))
	o = binary.BigEndian.AppendUint16(o, uint16(n))
	for _, d := range data {
		o = append(o, d...)
	}
	return o
}

// EDE is an extended error (RFC 8914): why an answer is as it is, in a number and a text for people.
type EDE struct {
	Code EDECode `json:"code"`
	Text string  `json:"text,omitempty"`
}

// EDECode is an info code of RFC 8914.
type EDECode uint16

// Info codes (IANA registry "Extended DNS Error Codes").
const (
	EDEOther                   EDECode = 0
	EDEUnsupportedDNSKEY       EDECode = 1
	EDEUnsupportedDS           EDECode = 2
	EDEStaleAnswer             EDECode = 3
	EDEForgedAnswer            EDECode = 4
	EDEIndeterminate           EDECode = 5
	EDEBogus                   EDECode = 6
	EDESignatureExpired        EDECode = 7
	EDESignatureNotYetValid    EDECode = 8
	EDEDNSKEYMissing           EDECode = 9
	EDERRSIGsMissing           EDECode = 10
	EDENoZoneKeyBit            EDECode = 11
	EDENSECMissing             EDECode = 12
	EDECachedError             EDECode = 13
	EDENotReady                EDECode = 14
	EDEBlocked                 EDECode = 15
	EDECensored                EDECode = 16
	EDEFiltered                EDECode = 17
	EDEProhibited              EDECode = 18
	EDEStaleNXDomain           EDECode = 19
	EDENotAuthoritative        EDECode = 20
	EDENotSupported            EDECode = 21
	EDENoReachable             EDECode = 22
	EDENetworkError            EDECode = 23
	EDEInvalidData             EDECode = 24
	EDEExpiredBeforeValid      EDECode = 25
	EDETooEarly                EDECode = 26
	EDENSEC3Iterations         EDECode = 27
	EDEUnableToConformToPolicy EDECode = 28
	EDESynthesized             EDECode = 29
	EDEInvalidQueryType        EDECode = 30
)

var edeNames = [...]string{
	"Other Error", "Unsupported DNSKEY Algorithm", "Unsupported DS Digest Type", "Stale Answer", "Forged Answer",
	"DNSSEC Indeterminate", "DNSSEC Bogus", "Signature Expired", "Signature Not Yet Valid", "DNSKEY Missing", "RRSIGs Missing",
	"No Zone Key Bit Set", "NSEC Missing", "Cached Error", "Not Ready", "Blocked", "Censored", "Filtered", "Prohibited",
	"Stale NXDomain Answer", "Not Authoritative", "Not Supported", "No Reachable Authority", "Network Error", "Invalid Data",
	"Signature Expired before Valid", "Too Early", "Unsupported NSEC3 Iterations Value", "Unable to conform to policy",
	"Synthesized", "Invalid Query Type",
}

// String returns the purpose that the registry gives, or EDE123.
func (c EDECode) String() string {
	if int(c) < len(edeNames) {
		return edeNames[c]
	}
	return "EDE" + strconv.Itoa(int(c))
}

// Append adds the error as an option.
func (e EDE) Append(o Options) Options {
	return o.Append(OptionEDE, []byte{byte(e.Code >> 8), byte(e.Code)}, []byte(e.Text))
}

// ParseEDE reads the data of an EDE option. The text may end in a NUL, which is not part of it (RFC 8914 section 2); what is not UTF-8 in
// it is replaced by U+FFFD. It is a stranger's text all the same: quote it where it is shown.
func ParseEDE(data []byte) (EDE, bool) {
	if len(data) < 2 {
		return EDE{}, false
	}
	text := strings.ToValidUTF8(string(bytes.TrimRight(data[2:], "\x00")), "\uFFFD")
	return EDE{EDECode(binary.BigEndian.Uint16(data)), text}, true
}
