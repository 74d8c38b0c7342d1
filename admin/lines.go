package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// lineWriter is an answer that goes on for a while, as lines of JSON. Its methods are called one at a time.
type lineWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	begun   bool
	err     error // of the client's connection; nothing is written after it
}

func newLineWriter(w http.ResponseWriter) lineWriter {
	return lineWriter{w: w, control: http.NewResponseController(w)}
}

// write writes a line and sends it. It waits for a slow reader at most writeTimeout.
func (l *lineWriter) write(v any) error {
	if l.err != nil {
		return l.err
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding a line of the answer: %w", err)
	}
	if !l.begun {
		l.begun = true
		l.w.Header().Set("Content-Type", "application/x-ndjson")
		l.w.WriteHeader(http.StatusOK)
	}
	// Not supported by a recorder in a test, which never blocks either.
	l.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := l.w.Write(append(b, '\n')); err != nil {
		l.err = fmt.Errorf("writing a line of the answer: %w", err)
		return l.err
	}
	if err := l.control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		l.err = fmt.Errorf("writing a line of the answer: %w", err)
	}
	return l.err
}
