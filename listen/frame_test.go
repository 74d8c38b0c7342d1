package listen

import (
	"bytes"
	"errors"
	"testing"
)

// split feeds a stream to frames in pieces and returns the messages and how it ended.
func split(stream []byte, piece func() int) (messages [][]byte, f frames, err error) {
	for len(stream) > 0 {
		space := f.space()
		n := copy(space, stream[:min(len(stream), max(1, piece()))])
		f.wrote(n)
		stream = stream[n:]
		for {
			m, ok, err := f.next()
			if err != nil {
				return messages, f, err
			}
			if !ok {
				break
			}
			messages = append(messages, bytes.Clone(m))
			clear(m) // the handler may write into it
		}
	}
	return messages, f, nil
}

func TestFramesDoNotGrowByWhatALengthPromises(t *testing.T) {
	var f frames
	for _, step := range []struct{ arrived, most int }{{3, 4096}, {4000, 4096}, {5000, 8192}, {60000, 65537}, {65536, 65537}} {
		for f.w < step.arrived {
			space := f.space()
			space = space[:min(len(space), step.arrived-f.w)]
			for i := range space {
				space[i] = 0xff // the length: 65,535
			}
			f.wrote(len(space))
			if _, ok, err := f.next(); ok || err != nil {
				t.Fatalf("after %d octets: %v, %v", f.w, ok, err)
			}
		}
		if len(f.buf) > step.most {
			t.Errorf("after %d octets the buffer has %d, want at most %d", step.arrived, len(f.buf), step.most)
		}
	}
	f.space()[0] = 0xff
	f.wrote(1)
	if m, ok, _ := f.next(); !ok || len(m) != 65535 {
		t.Fatalf("got a message of %d octets, %v", len(m), ok)
	}
	if f.space(); len(f.buf) != frameBuffer {
		t.Errorf("after a long message the buffer keeps %d octets, want %d", len(f.buf), frameBuffer)
	}
}

func FuzzFrames(f *testing.F) {
	q := appendFrame(nil, query(1, "question"))
	f.Add([]byte{}, []byte{1})
	f.Add(q, []byte{1})
	f.Add(append(bytes.Clone(q), q...), []byte{3, 200})
	f.Add(append(bytes.Clone(q), 0, 0), []byte{255})
	f.Add(append(bytes.Clone(q), 0, 11, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11), []byte{255})
	f.Add(append(bytes.Clone(q), 0xff, 0xff, 1), []byte{2})
	f.Add(appendFrame(bytes.Clone(q), make([]byte, 9000)), []byte{250})
	f.Fuzz(func(t *testing.T, stream, pieces []byte) {
		i := 0
		piece := func() int {
			if len(pieces) == 0 {
				return 1
			}
			i++
			return int(pieces[i%len(pieces)]) * 16
		}
		// Said another way: the stream as a whole.
		var want [][]byte
		rest, short := stream, false
		for len(rest) >= 2 {
			n := int(rest[0])<<8 | int(rest[1])
			if n < 12 {
				short = true
				break
			}
			if len(rest) < 2+n {
				break
			}
			want = append(want, rest[2:2+n])
			rest = rest[2+n:]
		}

		got, left, err := split(stream, piece)
		if (err != nil) != short || err != nil && !errors.Is(err, errShortMessage) {
			t.Fatalf("error %v, want one: %v", err, short)
		}
		if len(got) != len(want) {
			t.Fatalf("%d messages, want %d", len(got), len(want))
		}
		for i := range got {
			if !bytes.Equal(got[i], want[i]) {
				t.Errorf("message %d: %x, want %x", i, got[i], want[i])
			}
		}
		if !short && left.partial() != (len(rest) > 0) {
			t.Errorf("partial() = %v with %d octets left", left.partial(), len(rest))
		}
		if len(left.buf) > max(frameBuffer, 2*len(stream)) || len(left.buf) > maxFrame {
			t.Errorf("a buffer of %d octets for a stream of %d", len(left.buf), len(stream))
		}
	})
}
