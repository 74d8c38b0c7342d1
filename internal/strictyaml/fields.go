package strictyaml

import "reflect"

// Field is one key of a section, with its value.
type Field struct {
	Key   string
	Value reflect.Value // can be set if the section can
	Tag   reflect.StructTag
}

// Fields lists the keys of the section v, in the order of the fields.
func Fields(v reflect.Value) []Field {
	var out []Field
	for _, f := range fieldsOf(v.Type()) {
		out = append(out, Field{f.key, v.FieldByIndex(f.index), f.tag})
	}
	return out
}

// IsSection tells whether values of this type are written as keys, maybe besides another way.
func IsSection(t reflect.Type) bool { return isSection(t) }
