package strictyaml

import (
	"encoding"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.yaml.in/yaml/v4"
)

// decoder walks the nodes of a document and the type that they must fit side by side.
type decoder struct {
	doc  *Document
	errs Errors
	root reflect.Type // of the whole file, to say where a misplaced key belongs
	rest bool         // the document is an entry without its name
}

const (
	tagNull      = "!!null"
	tagBool      = "!!bool"
	tagInt       = "!!int"
	tagFloat     = "!!float"
	tagString    = "!!str"
	tagTimestamp = "!!timestamp"
	tagMerge     = "!!merge"

	hintAnchor = "write the value out where it is needed"
)

// add reports an error at a node.
func (d *decoder) add(n *yaml.Node, path, hint, format string, args ...any) {
	d.errs.Add(&Error{Line: n.Line, Column: n.Column, Path: path, Err: fmt.Errorf(format, args...), Hint: hint})
}

// plain reports what is allowed nowhere: aliases, anchors and tags.
func (d *decoder) plain(n *yaml.Node, path string) bool {
	switch {
	case n.Kind == yaml.AliasNode:
		d.add(n, path, hintAnchor, "aliases (*%s) are not allowed", n.Value)
	case n.Anchor != "":
		d.add(n, path, hintAnchor, "anchors (&%s) are not allowed", n.Anchor)
	case n.Style&yaml.TaggedStyle != 0:
		d.add(n, path, "write the value without it", "tags (%s) are not allowed", n.Tag)
	default:
		return true
	}
	return false
}

// value decodes n into v. The tag is that of the struct field that v is, or is an element of.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string, tag reflect.StructTag) {
	if !d.plain(n, path) {
		return
	}
	if later, ok := tag.Lookup("later"); ok {
		if !isEmpty(n) {
			d.add(n, path, later, "is not in this release")
		}
		return
	}
	t := v.Type()
	switch {
	case isScalar(t) && !(isSection(t) && n.Kind == yaml.MappingNode):
		if n.Kind != yaml.ScalarNode {
			d.add(n, path, "write "+example(t, tag), "is %s, not %s", describeNode(n), withArticle(word(t)))
			return
		}
		if n.Tag == tagNull {
			d.add(n, path, "write "+example(t, tag)+", or remove the key to get the default", "has no value")
			return
		}
		d.scalar(n, v, path, tag)
	case t.Kind() == reflect.Pointer:
		p := reflect.New(t.Elem())
		if !v.IsNil() { // a default
			p.Elem().Set(v.Elem())
		}
		d.value(n, p.Elem(), path, tag)
		v.Set(p)
	case t.Kind() == reflect.Slice:
		d.list(n, v, path, tag)
	case t.Kind() == reflect.Struct:
		d.section(n, v, path)
	case isTexts(t):
		d.texts(n, v, path)
	default:
		panic(fmt.Sprintf("strictyaml: type %v of %q can not be decoded", t, path))
	}
}

// isEmpty tells whether a node says nothing, in whatever way.
func isEmpty(n *yaml.Node) bool {
	return len(n.Content) == 0 && (n.Kind != yaml.ScalarNode || n.Value == "" || n.Tag == tagNull)
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, path string, tag reflect.StructTag) {
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag == tagNull:
		d.add(n, path, "write [] for an empty list, or remove the key to get the default", "has no value")
		return
	case n.Kind == yaml.ScalarNode:
		d.add(n, path, fmt.Sprintf("write [%s]", quoteIfNeeded(n.Value)), "is %s, not a list", describeNode(n))
		return
	case n.Kind != yaml.SequenceNode:
		d.add(n, path, "start each element with a dash and a space", "is %s, not a list", describeNode(n))
		return
	}
	if least, _ := strconv.Atoi(tag.Get("items")); len(n.Content) < least {
		d.add(n, path, "write "+example(v.Type(), tag), "has %d elements, fewer than %d", len(n.Content), least)
		return
	}
	s := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, c := range n.Content {
		p := fmt.Sprintf("%s[%d]", path, i)
		d.doc.places[p] = place{c.Line, c.Column}
		d.value(c, s.Index(i), p, tag)
	}
	v.Set(s)
}

func (d *decoder) section(n *yaml.Node, v reflect.Value, path string) {
	fields := fieldsOf(v.Type())
	if d.rest && path == "" {
		fields = slices.DeleteFunc(slices.Clone(fields), func(f field) bool { return f.tag.Get("key") == "true" })
	}
	// A section whose keys are all commented out is a section without keys.
	null := n.Kind == yaml.ScalarNode && n.Tag == tagNull
	if n.Kind != yaml.MappingNode && !null {
		hint := ""
		if len(fields) > 0 {
			hint = fmt.Sprintf("write keys below it, such as %s: ...", fields[0].key)
		}
		d.add(n, path, hint, "is %s, not a section with keys", describeNode(n))
		return
	}
	seen := make(map[string]*yaml.Node, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, val := n.Content[i], n.Content[i+1]
		if k.Kind == yaml.ScalarNode && k.Tag == tagMerge {
			d.add(k, path, hintAnchor, "merge keys (<<) are not allowed")
			continue
		}
		if !d.plain(k, path) {
			continue
		}
		if k.Kind != yaml.ScalarNode || k.Tag == tagNull {
			d.add(k, path, "", "a key is %s, not text", describeNode(k))
			continue
		}
		p := joinPath(path, k.Value)
		f, ok := find(fields, k.Value)
		if _, name := find(fieldsOf(v.Type()), k.Value); !ok && name {
			d.add(k, p, "remove it", "the name of an entry is not in its document")
			continue
		}
		if !ok {
			d.add(k, p, d.mend(fields, k.Value, path), "unknown key %q", k.Value)
			continue
		}
		if first := seen[k.Value]; first != nil {
			d.add(k, p, "remove one of the two", "key is given twice, first in line %d", first.Line)
			continue
		}
		seen[k.Value] = k
		d.doc.places[p] = place{val.Line, val.Column}
		d.value(val, v.FieldByIndex(f.index), p, f.tag)
	}
	for _, f := range fields {
		if f.tag.Get("required") == "true" && seen[f.key] == nil {
			d.add(n, joinPath(path, f.key), fmt.Sprintf("add %s: ...", f.key), "key is missing")
		}
	}
}

