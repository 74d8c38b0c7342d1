package telemetry

import (
	"log/slog"
	"os"

	"golang.org/x/term"
)

// NewLogger returns a logger that writes what is at least level to w: text for a reader if w is a terminal, else one JSON
// object a line for a collector. Times are those of the handlers of log/slog, RFC 3339 with milliseconds or better.
func NewLogger(w *os.File, level slog.Level) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if term.IsTerminal(int(w.Fd())) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}
