package settings

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/ananas-edge/ananas/internal/namedfile"
	"github.com/ananas-edge/ananas/internal/strictyaml"
)

// Assemble makes the file of a node whose own part is given and whose settings are entries, keys and documents as [File.Entries] makes them; what they do not say is
// the default of this release. blob returns contents that are not in the documents; none other is ever read, and those that are streamed (see keys.go) only when
// what is made of them is not there. Keys that are the store's own are passed over. The
// documents must not be changed later.
//
// The error is a [*strictyaml.Errors] with all that is wrong, each with the key as its file and the path within the document, without a line: [Entries.Locate] knows that of the file that
// somebody wrote. [File.Compile] of what is returned tells errors in the same way.
func Assemble(own Node, entries map[string][]byte, blob func(sha256 [32]byte) (*namedfile.File, error)) (*File, error) {
	return assemble(own, entries, blob, nil)
}

// Reassemble is [Assemble] for the next version of what f was assembled of. Entries of lists whose documents are as they were are taken from f, and so are contents of
// files, which is what makes a small change of a large store cheap. The two files share memory.
func (f *File) Reassemble(entries map[string][]byte, blob func(sha256 [32]byte) (*namedfile.File, error)) (*File, error) {
	return assemble(f.Node, entries, blob, f)
}

func assemble(own Node, entries map[string][]byte, blob func(sha256 [32]byte) (*namedfile.File, error), before *File) (*File, error) {
	a := &assembly{entries: maps.Clone(entries), lists: make(map[string][]string)}
	if before != nil && before.assembly != nil {
		a.known, a.before = before.knownEntries(), before
		defer func() { a.known, a.before = nil, nil }()
	}
	f := &File{Node: own, Settings: Default().Settings, doc: new(strictyaml.Document), carried: make(map[string]*namedfile.File), blobs: make(map[[32]byte]*namedfile.File), assembly: a}
	blobs := f.verified(before, blob)
	all := leaves(f.Settings)
	byKey := make(map[string]leaf, len(all))
	for _, l := range all {
		byKey[l.key] = l
	}
	carriedBy := make(map[string]string)
	var e strictyaml.Errors
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		if strings.HasPrefix(key, ownKeys) {
			continue
		}
		l, ok := byKey[key]
		folder, segment, _ := cutLast(key)
		switch list, inList := byKey[folder]; {
		case ok && !l.list && isFile(l.tag):
			e.Join("", a.setFile(f, l, blobs, carriedBy))
		case ok && !l.list:
			_, err := strictyaml.DecodeValue(key, entries[key], l.value.Addr().Interface(), l.tag)
			e.Join("", err)
		case inList && list.list:
			e.Join("", a.add(f, list, key, segment, blobs, carriedBy))
		default:
			e.Add(&strictyaml.Error{File: key, Err: errors.New("unknown key"), Hint: hintUnknown(key, all)})
		}
	}
	for _, one := range e.List {
		if one.Path != "" {
			one.Line, one.Column = 0, 0 // of a document that a node has written, and nobody sees as it is
		}
	}
	if err := e.OrNil(); err != nil {
		return nil, err
	}
	return f, nil
}

// knownEntries returns the entries of f by their keys.
func (f *File) knownEntries() map[string]knownEntry {
	out := make(map[string]knownEntry)
	for _, l := range leaves(f.Settings) {
		for i, key := range f.assembly.lists[l.path] {
			out[key] = knownEntry{f.assembly.entries[key], l.value.Index(i)}
		}
	}
	return out
}

// knownEntry is an entry that was decoded before, and its document.
type knownEntry struct {
	doc   []byte
	value reflect.Value
}

// blobReader returns a content that is a blob: to be streamed, or else in memory.
type blobReader func(sum [32]byte, stream bool) (*namedfile.File, error)

// verified returns contents that f took from blobs already, and asks blob for others, which it looks at.
func (f *File) verified(before *File, blob func([32]byte) (*namedfile.File, error)) blobReader {
	if blob == nil && before == nil {
		return nil
	}
	return func(sum [32]byte, stream bool) (*namedfile.File, error) {
		content, ok := f.blobs[sum]
		if !ok && before != nil {
			content, ok = before.blobs[sum]
		}
		if !ok {
			if blob == nil {
				return nil, errors.New("there are no blobs here")
			}
			var err error
			if content, err = blob(sum); err != nil {
				return nil, err
			}
			if content.Sum() != sum {
				return nil, errNotTheSame
			}
		}
		if !stream && !content.InMemory() {
			b, err := content.Read()
			if err != nil {
				return nil, err
			}
			content = namedfile.Of(b)
		}
		f.blobs[sum] = content
		return content, nil
	}
}

