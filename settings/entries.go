package settings

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/ananas-edge/ananas/internal/namedfile"
	"github.com/ananas-edge/ananas/internal/strictyaml"
)

// Entries are the settings that somebody wrote, as a store holds them. Defaults are not among them, so that they can change with releases.
type Entries struct {
	Docs     map[string][]byte            // key to document: YAML, of which equal values have equal octets
	Sections []string                     // the sections that the file names, those directly below `settings`, sorted
	Blobs    map[[32]byte]*namedfile.File // by their SHA-256, contents that are too large for the documents that name them

	file  *File
	paths map[string]string // key to where the file says it, below `settings`
}

// Limits of a document with the content of a file. 48 KiB leave room in the 64 KiB that a value of the store may have: the document is up to a third longer
// where lines are of six octets on average, and where it is more than that, the content is a blob too.
const (
	maxInline   = 48 << 10
	maxDocument = 64 << 10
)

// named is the document of a setting that names a file: a text that is no name, or a section.
type named struct {
	Name    string           `yaml:"name" required:"true"`
	Content *strictyaml.Text `yaml:"content"`
	SHA256  *digest          `yaml:"sha256"` // of a blob
	Size    *int             `yaml:"size" min:"0" max:"268435456"`

	text  string // instead of all that
	plain bool
}

// UnmarshalText takes what is written as text alone.
func (n *named) UnmarshalText(b []byte) error {
	n.text, n.plain = string(b), true
	return nil
}

// digest is a SHA-256.
type digest [sha256.Size]byte

// MarshalText writes it in lowercase hexadecimal.
func (d digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

// UnmarshalText reads that.
func (d *digest) UnmarshalText(b []byte) error {
	if len(b) != hex.EncodedLen(len(d)) || bytes.ContainsAny(b, "ABCDEF") {
		return errNoDigest
	}
	if _, err := hex.Decode(d[:], b); err != nil {
		return errNoDigest
	}
	return nil
}

var errNoDigest = errors.New("is not a SHA-256, 64 digits of lowercase hexadecimal")

// Entries takes the part `settings` apart and reads the files that it names. The error is a [*strictyaml.Errors].
func (f *File) Entries() (*Entries, error) {
	out := &Entries{Docs: make(map[string][]byte), Blobs: make(map[[32]byte]*namedfile.File), file: f, paths: make(map[string]string)}
	for _, s := range strictyaml.Fields(reflect.ValueOf(f.Settings).Elem()) {
		if f.names(s.Key) {
			out.Sections = append(out.Sections, s.Key)
		}
	}
	slices.Sort(out.Sections)
	var e strictyaml.Errors
	for _, l := range leaves(f.Settings) {
		switch {
		case !f.names(l.path):
		case l.list:
			out.addList(&e, l, f.readNamed)
			continue
		case l.names():
			out.addFile(&e, l, f.readNamed)
		default:
			out.Docs[l.key] = strictyaml.Encode(l.value.Interface(), l.tag)
		}
		out.paths[l.key] = l.path
	}
	if err := e.OrNil(); err != nil {
		return nil, f.locate(err)
	}
	return out, nil
}

// names tells whether the file says something of that path below `settings`.
func (f *File) names(path string) bool {
	if f.assembly != nil {
		return f.assembly.names(path)
	}
	return f.doc.Holds("settings." + path)
}

func (out *Entries) addList(e *strictyaml.Errors, l leaf, read func(string, int64) (*namedfile.File, error)) {
	c := carrierOf(l.value.Type().Elem())
	for i := range l.value.Len() {
		entry := l.value.Index(i)
		name := nameText(nameOf(entry))
		key := l.key + "/" + escape(name)
		if _, twice := out.Docs[key]; twice {
			e.Addf(fmt.Sprintf("%s[%d]", l.path, i), "remove one of the two", "%s is there twice", name)
			continue
		}
		out.paths[key] = fmt.Sprintf("%s[%d]", l.path, i)
		if c == nil || entry.Field(c.field).String() == "" {
			out.Docs[key] = strictyaml.EncodeEntry(entry.Interface())
			continue
		}
		doc, blob, err := c.document(entry, read)
		if err != nil {
			e.Addf(fmt.Sprintf("%s[%d].%s", l.path, i, c.key(l.value.Type().Elem())), hintOfNamed(entry.Addr().Interface(), err), "%w", err)
			continue
		}
		out.Docs[key] = doc
		if blob != nil {
			out.Blobs[blob.Sum()] = blob
		}
	}
}

func (out *Entries) addFile(e *strictyaml.Errors, l leaf, read func(string, int64) (*namedfile.File, error)) {
	name := l.value.String()
	var doc []byte
	var blob *namedfile.File
	content, err := read(name, mostOf(l.tag))
	if err == nil {
		doc, blob, err = carry(name, content, func(n named) []byte { return strictyaml.Encode(n, "") })
	}
	if err != nil {
		e.Addf(l.path, hintOfNamed(nil, err), "reading %q: %w", name, err)
		return
	}
	out.Docs[l.key] = doc
	if blob != nil {
		out.Blobs[blob.Sum()] = blob
	}
}

// hintOfNamed says what to do about a file that an entry names and that was not taken.
func hintOfNamed(entry any, err error) string {
	var large *namedfile.TooLargeError
	_, own := entry.(interface{ MostOctets() int64 })
	switch {
	case !errors.As(err, &large):
		return "its content travels with the settings, so it has to be there when they are applied"
	case own:
		return "is it the right file? Make it smaller, or raise limits.size of the entry that names it"
	}
	return large.Hint()
}

// Locate gives errors of [Assemble], and of what it returns, the place in the file that somebody wrote: those that are about a document of this file, as it is among the entries that were assembled. All others
// stay as they are, since the document is somebody else's.
func (out *Entries) Locate(entries map[string][]byte, err error) error {
	all, ok := err.(*strictyaml.Errors)
	if !ok || out.file.assembly != nil {
		return err
	}
	here := &strictyaml.Errors{More: all.More}
	for _, one := range all.List {
		path, ok := out.paths[one.File]
		if ok && bytes.Equal(entries[one.File], out.Docs[one.File]) {
			if one.Path != "" && one.Path[0] != '[' {
				path += "."
			}
			one = &strictyaml.Error{Path: "settings." + path + one.Path, Err: one.Err, Hint: one.Hint}
		}
		here.List = append(here.List, one)
	}
	return out.file.doc.Locate("", here)
}

// Over returns the changes to live that have it say what the file says, and what the file does not name as it is.
func (out *Entries) Over(live map[string][]byte) map[string][]byte {
	changes := make(map[string][]byte)
	for key, doc := range out.Docs {
		if before, ok := live[key]; !ok || !bytes.Equal(before, doc) {
			changes[key] = doc
		}
	}
	return changes
}

// Against returns the changes to live that make each section which the file names equal to it: new documents by key, nil for those that go. What is equal
// already is not among them, nor what is in other sections.
func (out *Entries) Against(live map[string][]byte) map[string][]byte {
	changes := out.Over(live)
	for key := range live {
		section, _, _ := strings.Cut(key, "/")
		if _, ok := slices.BinarySearch(out.Sections, section); !ok {
			continue
		}
		if _, stays := out.Docs[key]; !stays {
			changes[key] = nil
		}
	}
	return changes
}
