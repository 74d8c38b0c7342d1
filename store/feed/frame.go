package feed

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ananas-edge/ananas/store"
)

// A frame is: type (1 octet), length of the body (4 octets), body. Numbers are little endian. The first frame each way is a hello and its welcome (or a goodbye): these
// three keep their form in all releases, and what follows their fields is of a later one and is passed over. All other frames are those of the protocol that the two agreed on,
// and are read to the last octet.
type frameType byte

const (
	typeHello frameType = 1 + iota
	typeWelcome
	typeGoodbye
	typeRecords
	typeBegin
	typeEntries
	typeEnd
	typeBeat
	typeAck
	typeResync
	typeReport
	typeBlobAsk
	typeBlobPart
	typeBlobPut
	typeBlobTaken
	typePart
	typeCount
)

// The protocols that this release speaks. A later release speaks a range, so that a fleet can be upgraded node by node.
const (
	protocolLow  = 1
	protocolHigh = 1
)

// Limits of frames, in octets. What is longer ends the connection.
const (
	frameHeader = 5

	// MaxReport is the length of a report of health: sums of a thousand sites and change sets of 256 octets.
	MaxReport = 256 << 10

	// MaxStatement is the length of a signed statement that a lineage has begun. Ours have some 170.
	MaxStatement = 1 << 10

	// MaxPath is how many names lead from the root to a follower: with a hundred followers each, five tiers are more nodes than there are addresses.
	MaxPath = 16

	// BlobChunk is how much of a blob is in a frame: the beat behind it waits for 2 s on a line of 1 Mbit/s.
	BlobChunk = 256 << 10

	// batchBytes is about how many octets of records or entries go together. A larger record goes by itself, in parts of that size, so that beats come between them: a commit of 4 MiB takes
	// 34 s on a line of 1 Mbit/s, and a source may be silent for ten.
	batchBytes = 64 << 10

	maxName = 63 // identity.MaxName
	maxText = 1 << 10
	maxCode = 32
	maxHead = 16 + 8 + 32 + 4*8 + 8 + 16
	maxBody = batchBytes + store.MaxRecord + 4 // of records, all parts together
)

// side says who sends a frame.
type side byte

const (
	up   side = 1 << iota // from a follower to its source
	down                  // from a source to its follower
)

// kinds tells of each type who sends it, and how long its body may be.
var kinds = [typeCount]struct {
	from side
	max  int
}{
	typeHello:     {up, 1 << 10},
	typeWelcome:   {down, 8 << 10},
	typeGoodbye:   {up | down, maxCode + 2*maxText + 8},
	typeRecords:   {down, batchBytes},
	typeBegin:     {down, maxHead + 32 + 2 + MaxStatement},
	typeEntries:   {down, batchBytes + 2 + store.MaxKey + 16 + 3 + store.MaxValue},
	typeEnd:       {down, 8 + 8 + 4*8},
	typeBeat:      {down, 8 + 16 + 8 + 8 + 1 + MaxPath*(1+maxName)},
	typeAck:       {up, 16},
	typeResync:    {up, 2 + maxText},
	typeReport:    {up, MaxReport},
	typeBlobAsk:   {up, 32 + 8},
	typeBlobPart:  {down, 1 + 32 + 8 + 8 + BlobChunk},
	typeBlobPut:   {up, 1 + 32 + 8 + 8 + BlobChunk},
	typeBlobTaken: {down, 32 + 8 + 1},
	typePart:      {down, batchBytes},
}

// hello is what a follower says first. Its name is in its certificate.
type hello struct {
	low, high uint16 // of the protocols that it speaks
	wants     byte
	lineage   store.Lineage
	version   store.Version
	hash      store.Hash
	access    [32]byte // fingerprint of what its copy was made to show
}

// What a connection is for: a follower that keeps a copy wants records; blobs alone make it an [Exchange], and nothing a [Reporter].
const (
	wantsRecords = 1 << iota
	wantsBlobs
)

const helloWords = "ananas feed\n"

