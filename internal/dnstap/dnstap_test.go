package dnstap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

var update = flag.Bool("update", false, "write what is read of testdata")

func describe(m *Message) string {
	at := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return t.UTC().Format("15:04:05.000000")
	}
	return fmt.Sprintf("%-15v protocol %d client %v server %v asked %s answered %s query %x response %x", m.Type, m.Protocol, m.Client, m.Server, at(m.Asked), at(m.Answered), m.Query, m.Response)
}

func readAll(r *Reader) (all []string, err error) {
	for {
		m, err := r.Next()
		if err != nil {
			return all, err
		}
		all = append(all, describe(&m))
	}
}

// What three servers have written is read as it was meant.
func TestPeers(t *testing.T) {
	files, err := filepath.Glob("testdata/*.fstrm")
	if err != nil || len(files) != 3 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		r := NewReader(iotest.OneByteReader(bytes.NewReader(content)))
		all, err := readAll(r)
		if err != io.EOF || !r.Whole() || r.At() != int64(len(content)) {
			t.Errorf("%s: %v, whole %v, %d of %d octets", name, err, r.Whole(), r.At(), len(content))
		}
		got, golden := strings.Join(all, "\n")+"\n", strings.TrimSuffix(name, ".fstrm")+".txt"
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil || string(want) != got {
			t.Errorf("%s: %v, got\n%s", golden, err, got)
		}
	}
}

// A file that ends anywhere says how far it was good, and all before that was told.
func TestCutAnywhere(t *testing.T) {
	content, err := os.ReadFile("testdata/unbound.fstrm")
	if err != nil {
		t.Fatal(err)
	}
	all, _ := readAll(NewReader(bytes.NewReader(content)))
	clean := 0
	for n := 1; n < len(content); n++ {
		r := NewReader(bytes.NewReader(content[:n]))
		some, err := readAll(r)
		var cut *Error
		switch {
		case err == io.EOF:
			clean++
			if r.Whole() {
				t.Errorf("%d octets seem whole", n)
			}
		case !errors.As(err, &cut) || !errors.Is(err, io.ErrUnexpectedEOF) || cut.At > int64(n):
			t.Errorf("%d octets: %v", n, err)
		}
		if len(some) > len(all) || strings.Join(some, "\n") != strings.Join(all[:len(some)], "\n") {
			t.Errorf("%d octets: got %d messages that are not those of the whole file", n, len(some))
		}
	}
	if clean != len(all)+1 { // behind the START frame, and behind each message
		t.Errorf("%d cuts are between frames, want %d", clean, len(all)+1)
	}
}

func frame(payload string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(payload)))) + payload
}

func control(kind uint32, fields string) string {
	return "\x00\x00\x00\x00" + frame(string(binary.BigEndian.AppendUint32(nil, kind))+fields)
}

func holds(what string) string { return "\x00\x00\x00\x01" + frame(what) }

var (
	start = control(controlStart, holds(contentType))
	stop  = control(controlStop, "")
	// a Dnstap of type MESSAGE with a Message of type CLIENT_QUERY
	clientQuery = frame("\x72\x02\x08\x05\x78\x01")
)

