package strictyaml

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Key describes one key that a file may have, for documentation and the tests that hold it against the code.
type Key struct {
	Path     string // as in settings.stub[].zone
	Type     string // in words
	Default  string // as it would be written; "" for sections, elements of lists and what is absent by default
	Min, Max string // bounds as in the tags; "" if none
	Required bool
	Tag      reflect.StructTag // of the field
}

// Describe lists the keys of the struct that v points to, in the order of the fields, with the values that it holds as
// defaults.
func Describe(v any) []Key {
	return describe(nil, "", reflect.ValueOf(v).Elem(), true)
}

func describe(out []Key, path string, v reflect.Value, defaults bool) []Key {
	for _, f := range fieldsOf(v.Type()) {
		fv := v.FieldByIndex(f.index)
		k := Key{Path: joinPath(path, f.key), Type: word(fv.Type()), Min: f.tag.Get("min"), Max: f.tag.Get("max"),
			Required: f.tag.Get("required") == "true", Tag: f.tag}
		t := fv.Type()
		if t.Kind() == reflect.Pointer && isSection(t.Elem()) { // a section that may be absent
			if fv.IsNil() {
				out = describe(append(out, k), k.Path, reflect.New(t.Elem()).Elem(), false)
				continue
			}
			fv, t = fv.Elem(), t.Elem()
		}
		if defaults && !(t.Kind() == reflect.Struct && isSection(t)) {
			k.Default = format(fv)
		}
		out = append(out, k)
		switch {
		case isSection(t):
			out = describe(out, k.Path, fv, defaults)
		case t.Kind() == reflect.Slice && isSection(t.Elem()):
			out = describe(out, k.Path+"[]", reflect.New(t.Elem()).Elem(), false)
		}
	}
	return out
}

// format writes a value as in a file.
func format(v reflect.Value) string {
	if t := v.Type(); t.Kind() == reflect.Slice {
		if v.IsNil() {
			return ""
		}
		var list []string
		for i := range v.Len() {
			list = append(list, quoteIfNeeded(format(v.Index(i))))
		}
		return "[" + strings.Join(list, ", ") + "]"
	} else if t.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		return format(v.Elem())
	} else if isTexts(t) {
		if v.IsNil() {
			return ""
		}
		m := v.Convert(textsType).Interface().(map[string]string)
		var list []string
		for _, k := range slices.Sorted(maps.Keys(m)) {
			list = append(list, quoteIfNeeded(k)+": "+quoteIfNeeded(m[k]))
		}
		return "{" + strings.Join(list, ", ") + "}"
	}
	switch x := v.Interface().(type) {
	case time.Duration:
		return FormatDuration(x)
	case time.Time:
		if x.IsZero() {
			return ""
		}
		return x.Format(time.RFC3339)
	case netip.AddrPort:
		if !x.IsValid() {
			return `""`
		}
		return x.String()
	case string:
		if x == "" {
			return `""`
		}
		return x
	}
	return fmt.Sprint(v.Interface())
}

// word names a type for people.
func word(t reflect.Type) string {
	if p, ok := reflect.New(t).Interface().(interface{ Values() []string }); ok {
		return "one of " + strings.Join(p.Values(), ", ")
	}
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "duration"
	case reflect.TypeFor[time.Time]():
		return "time"
	case reflect.TypeFor[Bytes]():
		return "size"
	case addrType:
		return "address"
	case prefixType:
		return "prefix"
	case addrPortType:
		return "address and port"
	}
	switch {
	case isText(t) && isSection(t):
		return "text or section"
	case isText(t):
		return strings.ToLower(t.Name())
	case t.Kind() == reflect.Slice:
		return "list of " + plural(word(t.Elem()))
	case t.Kind() == reflect.Pointer:
		return word(t.Elem())
	case t.Kind() == reflect.Struct:
		return "section"
	case isTexts(t):
		return "texts by name"
	case t.Kind() == reflect.Bool:
		return "bool"
	case t.Kind() == reflect.String:
		return "text"
	}
	return "number"
}

func withArticle(s string) string {
	switch {
	case strings.HasPrefix(s, "one of"), s == "text":
		return s
	case s == "address" || s == "address and port":
		return "an " + s
	}
	return "a " + s
}

func plural(s string) string {
	switch s {
	case "address":
		return "addresses"
	case "prefix":
		return "prefixes"
	case "address and port":
		return "addresses and ports"
	case "text":
		return "texts"
	case "text or section":
		return "texts or sections"
	}
	return s + "s"
}

// example is a value of the type for a hint.
func example(t reflect.Type, tag reflect.StructTag) string {
	if p, ok := reflect.New(t).Interface().(interface{ Values() []string }); ok {
		return p.Values()[0]
	}
	switch word(t) {
	case "bool":
		return "true or false"
	case "number":
		return "a number"
	case "duration":
		return "a duration such as 10s"
	case "size":
		return "a size such as 256MiB"
	case "address":
		return "an address such as 192.0.2.1"
	case "prefix":
		return "a prefix such as 192.0.2.0/24"
	case "address and port":
		if tag.Get("port") != "" {
			return "an address such as 192.0.2.1"
		}
		return "an address with its port such as \"192.0.2.1:53\""
	case "name", "text or section":
		return "a name such as example.com"
	case "time":
		return "a time such as 2026-01-31T12:00:00Z"
	case "list of addresses and ports":
		if tag.Get("port") != "" {
			return "[192.0.2.1]"
		}
		return `["192.0.2.1:53"]`
	}
	if t.Kind() == reflect.Slice {
		return "a list"
	}
	return "text in quotes"
}