func appendHello(b []byte, h hello) []byte {
	b = append(b, helloWords...)
	b = binary.LittleEndian.AppendUint16(b, h.low)
	b = binary.LittleEndian.AppendUint16(b, h.high)
	b = append(b, h.wants)
	b = append(b, h.lineage[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.version))
	b = append(b, h.hash[:]...)
	return append(b, h.access[:]...)
}

func parseHello(b []byte) (hello, error) {
	d := decoder{b: b}
	if string(d.take(len(helloWords))) != helloWords {
		return hello{}, errors.New("reading a hello: it is none of ours")
	}
	h := hello{low: d.uint16(), high: d.uint16(), wants: d.octet()}
	d.fixed(h.lineage[:])
	h.version = store.Version(d.uint64())
	d.fixed(h.hash[:])
	d.fixed(h.access[:])
	if h.low == 0 || h.low > h.high {
		d.fail("its protocols are %d to %d", h.low, h.high)
	}
	return h, d.open("a hello")
}

// welcome is what a source answers.
type welcome struct {
	protocol  uint16
	head      store.Head
	floor     store.Version
	path      []string // names from the root to the source
	statement []byte   // that the lineage has begun, signed; empty: it has none
}

func appendWelcome(b []byte, w welcome) []byte {
	b = binary.LittleEndian.AppendUint16(b, w.protocol)
	b = appendHead(b, w.head)
	b = binary.LittleEndian.AppendUint64(b, uint64(w.floor))
	b = appendPath(b, w.path)
	return appendBytes(b, w.statement)
}

func parseWelcome(b []byte) (welcome, error) {
	d := decoder{b: b}
	w := welcome{protocol: d.uint16(), head: d.head(), floor: store.Version(d.uint64()), path: d.path()}
	w.statement = d.bytes(MaxStatement)
	return w, d.open("a welcome")
}

// goodbye ends a connection, with the reason.
func appendGoodbye(b []byte, g *Goodbye) []byte {
	b = appendText(b, g.Code, maxCode)
	b = appendText(b, g.Text, maxText)
	return appendText(b, g.Mend, maxText)
}

func parseGoodbye(b []byte) (*Goodbye, error) {
	d := decoder{b: b}
	g := &Goodbye{Code: d.text(maxCode), Text: d.text(maxText), Mend: d.text(maxText)}
	return g, d.open("a goodbye")
}

// Records are one behind another, each with its length before it in 4 octets.
func appendRecord(b []byte, r *store.Record) []byte {
	at := len(b)
	b = store.AppendRecord(append(b, 0, 0, 0, 0), r)
	binary.LittleEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b
}

// appendFrames appends the frames of records: parts, if there are any, and what is left.
func appendFrames(b, body []byte) []byte {
	for t := typePart; t == typePart; {
		n := min(len(body), batchBytes)
		if n == len(body) {
			t = typeRecords
		}
		h := header(t, n)
		b = append(append(b, h[:]...), body[:n]...)
		body = body[n:]
	}
	return b
}

// parts puts records together again.
type parts []byte

// take takes a frame, and returns the body of it and all parts before it; ok is false as long as more is to come. Beats, parts of blobs and a goodbye may come in between.
func (p *parts) take(t frameType, body []byte) (whole []byte, ok bool, err error) {
	switch {
	case t == typePart && len(*p)+len(body) > maxBody:
		return nil, false, &protocolError{fmt.Sprintf("records have more than %d octets together", maxBody)}
	case t == typePart:
		*p = append(*p, body...)
		return nil, false, nil
	case len(*p) == 0 || t == typeGoodbye:
		return body, true, nil
	case t == typeRecords:
		whole, *p = append(*p, body...), nil
		return whole, true, nil
	}
	return nil, false, &protocolError{fmt.Sprintf("a frame of type %d comes in the middle of a record", t)}
}

// parseRecords returns the records of a frame, in order. They share its memory.
func parseRecords(b []byte) ([]*store.Record, error) {
	d := decoder{b: b}
	var out []*store.Record
	for len(d.b) > 0 {
		octets := d.take(int(min(d.uint32(), maxBody+1)))
		if d.err != nil {
			return nil, d.close("records")
		}
		r, err := store.ParseRecord(octets)
		if err != nil {
			return nil, err
		}
		if n := len(out); n > 0 && r.Version != out[n-1].Version+1 {
			return nil, fmt.Errorf("reading records: version %d comes after %d", r.Version, out[n-1].Version)
		}
		out = append(out, r)
	}
	if len(out) == 0 {
		return nil, errors.New("reading records: there are none")
	}
	return out, nil
}

