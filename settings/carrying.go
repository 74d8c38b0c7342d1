package settings

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/ananas-edge/ananas/internal/namedfile"
	"github.com/ananas-edge/ananas/internal/strictyaml"
)

// Entries of lists that name a file. In a person's file the field is a text; in a document of a store it is a section, with the content or the digest of it. So the document is that
// of another type: the entry's own, with that field replaced.

// carrier says how entries of a type carry a file.
type carrier struct {
	field int          // of the name, in the entry's type
	doc   reflect.Type // of the document
}

var carriers sync.Map // reflect.Type to *carrier; nil: entries of that type name no file

// carrierOf returns nil where entries of type t name no file. One field may, which is a string.
func carrierOf(t reflect.Type) *carrier {
	if c, ok := carriers.Load(t); ok {
		return c.(*carrier)
	}
	var c *carrier
	fields := make([]reflect.StructField, t.NumField())
	for i := range fields {
		fields[i] = t.Field(i)
		if isFile(fields[i].Tag) {
			fields[i].Type = reflect.TypeFor[named]()
			c = &carrier{field: i}
		}
	}
	if c != nil {
		c.doc = reflect.StructOf(fields)
	}
	carriers.Store(t, c)
	return c
}

// key is what the field is called in files.
func (c *carrier) key(t reflect.Type) string {
	name, _, _ := strings.Cut(t.Field(c.field).Tag.Get("yaml"), ",")
	return name
}

// copyEntry copies all fields but that of the file, from one form of an entry to the other.
func (c *carrier) copyEntry(to, from reflect.Value) {
	for i := range to.NumField() {
		if i != c.field {
			to.Field(i).Set(from.Field(i))
		}
	}
}

// document returns the document of an entry, and, where it is too large for that, the content of its file as a blob. What is wrong with the file is the error.
func (c *carrier) document(entry reflect.Value, read func(string, int64) (*namedfile.File, error)) (doc []byte, blob *namedfile.File, err error) {
	name := entry.Field(c.field).String()
	content, err := read(name, mostOfEntry(entry, c))
	if err != nil {
		return nil, nil, fmt.Errorf("reading %q: %w", name, err)
	}
	full := reflect.New(c.doc).Elem()
	c.copyEntry(full, entry)
	put := func(n named) []byte {
		full.Field(c.field).Set(reflect.ValueOf(n))
		return strictyaml.EncodeEntry(full.Interface())
	}
	if doc, blob, err = carry(name, content, put); err != nil {
		return nil, nil, fmt.Errorf("reading %q: %w", name, err)
	}
	return doc, blob, nil
}

// carry returns the document that put makes of a file's name and content: the content itself where it is text and fits, else its digest, and the content as a blob.
func carry(name string, f *namedfile.File, put func(named) []byte) (doc []byte, blob *namedfile.File, err error) {
	if f.Size() <= maxInline {
		content, err := f.Read()
		if err != nil {
			return nil, nil, err
		}
		if utf8.Valid(content) {
			text := strictyaml.Text(content)
			if doc := put(named{Name: name, Content: &text}); len(doc) <= maxDocument {
				return doc, nil, nil
			}
		}
	}
	sum, size := digest(f.Sum()), int(f.Size())
	return put(named{Name: name, SHA256: &sum, Size: &size}), f, nil
}

// content returns what a document says of a file's content, of at most so many octets. fail makes an error about a key of its section.
func (n *named) content(blob blobReader, stream bool, most int64, fail func(key, hint, format string, args ...any) error) (*namedfile.File, error) {
	switch {
	case n.Content != nil && n.SHA256 == nil && n.Size == nil:
		return namedfile.Of([]byte(*n.Content)), nil
	case n.Content != nil || n.SHA256 == nil || n.Size == nil:
		return nil, fail("", "write content, or sha256 and size", "it is not said what is in %q", n.Name)
	case blob == nil:
		return nil, fail("sha256", "", "there are no blobs here")
	}
	content, err := blob(*n.SHA256, stream)
	if err != nil {
		return nil, fail("sha256", "", "reading the content of %q: %w", n.Name, err)
	}
	if content.Size() != int64(*n.Size) {
		return nil, fail("size", "", "the content of %q has %d octets", n.Name, content.Size())
	}
	if _, err := content.AtMost(n.Name, most); err != nil {
		return nil, fail("size", "", "%w", err)
	}
	return content, nil
}

// keep keeps a file's content for who reads it by its name. Two settings may name one file, if it is the same.
func (f *File) keep(name string, content *namedfile.File, key string, carriedBy map[string]string, fail func(key, hint, format string, args ...any) error) error {
	if other, ok := f.carried[name]; ok && other.Sum() != content.Sum() {
		return fail("name", "apply one file that has both settings, or give the files different names", "%q has another content in %s", name, carriedBy[name])
	}
	f.carried[name], carriedBy[name] = content, key
	return nil
}
