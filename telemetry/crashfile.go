package telemetry

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const (
	modulePath = "github.com/ananas-edge/ananas/"

	// temporary begins the name of a report that is still being written.
	temporary = ".report-"

	// maxSignatureFrames bounds the frames that make a signature, so that a recursion that fails at another depth each time
	// is still one place. Resolution with its deepest nesting is some 20 of our frames.
	maxSignatureFrames = 32
)

// signatureOf names the place of a panic by the functions of ours that led to it, innermost first. Line numbers, arguments,
// addresses and the frames of libraries are left out: a new build of the same code groups with the old one.
func signatureOf(stack []byte) string {
	h := sha256.New()
	frames := ourFrames(string(stack))
	for _, f := range frames[:min(len(frames), maxSignatureFrames)] {
		io.WriteString(h, f+"\n")
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// ourFrames returns the names of our functions in a stack printed by debug.Stack, below the newest panic; or of all
// functions if none is ours. Under a panic in a deferred call lies the panic that led to the call: both places count.
func ourFrames(stack string) []string {
	var ours, all []string
	below := false
	for l := range strings.Lines(stack) {
		l = strings.TrimRight(l, "\r\n")
		if l == "" || l[0] == '\t' || strings.HasPrefix(l, "goroutine ") || strings.HasPrefix(l, "created by ") {
			continue
		}
		if strings.HasPrefix(l, "panic(") {
			if !below {
				ours, all = nil, nil // what is above it is the capture itself
			}
			below = true
			continue
		}
		name := l
		if i := strings.LastIndexByte(l, '('); i > 0 {
			name = l[:i]
		}
		all = append(all, name)
		if strings.HasPrefix(name, "main.") || strings.HasPrefix(name, modulePath) {
			ours = append(ours, name)
		}
	}
	if len(ours) > 0 {
		return ours
	}
	return all
}

// format writes a report: a head of `key: value` lines, an empty line, the stack.
func (c *Crashes) format(k *crash) string {
	text := fmt.Sprintf("signature: %s\ncount: %d\nfirst: %s\nlast: %s\nwhat: %s\npanic: %s\nversion: %s\nsystem: %s\n\n%s",
		k.Signature, k.Count, k.First.UTC().Format(time.RFC3339Nano), k.Last.UTC().Format(time.RFC3339Nano), k.What, k.Panic,
		oneLine(c.Version, maxWhatBytes), platform(), k.stack)
	return text[:min(len(text), maxReportBytes)]
}

// load reads the heads of the reports in the folder. What is no report of ours is left alone; a folder that cannot be read is
// like an empty one, and the first report will say why.
func (c *Crashes) load() {
	if c.dir == "" {
		return
	}
	files, err := os.ReadDir(c.dir)
	if err != nil {
		return
	}
	for _, file := range files {
		path := filepath.Join(c.dir, file.Name())
		if strings.HasPrefix(file.Name(), temporary) {
			os.Remove(path) // of a process that was killed while it wrote
			continue
		}
		if !strings.HasSuffix(path, ".txt") {
			continue
		}
		content, err := readStart(path, maxReportBytes)
		if err != nil {
			continue
		}
		if k, ok := parseReport(content); ok && k.Signature+".txt" == file.Name() {
			c.known[k.Signature] = k
		}
	}
	c.makeRoom(nil)
}

func readStart(path string, limit int64) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit))
	return string(b), err
}

// parseReport reads what format wrote. A file that lost its count or times to a disk error is not a report.
func parseReport(text string) (*crash, bool) {
	head, stack, _ := strings.Cut(text, "\n\n")
	fields := map[string]string{}
	for l := range strings.Lines(head) {
		key, value, _ := strings.Cut(strings.TrimRight(l, "\n"), ": ")
		fields[key] = value
	}
	count, err1 := strconv.ParseUint(fields["count"], 10, 64)
	first, err2 := time.Parse(time.RFC3339Nano, fields["first"])
	last, err3 := time.Parse(time.RFC3339Nano, fields["last"])
	if err1 != nil || err2 != nil || err3 != nil || len(fields["signature"]) != 16 {
		return nil, false
	}
	return &crash{
		Crash: Crash{Signature: fields["signature"], Count: count, First: first, Last: last, What: fields["what"], Panic: fields["panic"]},
		stack: stack,
	}, true
}

// oneLine makes s fit for one line of a report or a log: no line breaks or other control characters, valid UTF-8, at most
// limit bytes.
func oneLine(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit] // half a character at the end becomes U+FFFD below
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
