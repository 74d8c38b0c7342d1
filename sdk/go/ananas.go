//go:build wasip1

// Package ananas is for plugins of Ananas in Go: modules that are built with GOOS=wasip1 GOARCH=wasm -buildmode=c-shared. docs/module-abi.md says what it does, octet for octet; it is
// version 1.
//
//	func init() {
//		ananas.OnQuery(func(q *ananas.Query, v *ananas.Verdict) {
//			if ananas.Within(q.Name, []byte("\x07example\x03com\x00")) {
//				v.NXDomain(60)
//			}
//		})
//	}
//
//	func main() {}
//
// The verdict lets the query go on until something else is said. Names are in wire form: labels behind their lengths, the root's 0 at the end. Nothing here allocates, so that a plugin that
// does not either never waits for a garbage collection.
package ananas

import "encoding/binary"

var (
	onStart  func() error
	onQuery  func(*Query, *Verdict)
	onAnswer func(*Answer, *Verdict)
	onLine   func(*Line)
)

// OnStart has f called once, before the first query, to read the settings. What its error says is logged, as all that goes to the standard error is, without the grant log. The number that a case
// has behind fault start is that of the error's method Code() int32, and 1 if it has none.
func OnStart(f func() error) { onStart = f }

// SettingError is an error of [OnStart] that names the setting that is wrong, with the number that err has; nil if err is nil.
func SettingError(setting string, err error) error {
	if err == nil {
		return nil
	}
	return &settingError{setting, err}
}

type settingError struct {
	setting string
	err     error
}

func (e *settingError) Error() string { return e.setting + ": " + e.err.Error() }

func (e *settingError) Unwrap() error { return e.err }

// OnQuery has f called at phase query: before anything is looked for.
func OnQuery(f func(*Query, *Verdict)) { onQuery = f }

// OnAnswer has f called at phase answer: before the answer is written.
func OnAnswer(f func(*Answer, *Verdict)) { onAnswer = f }

// OnLog has f called at phase log: for each line of what was answered, beside the path.
func OnLog(f func(*Line)) { onLine = f }

// Types of records.
const (
	TypeA     = 1
	TypeCNAME = 5
	TypeSOA   = 6
	TypeTXT   = 16
	TypeAAAA  = 28
	TypeHTTPS = 65
)

// Transport is how a query came.
type Transport uint8

// The transports.
const (
	UDP Transport = iota
	TCP
	TLS
	HTTPS
	QUIC
)

// Query is what is asked. What it holds is valid until the function returns.
type Query struct {
	Name      []byte // in small letters
	Type      uint16
	Transport Transport

	RecursionDesired, CheckingDisabled, AuthenticData, DNSSEC bool

	Client     []byte // 4 octets, 16, or none where nobody may know
	ClientBits uint8  // how many bits of it are shown: without the grant client not all; the others are 0
	Tenant     []byte // the tag of the client's tenant
}

func (q *Query) read(b []byte) {
	flags, name := b[3], int(binary.LittleEndian.Uint16(b))
	tenant := name + int(binary.LittleEndian.Uint16(b[10:]))
	*q = Query{
		Name: b[name:tenant], Type: binary.LittleEndian.Uint16(b[4:]), Transport: Transport(b[2]), ClientBits: b[9],
		Tenant:           b[tenant : tenant+int(binary.LittleEndian.Uint16(b[12:]))],
		RecursionDesired: flags&1 != 0, CheckingDisabled: flags&2 != 0, AuthenticData: flags&4 != 0, DNSSEC: flags&8 != 0,
	}
	switch b[8] {
	case 4:
		q.Client = b[16:20]
	case 6:
		q.Client = b[16:32]
	}
}

// Sections of an answer.
const (
	SectionAnswer = iota
	SectionAuthority
	SectionAdditional
)

// Record is one of an answer.
type Record struct {
	Section uint8 // those that are put are all of the answer section
	Name    []byte
	Type    uint16
	TTL     uint32 // seconds
	Data    []byte // as on the wire, names in it whole
}

// Security is what is known of whether an answer is true (RFC 4035 section 4.3).
type Security uint8

// What is known.
const (
	Indeterminate Security = iota
	Insecure
	Secure
)

// Answer is what a plugin of phase answer is shown.
type Answer struct {
	Query
	RCode         uint16
	Security      Security
	Cached, Stale bool
	Made          bool // here: by a module of phase query, or since the name is a special one

	left [3]uint16
	rest []byte
}

func (a *Answer) read(b []byte) {
	le := binary.LittleEndian
	head, asked := int(le.Uint16(b)), int(le.Uint16(b[6:]))
	a.Query.read(b[head:])
	a.RCode, a.Security, a.Cached, a.Stale, a.Made = le.Uint16(b[2:]), Security(b[4]), b[5]&1 != 0, b[5]&2 != 0, b[5]&4 != 0
	a.left = [3]uint16{le.Uint16(b[8:]), le.Uint16(b[10:]), le.Uint16(b[12:])}
	a.rest = b[head+asked : head+asked+int(le.Uint32(b[16:]))]
}

// Next reads the next record; false behind the last.
func (a *Answer) Next(r *Record) bool {
	section := 0
	for section < 3 && a.left[section] == 0 {
		section++
	}
	if section == 3 {
		return false
	}
	a.left[section]--
	b, name := a.rest, 0
	for b[name] != 0 {
		name += 1 + int(b[name])
	}
	name++
	be, h := binary.BigEndian, b[name:]
	end := 10 + int(be.Uint16(h[8:]))
	*r = Record{Section: uint8(section), Name: b[:name], Type: be.Uint16(h), TTL: be.Uint32(h[4:]), Data: h[10:end]}
	a.rest = h[end:]
	return true
}

// Line is what was answered, as a plugin of phase log is shown it. What it holds is valid until the function returns.
type Line struct {
	Query
	RCode         uint16
	Cached, Stale bool
	Blocked       bool   // a plugin has ended it
	Time          int64  // when, in nanoseconds since 1970
	Took          uint32 // how long, in microseconds
	Tags          []byte // what plugins said of it, with commas between
}

func (l *Line) read(b []byte) {
	le := binary.LittleEndian
	asked := int(le.Uint16(b))
	tags := asked + int(le.Uint16(b[20:]))
	l.Query.read(b[asked:tags])
	l.RCode, l.Cached, l.Stale, l.Blocked = le.Uint16(b[2:]), b[4]&1 != 0, b[4]&2 != 0, b[4]&4 != 0
	l.Time, l.Took, l.Tags = int64(le.Uint64(b[8:])), le.Uint32(b[16:]), b[tags:tags+int(le.Uint16(b[22:]))]
}

// Within tells whether a name is the zone, or below it.
func Within(name, zone []byte) bool {
	for s := name; len(s) >= len(zone); s = s[1+int(s[0]):] {
		if len(s) == len(zone) {
			return string(s) == string(zone)
		}
	}
	return false
}
