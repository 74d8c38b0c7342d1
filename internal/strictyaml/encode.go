package strictyaml

import (
	"encoding"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// flowWidth is how long a line may be, in characters, with a list in brackets; a longer list has a line for each element.
const flowWidth = 80

// Encode writes a value as a document that [DecodeValue] reads, given the tag of the field that it belongs to. Equal values give equal octets: scalars
// are written in one way (a port that the tag gives is left out, times are in UTC), the keys of a section in the order of its fields, without those that
// are zero. Quotes stand where a fixed rule of this package asks for them, whatever the YAML library needs.
func Encode(v any, tag reflect.StructTag) []byte {
	return encode(reflect.ValueOf(v), tag)
}

// EncodeEntry writes the section v without the fields that have the tag key: the document of an entry whose name is told elsewhere.
func EncodeEntry(v any) []byte {
	e := encoder{}
	e.section(reflect.ValueOf(v), 0, func(f field) bool { return f.tag.Get("key") != "true" })
	return e.document()
}

func encode(v reflect.Value, tag reflect.StructTag) []byte {
	e := encoder{}
	e.value(v, tag, 0)
	return e.document()
}

// encoder writes block style. Values follow a colon, a dash or the start of the document, on the same line where they fit.
type encoder struct{ b []byte }

func (e *encoder) document() []byte {
	e.b = []byte(strings.TrimPrefix(string(e.b), "\n"))
	e.b = []byte(strings.TrimPrefix(string(e.b), " "))
	if n := len(e.b); n == 0 || e.b[n-1] != '\n' {
		e.b = append(e.b, '\n')
	}
	return e.b
}

// line begins one at that depth of indentation.
func (e *encoder) line(depth int) {
	if n := len(e.b); n == 0 || e.b[n-1] != '\n' {
		e.b = append(e.b, '\n')
	}
	e.b = append(e.b, strings.Repeat("  ", depth)...)
}

// value appends v after a colon or a dash: a space and the value, or lines of their own at depth.
func (e *encoder) value(v reflect.Value, tag reflect.StructTag, depth int) {
	t := v.Type()
	switch {
	case t.Kind() == reflect.Pointer:
		if v.IsNil() {
			panic("strictyaml: nil has no text")
		}
		e.value(v.Elem(), tag, depth)
	case t == textBlockType:
		e.text(v.String(), depth)
	case isSection(t):
		e.section(v, depth, func(field) bool { return true })
	case isScalar(t):
		e.b = append(append(e.b, ' '), scalarText(v, tag)...)
	case t.Kind() == reflect.Slice:
		e.list(v, tag, depth)
	case isTexts(t):
		e.texts(v, depth)
	default:
		panic(fmt.Sprintf("strictyaml: type %v can not be encoded", t))
	}
}

func (e *encoder) section(v reflect.Value, depth int, with func(field) bool) {
	empty := true
	for _, f := range fieldsOf(v.Type()) {
		fv := v.FieldByIndex(f.index)
		if !with(f) || fv.IsZero() && f.tag.Get("required") != "true" || fv.Kind() == reflect.Pointer && fv.IsNil() {
			continue
		}
		if n := len(e.b); empty && n > 0 && e.b[n-1] == '-' {
			e.b = append(e.b, ' ') // the first key of an element of a list
		} else {
			e.line(depth)
		}
		empty = false
		e.b = append(append(e.b, f.key...), ':')
		e.value(fv, f.tag, depth+1)
	}
	if empty {
		e.b = append(e.b, " {}"...)
	}
}

func (e *encoder) texts(v reflect.Value, depth int) {
	m := v.Convert(textsType).Interface().(map[string]string)
	if len(m) == 0 {
		e.b = append(e.b, " {}"...)
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		e.line(depth)
		e.b = append(append(append(append(e.b, quote(k)...), ':', ' '), quote(m[k])...), '\n')
	}
}

func (e *encoder) list(v reflect.Value, tag reflect.StructTag, depth int) {
	if isScalar(v.Type().Elem()) && !isSection(v.Type().Elem()) {
		start := len(e.b)
		e.b = append(e.b, " ["...)
		for i := range v.Len() {
			if i > 0 {
				e.b = append(e.b, ", "...)
			}
			e.b = append(e.b, scalarText(v.Index(i), tag)...)
		}
		e.b = append(e.b, ']')
		if lastLine := e.b[strings.LastIndexByte(string(e.b), '\n')+1:]; len(lastLine) <= flowWidth || v.Len() == 0 {
			return
		}
		e.b = e.b[:start]
	}
	if v.Len() == 0 {
		e.b = append(e.b, " []"...)
	}
	for i := range v.Len() {
		e.line(depth)
		e.b = append(e.b, '-')
		e.value(v.Index(i), tag, depth+1)
	}
}

// text appends text of several lines as a block, if it survives that, else in quotes. A block loses what looks like indentation at its start, and may
// lose what is no printable character or is taken for the end of a line.
func (e *encoder) text(s string, depth int) {
	body := strings.TrimRight(s, "\n")
	if body == "" || strings.ContainsAny(s[:1], " \t\n") || !blockText(s) {
		e.b = append(append(e.b, ' '), doubleQuoted(s)...)
		return
	}
	e.b = append(e.b, " |"...)
	switch len(s) - len(body) {
	case 0:
		e.b = append(e.b, '-')
	case 1:
	default:
		e.b = append(e.b, '+')
	}
	e.b = append(e.b, '\n')
	indent := strings.Repeat("  ", max(1, depth))
	for line := range strings.Lines(s) {
		if line != "\n" {
			e.b = append(e.b, indent...)
		}
		e.b = append(e.b, line...)
	}
	if s == body {
		e.b = append(e.b, '\n')
	}
}

// blockText tells whether all of s may stand in a block: no line of blanks alone, and nothing that is not seen.
func blockText(s string) bool {
	for line := range strings.Lines(s) {
		if strings.Trim(line, " \t\n") == "" && line != "\n" {
			return false
		}
	}
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsPrint(r) })
}

