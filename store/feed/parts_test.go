package feed

import (
	"bufio"
	"bytes"
	"math/rand/v2"
	"testing"
)

// receive reads a stream as a follower does, and returns the bodies of its records.
func receive(b []byte) (bodies [][]byte, err error) {
	r := reader{r: bufio.NewReader(bytes.NewReader(b)), from: down}
	var begun parts
	for {
		t, body, err := r.next()
		if err != nil {
			return bodies, err
		}
		whole, ok, err := begun.take(t, body)
		if err != nil {
			return bodies, err
		}
		if ok && t == typeRecords {
			bodies = append(bodies, whole)
		}
	}
}

func TestParts(t *testing.T) {
	rng := rand.NewChaCha8([32]byte{1})
	for _, n := range []int{1, batchBytes - 1, batchBytes, batchBytes + 1, 2 * batchBytes, 5*batchBytes + 7, maxBody} {
		one, two := make([]byte, n), make([]byte, 3)
		rng.Read(one)
		rng.Read(two)
		sent := appendFrames(appendFrames(nil, one), two)
		if got, _ := receive(sent); len(got) != 2 || !bytes.Equal(got[0], one) || !bytes.Equal(got[1], two) {
			t.Errorf("%d octets came as %d bodies", n, len(got))
		}
		if got, _ := receive(sent[:n]); len(got) != 0 {
			t.Errorf("%d octets came before the end", n)
		}
	}
	part := frame(typePart, func(b []byte) []byte { return append(b, make([]byte, batchBytes)...) })
	for name, sent := range map[string][]byte{
		"a snapshot in the middle": append(bytes.Clone(part), frame(typeEntries, func(b []byte) []byte { return b })...),
		"too much":                 bytes.Repeat(part, maxBody/batchBytes+1),
	} {
		if _, err := receive(sent); err == nil || bytes.Contains([]byte(err.Error()), []byte("EOF")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := receive(append(bytes.Clone(part), frame(typeGoodbye, func(b []byte) []byte { return appendGoodbye(b, &Goodbye{Code: CodeStopping}) })...)); len(got) > 0 || err == nil || err.Error() != "EOF" {
		t.Errorf("a goodbye in the middle: %d bodies, %v", len(got), err)
	}
}

// FuzzParts reads what may come from a source: whatever it is, no body is longer than it may be, and records that are put together read as they were written.
func FuzzParts(f *testing.F) {
	f.Add(appendFrames(nil, make([]byte, 100)))
	f.Add(appendFrames(nil, make([]byte, batchBytes+1)))
	f.Add(frame(typePart, func(b []byte) []byte { return append(b, 1, 2, 3) }))
	f.Fuzz(func(t *testing.T, b []byte) {
		bodies, _ := receive(b)
		for _, body := range bodies {
			if len(body) > maxBody+batchBytes {
				t.Errorf("a body has %d octets", len(body))
			}
			if _, err := parseRecords(body); err != nil {
				continue
			}
			if again, _ := receive(appendFrames(nil, body)); len(again) != 1 || !bytes.Equal(again[0], body) {
				t.Error("it does not come as it was sent")
			}
		}
	})
}