// begin begins a snapshot: what the map has come to.
type begin struct {
	head      store.Head
	access    [32]byte // fingerprint of what the follower may read
	statement []byte
}

func appendBegin(b []byte, v begin) []byte {
	b = append(appendHead(b, v.head), v.access[:]...)
	return appendBytes(b, v.statement)
}

func parseBegin(b []byte) (begin, error) {
	d := decoder{b: b}
	v := begin{head: d.head()}
	d.fixed(v.access[:])
	v.statement = d.bytes(MaxStatement)
	return v, d.close("the beginning of a snapshot")
}

// Entries are one behind another: length of the key in 2 octets, key, entry.
func appendEntry(b []byte, key string, e store.Entry) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(len(key)))
	b = append(b, key...)
	return store.AppendEntry(b, e)
}

// parseEntries calls each for the entries of a frame.
func parseEntries(b []byte, each func(key string, e store.Entry) error) error {
	for len(b) > 0 {
		d := decoder{b: b}
		key := string(d.take(int(d.uint16())))
		if d.err == nil {
			d.err = store.CheckKey(key)
		}
		if d.err != nil {
			return fmt.Errorf("reading entries: %w", d.err)
		}
		e, rest, err := store.ParseEntry(d.b)
		if err != nil {
			return err
		}
		if err := each(key, e); err != nil {
			return err
		}
		b = rest
	}
	return nil
}

// end ends a snapshot: how many entries there were, and what the follower may not read.
type end struct {
	entries, hidden uint64
	hiddenSum       store.Sum
}

func appendEnd(b []byte, v end) []byte {
	b = binary.LittleEndian.AppendUint64(b, v.entries)
	b = binary.LittleEndian.AppendUint64(b, v.hidden)
	return appendSum(b, v.hiddenSum)
}

func parseEnd(b []byte) (end, error) {
	d := decoder{b: b}
	v := end{entries: d.uint64(), hidden: d.uint64(), hiddenSum: d.sum()}
	return v, d.close("the end of a snapshot")
}

func appendBeat(b []byte, v Beat) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(v.Time.UnixMicro()))
	b = append(b, v.Lineage[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(v.Version))
	b = binary.LittleEndian.AppendUint64(b, uint64(v.Source))
	return appendPath(b, v.Path)
}

func parseBeat(b []byte) (Beat, error) {
	d := decoder{b: b}
	v := Beat{Time: time.UnixMicro(int64(d.uint64())).UTC()}
	d.fixed(v.Lineage[:])
	v.Version, v.Source, v.Path = store.Version(d.uint64()), store.Version(d.uint64()), d.path()
	return v, d.close("a beat")
}

// ack says what a follower has taken: the version of its copy, and how many octets of records and entries of this connection it has dealt with.
type ack struct {
	version store.Version
	taken   uint64
}

func appendAck(b []byte, a ack) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(a.version))
	return binary.LittleEndian.AppendUint64(b, a.taken)
}

func parseAck(b []byte) (ack, error) {
	d := decoder{b: b}
	a := ack{store.Version(d.uint64()), d.uint64()}
	return a, d.close("an acknowledgement")
}

func parseResync(b []byte) (why string, err error) {
	d := decoder{b: b}
	why = d.text(maxText)
	return why, d.close("a request for a snapshot")
}

// blobAsk asks for a part of a blob.
type blobAsk struct {
	sum    [32]byte
	offset uint64
}

func appendBlobAsk(b []byte, a blobAsk) []byte {
	return binary.LittleEndian.AppendUint64(append(b, a.sum[:]...), a.offset)
}

func parseBlobAsk(b []byte) (a blobAsk, err error) {
	d := decoder{b: b}
	d.fixed(a.sum[:])
	a.offset = d.uint64()
	return a, d.close("a request for a blob")
}

// blobPart is that part, or the word that there is none.
type blobPart struct {
	missing bool
	sum     [32]byte
	offset  uint64
	size    uint64 // of the whole blob
	data    []byte
}

