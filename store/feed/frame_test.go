package feed

import (
	"bufio"
	"bytes"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/ananas-edge/ananas/store"
)

// bodies has, for each type of frame, how its body is read and written again.
var bodies = [typeCount]func(b []byte) ([]byte, error){
	typeHello:   func(b []byte) ([]byte, error) { v, err := parseHello(b); return appendHello(nil, v), err },
	typeWelcome: func(b []byte) ([]byte, error) { v, err := parseWelcome(b); return appendWelcome(nil, v), err },
	typeGoodbye: func(b []byte) ([]byte, error) {
		v, err := parseGoodbye(b)
		return appendGoodbye(nil, v), err
	},
	typeRecords: func(b []byte) (out []byte, err error) {
		records, err := parseRecords(b)
		for _, r := range records {
			out = appendRecord(out, r)
		}
		return out, err
	},
	typeBegin: func(b []byte) ([]byte, error) { v, err := parseBegin(b); return appendBegin(nil, v), err },
	typeEntries: func(b []byte) (out []byte, err error) {
		err = parseEntries(b, func(key string, e store.Entry) error { out = appendEntry(out, key, e); return nil })
		return out, err
	},
	typeEnd:  func(b []byte) ([]byte, error) { v, err := parseEnd(b); return appendEnd(nil, v), err },
	typeBeat: func(b []byte) ([]byte, error) { v, err := parseBeat(b); return appendBeat(nil, v), err },
	typeAck:  func(b []byte) ([]byte, error) { v, err := parseAck(b); return appendAck(nil, v), err },
	typeResync: func(b []byte) ([]byte, error) {
		v, err := parseResync(b)
		return appendText(nil, v, maxText), err
	},
	typeReport:   func(b []byte) ([]byte, error) { return b, nil }, // that of package vitals
	typeBlobAsk:  func(b []byte) ([]byte, error) { v, err := parseBlobAsk(b); return appendBlobAsk(nil, v), err },
	typeBlobPart: func(b []byte) ([]byte, error) { v, err := parseBlobPart(b); return appendBlobPart(nil, v), err },
	typeBlobPut:  func(b []byte) ([]byte, error) { v, err := parseBlobPart(b); return appendBlobPart(nil, v), err },
	typeBlobTaken: func(b []byte) ([]byte, error) {
		v, err := parseBlobTaken(b)
		return appendBlobTaken(nil, v), err
	},
	typePart: func(b []byte) ([]byte, error) { return b, nil }, // of parts.take
}

// samples are frames as they travel: the seeds of the fuzz targets.
func samples() map[frameType][][]byte {
	head := store.Head{Lineage: store.Lineage{1}, Version: 7, Hash: store.Hash{2}, Sum: store.Sum{3, 4, 5, 6}, Time: time.UnixMicro(1e15).UTC(), ID: store.ID{8}}
	r := func(v store.Version) *store.Record {
		e := store.Entry{Salt: store.Salt{9}, Value: []byte("document")}
		return &store.Record{Version: v, ID: store.ID{byte(v)}, Kind: store.KindNow, Time: head.Time, Author: "ada", Reason: "why", Hash: store.Hash{byte(v)},
			Changes: []store.Change{{Key: "a", New: store.DigestOf("a", e), Entry: e}, {Key: "b", Old: store.Digest{1}}, {Old: store.Digest{2}, New: store.Digest{3}}}}
	}
	beat := Beat{Time: head.Time, Lineage: head.Lineage, Version: 9, Source: 8, Path: []string{"root", "relay"}}
	return map[frameType][][]byte{
		typeHello:    {appendHello(nil, hello{low: 1, high: 2, wants: 1, lineage: head.Lineage, version: 7, hash: head.Hash}), append(appendHello(nil, hello{low: 1, high: 1}), "of a later release"...)},
		typeWelcome:  {appendWelcome(nil, welcome{1, head, 3, beat.Path, []byte("signed")}), appendWelcome(nil, welcome{protocol: 1})},
		typeGoodbye:  {appendGoodbye(nil, &Goodbye{"busy", "too many", "name a relay"}), appendGoodbye(nil, &Goodbye{})},
		typeRecords:  {appendRecord(appendRecord(nil, r(7)), r(8)), appendRecord(nil, r(1))},
		typeBegin:    {appendBegin(nil, begin{head, [32]byte{1}, []byte("signed")})},
		typeEntries:  {appendEntry(appendEntry(nil, "a", store.Entry{Value: []byte("x")}), "b/c", store.Entry{Salt: store.Salt{1}, Value: []byte{}})},
		typeEnd:      {appendEnd(nil, end{1, 2, store.Sum{1, 2, 3, 4}})},
		typeBeat:     {appendBeat(nil, beat), appendBeat(nil, Beat{Time: head.Time})},
		typeAck:      {appendAck(nil, ack{1, 2})},
		typeResync:   {appendText(nil, "it does not fit", maxText)},
		typeReport:   {[]byte("report")},
		typeBlobAsk:  {appendBlobAsk(nil, blobAsk{[32]byte{1}, 7})},
		typeBlobPart: {appendBlobPart(nil, blobPart{sum: [32]byte{1}, offset: 3, size: 9, data: []byte("abcdef")}), appendBlobPart(nil, blobPart{missing: true})},

		typeBlobPut:   {appendBlobPart(nil, blobPart{sum: [32]byte{1}, offset: 3, size: 9, data: []byte("abcdef")})},
		typeBlobTaken: {appendBlobTaken(nil, blobTaken{[32]byte{1}, 7, false}), appendBlobTaken(nil, blobTaken{[32]byte{1}, 9, true})},
		typePart:      {[]byte("the beginning of a record")},
	}
}