var errNotTheSame = errors.New("it is not what it was")

// cutLast cuts a key before its last segment.
func cutLast(key string) (folder, segment string, ok bool) {
	i := strings.LastIndexByte(key, '/')
	if i < 0 {
		return "", key, false
	}
	return key[:i], key[i+1:], true
}

// hintUnknown says what to do about a key that is none.
func hintUnknown(key string, all []leaf) string {
	var known []string
	for _, l := range all {
		switch {
		case l.list && l.key == key:
			return "it is a folder with a key for each entry, such as " + key + "/corp.example"
		case strings.HasPrefix(l.key, key+"/"):
			return "it is a folder; set the keys below it, such as " + l.key
		}
		known = append(known, l.key)
	}
	if near := strictyaml.Nearest(key, known); near != "" {
		return fmt.Sprintf("did you mean %s?", near)
	}
	return "a newer release may know it: update this node, or delete the key"
}

// add appends an entry to a list.
func (a *assembly) add(f *File, list leaf, key, segment string, blob blobReader, carriedBy map[string]string) error {
	c := carrierOf(list.value.Type().Elem())
	if k, ok := a.known[key]; ok && bytes.Equal(k.doc, a.entries[key]) && a.take(f, c, k, key, carriedBy) {
		list.value.Set(reflect.Append(list.value, k.value))
		a.lists[list.path] = append(a.lists[list.path], key)
		return nil
	}
	entry := reflect.New(list.value.Type().Elem()).Elem()
	name := nameOf(entry)
	fail := func(hint, format string, args ...any) error {
		return &strictyaml.Error{File: key, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	if err := setName(name, unescape(segment)); err != nil {
		return fail("", "%w", err)
	}
	if right := escape(nameText(name)); right != segment {
		return fail("write it "+list.key+"/"+right, "the name is not in its one form")
	}
	if c != nil {
		if err := a.addCarrying(f, c, entry, key, blob, carriedBy); err != nil {
			return err
		}
	} else if _, err := strictyaml.DecodeEntry(key, a.entries[key], entry.Addr().Interface()); err != nil {
		return err
	}
	list.value.Set(reflect.Append(list.value, entry))
	a.lists[list.path] = append(a.lists[list.path], key)
	return nil
}

// take takes over the file of an entry that is as it was, where entries name files. It is false if that is not to be had so simply.
func (a *assembly) take(f *File, c *carrier, k knownEntry, key string, carriedBy map[string]string) bool {
	if c == nil {
		return true
	}
	name := k.value.Field(c.field).String()
	if name == "" {
		return true
	}
	was, ok := a.before.carried[name]
	other, twice := f.carried[name]
	if !ok || twice && other.Sum() != was.Sum() {
		return false
	}
	if _, isBlob := a.before.blobs[was.Sum()]; isBlob {
		f.blobs[was.Sum()] = was
	}
	f.carried[name], carriedBy[name] = was, key
	return true
}

// addCarrying reads an entry that names a file, and takes over the content. Its name is set.
func (a *assembly) addCarrying(f *File, c *carrier, entry reflect.Value, key string, blob blobReader, carriedBy map[string]string) error {
	full := reflect.New(c.doc).Elem()
	c.copyEntry(full, entry)
	doc, err := strictyaml.DecodeEntry(key, a.entries[key], full.Addr().Interface())
	if err != nil {
		return err
	}
	c.copyEntry(entry, full)
	n := full.Field(c.field).Interface().(named)
	field := c.key(entry.Type())
	fail := func(path, hint, format string, args ...any) error {
		if path != "" {
			path = "." + path
		}
		return doc.Locate("", &strictyaml.Error{Path: field + path, Err: fmt.Errorf(format, args...), Hint: hint})
	}
	if n.plain {
		if n.text != "" {
			return fail("", "apply a file that names it: its content travels with the settings", "%q would be a file of each machine", n.text)
		}
		return nil
	}
	if n.Name == "" {
		return fail("name", "", "%q names no file", n.Name)
	}
	content, err := n.content(blob, isStream(entry.Type().Field(c.field).Tag), mostOfEntry(entry, c), fail)
	if err == nil {
		err = f.keep(n.Name, content, key, carriedBy, fail)
	}
	if err != nil {
		return err
	}
	entry.Field(c.field).SetString(n.Name)
	return nil
}

// setFile sets a leaf that names a file, and takes over the content.
func (a *assembly) setFile(f *File, l leaf, blob blobReader, carriedBy map[string]string) error {
	var n named
	doc, err := strictyaml.DecodeValue(l.key, a.entries[l.key], &n, l.tag)
	if err != nil {
		return err
	}
	fail := func(path, hint, format string, args ...any) error {
		return doc.Locate("", &strictyaml.Error{Path: path, Err: fmt.Errorf(format, args...), Hint: hint})
	}
	if n.plain {
		if n.text != "" && n.text != l.tag.Get("word") {
			return fail("", "apply a file that names it: its content travels with the settings", "%q would be a file of each machine", n.text)
		}
		l.value.SetString(n.text)
		return nil
	}
	if n.Name == "" || n.Name == l.tag.Get("word") {
		return fail("name", "write the text alone, without a section", "%q names no file", n.Name)
	}
	content, err := n.content(blob, isStream(l.tag), mostOf(l.tag), fail)
	if err == nil {
		err = f.keep(n.Name, content, l.key, carriedBy, fail)
	}
	if err != nil {
		return err
	}
	l.value.SetString(n.Name)
	return nil
}

// assembly remembers which keys a file came from.
type assembly struct {
	entries map[string][]byte
	lists   map[string][]string   // path of a list of entries to their keys, in its order
	known   map[string]knownEntry // while it is put together, what need not be decoded again
	before  *File                 // likewise, of which that is
}

// names tells whether there are keys at or below a path.
func (a *assembly) names(path string) bool {
	if len(a.lists[path]) > 0 {
		return true
	}
	key := strings.ReplaceAll(path, ".", "/")
	if _, ok := a.entries[key]; ok || strings.Contains(key, "/") {
		return ok
	}
	for k := range a.entries {
		if strings.HasPrefix(k, key+"/") {
			return true
		}
	}
	return false
}

// locate gives errors, whose paths are those below `settings`, the key that they are about as their file, and the path in its document.
func (a *assembly) locate(err error) error {
	var in, out strictyaml.Errors
	in.Join("", err)
	out.More = in.More
	listed := regexp.MustCompile(`[a-z_.]+\[\d+\]`)
	for _, one := range in.List {
		c := *one
		if c.File == "" {
			a.place(&c)
			text := listed.ReplaceAllStringFunc(c.Err.Error(), func(path string) string {
				if key, rest := a.keyOf(path); rest == "" {
					return key
				}
				return path
			})
			c.Err = reworded{text, c.Err}
		}
		out.Add(&c)
	}
	slices.SortStableFunc(out.List, func(x, y *strictyaml.Error) int { return strings.Compare(x.File, y.File) })
	return &out
}

// reworded is an error in other words.
type reworded struct {
	text string
	err  error
}

func (r reworded) Error() string { return r.text }

func (r reworded) Unwrap() error { return r.err }

// place sets what an error is about.
func (a *assembly) place(e *strictyaml.Error) {
	e.File, e.Path = a.keyOf(e.Path)
	folder, _, _ := cutLast(e.File)
	for _, l := range leaves(Default().Settings) {
		if l.list && l.key == folder && e.Path == keyField(reflect.New(l.value.Type().Elem()).Elem()) {
			e.Path = "" // the key says it
		}
	}
}

// keyField returns the name of the field that names an entry.
func keyField(entry reflect.Value) string {
	for _, f := range strictyaml.Fields(entry) {
		if f.Tag.Get("key") == "true" {
			return f.Key
		}
	}
	return ""
}

// keyOf cuts a path below `settings` into the key and the path within its document.
func (a *assembly) keyOf(path string) (key, rest string) {
	before, after, indexed := strings.Cut(path, "[")
	key = strings.ReplaceAll(before, ".", "/")
	if !indexed {
		return key, ""
	}
	number, after, _ := strings.Cut(after, "]")
	if keys := a.lists[before]; keys != nil {
		var i int
		if _, err := fmt.Sscan(number, &i); err == nil && i >= 0 && i < len(keys) {
			return keys[i], strings.TrimPrefix(after, ".")
		}
	}
	return key, "[" + number + "]" + after
}
