package settings

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/internal/strictyaml"
)

// Keys name settings in a store: the path of docs/settings.md below `settings`, with slashes. A section is a folder; what is below it is a key with a
// document of its own, but for a list of sections that have names: that is a folder too, with a key for each entry.
//
//	cache/max_ttl              24h
//	access/allow               [127.0.0.0/8, "::1/128"]
//	forward/corp.example       servers: [192.0.2.1]
//
// These tags of fields have a meaning here, beside those of internal/strictyaml:
//
//	key     "true": the name of an entry; one field of a section that is in a list
//	file    the size that it may have at most, such as "8MiB", where the entry has no method MostOctets that says so: names a file, whose content travels with the settings; "" names none
//	stream  "true": such a file is large, and only read as a stream, where what is made of it is not there yet; else it is in memory as long as the settings are
//	word    what such a field may say that is no file
//	secret  "true": the value is not shown to people

// ownKeys is what keys begin with that are the store's own and no settings.
const ownKeys = "~"

// isFile tells whether a field with this tag names a file.
func isFile(tag reflect.StructTag) bool { return tag.Get("file") != "" }

// isStream tells whether the file is large, and not kept in memory.
func isStream(tag reflect.StructTag) bool { return tag.Get("stream") == "true" }

// mostOf is how many octets the file may have that a field with this tag names.
func mostOf(tag reflect.StructTag) int64 {
	most, err := strictyaml.ParseBytes(tag.Get("file"))
	if err != nil {
		panic(err) // a test looks at all of them
	}
	return int64(most)
}

// mostOfEntry is the same of the file that an entry names: what the entry says itself, if it does.
func mostOfEntry(entry reflect.Value, c *carrier) int64 {
	if entry.CanAddr() {
		if own, ok := entry.Addr().Interface().(interface{ MostOctets() int64 }); ok {
			return own.MostOctets()
		}
	}
	return mostOf(entry.Type().Field(c.field).Tag)
}

// leaf is a key, or a folder of entries, and its place in a [Settings].
type leaf struct {
	key   string        // recursion/limits/jobs; of entries the folder
	path  string        // recursion.limits.jobs
	value reflect.Value // can be set
	tag   reflect.StructTag
	list  bool // of entries
}

// leaves lists what s is made of, in the order of the fields.
func leaves(s *Settings) []leaf { return appendLeaves(nil, reflect.ValueOf(s).Elem(), "", "") }

func appendLeaves(out []leaf, v reflect.Value, key, path string) []leaf {
	for _, f := range strictyaml.Fields(v) {
		if _, later := f.Tag.Lookup("later"); later {
			continue
		}
		t := f.Value.Type()
		l := leaf{key + f.Key, path + f.Key, f.Value, f.Tag, t.Kind() == reflect.Slice && hasName(t.Elem())}
		if t.Kind() == reflect.Struct && strictyaml.IsSection(t) {
			out = appendLeaves(out, f.Value, l.key+"/", l.path+".")
			continue
		}
		out = append(out, l)
	}
	return out
}

// hasName tells whether values of type t are entries with a name.
func hasName(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && strictyaml.IsSection(t) && nameOf(reflect.New(t).Elem()).IsValid()
}

// nameOf returns the field that names an entry.
func nameOf(entry reflect.Value) reflect.Value {
	for _, f := range strictyaml.Fields(entry) {
		if f.Tag.Get("key") == "true" {
			return f.Value
		}
	}
	return reflect.Value{}
}

// names tells whether the leaf holds the name of a file.
func (l *leaf) names() bool {
	return isFile(l.tag) && l.value.String() != "" && l.value.String() != l.tag.Get("word")
}

// secret tells whether the leaf holds anything that people are not to see.
func (l *leaf) secret() bool {
	if l.tag.Get("secret") == "true" {
		return true
	}
	t := l.value.Type()
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return strictyaml.IsSection(t) && anySecret(reflect.New(t).Elem())
}

func anySecret(section reflect.Value) bool {
	for _, f := range strictyaml.Fields(section) {
		l := leaf{value: f.Value, tag: f.Tag}
		if l.secret() {
			return true
		}
	}
	return false
}

// nameText returns the name of an entry in its one form.
func nameText(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case dns.Name:
		if x.IsRoot() {
			return "."
		}
		return strings.TrimSuffix(x.Lower().String(), ".") // the last one is never part of a label: that would have a backslash before it, and one after
	case encoding.TextMarshaler:
		if b, err := x.MarshalText(); err == nil {
			return string(b)
		}
	}
	return fmt.Sprint(v.Interface())
}

// setName reads a name into the field of an entry.
func setName(v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	v.SetString(text)
	return nil
}

const upperHex = "0123456789ABCDEF"

// escape writes a name as one segment of a key: as %XX what would end it, be taken for an escape, or disturb a terminal.
func escape(name string) string {
	var b strings.Builder
	for i := range len(name) {
		if c := name[i]; c == '/' || c == '%' || c < ' ' || c == 0x7F {
			b.Write([]byte{'%', upperHex[c>>4], upperHex[c&15]})
			continue
		}
		b.WriteByte(name[i])
	}
	return b.String()
}

// unescape reads what escape writes. What it would not write is read as it stands, and does not come back the same.
func unescape(segment string) string {
	var b strings.Builder
	for i := 0; i < len(segment); i++ {
		if c := segment[i]; c == '%' && i+2 < len(segment) {
			hi, lo := strings.IndexByte(upperHex, segment[i+1]), strings.IndexByte(upperHex, segment[i+2])
			if hi >= 0 && lo >= 0 {
				b.WriteByte(byte(hi<<4 | lo))
				i += 2
				continue
			}
		}
		b.WriteByte(segment[i])
	}
	return b.String()
}
