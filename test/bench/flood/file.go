//go:build linux

package flood

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// WriteQuestions writes questions, whole messages with any id, to a file: each with its length before it in two octets, big endian.
func WriteQuestions(path string, questions [][]byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	for i, q := range questions {
		if len(q) < minQuestion || len(q) > maxQuestion {
			return errors.Join(fmt.Errorf("writing question %d of %d octets: must be %d to %d", i, len(q), minQuestion, maxQuestion), f.Close())
		}
		// A failed write is told by Flush.
		_, _ = w.Write(binary.BigEndian.AppendUint16(nil, uint16(len(q))))
		_, _ = w.Write(q)
	}
	return errors.Join(w.Flush(), f.Close())
}

const minQuestion = 12 + 1 + 4 // the header, and a question for the root

// readQuestions is the other end of WriteQuestions.
func readQuestions(path string) (questions [][]byte, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for len(text) > 0 {
		if len(text) < 2 {
			return nil, fmt.Errorf("reading questions from %q: %w", path, io.ErrUnexpectedEOF)
		}
		n := int(binary.BigEndian.Uint16(text))
		if text = text[2:]; n < minQuestion || n > maxQuestion || n > len(text) {
			return nil, fmt.Errorf("reading questions from %q: question %d has %d octets", path, len(questions), n)
		}
		if len(questions) == maxQuestions {
			return nil, fmt.Errorf("reading questions from %q: more than %d", path, maxQuestions)
		}
		questions = append(questions, text[:n:n])
		text = text[n:]
	}
	return questions, nil
}

// Kept is an answer that was kept, and the question that it was an answer to.
type Kept struct {
	Stream   int
	Question int // among those of the file
	Message  []byte
}

// Each kept answer has 7 octets before it: stream, question in four octets, length in two.
const keptHead = 7

func appendKept(b []byte, stream, question int, message []byte) []byte {
	b = append(b, byte(stream))
	b = binary.BigEndian.AppendUint32(b, uint32(question))
	b = binary.BigEndian.AppendUint16(b, uint16(len(message)))
	return append(b, message...)
}

// ReadKept reads the answers that a run has kept.
func ReadKept(path string) (kept []Kept, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for len(text) > 0 {
		if len(text) < keptHead || len(text) < keptHead+int(binary.BigEndian.Uint16(text[5:])) {
			return nil, fmt.Errorf("reading kept answers from %q: %w", path, io.ErrUnexpectedEOF)
		}
		end := keptHead + int(binary.BigEndian.Uint16(text[5:]))
		kept = append(kept, Kept{int(text[0]), int(binary.BigEndian.Uint32(text[1:])), text[keptHead:end:end]})
		text = text[end:]
	}
	return kept, nil
}