// texts decodes a section whose keys are free.
func (d *decoder) texts(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode && n.Tag != tagNull {
		d.add(n, path, "write keys below it, as in {key: text}", "is %s, not a section with keys", describeNode(n))
		return
	}
	out := make(map[string]string, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, val := n.Content[i], n.Content[i+1]
		if k.Tag == tagMerge {
			d.add(k, path, hintAnchor, "merge keys (<<) are not allowed")
			continue
		}
		if !d.plain(k, path) {
			continue
		}
		if k.Kind != yaml.ScalarNode || k.Tag != tagString {
			d.add(k, path, "put it in quotes", "a key is %s, not text", describeNode(k))
			continue
		}
		p := joinPath(path, k.Value)
		if _, twice := out[k.Value]; twice {
			d.add(k, p, "remove one of the two", "key is given twice")
			continue
		}
		d.doc.places[p] = place{val.Line, val.Column}
		var text string
		d.value(val, reflect.ValueOf(&text).Elem(), p, "")
		out[k.Value] = text
	}
	v.Set(reflect.ValueOf(out).Convert(v.Type()))
}

// mend says what to do about an unknown key.
func (d *decoder) mend(fields []field, key, path string) string {
	keys := make([]string, len(fields))
	for i, f := range fields {
		keys[i] = f.key
	}
	if near := nearest(key, keys); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if elsewhere := whereIs(d.root, "", key, 0); elsewhere != "" {
		return fmt.Sprintf("it is known as %s", elsewhere)
	}
	where := "here"
	if path != "" {
		where = "in " + path
	}
	if len(keys) == 0 {
		return "nothing is known " + where + "; remove it"
	}
	return fmt.Sprintf("known %s: %s", where, strings.Join(keys, ", "))
}

// whereIs returns the path of the first key of that name at or below t, as far down as our sections go.
func whereIs(t reflect.Type, path, key string, depth int) string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		if t.Kind() == reflect.Slice && path != "" && !strings.HasSuffix(path, "[]") {
			path += "[]"
		}
		t = t.Elem()
	}
	if depth > MaxDepth || t.Kind() != reflect.Struct || !isSection(t) {
		return ""
	}
	fields := fieldsOf(t)
	for _, f := range fields {
		if fold(f.key) == fold(key) {
			return joinPath(path, f.key)
		}
	}
	for _, f := range fields {
		if p := whereIs(t.FieldByIndex(f.index).Type, joinPath(path, f.key), key, depth+1); p != "" {
			return p
		}
	}
	return ""
}

// field is one key that a struct knows.
type field struct {
	key   string
	index []int
	tag   reflect.StructTag
}

func find(fields []field, key string) (field, bool) {
	for _, f := range fields {
		if f.key == key {
			return f, true
		}
	}
	return field{}, false
}

var fieldsKnown sync.Map // of reflect.Type to []field, of the types of this program

// fieldsOf lists the keys of a struct. It is remembered: a reload asks some thousand times. The caller must not change it.
func fieldsOf(t reflect.Type) []field {
	if known, ok := fieldsKnown.Load(t); ok {
		return known.([]field)
	}
	out := listFields(t)
	fieldsKnown.Store(t, out)
	return out
}

func listFields(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if key == "" || key == "-" || !f.IsExported() {
			continue
		}
		out = append(out, field{key, f.Index, f.Tag})
	}
	return out
}

var (
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
	addrType     = reflect.TypeFor[netip.Addr]()
	prefixType   = reflect.TypeFor[netip.Prefix]()
	addrPortType = reflect.TypeFor[netip.AddrPort]()

	textBlockType = reflect.TypeFor[Text]()
	textsType     = reflect.TypeFor[map[string]string]()
)

// isTexts tells whether t is a section whose keys are free and whose values are text.
func isTexts(t reflect.Type) bool { return t.Kind() == reflect.Map && t.ConvertibleTo(textsType) }

func isText(t reflect.Type) bool { return reflect.PointerTo(t).Implements(textType) }

// isScalar tells whether values of this type are written as one text, number or truth value.
func isScalar(t reflect.Type) bool {
	if isText(t) {
		return true
	}
	switch t.Kind() {
	case reflect.Bool, reflect.String, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return true
	}
	return false
}

// isSection tells whether t is a struct that can be written as keys: any, but of those that can be written as text too only
// one that has keys.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && (!isText(t) || len(fieldsOf(t)) > 0)
}

// describeNode says what a node is, in the words of the file.
func describeNode(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a section with keys"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.Tag {
	case tagNull:
		return "nothing"
	case tagBool:
		return "true or false"
	case tagInt, tagFloat:
		return "a number"
	case tagTimestamp:
		return "a date"
	}
	return fmt.Sprintf("the text %s", clip(n.Value))
}

// clip quotes a value for a message, cut to a length that fits a line.
func clip(s string) string {
	const most = 60
	if len(s) > most {
		return strconv.Quote(s[:most]) + "..."
	}
	return strconv.Quote(s)
}

// quoteIfNeeded writes text as an element of a list in brackets.
func quoteIfNeeded(s string) string {
	if s == "" || strings.ContainsAny(s, ":,[]{}#\"'\\&*!|>%@` ") {
		return strconv.Quote(s)
	}
	return s
}
