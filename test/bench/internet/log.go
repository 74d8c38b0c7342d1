//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/ananas-edge/ananas/lab"
)

// questionLog writes one line for each question: time, client's port, server, transport, name, type, attempt. What is logged costs the
// lab time, so a run with a log tells what was asked, not how quickly.
type questionLog struct {
	mu  sync.Mutex
	out *bufio.Writer
}

func newQuestionLog(w io.Writer) *questionLog {
	return &questionLog{out: bufio.NewWriterSize(w, 1<<20)}
}

func (l *questionLog) write(q lab.Question) {
	transport := "udp"
	if q.TCP {
		transport = "tcp"
	}
	edns := "plain"
	if q.EDNS {
		edns = "edns"
	}
	if q.DO {
		edns = "do"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.out, "%.6f %d %v %s %s %s %v %v\n", q.At.Seconds(), q.Client.Port(), q.Server, transport, edns, q.Name.Lower(), q.Type, q.Attempt)
}

func (l *questionLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.out.Flush(); err != nil {
		fmt.Fprintln(os.Stderr, "error: writing the log:", err)
	}
}
