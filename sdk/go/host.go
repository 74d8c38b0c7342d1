//go:build wasip1

package ananas

import (
	"errors"
	"unsafe"
)

//go:wasmimport ananas setting
func hostSetting(key *byte, keyLen uint32, out *byte, outLen uint32) int32

//go:wasmimport ananas log
func hostLog(level int32, text *byte, textLen uint32) int32

//go:wasmimport ananas data_open
func hostDataOpen(name *byte, nameLen uint32) int32

//go:wasmimport ananas data_find
func hostDataFind(data, how int32, key *byte, keyLen uint32) int32

//go:wasmimport ananas counter
func hostCounter(name *byte, nameLen uint32) int32

//go:wasmimport ananas count
func hostCount(counter int32, n int64) int32

//go:wasmimport ananas histogram
func hostHistogram(name *byte, nameLen uint32) int32

//go:wasmimport ananas observe
func hostObserve(histogram int32, value int64) int32

//go:wasmimport ananas resolve
func hostResolve(name *byte, nameLen uint32, typ int32, out *byte, outLen uint32) int32

//go:wasmimport ananas now
func hostNow() int64

//go:wasmimport ananas random
func hostRandom(out *byte, outLen uint32) int32

// Errors of the host's functions.
var (
	ErrAbsent    = errors.New("there is no such thing")
	ErrBounds    = errors.New("an address is not in memory")
	ErrRoom      = errors.New("it does not fit")
	ErrDenied    = errors.New("it was not granted")
	ErrLimit     = errors.New("a limit was reached")
	ErrFailed    = errors.New("it did not succeed")
	ErrMalformed = errors.New("it is not what it must be")
)

func result(n int32) error {
	switch {
	case n >= 0:
		return nil
	case n < -7:
		return ErrFailed
	}
	return [...]error{ErrAbsent, ErrBounds, ErrRoom, ErrDenied, ErrLimit, ErrFailed, ErrMalformed}[-n-1]
}

// maxSetting is the size of the largest setting that there may be.
const maxSetting = 64 << 10

// Setting returns a setting; "" if there is none.
func Setting(key string) string {
	for room := 256; ; room *= 4 {
		b := make([]byte, min(room, maxSetting))
		n := hostSetting(unsafe.StringData(key), uint32(len(key)), &b[0], uint32(len(b)))
		if n >= 0 {
			return string(b[:n])
		}
		if result(n) != ErrRoom || room >= maxSetting {
			return ""
		}
	}
}

// Levels of a log.
const (
	Debug = iota
	Info
	Warning
	Error
)

// Log writes a line to the node's log. It needs the grant log.
func Log(level int, text string) error {
	return result(hostLog(int32(level), unsafe.StringData(text), uint32(len(text))))
}

// What a list that is a response policy zone has for a name: what the zone wants done. RPZLocal is an answer of the zone's own; the list does not have its records.
const (
	RPZNXDomain = 1 + iota
	RPZNoData
	RPZPassthru
	RPZDrop
	RPZTCPOnly
	RPZLocal
)

// Data is a data set. What it has for what is listed is a value: 0 if the list has none, and one of RPZNXDomain and so on if it is a response policy zone.
type Data int32

// OpenData opens one, in the function of [OnStart]. It needs the grant data/NAME.
func OpenData(name string) (Data, error) {
	n := hostDataOpen(unsafe.StringData(name), uint32(len(name)))
	return Data(n), result(n)
}

// Exact looks for a name.
func (d Data) Exact(name []byte) (value uint8, ok bool) { return d.find(0, name) }

// Suffix looks for a name, or one above it.
func (d Data) Suffix(name []byte) (value uint8, ok bool) { return d.find(1, name) }

// Prefix looks for a prefix that covers an address of 4 octets or 16.
func (d Data) Prefix(addr []byte) (value uint8, ok bool) { return d.find(2, addr) }

func (d Data) find(how int32, key []byte) (uint8, bool) {
	n := hostDataFind(int32(d), how, unsafe.SliceData(key), uint32(len(key)))
	return uint8(max(n, 0)), n >= 0
}

// Counter is one of the plugin's own.
type Counter int32

// OpenCounter opens one, in the function of [OnStart]. It needs the grant metrics.
func OpenCounter(name string) (Counter, error) {
	n := hostCounter(unsafe.StringData(name), uint32(len(name)))
	return Counter(n), result(n)
}

// Add adds to it.
func (c Counter) Add(n uint32) { hostCount(int32(c), int64(n)) }

// Histogram is one of the plugin's own, of whole numbers in a unit of its own.
type Histogram int32

// OpenHistogram opens one, in the function of [OnStart]. It needs the grant metrics.
func OpenHistogram(name string) (Histogram, error) {
	n := hostHistogram(unsafe.StringData(name), uint32(len(name)))
	return Histogram(n), result(n)
}

// Observe observes a value.
func (h Histogram) Observe(value uint64) { hostObserve(int32(h), int64(value)) }

// resolved has the answer of Resolve: the largest, with its heads.
var resolved [room]byte

// Resolve asks for a name in wire form, within the client's budget, and waits. What a holds then is valid until the next Resolve. It needs the grant resolve.
func Resolve(name []byte, typ uint16, a *Answer) error {
	n := hostResolve(unsafe.SliceData(name), uint32(len(name)), int32(typ), &resolved[0], room)
	if n < 0 {
		return result(n)
	}
	a.read(resolved[:n])
	return nil
}

// Now is the time of the query, in nanoseconds since 1970. It needs the grant time.
func Now() int64 { return hostNow() }

// Random fills b with random numbers, which are not for secrets. It needs the grant random.
func Random(b []byte) error {
	return result(hostRandom(unsafe.SliceData(b), uint32(len(b))))
}