// FuzzBody reads bodies of all types. What is read is written as it was: one value has one form, but for what a later release may put behind its hello, welcome and goodbye.
func FuzzBody(f *testing.F) {
	for t, all := range samples() {
		for _, b := range all {
			f.Add(byte(t), b)
		}
	}
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		if kind == 0 || frameType(kind) >= typeCount || len(b) > kinds[kind].max {
			return
		}
		out, err := bodies[kind](b)
		if err != nil {
			return
		}
		open := kind == byte(typeHello) || kind == byte(typeWelcome) || kind == byte(typeGoodbye)
		if frameType(kind) == typeRecords {
			again, err := bodies[kind](out)
			if err != nil || !bytes.Equal(out, again) {
				t.Fatalf("records that were read become others: %v", err)
			}
			return
		}
		if !bytes.Equal(out, b) && !(open && bytes.HasPrefix(b, out)) {
			t.Fatalf("%x was read, and is written as %x", b, out)
		}
	})
}

// FuzzFrames reads a stream of frames, as either side, until it ends.
func FuzzFrames(f *testing.F) {
	var all [2][]byte
	for t, bodies := range samples() {
		for _, b := range bodies {
			h := header(t, len(b))
			if kinds[t].from&up != 0 {
				all[0] = append(append(all[0], h[:]...), b...)
			}
			if kinds[t].from&down != 0 {
				all[1] = append(append(all[1], h[:]...), b...)
			}
		}
	}
	f.Add(false, all[0])
	f.Add(true, all[1])
	f.Fuzz(func(t *testing.T, fromSource bool, b []byte) {
		in := bytes.NewReader(b)
		r := reader{r: bufio.NewReader(in), from: up}
		if fromSource {
			r.from = down
		}
		for read := 0; ; {
			kind, body, err := r.next()
			if err != nil {
				if err == io.EOF && read != len(b) {
					t.Fatalf("%d of %d octets are read, and that is the end", read, len(b))
				}
				return
			}
			if read += frameHeader + len(body); kinds[kind].from&r.from == 0 || len(body) > kinds[kind].max || read > len(b) {
				t.Fatalf("a frame of type %d and %d octets is read", kind, len(body))
			}
			_, _ = bodies[kind](body)
		}
	})
}

// Every type of frame has a body that is known here, and samples.
func TestFramesAreAllTested(t *testing.T) {
	s := samples()
	for kind := frameType(1); kind < typeCount; kind++ {
		if bodies[kind] == nil || len(s[kind]) == 0 || kinds[kind].max == 0 || kinds[kind].from == 0 {
			t.Errorf("a frame of type %d is not tested", kind)
		}
		for _, b := range s[kind] {
			if out, err := bodies[kind](b); err != nil || !bytes.HasPrefix(b, out) || len(out) == 0 {
				t.Errorf("type %d: %x becomes %x, %v", kind, b, out, err)
			}
			for n := range len(b) {
				if out, err := bodies[kind](b[:n]); err == nil && kind != typeReport && kind != typePart && kind != typeEntries && kind != typeBlobPart && kind != typeBlobPut && !(kind == typeRecords && n > 0 && len(out) == n) && !(kind == typeHello && bytes.HasPrefix(b[:n], out)) {
					t.Errorf("type %d, cut off after %d octets: it is read", kind, n)
				}
			}
		}
	}
}

