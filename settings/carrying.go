package settings

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"unicode/utf8"

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
		if fields[i].Tag.Get("file") == "true" {
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
func (c *carrier) document(entry reflect.Value, read func(string) ([]byte, error)) (doc []byte, blob []byte, err error) {
	name := entry.Field(c.field).String()
	content, err := read(name)
	if err != nil {
		return nil, nil, fmt.Errorf("reading %q: %w", name, err)
	}
	full := reflect.New(c.doc).Elem()
	c.copyEntry(full, entry)
	put := func(n named) []byte {
		full.Field(c.field).Set(reflect.ValueOf(n))
		return strictyaml.EncodeEntry(full.Interface())
	}
	doc, blob = carry(name, content, put)
	return doc, blob, nil
}

// carry returns the document that put makes of a file's name and content: the content itself where it is text and fits, else its digest, and the content as a blob.
func carry(name string, content []byte, put func(named) []byte) (doc []byte, blob []byte) {
	if utf8.Valid(content) && len(content) <= maxInline {
		text := strictyaml.Text(content)
		if doc := put(named{Name: name, Content: &text}); len(doc) <= maxDocument {
			return doc, nil
		}
	}
	sum, size := digest(sha256.Sum256(content)), len(content)
	return put(named{Name: name, SHA256: &sum, Size: &size}), content
}

// content returns what a document says of a file's content. fail makes an error about a key of its section.
func (n *named) content(blob func([32]byte) ([]byte, error), fail func(key, hint, format string, args ...any) error) ([]byte, error) {
	switch {
	case n.Content != nil && n.SHA256 == nil && n.Size == nil:
		return []byte(*n.Content), nil
	case n.Content != nil || n.SHA256 == nil || n.Size == nil:
		return nil, fail("", "write content, or sha256 and size", "it is not said what is in %q", n.Name)
	case blob == nil:
		return nil, fail("sha256", "", "there are no blobs here")
	}
	content, err := blob(*n.SHA256)
	if err != nil {
		return nil, fail("sha256", "", "reading the content of %q: %w", n.Name, err)
	}
	if len(content) != *n.Size {
		return nil, fail("size", "", "the content of %q has %d octets", n.Name, len(content))
	}
	return content, nil
}

// keep keeps a file's content for who reads it by its name. Two settings may name one file, if it is the same.
func (f *File) keep(name string, content []byte, key string, carriedBy map[string]string, fail func(key, hint, format string, args ...any) error) error {
	if other, ok := f.carried[name]; ok && !bytes.Equal(other, content) {
		return fail("name", "apply one file that has both settings, or give the files different names", "%q has another content in %s", name, carriedBy[name])
	}
	f.carried[name], carriedBy[name] = content, key
	return nil
}
