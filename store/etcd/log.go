package etcd

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Limits of what etcd logs. It writes a line for each thing that is slow or out of reach, and a full disk or a dead peer makes hundreds of them.
const (
	maxLine   = 16 << 10         // octets; the rest of a line is dropped
	logBurst  = 20               // lines in each logPeriod; the number of those dropped is told
	logPeriod = 10 * time.Second //
)

// logged takes the child's standard error: JSON lines of etcd, and whatever Go says when a process ends badly. What it warns of goes to the node's log, and why it ended is kept.
type logged struct {
	log *slog.Logger
	now func() time.Time

	quiet <-chan struct{} // once it is closed nothing is told any more: what is closed complains

	mu      sync.Mutex
	line    []byte
	fatal   string
	last    string // error
	began   time.Time
	told    int
	dropped int
}

// Write is that of an io.Writer; it never fails.
func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(b)
	for len(b) > 0 {
		part, rest, whole := bytes.Cut(b, []byte("\n"))
		b = rest
		if room := maxLine - len(l.line); len(part) > room {
			part = part[:room]
		}
		l.line = append(l.line, part...)
		if whole {
			l.take(l.line)
			l.line = l.line[:0]
		}
	}
	return n, nil
}

// why says why the process ended, as far as it has said so: the first thing that it could not live with, else the last error.
func (l *logged) why() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fatal != "" {
		return l.fatal
	}
	return l.last
}

// usual are warnings of etcd's about how we run it.
var usual = []string{
	"Running http and grpc server on single port",  // the port is a socket in our own folder, and we speak no HTTP
	"simple token is not cryptographically signed", // there are none: who reaches the socket may do all
	"Failed to detect schema version",              // of a member that joins and has nothing yet
	"failed to update storage version",             //
	"rejecting promote learner",                    // it is tried until it has everything
}

func (l *logged) take(line []byte) {
	var fields map[string]any
	if err := json.Unmarshal(line, &fields); err != nil {
		text := string(bytes.TrimSpace(line))
		if l.fatal == "" && (strings.HasPrefix(text, "panic: ") || strings.HasPrefix(text, "fatal error: ")) {
			l.fatal = text
		}
		return // the rest of a trace
	}
	text := func(key string) string { s, _ := fields[key].(string); return s }
	level, message := text("level"), text("msg")
	if slices.ContainsFunc(usual, func(s string) bool { return strings.HasPrefix(message, s) }) || text("response type") == "/etcdserverpb.Maintenance/Defragment" {
		return // the last is a request that took long: it always does
	}
	why := message
	if e := text("error"); e != "" {
		why += ": " + e
	}
	severity := slog.LevelError
	switch level {
	case "warn":
		severity = slog.LevelWarn
	case "error":
		l.last = why
	default: // fatal, panic
		if l.fatal == "" {
			l.fatal = why
		}
	}
	select {
	case <-l.quiet:
		return
	default:
	}
	now := l.now()
	if now.Sub(l.began) > logPeriod {
		if l.dropped > 0 {
			l.log.Warn("etcd said more than is told", "lines", l.dropped)
		}
		l.began, l.told, l.dropped = now, 0, 0
	}
	if l.told++; l.told > logBurst {
		l.dropped++
		return
	}
	for _, key := range []string{"level", "msg", "ts", "caller", "stacktrace"} {
		delete(fields, key)
	}
	args := make([]any, 0, 2*len(fields))
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		args = append(args, key, fields[key])
	}
	l.log.Log(context.Background(), severity, "etcd: "+message, args...)
}