// scalarText writes a scalar in its one way.
func scalarText(v reflect.Value, tag reflect.StructTag) string {
	if !v.CanAddr() { // methods of pointers count
		p := reflect.New(v.Type()).Elem()
		p.Set(v)
		v = p
	}
	if _, ok := v.Addr().Interface().(interface{ Values() []string }); ok {
		return fmt.Sprint(v.Interface()) // taken as written, so `off` needs no quotes
	}
	switch x := v.Interface().(type) {
	case time.Duration:
		return FormatDuration(x)
	case Bytes:
		return x.String()
	case time.Time:
		if u := x.UTC(); 0 <= u.Year() && u.Year() <= 9999 { // RFC 3339 knows no others
			x = u
		}
		return x.Format(time.RFC3339Nano)
	case netip.Addr:
		if !x.IsValid() {
			return `""`
		}
		return quote(x.String())
	case netip.AddrPort:
		switch {
		case !x.IsValid():
			return `""`
		case tag.Get("port") == strconv.Itoa(int(x.Port())):
			return quote(x.Addr().String())
		}
		return quote(x.String())
	case Text:
		return doubleQuoted(string(x))
	case encoding.TextMarshaler:
		b, err := x.MarshalText()
		if err != nil {
			panic(fmt.Sprintf("strictyaml: writing a %T: %v", x, err))
		}
		return quote(string(b))
	}
	if v.Kind() == reflect.String {
		return quote(v.String())
	}
	return fmt.Sprint(v.Interface())
}

// quote writes text for every place where a scalar may stand, in quotes unless it can't be taken for anything else there.
func quote(s string) string {
	if isPlain(s) {
		return s
	}
	return doubleQuoted(s)
}

// isPlain is stricter than YAML and does not change with it: letters, digits and some signs; not a word of YAML 1.1 or 1.2; what begins with a digit has two
// dots or a slash, so that it is no number and no time.
func isPlain(s string) bool {
	const letters, digits = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
	if s == "" || strings.Trim(s, letters+digits+"_./-") != "" {
		return false
	}
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf":
		return false
	}
	switch {
	case strings.Contains(letters+"_/", s[:1]):
		return true
	case strings.Contains(digits, s[:1]):
		return strings.Count(s, ".") >= 2 || strings.Contains(s, "/")
	}
	return false
}

// doubleQuoted writes text with escapes for what is not seen.
func doubleQuoted(s string) string {
	b := []byte{'"'}
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r == '\r':
			b = append(b, `\r`...)
		case unicode.IsPrint(r):
			b = utf8.AppendRune(b, r)
		case r < 0x10000:
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = fmt.Appendf(b, `\U%08x`, r)
		}
	}
	return string(append(b, '"'))
}
