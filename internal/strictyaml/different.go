package strictyaml

import "reflect"

// Different returns the keys whose values differ between a and b, pointers to structs of one type, with the value of b; only Path, Tag and Default are set. Values that are written alike are the same. It is what
// [Describe] of both would tell, at the cost of what differs.
func Different(a, b any) []Key {
	return different(nil, "", reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem())
}

func different(out []Key, path string, a, b reflect.Value) []Key {
	for _, f := range fieldsOf(a.Type()) {
		fa, fb := a.FieldByIndex(f.index), b.FieldByIndex(f.index)
		if reflect.DeepEqual(fa.Interface(), fb.Interface()) {
			continue
		}
		k := Key{Path: joinPath(path, f.key), Tag: f.tag}
		t := fa.Type()
		if t.Kind() == reflect.Pointer && isSection(t.Elem()) { // a section that may be absent
			if fa.IsNil() || fb.IsNil() {
				out = append(out, k)
				continue
			}
			fa, fb, t = fa.Elem(), fb.Elem(), t.Elem()
		}
		if t.Kind() == reflect.Struct && isSection(t) {
			out = different(out, k.Path, fa, fb)
			continue
		}
		if k.Default = format(fb); k.Default != format(fa) {
			out = append(out, k)
		}
	}
	return out
}