func TestStreams(t *testing.T) {
	for _, c := range []struct {
		name, stream string
		messages     int
		whole        bool
		err          string // "": the end
		hint         string
	}{
		{"whole", start + clientQuery + stop, 1, true, "", ""},
		{"still written", start + clientQuery, 1, false, "", ""},
		{"two files", start + clientQuery + stop + start + clientQuery + clientQuery + stop, 3, true, "", ""},
		{"as on a socket", control(controlReady, holds(contentType)) + start + clientQuery + stop + control(controlFinish, ""), 1, true, "", ""},
		{"no content type", control(controlStart, "") + clientQuery, 1, false, "", ""},
		{"not of type MESSAGE", start + frame("\x72\x02\x08\x05\x78\x02") + frame("\x78\x01") + clientQuery, 1, false, "", ""},
		{"nothing", "", 0, false, "reading the frame that begins at octet 0: this is no stream of dnstap messages: it is empty", "it has to be what"},
		{"text", "www.example.com A\n", 0, false, "reading the frame that begins at octet 0: this is no stream of dnstap messages: it does not begin with a START frame", "it has to be what"},
		{"gzip", "\x1f\x8b\x08\x00\x00\x00", 0, false, "reading the frame that begins at octet 0: this is no stream of dnstap messages: it looks compressed", "decompress it"},
		{"other content", control(controlStart, holds("protobuf:other")), 0, false, `reading the frame that begins at octet 0: this is no stream of dnstap messages: it holds "protobuf:other"`, "it has to be what"},
		{"control frame too long", "\x00\x00\x00\x00\x00\x00\x10\x00", 0, false, "reading the frame that begins at octet 0: a control frame of 4096 octets; it has 4 to 512", ""},
		{"control frame too short", "\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00", 0, false, "reading the frame that begins at octet 0: a control frame of 2 octets; it has 4 to 512", ""},
		{"unknown control frame", control(9, ""), 0, false, "reading the frame that begins at octet 0: a control frame of the unknown type 9", ""},
		{"field of a control frame too long", control(controlStart, "\x00\x00\x00\x01\xff\xff\xff\xff"), 0, false, "reading the frame that begins at octet 0: a control frame with a field that is longer than it", ""},
		{"frame too long", start + "\x7f\xff\xff\xff", 0, false, "reading the frame that begins at octet 42: it has 2147483647 octets, at most 1048576", ""},
		{"no Dnstap", start + clientQuery + frame("\xff\xff"), 1, false, "reading the frame that begins at octet 52: reading a Dnstap: what begins a field is no number", ""},
		{"group", start + frame("\x73\x01"), 0, false, "reading the frame that begins at octet 42: reading a Dnstap: field 14 has the unknown wire type 3", ""},
		{"Message with a field that is too long", start + frame("\x72\x03\x52\x7f\x00\x78\x01"), 0, false, "reading the frame that begins at octet 42: reading a Message: a field is longer than what it is in", ""},
		{"cut in a length", start + "\x00\x00", 0, false, "the stream ends in the middle of the frame that begins at octet 42", ""},
	} {
		r := NewReader(strings.NewReader(c.stream))
		all, err := readAll(r)
		text, hint := "", ""
		if err != io.EOF {
			text = err.Error()
			hint = err.(*Error).Hint()
		}
		if len(all) != c.messages || text != c.err || r.Whole() != c.whole || !strings.HasPrefix(hint, c.hint) {
			t.Errorf("%s: got %d messages, whole %v, %q, hint %q; want %d, %v, %q, %q", c.name, len(all), r.Whole(), text, hint, c.messages, c.whole, c.err, c.hint)
		}
	}
}

func TestMessages(t *testing.T) {
	const none = "asked - answered - query  response "
	for _, c := range []struct{ name, message, want string }{
		{"nothing", "", "type 0          protocol 0 client invalid AddrPort server invalid AddrPort " + none},
		{"unknown type", "\x08\xff\x01", "type 255        protocol 0 client invalid AddrPort server invalid AddrPort " + none},
		{"address of three octets", "\x08\x05\x22\x03\x01\x02\x03\x30\x35", "CLIENT_QUERY    protocol 0 client invalid AddrPort server invalid AddrPort " + none},
		{"the last of two counts", "\x08\x05\x08\x06", "CLIENT_RESPONSE protocol 0 client invalid AddrPort server invalid AddrPort " + none},
		{"a time that can't be", "\x08\x05\x40\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "CLIENT_QUERY    protocol 0 client invalid AddrPort server invalid AddrPort " + none},
		{"unknown fields", "\x08\x05\xf2\x3f\x01x\xf9\x3f12345678\xfd\x3f1234", "CLIENT_QUERY    protocol 0 client invalid AddrPort server invalid AddrPort " + none},
		{"all", "\x08\x06\x10\x01\x18\x02\x22\x04\xc0\x00\x02\x01\x2a\x04\xc0\x00\x02\x35\x30\x39\x38\x35\x40\x01\x4d\x00\xca\x9a\x3b\x60\x02\x6d\x01\x00\x00\x00\x52\x01q\x72\x01r",
			"CLIENT_RESPONSE protocol 2 client 192.0.2.1:57 server 192.0.2.53:53 asked - answered 00:00:02.000000 query 71 response 72"},
	} {
		m, err := parseMessage([]byte(c.message))
		if got := describe(&m); err != nil || got != c.want {
			t.Errorf("%s: %v, got\n%q, want\n%q", c.name, err, got, c.want)
		}
	}
}

// FuzzReader holds that foreign octets end in an error, that it names a place in them, and that no message is larger than what it came in.
func FuzzReader(f *testing.F) {
	files, err := filepath.Glob("testdata/*.fstrm")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Add([]byte(start + clientQuery + stop))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(bytes.NewReader(b))
		for {
			m, err := r.Next()
			if err == io.EOF {
				return
			}
			if err != nil {
				var e *Error
				if !errors.As(err, &e) || e.At < 0 || e.At > int64(len(b)) {
					t.Fatalf("%v", err)
				}
				return
			}
			if len(m.Query)+len(m.Response) > len(b) {
				t.Fatalf("%d octets of messages in %d", len(m.Query)+len(m.Response), len(b))
			}
		}
	})
}
