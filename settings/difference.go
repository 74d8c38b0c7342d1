package settings

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// Difference is a key whose document is not the same in two maps.
type Difference struct {
	Key      string
	Old, New []byte // nil: it is not there
}

// Compare lists the differences between two maps of keys and documents, sorted by key. The store's own keys are passed over.
func Compare(before, after map[string][]byte) []Difference {
	var out []Difference
	for key, was := range before {
		if now, ok := after[key]; !ok || !bytes.Equal(was, now) {
			out = append(out, Difference{key, was, now})
		}
	}
	for key, now := range after {
		if _, ok := before[key]; !ok {
			out = append(out, Difference{Key: key, New: now})
		}
	}
	out = slices.DeleteFunc(out, func(d Difference) bool { return strings.HasPrefix(d.Key, ownKeys) })
	slices.SortFunc(out, func(a, b Difference) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// Mark says what became of a line.
type Mark byte

// Marks, as they are written at the beginning of lines.
const (
	Kept    Mark = ' '
	Removed Mark = '-'
	Added   Mark = '+'
)

// Limits of what is shown of a document that has changed.
const (
	contextLines = 3       // around a change, as diff -u has it
	maxCompared  = 1 << 20 // pairs of lines that are compared to find what stayed, 1 ms; beyond it the old lines are shown whole, and then the new ones
)

// WriteDifference writes differences for people: one line for a document before and one after where they are of one line, else the lines that changed
// with some around them. style, if not nil, dresses each line, which has no end of line; it may add what a terminal takes for colour. Values of secret settings
// are not shown, and what a terminal would not print is written as escapes.
func WriteDifference(w io.Writer, differences []Difference, style func(m Mark, line string) string) error {
	return writeDifference(w, differences, style, secretKeys(leaves(Default().Settings)))
}

func writeDifference(w io.Writer, differences []Difference, style func(Mark, string) string, secret func(key string) bool) error {
	if style == nil {
		style = func(_ Mark, line string) string { return line }
	}
	var b bytes.Buffer
	put := func(m Mark, text string) {
		b.WriteString(style(m, string(m)+" "+visible(text)))
		b.WriteByte('\n')
	}
	for _, d := range differences {
		before, after := documentLines(d.Old), documentLines(d.New)
		if secret(d.Key) {
			before, after = hide(before), hide(after)
		}
		if len(before) <= 1 && len(after) <= 1 {
			for _, line := range before {
				put(Removed, d.Key+": "+line)
			}
			for _, line := range after {
				put(Added, d.Key+": "+line)
			}
			continue
		}
		switch {
		case d.Old == nil:
			put(Added, d.Key+":")
		case d.New == nil:
			put(Removed, d.Key+":")
		default:
			put(Kept, d.Key+":")
		}
		writeLines(put, before, after)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// documentLines cuts a document into lines. One that is there and empty has one.
func documentLines(doc []byte) []string {
	if doc == nil {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(doc), "\n"), "\n")
}

func hide(lines []string) []string {
	if lines == nil {
		return nil
	}
	return []string{"(secret)"}
}

// secretKeys tells whether the value of a key is not to be shown.
func secretKeys(all []leaf) func(key string) bool {
	keys := make(map[string]bool)
	for _, l := range all {
		if l.secret() {
			keys[l.key] = true
		}
	}
	return func(key string) bool {
		folder, _, _ := cutLast(key)
		return keys[key] || keys[folder]
	}
}

// visible escapes what is not printable.
func visible(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r != '\t' && !unicode.IsPrint(r) }) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\t' || unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// writeLines writes what became of the lines of a document, indented below its key.
func writeLines(put func(Mark, string), before, after []string) {
	edits := compareLines(before, after)
	near := make([]bool, len(edits)) // to a change
	for i, e := range edits {
		if e.mark == Kept {
			continue
		}
		for j := max(0, i-contextLines); j < min(len(edits), i+contextLines+1); j++ {
			near[j] = true
		}
	}
	for i, e := range edits {
		switch {
		case near[i]:
			put(e.mark, "    "+e.line)
		case i == 0 || near[i-1]:
			put(Kept, "    ...")
		}
	}
}

type edit struct {
	mark Mark
	line string
}

// compareLines turns before into after by a longest common subsequence.
func compareLines(before, after []string) []edit {
	var out []edit
	add := func(m Mark, lines ...string) {
		for _, l := range lines {
			out = append(out, edit{m, l})
		}
	}
	head := 0
	for head < min(len(before), len(after)) && before[head] == after[head] {
		head++
	}
	tail := 0
	for tail < min(len(before), len(after))-head && before[len(before)-1-tail] == after[len(after)-1-tail] {
		tail++
	}
	add(Kept, before[:head]...)
	a, b, end := before[head:len(before)-tail], after[head:len(after)-tail], before[len(before)-tail:]
	if len(a)*len(b) > maxCompared {
		add(Removed, a...)
		add(Added, b...)
		add(Kept, end...)
		return out
	}
	// common[i][j] is how many lines a[i:] and b[j:] share.
	common := make([][]int32, len(a)+1)
	for i := range common {
		common[i] = make([]int32, len(b)+1)
	}
	for i, x := range slices.Backward(a) {
		for j, y := range slices.Backward(b) {
			if x == y {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i] == b[j]:
			add(Kept, a[i])
			i, j = i+1, j+1
		case common[i+1][j] >= common[i][j+1]:
			add(Removed, a[i])
			i++
		default:
			add(Added, b[j])
			j++
		}
	}
	add(Removed, a[i:]...)
	add(Added, b[j:]...)
	add(Kept, end...)
	return out
}

// Apply returns before with changes made: new documents by key, nil for keys that go. Neither is changed.
func Apply(before, changes map[string][]byte) map[string][]byte {
	after := maps.Clone(before)
	if after == nil {
		after = make(map[string][]byte)
	}
	for key, doc := range changes {
		if doc == nil {
			delete(after, key)
		} else {
			after[key] = doc
		}
	}
	return after
}