func appendBlobPart(b []byte, p blobPart) []byte {
	var missing byte
	if p.missing {
		missing = 1
	}
	b = append(append(b, missing), p.sum[:]...)
	b = binary.LittleEndian.AppendUint64(b, p.offset)
	b = binary.LittleEndian.AppendUint64(b, p.size)
	return append(b, p.data...)
}

func parseBlobPart(b []byte) (p blobPart, err error) {
	d := decoder{b: b}
	missing := d.octet()
	p.missing = missing == 1
	d.fixed(p.sum[:])
	p.offset, p.size = d.uint64(), d.uint64()
	p.data, d.b = d.b, nil
	n := uint64(len(p.data))
	if missing > 1 || p.missing && (n > 0 || p.size > 0) || !p.missing && (p.offset > p.size || n > p.size-p.offset || n == 0 && p.offset < p.size) {
		d.fail("%d octets at %d are no part of %d", n, p.offset, p.size)
	}
	return p, d.close("a part of a blob")
}

// blobTaken answers a part of a blob that was put: how far the blob is there, and whether it is there whole.
type blobTaken struct {
	sum    [32]byte
	offset uint64
	whole  bool
}

func appendBlobTaken(b []byte, t blobTaken) []byte {
	b = binary.LittleEndian.AppendUint64(append(b, t.sum[:]...), t.offset)
	if t.whole {
		return append(b, 1)
	}
	return append(b, 0)
}

func parseBlobTaken(b []byte) (t blobTaken, err error) {
	d := decoder{b: b}
	d.fixed(t.sum[:])
	t.offset = d.uint64()
	whole := d.octet()
	if t.whole = whole == 1; whole > 1 {
		d.fail("%d is neither yes nor no", whole)
	}
	return t, d.close("the answer to a part of a blob")
}

// reader reads the frames of the other side.
type reader struct {
	r    *bufio.Reader
	from side // the other side
	buf  []byte
}

// readStep is how much room is made for a body at a time, so that who only says that much will come does not take it.
const readStep = 64 << 10

// next reads a frame. Its body is good until the next call, unless it is one of records or entries, which keep theirs.
func (r *reader) next() (frameType, []byte, error) {
	head, err := r.r.Peek(frameHeader)
	if err != nil {
		if err == io.EOF && len(head) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	t, length := frameType(head[0]), binary.LittleEndian.Uint32(head[1:])
	_, _ = r.r.Discard(frameHeader)
	if t == 0 || t >= typeCount || kinds[t].from&r.from == 0 {
		return t, nil, &protocolError{fmt.Sprintf("a frame of type %d has no business here", t)}
	}
	if length > uint32(kinds[t].max) {
		return t, nil, &protocolError{fmt.Sprintf("a frame of type %d has %d octets, more than %d", t, length, kinds[t].max)}
	}
	n := int(length)
	keeps := t == typeRecords || t == typeEntries
	b := r.buf[:0]
	if keeps {
		b = nil
	}
	for len(b) < n {
		step := min(n-len(b), max(readStep, len(b)))
		if cap(b)-len(b) < step {
			b = append(make([]byte, 0, len(b)+step), b...)
		}
		got, err := io.ReadFull(r.r, b[len(b):len(b)+step])
		if b = b[:len(b)+got]; err != nil {
			return t, nil, io.ErrUnexpectedEOF
		}
	}
	if !keeps && cap(b) <= readStep {
		r.buf = b
	}
	return t, b, nil
}

// protocolError says that the other side does not keep to the protocol.
type protocolError struct{ why string }

func (e *protocolError) Error() string {
	return "the other side does not keep to the protocol: " + e.why
}

// header returns the octets before a body.
func header(t frameType, n int) [frameHeader]byte {
	var b [frameHeader]byte
	b[0] = byte(t)
	binary.LittleEndian.PutUint32(b[1:], uint32(n))
	return b
}

// frame returns a whole frame, whose body is what body appends.
func frame(t frameType, body func(b []byte) []byte) []byte {
	b := body(make([]byte, frameHeader, 256))
	h := header(t, len(b)-frameHeader)
	copy(b, h[:])
	return b
}
