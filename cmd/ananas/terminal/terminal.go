// Package terminal is what the command line knows of the place it writes to: how wide it is, whether colours show, and how text
// that came over a network is made harmless.
//
// The rules of the house:
//   - colours only on a terminal, never with NO_COLOR (no-color.org) or TERM=dumb, and never as the only sign of anything;
//   - lines are wrapped only on a terminal: a file or a pipe gets one line for each thing that is told, for grep;
//   - whatever a server or a node said passes through [Clean]: a terminal obeys control characters.
package terminal

import (
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// Screen is a place to write to. The zero value is a plain file.
type Screen struct {
	Width    int  // columns; 0: lines are not wrapped
	Colour   bool // colours are shown
	Terminal bool // somebody looks on; what was written can be written over
}

// Of looks at where w leads. COLUMNS in the environment overrides the width, and gives one to what is no terminal.
func Of(w io.Writer, env func(string) string) Screen {
	var s Screen
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		dumb := env("TERM") == "dumb"
		s = Screen{Width: 80, Colour: env("NO_COLOR") == "" && !dumb, Terminal: !dumb}
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			s.Width = width
		}
	}
	if width, err := strconv.Atoi(env("COLUMNS")); err == nil && width > 0 {
		s.Width = width
	}
	return s
}

// Style is how text is shown where colours are.
type Style string

// Styles, of the 16 colours that every terminal has and its owner has chosen.
const (
	Plain   Style = ""
	Bold    Style = "1"
	Dim     Style = "2"
	Red     Style = "31"
	Green   Style = "32"
	Yellow  Style = "33"
	Blue    Style = "34"
	Magenta Style = "35"
	Cyan    Style = "36"
)

// Paint returns the text in the style, if colours are shown.
func (s Screen) Paint(style Style, text string) string {
	if !s.Colour || style == Plain || text == "" {
		return text
	}
	return "\x1b[" + string(style) + "m" + text + "\x1b[0m"
}

// Clean makes text fit for a terminal: tabs become spaces, and whatever is not printable is shown as Go escapes it. Line feeds
// stay.
func Clean(text string) string {
	if clean(text) {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == '\t':
			b.WriteByte(' ')
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			b.WriteString(`\x` + strconv.FormatUint(uint64(text[i]), 16)) // a byte that is no UTF-8
		case printable(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}

func clean(text string) bool {
	for _, r := range text {
		if r == utf8.RuneError || !printable(r) {
			return false
		}
	}
	return true
}

// printable leaves out controls, and what turns the direction of text or hides in it.
func printable(r rune) bool { return r == '\n' || unicode.IsPrint(r) }

// Wrap breaks text into lines of at most width columns, between words where it can. Line feeds in it end lines. Width 0 breaks
// nothing else. There is always one line at least.
func Wrap(text string, width int) []string {
	var lines []string
	for _, paragraph := range strings.Split(text, "\n") {
		lines = append(lines, wrapParagraph(paragraph, width)...)
	}
	return lines
}

func wrapParagraph(text string, width int) []string {
	if width <= 0 || utf8.RuneCountInString(text) <= width {
		return []string{text}
	}
	var lines []string
	line := []rune{}
	for _, word := range strings.Fields(text) {
		w := []rune(word)
		if len(line) > 0 && len(line)+1+len(w) > width {
			lines = append(lines, string(line))
			line = line[:0]
		}
		if len(line) > 0 {
			line = append(line, ' ')
		}
		for len(w) > width { // a long name or key: it has no better place to break
			lines = append(lines, string(w[:width]))
			w = w[width:]
		}
		line = append(line, w...)
	}
	return append(lines, string(line))
}

// Columns is how many columns a text takes; combining and double-width characters are not expected in DNS.
func Columns(text string) int { return utf8.RuneCountInString(text) }

// Cut shortens text to width columns, with an ellipsis if it had more; width 0 cuts nothing.
func Cut(text string, width int) string {
	if width <= 0 || Columns(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}
