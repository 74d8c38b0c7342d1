package dns

import (
	"bytes"
	"encoding/hex"
	"os"
	"strconv"
	"strings"
	"testing"
)

// table reads the rows of a file in testdata: fields separated by " | ", the last may be empty; lines that begin with # are left out.
func table(t testing.TB, file string) [][]string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		rows = append(rows, strings.Split(strings.TrimRight(line, " ")+" ", " | "))
		last := &rows[len(rows)-1][len(rows[len(rows)-1])-1]
		*last = strings.TrimRight(*last, " ")
	}
	if len(rows) == 0 {
		t.Fatalf("no rows in %s", file)
	}
	return rows
}

// octets reads the notation of the tables, with nothing of the code under test: hex, 'text', 61*63 for 63 times 61, and "www.example."
// for labels with their lengths (no escapes).
func octets(t testing.TB, s string) []byte {
	t.Helper()
	var b []byte
	for _, f := range strings.Fields(s) {
		switch {
		case f[0] == '\'' && len(f) > 1:
			b = append(b, strings.Trim(f, "'")...)
		case f[0] == '"' && len(f) > 1:
			for label := range strings.SplitSeq(strings.Trim(f, `".`), ".") {
				b = append(append(b, byte(len(label))), label...)
			}
			b = append(b, 0)
		default:
			f, times, repeated := strings.Cut(f, "*")
			n := 1
			h, err := hex.DecodeString(f)
			if err == nil && repeated {
				n, err = strconv.Atoi(times)
			}
			if err != nil {
				t.Fatalf("octets %q: %v", s, err)
			}
			b = append(b, bytes.Repeat(h, n)...)
		}
	}
	return b
}

func hexNumber(t testing.TB, s string) int {
	t.Helper()
	n, err := strconv.ParseUint(s, 16, 16)
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}

// wantError holds err against a field of a table: "error: part of the text" or anything else for none. It reports whether one was wanted.
func wantError(t testing.TB, err error, want string) bool {
	t.Helper()
	part, wanted := strings.CutPrefix(want, "error: ")
	switch {
	case wanted && err == nil:
		t.Errorf("no error, want one with %q", part)
	case wanted && !strings.Contains(err.Error(), part):
		t.Errorf("error %q, want one with %q", err, part)
	case !wanted && err != nil:
		t.Errorf("error %q, want none", err)
	}
	return wanted || err != nil
}
