package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// hintSyntax is for what there are no words of ours for.
const hintSyntax = "look at this line and the one above it, and quote text that has other characters than letters and digits"

// mistake is what the YAML reader says of a text that is no YAML, and what a person is told. The reader's words are about its own states; they are the library's, and were
// collected by giving it such texts.
type mistake struct {
	context, message string // parts of what the reader says; "" is any
	text             string // %d, if it is there, is the line in which what is wrong begins
	hint             string
}

// mistakes are tried in their order.
var mistakes = []mistake{
	{"", "unknown anchor", "aliases (*name) are not allowed", hintAnchor},
	{"while scanning an anchor", "", "anchors (&name) are not allowed", hintAnchor},
	{"while scanning an alias", "", "aliases (*name) are not allowed", hintAnchor},
	{"a tag", "", "tags (!name) are not allowed", "quote a value that begins with !"},
	{"directive", "", "directives (a line that begins with %%) are not allowed", "remove the line"},
	{"", "incompatible YAML document", "directives (a line that begins with %%) are not allowed", "remove the line"},
	{"flow sequence", "expected ',' or ']'", "the list that begins with [ in line %d has no end, or lacks a comma before this place", "write , between its entries and ] behind the last one"},
	{"flow mapping", "expected ',' or '}'", "the section that begins with { in line %d has no end, or lacks a comma before this place", "write , between its keys and } behind the last one"},
	{"block mapping", "expected key", "this is no key of the section that begins in line %d, and of none around it", "begin the keys of a section in the same column, with nothing behind a value in quotes"},
	{"block collection", "expected '-'", "this is no entry of the list that begins in line %d, and no key of a section around it", "begin each entry with - in the same column"},
	{"quoted scalar", "end of stream", "the text in quotes that begins in line %d has no end", "write the quote that closes it"},
	{"quoted scalar", "document indicator", "the text in quotes that begins in line %d has no end before a line with --- or ...", "write the quote that closes it"},
	{"quoted scalar", "", "the text in double quotes that begins in line %d has a backslash that stands for nothing", `write \\ for a backslash, or put the text in single quotes`},
	{"block scalar", "", "something follows the | or > that begins a text of several lines", "write | alone, and the text below it, indented"},
	{"", "mapping values are not allowed", `there is a ": " where no key can be`, `look at the indentation, and quote a value that has ": " in it`},
	{"", "sequence entries are not allowed", `there is a "- " where no entry of a list can be`, "begin the list in a line of its own, or write it as [a, b]"},
	{"", "could not find expected ':'", "a key is not followed by a colon and a space", "write key: value"},
	{"", "cannot start any token", "no value can begin with this character", "put the value in quotes"},
	{"", "exceeded max depth", fmt.Sprintf("sections and lists lie in one another more than %d deep", MaxDepth), "no setting is so deep: look at the brackets"},
	{"", "expected node content", "a value is missing before this place", "write one, or remove the bracket or comma that is too much"},
}

// syntax reports that the text is no YAML.
func (d *decoder) syntax(err error, data []byte) {
	e := &Error{Err: fmt.Errorf("not YAML: %w", err)}
	defer func() { d.errs.Add(e) }()
	if at := unreadable(data); at >= 0 {
		e.Line, e.Column = position(data, at)
		e.Err, e.Hint = errors.New("not YAML: an octet here is no UTF-8 text, or a control character"), "write the file as UTF-8, without it"
		return
	}
	var le *yaml.LoadError
	if !errors.As(err, &le) {
		return
	}
	e.Line, e.Column = le.Mark.Line, le.Mark.Column
	begins := e.Line
	if le.ContextMsg != "" {
		begins = le.ContextMark.Line
	}
	for _, m := range mistakes {
		if !strings.Contains(le.ContextMsg, m.context) || !strings.Contains(le.Message, m.message) {
			continue
		}
		text := m.text
		if strings.Contains(text, "%") {
			text = fmt.Sprintf(text, []any{begins}[:strings.Count(text, "%d")]...)
		}
		if m.hint != hintAnchor && !strings.Contains(text, "not allowed") {
			text = "not YAML: " + text
		}
		e.Err, e.Hint = errors.New(text), m.hint
		if strings.Contains(le.Message, "expected node content") && ends(data, e.Line) {
			e.Err, e.Hint = errors.New("not YAML: the text ends where a value or a closing bracket is missing"), "write what is missing, or take out the bracket that begins it"
		}
		break
	}
	if e.Hint == "" {
		text := le.Message
		if le.ContextMsg != "" {
			text = fmt.Sprintf("%s from line %d: %s", le.ContextMsg, begins, text)
		}
		e.Err, e.Hint = errors.New("not YAML: "+text), hintSyntax
	}
	if startsWithTab(data, e.Line) {
		e.Hint = "indent with spaces; YAML takes no tabs"
	}
}

// unreadable returns where the first octet is that no YAML text has: what is not UTF-8, or a control character; -1 if there is none.
func unreadable(data []byte) int {
	for at := 0; at < len(data); {
		r, n := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && n == 1 || r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7F {
			return at
		}
		at += n
	}
	return -1
}

// position returns line and column, both from 1, of an octet.
func position(data []byte, at int) (line, column int) {
	before := data[:at]
	return 1 + bytes.Count(before, []byte("\n")), 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
}

// ends tells whether nothing is in that line, counted from 1, and below it.
func ends(data []byte, line int) bool {
	for i := 1; i < line; i++ {
		_, rest, ok := bytes.Cut(data, []byte("\n"))
		if !ok {
			return true
		}
		data = rest
	}
	return len(bytes.TrimSpace(data)) == 0
}
