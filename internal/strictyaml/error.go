package strictyaml

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// MaxErrors is how many errors of one file are kept; the rest is counted. Twenty fill a screen, and whoever has more than
// that has most often one cause.
const MaxErrors = 20

// Error is one thing that is wrong with a file.
type Error struct {
	File   string // as the caller of Decode named it
	Line   int    // from 1; 0 if the file says nothing about Path
	Column int    // from 1, in characters
	Path   string // of the key, as in settings.stub[0].zone; "" is the whole file
	Err    error  // the cause
	Hint   string // what to do; "" if the cause says it all
}

// Error returns place, path and cause on one line, without the hint.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
	}
	for _, s := range []string{e.Path, e.Err.Error()} {
		if s != "" {
			if b.Len() > 0 && (e.Line > 0 || s != e.Path || s[0] != '[') { // plugins[2].mode, of a document that is a list
				b.WriteString(": ")
			}
			b.WriteString(s)
		}
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errors is all that is wrong with a file, in the order of the file.
type Errors struct {
	List []*Error // at most MaxErrors
	More int      // how many came after those
}

// Error returns a line for each error, each followed by a line with its hint.
func (e *Errors) Error() string {
	var b strings.Builder
	for i, one := range e.List {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(one.Error())
		if one.Hint != "" {
			b.WriteString("\n\thint: " + one.Hint)
		}
	}
	if e.More > 0 {
		fmt.Fprintf(&b, "\nand %d more", e.More)
	}
	return b.String()
}

// Unwrap returns the single errors, for errors.Is and errors.As.
func (e *Errors) Unwrap() []error {
	out := make([]error, len(e.List))
	for i, one := range e.List {
		out[i] = one
	}
	return out
}

// Add appends an error, or counts it if there are too many.
func (e *Errors) Add(one *Error) {
	if len(e.List) >= MaxErrors {
		e.More++
		return
	}
	e.List = append(e.List, one)
}

// Addf appends an error about the key at path. A %w in format is kept for errors.Is.
func (e *Errors) Addf(path, hint, format string, args ...any) {
	e.Add(&Error{Path: path, Err: fmt.Errorf(format, args...), Hint: hint})
}

// Join appends the errors in err: those of an [Errors] or [Error] within it with prefix before their path, any other as
// one error about prefix. A nil err changes nothing.
func (e *Errors) Join(prefix string, err error) {
	var many *Errors
	var one *Error
	switch {
	case err == nil:
	case errors.As(err, &many):
		for _, m := range many.List {
			c := *m
			c.Path = joinPath(prefix, c.Path)
			e.Add(&c)
		}
		e.More += many.More
	case errors.As(err, &one):
		c := *one
		c.Path = joinPath(prefix, c.Path)
		e.Add(&c)
	default:
		e.Add(&Error{Path: prefix, Err: err})
	}
}

// OrNil returns e as an error, nil if it holds none.
func (e *Errors) OrNil() error {
	if len(e.List) == 0 {
		return nil
	}
	return e
}

// sort puts the errors in the order of the file; what has no place comes last.
func (e *Errors) sort() {
	slices.SortStableFunc(e.List, func(a, b *Error) int {
		switch {
		case (a.Line == 0) != (b.Line == 0):
			return b.Line - a.Line
		case a.Line != b.Line:
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
}

func joinPath(prefix, path string) string {
	switch {
	case prefix == "":
		return path
	case path == "":
		return prefix
	case path[0] == '[':
		return prefix + path
	}
	return prefix + "." + path
}
