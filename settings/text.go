package settings

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/ananas-edge/ananas/internal/strictyaml"
)

// Text writes entries, keys and documents as [File.Entries] makes them, as the file that would make them: what somebody edits and applies again. What a file
// could not say stands in comments: keys that this release does not know, and that the content of a file that is named is not there. Keys that are the store's
// own are passed over. A document that is not told (a secret) stands as what it is told as.
func Text(entries map[string][]byte) []byte {
	return text(entries, func(n *named) string {
		return fmt.Sprintf("%s  # the content, %d octets, is in the store", oneLine(strictyaml.Encode(n.Name, "")), n.octets())
	})
}

// TextBeside is [Text] where the files that it names are there: beside it, by the names that place has for theirs.
func TextBeside(entries map[string][]byte, place map[string]string) []byte {
	return text(entries, func(n *named) string { return oneLine(strictyaml.Encode(place[n.Name], "")) })
}

// Content is a file that documents name.
type Content struct {
	Name    string
	SHA256  [32]byte
	Size    int64  // octets
	Content []byte // nil: it is a blob
}

// Contents lists the files that entries name, keys and documents as [File.Entries] makes them, each once, by name. The error says that a document has two contents, or none, for a name.
func Contents(entries map[string][]byte) ([]Content, error) {
	all := make(map[string]Content)
	var wrong error
	text(entries, func(n *named) string {
		c, err := n.told()
		if other, twice := all[n.Name]; err == nil && twice && other.SHA256 != c.SHA256 {
			err = fmt.Errorf("%q is named with two contents", n.Name)
		}
		if wrong == nil {
			wrong = err
		}
		all[n.Name] = c
		return ""
	})
	return slices.SortedFunc(maps.Values(all), func(a, b Content) int { return strings.Compare(a.Name, b.Name) }), wrong
}

// told is what a document says of a file.
func (n *named) told() (Content, error) {
	c := Content{Name: n.Name, Size: n.octets()}
	switch {
	case n.Content != nil && n.SHA256 == nil && n.Size == nil:
		c.Content = []byte(*n.Content)
		c.SHA256 = sha256.Sum256(c.Content)
	case n.Content == nil && n.SHA256 != nil && n.Size != nil:
		c.SHA256 = *n.SHA256
	default:
		return c, fmt.Errorf("it is not said what is in %q", n.Name)
	}
	return c, nil
}

// octets is how many the content has.
func (n *named) octets() int64 {
	switch {
	case n.Content != nil:
		return int64(len(*n.Content))
	case n.Size != nil:
		return int64(*n.Size)
	}
	return 0
}

// UnknownKey begins the line of a comment that [Text] writes for each key that this release does not know.
const UnknownKey = "# this release does not know"

// text writes the file of entries, with what file returns for each file that is named.
func text(entries map[string][]byte, file func(*named) string) []byte {
	t := textWriter{left: maps.Clone(entries), nameOf: file}
	for key := range t.left {
		if strings.HasPrefix(key, ownKeys) {
			delete(t.left, key)
		}
	}
	t.section("", reflect.ValueOf(Default().Settings).Elem(), 1)
	out := append([]byte("settings:"), t.b...)
	if len(t.b) == 0 {
		out = append(out, " {}"...)
	}
	out = append(out, '\n')
	for _, key := range slices.Sorted(maps.Keys(t.left)) {
		out = fmt.Appendf(out, UnknownKey+" %s:\n", visible(key))
		for _, line := range documentLines(t.left[key]) {
			out = fmt.Appendf(out, "#   %s\n", visible(line))
		}
	}
	return out
}

// textWriter writes lines, each with its end before it.
type textWriter struct {
	b    []byte
	left map[string][]byte // what was not written yet

	nameOf func(*named) string // what is written for a file
}

func (t *textWriter) line(depth int, text string) {
	t.b = append(t.b, "\n"+strings.Repeat("  ", depth)+text...)
}