// What is written is read as it was.
func TestFramesRoundTrip(t *testing.T) {
	array := func(t *rapid.T, into []byte) {
		copy(into, rapid.SliceOfN(rapid.Byte(), len(into), len(into)).Draw(t, "octets"))
	}
	number := rapid.Uint64()
	name := rapid.StringOfN(rapid.RuneFrom([]rune("abcé-")), 1, 30, maxName)
	text := func(most int) *rapid.Generator[string] {
		return rapid.StringN(0, most, most).Filter(utf8.ValidString)
	}
	sum := func(t *rapid.T) (s store.Sum) {
		for i := range s {
			s[i] = number.Draw(t, "lane")
		}
		return s
	}
	moment := func(t *rapid.T) time.Time {
		return time.UnixMicro(rapid.Int64Range(1, 1<<55).Draw(t, "time")).UTC()
	}
	head := func(t *rapid.T) (h store.Head) {
		array(t, h.Lineage[:])
		array(t, h.Hash[:])
		array(t, h.ID[:])
		h.Version, h.Sum = store.Version(number.Draw(t, "version")), sum(t)
		if rapid.Bool().Draw(t, "timed") {
			h.Time = moment(t)
		}
		return h
	}
	octets := func(t *rapid.T, most int) []byte {
		return append([]byte(nil), rapid.SliceOfN(rapid.Byte(), 0, most).Draw(t, "octets")...)
	}
	same := func(t *rapid.T, kind frameType, want, got any, err error, body []byte) {
		t.Helper()
		if err != nil || !reflect.DeepEqual(want, got) {
			t.Fatalf("%+v was written, and read as %+v: %v", want, got, err)
		}
		if len(body) > kinds[kind].max {
			t.Fatalf("it has %d octets, more than the limit", len(body))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		path := rapid.SliceOfN(name, 0, MaxPath).Draw(t, "path")
		if len(path) == 0 {
			path = nil
		}
		h := hello{low: 1, high: rapid.Uint16Range(1, 9).Draw(t, "high"), wants: rapid.Byte().Draw(t, "wants"), version: store.Version(number.Draw(t, "version"))}
		array(t, h.lineage[:])
		array(t, h.hash[:])
		array(t, h.access[:])
		b := appendHello(nil, h)
		gotHello, err := parseHello(b)
		same(t, typeHello, h, gotHello, err, b)

		w := welcome{rapid.Uint16().Draw(t, "protocol"), head(t), store.Version(number.Draw(t, "floor")), path, octets(t, MaxStatement)}
		b = appendWelcome(nil, w)
		gotWelcome, err := parseWelcome(b)
		same(t, typeWelcome, w, gotWelcome, err, b)

		g := &Goodbye{text(maxCode).Draw(t, "code"), text(maxText).Draw(t, "text"), text(maxText).Draw(t, "mend")}
		b = appendGoodbye(nil, g)
		gotGoodbye, err := parseGoodbye(b)
		same(t, typeGoodbye, g, gotGoodbye, err, b)

		v := begin{head: head(t), statement: octets(t, MaxStatement)}
		array(t, v.access[:])
		b = appendBegin(nil, v)
		gotBegin, err := parseBegin(b)
		same(t, typeBegin, v, gotBegin, err, b)

		e := end{number.Draw(t, "entries"), number.Draw(t, "hidden"), sum(t)}
		b = appendEnd(nil, e)
		gotEnd, err := parseEnd(b)
		same(t, typeEnd, e, gotEnd, err, b)

		beat := Beat{Time: moment(t), Version: store.Version(number.Draw(t, "version")), Source: store.Version(number.Draw(t, "source")), Path: path}
		array(t, beat.Lineage[:])
		b = appendBeat(nil, beat)
		gotBeat, err := parseBeat(b)
		same(t, typeBeat, beat, gotBeat, err, b)

		part := blobPart{offset: rapid.Uint64Range(0, 1<<40).Draw(t, "offset"), data: octets(t, 300)}
		part.size = part.offset + uint64(len(part.data)) + rapid.Uint64Range(0, 1).Draw(t, "more")
		if part.missing = len(part.data) == 0; part.missing {
			part.size = 0
		}
		array(t, part.sum[:])
		b = appendBlobPart(nil, part)
		gotPart, err := parseBlobPart(b)
		if len(gotPart.data) == 0 {
			gotPart.data = part.data
		}
		same(t, typeBlobPart, part, gotPart, err, b)
	})
}

// A text that is too long, or is none, is sent as what can be read of it.
func TestGoodbyeIsAlwaysReadable(t *testing.T) {
	for _, text := range []string{"", strings.Repeat("é", maxText), "a" + strings.Repeat("é", maxText), "\xff\xfe", strings.Repeat("\xff", maxText), strings.Repeat("x", maxText-1) + "日"} {
		g, err := parseGoodbye(appendGoodbye(nil, &Goodbye{text, text, text}))
		if err != nil || len(g.Text) > maxText || len(g.Code) > maxCode || text != "" && g.Text == "" {
			t.Errorf("%.20q is read as %+v, %v", text, g, err)
		}
	}
}
