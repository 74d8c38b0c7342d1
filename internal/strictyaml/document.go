package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// Limits of a file.
const (
	// MaxSize is the largest file, in octets. A line of a stub or forward zone takes about 60, so this is 70,000 zones. It
	// also bounds memory: the densest YAML ("[,,,") makes a node of 200 octets of two octets, so parsing takes at most 400 MiB.
	MaxSize = 4 << 20
	// MaxDepth is how deep sections and lists may nest. Ours go to 5; the settings of a module may go deeper.
	MaxDepth = 32
	// MaxNodes is how many keys and values a file may have: 70,000 zones of about 7.
	MaxNodes = 500_000
)

// Document remembers where in a file each key was.
type Document struct {
	file   string
	places map[string]place
	empty  bool
}

// Empty tells whether there was nothing in the file but comments and white space.
func (d *Document) Empty() bool { return d.empty }

// Holds tells whether the file holds a key of that path, with whatever value.
func (d *Document) Holds(path string) bool {
	_, ok := d.places[path]
	return ok
}

type place struct{ line, column int }

// Locate completes err, which came from work on the decoded values: each [Error] in it, its path taken as below prefix,
// gets file, line and column. The result is an [*Errors], or nil if err is nil. A path that the file does not hold is shown
// at the nearest section above it that the file holds.
func (d *Document) Locate(prefix string, err error) error {
	if err == nil {
		return nil
	}
	var out Errors
	out.Join(prefix, err)
	for _, e := range out.List {
		if e.File != "" { // has a place already, maybe in another file
			continue
		}
		e.File = d.file
		if p, ok := d.find(e.Path); ok {
			e.Line, e.Column = p.line, p.column
		}
	}
	out.sort()
	return &out
}

func (d *Document) find(path string) (place, bool) {
	for path != "" {
		if p, ok := d.places[path]; ok {
			return p, true
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return place{}, false
}

// Decode reads data, the content of the file of that name, into the struct that into points to, which holds the defaults.
// The error is an [*Errors]; the struct is then partly filled and of no use. An empty file is a section without keys.
func Decode(file string, data []byte, into any) (*Document, error) {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("strictyaml: decoding into %T, not a pointer to a struct", into))
	}
	doc := &Document{file: file, places: make(map[string]place)}
	d := decoder{doc: doc, root: v.Elem().Type()}
	if node := d.parse(data); node != nil {
		d.value(node, v.Elem(), "", "")
		doc.empty = node.Kind == yaml.ScalarNode && node.Tag == tagNull
	} else {
		doc.empty = true
	}
	return d.done()
}

// DecodeValue reads a document that is one value, of the type that into points to; tag is that of the field which it belongs to. A section keeps what
// into holds where the document is silent. Paths in errors begin at the value: [0] is the first element of a list.
func DecodeValue(file string, data []byte, into any, tag reflect.StructTag) (*Document, error) {
	d := decoder{doc: &Document{file: file, places: make(map[string]place)}, root: reflect.TypeOf(into).Elem()}
	if node := d.parse(data); node != nil {
		d.value(node, reflect.ValueOf(into).Elem(), "", tag)
	} else if len(d.errs.List) == 0 {
		d.errs.Addf("", "write "+example(d.root, tag), "has no value")
	}
	return d.done()
}

// DecodeEntry reads what [EncodeEntry] writes into the struct that into points to: its keys without those that have the tag key, which keep what they hold.
func DecodeEntry(file string, data []byte, into any) (*Document, error) {
	v := reflect.ValueOf(into).Elem()
	d := decoder{doc: &Document{file: file, places: make(map[string]place)}, root: v.Type(), rest: true}
	node := d.parse(data)
	if node == nil {
		node = &yaml.Node{Kind: yaml.ScalarNode, Tag: tagNull, Line: 1, Column: 1}
	}
	if len(d.errs.List) == 0 && d.plain(node, "") {
		d.section(node, v, "")
	}
	return d.done()
}

// done returns what there is to say of the document.
func (d *decoder) done() (*Document, error) {
	if len(d.errs.List) == 0 {
		return d.doc, nil
	}
	d.errs.sort()
	for _, e := range d.errs.List {
		e.File = d.doc.file
	}
	return d.doc, &d.errs
}

// parse returns the root of the one document in data; nil if it is empty or was reported as wrong.
func (d *decoder) parse(data []byte) *yaml.Node {
	if len(data) > MaxSize {
		d.errs.Addf("", "", "file has %d octets, more than %d", len(data), MaxSize)
		return nil
	}
	l, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithV4Defaults(),
		yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(MaxDepth))))
	if err != nil {
		d.errs.Addf("", "", "starting the YAML reader: %w", err)
		return nil
	}
	var doc, second yaml.Node
	if err := l.Load(&doc); errors.Is(err, io.EOF) {
		return nil
	} else if err != nil {
		d.syntax(err, data)
		return nil
	}
	if err := l.Load(&second); err == nil {
		d.add(&second, "", "put everything into one document and remove the line with ---", "there is more than one YAML document")
		return nil
	} else if !errors.Is(err, io.EOF) {
		d.syntax(err, data)
		return nil
	}
	if n := countNodes(&doc, MaxNodes); n > MaxNodes {
		d.errs.Addf("", "", "file has more than %d keys and values", MaxNodes)
		return nil
	}
	return doc.Content[0]
}

// startsWithTab tells whether that line, counted from 1, has a tab in its indentation.
func startsWithTab(data []byte, line int) bool {
	for i := 1; i < line; i++ {
		_, rest, ok := bytes.Cut(data, []byte("\n"))
		if !ok {
			return false
		}
		data = rest
	}
	text, _, _ := bytes.Cut(data, []byte("\n"))
	indent := text[:len(text)-len(bytes.TrimLeft(text, " \t"))]
	return bytes.Contains(indent, []byte("\t"))
}

// countNodes counts the nodes at and below n, and stops soon after limit.
func countNodes(n *yaml.Node, limit int) int {
	count := 1
	for _, c := range n.Content {
		if count > limit {
			break
		}
		count += countNodes(c, limit-count)
	}
	return count
}