// section writes what there is of a section: the keys that begin with prefix.
func (t *textWriter) section(prefix string, v reflect.Value, depth int) {
	for _, f := range strictyaml.Fields(v) {
		key := prefix + f.Key
		typ := f.Value.Type()
		doc, ok := t.left[key]
		switch {
		case typ.Kind() == reflect.Struct && strictyaml.IsSection(typ):
			t.headed(depth, f.Key, func() { t.section(key+"/", f.Value, depth+1) })
		case typ.Kind() == reflect.Slice && hasName(typ.Elem()):
			t.headed(depth, f.Key, func() { t.list(key+"/", typ.Elem(), depth+1) })
		case ok:
			delete(t.left, key)
			if isFile(f.Tag) {
				t.file(key, f, doc, depth)
				continue
			}
			t.document(f.Key+":", doc, typ, depth)
		}
	}
}

// headed writes a key and what body writes below it, or nothing if that is nothing.
func (t *textWriter) headed(depth int, key string, body func()) {
	before := len(t.b)
	t.line(depth, key+":")
	head := len(t.b)
	if body(); len(t.b) == head {
		t.b = t.b[:before]
	}
}

// list writes the entries of a list, each of which begins with its name.
func (t *textWriter) list(prefix string, entry reflect.Type, depth int) {
	for _, key := range slices.Sorted(maps.Keys(t.left)) {
		segment, ok := strings.CutPrefix(key, prefix)
		name := nameOf(reflect.New(entry).Elem())
		if !ok || setName(name, unescape(segment)) != nil {
			continue
		}
		doc := t.left[key]
		delete(t.left, key)
		t.line(depth, "- "+keyField(reflect.New(entry).Elem())+": "+oneLine(strictyaml.Encode(nameText(name), "")))
		t.entry(key, entry, doc, depth)
	}
}

// entry writes what is below the name of an entry.
func (t *textWriter) entry(key string, entry reflect.Type, doc []byte, depth int) {
	var n named
	var field string
	if c := carrierOf(entry); c != nil {
		full, own := reflect.New(c.doc), reflect.New(entry).Elem()
		if _, err := strictyaml.DecodeEntry(key, doc, full.Interface()); err == nil {
			if n = full.Elem().Field(c.field).Interface().(named); !n.plain {
				c.copyEntry(own, full.Elem())
				doc, field = strictyaml.EncodeEntry(own.Interface()), c.key(entry)
			}
		}
	}
	for _, line := range documentLines(doc) {
		switch {
		case field != "" && strings.HasPrefix(line, field+":"): // it is needed, so that it is there without a name
			t.named(field, &n, depth+1)
			field = ""
		case line != "{}":
			t.line(depth, "  "+line)
		}
	}
	if field != "" {
		t.named(field, &n, depth+1)
	}
}

// file writes the name of a file.
func (t *textWriter) file(key string, f strictyaml.Field, doc []byte, depth int) {
	var n named
	if _, err := strictyaml.DecodeValue(key, doc, &n, f.Tag); err != nil || n.plain {
		t.document(f.Key+":", doc, f.Value.Type(), depth)
		return
	}
	t.named(f.Key, &n, depth)
}

func (t *textWriter) named(key string, n *named, depth int) {
	t.line(depth, key+": "+t.nameOf(n))
}

// document writes a value behind its key: beside it if it is of one line and no section.
func (t *textWriter) document(key string, doc []byte, typ reflect.Type, depth int) {
	lines := documentLines(doc)
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	inside := strictyaml.IsSection(typ) && oneLine(doc) != "{}" || strings.HasPrefix(lines[0], "- ")
	if len(lines) == 1 && !inside {
		t.line(depth, key+" "+lines[0])
		return
	}
	t.line(depth, key)
	for _, line := range lines {
		t.line(depth+1, line)
	}
}

// oneLine returns a document of one line without the end of it.
func oneLine(doc []byte) string { return strings.TrimSuffix(string(doc), "\n") }
